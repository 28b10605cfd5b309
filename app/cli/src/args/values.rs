//! Typed parsers of values: sizes, ages, percentages, sets.

use std::time::Duration;

use stella_model::{Digest, Instant, SetKey};

/// Bytes of a size such as `512MiB`, `10GiB`, `2GB` or `4096`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return Err("a size is a number with a unit such as 512MiB, 10GiB or 2GB".into()),
    };
    scaled(number, unit).ok_or_else(|| "a size is a number such as 10 or 1.5 with a unit".into())
}

/// `number` times `unit`, exactly for whole numbers, rounded down for fractions of at most nine
/// digits.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let digits: u64 = fraction.parse().ok()?;
    let part = u128::from(digits) * u128::from(unit) / 10_u128.pow(fraction.len() as u32);
    whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

/// An age such as `90s`, `15m`, `36h`, `7d` or `4w`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let seconds = stella_plan::profile::seconds(text);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "a time is a whole number with a unit: 90s, 15m, 36h, 7d or 4w".into())
}

/// How licences are read: every id that SPDX ever gave, written as SPDX writes it.
const LICENCES: spdx::ParseMode = spdx::ParseMode {
    allow_deprecated: true,
    allow_postfix_plus_on_gpl: true,
    ..spdx::ParseMode::STRICT
};

/// An SPDX licence expression such as `CC-BY-4.0`, `MIT OR Apache-2.0` or `LicenseRef-acme`.
pub(crate) fn licence(text: &str) -> Result<String, String> {
    // Before anything else, as of every text that reaches screens.
    let text = self::text(text)?;
    let fault = match spdx::Expression::parse_mode(&text, LICENCES) {
        Err(error) => {
            format!("{} at `{}`", error.reason, text.get(error.span).unwrap_or(&text))
        }
        Ok(_) if text.split([' ', '(', ')']).any(|term| term.ends_with("LicenseRef-")) => {
            "a name is missing behind `LicenseRef-`".to_owned()
        }
        Ok(_) => return Ok(text),
    };
    Err(format!(
        "no SPDX expression: {fault}\n\nids are written as SPDX lists them, such as CC-BY-4.0 or \
         MIT OR Apache-2.0; a licence without one is named LicenseRef-NAME"
    ))
}

/// Worker threads, 1 to 512.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|threads| (1..=512).contains(threads));
    threads.ok_or_else(|| "a number from 1 to 512".into())
}

/// A time such as `2026-11-23T15:00:00Z`.
pub(crate) fn instant(text: &str) -> Result<Instant, String> {
    Instant::parse(text).map_err(|error| error.to_string())
}

/// A SHA-256 in hex digits, with or without `sha256:`.
pub(crate) fn sha256(text: &str) -> Result<Digest, String> {
    stella_plan::policy::inputs_hash(text).map_err(str::to_owned)
}

/// A set `KIND/FEED`.
pub(crate) fn set(text: &str) -> Result<SetKey, String> {
    text.parse().map_err(|error: stella_model::NameError| error.to_string())
}

/// A time or an age, kept as text: the plan makes it absolute.
pub(crate) fn since(text: &str) -> Result<String, String> {
    if Instant::parse(text).is_ok() || stella_plan::profile::seconds(text).is_some() {
        return Ok(text.to_owned());
    }
    Err("a time such as 2026-11-23T15:00:00Z or an age such as 36h, 30d or 4w".into())
}

/// A text of at least one character that is not white space.
pub(crate) fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("must not be empty".into()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("12B", 12),
            ("1kB", 1000),
            ("1KiB", 1024),
            ("10GiB", 10 << 30),
            ("10G", 10 << 30),
            ("1.5GiB", 3 << 29),
            ("2GB", 2_000_000_000),
            ("0.5 MiB", 1 << 19),
            ("1TiB", 1 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "GiB", "-1", "1e9", "1.GiB", ".5G", "10 GIB", "99999999TiB", "1.0.0G", "१G"]
        {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ages_are_whole_numbers_with_a_unit() {
        assert_eq!(age("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(age("90s"), Ok(Duration::from_secs(90)));
        for bad in ["", "7", "d", "-1d", "1y", "1.5h", "1 d", "99999999999999999999w"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn licences_are_spdx_expressions() {
        for good in [
            "CC-BY-4.0",
            "MIT OR Apache-2.0",
            "(MIT AND CC0-1.0) OR GPL-2.0-or-later WITH Classpath-exception-2.0",
            "GPL-2.0+",
            "LicenseRef-acme-terms",
            "DocumentRef-x:LicenseRef-y",
        ] {
            assert_eq!(licence(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "free",
            "CC BY 4.0",
            "cc-by-4.0",
            "MIT OR",
            "(MIT",
            "MIT Apache-2.0",
            "LicenseRef-",
        ] {
            let message = licence(bad).expect_err(bad);
            assert!(bad.is_empty() || message.contains("LicenseRef-NAME"), "{bad}: {message}");
        }
    }
}
