//! VEX: whether products are affected by vulnerabilities.

use std::borrow::Cow;
use std::collections::BTreeMap;

use stella_model::json::{Shape, Value};

use super::{Package, items, texts};
use crate::formats::cyclonedx_xml::{XmlBom, XmlVulnerability};
use crate::severity::Severity;

/// Statements on vulnerabilities and products, of any format.
#[derive(Debug, Clone, Copy)]
pub struct VexView<'t>(Source<'t>);

#[derive(Debug, Clone, Copy)]
enum Source<'t> {
    OpenVex(Value<'t>),
    Csaf(Value<'t>),
    CycloneDx(Value<'t>),
    Xml(&'t XmlBom),
}

/// Whether a product is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Not affected; the justification says why.
    NotAffected,
    /// Affected.
    Affected,
    /// Fixed in these products.
    Fixed,
    /// Not known yet.
    UnderInvestigation,
}

/// What a document says about one vulnerability and some products.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement<'t> {
    /// Id of the vulnerability; empty if the document gives none.
    pub vulnerability: Cow<'t, str>,
    /// Other ids of it.
    pub aliases: Vec<Cow<'t, str>>,
    /// The status, if it is one that the format knows.
    pub status: Option<Status>,
    /// Why it is not affected, in the words of the format.
    pub justification: Option<Cow<'t, str>>,
    /// Why it does not matter, in a sentence (OpenVEX, CycloneDX).
    pub impact: Option<Cow<'t, str>>,
    /// What to do about it, in a sentence (OpenVEX, CycloneDX).
    pub action: Option<Cow<'t, str>>,
    /// How the status was found (OpenVEX).
    pub notes: Option<Cow<'t, str>>,
    /// When it was made or last changed, as the statement tells it, else the document.
    pub updated: Option<Cow<'t, str>>,
    /// The products that the statement is about.
    pub products: Vec<Product<'t>>,
}

/// A product of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product<'t> {
    /// What the document calls it: an `@id`, a product id, a `bom-ref`.
    pub id: Cow<'t, str>,
    /// Its package URL, as given or as the document's own list resolves the id.
    pub purl: Option<Cow<'t, str>>,
    /// Package URLs of the parts of the product that the statement is about (OpenVEX).
    pub subcomponents: Vec<Cow<'t, str>>,
    /// How many such parts have no package URL. The statement is about nothing else if there are
    /// some and `subcomponents` is empty.
    pub nameless_subcomponents: usize,
    /// What it must be a part of for the statement to hold (CSAF relationships).
    pub part_of: Option<Whole<'t>>,
    /// Whether the document may limit the statement to versions that are not told here (CycloneDX).
    pub limited_to_versions: bool,
}

/// A product that another is a part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole<'t> {
    /// What the document calls it.
    pub id: Cow<'t, str>,
    /// Its package URL.
    pub purl: Option<Cow<'t, str>>,
}

