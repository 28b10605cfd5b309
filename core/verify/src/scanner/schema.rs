//! The schema of trivy-db, version 2, as one table: what the values of each bucket are made of.
//!
//! Trivy decodes with Go's `encoding/json`, which is lenient with names and strict with types. A
//! `Status` that is a string ends the scan, a `Severity` that is no name of its own makes findings
//! disappear, a number over four crashes it. So types and ranges are checked, and members that
//! Trivy does not know are refused, for they would say something that nobody reads.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use stella_model::Instant;

/// What a value is made of.
#[derive(Debug)]
pub(super) enum Shape {
    /// A string.
    Text,
    /// One of Trivy's five names of severities.
    SeverityName,
    /// A time as Go reads it: RFC 3339 with date, time and zone.
    Time,
    /// A whole number in a range.
    Whole(u64, u64),
    /// A number of CVSS.
    Score,
    /// An array.
    List(&'static Shape),
    /// An object with any names.
    Map(&'static Shape),
    /// An object with these members, each at most once.
    Object(&'static [(&'static str, Shape)]),
    /// Anything.
    Any,
}

use Shape::{Any, List, Map, Object, Score, SeverityName, Text, Time, Whole};

/// Trivy's names of severities. Any other word makes findings disappear.
const SEVERITIES: [&str; 5] = ["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"];

const TEXTS: Shape = List(&Text);
/// Numbers of statuses: unknown, not affected, affected, fixed, under investigation, will not fix,
/// fix deferred, end of life.
const STATUS: Shape = Whole(0, 7);
const SEVERITY: Shape = Whole(0, 4);

/// Rows of the bucket `vulnerability`.
pub(super) const VULNERABILITY: Shape = Object(&[
    ("Title", Text),
    ("Description", Text),
    ("Severity", SeverityName),
    ("CweIDs", TEXTS),
    ("VendorSeverity", Map(&Whole(1, 4))),
    (
        "CVSS",
        Map(&Object(&[
            ("V2Vector", Text),
            ("V3Vector", Text),
            ("V40Vector", Text),
            ("V2Score", Score),
            ("V3Score", Score),
            ("V40Score", Score),
        ])),
    ),
    ("References", TEXTS),
    ("PublishedDate", Time),
    ("LastModifiedDate", Time),
    ("Custom", Any),
]);

/// Rows of the bucket `data-source`.
pub(super) const DATA_SOURCE: Shape =
    Object(&[("ID", Text), ("Name", Text), ("URL", Text), ("BaseID", Text)]);

/// Advisories for packages of languages: ranges.
pub(super) const LANGUAGE: Shape = Object(&[
    ("VendorIDs", TEXTS),
    ("OSes", TEXTS),
    ("Arches", TEXTS),
    ("Status", STATUS),
    ("Severity", SEVERITY),
    ("VulnerableVersions", TEXTS),
    ("PatchedVersions", TEXTS),
    ("UnaffectedVersions", TEXTS),
    ("Custom", Any),
]);

/// Advisories for packages of distributions: the version with the fix.
pub(super) const DISTRIBUTION: Shape = Object(&[
    ("VendorIDs", TEXTS),
    ("Arches", TEXTS),
    ("Status", STATUS),
    ("Severity", SEVERITY),
    ("FixedVersion", Text),
    ("AffectedVersion", Text),
    ("Entries", List(&Object(&[("FixedVersion", Text), ("Arches", TEXTS), ("VendorIDs", TEXTS)]))),
    ("Custom", Any),
]);

/// Advisories of Red Hat, by product.
pub(super) const RED_HAT: Shape = Object(&[(
    "Entries",
    List(&Object(&[
        ("FixedVersion", Text),
        ("Cves", List(&Object(&[("ID", Text), ("Severity", SEVERITY)]))),
        ("Arches", TEXTS),
        ("Affected", List(&CPE_INDEX)),
        ("Status", STATUS),
    ])),
)]);

