//! The OCI image layout that holds the databases ([image layout
//! 1.1](https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md)).
//!
//! Trivy takes exactly one layer of each, by its exact media type, and unpacks it by its title: what the
//! specification of OCI would also allow is refused here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stella_manifest::PartEntry;
use stella_model::{Digest, rfc8785};

use super::{Context, FOLDER, Kind, Problems, report_lines, vex};
use crate::report::{Check, Problem};

/// Folder of the layout, with its slash.
const OCI: &str = "trivy/oci/";
const LAYOUT_FILE: &str = "trivy/oci/oci-layout";
const INDEX_FILE: &str = "trivy/oci/index.json";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const ARTIFACT: &str = "application/vnd.aquasec.trivy.config.v1+json";

const TITLE: &str = "org.opencontainers.image.title";
const CREATED: &str = "org.opencontainers.image.created";
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// What a layout leads to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layers<'a> {
    pub(super) database: Option<&'a PartEntry>,
    pub(super) java_index: Option<&'a PartEntry>,
}

impl<'a> Layers<'a> {
    /// The layer of a kind of database.
    pub(super) fn of(&mut self, kind: &Kind) -> &mut Option<&'a PartEntry> {
        match kind.check {
            Check::ScannerJavaIndex => &mut self.java_index,
            _ => &mut self.database,
        }
    }
}

