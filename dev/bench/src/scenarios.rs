//! What is measured, in the order in which an operator would do it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use stella_model::FeedName;

use crate::bundle::Parts;
use crate::corpus::{self, Feed, Size};
use crate::measure::{Measured, Usage, median};
use crate::report::{Figure, Goal, Scale};
use crate::series::{self, Series};
use crate::stella::{Stella, remove};

/// Most memory that any process may need.
const PEAK_BYTES: u64 = 200 << 20;

/// How often at least what takes a moment is repeated, and what is held against a narrow goal.
pub(crate) const LEAST_SHORT: usize = 5;

/// How often at least the first run is made that others are held against: on ten times the corpus one
/// run differs from the next by a quarter.
pub(crate) const LEAST_FIRST: usize = 3;

/// One corpus under measurement.
pub(crate) struct Bench<'a> {
    pub(crate) stella: Stella,
    pub(crate) data: &'a Path,
    pub(crate) cache: &'a Path,
    pub(crate) feeds: Vec<Feed>,
    /// How many times as large as the real data.
    pub(crate) factor: usize,
    pub(crate) repetitions: usize,
    /// Whether `jq`, which is slow, is measured too.
    pub(crate) script: bool,
}

impl Bench<'_> {
    /// Measures everything.
    ///
    /// # Errors
    /// Of the first command that fails.
    pub(crate) fn run(&self) -> Result<Scale> {
        let size = corpus::total(&self.feeds);
        let mut figures = Vec::new();
        let store = self.ingest(size, &mut figures)?;
        let public = self.stella.make_key(&store)?;
        let scrypt = self.key_decryption(&mut figures)?;
        self.raw(&store, &mut figures)?;
        let mirror = self.mirror(&store, scrypt, &mut figures)?;
        let parts = Parts::of(&mirror.bundle)?;
        self.verify(&parts, &mirror, &public, &mut figures)?;
        self.script(&parts, &mirror, &mut figures)?;
        self.series(&store, &mirror, &mut figures)?;
        self.uniform_change(&store, &mirror, &parts, &mut figures)?;
        remove(&self.stella.work)?;
        for figure in &mut figures {
            let ours = !figure.peer;
            figure.memory_met = ours.then_some(figure.usage.peak_bytes <= PEAK_BYTES);
        }
        Ok(Scale {
            factor: self.factor,
            feeds: self.feeds.len(),
            documents: size.documents,
            bytes: size.bytes,
            canonical_bytes: parts.bytes(),
            stored_bytes: mirror.stored_bytes,
            parts: parts.count(),
            repetitions: self.repetitions,
            figures,
        })
    }

    /// Repeats a measurement and takes the middle one.
    fn repeat(&self, once: impl FnMut() -> Result<Usage>) -> Result<Usage> {
        middle(self.repetitions.max(1), once)
    }

    /// As [`repeat`](Self::repeat), for what takes so little time that once says nothing.
    fn repeat_short(&self, once: impl FnMut() -> Result<Usage>) -> Result<Usage> {
        middle(self.repetitions.max(LEAST_SHORT), once)
    }

    fn ingest(&self, size: Size, figures: &mut Vec<Figure>) -> Result<PathBuf> {
        let store = self.stella.path("store");
        let usage = self.repeat(|| {
            self.stella.put_aside(&store)?;
            self.stella.ingest(&store, &self.feeds)
        })?;
        let speed = size.bytes as f64 / 1e6 / usage.cpu();
        figures.push(Figure::new("ingest", usage).bytes(size.bytes).goal(Goal::at_least(
            "MB per CPU-second",
            speed,
            120.0,
        )));
        let usage = self.repeat(|| {
            let again = self.stella.copy(&store, "again")?;
            self.stella.ingest(&again, &self.feeds)
        })?;
        self.stella.put_aside(&self.stella.path("again"))?;
        self.tidy()?;
        figures.push(Figure::new("ingest, nothing new", usage).bytes(size.bytes));
        Ok(store)
    }

    /// What decrypting the key costs: the difference between a signed and an unsigned run over next
    /// to nothing.
    fn key_decryption(&self, figures: &mut Vec<Figure>) -> Result<Usage> {
        let seed = self.stella.path("small.json");
        let document =
            r#"{"schema_version":"1.7.0","id":"BENCH-1","modified":"2026-01-01T00:00:00Z"}"#;
        fs::write(&seed, document)?;
        let empty = self.stella.path("small");
        let name = FeedName::new("small").context("a feed name")?;
        let feed = Feed { name, paths: vec![seed], size: Size::default() };
        self.stella.ingest(&empty, std::slice::from_ref(&feed))?;
        self.stella.make_key(&empty)?;
        let run = |signed: bool| {
            self.repeat(|| {
                let store = self.stella.copy(&empty, "small-run")?;
                self.stella.export(&store, "mirror:full", "small-bundle", signed)
            })
        };
        let (signed, plain) = (run(true)?, run(false)?);
        let scrypt = Usage {
            user_seconds: (signed.user_seconds - plain.user_seconds).max(0.0),
            system_seconds: (signed.system_seconds - plain.system_seconds).max(0.0),
            wall_seconds: (signed.wall_seconds - plain.wall_seconds).max(0.0),
            peak_bytes: signed.peak_bytes,
        };
        figures.push(Figure::new("key decryption (scrypt), in every first run below", scrypt));
        Ok(scrypt)
    }

    fn raw(&self, store: &Path, figures: &mut Vec<Figure>) -> Result<()> {
        let usage = self.repeat(|| {
            let store = self.stella.copy(store, "raw-store")?;
            self.stella.export(&store, "json:raw", "raw", true)
        })?;
        let bytes = Parts::of(&self.stella.path("raw"))?.bytes();
        figures.push(Figure::new("json:raw, first run", usage).bytes(bytes));
        self.stella.put_aside(&self.stella.path("raw"))?;
        self.stella.put_aside(&self.stella.path("raw-store"))?;
        self.tidy()
    }

    /// The first `mirror:full` and, in turns with it, what compressing the same bytes costs: the
    /// load of a machine changes from minute to minute.
    fn mirror(&self, store: &Path, scrypt: Usage, figures: &mut Vec<Figure>) -> Result<Mirror> {
        let bundle = self.stella.path("mirror");
        let canonical = self.stella.path("canonical.jsonl");
        let compress = words("zstd -q -3 -T2 -c", &[shown(&canonical)]);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..self.repetitions.max(LEAST_FIRST) {
            let store = self.stella.copy(store, "mirror-store")?;
            ours.push(self.stella.export(&store, "mirror:full", "mirror", true)?);
            if round == 0 {
                Parts::of(&bundle)?.decompress(&canonical)?;
            }
            theirs.push(self.once(&compress)?);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let parts = Parts::of(&bundle)?;
        let first_cpu = (ours.cpu() - scrypt.cpu()).max(0.001);
        figures.push(Figure::new("mirror:full, first run", ours).bytes(parts.bytes()).goal(
            Goal::at_least("zstd -3 -T2 ÷ ours without scrypt", theirs.cpu() / first_cpu, 0.75),
        ));
        figures
            .push(Figure::new("zstd -3 -T2 of the same bytes", theirs).bytes(parts.bytes()).peer());

        let store = self.stella.path("mirror-store");
        let again =
            self.repeat_short(|| self.stella.export(&store, "mirror:full", "mirror-again", true))?;
        let most = if self.factor > 1 { 0.05 } else { 0.08 };
        figures.push(
            Figure::new("mirror:full, nothing changed", again)
                .bytes(parts.bytes())
                .goal(Goal::at_most("of the first run", again.cpu() / first_cpu, most)),
        );
        self.stella.put_aside(&self.stella.path("mirror-again"))?;
        let stored_bytes = parts.stored_bytes()?;
        Ok(Mirror { store, bundle, canonical, first_cpu, scrypt: scrypt.cpu(), stored_bytes })
    }

    /// Verify, in turns with the least that a verifier has to do: hash what is stored, decompress
    /// it, hash what comes out.
    fn verify(
        &self,
        parts: &Parts,
        mirror: &Mirror,
        public: &Path,
        figures: &mut Vec<Figure>,
    ) -> Result<()> {
        let least = [
            ("openssl sha256 of the parts", words("openssl sha256", &parts.files())),
            ("zstd -dc of the parts", words("zstd -q -dc", &parts.files())),
            (
                "openssl sha256 of the same bytes",
                words("openssl sha256", &[shown(&mirror.canonical)]),
            ),
        ];
        let (mut ours, mut theirs) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
        for _ in 0..self.repetitions.max(1) {
            ours.push(self.stella.verify(&mirror.store, &mirror.bundle, public)?);
            for ((_, words), usages) in least.iter().zip(&mut theirs) {
                usages.push(self.once(words)?);
            }
        }
        let (ours, theirs) = (median(ours), theirs.map(median));
        let floor: f64 = theirs.iter().map(Usage::cpu).sum();
        figures.push(Figure::new("verify", ours).bytes(parts.bytes()).goal(Goal::at_least(
            "hashing and decompressing ÷ ours",
            floor / ours.cpu(),
            0.8,
        )));
        for ((name, _), usage) in least.iter().zip(theirs) {
            figures.push(Figure::new(name, usage).bytes(parts.bytes()).peer());
        }
        Ok(())
    }

    /// What a user would script over the same documents.
    fn script(&self, parts: &Parts, mirror: &Mirror, figures: &mut Vec<Figure>) -> Result<()> {
        if self.script {
            let script = "jq -cS . \"$0\" | zstd -q -3 -c".to_owned();
            let words = ["sh".to_owned(), "-c".to_owned(), script, shown(&mirror.canonical)];
            let usage = self.repeat(|| self.once(&words))?;
            let figure = Figure::new("jq -cS . | zstd -3 of the same bytes", usage);
            figures.push(figure.bytes(parts.bytes()).peer());
        }
        self.stella.put_aside(&mirror.canonical)
    }

    fn once(&self, words: &[String]) -> Result<Usage> {
        Measured { words: words.to_vec(), env: &[], accepted: &[] }.run(&self.stella.work)
    }

    /// At ten times the data, what was put aside fills a disk.
    fn tidy(&self) -> Result<()> {
        if self.factor > 1 { self.stella.clear() } else { Ok(()) }
    }

    /// The last step of each series: the feed is set to the state before it, a run fills the
    /// depot, the step is ingested, and the next run is measured.
    fn series(&self, store: &Path, mirror: &Mirror, figures: &mut Vec<Figure>) -> Result<()> {
        let names: Vec<FeedName> = self.feeds.iter().map(|feed| feed.name.clone()).collect();
        for series in series::all(self.data, self.cache, &names)? {
            self.tidy()?;
            let base = self.before(store, &series)?;
            let usage = self.repeat(|| {
                let store = self.stella.copy(&base, "series-run")?;
                self.state(&store, &series, &series.after)?;
                self.stella.export(&store, "mirror:full", "series-bundle", true)
            })?;
            let share = (usage.cpu() - mirror.scrypt).max(0.0) / mirror.first_cpu;
            let bytes = Parts::of(&self.stella.path("series-bundle"))?;
            let older = Parts::of(&self.stella.path("series-before"))?;
            let dirty = bytes.dirty(&older);
            figures.push(
                Figure::new(
                    &format!("mirror:full after {}, {} changes", series.name, series.changes),
                    usage,
                )
                .bytes(bytes.bytes())
                .note(dirty.to_string())
                .goal(Goal::at_most(
                    "of the first run, both without scrypt",
                    share,
                    0.10,
                )),
            );
        }
        for name in ["series-run", "series-bundle", "series-before", "series-store"] {
            self.stella.put_aside(&self.stella.path(name))?;
        }
        self.tidy()
    }

    /// A store whose feed is in the state before the last step, with the parts of that state and
    /// of no other: the data holds the state after it, whose parts must not lie there already.
    fn before(&self, store: &Path, series: &Series) -> Result<PathBuf> {
        let store = self.stella.copy(store, "series-store")?;
        self.state(&store, series, &series.before)?;
        self.stella.export(&store, "mirror:full", "series-before", true)?;
        Ok(store)
    }

    /// Sets the feed of a series to a state; the copies of the feed stay.
    fn state(&self, store: &Path, series: &Series, state: &Path) -> Result<()> {
        let feed = self.feeds.iter().find(|feed| feed.name == series.feed);
        let copies = feed.map_or(&[][..], |feed| &feed.paths[1..]);
        let paths = [&[state.to_owned()], copies].concat();
        self.stella.replace(store, series.feed.as_str(), &paths)
    }

    /// A change of one document in a hundred of every feed and, in turns with it, the first run that
    /// it is held against: what both take differs by a quarter from one minute to another.
    fn uniform_change(
        &self,
        store: &Path,
        mirror: &Mirror,
        parts: &Parts,
        figures: &mut Vec<Figure>,
    ) -> Result<()> {
        let changed = corpus::uniform_change(&self.feeds, self.cache)?;
        let (mut firsts, mut changes) = (Vec::new(), Vec::new());
        for _ in 0..self.repetitions.max(LEAST_SHORT) {
            let first = self.stella.copy(store, "change-first")?;
            firsts.push(self.stella.export(&first, "mirror:full", "change-first-bundle", true)?);
            let store = self.stella.copy(&mirror.store, "change-run")?;
            self.stella.ingest(&store, &changed)?;
            changes.push(self.stella.export(&store, "mirror:full", "change-bundle", true)?);
            self.tidy()?;
        }
        let (first, usage) = (median(firsts), median(changes));
        let now = Parts::of(&self.stella.path("change-bundle"))?;
        let dirty = now.dirty(parts);
        let share = (usage.cpu() - mirror.scrypt).max(0.0) / (first.cpu() - mirror.scrypt);
        let documents = corpus::total(&changed).documents;
        figures.push(
            Figure::new("mirror:full, first run, in turns with the next", first).bytes(now.bytes()),
        );
        figures.push(
            Figure::new(
                &format!("mirror:full after a uniform change of {documents} documents"),
                usage,
            )
            .bytes(now.bytes())
            .note(dirty.to_string())
            .goal(Goal::at_most(
                "of that first run, both without scrypt",
                share,
                0.05 + 1.2 * dirty.canonical,
            )),
        );
        Ok(())
    }
}

/// The first `mirror:full` and what it left behind.
struct Mirror {
    store: PathBuf,
    bundle: PathBuf,
    /// The lines of all its parts in one file.
    canonical: PathBuf,
    /// CPU seconds of the first run without key decryption.
    first_cpu: f64,
    /// CPU seconds of key decryption.
    scrypt: f64,
    stored_bytes: u64,
}

/// The middle one of so many measurements.
fn middle(times: usize, mut once: impl FnMut() -> Result<Usage>) -> Result<Usage> {
    let runs: Result<Vec<Usage>> = (0..times).map(|_| once()).collect();
    Ok(median(runs?))
}

/// The words of a command line, and more words as they are.
fn words(line: &str, more: &[String]) -> Vec<String> {
    line.split(' ').map(str::to_owned).chain(more.iter().cloned()).collect()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
