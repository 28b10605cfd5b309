//! CVSS vectors and their base scores.

use crate::severity::Severity;

/// Longest vector that is looked at, in bytes: one of version 4 with all metrics has about 250.
const LONGEST: usize = 512;

const MANDATORY_V2: &[&str] = &["AV", "AC", "Au", "C", "I", "A"];
const MANDATORY_V3: &[&str] = &["AV", "AC", "PR", "UI", "S", "C", "I", "A"];
const MANDATORY_V4: &[&str] = &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"];

/// A version of the Common Vulnerability Scoring System.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CvssVersion {
    /// [2.0](https://www.first.org/cvss/v2/guide)
    V2,
    /// [3.0](https://www.first.org/cvss/v3.0/specification-document) and
    /// [3.1](https://www.first.org/cvss/v3.1/specification-document)
    V3,
    /// [4.0](https://www.first.org/cvss/v4.0/specification-document)
    V4,
}

/// A score from 0.0 to 10.0 with one decimal, by the version's own scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CvssScore {
    /// The version.
    pub version: CvssVersion,
    /// The score.
    pub score: f64,
}

impl CvssScore {
    /// The base score of a vector; `None` if the text is none.
    #[must_use]
    pub fn of_vector(vector: &str) -> Option<CvssScore> {
        if vector.len() > LONGEST {
            return None;
        }
        let (version, mandatory) = match vector.get(..6) {
            Some("CVSS:4") => (CvssVersion::V4, MANDATORY_V4),
            Some("CVSS:3") => (CvssVersion::V3, MANDATORY_V3),
            _ => (CvssVersion::V2, MANDATORY_V2),
        };
        // The parser scores a metric that is missing as if it did no harm.
        let names = || vector.split('/').filter_map(|metric| Some(metric.split_once(':')?.0));
        if !mandatory.iter().all(|metric| names().any(|name| name == *metric)) {
            return None;
        }
        let score = match version {
            CvssVersion::V2 => vector.parse::<cvss::v2::Vector>().ok()?.score().value(),
            _ => vector.parse::<cvss::Cvss>().ok()?.score(),
        };
        Some(CvssScore { version, score })
    }

    /// The word for the score on the qualitative scale of versions 3 and 4. Version 2 has none of
    /// its own; NVD's scale for it has no `critical`.
    #[must_use]
    pub fn severity(self) -> Option<Severity> {
        match Severity::from_score(self.score)? {
            Severity::Critical if self.version == CvssVersion::V2 => Some(Severity::High),
            severity => Some(severity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_specifications_examples() {
        for (vector, expected) in [
            ("AV:N/AC:L/Au:N/C:N/I:N/A:C", Some((CvssVersion::V2, 7.8))),
            ("AV:N/AC:L/Au:N/C:C/I:C/A:C", Some((CvssVersion::V2, 10.0))),
            ("AV:L/AC:H/Au:N/C:C/I:C/A:C", Some((CvssVersion::V2, 6.2))),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Some((CvssVersion::V3, 6.1))),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Some((CvssVersion::V3, 9.8))),
            (
                "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
                Some((CvssVersion::V4, 9.3)),
            ),
            ("CVSS:3.1/AV:N", None),
            ("7.5", None),
            ("", None),
        ] {
            let score = CvssScore::of_vector(vector).map(|found| (found.version, found.score));
            assert_eq!(score, expected, "{vector}");
        }
    }

    #[test]
    fn version_two_has_no_critical() {
        let worst = CvssScore::of_vector("AV:N/AC:L/Au:N/C:C/I:C/A:C").expect("a vector");
        assert_eq!(worst.severity(), Some(Severity::High));
    }
}
