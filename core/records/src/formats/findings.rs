//! Findings cut from the JSON reports of Trivy (schema 2) and Grype: one record per result.
//!
//! A finding's document is the cut
//! `{"match":<the result verbatim>,"report":{…},"result":{…}}` in canonical form. `report` holds
//! what is stable about the report: no creation time and no report id, which change at every scan,
//! nor what describes the image at length (its configuration, layers and manifest). The received
//! report stays in the ledger. `result` holds `class`, `target` and `type` of the Trivy result that
//! the finding stands in; Grype has no such level, there it is empty.

use std::borrow::Cow;
use std::collections::BTreeMap;

use stella_model::json::{Document, Shape, Value, write_string};
use stella_model::{Digest, Kind, Limits, RecordId};

use super::{identity_text, record_id};
use crate::draft::{Content, Draft, Identity};
use crate::facets::Facets;
use crate::format::Format;
use crate::rejection::{RejectReason, Rejection};
use crate::revision::Revision;
use crate::view::FindingView;

/// Members of a Trivy report that do not change from scan to scan.
const TRIVY_REPORT: [&str; 5] =
    ["ArtifactID", "ArtifactName", "ArtifactType", "SchemaVersion", "Trivy"];

/// Members of Trivy's `Metadata` that are left out: they describe the image, not the finding.
const TRIVY_METADATA_LEFT_OUT: [&str; 2] = ["ImageConfig", "Layers"];

/// Members of Grype's `source.target` that are left out, for the same reason.
const GRYPE_TARGET_LEFT_OUT: [&str; 3] = ["config", "layers", "manifest"];

/// Lists of a Trivy result that hold findings, with the member that names the rule.
const TRIVY_LISTS: [(&str, &[&str]); 4] = [
    ("Vulnerabilities", &["VulnerabilityID"]),
    ("Misconfigurations", &["ID", "AVDID"]),
    ("Secrets", &["RuleID"]),
    ("Licenses", &["Name"]),
];

/// Whether this is a Trivy report, of whatever schema.
pub(crate) fn is_trivy(root: Value<'_>) -> bool {
    let number = root.get("SchemaVersion").is_some_and(|value| value.shape() == Shape::Number);
    number && (root.get("ArtifactName").is_some() || root.get("Results").is_some())
}

/// Whether this is a Trivy report of the time before reports had a schema version: a list of
/// results.
pub(crate) fn is_old_trivy(root: Value<'_>) -> bool {
    root.items().next().is_some_and(|first| {
        first.get("Target").is_some()
            && (first.get("Vulnerabilities").is_some() || first.get("Type").is_some())
    })
}

pub(crate) fn is_grype(root: Value<'_>) -> bool {
    let Some(matches) = root.get("matches").filter(|value| value.shape() == Shape::Array) else {
        return false;
    };
    match matches.items().next() {
        Some(first) => first.get("vulnerability").is_some() && first.get("artifact").is_some(),
        None => root.str_at(&["descriptor", "name"]).as_deref() == Some("grype"),
    }
}

pub(crate) fn trivy<'t>(root: Value<'t>, limits: &'t Limits) -> Result<Vec<Draft>, Rejection> {
    let schema = root.get("SchemaVersion").and_then(Value::as_number).unwrap_or_default();
    if schema != "2" {
        return Err(Rejection::version("Trivy report, schema", schema, "2"));
    }
    let mut cutter = Cutter::new(Format::TrivyFinding, trivy_report(root), limits);
    let artifact = identity_text(root, &["ArtifactName"])?;
    for result in root.get("Results").into_iter().flat_map(Value::items) {
        let class = identity_text(result, &["Class"])?;
        let target = identity_text(result, &["Target"])?;
        let head = trivy_result(result);
        for (list, rules) in TRIVY_LISTS {
            for found in result.get(list).into_iter().flat_map(Value::items) {
                let place = [artifact.as_deref(), class.as_deref(), target.as_deref()];
                cutter.cut(trivy_id(place, found, rules)?, &head, found)?;
            }
        }
    }
    cutter.finish()
}

