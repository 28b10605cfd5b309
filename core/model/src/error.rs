//! The one table of error codes: exit code, HTTP status, retry policy and metric label.

use std::fmt;

/// Defines the codes with their rows.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $code:literal exit $exit:literal http $http:literal $retry:ident;)*) => {
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
    Internal "ERR_EXPORT_INTERNAL" exit 1 http 500 Never;
    /// Reading or writing a file or database failed.
    Io "ERR_EXPORT_IO" exit 1 http 500 Later;
    /// The command line or request is not understood.
    Usage "ERR_EXPORT_USAGE" exit 2 http 400 Never;
    /// A document, profile or option is invalid.
    Invalid "ERR_EXPORT_INVALID" exit 2 http 422 Never;
    /// Every document was rejected, or the container itself.
    Rejected "ERR_EXPORT_REJECTED" exit 2 http 422 Never;
    /// No key to sign or verify with.
    NoKey "ERR_EXPORT_NO_KEY" exit 2 http 409 Never;
    /// The named thing does not exist.
    NotFound "ERR_EXPORT_NOT_FOUND" exit 3 http 404 Never;
    /// The operation is not allowed, such as a wrong key password.
    NotAllowed "ERR_EXPORT_NOT_ALLOWED" exit 4 http 403 Never;
    /// A server or target cannot be reached.
    Unreachable "ERR_EXPORT_UNREACHABLE" exit 5 http 503 Later;
    /// The run failed.
    RunFailed "ERR_EXPORT_RUN_FAILED" exit 6 http 500 Never;
    /// A selected feed yields nothing, or far less than its floor (INV-EMPTY).
    Empty "ERR_EXPORT_EMPTY" exit 6 http 422 Never;
    /// More records would vanish than allowed.
    Drop "ERR_EXPORT_DROP" exit 6 http 422 Never;
    /// The bundle is good, some targets failed.
    Partial "ERR_EXPORT_PARTIAL" exit 7 http 200 Later;
    /// A file does not match its manifest.
    DigestMismatch "ERR_EXPORT_DIGEST_MISMATCH" exit 8 http 422 Never;
    /// A signature is missing, wrong, or by a key that is not trusted.
    Signature "ERR_EXPORT_SIGNATURE" exit 8 http 422 Never;
    /// The bundle breaks its format.
    BadBundle "ERR_EXPORT_BAD_BUNDLE" exit 8 http 422 Never;
    /// Something else is already there.
    Conflict "ERR_EXPORT_CONFLICT" exit 9 http 409 Never;
    /// A quota is used up.
    Quota "ERR_EXPORT_QUOTA" exit 9 http 429 Later;
    /// The things compared differ.
    Differs "ERR_EXPORT_DIFFERS" exit 10 http 200 Never;
    /// The bundle is older than allowed.
    TooOld "ERR_EXPORT_TOO_OLD" exit 11 http 422 Never;
    /// A newer version is needed to read this.
    NeedsNewer "ERR_EXPORT_NEEDS_NEWER" exit 15 http 422 Never;
    /// The time limit passed.
    Timeout "ERR_EXPORT_TIMEOUT" exit 124 http 504 Later;
    /// The operator interrupted the command.
    Interrupted "ERR_EXPORT_INTERRUPTED" exit 130 http 499 Later;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
