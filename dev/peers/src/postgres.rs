//! A PostgreSQL server of a test's own: a new cluster in a temporary folder, which goes with it.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(60);

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are told, and what they have not committed is taken back.
    Fast,
    /// As in a crash: the next start recovers from the log.
    Immediate,
}

impl Stop {
    fn mode(self) -> &'static str {
        match self {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        }
    }
}

/// A running server, reached through a socket in a folder, without a password.
pub struct Postgres {
    server: Child,
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Starts a server; `None` means that the test is skipped and has said so.
    ///
    /// # Panics
    /// As [`stella_testkit::skip`] does, and if a server that is there does not start.
    #[must_use]
    pub fn start() -> Option<Postgres> {
        let Some(programs) = programs() else {
            stella_testkit::skip("the programs of PostgreSQL are missing: install postgresql");
            return None;
        };
        Some(start(programs).expect("PostgreSQL starts"))
    }

    /// Makes a database; gives its address.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        let folder = self.folder.path();
        let mut make = Command::new(self.programs.join("createdb"));
        make.arg("--host").arg(folder).args([
            "--username",
            "postgres",
            "--template",
            "template0",
            name,
        ]);
        run(&mut make).expect("a new database");
        // In a URL a path is a host once its slashes are hidden.
        let host = folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{host}/{name}")
    }

    /// Stops the server as an operator does: sessions are ended, in good order or not.
    ///
    /// # Panics
    /// If it does not stop.
    pub fn stop(&mut self, how: Stop) {
        let mut stop = as_user(&self.programs.join("pg_ctl")).expect("a user to run it as");
        stop.arg("stop").arg("--pgdata").arg(self.folder.path().join("data"));
        run(stop.args(["--silent", "--wait", "--mode", how.mode()])).expect("PostgreSQL stops");
        self.server.wait().expect("a server that was stopped");
    }

    /// Starts the server again that was stopped.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.server = serve(&self.programs, self.folder.path()).expect("PostgreSQL starts again");
    }

    /// Stops the server as a pulled plug would, and starts it again on what is left.
    ///
    /// # Panics
    /// If it does not start.
    pub fn crash(&mut self) {
        self.server.kill().expect("a running server");
        self.server.wait().expect("a server that was killed");
        self.server = serve(&self.programs, self.folder.path()).expect("PostgreSQL starts again");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// The folder of the programs.
fn programs() -> Option<PathBuf> {
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    let told = asked.filter(|output| output.status.success());
    let told = told.and_then(|output| String::from_utf8(output.stdout).ok());
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = of_debian.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.extend(told.map(|folder| PathBuf::from(folder.trim())));
    folders.into_iter().rev().find(|folder| folder.join("initdb").is_file())
}

fn start(programs: PathBuf) -> Result<Postgres> {
    let folder = tempfile::Builder::new().prefix("stella-postgres-").tempdir()?;
    if let Some((user, group)) = other_user()? {
        chown(folder.path(), Some(user), Some(group))?;
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let mut make = as_user(&programs.join("initdb"))?;
    make.arg("--pgdata").arg(folder.path().join("data"));
    make.args(["--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-locale"]);
    run(make.args(["--no-sync", "--no-instructions"]))?;
    let server = serve(&programs, folder.path())?;
    Ok(Postgres { server, programs, folder })
}

/// Starts the server of a folder and waits until it answers.
fn serve(programs: &Path, folder: &Path) -> Result<Child> {
    let mut serve = as_user(&programs.join("postgres"))?;
    serve.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    // What a test writes need not outlive the machine.
    for setting in
        ["listen_addresses=", "fsync=off", "shared_buffers=64MB", "log_min_messages=fatal"]
    {
        serve.args(["-c", setting]);
    }
    let mut server =
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begin = Instant::now();
    loop {
        let mut ask = Command::new(programs.join("pg_isready"));
        if run(ask.arg("--quiet").arg("--host").arg(folder)).is_ok() {
            return Ok(server);
        }
        if let Some(status) = server.try_wait()? {
            bail!("PostgreSQL ended at once: {status}");
        }
        if begin.elapsed() > START {
            server.kill().ok();
            bail!("PostgreSQL does not answer");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The user and group that the server runs as, where that is not the present one: it refuses to run as
/// root.
fn other_user() -> Result<Option<(u32, u32)>> {
    let number = |flag: &str, user: &[&str]| -> Result<u32> {
        let output = Command::new("id").arg(flag).args(user).output()?;
        String::from_utf8(output.stdout)?.trim().parse().context("ask for the user postgres")
    };
    match number("-u", &[])? {
        0 => Ok(Some((number("-u", &["postgres"])?, number("-g", &["postgres"])?))),
        _ => Ok(None),
    }
}

/// A program as the user of the server; it ends with the test, however that ends.
fn as_user(program: &Path) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=KILL");
    if let Some((user, group)) = other_user()? {
        command.args([
            format!("--reuid={user}"),
            format!("--regid={group}"),
            "--clear-groups".into(),
        ]);
    }
    command.arg(program);
    Ok(command)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
}