pub(crate) fn grype<'t>(root: Value<'t>, limits: &'t Limits) -> Result<Vec<Draft>, Rejection> {
    let mut cutter = Cutter::new(Format::GrypeFinding, grype_report(root), limits);
    for found in root.get("matches").into_iter().flat_map(Value::items) {
        cutter.cut(grype_id(root, found)?, b"{}", found)?;
    }
    cutter.finish()
}

/// The id of a finding in a place: artifact, class and target.
fn trivy_id(
    place: [Option<&str>; 3],
    found: Value<'_>,
    rules: &[&'static str],
) -> Result<String, Rejection> {
    let own = trivy_own_parts(found, rules)?;
    Ok(id(place.into_iter().chain(own.iter().map(|part| part.as_deref()))))
}

/// The id of a match of a report, or of what is kept of the report in a cut.
fn grype_id(report: Value<'_>, found: Value<'_>) -> Result<String, Rejection> {
    let artifact = match report.path(&["source", "target"]) {
        Some(target) if target.shape() == Shape::Object => identity_text(target, &["userInput"])?,
        _ => identity_text(report, &["source", "target"])?,
    };
    let own = grype_own_parts(found)?;
    let place = [artifact.as_deref(), None, None];
    Ok(id(place.into_iter().chain(own.iter().map(|part| part.as_deref()))))
}

/// Reads a cut again. Its list is not told in it, and whether its id was shared in its report is
/// neither: of the ids that its content allows, `claimed` chooses one; else the plainest is taken.
pub(crate) fn reread(
    format: Format,
    claimed: &RecordId,
    content: &[u8],
    limits: &Limits,
) -> Result<Draft, Rejection> {
    // The report stands one level deeper in the cut, and the cut has three values of its own.
    let limits = Limits {
        depth: limits.depth.saturating_add(1),
        json_values: limits.json_values.saturating_add(3),
        ..*limits
    };
    let document = Document::parse(content, &limits)?;
    let written = Content::canonical(&document, content.len());
    let root = document.root();
    let members: Vec<_> = root.members().map(|(name, _)| name).collect();
    let parts = ["match", "report", "result"].map(|name| root.get(name));
    let (true, [Some(found), Some(report), Some(result)]) = (members.len() == 3, parts) else {
        return Err(Rejection::unknown("it is no finding cut from a report"));
    };
    let plain = match format {
        Format::GrypeFinding => vec![grype_id(report, found)?],
        _ => {
            let artifact = identity_text(report, &["ArtifactName"])?;
            let (class, target) =
                (identity_text(result, &["class"])?, identity_text(result, &["target"])?);
            let place = [artifact.as_deref(), class.as_deref(), target.as_deref()];
            let ids = TRIVY_LISTS.iter().map(|(_, rules)| trivy_id(place, found, rules));
            // A member that would name the rule of another list may be anything here.
            let (good, bad): (Vec<_>, Vec<_>) = ids.partition(Result::is_ok);
            if let (true, Some(Err(rejection))) = (good.is_empty(), bad.into_iter().next()) {
                return Err(rejection);
            }
            good.into_iter().flatten().collect()
        }
    };
    let allowed = plain.iter().flat_map(|id| [id.clone(), shared_id(id, &written)]);
    let id = allowed.into_iter().find(|id| id == claimed.as_str());
    let id = record_id(id.as_ref().unwrap_or(&plain[0]), &limits)?;
    let facets = Facets::of_finding(&id, FindingView::of_match(format, found));
    let identity = Identity { kind: Kind::finding(), id, revision: Revision::default(), format };
    let verbatim = written.bytes == content;
    Ok(Draft::new(identity, written, verbatim, facets))
}

/// The id of a finding that shares its plain one with others of its report.
fn shared_id(id: &str, content: &Content) -> String {
    format!("{id}#{}", content.digest.short(16))
}

/// Package id, path and rule id.
type OwnParts<'t> = [Option<Cow<'t, str>>; 3];

