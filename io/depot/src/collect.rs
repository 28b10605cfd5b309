//! Removing what no run and no kept bundle needs (docs/adr/0017).
//!
//! What is removed follows from what is there and from what the catalog still counts on, by a function
//! without any I/O. It is safe beside workers that use the depot, because
//!
//! - nothing goes that is younger than the grace, and whatever is used becomes young again;
//! - right before a file goes it is looked at once more, and stays if it was used meanwhile;
//! - a blob that any record named at the beginning stays, also if that record goes now;
//! - a record that is gone is not used again from a copy of it: its blobs may go next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use stella_model::Digest;

use crate::shelf::{Copies, Entry, Folder, Shared, Shelf};
use crate::survey::{Record, Survey};
use crate::{Depot, DepotError, FRESH, failed};

/// How long a folder is waited for that runs hold.
const PATIENCE: Duration = Duration::from_secs(5);

/// What must stay, however old it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots {
    /// What runs that are not over were decided to be.
    pub plans: BTreeSet<Digest>,
    /// Bundles that are kept, and those of runs that are not over.
    pub bundles: BTreeSet<Digest>,
}

/// How much is kept of what no root names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionRules {
    /// How long everything stays after it was used last. Longer than any task lasts.
    pub grace: Duration,
    /// Bytes of parts and outputs that are kept beyond that because another run may use them.
    pub cache_bytes: u64,
}

impl CollectionRules {
    /// The shortest grace that is safe beside workers: what was used in the last hour may look an hour
    /// older than it is.
    pub const SHORTEST_GRACE: Duration = FRESH.saturating_mul(2);
}

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Records removed.
    pub records: u64,
    /// Blobs removed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bundles that are kept and whose records do not read: no blob was removed because of them, see
    /// [`Depot::scrub`].
    pub unreadable: u64,
    /// Whether runs held the folder all the time, so that nothing was done.
    pub is_busy: bool,
}

impl Depot {
    /// Removes what no root names and nobody used for longer than the grace: plans, bundles and which
    /// bundle was made of what; parts and outputs beyond the size of the cache, those first that were
    /// used least recently; and blobs that no record names. In a bucket if there is one, else in the
    /// folder while no run holds it.
    ///
    /// Blobs of a record that goes follow in the next collection. May run beside workers and beside
    /// other collections, in this and other processes.
    ///
    /// # Errors
    /// [`DepotError`] if something cannot be read or removed; what was removed before stays removed.
    pub fn collect(&self, roots: &Roots, rules: &CollectionRules) -> Result<Collected, DepotError> {
        let Some(objects) = &self.objects else { return self.collect_folder(roots, rules) };
        let shelf = Shared { depot: self, objects, copies: Copies::WillDo };
        let now = shelf.now()?;
        let decided = decide(&Survey::of(&shelf)?, roots, rules, now);
        decided.carry_out(&shelf)
    }

    /// Throws away uploads that killed processes left in the bucket at least so long ago; gives how many.
    /// Apart from a collection, because not all storage can tell of them.
    ///
    /// # Errors
    /// [`DepotError`] if they cannot be listed or removed.
    pub fn clear_unfinished(&self, grace: Duration) -> Result<u64, DepotError> {
        let Some(objects) = &self.objects else { return Ok(0) };
        let now = Shared { depot: self, objects, copies: Copies::WillDo }.now()?;
        objects.remove_unfinished(now, grace)
    }

    /// Says whose roots this depot is collected by, unless somebody has said so; whether it is this
    /// owner. Who asks somebody else what must stay would remove what is still needed.
    ///
    /// # Errors
    /// [`DepotError`] if nobody can tell.
    pub fn claim(&self, owner: &Digest) -> Result<bool, DepotError> {
        const NAME: &str = "owner";
        let told = owner.to_string();
        let Some(objects) = &self.objects else {
            let path = self.root.join(NAME);
            if !path.exists() {
                self.write_whole(&path, told.as_bytes())?;
            }
            let found = std::fs::read(&path).map_err(failed("read", &path))?;
            return Ok(found == told.as_bytes());
        };
        if objects.get(NAME)?.is_none() {
            objects.put(NAME, told.clone().into_bytes())?;
        }
        Ok(objects.get(NAME)?.is_some_and(|found| found == told.as_bytes()))
    }

    fn collect_folder(
        &self,
        roots: &Roots,
        rules: &CollectionRules,
    ) -> Result<Collected, DepotError> {
        let shelf = Folder(self);
        let decided = decide(&Survey::of(&shelf)?, roots, rules, shelf.now()?);
        // Only what follows needs the folder alone, and it takes no longer than removing files does.
        match self.alone(PATIENCE)? {
            Some(_alone) => {
                self.remove_stale_incoming()?;
                decided.carry_out(&shelf)
            }
            None => Ok(Collected { is_busy: true, ..Collected::default() }),
        }
    }
}

