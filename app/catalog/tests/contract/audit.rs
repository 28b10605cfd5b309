//! The log that nobody changes without being found out.

use sqlx::{Connection as _, Executor as _};
use stella_catalog::AuditFault;
use stella_model::ErrorCode;
use stella_run::Millis;

use crate::place::{Place, entry, on_both, tenant};

/// Does something to the database that the catalog would not do.
fn tamper(place: &Place, statements: &[&'static str]) {
    place.wait(async {
        let mut connection = sqlx::AnyConnection::connect(&place.url).await.expect("opens");
        if place.is_postgres {
            connection.execute("SET search_path = catalog").await.expect("is a schema");
        }
        for statement in statements {
            connection.execute(*statement).await.expect("is done");
        }
    });
}

fn write(place: &Place, entries: u64) {
    for _ in 0..entries {
        place
            .wait(place.catalog.audit(&tenant("acme"), &entry("run.create"), Millis(5)))
            .expect("writes");
    }
}

fn verify(place: &Place) -> Result<u64, AuditFault> {
    place.wait(place.catalog.verify_audit_log(&tenant("acme"))).expect("reads")
}

#[test]
fn a_log_that_was_changed_does_not_fit_together() {
    on_both(|place| {
        assert_eq!(verify(place), Ok(0));
        write(place, 1_005);
        assert_eq!(verify(place), Ok(1_005));
        tamper(place, &["UPDATE audit_log SET actor = 'eve' WHERE entry = 1003"]);
        assert_eq!(verify(place), Err(AuditFault::Changed(1_003)));
        tamper(place, &["UPDATE audit_log SET actor = 'ada' WHERE entry = 1003"]);
        assert_eq!(verify(place), Ok(1_005));
        tamper(place, &["DELETE FROM audit_log WHERE entry = 1005"]);
        assert_eq!(verify(place), Err(AuditFault::Cut { expected: 1_005, found: 1_004 }));
        tamper(place, &["DELETE FROM audit_log WHERE entry = 2"]);
        assert_eq!(verify(place), Err(AuditFault::Changed(3)));
    });
}

#[test]
fn a_log_of_nobody_is_not_there() {
    on_both(|place| {
        let missing = place.wait(place.catalog.verify_audit_log(&tenant("nobody")));
        assert_eq!(missing.expect_err("is not there").code(), ErrorCode::NotFound);
        let missing =
            place.wait(place.catalog.audit(&tenant("nobody"), &entry("run.create"), Millis(5)));
        assert_eq!(missing.expect_err("is not there").to_string(), "there is no tenant nobody");
    });
}