impl<'t> VexView<'t> {
    pub(crate) fn openvex(root: Value<'t>) -> VexView<'t> {
        VexView(Source::OpenVex(root))
    }

    pub(crate) fn csaf(root: Value<'t>) -> VexView<'t> {
        VexView(Source::Csaf(root))
    }

    pub(crate) fn cyclonedx(root: Value<'t>) -> VexView<'t> {
        VexView(Source::CycloneDx(root))
    }

    pub(crate) fn xml(bom: &'t XmlBom) -> VexView<'t> {
        VexView(Source::Xml(bom))
    }

    /// The statements, in the order of the document; one for each status that a CSAF vulnerability
    /// gives, and for each justification of it.
    pub fn each_statement(self, found: &mut dyn FnMut(Statement<'t>)) {
        match self.0 {
            Source::OpenVex(root) => {
                let updated = openvex_updated(root);
                items(root, &["statements"])
                    .map(|statement| openvex_statement(statement, updated.as_ref()))
                    .for_each(found);
            }
            Source::Csaf(root) => csaf_statements(root, found),
            Source::CycloneDx(root) => cyclonedx_statements(root, found),
            Source::Xml(bom) => xml_statements(bom, found),
        }
    }

    /// Ids and aliases of all vulnerabilities, as often as they are named.
    pub fn each_id(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        match self.0 {
            Source::OpenVex(root) => {
                for statement in items(root, &["statements"]) {
                    let (name, aliases) = openvex_vulnerability(statement);
                    name.into_iter().for_each(&mut *found);
                    aliases.for_each(&mut *found);
                }
            }
            Source::Csaf(root) => csaf_ids(root, found),
            Source::CycloneDx(root) => {
                for vulnerability in items(root, &["vulnerabilities"]) {
                    vulnerability.str_at(&["id"]).into_iter().for_each(&mut *found);
                    items(vulnerability, &["references"])
                        .filter_map(|reference| reference.str_at(&["id"]))
                        .for_each(&mut *found);
                }
            }
            Source::Xml(bom) => {
                bom.vulnerabilities.iter().for_each(|v| found(Cow::Borrowed(v.id)));
            }
        }
    }

    /// Packages of the products and their subcomponents, as often as they are named.
    pub fn each_package(self, found: &mut dyn FnMut(Package<'t>)) {
        match self.0 {
            Source::OpenVex(root) => {
                for product in items(root, &["statements"]).flat_map(|s| items(s, &["products"])) {
                    openvex_purl(product).into_iter().for_each(|p| found(Package::of_purl(p)));
                    items(product, &["subcomponents"])
                        .filter_map(openvex_purl)
                        .for_each(|purl| found(Package::of_purl(purl)));
                }
            }
            Source::Csaf(root) => {
                csaf_products(root, &mut |_, purl| found(Package::of_purl(purl)));
            }
            Source::CycloneDx(root) => items(root, &["vulnerabilities"])
                .flat_map(|vulnerability| items(vulnerability, &["affects"]))
                .filter_map(|target| target.str_at(&["ref"]))
                .for_each(|reference| found(Package::of_purl(reference))),
            Source::Xml(bom) => bom
                .vulnerabilities
                .iter()
                .flat_map(XmlVulnerability::affects)
                .for_each(|reference| found(Package::of_purl(Cow::Borrowed(reference)))),
        }
    }

    /// The worst severity that the document tells; OpenVEX tells none.
    #[must_use]
    pub fn severity(self) -> Option<Severity> {
        match self.0 {
            Source::OpenVex(_) => None,
            Source::Csaf(root) => csaf_severity(root),
            Source::CycloneDx(root) => items(root, &["vulnerabilities"])
                .flat_map(|vulnerability| items(vulnerability, &["ratings"]))
                .filter_map(|rating| Severity::from_label(&rating.str_at(&["severity"])?))
                .max(),
            Source::Xml(bom) => bom.severity,
        }
    }
}

// OpenVEX

fn openvex_updated(value: Value<'_>) -> Option<Cow<'_, str>> {
    value.str_at(&["last_updated"]).or_else(|| value.str_at(&["timestamp"]))
}

fn openvex_statement<'t>(
    statement: Value<'t>,
    of_document: Option<&Cow<'t, str>>,
) -> Statement<'t> {
    let (name, aliases) = openvex_vulnerability(statement);
    Statement {
        vulnerability: name.unwrap_or_default(),
        aliases: aliases.collect(),
        status: match statement.str_at(&["status"]).as_deref() {
            Some("not_affected") => Some(Status::NotAffected),
            Some("affected") => Some(Status::Affected),
            Some("fixed") => Some(Status::Fixed),
            Some("under_investigation") => Some(Status::UnderInvestigation),
            _ => None,
        },
        justification: statement.str_at(&["justification"]),
        impact: statement.str_at(&["impact_statement"]),
        action: statement.str_at(&["action_statement"]),
        notes: statement.str_at(&["status_notes"]),
        updated: openvex_updated(statement).or_else(|| of_document.cloned()),
        products: items(statement, &["products"]).map(openvex_product).collect(),
    }
}

/// Before 0.2 a vulnerability was plain text.
fn openvex_vulnerability<'t>(
    statement: Value<'t>,
) -> (Option<Cow<'t, str>>, impl Iterator<Item = Cow<'t, str>>) {
    let vulnerability = statement.get("vulnerability");
    let name = vulnerability.and_then(|value| {
        value.as_str().or_else(|| value.str_at(&["name"])).or_else(|| value.str_at(&["@id"]))
    });
    (name, vulnerability.into_iter().flat_map(|value| texts(value, &["aliases"])))
}

fn openvex_product(product: Value<'_>) -> Product<'_> {
    let purl = openvex_purl(product);
    let id = product.as_str().or_else(|| product.str_at(&["@id"]));
    let subcomponents: Vec<_> =
        items(product, &["subcomponents"]).filter_map(openvex_purl).collect();
    Product {
        id: id.or_else(|| purl.clone()).unwrap_or_default(),
        purl,
        nameless_subcomponents: items(product, &["subcomponents"]).count() - subcomponents.len(),
        subcomponents,
        ..Product::default()
    }
}

/// The purl among the identifiers, else the `@id` or the text itself if it is a purl.
fn openvex_purl(product: Value<'_>) -> Option<Cow<'_, str>> {
    product
        .str_at(&["identifiers", "purl"])
        .or_else(|| product.str_at(&["@id"]))
        .or_else(|| product.as_str())
        .filter(|text| text.starts_with("pkg:"))
}

// CSAF

/// The advisory's id and aliases, and the ids of its vulnerabilities.
pub(super) fn csaf_ids<'t>(root: Value<'t>, found: &mut dyn FnMut(Cow<'t, str>)) {
    root.str_at(&["document", "tracking", "id"]).into_iter().for_each(&mut *found);
    texts(root, &["document", "tracking", "aliases"]).for_each(&mut *found);
    for vulnerability in items(root, &["vulnerabilities"]) {
        csaf_vulnerability_ids(vulnerability).for_each(&mut *found);
    }
}

fn csaf_vulnerability_ids<'t>(vulnerability: Value<'t>) -> impl Iterator<Item = Cow<'t, str>> {
    let others = items(vulnerability, &["ids"]).filter_map(|id| id.str_at(&["text"]));
    vulnerability.str_at(&["cve"]).into_iter().chain(others)
}

pub(super) fn csaf_severity(root: Value<'_>) -> Option<Severity> {
    let of_score = |score: Value<'_>| {
        let label = score.str_at(&["cvss_v3", "baseSeverity"]);
        label.and_then(|label| Severity::from_label(&label)).or_else(|| {
            let number = score.path(&["cvss_v3", "baseScore"])?.as_number()?;
            Severity::from_score(number.parse().ok()?)
        })
    };
    let worst = items(root, &["vulnerabilities"])
        .flat_map(|vulnerability| items(vulnerability, &["scores"]))
        .filter_map(of_score)
        .max();
    worst.or_else(|| {
        Severity::from_label(&root.str_at(&["document", "aggregate_severity", "text"])?)
    })
}

/// Product ids that have a purl, with it. The depth of branches is bounded by the limits of the
/// document.
pub(super) fn csaf_products<'t>(
    root: Value<'t>,
    found: &mut dyn FnMut(Cow<'t, str>, Cow<'t, str>),
) {
    let Some(tree) = root.get("product_tree") else { return };
    items(tree, &["full_product_names"]).for_each(|product| csaf_product(product, found));
    csaf_branches(tree, found);
    items(tree, &["relationships"])
        .filter_map(|relationship| relationship.get("full_product_name"))
        .for_each(|product| csaf_product(product, found));
}

fn csaf_branches<'t>(parent: Value<'t>, found: &mut dyn FnMut(Cow<'t, str>, Cow<'t, str>)) {
    for branch in items(parent, &["branches"]) {
        if let Some(product) = branch.get("product") {
            csaf_product(product, found);
        }
        csaf_branches(branch, found);
    }
}

fn csaf_product<'t>(product: Value<'t>, found: &mut dyn FnMut(Cow<'t, str>, Cow<'t, str>)) {
    let purl = product.str_at(&["product_identification_helper", "purl"]);
    if let Some(purl) = purl {
        found(product.str_at(&["product_id"]).unwrap_or_default(), purl);
    }
}

