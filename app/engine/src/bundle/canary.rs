//! The canary: a real scanner is given the database, and must find what was planted.
//!
//! The scanner runs in a folder of its own, without the settings of whoever runs it: a severity
//! filter in its environment or an ignore file beside it would make it miss what it should find.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use stella_model::screen::Safe;
use stella_model::{ErrorCode, Instant as Time};
use stella_verify::{
    Canary, CanaryOutcome, CanaryScan, Problem, SkipReason, Skipped, TrivyVersion,
};
use tempfile::TempDir;

use crate::run::cache_metadata;
use crate::{Cancel, EngineError};

/// A scanner to try with a database.
#[derive(Debug, Clone)]
pub struct CanaryRequest {
    /// The program: Trivy.
    pub program: PathBuf,
    /// How long one scan may take.
    pub timeout: Duration,
}

/// Largest report that is read.
const REPORT_BYTES: u64 = 64 << 20;

/// How much of what a scanner complains of is shown.
const COMPLAINT_BYTES: usize = 400;

/// How often a scan is looked after.
const PAUSE: Duration = Duration::from_millis(20);

/// The first version of Trivy that knows the flags against its questions to the internet.
const QUIET_SINCE: TrivyVersion = (0, 60, 0);

/// A program that said that it is Trivy.
pub(super) struct Scanner {
    program: PathBuf,
    version: String,
    timeout: Duration,
}

impl Scanner {
    /// Asks a program for its version.
    pub(super) fn find(request: &CanaryRequest) -> Result<Scanner, EngineError> {
        let shown = Safe(&request.program.to_string_lossy()).to_string();
        // Within its own folder a name without a folder would not be found.
        let program = match request.program.components().count() {
            1 => request.program.clone(),
            _ => std::path::absolute(&request.program).unwrap_or_else(|_| request.program.clone()),
        };
        let home = folder()?;
        let mut scanner = Scanner { program, version: String::new(), timeout: request.timeout };
        let mut command = scanner.command(home.path());
        command.arg("--version");
        let run = scanner.run(command, home.path(), &Cancel::default())?;
        let text = run.output.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let version = text.lines().find_map(|line| line.strip_prefix("Version: "));
        let version = version.map(str::trim).filter(|version| numbers(version).is_some());
        match version.filter(|_| run.status.success()) {
            Some(version) => {
                scanner.version = version.to_owned();
                Ok(scanner)
            }
            None => Err(EngineError::new(ErrorCode::Usage, format!("{shown} is not Trivy"))
                .hint("--scanner names the program; its --version must tell a version of Trivy")),
        }
    }

    /// Lets the scanner look for everything that was planted.
    pub(super) fn look_for(
        &self,
        canary: &Canary,
        database: Option<&mut File>,
        now: Time,
        cancel: &Cancel,
    ) -> Result<CanaryOutcome, EngineError> {
        let Some(database) = database else {
            return Ok(CanaryOutcome::NothingPlanted("the bundle has no database".to_owned()));
        };
        let canary = canary.known_to(numbers(&self.version).unwrap_or_default());
        let skipped = skipped(canary.skipped());
        if canary.scans().is_empty() {
            let detail = format!("the database has no advisory that can be planted{skipped}");
            return Ok(CanaryOutcome::NothingPlanted(detail));
        }
        let home = folder()?;
        fill_cache(&home.path().join("cache/db"), database, now).map_err(not_prepared)?;
        let mut problems = Vec::new();
        for scan in canary.scans() {
            cancel.check()?;
            problems.extend(self.scan(scan, home.path(), cancel)?);
        }
        if !problems.is_empty() {
            return Ok(CanaryOutcome::Wrong(problems));
        }
        let (vulnerable, unaffected) = (canary.vulnerable(), canary.unaffected());
        Ok(CanaryOutcome::Found(format!(
            "Trivy {} finds {vulnerable} of {vulnerable}, none of {unaffected} unaffected{skipped}",
            Safe(&self.version)
        )))
    }

    fn scan(
        &self,
        scan: &CanaryScan,
        home: &Path,
        cancel: &Cancel,
    ) -> Result<Vec<Problem>, EngineError> {
        fs::write(home.join("canary.cdx.json"), scan.sbom()).map_err(not_prepared)?;
        let mut command = self.command(home);
        command.args(["sbom", "--skip-db-update", "--skip-java-db-update", "--offline-scan"]);
        command.args(["--cache-dir", "cache", "--format", "json", "--scanners", "vuln"]);
        if numbers(&self.version).is_some_and(|version| version >= QUIET_SINCE) {
            command.args(["--skip-version-check", "--disable-telemetry"]);
        }
        command.arg("canary.cdx.json");
        let run = self.run(command, home, cancel)?;
        let failed = |what: String| {
            let message = format!("the scanner {what} ({})", scan.name());
            vec![Problem::new(message).expected("a report", last_words(&run.complaints))]
        };
        if !run.status.success() {
            return Ok(failed(format!("ended with {}", run.status)));
        }
        let Some(report) = run.output else {
            return Ok(failed("wrote more than any report has".to_owned()));
        };
        Ok(scan.judge(&report).unwrap_or_else(|error| failed(format!("wrote no report: {error}"))))
    }

