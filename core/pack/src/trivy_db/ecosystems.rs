//! The mapping from OSV ecosystems to the buckets that Trivy reads: the one table.
//!
//! What is not in it, Trivy does not scan. How a bucket is named, which name of a package is its
//! key, how its versions compare and what a row of it can say are facts about Trivy
//! (docs/modules/export-center/trivy-adapter.md repeats the table and gives the sources).

use std::borrow::Cow;

use stella_versions::Scheme;
use stella_versions::trivy::Comparer;

/// How the packages of a language are found in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// The ecosystem as OSV names it.
    pub osv: &'static str,
    /// What begins the names of its buckets, before `::`.
    pub prefix: &'static str,
    /// How Trivy compares its versions.
    pub comparer: Comparer,
    /// How the name of a package becomes a key.
    pub names: Names,
    /// How GitHub's advisory database calls the ecosystem.
    pub github: &'static str,
}

/// How the name of a package becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As it is.
    Kept,
    /// In lower case.
    Lower,
    /// In lower case, and as it is: Trivy before 0.67 looks that up.
    LowerAndKept,
    /// In lower case, with `-` for `_`.
    Pip,
    /// Without `https://` and `.git`.
    Swift,
}

/// The languages.
pub const LANGUAGES: &[Language] = &[
    language("npm", "npm", Comparer::Npm, Names::Lower, "npm"),
    language("PyPI", "pip", Comparer::Pep440, Names::Pip, "pip"),
    language("Go", "go", Comparer::Generic, Names::Kept, "Go"),
    language("crates.io", "cargo", Comparer::Generic, Names::Lower, "Rust"),
    language("Maven", "maven", Comparer::Maven, Names::Lower, "Maven"),
    language("RubyGems", "rubygems", Comparer::RubyGems, Names::Lower, "RubyGems"),
    language("Packagist", "composer", Comparer::Generic, Names::Lower, "Composer"),
    language("NuGet", "nuget", Comparer::Generic, Names::LowerAndKept, "NuGet"),
    language("Hex", "erlang", Comparer::Generic, Names::Lower, "Erlang"),
    language("Pub", "pub", Comparer::Generic, Names::Lower, "Pub"),
    language("SwiftURL", "swift", Comparer::Generic, Names::Swift, "Swift"),
    language("CocoaPods", "cocoapods", Comparer::RubyGems, Names::Kept, "Swift"),
    language("ConanCenter", "conan", Comparer::Generic, Names::Lower, "Conan"),
    language("Bitnami", "bitnami", Comparer::Bitnami, Names::Lower, "Bitnami"),
    language("Kubernetes", "k8s", Comparer::Generic, Names::Lower, "Kubernetes"),
    language("Julia", "julia", Comparer::Generic, Names::Kept, "Julia"),
];

/// How the packages of a distribution are found in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution {
    /// The ecosystem as OSV names it, without the release.
    pub osv: &'static str,
    /// How its release becomes the name of a bucket.
    pub release: Release,
    /// How its versions compare.
    pub scheme: Scheme,
    /// What a row can say besides the version with the fix.
    pub can_say: CanSay,
    /// Under which ids its rows lie.
    pub ids: Ids,
    /// Which packages its rows are about.
    pub packages: Packages,
    /// Whether packages of module streams are found as `module:stream::name`.
    pub modules: bool,
    /// Id, name and address of its data source, as Trivy knows it.
    pub source: (&'static str, &'static str, &'static str),
}

impl Distribution {
    /// Its place among the distributions.
    pub(super) fn number(&self) -> u8 {
        let place = DISTRIBUTIONS.iter().position(|known| known.osv == self.osv);
        place.unwrap_or_default() as u8
    }
}

/// What a row of a distribution can say besides the version with the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanSay {
    /// That no version has a fix.
    pub unfixed: bool,
    /// From which version on a package is vulnerable.
    pub introduced: bool,
}

