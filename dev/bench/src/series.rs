//! The last real change of each advisory repository in the data.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use stella_model::FeedName;

/// Feeds that the series are states of, by the beginning of their names.
const FEEDS: &[(&str, &str)] = &[
    ("almalinux-", "almalinux"),
    ("go-", "go"),
    ("oss-fuzz-", "oss-fuzz"),
    ("pypi-", "pypi"),
    ("rustsec-", "crates.io"),
];

/// One series: the feed before and after its last step that changed something.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) feed: FeedName,
    pub(crate) before: PathBuf,
    pub(crate) after: PathBuf,
    /// Records added, modified or deleted by that step.
    pub(crate) changes: u64,
}

#[derive(Deserialize)]
struct Change<'a> {
    step: u64,
    op: &'a str,
    id: String,
    #[serde(borrow)]
    doc: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

/// All series of the data whose feed is wanted, their two states written to `cache`.
///
/// # Errors
/// If a series cannot be read or is of an unknown feed, or a state cannot be written.
pub(crate) fn all(data: &Path, cache: &Path, wanted: &[FeedName]) -> Result<Vec<Series>> {
    let folder = data.join("series");
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut series = Vec::new();
    for name in names {
        let feed = FEEDS.iter().find(|(prefix, _)| name.starts_with(prefix));
        let (_, feed) = feed.with_context(|| format!("series {name} is of no known feed"))?;
        let feed = FeedName::new(feed)?;
        if wanted.contains(&feed) {
            let one = last_step(&folder.join(&name), &cache.join("series"), &name, feed);
            series.push(one.with_context(|| format!("series {name}"))?);
        }
    }
    Ok(series)
}

fn last_step(folder: &Path, cache: &Path, name: &str, feed: FeedName) -> Result<Series> {
    let mut state = BTreeMap::new();
    for line in lines(&folder.join("base.jsonl.zst"))? {
        let line = line?;
        let Identified { id } = serde_json::from_str(&line)?;
        state.insert(id, line);
    }
    let changes: Vec<String> =
        lines(&folder.join("changes.jsonl.zst"))?.collect::<Result<_, _>>()?;
    let changes: Vec<Change<'_>> =
        changes.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let last = changes.iter().map(|change| change.step).max().context("the series is empty")?;
    fs::create_dir_all(cache)?;
    let (before, after) = (
        cache.join(format!("{name}-before.jsonl.zst")),
        cache.join(format!("{name}-after.jsonl.zst")),
    );
    apply(&mut state, changes.iter().filter(|change| change.step < last));
    write(&before, &state)?;
    let count = apply(&mut state, changes.iter().filter(|change| change.step == last));
    write(&after, &state)?;
    Ok(Series { name: name.to_owned(), feed, before, after, changes: count })
}

/// Applies changes in their order and gives their number.
fn apply<'a>(
    state: &mut BTreeMap<String, String>,
    changes: impl Iterator<Item = &'a Change<'a>>,
) -> u64 {
    let mut count = 0;
    for change in changes {
        count += 1;
        match (change.op, change.doc) {
            ("delete", _) | (_, None) => state.remove(&change.id),
            (_, Some(document)) => state.insert(change.id.clone(), document.get().to_owned()),
        };
    }
    count
}

fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    Ok(BufReader::new(zstd::stream::read::Decoder::new(file)?).lines())
}

fn write(path: &Path, state: &BTreeMap<String, String>) -> Result<()> {
    let mut out = zstd::stream::write::Encoder::new(File::create(path)?, 3)?;
    for document in state.values() {
        out.write_all(document.as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_that_changed_something_is_apart() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let series = dir.path().join("series/go-x");
        fs::create_dir_all(&series).expect("a folder");
        let put = |name: &str, text: &str| {
            let packed = zstd::encode_all(text.as_bytes(), 3).expect("compress");
            fs::write(series.join(name), packed).expect("write");
        };
        put("base.jsonl.zst", "{\"id\":\"A\",\"v\":1}\n{\"id\":\"B\"}\n");
        put(
            "changes.jsonl.zst",
            "{\"step\":1,\"op\":\"add\",\"id\":\"C\",\"doc\":{\"id\":\"C\"}}\n\
             {\"step\":3,\"op\":\"modify\",\"id\":\"A\",\"doc\":{\"id\":\"A\",\"v\":1E0}}\n\
             {\"step\":3,\"op\":\"delete\",\"id\":\"B\"}\n",
        );
        let go = FeedName::new("go").expect("a feed");
        let found = all(dir.path(), dir.path(), &[go]).expect("one series");
        assert_eq!((found.len(), found[0].changes), (1, 2));
        let text = |path: &Path| {
            let all: Vec<String> =
                lines(path).expect("open").map(|line| line.expect("text")).collect();
            all.join(" ")
        };
        assert_eq!(text(&found[0].before), r#"{"id":"A","v":1} {"id":"B"} {"id":"C"}"#);
        assert_eq!(text(&found[0].after), r#"{"id":"A","v":1E0} {"id":"C"}"#);
        assert!(all(dir.path(), dir.path(), &[]).expect("none wanted").is_empty());
    }
}
