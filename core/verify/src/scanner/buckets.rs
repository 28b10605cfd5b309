//! The buckets of a database, and how a scanner comes to them.
//!
//! Written anew from what Trivy reads, not taken from the adapter that fills the buckets: a name
//! misspelt in both would be a database that nobody looks into.

use stella_versions::trivy::Comparer;

use super::canary::TrivyVersion;
use super::schema::{self, Shape};

/// What the rows of a bucket at the top are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    /// What is known of vulnerabilities.
    Vulnerabilities,
    /// What describes the other buckets.
    Sources,
    /// Which products of Red Hat a system has.
    RedHatCpe,
    /// Advisories of Red Hat.
    RedHat,
    /// Advisories for packages of a language.
    Language(&'static Language),
    /// Advisories for packages of a release of a distribution.
    Distribution(&'static Distribution),
}

/// The buckets that every database has.
pub(super) const VULNERABILITIES: &str = "vulnerability";
/// The one without which Trivy scans no system of Red Hat at all.
pub(super) const RED_HAT_CPE: &str = "Red Hat CPE";
const SOURCES: &str = "data-source";
const RED_HAT: &str = "Red Hat";

/// A language by the text before `::` in the names of its buckets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Language {
    pub(super) prefix: &'static str,
    /// The ecosystem as OSV and the manifest's coverage name it.
    ecosystem: &'static str,
    /// The type of its package URLs.
    pub(super) purl: &'static str,
    /// The first version of Trivy that looks for its packages, of those that databases are for.
    pub(super) since: TrivyVersion,
}

/// The languages, in the order of their prefixes.
const LANGUAGES: &[Language] = &[
    language("bitnami", "Bitnami", "bitnami"),
    language("cargo", "crates.io", "cargo"),
    language("cocoapods", "CocoaPods", "cocoapods"),
    language("composer", "Packagist", "composer"),
    language("conan", "ConanCenter", "conan"),
    language("erlang", "Hex", "hex"),
    language("go", "Go", "golang"),
    Language { since: (0, 76, 0), ..language("julia", "Julia", "julia") },
    language("k8s", "Kubernetes", "k8s"),
    language("maven", "Maven", "maven"),
    language("npm", "npm", "npm"),
    language("nuget", "NuGet", "nuget"),
    language("pip", "PyPI", "pypi"),
    language("pub", "Pub", "pub"),
    language("rubygems", "RubyGems", "gem"),
    language("swift", "SwiftURL", "swift"),
];

/// A distribution by what begins the names of its buckets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Distribution {
    /// What begins the names, with the space before the release; all of the name if there is none.
    pub(super) prefix: &'static str,
    release: Release,
    /// Trivy's name of its systems.
    pub(super) family: &'static str,
    /// Type and namespace of its package URLs.
    pub(super) purl: (&'static str, &'static str),
    pub(super) comparer: Comparer,
    /// The distribution as OSV and the manifest's coverage name it, if they do.
    ecosystem: &'static str,
}

/// What a release looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    /// There are none.
    None,
    /// One number.
    Major,
    /// Two numbers.
    MajorMinor,
    /// One number or two.
    Service,
}

use Release::{Major, MajorMinor, Service};

/// The distributions. Where one prefix begins another, the longer one comes first.
const DISTRIBUTIONS: &[Distribution] = &[
    distro("alma ", Major, "alma", ("rpm", "alma"), Comparer::Rpm, "AlmaLinux"),
    distro("alpine ", MajorMinor, "alpine", ("apk", "alpine"), Comparer::Apk, "Alpine"),
    distro("amazon linux ", Major, "amazon", ("rpm", "amazon"), Comparer::Rpm, "Amazon Linux"),
    distro(
        "Azure Linux ",
        MajorMinor,
        "azurelinux",
        ("rpm", "azurelinux"),
        Comparer::Rpm,
        "Azure Linux",
    ),
    distro(
        "bottlerocket",
        Release::None,
        "bottlerocket",
        ("rpm", "bottlerocket"),
        Comparer::Rpm,
        "Bottlerocket",
    ),
    distro(
        "CBL-Mariner ",
        MajorMinor,
        "cbl-mariner",
        ("rpm", "cbl-mariner"),
        Comparer::Rpm,
        "CBL-Mariner",
    ),
    distro(
        "chainguard",
        Release::None,
        "chainguard",
        ("apk", "chainguard"),
        Comparer::Apk,
        "Chainguard",
    ),
    distro("debian ", Major, "debian", ("deb", "debian"), Comparer::Deb, "Debian"),
    distro("echo", Release::None, "echo", ("deb", "echo"), Comparer::Deb, "Echo"),
    distro("minimos", Release::None, "minimos", ("apk", "minimos"), Comparer::Apk, "MinimOS"),
    distro("openSUSE Leap Micro ", MajorMinor, "", ("rpm", "opensuse"), Comparer::Rpm, "openSUSE"),
    distro(
        "openSUSE Leap ",
        MajorMinor,
        "opensuse-leap",
        ("rpm", "opensuse"),
        Comparer::Rpm,
        "openSUSE",
    ),
    distro(
        "openSUSE Tumbleweed",
        Release::None,
        "opensuse-tumbleweed",
        ("rpm", "opensuse"),
        Comparer::Rpm,
        "openSUSE",
    ),
    distro("Oracle Linux ", Major, "oracle", ("rpm", "oracle"), Comparer::Rpm, "Oracle Linux"),
    distro("Photon OS ", MajorMinor, "photon", ("rpm", "photon"), Comparer::Rpm, "Photon OS"),
    distro("rocky ", Major, "rocky", ("rpm", "rocky"), Comparer::Rpm, "Rocky Linux"),
    distro(
        "SUSE Linux Enterprise Micro ",
        MajorMinor,
        "slem",
        ("rpm", "suse"),
        Comparer::Rpm,
        "SUSE",
    ),
    distro("SUSE Linux Enterprise ", Service, "sles", ("rpm", "suse"), Comparer::Rpm, "SUSE"),
    distro("ubuntu ", MajorMinor, "ubuntu", ("deb", "ubuntu"), Comparer::Deb, "Ubuntu"),
    distro("wolfi", Release::None, "wolfi", ("apk", "wolfi"), Comparer::Apk, "Wolfi"),
];