/// Lists of `product_status` and what they mean; `recommended` says nothing on being affected.
pub(super) const CSAF_STATUS: [(&str, Status); 7] = [
    ("known_not_affected", Status::NotAffected),
    ("first_affected", Status::Affected),
    ("known_affected", Status::Affected),
    ("last_affected", Status::Affected),
    ("first_fixed", Status::Fixed),
    ("fixed", Status::Fixed),
    ("under_investigation", Status::UnderInvestigation),
];

fn csaf_statements<'t>(root: Value<'t>, found: &mut dyn FnMut(Statement<'t>)) {
    let mut purls = BTreeMap::new();
    csaf_products(root, &mut |id, purl| {
        purls.entry(id).or_insert(purl);
    });
    // A relationship (a component as part of a product) is known by its component's purl.
    let mut wholes = BTreeMap::new();
    for relationship in items(root, &["product_tree", "relationships"]) {
        let id = relationship.str_at(&["full_product_name", "product_id"]);
        let part = relationship.str_at(&["product_reference"]);
        let Some(id) = id.filter(|id| !purls.contains_key(id)) else { continue };
        let whole = relationship.str_at(&["relates_to_product_reference"]).unwrap_or_default();
        // A whole that is itself a part has no purl that says all of it.
        let purl = purls.get(&whole).filter(|_| !wholes.contains_key(&whole)).cloned();
        if let Some(purl) = part.and_then(|part| purls.get(&part).cloned()) {
            purls.insert(id.clone(), purl);
        }
        wholes.insert(id, Whole { id: whole, purl });
    }
    let tree = CsafTree {
        purls,
        wholes,
        updated: root.str_at(&["document", "tracking", "current_release_date"]),
    };
    for vulnerability in items(root, &["vulnerabilities"]) {
        csaf_vulnerability(vulnerability, &tree, found);
    }
}

