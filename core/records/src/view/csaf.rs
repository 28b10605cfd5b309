//! CSAF as a whole: the tree of products, and what each vulnerability says of every one of them.
//!
//! The views for advisories and VEX tell what all formats have in common; this one tells what a
//! scanner's database needs besides: which component lies in which product, what platform that is,
//! and the remediations and severities product by product
//! (<https://docs.oasis-open.org/csaf/csaf/v2.0/csaf-v2.0.html#322-product-tree-property>).
//! Product groups are not resolved: they count as absent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use stella_model::Instant;
use stella_model::json::Value;

use super::vex::{CSAF_STATUS, Status};
use super::{items, texts};

/// A CSAF document.
#[derive(Debug, Clone, Copy)]
pub struct CsafView<'t>(Value<'t>);

/// A product or component, by its place in [`Products`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsafProduct<'t> {
    /// What the document calls it.
    pub id: Cow<'t, str>,
    /// Its platform, such as `cpe:/o:redhat:enterprise_linux:9::baseos`.
    pub cpe: Option<Cow<'t, str>>,
    /// Its package URL.
    pub purl: Option<Cow<'t, str>>,
    /// What lies in what, if the product is a component as part of another product.
    part: Option<(usize, usize)>,
}

/// All products of a document, found by id in logarithmic time.
#[derive(Debug, Clone, Default)]
pub struct Products<'t> {
    products: Vec<CsafProduct<'t>>,
    by_id: BTreeMap<Cow<'t, str>, usize>,
}

/// Relationships within relationships that are followed: a package in a module in a platform takes
/// two. A circle ends here too.
const MOST_STEPS: usize = 8;

impl<'t> CsafView<'t> {
    pub(crate) fn new(root: Value<'t>) -> CsafView<'t> {
        CsafView(root)
    }

    /// The namespace of the publisher.
    #[must_use]
    pub fn publisher(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["document", "publisher", "namespace"])
    }

    /// The publisher's own id, such as `RHSA-2024:2394`.
    #[must_use]
    pub fn id(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["document", "tracking", "id"])
    }

    /// Whether it is a VEX document, by its category.
    #[must_use]
    pub fn is_vex(self) -> bool {
        self.0.str_at(&["document", "category"]).as_deref() == Some("csaf_vex")
    }

    /// When it was last revised.
    #[must_use]
    pub fn modified(self) -> Option<Instant> {
        let text = self.0.str_at(&["document", "tracking", "current_release_date"])?;
        Instant::parse(&text).ok()
    }

    /// The tree of products, read in one pass. Of two products with one id the first counts.
    #[must_use]
    pub fn products(self) -> Products<'t> {
        let mut products = Products::default();
        let Some(tree) = self.0.get("product_tree") else { return products };
        items(tree, &["full_product_names"]).for_each(|product| products.declare(product));
        products.branches(tree);
        for relationship in items(tree, &["relationships"]) {
            products.relate(relationship);
        }
        products
    }

    /// The vulnerabilities, in the order of the document.
    pub fn each_vulnerability(self, found: &mut dyn FnMut(CsafVulnerability<'t>)) {
        items(self.0, &["vulnerabilities"]).map(CsafVulnerability).for_each(found);
    }
}

