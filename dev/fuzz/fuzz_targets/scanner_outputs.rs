//! Any bytes as what a bundle holds for a scanner: checking never panics and ends, says the same twice, and
//! whatever is picked for a canary makes an SBOM.
//!
//! The first byte chooses what the rest is: `d` a database (`trivy.db`), `j` an index of jars
//! (`trivy-java.db`), `v` a VEX repository, whose index and documents are divided by zero bytes. Digests, the
//! image layout and the archive around it are made here: no fuzzer guesses them, and other tests spoil them.
#![no_main]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use flate2::{Compression, GzBuilder};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use stella_bolt::ReadAt;
use stella_manifest::tar::{END, header, padding};
use stella_model::{Digest, Instant, Limits, PartName, rfc8785};
use stella_verify::{BundleFiles, CarrierFault, Depth, FileEntry, Policy, Unsigned, Verification};

const AS_OF: &str = "2026-11-01T00:00:00Z";
const ARTIFACT: &str = "application/vnd.aquasec.trivy.config.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Buckets that a database may have.
const BUCKETS: [&str; 6] =
    ["Red Hat", "Red Hat CPE", "alma 9", "data-source", "npm::Acme", "vulnerability"];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let bundle = match choice {
        b'j' => jars(bytes),
        b'v' => repository(bytes),
        b'd' => database(bytes.to_vec()),
        _ => database(with_checksums(bytes)),
    };
    let first = bundle.check();
    assert_eq!(first, bundle.check(), "a check depends on more than its input");
});

/// The files of a bundle.
#[derive(Default)]
struct Bundle {
    bytes: BTreeMap<String, Vec<u8>>,
    files: Vec<FileEntry>,
}

