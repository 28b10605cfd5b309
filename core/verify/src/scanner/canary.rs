//! Packages with which a scanner is tried: some that the database calls vulnerable, and the same
//! packages in versions that it does not.
//!
//! What exit codes of a scanner say of its database is not worth much: an empty one is scanned with
//! success. So a scanner that has loaded the database must find what was planted.

mod red_hat;
mod skipped;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use stella_versions::trivy::{Comparer, Constraint};

use super::buckets::{Bucket, Distribution, Language};
use crate::report::Problem;
use red_hat::RedHat;

pub use skipped::{SkipReason, Skipped};

/// The numbers of a version of Trivy.
pub type TrivyVersion = (u64, u64, u64);

/// Packages that are planted for each ecosystem or release of a distribution.
const PACKAGES: usize = 3;

/// Ecosystems and releases that are tried at most; a database of all distributions has some fifty.
const SCANS: usize = 256;

/// Packages to try a scanner with, chosen by the database alone: equal databases, equal canaries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Canary {
    scans: Vec<CanaryScan>,
    skipped: Vec<Skipped>,
}

/// One scan: the packages of all languages together, or those of one release of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryScan {
    /// `languages`, or the name of the bucket.
    name: String,
    /// Trivy's name of the system and its release.
    system: Option<(&'static str, String)>,
    planted: Vec<Planted>,
    /// The first version of Trivy that looks for what is planted.
    since: TrivyVersion,
}

/// A package of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Planted {
    reference: String,
    name: String,
    version: String,
    purl: String,
    /// The module stream that it comes from, as a label of RPM.
    stream: Option<String>,
    /// The vulnerability that is to be found, or not to be.
    vulnerability: String,
    vulnerable: bool,
}

/// Why what a scanner printed is no report.
#[derive(Debug, thiserror::Error)]
#[error("the report of the scanner does not read")]
pub struct CanaryError(#[source] serde_json::Error);

/// What became of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CanaryOutcome {
    /// Everything that was planted was found, and nothing else of it.
    Found(String),
    /// Something was not found, or found where it is not.
    Wrong(Vec<Problem>),
    /// There was nothing to plant.
    NothingPlanted(String),
    /// The bundle is not verified, so no scanner was given its database.
    NotTried,
}

impl Canary {
    /// The scans, those of languages first, distributions by name.
    #[must_use]
    pub fn scans(&self) -> &[CanaryScan] {
        &self.scans
    }

    /// The canary without what a version of Trivy does not look for yet.
    #[must_use]
    pub fn known_to(&self, version: TrivyVersion) -> Canary {
        let (known, unknown): (Vec<_>, Vec<_>) =
            self.scans.iter().cloned().partition(|scan| scan.since <= version);
        let mut skipped = self.skipped.clone();
        let skip =
            |scan: CanaryScan| Skipped { reason: SkipReason::Since(scan.since), name: scan.name };
        skipped.extend(unknown.into_iter().map(skip));
        skipped.sort_unstable();
        Canary { scans: known, skipped }
    }

    /// What nothing is planted of, by reason and name.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Number of packages that must be found.
    #[must_use]
    pub fn vulnerable(&self) -> usize {
        self.scans.iter().flat_map(|scan| &scan.planted).filter(|one| one.vulnerable).count()
    }

    /// Number of packages that must not be found.
    #[must_use]
    pub fn unaffected(&self) -> usize {
        self.scans.iter().map(|scan| scan.planted.len()).sum::<usize>() - self.vulnerable()
    }
}

