//! Indexes of jars that a publisher signed and no scanner should be given. They are made by SQLite
//! itself, apart from the adapter of the product.

use std::collections::BTreeMap;

use rusqlite::Connection;
use stella_manifest::{OutputEntry, Scanner};
use stella_verify::{Check, State};

use crate::database::{AS_OF, Made, layout, tar_gz};
use crate::maker::{Files, Maker, find};

use Check::{ScannerJavaIndex, ScannerPackaging};

const PAGE: usize = 4096;
const LAYER_TYPE: &str = "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip";

const TABLES: &str = "
    CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
    CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, \
        foreign key (artifact_id) references artifacts(id));
    CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id);
    CREATE INDEX indices_artifact_idx ON indices(artifact_id);
    CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1);";

/// An index in the making; every step can be spoilt.
#[derive(Clone)]
pub(crate) struct Java {
    /// Statements instead of those that make the tables.
    tables: String,
    /// Statements after the rows, and those after the file was brought to its final form.
    rows: &'static str,
    last: &'static str,
    file: fn(&mut Vec<u8>),
    layer_metadata: String,
    cache_metadata: String,
    members: fn(&mut Vec<(&'static str, Vec<u8>)>),
    output: fn(&mut OutputEntry),
    listed: fn(&mut Vec<crate::database::Listed>),
}

/// Jars of an artifact, and artifacts.
const JARS: i64 = 5;
const ARTIFACTS: i64 = 400;

/// The SHA-1 of a row.
fn sha1(row: i64) -> Vec<u8> {
    stella_model::Digest::of(&row.to_be_bytes()).as_bytes()[..20].to_vec()
}

fn metadata(next: &str, downloaded: &str) -> String {
    format!(
        "{{\"Version\":1,\"NextUpdate\":\"{next}\",\"UpdatedAt\":\"{AS_OF}\",\"DownloadedAt\":\"{downloaded}\"}}\n"
    )
}

impl Java {
    pub(crate) fn new() -> Java {
        Java {
            tables: TABLES.to_owned(),
            rows: "",
            last: "",
            file: |_| {},
            layer_metadata: metadata("2026-11-04T00:00:00Z", "0001-01-01T00:00:00Z"),
            cache_metadata: metadata("2999-12-31T23:59:59Z", AS_OF),
            members: |_| {},
            output: |_| {},
            listed: |_| {},
        }
    }

    #[expect(clippy::disallowed_methods, reason = "SQLite writes files alone")]
    fn database(&self) -> Vec<u8> {
        let dir = stella_testkit::temp_dir();
        let path = dir.path().join("a.db");
        let database = Connection::open(&path).expect("opens");
        let run = |sql: &str| database.execute_batch(sql).expect(sql);
        run("PRAGMA page_size = 4096; PRAGMA foreign_keys = OFF; BEGIN;");
        run(&self.tables);
        for artifact in 0..ARTIFACTS {
            let values = rusqlite::params![artifact + 1, "org.acme", format!("a{artifact:04}")];
            let insert = "INSERT INTO artifacts VALUES (?1, ?2, ?3)";
            // Some tables of these tests have no such columns.
            let Ok(_) = database.execute(insert, values) else { break };
            for jar in 0..JARS {
                let version = format!("1.{jar}");
                let row = artifact * JARS + jar + 1;
                let values = rusqlite::params![artifact + 1, version, sha1(row)];
                let insert = "INSERT INTO indices VALUES (?1, ?2, ?3, 'jar')";
                database.execute(insert, values).expect("inserts");
            }
        }
        run(self.rows);
        run("COMMIT; VACUUM;");
        run(self.last);
        drop(database);
        let mut file = std::fs::read(&path).expect("reads");
        (self.file)(&mut file);
        file
    }

    pub(crate) fn made(&self) -> Made {
        let mut members = vec![
            ("metadata.json", self.layer_metadata.clone().into_bytes()),
            ("trivy-java.db", self.database()),
        ];
        (self.members)(&mut members);
        let layer = tar_gz(&members, |_| {}, |_| {});
        let mut parts = layout(layer, LAYER_TYPE, "javadb.tar.gz", "java-db-1", |_| {}, |_| {});
        parts.push((
            "trivy/cache/java-db/metadata.json".into(),
            "application/json",
            self.cache_metadata.clone().into(),
            None,
        ));
        (self.listed)(&mut parts);
        let keys = [("artifacts", ARTIFACTS), ("indices", ARTIFACTS * JARS)];
        let mut entry = OutputEntry {
            adapter: "trivy:java-db".to_owned(),
            adapter_version: 1,
            importable: false,
            keys: keys.map(|(table, rows)| (table.to_owned(), rows as u64)).into(),
            not_represented: BTreeMap::new(),
            scanner: Some(Scanner {
                name: "trivy".to_owned(),
                oldest: "0.59.1".to_owned(),
                schema: 1,
            }),
        };
        (self.output)(&mut entry);
        Made { parts, entry, coverage: Vec::new() }
    }

    fn seal(&self) -> Files {
        Maker::with_output(self.made()).seal()
    }
}

type Spoil = fn(&mut Java);

/// What is wrong with the file.
const FILES: &[(&str, &str, Spoil)] = &[
    ("an empty file", "cut off", |j| j.file = Vec::clear),
    ("other bytes", "not that of SQLite", |j| j.file = |f| f.fill(0x5a)),
    ("cut by a page", "of a file of", |j| j.file = |f| f.truncate(f.len() - PAGE)),
    ("a page after the last", "of a file of", |j| j.file = |f| f.extend([0; PAGE])),
    ("a page that belongs to nothing", "belongs to no table", |j| {
        j.file = |f| {
            f.extend([0; PAGE]);
            let pages = (f.len() / PAGE) as u32;
            f[28..32].copy_from_slice(&pages.to_be_bytes());
        }
    }),
    ("a write-ahead log", "journal mode", |j| j.file = |f| f[18..20].fill(2)),
    ("a write-ahead log of SQLite itself", "journal mode", |j| {
        j.last = "PRAGMA journal_mode = WAL;";
    }),
    ("a log that only readers ask for", "journal mode of readers", |j| j.file = |f| f[19] = 2),
    ("another page size", "page size", |j| {
        j.last = "PRAGMA page_size = 8192; VACUUM;";
    }),
    ("another encoding", "encoding", |j| {
        j.tables = format!("COMMIT; PRAGMA encoding = 'UTF-16le'; BEGIN; {TABLES}");
    }),
    ("an application", "application", |j| j.last = "PRAGMA application_id = 7;"),
    ("a user version", "user version", |j| j.last = "PRAGMA user_version = 7;"),
    ("a file that vacuums itself", "mode of vacuum", |j| {
        j.last = "PRAGMA auto_vacuum = FULL; VACUUM;";
    }),
    ("free pages", "free pages", |j| {
        j.last = "CREATE TABLE x(a); INSERT INTO x VALUES (zeroblob(99999)); DROP TABLE x;";
    }),
    ("a number of pages that does not hold", "number of changes", |j| j.file = |f| f[95] ^= 1),
    ("something in the header", "nothing is told", |j| j.file = |f| f[80] = 1),
    ("older records", "form of records", |j| j.file = |f| f[47] = 1),
    ("no tables", "its schema has no \"artifacts\"", |j| j.tables = "CREATE TABLE x(a);".into()),
    ("a table too many", "which Trivy does not know", |j| j.last = "CREATE TABLE x(a);"),
    ("a view", "which Trivy does not know", |j| j.last = "CREATE VIEW x AS SELECT 1;"),
    ("a trigger", "which Trivy does not know", |j| {
        j.last = "CREATE TRIGGER x AFTER INSERT ON indices BEGIN SELECT 1; END;";
    }),
    ("no index of SHA-1s", "its schema has no \"indices_sha1_idx\"", |j| {
        j.last = "DROP INDEX indices_sha1_idx; VACUUM;";
    }),
    ("an index that is not unique", "another \"indices_sha1_idx\"", |j| {
        j.last =
            "DROP INDEX indices_sha1_idx; CREATE INDEX indices_sha1_idx ON indices(sha1); VACUUM;";
    }),
    ("a table of another shape", "another \"artifacts\"", |j| {
        j.tables = TABLES.replace("group_id TEXT, artifact_id TEXT)", "group_id, artifact_id)");
    }),
    ("an index of other columns", "holds other keys", |j| {
        j.last = "DROP INDEX indices_artifact_idx; CREATE INDEX indices_artifact_idx ON indices(version);
            VACUUM; PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql =
            'CREATE INDEX indices_artifact_idx ON indices(artifact_id)' WHERE name = 'indices_artifact_idx';";
    }),
    ("an index of other rows", "holds other keys", |j| {
        j.last = "DROP INDEX indices_sha1_idx;
            CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1) WHERE artifact_id < 9;
            VACUUM; PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql =
            'CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1)' WHERE name = 'indices_sha1_idx';";
    }),
    ("a key of another jar", "indices_sha1_idx holds other keys", |j| {
        // The table comes first; the key is the one in the index.
        j.file = |f| {
            let wanted = sha1(7);
            let first = find(f, &wanted);
            let second = first + 20 + find(&f[first + 20..], &wanted);
            f[second + 19] ^= 1;
        }
    }),
    ("keys out of order", "does not come after", |j| {
        j.file = |f| {
            // The places of two keys in a leaf of an index.
            let leaf = (1..f.len() / PAGE).rev().find(|page| f[page * PAGE] == 10);
            let at = leaf.expect("a leaf") * PAGE + 8;
            f[at..at + 4].rotate_left(2);
        }
    }),
    ("a page of another kind", "of the kind", |j| j.file = |f| f[PAGE] ^= 1),
    ("a cell outside of its page", "outside", |j| {
        j.file = |f| f[PAGE + 12..PAGE + 14].fill(0xff);
    }),
    ("a SHA-1 in hexadecimal digits", "SHA-1 as bytes", |j| {
        j.rows = "UPDATE indices SET sha1 = lower(hex(sha1)) WHERE rowid = 7;";
    }),
    ("a SHA-1 cut short", "SHA-1 of another length", |j| {
        j.rows = "UPDATE indices SET sha1 = substr(sha1, 1, 19) WHERE rowid = 7;";
    }),
    ("no SHA-1", "SHA-1 as bytes", |j| j.rows = "UPDATE indices SET sha1 = NULL WHERE rowid = 7;"),
    ("another type of archive", "a type that Trivy never asks for", |j| {
        j.rows = "UPDATE indices SET archive_type = 'aar' WHERE rowid = 7;";
    }),
    ("no version", "no usable version", |j| {
        j.rows = "UPDATE indices SET version = '' WHERE rowid = 6;";
    }),
    ("a version with a zero byte", "no usable version", |j| {
        j.rows = "UPDATE indices SET version = CAST(x'3900' AS TEXT) WHERE rowid = 10;";
    }),
    ("a version that is no UTF-8", "no usable version", |j| {
        j.rows = "UPDATE indices SET version = CAST(x'39ff' AS TEXT) WHERE rowid = 10;";
    }),
    ("a version that is a number", "an artifact, a version", |j| {
        j.tables = TABLES.replace("version TEXT", "version");
        j.rows = "UPDATE indices SET version = 1 WHERE rowid = 6;";
    }),
    ("versions out of order", "does not come after the one before it", |j| {
        j.rows = "UPDATE indices SET version = '0' WHERE rowid = 8;";
    }),
    ("jars out of order", "is of an artifact that is not next", |j| {
        j.rows = "UPDATE indices SET artifact_id = 5 WHERE rowid = 7;";
    }),
    ("a jar of no artifact", "is of an artifact that is not next", |j| {
        j.rows = "UPDATE indices SET artifact_id = 401 WHERE rowid = 2000;";
    }),
    ("a jar too few", "are not numbered from 1", |j| {
        j.rows = "DELETE FROM indices WHERE rowid = 7;";
        j.output = |o| *o.keys.get_mut("indices").expect("is there") -= 1;
    }),
    ("an artifact without a jar", "artifacts without a jar", |j| {
        j.rows = "DELETE FROM indices WHERE artifact_id = 400;";
        j.output = |o| *o.keys.get_mut("indices").expect("is there") -= 5;
    }),
    ("artifacts out of order", "does not come after the one before it", |j| {
        j.rows = "UPDATE artifacts SET group_id = 'a' WHERE id = 7;";
    }),
    ("an artifact without a group", "no usable name", |j| {
        j.rows = "UPDATE artifacts SET group_id = '' WHERE id = 1;";
    }),
    ("an artifact that is nothing", "is not a group and a name", |j| {
        j.rows = "UPDATE artifacts SET group_id = NULL WHERE id = 7;";
    }),
    ("a wrong number of jars", "indices has another number of rows", |j| {
        j.output = |o| *o.keys.get_mut("indices").expect("is there") += 1;
    }),
    ("a wrong number of artifacts", "artifacts has another number of rows", |j| {
        j.output = |o| *o.keys.get_mut("artifacts").expect("is there") -= 1;
    }),
    ("no numbers", "another number of rows", |j| j.output = |o| o.keys.clear()),
    ("a table that is told and not there", "which there is not", |j| {
        j.output = |o| o.keys.extend([("poms".to_owned(), 0)]);
    }),
    ("another schema", "another schema", |j| {
        j.output = |o| o.scanner.as_mut().expect("is there").schema = 2;
    }),
    ("no scanner", "does not tell its scanner", |j| j.output = |o| o.scanner = None),
];

/// What is wrong with what is around it.
const PACKAGES: &[(&str, &str, Spoil)] = &[
    ("Version 2", "Version", |j| {
        j.layer_metadata = j.layer_metadata.replace("\"Version\":1", "\"Version\":2");
    }),
    ("no Version in the cache", "no metadata", |j| {
        j.cache_metadata = j.cache_metadata.replace("\"Version\":1,", "");
    }),
    ("another UpdatedAt", "UpdatedAt", |j| {
        j.cache_metadata = j.cache_metadata.replace("At\":\"2026-11-01", "At\":\"2026-10-01");
    }),
    ("a layer that is fresh for a day", "NextUpdate", |j| {
        j.layer_metadata = j.layer_metadata.replace("2026-11-04", "2026-11-02");
    }),
    ("a journal beside it", "more members", |j| {
        j.members = |m| m.push(("trivy-java.db-wal", b"x".to_vec()));
    }),
    ("a file of another name", "another name", |j| j.members = |m| m[1].0 = "java.db"),
    ("no metadata for the cache", "does not list", |j| j.listed = |l| drop(l.pop())),
    ("a file too many", "leads to this file", |j| {
        j.listed =
            |l| l.push(("trivy/cache/java-db/trivy-java.db".into(), "x/y", b"x".to_vec(), None));
    }),
    ("the metadata of another database", "leads to this file", |j| {
        j.listed = |l| l.push(("trivy/cache/db/metadata.json".into(), "x/y", b"x".to_vec(), None));
    }),
];

#[test]
fn an_index_in_order_verifies() {
    let report = Java::new().seal().verify();
    let failed: Vec<_> = report.failed().collect();
    assert!(report.verified, "{failed:#?}");
    let state = |check| report.result(check).expect("is there").state;
    assert_eq!([state(ScannerPackaging), state(ScannerJavaIndex)], [State::Pass; 2]);
    for check in
        [Check::ScannerDatabase, Check::ScannerVex, Check::ScannerReport, Check::ScannerCanary]
    {
        assert_eq!(state(check), State::NotUsed, "{check:?}");
    }
    let detail = &report.result(ScannerJavaIndex).expect("is there").detail;
    assert!(detail.starts_with("2000 jars of 400 artifacts in "), "{detail}");
}

#[test]
fn an_index_that_no_scanner_should_be_given_is_refused() {
    assert!(FILES.len() >= 45 && PACKAGES.len() >= 9);
    for (check, table) in [(ScannerJavaIndex, FILES), (ScannerPackaging, PACKAGES)] {
        for (what, says, spoil) in table {
            let mut java = Java::new();
            spoil(&mut java);
            let report = java.seal().verify();
            let failed: Vec<Check> = report.failed().map(|result| result.check).collect();
            assert!(failed.contains(&check), "{what}: {failed:?}");
            assert_eq!((report.exit_code(), report.verified), (8, false), "{what}");
            let problems = &report.result(check).expect("is there").problems;
            let told = problems.iter().any(|problem| problem.message.contains(says));
            assert!(told, "{what}: {problems:#?}");
            let others = [ScannerPackaging, ScannerJavaIndex];
            assert!(failed.iter().all(|check| others.contains(check)), "{what}: {failed:?}");
        }
    }
}

#[test]
fn flipped_bits_of_an_index_never_panic_and_most_are_refused() {
    // Signed anew after each flip, so that no digest tells.
    static AT: std::sync::Mutex<(usize, u32)> = std::sync::Mutex::new((0, 0));
    let flip = |file: &mut Vec<u8>| {
        let (at, bit) = *AT.lock().expect("one thread");
        let at = at % file.len();
        file[at] ^= 1 << bit;
    };
    let (mut state, mut refused) = (0x5DEE_CE66_u64, 0);
    for _ in 0..60 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *AT.lock().expect("one thread") = ((state >> 33) as usize, (state >> 20) as u32 % 8);
        refused += usize::from(!Java { file: flip, ..Java::new() }.seal().verify().verified);
    }
    // The rest fell into the empty parts of pages.
    assert!(refused >= 40, "{refused}");
}
