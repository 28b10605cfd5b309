//! Finding what is damaged, and forgetting it so that it is made again.

use std::collections::{BTreeMap, BTreeSet};

use stella_model::Digest;

use crate::shelf::{Copies, Folder, Shared, Shelf};
use crate::survey::{Record, Survey};
use crate::{
    BundleRecord, Depot, DepotError, Kept, MadeBundle, OutputRecord, PartRecord, Roots, StoredFile,
    kept,
};

/// What is wrong with a blob or a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It does not have the bytes that its name tells.
    Changed,
    /// It is not there, although something needs it.
    Missing,
}

/// A blob or record that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its file or object.
    pub name: String,
    /// What is wrong.
    pub damage: Damage,
    /// Its bytes as they were, where something tells.
    pub size: Option<u64>,
    /// The records that need it, such as `bundles/ab/abcd….json`.
    pub needed_by: Vec<String>,
}

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is damaged, by name.
    pub damaged: Vec<Damaged>,
    /// The bundles that something of it is of, by what their records are kept under.
    pub bundles: BTreeSet<Digest>,
}

/// What is done about damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    No,
    /// It is forgotten, with the records that need it, so that the next run of the same plan makes it
    /// again. What the folder of this machine has a good copy of is brought back at once, and what was
    /// made good while the rest was read stays.
    Forget,
}

impl Depot {
    /// Reads every blob of the bucket, or of the folder if there is none, and compares it with its
    /// name; finds blobs that records need and that are gone, records that do not read, and bundles
    /// among the roots that nothing is known of. Copies in the folder that are damaged go, they are
    /// fetched again.
    ///
    /// # Errors
    /// [`DepotError`] if something cannot be read or removed; damage is none.
    pub fn scrub(&self, roots: &Roots, repair: Repair) -> Result<Scrubbed, DepotError> {
        let _held = self.hold()?;
        match &self.objects {
            None => self.scrub_shelf(&Folder(self), roots, repair),
            Some(objects) => {
                self.drop_bad_copies()?;
                let copies = Copies::Ignored;
                self.scrub_shelf(&Shared { depot: self, objects, copies }, roots, repair)
            }
        }
    }

    /// Removes copies of the folder that are not what they should be.
    fn drop_bad_copies(&self) -> Result<(), DepotError> {
        let folder = Folder(self);
        for (digest, entry) in Survey::of(&folder)?.blobs {
            let found = folder.digest(&entry.name)?;
            if found.is_some_and(|found| found.digest != digest) {
                folder.remove(&entry.name)?;
            }
        }
        Ok(())
    }

    fn scrub_shelf(
        &self,
        shelf: &dyn Shelf,
        roots: &Roots,
        repair: Repair,
    ) -> Result<Scrubbed, DepotError> {
        let survey = Survey::of(shelf)?;
        let mut scrubbed = Scrubbed::default();
        let mut bad = changed(shelf, &survey, &mut scrubbed)?;
        let needs = needs(&survey);
        for (digest, need) in &needs {
            // One that is not in the list may have come after it was made.
            let is_gone = !survey.blobs.contains_key(digest)
                && shelf.used(&crate::blob_name(&need.0.digest))?.is_none();
            if is_gone {
                bad.insert(*digest, Damage::Missing);
            }
        }
        for (digest, damage) in &bad {
            let (size, needed_by) = match needs.get(digest) {
                Some((file, names)) => (Some(file.size), names.clone()),
                None => (None, Vec::new()),
            };
            let name = shelf.what(&crate::blob_name(digest));
            scrubbed.damaged.push(Damaged { name, damage: *damage, size, needed_by });
        }
        let mut tell = |name: &str, damage| {
            let name = shelf.what(name);
            scrubbed.damaged.push(Damaged { name, damage, size: None, needed_by: Vec::new() });
        };
        let unreadable = unreadable(&survey);
        unreadable.iter().for_each(|name| tell(name, Damage::Changed));
        let known: BTreeSet<&Digest> = survey.bundles.iter().map(|bundle| &bundle.key).collect();
        for bundle in roots.bundles.iter().filter(|bundle| !known.contains(bundle)) {
            let name = crate::record_name::<BundleRecord>(bundle);
            if shelf.used(&name)?.is_none() {
                tell(&name, Damage::Missing);
                scrubbed.bundles.insert(*bundle);
            }
        }
        let is_bad = |record: &&Record| match &record.files {
            None => true,
            Some(files) => files.iter().any(|file| bad.contains_key(&file.digest)),
        };
        scrubbed.bundles.extend(survey.bundles.iter().filter(is_bad).map(|bundle| bundle.key));
        if repair == Repair::Forget {
            let bad: BTreeSet<Digest> = bad.into_keys().collect();
            self.forget(shelf, &bad, &needs, &unreadable)?;
        }
        Ok(scrubbed)
    }

