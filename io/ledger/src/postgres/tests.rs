//! The contract over a real server, and what only a server can suffer.

use std::cell::Cell;

use stella_model::RecordId;
use stella_peers::{Postgres, TlsPair};
use stella_records::{Draft, Facets, Revision, RevisionOrder};

use super::*;
use crate::contract::{
    CASES, Rec, Subject, another_tenant_sees_nothing, feed, items, library, model, now, replace,
    state,
};
use crate::{Feeds as _, Library as _, Snapshots as _, Upkeep as _, prepare};

fn open(url: &str) -> PostgresLedger {
    open_as(url, "local")
}

fn open_as(url: &str, tenant: &str) -> PostgresLedger {
    let tenant = TenantId::new(tenant).expect("a tenant");
    let ledger = PostgresLedger::open(url, tenant).expect("a new ledger");
    ledger.with_busy_timeout(Duration::from_millis(50))
}

/// One database as the library, and as two tenants.
fn shared(url: &str) -> [PostgresLedger; 3] {
    ["library", "acme", "other"].map(|tenant| open_as(url, tenant))
}

fn tenants([library, acme, other]: &[PostgresLedger; 3]) -> library::Tenants<'_> {
    let (library, acme, other) = (Subject(library), Subject(acme), Subject(other));
    library::Tenants { library, acme, other }
}

fn records(count: usize, body: u8) -> Vec<Rec> {
    (0..count).map(|n| Rec::new(&format!("id-{n:05}"), 1, body)).collect()
}

/// Nothing is stored that nothing refers to, and what sets are said to hold is what they hold.
fn assert_sound(ledger: &PostgresLedger) {
    let checks = [
        "SELECT count(*) FROM ledger.content AS c WHERE NOT EXISTS
           (SELECT 1 FROM ledger.version AS v WHERE v.content = c.number)",
        "SELECT count(*) FROM ledger.version AS v WHERE v.content IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM ledger.content AS c WHERE v.content = c.number)",
        "SELECT count(*) FROM ledger.facet AS f WHERE NOT EXISTS
           (SELECT 1 FROM ledger.content AS c WHERE f.content = c.number)",
        "SELECT count(*) FROM ledger.original AS o WHERE o.uses <>
           (SELECT count(*) FROM ledger.content AS c WHERE c.original = o.number)",
        "SELECT count(*) FROM ledger.content AS c WHERE c.original IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM ledger.original AS o WHERE c.original = o.number)",
        "SELECT count(*) FROM ledger.record_set AS r WHERE r.live <>
           (SELECT count(*) FROM ledger.version AS v
            WHERE v.record_set = r.number AND v.superseded_by IS NULL AND v.gone = 0)",
    ];
    for check in checks {
        let wrong: i64 = ledger
            .reading("check", |session| Ok(session.query_one(check, &[])?.get(0)))
            .expect("a count");
        assert_eq!(wrong, 0, "{check}");
    }
}

#[test]
fn every_rule_of_the_contract_holds() {
    let Some(server) = Postgres::start() else { return };
    for (number, (name, rule)) in CASES.iter().enumerate() {
        println!("{name}");
        let ledger = open(&server.database(&format!("rule{number}")));
        rule(Subject(&ledger));
        assert_sound(&ledger);
    }
}

#[test]
fn random_histories_are_exact() {
    let Some(server) = Postgres::start() else { return };
    let histories = u32::try_from(stella_testkit::rounds(12, 300)).unwrap_or(12);
    let number = Cell::new(0);
    let fresh = || {
        number.set(number.get() + 1);
        open(&server.database(&format!("history{}", number.get())))
    };
    model::every_snapshot_of_a_random_history_is_exact(
        histories,
        fresh,
        |ledger| ledger,
        assert_sound,
    );
}

#[test]
fn every_rule_of_subscriptions_holds() {
    let Some(server) = Postgres::start() else { return };
    for (number, (name, rule)) in library::CASES.iter().enumerate() {
        println!("{name}");
        let ledgers = shared(&server.database(&format!("rule{number}")));
        rule(tenants(&ledgers));
        assert_sound(&ledgers[0]);
    }
}

#[test]
fn random_histories_of_subscribers_are_exact() {
    let Some(server) = Postgres::start() else { return };
    let histories = u32::try_from(stella_testkit::rounds(12, 300)).unwrap_or(12);
    let number = Cell::new(0);
    let fresh = || {
        number.set(number.get() + 1);
        shared(&server.database(&format!("history{}", number.get())))
    };
    library::every_snapshot_of_subscribers_is_exact(histories, fresh, tenants);
}

