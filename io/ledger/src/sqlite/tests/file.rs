//! What happens to the file: crashes, other programs, damage, space.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use stella_model::Limits;
use stella_records::{Recognised, recognise};

use super::*;
use crate::contract::{Rec, another_tenant_sees_nothing, replace, state};
use crate::prepare;

/// Nothing points nowhere, nothing lies around, and SQLite is content.
pub(super) fn assert_sound(ledger: &SqliteLedger) {
    let db = ledger.connect().expect("a connection");
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
    for sql in [
        "SELECT count(*) FROM version WHERE (gone = 0) <> (content IS NOT NULL)",
        // NULL is "not in" a table without rows.
        "SELECT count(*) FROM version WHERE content IS NOT NULL
           AND content NOT IN (SELECT number FROM content)",
        "SELECT count(*) FROM content WHERE number NOT IN
           (SELECT content FROM version WHERE content IS NOT NULL)",
        "SELECT count(*) FROM facet WHERE content NOT IN (SELECT number FROM content)",
        "SELECT (SELECT count(*) FROM content) - (SELECT count(*) FROM facet)",
        "SELECT count(*) FROM content WHERE original IS NOT NULL
           AND original NOT IN (SELECT number FROM original)",
        "SELECT count(*) FROM original AS o LEFT JOIN
           (SELECT original, count(*) AS uses FROM content GROUP BY original) AS c
           ON c.original = o.number WHERE o.uses <> coalesce(c.uses, 0)",
        // At most one live row for an identity, and it is the newest.
        "SELECT count(*) FROM (SELECT 1 FROM version WHERE superseded_by IS NULL
           GROUP BY record_set, id HAVING count(*) > 1)",
        "SELECT count(*) FROM version WHERE superseded_by <= seq",
        "SELECT count(*) FROM version, ledger WHERE seq > head OR superseded_by > head",
        // What a set is said to hold.
        "SELECT count(*) FROM record_set WHERE live <>
           (SELECT count(*) FROM version WHERE record_set = number AND superseded_by IS NULL
            AND gone = 0)",
        "SELECT count(*) FROM record_set JOIN version ON record_set = number
           WHERE seq > changed OR superseded_by > changed",
        "SELECT count(*) FROM record_set WHERE length(state) <> 16",
    ] {
        assert_eq!(count(sql), 0, "{sql}");
    }
    let check: String =
        db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(check, "ok");
}

fn records(count: usize, day: u8) -> Vec<Item> {
    (0..count).map(|n| Item::Record(Rec::new(&format!("id-{n:05}"), day, day))).collect()
}

#[test]
fn the_received_bytes_are_kept() {
    let subject = fresh();
    let record = Rec::new("a", 1, 3);
    subject.ingest(&spec("f"), IngestMode::Merge, &[Item::Record(record.clone())]).expect("ingest");
    let set: SetKey = "advisory/f".parse().expect("a set");
    let id = RecordId::new("a").expect("an id");
    let received = subject.ledger.received(Seq(1), &set, &id).expect("read");
    assert_eq!(received, Some(record.received()));
    let other = RecordId::new("b").expect("an id");
    assert_eq!(subject.ledger.received(Seq(1), &set, &other).expect("read"), None);
    assert_sound(&subject.ledger);
}

