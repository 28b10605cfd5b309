//! `explain`: the error codes, from the one table of the model.

use serde_json::json;
use stella_model::ErrorCode;
use stella_model::error::Retry;

use super::Exit;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

/// Explains one code or those of an exit code, or lists all.
pub(crate) fn run(code: Option<&str>, context: &Context) -> Result<Exit, Failure> {
    let page = match code {
        None => list(ErrorCode::ALL),
        Some(code) => match code.parse::<u8>() {
            Ok(exit) => of_exit(exit)?,
            Err(_) => one(find(code)?),
        },
    };
    context.print(&page)?;
    Ok(Exit::Done)
}

/// All codes that end a command with this exit code.
fn of_exit(exit: u8) -> Result<Page, Failure> {
    let codes = ErrorCode::ALL.iter().copied().filter(|code| code.exit_code() == exit);
    let codes: Vec<ErrorCode> = codes.collect();
    match codes[..] {
        [] => {
            Err(Failure::new(ErrorCode::NotFound, format!("no error ends with exit code {exit}"))
                .hint("stella explain lists all codes; 0 is success"))
        }
        [code] => Ok(one(code)),
        _ => Ok(list(&codes)),
    }
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
    let (meaning, next) = (code.meaning(), code.next());
    let text = format!(
        "{code}\n  meaning    {meaning}\n  exit code  {}\n  again      {}\n  next       {next}",
        code.exit_code(),
        retry(code)
    );
    Page::one("ErrorCode", item(code)).text(text)
}

fn list(codes: &[ErrorCode]) -> Page {
    let columns = [
        Column::new("CODE"),
        Column::new("EXIT").right(),
        Column::new("MEANING").shrinks(),
        Column::new("NEXT").wide(),
    ];
    let mut table = Table::new(columns);
    for &code in codes {
        let (meaning, next) = (code.meaning(), code.next());
        table.row([
            code.as_str().into(),
            code.exit_code().to_string().into(),
            meaning.into(),
            next.into(),
        ]);
    }
    Page::list("ErrorCodeList", codes.iter().map(|code| item(*code)).collect()).table(table)
}

fn item(code: ErrorCode) -> Item {
    let (meaning, next) = (code.meaning(), code.next());
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
}
