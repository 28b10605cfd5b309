//! What is measured on: the real archives, nine copies of each, a uniform change.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use stella_model::FeedName;

use crate::rewrite;

/// Folders of the data that are no evidence to ingest.
const APART: &[&str] = &["series", "oracle", "sealed"];

/// Copies of every archive in the ten times larger corpus, besides the archive itself.
const COPIES: usize = 9;

/// Later than every revision in the data.
const REVISED: &str = "2026-11-01T00:00:00Z";

/// One in so many documents changes in the uniform change.
const ONE_IN: u64 = 100;

/// One feed and the archives that it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) name: FeedName,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) size: Size,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) documents: u64,
    /// Bytes of the documents, neither compressed nor in an archive.
    pub(crate) bytes: u64,
}

impl Size {
    fn add(&mut self, bytes: usize) {
        self.documents += 1;
        self.bytes += bytes as u64;
    }
}

/// All feeds of a corpus together.
pub(crate) fn total(feeds: &[Feed]) -> Size {
    feeds.iter().fold(Size::default(), |sum, feed| Size {
        documents: sum.documents + feed.size.documents,
        bytes: sum.bytes + feed.size.bytes,
    })
}

/// The archives of the data, one feed each, sorted by path. `only` keeps those in whose path it
/// occurs.
///
/// # Errors
/// If the folder cannot be read, or two archives make the same feed.
pub(crate) fn real(data: &Path, only: Option<&str>) -> Result<Vec<Feed>> {
    let mut paths = Vec::new();
    for folder in fs::read_dir(data).with_context(|| format!("read {}", data.display()))? {
        let folder = folder?;
        let apart = APART.iter().any(|name| folder.file_name() == *name);
        if apart || !folder.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder.path())? {
            paths.push(file?.path());
        }
    }
    paths.retain(|path| {
        let text = path.to_string_lossy();
        text.ends_with(".zst") && only.is_none_or(|only| text.contains(only))
    });
    paths.sort();
    let mut feeds = BTreeMap::new();
    for path in paths {
        let name = feed_name(&path)?;
        let size = each_document(&path, &mut |_, _| Ok(()))?;
        if feeds.insert(name.clone(), Feed { name, paths: vec![path], size }).is_some() {
            bail!("two archives of one feed");
        }
    }
    if feeds.is_empty() {
        bail!("no archives in {}", data.display());
    }
    Ok(feeds.into_values().collect())
}

/// The feed of an archive: its name without extensions.
fn feed_name(path: &Path) -> Result<FeedName> {
    let mut name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    for extension in [".zst", ".tar", ".jsonl", ".osv"] {
        if let Some(stem) = name.strip_suffix(extension) {
            name = stem.to_owned();
        }
    }
    Ok(FeedName::new(&name)?)
}

/// The corpus with [`COPIES`] copies of every archive, each document with an identity of its own.
/// Copies are kept in `cache` and made once.
///
/// # Errors
/// If an archive cannot be read or a copy not written.
pub(crate) fn tenfold(real: &[Feed], cache: &Path) -> Result<Vec<Feed>> {
    multiply(real, &cache.join("copies"), &rewrite::copy)
}

/// The same for advisories, each about packages and vulnerabilities of its own too.
///
/// # Errors
/// As [`tenfold`].
pub(crate) fn tenfold_advisories(real: &[Feed], cache: &Path) -> Result<Vec<Feed>> {
    multiply(real, &cache.join("advisories"), &rewrite::advisory)
}

/// How a document is copied, told apart by a mark.
type Copier = dyn Fn(&[u8], &str) -> Vec<u8> + Sync;

fn multiply(real: &[Feed], cache: &Path, copier: &Copier) -> Result<Vec<Feed>> {
    let jobs = real.iter().flat_map(|feed| (1..=COPIES).map(move |copy| (feed, copy)));
    let (jobs, feeds) = (Mutex::new(jobs), Mutex::new(real.to_vec()));
    let work = || -> Result<()> {
        loop {
            let job = jobs.lock().expect("no worker panics").next();
            let Some((feed, copy)) = job else { return Ok(()) };
            let mark = format!("c{copy}");
            let path = cache.join(feed.name.as_str());
            let path = path.join(format!("{mark}{}", extension(&feed.paths[0])));
            let size = derive(&feed.paths[0], &path, &|bytes| Some(copier(bytes, &mark)))?;
            let mut feeds = feeds.lock().expect("no worker panics");
            let all = feeds.iter_mut().find(|all| all.name == feed.name);
            let all = all.context("every feed is in the list")?;
            all.paths.push(path);
            all.size.documents += size.documents;
            all.size.bytes += size.bytes;
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work()?;
        other.join().expect("no worker panics")
    })?;
    let mut feeds = feeds.into_inner().expect("no worker panics");
    for feed in &mut feeds {
        feed.paths[1..].sort();
    }
    Ok(feeds)
}

/// One in a hundred documents of every feed, chosen by their bytes, with a later revision time.
/// Feeds without such documents are left out.
///
/// # Errors
/// If an archive cannot be read or a copy not written.
pub(crate) fn uniform_change(feeds: &[Feed], cache: &Path) -> Result<Vec<Feed>> {
    let mut changed = Vec::new();
    for feed in feeds {
        let mut paths = Vec::new();
        let mut sum = Size::default();
        for (index, path) in feed.paths.iter().enumerate() {
            let to = cache.join("change").join(feed.name.as_str());
            let to = to.join(format!("{index}{}", extension(path)));
            let size = derive(path, &to, &|bytes| {
                fnv(bytes)
                    .is_multiple_of(ONE_IN)
                    .then(|| rewrite::revised(bytes, REVISED))
                    .flatten()
            })?;
            if size.documents > 0 {
                paths.push(to);
                sum.documents += size.documents;
                sum.bytes += size.bytes;
            }
        }
        if !paths.is_empty() {
            changed.push(Feed { name: feed.name.clone(), paths, size: sum });
        }
    }
    Ok(changed)
}

