//! Libraries of Node, laid into the cache with what they need, and never installed.

use std::process::Command;

use anyhow::Result;

use crate::Peer;
use crate::install::{Unpacked, run};

/// Fetches a library in its version into the cache: all of it or nothing.
pub(crate) fn unpack(peer: &Peer) -> Result<()> {
    let unpacked = Unpacked::new()?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
    npm.arg("--prefix").arg(unpacked.path());
    run(npm.arg(format!("{}@{}", peer.name, peer.version)))?;
    unpacked.keep(peer, peer.version)
}
