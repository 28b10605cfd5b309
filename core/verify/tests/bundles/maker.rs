//! A small writer of bundles for tests, apart from the one of the product.

use std::collections::BTreeMap;
use std::io::{self, Read, Write as _};

use stella_bolt::ReadAt;
use stella_manifest::{Counts, ExportManifest, OutputEntry, PartEntry, RedactionReport, Statement};
use stella_model::{Digest, Instant, Limits, PartName, RecordId, SetKey, TenantId};
use stella_plan::{
    Codec, FeedEntry, OutputPlan, Partition, ProfileId, RedactionId, RunPlan, Selectors, SetEntry,
};
use stella_records::line::{
    Content, INDEX_MEDIA_TYPE, IndexEntry, LineHead, PART_MEDIA_TYPE, write_index_line, write_line,
};
use stella_records::setroot::{SetRoot, leaf};
use stella_seal::{Algorithm, SecretKey, Signer as _, SigstoreBundle, TRUSTED_ROOT, detached_sig};
use stella_verify::{
    BundleFiles, CarrierFault, Depth, FileEntry, Policy, Report, Scratch, TrustedKey, Unsigned,
    Verification,
};

use crate::database::{Db, Made};

/// A bundle in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) bytes: BTreeMap<String, Vec<u8>>,
    entries: Vec<FileEntry>,
    pub(crate) faults: Vec<CarrierFault>,
}

impl Files {
    fn list(&mut self) {
        let entry = |(name, bytes): (&String, &Vec<u8>)| FileEntry {
            name: PartName::new(name).expect("tests use part names"),
            size: bytes.len() as u64,
        };
        self.entries = self.bytes.iter().map(entry).collect();
    }

    /// Verifies with the key of the maker and nothing else.
    pub(crate) fn verify(&self) -> Report {
        self.verify_as(&policy())
    }

    pub(crate) fn verify_as(&self, policy: &Policy) -> Report {
        self.report(policy, true)
    }

    /// As if nobody had asked for the check of the database.
    pub(crate) fn verify_without_scanner(&self) -> Report {
        self.report(&policy(), false)
    }

    fn report(&self, policy: &Policy, scanner: bool) -> Report {
        let mut files = self.clone();
        files.list();
        let mut verification = Verification::begin(&files, policy);
        let mut scratch = Scratch::new(&policy.limits).expect("contexts");
        let tasks = verification.tasks().iter();
        let verdicts = tasks.map(|task| verification.check_part(task, &mut scratch)).collect();
        if scanner {
            verification.check_scanner(Room(Vec::new()), Room(Vec::new()), &|| false);
        }
        verification.finish(verdicts)
    }

    pub(crate) fn edit(&mut self, name: &str) -> &mut Vec<u8> {
        self.bytes.get_mut(name).unwrap_or_else(|| panic!("{name} is in the bundle"))
    }

    /// The name of the nth file in a folder.
    pub(crate) fn nth(&self, folder: &str, n: usize) -> String {
        let mut names = self.bytes.keys().filter(|name| name.starts_with(folder));
        names.nth(n).expect("there are so many").clone()
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let bytes = self.bytes.remove(from).expect("is in the bundle");
        self.bytes.insert(to.to_owned(), bytes);
    }

    pub(crate) fn swap(&mut self, one: &str, other: &str) {
        let first = self.bytes[one].clone();
        let second = self.bytes.insert(other.to_owned(), first).expect("is in the bundle");
        self.bytes.insert(one.to_owned(), second);
    }
}

impl BundleFiles for Files {
    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    fn faults(&self) -> &[CarrierFault] {
        &self.faults
    }

    fn open(&self, name: &PartName) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.bytes.get(name.as_str()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(&bytes[..]))
    }
}

/// Room for a database, in memory.
struct Room(Vec<u8>);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadAt for Room {
    fn size_bytes(&self) -> io::Result<u64> {
        self.0[..].size_bytes()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<std::borrow::Cow<'_, [u8]>> {
        self.0[..].read_at(offset, length)
    }
}

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::generate(Algorithm::EcdsaP256Sha256, &[seed; 32]).expect("a key")
}

pub(crate) const RELEASE: u8 = 1;

pub(crate) fn trusted(name: &str, seed: u8) -> TrustedKey {
    TrustedKey { name: name.to_owned(), key: key(seed).public().clone() }
}

