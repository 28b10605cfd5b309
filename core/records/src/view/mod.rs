//! What a document says, whatever its format: the only way other code sees a format.
//!
//! [`Evidence`] is a document that has been read once; its views borrow from it and interpret on
//! demand. Views are lenient: a member of an unexpected shape counts as absent.

mod advisory;
mod affected;
mod csaf;
mod finding;
mod sbom;
mod sha1;
mod vex;

use std::borrow::Cow;

use stella_model::Limits;
use stella_model::json::{Document, Tape, Value};

pub use advisory::AdvisoryView;
pub use affected::{Affected, Event, RangeKind, Vector};
pub use csaf::{CsafProduct, CsafView, CsafVulnerability, ProductIds, Products, Remediation};
pub use finding::FindingView;
pub use sbom::{Component, SbomView};
pub use sha1::Sha1;
pub use vex::{Product, Statement, Status, VexView, Whole};

use crate::format::Format;
use crate::formats::cyclonedx_xml::XmlBom;
use crate::formats::spdx_tag_value::TagDocument;
use crate::purl;
use crate::rejection::{RejectReason, Rejection};

/// A record's document, read once.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    format: Format,
    parsed: Parsed<'a>,
}

#[derive(Debug, Clone)]
pub(crate) enum Parsed<'a> {
    Json(Document<'a>),
    Xml(Box<XmlBom>),
    Tags(TagDocument<'a>),
}

impl<'a> Evidence<'a> {
    /// Reads the content of a record.
    ///
    /// # Errors
    /// A [`Rejection`] if the content is not of this format's syntax or over a limit; content
    /// that was recognised before never is.
    pub fn open(
        format: Format,
        content: &'a [u8],
        limits: &Limits,
    ) -> Result<Evidence<'a>, Rejection> {
        Evidence::open_in(Tape::default(), format, content, limits)
    }

    /// As [`Evidence::open`], in the room of earlier evidence.
    ///
    /// # Errors
    /// As [`Evidence::open`].
    pub fn open_in(
        tape: Tape,
        format: Format,
        content: &'a [u8],
        limits: &Limits,
    ) -> Result<Evidence<'a>, Rejection> {
        if format.is_json() {
            let document = Document::parse_in(tape, content, limits)?;
            return Ok(Evidence::new(format, Parsed::Json(document)));
        }
        let text = std::str::from_utf8(content).map_err(|error| {
            Rejection::new(RejectReason::InvalidEncoding, "not valid UTF-8")
                .at(error.valid_up_to() as u64)
        })?;
        let parsed = match format {
            Format::CycloneDxXml => Parsed::Xml(Box::new(XmlBom::read(text, limits)?)),
            _ => Parsed::Tags(TagDocument::read(text, limits)?),
        };
        Ok(Evidence::new(format, parsed))
    }

    pub(crate) fn new(format: Format, parsed: Parsed<'a>) -> Evidence<'a> {
        Evidence { format, parsed }
    }

    /// The room that the document took, for the next one.
    #[must_use]
    pub fn into_tape(self) -> Tape {
        match self.parsed {
            Parsed::Json(document) => document.into_tape(),
            Parsed::Xml(_) | Parsed::Tags(_) => Tape::default(),
        }
    }

    /// The format of the document.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The document as an advisory: OSV and CSAF.
    #[must_use]
    pub fn advisory(&self) -> Option<AdvisoryView<'_>> {
        match self.format {
            Format::Osv => self.root().map(AdvisoryView::osv),
            Format::CsafAdvisory | Format::CsafVex => self.root().map(AdvisoryView::csaf),
            _ => None,
        }
    }

    /// The document as CSAF, with all that the format alone tells.
    #[must_use]
    pub fn csaf(&self) -> Option<CsafView<'_>> {
        match self.format {
            Format::CsafAdvisory | Format::CsafVex => self.root().map(CsafView::new),
            _ => None,
        }
    }

    /// The document as statements on whether products are affected: OpenVEX, CSAF, CycloneDX.
    #[must_use]
    pub fn vex(&self) -> Option<VexView<'_>> {
        match (self.format, &self.parsed) {
            (Format::OpenVex, Parsed::Json(document)) => Some(VexView::openvex(document.root())),
            (Format::CsafAdvisory | Format::CsafVex, Parsed::Json(document)) => {
                Some(VexView::csaf(document.root()))
            }
            (Format::CycloneDxJson, Parsed::Json(document)) => {
                Some(VexView::cyclonedx(document.root()))
            }
            (_, Parsed::Xml(bom)) => Some(VexView::xml(bom)),
            _ => None,
        }
    }

    /// The document as a list of components: CycloneDX, SPDX and jar lists.
    #[must_use]
    pub fn sbom(&self) -> Option<SbomView<'_>> {
        match (self.format, &self.parsed) {
            (Format::CycloneDxJson, Parsed::Json(document)) => {
                Some(SbomView::cyclonedx(document.root()))
            }
            (Format::SpdxJson, Parsed::Json(document)) => Some(SbomView::spdx(document.root())),
            (Format::Spdx3, Parsed::Json(document)) => Some(SbomView::spdx3(document.root())),
            (Format::JarList, Parsed::Json(document)) => Some(SbomView::jar(document.root())),
            (_, Parsed::Xml(bom)) => Some(SbomView::xml(bom)),
            (_, Parsed::Tags(document)) => Some(SbomView::tags(document)),
            _ => None,
        }
    }

    /// The document as one finding of a scanner.
    #[must_use]
    pub fn finding(&self) -> Option<FindingView<'_>> {
        match self.format {
            Format::TrivyFinding | Format::GrypeFinding => {
                let found = self.root()?.get("match")?;
                Some(FindingView::of_match(self.format, found))
            }
            _ => None,
        }
    }

    fn root(&self) -> Option<Value<'_>> {
        match &self.parsed {
            Parsed::Json(document) => Some(document.root()),
            _ => None,
        }
    }
}

