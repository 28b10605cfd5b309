//! The one table of error codes: exit code, HTTP status, retry policy, metric label, and the words
//! that explain them to a person.

use std::fmt;
use std::io;

/// Defines the codes with their rows.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $code:literal exit $exit:literal http $http:literal $retry:ident
        $meaning:literal $next:literal $(over http $over_http:literal)?;)*) => {
        /// A stable error code. `ERR_EXPORT_*` is the only scheme; every surface shows the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// All codes, in the order of the documentation's table.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code as shown, such as `ERR_EXPORT_DIGEST_MISMATCH`. Also the metric label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $code,)* }
            }

            /// The exit code of `stella` (FORMATS "Exit codes").
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $(ErrorCode::$variant => $exit,)* }
            }

            /// The HTTP status of the service.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(ErrorCode::$variant => $http,)* }
            }

            /// Whether the same request may succeed later without anyone changing it.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(ErrorCode::$variant => Retry::$retry,)* }
            }

            /// What the code means, for a person.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(ErrorCode::$variant => $meaning,)* }
            }

            /// What a person does about it at the command line.
            #[must_use]
            pub const fn next(self) -> &'static str {
                match self { $(ErrorCode::$variant => $next,)* }
            }

            /// What a client of the API does about it, where that has other names than at the
            /// command line.
            #[must_use]
            pub const fn next_over_http(self) -> Option<&'static str> {
                match self { $(ErrorCode::$variant => [$(Some($over_http),)? None][0],)* }
            }
        }
    };
}

/// What a caller may do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request fails again until someone changes something.
    Never,
    /// The cause may pass by itself.
    Later,
}

codes! {
    /// A defect of the product.
    Internal "ERR_EXPORT_INTERNAL" exit 1 http 500 Never
        "a defect of this program"
        "report it with the command, the version and the message"
        over http "report it with the version and the traceId";
    /// Reading or writing a file or database failed.
    Io "ERR_EXPORT_IO" exit 1 http 500 Later
        "reading or writing a file or the store failed"
        "look at the cause: disk full, permissions, or a medium that is gone"
        over http "whoever runs the service finds the cause in its log, by the traceId: disk full, permissions";
    /// The command line or request is not understood.
    Usage "ERR_EXPORT_USAGE" exit 2 http 400 Never
        "the command line or the request was not understood"
        "the message names what; --help shows what there is"
        over http "the message names what; /openapi.json has what there is";
    /// A document, profile or option is invalid.
    Invalid "ERR_EXPORT_INVALID" exit 2 http 422 Never
        "a document, profile, key file or option is invalid"
        "correct what the message names"
        over http "correct what details and message name; /openapi.json tells what is allowed";
    /// Every document was rejected, or the container itself.
    Rejected "ERR_EXPORT_REJECTED" exit 2 http 422 Never
        "every document was rejected, or the container itself was"
        "stella quarantine list --feed NAME shows each document with its reason"
        over http "GET /feeds/{name}/quarantine shows each document with its reason";
    /// No key to sign or verify with.
    NoKey "ERR_EXPORT_NO_KEY" exit 2 http 409 Never
        "there is no key to sign or verify with"
        "to sign: stella keys generate release; to verify: --key KEY.pub or stella trust add NAME KEY.pub"
        over http "whoever runs the service gives the tenant a key to sign with: stella keys generate, in its store";
    /// The named thing does not exist.
    NotFound "ERR_EXPORT_NOT_FOUND" exit 3 http 404 Never
        "the named feed, profile, key, record, file or bundle does not exist"
        "check the name or the path; the list commands show what there is"
        over http "check the name; the lists show what there is";
    /// The operation is not allowed, such as a wrong key password.
    NotAllowed "ERR_EXPORT_NOT_ALLOWED" exit 4 http 403 Never
        "the operation is not allowed, such as with a wrong key password"
        "check the token, the password or the permissions of the file"
        over http "GET /me shows what the token opens; an administrator of the tenant makes others";
    /// A server or target cannot be reached.
    Unreachable "ERR_EXPORT_UNREACHABLE" exit 5 http 503 Later
        "a server or target cannot be reached"
        "check the address and the network, then run the same command again"
        over http "send the same again in a while; /ready tells what the service waits for";
    /// The run failed.
    RunFailed "ERR_EXPORT_RUN_FAILED" exit 6 http 500 Never
        "the run failed and nothing was put at the destination"
        "look at the cause, then run the same command again; finished parts are reused"
        over http "look at the failure of the run, then POST /runs/{id}/retry; finished parts are reused";
    /// A selected feed yields nothing, or far less than its floor (INV-EMPTY).
    Empty "ERR_EXPORT_EMPTY" exit 6 http 422 Never
        "a selected feed yields nothing, or far less than its floor or the last run"
        "find out why; if it is meant, add --allow-empty KIND/FEED"
        over http "find out why; if it is meant, order it with KIND/FEED in allowEmpty";
    /// More records would vanish than allowed.
    Drop "ERR_EXPORT_DROP" exit 6 http 422 Never
        "more records of the feed would vanish than --max-drop allows; nothing was changed"
        "look at the input; if it is meant, add --accept-drop --reason TEXT"
        over http "look at the input; if it is meant, send it with acceptDrop=REASON";
    /// The bundle is good, some targets failed.
    Partial "ERR_EXPORT_PARTIAL" exit 7 http 200 Later
        "the bundle is good, but some targets failed"
        "deliver again to the targets that the message names";
    /// A file does not match its manifest.
    DigestMismatch "ERR_EXPORT_DIGEST_MISMATCH" exit 8 http 422 Never
        "a file of the bundle is not the one that its manifest lists"
        "fetch the named file again from where the bundle came from, then verify again";
    /// A signature is missing, wrong, or by a key that is not trusted.
    Signature "ERR_EXPORT_SIGNATURE" exit 8 http 422 Never
        "a signature is missing, wrong, or by a key that is not trusted"
        "make sure of the signer's public key and give it with --key; do not use the bundle until it verifies";
    /// The bundle breaks its format.
    BadBundle "ERR_EXPORT_BAD_BUNDLE" exit 8 http 422 Never
        "the bundle breaks its format: cut short, changed, or no bundle at all"
        "fetch it again; if it stays so, ask who made it";
    /// Something else is already there.
    Conflict "ERR_EXPORT_CONFLICT" exit 9 http 409 Never
        "something else is already there"
        "choose another name, or --replace where the command has it"
        over http "look again at what is there: it is not as this request needs it";
    /// A quota is used up.
    Quota "ERR_EXPORT_QUOTA" exit 9 http 429 Later
        "a quota is used up"
        "wait or ask for a larger one";
    /// The things compared differ.
    Differs "ERR_EXPORT_DIFFERS" exit 10 http 200 Never
        "the things compared differ"
        "nothing is wrong: the code lets scripts tell equal from different";
    /// The bundle is older than allowed.
    TooOld "ERR_EXPORT_TOO_OLD" exit 11 http 422 Never
        "the bundle is older than --max-age allows"
        "fetch a newer bundle, or allow a greater age";
    /// A newer version is needed to read this.
    NeedsNewer "ERR_EXPORT_NEEDS_NEWER" exit 15 http 422 Never
        "the bundle or store was written by a newer version that this one cannot read"
        "update stella"
        over http "update the service";
    /// The time limit passed.
    Timeout "ERR_EXPORT_TIMEOUT" exit 124 http 504 Later
        "the time given by --timeout passed"
        "run the same command again; an export reuses its finished parts"
        over http "send the same again; a run reuses its finished parts";
    /// The operator interrupted the command.
    Interrupted "ERR_EXPORT_INTERRUPTED" exit 130 http 499 Later
        "the command was interrupted"
        "run the same command again; an export reuses its finished parts, an ingest starts over"
        over http "send the same again; a run reuses its finished parts";
}

