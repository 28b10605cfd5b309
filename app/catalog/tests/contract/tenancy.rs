//! Tenants do not reach each other's rows (INV-TENANT).

use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};
use stella_catalog::{NewToken, Quota, RunFilter};
use stella_model::Digest;
use stella_run::{Driver, Millis, RunKey};

use crate::place::{Place, entry, mutation, new_run, on_both, on_postgres, tenant};

/// Every table.
const TABLES: [&str; 11] = [
    "tenants",
    "export_profiles",
    "export_runs",
    "export_inputs",
    "export_distributions",
    "export_events",
    "audit_log",
    "api_tokens",
    "quotas",
    "usage_days",
    "idempotency_keys",
];

/// Gives acme a row in every table.
fn fill(place: &Place) {
    let (catalog, acme, now) = (&place.catalog, tenant("acme"), Millis(5));
    place.wait(async {
        let new = new_run("json:raw");
        let request = Digest::of(b"a request");
        let key = stella_catalog::IdempotencyKey { key: "k".to_owned(), request };
        let create = entry("run.create");
        let mutation = stella_catalog::Mutation { entry: &create, key: Some(&key), now };
        let started = catalog.start_run(&acme, &new, &mutation).await;
        started.expect("is accepted");
        let entry = entry("test");
        let mutation = stella_catalog::Mutation { key: None, entry: &entry, now };
        catalog.put_profile(&acme, "nightly", Some("one"), 0, &mutation).await.expect("writes");
        let token = NewToken {
            name: "ci".to_owned(),
            scopes: Vec::new(),
            expires: Millis(i64::MAX),
            id: [1; 8],
            secret: [2; 32],
        };
        catalog.add_token(&acme, &token, &mutation).await.expect("writes");
        catalog.set_quota(&acme, &Quota::default(), &mutation).await.expect("writes");
    });
    crate::runs::work_all(&place.store());
    // One is left to be done.
    let (acme, new, entry) = (tenant("acme"), new_run("json:raw"), entry("run.create"));
    let mutation = mutation(&entry, 5);
    let started = place.catalog.start_run(&acme, &new, &mutation);
    place.wait(started).expect("is accepted");
}

#[test]
fn another_tenant_sees_nothing() {
    on_both(|place| {
        fill(place);
        let (catalog, other, now) = (&place.catalog, tenant("other"), Millis(6));
        place.wait(async {
            let run = RunKey { tenant: other.clone(), number: 1 };
            assert_eq!(catalog.run(&run).await.expect("reads"), None);
            assert_eq!(catalog.load_state(&run).await.expect("reads"), None);
            assert!(
                catalog
                    .runs(&other, &RunFilter::default(), 9)
                    .await
                    .expect("reads")
                    .runs
                    .is_empty()
            );
            assert!(catalog.inputs(&run).await.expect("reads").is_empty());
            assert!(catalog.distributions(&run).await.expect("reads").is_empty());
            assert!(catalog.events(&other, None, 0, 9).await.expect("reads").is_empty());
            assert!(catalog.audit_log(&other, 0, 9).await.expect("reads").is_empty());
            assert_eq!(catalog.profile(&other, "nightly").await.expect("reads"), None);
            assert!(catalog.profiles(&other).await.expect("reads").is_empty());
            assert!(catalog.tokens(&other).await.expect("reads").is_empty());
            assert_eq!(
                catalog.usage(&other, now).await.expect("reads"),
                stella_catalog::Usage::default()
            );
            // Numbers begin anew: nobody can tell what others do.
            let (new, entry) = (new_run("json:raw"), entry("run.create"));
            let mutation = mutation(&entry, now.0);
            let started = catalog.start_run(&other, &new, &mutation);
            assert_eq!(started.await.expect("is accepted").number, 1);
            let events = catalog.events(&other, None, 0, 9).await.expect("reads");
            assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), [1]);
        });
        let store = place.store();
        let foreign = RunKey { tenant: other, number: 2 };
        assert!(Driver::new(&store).take(&foreign, "w", now).is_err());
    });
}

/// Rows that a query without any condition finds.
async fn rows(connection: &mut AnyConnection, table: &str) -> Result<i64, sqlx::Error> {
    let count = format!("SELECT COUNT(*) FROM catalog.{table}");
    let row = sqlx::query(sqlx::AssertSqlSafe(count)).fetch_one(connection).await?;
    row.try_get(0)
}

