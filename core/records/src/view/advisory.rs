//! Advisories: what is vulnerable, by whom, how badly.

use std::borrow::Cow;

use stella_model::Instant;
use stella_model::json::Value;

use super::affected::{Affected, Vector, vectors};
use super::vex::{csaf_ids, csaf_severity};
use super::{Package, items, texts};
use crate::severity::Severity;

/// An advisory of any format.
#[derive(Debug, Clone, Copy)]
pub struct AdvisoryView<'t>(Source<'t>);

#[derive(Debug, Clone, Copy)]
enum Source<'t> {
    Osv(Value<'t>),
    Csaf(Value<'t>),
}

impl<'t> AdvisoryView<'t> {
    pub(crate) fn osv(root: Value<'t>) -> AdvisoryView<'t> {
        AdvisoryView(Source::Osv(root))
    }

    pub(crate) fn csaf(root: Value<'t>) -> AdvisoryView<'t> {
        AdvisoryView(Source::Csaf(root))
    }

    /// The publisher's own id, such as `GHSA-…` or `RHSA-…`.
    #[must_use]
    pub fn id(self) -> Option<Cow<'t, str>> {
        match self.0 {
            Source::Osv(root) => root.str_at(&["id"]),
            Source::Csaf(root) => root.str_at(&["document", "tracking", "id"]),
        }
    }

    /// One line on what it is about.
    #[must_use]
    pub fn title(self) -> Option<Cow<'t, str>> {
        match self.0 {
            Source::Osv(root) => root.str_at(&["summary"]),
            Source::Csaf(root) => root.str_at(&["document", "title"]),
        }
    }

    /// When it was first published.
    #[must_use]
    pub fn published(self) -> Option<Instant> {
        let text = match self.0 {
            Source::Osv(root) => root.str_at(&["published"]),
            Source::Csaf(root) => root.str_at(&["document", "tracking", "initial_release_date"]),
        };
        Instant::parse(&text?).ok()
    }

    /// When it was last revised.
    #[must_use]
    pub fn modified(self) -> Option<Instant> {
        let text = match self.0 {
            Source::Osv(root) => root.str_at(&["modified"]),
            Source::Csaf(root) => root.str_at(&["document", "tracking", "current_release_date"]),
        };
        Instant::parse(&text?).ok()
    }

    /// What it is about, at length. Only OSV tells.
    #[must_use]
    pub fn details(self) -> Option<Cow<'t, str>> {
        self.osv_root().and_then(|root| root.str_at(&["details"]))
    }

    /// The publisher's word for the severity, such as `MODERATE`. Only OSV tells.
    #[must_use]
    pub fn severity_label(self) -> Option<Cow<'t, str>> {
        self.osv_root().and_then(|root| root.str_at(&["database_specific", "severity"]))
    }

    /// CVSS vectors of the advisory as a whole. Only OSV tells.
    pub fn each_vector(self, found: &mut dyn FnMut(Vector<'t>)) {
        self.osv_root().into_iter().flat_map(vectors).for_each(found);
    }

    /// Weaknesses by their CWE ids, as GitHub's database notes them. Only OSV tells.
    pub fn each_weakness(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        let ids = |root| texts(root, &["database_specific", "cwe_ids"]);
        self.osv_root().into_iter().flat_map(ids).for_each(found);
    }

    /// Addresses of further reading. Only OSV tells.
    pub fn each_reference(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        let urls = |root| items(root, &["references"]).filter_map(|item| item.str_at(&["url"]));
        self.osv_root().into_iter().flat_map(urls).for_each(found);
    }

    /// Other names of the same vulnerability, and those that a distribution's advisory derives
    /// from. Only OSV tells.
    pub fn each_alias(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        for list in ["aliases", "upstream"] {
            self.osv_root().into_iter().flat_map(|root| texts(root, &[list])).for_each(&mut *found);
        }
    }

    /// Vulnerabilities that it names without saying that they are the same: distributions list
    /// here what an advisory fixes. Only OSV tells.
    pub fn each_related(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        self.osv_root().into_iter().flat_map(|root| texts(root, &["related"])).for_each(found);
    }

    /// The packages with the versions in which they are vulnerable. Only OSV tells.
    pub fn each_affected(self, found: &mut dyn FnMut(Affected<'t>)) {
        let affected = |root| items(root, &["affected"]).map(Affected::new);
        self.osv_root().into_iter().flat_map(affected).for_each(found);
    }

    fn osv_root(self) -> Option<Value<'t>> {
        match self.0 {
            Source::Osv(root) => Some(root),
            Source::Csaf(_) => None,
        }
    }

    /// When it was withdrawn. Only OSV tells.
    #[must_use]
    pub fn withdrawn(self) -> Option<Instant> {
        match self.0 {
            Source::Osv(root) => Instant::parse(&root.str_at(&["withdrawn"])?).ok(),
            Source::Csaf(_) => None,
        }
    }

    /// The worst severity that it tells.
    ///
    /// OSV: the publisher's label (`database_specific.severity`, of the document or of what is
    /// affected) if there is one, else the worst CVSS 3 or 4 vector. CSAF: the worst CVSS 3 score,
    /// else the aggregate severity.
    #[must_use]
    pub fn severity(self) -> Option<Severity> {
        match self.0 {
            Source::Osv(root) => osv_severity(root),
            Source::Csaf(root) => csaf_severity(root),
        }
    }

    /// Its own id and the other names of the vulnerabilities that it is about: aliases, the
    /// upstream ids of a distribution's advisory, the CVE ids that it fixes.
    pub fn each_id(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        match self.0 {
            Source::Osv(root) => {
                root.str_at(&["id"]).into_iter().for_each(&mut *found);
                texts(root, &["aliases"]).for_each(&mut *found);
                texts(root, &["upstream"]).for_each(&mut *found);
                // Distributions list the CVE ids that an advisory fixes as related.
                texts(root, &["related"]).filter(|id| id.starts_with("CVE-")).for_each(found);
            }
            Source::Csaf(root) => csaf_ids(root, found),
        }
    }

    /// The packages that it is about, as often as it names them.
    pub fn each_package(self, found: &mut dyn FnMut(Package<'t>)) {
        match self.0 {
            Source::Osv(root) => {
                let packages = items(root, &["affected"]).filter_map(|item| item.get("package"));
                for package in packages {
                    found(Package {
                        ecosystem: package.str_at(&["ecosystem"]),
                        name: package.str_at(&["name"]),
                        purl: package.str_at(&["purl"]),
                    });
                }
            }
            Source::Csaf(root) => super::vex::csaf_products(root, &mut |_, purl| {
                found(Package::of_purl(purl));
            }),
        }
    }
}

fn osv_severity(root: Value<'_>) -> Option<Severity> {
    let label = |value: Value<'_>| {
        ["database_specific", "ecosystem_specific"]
            .iter()
            .find_map(|member| Severity::from_label(&value.str_at(&[member, "severity"])?))
    };
    let vectors = |value| {
        items(value, &["severity"])
            .filter_map(|entry| Severity::from_vector(&entry.str_at(&["score"])?))
            .max()
    };
    let affected = || items(root, &["affected"]);
    label(root)
        .or_else(|| affected().filter_map(label).max())
        .or_else(|| vectors(root))
        .or_else(|| affected().filter_map(vectors).max())
}