    /// The program in a folder of its own, with nothing of the settings around it.
    fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().to_ascii_uppercase().starts_with("TRIVY_") {
                command.env_remove(name);
            }
        }
        for folder in ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"] {
            command.env(folder, home);
        }
        command.current_dir(home).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end, or to that of the time it is given.
    fn run(&self, mut command: Command, home: &Path, cancel: &Cancel) -> Result<Run, EngineError> {
        let file = |name: &str| File::create(home.join(name)).map_err(not_prepared);
        command.stdout(file("stdout")?).stderr(file("stderr")?);
        let shown = Safe(&self.program.to_string_lossy()).to_string();
        let child = command.spawn().map_err(|error| {
            let code = ErrorCode::of_reading(error.kind());
            EngineError::new(code, format!("the scanner {shown} cannot be run"))
                .because(error)
                .hint("--scanner takes the path of the program, such as /usr/bin/trivy")
        })?;
        let status = self.wait(child, cancel)?;
        let read = |name: &str| read_bounded(&home.join(name)).map_err(not_prepared);
        Ok(Run { status, output: read("stdout")?, complaints: read("stderr")?.unwrap_or_default() })
    }

    fn wait(&self, mut child: Child, cancel: &Cancel) -> Result<ExitStatus, EngineError> {
        let begun = Instant::now();
        loop {
            let ended = child.try_wait().map_err(|error| {
                EngineError::new(ErrorCode::Io, "cannot wait for the scanner").because(error)
            })?;
            if let Some(status) = ended {
                return Ok(status);
            }
            let late = begun.elapsed() >= self.timeout;
            if late || cancel.is_set() {
                // It may have ended by itself meanwhile.
                child.kill().ok();
                child.wait().ok();
                cancel.check()?;
                let seconds = self.timeout.as_secs();
                let message = format!("the scanner did not end within {seconds} s");
                return Err(EngineError::new(ErrorCode::Timeout, message).hint(
                    "give it more time with --scanner-timeout, or look for what it waits for",
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// What nothing was planted of, with the reasons.
fn skipped(skipped: &[Skipped]) -> String {
    let mut by_reason: BTreeMap<SkipReason, Vec<&str>> = BTreeMap::new();
    for Skipped { reason, name } in skipped {
        by_reason.entry(*reason).or_default().push(name);
    }
    let tell = |(reason, names): (SkipReason, Vec<&str>)| {
        format!("; nothing planted of {} ({reason})", names.join(", "))
    };
    by_reason.into_iter().map(tell).collect()
}

/// What a command gave.
struct Run {
    status: ExitStatus,
    /// `None` if it is larger than any report.
    output: Option<Vec<u8>>,
    complaints: Vec<u8>,
}

fn folder() -> Result<TempDir, EngineError> {
    tempfile::tempdir().map_err(not_prepared)
}

fn not_prepared(error: io::Error) -> EngineError {
    EngineError::new(ErrorCode::Io, "cannot prepare the folder in which the scanner runs")
        .because(error)
}

/// Writes the database where Trivy looks for it, as if it had just been downloaded.
fn fill_cache(folder: &Path, database: &mut File, now: Time) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    database.seek(SeekFrom::Start(0))?;
    io::copy(database, &mut File::create(folder.join("trivy.db"))?)?;
    fs::write(folder.join("metadata.json"), cache_metadata(now))
}

fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > REPORT_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(REPORT_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The end of what a scanner complained of: what comes last is why it gave up.
fn last_words(complaints: &[u8]) -> String {
    let start = complaints.len().saturating_sub(COMPLAINT_BYTES);
    let text = String::from_utf8_lossy(&complaints[start..]);
    match text.trim() {
        "" => "nothing".to_owned(),
        text => text.to_owned(),
    }
}

/// The numbers of a version, without what follows them.
fn numbers(version: &str) -> Option<TrivyVersion> {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let patch = parts.next().unwrap_or_default();
    let end = patch.find(|c: char| !c.is_ascii_digit()).unwrap_or(patch.len());
    Some((major, minor, patch[..end].parse().unwrap_or_default()))
}