/// The databases that the layout of a bundle must list, by tag.
fn wanted(context: &Context<'_>) -> Vec<&'static Kind> {
    let made = |kind: &&'static Kind| context.output(kind.adapter).is_some();
    [&super::DATABASE, &super::JAVA_INDEX].into_iter().filter(made).collect()
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Descriptor {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    digest: String,
    media_type: String,
    size: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Index {
    manifests: Vec<Descriptor>,
    media_type: String,
    schema_version: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manifest {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    media_type: String,
    schema_version: u64,
}

/// Checks the layout, if there must be one; the parts that are the layers, if everything leads to
/// them.
pub(super) fn check<'a>(context: &Context<'a>, problems: &mut Problems) -> Layers<'a> {
    let wanted = wanted(context);
    let mut walk = Walk { context, problems, reached: BTreeSet::new() };
    let mut layers = Some(Layers::default());
    if !wanted.is_empty() {
        walk.reached.extend([LAYOUT_FILE, INDEX_FILE].map(str::to_owned));
        layers = walk.index(&wanted);
    }
    let reached = walk.reached;
    let files = wanted.iter().map(|kind| kind.cache);
    let reports = report_lines::REPORTS.iter();
    let reports = reports.filter(|report| context.output(report.adapter).is_some());
    let repository = vex::FILES.iter().filter(|_| context.output(vex::ADAPTER).is_some());
    let files: BTreeSet<&str> =
        files.chain(reports.map(|report| report.file)).chain(repository.copied()).collect();
    for part in &context.manifest.parts {
        let path = part.path.as_str();
        let expected = reached.contains(path) || files.contains(path);
        // Nothing tells what belongs there where the index itself does not read.
        if path.starts_with(FOLDER) && !expected && layers.is_some() {
            let check = match wanted.is_empty() {
                true => Check::ScannerVex,
                false => Check::ScannerPackaging,
            };
            problems.add(check, Problem::new("nothing leads to this file").of(path));
        }
    }
    layers.unwrap_or_default()
}

struct Walk<'w, 'a> {
    context: &'w Context<'a>,
    problems: &'w mut Problems,
    /// Paths of the files that belong to the layout.
    reached: BTreeSet<String>,
}

impl<'a> Walk<'_, 'a> {
    fn fail(&mut self, file: &str, problem: Problem) {
        self.problems.add(Check::ScannerPackaging, problem.of(file));
    }

    /// Demands that a member has exactly this value.
    fn same(&mut self, file: &str, what: &str, expected: &str, found: &str) {
        if expected != found {
            let problem = Problem::new(format!("another {what}")).expected(expected, found);
            self.fail(file, problem);
        }
    }

    fn index(&mut self, wanted: &[&'static Kind]) -> Option<Layers<'a>> {
        match self.context.small(LAYOUT_FILE) {
            Ok(bytes) if bytes == br#"{"imageLayoutVersion":"1.0.0"}"# => {}
            Ok(_) => self.fail(LAYOUT_FILE, Problem::new("it is not that of version 1.0.0")),
            Err(message) => self.fail(LAYOUT_FILE, Problem::new(message)),
        }
        let index: Index = self.read(INDEX_FILE)?;
        self.same(INDEX_FILE, "mediaType", INDEX, &index.media_type);
        self.same(INDEX_FILE, "schemaVersion", "2", &index.schema_version.to_string());
        if index.manifests.len() != wanted.len() {
            let problem = Problem::new("it lists another number of manifests");
            self.fail(INDEX_FILE, problem.expected(wanted.len(), index.manifests.len()));
            return None;
        }
        let mut layers = Layers::default();
        for (kind, entry) in wanted.iter().zip(&index.manifests) {
            *layers.of(kind) = Some(self.entry(kind, entry)?);
        }
        Some(layers)
    }

    /// The layer that an entry of the index leads to.
    fn entry(&mut self, kind: &Kind, entry: &Descriptor) -> Option<&'a PartEntry> {
        let tag = BTreeMap::from([(REFERENCE.to_owned(), kind.tag.to_owned())]);
        self.annotations(INDEX_FILE, &tag, &entry.annotations);
        self.same(
            INDEX_FILE,
            "artifactType",
            ARTIFACT,
            entry.artifact_type.as_deref().unwrap_or(""),
        );
        let part = self.blob(INDEX_FILE, entry, MANIFEST)?;
        self.manifest(kind, part)
    }

    fn manifest(&mut self, kind: &Kind, part: &PartEntry) -> Option<&'a PartEntry> {
        let file = part.path.as_str();
        let manifest: Manifest = self.read(file)?;
        self.same(file, "mediaType", MANIFEST, &manifest.media_type);
        self.same(file, "schemaVersion", "2", &manifest.schema_version.to_string());
        self.same(file, "artifactType", ARTIFACT, &manifest.artifact_type);
        let as_of = self.context.manifest.as_of.to_string();
        let created = BTreeMap::from([(CREATED.to_owned(), as_of)]);
        self.annotations(file, &created, &manifest.annotations);
        self.blob(file, &manifest.config, EMPTY);
        self.annotations(file, &BTreeMap::new(), &manifest.config.annotations);
        let empty = format!("sha256:{}", Digest::of(b"{}"));
        self.same(file, "digest of the configuration", &empty, &manifest.config.digest);
        let [layer] = &manifest.layers[..] else {
            let problem = Problem::new("it has another number of layers: Trivy takes exactly one");
            self.fail(file, problem.expected(1, manifest.layers.len()));
            return None;
        };
        let title = BTreeMap::from([(TITLE.to_owned(), kind.title.to_owned())]);
        self.annotations(file, &title, &layer.annotations);
        self.blob(file, layer, kind.layer_type)
    }

    /// Reads a small file of the layout in its one form.
    fn read<T: Serialize + for<'de> Deserialize<'de>>(&mut self, file: &str) -> Option<T> {
        let bytes = match self.context.small(file) {
            Ok(bytes) => bytes,
            Err(message) => {
                self.fail(file, Problem::new(message));
                return None;
            }
        };
        match serde_json::from_slice::<T>(&bytes) {
            Ok(value) => {
                if rfc8785::to_vec(&value) != bytes {
                    self.fail(file, Problem::new("it is not in RFC 8785 form"));
                }
                Some(value)
            }
            Err(error) => {
                self.fail(file, Problem::new(format!("it does not read: {error}")));
                None
            }
        }
    }

    fn annotations(
        &mut self,
        file: &str,
        expected: &BTreeMap<String, String>,
        found: &BTreeMap<String, String>,
    ) {
        if expected != found {
            let problem = Problem::new("other annotations");
            let tell = |map: &BTreeMap<String, String>| {
                let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
                pairs.join(", ")
            };
            self.fail(file, problem.expected(tell(expected), tell(found)));
        }
    }

    /// The part that a descriptor leads to.
    fn blob(&mut self, file: &str, to: &Descriptor, media_type: &str) -> Option<&'a PartEntry> {
        self.same(file, "mediaType of what it refers to", media_type, &to.media_type);
        let digest = to.digest.strip_prefix("sha256:").and_then(|hex| hex.parse::<Digest>().ok());
        let Some(digest) = digest else {
            let problem = Problem::new("it refers to something by no SHA-256");
            self.fail(file, problem.expected("sha256:…", &to.digest));
            return None;
        };
        let path = format!("{OCI}blobs/sha256/{digest}");
        let Some(part) = self.context.part(&path) else {
            let problem = Problem::new("it refers to a blob that the manifest does not list");
            self.fail(file, problem.expected(&path, "nothing"));
            return None;
        };
        self.same(&path, "media type in the manifest", media_type, &part.media_type);
        self.same(
            &path,
            "size than its descriptor tells",
            &to.size.to_string(),
            &part.size.to_string(),
        );
        self.same(
            &path,
            "digest than its name tells",
            &digest.to_string(),
            &part.digest.sha256.to_string(),
        );
        self.reached.insert(path);
        Some(part)
    }
}
