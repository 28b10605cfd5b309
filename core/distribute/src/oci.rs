//! OCI artifacts and image layouts ([image specification
//! 1.1](https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md)).
//!
//! An artifact here is one layer with an empty configuration: what `oras push` makes, but a function
//! of its content and one time, so that equal content has an equal digest.

use std::collections::BTreeMap;

use serde::Serialize;
use stella_model::{Digest, Instant, rfc8785};

/// Media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of the list of an image layout.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a configuration that says nothing.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The configuration that says nothing.
pub const EMPTY_CONFIG: &[u8] = b"{}";

const TITLE: &str = "org.opencontainers.image.title";
const CREATED: &str = "org.opencontainers.image.created";
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// The one layer of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer<'a> {
    /// Media type.
    pub media_type: &'a str,
    /// SHA-256 of the stored bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Name of the file that it is.
    pub title: &'a str,
}

/// An artifact: its manifest, and the tag under which a layout lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The tag.
    pub tag: String,
    /// Its type.
    pub artifact_type: String,
    /// Bytes of the manifest.
    pub manifest: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a str,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    artifact_type: &'a str,
    config: Descriptor<'a>,
    layers: [Descriptor<'a>; 1],
    annotations: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: Vec<Descriptor<'a>>,
}

impl Artifact {
    /// An artifact of one layer, made at `created`.
    #[must_use]
    pub fn new(tag: &str, artifact_type: &str, layer: &Layer<'_>, created: Instant) -> Artifact {
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST,
            artifact_type,
            config: descriptor(EMPTY, Digest::of(EMPTY_CONFIG), EMPTY_CONFIG.len() as u64),
            layers: [Descriptor {
                annotations: BTreeMap::from([(TITLE, layer.title.to_owned())]),
                ..descriptor(layer.media_type, layer.digest, layer.size)
            }],
            annotations: BTreeMap::from([(CREATED, created.to_seconds().to_string())]),
        };
        Artifact {
            tag: tag.to_owned(),
            artifact_type: artifact_type.to_owned(),
            manifest: rfc8785::to_vec(&manifest),
        }
    }
}

/// The small files of an image layout that holds these artifacts, by their paths within it. Layers
/// lie beside them, at [`blob_path`].
#[must_use]
pub fn layout(artifacts: &[Artifact]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    let mut blob = |bytes: &[u8]| files.insert(blob_path(&Digest::of(bytes)), bytes.to_vec());
    blob(EMPTY_CONFIG);
    for artifact in artifacts {
        blob(&artifact.manifest);
    }
    let entry = |artifact: &Artifact| (artifact.tag.clone(), artifact.clone());
    // Sorted by tag, so that the order of the artifacts does not matter.
    let sorted: BTreeMap<String, Artifact> = artifacts.iter().map(entry).collect();
    let manifests = sorted.values().map(|artifact| Descriptor {
        artifact_type: Some(&artifact.artifact_type),
        annotations: BTreeMap::from([(REFERENCE, artifact.tag.clone())]),
        ..descriptor(MANIFEST, Digest::of(&artifact.manifest), artifact.manifest.len() as u64)
    });
    let index = Index { schema_version: 2, media_type: INDEX, manifests: manifests.collect() };
    files.insert("index.json".to_owned(), rfc8785::to_vec(&index));
    files
}

/// Where a blob lies within an image layout.
#[must_use]
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor<'_> {
    Descriptor {
        media_type,
        digest: format!("sha256:{digest}"),
        size,
        artifact_type: None,
        annotations: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(tag: &str, content: &[u8]) -> Artifact {
        let layer = Layer {
            media_type: "application/x.layer",
            digest: Digest::of(content),
            size: content.len() as u64,
            title: "db.tar.gz",
        };
        let created = Instant::parse("2026-01-02T03:04:05Z").expect("a time");
        Artifact::new(tag, "application/x.config", &layer, created)
    }

    #[test]
    fn a_manifest_is_what_the_specification_asks_for() {
        let manifest = String::from_utf8(artifact("2", b"x").manifest).expect("UTF-8");
        assert_eq!(
            manifest,
            "{\"annotations\":{\"org.opencontainers.image.created\":\"2026-01-02T03:04:05Z\"},\
             \"artifactType\":\"application/x.config\",\
             \"config\":{\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\
             \"mediaType\":\"application/vnd.oci.empty.v1+json\",\"size\":2},\
             \"layers\":[{\"annotations\":{\"org.opencontainers.image.title\":\"db.tar.gz\"},\
             \"digest\":\"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\",\
             \"mediaType\":\"application/x.layer\",\"size\":1}],\
             \"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"schemaVersion\":2}"
        );
    }

    #[test]
    fn a_layout_does_not_depend_on_the_order_of_artifacts() {
        let (a, b) = (artifact("db", b"a"), artifact("java-db", b"b"));
        let files = layout(&[a.clone(), b.clone()]);
        assert_eq!(files, layout(&[b, a]));
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(names.len(), 5);
        assert!(names.contains(&"index.json") && names.contains(&"oci-layout"));
        for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("blobs/")) {
            assert_eq!(*name, blob_path(&Digest::of(bytes)));
        }
    }
}
