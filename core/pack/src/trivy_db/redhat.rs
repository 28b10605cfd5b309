//! Red Hat: rows from its CSAF advisories and CSAF VEX.
//!
//! The rows of all releases and products lie in one bucket. A row says in which products (CPEs) it
//! holds, and Trivy learns from the content sets of a system which products that has.
//! docs/modules/export-center/trivy-red-hat.md tells the facts.

pub(super) mod content_sets;
pub(super) mod entries;
mod package;

use std::collections::{BTreeMap, BTreeSet};

use stella_records::Severity;
use stella_records::view::{CsafView, CsafVulnerability, Products, Remediation, Status};

use super::detail::{self, Told};
use super::rejected::is_rejection;
use super::report::Reason;
use super::row::usable_key;
use crate::rows::code::Writer;
use entries::Cell;
use package::{Part, part};

/// The bucket of all rows.
pub(super) const BUCKET: &str = "Red Hat";

/// The data source of the rows.
pub(super) const SOURCE: (&str, &str, &str) =
    ("redhat-csaf-vex", "Red Hat CSAF VEX", "https://access.redhat.com/security/data/csaf/v2/vex/");

/// The source of severities and scores: the one name that Trivy has for all of Red Hat's data.
pub(super) const DETAIL_SOURCE: &str = "redhat";

/// Whether Red Hat published a document.
pub(super) fn is_publisher(csaf: CsafView<'_>) -> bool {
    let namespace = csaf.publisher().unwrap_or_default();
    namespace.trim_end_matches('/') == "https://www.redhat.com"
}

/// What a document gives.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// Values by package and id.
    pub(super) rows: Vec<(String, String, Vec<u8>)>,
    /// What is known of vulnerabilities, by id.
    pub(super) details: BTreeMap<String, Vec<u8>>,
    /// Products that rows name.
    pub(super) cpes: BTreeSet<String>,
    /// Ids that were given back.
    pub(super) rejected: BTreeSet<String>,
    /// What has no row: the package, why, and what is to say of it.
    pub(super) gaps: BTreeSet<(String, Reason, String)>,
}

impl Mapped {
    fn gap(&mut self, package: &str, reason: Reason, detail: &str) {
        self.gaps.insert((package.to_owned(), reason, detail.to_owned()));
    }
}

/// Maps a document.
pub(super) fn map(csaf: CsafView<'_>) -> Mapped {
    let products = csaf.products();
    let mut document = Document::new(csaf, &products);
    let mut mapped = Mapped::default();
    csaf.each_vulnerability(&mut |vulnerability| document.take(vulnerability, &mut mapped));
    document.rows(&mut mapped);
    mapped
}

/// Something said of a product, as numbers: a document says it a hundred thousand times.
struct Said {
    product: usize,
    vulnerability: usize,
    /// The number of the notice; none for what is unfixed, or fixed without a notice.
    notice: Option<usize>,
    status: u8,
    severity: u8,
}

/// A document on its way into rows.
struct Document<'d> {
    csaf: CsafView<'d>,
    products: &'d Products<'d>,
    /// The packages of the products, or why there are none.
    parts: Vec<Result<Part<'d>, Option<Reason>>>,
    vulnerabilities: Vec<String>,
    notices: Vec<String>,
    notice_numbers: BTreeMap<String, usize>,
    own_notice: Option<usize>,
    said: Vec<Said>,
    /// By product, for one vulnerability at a time.
    statuses: Marks<u8>,
    fixes: Marks<usize>,
    severities: Marks<u8>,
}