/// Enters the database as the application does.
async fn enter(connection: &mut AnyConnection, role: &str, tenant: &str) {
    let enter = "SELECT set_config('role', $1, true), set_config('export_center.tenant', $2, true)";
    sqlx::query(enter).bind(role).bind(tenant).execute(connection).await.expect("enters");
}

#[test]
fn a_query_that_forgets_the_tenant_finds_the_rows_of_its_tenant_only() {
    on_postgres(|place| {
        fill(place);
        place.wait(async {
            let mut connection = AnyConnection::connect(&place.url).await.expect("opens");
            for (tenant, expected) in [("acme", true), ("other", false), ("", false)] {
                for table in TABLES {
                    let mut tx = connection.begin().await.expect("begins");
                    enter(&mut tx, "export_center_tenant", tenant).await;
                    let found = rows(&mut tx, table).await.expect("may be read");
                    let expected = i64::from(expected || (table == "tenants" && tenant == "other"));
                    match table {
                        "export_runs" | "export_inputs" | "export_events" | "audit_log"
                            if expected > 0 =>
                        {
                            assert!(found > 0, "{table}");
                        }
                        _ => assert_eq!(found, expected, "{table} as {tenant}"),
                    }
                }
            }
            // A role without a tenant, as after the end of a transaction.
            for table in TABLES {
                let mut tx = connection.begin().await.expect("begins");
                tx.execute("SET LOCAL ROLE export_center_tenant").await.expect("enters");
                assert_eq!(rows(&mut tx, table).await.expect("may be read"), 0, "{table}");
            }
        });
    });
}

#[test]
fn nothing_is_written_for_another_tenant() {
    on_postgres(|place| {
        fill(place);
        let statements = [
            "INSERT INTO catalog.quotas (tenant) VALUES ('acme')",
            "INSERT INTO catalog.export_profiles VALUES ('acme', 'x', 1, 'x', 1, 'eve')",
            "INSERT INTO catalog.idempotency_keys VALUES ('acme', 'x', 'x', 'x', 1)",
            "INSERT INTO catalog.audit_log VALUES ('acme', 9, 1, 'e', 'a', 'o', 'x', 'd', 't', 'h')",
        ];
        // Not even of one's own is everything to be changed.
        let own = [
            "UPDATE catalog.audit_log SET actor = 'eve'",
            "DELETE FROM catalog.audit_log",
            "DELETE FROM catalog.export_events",
            "UPDATE catalog.export_profiles SET document = 'x'",
            "DELETE FROM catalog.export_runs",
        ];
        place.wait(async {
            let mut connection = AnyConnection::connect(&place.url).await.expect("opens");
            for statement in statements.into_iter().chain(own) {
                let mut tx = connection.begin().await.expect("begins");
                enter(&mut tx, "export_center_tenant", "other").await;
                assert!(tx.execute(statement).await.is_err(), "{statement}");
            }
            // What may be changed is changed where it is one's own.
            for statement in [
                "UPDATE catalog.export_runs SET status = 'x'",
                "UPDATE catalog.tenants SET last_run = 9",
            ] {
                let mut tx = connection.begin().await.expect("begins");
                enter(&mut tx, "export_center_tenant", "other").await;
                let changed = tx.execute(statement).await.expect("may be done").rows_affected();
                assert_eq!(changed, u64::from(statement.contains("tenants")), "{statement}");
            }
        });
    });
}

#[test]
fn who_sweeps_sees_what_is_due_and_nothing_else() {
    on_postgres(|place| {
        fill(place);
        assert_eq!(place.wait(place.catalog.due(Millis(9), 9)).expect("reads").len(), 1);
        let last = place.wait(place.catalog.last_events()).expect("reads");
        let of_acme = place.wait(place.catalog.last_event(&tenant("acme"))).expect("reads");
        assert_eq!(last, [(tenant("acme"), of_acme)].into());
        let denied = [
            "SELECT state FROM catalog.export_runs",
            "SELECT profile FROM catalog.export_runs",
            "UPDATE catalog.export_runs SET wakes_ms = 1",
            "SELECT audit_head FROM catalog.tenants",
            "SELECT * FROM catalog.export_events",
            "SELECT * FROM catalog.api_tokens",
        ];
        place.wait(async {
            let mut connection = AnyConnection::connect(&place.url).await.expect("opens");
            for statement in denied {
                let mut tx = connection.begin().await.expect("begins");
                tx.execute("SET LOCAL ROLE export_center_sweeper").await.expect("enters");
                assert!(tx.execute(statement).await.is_err(), "{statement}");
            }
        });
    });
}
