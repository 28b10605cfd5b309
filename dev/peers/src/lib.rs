//! Peers: real programs of others that judge what we write, and that nobody here can make agree
//! with a mistake of ours.
//!
//! [`PEERS`] is the table; a new peer is a new row. `cargo xtask peers` fetches what is missing
//! into a cache outside the work tree, with the means of the machine it runs on (apt and its
//! keyring, pip, npm), and prints the versions; it may run any number of times. Tests ask for a program
//! with [`cosign`] and the like: a peer that is missing makes the test skip visibly, or fail where
//! `CI` is set.

mod apt;
mod golang;
mod install;
mod moto;
mod npm;
mod oidc;
mod postgres;
mod python;
mod seaweed;
mod softhsm;
mod table;
mod wheel;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub use install::install;
pub use moto::Moto;
pub use oidc::OidcProvider;
pub use postgres::{Postgres, Stop, TlsPair};
pub use python::python;
pub use seaweed::SeaweedFs;
pub use softhsm::SoftHsm;
pub use table::{COSIGN_VERSIONS, PEERS, TRIVY_VERSIONS};

/// Versions of Trivy to try, oldest first: those of every run of the tests, or all that can be had.
#[must_use]
pub fn trivy_versions(all: bool) -> Vec<&'static str> {
    match all {
        false => TRIVY_VERSIONS.to_vec(),
        true => PEERS.iter().filter(|peer| peer.name == "trivy").map(|peer| peer.version).collect(),
    }
}

/// A program that a test runs, or what one is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its name; of a program of the system also that of its file.
    pub name: &'static str,
    /// The version that is wanted; empty if that of the system will do.
    pub version: &'static str,
    /// Where it comes from.
    pub from: Origin,
    /// Arguments that make it print its version, where its package does not tell.
    pub version_arguments: &'static [&'static str],
    /// When it is fetched.
    pub fetched: Fetched,
}

/// When a peer is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// Always: every run of the tests needs it.
    Always,
    /// When it is named, or all are asked for: it is large, and few runs need it.
    OnDemand,
}

/// Where a peer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A package of a Debian suite, unpacked into the cache and never installed.
    Suite {
        /// The suite, such as `trixie`.
        suite: &'static str,
        /// The package.
        package: &'static str,
        /// The program within it, or a file that is there if the package is.
        program: &'static str,
    },
    /// A package of the system's own suite, installed if its program is not on the path.
    System {
        /// The package.
        package: &'static str,
    },
    /// A library of Python of the name and version of the row, laid into the cache.
    Python {
        /// What it needs besides what it asks for itself.
        with: &'static [&'static str],
    },
    /// A library of Node of the name and version of the row, laid into the cache.
    Npm {
        /// A file that is there if the library is.
        main: &'static str,
    },
    /// A wheel of Python, unpacked into the cache and never installed.
    Wheel {
        /// The project.
        package: &'static str,
        /// Its version, which need not be that of the program within.
        version: &'static str,
        /// The program within it.
        program: &'static str,
    },
    /// A small program of ours in Go around a library, compiled in the cache without a network.
    Go {
        /// Its only file.
        source: &'static str,
        /// The rows it is compiled with: the toolchain first, then the sources of libraries.
        needs: &'static [(&'static str, &'static str)],
    },
}

/// The program of a cosign version; `None` means that the test is skipped and has said so.
///
/// # Panics
/// As [`stella_testkit::skip`] does: where `CI` is set and skipping is not allowed.
#[must_use]
pub fn cosign(version: &str) -> Option<PathBuf> {
    program("cosign", version)
}

/// The judge of bbolt files, a program around the original bbolt: `check`, `dump`, `edit`, `make`
/// and `load`. Else as [`cosign`].
///
/// # Panics
/// As [`cosign`].
#[must_use]
pub fn bolt_judge() -> Option<PathBuf> {
    program("bolt-judge", "1.3.6")
}

/// The program of a Trivy version. Else as [`cosign`].
///
/// # Panics
/// As [`cosign`]; and if [`PEERS`] has no such version.
#[must_use]
pub fn trivy(version: &str) -> Option<PathBuf> {
    program("trivy", version)
}

/// The program of a peer; an empty version is that of the system. Else as [`cosign`].
///
/// # Panics
/// As [`cosign`]; and if [`PEERS`] has no such row.
#[must_use]
pub fn program(name: &str, version: &str) -> Option<PathBuf> {
    let row = Peer::find(name, version);
    let peer = row.unwrap_or_else(|| panic!("{name} {version} is not in the table of peers"));
    let found = peer.installed();
    if found.is_none() {
        stella_testkit::skip(&format!("{peer} is missing: cargo xtask peers"));
    }
    found
}

