//! A hundred times `kill -9`, of workers and of the server, in every phase of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stella_peers::{Postgres, SeaweedFs};

use crate::follower::{Follower, Told};
use crate::machines::{Machines, evidence};
use crate::server::LONGEST;
use crate::storage::{Fault, Storage};

/// What the tasks of a run are called.
const PHASES: [&str; 6] = ["plan", "make", "pack", "seal", "distribute", "verify"];

/// How long storage takes to answer: without a distance to it some phases last hardly any time.
const DISTANCE: Duration = Duration::from_millis(15);

/// Runs that are under way at once.
const AT_ONCE: usize = 3;

/// Whatever happens in this time is killed in the middle if it is what is aimed at; else anything is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What every level should be: of a service that nobody disturbs.
struct Undisturbed {
    machines: Machines,
    /// Names of the profiles.
    levels: Vec<String>,
    /// Digest of the manifest and the tar, by profile.
    bundles: BTreeMap<String, (Value, Vec<u8>)>,
}

impl Undisturbed {
    fn run(postgres: &Postgres, ledger: &str, weed: &SeaweedFs, levels: usize) -> Undisturbed {
        let machines = Machines::start("undisturbed", postgres, ledger, &weed.url(), 1);
        let levels: Vec<String> = (1..=levels).map(|level| machines.add_level(level)).collect();
        for level in &levels {
            let started = machines.server.start_run(level, &[]);
            assert_eq!(started.status, 201, "{started:?}");
        }
        let mut bundles = BTreeMap::new();
        for (number, level) in (1..).zip(&levels) {
            let run = machines.server.wait(&format!("r-{number}"));
            assert_eq!(run["status"], json!("succeeded"), "{run}");
            let tar = machines.tar(&format!("r-{number}"));
            bundles.insert(level.clone(), (run["exportDigest"].clone(), tar));
        }
        Undisturbed { machines, levels, bundles }
    }
}

/// Everything that is asked of a service while it is killed, and what has become of it.
struct Siege {
    machines: Machines,
    events: Follower,
    /// The profile of each run that was accepted, by its number from 1 on.
    asked: Vec<String>,
    /// Those who follow one run each.
    followers: Vec<Follower>,
    kills: usize,
}

impl Siege {
    /// Asks for a run. Of three times the server is killed once right after it answered, and once
    /// before its answer is read; the same request comes again then.
    fn ask(&mut self, profile: &str) {
        let number = self.asked.len() + 1;
        let key = format!("run-{number}");
        let headers = [("Idempotency-Key", key.as_str())];
        let mut answers = Vec::new();
        match number % 3 {
            0 => {
                let body = json!({ "profile": profile }).to_string();
                let bearer = format!("Bearer {}", self.machines.server.token);
                let json = ("Content-Type", "application/json");
                let all = [headers[0], ("Authorization", bearer.as_str()), json];
                let _unread = self.machines.server.send("POST", "/api/export/v1/runs", &all, &body);
                std::thread::sleep(Duration::from_millis(number as u64 * 5 % 40));
                self.kill_server();
            }
            1 => {
                answers.push(self.machines.server.start_run(profile, &headers));
                self.kill_server();
            }
            _ => {}
        }
        answers.push(self.machines.server.start_run(profile, &headers));
        let id = format!("r-{number}");
        for answer in &answers {
            assert!(matches!(answer.status, 200 | 201), "{answer:?}");
            assert_eq!(answer.json()["id"], json!(id), "one key is one run");
        }
        self.asked.push(profile.to_owned());
        let (place, token) = (&self.machines.whereabouts, &self.machines.server.token);
        self.followers.push(Follower::start(place, token, &format!("/runs/{id}/events")));
    }

    fn kill_server(&mut self) {
        self.machines.kill_server();
        self.kills += 1;
    }

    /// Runs that have ended, as the one who follows all was told.
    fn ended(&self) -> usize {
        self.events.so_far().iter().filter(|told| has_ended(&told.data["event"])).count()
    }

    /// Kills a worker that is at a task of a phase in which fewest attempts were lost by now, as soon as
    /// one is; told of from a place in the order of events on.
    fn kill(&mut self, from: usize) {
        let lost = lost(&self.events.so_far());
        let count = |phase: &str| lost.get(phase).copied().unwrap_or(0);
        let least = PHASES.into_iter().map(count).min();
        let aims: BTreeSet<&str> =
            PHASES.into_iter().filter(|phase| Some(count(phase)) == least).collect();
        let begun = |told: &Told| {
            let event = &told.data["event"];
            let is_begun = event["type"] == json!("begun") && aims.contains(phase_of(event));
            is_begun.then(|| worker_of(event))
        };
        let (mut at, until) = (from, Instant::now() + PATIENCE);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let Some((place, worker)) = self.events.wait(at, left, begun) else { break };
            // Somebody who was killed meanwhile is not there any more.
            if self.machines.kill_worker(worker) {
                self.kills += 1;
                return;
            }
            at = place + 1;
        }
        let any = self.machines.workers[self.kills % self.machines.workers.len()].id();
        assert!(self.machines.kill_worker(any));
        self.kills += 1;
    }
}

fn has_ended(event: &Value) -> bool {
    let ends = ["succeeded", "partial", "failed", "cancelled"];
    event["type"] == json!("status") && ends.iter().any(|status| event["to"] == json!(status))
}

fn phase_of(event: &Value) -> &str {
    let task = event["task"].as_str().unwrap_or_default();
    task.split('/').next().unwrap_or_default()
}

