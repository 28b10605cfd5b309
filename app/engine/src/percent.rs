//! Percentages as people type them.

/// A percentage such as `2%`, `0.5%` or `2`, from 0 to 100.
///
/// # Errors
/// What a percentage looks like, if it is none.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value = number.parse::<f64>().ok().filter(|value| plain && *value <= 100.0);
    value.ok_or_else(|| "a percentage is a number from 0 to 100 such as 2%".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_0_to_100() {
        assert_eq!(percent("2%"), Ok(2.0));
        assert_eq!(percent("0.5"), Ok(0.5));
        assert_eq!(percent("100%"), Ok(100.0));
        for bad in ["", "%", "-1%", "101%", "inf", "NaN", "1e1", "2 percent", "2%%"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }
}