impl CanaryScan {
    /// What it is about: `languages`, or the name of a bucket.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SBOM to scan: CycloneDX 1.5.
    #[must_use]
    pub fn sbom(&self) -> Vec<u8> {
        let mut components: Vec<Value> = Vec::new();
        if let Some((family, release)) = &self.system {
            components.push(json!({
                "bom-ref": "system",
                "type": "operating-system",
                "name": family,
                "version": release,
            }));
        }
        components.extend(self.planted.iter().map(Planted::component));
        let bom = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "component": { "bom-ref": "canary", "type": "application", "name": "canary" },
            },
            "components": components,
        });
        bom.to_string().into_bytes()
    }

    /// Compares the scanner's report, as JSON, with what was planted; what is wrong.
    ///
    /// # Errors
    /// If the report is none.
    pub fn judge(&self, report: &[u8]) -> Result<Vec<Problem>, CanaryError> {
        let report: ScanReport = serde_json::from_slice(report).map_err(CanaryError)?;
        let mut found: BTreeSet<(&str, &str)> = BTreeSet::new();
        for finding in
            report.results.iter().flatten().flat_map(|r| r.vulnerabilities.iter().flatten())
        {
            found.insert((&finding.package.reference, &finding.id));
        }
        let wrong = self.planted.iter().filter(|planted| {
            found.contains(&(planted.reference.as_str(), planted.vulnerability.as_str()))
                != planted.vulnerable
        });
        Ok(wrong.map(|planted| self.problem(planted)).collect())
    }

    fn problem(&self, planted: &Planted) -> Problem {
        let Planted { purl, vulnerability, .. } = planted;
        let (expected, found) = match planted.vulnerable {
            true => (vulnerability.as_str(), "nothing of it"),
            false => ("nothing of it", vulnerability.as_str()),
        };
        let message = match planted.vulnerable {
            true => format!("the scanner misses {purl} ({})", self.name),
            false => format!("the scanner finds {purl}, which is not affected ({})", self.name),
        };
        Problem::new(message).expected(expected, found)
    }
}

impl Planted {
    fn component(&self) -> Value {
        let mut component = json!({
            "bom-ref": self.reference,
            "type": "library",
            "name": self.name,
            "version": self.version,
            "purl": self.purl,
        });
        if let Some(stream) = &self.stream {
            component["properties"] =
                json!([{ "name": "aquasecurity:trivy:Modularitylabel", "value": stream }]);
        }
        component
    }
}

/// What of Trivy's report matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScanReport {
    #[serde(default)]
    results: Option<Vec<ScanResult>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScanResult {
    #[serde(default)]
    vulnerabilities: Option<Vec<ScanFinding>>,
}

#[derive(Deserialize)]
struct ScanFinding {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    #[serde(rename = "PkgIdentifier", default)]
    package: PackageIdentifier,
}

#[derive(Default, Deserialize)]
struct PackageIdentifier {
    #[serde(rename = "BOMRef", default)]
    reference: String,
}

/// Picks packages while the database is walked through.
#[derive(Debug, Default)]
pub(super) struct Picker {
    /// What was picked, by ecosystem or bucket, module streams apart.
    groups: BTreeMap<(String, Streams), Group>,
    red_hat: RedHat,
}

/// Whether a group is of module streams: Trivy may come to them later, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Streams {
    Without,
    Alone,
}

#[derive(Debug)]
struct Group {
    bucket: Bucket,
    packages: BTreeSet<String>,
    planted: Vec<Pick>,
}

/// A package and its versions.
#[derive(Debug, PartialEq, Eq)]
struct Pick {
    name: String,
    vulnerability: String,
    vulnerable: String,
    unaffected: Option<String>,
}

/// The members of an advisory that versions are derived from.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Advisory {
    vulnerable_versions: Vec<String>,
    patched_versions: Vec<String>,
    unaffected_versions: Vec<String>,
    fixed_version: String,
    affected_version: String,
    arches: Vec<String>,
    entries: Vec<serde::de::IgnoredAny>,
}