impl<'d> Document<'d> {
    fn new(csaf: CsafView<'d>, products: &'d Products<'d>) -> Document<'d> {
        let own = csaf.id().filter(|id| is_notice(id)).map(|id| id.into_owned());
        Document {
            csaf,
            products,
            parts: (0..products.len()).map(|number| part(products, number)).collect(),
            vulnerabilities: Vec::new(),
            own_notice: own.is_some().then_some(0),
            notice_numbers: own.iter().map(|own| (own.clone(), 0)).collect(),
            notices: own.into_iter().collect(),
            said: Vec::new(),
            statuses: Marks::new(products.len()),
            fixes: Marks::new(products.len()),
            severities: Marks::new(products.len()),
        }
    }

    /// Takes what a document says of a vulnerability.
    fn take(&mut self, vulnerability: CsafVulnerability<'d>, mapped: &mut Mapped) {
        let (mut fixed, mut affected) = (Vec::new(), Vec::new());
        vulnerability.each_status(&mut |status, id| {
            let list = match status {
                Status::Fixed => &mut fixed,
                Status::Affected => &mut affected,
                Status::NotAffected | Status::UnderInvestigation => return,
            };
            match self.products.number(&id) {
                Some(number) => list.push(number),
                None => mapped.gap(&id, Reason::NoPackage, ""),
            }
        });
        if fixed.is_empty() && affected.is_empty() {
            return;
        }
        let cve = vulnerability.cve().filter(|cve| cve.starts_with("CVE-"));
        let Some(cve) = cve.and_then(usable_key) else {
            return mapped.gap("", Reason::NoVulnerabilityId, "");
        };
        if is_rejection(&vulnerability.description().unwrap_or_default()) {
            mapped.rejected.insert(cve.into_owned());
            return mapped.gap("", Reason::Rejected, "");
        }
        let overall = self.severities(vulnerability);
        self.remediations(vulnerability);
        let number = self.vulnerabilities.len();
        self.vulnerabilities.push(cve.into_owned());
        let before = self.said.len();
        self.fixed(&fixed, number, overall, mapped);
        self.affected(&affected, number, overall, mapped);
        if self.said.len() > before {
            let mut value = Writer::default();
            detail::encode_told(&mut value, &self.told(vulnerability, overall));
            let cve = self.vulnerabilities[number].clone();
            mapped.details.entry(cve).or_insert(value.bytes);
        }
    }

    fn fixed(
        &mut self,
        products: &[usize],
        vulnerability: usize,
        overall: u8,
        mapped: &mut Mapped,
    ) {
        for &product in products {
            let Some(part) = self.part(product, mapped).filter(|part| !part.source) else {
                continue;
            };
            if part.fixed.is_none() {
                mapped.gap(&part.name, Reason::VersionNotUnderstood, &part.version);
                continue;
            }
            let notice = self.fixes.get(product).or(self.own_notice);
            let severity = self.severities.get(product).unwrap_or(overall);
            self.said.push(Said { product, vulnerability, notice, status: 0, severity });
        }
    }

    /// What has no fix. Documents of some years name nothing but the source package there; its name
    /// is that of a binary package as a rule, so the row lies there, and what else was built from
    /// it is missed.
    fn affected(
        &mut self,
        products: &[usize],
        vulnerability: usize,
        overall: u8,
        mapped: &mut Mapped,
    ) {
        let is_binary = |product: &usize| {
            self.parts
                .get(*product)
                .is_some_and(|part| part.as_ref().is_ok_and(|part| !part.source))
        };
        let sources_count = !products.iter().any(is_binary);
        for &product in products {
            let Some(part) = self.part(product, mapped) else { continue };
            if part.source && !sources_count {
                continue;
            }
            if part.source {
                mapped.gap(&part.name, Reason::BinariesUnknown, "");
            }
            let severity = self.severities.get(product).unwrap_or(overall);
            let status = self.statuses.get(product).unwrap_or(AFFECTED);
            self.said.push(Said { product, vulnerability, notice: None, status, severity });
        }
    }

    /// The package of a product; a gap if there is none.
    fn part(&self, product: usize, mapped: &mut Mapped) -> Option<&Part<'d>> {
        match self.parts.get(product)? {
            Ok(part) => {
                if part.module_missing {
                    mapped.gap(&part.name, Reason::ModuleStreamUnknown, "");
                }
                Some(part)
            }
            Err(None) => None,
            Err(Some(reason)) => {
                let component = self.products.component(product)?;
                // Images are named by a digest for each architecture.
                let name = component.id.split('@').next().unwrap_or_default();
                mapped.gap(name, *reason, "");
                None
            }
        }
    }

    /// Notes severities product by product, and returns that of all others.
    fn severities(&mut self, vulnerability: CsafVulnerability<'d>) -> u8 {
        self.severities.begin();
        let (mut of_all, mut worst) = (0, 0);
        vulnerability.each_impact(&mut |label, ids| {
            let severity = Severity::from_label(&label).map_or(0, detail::number);
            worst = severity.max(worst);
            if ids.is_all() {
                of_all = severity.max(of_all);
            }
            ids.each(&mut |id| {
                if let Some(number) = self.products.number(&id) {
                    self.severities.set(number, severity);
                }
            });
        });
        if of_all == 0 { worst } else { of_all }
    }

    /// Notes product by product which notice has the fix, and what is to come of one without.
    fn remediations(&mut self, vulnerability: CsafVulnerability<'d>) {
        self.statuses.begin();
        self.fixes.begin();
        vulnerability.each_remediation(&mut |remediation| {
            if let Some(status) = status(remediation) {
                each_product(self.products, remediation, &mut |number| {
                    self.statuses.set(number, status);
                });
            }
            let Some(notice) = notice(remediation) else { return };
            let known = self.notice_numbers.get(&notice).copied();
            let place = known.unwrap_or(self.notices.len());
            if known.is_none() {
                self.notice_numbers.insert(notice.clone(), place);
                self.notices.push(notice);
            }
            each_product(self.products, remediation, &mut |number| self.fixes.set(number, place));
        });
    }

