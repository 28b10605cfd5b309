//! S3-compatible storage of a test's own: SeaweedFS with all of its parts in one process.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to answer.
const START: Duration = Duration::from_secs(60);

/// How often it is started: somebody may have taken a port that was free.
const TRIES: usize = 3;

/// The version in the table.
const VERSION: &str = "4.48";

/// Who may do everything.
const CONFIG: &str = r#"{"identities": [{"name": "test", "actions": ["Admin"],
    "credentials": [{"accessKey": "test-key", "secretKey": "test-secret"}]}]}"#;

/// A running server with an empty bucket. It keeps its objects in a temporary folder, which goes with
/// it.
pub struct SeaweedFs {
    server: Child,
    s3: u16,
    /// Where files are written and read without S3.
    filer: u16,
    folder: tempfile::TempDir,
}

impl SeaweedFs {
    /// The bucket.
    pub const BUCKET: &'static str = "evidence";

    /// What a client needs in its environment to be let in.
    pub const CREDENTIALS: [(&'static str, &'static str); 3] = [
        ("AWS_ACCESS_KEY_ID", "test-key"),
        ("AWS_SECRET_ACCESS_KEY", "test-secret"),
        ("AWS_REGION", "us-east-1"),
    ];

    /// Starts a server; `None` means that the test is skipped and has said so.
    ///
    /// # Panics
    /// As [`stella_testkit::skip`] does, and if a server that is there does not start.
    #[must_use]
    pub fn start() -> Option<SeaweedFs> {
        let program = crate::program("weed", VERSION)?;
        for _ in 0..TRIES {
            let mut weed = SeaweedFs::launch(&program);
            if weed.has_bucket() {
                return Some(weed);
            }
        }
        panic!("weed ended at once, {TRIES} times");
    }

    fn launch(program: &Path) -> SeaweedFs {
        let folder = tempfile::Builder::new().prefix("stella-weed-").tempdir();
        let folder = folder.expect("a temporary folder");
        let config = folder.path().join("s3.json");
        std::fs::write(&config, CONFIG).expect("is written");
        let ports = free_ports();
        // It ends with the test, however that ends.
        let mut serve = Command::new("setpriv");
        serve.arg("--pdeathsig=KILL").arg(program).args(["server", "-s3", "-filer"]);
        serve.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]);
        serve.args(["-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3.iam=false"]);
        serve.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let parts = ["master", "volume", "filer", "s3"].into_iter().zip(ports.chunks(2));
        for (part, ports) in parts {
            serve.arg(format!("-{part}.port={}", ports[0]));
            serve.arg(format!("-{part}.port.grpc={}", ports[1]));
        }
        serve.arg(format!("-s3.config={}", config.display()));
        serve.arg(format!("-dir={}", folder.path().display())).current_dir(folder.path());
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = serve.spawn().expect("setpriv and weed");
        SeaweedFs { server, s3: ports[6], filer: ports[4], folder }
    }

    /// Waits until everything answers, and makes the bucket; whether it did not end before.
    fn has_bucket(&mut self) -> bool {
        let begin = Instant::now();
        let folder = format!("/buckets/{}/", SeaweedFs::BUCKET);
        loop {
            let answers = TcpStream::connect(("127.0.0.1", self.s3)).is_ok();
            // A file that can be written shows that there is a volume for it.
            if answers
                && self.ask("POST", &folder, b"").is_some_and(|(status, _)| status < 300)
                && self.ask("PUT", &format!("{folder}tried"), b"x").is_some_and(|(s, _)| s < 300)
            {
                self.remove("tried");
                return true;
            }
            if self.server.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            assert!(begin.elapsed() < START, "weed does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The address of the server for clients of S3.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3)
    }

    /// Where clients of S3 reach it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.s3
    }

    /// The bytes of an object, read without S3; none if it is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let (status, body) = self.ask("GET", &path(name), b"")?;
        (status == 200).then_some(body)
    }

    /// Replaces or makes an object behind the back of everybody.
    ///
    /// # Panics
    /// If the server does not do it.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let answer = self.ask("PUT", &path(name), bytes).expect("answers");
        assert!(answer.0 < 300, "{} {}", answer.0, String::from_utf8_lossy(&answer.1));
    }

    /// Removes an object, or all below a name that ends with a slash, behind the back of everybody.
    pub fn remove(&self, name: &str) {
        self.ask("DELETE", &format!("{}?recursive=true", path(name)), b"");
    }

    /// Every object below a folder.
    ///
    /// # Panics
    /// If the server does not tell.
    #[must_use]
    pub fn names(&self, folder: &str) -> Vec<String> {
        let listed = format!("{}/?limit=100000", path(folder).trim_end_matches('/'));
        let Some((200, body)) = self.ask("GET", &listed, b"") else { return Vec::new() };
        let listed: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let mut names = Vec::new();
        for entry in listed["Entries"].as_array().into_iter().flatten() {
            let full = entry["FullPath"].as_str().expect("a path");
            let name = full.strip_prefix(&path("")).expect("is in the bucket");
            // Folders have this bit of their mode.
            match entry["Mode"].as_u64().is_some_and(|mode| mode & (1 << 31) != 0) {
                true => names.extend(self.names(name)),
                false => names.push(name.to_owned()),
            }
        }
        names
    }

    /// Asks the part that knows files.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.filer)).ok()?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
        .ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&answer[..end]).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer[end + 4..].to_vec()))
    }

    /// The folder with everything that the server keeps.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn path(name: &str) -> String {
    format!("/buckets/{}/{name}", SeaweedFs::BUCKET)
}

/// Free now; that others take them at once is not to be expected.
fn free_ports() -> Vec<u16> {
    let listeners = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let listeners: Vec<TcpListener> = listeners.collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("is bound").port();
    listeners.iter().map(port).collect()
}
