//! Small OSV documents for tests.

use serde_json::{Map, Value, json};

/// Builds a small valid OSV document.
///
/// The same calls give the same bytes. Members come in the order they were set, which is not the
/// canonical one: what is fed in should need canonicalising.
///
/// # Examples
/// ```
/// let bytes = stella_testkit::Osv::new("TEST-1").affects("npm", "left-pad", "1.3.0").bytes();
/// assert!(bytes.starts_with(b"{\"schema_version\""));
/// ```
#[derive(Debug, Clone)]
pub struct Osv(Vec<(&'static str, Value)>);

impl Osv {
    /// A document with this id, modified at `2026-01-01T00:00:00Z`, about nothing yet.
    #[must_use]
    pub fn new(id: &str) -> Osv {
        Osv(vec![
            ("schema_version", json!("1.7.0")),
            ("id", json!(id)),
            ("modified", json!("2026-01-01T00:00:00Z")),
        ])
    }

    /// Sets `modified`.
    #[must_use]
    pub fn modified(self, time: &str) -> Osv {
        self.with("modified", json!(time))
    }

    /// Sets `withdrawn`.
    #[must_use]
    pub fn withdrawn(self, time: &str) -> Osv {
        self.with("withdrawn", json!(time))
    }

    /// Sets `aliases`.
    #[must_use]
    pub fn aliases(self, ids: &[&str]) -> Osv {
        self.with("aliases", json!(ids))
    }

    /// Sets `summary`.
    #[must_use]
    pub fn summary(self, text: &str) -> Osv {
        self.with("summary", json!(text))
    }

    /// Sets `details` to a text of `bytes` bytes that depends on the id and does not compress to
    /// nothing, for documents of a wanted size.
    #[must_use]
    pub fn padded(self, bytes: usize) -> Osv {
        let id = self.0[1].1.as_str().unwrap_or_default();
        let mut state =
            id.bytes().fold(0x9e37_79b9_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
        let mut text = String::with_capacity(bytes);
        while text.len() < bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push(char::from(b'a' + (state >> 24) as u8 % 26));
        }
        self.with("details", json!(text))
    }

    /// Sets `severity` to a CVSS 3.1 vector.
    #[must_use]
    pub fn severity(self, vector: &str) -> Osv {
        self.with("severity", json!([{"type": "CVSS_V3", "score": vector}]))
    }

    /// Adds an affected package that is fixed in a version.
    #[must_use]
    pub fn affects(mut self, ecosystem: &str, name: &str, fixed: &str) -> Osv {
        let entry = json!({
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        });
        match self.0.iter_mut().find(|(member, _)| *member == "affected") {
            Some((_, Value::Array(list))) => list.push(entry),
            _ => self.0.push(("affected", json!([entry]))),
        }
        self
    }

    /// Sets any member.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: Value) -> Osv {
        match self.0.iter_mut().find(|(name, _)| *name == member) {
            Some(found) => found.1 = value,
            None => self.0.push((member, value)),
        }
        self
    }

    /// The document as bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let members: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    }

    /// The document as a value.
    #[must_use]
    pub fn value(&self) -> Value {
        let members: Map<String, Value> =
            self.0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Value::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_the_document() {
        let doc = Osv::new("TEST-1")
            .aliases(&["CVE-1"])
            .affects("npm", "a", "1")
            .affects("npm", "b", "2");
        let read: Value = serde_json::from_slice(&doc.bytes()).expect("valid JSON");
        assert_eq!(read, doc.value());
        assert_eq!(read["affected"][1]["package"]["name"], "b");
    }

    #[test]
    fn padding_depends_on_the_id_only() {
        let text = |id: &str| Osv::new(id).padded(100).value()["details"].clone();
        assert_eq!(text("A").as_str().expect("a text").len(), 100);
        assert_eq!(text("A"), text("A"));
        assert_ne!(text("A"), text("B"));
    }
}
