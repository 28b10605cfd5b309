//! A stand-in for AWS of a test's own: moto, spoken to by Amazon's own library for Python.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::install::output;
use crate::python::python;

/// How long the server may take to answer.
const START: Duration = Duration::from_secs(60);

/// The version in the table.
const VERSION: &str = "5.2.5";

/// A running server.
pub struct Moto {
    server: Child,
    port: u16,
}

impl Moto {
    /// Starts a server; `None` means that the test is skipped and has said so.
    ///
    /// # Panics
    /// As [`stella_testkit::skip`] does, and if a server that is there does not start.
    #[must_use]
    pub fn start() -> Option<Moto> {
        let library = python("moto", VERSION)?;
        // Free now; that another takes it at once is not to be expected.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        // It ends with the test, however that ends.
        let mut serve = Command::new("setpriv");
        serve.arg("--pdeathsig=KILL").arg(library.get_program());
        for (name, value) in library.get_envs() {
            serve.env(name, value.unwrap_or_default());
        }
        serve.args(["-c", "from moto.server import main; main()", "-p", &port.to_string()]);
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut moto = Moto { server: serve.spawn().expect("setpriv and python3"), port };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = moto.server.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "moto ended at once: {ended:?}");
            assert!(begin.elapsed() < START, "moto does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    /// The address of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a few lines of Python print that have a client of KMS as `kms`.
    ///
    /// # Panics
    /// If they fail.
    #[must_use]
    pub fn kms(&self, lines: &str) -> String {
        let mut ask = python("moto", VERSION).expect("it was there at the start");
        let client = format!(
            "import boto3\nkms = boto3.client('kms', endpoint_url='{}', region_name='eu-west-1',\n    \
             aws_access_key_id='test', aws_secret_access_key='test')\n{lines}\n",
            self.url()
        );
        output(ask.args(["-c", &client])).expect("boto3").trim().to_owned()
    }

    /// Makes a key and gives its id.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn signing_key(&self, spec: &str) -> String {
        self.kms(&format!(
            "made = kms.create_key(KeySpec='{spec}', KeyUsage='SIGN_VERIFY')\n\
             print(made['KeyMetadata']['KeyId'])"
        ))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
