//! Facets: the few facts about a record that selectors ask for, kept beside it in the ledger.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use stella_model::{Instant, RecordId};

use crate::severity::Severity;
use crate::view::{Evidence, FindingView, Package};

/// Version of what facets hold and how they are derived. Stored facets of another version are
/// derived anew from the content.
pub const FACETS_VERSION: u32 = 1;

/// What selectors ask for. Derived from the content alone; never part of a bundle.
///
/// Serializes as compact JSON; absent and empty members are left out. Lists are sorted bytewise
/// and hold nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facets {
    /// When the publisher withdrew the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Instant>,
    /// The worst severity that the record tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The record's id, the ids and aliases of the vulnerabilities that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Ecosystems as OSV names them, with their release where given: `npm`, `AlmaLinux:9`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ecosystems: Vec<String>,
    /// Packages: [purls without version](crate::purl::package), else `ecosystem/name`. Of an SBOM
    /// only what it is about, not what it lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
}

impl Facets {
    /// The facets of a document.
    #[must_use]
    pub fn of(id: &RecordId, evidence: &Evidence<'_>) -> Facets {
        let mut facets = Collector::new(id);
        if let Some(advisory) = evidence.advisory() {
            facets.withdrawn = advisory.withdrawn();
            facets.severity = advisory.severity();
            advisory.each_id(&mut |id| facets.id(id));
            advisory.each_package(&mut |package| facets.package(package));
        } else if let Some(finding) = evidence.finding() {
            facets.finding(finding);
        } else {
            if let Some(vex) = evidence.vex() {
                facets.severity = vex.severity();
                vex.each_id(&mut |id| facets.id(id));
                vex.each_package(&mut |package| facets.package(package));
            }
            if let Some(sbom) = evidence.sbom() {
                sbom.each_subject(&mut |component| facets.package(component.package()));
            }
        }
        facets.finish()
    }

    pub(crate) fn of_finding(id: &RecordId, finding: FindingView<'_>) -> Facets {
        let mut facets = Collector::new(id);
        facets.finding(finding);
        facets.finish()
    }
}

/// Collects borrowed texts; each distinct one is copied once, at the end.
struct Collector<'t> {
    withdrawn: Option<Instant>,
    severity: Option<Severity>,
    ids: BTreeSet<Cow<'t, str>>,
    ecosystems: BTreeSet<Cow<'t, str>>,
    packages: BTreeSet<Cow<'t, str>>,
    last: Option<Package<'t>>,
}

impl<'t> Collector<'t> {
    fn new(id: &'t RecordId) -> Collector<'t> {
        Collector {
            withdrawn: None,
            severity: None,
            ids: BTreeSet::from([Cow::Borrowed(id.as_str())]),
            ecosystems: BTreeSet::new(),
            packages: BTreeSet::new(),
            last: None,
        }
    }

    fn id(&mut self, id: Cow<'t, str>) {
        if !id.is_empty() {
            self.ids.insert(id);
        }
    }

    fn package(&mut self, package: Package<'t>) {
        // Documents name a package once for every range or release in a row.
        if self.last.as_ref() == Some(&package) {
            return;
        }
        if let Some(ecosystem) = package.ecosystem() {
            self.ecosystems.insert(ecosystem);
        }
        if let Some(key) = package.key() {
            self.packages.insert(key);
        }
        self.last = Some(package);
    }

    fn finding(&mut self, finding: FindingView<'t>) {
        self.severity = finding.severity();
        finding.each_id(&mut |id| self.id(id));
        self.package(finding.package());
    }

    fn finish(self) -> Facets {
        let owned = |set: BTreeSet<Cow<'_, str>>| set.into_iter().map(Cow::into_owned).collect();
        Facets {
            withdrawn: self.withdrawn,
            severity: self.severity,
            ids: owned(self.ids),
            ecosystems: owned(self.ecosystems),
            packages: owned(self.packages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_json_comes_back() {
        let facets = Facets {
            withdrawn: Instant::parse("2026-01-02T03:04:05Z").ok(),
            severity: Some(Severity::High),
            ids: vec!["A".into(), "CVE-1".into()],
            ecosystems: vec![],
            packages: vec!["pkg:npm/a".into()],
        };
        let text = serde_json::to_string(&facets).expect("facets serialize");
        assert_eq!(
            text,
            r#"{"withdrawn":"2026-01-02T03:04:05Z","severity":"high","ids":["A","CVE-1"],"packages":["pkg:npm/a"]}"#
        );
        assert_eq!(serde_json::from_str::<Facets>(&text).expect("it was just written"), facets);
        assert_eq!(
            serde_json::from_str::<Facets>("{}").expect("all is optional"),
            Facets::default()
        );
    }
}
