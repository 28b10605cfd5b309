//! Edits of documents in their bytes: other identities, later revisions.
//!
//! A copy of a document must differ from it in its identity and in nothing else, white space and
//! number tokens included, so that ten copies cost what ten real documents would.

/// What is done to a string value.
#[derive(Clone, Copy)]
enum Edit<'t> {
    Prefix(&'t str),
    Suffix(&'t str),
    Replace(&'t str),
}

/// Members whose values name a document as a whole.
const IDENTITY: &[&[&str]] = &[
    &["id"],                         // OSV
    &["@id"],                        // OpenVEX
    &["serialNumber"],               // CycloneDX
    &["documentNamespace"],          // SPDX 2
    &["document", "tracking", "id"], // CSAF
    &["@graph", "[]", "spdxId"],     // SPDX 3
];

/// Members that name a document where the ones above are missing, and that lose their meaning if
/// anything stands before them.
const FALLBACK: &[&[&str]] = &[
    &["metadata", "component", "purl"], // CycloneDX without serial number
    &["metadata", "component", "name"],
    &["ArtifactName"],     // Trivy
    &["[]", "Target"],     // Trivy before 0.20
    &["source", "target"], // Grype
    &["source", "target", "userInput"],
];

/// Members of an advisory that name packages and vulnerabilities.
const ADVISORY: &[&[&str]] = &[
    &["affected", "[]", "package", "name"],
    &["affected", "[]", "package", "purl"],
    &["aliases", "[]"],
    &["related", "[]"],
    &["upstream", "[]"],
];

/// Members that say when a document was revised.
const REVISION: &[&[&str]] = &[
    &["modified"],
    &["document", "tracking", "current_release_date"],
    &["last_updated"],
    &["timestamp"],
    &["metadata", "timestamp"],
    &["creationInfo", "created"],
];

/// A document like `bytes` with another identity, told apart by `mark`.
///
/// The mark comes first in the id, so that copies of one document do not lie side by side when
/// records are sorted by id: a compressor would then see the same text ten times in a row, which no
/// real data has.
pub(crate) fn copy(bytes: &[u8], mark: &str) -> Vec<u8> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => {
            let prefix = format!("{mark}-");
            let suffix = format!("-{mark}");
            strings(bytes, &|path| {
                if IDENTITY.contains(&path) {
                    Some(Edit::Prefix(&prefix))
                } else {
                    FALLBACK.contains(&path).then_some(Edit::Suffix(&suffix))
                }
            })
            .0
        }
        _ => text(bytes, mark),
    }
}

/// An advisory like `bytes` about other packages and vulnerabilities, told apart by `mark`.
///
/// Its id keeps what it begins with: that tells which database it is from.
pub(crate) fn advisory(bytes: &[u8], mark: &str) -> Vec<u8> {
    let suffix = format!("-{mark}");
    let named = |path: &[&str]| path == ["id"] || ADVISORY.contains(&path);
    strings(bytes, &|path| named(path).then_some(Edit::Suffix(&suffix))).0
}

/// The document revised at `time`; none if it says nowhere when it was revised.
pub(crate) fn revised(bytes: &[u8], time: &str) -> Option<Vec<u8>> {
    let (edited, edits) =
        strings(bytes, &|path| REVISION.contains(&path).then_some(Edit::Replace(time)));
    (edits > 0).then_some(edited)
}

/// Marks the first serial number (CycloneDX XML) or document namespace (SPDX tag-value).
fn text(bytes: &[u8], mark: &str) -> Vec<u8> {
    for needle in ["serialNumber=\"", "DocumentNamespace: "] {
        if let Some(at) = memchr::memmem::find(bytes, needle.as_bytes()) {
            let (before, after) = bytes.split_at(at + needle.len());
            return [before, mark.as_bytes(), b"-", after].concat();
        }
    }
    bytes.to_vec()
}

/// Where a value lies.
enum Frame<'b> {
    Array,
    Object(&'b str),
}

