//! From records to rows.

use std::collections::BTreeMap;
use std::io;

use stella_records::purl::{self, Maven};
use stella_records::view::{Component, Evidence};

use super::Reason;
use crate::rows::{Sorter, Spool};

/// Memory of one collector for rows, in bytes.
const ROWS: usize = 24 << 20;

/// Bytes of a SHA-1.
pub(super) const SHA1: usize = 20;

/// Types of artifacts that are no jars. All others are taken: which archives hold classes is told
/// by more words than anybody has listed, and a row too many is never looked up.
const NO_JARS: &[&str] = &["aar", "pom"];

/// Turns records into rows. Any number of them work side by side; [`super::assemble`] puts their
/// rows together.
pub struct Collector<'s> {
    /// Keys alone: SHA-1, whether there is a classifier, then group, artifact and version, each
    /// ended by a zero byte. So the first of several rows with one SHA-1 is the one that counts.
    pub(super) rows: Sorter<'s>,
    pub(super) reasons: BTreeMap<&'static str, u64>,
    key: Vec<u8>,
}

impl<'s> Collector<'s> {
    /// A collector with a spool of its own.
    #[must_use]
    pub fn new(spool: &'s dyn Spool) -> Collector<'s> {
        let rows = Sorter::new(spool, ROWS);
        Collector { rows, reasons: BTreeMap::new(), key: Vec::new() }
    }

    /// Takes the components of a record; one that is no SBOM has none.
    ///
    /// # Errors
    /// If the spool fails.
    pub fn record(&mut self, evidence: &Evidence<'_>) -> io::Result<()> {
        let Some(sbom) = evidence.sbom() else { return Ok(()) };
        let mut taken = Ok(());
        let mut take = |component: Component<'_>, counted: bool| {
            if taken.is_ok() {
                taken = self.component(&component, counted);
            }
        };
        // CycloneDX lists what the SBOM is about beside the components, SPDX among them: seen
        // twice, a row is one row, but what has none would be counted twice.
        sbom.each_subject(&mut |component| take(component, false));
        sbom.each_component(&mut |component| take(component, true));
        taken
    }

    fn component(&mut self, component: &Component<'_>, counted: bool) -> io::Result<()> {
        let Some(jar) = component.purl.as_deref().and_then(purl::maven) else { return Ok(()) };
        let usable = usable(&jar);
        let (Ok(()), Some(sha1)) = (usable, component.sha1) else {
            if counted {
                let reason = usable.err().unwrap_or(Reason::NoSha1);
                *self.reasons.entry(reason.as_str()).or_default() += 1;
            }
            return Ok(());
        };
        self.key.clear();
        self.key.extend_from_slice(sha1.as_bytes());
        self.key.push(u8::from(!jar.classifier.is_empty()));
        for part in [&jar.group, &jar.artifact, &jar.version] {
            self.key.extend_from_slice(part.as_bytes());
            self.key.push(0);
        }
        self.rows.push(&self.key, &[])
    }
}

/// Whether a purl of Maven says all that a row needs.
fn usable(jar: &Maven<'_>) -> Result<(), Reason> {
    if NO_JARS.iter().any(|kind| jar.packaging.eq_ignore_ascii_case(kind)) {
        return Err(Reason::NotAJar);
    }
    if jar.group.is_empty() {
        return Err(Reason::NoGroup);
    }
    if jar.version.is_empty() {
        return Err(Reason::NoVersion);
    }
    let parts = [&jar.group, &jar.artifact, &jar.version];
    if parts.iter().any(|part| part.contains('\0')) {
        return Err(Reason::NoUsableName);
    }
    Ok(())
}