#[test]
fn byte_order_marks_that_json_loses_are_counted() {
    const BOM: &str = "\u{feff}";
    let osv = r#"{"id":"A","modified":"2024-01-01T00:00:00Z","affected":[]}"#;
    let report =
        r#"{"SchemaVersion":2,"ArtifactName":"a","ArtifactType":"filesystem","Results":[]}"#;
    let tags = "SPDXVersion: SPDX-2.3\nDocumentNamespace: n\n";
    let prepared = |text: &str| match recognise("x", text.as_bytes(), &Limits::DEFAULT) {
        Ok(Recognised::Records(drafts)) => prepare("x".into(), text.as_bytes(), drafts),
        other => panic!("{text}: {other:?}"),
    };
    let subject = fresh();
    let mut ingest =
        subject.ledger.begin_ingest(&spec("f"), IngestMode::Merge, now()).expect("an ingest");
    // The text formats keep theirs.
    for (text, marks) in [(osv, 1), (report, 2), (tags, 2)] {
        for text in [text.to_owned(), format!("{BOM}{text}")] {
            ingest.put(&prepared(&text)).expect("a document");
        }
        assert_eq!(ingest.summary().byte_order_marks, marks, "{text}");
    }
    let summary = serde_json::to_value(Box::new(ingest).commit().expect("a commit")).expect("JSON");
    assert_eq!(summary["byteOrderMarks"], 2);
}

#[test]
fn an_ingest_that_is_dropped_or_previewed_leaves_no_trace() {
    let subject = fresh();
    subject.ingest(&spec("f"), IngestMode::Merge, &records(10, 1)).expect("ingest");
    let before = state(&subject.ledger, Seq(1));
    let mut dropped = subject.ledger.ingest(&spec("g"), replace(), now()).expect("begin");
    fill(&mut *dropped, &records(100, 2)).expect("fill");
    drop(dropped);
    let mut previewed = subject.ledger.ingest(&spec("f"), replace(), now()).expect("begin");
    fill(&mut *previewed, &records(5, 2)).expect("fill");
    let summary = previewed.preview().expect("preview");
    assert_eq!((summary.updated, summary.vanished, summary.seq_to), (5, 5, Seq(2)));
    assert_eq!(subject.ledger.head().expect("head"), Seq(1));
    assert_eq!(state(&subject.ledger, Seq(1)), before);
    assert_eq!(subject.ledger.feeds().expect("feeds").len(), 1);
    assert_sound(&subject.ledger);
}

#[test]
fn a_second_writer_waits_and_is_then_told() {
    let subject = fresh();
    let first = subject.ledger.ingest(&spec("f"), IngestMode::Merge, now()).expect("begin");
    let second = subject.ledger.ingest(&spec("g"), IngestMode::Merge, now());
    assert!(matches!(second.err(), Some(LedgerError::Busy { .. })));
    let blocked = subject.ledger.remove_feed(&FeedName::new("f").expect("a feed"));
    assert!(matches!(blocked, Err(LedgerError::Busy { .. })));
    assert_eq!(subject.ledger.head().expect("readers do not wait"), Seq(0));
    first.commit().expect("commit");
    subject.ledger.ingest(&spec("g"), IngestMode::Merge, now()).expect("free again");
}

#[test]
fn a_crash_at_any_write_leaves_what_was_committed() {
    let subject = fresh();
    subject.ingest(&spec("f"), IngestMode::Merge, &records(300, 1)).expect("ingest");
    let committed = state(&subject.ledger, Seq(1));
    let mut ingest = subject.ledger.begin_ingest(&spec("f"), replace(), now()).expect("begin");
    // A cache of nothing makes every page go to the log at once, as in an ingest of gigabytes.
    ingest.shrink_cache();
    for (step, chunk) in records(250, 2).chunks(25).enumerate() {
        fill(&mut ingest, chunk).expect("fill");
        let copy = stella_testkit::temp_dir();
        for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
            let from = subject.dir.path().join(name);
            std::fs::copy(from, copy.path().join(name)).expect("a copy");
        }
        if step % 3 == 1 {
            // The machine went down while the log was written.
            let log = copy.path().join("ledger.sqlite-wal");
            let length = std::fs::metadata(&log).expect("the log").len();
            let file = std::fs::OpenOptions::new().write(true).open(log).expect("the log");
            file.set_len(length - length.min(5000)).expect("cut off");
        }
        let crashed = SqliteLedger::open_existing(copy.path(), TenantId::local()).expect("opens");
        assert_eq!(crashed.head().expect("head"), Seq(1));
        assert_eq!(state(&crashed, Seq(1)), committed);
        assert_sound(&crashed);
    }
    Box::new(ingest).commit().expect("commit");
    assert_eq!(state(&subject.ledger, Seq(2)).len(), 250);
    assert_eq!(state(&subject.ledger, Seq(1)), committed);
    assert_sound(&subject.ledger);
}