    /// Removes what is damaged and the records that need it. It was found while all blobs were read, which
    /// takes hours: a run may have made it good since, so that each is looked at again right before.
    fn forget(
        &self,
        shelf: &dyn Shelf,
        bad: &BTreeSet<Digest>,
        needs: &Needs,
        unreadable: &[&str],
    ) -> Result<(), DepotError> {
        for digest in bad {
            let name = crate::blob_name(digest);
            if shelf.digest(&name)?.is_some_and(|found| found.digest == *digest) {
                continue;
            }
            shelf.remove(&name)?;
            let Some((file, names)) = needs.get(digest) else { continue };
            if self.objects.is_some() && self.is_intact_here(file) {
                self.share(file)?;
            } else {
                names.iter().try_for_each(|name| self.forget_record(shelf, name))?;
            }
        }
        for name in unreadable {
            if shelf.read(name)?.is_some_and(|bytes| !reads(name, &bytes)) {
                self.forget_record(shelf, name)?;
            }
        }
        Ok(())
    }

    fn forget_record(&self, shelf: &dyn Shelf, name: &str) -> Result<(), DepotError> {
        shelf.remove(name)?;
        // The copy of this machine, if it is one.
        Folder(self).remove(name)
    }
}

/// Blobs by digest, with the records that need them.
type Needs = BTreeMap<Digest, (StoredFile, Vec<String>)>;

fn needs(survey: &Survey) -> Needs {
    let mut needs = Needs::new();
    for record in survey.bundles.iter().chain(&survey.caches) {
        for file in record.files.iter().flatten() {
            let need = needs.entry(file.digest).or_insert_with(|| (*file, Vec::new()));
            need.1.push(record.entry.name.clone());
        }
    }
    needs
}

/// Reads every blob; gives those that are not what their names tell.
fn changed(
    shelf: &dyn Shelf,
    survey: &Survey,
    scrubbed: &mut Scrubbed,
) -> Result<BTreeMap<Digest, Damage>, DepotError> {
    let mut bad = BTreeMap::new();
    for (digest, entry) in &survey.blobs {
        // One that is gone meanwhile was removed by a collection.
        let Some(found) = shelf.digest(&entry.name)? else { continue };
        scrubbed.blobs += 1;
        scrubbed.bytes += found.size;
        if found.digest != *digest {
            bad.insert(*digest, Damage::Changed);
        }
    }
    Ok(bad)
}

/// The names of records that do not read.
fn unreadable(survey: &Survey) -> Vec<&str> {
    let records = survey.bundles.iter().chain(&survey.caches);
    let unreadable = records.filter(|record| record.files.is_none()).map(|record| &record.entry);
    let made = survey.made.iter().filter(|(_, bundle)| bundle.is_none()).map(|(entry, _)| entry);
    unreadable.chain(made).map(|entry| entry.name.as_str()).collect()
}

