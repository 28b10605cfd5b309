//! Packages of Red Hat to try a scanner with.
//!
//! A row of Red Hat holds for products, and which products a system has follows from its content sets. An SBOM
//! names none, so Trivy takes some for granted: only rows about their products can be planted. The rows come
//! before the list of content sets, so packages are kept for each product until it is there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use stella_versions::trivy::Comparer;

use super::{PACKAGES, Pick, is_fix, is_plain, stream_of};

/// What Trivy takes for granted of a system, by its release.
const CONTENT_SETS: [(&str, [&str; 2]); 4] = [
    ("6", ["rhel-6-server-rpms", "rhel-6-server-extras-rpms"]),
    ("7", ["rhel-7-server-rpms", "rhel-7-server-extras-rpms"]),
    ("8", ["rhel-8-for-x86_64-baseos-rpms", "rhel-8-for-x86_64-appstream-rpms"]),
    ("9", ["rhel-9-for-x86_64-baseos-rpms", "rhel-9-for-x86_64-appstream-rpms"]),
];

/// The bucket within `Red Hat CPE` that has the products of content sets.
const REPOSITORY: &str = "repository";

const ARCH: &str = "x86_64";

/// A version before every fix.
const LEAST: &str = "0-0";

/// Products that packages are kept for, and products of one entry that are looked at; Red Hat has some
/// thousands.
const PRODUCTS: usize = 1 << 14;
const PRODUCTS_OF_ENTRY: usize = 1 << 10;

/// Products of all candidates together.
const PRODUCTS_OF_ALL: usize = 1 << 17;

/// Vulnerabilities of one package whose fixes are remembered until its end.
const VULNERABILITIES: usize = 1 << 16;

/// A package that a scanner finds on systems with any of these products.
#[derive(Debug)]
struct Candidate {
    name: String,
    vulnerability: String,
    products: BTreeSet<u32>,
    /// Whether there is a fix.
    is_fixed: bool,
    /// The version with the last fix, once the package has been gone through.
    unaffected: Option<String>,
}

/// Packages of one release, plain ones or those of module streams.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) release: &'static str,
    pub(super) is_modular: bool,
    pub(super) picks: Vec<Pick>,
}

/// Picks packages while the buckets of Red Hat are walked through.
#[derive(Debug, Default)]
pub(super) struct RedHat {
    candidates: Vec<Candidate>,
    /// Products of all of them together.
    products: usize,
    /// Candidates by product, modular ones apart.
    kept: BTreeMap<(bool, u32), usize>,
    package: Package,
    /// Products of the content sets that Trivy takes for granted, by release.
    granted: BTreeMap<&'static str, BTreeSet<u32>>,
    rows: u64,
}

/// The package whose rows are walked through.
#[derive(Debug, Default)]
struct Package {
    name: String,
    /// The first of its candidates.
    first: usize,
    /// Products that it is a candidate for.
    products: BTreeSet<u32>,
    /// The last fix by vulnerability: a scanner takes the highest.
    fixes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Entry {
    affected: Vec<u32>,
    arches: Vec<String>,
    cves: Vec<Cve>,
    fixed_version: String,
}

#[derive(Deserialize)]
struct Cve {
    #[serde(rename = "ID", default)]
    id: String,
}

impl RedHat {
    /// Looks at a row of a package.
    pub(super) fn take(&mut self, package: &str, id: &str, row: &[u8]) {
        self.rows += 1;
        if self.package.name != package {
            self.close();
            self.package = Package {
                name: package.to_owned(),
                first: self.candidates.len(),
                ..Package::default()
            };
        }
        let Ok(row) = serde_json::from_slice::<Row>(row) else { return };
        for entry in &row.entries {
            self.entry(package, id, entry);
        }
    }