impl Picker {
    /// Looks at an advisory.
    pub(super) fn take(
        &mut self,
        bucket: Bucket,
        top: &str,
        package: &str,
        id: &str,
        advisory: &[u8],
    ) {
        let name = match bucket {
            Bucket::Language(language) => language.prefix,
            Bucket::Distribution(_) => top,
            Bucket::RedHat => return self.red_hat.take(package, id, advisory),
            Bucket::RedHatCpe => return self.red_hat.content_set(package, id, advisory),
            Bucket::Vulnerabilities | Bucket::Sources => return,
        };
        let stream = match bucket {
            Bucket::Distribution(_) => stream_of(package),
            _ => None,
        };
        let streams = if stream.is_some() { Streams::Alone } else { Streams::Without };
        let key = (name.to_owned(), streams);
        if !self.groups.contains_key(&key) && self.groups.len() == SCANS {
            return;
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            bucket,
            packages: BTreeSet::new(),
            planted: Vec::new(),
        });
        if group.planted.len() == PACKAGES || group.packages.contains(package) {
            return;
        }
        if !is_plain(stream.map_or(package, |(_, name)| name)) || !is_plain(id) {
            return;
        }
        let Ok(advisory) = serde_json::from_slice::<Advisory>(advisory) else { return };
        let versions = match bucket {
            Bucket::Language(language) => of_ranges(language, &advisory),
            Bucket::Distribution(distribution) => of_fix(distribution, streams, &advisory),
            _ => None,
        };
        let Some((vulnerable, unaffected)) = versions else { return };
        group.packages.insert(package.to_owned());
        group.planted.push(Pick {
            name: package.to_owned(),
            vulnerability: id.to_owned(),
            vulnerable,
            unaffected,
        });
    }

    /// The canary of what was picked.
    pub(super) fn finish(self) -> Canary {
        let mut canary = Canary::default();
        let mut languages: BTreeMap<(TrivyVersion, &str), CanaryScan> = BTreeMap::new();
        let mut systems = Vec::new();
        for ((name, streams), group) in self.groups {
            let shown = shown(&name, streams);
            if group.planted.is_empty() {
                let reason = match group.bucket {
                    Bucket::Distribution(known) if known.family.is_empty() => {
                        SkipReason::OutOfReach
                    }
                    _ => SkipReason::NoVersion,
                };
                canary.skipped.push(Skipped { reason, name: shown });
                continue;
            }
            match group.bucket {
                Bucket::Language(language) => {
                    // All that every Trivy looks for is one scan, the others have one of their own.
                    let everywhere = language.since == TrivyVersion::default();
                    let name = if everywhere { "languages" } else { language.prefix };
                    let scan = languages
                        .entry((language.since, name))
                        .or_insert_with(|| CanaryScan::new(name, None, language.since));
                    scan.plant(&group.planted, &|pick, version| {
                        language_purl(language, &pick.name, version)
                    });
                }
                Bucket::Distribution(distribution) => {
                    let release = name[distribution.prefix.len()..].to_owned();
                    let system = Some((distribution.family, release));
                    let since = match streams {
                        Streams::Without => distribution.since(),
                        Streams::Alone => distribution.streams_since(),
                    };
                    let mut scan = CanaryScan::new(&shown, system, since);
                    scan.plant(&group.planted, &|pick, version| {
                        system_purl(distribution.purl, &pick.name, version)
                    });
                    systems.push(scan);
                }
                _ => {}
            }
        }
        let has_red_hat = self.red_hat.has_rows();
        let red_hat = self.red_hat.finish();
        if has_red_hat && red_hat.is_empty() {
            let reason = SkipReason::NoProduct;
            canary.skipped.push(Skipped { reason, name: "Red Hat".to_owned() });
        }
        for of in red_hat {
            let streams = if of.is_modular { Streams::Alone } else { Streams::Without };
            let name = shown(&format!("Red Hat {}", of.release), streams);
            let system = Some(("redhat", of.release.to_owned()));
            let mut scan = CanaryScan::new(&name, system, TrivyVersion::default());
            scan.plant(&of.picks, &|pick, version| {
                system_purl(("rpm", "redhat"), &pick.name, version)
            });
            systems.push(scan);
        }
        canary.skipped.sort_unstable();
        canary.scans = languages.into_values().chain(systems).collect();
        canary
    }
}

/// The name of a group.
fn shown(name: &str, streams: Streams) -> String {
    match streams {
        Streams::Without => name.to_owned(),
        Streams::Alone => format!("{name} modules"),
    }
}

/// The module stream of a key of a package, as `nodejs:18`, and the name of the package.
fn stream_of(key: &str) -> Option<(&str, &str)> {
    key.split_once("::")
}