/// Environment variable that makes [`child`] write into the folder it names.
const CHILD: &str = "STELLA_LEDGER_TEST_CHILD";

/// Not a test of its own: the process that [`kill_during_ingest_loses_nothing_committed`] kills.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let ledger = SqliteLedger::open(Path::new(&dir), TenantId::local()).expect("open");
    for round in 1.. {
        let mut ingest = ledger.begin_ingest(&spec("f"), replace(), now()).expect("begin");
        ingest.shrink_cache();
        fill(&mut ingest, &records(400, u8::try_from(round % 25 + 1).expect("small")))
            .expect("fill");
        let summary = Box::new(ingest).commit().expect("commit");
        let mut out = std::io::stdout();
        writeln!(out, "\ncommitted {}", summary.seq_to).expect("told");
        out.flush().expect("told");
    }
}

#[cfg(unix)]
#[test]
fn kill_during_ingest_loses_nothing_committed() {
    let dir = stella_testkit::temp_dir();
    let mut pause = 7;
    for _ in 0..stella_testkit::rounds(8, 100) {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "sqlite::tests::file::child", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        std::thread::sleep(Duration::from_millis(60 + pause));
        pause = pause * 31 % 173;
        child.kill().expect("killed");
        let output = child.wait_with_output().expect("its output");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = text.lines().filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
        let told: u64 = told.max().unwrap_or(0);
        let ledger = SqliteLedger::open(dir.path(), TenantId::local()).expect("opens");
        let head = ledger.head().expect("head");
        assert!(head.0 >= told, "{told} was committed, {head} is there");
        for seq in head.0.saturating_sub(1)..=head.0 {
            let state = state(&ledger, Seq(seq));
            assert!(matches!(state.len(), 0 | 400), "half an ingest: {}", state.len());
        }
        assert_sound(&ledger);
    }
}

#[test]
fn the_log_does_not_stay() {
    let subject = fresh();
    for day in 1..5 {
        subject.ingest(&spec("f"), replace(), &records(2000, day)).expect("ingest");
        let log = subject.dir.path().join("ledger.sqlite-wal");
        assert_eq!(std::fs::metadata(log).map_or(0, |metadata| metadata.len()), 0);
    }
}

#[test]
fn compaction_gives_space_back_and_spares_pinned_snapshots() {
    let subject = fresh();
    for day in 1..=10 {
        subject.ingest(&spec("f"), replace(), &records(500, day)).expect("ingest");
    }
    let third = state(&subject.ledger, Seq(3));
    subject.ledger.pin("run-3", Seq(3)).expect("pin");
    let compacted = subject.ledger.compact().expect("compact");
    assert_eq!(compacted.versions, 8 * 500);
    assert!(compacted.bytes_after * 2 < compacted.bytes_before, "{compacted:?}");
    assert_eq!(state(&subject.ledger, Seq(3)), third);
    assert_eq!(state(&subject.ledger, Seq(10)).len(), 500);
    for at in [2, 4, 9] {
        let refused = subject.ledger.sets(Seq(at));
        assert!(matches!(refused, Err(LedgerError::OutOfReach { from: 10, to: 10, .. })));
    }
    assert!(matches!(subject.ledger.pin("late", Seq(4)), Err(LedgerError::OutOfReach { .. })));
    assert_sound(&subject.ledger);
    subject.ledger.unpin("run-3").expect("unpin");
    assert_eq!(subject.ledger.compact().expect("compact").versions, 500);
    assert_eq!(subject.ledger.compact().expect("compact").versions, 0);
    assert_sound(&subject.ledger);
}

