//! How bad a vulnerability is, on the one scale that all formats can be brought to.

use serde::{Deserialize, Serialize};

/// The qualitative scale of CVSS v3.1 §5 and v4.0 §6. Orders from harmless to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Score 0.0, or a label such as `informational`.
    None,
    /// Score 0.1 to 3.9, or `negligible`, `minor`.
    Low,
    /// Score 4.0 to 6.9, or `moderate`.
    Medium,
    /// Score 7.0 to 8.9, or `important`.
    High,
    /// Score 9.0 to 10.0.
    Critical,
}

impl Severity {
    /// The severity that a publisher's label stands for, in either case; `None` for labels such as
    /// `unknown`.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Severity> {
        match label.trim().to_ascii_lowercase().as_str() {
            "none" | "info" | "informational" => Some(Severity::None),
            "low" | "minor" | "negligible" | "unimportant" => Some(Severity::Low),
            "medium" | "moderate" => Some(Severity::Medium),
            "high" | "important" => Some(Severity::High),
            "critical" => Some(Severity::Critical),
            _ => None,
        }
    }

    /// The severity of a base score; `None` outside 0.0 to 10.0.
    #[must_use]
    pub fn from_score(score: f64) -> Option<Severity> {
        match score {
            0.0..0.1 => Some(Severity::None),
            0.1..4.0 => Some(Severity::Low),
            4.0..7.0 => Some(Severity::Medium),
            7.0..9.0 => Some(Severity::High),
            9.0..=10.0 => Some(Severity::Critical),
            _ => None,
        }
    }

    /// The severity of a CVSS 3.0, 3.1 or 4.0 vector; `None` if the text is none of them.
    ///
    /// CVSS 2 vectors have no severity: their scale is another one.
    #[must_use]
    pub fn from_vector(vector: &str) -> Option<Severity> {
        if !vector.starts_with("CVSS:") || vector.len() > 512 {
            return None;
        }
        let vector: cvss::Cvss = vector.parse().ok()?;
        Severity::from_score(vector.score())
    }

    /// The name: `none low medium high critical`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::None => "none",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_scores_and_vectors_agree() {
        let cases = [
            ("NONE", 0.0, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Severity::None),
            ("Low", 3.9, "CVSS:3.0/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", Severity::Low),
            ("moderate", 4.0, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L", Severity::Medium),
            ("Important", 7.0, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", Severity::High),
            (
                "critical",
                9.0,
                "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
                Severity::Critical,
            ),
        ];
        for (label, score, vector, severity) in cases {
            assert_eq!(Severity::from_label(label), Some(severity), "{label}");
            assert_eq!(Severity::from_score(score), Some(severity), "{score}");
            assert_eq!(Severity::from_vector(vector), Some(severity), "{vector}");
        }
    }

    #[test]
    fn what_is_no_severity_has_none() {
        for label in ["", "unknown", "9.8", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"] {
            assert_eq!(Severity::from_label(label), None, "{label}");
        }
        for score in [-0.1, 10.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Severity::from_score(score), None, "{score}");
        }
        for vector in
            ["", "CVSS:3.1/", "CVSS:9.9/AV:N", "AV:N/AC:L/Au:N/C:P/I:P/A:P", "CVSS:3.1/AV:Z"]
        {
            assert_eq!(Severity::from_vector(vector), None, "{vector}");
        }
    }
}
