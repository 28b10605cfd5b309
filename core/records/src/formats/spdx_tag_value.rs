//! SPDX 2.2 and 2.3 as tag-value text (<https://spdx.github.io/spdx-spec/v2.3/>).

use stella_model::Limits;

use super::{record_id, spdx};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::{Rejection, excerpt};

/// What is read from a tag-value document, borrowed from its text.
#[derive(Debug, Clone, Default)]
pub(crate) struct TagDocument<'t> {
    version: Option<&'t str>,
    pub(crate) namespace: Option<&'t str>,
    /// A second document namespace that differs from the first.
    other_namespace: Option<&'t str>,
    pub(crate) created: Option<&'t str>,
    pub(crate) name: Option<&'t str>,
    /// SPDX ids that the document describes.
    pub(crate) describes: Vec<&'t str>,
    pub(crate) packages: Vec<TagPackage<'t>>,
}

/// A package of a tag-value document.
#[derive(Debug, Clone, Default)]
pub(crate) struct TagPackage<'t> {
    pub(crate) id: &'t str,
    pub(crate) name: &'t str,
    pub(crate) version: Option<&'t str>,
    pub(crate) purl: Option<&'t str>,
}

/// Whether the text begins as a tag-value document does: its first tag is one of those of the
/// document itself. Whether it tells its SPDX version is seen when it is read.
pub(crate) fn is(text: &str) -> bool {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .and_then(tag_and_value);
    let known = [
        "SPDXVersion",
        "DataLicense",
        "SPDXID",
        "DocumentName",
        "DocumentNamespace",
        "DocumentComment",
        "Creator",
        "Created",
        "LicenseListVersion",
    ];
    first.is_some_and(|(tag, _)| known.contains(&tag))
}

impl<'t> TagDocument<'t> {
    /// Reads the tags. Nothing is refused here: what matters is checked in [`identify`].
    pub(crate) fn read(text: &'t str) -> TagDocument<'t> {
        let mut document = TagDocument::default();
        for (tag, value) in (Tags { rest: text.trim_start_matches('\u{feff}') }) {
            document.take(tag, value);
        }
        document
    }

    fn take(&mut self, tag: &str, value: &'t str) {
        let filled = Some(value).filter(|value| !value.is_empty());
        match tag {
            "SPDXVersion" => self.version = self.version.or(Some(value)),
            "DocumentNamespace" => match self.namespace {
                None => self.namespace = filled,
                Some(first) if first != value => self.other_namespace = filled,
                Some(_) => {}
            },
            "Created" => self.created = self.created.or(filled),
            "DocumentName" => self.name = self.name.or(filled),
            "PackageName" => {
                self.packages.push(TagPackage { name: value, ..TagPackage::default() });
            }
            "SPDXID" => {
                if let Some(package) = self.packages.last_mut().filter(|p| p.id.is_empty()) {
                    package.id = value;
                }
            }
            "PackageVersion" => {
                if let Some(package) = self.packages.last_mut() {
                    package.version = filled;
                }
            }
            "ExternalRef" => {
                let mut words = value.split_ascii_whitespace().skip(1);
                if let (Some("purl"), Some(purl), Some(package)) =
                    (words.next(), words.next(), self.packages.last_mut())
                {
                    package.purl = package.purl.or(Some(purl));
                }
            }
            "Relationship" => {
                let mut words = value.split_ascii_whitespace();
                if let (Some("SPDXRef-DOCUMENT"), Some("DESCRIBES"), Some(id)) =
                    (words.next(), words.next(), words.next())
                {
                    self.describes.push(id);
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn identify(document: &TagDocument<'_>, limits: &Limits) -> Result<Identity, Rejection> {
    let version = document
        .version
        .ok_or_else(|| Rejection::unknown("tags of SPDX without an SPDXVersion"))?;
    let digits = version.strip_prefix("SPDX-").unwrap_or("");
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') || digits.is_empty() {
        return Err(Rejection::unknown(format!("SPDXVersion is {}", excerpt(version))));
    }
    spdx::check_version(version)?;
    let namespace = document
        .namespace
        .ok_or_else(|| Rejection::no_identity("DocumentNamespace is missing or empty"))?;
    if document.other_namespace.is_some() {
        return Err(Rejection::no_identity("there are two document namespaces"));
    }
    let id = record_id(namespace, limits)?;
    Ok(spdx::identity(id, document.created, Format::SpdxTagValue))
}

/// Tags and their values. A value in `<text>` may go over several lines.
struct Tags<'t> {
    rest: &'t str,
}

impl<'t> Iterator for Tags<'t> {
    type Item = (&'t str, &'t str);

    fn next(&mut self) -> Option<(&'t str, &'t str)> {
        while !self.rest.is_empty() {
            let here = self.rest;
            let end = memchr::memchr(b'\n', here.as_bytes()).map_or(here.len(), |at| at + 1);
            let (line, rest) = here.split_at(end);
            self.rest = rest;
            let Some((tag, value)) = tag_and_value(line.trim()) else { continue };
            if !value.starts_with("<text>") {
                return Some((tag, value));
            }
            let start = line.find("<text>").unwrap_or(0) + "<text>".len();
            let block = &here[start..];
            let close = memchr::memmem::find(block.as_bytes(), b"</text>");
            let (inside, after) = match close {
                Some(at) => (&block[..at], &block[at + "</text>".len()..]),
                None => (block, ""),
            };
            // What follows the closing mark on its line belongs to nothing.
            let next_line = memchr::memchr(b'\n', after.as_bytes());
            self.rest = next_line.map_or("", |at| &after[at + 1..]);
            return Some((tag, inside.trim()));
        }
        None
    }
}

/// Splits `Tag: value`; tags are one word of letters and digits.
fn tag_and_value(line: &str) -> Option<(&str, &str)> {
    let (tag, value) = line.split_once(':')?;
    let word = !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    word.then(|| (tag, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_blocks_hide_what_looks_like_tags() {
        let text = "\u{feff}# c\n\nSPDXVersion: SPDX-2.3\r\nDocumentComment: <text>a\n\
                    DocumentNamespace: https://evil.example/\n b</text> trailing\n\
                    DocumentNamespace: <text>https://good.example/d</text>\n\
                    not a tag: x\n: y\nnothing\nCreated: 2024-01-02T03:04:05Z";
        let document = TagDocument::read(text);
        assert_eq!(document.namespace, Some("https://good.example/d"));
        assert_eq!(document.other_namespace, None);
        assert_eq!(document.created, Some("2024-01-02T03:04:05Z"));
        let open = TagDocument::read("Creator: <text>never\nDocumentNamespace: x\n");
        assert_eq!(open.namespace, None);
    }

    #[test]
    fn packages_have_ids_versions_and_purls() {
        let document = TagDocument::read(
            "SPDXID: SPDXRef-DOCUMENT\nPackageName: a\nSPDXID: SPDXRef-A\nPackageVersion: 1\n\
             ExternalRef: PACKAGE-MANAGER purl pkg:npm/a@1\nFileName: f\nSPDXID: SPDXRef-F\n\
             Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-A\n\
             Relationship: SPDXRef-A CONTAINS SPDXRef-F\n",
        );
        assert_eq!(document.describes, ["SPDXRef-A"]);
        let [package] = &document.packages[..] else { panic!("one package") };
        assert_eq!(
            (package.id, package.name, package.version, package.purl),
            ("SPDXRef-A", "a", Some("1"), Some("pkg:npm/a@1"))
        );
    }
}
