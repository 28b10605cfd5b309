//! Machines that share a bucket and a database, and no folder.

use std::time::Duration;

use stella_depot::{
    Bucket, BucketPlace, CollectionRules, Credentials, Damage, Patience, Repair, Roots,
};
use stella_peers::{Postgres, SeaweedFs};

use super::*;

/// What machines share.
struct Cloud {
    weed: SeaweedFs,
    bucket: Bucket,
    postgres: Postgres,
    dir: tempfile::TempDir,
}

impl Cloud {
    fn start() -> Option<Cloud> {
        let (weed, postgres) = (SeaweedFs::start()?, Postgres::start()?);
        let bucket = bucket(&weed.url(), Patience::default());
        Some(Cloud { weed, bucket, postgres, dir: stella_testkit::temp_dir() })
    }

    /// A service of three machines; the first one serves, the others work.
    fn service(&self, name: &str, profile: &str) -> Service {
        let database = self.postgres.database(name);
        let machine = |number: u32| {
            let dir = self.dir.path().join(format!("{name}-{number}"));
            Store::at(dir).with_database(&database).with_bucket(&self.bucket)
        };
        fill(&machine(0));
        Service { machines: vec![machine(1), machine(2)], ..Service::new(machine(0), profile) }
    }

    /// Replaces an object of a bundle behind everybody's back.
    fn damage(&self, bundle: &KeptBundle, at: usize, bytes: &[u8]) {
        let digest = bundle.record().files[at].stored.digest;
        let name = format!("exports/local/blobs/{}/{digest}", digest.short(2));
        assert!(self.weed.get(&name).is_some(), "{name}");
        self.weed.put(&name, bytes);
    }
}

fn bucket(endpoint: &str, patience: Patience) -> Bucket {
    let place = BucketPlace {
        address: "s3://evidence/exports".parse().expect("an address"),
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".to_owned()),
        credentials: Credentials::Given {
            key_id: SeaweedFs::CREDENTIALS[0].1.to_owned(),
            secret: SeaweedFs::CREDENTIALS[1].1.to_owned(),
        },
        patience,
    };
    Bucket::at(&place).expect("is set up")
}

fn succeeds(service: &Service, number: u64) -> RunState {
    let run = service.start(number);
    let state = service.work(2, &run);
    assert_eq!(state.status, Status::Succeeded, "{state:?}");
    state
}

#[test]
fn machines_that_share_a_bucket_make_the_bundle_that_one_command_makes() {
    let Some(cloud) = Cloud::start() else { return };
    for (name, profile) in [("raw", "json:raw"), ("full", "mirror:full"), ("trivy", "trivy:db")] {
        let service = cloud.service(name, profile);
        let state = succeeds(&service, 1);
        let alone = stella_testkit::temp_dir();
        let expected = expected(alone.path(), profile);
        assert_eq!(files(&service.bundle(&state)), expected, "{profile}");
        cloud.weed.remove("exports/");
    }
}

#[test]
fn workers_that_die_on_machines_that_forget_everything_cost_time_only() {
    let Some(cloud) = Cloud::start() else { return };
    let mut service = cloud.service("forgetful", "mirror:full");
    service.forgetful = true;
    service.deaths.store(4, Ordering::SeqCst);
    let state = succeeds(&service, 1);
    assert!(state.attempt() > 1, "{state:?}");
    let alone = stella_testkit::temp_dir();
    assert_eq!(files(&service.bundle(&state)), expected(alone.path(), "mirror:full"));
}

#[test]
fn damage_in_the_bucket_is_found_named_and_made_good_by_the_next_run() {
    let Some(cloud) = Cloud::start() else { return };
    let service = cloud.service("damaged", "mirror:full");
    let first = succeeds(&service, 1);
    let bundle = service.bundle(&first);
    let before = files(&bundle);
    for at in [0, bundle.record().files.len() - 1] {
        cloud.damage(&bundle, at, b"something else");
    }
    // No machine has a good copy.
    for machine in service.machines.iter().chain([&service.store]) {
        std::fs::remove_dir_all(machine.depot_dir()).ok();
    }
    let depot = service.store.depot();
    let found = depot.scrub(&Roots::default(), Repair::Forget).expect("scrubs").damaged;
    assert_eq!(found.len(), 2, "{found:?}");
    for one in &found {
        assert_eq!(one.damage, Damage::Changed);
        assert!(one.needed_by.iter().any(|name| name.starts_with("bundles/")), "{found:?}");
    }
    assert!(kept_bundle(&service.store, &first.bundle.expect("is sealed")).is_err());
    let again = succeeds(&service, 2);
    assert_eq!(again.bundle, first.bundle);
    // The bundle of the first run is there again too.
    assert_eq!(files(&service.bundle(&first)), before);
    assert!(depot.scrub(&Roots::default(), Repair::No).expect("scrubs").damaged.is_empty());
}

