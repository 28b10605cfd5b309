//! Certificates of servers, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A certificate that signs itself, and its key, in files: who believes it believes nothing else.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one for 127.0.0.1 in a folder.
    ///
    /// # Panics
    /// If openssl is not there or fails.
    #[must_use]
    pub fn make(folder: &Path, name: &str) -> Certificate {
        let file = |end: &str| folder.join(format!("{name}.{end}"));
        let made = Certificate { certificate: file("crt"), key: file("key") };
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "2", "-subj", "/CN=test"]);
        openssl.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-keyout").arg(&made.key).arg("-out").arg(&made.certificate);
        assert!(openssl.output().expect("openssl runs").status.success());
        made
    }
}