pub(crate) fn policy() -> Policy {
    Policy {
        keys: vec![trusted("release", RELEASE)],
        max_age_seconds: None,
        now: Instant::parse("2026-11-02T00:00:00Z").expect("a time"),
        depth: Depth::Documents,
        unsigned: Unsigned::Refuse,
        limits: Limits::DEFAULT,
    }
}

/// A part before it is compressed.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) set: SetKey,
    pub(crate) data: Vec<u8>,
    pub(crate) index: Vec<u8>,
    pub(crate) records: u64,
    pub(crate) ids: (RecordId, RecordId),
    pub(crate) checksum: bool,
    /// Digits of the name, if not those of the digest.
    pub(crate) name: Option<String>,
}

/// A bundle in the making: change anything, then [`seal`](Self::seal).
pub(crate) struct Maker {
    pub(crate) parts: Vec<Part>,
    pub(crate) plan: RunPlan,
    /// Something for a scanner, instead of the parts.
    pub(crate) scanner: Option<Made>,
    /// Changes the manifest before it is written and signed.
    pub(crate) manifest: fn(&mut ExportManifest),
    /// Changes the bytes of the manifest before they are signed.
    pub(crate) export: fn(&mut Vec<u8>),
    /// Changes the statement before it is signed.
    pub(crate) statement: fn(&mut serde_json::Value),
}

/// Ids and documents.
type Records = Vec<(String, String)>;

/// Sets with their records by part.
fn evidence() -> Vec<(SetKey, Vec<Records>)> {
    let set = |text: &str| text.parse::<SetKey>().expect("a set");
    let records = |range: std::ops::Range<u32>| {
        let document = |n| format!("{{\"details\":\"{}\",\"id\":\"A-{n:03}\"}}", "é ".repeat(40));
        range.map(|n| (format!("A-{n:03}"), document(n))).collect::<Records>()
    };
    let text = "<?xml version=\"1.0\"?>\n<bom/>\t\"quoted\"\n";
    vec![
        (set("advisory/npm"), vec![records(0..5), records(5..9), records(10..12)]),
        (set("sbom/acme"), vec![vec![("urn:one".to_owned(), text.to_owned())]]),
        (set("vex/acme"), vec![records(0..3)]),
    ]
}

pub(crate) fn part(set: &SetKey, records: &[(String, String)]) -> Part {
    let (mut data, mut index) = (Vec::new(), Vec::new());
    let id = |text: &str| RecordId::new(text).expect("an id");
    for (name, document) in records {
        let text = document.starts_with("<?xml");
        let id = id(name);
        let head = LineHead {
            content_digest: Digest::of(document.as_bytes()),
            set,
            id: &id,
            media_type: if text { "application/vnd.cyclonedx+xml" } else { "application/json" },
            modified: Instant::parse("2026-10-31T00:00:00Z").ok(),
        };
        let offset = data.len() as u64;
        let content =
            if text { Content::Text(document) } else { Content::Json(document.as_bytes()) };
        write_line(&mut data, &head, content);
        let length = data.len() as u64 - offset;
        let content_digest = head.content_digest;
        write_index_line(&mut index, &IndexEntry { content_digest, id, length, offset });
    }
    let (first, last) = (records.first().expect("some"), records.last().expect("some"));
    Part {
        set: set.clone(),
        data,
        index,
        records: records.len() as u64,
        ids: (id(&first.0), id(&last.0)),
        checksum: true,
        name: None,
    }
}

fn set_entry(set: &SetKey, parts: &[Records]) -> SetEntry {
    let mut root = SetRoot::new();
    for (id, document) in parts.iter().flatten() {
        root.push(leaf(set, id, &Digest::of(document.as_bytes())));
    }
    let (kind, feed) = (set.kind.clone(), set.feed.clone());
    SetEntry { count: root.count(), feed, kind, root: root.finish() }
}

