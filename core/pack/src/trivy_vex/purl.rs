//! Package URLs as Trivy spells them, and where the document of a package lies.
//!
//! Trivy looks a package up in the index by the text that its library for package URLs makes of it,
//! and versions of that library differ in spelling: `:` is written `%3A` or left alone, and names
//! of npm lose their capitals or keep them. The index therefore lists a package under each spelling.

use std::collections::BTreeSet;

use stella_model::{Digest, PartName};
use stella_records::purl::unescaped;

use super::LOCATION_BYTES;

/// Longest package URL that is taken.
const PURL_BYTES: usize = 2048;

/// The qualifier that tells images of one name apart.
const REPOSITORY_URL: &str = "repository_url";

/// Types whose namespaces every version of Trivy compares in lower case.
const NAMESPACE_FOLDS: &[&str] =
    &["alpm", "apk", "bitbucket", "composer", "deb", "github", "golang", "npm", "qpkg", "rpm"];

/// The same of names.
const NAME_FOLDS: &[&str] =
    &["alpm", "apk", "bitbucket", "bitnami", "composer", "deb", "github", "golang", "npm", "pypi"];

/// Types that only some versions compare in lower case.
const SOMETIMES_FOLDS: &str = "npm";

/// The name of every document; a segment of a package's name that is the same is written otherwise.
const DOCUMENT: &str = "vex.json";

/// A package URL, taken apart and decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purl {
    kind: String,
    namespace: Vec<String>,
    name: String,
    version: String,
    /// Sorted by name.
    qualifiers: Vec<(String, String)>,
    subpath: bool,
}

impl Purl {
    /// Reads a package URL; `None` if it is not valid, or nothing that a name can hold.
    pub(super) fn parse(text: &str) -> Option<Purl> {
        let body = text.trim().strip_prefix("pkg:")?.trim_start_matches('/');
        if body.len() > PURL_BYTES {
            return None;
        }
        let (body, subpath) = body.split_once('#').unwrap_or((body, ""));
        let (body, query) = body.split_once('?').unwrap_or((body, ""));
        let (kind, path) = body.split_once('/')?;
        let kind = kind.to_ascii_lowercase();
        let (path, version) = match path.rfind('@') {
            Some(at) if at > 0 && !path[at..].contains('/') => (&path[..at], &path[at + 1..]),
            _ => (path, ""),
        };
        let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
        let namespace = namespace.split('/').filter(|segment| !segment.is_empty()).map(decode);
        let mut qualifiers = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=')?;
            let value = decode(value)?;
            if !value.is_empty() {
                qualifiers.push((key.to_ascii_lowercase(), value));
            }
        }
        qualifiers.sort();
        let purl = Purl {
            kind,
            namespace: namespace.collect::<Option<_>>()?,
            name: decode(name)?,
            version: decode(version)?,
            qualifiers,
            subpath: !subpath.is_empty(),
        };
        purl.is_valid().then_some(purl)
    }

    fn is_valid(&self) -> bool {
        let word = |text: &str, more: &str| {
            let first = |c: char| c.is_ascii_alphabetic() || more.contains(c);
            text.starts_with(first) && text.chars().all(|c| c.is_ascii_digit() || first(c))
        };
        let keys = || self.qualifiers.iter().map(|(key, _)| key);
        word(&self.kind, ".+-")
            && !self.name.is_empty()
            && keys().all(|key| word(key, ".-_"))
            && keys().zip(keys().skip(1)).all(|(one, other)| one != other)
    }

    pub(super) fn has_subpath(&self) -> bool {
        self.subpath
    }

    pub(super) fn has_version(&self) -> bool {
        !self.version.is_empty()
    }

    /// The text that a document has for the product: normal, but with the capitals of npm.
    pub(super) fn product(&self) -> String {
        let mut text = self.path(Case::AsWritten, Colon::Escaped);
        if !self.version.is_empty() {
            text.push('@');
            encode(&mut text, &self.version, Colon::Escaped);
        }
        self.query(&mut text, |_| true, Colon::Escaped);
        text
    }

    /// What all products of one package have in common: the package without version and, but for
    /// images, without qualifiers.
    pub(super) fn package(&self) -> String {
        self.id(Case::Lower, Colon::Escaped)
    }

    /// The ids under which the index lists the package of this product.
    pub(super) fn ids(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for case in [Case::Lower, Case::AsWritten] {
            for colon in [Colon::Escaped, Colon::Plain] {
                ids.insert(self.id(case, colon));
            }
        }
        ids
    }

    fn id(&self, case: Case, colon: Colon) -> String {
        let mut text = self.path(case, colon);
        self.query(&mut text, |key| self.kind == "oci" && key == REPOSITORY_URL, colon);
        text
    }

    /// Type, namespace and name.
    fn path(&self, case: Case, colon: Colon) -> String {
        let keeps = case == Case::AsWritten && self.kind == SOMETIMES_FOLDS;
        let fold = |types: &[&str], text: &str| match types.contains(&self.kind.as_str()) && !keeps
        {
            true => text.to_lowercase(),
            false => text.to_owned(),
        };
        let mut text = format!("pkg:{}", self.kind);
        for segment in &self.namespace {
            text.push('/');
            encode(&mut text, &fold(NAMESPACE_FOLDS, segment), colon);
        }
        text.push('/');
        let name = fold(NAME_FOLDS, &self.name);
        let name = if self.kind == "pypi" { name.replace('_', "-") } else { name };
        encode(&mut text, &name, colon);
        text
    }

    fn query(&self, text: &mut String, wanted: impl Fn(&str) -> bool, colon: Colon) {
        let mut before = '?';
        for (key, value) in self.qualifiers.iter().filter(|(key, _)| wanted(key)) {
            text.push(before);
            text.push_str(key);
            text.push('=');
            encode(text, value, colon);
            before = '&';
        }
    }

    /// Where the document of the package lies in the repository: names of packages that differ
    /// give locations that differ, on every file system, and none leads out of the folder.
    pub(super) fn location(&self) -> Option<PartName> {
        let package = self.package();
        let (path, query) = package.split_once('?').unwrap_or((&package, ""));
        let mut text = String::from("pkg");
        for segment in path.strip_prefix("pkg:")?.split('/') {
            text.push('/');
            file_name(&mut text, &decode(segment)?);
        }
        if let Some((_, value)) = query.split_once('=') {
            // No name of a package is written as a lone `_`.
            text.push_str("/_/");
            file_name(&mut text, &decode(value)?);
        }
        text.push('/');
        text.push_str(DOCUMENT);
        if text.len() > LOCATION_BYTES {
            text = format!("long/{}/{DOCUMENT}", Digest::of(package.as_bytes()));
        }
        PartName::new(&text).ok()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    AsWritten,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colon {
    Escaped,
    Plain,
}

/// Resolves escapes. Control characters are in no name.
fn decode(text: &str) -> Option<String> {
    let text = unescaped(text)?;
    (!text.chars().any(char::is_control)).then(|| text.into_owned())
}

fn encode(out: &mut String, text: &str, colon: Colon) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b':' if colon == Colon::Plain => out.push(':'),
            _ => hex(out, '%', byte),
        }
    }
}