impl<'t> Products<'t> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.products.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }

    /// The number of the product with this id, below [`Products::len`].
    #[must_use]
    pub fn number(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The product with this number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&CsafProduct<'t>> {
        self.products.get(number)
    }

    /// What a product is by itself, wherever it lies: the component of a relationship, else the
    /// product.
    #[must_use]
    pub fn component(&self, number: usize) -> Option<&CsafProduct<'t>> {
        let mut product = self.products.get(number)?;
        for _ in 0..MOST_STEPS {
            let Some((component, _)) = product.part else { break };
            product = self.products.get(component)?;
        }
        Some(product)
    }

    /// The numbers of what a product lies in, from the inside out; nothing if it is no component.
    pub fn wholes(&self, number: usize) -> impl Iterator<Item = usize> + use<'_, 't> {
        let whole = |number: usize| Some(self.products.get(number)?.part?.1);
        std::iter::successors(whole(number), move |number| whole(*number)).take(MOST_STEPS)
    }

    fn branches(&mut self, parent: Value<'t>) {
        for branch in items(parent, &["branches"]) {
            if let Some(product) = branch.get("product") {
                self.declare(product);
            }
            // The depth is bounded by the limits of the document.
            self.branches(branch);
        }
    }

    fn declare(&mut self, product: Value<'t>) {
        let Some(id) = product.str_at(&["product_id"]) else { return };
        let helper = |name| product.str_at(&["product_identification_helper", name]);
        let (cpe, purl) = (helper("cpe"), helper("purl"));
        let number = self.take(id);
        let held = &mut self.products[number];
        held.cpe = held.cpe.take().or(cpe);
        held.purl = held.purl.take().or(purl);
    }

    fn relate(&mut self, relationship: Value<'t>) {
        let Some(product) = relationship.get("full_product_name") else { return };
        let reference = |name| relationship.str_at(&[name]);
        let component = reference("product_reference");
        let whole = reference("relates_to_product_reference");
        self.declare(product);
        let (Some(id), Some(component), Some(whole)) =
            (product.str_at(&["product_id"]), component, whole)
        else {
            return;
        };
        let (number, component, whole) = (self.take(id), self.take(component), self.take(whole));
        let part = &mut self.products[number].part;
        *part = part.or(Some((component, whole)));
    }

    /// The number of an id, which is new if it was not known.
    fn take(&mut self, id: Cow<'t, str>) -> usize {
        if let Some(number) = self.by_id.get(&id) {
            return *number;
        }
        let number = self.products.len();
        self.products.push(CsafProduct { id: id.clone(), ..CsafProduct::default() });
        self.by_id.insert(id, number);
        number
    }
}

/// What a CSAF document says of one vulnerability.
#[derive(Debug, Clone, Copy)]
pub struct CsafVulnerability<'t>(Value<'t>);

impl<'t> CsafVulnerability<'t> {
    /// Its CVE id.
    #[must_use]
    pub fn cve(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["cve"])
    }

    /// One line on what it is about.
    #[must_use]
    pub fn title(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["title"])
    }

    /// What it is about at length: the first note that is a description, else a summary.
    #[must_use]
    pub fn description(self) -> Option<Cow<'t, str>> {
        let note = |category: &str| {
            let is = |note: &Value<'t>| note.str_at(&["category"]).as_deref() == Some(category);
            items(self.0, &["notes"]).find(is)?.str_at(&["text"])
        };
        note("description").or_else(|| note("summary"))
    }

    /// The weakness behind it, by its CWE id.
    #[must_use]
    pub fn weakness(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["cwe", "id"])
    }

    /// When it was first published.
    #[must_use]
    pub fn published(self) -> Option<Instant> {
        Instant::parse(&self.0.str_at(&["release_date"])?).ok()
    }

    /// Addresses of further reading.
    pub fn each_reference(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        items(self.0, &["references"]).filter_map(|item| item.str_at(&["url"])).for_each(found);
    }

    /// CVSS vectors of all products, newest kind of score first.
    pub fn each_vector(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        for kind in ["cvss_v4", "cvss_v3", "cvss_v2"] {
            items(self.0, &["scores"])
                .filter_map(|score| score.str_at(&[kind, "vectorString"]))
                .for_each(&mut *found);
        }
    }

    /// Statuses by product id, as often as they are told.
    pub fn each_status(self, found: &mut dyn FnMut(Status, Cow<'t, str>)) {
        for (list, status) in CSAF_STATUS {
            texts(self.0, &["product_status", list]).for_each(|id| found(status, id));
        }
    }

    /// What can be done about it, and where.
    pub fn each_remediation(self, found: &mut dyn FnMut(Remediation<'t>)) {
        items(self.0, &["remediations"]).map(Remediation).for_each(found);
    }

    /// The publisher's words for the severity, such as `Important`, with the products that they are
    /// about.
    pub fn each_impact(self, found: &mut dyn FnMut(Cow<'t, str>, ProductIds<'t>)) {
        for threat in items(self.0, &["threats"]) {
            let is_impact = threat.str_at(&["category"]).as_deref() == Some("impact");
            if let Some(label) = threat.str_at(&["details"]).filter(|_| is_impact) {
                found(label, ProductIds(threat));
            }
        }
    }
}

/// What can be done about a vulnerability.
#[derive(Debug, Clone, Copy)]
pub struct Remediation<'t>(Value<'t>);