/// A package as evidence names it; every part may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package<'t> {
    /// Ecosystem as OSV names it, with its release where given.
    pub ecosystem: Option<Cow<'t, str>>,
    /// Name within the ecosystem.
    pub name: Option<Cow<'t, str>>,
    /// Package URL as it stands in the document.
    pub purl: Option<Cow<'t, str>>,
}

impl<'t> Package<'t> {
    /// A package that only a purl names; absent if the text is none.
    #[must_use]
    pub fn of_purl(purl: Cow<'t, str>) -> Package<'t> {
        Package { purl: purl.starts_with("pkg:").then_some(purl), ..Package::default() }
    }

    /// The ecosystem as told, else as the purl implies it.
    #[must_use]
    pub fn ecosystem(&self) -> Option<Cow<'t, str>> {
        let told = self.ecosystem.clone().filter(|text| !text.is_empty());
        told.or_else(|| purl::ecosystem(self.purl.as_deref()?).map(Cow::Borrowed))
    }

    /// The key that selectors compare: the purl without version, else `ecosystem/name`.
    #[must_use]
    pub fn key(&self) -> Option<Cow<'t, str>> {
        let of_purl = match &self.purl {
            Some(Cow::Borrowed(text)) => purl::package(text),
            Some(Cow::Owned(text)) => purl::package(text).map(|key| Cow::Owned(key.into_owned())),
            None => None,
        };
        if of_purl.is_some() {
            return of_purl;
        }
        let filled = |text: &Option<Cow<'t, str>>| text.clone().filter(|text| !text.is_empty());
        let (ecosystem, name) = (filled(&self.ecosystem)?, filled(&self.name)?);
        Some(Cow::Owned(format!("{ecosystem}/{name}")))
    }
}

/// Items of the array at a path; nothing if there is none.
fn items<'t>(value: Value<'t>, path: &[&str]) -> impl Iterator<Item = Value<'t>> + use<'t> {
    value.path(path).into_iter().flat_map(Value::items)
}

/// Texts of the array at a path.
fn texts<'t>(value: Value<'t>, path: &[&str]) -> impl Iterator<Item = Cow<'t, str>> + use<'t> {
    items(value, path).filter_map(Value::as_str)
}
