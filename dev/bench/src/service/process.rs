//! Servers under measurement, as processes, and what they use.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Ticks of the processor's clock in a second, as /proc counts them on every Linux.
const TICKS: f64 = 100.0;

/// A server that ends with this program.
pub(super) struct Process {
    child: Child,
    pub(super) address: String,
}

impl Process {
    /// Starts a server and waits until it says where it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn saying(command: &mut Command) -> Result<(Process, Vec<String>)> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("start a server")?;
        let mut said = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().context("its output")?);
        let address = loop {
            let line = next_line(&mut lines)?;
            let address = line.split_once("://").and_then(|(_, rest)| rest.split('/').next());
            let address = address.filter(|_| line.starts_with("Export Center")).map(str::to_owned);
            said.push(line);
            if let Some(address) = address {
                break address;
            }
        };
        // What it says later goes nowhere, and must not block it.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok((Process { child, address }, said))
    }

    /// Starts a process that says nothing and listens nowhere.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn silent(command: &mut Command) -> Result<Process> {
        let child = command.stdout(Stdio::null()).spawn().context("start a worker")?;
        Ok(Process { child, address: String::new() })
    }

    /// Starts a server and waits until its address answers.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn listening(command: &mut Command, address: String) -> Result<Process> {
        let child = command.stdout(Stdio::null()).spawn().context("start a server")?;
        let mut process = Process { child, address };
        let begun = Instant::now();
        while std::net::TcpStream::connect(&process.address).is_err() {
            if let Some(status) = process.child.try_wait()? {
                bail!("the server ended at once: {status}");
            }
            anyhow::ensure!(
                begun.elapsed() < Duration::from_secs(10),
                "the server does not answer"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(process)
    }

    /// The process and its children.
    fn family(&self) -> Vec<u32> {
        let parent = self.child.id();
        let mut family = vec![parent];
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for number in processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            if stat(number).is_some_and(|stat| stat.get(1) == Some(&parent.to_string())) {
                family.push(number);
            }
        }
        family
    }

    /// CPU-seconds that it and its children used up to now.
    pub(super) fn cpu(&self) -> f64 {
        let ticks = |number: &u32| -> f64 {
            let stat = stat(*number).unwrap_or_default();
            let field = |at: usize| stat.get(at).and_then(|text| text.parse().ok()).unwrap_or(0.0);
            field(11) + field(12)
        };
        self.family().iter().map(ticks).sum::<f64>() / TICKS
    }

    /// Bytes of memory that it has now, and had at most.
    pub(super) fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            number.unwrap_or(0) << 10
        };
        (line("VmRSS:"), line("VmHWM:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx's children end with their parent when it is asked to, not when it is killed.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        if asked.is_err() {
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}

fn next_line(lines: &mut BufReader<ChildStdout>) -> Result<String> {
    let mut line = String::new();
    lines.read_line(&mut line).context("read what the server says")?;
    anyhow::ensure!(!line.is_empty(), "the server ended before it said where it listens");
    Ok(line.trim_end().to_owned())
}

/// The fields of a process after its name, which may have spaces in it: its state first.
fn stat(number: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// nginx with a folder of files: as many workers as processors, sendfile, nothing logged.
///
/// # Errors
/// If it is not there or does not start.
pub(super) fn nginx(folder: &Path, port: u16, tls: Option<(&Path, &Path)>) -> Result<Process> {
    let peer = stella_peers::Peer::find("nginx", "1.22.1").context("nginx is in the table")?;
    let program = peer.installed().context("nginx is missing: cargo xtask peers nginx@1.22.1")?;
    let shown = folder.display();
    let (listen, keys) = match tls {
        Some((certificate, key)) => (
            format!("127.0.0.1:{port} ssl"),
            format!(
                "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;",
                certificate.display(),
                key.display()
            ),
        ),
        None => (format!("127.0.0.1:{port}"), String::new()),
    };
    let config = format!(
        "worker_processes auto; pid {shown}/nginx.pid; error_log {shown}/nginx.log; daemon off;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; sendfile on; keepalive_requests 1000000000;\n\
         client_body_temp_path {shown}/t1; proxy_temp_path {shown}/t2; fastcgi_temp_path {shown}/t3;\n\
         uwsgi_temp_path {shown}/t4; scgi_temp_path {shown}/t5;\n\
         server {{ listen {listen}; {keys} root {shown}; }} }}\n"
    );
    // Its workers may not be allowed to read the folders of root.
    let user = if nix::unistd::Uid::effective().is_root() { "user root;\n" } else { "" };
    let file = folder.join("nginx.conf");
    fs::write(&file, format!("{user}{config}")).context("write the configuration of nginx")?;
    let mut command = Command::new(program);
    command.arg("-e").arg(folder.join("nginx.log")).arg("-c").arg(&file).arg("-p").arg(folder);
    Process::listening(&mut command, format!("127.0.0.1:{port}"))
}
