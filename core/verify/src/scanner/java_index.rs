//! The pages and rows of `trivy-java.db`, the index of jars.
//!
//! Trivy opens it with SQLite, and finds no jar at all, without an error, where SQLite does not. What
//! it then asks for it finds through the indexes of the tables, so those must hold exactly the rows.

use std::ops::ControlFlow;

use stella_manifest::{OutputEntry, PartEntry};
use stella_model::Digest;
use stella_sqlite::{Database, Fault, Header, Limits, ReadAt, Record, SCHEMA_ROOT, Value};

use super::{Context, JAVA_INDEX, Problems, in_full};
use crate::report::{Check, Problem};

const FILE: &str = JAVA_INDEX.file;

/// Bytes of a page.
const PAGE_BYTES: u32 = 4096;

/// Most pages: a file of 8 GiB.
const PAGES: u32 = 1 << 21;

/// The only type of archive that Trivy asks for.
const ARCHIVE_TYPE: &[u8] = b"jar";

const ARTIFACTS: &str = "artifacts";
const INDICES: &str = "indices";

/// The tables and indexes: type, name, table, text.
const SCHEMA: [(&str, &str, &str, &str); 5] = [
    (
        "table",
        ARTIFACTS,
        ARTIFACTS,
        "CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT)",
    ),
    (
        "table",
        INDICES,
        INDICES,
        "CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, \
         foreign key (artifact_id) references artifacts(id))",
    ),
    (
        "index",
        "artifacts_idx",
        ARTIFACTS,
        "CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id)",
    ),
    (
        "index",
        "indices_artifact_idx",
        INDICES,
        "CREATE INDEX indices_artifact_idx ON indices(artifact_id)",
    ),
    ("index", "indices_sha1_idx", INDICES, "CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1)"),
];

/// How often it is asked whether to stop.
const ROWS_BETWEEN_STOPS: u64 = 4_096;

/// Checks the index in a room, which came out of this layer; what to tell if all is well.
pub(super) fn check<R: stella_bolt::ReadAt>(
    context: &Context<'_>,
    output: &OutputEntry,
    layer: &PartEntry,
    bytes: u64,
    room: R,
    problems: &mut Problems,
) -> String {
    // A row quotes a name or a version of a document.
    let limits = Limits { record_bytes: context.limits.document_bytes, pages: PAGES };
    let mut look = Look { context, problems, layer: layer.digest.sha256, rows: 0 };
    let database = match Database::open(Room { room, bytes }, limits) {
        Ok(database) => database,
        Err(fault) => {
            look.fault(&fault);
            return String::new();
        }
    };
    look.header(database.header());
    look.run(database, output)
}

/// Room as SQLite's reader wants it.
struct Room<R> {
    room: R,
    bytes: u64,
}

impl<R: stella_bolt::ReadAt> ReadAt for Room<R> {
    fn size_bytes(&self) -> std::io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        out.copy_from_slice(&self.room.read_at(offset, out.len())?);
        Ok(())
    }
}

/// A table and what its indexes must hold of it.
#[derive(Default)]
struct Rows {
    count: u64,
    /// One sum for each index.
    sums: [Sum; 2],
}

/// The sum of the digests of entries, which comes out the same in any order. The digest of the layer
/// goes into each: other entries with the same sum could be computed, but they would be another layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum([u64; 4]);