/// What a document says of the products that its vulnerabilities name by their ids.
struct CsafTree<'t> {
    purls: BTreeMap<Cow<'t, str>, Cow<'t, str>>,
    wholes: BTreeMap<Cow<'t, str>, Whole<'t>>,
    updated: Option<Cow<'t, str>>,
}

fn csaf_vulnerability<'t>(
    vulnerability: Value<'t>,
    tree: &CsafTree<'t>,
    found: &mut dyn FnMut(Statement<'t>),
) {
    let mut names = csaf_vulnerability_ids(vulnerability);
    let name = names.next().unwrap_or_default();
    let aliases: Vec<_> = names.collect();
    let mut labels = BTreeMap::new();
    for flag in items(vulnerability, &["flags"]) {
        let Some(label) = flag.str_at(&["label"]) else { continue };
        for product in texts(flag, &["product_ids"]) {
            labels.entry(product).or_insert_with(|| label.clone());
        }
    }
    for (list, status) in CSAF_STATUS {
        let mut by_label: BTreeMap<Option<Cow<'t, str>>, Vec<Product<'t>>> = BTreeMap::new();
        for id in texts(vulnerability, &["product_status", list]) {
            let label = labels.get(&id).filter(|_| status == Status::NotAffected).cloned();
            let purl = tree.purls.get(&id).cloned();
            let part_of = tree.wholes.get(&id).cloned();
            let product = Product { id, purl, part_of, ..Product::default() };
            by_label.entry(label).or_default().push(product);
        }
        for (justification, products) in by_label {
            found(Statement {
                vulnerability: name.clone(),
                aliases: aliases.clone(),
                status: Some(status),
                justification,
                updated: tree.updated.clone(),
                products,
                ..Statement::default()
            });
        }
    }
}

// CycloneDX