/// Writes what `edit` makes of every document of `from` to `to`, unless that is there already.
fn derive(from: &Path, to: &Path, edit: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Result<Size> {
    let told = to.with_extension("size.json");
    if let (true, Ok(bytes)) = (to.is_file(), fs::read(&told)) {
        return serde_json::from_slice(&bytes).context("read the size of a copy");
    }
    let folder = to.parent().context("a copy lies in a folder")?;
    fs::create_dir_all(folder)?;
    let partial = to.with_extension("partial");
    let file = BufWriter::new(File::create(&partial)?);
    let mut out = zstd::stream::write::Encoder::new(file, 3)?;
    let mut size = Size::default();
    let archive = is_tar(from);
    each_document(from, &mut |header, bytes| {
        let Some(edited) = edit(bytes) else { return Ok(()) };
        size.add(edited.len());
        match header {
            Some(header) => {
                let mut header = header.clone();
                header.set_size(edited.len() as u64);
                header.set_cksum();
                out.write_all(header.as_bytes())?;
                out.write_all(&edited)?;
                out.write_all(&[0; 512][..edited.len().next_multiple_of(512) - edited.len()])?;
            }
            None => {
                out.write_all(&edited)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    })
    .with_context(|| format!("copy {}", from.display()))?;
    if archive {
        out.write_all(&[0; 1024])?;
    }
    out.finish()?.flush()?;
    fs::rename(&partial, to)?;
    fs::write(&told, serde_json::to_vec(&size)?)?;
    Ok(size)
}

/// What is done with a document and, in a tar archive, its header.
type OnDocument<'a> = dyn FnMut(Option<&tar::Header>, &[u8]) -> Result<()> + 'a;

/// Hands over every document of an archive.
fn each_document(path: &Path, on: &mut OnDocument<'_>) -> Result<Size> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut decoder = zstd::stream::read::Decoder::new(file)?;
    decoder.window_log_max(27)?;
    let mut size = Size::default();
    let mut bytes = Vec::new();
    if is_tar(path) {
        let mut archive = tar::Archive::new(decoder);
        // Raw: a long name comes as a member of its own and is copied as one.
        for entry in archive.entries()?.raw(true) {
            let mut entry = entry?;
            let header = entry.header().clone();
            bytes.clear();
            entry.read_to_end(&mut bytes)?;
            size.add(bytes.len());
            on(Some(&header), &bytes)?;
        }
    } else {
        let mut lines = BufReader::with_capacity(1 << 20, decoder);
        while lines.read_until(b'\n', &mut bytes)? > 0 {
            let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            size.add(line.len());
            on(None, line)?;
            bytes.clear();
        }
    }
    Ok(size)
}

fn is_tar(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".tar.zst")
}

fn extension(path: &Path) -> &'static str {
    if is_tar(path) { ".tar.zst" } else { ".jsonl.zst" }
}

/// FNV-1a with its bits mixed, since only the remainder of a division is looked at.
fn fnv(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_named_after_archives() {
        for (path, feed) in [
            ("advisories/crates.io.osv.jsonl.zst", "crates.io"),
            ("advisories/edge-duplicate-ids.jsonl.zst", "edge-duplicate-ids"),
            ("vex/openvex-vexctl.tar.zst", "openvex-vexctl"),
            ("java/maven-jars-pyspark-3.5.3.jsonl.zst", "maven-jars-pyspark-3.5.3"),
        ] {
            assert_eq!(feed_name(Path::new(path)).expect("a feed").as_str(), feed);
        }
        assert!(feed_name(Path::new("...zst")).is_err());
    }

    #[test]
    fn copies_have_other_identities_and_changes_are_few() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let data = dir.path().join("data");
        fs::create_dir_all(data.join("advisories")).expect("a folder");
        fs::create_dir_all(data.join("series/x")).expect("a folder");
        let lines: String = (0..1000)
            .map(|i| format!("{{\"id\":\"A-{i}\",\"modified\":\"2026-01-01T00:00:00Z\"}}\n"))
            .collect();
        let packed = zstd::encode_all(lines.as_bytes(), 3).expect("compress");
        fs::write(data.join("advisories/a.osv.jsonl.zst"), &packed).expect("write");
        fs::write(data.join("series/x/base.jsonl.zst"), &packed).expect("write");

        let feeds = real(&data, None).expect("one archive");
        assert_eq!(feeds.len(), 1);
        assert_eq!(feeds[0].size, Size { documents: 1000, bytes: lines.len() as u64 - 1000 });
        for _ in 0..2 {
            let ten = tenfold(&feeds, dir.path()).expect("nine copies");
            assert_eq!((ten[0].paths.len(), ten[0].size.documents), (10, 10_000));
            let mut text = String::new();
            let copy = fs::read(&ten[0].paths[9]).expect("the last copy");
            zstd::Decoder::new(&copy[..]).expect("zstd").read_to_string(&mut text).expect("text");
            assert!(text.starts_with("{\"id\":\"c9-A-0\",\"modified\":\"2026-01-01"), "{text}");
            let changed = uniform_change(&ten, dir.path()).expect("a change");
            let documents = changed[0].size.documents;
            assert!((50..200).contains(&documents), "{documents} of 10,000 changed");
        }
    }
}
