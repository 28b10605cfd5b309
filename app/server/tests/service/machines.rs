//! A service on several machines: a server and workers that share PostgreSQL and a bucket and nothing
//! else, each with a data directory of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use stella_engine::Store;
use stella_peers::{Postgres, SeaweedFs};

use crate::follower::Whereabouts;
use crate::server::{Answer, Beside, Server, ingest_into, ingest_large, program};

/// Characters of the text of the one record that is sent to a bucket in several pieces.
const LARGE: usize = 17 << 20;

/// That what is written is not there yet.
pub(crate) const NEW: (&str, &str) = ("If-None-Match", "*");

/// Machines of one service.
pub(crate) struct Machines {
    dir: tempfile::TempDir,
    /// Arguments of everybody who takes part.
    place: Vec<String>,
    pub(crate) server: Server,
    pub(crate) workers: Vec<Beside>,
    /// Where the server is now.
    pub(crate) whereabouts: Whereabouts,
}

impl Machines {
    /// A server that does no tasks, and workers.
    ///
    /// `name` tells catalog and bucket prefix apart from those of other services on the same peers;
    /// `bucket` is where the storage answers. The ledger is that of [`evidence`].
    pub(crate) fn start(
        name: &str,
        postgres: &Postgres,
        ledger: &str,
        bucket: &str,
        workers: usize,
    ) -> Machines {
        Machines::patient(name, postgres, ledger, bucket, workers, "1")
    }

    /// The same, where a worker that gives no sign of life keeps its task for so many seconds.
    pub(crate) fn patient(
        name: &str,
        postgres: &Postgres,
        ledger: &str,
        bucket: &str,
        workers: usize,
        lease: &str,
    ) -> Machines {
        let dir = stella_testkit::temp_dir();
        let catalog = postgres.database(name);
        let depot = format!("s3://{}/{name}", SeaweedFs::BUCKET);
        let place = ["--catalog", &catalog, "--ledger", ledger, "--depot", &depot];
        let place: Vec<String> =
            place.into_iter().chain(["--s3-endpoint", bucket]).map(str::to_owned).collect();
        let migrated =
            program(&dir.path().join("server")).arg("migrate").args(&place[..2]).status();
        assert!(migrated.expect("runs").success());
        let data = dir.path().join("server");
        let server =
            Server::start_with(&data, None, &[&["--lease", lease], &no_tasks(&place)[..]].concat());
        let whereabouts = Arc::new(Mutex::new(server.address.clone()));
        let mut machines = Machines { dir, place, server, workers: Vec::new(), whereabouts };
        machines.workers = (0..workers).map(|number| machines.worker(number)).collect();
        machines
    }

    fn worker(&self, number: usize) -> Beside {
        Beside::start(&self.data_of(number), &self.and(&[]))
    }

    /// Arguments of somebody who takes part.
    pub(crate) fn and<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        self.place.iter().map(String::as_str).chain(more.iter().copied()).collect()
    }

    /// The data directory of a worker.
    pub(crate) fn data_of(&self, worker: usize) -> PathBuf {
        self.dir.path().join(format!("worker-{worker}"))
    }

    /// Kills the worker with this process id, if there is one, and starts another in its place.
    pub(crate) fn kill_worker(&mut self, id: u32) -> bool {
        let Some(number) = self.workers.iter().position(|worker| worker.id() == id) else {
            return false;
        };
        self.workers[number].kill();
        self.replace_worker(number);
        true
    }

    /// Starts a worker in the place of one that has ended.
    pub(crate) fn replace_worker(&mut self, number: usize) {
        self.workers[number] = self.worker(number);
    }

    /// Kills the server as a pulled plug would, and starts it again.
    pub(crate) fn kill_server(&mut self) {
        self.server.process.kill().expect("runs");
        self.server.process.wait().expect("ends");
        let (data, token) = (self.server.data.clone(), self.server.token.clone());
        self.server = Server::start_with(&data, Some(&token), &no_tasks(&self.place));
        let mut whereabouts = self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner);
        whereabouts.clone_from(&self.server.address);
    }

    /// Runs a command of the operator on the machine of the server: how it ended and what it said.
    pub(crate) fn command(&self, name: &str, more: &[&str]) -> (Option<i32>, String) {
        // The depot has no ledger.
        let place = self.place[..2].iter().chain(&self.place[4..]);
        let done =
            program(&self.server.data).arg(name).args(place).args(more).output().expect("runs");
        let told = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8_lossy(&told).into_owned())
    }

    /// Makes the profile of a zstd level: what one makes is of no use to another.
    pub(crate) fn add_level(&self, level: usize) -> String {
        let name = format!("level-{level}");
        let profile = json!({ "name": name, "outputs": ["mirror:full", "trivy:db"],
                              "codec": { "level": level } });
        let made =
            self.server.ask("PUT", &format!("/profiles/{name}"), &[NEW], &profile.to_string());
        assert_eq!(made.status, 201, "{made:?}");
        name
    }

    /// All runs, the newest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let listed = self.server.ask("GET", "/runs?limit=200", &[], "").json();
        listed["items"].as_array().expect("a list").clone()
    }

    pub(crate) fn tar(&self, run: &str) -> Vec<u8> {
        let answer: Answer = self.server.ask("GET", &format!("/runs/{run}/bundle.tar"), &[], "");
        assert_eq!(answer.status, 200, "{} {}", answer.head, String::from_utf8_lossy(&answer.body));
        answer.body
    }
}

/// What a server is told that leaves all tasks to workers.
fn no_tasks(place: &[String]) -> Vec<&str> {
    let alone = ["--workers", "0", "--gc-minutes", "0"];
    alone.into_iter().chain(place.iter().map(String::as_str)).collect()
}

/// Takes the samples into a ledger, and one record that is too large to be sent to a bucket at once.
pub(crate) fn evidence(ledger: &str) {
    let dir = stella_testkit::temp_dir();
    let store = Store::at(dir.path()).with_database(ledger);
    ingest_into(&store);
    ingest_large(&store, LARGE);
}
