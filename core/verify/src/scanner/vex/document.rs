//! Documents of VEX, read a statement at a time.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use stella_model::Instant;

use super::super::{in_full, schema};
use super::package_of;

/// What begins the context of every OpenVEX that Trivy reads.
const CONTEXT: &str = "https://openvex.dev/ns";

const STATUSES: [&str; 4] = ["not_affected", "affected", "fixed", "under_investigation"];

const JUSTIFICATIONS: [&str; 5] = [
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

/// What a document is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The package of all its products, if it is OpenVEX.
    pub(super) package: Option<String>,
    pub(super) is_csaf: bool,
}

/// Reads a document to its end; `piece` is called after each statement. An error tells why it is no document
/// that Trivy reads.
pub(super) fn read(json: &mut dyn Read, as_of: Instant, piece: &dyn Fn()) -> Result<Told, String> {
    let mut json = serde_json::Deserializer::from_reader(json);
    let seed = Document { as_of, piece };
    let told = seed.deserialize(&mut json).and_then(|told| json.end().map(|()| told));
    told.map_err(|error| in_full(&error))
}

#[derive(Clone, Copy)]
struct Document<'d> {
    as_of: Instant,
    piece: &'d dyn Fn(),
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = Told;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Told, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// The members of an OpenVEX document that are texts.
const TEXTS: [&str; 7] =
    ["@context", "@id", "author", "role", "timestamp", "last_updated", "tooling"];

impl<'de> Visitor<'de> for Document<'_> {
    type Value = Told;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object: OpenVEX or CSAF")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Told, A::Error> {
        let mut texts: [Option<String>; TEXTS.len()] = Default::default();
        let (mut version, mut package) = (None::<u64>, None);
        let (mut head, mut tree, mut vulnerabilities) = (None::<CsafHead>, false, false);
        let mut other = None;
        while let Some(name) = members.next_key::<String>()? {
            let twice = || A::Error::custom(format_args!("member {name:?} twice"));
            if let Some(at) = TEXTS.iter().position(|known| *known == name) {
                if texts[at].replace(members.next_value()?).is_some() {
                    return Err(twice());
                }
                continue;
            }
            match name.as_str() {
                "version" if version.is_none() => version = Some(members.next_value()?),
                "statements" if package.is_none() => {
                    package = Some(members.next_value_seed(Statements(self.piece))?);
                }
                "document" if head.is_none() => head = Some(members.next_value()?),
                "product_tree" if !tree => {
                    tree = true;
                    members.next_value_seed(AnyObject)?;
                }
                "vulnerabilities" if !vulnerabilities => {
                    vulnerabilities = true;
                    members.next_value_seed(Vulnerabilities(self.piece))?;
                }
                "version" | "statements" | "document" | "product_tree" | "vulnerabilities" => {
                    return Err(twice());
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    other = Some(name);
                }
            }
        }
        if let Some(head) = head {
            if texts.iter().any(Option::is_some) || package.is_some() {
                return Err(A::Error::custom("it is OpenVEX and CSAF at once"));
            }
            head.check(tree && vulnerabilities).map_err(A::Error::custom)?;
            return Ok(Told { package: None, is_csaf: true });
        }
        if tree || vulnerabilities || other.is_some() {
            let name = other.as_deref().unwrap_or("product_tree, vulnerabilities");
            return Err(A::Error::custom(format_args!("unknown member {name:?}")));
        }
        self.check(&texts, version).map_err(A::Error::custom)?;
        let package = package.ok_or_else(|| A::Error::missing_field("statements"))?;
        Ok(Told { package, is_csaf: false })
    }
}

impl Document<'_> {
    /// Checks what an OpenVEX document tells of itself.
    fn check(
        &self,
        texts: &[Option<String>; TEXTS.len()],
        version: Option<u64>,
    ) -> Result<(), String> {
        let [context, id, author, _, timestamp, last_updated, _] = texts;
        let is_context = |text: &&String| text.starts_with(CONTEXT);
        context.as_ref().filter(is_context).ok_or("its @context is not that of OpenVEX")?;
        for (what, text) in [("@id", id), ("author", author)] {
            if text.as_deref().is_none_or(str::is_empty) {
                return Err(format!("it has no {what}"));
            }
        }
        let as_of = self.as_of.to_string();
        if timestamp.as_deref() != Some(&as_of) {
            let found = timestamp.as_deref().unwrap_or("nothing");
            return Err(format!("its timestamp is {found}, not {as_of}"));
        }
        check_time("last_updated", last_updated.as_deref())?;
        version.filter(|version| *version > 0).map(drop).ok_or("it has no version".to_owned())
    }
}

fn check_time(what: &str, text: Option<&str>) -> Result<(), String> {
    match text.is_none_or(schema::is_go_time) {
        true => Ok(()),
        false => Err(format!("{what} is no RFC 3339 time with its zone")),
    }
}