/// A listed part: path, media type, content, records.
type Listed = (String, &'static str, Vec<u8>, Option<u64>);

impl Bundle {
    /// A bundle with one output.
    fn of(output: Value, listed: Vec<Listed>) -> Bundle {
        let mut bundle = Bundle::default();
        let mut parts = BTreeMap::new();
        for (path, media_type, bytes, records) in listed {
            let mut part = json!({
                "digest": {"sha256": Digest::of(&bytes)}, "mediaType": media_type, "path": path,
                "size": bytes.len(),
            });
            if let Some(records) = records {
                part["records"] = json!(records);
            }
            parts.insert(path.clone(), part);
            bundle.bytes.insert(path, bytes);
        }
        let size: usize = bundle.bytes.values().map(Vec::len).sum();
        let export = json!({
            "asOf": AS_OF,
            "counts": {
                "bytes": size, "kinds": {}, "parts": parts.len(), "records": 0, "uncompressedBytes": 0,
            },
            "coverage": [{"ecosystem": "npm", "state": "full"}],
            "feeds": [],
            "formatVersion": 1,
            "outputs": [output],
            "parts": parts.into_values().collect::<Vec<_>>(),
            "planHash": Digest::EMPTY,
            "profile": {"name": "fuzz", "revision": Digest::EMPTY},
            "redaction": {"counts": {}, "name": "none", "records": 0},
            "requires": [],
            "sets": [],
            "tenant": "local",
        });
        bundle.bytes.insert("export.json".to_owned(), rfc8785::to_vec(&export));
        let entry = |(name, bytes): (&String, &Vec<u8>)| FileEntry {
            name: PartName::new(name).expect("a name of ours"),
            size: bytes.len() as u64,
        };
        bundle.files = bundle.bytes.iter().map(entry).collect();
        bundle
    }

    /// What the checks say, and the SBOMs of the canary.
    fn check(&self) -> (String, Vec<Vec<u8>>) {
        let policy = Policy {
            keys: Vec::new(),
            max_age_seconds: None,
            now: Instant::parse(AS_OF).expect("a time"),
            depth: Depth::Digests,
            unsigned: Unsigned::AcceptForTesting,
            limits: Limits { document_bytes: 64 << 10, ..Limits::DEFAULT },
        };
        let mut verification = Verification::begin(self, &policy);
        assert!(verification.has_scanner_output(), "the manifest of the bundle does not read");
        let verdict = verification.check_scanner(Room::default(), Room::default(), &|| false);
        let verdict = verdict.expect("nobody told it to stop");
        let sboms: Vec<Vec<u8>> = verdict.canary().scans().iter().map(|scan| scan.sbom()).collect();
        (format!("{verdict:?}"), sboms)
    }
}

impl BundleFiles for Bundle {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn faults(&self) -> &[CarrierFault] {
        &[]
    }

    fn open(&self, name: &PartName) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.bytes.get(name.as_str()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}

/// Where a database is unpacked to.
#[derive(Default)]
struct Room(Vec<u8>);

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadAt for Room {
    fn size_bytes(&self) -> io::Result<u64> {
        self.0.size_bytes()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        self.0.as_slice().read_at(offset, length)
    }
}

/// The bytes as a bbolt file of pages of 1,024 bytes, with the numbers of its pages and the checksums of its
/// meta pages in order.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    const PAGE: usize = 1024;
    let mut file = bytes.to_vec();
    let pages = file.len().div_ceil(PAGE).max(4);
    file.resize(pages * PAGE, 0);
    for (id, page) in file.chunks_exact_mut(PAGE).enumerate() {
        page[..8].copy_from_slice(&(id as u64).to_le_bytes());
    }
    for (id, page) in file.chunks_exact_mut(PAGE).take(2).enumerate() {
        page[8..16].copy_from_slice(&[4, 0, 0, 0, 0, 0, 0, 0]);
        let fields = [0x2_ED0C_DAED, PAGE as u64];
        for (at, field) in (16..).step_by(8).zip(fields) {
            page[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        page[56..64].copy_from_slice(&(pages as u64).to_le_bytes());
        page[64..72].copy_from_slice(&(id as u64).to_le_bytes());
        let checksum = page[16..72].iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        page[72..80].copy_from_slice(&checksum.to_le_bytes());
    }
    file
}

fn database(file: Vec<u8>) -> Bundle {
    let keys: BTreeMap<&str, u64> = BUCKETS.iter().map(|name| (*name, 1)).collect();
    let output = json!({
        "adapter": "trivy:db", "adapterVersion": 1, "importable": false, "keys": keys,
        "scanner": {"name": "trivy", "oldest": "0.59.1", "schema": 2},
    });
    let report = ("trivy/db.report.jsonl".to_owned(), "application/x-ndjson", Vec::new(), Some(0));
    let mut listed = packaged(file, ["trivy.db", "db", "db-2"], 2, "2026-11-02");
    listed.push(report);
    Bundle::of(output, listed)
}

fn jars(file: &[u8]) -> Bundle {
    let output = json!({
        "adapter": "trivy:java-db", "adapterVersion": 1, "importable": false,
        "keys": {"artifacts": 1, "indices": 1},
        "scanner": {"name": "trivy", "oldest": "0.59.1", "schema": 1},
    });
    let names = ["trivy-java.db", "javadb", "java-db-1"];
    Bundle::of(output, packaged(file.to_vec(), names, 1, "2026-11-04"))
}

/// A database in its image layout, and its metadata for a cache folder.
fn packaged(file: Vec<u8>, names: [&str; 3], version: u32, next: &str) -> Vec<Listed> {
    let [name, title, tag] = names;
    let metadata = |next: &str, downloaded: &str| {
        format!(
            "{{\"Version\":{version},\"NextUpdate\":\"{next}\",\"UpdatedAt\":\"{AS_OF}\",\"DownloadedAt\":\"{downloaded}\"}}\n"
        )
    };
    let within = metadata(&format!("{next}T00:00:00Z"), "0001-01-01T00:00:00Z");
    let layer = tar_gz(&[("metadata.json", within.into_bytes()), (name, file)]);
    let layer_type: &'static str = match title {
        "db" => "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip",
        _ => "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
    };
    let cache = match title {
        "db" => "trivy/cache/db/metadata.json",
        _ => "trivy/cache/java-db/metadata.json",
    };
    let named = |bytes: &[u8]| format!("sha256:{}", Digest::of(bytes));
    let image = rfc8785::to_vec(&json!({
        "annotations": {"org.opencontainers.image.created": AS_OF},
        "artifactType": ARTIFACT,
        "config": {"digest": named(b"{}"), "mediaType": EMPTY, "size": 2},
        "layers": [{
            "annotations": {"org.opencontainers.image.title": format!("{title}.tar.gz")},
            "digest": named(&layer), "mediaType": layer_type, "size": layer.len(),
        }],
        "mediaType": IMAGE,
        "schemaVersion": 2,
    }));
    let index = rfc8785::to_vec(&json!({
        "manifests": [{
            "annotations": {"org.opencontainers.image.ref.name": tag}, "artifactType": ARTIFACT,
            "digest": named(&image), "mediaType": IMAGE, "size": image.len(),
        }],
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "schemaVersion": 2,
    }));
    let blob = |bytes: &[u8]| format!("trivy/oci/blobs/sha256/{}", Digest::of(bytes));
    let layout = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
    let header = "application/vnd.oci.layout.header.v1+json";
    vec![
        (
            cache.to_owned(),
            "application/json",
            metadata("2999-12-31T23:59:59Z", AS_OF).into(),
            None,
        ),
        ("trivy/oci/oci-layout".to_owned(), header, layout, None),
        ("trivy/oci/index.json".to_owned(), "application/vnd.oci.image.index.v1+json", index, None),
        (blob(b"{}"), EMPTY, b"{}".to_vec(), None),
        (blob(&image), IMAGE, image, None),
        (blob(&layer), layer_type, layer, None),
    ]
}

/// A VEX repository: its index, then its documents.
fn repository(bytes: &[u8]) -> Bundle {
    let manifest = json!({
        "description": "x",
        "name": "acme",
        "versions": [{
            "locations": [{"url": "https://vex.example/vex-repository.tar.gz//acme/0.1"}],
            "spec_version": "0.1",
            "update_interval": "24h",
        }],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut parts = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let index = parts.next().unwrap_or_default();
    let mut members = vec![("acme/vex-repository.json".to_owned(), manifest.clone())];
    members.extend(parts.take(8).enumerate().map(|(n, text)| (format!("acme/0.1/{n}.json"), text)));
    let documents = members.len() - 1;
    members.push(("acme/0.1/index.json".to_owned(), index));
    let settings =
        "repositories:\n  - name: acme\n    url: https://vex.example\n    enabled: true\n";
    let output = json!({
        "adapter": "trivy:vex", "adapterVersion": 1, "importable": false,
        "keys": {"packages": documents},
    });
    let listed = vec![
        ("trivy/vex/vex-repository.tar.gz".to_owned(), "application/gzip", tar_gz(&members), None),
        ("trivy/vex/vex-repository.json".to_owned(), "application/json", manifest, None),
        ("trivy/vex/repository.yaml".to_owned(), "application/yaml", settings.into(), None),
        ("trivy/vex.report.jsonl".to_owned(), "application/x-ndjson", Vec::new(), Some(0)),
    ];
    Bundle::of(output, listed)
}

/// An archive in the one form that is taken.
fn tar_gz<N: AsRef<str>>(members: &[(N, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in members {
        let size = bytes.len() as u64;
        tar.extend(header(&PartName::new(name.as_ref()).expect("a name"), size).expect("small"));
        tar.extend(bytes);
        tar.extend(&END[..padding(size)]);
    }
    tar.extend(END);
    let mut gzip =
        GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::fast());
    gzip.write_all(&tar).expect("into memory");
    gzip.finish().expect("into memory")
}
