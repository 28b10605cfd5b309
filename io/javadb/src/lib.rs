//! The file `trivy-java.db`: rows of jars as a SQLite database that Trivy opens.
//!
//! Schema and settings are those of [trivy-java-db](https://github.com/aquasecurity/trivy-java-db)
//! version 1. Trivy opens the file for writing if it can and as it is if not; a database in
//! write-ahead mode, or one with files beside it, yields no findings at all on a medium that is only
//! read. So the file is one of SQLite's oldest kind: a rollback journal, no companions.
//!
//! Equal rows give equal bytes (INV-DET): they come in one order, in one transaction, the indexes
//! are made after them, and `VACUUM INTO` copies the whole to a file without history. The version of
//! SQLite is in the file's header (bytes 96 to 99), which is why it is bundled and pinned
//! (docs/adr/0003).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Error, params};
use stella_pack::trivy_java_db::Table;

/// Name of the file, as Trivy looks for it.
pub const FILE_NAME: &str = "trivy-java.db";

/// Name of the file that rows are collected in.
const DRAFT: &str = "draft.sqlite";

/// Page cache, in KiB; also what SQLite takes for sorting an index before it uses a file.
const CACHE_KIB: i64 = 32 << 10;

const TABLES: &str = "
    CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
    CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, \
        foreign key (artifact_id) references artifacts(id));
";

const INDEXES: &str = "
    CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id);
    CREATE INDEX indices_artifact_idx ON indices(artifact_id);
    CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1);
";

const ARTIFACT: &str = "INSERT INTO artifacts(id, group_id, artifact_id) VALUES (?1, ?2, ?3)";

const JAR: &str =
    "INSERT INTO indices(artifact_id, version, sha1, archive_type) VALUES (?1, ?2, ?3, 'jar')";

/// Why the file was not written.
#[derive(Debug, thiserror::Error)]
pub enum JavaDbError {
    /// SQLite failed.
    #[error("cannot {action} the database {}", path.display())]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Error,
    },
    /// A file could not be opened or removed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// A database in the making. Its rows are a [`Table`]; memory does not grow with their number
/// (INV-LIMIT).
#[derive(Debug)]
pub struct Writer {
    draft: PathBuf,
    finished: PathBuf,
    connection: Connection,
}

impl Writer {
    /// Begins a database in an empty folder, which the caller removes in the end.
    ///
    /// What SQLite itself cannot hold in memory while it sorts an index goes to the system's folder
    /// for temporary files.
    ///
    /// # Errors
    /// [`JavaDbError`] if the file cannot be made.
    pub fn create(dir: &Path) -> Result<Writer, JavaDbError> {
        let draft = dir.join(DRAFT);
        let failed = |source| sqlite("make", &draft, source);
        let connection = Connection::open(&draft).map_err(failed)?;
        // Nobody else sees the draft, and one that a crash cuts off is worth nothing: no journal.
        for (pragma, value) in [
            ("page_size", "4096"),
            ("encoding", "UTF-8"),
            ("auto_vacuum", "NONE"),
            ("locking_mode", "EXCLUSIVE"),
            ("journal_mode", "OFF"),
            ("synchronous", "OFF"),
            ("temp_store", "FILE"),
            ("foreign_keys", "OFF"),
        ] {
            connection.pragma_update(None, pragma, value).map_err(failed)?;
        }
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(failed)?;
        connection.execute_batch("BEGIN").map_err(failed)?;
        connection.execute_batch(TABLES).map_err(failed)?;
        Ok(Writer { finished: dir.join(FILE_NAME), draft, connection })
    }

    /// Makes the indexes and the file [`FILE_NAME`]; the draft is gone afterwards. The file stands
    /// at its beginning.
    ///
    /// # Errors
    /// [`JavaDbError`] if it cannot be written, or two rows have the same SHA-1 or name.
    pub fn finish(self) -> Result<File, JavaDbError> {
        let Writer { draft, finished, connection } = self;
        let failed = |action, source| sqlite(action, &draft, source);
        connection
            .execute_batch(INDEXES)
            .map_err(|source| failed("make the indexes of", source))?;
        connection.execute_batch("COMMIT").map_err(|source| failed("write", source))?;
        let name = finished.as_os_str().as_encoded_bytes();
        let name = std::str::from_utf8(name).map_err(|_| JavaDbError::File {
            action: "name to SQLite, which takes UTF-8 only, the file",
            path: finished.clone(),
            source: io::ErrorKind::InvalidFilename.into(),
        })?;
        connection
            .execute("VACUUM INTO ?1", params![name])
            .map_err(|source| sqlite("copy to its final form", &finished, source))?;
        connection.close().map_err(|(_, source)| failed("close", source))?;
        fs::remove_file(&draft).map_err(|source| JavaDbError::File {
            action: "remove",
            path: draft.clone(),
            source,
        })?;
        File::open(&finished).map_err(|source| JavaDbError::File {
            action: "open",
            path: finished.clone(),
            source,
        })
    }
}

