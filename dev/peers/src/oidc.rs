//! An identity provider of a test's own: oidc-provider, which is certified for OpenID Connect.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the provider may take to answer.
const START: Duration = Duration::from_secs(60);

/// The version in the table.
const VERSION: &str = "9.13.3";

/// A running provider.
pub struct OidcProvider {
    server: Child,
    library: PathBuf,
    port: u16,
}

impl OidcProvider {
    /// Starts a provider; `None` means that the test is skipped and has said so.
    ///
    /// # Panics
    /// As [`stella_testkit::skip`] does, and if a provider that is there does not start.
    #[must_use]
    pub fn start() -> Option<OidcProvider> {
        let main = crate::program("oidc-provider", VERSION)?;
        let library = main.ancestors().nth(3)?.to_owned();
        // Free now; that another takes it at once is not to be expected.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let server = serve(&library, port);
        Some(OidcProvider { server, library, port })
    }

    /// What it is called in its tokens.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Replaces all of its keys.
    ///
    /// # Panics
    /// If it does not start again.
    pub fn rotate(&mut self) {
        self.server.kill().expect("a running provider");
        self.server.wait().expect("a provider that was killed");
        self.server = serve(&self.library, self.port);
    }

    /// A token of the client `ada` for the audience `export-center`, signed with an algorithm, that has
    /// these roles in the tenant `local`.
    ///
    /// # Panics
    /// If the provider does not give one.
    #[must_use]
    pub fn token(&self, algorithm: &str, roles: &str) -> String {
        let body = format!(
            "grant_type=client_credentials&client_id=ada&client_secret=a+secret+of+no+worth\
             &resource=urn:export-center:{algorithm}&scope={}",
            roles.replace(' ', "+")
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connects");
        let head = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close";
        let length = body.len();
        write!(
            stream,
            "POST /token HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}",
            self.port
        )
        .expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("is answered");
        let (_, rest) =
            answer.split_once("\"access_token\":\"").unwrap_or_else(|| panic!("{answer}"));
        rest.split('"').next().expect("a token").to_owned()
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn serve(library: &PathBuf, port: u16) -> Child {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/oidc-provider/serve.mjs");
    // It ends with the test, however that ends.
    let mut serve = Command::new("setpriv");
    serve.args(["--pdeathsig=KILL", "node", program]).arg(library).arg(port.to_string());
    serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = serve.spawn().expect("setpriv and node");
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = server.try_wait().expect("a child of ours");
        assert!(ended.is_none(), "the provider ended at once: {ended:?}");
        assert!(begin.elapsed() < START, "the provider does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}
