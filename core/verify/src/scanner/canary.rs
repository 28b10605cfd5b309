//! Packages with which a scanner is tried: some that the database calls vulnerable, and the same
//! packages in versions that it does not.
//!
//! What exit codes of a scanner say of its database is not worth much: an empty one is scanned with
//! success. So a scanner that has loaded the database must find what was planted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use stella_versions::trivy::{Comparer, Constraint};

use super::buckets::{Bucket, Distribution, Language};
use crate::report::Problem;

/// Packages that are planted for each ecosystem or release of a distribution.
const PACKAGES: usize = 3;

/// Ecosystems and releases that are tried at most; a database of all distributions has some fifty.
const SCANS: usize = 256;

/// Packages to try a scanner with, chosen by the database alone: equal databases, equal canaries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Canary {
    scans: Vec<CanaryScan>,
    skipped: Vec<String>,
}

/// One scan: the packages of all languages together, or those of one release of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryScan {
    /// `languages`, or the name of the bucket.
    name: String,
    /// Trivy's name of the system and its release.
    system: Option<(&'static str, String)>,
    planted: Vec<Planted>,
    /// The first version of Trivy that knows the system.
    since: (u64, u64),
}

/// A package of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Planted {
    reference: String,
    name: String,
    version: String,
    purl: String,
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

    /// The canary without what a version of Trivy, by its first two numbers, does not know yet.
    #[must_use]
    pub fn known_to(&self, version: (u64, u64)) -> Canary {
        let (known, unknown): (Vec<_>, Vec<_>) =
            self.scans.iter().cloned().partition(|scan| scan.since <= version);
        let mut skipped = self.skipped.clone();
        skipped.extend(unknown.into_iter().map(|scan| scan.name));
        skipped.sort_unstable();
        Canary { scans: known, skipped }
    }

    /// Ecosystems and releases with advisories of which none could be planted.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
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
        components.extend(self.planted.iter().map(|planted| {
            json!({
                "bom-ref": planted.reference,
                "type": "library",
                "name": planted.name,
                "version": planted.version,
                "purl": planted.purl,
            })
        }));
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
    /// What was picked, by ecosystem or bucket.
    groups: BTreeMap<String, Group>,
}

#[derive(Debug)]
struct Group {
    bucket: Bucket,
    packages: BTreeSet<String>,
    planted: Vec<Pick>,
}

/// A package and its versions.
#[derive(Debug)]
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
        let group = match bucket {
            Bucket::Language(language) => language.prefix,
            Bucket::Distribution(_) | Bucket::RedHat => top,
            _ => return,
        };
        if !self.groups.contains_key(group) {
            if self.groups.len() == SCANS {
                return;
            }
            let group_of = Group { bucket, packages: BTreeSet::new(), planted: Vec::new() };
            self.groups.insert(group.to_owned(), group_of);
        }
        let Some(group) = self.groups.get_mut(group) else { return };
        if group.planted.len() == PACKAGES || group.packages.contains(package) {
            return;
        }
        if !is_plain(package) || !is_plain(id) {
            return;
        }
        let Ok(advisory) = serde_json::from_slice::<Advisory>(advisory) else { return };
        let versions = match bucket {
            Bucket::Language(language) if language.planted => of_ranges(language, &advisory),
            Bucket::Distribution(distribution) => of_fix(distribution, top, &advisory),
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
        let scan = |name: &str, system, since| CanaryScan {
            name: name.to_owned(),
            system,
            planted: Vec::new(),
            since,
        };
        let mut languages = scan("languages", None, (0, 0));
        let mut canary = Canary::default();
        let mut systems = Vec::new();
        for (name, group) in self.groups {
            if group.planted.is_empty() {
                canary.skipped.push(name);
                continue;
            }
            match group.bucket {
                Bucket::Language(language) => {
                    languages.plant(&group.planted, &|pick, version| {
                        language_purl(language, &pick.name, version)
                    });
                }
                Bucket::Distribution(distribution) => {
                    let release = name[distribution.prefix.len()..].to_owned();
                    let system = Some((distribution.family, release));
                    let mut scan = scan(&name, system, distribution.since());
                    scan.plant(&group.planted, &|pick, version| {
                        system_purl(distribution, &pick.name, version)
                    });
                    systems.push(scan);
                }
                _ => {}
            }
        }
        let languages = (!languages.planted.is_empty()).then_some(languages);
        canary.scans = languages.into_iter().chain(systems).collect();
        canary
    }
}

impl CanaryScan {
    fn plant(&mut self, picks: &[Pick], purl: &dyn Fn(&Pick, &str) -> String) {
        for pick in picks {
            let vulnerable = Some((&pick.vulnerable, true));
            let unaffected = pick.unaffected.as_ref().map(|version| (version, false));
            for (version, vulnerable) in vulnerable.into_iter().chain(unaffected) {
                self.planted.push(Planted {
                    reference: format!("planted-{}", self.planted.len()),
                    name: pick.name.clone(),
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
    // Modules of distributions are told otherwise than by a package URL.
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

/// A vulnerable version of a row with a fix, and the version with the fix.
fn of_fix(
    distribution: &Distribution,
    bucket: &str,
    advisory: &Advisory,
) -> Option<(String, Option<String>)> {
    let rolling = bucket.ends_with("edge") || bucket.ends_with("-ESM");
    let fixed = advisory.fixed_version.as_str();
    let plain = fixed.bytes().all(|b| b.is_ascii_alphanumeric() || b".:~+_-".contains(&b));
    // Rows with entries hold for some architectures; packages of modules are skipped by Trivy.
    if distribution.family.is_empty()
        || rolling
        || fixed.is_empty()
        || !plain
        || fixed.contains("module")
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
        "maven" => name.replacen(':', "/", 1),
        _ => name.to_owned(),
    };
    let path: Vec<String> = path.split('/').map(encode).collect();
    format!("pkg:{}/{}@{}", language.purl, path.join("/"), encode(version))
}

/// The package URL of a package of a distribution. The epoch of an RPM is a qualifier.
fn system_purl(distribution: &Distribution, name: &str, version: &str) -> String {
    let (kind, namespace) = distribution.purl;
    let (epoch, version) = match version.split_once(':') {
        Some((epoch, version)) if kind == "rpm" => (format!("&epoch={epoch}"), version),
        _ => (String::new(), version),
    };
    let arch = match kind {
        "deb" => "amd64",
        _ => "x86_64",
    };
    format!("pkg:{kind}/{namespace}/{}@{}?arch={arch}{epoch}", encode(name), encode(version))
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
            ("julia::x", "a", r#"{"VulnerableVersions":["<1.0.0"]}"#, &[]),
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
            ("alma 8", "nodejs:18::nodejs", r#"{"FixedVersion":"1-1"}"#, &[]),
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

    #[test]
    fn a_scanner_is_not_asked_for_systems_that_came_after_it() {
        let fix = r#"{"FixedVersion":"1-1"}"#;
        let canary = canary(&[("debian 12", "a", "CVE-1", fix), ("echo", "a", "CVE-1", fix)]);
        let names = |canary: &Canary| -> Vec<String> {
            canary.scans().iter().map(|scan| scan.name().to_owned()).collect()
        };
        assert_eq!(names(&canary.known_to((0, 63))), ["debian 12", "echo"]);
        let old = canary.known_to((0, 62));
        assert_eq!(
            (names(&old), old.skipped()),
            (vec!["debian 12".to_owned()], &["echo".to_owned()][..])
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
