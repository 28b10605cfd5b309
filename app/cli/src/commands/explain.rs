//! `explain`: the error codes, from the one table of the model.

use serde_json::json;
use stella_model::ErrorCode;
use stella_model::error::Retry;

use super::Exit;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

/// Explains one code, or lists all.
pub(crate) fn run(code: Option<&str>, context: &Context) -> Result<Exit, Failure> {
    let page = match code {
        Some(code) => one(find(code)?),
        None => all(),
    };
    context.print(&page)?;
    Ok(Exit::Done)
}

/// A code by its name; case and the common prefix may be left out.
fn find(text: &str) -> Result<ErrorCode, Failure> {
    let upper = text.to_ascii_uppercase().replace('-', "_");
    let named = |code: &&ErrorCode| {
        code.as_str() == upper || code.as_str().strip_prefix("ERR_EXPORT_") == Some(&upper)
    };
    ErrorCode::ALL.iter().find(named).copied().ok_or_else(|| {
        let failure = Failure::new(ErrorCode::NotFound, format!("there is no error code {text}"));
        match near(&upper).as_slice() {
            [] => failure.hint("stella explain lists all codes"),
            near => failure.hint(format!("stella explain {}", near.join("\nstella explain "))),
        }
    })
}

/// Codes that share the beginning of a word with a text in capitals.
fn near(upper: &str) -> Vec<&'static str> {
    let upper = upper.strip_prefix("ERR_").unwrap_or(upper);
    let upper = upper.strip_prefix("EXPORT_").unwrap_or(upper);
    let words: Vec<&str> =
        upper.split('_').filter(|word| word.len() >= 3 && word.is_ascii()).collect();
    let shares = |code: &str| {
        let mut parts = code.split('_');
        parts.any(|part| words.iter().any(|word| part.starts_with(&word[..word.len().min(4)])))
    };
    let short = |code: &ErrorCode| code.as_str().strip_prefix("ERR_EXPORT_");
    ErrorCode::ALL.iter().filter_map(short).filter(|code| shares(code)).collect()
}

fn one(code: ErrorCode) -> Page {
    let (meaning, next) = words(code);
    let text = format!(
        "{code}\n  meaning    {meaning}\n  exit code  {}\n  again      {}\n  next       {next}",
        code.exit_code(),
        retry(code)
    );
    Page::one("ErrorCode", item(code)).text(text)
}

fn all() -> Page {
    let columns = [
        Column::new("CODE"),
        Column::new("EXIT").right(),
        Column::new("MEANING").shrinks(),
        Column::new("NEXT").wide(),
    ];
    let mut table = Table::new(columns);
    for &code in ErrorCode::ALL {
        let (meaning, next) = words(code);
        table.row([
            code.as_str().into(),
            code.exit_code().to_string().into(),
            meaning.into(),
            next.into(),
        ]);
    }
    Page::list("ErrorCodeList", ErrorCode::ALL.iter().map(|code| item(*code)).collect())
        .table(table)
}

fn item(code: ErrorCode) -> Item {
    let (meaning, next) = words(code);
    Item {
        name: code.as_str().to_owned(),
        id: code.as_str().to_owned(),
        value: json!({
            "code": code.as_str(),
            "exitCode": code.exit_code(),
            "httpStatus": code.http_status(),
            "retryLater": code.retry() == Retry::Later,
            "meaning": meaning,
            "next": next,
        }),
    }
}

fn retry(code: ErrorCode) -> &'static str {
    match code.retry() {
        Retry::Never => "the same command fails again until something is changed",
        Retry::Later => "the same command may succeed later",
    }
}