#[test]
fn a_name_is_taken_by_an_ingest_or_by_a_subscription_and_never_by_both() {
    let Some(server) = Postgres::start() else { return };
    let [library, acme, _] = shared(&server.database("names"));
    let input = items(&records(1, 1));
    Subject(&library).ingest(&feed("f"), IngestMode::Merge, &input).expect("ingest");
    let name = feed("f").name;
    // The first feed of this name of the tenant's own: nobody else sees it before its end.
    let begun = acme.ingest(&feed("f"), IngestMode::Merge, now()).expect("begins");
    assert!(matches!(acme.subscribe(&name), Err(LedgerError::Busy { .. })));
    drop(begun);
    assert!(acme.subscribe(&name).expect("subscribes"));
    assert!(Subject(&acme).ingest(&feed("f"), IngestMode::Merge, &input).is_err());
}

#[test]
fn several_processes_may_start_at_once() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database("fresh");
    let identities = std::thread::scope(|scope| {
        let opening: Vec<_> =
            (0..6).map(|_| scope.spawn(|| open(&url).identity().expect("an identity"))).collect();
        opening.into_iter().map(|one| one.join().expect("opens")).collect::<Vec<_>>()
    });
    assert!(identities.iter().all(|one| *one == identities[0]), "{identities:?}");
    let ledger = open(&url);
    let set = |version: i64| {
        let sql = "UPDATE ledger.schema SET version = $1";
        ledger.reading("age", |session| session.execute(sql, &[&version])).expect("a change");
    };
    set(99);
    let error = PostgresLedger::open(&url, TenantId::local()).err();
    assert!(matches!(error, Some(LedgerError::NewerSchema { found: 99, .. })), "{error:?}");
}

#[test]
fn one_feed_is_written_by_one_and_several_by_several() {
    let Some(server) = Postgres::start() else { return };
    let ledger = open(&server.database("writers"));
    let subject = Subject(&ledger);
    let before = records(3, 1);
    subject.ingest(&feed("f"), IngestMode::Merge, &items(&before)).expect("ingest");
    let mut first = ledger.ingest(&feed("f"), IngestMode::Merge, now()).expect("begins");
    let second = ledger.ingest(&feed("f"), IngestMode::Merge, now());
    assert!(matches!(second.err(), Some(LedgerError::Busy { .. })));
    let (set, id) =
        ("advisory/f".parse().expect("a set"), RecordId::new("id-00000").expect("an id"));
    assert!(matches!(subject.block(&set, &id), Err(LedgerError::Busy { .. })));
    // Another feed is taken in meanwhile, and gets the sequence that the first would have had.
    subject.ingest(&feed("g"), IngestMode::Merge, &items(&before)).expect("ingest");
    let newer: Vec<Rec> = (0..3).map(|n| Rec::new(&format!("id-{n:05}"), 2, 7)).collect();
    for (number, record) in newer.iter().enumerate() {
        first.put(&record.document(&format!("in:{number}"))).expect("put");
    }
    let summary = first.commit().expect("commits");
    assert_eq!((summary.updated, summary.seq_from, summary.seq_to), (3, Seq(2), Seq(3)));
    let held = state(&ledger, Seq(3));
    assert!(newer.iter().all(|record| held.values().any(|digest| *digest == record.digest())));
    assert_eq!(state(&ledger, Seq(2)).len(), 6);
    assert_sound(&ledger);
}

#[test]
fn nothing_of_an_ingest_that_is_dropped_or_whose_server_dies_is_there() {
    let Some(mut server) = Postgres::start() else { return };
    let ledger = open(&server.database("crash"));
    let subject = Subject(&ledger);
    subject.ingest(&feed("f"), IngestMode::Merge, &items(&records(50, 1))).expect("ingest");
    let held = state(&ledger, Seq(1));
    for crash in [false, true] {
        let mut ingest = ledger.ingest(&feed("f"), replace(), now()).expect("begins");
        // More than a batch.
        for record in records(3000, 3) {
            ingest.put(&record.document("in")).expect("put");
        }
        if crash {
            server.crash();
            assert!(ingest.commit().is_err());
        } else {
            drop(ingest);
        }
        // A reader may meet a connection that the crash has closed; the next one is new.
        let head = ledger.head().or_else(|_| ledger.head()).expect("head");
        assert_eq!(head, Seq(1));
        assert_eq!(state(&ledger, Seq(1)), held);
        assert_sound(&ledger);
    }
    let summary = subject.ingest(&feed("f"), replace(), &items(&records(3000, 3)));
    assert_eq!(summary.expect("ingest").added, 2950);
}