/// What goes.
#[derive(Debug, Default)]
struct Decided {
    records: Vec<Entry>,
    blobs: Vec<Entry>,
    unreadable: u64,
}

impl Decided {
    fn carry_out(self, shelf: &dyn Shelf) -> Result<Collected, DepotError> {
        let mut collected = Collected { unreadable: self.unreadable, ..Collected::default() };
        for record in self.records {
            collected.records += u64::from(remove(shelf, &record)?);
        }
        for blob in self.blobs {
            if remove(shelf, &blob)? {
                collected.blobs += 1;
                collected.bytes += blob.size;
            }
        }
        Ok(collected)
    }
}

/// Removes a file unless it was used since it was looked at; whether it was removed.
fn remove(shelf: &dyn Shelf, entry: &Entry) -> Result<bool, DepotError> {
    let is_same = shelf.used(&entry.name)? == Some(entry.used);
    if is_same {
        shelf.remove(&entry.name)?;
    }
    Ok(is_same)
}

fn decide(survey: &Survey, roots: &Roots, rules: &CollectionRules, now: SystemTime) -> Decided {
    let is_old = |entry: &Entry| now.duration_since(entry.used).is_ok_and(|age| age >= rules.grace);
    let mut decided = Decided::default();
    let plans = survey.plans.iter().filter(|(key, _)| !roots.plans.contains(key));
    decided.records.extend(plans.map(|(_, entry)| entry).filter(|entry| is_old(entry)).cloned());
    let stays = |bundle: &&Record| roots.bundles.contains(&bundle.key) || !is_old(&bundle.entry);
    let (staying, going): (Vec<&Record>, Vec<&Record>) = survey.bundles.iter().partition(stays);
    decided.records.extend(going.iter().map(|bundle| bundle.entry.clone()));
    let staying_keys: BTreeSet<&Digest> = staying.iter().map(|bundle| &bundle.key).collect();
    let made = survey.made.iter().filter(|(entry, bundle)| {
        let is_there = bundle.as_ref().is_some_and(|bundle| staying_keys.contains(bundle));
        !is_there && is_old(entry)
    });
    decided.records.extend(made.map(|(entry, _)| entry.clone()));
    let of_bundles = names(&survey.bundles);
    decided.records.extend(beyond_cache(survey, &of_bundles, rules, &is_old));
    decided.unreadable = staying.iter().filter(|bundle| bundle.files.is_none()).count() as u64;
    if decided.unreadable == 0 {
        let of_caches = names(&survey.caches);
        let unnamed = survey.blobs.iter().filter(|(digest, entry)| {
            !of_bundles.contains(digest) && !of_caches.contains(digest) && is_old(entry)
        });
        decided.blobs = unnamed.map(|(_, entry)| entry.clone()).collect();
    }
    decided
}

fn names(records: &[Record]) -> BTreeSet<Digest> {
    let files = records.iter().filter_map(|record| record.files.as_ref()).flatten();
    files.map(|file| file.digest).collect()
}

/// Parts and outputs that go: those that lost a file, and the least recently used ones until the blobs
/// that only such records name are no more than the cache may have.
fn beyond_cache(
    survey: &Survey,
    of_bundles: &BTreeSet<Digest>,
    rules: &CollectionRules,
    is_old: &impl Fn(&Entry) -> bool,
) -> Vec<Entry> {
    let mut beyond = Vec::new();
    let mut whole = Vec::new();
    let mut users: BTreeMap<Digest, u32> = BTreeMap::new();
    let mut total = 0;
    for record in &survey.caches {
        let blobs = record.files.as_ref().and_then(|files| {
            let blobs = files.iter().map(|file| survey.blobs.get(&file.digest));
            blobs.collect::<Option<Vec<_>>>()
        });
        let (Some(files), Some(blobs)) = (&record.files, blobs) else {
            beyond.extend(Some(&record.entry).filter(|entry| is_old(entry)).cloned());
            continue;
        };
        let used = blobs.iter().map(|blob| blob.used).chain([record.entry.used]).max();
        for file in files.iter().filter(|file| !of_bundles.contains(&file.digest)) {
            let count = users.entry(file.digest).or_default();
            *count += 1;
            total += if *count == 1 { file.size } else { 0 };
        }
        whole.push((used.unwrap_or(record.entry.used), record, files));
    }
    whole.sort_by(|a, b| (a.0, &a.1.entry.name).cmp(&(b.0, &b.1.entry.name)));
    for (used, record, files) in whole {
        let is_in_use = !is_old(&Entry { used, ..record.entry.clone() });
        if total <= rules.cache_bytes || is_in_use {
            break;
        }
        for file in files {
            if let Some(count) = users.get_mut(&file.digest) {
                *count -= 1;
                total -= if *count == 0 { file.size } else { 0 };
            }
        }
        beyond.push(record.entry.clone());
    }
    beyond
}

#[cfg(test)]
mod tests;