    fn told(&self, vulnerability: CsafVulnerability<'d>, severity: u8) -> Told<'d> {
        let mut told = Told {
            source: DETAIL_SOURCE.into(),
            title: vulnerability.title().unwrap_or_default(),
            details: vulnerability.description().unwrap_or_default(),
            severity,
            published: vulnerability.published(),
            // An advisory is revised for many reasons; VEX is about this vulnerability alone.
            modified: self.csaf.modified().filter(|_| self.csaf.is_vex()),
            ..Told::default()
        };
        vulnerability.each_vector(&mut |vector| told.scores.take_vector(&vector));
        told.weaknesses.extend(vulnerability.weakness());
        vulnerability.each_reference(&mut |reference| told.references.push(reference));
        told
    }

    /// The id that something lies under.
    fn id(&self, said: &Said) -> &str {
        match said.notice {
            Some(notice) => &self.notices[notice],
            None => &self.vulnerabilities[said.vulnerability],
        }
    }

    fn cell<'c>(&'c self, said: &Said, part: &'c Part<'d>) -> Cell<'c> {
        // What is unfixed is so in every version and on every architecture.
        let fix = part.fixed.as_deref().filter(|_| said.status == 0);
        Cell {
            fixed: fix.unwrap_or_default(),
            status: said.status,
            cve: said.notice.map_or("", |_| &self.vulnerabilities[said.vulnerability]),
            cpe: part.cpe,
            arch: fix.map_or("", |_| &part.arch),
            severity: said.severity,
        }
    }

    /// Puts together what was said, package by package and notice by notice.
    fn rows(&mut self, mapped: &mut Mapped) {
        let mut all = std::mem::take(&mut self.said);
        let part = |said: &Said| self.parts.get(said.product)?.as_ref().ok();
        let key = |said: &Said| (part(said).map_or("", |part| &part.key), self.id(said));
        all.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut value = Writer::default();
        for said in all.chunk_by(|a, b| key(a) == key(b)) {
            let (package, id) = key(&said[0]);
            let cells = said.iter().filter_map(|said| Some(self.cell(said, part(said)?)));
            let cells: Vec<Cell<'_>> = cells.collect();
            for cell in &cells {
                if !mapped.cpes.contains(cell.cpe) {
                    mapped.cpes.insert(cell.cpe.to_owned());
                }
            }
            entries::encode(&cells, &mut value);
            mapped.rows.push((package.to_owned(), id.to_owned(), value.bytes.clone()));
        }
        let unreached: Vec<String> = mapped
            .cpes
            .iter()
            .filter(|cpe| content_sets::of_cpe(cpe).is_empty())
            .cloned()
            .collect();
        for cpe in unreached {
            mapped.gap("", Reason::ContentSetUnknown, &cpe);
        }
    }
}

/// Trivy's numbers of statuses.
const AFFECTED: u8 = 2;
const WILL_NOT_FIX: u8 = 5;
const FIX_DEFERRED: u8 = 6;
const END_OF_LIFE: u8 = 7;

/// What is to come of a vulnerability without a fix, in Red Hat's words.
fn status(remediation: Remediation<'_>) -> Option<u8> {
    let details = remediation.details().unwrap_or_default();
    match remediation.category()?.as_ref() {
        "no_fix_planned" if details.contains("Out of support scope") => Some(END_OF_LIFE),
        "no_fix_planned" => Some(WILL_NOT_FIX),
        "none_available" if details.to_ascii_lowercase().contains("deferred") => Some(FIX_DEFERRED),
        "none_available" => Some(AFFECTED),
        _ => None,
    }
}

/// The notice with a fix, which its address ends with.
fn notice(remediation: Remediation<'_>) -> Option<String> {
    if remediation.category()? != "vendor_fix" {
        return None;
    }
    let url = remediation.url()?;
    let last = url.trim_end_matches('/').rsplit('/').next()?;
    is_notice(last).then(|| last.to_owned())
}

fn is_notice(id: &str) -> bool {
    let kind = ["RHSA-", "RHBA-", "RHEA-"].iter().find_map(|kind| id.strip_prefix(kind));
    kind.is_some_and(|number| {
        (1..=32).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b':' || byte == b'-')
    })
}

fn each_product(
    products: &Products<'_>,
    remediation: Remediation<'_>,
    found: &mut dyn FnMut(usize),
) {
    remediation.products().each(&mut |id| {
        if let Some(number) = products.number(&id) {
            found(number);
        }
    });
}

/// A value by product for one vulnerability at a time. Beginning anew costs nothing, however many
/// products there are: documents with many of both must not take their product in time.
struct Marks<T> {
    round: u32,
    slots: Vec<(u32, T)>,
}

impl<T: Copy + Default> Marks<T> {
    fn new(products: usize) -> Marks<T> {
        Marks { round: 0, slots: vec![(0, T::default()); products] }
    }

    fn begin(&mut self) {
        self.round += 1;
    }

    /// The first value counts.
    fn set(&mut self, product: usize, value: T) {
        if let Some(slot) = self.slots.get_mut(product)
            && slot.0 != self.round
        {
            *slot = (self.round, value);
        }
    }

    fn get(&self, product: usize) -> Option<T> {
        let (round, value) = *self.slots.get(product)?;
        (round == self.round).then_some(value)
    }
}
