//! The program under measurement and the stores it works on.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::corpus::Feed;
use crate::measure::{Measured, Usage};

/// Password of a key that protects nothing.
const PASSWORD: (&str, &str) = ("STELLA_KEY_PASSWORD", "benchmark");

/// Exit code of an ingest whose documents were all rejected: some archives hold only formats that
/// are not read.
const ALL_REJECTED: i32 = 2;

/// Folder of what is no longer needed.
const ASIDE: &str = "aside";

/// `stella` with a folder to work in.
pub(crate) struct Stella {
    binary: PathBuf,
    pub(crate) work: PathBuf,
    /// Number of things put aside.
    aside: Cell<u64>,
}

impl Stella {
    /// A program and a folder, which is made anew.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub(crate) fn new(binary: PathBuf, work: PathBuf) -> Result<Stella> {
        remove(&work)?;
        fs::create_dir_all(work.join(ASIDE))?;
        Ok(Stella { binary, work, aside: Cell::new(0) })
    }

    /// Moves a file or folder out of the way, if it is there.
    ///
    /// It is not removed yet: for a minute, ext4 searches around every file removed from a folder
    /// before it makes a new one near it, and the next measurement would pay for that.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub(crate) fn put_aside(&self, path: &Path) -> Result<()> {
        if !path.exists() {
            return Ok(());
        }
        self.aside.set(self.aside.get() + 1);
        let to = self.work.join(ASIDE).join(self.aside.get().to_string());
        fs::rename(path, to).with_context(|| format!("put {} aside", path.display()))
    }

    /// Removes what was put aside.
    ///
    /// # Errors
    /// If something stays.
    pub(crate) fn clear(&self) -> Result<()> {
        let aside = self.work.join(ASIDE);
        remove(&aside)?;
        fs::create_dir(&aside).context("make a folder")
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Runs a command on a store.
    fn run(&self, store: &Path, arguments: &[&str], accepted: &[i32]) -> Result<Usage> {
        let global = ["--progress", "none", "-o", "json", "--store"];
        let words = std::iter::once(&*self.binary.to_string_lossy())
            .chain(global)
            .chain([&*store.to_string_lossy()])
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .collect();
        let env = &[PASSWORD];
        Measured { words, env, accepted }.run(&self.work)
    }

    /// Ingests every feed of a corpus, one process each.
    ///
    /// # Errors
    /// If a feed cannot be ingested.
    pub(crate) fn ingest(&self, store: &Path, feeds: &[Feed]) -> Result<Usage> {
        let mut sum = Usage::ZERO;
        for feed in feeds {
            sum = sum.then(self.ingest_feed(store, feed.name.as_str(), &feed.paths, &[])?);
        }
        Ok(sum)
    }

    /// Makes a feed equal to the archives, whatever vanishes.
    ///
    /// # Errors
    /// If the feed cannot be ingested.
    pub(crate) fn replace(&self, store: &Path, feed: &str, paths: &[PathBuf]) -> Result<()> {
        let flags = ["--replace", "--accept-drop", "--reason", "benchmark"];
        self.ingest_feed(store, feed, paths, &flags)?;
        Ok(())
    }

    fn ingest_feed(
        &self,
        store: &Path,
        feed: &str,
        paths: &[PathBuf],
        flags: &[&str],
    ) -> Result<Usage> {
        let paths: Vec<String> =
            paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let mut arguments = vec!["ingest", "--feed", feed];
        arguments.extend(flags);
        arguments.extend(paths.iter().map(String::as_str));
        self.run(store, &arguments, &[ALL_REJECTED])
    }

    /// Makes the signing key of a store and gives its public half.
    ///
    /// # Errors
    /// If the key cannot be made.
    pub(crate) fn make_key(&self, store: &Path) -> Result<PathBuf> {
        self.run(store, &["keys", "generate", "bench"], &[])?;
        let public = store.with_extension("pub");
        if public.exists() {
            fs::remove_file(&public).context("remove the last public key")?;
        }
        let shown = public.to_string_lossy();
        self.run(store, &["keys", "export-public", "bench", "-d", &shown], &[])?;
        Ok(public)
    }

    /// Runs a profile into a new bundle named `name`.
    ///
    /// # Errors
    /// If the run fails.
    pub(crate) fn export(
        &self,
        store: &Path,
        profile: &str,
        name: &str,
        signed: bool,
    ) -> Result<Usage> {
        let bundle = self.path(name);
        self.put_aside(&bundle)?;
        let shown = bundle.to_string_lossy();
        let signing: &[&str] =
            if signed { &["--key", "bench"] } else { &["--unsigned-for-testing"] };
        let mut arguments = vec!["export", "run", profile, "-d", &shown];
        arguments.extend(signing);
        self.run(store, &arguments, &[])
    }

    /// Verifies a bundle.
    ///
    /// # Errors
    /// If it does not verify.
    pub(crate) fn verify(&self, store: &Path, bundle: &Path, public: &Path) -> Result<Usage> {
        let (bundle, public) = (bundle.to_string_lossy(), public.to_string_lossy());
        self.run(store, &["export", "verify", &bundle, "--key", &public], &[])
    }

    /// A copy of a store under another name, in place of one that was there.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub(crate) fn copy(&self, store: &Path, name: &str) -> Result<PathBuf> {
        let to = self.path(name);
        self.put_aside(&to)?;
        copy(store, &to).with_context(|| format!("copy {}", store.display()))?;
        Ok(to)
    }
}

/// Removes a folder if it is there.
///
/// # Errors
/// If it stays.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to)?;
        } else {
            bail!("{} is neither file nor folder", entry.path().display());
        }
    }
    Ok(())
}