impl CanaryScan {
    fn new(name: &str, system: Option<(&'static str, String)>, since: TrivyVersion) -> CanaryScan {
        CanaryScan { name: name.to_owned(), system, planted: Vec::new(), since }
    }

    fn plant(&mut self, picks: &[Pick], purl: &dyn Fn(&Pick, &str) -> String) {
        for pick in picks {
            let vulnerable = Some((&pick.vulnerable, true));
            let unaffected = pick.unaffected.as_ref().map(|version| (version, false));
            for (version, vulnerable) in vulnerable.into_iter().chain(unaffected) {
                let stream = self.system.as_ref().and_then(|_| stream_of(&pick.name));
                self.planted.push(Planted {
                    reference: format!("planted-{}", self.planted.len()),
                    name: stream.map_or(&*pick.name, |(_, name)| name).to_owned(),
                    // A label ends with the version and context of the module's build.
                    stream: stream.map(|(stream, _)| format!("{stream}:0:0")),
                    version: version.clone(),
                    purl: purl(pick, version),
                    vulnerability: pick.vulnerability.clone(),
                    vulnerable,
                });
            }
        }
    }
}

/// Names that no step between a package URL and the database has to rewrite.
fn is_plain(name: &str) -> bool {
    !name.contains("::")
        && name.len() <= 200
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"@/._:+-".contains(&b))
}

/// Releases: what every version of every scanner takes for the same.
fn is_release(version: &str) -> bool {
    let number =
        |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (1..=3).contains(&version.split('.').count()) && version.split('.').all(number)
}

/// A vulnerable version of a row of ranges, and one that is not.
fn of_ranges(language: &Language, advisory: &Advisory) -> Option<(String, Option<String>)> {
    let comparer = Comparer::of_ecosystem(language.prefix)?;
    let read = |texts: &[String]| -> Option<Vec<Constraint>> {
        texts.iter().map(|text| comparer.constraint(text).ok()).collect()
    };
    if !advisory.arches.is_empty() {
        return None;
    }
    let ranges = read(&advisory.vulnerable_versions)?;
    let cleared = [&advisory.patched_versions[..], &advisory.unaffected_versions[..]].concat();
    let cleared = read(&cleared)?;
    if ranges.is_empty() || !ranges.iter().chain(&cleared).all(Constraint::is_read_by_0_59) {
        return None;
    }
    let is_vulnerable = |text: &str| {
        let version = comparer.version(text).ok()?;
        let inside = |list: &[Constraint]| list.iter().any(|c| c.matches(&version) == Some(true));
        Some(inside(&ranges) && !inside(&cleared))
    };
    let (mut within, mut beyond) = (Vec::new(), Vec::new());
    for bound in advisory.vulnerable_versions.iter().flat_map(|text| text.split([',', '|'])) {
        let bound = bound.trim();
        let version = bound.trim_start_matches(['<', '>', '=', ' ']);
        if !is_release(version) {
            continue;
        }
        match bound.starts_with('<') && !bound.starts_with("<=") {
            true => beyond.push(version),
            false => within.push(version),
        }
    }
    let patched = advisory.patched_versions.iter().map(String::as_str).filter(|v| is_release(v));
    let least = ["0.0.1", "0.0.0"];
    let vulnerable = within.into_iter().chain(least).find(|v| is_vulnerable(v) == Some(true))?;
    let unaffected = patched.chain(beyond).find(|v| is_vulnerable(v) == Some(false));
    Some((vulnerable.to_owned(), unaffected.map(str::to_owned)))
}

/// Whether a version with a fix is one that no step to the scanner has to rewrite.
fn is_fix(version: &str) -> bool {
    !version.is_empty()
        && version.bytes().all(|b| b.is_ascii_alphanumeric() || b".:~+_-".contains(&b))
}

/// A vulnerable version of a row with a fix, and the version with the fix.
fn of_fix(
    distribution: &Distribution,
    streams: Streams,
    advisory: &Advisory,
) -> Option<(String, Option<String>)> {
    let fixed = advisory.fixed_version.as_str();
    // Rows with entries hold for some architectures; packages of modules whose stream is not told are
    // skipped by Trivy.
    if distribution.family.is_empty()
        || !is_fix(fixed)
        || (fixed.contains("module") && streams == Streams::Without)
        || !advisory.entries.is_empty()
        || !advisory.arches.is_empty()
    {
        return None;
    }
    let least = match distribution.comparer {
        Comparer::Rpm => "0-0",
        Comparer::Apk => "0-r0",
        _ => "0",
    };
    let vulnerable = match advisory.affected_version.as_str() {
        "" => least,
        affected => affected,
    };
    let order = distribution.comparer.compare(vulnerable, fixed).ok()?;
    order.is_lt().then(|| (vulnerable.to_owned(), Some(fixed.to_owned())))
}

