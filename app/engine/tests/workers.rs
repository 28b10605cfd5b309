//! Runs of the service: any number of workers make the bytes that one command makes.

#[path = "workers/buckets.rs"]
mod buckets;
mod common;
#[path = "workers/progress.rs"]
mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use common::{ingest_into, request, run, tree};
use stella_depot::{KeptBundle, VirtualTar};
use stella_engine::{
    Cancel, Carrier, LocalQueue, NoProgress, Performer, ProfileSource, Progress, RunRequest,
    RunTasks, Signing, Store, Sweeper, TaskQueue as _, WakingStore, Worker, WorkerEvent,
    kept_bundle,
};
use stella_keys::{Elsewhere, Existing, KeyName, KeyStore, Password, PasswordSource};
use stella_ledger::IngestMode;
use stella_model::{Digest, PartName, TenantId};
use stella_run::{
    Driver, Failure, Held, Lease, Millis, Rules, RunEvent, RunKey, RunState, RunStore, Saved,
    Status, Stored, TaskId, TaskResult,
};
use stella_seal::Algorithm;
use stella_testkit::Osv;
use stella_verify::BundleFiles as _;

/// States in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<RunKey, Stored>>);

impl RunStore for Memory {
    type Error = std::convert::Infallible;

    fn load(&self, run: &RunKey) -> Result<Option<Stored>, Self::Error> {
        Ok(self.0.lock().expect("a lock").get(run).cloned())
    }

    fn save(
        &self,
        run: &RunKey,
        seen: u64,
        state: &RunState,
        _: &[RunEvent],
        _: Millis,
    ) -> Result<Saved, Self::Error> {
        let mut runs = self.0.lock().expect("a lock");
        let stored = runs.get_mut(run).filter(|stored| stored.version == seen);
        Ok(stored.map_or(Saved::Overtaken, |stored| {
            *stored = Stored { state: state.clone(), version: seen + 1 };
            Saved::Yes
        }))
    }

    fn due(&self, now: Millis, most: usize) -> Result<Vec<RunKey>, Self::Error> {
        let runs = self.0.lock().expect("a lock");
        let due = runs.iter().filter(|(_, run)| run.state.is_due(now));
        Ok(due.map(|(run, _)| run.clone()).take(most).collect())
    }

    fn due_after(
        &self,
        after: Option<&RunKey>,
        now: Millis,
        most: usize,
    ) -> Result<Vec<RunKey>, Self::Error> {
        let runs = self.0.lock().expect("a lock");
        let due =
            runs.iter().filter(|(run, stored)| Some(*run) > after && stored.state.is_due(now));
        Ok(due.map(|(run, _)| run.clone()).take(most).collect())
    }
}

/// The service in small: a store, and what its runs ask for.
struct Service {
    store: Store,
    /// Where workers run, one after the other; none if all of them are at the store.
    machines: Vec<Store>,
    /// Whether a machine loses its depot after every task.
    forgetful: bool,
    request: RunRequest,
    signing: Signing,
    states: Memory,
    queue: LocalQueue,
    /// Milliseconds; moved by whoever needs time to pass.
    clock: AtomicI64,
    tasks: Mutex<Vec<TaskId>>,
    /// Tasks after which a worker dies without a word.
    deaths: AtomicU64,
}

/// Shows the service what a worker does.
struct Hands<'a>(&'a Service, &'a Store);

impl Performer for Hands<'_> {
    fn perform(
        &self,
        lease: &Lease,
        run: &RunState,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<TaskResult, Option<Failure>> {
        let Hands(service, store) = self;
        service.tasks.lock().expect("a lock").push(lease.task.clone());
        let (request, signing) = (&service.request, &service.signing);
        let tasks = RunTasks { store, request, signing };
        let done = tasks.perform(&lease.task, run, progress, cancel);
        if service.forgetful {
            std::fs::remove_dir_all(store.depot_dir()).ok();
        }
        let dies = |deaths: u64| deaths.checked_sub(1);
        if service.deaths.fetch_update(Ordering::SeqCst, Ordering::SeqCst, dies).is_ok() {
            // The work is done and nobody hears of it: the lease runs out.
            service.clock.fetch_add(lease.lease_ms + 1, Ordering::SeqCst);
            let states =
                WakingStore { store: &service.states, queue: &service.queue, watch: &|_| {} };
            let now = Millis(service.clock.load(Ordering::SeqCst));
            let other = Driver::new(&states).take(&lease.run, "another", now).expect("answers");
            // Another worker has it now, and gives it back.
            if let Some((other, _)) = other {
                let ending = stella_run::Ending::GivenBack;
                Driver::new(&states).report(&other, ending, now).expect("counts");
            }
        }
        done
    }
}