impl Maker {
    pub(crate) fn new() -> Maker {
        let evidence = evidence();
        let sets = evidence.iter().map(|(set, parts)| set_entry(set, parts)).collect();
        let feed = |name: &str| FeedEntry {
            attribution: None,
            feed: name.parse().expect("a feed name"),
            licence: Some("CC-BY-4.0".to_owned()),
            publisher: None,
            redistribution: Some(true),
        };
        let plan = RunPlan {
            as_of: Instant::parse("2026-11-01T00:00:00Z").expect("a time"),
            codec: Codec {
                level: 3,
                library: "libzstd".to_owned(),
                parameters: BTreeMap::new(),
                version: "1.5.7".to_owned(),
            },
            feeds: vec![feed("acme"), feed("npm")],
            format_version: 1,
            handling: None,
            outputs: vec![OutputPlan {
                adapter: "mirror:full".to_owned(),
                adapter_version: 1,
                options: BTreeMap::new(),
            }],
            partition: Partition::DEFAULT,
            policy: None,
            producer: "0.1.0".to_owned(),
            profile: ProfileId { name: "mirror:full".to_owned(), revision: Digest::of(b"p") },
            redaction: RedactionId { digest: None, name: "none".to_owned() },
            selectors: Selectors::default(),
            sets,
            tenant: TenantId::local(),
        };
        let parts = evidence.iter().flat_map(|(set, parts)| parts.iter().map(|p| part(set, p)));
        Maker {
            parts: parts.collect(),
            plan,
            scanner: None,
            manifest: |_| {},
            export: |_| {},
            statement: |_| {},
        }
    }

    /// A bundle of nothing but a database.
    pub(crate) fn with_database(database: Db) -> Maker {
        Maker::with_output(database.made())
    }

    /// A bundle of nothing but something for a scanner.
    pub(crate) fn with_output(made: Made) -> Maker {
        let mut maker = Maker::new();
        maker.parts.clear();
        maker.plan.outputs[0].adapter.clone_from(&made.entry.adapter);
        Maker { scanner: Some(made), ..maker }
    }

    /// The finished bundle, signed by the release key.
    pub(crate) fn seal(&self) -> Files {
        let mut files = Files::default();
        let mut listed = Vec::new();
        for part in &self.parts {
            self.add_part(part, &mut files, &mut listed);
        }
        for (path, media_type, bytes, records) in self.scanner.iter().flat_map(|made| &made.parts) {
            add_file(path, bytes, &mut files, &mut listed);
            let entry = listed.last_mut().expect("was added");
            (entry.media_type, entry.records) = ((*media_type).to_owned(), *records);
        }
        add_text("README.md", "# A bundle\n", &mut files, &mut listed);
        add_text("NOTICE.md", "# Notices\n", &mut files, &mut listed);
        add_text("trusted_root.json", TRUSTED_ROOT, &mut files, &mut listed);
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        let sum = |part: &PartEntry| format!("{}  {}\n", part.digest.sha256, part.path);
        let sums: String = listed.iter().map(sum).collect();
        add_text("SHA256SUMS", &sums, &mut files, &mut listed);
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        let mut manifest = self.manifest_of(listed);
        (self.manifest)(&mut manifest);
        let mut export = manifest.to_bytes();
        (self.export)(&mut export);
        let statement = Statement::new(&self.plan, Digest::of(&export));
        let mut statement = serde_json::to_value(&statement).expect("JSON");
        (self.statement)(&mut statement);
        let statement = stella_model::rfc8785::to_vec(&statement);
        sign(&mut files, &key(RELEASE), export, statement);
        files
    }

    fn add_part(&self, part: &Part, files: &mut Files, listed: &mut Vec<PartEntry>) {
        let data = frame(&part.data, part.checksum);
        let index = frame(&part.index, true);
        let digits = part.name.clone().unwrap_or_else(|| Digest::of(&data).short(24));
        let set = &part.set;
        for (path, stored, plain, media_type) in [
            (format!("data/raw/{set}/p-{digits}.jsonl.zst"), data, &part.data, PART_MEDIA_TYPE),
            (format!("indexes/{set}/p-{digits}.jsonl.zst"), index, &part.index, INDEX_MEDIA_TYPE),
        ] {
            listed.push(PartEntry {
                digest: Digest::of(&stored).into(),
                feed: Some(set.feed.clone()),
                first_id: Some(part.ids.0.clone()),
                kind: Some(set.kind.clone()),
                last_id: Some(part.ids.1.clone()),
                media_type: media_type.to_owned(),
                path: PartName::new(&path).expect("a part name"),
                records: Some(part.records),
                size: stored.len() as u64,
                uncompressed_size: Some(plain.len() as u64),
            });
            files.bytes.insert(path, stored);
        }
    }

