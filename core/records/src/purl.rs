//! Package URLs as selectors see them: the package, without version; and what those of Maven name.
//!
//! Evidence holds purls of every quality, so nothing is refused here and nothing of a document is
//! changed; two texts of one package merely meet in one key.

use std::borrow::Cow;

/// The package that a purl names: `pkg:type/namespace/name`, without version, qualifiers and
/// subpath; `None` if the text is no purl.
///
/// The type is in lower case, a scope's `@` is written `%40`, and names of types whose registry
/// does not tell cases apart are in lower case, PyPI's with `-` for `_`: as the purl specification
/// has it (<https://github.com/package-url/purl-spec/blob/main/PURL-TYPES.rst>).
/// Selectors must bring what a person typed to the same form with this function.
///
/// # Examples
/// ```
/// use stella_records::purl::package;
/// assert_eq!(package("pkg:npm/%40a/b@1.2?x=y#z").as_deref(), Some("pkg:npm/%40a/b"));
/// assert_eq!(package("npm:b"), None);
/// ```
#[must_use]
pub fn package(purl: &str) -> Option<Cow<'_, str>> {
    let package = spelt_as_written(purl)?;
    let (kind, path) = package.strip_prefix("pkg:")?.split_once('/')?;
    let folds = matches!(kind, "pypi" | "github" | "bitbucket" | "composer" | "npm");
    let differs = |b: u8| b.is_ascii_uppercase() || (kind == "pypi" && b == b'_');
    // `%40` and other escapes keep their capital hex digits.
    if !folds || path.contains('%') || !path.bytes().any(differs) {
        return Some(package);
    }
    let name = path.to_ascii_lowercase();
    let name = if kind == "pypi" { name.replace('_', "-") } else { name };
    Some(Cow::Owned(format!("pkg:{kind}/{name}")))
}

/// The package of a purl with the name as it is written.
fn spelt_as_written(purl: &str) -> Option<Cow<'_, str>> {
    let purl = purl.trim();
    let body = purl.strip_prefix("pkg:")?.trim_start_matches('/');
    let end = memchr::memchr2(b'?', b'#', body.as_bytes()).unwrap_or(body.len());
    let (kind, path) = body[..end].split_once('/')?;
    let path = without_version(path.trim_end_matches('/'));
    if kind.is_empty() || path.is_empty() {
        return None;
    }
    let plain = "pkg:".len() + kind.len() + "/".len() + path.len();
    let as_it_stands = purl.get(..plain).filter(|start| {
        start["pkg:".len()..].starts_with(kind) && start.ends_with(path) && !path.starts_with('@')
    });
    match as_it_stands {
        Some(start) if !kind.bytes().any(|b| b.is_ascii_uppercase()) => Some(Cow::Borrowed(start)),
        _ => {
            let (scope, rest) = path.strip_prefix('@').map_or(("", path), |rest| ("%40", rest));
            Some(Cow::Owned(format!("pkg:{}/{scope}{rest}", kind.to_ascii_lowercase())))
        }
    }
}

/// The OSV ecosystem that packages of a purl belong to, if it is clear from the purl alone.
#[must_use]
pub fn ecosystem(purl: &str) -> Option<&'static str> {
    let after = purl.trim().strip_prefix("pkg:")?.trim_start_matches('/');
    let (kind, path) = after.split_once('/')?;
    let namespace = path.split_once('/').map_or("", |(namespace, _)| namespace);
    let kind = kind.to_ascii_lowercase();
    Some(match (kind.as_str(), namespace) {
        ("npm", _) => "npm",
        ("pypi", _) => "PyPI",
        ("maven", _) => "Maven",
        ("golang", _) => "Go",
        ("cargo", _) => "crates.io",
        ("gem", _) => "RubyGems",
        ("nuget", _) => "NuGet",
        ("composer", _) => "Packagist",
        ("hex", _) => "Hex",
        ("pub", _) => "Pub",
        ("cran", _) => "CRAN",
        ("swift", _) => "SwiftURL",
        ("bitnami", _) => "Bitnami",
        ("deb", "debian") => "Debian",
        ("deb", "ubuntu") => "Ubuntu",
        ("apk", "alpine") => "Alpine",
        ("apk", "wolfi") => "Wolfi",
        ("apk", "chainguard") => "Chainguard",
        ("rpm", "redhat" | "rhel") => "Red Hat",
        ("rpm", "almalinux") => "AlmaLinux",
        ("rpm", "rocky" | "rocky-linux") => "Rocky Linux",
        ("rpm", "suse") => "SUSE",
        ("rpm", "opensuse") => "openSUSE",
        _ => return None,
    })
}

/// What a purl of Maven names, its escapes resolved. Parts that are absent are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maven<'p> {
    /// Group id.
    pub group: Cow<'p, str>,
    /// Artifact id, never empty.
    pub artifact: Cow<'p, str>,
    /// Version.
    pub version: Cow<'p, str>,
    /// Classifier, such as `linux-x86_64`.
    pub classifier: Cow<'p, str>,
    /// Type of the artifact; empty means `jar`.
    pub packaging: Cow<'p, str>,
}