const fn language(prefix: &'static str, ecosystem: &'static str, purl: &'static str) -> Language {
    Language { prefix, ecosystem, purl, since: (0, 0, 0) }
}

const fn distro(
    prefix: &'static str,
    release: Release,
    family: &'static str,
    purl: (&'static str, &'static str),
    comparer: Comparer,
    ecosystem: &'static str,
) -> Distribution {
    Distribution { prefix, release, family, purl, comparer, ecosystem }
}

impl Distribution {
    /// The first version of Trivy that knows its systems, of those that databases are for.
    pub(super) fn since(&self) -> TrivyVersion {
        match self.family {
            "echo" | "minimos" => (0, 63, 0),
            _ => (0, 0, 0),
        }
    }

    /// The first that looks for its module streams.
    pub(super) fn streams_since(&self) -> TrivyVersion {
        match self.family {
            "rocky" => (0, 69, 3),
            _ => self.since(),
        }
    }
}

impl Bucket {
    /// The bucket at the top with a name; `None` if Trivy looks into none of that name.
    pub(super) fn named(name: &str) -> Option<Bucket> {
        match name {
            VULNERABILITIES => return Some(Bucket::Vulnerabilities),
            SOURCES => return Some(Bucket::Sources),
            RED_HAT_CPE => return Some(Bucket::RedHatCpe),
            RED_HAT => return Some(Bucket::RedHat),
            _ => {}
        }
        if let Some((prefix, source)) = name.split_once("::") {
            let language = LANGUAGES.iter().find(|language| language.prefix == prefix)?;
            return (!source.is_empty()).then_some(Bucket::Language(language));
        }
        let distribution = DISTRIBUTIONS.iter().find(|known| name.starts_with(known.prefix))?;
        let release = &name[distribution.prefix.len()..];
        distribution.release.takes(release).then_some(Bucket::Distribution(distribution))
    }

    /// Whether its rows are advisories.
    pub(super) fn has_advisories(self) -> bool {
        matches!(self, Bucket::RedHat | Bucket::Language(_) | Bucket::Distribution(_))
    }

    /// Whether it holds a bucket of this name. Advisories lie in buckets by package.
    pub(super) fn holds_bucket(self, name: &str) -> bool {
        match self {
            Bucket::Vulnerabilities | Bucket::Sources => false,
            Bucket::RedHatCpe => ["cpe", "nvr", "repository"].contains(&name),
            Bucket::RedHat | Bucket::Language(_) | Bucket::Distribution(_) => true,
        }
    }

    /// What the values are made of, at the top or in a bucket within it; `None` if there are none.
    pub(super) fn shape(self, within: Option<&str>) -> Option<&'static Shape> {
        Some(match (self, within) {
            (Bucket::Vulnerabilities, None) => &schema::VULNERABILITY,
            (Bucket::Sources, None) => &schema::DATA_SOURCE,
            (Bucket::RedHatCpe, Some("cpe")) => &schema::CPE_NAME,
            (Bucket::RedHatCpe, Some(_)) => &schema::CPE_INDICES,
            (Bucket::RedHat, Some(_)) => &schema::RED_HAT,
            (Bucket::Language(_), Some(_)) => &schema::LANGUAGE,
            (Bucket::Distribution(_), Some(_)) => &schema::DISTRIBUTION,
            _ => return None,
        })
    }
}

