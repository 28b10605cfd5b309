//! Programs of ours in Go, compiled around the sources of others without a network.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::Peer;
use crate::install::{Unpacked, run};

/// Compiles a program into the cache: all of it or nothing.
pub(crate) fn build(peer: &Peer, source: &str, needs: &[(&str, &str)]) -> Result<()> {
    let unpacked = Unpacked::new()?;
    let file = unpacked.path().join("main.go");
    fs::write(&file, source)?;
    let mut found = needs.iter().map(|(name, version)| {
        let need = Peer::find(name, version).with_context(|| format!("{name} {version}"))?;
        let path = need.installed().with_context(|| format!("{need} is missing"))?;
        Ok((need, path))
    });
    let (_, go) = found.next().context("no toolchain is named")??;
    let libraries: Vec<PathBuf> = found
        .map(|need| need.map(|(need, _)| need.folder().join("usr/share/gocode")))
        .collect::<Result<_>>()?;
    let cache = tempfile::Builder::new().prefix("stella-go-").tempdir()?;
    let mut command = Command::new(&go);
    command.arg("build").arg("-trimpath").arg("-o").arg(unpacked.path().join(peer.name));
    command.arg(&file).current_dir(unpacked.path());
    // As Debian compiles its own: from the folders of packages, not from modules of the network.
    command.env("GO111MODULE", "off").env("GOPATH", std::env::join_paths(libraries)?);
    command.env("GOPROXY", "off").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    command.env("GOCACHE", cache.path()).env("GOENV", "off").env("GOTELEMETRY", "off");
    command.env_remove("GOROOT").env_remove("GOFLAGS");
    run(&mut command)?;
    unpacked.keep(peer, peer.version)
}

/// Tells sources apart (FNV-1a).
pub(crate) fn digest(source: &str) -> u64 {
    source.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
