//! A service, with evidence and a client of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use stella_peers::SeaweedFs;

use super::load::{Client, Target};
use super::process::Process;

/// Where the interface begins.
const BASE: &str = "/api/export/v1";

/// How long a run may take.
const LONGEST: Duration = Duration::from_secs(600);

/// A data directory, and what is needed to serve it.
pub(super) struct Place {
    data: PathBuf,
    program: PathBuf,
    /// Where catalog, ledger and depot are, if not in the data directory.
    options: Vec<String>,
    token: String,
}

impl Place {
    /// A data directory, whatever is in it, and a first start of the service on it.
    ///
    /// # Errors
    /// If the service does not start.
    pub(super) fn new(program: &Path, data: PathBuf, options: &[&str]) -> Result<Place> {
        let program = program.to_owned();
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut place = Place { data, program, options, token: String::new() };
        std::fs::create_dir_all(&place.data)?;
        let migrated =
            place.command("migrate", &place.data).output().context("start export-center")?;
        anyhow::ensure!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let (_, said) = place.start(&[])?;
        let told = said.iter().find_map(|line| line.strip_prefix("Token of the administrator"));
        let token = told.and_then(|line| line.rsplit(' ').next()).context("a first token")?;
        place.token = token.to_owned();
        Ok(place)
    }

    fn command(&self, verb: &str, data: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(verb).arg("--data").arg(data).args(["--log", "error"]);
        let is_migration = verb == "migrate";
        // Migrations know nothing of depots.
        let options = self.options.iter().take(if is_migration { 4 } else { usize::MAX });
        command.args(options).envs(SeaweedFs::CREDENTIALS).stdin(Stdio::null());
        command
    }

    fn start(&self, more: &[&str]) -> Result<(Process, Vec<String>)> {
        let mut command = self.command("serve", &self.data);
        // No client of a measurement is to be held back.
        command.args(["--listen", "127.0.0.1:0", "--unsigned-for-testing", "--rate", "1000000"]);
        Process::saying(command.args(more).stderr(Stdio::inherit()))
    }

    /// Starts the service.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn serve(&self, more: &[&str]) -> Result<Process> {
        self.start(more).map(|(process, _)| process)
    }

    /// Starts a worker beside it, with a data directory of its own.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn worker(&self, data: &Path) -> Result<Process> {
        let mut command = self.command("worker", data);
        command.args(["--unsigned-for-testing", "--workers", "1"]);
        Process::silent(&mut command)
    }

    /// Something of the interface.
    pub(super) fn target(&self, server: &Process, path: &str) -> Target {
        Target {
            address: server.address.clone(),
            path: format!("{BASE}{path}"),
            head: format!("Authorization: Bearer {}\r\n", self.token),
            tls: None,
        }
    }

    /// Sends something and gives the answer, which has to be a success.
    fn send(&self, server: &Process, path: &str, kind: &str, body: &[u8]) -> Result<Value> {
        let mut client = Client::connect(&self.target(server, path))?;
        client.send("POST", &format!("Content-Type: {kind}\r\n"), body)?;
        let mut answer = Vec::new();
        let (status, _) = client.answer(&mut answer)?;
        anyhow::ensure!(status < 300, "{status}: {}", String::from_utf8_lossy(&answer));
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Takes evidence into a feed.
    ///
    /// # Errors
    /// If it is not taken.
    pub(super) fn take_in(&self, server: &Process, feed: &str, evidence: &[u8]) -> Result<()> {
        let path = format!("/feeds/{feed}/records");
        self.send(server, &path, "application/octet-stream", evidence).map(drop)
    }

    /// Reads something.
    ///
    /// # Errors
    /// If it is not there.
    pub(super) fn get(&self, server: &Process, path: &str) -> Result<Value> {
        let mut body = Vec::new();
        Client::connect(&self.target(server, path))?.keep(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Asks for a run; gives its name.
    ///
    /// # Errors
    /// If it is not accepted.
    pub(super) fn ask_for(&self, server: &Process, order: &Value) -> Result<String> {
        let run = self.send(server, "/runs", "application/json", order.to_string().as_bytes())?;
        Ok(run["id"].as_str().context("a run")?.to_owned())
    }

    /// Waits until a run has succeeded.
    ///
    /// # Errors
    /// If it does not.
    pub(super) fn wait(&self, server: &Process, run: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let run = self.get(server, &format!("/runs/{run}"))?;
            match run["status"].as_str() {
                Some("succeeded") => return Ok(()),
                Some("queued" | "running" | "retrying") if begun.elapsed() < LONGEST => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => bail!("the run did not succeed: {run}"),
            }
        }
    }

    /// Fetches the bundle of a run as a tar; gives its size.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub(super) fn fetch(&self, server: &Process, run: &str, to: &Path) -> Result<u64> {
        let path = format!("/runs/{run}/bundle.tar");
        let mut client = Client::connect(&self.target(server, &path))?;
        client.keep(&mut File::create(to)?)
    }
}
