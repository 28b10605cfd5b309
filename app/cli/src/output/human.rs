//! Numbers as people read them. Machines get them bare.

use std::time::Duration;

/// A count with thousands apart: `1,840`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 part`, `5 parts`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// Bytes in binary units with about three digits: `212 KiB`, `1.4 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A duration: `0.1 s`, `1 min 12 s`, `2 h 3 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..=3599 => format!("{} min {} s", whole / 60, whole % 60),
        3600..=86_399 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A percentage of `done` in `total`, rounded down, so that 100 % means all.
pub(crate) fn percent(done: u64, total: u64) -> u64 {
    if total == 0 { 100 } else { (u128::from(done) * 100 / u128::from(total)).min(100) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1000, 72_987, 1_234_567].map(count),
            ["0", "999", "1,000", "72,987", "1,234,567"]
        );
        assert_eq!(
            [0, 1, 1023, 1024, 217_088, 1 << 20, 825_033_523, 5 << 40].map(bytes),
            ["0 B", "1 B", "1023 B", "1.0 KiB", "212 KiB", "1.0 MiB", "787 MiB", "5.0 TiB"]
        );
        assert_eq!([counted(1, "part"), counted(2, "part")], ["1 part", "2 parts"]);
        let of = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            [0, 49, 340, 59_940, 59_990, 72_000, 7_380_000, 90_000_000].map(of),
            [
                "0.0 s",
                "0.0 s",
                "0.3 s",
                "59.9 s",
                "1 min 0 s",
                "1 min 12 s",
                "2 h 3 min",
                "1 d 1 h"
            ]
        );
        assert_eq!(
            [percent(0, 0), percent(999, 1000), percent(1000, 1000), percent(5, 3)],
            [100, 99, 100, 100]
        );
    }
}
