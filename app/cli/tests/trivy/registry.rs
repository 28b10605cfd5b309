//! A registry on a free port of this machine.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