/// What a code means and what to do about it.
fn words(code: ErrorCode) -> (&'static str, &'static str) {
    match code {
        ErrorCode::Internal => {
            ("a defect of this program", "report it with the command, the version and the message")
        }
        ErrorCode::Io => (
            "reading or writing a file or the store failed",
            "look at the cause: disk full, permissions, or a medium that is gone",
        ),
        ErrorCode::Usage => (
            "the command line was not understood",
            "the message names the argument; --help shows what there is",
        ),
        ErrorCode::Invalid => (
            "a document, profile, key file or option is invalid",
            "correct what the message names; stella export profile validate -f FILE checks profiles",
        ),
        ErrorCode::Rejected => (
            "every document was rejected, or the container itself was",
            "stella quarantine list shows each document with its reason",
        ),
        ErrorCode::NoKey => (
            "there is no key to sign or verify with",
            "to sign: stella keys generate release; to verify: --key KEY.pub or stella trust add NAME KEY.pub",
        ),
        ErrorCode::NotFound => (
            "the named feed, profile, key, record, file or bundle does not exist",
            "check the name; the list commands show what there is",
        ),
        ErrorCode::NotAllowed => (
            "the operation is not allowed, such as with a wrong key password",
            "check the password or the permissions of the file",
        ),
        ErrorCode::Unreachable => (
            "a server or target cannot be reached",
            "check the address and the network, then run the same command again",
        ),
        ErrorCode::RunFailed => (
            "the run failed and nothing was put at the destination",
            "look at the cause, then run the same command again; finished parts are reused",
        ),
        ErrorCode::Empty => (
            "a selected feed yields nothing, or far less than its floor or the last run",
            "find out why; if it is meant, add --allow-empty KIND/FEED",
        ),
        ErrorCode::Drop => (
            "more records of the feed would vanish than --max-drop allows; nothing was changed",
            "look at the input; if it is meant, add --accept-drop --reason TEXT",
        ),
        ErrorCode::Partial => (
            "the bundle is good, but some targets failed",
            "deliver again to the targets that the message names",
        ),
        ErrorCode::DigestMismatch => (
            "a file of the bundle is not the one that its manifest lists",
            "fetch the named file again from where the bundle came from, then verify again",
        ),
        ErrorCode::Signature => (
            "a signature is missing, wrong, or by a key that is not trusted",
            "make sure of the signer's public key and give it with --key; do not use the bundle until it verifies",
        ),
        ErrorCode::BadBundle => (
            "the bundle breaks its format: cut short, changed, or no bundle at all",
            "fetch it again; if it stays so, ask who made it",
        ),
        ErrorCode::Conflict => (
            "something else is already there",
            "choose another name, or --replace where the command has it",
        ),
        ErrorCode::Quota => ("a quota is used up", "wait or ask for a larger one"),
        ErrorCode::Differs => (
            "the things compared differ",
            "nothing is wrong: the code lets scripts tell equal from different",
        ),
        ErrorCode::TooOld => (
            "the bundle is older than --max-age allows",
            "fetch a newer bundle, or allow a greater age",
        ),
        ErrorCode::NeedsNewer => (
            "the bundle or store was written by a newer version that this one cannot read",
            "update stella",
        ),
        ErrorCode::Timeout => (
            "the time given by --timeout passed",
            "run the same command again; an export reuses its finished parts",
        ),
        ErrorCode::Interrupted => (
            "the command was interrupted",
            "run the same command again; an export reuses its finished parts, an ingest starts over",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_however_they_are_typed() {
        for text in ["ERR_EXPORT_NO_KEY", "err_export_no_key", "NO_KEY", "no-key"] {
            assert_eq!(find(text).ok(), Some(ErrorCode::NoKey), "{text}");
        }
        assert_eq!(near("DIGEST"), ["DIGEST_MISMATCH"]);
        assert_eq!(near("ERR_EXPORT_SIGN"), ["SIGNATURE"]);
        assert_eq!(near("TIMED_OUT"), ["TIMEOUT"]);
        assert!(near("E42").is_empty() && near("").is_empty());
        assert_eq!(find("E42").map_err(|failure| failure.code()), Err(ErrorCode::NotFound));
    }

    #[test]
    fn every_code_has_a_meaning_and_a_next_step() {
        for &code in ErrorCode::ALL {
            let (meaning, next) = words(code);
            assert!(!meaning.is_empty() && !next.is_empty(), "{code}");
            assert!(!meaning.ends_with('.') && !next.ends_with('.'), "{code}");
        }
    }
}