#[test]
fn files_of_others_are_told_apart() {
    let missing = stella_testkit::temp_dir();
    let open = |dir: &Path| SqliteLedger::open(dir, TenantId::local()).err();
    let existing = SqliteLedger::open_existing(missing.path(), TenantId::local()).err();
    assert!(matches!(existing, Some(LedgerError::Missing { .. })));

    let text = stella_testkit::temp_dir();
    std::fs::write(text.path().join(FILE_NAME), "no database at all, but long enough\n".repeat(40))
        .expect("a file");
    assert!(matches!(open(text.path()), Some(LedgerError::NotALedger { .. })));

    let foreign = stella_testkit::temp_dir();
    let db = Connection::open(foreign.path().join(FILE_NAME)).expect("a database");
    db.execute_batch("CREATE TABLE theirs(a); INSERT INTO theirs VALUES(1)").expect("a table");
    drop(db);
    assert!(matches!(open(foreign.path()), Some(LedgerError::NotALedger { .. })));

    let newer = fresh();
    let db = newer.ledger.connect().expect("a connection");
    db.pragma_update(None, "user_version", 99).expect("a pragma");
    let error = open(newer.dir.path());
    assert!(matches!(error, Some(LedgerError::NewerSchema { found: 99, .. })), "{error:?}");
    assert_eq!(error.expect("an error").code(), stella_model::ErrorCode::NeedsNewer);
}

#[test]
fn a_ledger_of_the_first_schema_becomes_one_of_the_newest() {
    let subject = fresh();
    let histories = [records(20, 1), records(12, 2), records(12, 2)];
    for input in &histories {
        subject.ingest(&spec("f"), replace(), input).expect("ingest");
    }
    subject.ingest(&spec("g"), IngestMode::Merge, &records(3, 1)).expect("ingest");
    let (head, before) = (subject.ledger.head().expect("head"), subject.ledger.sets(Seq(3)));
    let contents = state(&subject.ledger, Seq(1));
    let db = subject.ledger.connect().expect("a connection");
    db.execute_batch(
        "ALTER TABLE content ADD COLUMN format TEXT NOT NULL DEFAULT '';
         UPDATE content AS c SET format =
           (SELECT v.format FROM version AS v WHERE v.content = c.number);
         ALTER TABLE version DROP COLUMN format",
    )
    .expect("goes back");
    for column in ["live", "changed", "state"] {
        db.execute_batch(&format!("ALTER TABLE record_set DROP COLUMN {column}")).expect("drops");
    }
    db.execute_batch("DROP TABLE origin; DROP TABLE subscription").expect("drops");
    db.pragma_update(None, "user_version", 1).expect("a pragma");
    drop(db);

    let ledger = SqliteLedger::open(subject.dir.path(), TenantId::local()).expect("migrates");
    assert_sound(&ledger);
    assert_eq!(ledger.head().expect("head"), head);
    let counts = |sets: Vec<LiveSet>| -> Vec<u64> { sets.iter().map(|s| s.records).collect() };
    let after = ledger.sets(Seq(3)).expect("sets");
    assert!(after.iter().all(|set| set.state.is_some()));
    assert_eq!(counts(after), counts(before.expect("sets")));
    assert_eq!(counts(ledger.sets(Seq(1)).expect("sets")), [20]);
    assert_eq!(state(&ledger, Seq(1)), contents);
}

#[test]
fn a_ledger_of_another_tenant_is_empty() {
    let subject = fresh();
    let tenant = TenantId::new("other").expect("a tenant");
    let other = SqliteLedger::open_existing(subject.dir.path(), tenant).expect("opens");
    another_tenant_sees_nothing(Subject(&subject.ledger), &other);
}

