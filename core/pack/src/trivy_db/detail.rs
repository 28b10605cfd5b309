//! What is known of a vulnerability whatever the package: rows of the bucket `vulnerability`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use stella_model::Instant;
use stella_records::view::{AdvisoryView, Vector};
use stella_records::{CvssScore, CvssVersion, Severity};

use super::code::{Reader, Writer};
use super::json::Object;

/// Encodes what an advisory says of its vulnerabilities. `source` is the id of its data source.
pub(super) fn encode(out: &mut Writer, source: &str, advisory: AdvisoryView<'_>) {
    let scores = Scores::of(advisory);
    let mut told = Told {
        source: source.into(),
        title: advisory.title().unwrap_or_default(),
        details: advisory.details().unwrap_or_default(),
        severity: severity(advisory, &scores).map_or(0, number),
        scores,
        published: advisory.published(),
        modified: advisory.modified(),
        ..Told::default()
    };
    advisory.each_weakness(&mut |weakness| told.weaknesses.push(weakness));
    advisory.each_reference(&mut |reference| told.references.push(reference));
    encode_told(out, &told);
}

/// What a source says of a vulnerability.
#[derive(Default)]
pub(super) struct Told<'t> {
    pub(super) source: Cow<'t, str>,
    pub(super) title: Cow<'t, str>,
    pub(super) details: Cow<'t, str>,
    /// Trivy's number of a severity.
    pub(super) severity: u8,
    pub(super) scores: Scores,
    pub(super) weaknesses: Vec<Cow<'t, str>>,
    pub(super) references: Vec<Cow<'t, str>>,
    pub(super) published: Option<Instant>,
    pub(super) modified: Option<Instant>,
}

/// Encodes what a source says.
pub(super) fn encode_told(out: &mut Writer, told: &Told<'_>) {
    let time = |instant: Option<Instant>| {
        // Some feeds write the year 1 for "never".
        let told = instant.filter(|instant| instant.unix_seconds() > 0);
        told.map_or_else(String::new, |instant| instant.to_seconds().to_string())
    };
    out.clear().text(&told.source).text(&told.title).text(&told.details).byte(told.severity);
    for (_, slot) in told.scores.slots() {
        match slot {
            // Trivy leaves out a score of 0 too.
            Some((vector, 0.0)) => out.text(vector).text(""),
            Some((vector, score)) => out.text(vector).text(&score.to_string()),
            None => out.text("").text(""),
        };
    }
    out.list(&told.weaknesses).list(&told.references);
    out.text(&time(told.published)).text(&time(told.modified));
}

/// The severity by the publisher's word, else by the newest kind of score. AlmaLinux and Rocky put
/// the word before the title.
fn severity(advisory: AdvisoryView<'_>, scores: &Scores) -> Option<Severity> {
    let label = advisory.severity_label().and_then(|label| Severity::from_label(&label));
    let of_score = || {
        let version = |slot: &Option<(String, f64)>, version| {
            let told = slot.as_ref().filter(|(_, score)| *score > 0.0);
            told.and_then(|(_, score)| CvssScore { version, score: *score }.severity())
        };
        scores.slots().into_iter().find_map(|(kind, slot)| version(slot, kind))
    };
    let of_title = || {
        let title = advisory.title()?;
        Severity::from_label(title.split_once(':')?.0)
    };
    label.or_else(of_score).or_else(of_title)
}

