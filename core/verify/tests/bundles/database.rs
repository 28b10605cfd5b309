//! A bundle with a small database for a scanner, made apart from the adapter of the product.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use stella_bolt::{PageSize, Writer};
use stella_manifest::tar::{END, header, padding};
use stella_manifest::{Coverage, OutputEntry, Scanner};
use stella_model::{Digest, PartName, rfc8785};

pub(crate) const LAYER_TYPE: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";
const ARTIFACT_TYPE: &str = "application/vnd.aquasec.trivy.config.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const AS_OF: &str = "2026-11-01T00:00:00Z";

/// A key of the database.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Bucket(Tree),
    Value(String),
}

pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

/// A listed part: path, media type, content, records.
pub(crate) type Listed = (String, &'static str, Vec<u8>, Option<u64>);

/// An output for a scanner.
pub(crate) struct Made {
    pub(crate) parts: Vec<Listed>,
    pub(crate) entry: OutputEntry,
    pub(crate) coverage: Vec<Coverage>,
}

/// A database in the making; every step can be spoilt.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) tree: Tree,
    /// Changes the file.
    pub(crate) file: fn(&mut Vec<u8>),
    /// Metadata of the layer and of the cache folder.
    pub(crate) layer_metadata: String,
    pub(crate) cache_metadata: String,
    /// Changes name and content of the archive's members.
    pub(crate) members: fn(&mut Vec<(&'static str, Vec<u8>)>),
    /// Changes the archive.
    pub(crate) tar: fn(&mut Vec<u8>),
    /// Changes the layer.
    pub(crate) gzip: fn(&mut Vec<u8>),
    /// Changes the manifest of the image.
    pub(crate) image: fn(&mut Value),
    /// Changes the list of the layout.
    pub(crate) index: fn(&mut Value),
    pub(crate) lines: String,
    /// Changes what the manifest of the bundle tells.
    pub(crate) output: fn(&mut OutputEntry),
    pub(crate) coverage: Vec<(&'static str, &'static str)>,
    /// Changes the parts before they are listed.
    pub(crate) listed: fn(&mut Vec<Listed>),
}

fn bucket<K: Into<Vec<u8>>>(nodes: impl IntoIterator<Item = (K, Node)>) -> Node {
    Node::Bucket(nodes.into_iter().map(|(key, node)| (key.into(), node)).collect())
}

fn value(json: &str) -> Node {
    Node::Value(json.to_owned())
}

fn metadata(next: &str, downloaded: &str) -> String {
    format!(
        "{{\"Version\":2,\"NextUpdate\":\"{next}\",\"UpdatedAt\":\"{AS_OF}\",\"DownloadedAt\":\"{downloaded}\"}}\n"
    )
}

impl Db {
    pub(crate) fn new() -> Db {
        let row =
            r#"{"PatchedVersions":["1.2.3"],"VulnerableVersions":["\u003e=1.0.0, \u003c1.2.3"]}"#;
        let packages = (0..300).map(|n| (format!("pkg-{n:03}"), bucket([("CVE-1", value(row))])));
        let detail = r#"{"Title":"t","Severity":"HIGH","VendorSeverity":{"ghsa":3},"PublishedDate":"2020-01-02T03:04:05Z"}"#;
        let source = value(r#"{"ID":"acme","Name":"Acme"}"#);
        let Node::Bucket(tree) = bucket([
            ("Red Hat CPE", bucket([("repository", bucket([("rhel-9", value("[0]"))]))])),
            (
                "alma 9",
                bucket([(
                    "openssl",
                    bucket([("CVE-2", value(r#"{"FixedVersion":"1:3.0-1.el9"}"#))]),
                )]),
            ),
            ("data-source", bucket([("alma 9", source.clone()), ("npm::Acme", source)])),
            ("npm::Acme", bucket(packages)),
            ("vulnerability", bucket([("CVE-1", value(detail)), ("CVE-2", value("{}"))])),
        ]) else {
            unreachable!("a bucket")
        };
        Db {
            tree,
            file: |_| {},
            layer_metadata: metadata("2026-11-02T00:00:00Z", "0001-01-01T00:00:00Z"),
            cache_metadata: metadata("2999-12-31T23:59:59Z", AS_OF),
            members: |_| {},
            tar: |_| {},
            gzip: |_| {},
            image: |_| {},
            index: |_| {},
            lines: concat!(
                "{\"feed\":\"acme\",\"id\":\"A\",\"reason\":\"withdrawn\"}\n",
                "{\"detail\":\"x\",\"feed\":\"npm\",\"id\":\"A\",\"package\":\"p\",\"reason\":\"git-only\"}\n",
                "{\"feed\":\"npm\",\"id\":\"B\",\"reason\":\"withdrawn\"}\n",
            )
            .to_owned(),
            output: |_| {},
            coverage: vec![("alma 9", "full"), ("npm", "partial")],
            listed: |_| {},
        }
    }

    /// The bucket to which a path leads.
    pub(crate) fn at(&mut self, path: &[&str]) -> &mut Tree {
        let mut tree = &mut self.tree;
        for name in path {
            let Some(Node::Bucket(inner)) = tree.get_mut(name.as_bytes()) else {
                panic!("{name} is a bucket")
            };
            tree = inner;
        }
        tree
    }

    /// Puts a value.
    pub(crate) fn put(&mut self, path: &[&str], key: &str, json: &str) {
        self.at(path).insert(key.into(), value(json));
    }

    /// Puts an empty bucket.
    pub(crate) fn nest(&mut self, path: &[&str], key: &str) {
        self.at(path).insert(key.into(), bucket::<&str>([]));
    }

    fn database(&self) -> Vec<u8> {
        let mut writer = Writer::new(Cursor::new(Vec::new()), PageSize::DEFAULT);
        write(&mut writer, &self.tree);
        let mut file = writer.finish().expect("into memory").sink.into_inner();
        (self.file)(&mut file);
        file
    }

    fn layer(&self) -> Vec<u8> {
        let mut members = vec![
            ("metadata.json", self.layer_metadata.clone().into_bytes()),
            ("trivy.db", self.database()),
        ];
        (self.members)(&mut members);
        tar_gz(&members, self.tar, self.gzip)
    }

    /// All parts that belong to the database.
    fn parts(&self) -> Vec<Listed> {
        let layout = layout(self.layer(), LAYER_TYPE, "db.tar.gz", "db-2", self.image, self.index);
        let lines = self.lines.lines().count() as u64;
        let mut listed: Vec<Listed> = vec![
            (
                "trivy/db.report.jsonl".into(),
                "application/x-ndjson",
                self.lines.clone().into(),
                Some(lines),
            ),
            (
                "trivy/cache/db/metadata.json".into(),
                "application/json",
                self.cache_metadata.clone().into(),
                None,
            ),
        ];
        listed.extend(layout);
        (self.listed)(&mut listed);
        listed
    }

    /// What the manifest of the bundle tells of it.
    fn entry(&self) -> OutputEntry {
        let keys = self
            .tree
            .iter()
            .map(|(name, node)| (String::from_utf8_lossy(name).into_owned(), count(node)));
        let mut entry = OutputEntry {
            adapter: "trivy:db".to_owned(),
            adapter_version: 1,
            importable: false,
            keys: keys.collect(),
            not_represented: BTreeMap::from([
                ("git-only".to_owned(), 1),
                ("withdrawn".to_owned(), 2),
            ]),
            scanner: Some(Scanner {
                name: "trivy".to_owned(),
                oldest: "0.59.1".to_owned(),
                schema: 2,
            }),
        };
        (self.output)(&mut entry);
        entry
    }

    /// The output as a bundle has it.
    pub(crate) fn made(&self) -> Made {
        Made { parts: self.parts(), entry: self.entry(), coverage: self.coverage() }
    }

    fn coverage(&self) -> Vec<Coverage> {
        let entry = |(ecosystem, state): &(&str, &str)| Coverage {
            ecosystem: (*ecosystem).to_owned(),
            state: (*state).to_owned(),
        };
        self.coverage.iter().map(entry).collect()
    }
}

/// An archive of these members, in the one form that is written.
pub(crate) fn tar_gz<N: AsRef<str>>(
    members: &[(N, Vec<u8>)],
    spoil_tar: fn(&mut Vec<u8>),
    spoil_gzip: fn(&mut Vec<u8>),
) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in members {
        let size = bytes.len() as u64;
        tar.extend(header(&PartName::new(name.as_ref()).expect("a name"), size).expect("small"));
        tar.extend(bytes);
        tar.extend(&END[..padding(size)]);
    }
    tar.extend(END);
    spoil_tar(&mut tar);
    let mut gzip =
        GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(6));
    gzip.write_all(&tar).expect("into memory");
    let mut gzip = gzip.finish().expect("into memory");
    spoil_gzip(&mut gzip);
    gzip
}

/// The files of an image layout with one layer.
pub(crate) fn layout(
    layer: Vec<u8>,
    layer_type: &'static str,
    title: &str,
    tag: &str,
    spoil_image: fn(&mut Value),
    spoil_index: fn(&mut Value),
) -> Vec<Listed> {
    let named = |bytes: &[u8]| format!("sha256:{}", Digest::of(bytes));
    let mut image = json!({
        "annotations": { "org.opencontainers.image.created": AS_OF },
        "artifactType": ARTIFACT_TYPE,
        "config": { "digest": named(b"{}"), "mediaType": "application/vnd.oci.empty.v1+json", "size": 2 },
        "layers": [{
            "annotations": { "org.opencontainers.image.title": title },
            "digest": named(&layer),
            "mediaType": layer_type,
            "size": layer.len(),
        }],
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
    });
    spoil_image(&mut image);
    let image = rfc8785::to_vec(&image);
    let mut index = json!({
        "manifests": [{
            "annotations": { "org.opencontainers.image.ref.name": tag },
            "artifactType": ARTIFACT_TYPE,
            "digest": named(&image),
            "mediaType": MANIFEST_TYPE,
            "size": image.len(),
        }],
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "schemaVersion": 2,
    });
    spoil_index(&mut index);
    let blob = |bytes: &[u8]| format!("trivy/oci/blobs/sha256/{}", Digest::of(bytes));
    vec![
        (
            "trivy/oci/oci-layout".into(),
            "application/vnd.oci.layout.header.v1+json",
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
            None,
        ),
        (
            "trivy/oci/index.json".into(),
            "application/vnd.oci.image.index.v1+json",
            rfc8785::to_vec(&index),
            None,
        ),
        (blob(b"{}"), "application/vnd.oci.empty.v1+json", b"{}".to_vec(), None),
        (blob(&image), MANIFEST_TYPE, image, None),
        (blob(&layer), layer_type, layer, None),
    ]
}

fn count(node: &Node) -> u64 {
    match node {
        Node::Value(_) => 1,
        Node::Bucket(tree) => tree.values().map(count).sum(),
    }
}

fn write(writer: &mut Writer<Cursor<Vec<u8>>>, tree: &Tree) {
    for (key, node) in tree {
        match node {
            Node::Value(json) => writer.put(key, json.as_bytes()).expect("a pair"),
            Node::Bucket(inner) => {
                writer.enter(key).expect("a bucket");
                write(writer, inner);
                writer.leave().expect("a bucket");
            }
        }
    }
}
