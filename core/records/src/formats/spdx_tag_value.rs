//! SPDX 2.2 and 2.3 as tag-value text (<https://spdx.github.io/spdx-spec/v2.3/>).

use std::collections::BTreeSet;

use stella_model::Limits;

use super::{record_id, spdx};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::{RejectReason, Rejection, excerpt};
use crate::view::Sha1;

/// What is read from a tag-value document, borrowed from its text. Packages are read again whenever
/// they are asked for, so that memory does not grow with their number (INV-LIMIT).
#[derive(Debug, Clone, Default)]
pub(crate) struct TagDocument<'t> {
    text: &'t str,
    version: Option<&'t str>,
    pub(crate) namespace: Option<&'t str>,
    /// A second document namespace that differs from the first.
    other_namespace: Option<&'t str>,
    pub(crate) created: Option<&'t str>,
    pub(crate) name: Option<&'t str>,
}

/// A package of a tag-value document.
#[derive(Debug, Clone, Default)]
pub(crate) struct TagPackage<'t> {
    pub(crate) id: &'t str,
    pub(crate) name: &'t str,
    pub(crate) version: Option<&'t str>,
    pub(crate) purl: Option<&'t str>,
    pub(crate) sha1: Option<Sha1>,
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
    /// Reads the tags of the document itself; what matters of them is checked in [`identify`].
    ///
    /// # Errors
    /// `too-large` if there are more tags than a document may hold values.
    pub(crate) fn read(text: &'t str, limits: &Limits) -> Result<TagDocument<'t>, Rejection> {
        let mut document = TagDocument { text, ..TagDocument::default() };
        let mut tags = document.tags();
        let mut count = 0;
        while let Some((tag, value)) = tags.next() {
            count += 1;
            if count > limits.json_values {
                let detail = format!("more than {} tags", limits.json_values);
                let at = (text.len() - tags.rest.len()) as u64;
                return Err(Rejection::new(RejectReason::TooLarge, detail).at(at));
            }
            document.take(tag, value);
        }
        Ok(document)
    }

    /// SPDX ids that the document describes.
    pub(crate) fn describes(&self) -> BTreeSet<&'t str> {
        self.tags().filter(|(tag, _)| *tag == "Relationship").filter_map(described).collect()
    }

    /// Packages in the order of the document.
    pub(crate) fn each_package(&self, found: &mut dyn FnMut(TagPackage<'t>)) {
        let mut current: Option<TagPackage<'t>> = None;
        for (tag, value) in self.tags() {
            if tag == "PackageName" {
                let next = TagPackage { name: value, ..TagPackage::default() };
                if let Some(package) = current.replace(next) {
                    found(package);
                }
            } else if let Some(package) = &mut current {
                package.take(tag, value);
            }
        }
        if let Some(package) = current {
            found(package);
        }
    }

    fn tags(&self) -> Tags<'t> {
        Tags { rest: self.text.trim_start_matches('\u{feff}') }
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
            _ => {}
        }
    }
}

impl<'t> TagPackage<'t> {
    fn take(&mut self, tag: &str, value: &'t str) {
        match tag {
            "SPDXID" if self.id.is_empty() => self.id = value,
            "PackageVersion" => self.version = Some(value).filter(|value| !value.is_empty()),
            "PackageChecksum" => {
                let digits = value.strip_prefix("SHA1:");
                self.sha1 = self.sha1.or_else(|| Sha1::parse(digits?));
            }
            "ExternalRef" => {
                let mut words = value.split_ascii_whitespace().skip(1);
                if let (Some("purl"), Some(purl)) = (words.next(), words.next()) {
                    self.purl = self.purl.or(Some(purl));
                }
            }
            _ => {}
        }
    }
}

/// What a relationship says that the document describes.
fn described<'t>((_, value): (&str, &'t str)) -> Option<&'t str> {
    let mut words = value.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("SPDXRef-DOCUMENT"), Some("DESCRIBES"), id) => id,
        _ => None,
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

    fn read(text: &str) -> TagDocument<'_> {
        TagDocument::read(text, &Limits::DEFAULT).expect("within the limits")
    }

    #[test]
    fn text_blocks_hide_what_looks_like_tags() {
        let text = "\u{feff}# c\n\nSPDXVersion: SPDX-2.3\r\nDocumentComment: <text>a\n\
                    DocumentNamespace: https://evil.example/\n b</text> trailing\n\
                    DocumentNamespace: <text>https://good.example/d</text>\n\
                    not a tag: x\n: y\nnothing\nCreated: 2024-01-02T03:04:05Z";
        let document = read(text);
        assert_eq!(document.namespace, Some("https://good.example/d"));
        assert_eq!(document.other_namespace, None);
        assert_eq!(document.created, Some("2024-01-02T03:04:05Z"));
        let open = read("Creator: <text>never\nDocumentNamespace: x\n");
        assert_eq!(open.namespace, None);
    }

    #[test]
    fn packages_have_ids_versions_and_purls() {
        let document = read(
            "SPDXID: SPDXRef-DOCUMENT\nPackageName: a\nSPDXID: SPDXRef-A\nPackageVersion: 1\n\
             ExternalRef: PACKAGE-MANAGER purl pkg:npm/a@1\nFileName: f\nSPDXID: SPDXRef-F\n\
             Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-A\n\
             Relationship: SPDXRef-A CONTAINS SPDXRef-F\n",
        );
        assert_eq!(document.describes(), BTreeSet::from(["SPDXRef-A"]));
        let mut packages = Vec::new();
        document.each_package(&mut |package| packages.push(package));
        let [package] = &packages[..] else { panic!("one package") };
        assert_eq!(
            (package.id, package.name, package.version, package.purl),
            ("SPDXRef-A", "a", Some("1"), Some("pkg:npm/a@1"))
        );
    }

    #[test]
    fn tags_are_counted_against_the_limit() {
        let limits = Limits { json_values: 3, ..Limits::DEFAULT };
        let three = "SPDXVersion: SPDX-2.3\nno tag\nPackageName:\nPackageName:\n";
        assert!(TagDocument::read(three, &limits).is_ok());
        let four = format!("{three}PackageName:\nPackageName:\n");
        let rejection = TagDocument::read(&four, &limits).expect_err("four tags");
        assert_eq!(rejection.reason, RejectReason::TooLarge);
        assert_eq!(rejection.offset, Some(three.len() as u64 + 13));
    }
}