    fn manifest_of(&self, parts: Vec<PartEntry>) -> ExportManifest {
        let sets = if self.scanner.is_some() { Vec::new() } else { self.plan.sets.clone() };
        let mut kinds = BTreeMap::new();
        for set in &sets {
            *kinds.entry(set.kind.clone()).or_insert(0) += set.count;
        }
        let counts = Counts {
            bytes: parts.iter().map(|part| part.size).sum(),
            kinds,
            not_carried: BTreeMap::new(),
            parts: parts.len() as u64,
            records: sets.iter().map(|set| set.count).sum(),
            uncompressed_bytes: self.parts.iter().map(|part| part.data.len() as u64).sum(),
        };
        let mirror = || OutputEntry {
            adapter: "mirror:full".to_owned(),
            adapter_version: 1,
            importable: true,
            keys: BTreeMap::new(),
            not_represented: BTreeMap::new(),
            scanner: None,
        };
        let output = self.scanner.as_ref().map_or_else(mirror, |made| made.entry.clone());
        ExportManifest {
            as_of: self.plan.as_of,
            counts,
            coverage: self.scanner.as_ref().map(|made| made.coverage.clone()).unwrap_or_default(),
            feeds: self.plan.feeds.clone(),
            format_version: 1,
            handling: None,
            inputs_hash: self.plan.policy.as_ref().and_then(|policy| policy.inputs_hash),
            outputs: vec![output],
            parts,
            plan_hash: self.plan.hash(),
            policy_version: self.plan.policy.as_ref().map(|policy| policy.policy_version.clone()),
            profile: self.plan.profile.clone(),
            redaction: RedactionReport {
                counts: BTreeMap::new(),
                digest: None,
                name: "none".to_owned(),
                records: 0,
            },
            requires: Vec::new(),
            sets,
            tenant: TenantId::local(),
        }
    }
}

/// Writes the envelope, signed by a key.
pub(crate) fn sign(files: &mut Files, key: &SecretKey, export: Vec<u8>, statement: Vec<u8>) {
    let signature = key.sign(&export).expect("signs");
    let bundle = SigstoreBundle::sign_message(key, &export).expect("signs").to_bytes();
    let provenance = SigstoreBundle::sign_statement(key, &statement).expect("signs").to_bytes();
    for (name, bytes) in [
        ("export.json.sig", detached_sig(&signature).into_bytes()),
        ("export.json.sigstore.json", bundle),
        ("provenance.json.sigstore.json", provenance),
        ("export.json", export),
        ("provenance.json", statement),
    ] {
        files.bytes.insert(name.to_owned(), bytes);
    }
}

/// A further signature with its name.
pub(crate) fn further(role: &str, seed: u8, files: &Files) -> (String, Vec<u8>) {
    let key = key(seed);
    let bundle = SigstoreBundle::sign_message(&key, &files.bytes["export.json"]).expect("signs");
    (format!("signatures/{role}.{}.sigstore.json", key.public().hint8()), bundle.to_bytes())
}

pub(crate) fn frame(content: &[u8], checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("level 3 exists");
    encoder.include_checksum(checksum).expect("a parameter");
    encoder.set_pledged_src_size(Some(content.len() as u64)).expect("a parameter");
    encoder.write_all(content).expect("into memory");
    encoder.finish().expect("into memory")
}

fn add_text(name: &str, text: &str, files: &mut Files, listed: &mut Vec<PartEntry>) {
    add_file(name, text.as_bytes(), files, listed);
}

fn add_file(name: &str, bytes: &[u8], files: &mut Files, listed: &mut Vec<PartEntry>) {
    listed.push(PartEntry {
        digest: Digest::of(bytes).into(),
        feed: None,
        first_id: None,
        kind: None,
        last_id: None,
        media_type: "text/plain".to_owned(),
        path: PartName::new(name).expect("a part name"),
        records: None,
        size: bytes.len() as u64,
        uncompressed_size: None,
    });
    files.bytes.insert(name.to_owned(), bytes.to_vec());
}

/// Where a text is in a file.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("is in the file")
}

/// Replaces the first occurrence of a text.
pub(crate) fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let at = find(bytes, from.as_bytes());
    bytes.splice(at..at + from.len(), to.bytes());
}