/// A command that runs a program without any network, so that nothing it does can depend on one.
///
/// Where the system does not let this user make a network namespace, the program runs as it is.
#[must_use]
pub fn offline(program: &Path) -> Command {
    static PREFIX: OnceLock<Option<&[&str]>> = OnceLock::new();
    let works = |prefix: &&[&str]| {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).arg("true").stdin(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let prefixes: [&[&str]; 2] = [&["unshare", "-n"], &["unshare", "-r", "-n"]];
    match PREFIX.get_or_init(|| prefixes.into_iter().find(works)) {
        Some(prefix) => {
            let mut command = Command::new(prefix[0]);
            command.args(&prefix[1..]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Where peers are kept: `STELLA_PEERS_DIR`, else `export-center/peers` in the user's cache.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    if let Some(named) = set("STELLA_PEERS_DIR") {
        return named.into();
    }
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || PathBuf::from(set("HOME").unwrap_or_else(|| "/".into())).join(".cache");
    cache.unwrap_or_else(home).join("export-center").join("peers")
}

impl Peer {
    /// The row of a name and a version.
    #[must_use]
    pub fn find(name: &str, version: &str) -> Option<&'static Peer> {
        PEERS.iter().find(|peer| (peer.name, peer.version) == (name, version))
    }

    /// The program, if it is there.
    #[must_use]
    pub fn installed(&self) -> Option<PathBuf> {
        let kept = |program: &str| Some(self.folder().join(program)).filter(|path| path.is_file());
        match self.from {
            Origin::Suite { program, .. } | Origin::Wheel { program, .. } => kept(program),
            Origin::Npm { main } => kept(main),
            Origin::Go { .. } => kept(self.name),
            Origin::Python { .. } => kept(&format!("{}/__init__.py", self.name)),
            Origin::System { .. } => {
                let path = std::env::var_os("PATH")?;
                std::env::split_paths(&path)
                    .map(|folder| folder.join(self.name))
                    .find(|file| file.is_file())
            }
        }
    }

    /// The folder in the cache that holds this peer, if it is one that is kept there.
    pub(crate) fn folder(&self) -> PathBuf {
        let name = format!("{}-{}", self.name, self.version);
        match self.from {
            // Another source is another program.
            Origin::Go { source, .. } => {
                cache_dir().join(format!("{name}-{:016x}", golang::digest(source)))
            }
            _ => cache_dir().join(name),
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        if self.version.is_empty() { Ok(()) } else { write!(f, " {}", self.version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_named_once() {
        for (index, peer) in PEERS.iter().enumerate() {
            let same = |other: &&Peer| (other.name, other.version) == (peer.name, peer.version);
            assert_eq!(PEERS.iter().filter(same).count(), 1, "row {index}: {peer}");
        }
        for version in COSIGN_VERSIONS {
            assert!(Peer::find("cosign", version).is_some());
        }
        for version in TRIVY_VERSIONS {
            let row = Peer::find("trivy", version).unwrap();
            assert_eq!(row.fetched, Fetched::Always, "{version}");
        }
    }

    #[test]
    fn what_a_peer_is_made_of_is_in_the_table() {
        for peer in PEERS {
            let Origin::Go { needs, .. } = peer.from else { continue };
            assert!(needs.iter().all(|(name, version)| Peer::find(name, version).is_some()));
        }
    }

    #[test]
    fn peer_has_the_version_of_its_row() {
        for peer in PEERS {
            if peer.fetched == Fetched::OnDemand && peer.installed().is_none() {
                continue;
            }
            let Some(path) = program(peer.name, peer.version) else { continue };
            let version = install::version(peer, &path).unwrap();
            assert!(version.contains(peer.version), "{peer}: {version}");
            assert!(version.contains(|c: char| c.is_ascii_digit()), "{peer}: {version}");
        }
    }

    #[test]
    fn peer_runs_without_a_network() {
        // The loopback of a fresh namespace is down, so that even it is out of reach.
        let mut command = offline(Path::new("cat"));
        let output = command.arg("/proc/net/route").output().unwrap();
        let routes = String::from_utf8(output.stdout).unwrap();
        if command.get_program() == "unshare" {
            assert!(routes.lines().count() <= 1, "a heading at most: {routes}");
        }
    }
}