/// What a purl names; `None` if it is not one of Maven, or names nothing.
///
/// # Examples
/// ```
/// use stella_records::purl::maven;
/// let jar = maven("pkg:maven/io.netty/netty@4.1?classifier=linux%2Dx86_64").expect("of Maven");
/// assert_eq!((&*jar.group, &*jar.artifact, &*jar.version), ("io.netty", "netty", "4.1"));
/// assert_eq!((&*jar.classifier, &*jar.packaging), ("linux-x86_64", ""));
/// assert_eq!(maven("pkg:npm/netty@4.1"), None);
/// ```
#[must_use]
pub fn maven(purl: &str) -> Option<Maven<'_>> {
    let body = purl.trim().strip_prefix("pkg:")?.trim_start_matches('/');
    let (kind, rest) = body.split_once('/')?;
    if !kind.eq_ignore_ascii_case("maven") {
        return None;
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    let package = without_version(path);
    let version = path[package.len()..].strip_prefix('@').unwrap_or_default();
    let (group, artifact) = package.rsplit_once('/').unwrap_or(("", package));
    if artifact.is_empty() {
        return None;
    }
    let qualifier = |wanted: &str| {
        let pairs = qualifiers.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        decode(values.next().map_or("", |(_, value)| value))
    };
    Some(Maven {
        group: decode(group),
        artifact: decode(artifact),
        version: decode(version),
        classifier: qualifier("classifier"),
        packaging: qualifier("type"),
    })
}

/// Resolves escapes; a text with one that cannot be resolved is left as it is.
fn decode(text: &str) -> Cow<'_, str> {
    unescaped(text).unwrap_or(Cow::Borrowed(text))
}

/// Resolves the escapes of a part of a purl; `None` if it has one without two hex digits, or if
/// what they stand for is not UTF-8.
///
/// # Examples
/// ```
/// use stella_records::purl::unescaped;
/// assert_eq!(unescaped("%40a").as_deref(), Some("@a"));
/// assert_eq!((unescaped("%4"), unescaped("%ff")), (None, None));
/// ```
#[must_use]
pub fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            decoded.push(byte);
            at += 1;
            continue;
        }
        let (high, low) = (digit(bytes.get(at + 1))?, digit(bytes.get(at + 2))?);
        decoded.push((high << 4 | low) as u8);
        at += 3;
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Cuts the version: what follows the last `@` that is no scope, which would begin a segment.
fn without_version(path: &str) -> &str {
    match path.rfind('@') {
        Some(at) if at > 0 && !path[..at].ends_with('/') && !path[at..].contains('/') => {
            &path[..at]
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_package_has_one_key() {
        let cases = [
            ("pkg:npm/lodash", Some("pkg:npm/lodash")),
            ("pkg:npm/lodash@4.17.21", Some("pkg:npm/lodash")),
            ("pkg:npm/%40angular/core@1.0.0", Some("pkg:npm/%40angular/core")),
            ("pkg:npm/@angular/core@1.0.0", Some("pkg:npm/%40angular/core")),
            ("pkg:npm/@angular/core", Some("pkg:npm/%40angular/core")),
            ("pkg://npm/lodash@1", Some("pkg:npm/lodash")),
            ("pkg:NPM/lodash@1", Some("pkg:npm/lodash")),
            ("  pkg:npm/lodash@1 ", Some("pkg:npm/lodash")),
            ("pkg:rpm/redhat/a@1-2.el9?arch=x86_64&epoch=1", Some("pkg:rpm/redhat/a")),
            ("pkg:golang/github.com/a/b@v1.2.3#sub/dir", Some("pkg:golang/github.com/a/b")),
            ("pkg:oci/x@sha256%3Aabc?repository_url=r/x", Some("pkg:oci/x")),
            ("pkg:maven/g/a@1@2", Some("pkg:maven/g/a@1")),
            ("pkg:npm/", None),
            ("pkg:npm", None),
            ("pkg:", None),
            ("npm/lodash", None),
            ("", None),
        ];
        for (purl, expected) in cases {
            assert_eq!(package(purl).as_deref(), expected, "{purl:?}");
        }
    }

    #[test]
    fn purls_of_maven_are_taken_apart() {
        let parts = |purl| {
            let found = maven(purl)?;
            let Maven { group, artifact, version, classifier, packaging } = found;
            Some([group, artifact, version, classifier, packaging].join("|"))
        };
        let cases = [
            ("pkg:maven/g/a@1", Some("g|a|1||")),
            (" pkg://MAVEN/g/a@1 ", Some("g|a|1||")),
            ("pkg:maven/g/a", Some("g|a|||")),
            ("pkg:maven/a@1", Some("|a|1||")),
            ("pkg:maven/g/a@1?type=pom", Some("g|a|1||pom")),
            ("pkg:maven/g/a@1?Type=jar&classifier=c&x#sub", Some("g|a|1|c|jar")),
            ("pkg:maven/g%2Eh/a%20b@1%2B2%3a3", Some("g.h|a b|1+2:3||")),
            ("pkg:maven/g/a@1%", Some("g|a|1%||")),
            ("pkg:maven/g/a@%ff", Some("g|a|%ff||")),
            ("pkg:maven/g/@1", Some("g|@1|||")),
            ("pkg:maven/", None),
            ("pkg:maven", None),
            ("pkg:npm/a@1", None),
            ("g:a:1", None),
        ];
        for (purl, expected) in cases {
            assert_eq!(parts(purl).as_deref(), expected, "{purl:?}");
        }
    }

    #[test]
    fn ecosystem_follows_type_and_distribution() {
        let cases = [
            ("pkg:pypi/django@1", Some("PyPI")),
            ("pkg:deb/debian/curl@7", Some("Debian")),
            ("pkg:deb/other/curl@7", None),
            ("pkg:generic/x", None),
            ("pkg:GOLANG/a/b", Some("Go")),
            ("x", None),
        ];
        for (purl, expected) in cases {
            assert_eq!(ecosystem(purl), expected, "{purl:?}");
        }
    }
}
