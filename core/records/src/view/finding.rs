//! Findings: what a scanner found in an artifact.

use std::borrow::Cow;

use stella_model::json::Value;

use super::{Package, items};
use crate::format::Format;
use crate::severity::Severity;

/// One finding of a scanner.
#[derive(Debug, Clone, Copy)]
pub struct FindingView<'t> {
    format: Format,
    found: Value<'t>,
}

impl<'t> FindingView<'t> {
    /// A finding from the scanner's own record of it.
    pub(crate) fn of_match(format: Format, found: Value<'t>) -> FindingView<'t> {
        FindingView { format, found }
    }

    /// The vulnerability, misconfiguration, secret or licence rule.
    #[must_use]
    pub fn rule_id(self) -> Option<Cow<'t, str>> {
        match self.format {
            Format::GrypeFinding => self.found.str_at(&["vulnerability", "id"]),
            _ => ["VulnerabilityID", "ID", "AVDID", "RuleID", "Name"]
                .iter()
                .find_map(|member| self.found.str_at(&[member]).filter(|id| !id.is_empty())),
        }
    }

    /// How the scanner rates it.
    #[must_use]
    pub fn severity(self) -> Option<Severity> {
        let label = match self.format {
            Format::GrypeFinding => self.found.str_at(&["vulnerability", "severity"]),
            _ => self.found.str_at(&["Severity"]),
        };
        Severity::from_label(&label?)
    }

    /// The rule and the other ids of the same vulnerability.
    pub fn each_id(self, each: &mut dyn FnMut(Cow<'t, str>)) {
        self.rule_id().into_iter().for_each(&mut *each);
        match self.format {
            Format::GrypeFinding => items(self.found, &["relatedVulnerabilities"])
                .filter_map(|related| related.str_at(&["id"]))
                .for_each(each),
            _ => super::texts(self.found, &["VendorIDs"]).for_each(each),
        }
    }

    /// The package that it was found in.
    #[must_use]
    pub fn package(self) -> Package<'t> {
        let (purl, name) = match self.format {
            Format::GrypeFinding => {
                (self.found.str_at(&["artifact", "purl"]), self.found.str_at(&["artifact", "name"]))
            }
            _ => (self.found.str_at(&["PkgIdentifier", "PURL"]), self.found.str_at(&["PkgName"])),
        };
        Package { ecosystem: None, name, purl }
    }
}
