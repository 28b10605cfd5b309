//! Libraries of Python, laid into the cache with what they need, and never installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::Peer;
use crate::install::{Unpacked, run};

/// Fetches a library in its version, and others with it, into the cache: all of it or nothing.
pub(crate) fn unpack(peer: &Peer, with: &[&str]) -> Result<()> {
    let unpacked = Unpacked::new()?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args(["--no-cache-dir", "--only-binary=:all:", "--target"]).arg(unpacked.path());
    run(pip.arg(format!("{}=={}", peer.name, peer.version)).args(with))?;
    unpacked.keep(peer, peer.version)
}

/// Python with a library of the table; `None` means that the test is skipped and has said so.
///
/// # Panics
/// As [`crate::program`].
#[must_use]
pub fn python(name: &str, version: &str) -> Option<Command> {
    let library: PathBuf = crate::program(name, version)?;
    let folder = library.ancestors().nth(2)?;
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", folder).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}