impl Sum {
    fn add(&mut self, layer: &Digest, rowid: i64, key: &[Value<'_>]) {
        let mut bytes = key_bytes(key);
        bytes.extend_from_slice(&rowid.to_be_bytes());
        bytes.extend_from_slice(layer.as_bytes());
        let digest = Digest::of(&bytes);
        for (word, part) in self.0.iter_mut().zip(digest.as_bytes().chunks_exact(8)) {
            let part = part.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
            *word = word.wrapping_add(part);
        }
    }
}

/// A key as bytes, other ones for every other key.
fn key_bytes(key: &[Value<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    for value in key {
        let (kind, content) = match value {
            Value::Integer(number) => (1_u8, &number.to_be_bytes()[..]),
            Value::Text(text) => (2, *text),
            Value::Blob(blob) => (3, *blob),
            Value::Null | Value::Real(_) => (0, &[][..]),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&(content.len() as u64).to_be_bytes());
        bytes.extend_from_slice(content);
    }
    bytes
}

/// The look at one file.
struct Look<'l, 'a> {
    context: &'l Context<'a>,
    problems: &'l mut Problems,
    /// The layer that the file came in.
    layer: Digest,
    rows: u64,
}

impl Look<'_, '_> {
    fn add(&mut self, problem: Problem) {
        self.problems.add(Check::ScannerJavaIndex, problem.of(FILE));
    }

    fn fail(&mut self, message: impl AsRef<str>) {
        self.add(Problem::new(message));
    }

    fn fault(&mut self, fault: &Fault) {
        self.fail(in_full(fault));
    }

    /// Whether to read on after a row.
    fn flow(&mut self) -> ControlFlow<()> {
        self.rows += 1;
        let asked = self.rows.is_multiple_of(ROWS_BETWEEN_STOPS);
        match self.problems.full() || (asked && (self.context.stop)()) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Checks what the header tells besides what every reader demands.
    fn header(&mut self, header: &Header) {
        for (what, expected, found) in [
            ("page size", PAGE_BYTES, header.page_bytes),
            // In a write-ahead log's mode Trivy finds nothing on a medium that is only read.
            ("journal mode of writers", 1, header.write_version.into()),
            ("journal mode of readers", 1, header.read_version.into()),
            ("number of reserved bytes", 0, header.reserved_bytes.into()),
            ("number of free pages", 0, header.free_pages),
            ("form of records", 4, header.schema_format),
            ("mode of vacuum", 0, header.largest_root),
            ("encoding", 1, header.encoding),
            ("user version", 0, header.user_version),
            ("mode of vacuum", 0, header.incremental_vacuum),
            ("application", 0, header.application_id),
            // Otherwise SQLite does not believe the number of pages.
            ("number of changes", header.changes, header.valid_for),
        ] {
            if expected != found {
                let problem = Problem::new(format!("its header tells another {what}"));
                self.add(problem.expected(expected, found));
            }
        }
        if !header.expansion_is_zero {
            self.fail("its header is not empty where nothing is told");
        }
    }

    fn run<R: ReadAt>(&mut self, mut database: Database<R>, output: &OutputEntry) -> String {
        let Some(roots) = self.schema(&mut database) else { return String::new() };
        match self.content(&mut database, roots) {
            Err(fault) => {
                self.fault(&fault);
                String::new()
            }
            // Told to stop, or enough is wrong already.
            Ok(None) => String::new(),
            Ok(Some((artifacts, jars))) => {
                let found = [(ARTIFACTS, artifacts), (INDICES, jars)];
                self.counts(output, found);
                if let Some(page) = database.unreached() {
                    self.fail(format!("page {page} belongs to no table"));
                }
                format!(
                    "{jars} jars of {artifacts} artifacts in {} pages, all as told",
                    database.header().pages
                )
            }
        }
    }

    /// The roots of tables and indexes in the order of [`SCHEMA`], if all are there.
    fn schema<R: ReadAt>(&mut self, database: &mut Database<R>) -> Option<[u32; 5]> {
        let mut roots = [0; 5];
        let walked = database.table(SCHEMA_ROOT, &mut |_, record| {
            let [
                Value::Text(kind),
                Value::Text(name),
                Value::Text(table),
                Value::Integer(root),
                Value::Text(sql),
            ] = record[..]
            else {
                self.fail("its schema has a row of another form");
                return self.flow();
            };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let known = SCHEMA.iter().position(|(_, known, ..)| known.as_bytes() == name);
            let Some(place) = known else {
                self.fail(format!("its schema has {:?}, which Trivy does not know", text(name)));
                return self.flow();
            };
            let (is_kind, _, of, is_sql) = SCHEMA[place];
            if [kind, table, sql] != [is_kind, of, is_sql].map(str::as_bytes) {
                let problem = Problem::new(format!("its schema has another {:?}", text(name)));
                self.add(problem.expected(is_sql, text(sql)));
            }
            match u32::try_from(root) {
                Ok(root) if root > 0 && roots[place] == 0 => roots[place] = root,
                _ => self.fail(format!("its schema has {:?} twice, or nowhere", text(name))),
            }
            self.flow()
        });
        if let Err(fault) = walked {
            self.fault(&fault);
            return None;
        }
        for ((_, name, ..), root) in SCHEMA.iter().zip(roots) {
            if root == 0 {
                self.fail(format!("its schema has no {name:?}"));
            }
        }
        (!roots.contains(&0)).then_some(roots)
    }

    /// The numbers of artifacts and jars; `None` if reading ended early.
    fn content<R: ReadAt>(
        &mut self,
        database: &mut Database<R>,
        roots: [u32; 5],
    ) -> Result<Option<(u64, u64)>, Fault> {
        let [artifacts, indices, artifacts_idx, indices_artifact_idx, indices_sha1_idx] = roots;
        let artifacts = self.artifacts(database, artifacts)?;
        let jars = self.jars(database, indices, artifacts.count)?;
        self.index(
            database,
            artifacts_idx,
            "artifacts_idx",
            Some(2),
            (artifacts.count, artifacts.sums[0]),
        )?;
        self.index(
            database,
            indices_artifact_idx,
            "indices_artifact_idx",
            None,
            (jars.count, jars.sums[0]),
        )?;
        self.index(
            database,
            indices_sha1_idx,
            "indices_sha1_idx",
            Some(1),
            (jars.count, jars.sums[1]),
        )?;
        let ended = self.problems.full() || (self.context.stop)();
        Ok((!ended).then_some((artifacts.count, jars.count)))
    }

    /// Rows of artifacts: numbered from 1, ascending by group and artifact.
    fn artifacts<R: ReadAt>(
        &mut self,
        database: &mut Database<R>,
        root: u32,
    ) -> Result<Rows, Fault> {
        let mut rows = Rows::default();
        let (mut group_before, mut artifact_before) = (Vec::new(), Vec::new());
        database.table(root, &mut |rowid, record| {
            rows.count += 1;
            let [Value::Null, Value::Text(group), Value::Text(artifact)] = record[..] else {
                self.fail(format!("artifact {rowid} is not a group and a name: {}", told(record)));
                return self.flow();
            };
            if u64::try_from(rowid) != Ok(rows.count) {
                let problem = Problem::new("artifacts are not numbered from 1 on");
                self.add(problem.expected(rows.count, rowid));
            }
            if !is_name(group) || !is_name(artifact) {
                self.fail(format!("artifact {rowid} has no usable name: {}", told(record)));
            }
            if (&group_before[..], &artifact_before[..]) >= (group, artifact) {
                self.fail(format!("artifact {rowid} does not come after the one before it"));
            }
            group_before.clear();
            group_before.extend_from_slice(group);
            artifact_before.clear();
            artifact_before.extend_from_slice(artifact);
            rows.sums[0].add(&self.layer, rowid, &[record[2], record[1]]);
            self.flow()
        })?;
        Ok(rows)
    }

    /// Rows of jars: numbered from 1, artifact by artifact, ascending by version and SHA-1.
    fn jars<R: ReadAt>(
        &mut self,
        database: &mut Database<R>,
        root: u32,
        artifacts: u64,
    ) -> Result<Rows, Fault> {
        let mut rows = Rows::default();
        let mut of: u64 = 0;
        let (mut version_before, mut sha1_before) = (Vec::new(), [0; 20]);
        database.table(root, &mut |rowid, record| {
            rows.count += 1;
            let [
                Value::Integer(artifact),
                Value::Text(version),
                Value::Blob(sha1),
                Value::Text(kind),
            ] = record[..]
            else {
                let what = "is not an artifact, a version, a SHA-1 as bytes and a type";
                self.fail(format!("jar {rowid} {what}: {}", told(record)));
                return self.flow();
            };
            if u64::try_from(rowid) != Ok(rows.count) {
                let problem = Problem::new("jars are not numbered from 1 on");
                self.add(problem.expected(rows.count, rowid));
            }
            let Ok(sha1) = <[u8; 20]>::try_from(sha1) else {
                let problem = Problem::new(format!("jar {rowid} has a SHA-1 of another length"));
                self.add(problem.expected(20, sha1.len()));
                return self.flow();
            };
            if kind != ARCHIVE_TYPE {
                let problem =
                    Problem::new(format!("jar {rowid} is of a type that Trivy never asks for"));
                self.add(problem.expected("jar", String::from_utf8_lossy(kind)));
            }
            if !is_name(version) {
                self.fail(format!("jar {rowid} has no usable version: {}", told(record)));
            }
            match u64::try_from(artifact) {
                Ok(artifact) if artifact == of => {
                    if (&version_before[..], &sha1_before) >= (version, &sha1) {
                        self.fail(format!("jar {rowid} does not come after the one before it"));
                    }
                }
                Ok(artifact) if artifact == of + 1 && artifact <= artifacts => of = artifact,
                _ => {
                    let problem =
                        Problem::new(format!("jar {rowid} is of an artifact that is not next"));
                    self.add(problem.expected(format!("{of} or the one after it"), artifact));
                    of = u64::try_from(artifact).unwrap_or(of);
                }
            }
            version_before.clear();
            version_before.extend_from_slice(version);
            sha1_before = sha1;
            rows.sums[0].add(&self.layer, rowid, &record[..1]);
            rows.sums[1].add(&self.layer, rowid, &record[2..3]);
            self.flow()
        })?;
        if of < artifacts && !self.problems.full() {
            let problem = Problem::new("there are artifacts without a jar");
            self.add(problem.expected(artifacts, of));
        }
        Ok(rows)
    }

    /// Checks that an index holds the keys of its table's rows, the first `unique` values of each once.
    fn index<R: ReadAt>(
        &mut self,
        database: &mut Database<R>,
        root: u32,
        name: &str,
        unique: Option<usize>,
        rows: (u64, Sum),
    ) -> Result<(), Fault> {
        let (mut count, mut sum) = (0, Sum::default());
        let mut before = None;
        database.index(root, &mut |record| {
            count += 1;
            if let [key @ .., Value::Integer(rowid)] = &record[..] {
                sum.add(&self.layer, *rowid, key);
            }
            let Some(unique) = unique else { return self.flow() };
            let key = record.get(..unique).map(key_bytes);
            if before == key {
                self.fail(format!("{name} has one key twice: {}", told(record)));
            }
            before = key;
            self.flow()
        })?;
        if (count, sum) != rows && !self.problems.full() {
            let problem = Problem::new(format!("{name} holds other keys than its table has rows"));
            self.add(problem.expected(rows.0, count));
        }
        Ok(())
    }

    fn counts(&mut self, output: &OutputEntry, found: [(&str, u64); 2]) {
        for (table, count) in found {
            let told = output.keys.get(table);
            if told != Some(&count) {
                let problem = Problem::new(format!("the table {table} has another number of rows"));
                let told = told.map_or_else(|| "nothing".to_owned(), u64::to_string);
                self.add(problem.expected(told, count));
            }
        }
        for name in output.keys.keys().filter(|name| found.iter().all(|(table, _)| table != name)) {
            self.fail(format!("the manifest tells of the table {name:?}, which there is not"));
        }
    }
}

/// Whether a text can be a group, a name or a version.
fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

/// A record for people, without its end if it is long.
fn told(record: &Record<'_>) -> String {
    let value = |value: &Value<'_>| match value {
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned(),
        Value::Blob(blob) => format!("{} bytes", blob.len()),
    };
    record.iter().map(value).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(layer: &[u8], entries: &[(i64, &str)]) -> Sum {
        let mut sum = Sum::default();
        for (rowid, text) in entries {
            sum.add(&Digest::of(layer), *rowid, &[Value::Text(text.as_bytes())]);
        }
        sum
    }

    /// The sum of one layer says nothing of another: entries that were searched for to hit a sum would have
    /// to be in the layer before its digest, which is part of every summand, is known.
    #[test]
    fn a_sum_is_of_its_entries_in_any_order_and_of_its_layer() {
        let entries = [(1, "a"), (2, "b"), (3, "c")];
        let of = sum(b"layer", &entries);
        assert_eq!(of, sum(b"layer", &[(3, "c"), (1, "a"), (2, "b")]));
        for (what, other) in [
            ("the layer", sum(b"another layer", &entries)),
            ("a row", sum(b"layer", &[(1, "a"), (2, "b"), (4, "c")])),
            ("a key", sum(b"layer", &[(1, "a"), (2, "b"), (3, "d")])),
            ("keys that change places", sum(b"layer", &[(2, "a"), (1, "b"), (3, "c")])),
            ("an entry twice", sum(b"layer", &[(1, "a"), (2, "b"), (3, "c"), (3, "c")])),
        ] {
            assert_ne!(of, other, "{what}");
        }
        // The layer is in each summand, not added once: differences of sums depend on it as well.
        let step = |layer: &[u8]| {
            let (long, short) = (sum(layer, &entries), sum(layer, &entries[..2]));
            let words: Vec<u64> =
                long.0.iter().zip(short.0).map(|(long, short)| long.wrapping_sub(short)).collect();
            words
        };
        assert_ne!(step(b"layer"), step(b"another layer"));
    }
}