    fn entry(&mut self, package: &str, id: &str, entry: &Entry) {
        // Below the id of a notice lie what it fixes; below that of a vulnerability lies itself.
        let own = [id];
        let notice = entry.cves.iter().map(|cve| cve.id.as_str());
        let ids: Vec<&str> = if id.starts_with("CVE-") { own.to_vec() } else { notice.collect() };
        let fixed = entry.fixed_version.as_str();
        ids.iter().for_each(|id| self.package.fix(id, fixed));
        let holds = entry.arches.is_empty() || entry.arches.iter().any(|arch| arch == ARCH);
        let stream = stream_of(package);
        let named = stream.map_or(package, |(_, name)| name);
        let is_readable = is_plain(named)
            && package.len() <= 200
            && (fixed.is_empty() || is_fix(fixed) && is_before(LEAST, fixed))
            && entry.affected.len() <= PRODUCTS_OF_ENTRY;
        let Some(vulnerability) = ids.first().filter(|id| holds && is_readable && is_plain(id))
        else {
            return;
        };
        let is_modular = stream.is_some();
        let wanted = entry.affected.iter().any(|product| {
            let kept = self.kept.get(&(is_modular, *product)).copied().unwrap_or_default();
            kept < PACKAGES && !self.package.products.contains(product)
        });
        let products = self.products + entry.affected.len();
        if !wanted
            || self.kept.len() + entry.affected.len() > PRODUCTS
            || products > PRODUCTS_OF_ALL
        {
            return;
        }
        self.products = products;
        for product in &entry.affected {
            if self.package.products.insert(*product) {
                *self.kept.entry((is_modular, *product)).or_default() += 1;
            }
        }
        self.candidates.push(Candidate {
            name: package.to_owned(),
            vulnerability: (*vulnerability).to_owned(),
            products: entry.affected.iter().copied().collect(),
            is_fixed: !fixed.is_empty(),
            unaffected: None,
        });
    }

    /// Ends a package: only now it is known which fix is its last.
    fn close(&mut self) {
        let complete = self.package.fixes.len() < VULNERABILITIES;
        for candidate in self.candidates[self.package.first..].iter_mut() {
            let fix = self.package.fixes.get(&candidate.vulnerability);
            let usable = candidate.is_fixed && complete;
            candidate.unaffected = fix.filter(|fix| usable && is_fix(fix)).cloned();
        }
    }

    /// Looks at what is told of a content set.
    pub(super) fn content_set(&mut self, within: &str, name: &str, products: &[u8]) {
        let of = CONTENT_SETS.iter().find(|(_, sets)| sets.contains(&name));
        let Some((release, _)) = of.filter(|_| within == REPOSITORY) else { return };
        let products: Vec<u32> = serde_json::from_slice(products).unwrap_or_default();
        self.granted.entry(release).or_default().extend(products.iter().take(PRODUCTS));
    }

    /// Whether there are rows.
    pub(super) fn has_rows(&self) -> bool {
        self.rows > 0
    }