fn cyclonedx_status(state: &str) -> Option<Status> {
    match state {
        "not_affected" | "false_positive" => Some(Status::NotAffected),
        "exploitable" => Some(Status::Affected),
        "resolved" | "resolved_with_pedigree" => Some(Status::Fixed),
        "in_triage" => Some(Status::UnderInvestigation),
        _ => None,
    }
}

fn cyclonedx_statements<'t>(root: Value<'t>, found: &mut dyn FnMut(Statement<'t>)) {
    let mut purls = BTreeMap::new();
    cyclonedx_purls(root, &mut purls);
    if let Some(main) = root.path(&["metadata", "component"]) {
        note_purl(main, &mut purls);
        cyclonedx_purls(main, &mut purls);
    }
    for vulnerability in items(root, &["vulnerabilities"]) {
        let state = vulnerability.str_at(&["analysis", "state"]);
        let products = items(vulnerability, &["affects"])
            .filter_map(|target| {
                let product = product_of_reference(target.str_at(&["ref"])?, &purls);
                let limited_to_versions = items(target, &["versions"]).next().is_some();
                Some(Product { limited_to_versions, ..product })
            })
            .collect();
        let responses: Vec<_> = texts(vulnerability, &["analysis", "response"]).collect();
        let updated = vulnerability
            .str_at(&["analysis", "lastUpdated"])
            .or_else(|| vulnerability.str_at(&["updated"]))
            .or_else(|| root.str_at(&["metadata", "timestamp"]));
        found(Statement {
            vulnerability: vulnerability.str_at(&["id"]).unwrap_or_default(),
            aliases: items(vulnerability, &["references"])
                .filter_map(|reference| reference.str_at(&["id"]))
                .collect(),
            status: state.and_then(|state| cyclonedx_status(&state)),
            justification: vulnerability.str_at(&["analysis", "justification"]),
            impact: vulnerability.str_at(&["analysis", "detail"]),
            action: (!responses.is_empty()).then(|| Cow::Owned(responses.join(", "))),
            updated,
            products,
            ..Statement::default()
        });
    }
}

fn cyclonedx_purls<'t>(parent: Value<'t>, purls: &mut BTreeMap<Cow<'t, str>, Cow<'t, str>>) {
    for component in items(parent, &["components"]) {
        note_purl(component, purls);
        if component.get("components").is_some_and(|inner| inner.shape() == Shape::Array) {
            cyclonedx_purls(component, purls);
        }
    }
}

fn note_purl<'t>(component: Value<'t>, purls: &mut BTreeMap<Cow<'t, str>, Cow<'t, str>>) {
    if let (Some(id), Some(purl)) = (component.str_at(&["bom-ref"]), component.str_at(&["purl"])) {
        purls.entry(id).or_insert(purl);
    }
}

fn product_of_reference<'t>(
    id: Cow<'t, str>,
    purls: &BTreeMap<Cow<'t, str>, Cow<'t, str>>,
) -> Product<'t> {
    let own = || id.starts_with("pkg:").then(|| id.clone());
    let purl = purls.get(&id).cloned().or_else(own);
    Product { id, purl, ..Product::default() }
}

fn xml_statements<'t>(bom: &'t XmlBom, found: &mut dyn FnMut(Statement<'t>)) {
    let mut purls = BTreeMap::new();
    for component in bom.components.iter().chain([bom.component.parts()]) {
        if !component.purl.is_empty() {
            let (id, purl) = (component.reference, component.purl);
            purls.entry(Cow::Borrowed(id)).or_insert(Cow::Borrowed(purl));
        }
    }
    for vulnerability in bom.vulnerabilities.iter() {
        let justification = vulnerability.justification;
        found(Statement {
            vulnerability: Cow::Borrowed(vulnerability.id),
            aliases: Vec::new(),
            status: cyclonedx_status(vulnerability.state),
            justification: (!justification.is_empty()).then_some(Cow::Borrowed(justification)),
            products: vulnerability
                .affects()
                .map(|reference| Product {
                    // Versions are not read, so there may be some.
                    limited_to_versions: true,
                    ..product_of_reference(Cow::Borrowed(reference), &purls)
                })
                .collect(),
            ..Statement::default()
        });
    }
}