/// Which packages the rows of a distribution are about: those that a scanner looks up. Advisories of
/// some distributions name others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// Those that advisories name, source or binary.
    Named,
    /// Binary packages, which advisories list beside the source package that they name.
    Listed,
    /// Binary packages, of which advisories name the source package alone.
    Untold,
}

/// Under which ids the rows of a distribution lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// The CVE ids that an advisory is about.
    Cves,
    /// The advisory's own id.
    Notice,
}

/// How the release of a distribution becomes the name of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// There are none: the name is the bucket.
    Rolling(&'static str),
    /// The number up to the first dot, after a prefix.
    Major(&'static str),
    /// The first two parts of the number, after a prefix.
    MajorMinor(&'static str),
    /// Ubuntu's: `22.04`, `22.04:LTS`, `Pro:18.04:LTS`.
    Ubuntu,
    /// SUSE's and openSUSE's product names.
    Suse,
}

const FIX_ONLY: CanSay = CanSay { unfixed: false, introduced: false };
const UNFIXED: CanSay = CanSay { unfixed: true, introduced: false };
const ALL: CanSay = CanSay { unfixed: true, introduced: true };

/// The distributions. Red Hat is not among them: its rows come from CSAF.
pub const DISTRIBUTIONS: &[Distribution] = &[
    Distribution {
        osv: "AlmaLinux",
        release: Release::Major("alma "),
        scheme: Scheme::Rpm,
        can_say: FIX_ONLY,
        ids: Ids::Cves,
        packages: Packages::Named,
        modules: true,
        source: ("alma", "AlmaLinux Product Errata", "https://errata.almalinux.org/"),
    },
    Distribution {
        osv: "Alpine",
        release: Release::MajorMinor("alpine "),
        scheme: Scheme::Apk,
        can_say: ALL,
        ids: Ids::Cves,
        packages: Packages::Named,
        modules: false,
        source: ("alpine", "Alpine Secdb", "https://secdb.alpinelinux.org/"),
    },
    Distribution {
        osv: "Chainguard",
        release: Release::Rolling("chainguard"),
        scheme: Scheme::Apk,
        can_say: FIX_ONLY,
        ids: Ids::Cves,
        packages: Packages::Named,
        modules: false,
        source: (
            "chainguard",
            "Chainguard Security Data",
            "https://packages.cgr.dev/chainguard/security.json",
        ),
    },
    Distribution {
        osv: "Debian",
        release: Release::Major("debian "),
        scheme: Scheme::Deb,
        can_say: UNFIXED,
        ids: Ids::Cves,
        packages: Packages::Named,
        modules: false,
        source: (
            "debian",
            "Debian Security Tracker",
            "https://salsa.debian.org/security-tracker-team/security-tracker",
        ),
    },
    Distribution {
        osv: "Echo",
        release: Release::Rolling("echo"),
        scheme: Scheme::Deb,
        can_say: UNFIXED,
        ids: Ids::Cves,
        packages: Packages::Named,
        modules: false,
        source: ("echo", "Echo", "https://advisory.echohq.com/data.json"),
    },
    Distribution {
        osv: "MinimOS",
        release: Release::Rolling("minimos"),
        scheme: Scheme::Apk,
        can_say: FIX_ONLY,
        ids: Ids::Cves,
        packages: Packages::Named,
        modules: false,
        source: (
            "minimos",
            "MinimOS Security Data",
            "https://packages.mini.dev/advisories/secdb/security.json",
        ),
    },
    Distribution {
        osv: "Rocky Linux",
        release: Release::Major("rocky "),
        scheme: Scheme::Rpm,
        can_say: FIX_ONLY,
        ids: Ids::Cves,
        packages: Packages::Untold,
        modules: true,
        source: ("rocky", "Rocky Linux updateinfo", "https://download.rockylinux.org/pub/rocky/"),
    },
    Distribution {
        osv: "SUSE",
        release: Release::Suse,
        scheme: Scheme::Rpm,
        can_say: FIX_ONLY,
        ids: Ids::Notice,
        packages: Packages::Listed,
        modules: false,
        source: ("suse-cvrf", "SUSE CVRF", "https://ftp.suse.com/pub/projects/security/cvrf/"),
    },
    Distribution {
        osv: "Ubuntu",
        release: Release::Ubuntu,
        scheme: Scheme::Deb,
        can_say: UNFIXED,
        ids: Ids::Cves,
        packages: Packages::Named,
        modules: false,
        source: ("ubuntu", "Ubuntu CVE Tracker", "https://git.launchpad.net/ubuntu-cve-tracker"),
    },
    Distribution {
        osv: "Wolfi",
        release: Release::Rolling("wolfi"),
        scheme: Scheme::Apk,
        can_say: FIX_ONLY,
        ids: Ids::Cves,
        packages: Packages::Named,
        modules: false,
        source: ("wolfi", "Wolfi Secdb", "https://packages.wolfi.dev/os/security.json"),
    },
    Distribution {
        osv: "openSUSE",
        release: Release::Suse,
        scheme: Scheme::Rpm,
        can_say: FIX_ONLY,
        ids: Ids::Notice,
        packages: Packages::Listed,
        modules: false,
        source: ("suse-cvrf", "SUSE CVRF", "https://ftp.suse.com/pub/projects/security/cvrf/"),
    },
];

/// Distributions that Trivy scans and OSV knows, for which no rows are made: with their advisories alone
/// a scanner is blind for them.
pub(super) const NOT_MAPPED: &[&str] = &["Azure Linux", "Photon OS"];

/// Where the rows of an ecosystem go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A language.
    Language(&'static Language),
    /// A release of a distribution, by the name of its bucket.
    Distribution(&'static Distribution, String),
}

/// Why an ecosystem has no place in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTarget {
    /// Trivy does not scan it, or its rows come from another format.
    Ecosystem,
    /// Trivy scans it, and no row is made for it.
    NotMapped,
    /// The release is missing or in no form that is known.
    Release,
}

/// Where the rows of an ecosystem go, named as OSV names it, release and all.
///
/// # Errors
/// [`NoTarget`].
pub fn target(ecosystem: &str) -> Result<Target, NoTarget> {
    let (name, rest) = match ecosystem.split_once(':') {
        Some((name, rest)) => (name, Some(rest)),
        None => (ecosystem, None),
    };
    // What follows the name of a language is the registry that it comes from.
    let same = |known: &str| known.eq_ignore_ascii_case(name);
    if let Some(language) = LANGUAGES.iter().find(|language| same(language.osv)) {
        return Ok(Target::Language(language));
    }
    let distribution = DISTRIBUTIONS.iter().find(|distribution| distribution.osv == name);
    let not_mapped = || match NOT_MAPPED.contains(&name) {
        true => NoTarget::NotMapped,
        false => NoTarget::Ecosystem,
    };
    let distribution = distribution.ok_or_else(not_mapped)?;
    let bucket = distribution.release.bucket(distribution.osv, rest).ok_or(NoTarget::Release)?;
    Ok(Target::Distribution(distribution, bucket))
}

impl Release {
    /// Whether a bucket is that of a release of the distribution.
    pub(super) fn is_bucket(self, bucket: &str, distribution: &str) -> bool {
        match self {
            Release::Rolling(name) => bucket == name,
            Release::Major(prefix) | Release::MajorMinor(prefix) => bucket.starts_with(prefix),
            Release::Ubuntu => bucket.starts_with("ubuntu "),
            Release::Suse => bucket.starts_with(distribution) && bucket != distribution,
        }
    }

    fn bucket(self, distribution: &str, release: Option<&str>) -> Option<String> {
        match self {
            Release::Rolling(bucket) => Some(bucket.to_owned()),
            Release::Major(prefix) => {
                let number = parts(release?, 1)?;
                Some(format!("{prefix}{number}"))
            }
            Release::MajorMinor(prefix) => {
                let release = release?;
                if release == "edge" {
                    return Some(format!("{prefix}edge"));
                }
                let number = parts(release.strip_prefix('v').unwrap_or(release), 2)?;
                Some(format!("{prefix}{number}"))
            }
            Release::Ubuntu => ubuntu(release?),
            Release::Suse => suse(distribution, release?),
        }
    }
}

/// The first so many parts of a dotted number.
fn parts(release: &str, count: usize) -> Option<String> {
    let parts: Vec<&str> = release.split('.').take(count).collect();
    let number = |part: &&str| {
        !part.is_empty() && part.len() <= 6 && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    (parts.len() == count && parts.iter().all(number)).then(|| parts.join("."))
}

fn ubuntu(release: &str) -> Option<String> {
    let release = release.strip_suffix(":LTS").unwrap_or(release);
    let (release, maintained) = match release.strip_prefix("Pro:") {
        Some(release) => (release, "-ESM"),
        None => (release, ""),
    };
    let number = parts(release, 2)?;
    (number == release).then(|| format!("ubuntu {number}{maintained}"))
}

fn suse(distribution: &str, product: &str) -> Option<String> {
    if distribution == "openSUSE" {
        if product == "Tumbleweed" {
            return Some("openSUSE Tumbleweed".to_owned());
        }
        let (family, number) = ["Leap Micro ", "Leap "]
            .into_iter()
            .find_map(|family| Some((family, product.strip_prefix(family)?)))?;
        let exact = parts(number, 2)? == number;
        return exact.then(|| format!("openSUSE {family}{number}"));
    }
    let product = product.strip_prefix("Linux Enterprise ")?;
    if let Some(number) = product.strip_prefix("Micro ") {
        let exact = parts(number, 2)? == number;
        return exact.then(|| format!("SUSE Linux Enterprise Micro {number}"));
    }
    // Server, Desktop and the modules that both have: one bucket a service pack.
    let rest = SUSE_PRODUCTS.iter().find_map(|name| product.strip_prefix(name))?;
    let (version, pack) = match rest.split_once(" SP") {
        Some((version, pack)) => (version, Some(pack)),
        None => (rest, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match pack {
        None => digits(version).then(|| format!("SUSE Linux Enterprise {version}")),
        Some(pack) => (digits(version) && digits(pack))
            .then(|| format!("SUSE Linux Enterprise {version}.{pack}")),
    }
}

/// Products of SUSE Linux Enterprise whose packages an installed system may have, with the space
/// before the version.
const SUSE_PRODUCTS: &[&str] = &[
    "Server ",
    "Desktop ",
    "High Performance Computing ",
    "Module for Basesystem ",
    "Module for Containers ",
    "Module for Desktop Applications ",
    "Module for Development Tools ",
    "Module for Legacy ",
    "Module for Python 3 ",
    "Module for Server Applications ",
    "Module for Web and Scripting ",
    "Software Development Kit ",
    "Workstation Extension ",
];

impl Names {
    /// The keys under which a package lies.
    pub fn keys(self, name: &str) -> impl Iterator<Item = Cow<'_, str>> {
        let lower = || match name.bytes().any(|byte| byte.is_ascii_uppercase()) || !name.is_ascii()
        {
            true => Cow::Owned(name.to_lowercase()),
            false => Cow::Borrowed(name),
        };
        let first = match self {
            Names::Kept => Cow::Borrowed(name),
            Names::Lower | Names::LowerAndKept => lower(),
            Names::Pip => match name.contains('_') {
                true => Cow::Owned(lower().replace('_', "-")),
                false => lower(),
            },
            Names::Swift => {
                let bare = name.strip_prefix("https://").unwrap_or(name);
                Cow::Borrowed(bare.strip_suffix(".git").unwrap_or(bare))
            }
        };
        let second = (self == Names::LowerAndKept && first != name).then_some(Cow::Borrowed(name));
        std::iter::once(first).chain(second)
    }
}

const fn language(
    osv: &'static str,
    prefix: &'static str,
    comparer: Comparer,
    names: Names,
    github: &'static str,
) -> Language {
    Language { osv, prefix, comparer, names, github }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(ecosystem: &str) -> Result<String, NoTarget> {
        target(ecosystem).map(|target| match target {
            Target::Language(language) => format!("{}::", language.prefix),
            Target::Distribution(_, bucket) => bucket,
        })
    }

    #[test]
    fn every_ecosystem_has_its_bucket() {
        for (ecosystem, expected) in [
            ("npm", "npm::"),
            ("PyPI", "pip::"),
            ("Maven:https://repo.example.org/maven2", "maven::"),
            ("SwiftURL", "swift::"),
            ("AlmaLinux:9", "alma 9"),
            ("AlmaLinux:8", "alma 8"),
            ("Alpine:v3.18", "alpine 3.18"),
            ("Alpine:edge", "alpine edge"),
            ("Debian:12", "debian 12"),
            ("Rocky Linux:9", "rocky 9"),
            ("Ubuntu:22.04", "ubuntu 22.04"),
            ("Ubuntu:22.04:LTS", "ubuntu 22.04"),
            ("Ubuntu:Pro:18.04:LTS", "ubuntu 18.04-ESM"),
            ("Wolfi", "wolfi"),
            ("Chainguard", "chainguard"),
            ("openSUSE:Leap 15.5", "openSUSE Leap 15.5"),
            ("openSUSE:Leap Micro 5.5", "openSUSE Leap Micro 5.5"),
            ("openSUSE:Tumbleweed", "openSUSE Tumbleweed"),
            ("SUSE:Linux Enterprise Server 15 SP5", "SUSE Linux Enterprise 15.5"),
            ("SUSE:Linux Enterprise Module for Basesystem 15 SP5", "SUSE Linux Enterprise 15.5"),
            ("SUSE:Linux Enterprise Micro 5.3", "SUSE Linux Enterprise Micro 5.3"),
        ] {
            assert_eq!(bucket(ecosystem).as_deref(), Ok(expected), "{ecosystem}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        for ecosystem in ["OSS-Fuzz", "CRAN", "Red Hat:rhel_eus:9.4::appstream", "", "debian:12"] {
            assert_eq!(bucket(ecosystem), Err(NoTarget::Ecosystem), "{ecosystem}");
        }
        for ecosystem in [
            "Debian",
            "Debian:",
            "Debian:sid",
            "Alpine:v3",
            "Ubuntu:22.04:FIPS",
            "Ubuntu:Pro:FIPS-updates:22.04:LTS",
            "SUSE:Manager Server 4.3",
            "SUSE:Linux Enterprise Live Patching 15 SP5",
            "openSUSE:Backports SLE-15-SP5",
        ] {
            assert_eq!(bucket(ecosystem), Err(NoTarget::Release), "{ecosystem}");
        }
    }

    #[test]
    fn keys_are_those_that_trivy_looks_up() {
        for (names, name, expected) in [
            (Names::Lower, "@Scope/Pkg", &["@scope/pkg"][..]),
            (Names::Lower, "plain", &["plain"]),
            (Names::Pip, "Foo_Bar.baz", &["foo-bar.baz"]),
            (Names::Kept, "github.com/Azure/x", &["github.com/Azure/x"]),
            (Names::LowerAndKept, "Newtonsoft.Json", &["newtonsoft.json", "Newtonsoft.Json"]),
            (Names::LowerAndKept, "lower", &["lower"]),
            (
                Names::Swift,
                "https://github.com/Apple/swift-nio.git",
                &["github.com/Apple/swift-nio"],
            ),
        ] {
            let keys: Vec<_> = names.keys(name).collect();
            assert_eq!(keys, expected, "{name}");
        }
    }
}