impl ErrorCode {
    /// Whether what follows is to say with an option, of a command or of a request, that it is meant:
    /// then words for the one are wrong for the other.
    #[must_use]
    pub const fn is_undone_by_an_option(self) -> bool {
        matches!(self, ErrorCode::Empty | ErrorCode::Drop | ErrorCode::Rejected)
    }

    /// The code of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().find(|code| code.as_str() == name).copied()
    }

    /// The code of a file or folder that could not be read.
    #[must_use]
    pub fn of_reading(kind: io::ErrorKind) -> ErrorCode {
        match kind {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorCode::NotFound,
            io::ErrorKind::PermissionDenied => ErrorCode::NotAllowed,
            // A folder where a file was meant.
            io::ErrorKind::IsADirectory => ErrorCode::Usage,
            _ => ErrorCode::Io,
        }
    }

    /// The code of a file or folder that could not be written.
    #[must_use]
    pub fn of_writing(kind: io::ErrorKind) -> ErrorCode {
        match kind {
            io::ErrorKind::NotFound => ErrorCode::NotFound,
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory => ErrorCode::NotAllowed,
            io::ErrorKind::AlreadyExists => ErrorCode::Conflict,
            _ => ErrorCode::Io,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_meaning_and_a_next_step() {
        for &code in ErrorCode::ALL {
            for words in [code.meaning(), code.next(), code.next_over_http().unwrap_or("-")] {
                assert!(!words.is_empty() && !words.ends_with('.'), "{code}: {words}");
            }
        }
    }

    #[test]
    fn clients_of_the_api_are_sent_to_no_option_of_a_command() {
        for &code in ErrorCode::ALL.iter().filter(|code| code.http_status() != 200) {
            let next = code.next_over_http().unwrap_or(code.next());
            let verifies = matches!(code, ErrorCode::Signature | ErrorCode::TooOld);
            let is_of_commands = next.contains("--") || next.contains("stella export");
            assert!(verifies || !is_of_commands, "{code}: {next}");
        }
    }
}