    /// The packages of each release.
    pub(super) fn finish(mut self) -> Vec<Release> {
        self.close();
        let mut releases = Vec::new();
        for (release, _) in CONTENT_SETS {
            let Some(products) = self.granted.get(release) else { continue };
            for is_modular in [false, true] {
                let mut picks: Vec<Pick> = Vec::new();
                let of = self.candidates.iter().filter(|candidate| {
                    stream_of(&candidate.name).is_some() == is_modular
                        && !candidate.products.is_disjoint(products)
                });
                for candidate in of {
                    let is_new = picks.last().is_none_or(|last| last.name != candidate.name);
                    if is_new && picks.len() < PACKAGES {
                        picks.push(candidate.pick());
                    }
                }
                if !picks.is_empty() {
                    releases.push(Release { release, is_modular, picks });
                }
            }
        }
        releases
    }
}

fn is_before(version: &str, other: &str) -> bool {
    Comparer::Rpm.compare(version, other).is_ok_and(|order| order.is_lt())
}

impl Package {
    /// Takes a fix of a vulnerability.
    fn fix(&mut self, vulnerability: &str, fixed: &str) {
        if fixed.is_empty() || self.fixes.len() == VULNERABILITIES {
            return;
        }
        match self.fixes.get_mut(vulnerability) {
            Some(last) => {
                if is_before(last, fixed) {
                    fixed.clone_into(last);
                }
            }
            None => {
                self.fixes.insert(vulnerability.to_owned(), fixed.to_owned());
            }
        }
    }
}

impl Candidate {
    fn pick(&self) -> Pick {
        Pick {
            name: self.name.clone(),
            vulnerability: self.vulnerability.clone(),
            vulnerable: LEAST.to_owned(),
            unaffected: self.unaffected.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASEOS: &str = "rhel-9-for-x86_64-baseos-rpms";

    fn fixed(cve: &str, products: &[u32], fix: &str) -> String {
        format!(
            r#"{{"Entries":[{{"Affected":{products:?},"Cves":[{{"ID":"{cve}"}}],"FixedVersion":"{fix}"}}]}}"#
        )
    }

    fn unfixed(products: &[u32]) -> String {
        format!(
            r#"{{"Entries":[{{"Affected":{products:?},"Cves":[{{"Severity":1}}],"Status":5}}]}}"#
        )
    }

    /// Release, name, vulnerability and version with the fix of what is planted.
    fn planted(rows: &[(&str, &str, String)], sets: &[(&str, &str)]) -> Vec<String> {
        let mut red_hat = RedHat::default();
        for (package, id, row) in rows {
            red_hat.take(package, id, row.as_bytes());
        }
        for (name, products) in sets {
            red_hat.content_set(REPOSITORY, name, products.as_bytes());
        }
        let mut told = Vec::new();
        for of in red_hat.finish() {
            for pick in of.picks {
                let fix = pick.unaffected.as_deref().unwrap_or("-");
                told.push(format!("{} {} {} {fix}", of.release, pick.name, pick.vulnerability));
            }
        }
        told
    }

    #[test]
    fn packages_are_of_products_that_are_taken_for_granted() {
        let rows = [
            ("bash", "RHSA-1", fixed("CVE-1", &[1], "1-1")),
            ("eus", "RHSA-2", fixed("CVE-2", &[9], "1-1")),
            ("gawk", "CVE-3", unfixed(&[0, 2])),
            ("nodejs:18::nodejs", "RHSA-4", fixed("CVE-4", &[2], "1:18-1")),
        ];
        let sets = [(BASEOS, "[2]"), ("rhel-8-for-x86_64-appstream-rpms", "[1,5]"), ("x", "[9]")];
        assert_eq!(
            planted(&rows, &sets),
            ["8 bash CVE-1 1-1", "9 gawk CVE-3 -", "9 nodejs:18::nodejs CVE-4 1:18-1"]
        );
        assert_eq!(planted(&rows, &[]), [""; 0]);
    }

    #[test]
    fn a_few_packages_are_planted_however_their_products_mix() {
        let rows: Vec<_> = ["a", "b", "c", "d", "e", "f"]
            .iter()
            .zip([&[1][..], &[2], &[1, 2], &[1], &[2], &[3]])
            .map(|(name, products)| (*name, "RHSA-1", fixed("CVE-1", products, "1-1")))
            .collect();
        assert_eq!(
            planted(&rows, &[(BASEOS, "[1,2]")]),
            ["9 a CVE-1 1-1", "9 b CVE-1 1-1", "9 c CVE-1 1-1"]
        );
        assert_eq!(planted(&rows, &[(BASEOS, "[3]")]), ["9 f CVE-1 1-1"]);
    }

    #[test]
    fn the_version_with_the_fix_is_the_last_of_all_notices() {
        let rows = [
            ("a", "RHSA-1", fixed("CVE-1", &[1], "10-1")),
            ("a", "RHSA-2", fixed("CVE-1", &[1, 2], "9-1")),
            ("a", "RHSA-3", fixed("CVE-1", &[2], "1:1-1")),
            ("b", "RHSA-4", fixed("CVE-1", &[1], "2-1")),
        ];
        let sets = [(BASEOS, "[1,2]")];
        assert_eq!(planted(&rows, &sets), ["9 a CVE-1 1:1-1", "9 b CVE-1 2-1"]);
    }

    #[test]
    fn what_no_scanner_reads_alike_is_not_planted() {
        let arm = r#"{"Entries":[{"Affected":[1],"Arches":["aarch64"],"Cves":[{"ID":"CVE-1"}],"FixedVersion":"1-1"}]}"#;
        for (package, id, row) in [
            ("a", "RHSA-1", arm.to_owned()),
            ("a", "RHSA-1", fixed("CVE 1", &[1], "1-1")),
            ("a", "RHSA-1", fixed("CVE-1", &[1], "0-0")),
            ("a", "RHSA-1", fixed("CVE-1", &[1], "1 1")),
            ("a b", "RHSA-1", fixed("CVE-1", &[1], "1-1")),
            ("a", "RHSA-1", "{".to_owned()),
        ] {
            assert_eq!(planted(&[(package, id, row)], &[(BASEOS, "[1]")]), [""; 0]);
        }
    }
}