/// Trivy's number of a severity.
pub(super) fn number(severity: Severity) -> u8 {
    match severity {
        Severity::None => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

/// Trivy's names of severities, by their numbers. Any other word makes findings disappear.
pub(super) const SEVERITIES: [&str; 5] = ["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"];

/// The first vector of each version of CVSS that knows of an impact, else the first.
#[derive(Default)]
pub(super) struct Scores {
    v2: Option<(String, f64)>,
    v3: Option<(String, f64)>,
    v4: Option<(String, f64)>,
}

impl Scores {
    /// Of the advisory, else of the first package that has any.
    fn of(advisory: AdvisoryView<'_>) -> Scores {
        let mut scores = Scores::default();
        advisory.each_vector(&mut |vector| scores.take(&vector));
        let is_none = |slot: &Option<(String, f64)>| slot.as_ref().is_none_or(|(_, at)| *at == 0.0);
        if scores.slots().iter().all(|(_, slot)| is_none(slot)) {
            advisory.each_affected(&mut |affected| {
                affected.each_vector(&mut |vector| scores.take(&vector));
            });
        }
        scores
    }

    fn take(&mut self, vector: &Vector<'_>) {
        if vector.kind.starts_with("CVSS_V") {
            self.take_vector(&vector.score);
        }
    }

    /// Takes a vector, if there is none of its version yet.
    pub(super) fn take_vector(&mut self, text: &str) {
        let text = text.trim_end_matches('/');
        let Some(found) = CvssScore::of_vector(text) else { return };
        let slot = match found.version {
            CvssVersion::V2 => &mut self.v2,
            CvssVersion::V3 => &mut self.v3,
            CvssVersion::V4 => &mut self.v4,
        };
        // One that says "no impact" gives way to any that knows of one.
        if slot.as_ref().is_none_or(|(_, score)| *score == 0.0 && found.score > 0.0) {
            *slot = Some((text.to_owned(), found.score));
        }
    }

    /// Newest version first.
    fn slots(&self) -> [(CvssVersion, &Option<(String, f64)>); 3] {
        [(CvssVersion::V4, &self.v4), (CvssVersion::V3, &self.v3), (CvssVersion::V2, &self.v2)]
    }
}

/// A vulnerability in the making. Takes what the sources say, the most believed first.
#[derive(Debug, Default)]
pub(super) struct Detail {
    title: String,
    description: String,
    weaknesses: Vec<String>,
    severity: u8,
    vendors: BTreeMap<String, u8>,
    scores: BTreeMap<String, [(String, String); 3]>,
    references: BTreeSet<String>,
    published: String,
    modified: String,
}

impl Detail {
    /// Takes what [`encode`] wrote. What a source that is believed more said stays.
    pub(super) fn take(&mut self, blob: &[u8]) -> io::Result<()> {
        let mut read = Reader::new(blob);
        let fill = |slot: &mut String, text: &str| {
            if slot.is_empty() {
                slot.push_str(text);
            }
        };
        let source = read.text()?;
        fill(&mut self.title, read.text()?);
        fill(&mut self.description, read.text()?);
        let severity = read.byte()?;
        if severity > 0 {
            self.severity = if self.severity == 0 { severity } else { self.severity };
            self.vendors.entry(source.to_owned()).or_insert(severity);
        }
        let mut scores: [(String, String); 3] = Default::default();
        for slot in &mut scores {
            *slot = (read.text()?.to_owned(), read.text()?.to_owned());
        }
        if scores.iter().any(|(_, score)| !score.is_empty()) {
            self.scores.entry(source.to_owned()).or_insert(scores);
        }
        let weaknesses = read.list()?;
        if self.weaknesses.is_empty() {
            self.weaknesses = weaknesses.into_iter().map(str::to_owned).collect();
        }
        for reference in read.list()?.into_iter().flat_map(str::lines) {
            let reference = reference.trim();
            if !reference.is_empty() && !self.references.contains(reference) {
                self.references.insert(reference.to_owned());
            }
        }
        fill(&mut self.published, read.text()?);
        fill(&mut self.modified, read.text()?);
        Ok(())
    }

    /// The value of the row.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::new(out);
        object.text("Title", &self.title);
        object.text("Description", &self.description);
        object.text("Severity", SEVERITIES[usize::from(self.severity.min(4))]);
        object.texts("CweIDs", &self.weaknesses);
        if !self.vendors.is_empty() {
            let mut vendors = Object::new(object.member("VendorSeverity"));
            for (source, severity) in &self.vendors {
                vendors.number(source, (*severity).min(4));
            }
            vendors.end();
        }
        if !self.scores.is_empty() {
            let mut sources = Object::new(object.member("CVSS"));
            for (source, scores) in &self.scores {
                write_scores(sources.member(source), scores);
            }
            sources.end();
        }
        let references: Vec<&String> = self.references.iter().collect();
        object.texts("References", &references);
        object.text("PublishedDate", &self.published);
        object.text("LastModifiedDate", &self.modified);
        object.end();
    }
}

/// Vectors of versions 4, 3 and 2 with their scores.
fn write_scores(out: &mut Vec<u8>, scores: &[(String, String); 3]) {
    let [v4, v3, v2] = scores;
    let mut object = Object::new(out);
    for (name, (vector, _)) in [("V2Vector", v2), ("V3Vector", v3), ("V40Vector", v4)] {
        object.text(name, vector);
    }
    for (name, (_, score)) in [("V2Score", v2), ("V3Score", v3), ("V40Score", v4)] {
        if !score.is_empty() {
            object.member(name).extend_from_slice(score.as_bytes());
        }
    }
    object.end();
}