fn hex(out: &mut String, mark: char, byte: u8) {
    let digits = if mark == '%' { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    out.push(mark);
    out.push(char::from(digits[usize::from(byte >> 4)]));
    out.push(char::from(digits[usize::from(byte & 15)]));
}

/// A segment as the name of a file or folder. Whatever is not plain is `_` and two hex digits:
/// texts that differ give names that differ.
fn file_name(out: &mut String, segment: &str) {
    let begin = out.len();
    for (place, byte) in segment.bytes().enumerate() {
        let edge = place == 0 || place + 1 == segment.len();
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => out.push(char::from(byte)),
            b'.' if !edge => out.push('.'),
            _ => hex(out, '_', byte),
        }
    }
    // A device of Windows, or a document: its first letter, which is never written so, is.
    let first = segment.bytes().next().unwrap_or(b'_');
    if out[begin..] == *DOCUMENT || PartName::new(&out[begin..]).is_err() {
        let rest = out.split_off(begin);
        hex(out, '_', first);
        out.push_str(rest.get(1..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn purl(text: &str) -> Purl {
        Purl::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn packages_and_products_are_spelt_as_trivy_does() {
        for (text, package, product) in [
            ("pkg:npm/lodash@4.17.20", "pkg:npm/lodash", "pkg:npm/lodash@4.17.20"),
            ("pkg:npm/@angular/core@1", "pkg:npm/%40angular/core", "pkg:npm/%40angular/core@1"),
            ("pkg:npm/%40angular/core", "pkg:npm/%40angular/core", "pkg:npm/%40angular/core"),
            ("pkg:npm/JSONStream@1", "pkg:npm/jsonstream", "pkg:npm/JSONStream@1"),
            ("pkg:NPM/a?x=1", "pkg:npm/a", "pkg:npm/a?x=1"),
            ("pkg:pypi/My_Pkg@1", "pkg:pypi/my-pkg", "pkg:pypi/my-pkg@1"),
            (
                "pkg:golang/github.com/Azure/x@v1.0.0%2Bincompatible",
                "pkg:golang/github.com/azure/x",
                "pkg:golang/github.com/azure/x@v1.0.0%2Bincompatible",
            ),
            ("pkg:maven/Org.X/Y@1", "pkg:maven/Org.X/Y", "pkg:maven/Org.X/Y@1"),
            (
                "pkg:deb/debian/libstdc++6@1:2?b=2&a=1",
                "pkg:deb/debian/libstdc%2B%2B6",
                "pkg:deb/debian/libstdc%2B%2B6@1%3A2?a=1&b=2",
            ),
            (
                "pkg:oci/trivy@sha256:ab?repository_url=registry.example/aquasecurity/trivy&arch=amd64",
                "pkg:oci/trivy?repository_url=registry.example%2Faquasecurity%2Ftrivy",
                "pkg:oci/trivy@sha256%3Aab?arch=amd64&repository_url=registry.example%2Faquasecurity%2Ftrivy",
            ),
        ] {
            let purl = purl(text);
            assert_eq!((purl.package().as_str(), purl.product().as_str()), (package, product));
            assert_eq!(
                super::Purl::parse(product).map(|again| again.product()),
                Some(product.into())
            );
        }
    }

    #[test]
    fn the_index_has_every_spelling_and_no_other() {
        let ids = |text: &str| purl(text).ids().into_iter().collect::<Vec<_>>();
        assert_eq!(ids("pkg:golang/github.com/A/b@1"), ["pkg:golang/github.com/a/b"]);
        assert_eq!(ids("pkg:npm/JSONStream@1"), ["pkg:npm/JSONStream", "pkg:npm/jsonstream"]);
        assert_eq!(
            ids("pkg:oci/x?repository_url=h:5000/x"),
            ["pkg:oci/x?repository_url=h%3A5000%2Fx", "pkg:oci/x?repository_url=h:5000%2Fx"]
        );
    }

    #[test]
    fn what_is_no_package_url_is_refused() {
        let long = format!("pkg:npm/{}", "a".repeat(PURL_BYTES));
        for text in [
            "",
            "npm/a",
            "pkg:",
            "pkg:npm",
            "pkg:npm/",
            "pkg:/a",
            "pkg:n pm/a",
            "pkg:npm/a?x",
            "pkg:npm/a?x=1&x=2",
            "pkg:npm/%zz",
            "pkg:npm/%0a",
            "pkg:npm/%ff",
            "pkg:npm/a%",
            &long,
        ] {
            assert_eq!(Purl::parse(text), None, "{text}");
        }
        assert!(purl("pkg:golang/a/b#c").has_subpath());
    }

    #[test]
    fn locations_are_readable_and_safe() {
        let long = format!("pkg:npm/{}", "a".repeat(90));
        let digest = format!("long/{}/vex.json", Digest::of(long.as_bytes()));
        for (text, location) in [
            ("pkg:npm/lodash@1", "pkg/npm/lodash/vex.json"),
            ("pkg:npm/@angular/core", "pkg/npm/_40angular/core/vex.json"),
            ("pkg:maven/a.b/C", "pkg/maven/a.b/_43/vex.json"),
            ("pkg:npm/..", "pkg/npm/_2e_2e/vex.json"),
            ("pkg:npm/%2e%2e%2fx", "pkg/npm/_2e._2fx/vex.json"),
            ("pkg:npm/con", "pkg/npm/_63on/vex.json"),
            ("pkg:npm/nul.js", "pkg/npm/_6eul.js/vex.json"),
            ("pkg:golang/a/vex.json", "pkg/golang/a/_76ex.json/vex.json"),
            ("pkg:npm/_", "pkg/npm/_5f/vex.json"),
            ("pkg:oci/x?repository_url=h/y", "pkg/oci/x/_/h_2fy/vex.json"),
            (long.as_str(), digest.as_str()),
        ] {
            let found = purl(text).location().expect("a location");
            assert_eq!(found.as_str(), location, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_location_and_packages_that_differ_have_others(
            one in "[a-cA-C._%@/?=&:#-]{0,8}|con|vex.json|\\PC{0,6}",
            other in "[a-cA-C._%@/?=&:#-]{0,8}|con|vex.json|\\PC{0,6}",
        ) {
            let parse = |text: &str| Purl::parse(&format!("pkg:oci/{text}"));
            if let (Some(one), Some(other)) = (parse(&one), parse(&other)) {
                let places = (one.location(), other.location());
                prop_assert!(places.0.is_some() && places.1.is_some());
                prop_assert_eq!(places.0 == places.1, one.package() == other.package());
                prop_assert_eq!(one.ids().is_disjoint(&other.ids()), one.package() != other.package());
                prop_assert_eq!(Purl::parse(&one.product()).map(|again| again.package()), Some(one.package()));
            }
        }
    }
}