fn trivy_own_parts<'t>(
    found: Value<'t>,
    rules: &[&'static str],
) -> Result<OwnParts<'t>, Rejection> {
    let package = match identity_text(found, &["PkgID"])? {
        Some(id) => Some(id),
        None => name_and_version(found, "PkgName", "InstalledVersion")?,
    };
    let path = match identity_text(found, &["PkgPath"])? {
        Some(path) => Some(path),
        None => identity_text(found, &["FilePath"])?,
    };
    let mut rule = None;
    for member in rules {
        if rule.is_none() {
            rule = identity_text(found, &[member])?;
        }
    }
    Ok([package, path, rule])
}

fn grype_own_parts<'t>(found: Value<'t>) -> Result<OwnParts<'t>, Rejection> {
    let artifact = |name| identity_text(found, &["artifact", name]);
    let package = match (artifact("id")?, artifact("purl")?) {
        (Some(id), _) => Some(id),
        (None, Some(purl)) => Some(purl),
        (None, None) => match found.get("artifact") {
            Some(artifact) => name_and_version(artifact, "name", "version")?,
            None => None,
        },
    };
    // A package may lie at several places; the least path does not depend on their order.
    let locations = found.path(&["artifact", "locations"]);
    let mut path = None;
    for location in locations.into_iter().flat_map(Value::items) {
        let here = identity_text(location, &["path"])?;
        if here.is_some() && (path.is_none() || here < path) {
            path = here;
        }
    }
    Ok([package, path, identity_text(found, &["vulnerability", "id"])?])
}

/// `name@version`, for reports that give packages no id.
fn name_and_version<'t>(
    value: Value<'t>,
    name: &str,
    version: &str,
) -> Result<Option<Cow<'t, str>>, Rejection> {
    let Some(name) = identity_text(value, &[name])? else { return Ok(None) };
    Ok(Some(match identity_text(value, &[version])? {
        Some(version) => Cow::Owned(format!("{name}@{version}")),
        None => name,
    }))
}

/// Joins the parts by `#`; `%` and `#` inside a part are escaped, an absent part is empty.
fn id<'p>(parts: impl Iterator<Item = Option<&'p str>>) -> String {
    let mut id = String::new();
    for (index, part) in parts.enumerate() {
        if index > 0 {
            id.push('#');
        }
        for c in part.unwrap_or_default().chars() {
            match c {
                '%' => id.push_str("%25"),
                '#' => id.push_str("%23"),
                c => id.push(c),
            }
        }
    }
    id
}

/// Cuts findings out of one report and gives those that share an id one of their own.
struct Cutter<'t> {
    format: Format,
    report: Vec<u8>,
    cuts: Vec<(String, Content, Value<'t>)>,
    bytes: u64,
    limits: &'t Limits,
}