/// Applies `edit` to every string value whose path it names, `[]` standing for any element of an
/// array. Gives the number of edits. What is no JSON comes out as it went in.
fn strings<'t>(bytes: &[u8], edit: &dyn Fn(&[&str]) -> Option<Edit<'t>>) -> (Vec<u8>, usize) {
    const DEEPEST: usize = 4;
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let (mut frames, mut at, mut edits) = (Vec::<Frame<'_>>::new(), 0, 0);
    // Whether the next string is the name of a member.
    let mut name = false;
    let mut copied = 0;
    while let Some(found) = next_structural(&bytes[at..]) {
        at += found;
        match bytes[at] {
            b'{' => {
                frames.push(Frame::Object(""));
                name = true;
            }
            b'[' => {
                frames.push(Frame::Array);
                name = false;
            }
            b'}' | b']' => {
                frames.pop();
                name = false;
            }
            b',' => name = matches!(frames.last(), Some(Frame::Object(_))),
            b':' => name = false,
            _ => {
                let Some(end) = string_end(bytes, at + 1) else { break };
                let value = &bytes[at + 1..end];
                if name {
                    let key = std::str::from_utf8(value).unwrap_or("");
                    frames.pop();
                    frames.push(Frame::Object(key));
                } else if frames.len() <= DEEPEST {
                    let path: Vec<&str> = frames
                        .iter()
                        .map(|frame| match frame {
                            Frame::Array => "[]",
                            Frame::Object(key) => key,
                        })
                        .collect();
                    if let Some(edit) = edit(&path) {
                        out.extend_from_slice(&bytes[copied..=at]);
                        let (before, kept, after) = match edit {
                            Edit::Prefix(text) => (text, value, ""),
                            Edit::Suffix(text) => ("", value, text),
                            Edit::Replace(text) => (text, &b""[..], ""),
                        };
                        out.extend_from_slice(before.as_bytes());
                        out.extend_from_slice(kept);
                        out.extend_from_slice(after.as_bytes());
                        copied = end;
                        edits += 1;
                    }
                }
                at = end;
            }
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[copied..]);
    (out, edits)
}

fn next_structural(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"'))
}

/// The index of the quote that ends the string beginning at `from`.
fn string_end(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let found = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes[found] == b'"' {
            return Some(found);
        }
        from = found + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_differs_in_its_identity_only() {
        let cases = [
            (
                r#"{ "id" : "GO-1", "aliases":["id"], "x":{"id":"y"} }"#,
                r#"{ "id" : "c1-GO-1", "aliases":["id"], "x":{"id":"y"} }"#,
            ),
            (
                r#"{"document":{"tracking":{"id":"a","v":1E5},"id":"b"}}"#,
                r#"{"document":{"tracking":{"id":"c1-a","v":1E5},"id":"b"}}"#,
            ),
            (r#"{"@id":"https:\/\/a\"b","k":"@id"}"#, r#"{"@id":"c1-https:\/\/a\"b","k":"@id"}"#),
            (
                r#"{"serialNumber":"urn:uuid:1","metadata":{"component":{"purl":"pkg:a/b@1"}}}"#,
                r#"{"serialNumber":"c1-urn:uuid:1","metadata":{"component":{"purl":"pkg:a/b@1-c1"}}}"#,
            ),
            (r#"{"@graph":[{"a":1},{"spdxId":"u"}]}"#, r#"{"@graph":[{"a":1},{"spdxId":"c1-u"}]}"#),
            (
                r#"[{"Target":"a","Vulnerabilities":[{"id":"b"}]}]"#,
                r#"[{"Target":"a-c1","Vulnerabilities":[{"id":"b"}]}]"#,
            ),
            (r#"{"id":7}"#, r#"{"id":7}"#),
            (r#"{"a":["x",{"b":"c"}],"id":"i"}"#, r#"{"a":["x",{"b":"c"}],"id":"c1-i"}"#),
            ("<bom serialNumber=\"urn:uuid:1\"/>", "<bom serialNumber=\"c1-urn:uuid:1\"/>"),
            (
                "SPDXVersion: SPDX-2.3\nDocumentNamespace: https://a\n",
                "SPDXVersion: SPDX-2.3\nDocumentNamespace: c1-https://a\n",
            ),
            ("{\"id\":\"unfinished", "{\"id\":\"unfinished"),
            ("plain text", "plain text"),
        ];
        for (document, expected) in cases {
            assert_eq!(String::from_utf8_lossy(&copy(document.as_bytes(), "c1")), expected);
        }
    }

    #[test]
    fn a_revision_is_later_or_none() {
        let time = "2026-11-01T00:00:00Z";
        let revised = |text: &str| {
            revised(text.as_bytes(), time).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        assert_eq!(
            revised(r#"{"id":"a","modified":"2020-01-01T00:00:00Z"}"#).as_deref(),
            Some(r#"{"id":"a","modified":"2026-11-01T00:00:00Z"}"#)
        );
        assert_eq!(revised(r#"{"id":"a","x":{"modified":"b"}}"#), None);
        assert_eq!(revised("no JSON"), None);
    }
}