impl Service {
    fn new(store: Store, profile: &str) -> Service {
        Service {
            store,
            machines: Vec::new(),
            forgetful: false,
            request: RunRequest { threads: 1, ..request(profile) },
            signing: Signing::UnsignedForTesting,
            states: Memory::default(),
            queue: LocalQueue::default(),
            clock: AtomicI64::new(1_000_000),
            tasks: Mutex::default(),
            deaths: AtomicU64::new(0),
        }
    }

    fn start(&self, number: u64) -> RunKey {
        let run = RunKey { tenant: self.store.tenant().clone(), number };
        let targets = BTreeSet::from(["http".parse().expect("a target")]);
        let state = RunState::new(targets, Rules::DEFAULT);
        let stored = Stored { state, version: 0 };
        self.states.0.lock().expect("a lock").insert(run.clone(), stored);
        self.queue.wake(&run);
        run
    }

    fn state(&self, run: &RunKey) -> RunState {
        self.states.load(run).expect("reads").expect("is there").state
    }

    /// Lets so many workers work until a run is over.
    fn work(&self, workers: usize, run: &RunKey) -> RunState {
        let stop = Cancel::new();
        let states = WakingStore { store: &self.states, queue: &self.queue, watch: &|_| {} };
        let clock = || Millis(self.clock.fetch_add(1, Ordering::SeqCst));
        std::thread::scope(|scope| {
            let (queue, watch) = (&self.queue, &|_: &WorkerEvent<'_>| {});
            let sweeper = Sweeper { store: &states, queue, clock: &clock, watch };
            let (stop, clock) = (&stop, &clock);
            scope.spawn(move || sweeper.work(stop));
            for number in 0..workers {
                let states = &states;
                scope.spawn(move || {
                    let machines = self.machines.len().max(1);
                    let store = self.machines.get(number % machines).unwrap_or(&self.store);
                    let performer = &Hands(self, store);
                    let name = format!("w{number}");
                    Worker { name, store: states, queue, performer, clock, watch }.work(stop);
                });
            }
            while !self.state(run).status.is_terminal() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            stop.set();
        });
        self.state(run)
    }

    fn bundle(&self, run: &RunState) -> KeptBundle {
        let bundle = run.bundle.expect("is sealed");
        kept_bundle(&self.store, &bundle).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The files of a bundle by name, as [`tree`] gives those of a folder.
fn files(bundle: &KeptBundle) -> BTreeMap<String, Digest> {
    let digest = |name: &PartName| {
        let mut bytes = Vec::new();
        bundle.open(name).expect("opens").read_to_end(&mut bytes).expect("reads");
        Digest::of(&bytes)
    };
    bundle.files().iter().map(|file| (file.name.to_string(), digest(&file.name))).collect()
}

fn store(dir: &Path) -> Store {
    let store = Store::at(dir.join("store"));
    fill(&store);
    store
}

fn fill(store: &Store) {
    for folder in ["advisories", "sbom", "vex", "findings"] {
        let paths = vec![stella_testkit::samples().join(folder)];
        ingest_into(store, folder, paths, IngestMode::Merge);
    }
}

/// What one command makes of the same evidence.
fn expected(dir: &Path, profile: &str) -> BTreeMap<String, Digest> {
    let store = store(&dir.join("alone"));
    let dest = dir.join("bundle");
    run(&store, request(profile), &dest, Carrier::Dir).expect("runs");
    tree(&dest)
}

#[test]
fn any_number_of_workers_makes_the_bundle_that_one_command_makes() {
    for profile in ["json:raw", "mirror:full", "trivy:db"] {
        for workers in [1, 3] {
            let dir = stella_testkit::temp_dir();
            let service = Service::new(store(dir.path()), profile);
            let run = service.start(1);
            let state = service.work(workers, &run);
            assert_eq!((state.status, state.attempt()), (Status::Succeeded, 1), "{state:?}");
            assert_eq!(files(&service.bundle(&state)), expected(dir.path(), profile), "{profile}");
        }
    }
}

#[test]
fn a_bundle_in_the_depot_is_served_as_the_tar_that_one_command_writes() {
    let dir = stella_testkit::temp_dir();
    let service = Service::new(store(dir.path()), "json:raw");
    let run = service.start(1);
    let state = service.work(2, &run);
    let bundle = service.bundle(&state);
    let tar = VirtualTar::new(service.store.depot(), bundle.record()).expect("is small");
    let dest = dir.path().join("bundle.tar");
    common::run(&service.store, request("json:raw"), &dest, Carrier::Tar).expect("runs");
    let written = std::fs::read(dest).expect("reads");
    let mut served = Vec::new();
    tar.reader(0..tar.size()).read_to_end(&mut served).expect("reads");
    assert!(served == written, "{} and {} bytes", served.len(), written.len());
    assert_eq!(bundle.record().tar, Digest::of(&written));
}

#[test]
fn workers_that_die_after_any_task_cost_time_only() {
    let dir = stella_testkit::temp_dir();
    let service = Service::new(store(dir.path()), "mirror:full");
    service.deaths.store(5, Ordering::SeqCst);
    let run = service.start(1);
    let state = service.work(2, &run);
    assert_eq!(state.status, Status::Succeeded, "{state:?}");
    assert!(state.attempt() > 1, "{state:?}");
    assert_eq!(files(&service.bundle(&state)), expected(dir.path(), "mirror:full"));
}

#[test]
fn what_a_dead_worker_holds_is_taken_back_however_many_runs_wait_before_it() {
    // With so many before it, in so many looks, and so many runs are woken.
    for (waiting, looks, woken) in [(3, 1, 4), (70, 1, 64), (600, 3, 64)] {
        let dir = stella_testkit::temp_dir();
        let service = Service::new(Store::at(dir.path().join("store")), "json:raw");
        for number in 1..=waiting {
            service.start(number);
        }
        let (run, queue) = (service.start(waiting + 1), LocalQueue::default());
        let taken = Driver::new(&service.states).take(&run, "dead", Millis(0)).expect("answers");
        let now = Millis(taken.expect("is offered").0.lease_ms + 1);
        let (clock, watch) = (|| now, |_: &WorkerEvent<'_>| {});
        let sweeper =
            Sweeper { store: &service.states, queue: &queue, clock: &clock, watch: &watch };
        let mut after = None;
        for look in 1..=looks {
            assert!(service.state(&run).is_held(), "{waiting}: {look}");
            after = sweeper.sweep(now, after);
        }
        assert!(!service.state(&run).is_held(), "{waiting}");
        assert_eq!((after, queue.depth()), (None, woken), "{waiting}");
    }
}

#[test]
fn a_plan_that_was_run_before_is_not_packed_again_unless_its_bundle_is_damaged() {
    let dir = stella_testkit::temp_dir();
    let service = Service::new(store(dir.path()), "mirror:full");
    let first = service.start(1);
    let first = service.work(2, &first);
    let done = std::mem::take(&mut *service.tasks.lock().expect("a lock"));
    assert!(done.contains(&TaskId::Pack(0)) && done.contains(&TaskId::Seal), "{done:?}");
    let again = service.start(2);
    let again = service.work(2, &again);
    assert_eq!(begun(&service), AGAIN);
    assert_eq!(again.bundle, first.bundle);
    // Every file of the depot goes bad, with its size as it was.
    let before = files(&service.bundle(&first));
    for name in tree(&service.store.depot_dir()).keys().filter(|name| name.contains("blobs")) {
        let path = service.store.depot_dir().join(name);
        let mut bytes = std::fs::read(&path).expect("reads");
        bytes[0] ^= 1;
        stella_testkit::overwrite(&path, bytes);
    }
    let mended = service.start(3);
    let mended = service.work(2, &mended);
    assert_eq!((mended.status, mended.repairs), (Status::Succeeded, 1), "{mended:?}");
    assert_eq!(files(&service.bundle(&mended)), before);
}

/// The tasks that were begun since this was last asked.
fn begun(service: &Service) -> Vec<String> {
    let begun = std::mem::take(&mut *service.tasks.lock().expect("a lock"));
    begun.iter().map(ToString::to_string).collect()
}

/// What is done of a plan whose bundle is there.
const AGAIN: [&str; 3] = ["plan", "distribute/http", "verify/http"];

#[test]
fn a_plan_that_was_run_before_is_held_against_the_floors_of_now() {
    let raw = "outputs = [\"json:raw\"]\nredaction = \"standard\"\n";
    let database = "outputs = [\"trivy:db\"]\n[select]\nkinds = [\"advisory\", \"vex\"]\n";
    let cases = [
        // One of two documents cannot be redacted.
        (raw, "[floors]\n\"sbom/site\" = ", (1, 2), "sbom/site has 1 records, its floor is 2"),
        (database, "[trivy.floors]\nnpm = ", (1, 1_000_000), "its floor is 1000000"),
    ];
    for (recipe, floor, (low, high), told) in cases {
        let dir = stella_testkit::temp_dir();
        let mut service = Service::new(Store::at(dir.path().join("store")), "");
        let npm = vec![stella_testkit::samples().join("advisories/npm")];
        ingest_into(&service.store, "npm", npm, IngestMode::Merge);
        let documents = ["acme-shop.cdx.json", "harbour-gateway.cdx.xml"];
        let sboms = documents.map(|name| stella_testkit::samples().join("sbom").join(name));
        ingest_into(&service.store, "site", sboms.to_vec(), IngestMode::Merge);
        let profile = |least: u32| {
            ProfileSource::Document(format!("name = \"site\"\n{recipe}{floor}{least}\n"))
        };
        service.request.profile = profile(low);
        for number in [1, 2] {
            let run = service.start(number);
            let state = service.work(2, &run);
            assert_eq!(state.status, Status::Succeeded, "{state:?}");
            assert_eq!(begun(&service) == AGAIN, number == 2, "{recipe}");
        }
        service.request.profile = profile(high);
        let run = service.start(3);
        let state = service.work(2, &run);
        let failure = state.failure.expect("is below");
        assert_eq!((state.status, failure.code.as_str()), (Status::Failed, "ERR_EXPORT_EMPTY"));
        assert!(failure.message.contains(told), "{}", failure.message);
        assert_eq!(begun(&service), ["plan"]);
    }
}

#[test]
fn a_drop_that_was_accepted_counts_though_the_plan_was_run_before() {
    let dir = stella_testkit::temp_dir();
    let mut service = Service::new(Store::at(dir.path().join("store")), "trivy:db");
    let take = |service: &Service, count: u32| {
        let line = |number| {
            let osv = Osv::new(&format!("ACME-{number}"));
            [osv.affects("npm", &format!("p{number}"), "2.0.0").bytes(), b"\n".to_vec()].concat()
        };
        let file = dir.path().join("acme.jsonl");
        std::fs::write(&file, (0..count).flat_map(line).collect::<Vec<u8>>()).expect("writes");
        let mode = IngestMode::Replace { max_drop_percent: 100.0, accept: None };
        ingest_into(&service.store, "acme", vec![file], mode);
    };
    let run = |service: &Service, number| {
        let run = service.start(number);
        service.work(1, &run)
    };
    take(&service, 4);
    let first = run(&service, 1);
    assert_eq!(first.status, Status::Succeeded, "{first:?}");
    take(&service, 10);
    assert_eq!(run(&service, 2).status, Status::Succeeded);
    take(&service, 4);
    assert_eq!(run(&service, 3).status, Status::Failed);
    service.request.accept_drop = Some("they were twice in it".to_owned());
    let accepted = run(&service, 4);
    assert_eq!((accepted.status, accepted.bundle), (Status::Succeeded, first.bundle));
    // From now on there are four.
    service.request.accept_drop = None;
    begun(&service);
    let last = run(&service, 5);
    assert_eq!(last.status, Status::Succeeded, "{last:?}");
    assert_eq!(begun(&service), AGAIN);
    // Those that come back count, too, though a bundle of them is there.
    take(&service, 10);
    assert_eq!(run(&service, 6).status, Status::Succeeded);
    take(&service, 4);
    assert_eq!(run(&service, 7).status, Status::Failed);
}

#[test]
fn a_run_that_cannot_be_says_why_and_is_not_tried_again() {
    let dir = stella_testkit::temp_dir();
    let mut service = Service::new(store(dir.path()), "mirror:full");
    service.request.profile = ProfileSource::BuiltIn("none:such".to_owned());
    let run = service.start(1);
    let state = service.work(1, &run);
    let failure = state.failure.clone().expect("says why");
    assert_eq!((state.status, state.attempt()), (Status::Failed, 1));
    assert_eq!(failure.code, "ERR_EXPORT_NOT_FOUND");
    assert_eq!(failure.message, "there is no profile `none:such`");
    assert!(failure.hint.is_some_and(|hint| hint.contains("json:raw")));
}

#[test]
fn a_run_that_is_cancelled_while_nobody_works_is_over_at_once() {
    let dir = stella_testkit::temp_dir();
    let service = Service::new(store(dir.path()), "mirror:full");
    let run = service.start(1);
    let now = Millis(service.clock.load(Ordering::SeqCst));
    Driver::new(&service.states).cancel(&run, "ada", Held::Awaited, now).expect("runs");
    assert_eq!(service.work(1, &run).status, Status::Cancelled);
    assert!(service.tasks.lock().expect("a lock").is_empty());
}

#[test]
fn a_signed_run_is_verified_with_its_key_and_sealed_once() {
    let dir = stella_testkit::temp_dir();
    let mut service = Service::new(store(dir.path()), "json:raw");
    let name: KeyName = "release".parse().expect("a name");
    let password = PasswordSource::Given(Password::new(b"correct horse".to_vec()));
    let keys = KeyStore::at(service.store.keys_dir());
    keys.generate(&name, Algorithm::EcdsaP256Sha256, &password, Existing::Keep)
        .expect("makes a key");
    service.signing = Signing::Key { name: Some(name), password };
    let run = service.start(1);
    let state = service.work(2, &run);
    assert_eq!(state.status, Status::Succeeded, "{state:?}");
    let bundle = service.bundle(&state);
    let names: Vec<&str> = bundle.files().iter().map(|file| file.name.as_str()).collect();
    assert!(names.contains(&"export.json.sigstore.json"), "{names:?}");
}

#[test]
fn tenants_of_one_store_share_nothing() {
    let dir = stella_testkit::temp_dir();
    let tenant = |name: &str| -> TenantId { name.parse().expect("a tenant") };
    let of = |name: &str| Store::at(dir.path().join("store")).of_tenant(tenant(name));
    fill(&of("acme"));
    let service = Service::new(of("acme"), "mirror:full");
    let run = service.start(1);
    let state = service.work(1, &run);
    assert_eq!(state.status, Status::Succeeded, "{state:?}");
    let bundle = state.bundle.expect("is sealed");
    assert!(kept_bundle(&of("acme"), &bundle).is_ok());
    assert!(kept_bundle(&of("other"), &bundle).is_err());
    assert!(of("other").ledger().expect("is there").feeds().expect("reads").is_empty());
    assert_ne!(of("acme").keys_dir(), of("other").keys_dir());
}

#[test]
fn each_tenant_signs_with_the_key_of_its_own_store_wherever_it_lives() {
    let vault = stella_testkit::FakeVault::start();
    let dir = stella_testkit::temp_dir();
    let token = dir.path().join("token");
    std::fs::write(&token, stella_testkit::FakeVault::TOKEN).expect("writable");
    let mut signers = BTreeSet::new();
    for tenant in ["acme", "other"] {
        let named = tenant.parse().expect("a tenant");
        let store = Store::at(dir.path().join("store")).of_tenant(named);
        fill(&store);
        vault.rotate(tenant);
        let url = vault.url();
        let place = format!(
            "[vault]\naddress = {url:?}\nkey = {tenant:?}\ntoken-file = {:?}\n",
            token.to_str().expect("UTF-8")
        );
        let place = Elsewhere::parse(&place).expect("an entry");
        let name: KeyName = "release".parse().expect("a name");
        let surroundings = PasswordSource::Surroundings;
        let keys = KeyStore::at(store.keys_dir());
        let key = keys.add(&name, &place, &surroundings, Existing::Keep).expect("is there");
        let mut service = Service::new(store, "json:raw");
        service.signing = Signing::Key { name: None, password: surroundings };
        let run = service.start(1);
        let state = service.work(2, &run);
        assert_eq!(state.status, Status::Succeeded, "{state:?}");
        let asked = vault.asked().len();
        // Verified with the public half of this key when it was read back.
        signers.insert(*key.public_key().fingerprint());
        let again = service.start(2);
        assert_eq!(service.work(1, &again).status, Status::Succeeded);
        assert_eq!(vault.asked().len(), asked, "what was signed is not signed again");
        let paths = vault.asked();
        assert!(paths[..asked].iter().any(|asked| asked.path.ends_with(&format!("sign/{tenant}"))));
    }
    assert_eq!(signers.len(), 2);
}
