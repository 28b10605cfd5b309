//! What a tenant may have.

use stella_catalog::Quota;
use stella_model::ErrorCode;
use stella_run::{DriveError, Driver, Millis, RunKey, RunStore as _};

use crate::place::{entry, mutation, new_run, on_both, tenant};

const DAY: i64 = 24 * 60 * 60 * 1000;

#[test]
fn a_tenant_has_as_many_runs_as_it_may() {
    on_both(|place| {
        let acme = tenant("acme");
        let quota = Quota {
            concurrent_runs: Some(1),
            queued_runs: Some(3),
            bytes_per_day: Some(600),
            stored_bytes: None,
        };
        let set = |quota: &Quota| {
            let entry = entry("quota.set");
            place
                .wait(place.catalog.set_quota(&acme, quota, &mutation(&entry, 5)))
                .expect("writes");
        };
        set(&quota);
        assert_eq!(place.wait(place.catalog.quota(&acme)).expect("reads"), quota);
        let start = |name: &str, now| {
            let (new, entry) = (new_run("json:raw"), entry("run.create"));
            place.wait(place.catalog.start_run(&tenant(name), &new, &mutation(&entry, now)))
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
        let (lease, _) =
            driver.take(&key(1), driver_name, Millis(7)).expect("begins").expect("is offered");
        let waits = driver.take(&key(2), driver_name, Millis(8));
        assert!(matches!(waits, Err(DriveError::Later(_))), "{waits:?}");
        let due = store.due(Millis(9), 10).expect("reads");
        assert_eq!(due, [key(3), RunKey { tenant: tenant("other"), number: 1 }]);
        assert!(store.due(Millis(5_008), 10).expect("reads").contains(&key(2)));
        driver
            .cancel(&lease.run, "ada", stella_run::Held::Abandoned, Millis(10))
            .expect("is cancelled");
        crate::runs::work_all(&store);
        let full = start("acme", 14).expect_err("is one too many");
        assert_eq!(full.to_string(), "the tenant has 600 of 600 bytes of today");
        let usage = place.wait(place.catalog.usage(&acme, Millis(14))).expect("reads");
        // The third had to wait, and time did not pass since.
        assert_eq!((usage.running, usage.live), (0, 1));
        assert_eq!((usage.bytes_today, usage.stored_bytes), (600, 600));
        start("acme", DAY).expect("is another day");
        let quota = Quota { stored_bytes: Some(600), ..Quota::default() };
        set(&quota);
        let full = start("acme", DAY).expect_err("is one too many");
        assert_eq!(full.to_string(), "the tenant has 600 of 600 stored bytes");
    });
}