impl<'t> Remediation<'t> {
    /// What kind it is, such as `vendor_fix` or `no_fix_planned`.
    #[must_use]
    pub fn category(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["category"])
    }

    /// What it is in words.
    #[must_use]
    pub fn details(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["details"])
    }

    /// Where it is to be had.
    #[must_use]
    pub fn url(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["url"])
    }

    /// The products that it is about.
    #[must_use]
    pub fn products(self) -> ProductIds<'t> {
        ProductIds(self.0)
    }
}

/// The products that a remediation or a threat is about.
#[derive(Debug, Clone, Copy)]
pub struct ProductIds<'t>(Value<'t>);

impl<'t> ProductIds<'t> {
    /// Whether it is about no product in particular, hence about all.
    #[must_use]
    pub fn is_all(self) -> bool {
        let none = |list| self.0.get(list).is_none_or(Value::is_empty);
        none("product_ids") && none("group_ids")
    }

    /// The ids, in the order of the document.
    pub fn each(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        texts(self.0, &["product_ids"]).for_each(found);
    }
}

#[cfg(test)]
mod tests {
    use stella_model::Limits;

    use super::super::Evidence;
    use crate::Format;

    fn read(tree: &str) -> String {
        format!(r#"{{"document":{{"csaf_version":"2.0"}},"product_tree":{tree}}}"#)
    }

    fn product(id: &str, helper: &str) -> String {
        format!(r#"{{"product":{{"product_id":"{id}","product_identification_helper":{helper}}}}}"#)
    }

    fn relation(id: &str, component: &str, whole: &str) -> String {
        format!(
            r#"{{"full_product_name":{{"product_id":"{id}"}},"product_reference":"{component}",
            "relates_to_product_reference":"{whole}"}}"#
        )
    }

    #[test]
    fn a_package_in_a_module_in_a_platform_is_found_with_both() {
        let branches = [
            product("AppStream", r#"{"cpe":"cpe:/a:redhat:enterprise_linux:9::appstream"}"#),
            product("nodejs:18:9:x", r#"{"purl":"pkg:rpmmod/redhat/nodejs@18:9:x"}"#),
            product("nodejs.x86_64", r#"{"purl":"pkg:rpm/redhat/nodejs@18-1?arch=x86_64"}"#),
        ];
        let relations = [
            relation("AppStream:nodejs:18:9:x:nodejs.x86_64", "nodejs.x86_64", "AppStream:nodejs"),
            relation("AppStream:nodejs", "nodejs:18:9:x", "AppStream"),
        ];
        let text = read(&format!(
            r#"{{"branches":[{{"branches":[{}]}}],"relationships":[{}]}}"#,
            branches.join(","),
            relations.join(",")
        ));
        let evidence =
            Evidence::open(Format::CsafVex, text.as_bytes(), &Limits::DEFAULT).expect("reads");
        let products = evidence.csaf().expect("CSAF").products();
        let number = products.number("AppStream:nodejs:18:9:x:nodejs.x86_64").expect("known");
        let purl = |number| products.component(number).and_then(|found| found.purl.as_deref());
        assert_eq!(purl(number), Some("pkg:rpm/redhat/nodejs@18-1?arch=x86_64"));
        let wholes: Vec<usize> = products.wholes(number).collect();
        assert_eq!(wholes.len(), 2);
        assert_eq!(purl(wholes[0]), Some("pkg:rpmmod/redhat/nodejs@18:9:x"));
        let cpe = products.get(wholes[1]).and_then(|found| found.cpe.as_deref());
        assert_eq!(cpe, Some("cpe:/a:redhat:enterprise_linux:9::appstream"));
        assert_eq!(products.number("nobody"), None);
    }

    #[test]
    fn circles_and_members_of_other_shapes_end() {
        let circle = format!(
            r#"{{"branches":7,"full_product_names":[7,{{}}],"relationships":[{},{},3,{{}}]}}"#,
            relation("a", "b", "b"),
            relation("b", "a", "a")
        );
        let text = read(&circle);
        let evidence =
            Evidence::open(Format::CsafVex, text.as_bytes(), &Limits::DEFAULT).expect("reads");
        let products = evidence.csaf().expect("CSAF").products();
        assert_eq!(products.len(), 2);
        assert!(!products.is_empty());
        assert!(products.component(0).is_some());
        assert_eq!(products.wholes(0).count(), super::MOST_STEPS);
        assert_eq!(products.wholes(99).count(), 0);
    }
}
