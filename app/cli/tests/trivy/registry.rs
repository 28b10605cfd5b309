//! A registry on a free port of this machine.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Trivy;
use crate::support::Stella;

/// A registry, and the program that copies from an image layout to it.
pub(crate) struct Peers {
    registry: Registry,
    oras: PathBuf,
}

impl Peers {
    /// Starts an empty registry in the folder of a store; nothing if one of the programs is missing.
    pub(crate) fn start(stella: &Stella) -> Option<Peers> {
        let oras = stella_peers::program("oras", "1.2.0")?;
        let program = stella_peers::program("docker-registry", "2.8.2")?;
        Some(Peers { registry: Registry::start(&program, &stella.path(".")), oras })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.registry.address()
    }
}

/// What the commands of a page find in the variables of the shell.
pub(crate) struct Pull<'a> {
    pub(crate) stella: &'a Stella,
    pub(crate) peers: &'a Peers,
    pub(crate) trivy: &'a Trivy,
    /// The registry as the commands name it.
    pub(crate) address: &'a str,
    /// Name of the cache folder.
    pub(crate) cache: &'a str,
    /// What is scanned.
    pub(crate) scanned: &'a Path,
}

impl Pull<'_> {
    /// Runs commands in the folder of a bundle; what they print.
    pub(crate) fn run(&self, commands: &str, bundle: &Path) -> String {
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let programs = [&self.peers.oras, &self.trivy.program];
        let own = programs.map(|program| program.parent().expect("a folder").to_owned());
        let path = own.into_iter().chain(std::env::split_paths(&usual));
        let path = PathBuf::from(std::env::join_paths(path).expect("a path"));
        let variables: [(&str, &Path); 5] = [
            ("PATH", &path),
            ("HOME", &self.stella.path("home")),
            ("REGISTRY", Path::new(self.address)),
            ("CACHE", &self.stella.path(self.cache)),
            ("SCANNED", self.scanned),
        ];
        super::run(commands, bundle, &variables)
    }
}

/// A running registry; stopped when dropped.
pub(crate) struct Registry {
    process: Child,
    host: Ipv4Addr,
    port: u16,
}

impl Registry {
    /// Starts an empty one on the loopback that keeps its files in a folder.
    pub(crate) fn start(program: &Path, folder: &Path) -> Registry {
        Registry::start_at(Ipv4Addr::LOCALHOST, program, folder)
    }

    /// Starts one at an address of this machine.
    pub(crate) fn start_at(host: Ipv4Addr, program: &Path, folder: &Path) -> Registry {
        let port = free_port(host);
        let config = folder.join("registry.yml");
        let files = folder.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '{host}:{port}'}}\n",
            files.display()
        );
        fs::write(&config, text).expect("writable");
        let mut command = Command::new(program);
        command.arg("serve").arg(&config).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Registry { process: command.spawn().expect("a registry"), host, port };
        let begin = Instant::now();
        while TcpStream::connect((host, port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(30), "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// A port that is free. None that the system gives to clients: one that asks whether the registry
/// listens could be given the very port, and be connected with itself.
fn free_port(host: Ipv4Addr) -> u16 {
    let first = std::process::id() % 10_000;
    let mut ports = (0..10_000).map(|more| (20_000 + (first + more) % 10_000) as u16);
    ports.find(|port| TcpListener::bind((host, *port)).is_ok()).expect("a free port")
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
