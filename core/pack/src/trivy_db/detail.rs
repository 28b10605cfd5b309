//! What is known of a vulnerability whatever the package: rows of the bucket `vulnerability`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use stella_model::Instant;
use stella_records::view::{AdvisoryView, Vector};
use stella_records::{CvssScore, CvssVersion, Severity};

use super::json::{Object, is_plain, string, texts};
use crate::rows::code::{Reader, Writer};

/// Encodes what an advisory says of its vulnerabilities. `source` is the id of its data source.
pub(super) fn encode(
    out: &mut Writer,
    source: &str,
    advisory: AdvisoryView<'_>,
    known: &mut KnownScores,
) {
    let scores = Scores::of(advisory, known);
    let mut told = Told {
        source: source.into(),
        title: advisory.title().unwrap_or_default(),
        details: advisory.details().unwrap_or_default(),
        severity: severity(advisory, &scores).map_or(0, number),
        scores,
        published: advisory.published(),
        modified: advisory.modified(),
        // As many as most have.
        references: Vec::with_capacity(16),
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

/// Encodes what a source says: JSON already, since a vulnerability of many ids is written often. The
/// first byte is for [`set_distance`].
pub(super) fn encode_told(out: &mut Writer, told: &Told<'_>) {
    let time = |instant: Option<Instant>| {
        // Some feeds write the year 1 for "never".
        let told = instant.filter(|instant| instant.unix_seconds() > 0);
        told.map_or_else(String::new, |instant| instant.to_seconds().to_string())
    };
    let optional = |out: &mut Vec<u8>, text: &str| {
        if !text.is_empty() {
            string(out, text);
        }
    };
    out.clear().byte(0).text(&told.source).byte(told.severity);
    out.sized(|out| optional(out, &told.title)).sized(|out| optional(out, &told.details));
    out.sized(|out| told.scores.write(out));
    let weaknesses: Vec<&str> = told.weaknesses.iter().map(|weakness| &**weakness).collect();
    out.sized(|out| {
        if !weaknesses.is_empty() {
            texts(out, &weaknesses);
        }
    });
    for instant in [told.published, told.modified] {
        out.sized(|out| optional(out, &time(instant)));
    }
    let mut references: Vec<&str> = Vec::with_capacity(told.references.len());
    for reference in &told.references {
        // Some write several addresses into one.
        match memchr::memchr(b'\n', reference.as_bytes()) {
            Some(_) => references.extend(reference.lines().map(str::trim)),
            None => references.push(reference.trim()),
        }
    }
    references.retain(|reference| !reference.is_empty());
    references.sort_unstable();
    references.dedup();
    out.sized_list(&references, |out, text| keep_reference(out, text));
}

/// Notes how far title and description are from being about the vulnerability.
pub(super) fn set_distance(encoded: &mut [u8], distance: u8) {
    if let Some(first) = encoded.first_mut() {
        *first = distance;
    }
}

/// Whether the JSON string of a reference is its text between quotes, then the text. References of an
/// erratum are looked at once, and written for each vulnerability that it fixes.
fn keep_reference(out: &mut Vec<u8>, text: &str) {
    out.push(u8::from(is_plain(text)));
    out.extend_from_slice(text.as_bytes());
}

/// The text of a reference that was kept.
fn text_of<'b>(kept: &&'b [u8]) -> &'b [u8] {
    kept.get(1..).unwrap_or_default()
}

