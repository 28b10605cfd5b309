//! What a tenant may have.

use stella_catalog::{CatalogError, Quota};
use stella_model::ErrorCode;
use stella_run::{DriveError, Driver, Millis, RunKey, RunStore as _};

use crate::place::{entry, new_run, on_both, tenant};

const DAY: i64 = 24 * 60 * 60 * 1000;

#[test]
fn a_tenant_has_as_many_runs_as_it_may() {
    on_both(|place| {
        let acme = tenant("acme");
        let quota = Quota {
            concurrent_runs: Some(1),
            queued_runs: Some(3),
            bytes_per_day: Some(1_000),
            stored_bytes: None,
        };
        place.wait(place.catalog.set_quota(&acme, &quota)).expect("writes");
        assert_eq!(place.wait(place.catalog.quota(&acme)).expect("reads"), quota);
        let start = |name: &str, now| {
            let (new, entry) = (new_run("json:raw"), entry("run.create"));
            place.wait(place.catalog.start_run(&tenant(name), &new, None, &entry, Millis(now)))
        };
        for _ in 0..3 {
            start("acme", 5).expect("is accepted");
        }
        let full = start("acme", 6).expect_err("is one too many");
        assert_eq!(full.code(), ErrorCode::Quota);
        assert_eq!(full.to_string(), "the tenant has 3 of 3 queued runs");
        start("other", 6).expect("another tenant has its own");
        // The second waits until the first is over.
        let (store, driver_name) = (place.store(), "w");
        let driver = Driver::new(&store);
        let key = |number| RunKey { tenant: acme.clone(), number };
        let lease =
            driver.take(&key(1), driver_name, Millis(7)).expect("begins").expect("is offered");
        let waits = driver.take(&key(2), driver_name, Millis(8));
        assert!(matches!(waits, Err(DriveError::Store(CatalogError::Quota { .. }))), "{waits:?}");
        let due = store.due(Millis(9), 10).expect("reads");
        assert_eq!(due, [key(3), RunKey { tenant: tenant("other"), number: 1 }]);
        assert!(store.due(Millis(1_008), 10).expect("reads").contains(&key(2)));
        driver
            .cancel(&lease.run, "ada", stella_run::Held::Abandoned, Millis(10))
            .expect("is cancelled");
        assert!(driver.take(&key(2), driver_name, Millis(11)).expect("begins").is_some());
        place.wait(place.catalog.count_bytes(&acme, 600, Millis(12))).expect("writes");
        place.wait(place.catalog.count_bytes(&acme, 400, Millis(13))).expect("writes");
        let full = start("acme", 14).expect_err("is one too many");
        assert_eq!(full.to_string(), "the tenant has 1000 of 1000 bytes of today");
        let usage = place.wait(place.catalog.usage(&acme, Millis(14))).expect("reads");
        assert_eq!((usage.running, usage.live, usage.bytes_today), (1, 2, 1_000));
        start("acme", DAY).expect("is another day");
    });
}
