//! A PostgreSQL server of a test's own: a new cluster in a temporary folder, which goes with it.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use stella_testkit::Certificate;

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

/// The port of a server that listens nowhere: its socket is named after it.
const NO_PORT: u16 = 5432;

/// A running server, reached through a socket in a folder, without a password.
pub struct Postgres {
    server: Child,
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
}

impl Postgres {
    /// Starts a server; `None` means that the test is skipped and has said so.
    ///
    /// # Panics
    /// As [`stella_testkit::skip`] does, and if a server that is there does not start.
    #[must_use]
    pub fn start() -> Option<Postgres> {
        let programs = programs_or_skip()?;
        let folder = folder(&programs).expect("a folder for a cluster");
        let settings = vec![setting("listen_addresses", "")];
        Some(start(folder, programs, NO_PORT, settings).expect("PostgreSQL starts"))
    }

    /// Starts a server that is also reached at 127.0.0.1, with TLS if it has a certificate; else as
    /// [`start`](Postgres::start).
    ///
    /// # Panics
    /// As [`start`](Postgres::start).
    #[must_use]
    pub fn start_on_network(certificate: Option<&Certificate>) -> Option<Postgres> {
        let programs = programs_or_skip()?;
        let port = free_port().expect("a free port");
        let mut settings = vec![setting("listen_addresses", "127.0.0.1")];
        settings.push(setting("port", &port.to_string()));
        if certificate.is_some() {
            settings.push(setting("ssl", "on"));
        }
        let folder = folder(&programs).expect("a folder for a cluster");
        if let Some(Certificate { certificate, key }) = certificate {
            let data = folder.path().join("data");
            let put = |from: &Path, name: &str| give(from, &data.join(name));
            put(certificate, "server.crt").and_then(|()| put(key, "server.key")).expect("copies");
        }
        Some(start(folder, programs, port, settings).expect("PostgreSQL starts"))
    }

    /// The address of a database of a server on the network, by a name of this machine.
    #[must_use]
    pub fn network_address(&self, host: &str, name: &str) -> String {
        format!("postgres://postgres@{host}:{}/{name}", self.port)
    }

    /// Makes a database; gives its address.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        let folder = self.folder.path();
        let mut make = Command::new(self.programs.join("createdb"));
        make.arg("--host").arg(folder).arg("--port").arg(self.port.to_string()).args([
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
        self.server = self.serve().expect("PostgreSQL starts again");
    }

    /// Stops the server as a pulled plug would, and starts it again on what is left.
    ///
    /// # Panics
    /// If it does not start.
    pub fn crash(&mut self) {
        self.server.kill().expect("a running server");
        self.server.wait().expect("a server that was killed");
        self.server = self.serve().expect("PostgreSQL starts again");
    }

    fn serve(&self) -> Result<Child> {
        serve(&self.programs, self.folder.path(), self.port, &self.settings)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// The folder of the programs.
/// A server that speaks TLS and one that does not, each on the network with one database.
pub struct TlsPair {
    /// The one with TLS.
    pub server: Postgres,
    /// The one without.
    pub plain: Postgres,
    /// What an address says to believe the certificate of the former: `sslrootcert=…`.
    pub own: String,
    /// What it says to believe another one.
    pub foreign: String,
    _certificates: tempfile::TempDir,
}

impl TlsPair {
    const DATABASE: &str = "tls";

    /// Starts both.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    #[must_use]
    pub fn start() -> Option<TlsPair> {
        let dir = stella_testkit::temp_dir();
        let [own, foreign] = ["own", "foreign"].map(|name| Certificate::make(dir.path(), name));
        let server = Postgres::start_on_network(Some(&own))?;
        let plain = Postgres::start_on_network(None)?;
        [&server, &plain].into_iter().for_each(|server| drop(server.database(Self::DATABASE)));
        let roots = |of: &Certificate| format!("sslrootcert={}", of.certificate.display());
        let (own, foreign) = (roots(&own), roots(&foreign));
        Some(TlsPair { server, plain, own, foreign, _certificates: dir })
    }

    /// The address of the database of one of them, by a name of this machine, with what it says of TLS.
    #[must_use]
    pub fn url(server: &Postgres, host: &str, said: &str) -> String {
        format!("{}?{said}", server.network_address(host, Self::DATABASE))
    }
}

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

fn programs_or_skip() -> Option<PathBuf> {
    let programs = programs();
    if programs.is_none() {
        stella_testkit::skip("the programs of PostgreSQL are missing: install postgresql");
    }
    programs
}

/// An argument that sets something.
fn setting(name: &str, value: &str) -> String {
    format!("{name}={value}")
}

/// A port of this machine that is free at this moment.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A new cluster in a folder of its own.
fn folder(programs: &Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("stella-postgres-").tempdir()?;
    if let Some((user, group)) = other_user()? {
        chown(folder.path(), Some(user), Some(group))?;
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let mut make = as_user(&programs.join("initdb"))?;
    make.arg("--pgdata").arg(folder.path().join("data"));
    make.args(["--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-locale"]);
    run(make.args(["--no-sync", "--no-instructions"]))?;
    Ok(folder)
}

/// Copies a file for the server alone.
fn give(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600))?;
    if let Some((user, group)) = other_user()? {
        chown(to, Some(user), Some(group))?;
    }
    Ok(())
}

fn start(
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    settings: Vec<String>,
) -> Result<Postgres> {
    let server = serve(&programs, folder.path(), port, &settings)?;
    Ok(Postgres { server, programs, folder, port, settings })
}

/// Starts the server of a folder and waits until it answers.
fn serve(programs: &Path, folder: &Path, port: u16, settings: &[String]) -> Result<Child> {
    let mut serve = as_user(&programs.join("postgres"))?;
    serve.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    // What a test writes need not outlive the machine.
    let usual = ["fsync=off", "shared_buffers=64MB", "log_min_messages=fatal"];
    for setting in usual.into_iter().chain(settings.iter().map(String::as_str)) {
        serve.args(["-c", setting]);
    }
    let mut server =
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begin = Instant::now();
    loop {
        let mut ask = Command::new(programs.join("pg_isready"));
        ask.arg("--quiet").arg("--host").arg(folder).arg("--port").arg(port.to_string());
        if run(&mut ask).is_ok() {
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