fn write_reference(out: &mut Vec<u8>, kept: &&[u8]) {
    let text = text_of(kept);
    if kept.first() == Some(&1) {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    } else {
        string(out, text);
    }
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

/// Scores of vectors that were seen: many advisories have the same.
#[derive(Default)]
pub(super) struct KnownScores(BTreeMap<Box<str>, Option<CvssScore>>);

impl KnownScores {
    fn of_vector(&mut self, text: &str) -> Option<CvssScore> {
        /// More vectors than these are not kept, and no longer ones: none with all metrics is.
        const MOST: usize = 4096;
        const LONGEST: usize = 256;
        if let Some(known) = self.0.get(text) {
            return *known;
        }
        let score = CvssScore::of_vector(text);
        if self.0.len() < MOST && text.len() <= LONGEST {
            self.0.insert(text.into(), score);
        }
        score
    }
}

/// The first vector of each version of CVSS that knows of an impact, else the first.
#[derive(Default)]
pub(super) struct Scores {
    v2: Option<(String, f64)>,
    v3: Option<(String, f64)>,
    v4: Option<(String, f64)>,
}

impl Scores {
    /// Of the advisory, else of the first package that has any.
    fn of(advisory: AdvisoryView<'_>, known: &mut KnownScores) -> Scores {
        let mut scores = Scores::default();
        advisory.each_vector(&mut |vector| scores.take(&vector, known));
        if !scores.is_told() {
            advisory.each_affected(&mut |affected| {
                affected.each_vector(&mut |vector| scores.take(&vector, known));
            });
        }
        scores
    }

    fn take(&mut self, vector: &Vector<'_>, known: &mut KnownScores) {
        if vector.kind.starts_with("CVSS_V") {
            let text = vector.score.trim_end_matches('/');
            self.take_scored(text, known.of_vector(text));
        }
    }

    /// Takes a vector, if there is none of its version yet.
    pub(super) fn take_vector(&mut self, text: &str) {
        let text = text.trim_end_matches('/');
        self.take_scored(text, CvssScore::of_vector(text));
    }

    fn take_scored(&mut self, text: &str, score: Option<CvssScore>) {
        let Some(found) = score else { return };
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

    /// Whether a vector knows of an impact.
    fn is_told(&self) -> bool {
        self.slots().iter().any(|(_, slot)| slot.as_ref().is_some_and(|(_, score)| *score > 0.0))
    }

    /// Vectors with their scores, as an object; nothing if none knows of an impact.
    fn write(&self, out: &mut Vec<u8>) {
        if !self.is_told() {
            return;
        }
        let slots = [("V2", &self.v2), ("V3", &self.v3), ("V40", &self.v4)];
        let known = || slots.iter().filter_map(|(name, slot)| Some((name, slot.as_ref()?)));
        let mut object = Object::new(out);
        for (name, (vector, _)) in known() {
            object.text(&format!("{name}Vector"), vector);
        }
        // Trivy leaves out a score of 0 too.
        for (name, (_, score)) in known().filter(|(_, (_, score))| *score > 0.0) {
            object.json(&format!("{name}Score"), score.to_string().as_bytes());
        }
        object.end();
    }

    /// Newest version first.
    fn slots(&self) -> [(CvssVersion, &Option<(String, f64)>); 3] {
        [(CvssVersion::V4, &self.v4), (CvssVersion::V3, &self.v3), (CvssVersion::V2, &self.v2)]
    }
}

/// A vulnerability, of what [`encode`] wrote for each of its sources, the most believed first.
/// Texts but references are JSON; what a source that is believed more said stays, but for title and
/// description: those count that are nearest to being about the vulnerability.
#[derive(Default)]
pub(super) struct Detail<'b> {
    title: Nearest<'b>,
    description: Nearest<'b>,
    weaknesses: &'b [u8],
    severity: u8,
    /// By source, as the following.
    severities: Vec<(&'b str, u8)>,
    scores: Vec<(&'b str, &'b [u8])>,
    /// As [`keep_reference`] keeps them, sorted by their texts.
    references: Vec<&'b [u8]>,
    published: &'b [u8],
    modified: &'b [u8],
}

/// The first text of those with the least distance.
#[derive(Default)]
struct Nearest<'b> {
    text: &'b [u8],
    distance: u8,
}

impl<'b> Nearest<'b> {
    fn take(&mut self, text: &'b [u8], distance: u8) {
        if !text.is_empty() && (self.text.is_empty() || distance < self.distance) {
            *self = Nearest { text, distance };
        }
    }
}

impl<'b> Detail<'b> {
    pub(super) fn read(blobs: &'b [u8]) -> io::Result<Detail<'b>> {
        let mut detail = Detail::default();
        let mut read = Reader::new(blobs);
        let mut sources = 0;
        while !read.is_at_end() {
            detail.take(&mut read)?;
            sources += 1;
        }
        if sources > 1 {
            // Each source has them sorted already, and this sort makes use of it.
            detail.references.sort_by(|a, b| text_of(a).cmp(text_of(b)));
            detail.references.dedup();
        }
        Ok(detail)
    }

    fn take(&mut self, read: &mut Reader<'b>) -> io::Result<()> {
        let fill = |slot: &mut &'b [u8], told: &'b [u8]| {
            if slot.is_empty() {
                *slot = told;
            }
        };
        let distance = read.byte()?;
        let source = read.text()?;
        let severity = read.byte()?;
        if severity > 0 {
            self.severity = if self.severity == 0 { severity } else { self.severity };
            put(&mut self.severities, source, severity);
        }
        self.title.take(read.bytes()?, distance);
        self.description.take(read.bytes()?, distance);
        let scores = read.bytes()?;
        if !scores.is_empty() {
            put(&mut self.scores, source, scores);
        }
        fill(&mut self.weaknesses, read.bytes()?);
        fill(&mut self.published, read.bytes()?);
        fill(&mut self.modified, read.bytes()?);
        let mut references = read.sized_list()?;
        if self.references.is_empty() {
            self.references = references;
        } else {
            self.references.append(&mut references);
        }
        Ok(())
    }

    /// The value of the row.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::new(out);
        object.json("Title", self.title.text);
        object.json("Description", self.description.text);
        object.text("Severity", SEVERITIES[usize::from(self.severity.min(4))]);
        object.json("CweIDs", self.weaknesses);
        if !self.severities.is_empty() {
            let mut sources = Object::new(object.member("VendorSeverity"));
            for (source, severity) in &self.severities {
                sources.number(source, (*severity).min(4));
            }
            sources.end();
        }
        if !self.scores.is_empty() {
            let mut sources = Object::new(object.member("CVSS"));
            for (source, scores) in &self.scores {
                sources.json(source, scores);
            }
            sources.end();
        }
        object.list("References", &self.references, write_reference);
        object.json("PublishedDate", self.published);
        object.json("LastModifiedDate", self.modified);
        object.end();
    }
}

/// Puts the first value of a source in its place.
fn put<'b, T>(list: &mut Vec<(&'b str, T)>, source: &'b str, value: T) {
    if let Err(place) = list.binary_search_by_key(&source, |(source, _)| *source) {
        list.insert(place, (source, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_nearest_to_the_vulnerability_counts_and_the_severity_believed_most() {
        let mut blobs = Writer::default();
        for (title, severity, distance) in [("an erratum", 3, 3), ("", 0, 0), ("the bug", 2, 1)] {
            let told =
                Told { source: "acme".into(), title: title.into(), severity, ..Told::default() };
            let mut one = Writer::default();
            encode_told(&mut one, &told);
            set_distance(&mut one.bytes, distance);
            blobs.bytes.extend_from_slice(&one.bytes);
        }
        let mut out = Vec::new();
        Detail::read(&blobs.bytes).expect("reads").write(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text, r#"{"Title":"the bug","Severity":"HIGH","VendorSeverity":{"acme":3}}"#);
    }

    #[test]
    fn references_of_several_sources_are_sorted_and_there_once() {
        let mut blobs = Writer::default();
        for references in [&["c", "a&b"][..], &[], &["b", "a&b", " d\nc "]] {
            let references = references.iter().map(|text| Cow::Borrowed(*text)).collect();
            let told = Told { source: "acme".into(), references, ..Told::default() };
            let mut one = Writer::default();
            encode_told(&mut one, &told);
            blobs.bytes.extend_from_slice(&one.bytes);
        }
        let mut out = Vec::new();
        Detail::read(&blobs.bytes).expect("reads").write(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text, r#"{"Severity":"UNKNOWN","References":["a\u0026b","b","c","d"]}"#);
    }
}