/// The process of the worker that an event names.
fn worker_of(event: &Value) -> u32 {
    let name = event["worker"].as_str().expect("a worker");
    name.rsplit('-').nth(1).and_then(|id| id.parse().ok()).expect("host, process, number")
}

/// In which phases attempts were lost with their workers, and how often.
fn lost(told: &[Told]) -> BTreeMap<String, usize> {
    let mut phases = BTreeMap::new();
    for told in told {
        let event = &told.data["event"];
        let message = event["failure"]["message"].as_str().unwrap_or_default();
        if event["type"] == json!("failed") && message.contains("gave no sign of life") {
            *phases.entry(phase_of(event).to_owned()).or_default() += 1;
        }
    }
    phases
}

/// What the bucket has of one of the services, without the name of that service.
fn left(weed: &SeaweedFs, name: &str) -> BTreeSet<String> {
    let names = weed.names(&format!("{name}/"));
    names.into_iter().filter_map(|full| Some(full.strip_prefix(name)?.to_owned())).collect()
}

#[test]
fn whoever_is_killed_whenever_every_run_ends_and_nothing_is_lost() {
    let Some(weed) = SeaweedFs::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    let ledger = postgres.database("ledger");
    evidence(&ledger);
    let wanted = stella_testkit::rounds(20, 100);
    let undisturbed = Undisturbed::run(&postgres, &ledger, &weed, stella_testkit::rounds(3, 12));
    let storage = Storage::start(weed.port());
    // Whether something is there is all that is asked when a bundle is delivered.
    storage.set(|passing| {
        Fault::Late(if passing.asked.method == "HEAD" { DISTANCE * 6 } else { DISTANCE })
    });
    let machines = Machines::start("besieged", &postgres, &ledger, &storage.url(), 3);
    (1..=undisturbed.levels.len()).for_each(|level| drop(machines.add_level(level)));
    let events = Follower::start(&machines.whereabouts, &machines.server.token, "/events?after=0");
    let mut siege = Siege { machines, events, asked: Vec::new(), followers: Vec::new(), kills: 0 };
    while siege.kills < wanted {
        let from = siege.events.count();
        while siege.asked.len() < siege.ended() + AT_ONCE {
            let level = &undisturbed.levels[siege.asked.len() % undisturbed.levels.len()];
            siege.ask(level);
        }
        siege.kill(from);
    }
    let Siege { mut machines, events, asked, followers, kills } = siege;
    // Every run that was accepted ends, and has the bytes that it has where nobody is killed.
    assert_eq!(machines.runs().len(), asked.len(), "one run for each key");
    for (number, level) in (1..).zip(&asked) {
        let run = machines.server.wait(&format!("r-{number}"));
        let expected = &undisturbed.bundles[level].0;
        assert_eq!(
            (&run["status"], &run["exportDigest"]),
            (&json!("succeeded"), expected),
            "{run}"
        );
    }
    let told = check_events(&machines, &events, followers);
    let phases = lost(&told);
    eprintln!("{kills} kills, {} runs, lost: {phases:?}", asked.len());
    if stella_testkit::full() {
        let hit: BTreeSet<&str> = phases.keys().map(String::as_str).collect();
        assert_eq!(hit, BTreeSet::from(PHASES), "{phases:?}");
    }
    check_depot(&mut machines, &undisturbed, &weed, &asked);
}

/// Nobody missed an event, and nobody was told one twice.
fn check_events(machines: &Machines, events: &Follower, followers: Vec<Follower>) -> Vec<Told> {
    let last = |told: &Told| has_ended(&told.data["event"]).then_some(told.number);
    // What was told last to those who follow a run has to come to the one who follows all.
    let begun = Instant::now();
    while events.so_far().iter().filter_map(last).count() < followers.len() {
        assert!(begun.elapsed() < LONGEST, "some runs did not end for who follows");
        std::thread::sleep(Duration::from_millis(20));
    }
    let told = events.so_far();
    let numbers: Vec<u64> = told.iter().map(|told| told.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(events.streams() > 1, "the stream did not break");
    for (number, follower) in (1..).zip(followers) {
        let name = json!(format!("r-{number}"));
        let own = follower.all_of_run();
        let of_all = told.iter().filter(|told| told.data["run"] == name);
        let of_all: Vec<_> = of_all.map(|told| (told.number, &told.data["event"])).collect();
        let own: Vec<_> = own.iter().map(|told| (told.number, &told.data)).collect();
        assert_eq!(own, of_all, "{name} {}", machines.server.address);
    }
    told
}

/// What nobody needs is collected, and what somebody needs is there.
fn check_depot(
    machines: &mut Machines,
    undisturbed: &Undisturbed,
    weed: &SeaweedFs,
    asked: &[String],
) {
    for machines in [&undisturbed.machines, &*machines] {
        for _ in 0..3 {
            let rules = ["--cache-bytes", "0", "--nothing-runs"];
            let (code, told) = machines.command("collect", &rules);
            assert_eq!(code, Some(0), "{told}");
        }
    }
    let used: BTreeSet<&String> = asked.iter().collect();
    if used.len() == undisturbed.levels.len() {
        assert_eq!(left(weed, "besieged"), left(weed, "undisturbed"));
    }
    assert_eq!(weed.names(".uploads/"), Vec::<String>::new(), "uploads that nobody ended");
    let (code, told) = machines.command("scrub", &[]);
    assert_eq!(code, Some(0), "{told}");
    for (number, level) in (1..).zip(asked) {
        assert!(machines.tar(&format!("r-{number}")) == undisturbed.bundles[level].1, "{level}");
    }
}