impl Table for Writer {
    fn artifact(&mut self, id: i64, group: &str, artifact: &str) -> io::Result<()> {
        let inserted = self.connection.prepare_cached(ARTIFACT);
        inserted
            .and_then(|mut statement| statement.execute(params![id, group, artifact]))
            .map(drop)
            .map_err(io::Error::other)
    }

    fn jar(&mut self, artifact: i64, version: &str, sha1: &[u8; 20]) -> io::Result<()> {
        let inserted = self.connection.prepare_cached(JAR);
        inserted
            .and_then(|mut statement| statement.execute(params![artifact, version, &sha1[..]]))
            .map(drop)
            .map_err(io::Error::other)
    }
}

fn sqlite(action: &'static str, path: &Path, source: Error) -> JavaDbError {
    JavaDbError::Sqlite { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rusqlite::OpenFlags;
    use stella_model::Digest;

    use super::*;

    fn sha1(number: u32) -> [u8; 20] {
        let mut sha1 = [0; 20];
        sha1.copy_from_slice(&Digest::of(&number.to_be_bytes()).as_bytes()[..20]);
        sha1
    }

    /// The bytes of a database of so many artifacts with three jars each.
    fn make(artifacts: u32) -> (Vec<u8>, tempfile::TempDir) {
        let dir = stella_testkit::temp_dir();
        let mut writer = Writer::create(dir.path()).expect("a database");
        for number in 0..artifacts {
            let id = i64::from(number) + 1;
            writer.artifact(id, "org.example", &format!("a{number:06}")).expect("writes");
            for version in 0..3 {
                let sha1 = sha1(number * 3 + version);
                writer.jar(id, &format!("1.{version}"), &sha1).expect("writes");
            }
        }
        let mut bytes = Vec::new();
        writer.finish().expect("finishes").read_to_end(&mut bytes).expect("reads");
        (bytes, dir)
    }

    fn number(bytes: &[u8], at: usize) -> u32 {
        u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }

    #[test]
    fn the_file_is_what_trivy_asks_for_and_stands_alone() {
        let (bytes, dir) = make(2000);
        assert_eq!(&bytes[..16], b"SQLite format 3\0");
        assert_eq!(u16::from_be_bytes([bytes[16], bytes[17]]), 4096, "page size");
        assert_eq!(bytes[18..20], [1, 1], "a rollback journal, no write-ahead log");
        assert_eq!(number(&bytes, 28) as usize * 4096, bytes.len(), "no page is missing");
        assert_eq!(number(&bytes, 36), 0, "no free page");
        assert_eq!(number(&bytes, 56), 1, "UTF-8");
        let names: Vec<_> = std::fs::read_dir(dir.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, [FILE_NAME]);

        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let path = dir.path().join(FILE_NAME);
        let database = Connection::open_with_flags(path, flags).expect("opens");
        let text = |sql: &str| -> String {
            database.query_row(sql, [], |row| row.get(0)).expect("a text")
        };
        assert_eq!(text("PRAGMA integrity_check"), "ok");
        assert_eq!(text("PRAGMA journal_mode"), "delete");
        let mut schema = database.prepare("SELECT sql FROM sqlite_master").expect("a schema");
        let schema: Vec<String> = schema
            .query_map([], |row| row.get(0))
            .expect("rows")
            .collect::<Result<_, _>>()
            .expect("texts");
        assert_eq!(
            schema,
            [
                "CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT)",
                "CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type \
                 TEXT, foreign key (artifact_id) references artifacts(id))",
                "CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id)",
                "CREATE INDEX indices_artifact_idx ON indices(artifact_id)",
                "CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1)",
            ]
        );
        let row: (i64, String, String, String) = database
            .query_row(
                "SELECT i.artifact_id, i.version, typeof(i.sha1), i.archive_type FROM indices i \
                 JOIN artifacts a ON a.id = i.artifact_id WHERE i.sha1 = ?1",
                [&sha1(5)[..]],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .expect("the jar is found");
        assert_eq!(row, (2, "1.2".to_owned(), "blob".to_owned(), "jar".to_owned()));
    }

    /// If this fails after an update of SQLite, the bytes of bundles have changed: the version of
    /// the adapter `trivy:java-db` goes up, and the changelog says so.
    #[test]
    fn equal_rows_give_equal_bytes() {
        let (first, _dir) = make(300);
        let (second, _dir) = make(300);
        assert_eq!(first, second);
        assert_eq!(number(&first, 96), 3_051_003, "the version of SQLite");
        let (empty, _dir) = make(0);
        assert_eq!(empty.len(), 6 * 4096);
    }

    #[test]
    fn a_second_row_with_one_sha1_is_refused() {
        let dir = stella_testkit::temp_dir();
        let mut writer = Writer::create(dir.path()).expect("a database");
        writer.artifact(1, "g", "a").expect("writes");
        writer.jar(1, "1", &[7; 20]).expect("writes");
        writer.jar(1, "2", &[7; 20]).expect("writes");
        let error = writer.finish().expect_err("two rows are one jar");
        assert!(error.to_string().contains("indexes"), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = stella_testkit::temp_dir();
        assert!(Writer::create(&dir.path().join("none")).is_err());
    }
}
