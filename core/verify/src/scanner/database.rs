//! The pages, buckets and values of `trivy.db`.

use std::collections::{BTreeMap, BTreeSet};

use stella_bolt::{Database, Event, ReadAt};
use stella_manifest::OutputEntry;

use super::buckets::{Bucket, RED_HAT_CPE, VULNERABILITIES};
use super::canary::{Canary, Picker};
use super::{Context, Problems, in_full, schema};
use crate::report::{Check, Problem};

/// The file.
const FILE: &str = super::DATABASE.file;

/// Buckets within buckets that a database has, and one more, so that what lies too deep is told by
/// its bucket and not as a limit.
const DEPTH: usize = 3;

/// Pages in memory at once. Values are advisories: the largest has some ten thousand versions.
const HELD_BYTES: u64 = 128 << 20;

/// How often it is asked whether to stop.
const PAIRS_BETWEEN_STOPS: u64 = 4_096;

/// Checks the database in a room; what to tell if all is well, and packages to try a scanner with.
pub(super) fn check<R: ReadAt>(
    context: &Context<'_>,
    output: &OutputEntry,
    room: R,
    problems: &mut Problems,
) -> (String, Canary) {
    let fault = |message: String| Problem::new(message).of(FILE);
    let size = room.size_bytes().unwrap_or(0);
    let mut limits = stella_bolt::Limits::DEFAULT;
    limits.depth = DEPTH;
    limits.held_bytes = HELD_BYTES;
    let database = match Database::open(room, limits) {
        Ok(database) => database,
        Err(error) => {
            problems.add(Check::ScannerDatabase, fault(in_full(&error)));
            return Default::default();
        }
    };
    let report = match database.check() {
        Ok(report) => report,
        Err(error) => {
            problems.add(Check::ScannerDatabase, fault(in_full(&error)));
            return Default::default();
        }
    };
    if report.valid_metas != [true, true] {
        let message = "one of its two meta pages is broken".to_owned();
        problems.add(Check::ScannerDatabase, fault(message));
    }
    let bytes = report.pages.saturating_mul(u64::from(database.page_bytes()));
    if report.free_pages > 0 || bytes != size {
        let message = "it holds bytes that belong to no bucket".to_owned();
        let problem = fault(message).expected(format!("{bytes} bytes in use"), size);
        problems.add(Check::ScannerDatabase, problem);
    }
    let mut walk = Walk::new(context, output, problems);
    if let Err(error) = walk.run(&database) {
        problems.add(Check::ScannerDatabase, fault(in_full(&error)));
        return Default::default();
    }
    let canary = walk.finish();
    (format!("{} keys in {} pages, all as told", report.pairs, report.pages), canary)
}

/// A walk through all keys.
struct Walk<'w, 'a> {
    context: &'w Context<'a>,
    output: &'a OutputEntry,
    problems: &'w mut Problems,
    /// Keys by bucket, of the buckets that the manifest tells of.
    counts: BTreeMap<&'a str, u64>,
    /// Which of them are described.
    described: BTreeSet<&'a str>,
    /// The name of the bucket at the top, and what it is; `None` for one that should not be there.
    top: (String, Option<Bucket>),
    /// The name of the bucket within it.
    within: Option<String>,
    depth: usize,
    keys: u64,
    picker: Picker,
}

impl<'w, 'a> Walk<'w, 'a> {
    fn new(
        context: &'w Context<'a>,
        output: &'a OutputEntry,
        problems: &'w mut Problems,
    ) -> Walk<'w, 'a> {
        Walk {
            context,
            output,
            problems,
            counts: BTreeMap::new(),
            described: BTreeSet::new(),
            top: (String::new(), None),
            within: None,
            depth: 0,
            keys: 0,
            picker: Picker::default(),
        }
    }

    fn fail(&mut self, message: impl AsRef<str>) {
        self.problems.add(Check::ScannerDatabase, Problem::new(message).of(FILE));
    }

