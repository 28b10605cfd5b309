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
        self.peers(&parts, &mirror, &mut figures)?;
        self.verify(&parts, &mirror, &public, &mut figures)?;
        self.series(&store, &mirror, &mut figures)?;
        self.uniform_change(&mirror, &parts, &mut figures)?;
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
    fn repeat(&self, mut once: impl FnMut() -> Result<Usage>) -> Result<Usage> {
        let runs: Result<Vec<Usage>> = (0..self.repetitions.max(1)).map(|_| once()).collect();
        Ok(median(runs?))
    }

    fn ingest(&self, size: Size, figures: &mut Vec<Figure>) -> Result<PathBuf> {
        let store = self.stella.path("store");
        let usage = self.repeat(|| {
            remove(&store)?;
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
        remove(&self.stella.path("again"))?;
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
        remove(&empty)?;
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
        remove(&self.stella.path("raw"))?;
        remove(&self.stella.path("raw-store"))
    }

    fn mirror(&self, store: &Path, scrypt: Usage, figures: &mut Vec<Figure>) -> Result<Mirror> {
        let usage = self.repeat(|| {
            let store = self.stella.copy(store, "mirror-store")?;
            self.stella.export(&store, "mirror:full", "mirror", true)
        })?;
        let bundle = self.stella.path("mirror");
        let parts = Parts::of(&bundle)?;
        figures.push(Figure::new("mirror:full, first run", usage).bytes(parts.bytes()));
        let store = self.stella.path("mirror-store");
        let again =
            self.repeat(|| self.stella.export(&store, "mirror:full", "mirror-again", true))?;
        let first_cpu = (usage.cpu() - scrypt.cpu()).max(0.001);
        let most = if self.factor > 1 { 0.05 } else { 0.08 };
        figures.push(
            Figure::new("mirror:full, nothing changed", again)
                .bytes(parts.bytes())
                .goal(Goal::at_most("of the first run", again.cpu() / first_cpu, most)),
        );
        remove(&self.stella.path("mirror-again"))?;
        Ok(Mirror {
            store,
            bundle,
            first_cpu,
            scrypt: scrypt.cpu(),
            stored_bytes: parts.stored_bytes()?,
        })
    }

    /// Programs that others would use, over the same bytes.
    fn peers(&self, parts: &Parts, mirror: &Mirror, figures: &mut Vec<Figure>) -> Result<()> {
        let canonical = self.stella.path("canonical.jsonl");
        parts.decompress(&canonical)?;
        let file = canonical.to_string_lossy().into_owned();
        let peer = |name: &str, words: Vec<String>| -> Result<Figure> {
            let command = Measured { words, env: &[], accepted: &[] };
            let usage = self.repeat(|| command.run(&self.stella.work))?;
            Ok(Figure::new(name, usage).bytes(parts.bytes()).peer())
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let with = |text: &str, more: &[String]| [words(text), more.to_vec()].concat();

        let zstd = peer(
            "zstd -3 -T2 of the same bytes",
            with("zstd -q -3 -T2 -c", std::slice::from_ref(&file)),
        )?;
        let ratio = zstd.usage.cpu() / mirror.first_cpu;
        if let Some(first) = figures.iter_mut().find(|f| f.scenario == "mirror:full, first run") {
            first.goal = Some(Goal::at_least("zstd -3 -T2 ÷ ours without scrypt", ratio, 0.75));
        }
        figures.push(zstd);
        let hash = peer(
            "openssl sha256 of the same bytes",
            with("openssl sha256", std::slice::from_ref(&file)),
        )?;
        let stored = peer("openssl sha256 of the parts", with("openssl sha256", &parts.files()))?;
        let unpack = peer("zstd -dc of the parts", with("zstd -q -dc", &parts.files()))?;
        figures.extend([hash, stored, unpack]);
        if self.script {
            let script = "jq -cS . \"$0\" | zstd -q -3 -c";
            let script = ["sh".to_owned(), "-c".to_owned(), script.to_owned(), file];
            figures.push(peer("jq -cS . | zstd -3 of the same bytes", script.to_vec())?);
        }
        fs::remove_file(&canonical).context("remove the canonical bytes")
    }

    fn verify(
        &self,
        parts: &Parts,
        mirror: &Mirror,
        public: &Path,
        figures: &mut Vec<Figure>,
    ) -> Result<()> {
        let usage = self.repeat(|| self.stella.verify(&mirror.store, &mirror.bundle, public))?;
        let cpu = |name: &str| {
            let found = figures.iter().find(|figure| figure.scenario == name);
            found.map_or(0.0, |figure| figure.usage.cpu())
        };
        let floor = cpu("openssl sha256 of the same bytes")
            + cpu("openssl sha256 of the parts")
            + cpu("zstd -dc of the parts");
        figures.push(Figure::new("verify", usage).bytes(parts.bytes()).goal(Goal::at_least(
            "hashing and decompressing ÷ ours",
            floor / usage.cpu(),
            0.8,
        )));
        Ok(())
    }

    /// The last step of each series: the feed is set to the state before it, a run fills the
    /// depot, the step is ingested, and the next run is measured.
    fn series(&self, store: &Path, mirror: &Mirror, figures: &mut Vec<Figure>) -> Result<()> {
        let names: Vec<FeedName> = self.feeds.iter().map(|feed| feed.name.clone()).collect();
        for series in series::all(self.data, self.cache, &names)? {
            let base = self.before(store, &series)?;
            let usage = self.repeat(|| {
                let store = self.stella.copy(&base, "series-run")?;
                self.state(&store, &series, &series.after)?;
                self.stella.export(&store, "mirror:full", "series-bundle", true)
            })?;
            let share = (usage.cpu() - mirror.scrypt).max(0.0) / mirror.first_cpu;
            let bytes = Parts::of(&self.stella.path("series-bundle"))?;
            let older = Parts::of(&self.stella.path("series-before"))?;
            let dirty = bytes.dirty_share(&older);
            figures.push(
                Figure::new(
                    &format!("mirror:full after {}, {} changes", series.name, series.changes),
                    usage,
                )
                .bytes(bytes.bytes())
                .note(format!("{:.2} % of the bytes in new parts", dirty * 100.0))
                .goal(Goal::at_most(
                    "of the first run, both without scrypt",
                    share,
                    0.10,
                )),
            );
        }
        for name in ["series-run", "series-bundle", "series-before", "series-store"] {
            remove(&self.stella.path(name))?;
        }
        Ok(())
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

    fn uniform_change(
        &self,
        mirror: &Mirror,
        parts: &Parts,
        figures: &mut Vec<Figure>,
    ) -> Result<()> {
        let changed = corpus::uniform_change(&self.feeds, self.cache)?;
        let usage = self.repeat(|| {
            let store = self.stella.copy(&mirror.store, "change-run")?;
            self.stella.ingest(&store, &changed)?;
            self.stella.export(&store, "mirror:full", "change-bundle", true)
        })?;
        let now = Parts::of(&self.stella.path("change-bundle"))?;
        let dirty = now.dirty_share(parts);
        let share = (usage.cpu() - mirror.scrypt).max(0.0) / mirror.first_cpu;
        let documents = corpus::total(&changed).documents;
        figures.push(
            Figure::new(
                &format!("mirror:full after a uniform change of {documents} documents"),
                usage,
            )
            .bytes(now.bytes())
            .note(format!("{:.1} % of the bytes in new parts", dirty * 100.0))
            .goal(Goal::at_most(
                "of the first run, both without scrypt",
                share,
                0.05 + 1.2 * dirty,
            )),
        );
        remove(&self.stella.path("change-run"))?;
        remove(&self.stella.path("change-bundle"))
    }
}

/// The first `mirror:full` and what it left behind.
struct Mirror {
    store: PathBuf,
    bundle: PathBuf,
    /// CPU seconds of the first run without key decryption.
    first_cpu: f64,
    /// CPU seconds of key decryption.
    scrypt: f64,
    stored_bytes: u64,
}