/// Whether a record reads as what its folder is for.
fn reads(name: &str, bytes: &[u8]) -> bool {
    fn is<K: Kept>(name: &str, bytes: &[u8]) -> bool {
        name.split('/').next() == Some(K::FOLDER) && kept::from_bytes::<K>(bytes).is_some()
    }
    is::<BundleRecord>(name, bytes)
        || is::<MadeBundle>(name, bytes)
        || is::<OutputRecord>(name, bytes)
        || is::<PartRecord>(name, bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use stella_model::TenantId;

    use super::*;
    use crate::Bucket;

    /// A depot with a record and its files, and who scrubs it.
    struct Place {
        dir: tempfile::TempDir,
        bucket: Option<Bucket>,
        depot: Depot,
        key: Digest,
        record: PartRecord,
    }

    /// The depot as a machine has it.
    fn machine(dir: &Path, name: &str, bucket: Option<&Bucket>) -> Depot {
        let tenant = TenantId::local();
        match bucket {
            None => Depot::at(dir, &tenant),
            Some(bucket) => Depot::shared(&dir.join(name), &tenant, &bucket.for_another()),
        }
    }

    impl Place {
        fn new(bucket: Option<Bucket>) -> Place {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let depot = machine(dir.path(), "one", bucket.as_ref());
            let record = PartRecord::for_test(StoredFile::of(b"data"), StoredFile::of(b"index"));
            let place = Place { dir, bucket, depot, key: Digest::of(b"key"), record };
            place.keep();
            place
        }

        /// What a run does that makes the record, on another machine if there are several.
        fn keep(&self) {
            let depot = machine(self.dir.path(), "another", self.bucket.as_ref());
            for bytes in [&b"data"[..], b"index"] {
                depot.put_blob(bytes).expect("keeps");
            }
            depot.keep(&self.key, &self.record).expect("keeps");
        }

        fn damage(&self, name: &str) {
            let bytes = b"other bytes";
            match &self.depot.objects {
                None => stella_testkit::overwrite(&self.depot.root.join(name), bytes),
                Some(objects) => objects.put(name, bytes.to_vec()).expect("writes"),
            }
        }

        fn shelf(&self) -> Box<dyn Shelf + '_> {
            let depot = &self.depot;
            match &depot.objects {
                None => Box::new(Folder(depot)),
                Some(objects) => Box::new(Shared { depot, objects, copies: Copies::Ignored }),
            }
        }

        fn blob(&self) -> String {
            crate::blob_name(&Digest::of(b"data"))
        }

        fn name(&self) -> String {
            crate::record_name::<PartRecord>(&self.key)
        }

        /// Finds damage, has something happen, and forgets what was found; gives whether the file and
        /// the record are still there.
        fn forget(&self, damaged: &str, meanwhile: impl Fn(&Place)) -> [bool; 2] {
            self.damage(damaged);
            let shelf = self.shelf();
            let survey = Survey::of(&*shelf).expect("looks");
            let bad = changed(&*shelf, &survey, &mut Scrubbed::default()).expect("reads");
            let bad: BTreeSet<Digest> = bad.into_keys().collect();
            let (needs, unreadable) = (needs(&survey), unreadable(&survey));
            assert_eq!(bad.len() + unreadable.len(), 1, "one of them is damaged");
            meanwhile(self);
            self.depot.forget(&*shelf, &bad, &needs, &unreadable).expect("forgets");
            [self.blob(), self.name()].map(|name| shelf.used(&name).expect("looks").is_some())
        }
    }

    /// Tries something in a folder and in a bucket.
    fn on_both(test: impl Fn(&Place)) {
        test(&Place::new(None));
        test(&Place::new(Some(Bucket::where_hours_pass())));
    }

    #[test]
    fn what_was_made_good_after_it_was_found_stays() {
        on_both(|place| {
            for damaged in [place.blob(), place.name()] {
                assert_eq!(place.forget(&damaged, Place::keep), [true; 2], "{damaged}");
                let found = place.depot.find::<PartRecord>(&place.key).expect("looks");
                assert_eq!(found.as_ref(), Some(&place.record), "{damaged}");
                for file in place.record.files() {
                    assert!(place.depot.is_intact(&file).expect("looks"), "{damaged}");
                }
            }
        });
    }

    #[test]
    fn what_is_still_damaged_goes_with_the_records_that_need_it() {
        on_both(|place| {
            assert_eq!(place.forget(&place.blob(), |_| ()), [false; 2]);
            place.keep();
            assert_eq!(place.forget(&place.name(), |_| ()), [true, false]);
        });
    }
}