/// Places in the list of Red Hat's products.
const CPE_INDEX: Shape = Whole(0, u32::MAX as u64);

/// Which products a repository or a build belongs to.
pub(super) const CPE_INDICES: Shape = List(&CPE_INDEX);

/// The name of a product.
pub(super) const CPE_NAME: Shape = Text;

/// Why a value does not have its shape, in words; `None` if it has.
pub(super) fn defect(shape: &'static Shape, value: &[u8]) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(value);
    let outcome = Seed(shape).deserialize(&mut json).and_then(|()| json.end());
    outcome.err().map(|error| error.to_string())
}

/// Whether Go reads a text as a time.
pub(super) fn is_go_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let zoned = text.ends_with('Z')
        || bytes
            .len()
            .checked_sub(6)
            .and_then(|at| bytes.get(at))
            .is_some_and(|b| matches!(b, b'+' | b'-'));
    let whole = bytes.len() >= 20 && bytes[4] == b'-' && bytes[10] == b'T' && bytes[16] == b':';
    whole && zoned && Instant::parse(text).is_ok()
}

#[derive(Clone, Copy)]
struct Seed(&'static Shape);

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Any => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Text => f.write_str("a string"),
            SeverityName => write!(f, "one of {}", SEVERITIES.join(", ")),
            Time => f.write_str("an RFC 3339 time with its zone"),
            Whole(least, most) => write!(f, "a whole number from {least} to {most}"),
            Score => f.write_str("a number from 0 to 10"),
            List(_) => f.write_str("an array"),
            Map(_) | Object(_) => f.write_str("an object"),
            Any => f.write_str("anything"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let good = match self.0 {
            Text => true,
            SeverityName => SEVERITIES.contains(&text),
            Time => is_go_time(text),
            _ => return Err(E::invalid_type(Unexpected::Str(text), &self)),
        };
        if good { Ok(()) } else { Err(E::invalid_value(Unexpected::Str(text), &self)) }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let good = match self.0 {
            Whole(least, most) => (*least..=*most).contains(&number),
            Score => number <= 10,
            _ => return Err(E::invalid_type(Unexpected::Unsigned(number), &self)),
        };
        if good { Ok(()) } else { Err(E::invalid_value(Unexpected::Unsigned(number), &self)) }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.0 {
            Score if (0.0..=10.0).contains(&number) => Ok(()),
            _ => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let List(shape) = self.0 else {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        };
        while items.next_element_seed(Seed(shape))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut last: Option<String> = None;
        let mut seen = 0_u32;
        match self.0 {
            Map(shape) => {
                while let Some(name) = members.next_key::<String>()? {
                    // In order, so that none comes twice.
                    if last.as_ref().is_some_and(|last| *last >= name) {
                        return Err(A::Error::custom("names twice or out of order"));
                    }
                    last = Some(name);
                    members.next_value_seed(Seed(shape))?;
                }
            }
            Object(table) => {
                while let Some(name) = members.next_key::<String>()? {
                    let place = table.iter().position(|(known, _)| *known == name);
                    let Some(place) = place else {
                        return Err(A::Error::custom(format_args!("unknown member {name:?}")));
                    };
                    if seen & (1 << place) != 0 {
                        return Err(A::Error::custom(format_args!("member {name:?} twice")));
                    }
                    seen |= 1 << place;
                    members.next_value_seed(Seed(&table[place].1))?;
                }
            }
            _ => return Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_trivy_reads_are_taken() {
        for (shape, value) in [
            (&VULNERABILITY, r#"{}"#),
            (
                &VULNERABILITY,
                r#"{"Title":"t","Severity":"HIGH","CweIDs":["CWE-1"],"VendorSeverity":{"ghsa":3,"nvd":4},"CVSS":{"ghsa":{"V3Vector":"CVSS:3.1/…","V3Score":7.5,"V2Score":10}},"References":[],"PublishedDate":"2020-01-02T03:04:05Z","LastModifiedDate":"2020-01-02T03:04:05.5+01:00","Custom":{"a":[null]}}"#,
            ),
            (&DATA_SOURCE, r#"{"ID":"ghsa","Name":"n","URL":"u"}"#),
            (&LANGUAGE, r#"{"VulnerableVersions":["\u003c1"],"PatchedVersions":["1"]}"#),
            (&DISTRIBUTION, r#"{"FixedVersion":"1:2-3","Severity":0,"Status":7}"#),
            (&DISTRIBUTION, r#"{"Entries":[{"FixedVersion":"1","Arches":["x86_64"]}]}"#),
            (&RED_HAT, r#"{"Entries":[{"Cves":[{"Severity":2}],"Affected":[0,1],"Status":5}]}"#),
            (&CPE_INDICES, "[0]"),
            (&CPE_NAME, "\"cpe:/a:x\""),
        ] {
            assert_eq!(defect(shape, value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn values_that_trivy_trips_over_are_refused() {
        for (shape, value, says) in [
            (&VULNERABILITY, r#"{"Severity":"high"}"#, "one of UNKNOWN"),
            (&VULNERABILITY, r#"{"Severity":3}"#, "one of UNKNOWN"),
            (&VULNERABILITY, r#"{"VendorSeverity":{"nvd":5}}"#, "from 1 to 4"),
            (&VULNERABILITY, r#"{"VendorSeverity":{"nvd":0}}"#, "from 1 to 4"),
            (&VULNERABILITY, r#"{"VendorSeverity":{"nvd":"HIGH"}}"#, "from 1 to 4"),
            (&VULNERABILITY, r#"{"VendorSeverity":{"nvd":1,"nvd":2}}"#, "twice"),
            (&VULNERABILITY, r#"{"PublishedDate":"2020-01-02"}"#, "RFC 3339"),
            (&VULNERABILITY, r#"{"PublishedDate":"2020-01-02T03:04:05"}"#, "RFC 3339"),
            (&VULNERABILITY, r#"{"CVSS":{"nvd":{"V3Score":"7.5"}}}"#, "from 0 to 10"),
            (&VULNERABILITY, r#"{"CVSS":{"nvd":{"V3Score":11}}}"#, "from 0 to 10"),
            (&VULNERABILITY, r#"{"Title":"a","Title":"b"}"#, "twice"),
            (&VULNERABILITY, r#"{"title":"a"}"#, "unknown member"),
            (&VULNERABILITY, r#"[]"#, "an object"),
            (&VULNERABILITY, r#"{"Title":"a"} x"#, "trailing"),
            (&VULNERABILITY, r#"{"Title":"a""#, "EOF"),
            (&VULNERABILITY, "", "EOF"),
            (&LANGUAGE, r#"{"Status":"fixed"}"#, "from 0 to 7"),
            (&LANGUAGE, r#"{"Status":8}"#, "from 0 to 7"),
            (&LANGUAGE, r#"{"Severity":-1}"#, "from 0 to 4"),
            (&LANGUAGE, r#"{"VulnerableVersions":"<1"}"#, "an array"),
            (&LANGUAGE, r#"{"VulnerableVersions":[1]}"#, "a string"),
            (&LANGUAGE, r#"{"FixedVersion":"1"}"#, "unknown member"),
            (&LANGUAGE, r#"{"VendorIDs":null}"#, "an array"),
            (&DISTRIBUTION, r#"{"FixedVersion":1}"#, "a string"),
            (&CPE_INDICES, "[-1]", "from 0"),
            (&CPE_INDICES, "[1.5]", "from 0"),
        ] {
            let found = defect(shape, value.as_bytes()).unwrap_or_default();
            assert!(found.contains(says), "{value}: {found}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep = format!("{{\"Custom\":{}", "[".repeat(100_000));
        assert!(defect(&LANGUAGE, deep.as_bytes()).is_some());
    }
}