#[test]
fn damage_is_an_error_and_never_another_content() {
    let subject = fresh();
    // Some contents are stored plain, others compressed.
    let records: Vec<Rec> =
        (0..200).map(|n| Rec::new(&format!("id-{n:05}"), 1, u8::from(n % 2 == 0))).collect();
    let contents: BTreeSet<Vec<u8>> = records.iter().map(Rec::content).collect();
    let input: Vec<Item> = records.into_iter().map(Item::Record).collect();
    subject.ingest(&spec("f"), IngestMode::Merge, &input).expect("ingest");
    let Fresh { ledger, dir } = subject;
    drop(ledger);
    let path = dir.path().join(FILE_NAME);
    let whole = std::fs::read(&path).expect("the file");
    let mut noticed = 0;
    for at in (0..whole.len()).step_by(whole.len() / 300) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).expect("the file");
        let Ok(ledger) = SqliteLedger::open_existing(dir.path(), TenantId::local()) else {
            noticed += 1;
            continue;
        };
        let set: SetKey = "advisory/f".parse().expect("a set");
        let read = ledger.read(Seq(1), &set, &crate::IdRange::ALL, &mut |record| {
            assert!(contents.contains(&record.content), "byte {at}");
            std::ops::ControlFlow::Continue(())
        });
        noticed += usize::from(read.is_err());
    }
    assert!(noticed > 20, "{noticed} of 300 flips were noticed");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = stella_testkit::temp_dir();
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).expect("a folder");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).expect("a mode");
    let error = SqliteLedger::open(&closed.join("store"), TenantId::local()).err();
    // The superuser may write anywhere.
    if let Some(error) = error {
        assert!(matches!(error, LedgerError::ReadOnly { .. }), "{error:?}");
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("a file");
    assert!(SqliteLedger::open(&file, TenantId::local()).is_err());
}

#[test]
fn a_full_disk_changes_nothing_and_says_so() {
    let subject = fresh();
    subject.ingest(&spec("f"), IngestMode::Merge, &records(10, 1)).expect("ingest");
    let before = state(&subject.ledger, Seq(1));
    let mut ingest =
        subject.ledger.begin_ingest(&spec("f"), IngestMode::Merge, now()).expect("begin");
    ingest.limit_pages(40);
    let result =
        fill(&mut ingest, &records(20_000, 5)).and_then(|()| Box::new(ingest).commit().map(|_| ()));
    assert!(matches!(result, Err(LedgerError::Full { .. })), "{result:?}");
    assert_eq!(subject.ledger.head().expect("head"), Seq(1));
    assert_eq!(state(&subject.ledger, Seq(1)), before);
}

#[test]
fn a_new_store_may_be_opened_by_many_at_once() {
    let dir = stella_testkit::temp_dir();
    let store = dir.path().join("a/new/store");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let ledger = SqliteLedger::open(&store, TenantId::local()).expect("opens");
                assert_eq!(ledger.head().expect("head"), Seq(0));
                assert_eq!(ledger.identity().expect("identity").0.len(), 32);
            });
        }
    });
}

#[test]
fn facets_of_another_version_are_derived_anew() {
    let subject = fresh();
    subject.ingest(&spec("f"), IngestMode::Merge, &records(20, 1)).expect("ingest");
    let before = state(&subject.ledger, Seq(1));
    let db = subject.ledger.connect().expect("a connection");
    for stored in ["'{}'", "'another form'"] {
        let sql = format!("UPDATE facet SET facets_version = 0, facets = {stored}");
        db.execute(&sql, []).expect("facets of an older version");
        // Reading a state checks the facets of every record.
        assert_eq!(state(&subject.ledger, Seq(1)), before);
    }
    db.execute("DELETE FROM facet WHERE content % 2 = 0", []).expect("no facets");
    assert_eq!(state(&subject.ledger, Seq(1)), before);
}

