//! Checked names: kinds, feeds, record ids, tenants, roles and the names of parts.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not the name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {rule}")]
pub struct NameError {
    /// What the text was meant to name, such as `feed name`.
    pub what: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// The text, cut to 120 characters.
    pub text: String,
}

impl NameError {
    fn new(what: &'static str, rule: &'static str, text: &str) -> NameError {
        NameError { what, rule, text: text.chars().take(120).collect() }
    }
}

/// Defines a name: a shared immutable string that exists only if `check` passed.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            #[doc = concat!("[`NameError`] unless: ", $rule, ".")]
            pub fn new(text: &str) -> Result<$name, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok($name(text.into()))
                } else {
                    Err(NameError::new($what, $rule, text))
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<$name, NameError> {
                $name::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                $name::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// What a record is: `advisory`, `vex`, `sbom`, `finding`, … An open registry: a reader
    /// carries kinds that it does not know.
    Kind, "kind", "1 to 12 characters of a-z, 0-9 and -, the first a letter", |text| {
        matches!(text.as_bytes(), [b'a'..=b'z', rest @ ..]
            if rest.len() <= 11 && rest.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')))
    }
);

impl Kind {
    /// The kinds that this version knows (FORMATS "Kinds"). Bundles may carry others.
    pub const KNOWN: [&str; 5] = ["advisory", "vex", "sbom", "finding", "decision"];

    /// Whether this version knows the kind.
    #[must_use]
    pub fn is_known(&self) -> bool {
        Kind::KNOWN.contains(&self.as_str())
    }
}

name!(
    /// A feed: the named stream of one publisher's records.
    FeedName, "feed name",
    "1 to 40 characters of a-z, 0-9, '.', '_' and '-', the first and last a letter or digit, no '..', no Windows device name",
    is_feed_name
);

name!(
    /// The id of a record within its kind and feed, as its publisher wrote it.
    RecordId, "record id", "1 to 1,024 bytes", |text| (1..=1024).contains(&text.len())
);

name!(
    /// An opaque tenant id. A store without tenants uses [`TenantId::local`]; the feeds of
    /// [`TenantId::library`] are for all.
    TenantId, "tenant id", "1 to 64 characters of a-z, 0-9, '.', '_' and '-'", |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
    }
);

name!(
    /// The role a signer signs in, such as `release`.
    Role, "role", "1 to 32 characters of a-z, 0-9 and -", is_short_name
);

name!(
    /// A place that bundles are delivered to, such as `http` or `site-a`.
    Target, "target", "1 to 32 characters of a-z, 0-9 and -", is_short_name
);

name!(
    /// The path of one file of a bundle, relative to the bundle.
    ///
    /// Safe on every file system a bundle may be carried on: lower case, no device names, no way
    /// out of the folder. The only names with capitals are the fixed `README.md`, `NOTICE.md` and
    /// `SHA256SUMS`.
    PartName, "part name",
    "a relative path of at most 100 bytes; segments of a-z, 0-9, '.', '_' and '-' that neither begin nor end with a dot and are no Windows device name",
    is_part_name
);

impl Kind {
    /// `advisory`
    #[must_use]
    pub fn advisory() -> Kind {
        Kind("advisory".into())
    }
    /// `vex`
    #[must_use]
    pub fn vex() -> Kind {
        Kind("vex".into())
    }
    /// `sbom`
    #[must_use]
    pub fn sbom() -> Kind {
        Kind("sbom".into())
    }
    /// `finding`
    #[must_use]
    pub fn finding() -> Kind {
        Kind("finding".into())
    }
}

impl TenantId {
    /// The tenant of a store that has none: `local`.
    #[must_use]
    pub fn local() -> TenantId {
        TenantId("local".into())
    }

    /// The tenant whose feeds are the library: others subscribe to them and can only read them.
    #[must_use]
    pub fn library() -> TenantId {
        TenantId("library".into())
    }
}

/// The names a bundle may have in capitals.
const FIXED_PART_NAMES: [&str; 3] = ["README.md", "NOTICE.md", "SHA256SUMS"];

fn is_short_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_feed_name(text: &str) -> bool {
    let edge = |b: Option<&u8>| matches!(b, Some(b'a'..=b'z' | b'0'..=b'9'));
    text.len() <= 40
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        && !text.contains("..")
        && !is_device_name(text)
}

fn is_part_name(text: &str) -> bool {
    let segment = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && !segment.ends_with('.')
            && segment.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
            && !is_device_name(segment)
    };
    FIXED_PART_NAMES.contains(&text) || (text.len() <= 100 && text.split('/').all(segment))
}

/// Whether Windows would open a device instead of this file: the text before the first dot counts.
fn is_device_name(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or(segment);
    match stem {
        "con" | "prn" | "aux" | "nul" => true,
        _ => match stem.as_bytes() {
            [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
            _ => false,
        },
    }
}

/// The name of a set: all records of one kind and feed.
///
/// Orders by kind, then feed, bytewise: the order of everything in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SetKey {
    /// The kind.
    pub kind: Kind,
    /// The feed.
    pub feed: FeedName,
}

impl fmt::Display for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.feed)
    }
}

impl FromStr for SetKey {
    type Err = NameError;

    /// Parses `KIND/FEED`.
    fn from_str(text: &str) -> Result<SetKey, NameError> {
        let (kind, feed) =
            text.split_once('/').ok_or_else(|| NameError::new("set", "KIND/FEED", text))?;
        Ok(SetKey { kind: kind.parse()?, feed: feed.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_registry_rule() {
        for good in ["a", "advisory", "x-1", "abcdefghijkl"] {
            assert!(Kind::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "Advisory", "abcdefghijklm", "a_b", "é"] {
            assert!(Kind::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn feed_names_are_safe_as_folder_names() {
        for good in ["npm", "acme-own", "a.b_c-d", "crates.io", "0", "com", "com10"] {
            assert!(FeedName::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(41);
        for bad in
            ["", ".a", "a.", "a..b", "A", "a/b", "con", "nul.txt", "com1", "lpt9.x", "-a", &long]
        {
            assert!(FeedName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn part_names_cannot_leave_the_bundle() {
        for good in ["README.md", "SHA256SUMS", "export.json", "data/raw/vex/acme/p-00.jsonl.zst"] {
            assert!(PartName::new(good).is_ok(), "{good}");
        }
        let long = format!("a/{}", "b".repeat(99));
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/../b",
            "a/.",
            ".git/x",
            "a\\b",
            "A.json",
            "a:b",
            "aux/x",
            "data/NOTICE.md",
            "a.",
            "a\0b",
            "caf\u{e9}",
            &long,
        ] {
            assert!(PartName::new(bad).is_err(), "{bad}");
        }
    }
}