impl Release {
    fn takes(self, release: &str) -> bool {
        let number = |text: &str| {
            (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let release = release.strip_suffix("-ESM").unwrap_or(release);
        match (self, release.split_once('.')) {
            (Release::None, None) => release.is_empty(),
            (Major | Service, None) => number(release),
            (MajorMinor | Service, Some((major, minor))) => number(major) && number(minor),
            (MajorMinor, None) => release == "edge",
            _ => false,
        }
    }
}

/// The name under which the coverage of a bundle tells of the packages of a package URL, if they are
/// of a language; `None` for those of distributions and of anything that no scanner knows.
///
/// # Examples
/// ```
/// assert_eq!(stella_verify::language_of_purl("pkg:gem/rails@5"), Some("RubyGems"));
/// assert_eq!(stella_verify::language_of_purl("pkg:deb/debian/curl@7"), None);
/// ```
#[must_use]
pub fn language_of_purl(purl: &str) -> Option<&'static str> {
    let kind = purl.strip_prefix("pkg:")?.trim_start_matches('/').split('/').next()?;
    let known = |language: &&Language| language.purl.eq_ignore_ascii_case(kind);
    LANGUAGES.iter().find(known).map(|language| language.ecosystem)
}

/// The bucket of a release of a distribution, and the name under which the coverage of a bundle tells of the
/// distribution where it has none of its releases. The distribution is named as a package URL, its qualifier `distro`
/// or an operating system's component name it; the release may have more parts than the bucket.
///
/// # Examples
/// ```
/// use stella_verify::bucket_of_release;
/// assert_eq!(bucket_of_release("debian", "12.5"), Some(("debian 12".to_owned(), "Debian")));
/// assert_eq!(bucket_of_release("wolfi", "20230201"), Some(("wolfi".to_owned(), "Wolfi")));
/// assert_eq!(bucket_of_release("plan9", "4"), None);
/// ```
#[must_use]
pub fn bucket_of_release(distribution: &str, release: &str) -> Option<(String, &'static str)> {
    let name = distribution.to_ascii_lowercase();
    let name =
        OTHER_NAMES.iter().find(|(other, _)| *other == name).map_or(&name[..], |pair| pair.1);
    let known = DISTRIBUTIONS.iter().find(|known| !known.family.is_empty() && known.family == name);
    let Some(known) = known else {
        // Red Hat's advisories lie in one bucket for all releases.
        return ["redhat", "rhel", "centos"].contains(&name).then(|| (RED_HAT.to_owned(), RED_HAT));
    };
    let parts = match known.release {
        Release::None => 0,
        Major => 1,
        MajorMinor | Service => 2,
    };
    let release: Vec<&str> = release.trim_start_matches('v').split('.').take(parts).collect();
    Some((format!("{}{}", known.prefix, release.join(".")), known.ecosystem))
}

/// Names of distributions that tools give them, and Trivy's.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("almalinux", "alma"),
    ("amzn", "amazon"),
    ("mariner", "cbl-mariner"),
    ("ol", "oracle"),
    ("oraclelinux", "oracle"),
    ("opensuse", "opensuse-leap"),
    ("opensuse.leap", "opensuse-leap"),
    ("opensuse.tumbleweed", "opensuse-tumbleweed"),
    ("rocky-linux", "rocky"),
    ("rockylinux", "rocky"),
    ("suse", "sles"),
    ("suse linux enterprise server", "sles"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_that_trivy_looks_into() {
        for name in [
            "vulnerability",
            "data-source",
            "Red Hat CPE",
            "Red Hat",
            "npm::GitHub Security Advisory npm",
            "pip::Acme::Own",
            "alma 9",
            "debian 12",
            "ubuntu 22.04",
            "ubuntu 18.04-ESM",
            "alpine 3.18",
            "alpine edge",
            "wolfi",
            "SUSE Linux Enterprise 15.5",
            "SUSE Linux Enterprise 15",
            "SUSE Linux Enterprise Micro 5.3",
            "openSUSE Leap 15.5",
            "openSUSE Leap Micro 5.5",
            "openSUSE Tumbleweed",
            "Photon OS 5.0",
        ] {
            assert!(Bucket::named(name).is_some(), "{name}");
        }
        for name in [
            "",
            "npm",
            "npm::",
            "nodejs::x",
            "Debian 12",
            "debian 12.5",
            "debian",
            "debian sid",
            "alma 9.3",
            "alpine 3",
            "wolfi 1",
            "ubuntu 22",
            "rocky",
            "trivy",
            "vulnerability-detail",
        ] {
            assert_eq!(Bucket::named(name), None, "{name}");
        }
    }

    #[test]
    fn systems_come_to_their_buckets_whatever_tools_call_them() {
        for (name, release, bucket) in [
            ("debian", "12", "debian 12"),
            ("almalinux", "9.3", "alma 9"),
            ("alpine", "3.18.4", "alpine 3.18"),
            ("alpine", "v3.18", "alpine 3.18"),
            ("ubuntu", "22.04", "ubuntu 22.04"),
            ("rhel", "9.2", "Red Hat"),
            ("sles", "15.5", "SUSE Linux Enterprise 15.5"),
            ("opensuse-tumbleweed", "20240101", "openSUSE Tumbleweed"),
            ("Amzn", "2023", "amazon linux 2023"),
        ] {
            let found = bucket_of_release(name, release).expect(name);
            assert_eq!(found.0, bucket, "{name} {release}");
            assert!(Bucket::named(&found.0).is_some(), "{}", found.0);
        }
    }
}
