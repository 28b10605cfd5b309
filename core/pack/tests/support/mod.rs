//! Building a database in memory, for the tests of its adapter.
#![allow(dead_code, reason = "every test binary uses a part of this")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use serde_json::Value;
use stella_model::{FeedName, Instant, Limits};
use stella_pack::rows::Spool;
use stella_pack::trivy_db::{Contents, Mapper, Options, Spools, Tree, assemble};
use stella_records::view::Evidence;
use stella_records::{Recognised, recognise};

/// The time of all databases that do not say otherwise.
pub(crate) const AS_OF: &str = "2026-11-23T15:59:00Z";

/// Values by bucket, package (empty where the bucket has none) and key.
pub(crate) type Keys = BTreeMap<(String, String, String), String>;

/// A spool in memory.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<u8>>);

impl Spool for Memory {
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let mut held = self.0.lock().expect("no thread panicked");
        let at = held.len() as u64;
        held.extend_from_slice(bytes);
        Ok(at)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.0.lock().expect("no thread panicked");
        out.copy_from_slice(&held[offset as usize..offset as usize + out.len()]);
        Ok(())
    }
}

/// A tree that keeps what it is given, and demands the order that a bbolt file wants.
#[derive(Default)]
pub(crate) struct Kept {
    path: Vec<String>,
    last: Vec<Option<String>>,
    pub(crate) keys: Keys,
    /// Buckets at the top, with or without keys.
    pub(crate) buckets: Vec<String>,
}

impl Kept {
    fn ascend(&mut self, key: &str) {
        let depth = self.path.len();
        self.last.resize(depth + 1, None);
        let last = self.last[depth].replace(key.to_owned());
        assert!(last.as_deref() < Some(key), "{key} after {last:?} in {:?}", self.path);
    }
}

impl Tree for Kept {
    fn enter(&mut self, key: &[u8]) -> io::Result<()> {
        let key = text(key);
        self.ascend(&key);
        if self.path.is_empty() {
            self.buckets.push(key.clone());
        }
        self.path.push(key);
        Ok(())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let key = text(key);
        self.ascend(&key);
        let mut path = self.path.iter();
        let top = path.next().cloned().unwrap_or_default();
        let package = path.next().cloned().unwrap_or_default();
        let key = (top, package, key);
        assert!(self.keys.insert(key, text(value)).is_none(), "a key came twice");
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        self.last.truncate(self.path.len());
        self.path.pop();
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A database and what was told while it was made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) keys: Keys,
    pub(crate) buckets: Vec<String>,
    pub(crate) contents: Contents,
    pub(crate) report: Vec<u8>,
}

impl Built {
    /// The value of a key of a package, whatever the source that its bucket is named after.
    pub(crate) fn row(&self, bucket: &str, package: &str, id: &str) -> Option<Value> {
        let is_bucket = |top: &str| top == bucket || top.starts_with(&format!("{bucket}::"));
        let mut rows = self
            .keys
            .iter()
            .filter(|((top, name, key), _)| is_bucket(top) && name == package && key == id);
        let (_, value) = rows.next()?;
        assert!(rows.next().is_none(), "one row hides another: {bucket} {package} {id}");
        Some(serde_json::from_str(value).expect("JSON"))
    }

    /// What is known of a vulnerability whatever the package.
    pub(crate) fn detail(&self, id: &str) -> Option<Value> {
        self.row("vulnerability", "", id)
    }

    /// A list of a row; empty if there is none.
    pub(crate) fn list(&self, bucket: &str, package: &str, id: &str, member: &str) -> Vec<String> {
        let row = self.row(bucket, package, id);
        let row = row.unwrap_or_else(|| panic!("no row {bucket} {package} {id}: {self:#?}"));
        let list = row[member].as_array().cloned().unwrap_or_default();
        list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
    }

    /// Lines of the report as `reason record package detail`, without what is absent.
    pub(crate) fn told(&self) -> Vec<String> {
        let lines = self.report.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let line = |line: &[u8]| {
            let line: Value = serde_json::from_slice(line).expect("a line of JSON");
            let members = ["reason", "id", "package", "detail"];
            let texts: Vec<&str> =
                members.iter().filter_map(|member| line[*member].as_str()).collect();
            texts.join(" ")
        };
        lines.map(line).collect()
    }
}

/// Builds a database from documents, each with its feed, spread over so many mappers.
pub(crate) fn build_with(
    options: &Options,
    as_of: &str,
    mappers: usize,
    documents: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> Built {
    let as_of = Instant::parse(as_of).expect("a time");
    let rooms: Vec<[Memory; 5]> = (0..mappers).map(|_| Default::default()).collect();
    let mut made: Vec<Mapper<'_>> = (0_u16..)
        .zip(&rooms)
        .map(|(number, [entries, claims, pending, report, texts])| {
            Mapper::new(options, as_of, number, Spools { entries, claims, pending, report, texts })
        })
        .collect();
    for (place, (feed, document)) in documents.into_iter().enumerate() {
        take(&mut made[place % mappers], &feed, &document);
    }
    let mut tree = Kept::default();
    let mut report = Vec::new();
    let contents = assemble(made, &mut tree, &mut report).expect("the spool works");
    Built { keys: tree.keys, buckets: tree.buckets, contents, report }
}

fn take(mapper: &mut Mapper<'_>, feed: &str, document: &[u8]) {
    let feed = FeedName::new(feed).expect("a feed name");
    let Ok(Recognised::Records(drafts)) = recognise("record.json", document, &Limits::DEFAULT)
    else {
        panic!("{feed}: not a record: {}", String::from_utf8_lossy(document));
    };
    for draft in drafts {
        let evidence = Evidence::open(draft.format, &draft.content, &Limits::DEFAULT);
        mapper.record(&feed, None, &draft.id, &evidence.expect("reads")).expect("the spool works");
    }
}

/// Builds a database from OSV documents of one feed.
pub(crate) fn build(documents: &[stella_testkit::Osv]) -> Built {
    let documents = documents.iter().map(|document| ("acme-own".to_owned(), document.bytes()));
    build_with(&Options::default(), AS_OF, 1, documents)
}