#[test]
fn a_tenant_sees_nothing_of_another() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database("tenants");
    let (ledger, other) = (open(&url), open_as(&url, "other"));
    another_tenant_sees_nothing(Subject(&ledger), &other);
}

#[test]
fn any_character_in_a_document_is_kept() {
    let Some(server) = Postgres::start() else { return };
    let ledger = open(&server.database("characters"));
    let odd = "a\0b\u{1f}\u{10ffff}";
    let content = br#"{"x":"\u0000"}"#.to_vec();
    let draft = Draft {
        kind: stella_model::Kind::new("advisory").expect("a kind"),
        id: RecordId::new(odd).expect("an id"),
        revision: Revision::new(RevisionOrder::TimeFirst, Some("2026-01-01T00:00:00Z"), Some(odd)),
        format: stella_records::Format::Osv,
        content_digest: stella_model::Digest::of(&content),
        content,
        verbatim: true,
        facets: Facets { ids: vec![odd.to_owned()], ..Facets::default() },
    };
    let mut ingest = ledger.ingest(&feed("f"), IngestMode::Merge, now()).expect("begins");
    ingest.put(&prepare(odd.to_owned(), b"", vec![draft])).expect("put");
    let bad = crate::Quarantined {
        path: odd.repeat(2000),
        reason: "invalid-json".to_owned(),
        offset: None,
        detail: odd.repeat(2000),
    };
    ingest.quarantine(&bad).expect("a rejection");
    ingest.commit().expect("commits");
    assert_eq!(ledger.quarantine_entry(1).expect("an entry").document, bad);
    let found = state(&ledger, Seq(1));
    assert_eq!(found.keys().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), [odd]);
    ledger.pin("x", Seq(1)).expect("pins");
    ledger.unpin("x").expect("unpins");
}

#[test]
fn a_server_is_reached_as_its_address_says() {
    let Some(pair) = TlsPair::start() else { return };
    let TlsPair { server, plain, own, foreign, .. } = &pair;
    let open = |server: &Postgres, host: &str, said: &str| {
        PostgresLedger::open(&TlsPair::url(server, host, said), TenantId::local())
    };
    for (server, host, said, is_tls) in [
        (server, "127.0.0.1", String::new(), true),
        (server, "127.0.0.1", "sslmode=disable".to_owned(), false),
        (server, "127.0.0.1", "sslmode=prefer".to_owned(), true),
        (server, "127.0.0.1", "sslmode=require".to_owned(), true),
        (server, "127.0.0.1", format!("sslmode=require&{own}"), true),
        (server, "localhost", format!("sslmode=verify-ca&{own}"), true),
        (server, "127.0.0.1", format!("{own}&sslmode=verify-full"), true),
        (plain, "127.0.0.1", "sslmode=prefer".to_owned(), false),
    ] {
        let ledger = open(server, host, &said).unwrap_or_else(|error| panic!("{said}: {error}"));
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let asked = ledger.reading("ask", |session| Ok(session.query_one(sql, &[])?.get(0)));
        assert_eq!(asked.ok(), Some(is_tls), "{said}");
    }
    for (server, host, said, why) in [
        (server, "127.0.0.1", format!("sslmode=require&{foreign}"), "invalid peer certificate"),
        (server, "127.0.0.1", format!("sslmode=verify-ca&{foreign}"), "invalid peer certificate"),
        (server, "127.0.0.1", format!("sslmode=verify-full&{foreign}"), "invalid peer certificate"),
        (server, "127.0.0.1", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        (server, "localhost", format!("sslmode=verify-full&{own}"), "not valid for name"),
        (plain, "127.0.0.1", "sslmode=require".to_owned(), "does not support TLS"),
        (plain, "127.0.0.1", format!("sslmode=verify-full&{own}"), "does not support TLS"),
    ] {
        let refused = open(server, host, &said).err().expect("is refused");
        assert!(matches!(refused, LedgerError::Tls { .. }), "{said}: {refused:?}");
        assert!(refused.to_string().contains(why) && refused.hint().is_some(), "{said}: {refused}");
    }
}