/// Statements of OpenVEX; the package of all their products.
struct Statements<'d>(&'d dyn Fn());

impl<'de> DeserializeSeed<'de> for Statements<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Statements<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of statements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut statements: A) -> Result<Self::Value, A::Error> {
        let mut package: Option<String> = None;
        let mut number = 0_u64;
        while let Some(statement) = statements.next_element::<Statement>()? {
            number += 1;
            let about = statement
                .check()
                .map_err(|wrong| A::Error::custom(format_args!("statement {number} {wrong}")))?;
            if *package.get_or_insert_with(|| about.clone()) != about {
                let told = format_args!("statement {number} is about another package, {about}");
                return Err(A::Error::custom(told));
            }
            (self.0)();
        }
        match number {
            0 => Err(A::Error::custom("it has no statement")),
            _ => Ok(package),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    #[serde(rename = "@id", default)]
    _id: Option<String>,
    #[serde(rename = "version", default)]
    _version: Option<u64>,
    vulnerability: Vulnerability,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    last_updated: Option<String>,
    products: Vec<Product>,
    status: String,
    #[serde(rename = "supplier", default)]
    _supplier: Option<String>,
    #[serde(rename = "status_notes", default)]
    _status_notes: Option<String>,
    #[serde(default)]
    justification: Option<String>,
    #[serde(default)]
    impact_statement: Option<String>,
    #[serde(default)]
    action_statement: Option<String>,
    #[serde(default)]
    action_statement_timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vulnerability {
    #[serde(rename = "@id", default)]
    _id: Option<String>,
    name: String,
    #[serde(rename = "description", default)]
    _description: Option<String>,
    #[serde(rename = "aliases", default)]
    _aliases: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    #[serde(rename = "@id")]
    id: String,
    #[serde(rename = "identifiers", default)]
    _identifiers: Option<std::collections::BTreeMap<String, String>>,
    #[serde(rename = "hashes", default)]
    _hashes: Option<std::collections::BTreeMap<String, String>>,
    #[serde(default)]
    subcomponents: Option<Vec<Product>>,
}

impl Statement {
    /// The package of its products, which must be one.
    fn check(&self) -> Result<String, String> {
        if self.vulnerability.name.is_empty() {
            return Err("names no vulnerability".to_owned());
        }
        if !STATUSES.contains(&self.status.as_str()) {
            return Err(format!("has a status that is none: {:?}", self.status));
        }
        for (what, text) in [
            ("timestamp", &self.timestamp),
            ("last_updated", &self.last_updated),
            ("action_statement_timestamp", &self.action_statement_timestamp),
        ] {
            check_time(what, text.as_deref()).map_err(|wrong| format!("is wrong: {wrong}"))?;
        }
        if let Some(word) = &self.justification
            && !JUSTIFICATIONS.contains(&word.as_str())
        {
            return Err(format!("has a justification that is none: {word:?}"));
        }
        let says = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        match self.status.as_str() {
            "not_affected" if !says(&self.justification) && !says(&self.impact_statement) => {
                return Err("says why nowhere".to_owned());
            }
            "affected" if !says(&self.action_statement) => {
                return Err("says what to do nowhere".to_owned());
            }
            _ => {}
        }
        let mut package: Option<String> = None;
        for product in &self.products {
            let of = |id: &str| package_of(id).ok_or(format!("names no package URL: {id:?}"));
            let about = of(&product.id)?;
            for part in product.subcomponents.iter().flatten() {
                of(&part.id)?;
                if part.subcomponents.is_some() {
                    return Err("has parts of parts, which Trivy does not look at".to_owned());
                }
            }
            if *package.get_or_insert_with(|| about.clone()) != about {
                return Err(format!("is about another package too, {about}"));
            }
        }
        package.ok_or_else(|| "has no product, and so holds for all".to_owned())
    }
}

/// What matters of `document` in CSAF.
#[derive(Deserialize)]
struct CsafHead {
    category: String,
    csaf_version: String,
}

impl CsafHead {
    fn check(&self, whole: bool) -> Result<(), String> {
        if self.category != "csaf_vex" || self.csaf_version != "2.0" {
            let CsafHead { category, csaf_version } = self;
            return Err(format!("it is CSAF {csaf_version} of the category {category:?}"));
        }
        match whole {
            true => Ok(()),
            false => Err("it is CSAF without products or vulnerabilities".to_owned()),
        }
    }
}

/// An object with anything in it.
struct AnyObject;

impl<'de> DeserializeSeed<'de> for AnyObject {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AnyObject {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Vulnerabilities of CSAF.
struct Vulnerabilities<'d>(&'d dyn Fn());

impl<'de> DeserializeSeed<'de> for Vulnerabilities<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Vulnerabilities<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of vulnerabilities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut vulnerabilities: A) -> Result<(), A::Error> {
        while vulnerabilities.next_element_seed(AnyObject)?.is_some() {
            (self.0)();
        }
        Ok(())
    }
}