    fn run<R: ReadAt>(&mut self, database: &Database<R>) -> Result<(), stella_bolt::ReadError> {
        let mut cursor = database.cursor();
        while let Some(event) = cursor.advance()? {
            match event {
                Event::Enter { key, .. } => self.enter(key),
                Event::Pair { key, value } => self.pair(key, value),
                Event::Leave => self.leave(),
            }
            let asked = self.keys.is_multiple_of(PAIRS_BETWEEN_STOPS);
            if self.problems.full() || (asked && (self.context.stop)()) {
                break;
            }
        }
        Ok(())
    }

    fn enter(&mut self, key: &[u8]) {
        self.depth += 1;
        let Ok(name) = std::str::from_utf8(key) else {
            return self.fail(format!("a bucket whose name is no UTF-8: {}", key.escape_ascii()));
        };
        match self.depth {
            1 => {
                let bucket = Bucket::named(name);
                if bucket.is_none() {
                    self.fail(format!("the bucket {name:?} is none that Trivy looks into"));
                }
                match self.output.keys.get_key_value(name) {
                    Some((name, _)) => {
                        self.counts.entry(name).or_default();
                    }
                    None => self.fail(format!("the manifest tells nothing of the bucket {name:?}")),
                }
                self.top = (name.to_owned(), bucket);
            }
            2 => {
                if self.top.1.is_some_and(|bucket| !bucket.holds_bucket(name)) {
                    let top = &self.top.0;
                    self.fail(format!("the bucket {name:?} does not belong into {top:?}"));
                }
                self.within = Some(name.to_owned());
            }
            _ => {
                let top = &self.top.0;
                self.fail(format!("the bucket {name:?} lies too deep in {top:?}"));
            }
        }
    }

    fn leave(&mut self) {
        match self.depth {
            1 => self.top = (String::new(), None),
            2 => self.within = None,
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn pair(&mut self, key: &[u8], value: &[u8]) {
        self.keys += 1;
        if let Some(count) = self.counts.get_mut(self.top.0.as_str()) {
            *count += 1;
        }
        let Ok(name) = std::str::from_utf8(key) else {
            return self.fail(format!("a key that is no UTF-8: {}", key.escape_ascii()));
        };
        let Some(bucket) = self.top.1.filter(|_| self.depth <= 2) else { return };
        let Some(shape) = bucket.shape(self.within.as_deref()) else {
            let place = self.place(name);
            return self.fail(format!("{place} is a value where only buckets are"));
        };
        let defect = match value.len() as u64 > self.context.limits.document_bytes {
            true => Some("larger than any document".to_owned()),
            false => schema::defect(shape, value),
        };
        if let Some(defect) = defect {
            let place = self.place(name);
            return self.fail(format!("{place} is not what Trivy reads: {defect}"));
        }
        if bucket == Bucket::Sources
            && let Some((name, _)) = self.output.keys.get_key_value(name)
        {
            self.described.insert(name);
        }
        if let Some(package) = &self.within {
            self.picker.take(bucket, &self.top.0, package, name, value);
        }
    }

    fn place(&self, key: &str) -> String {
        let within = self.within.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
        format!("{}/{within}{key}", self.top.0)
    }

    /// Checks what can be told at the end only.
    fn finish(mut self) -> Canary {
        let told = &self.output.keys;
        for (name, count) in told {
            let found = self.counts.get(name.as_str()).copied();
            if found != Some(*count) {
                let message = format!("the bucket {name:?} has another number of keys");
                let found = found.map_or_else(|| "no such bucket".to_owned(), |n| n.to_string());
                let problem = Problem::new(message).of(FILE).expected(count, found);
                self.problems.add(Check::ScannerDatabase, problem);
            }
            let advisories = Bucket::named(name).is_some_and(Bucket::has_advisories);
            if advisories && !self.described.contains(name.as_str()) {
                self.fail(format!("no row of data-source describes the bucket {name:?}"));
            }
        }
        for (name, why) in [
            (VULNERABILITIES, "without it Trivy crashes at the first finding"),
            (RED_HAT_CPE, "without it Trivy scans no system of Red Hat"),
        ] {
            if !self.counts.contains_key(name) {
                self.fail(format!("there is no bucket {name:?}: {why}"));
            }
        }
        self.picker.finish()
    }
}