impl<'t> Cutter<'t> {
    fn new(format: Format, report: Vec<u8>, limits: &'t Limits) -> Cutter<'t> {
        Cutter { format, report, cuts: Vec::new(), bytes: 0, limits }
    }

    fn cut(&mut self, id: String, result: &[u8], found: Value<'t>) -> Result<(), Rejection> {
        let mut document = Vec::with_capacity(1024 + self.report.len());
        document.extend_from_slice(b"{\"match\":");
        found.write_canonical(&mut document);
        document.extend_from_slice(b",\"report\":");
        document.extend_from_slice(&self.report);
        document.extend_from_slice(b",\"result\":");
        document.extend_from_slice(result);
        document.push(b'}');
        // The report's own part is repeated in every finding: without a bound a small report
        // could make any amount of data.
        self.bytes += document.len() as u64;
        if self.bytes > self.limits.document_bytes {
            let detail =
                format!("the findings together exceed {} bytes", self.limits.document_bytes);
            return Err(Rejection::new(RejectReason::TooLarge, detail));
        }
        self.cuts.push((id, Content::new(document), found));
        Ok(())
    }

    /// Findings that share an id but not their bytes get 16 hex digits of their digest appended.
    /// Byte-equal ones keep the id: they are one finding, told twice.
    fn finish(self) -> Result<Vec<Draft>, Rejection> {
        let mut first: BTreeMap<&str, Digest> = BTreeMap::new();
        let mut shared: BTreeMap<&str, bool> = BTreeMap::new();
        for (id, content, _) in &self.cuts {
            let digest = first.entry(id).or_insert(content.digest);
            *shared.entry(id).or_default() |= *digest != content.digest;
        }
        let ids: Vec<String> = self
            .cuts
            .iter()
            .map(|(id, content, _)| match shared.get(id.as_str()) {
                Some(true) => shared_id(id, content),
                _ => id.clone(),
            })
            .collect();
        let mut drafts = Vec::with_capacity(self.cuts.len());
        for (id, (_, content, found)) in ids.into_iter().zip(self.cuts) {
            let id = record_id(&id, self.limits)?;
            let facets = Facets::of_finding(&id, FindingView::of_match(self.format, found));
            let (kind, revision) = (Kind::finding(), Revision::default());
            let identity = Identity { kind, id, revision, format: self.format };
            drafts.push(Draft::new(identity, content, false, facets));
        }
        Ok(drafts)
    }
}

fn trivy_report(root: Value<'_>) -> Vec<u8> {
    let mut object = ObjectWriter::new();
    for (name, value) in root.members() {
        if TRIVY_REPORT.contains(&&*name) {
            object.value(&name, value);
        } else if name == "Metadata" && value.shape() == Shape::Object {
            object.raw(&name, &without(value, &TRIVY_METADATA_LEFT_OUT));
        }
    }
    object.finish()
}

fn trivy_result(result: Value<'_>) -> Vec<u8> {
    let mut object = ObjectWriter::new();
    for (name, member) in [("class", "Class"), ("target", "Target"), ("type", "Type")] {
        if let Some(value) = result.get(member) {
            object.value(name, value);
        }
    }
    object.finish()
}

fn grype_report(root: Value<'_>) -> Vec<u8> {
    let mut object = ObjectWriter::new();
    for (name, value) in root.members() {
        match &*name {
            "descriptor" => {
                let mut descriptor = ObjectWriter::new();
                for (name, value) in value.members() {
                    if name == "name" || name == "version" {
                        descriptor.value(&name, value);
                    }
                }
                object.raw(&name, &descriptor.finish());
            }
            "distro" => object.value(&name, value),
            "source" => object.raw(&name, &grype_source(value)),
            _ => {}
        }
    }
    object.finish()
}

fn grype_source(source: Value<'_>) -> Vec<u8> {
    let mut object = ObjectWriter::new();
    for (name, value) in source.members() {
        if name == "target" && value.shape() == Shape::Object {
            object.raw(&name, &without(value, &GRYPE_TARGET_LEFT_OUT));
        } else {
            object.value(&name, value);
        }
    }
    object.finish()
}

/// The canonical form of an object without some of its members.
fn without(object: Value<'_>, left_out: &[&str]) -> Vec<u8> {
    let mut writer = ObjectWriter::new();
    for (name, value) in object.members() {
        if !left_out.contains(&&*name) {
            writer.value(&name, value);
        }
    }
    writer.finish()
}

/// Writes one object; members must come in canonical order.
struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    fn new() -> ObjectWriter {
        ObjectWriter(vec![b'{'])
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write_string(&mut self.0, name);
        self.0.push(b':');
    }

    fn value(&mut self, name: &str, value: Value<'_>) {
        self.name(name);
        value.write_canonical(&mut self.0);
    }

    fn raw(&mut self, name: &str, json: &[u8]) {
        self.name(name);
        self.0.extend_from_slice(json);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_inside_parts_are_escaped() {
        let parts = [Some("a#b"), None, Some("100%"), Some(""), Some("%23"), Some("R")];
        assert_eq!(id(parts.into_iter()), "a%23b##100%25##%2523#R");
    }
}
