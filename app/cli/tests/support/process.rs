//! The program as a child process.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The program with a store of its own, in a folder that is removed in the end.
pub(crate) struct Stella {
    folder: TempDir,
    store: PathBuf,
    env: Vec<(String, String)>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Largest resident set that was seen, in bytes.
    pub(crate) peak_bytes: u64,
    pub(crate) took: Duration,
}

impl Outcome {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }

    /// Fails unless the call ended with a code.
    pub(crate) fn expect(self, code: i32) -> Outcome {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

impl Stella {
    pub(crate) fn new() -> Stella {
        let folder = stella_testkit::temp_dir();
        let store = folder.path().join("store");
        Stella { folder, store, env: Vec::new() }
    }

    /// Sets a variable for all calls.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Stella {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// Writes a file in the folder.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// Puts a copy of another store in place of this one.
    pub(crate) fn take_store(&self, from: &Path) {
        if self.store.exists() {
            fs::remove_dir_all(&self.store).expect("the store can be removed");
        }
        copy(from, &self.store);
    }

    /// Runs the program to its end.
    pub(crate) fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Outcome {
        self.start(arguments).wait()
    }

    /// Runs the program, which must succeed, and gives its JSON.
    pub(crate) fn json<S: AsRef<str>>(&self, arguments: &[S]) -> Value {
        let mut words = vec!["-o", "json"];
        words.extend(arguments.iter().map(AsRef::as_ref));
        self.run(&words).expect(0).json()
    }

    /// Starts the program.
    pub(crate) fn start<S: AsRef<str>>(&self, arguments: &[S]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stella"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STELLA_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("STELLA_KEY_PASSWORD", "only for tests")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .args(["--progress", "none", "--store"])
            .arg(&self.store)
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = drain(child.stdout.take().expect("piped"));
        let stderr = drain(child.stderr.take().expect("piped"));
        Running { child, stdout, stderr, started: Instant::now() }
    }
}

/// A started call. Its standard input is open until [`Running::wait`].
pub(crate) struct Running {
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    started: Instant,
}

impl Running {
    /// Hands standard input to a writer on a thread of its own. A program that stops reading makes
    /// the writer fail, which is allowed.
    pub(crate) fn feed(
        mut self,
        write: impl FnOnce(&mut ChildStdin) -> std::io::Result<()> + Send + 'static,
    ) -> Running {
        let mut stdin = self.child.stdin.take().expect("standard input was not taken yet");
        std::thread::spawn(move || write(&mut stdin).and_then(|()| stdin.flush()).ok());
        self
    }

    /// Kills the program with no chance to clean up, once `after` has passed since its start.
    /// Whether it was still running then.
    pub(crate) fn kill(mut self, after: Duration) -> bool {
        drop(self.child.stdin.take());
        std::thread::sleep(after.saturating_sub(self.started.elapsed()));
        let running = self.child.try_wait().expect("a child of ours").is_none();
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
        running
    }

    /// Waits for the end and watches the memory meanwhile.
    pub(crate) fn wait(mut self) -> Outcome {
        drop(self.child.stdin.take());
        let mut peak_bytes = 0;
        let status = loop {
            peak_bytes = peak_bytes.max(high_water_mark(self.child.id()));
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                break status;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let text = |reader: JoinHandle<Vec<u8>>| {
            String::from_utf8(reader.join().expect("the reader")).expect("output is UTF-8")
        };
        Outcome {
            code: status.code(),
            stdout: text(self.stdout),
            stderr: text(self.stderr),
            peak_bytes,
            took: self.started.elapsed(),
        }
    }
}

/// The kernel's own record of the largest resident set; 0 where there is none.
fn high_water_mark(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn drain(mut from: impl std::io::Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("output can be read");
        bytes
    })
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder for the copy");
    for entry in fs::read_dir(from).expect("a store") {
        let entry = entry.expect("a store");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a store").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}