#[test]
fn memory_does_not_grow_with_the_records() {
    let subject = fresh();
    let mut ingest = subject.ledger.ingest(&spec("f"), replace(), now()).expect("begin");
    let before = peak_memory();
    for n in 0..60_000 {
        let record = Rec::new(&format!("{:08x}", n * 0x9e37_79b1_u64 % (1 << 32)), 1, 2);
        ingest.put(&record.document("one-long-path/of-an-archive.tar!document.json")).expect("put");
    }
    assert_eq!(ingest.commit().expect("commit").added, 60_000);
    let mut count = 0;
    let set: SetKey = "advisory/f".parse().expect("a set");
    let read = subject.ledger.read(Seq(1), &set, &crate::IdRange::ALL, &mut |_| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    });
    read.expect("read");
    assert_eq!(count, 60_000);
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before < 48 << 20, "{} MiB more", (after - before) >> 20);
    }
}

/// The most memory that this process ever held, where each test is a process of its own.
fn peak_memory() -> Option<u64> {
    std::env::var_os("NEXTEST")?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(unix)]
#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    let subject = fresh();
    subject.ingest(&spec("f"), IngestMode::Merge, &records(3, 1)).expect("ingest");
    let dir = subject.ledger.path().parent().expect("a folder").to_owned();
    let written = state(&subject.ledger, Seq(1));
    drop(subject.ledger);
    // The superuser may write anywhere, but nobody can make this file, which writing needs.
    std::os::unix::fs::symlink("nowhere/at/all", dir.join("ledger.sqlite-shm")).expect("a link");
    let before = std::fs::read(dir.join(FILE_NAME)).expect("reads");
    assert!(matches!(
        SqliteLedger::open(&dir, TenantId::local()).err(),
        Some(LedgerError::ReadOnly { .. })
    ));
    let ledger = SqliteLedger::open_existing(&dir, TenantId::local()).expect("opens for reading");
    assert_eq!(state(&ledger, Seq(1)), written);
    let name: FeedName = "f".parse().expect("a feed");
    assert!(matches!(ledger.remove_feed(&name), Err(LedgerError::ReadOnly { .. })));
    assert_eq!(std::fs::read(dir.join(FILE_NAME)).expect("reads"), before);
    // A log that nobody can read holds what the file does not: better nothing than half of it.
    std::fs::write(dir.join("ledger.sqlite-wal"), [0; 64]).expect("writes");
    assert!(matches!(
        SqliteLedger::open_existing(&dir, TenantId::local()).err(),
        Some(LedgerError::ReadOnly { .. })
    ));
}

#[test]
fn what_became_of_records_between_two_snapshots_is_counted() {
    let subject = fresh();
    let records = |list: &[(&str, u8, u8)]| -> Vec<Item> {
        list.iter().map(|(id, day, content)| Item::Record(Rec::new(id, *day, *content))).collect()
    };
    let take = |list: &[(&str, u8, u8)]| {
        let mode = IngestMode::Replace { max_drop_percent: 100.0, accept: None };
        subject.ingest(&spec("f"), mode, &records(list)).expect("ingest");
        subject.ledger.head().expect("a head")
    };
    let one = take(&[("a", 1, 1), ("b", 1, 1), ("c", 1, 1)]);
    let two = take(&[("a", 1, 1), ("b", 2, 2), ("d", 1, 1)]);
    let three = take(&[("a", 1, 1), ("b", 3, 1), ("c", 1, 1), ("e", 1, 1)]);
    let set: SetKey = "advisory/f".parse().expect("a set");
    let changes = |from, to| subject.ledger.changes(&set, from, to).expect("counts");
    let counts = |added, changed, removed| Changes { added, changed, removed };
    assert_eq!(changes(one, one), counts(0, 0, 0));
    assert_eq!(changes(one, two), counts(1, 1, 1));
    assert_eq!(changes(two, three), counts(2, 1, 1));
    let other: SetKey = "vex/f".parse().expect("a set");
    assert_eq!(subject.ledger.changes(&other, one, two).expect("counts"), counts(0, 0, 0));
    let error = subject.ledger.changes(&set, one, Seq(99)).expect_err("is not there yet");
    assert!(matches!(error, LedgerError::OutOfReach { .. }));
}