/// The package URL of a package of a language, by its key in the database.
fn language_purl(language: &Language, name: &str, version: &str) -> String {
    let path = match language.prefix {
        "maven" => name.replacen(':', "/", 1).split('/').map(encode).collect::<Vec<_>>().join("/"),
        // The name of a component of Kubernetes has its slash in it.
        "k8s" => encode(name),
        _ => name.split('/').map(encode).collect::<Vec<_>>().join("/"),
    };
    let more = match language.prefix {
        // A package of Julia has an id as well, by which nothing is looked up.
        "julia" => "?uuid=00000000-0000-4000-8000-000000000000",
        _ => "",
    };
    format!("pkg:{}/{path}@{}{more}", language.purl, encode(version))
}

/// The package URL of a package of a distribution. The epoch of an RPM and its module stream are qualifiers.
fn system_purl((kind, namespace): (&str, &str), key: &str, version: &str) -> String {
    let (stream, name) = stream_of(key).map_or((None, key), |(stream, name)| (Some(stream), name));
    let (epoch, version) = match version.split_once(':') {
        Some((epoch, version)) if kind == "rpm" => (format!("&epoch={epoch}"), version),
        _ => (String::new(), version),
    };
    let arch = match kind {
        "deb" => "amd64",
        _ => "x86_64",
    };
    let stream = stream.map(|stream| format!("&modularitylabel={}%3A0%3A0", encode(stream)));
    let more = epoch + &stream.unwrap_or_default();
    format!("pkg:{kind}/{namespace}/{}@{}?arch={arch}{more}", encode(name), encode(version))
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(rows: &[(&str, &str, &str, &str)]) -> Canary {
        let mut picker = Picker::default();
        for (top, package, id, value) in rows {
            let bucket = Bucket::named(top).expect("a bucket");
            picker.take(bucket, top, package, id, value.as_bytes());
        }
        picker.finish()
    }

    #[test]
    fn versions_follow_from_rows() {
        for (top, package, row, purls) in [
            (
                "npm::x",
                "@scope/pkg",
                r#"{"VulnerableVersions":[">=1.0.0, <1.2.3"],"PatchedVersions":["1.2.3"]}"#,
                &["pkg:npm/%40scope/pkg@1.0.0", "pkg:npm/%40scope/pkg@1.2.3"][..],
            ),
            (
                "maven::x",
                "g:a",
                r#"{"VulnerableVersions":["<2"],"PatchedVersions":["2"]}"#,
                &["pkg:maven/g/a@0.0.1", "pkg:maven/g/a@2"],
            ),
            ("go::x", "stdlib", r#"{"VulnerableVersions":[">=0"]}"#, &["pkg:golang/stdlib@0"]),
            ("pip::x", "a", r#"{"VulnerableVersions":["=1.5"]}"#, &["pkg:pypi/a@1.5"]),
            // Nothing that every scanner reads alike.
            ("npm::x", "a", r#"{"VulnerableVersions":["=1.0.0-beta.1"]}"#, &[]),
            ("npm::x", "a", r#"{"VulnerableVersions":[]}"#, &[]),
            ("npm::x", "a b", r#"{"VulnerableVersions":["<1.0.0"]}"#, &[]),
            (
                "julia::x",
                "HTTP",
                r#"{"VulnerableVersions":[">=0"]}"#,
                &["pkg:julia/HTTP@0?uuid=00000000-0000-4000-8000-000000000000"],
            ),
            (
                "k8s::x",
                "k8s.io/apiserver",
                r#"{"VulnerableVersions":["<1.9.4"]}"#,
                &["pkg:k8s/k8s.io%2Fapiserver@0.0.1", "pkg:k8s/k8s.io%2Fapiserver@1.9.4"],
            ),
            (
                "conan::x",
                "zlib",
                r#"{"VulnerableVersions":["<1.2.13"]}"#,
                &["pkg:conan/zlib@0.0.1", "pkg:conan/zlib@1.2.13"],
            ),
            (
                "cocoapods::x",
                "AFNetworking",
                r#"{"VulnerableVersions":["<2.5.3"]}"#,
                &["pkg:cocoapods/AFNetworking@0.0.1", "pkg:cocoapods/AFNetworking@2.5.3"],
            ),
            (
                "alma 9",
                "openssl",
                r#"{"FixedVersion":"1:3.0.7-25.el9"}"#,
                &[
                    "pkg:rpm/alma/openssl@0-0?arch=x86_64",
                    "pkg:rpm/alma/openssl@3.0.7-25.el9?arch=x86_64&epoch=1",
                ],
            ),
            (
                "alpine 3.18",
                "busybox",
                r#"{"FixedVersion":"1.36.1-r1","AffectedVersion":"1.30.0-r0"}"#,
                &[
                    "pkg:apk/alpine/busybox@1.30.0-r0?arch=x86_64",
                    "pkg:apk/alpine/busybox@1.36.1-r1?arch=x86_64",
                ],
            ),
            (
                "debian 12",
                "curl",
                r#"{"FixedVersion":"7.88.1-10+deb12u5"}"#,
                &[
                    "pkg:deb/debian/curl@0?arch=amd64",
                    "pkg:deb/debian/curl@7.88.1-10%2Bdeb12u5?arch=amd64",
                ],
            ),
            ("debian 12", "curl", "{}", &[]),
            (
                "alma 8",
                "nodejs:18::nodejs",
                r#"{"FixedVersion":"1-1.module_el8"}"#,
                &[
                    "pkg:rpm/alma/nodejs@0-0?arch=x86_64&modularitylabel=nodejs%3A18%3A0%3A0",
                    "pkg:rpm/alma/nodejs@1-1.module_el8?arch=x86_64&modularitylabel=nodejs%3A18%3A0%3A0",
                ],
            ),
            (
                "alpine edge",
                "xz",
                r#"{"FixedVersion":"5.6.1-r2"}"#,
                &["pkg:apk/alpine/xz@0-r0?arch=x86_64", "pkg:apk/alpine/xz@5.6.1-r2?arch=x86_64"],
            ),
            (
                "ubuntu 18.04-ESM",
                "curl",
                r#"{"FixedVersion":"7.58+esm2"}"#,
                &["pkg:deb/ubuntu/curl@0?arch=amd64", "pkg:deb/ubuntu/curl@7.58%2Besm2?arch=amd64"],
            ),
            // A build of a module whose stream is not told.
            ("alma 8", "nodejs", r#"{"FixedVersion":"1-1.module_el8"}"#, &[]),
            ("openSUSE Leap Micro 5.5", "curl", r#"{"FixedVersion":"1-1"}"#, &[]),
            ("wolfi", "a", r#"{"FixedVersion":"0"}"#, &[]),
        ] {
            let canary = canary(&[(top, package, "CVE-1", row)]);
            let planted = canary.scans.iter().flat_map(|scan| &scan.planted);
            let found: Vec<&str> = planted.map(|planted| planted.purl.as_str()).collect();
            assert_eq!(found, purls, "{top} {row}");
            assert_eq!(canary.skipped.is_empty(), !purls.is_empty(), "{top} {row}");
        }
    }

    #[test]
    fn a_few_packages_of_each_ecosystem_are_planted() {
        let row = r#"{"VulnerableVersions":["<1.0.0"]}"#;
        let mut rows = Vec::new();
        for name in ["a", "b", "c", "d"] {
            rows.extend([("npm::x", name, "CVE-1", row), ("npm::x", name, "CVE-2", row)]);
        }
        rows.push(("pip::x", "a", "CVE-1", row));
        let canary = canary(&rows);
        assert_eq!(canary.scans().len(), 1);
        assert_eq!((canary.vulnerable(), canary.unaffected()), (4, 4));
    }

    fn names(canary: &Canary) -> Vec<&str> {
        canary.scans().iter().map(CanaryScan::name).collect()
    }

    fn skipped(canary: &Canary) -> Vec<(&str, SkipReason)> {
        canary.skipped().iter().map(|one| (one.name.as_str(), one.reason)).collect()
    }

    #[test]
    fn a_scanner_is_not_asked_for_what_came_after_it() {
        let fix = r#"{"FixedVersion":"1-1"}"#;
        let ranges = r#"{"VulnerableVersions":["<1.0.0"]}"#;
        let canary = canary(&[
            ("debian 12", "a", "CVE-1", fix),
            ("echo", "a", "CVE-1", fix),
            ("rocky 9", "a", "CVE-1", fix),
            ("rocky 9", "acme:3::a", "CVE-1", fix),
            ("npm::x", "a", "CVE-1", ranges),
            ("julia::x", "a", "CVE-1", ranges),
        ]);
        let all = ["languages", "julia", "debian 12", "echo", "rocky 9", "rocky 9 modules"];
        assert_eq!(names(&canary.known_to((0, 76, 0))), all);
        let old = canary.known_to((0, 69, 2));
        assert_eq!(names(&old), ["languages", "debian 12", "echo", "rocky 9"]);
        let (streams, julia) = (SkipReason::Since((0, 69, 3)), SkipReason::Since((0, 76, 0)));
        assert_eq!(skipped(&old), [("rocky 9 modules", streams), ("julia", julia)]);
        assert_eq!(names(&canary.known_to((0, 59, 1))), ["languages", "debian 12", "rocky 9"]);
        assert_eq!(streams.to_string(), "not looked for before Trivy 0.69.3");
    }

    #[test]
    fn what_is_not_planted_has_its_reason() {
        let row = r#"{"Entries":[{"Affected":[7],"Cves":[{"ID":"CVE-1"}],"FixedVersion":"2-1"}]}"#;
        let canary = canary(&[
            ("npm::x", "a", "CVE-1", "{}"),
            ("openSUSE Leap Micro 5.5", "a", "CVE-1", r#"{"FixedVersion":"1-1"}"#),
            ("Red Hat", "a", "RHSA-1", row),
            ("Red Hat CPE", "repository", "rhel-9-for-x86_64-baseos-rpms", "[1]"),
        ]);
        assert_eq!(
            skipped(&canary),
            [
                ("npm", SkipReason::NoVersion),
                ("openSUSE Leap Micro 5.5", SkipReason::OutOfReach),
                ("Red Hat", SkipReason::NoProduct),
            ]
        );
        assert!(canary.scans().is_empty());
    }

    #[test]
    fn the_stream_of_a_module_is_told_as_its_label() {
        let fix = r#"{"FixedVersion":"1-1"}"#;
        let canary = canary(&[("alma 9", "nodejs:18::npm", "CVE-1", fix)]);
        let [scan] = canary.scans() else { panic!("one scan") };
        let sbom: Value = serde_json::from_slice(&scan.sbom()).expect("JSON");
        let component = &sbom["components"][1];
        assert_eq!(component["name"], "npm");
        assert_eq!(
            component["properties"],
            json!([{ "name": "aquasecurity:trivy:Modularitylabel", "value": "nodejs:18:0:0" }])
        );
    }

    #[test]
    fn what_was_planted_must_be_found_and_nothing_else() {
        let row = r#"{"VulnerableVersions":["<1.0.0"]}"#;
        let canary = canary(&[("npm::x", "a", "CVE-1", row)]);
        let [scan] = canary.scans() else { panic!("one scan") };
        let finding = |reference: &str, id: &str| {
            format!(r#"{{"VulnerabilityID":"{id}","PkgIdentifier":{{"BOMRef":"{reference}"}}}}"#)
        };
        let report = |findings: &[String]| {
            let text = format!(r#"{{"Results":[{{"Vulnerabilities":[{}]}}]}}"#, findings.join(","));
            scan.judge(text.as_bytes()).expect("a report").len()
        };
        let (good, bad) = (finding("planted-0", "CVE-1"), finding("planted-1", "CVE-1"));
        assert_eq!(report(std::slice::from_ref(&good)), 0);
        assert_eq!(report(&[finding("planted-0", "CVE-2")]), 1);
        assert_eq!(report(&[good, bad.clone()]), 1);
        assert_eq!(report(&[bad]), 2);
        assert_eq!(scan.judge(b"{\"Results\":null}").expect("a report").len(), 1);
        assert_eq!(scan.judge(b"{}").expect("a report").len(), 1);
        assert!(scan.judge(b"panic: page 3").is_err());
    }
}