#[test]
fn damage_that_nobody_looked_for_is_found_when_the_run_is_repeated() {
    let Some(cloud) = Cloud::start() else { return };
    let service = cloud.service("repeated", "mirror:full");
    let first = succeeds(&service, 1);
    let bundle = service.bundle(&first);
    let before = files(&bundle);
    cloud.damage(&bundle, 3, &vec![0; bundle.files()[3].size as usize]);
    let again = succeeds(&service, 2);
    assert_eq!((again.bundle, again.repairs), (first.bundle, 1), "{again:?}");
    assert_eq!(files(&service.bundle(&again)), before);
}

#[test]
fn a_bundle_that_is_kept_survives_collections_and_a_released_one_is_made_again() {
    let Some(cloud) = Cloud::start() else { return };
    let service = cloud.service("collected", "json:raw");
    let first = succeeds(&service, 1);
    let before = files(&service.bundle(&first));
    let depot = service.store.depot();
    let now = CollectionRules { grace: Duration::ZERO, cache_bytes: 0 };
    let bundles = [first.bundle.expect("is sealed").files].into();
    let kept = Roots { bundles, ..Roots::default() };
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1100));
        depot.collect(&kept, &now).expect("collects");
    }
    std::fs::remove_dir_all(service.store.depot_dir()).ok();
    assert_eq!(files(&service.bundle(&first)), before);
    // The bundle goes first, then the parts that only it protected, then their blobs.
    for _ in 0..3 {
        depot.collect(&Roots::default(), &now).expect("collects");
    }
    for machine in service.machines.iter().chain([&service.store]) {
        std::fs::remove_dir_all(machine.depot_dir()).ok();
    }
    assert!(kept_bundle(&service.store, &first.bundle.expect("is sealed")).is_err());
    let left = cloud.weed.names("exports/local/blobs/");
    assert!(left.is_empty(), "{left:?}");
    let again = succeeds(&service, 2);
    assert_eq!(files(&service.bundle(&again)), before);
}

#[test]
fn a_command_on_a_shared_store_takes_what_others_made_and_writes_the_same() {
    let Some(cloud) = Cloud::start() else { return };
    let service = cloud.service("command", "json:raw");
    succeeds(&service, 1);
    let dest = cloud.dir.path().join("bundle");
    let report = run(&service.store, request("json:raw"), &dest, Carrier::Dir).expect("runs");
    assert_eq!(report.reused_parts, report.parts);
    let alone = stella_testkit::temp_dir();
    assert_eq!(tree(&dest), expected(alone.path(), "json:raw"));
}

#[test]
fn a_run_waits_for_a_bucket_that_does_not_answer_and_does_not_tell_where_it_is() {
    let dir = stella_testkit::temp_dir();
    let patience = Patience { retries: 1, ..Patience::default() };
    // Nobody listens there.
    let store = store(dir.path()).with_bucket(&bucket("http://127.0.0.1:9", patience));
    let request = RunRequest { threads: 1, ..request("json:raw") };
    let tasks =
        RunTasks { store: &store, request: &request, signing: &Signing::UnsignedForTesting };
    let run = RunState::new(BTreeSet::new(), Rules::DEFAULT);
    let failure = tasks.perform(&TaskId::Plan, &run, &NoProgress, &Cancel::new());
    let failure = failure.expect_err("fails").expect("was not stopped");
    assert_eq!(failure.code, "ERR_EXPORT_UNREACHABLE");
    assert_eq!(failure.remedy, stella_run::Remedy::Again);
    assert!(!format!("{failure:?}").contains("127.0.0.1"), "{failure:?}");
}
