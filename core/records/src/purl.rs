//! Package URLs as selectors see them: the package, without version.
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
