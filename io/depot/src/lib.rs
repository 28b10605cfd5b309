//! The depot: parts and outputs that runs share, addressed by what they are.
//!
//! A local folder per tenant (INV-TENANT). `blobs/` holds files by their SHA-256, `parts/` what was
//! packed for a part key, `outputs/` what was made for an output key, `plans/` what runs were decided
//! to be, `bundles/` the files of what was sealed, `made/` which bundle was made of a plan. Nothing in
//! it is trusted without being hashed, and a crash leaves at worst a file that is not used. Writes go
//! to a temporary name and are renamed, so that readers see whole files only.
//!
//! Where machines share no folder, a [`Bucket`] has the same files under the same names, and the folder
//! is a cache of it: what is kept is in the bucket before keeping it returns, bytes before what makes
//! them found (INV-ATOMIC), and what is not in the folder is fetched and hashed. Any machine can then
//! go on with what another one began (docs/adr/0017).
//!
//! [`Depot::collect`] removes what no run and no kept bundle needs, [`Depot::scrub`] finds what is
//! damaged.

mod arriving;
mod bucket;
mod bundle_record;
mod collect;
mod error;
mod folder;
mod kept;
mod objects;
mod output_record;
mod part_record;
mod reading;
mod scrub;
mod shelf;
mod space;
mod survey;
mod unfinished;
mod upload;
mod virtual_tar;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use arriving::{Arrival, ArrivingBlob};
pub use bucket::{BadAddress, Bucket, BucketAddress, BucketPlace, Credentials, Patience};
pub use bundle_record::{BundleFile, BundleRecord, KeptBundle, MadeBundle};
pub use collect::{Collected, CollectionRules, Roots};
pub use error::DepotError;
pub(crate) use error::failed;
pub use folder::{Hold, Pruned, digest_of_file};
pub(crate) use folder::{make_ready, put_in_place};
pub use kept::Kept;
use objects::{Belief, Objects};
pub use output_record::{OutputFile, OutputRecord};
pub use part_record::{PartRecord, StoredFile, StoredPart};
pub use reading::BlobReader;
pub use scrub::{Damage, Damaged, Repair, Scrubbed};
pub use space::{BlobWriter, SpoolFile};
use stella_model::{Digest, TenantId};
pub use virtual_tar::{Slice, TarReader, VirtualTar};

/// How long something counts as used now. An hour more or less does not matter, so that a look is all
/// that using it costs most of the time. No grace of a collection is shorter than twice this.
pub(crate) const FRESH: Duration = Duration::from_secs(3600);

/// The depot of one tenant.
#[derive(Debug, Clone)]
pub struct Depot {
    root: PathBuf,
    /// What all machines share; none if this folder is all there is.
    objects: Option<Objects>,
}

impl Depot {
    /// The depot of a tenant in a folder, which is made when something is first kept.
    #[must_use]
    pub fn at(dir: &Path, tenant: &TenantId) -> Depot {
        Depot { root: dir.join(tenant.as_str()), objects: None }
    }

    /// The depot of a tenant in a bucket, with a folder of this machine as its cache.
    #[must_use]
    pub fn shared(dir: &Path, tenant: &TenantId, bucket: &Bucket) -> Depot {
        Depot { objects: Some(Objects::of(bucket, tenant)), ..Depot::at(dir, tenant) }
    }

    /// What is remembered under a key, if its files are still there with their sizes.
    ///
    /// The bytes are not looked at: see [`is_intact`](Self::is_intact).
    ///
    /// # Errors
    /// [`DepotError`] if the bucket does not answer. A record in the folder that does not read is as
    /// good as absent.
    pub fn find<K: Kept>(&self, key: &Digest) -> Result<Option<K>, DepotError> {
        let Some(record) = self.record::<K>(key)? else { return Ok(None) };
        Ok(self.has_files(&record)?.then_some(record))
    }

    /// As [`find`](Self::find), and marks it and its blobs as used now, so that neither
    /// [`prune`](Self::prune) nor [`collect`](Self::collect) removes them soon. What a collection took
    /// out of the bucket is not found, whatever the folder has of it.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn reuse<K: Kept>(&self, key: &Digest) -> Result<Option<K>, DepotError> {
        let Some(record) = self.record::<K>(key)? else { return Ok(None) };
        let files = record.files();
        let name = record_name::<K>(key);
        match &self.objects {
            None => {
                self.mark_used(&self.root.join(&name));
                let all_there = files.iter().all(|file| self.use_blob(file));
                Ok(all_there.then_some(record))
            }
            Some(objects) => {
                // Without its record a collection may be about to remove its blobs: they are made young first
                // by whoever makes it again.
                if !objects.refresh(&name, &kept::to_bytes(&record))? {
                    let _ = fs::remove_file(self.root.join(&name));
                    return Ok(None);
                }
                if !self.complete(objects, &files, Belief::Recent)? {
                    return Ok(None);
                }
                for file in &files {
                    self.use_blob(file);
                }
                Ok(Some(record))
            }
        }
    }

    /// What is remembered under a key whose record is replaced from time to time: the newest one.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn newest<K: Kept>(&self, key: &Digest) -> Result<Option<K>, DepotError> {
        match &self.objects {
            None => Ok(self.local_record(key)),
            Some(objects) => {
                let bytes = objects.get(&record_name::<K>(key))?;
                Ok(bytes.and_then(|bytes| kept::from_bytes(&bytes)))
            }
        }
    }

    fn record<K: Kept>(&self, key: &Digest) -> Result<Option<K>, DepotError> {
        let local = self.local_record(key);
        let (None, Some(objects)) = (&local, &self.objects) else { return Ok(local) };
        let Some(bytes) = objects.get(&record_name::<K>(key))? else { return Ok(None) };
        let record = kept::from_bytes(&bytes);
        if record.is_some() {
            self.write_whole(&self.record_path::<K>(key), &bytes)?;
        }
        Ok(record)
    }

    fn local_record<K: Kept>(&self, key: &Digest) -> Option<K> {
        kept::from_bytes(&fs::read(self.record_path::<K>(key)).ok()?)
    }

    /// Remembers a record whose files are kept already: bytes come first, then what makes them
    /// found. In a bucket the files are looked at once more when it is there: from then on nothing
    /// removes them.
    ///
    /// # Errors
    /// [`DepotError`] if it cannot be written, or a file of it is not there.
    pub fn keep<K: Kept>(&self, key: &Digest, record: &K) -> Result<(), DepotError> {
        let bytes = kept::to_bytes(record);
        if let Some(objects) = &self.objects {
            let name = record_name::<K>(key);
            objects.put(&name, bytes.clone())?;
            if !self.complete(objects, &record.files(), Belief::None)? {
                let how = "a file of it was lost meanwhile";
                return Err(DepotError::damaged("keep", objects.what(&name), how));
            }
        }
        self.write_whole(&self.record_path::<K>(key), &bytes)
    }

    /// Whether all files are in the bucket; those that are in the folder alone are sent there.
    fn complete(
        &self,
        objects: &Objects,
        files: &[StoredFile],
        belief: Belief,
    ) -> Result<bool, DepotError> {
        let named: Vec<_> = files.iter().map(|file| (blob_name(&file.digest), *file)).collect();
        let there = objects.are_there(&named, belief)?;
        let missing = named.iter().zip(there).filter(|(_, there)| !there);
        for ((name, file), _) in missing {
            if !self.is_intact_here(file) {
                return Ok(false);
            }
            objects.put_blob(name, file, &self.blob_path(&file.digest))?;
        }
        Ok(true)
    }

    /// Forgets what is remembered under a key if a file of it is missing or damaged, and that file;
    /// whether it was so. Reads the files.
    ///
    /// # Errors
    /// [`DepotError`] if the bucket does not answer.
    pub fn forget_damaged<K: Kept>(&self, key: &Digest) -> Result<bool, DepotError> {
        let Some(record) = self.record::<K>(key)? else { return Ok(false) };
        let mut is_damaged = false;
        for file in record.files() {
            if self.forget_if_damaged(&file)? {
                is_damaged = true;
            }
        }
        if is_damaged {
            // Whatever cannot be removed is found damaged again and made again.
            let _ = fs::remove_file(self.record_path::<K>(key));
            if let Some(objects) = &self.objects {
                objects.remove(&record_name::<K>(key))?;
            }
        }
        Ok(is_damaged)
    }

    /// Forgets a blob that is missing or damaged, wherever; whether it was so.
    fn forget_if_damaged(&self, file: &StoredFile) -> Result<bool, DepotError> {
        let is_good_here = self.is_intact_here(file);
        let path = self.blob_path(&file.digest);
        let was_here = path.exists();
        if !is_good_here {
            let _ = fs::remove_file(path);
        }
        let Some(objects) = &self.objects else { return Ok(!is_good_here) };
        if self.is_intact(file)? {
            return Ok(was_here && !is_good_here);
        }
        objects.remove(&blob_name(&file.digest))?;
        Ok(true)
    }

    /// Keeps bytes under their digest; those that are kept already count as used now.
    ///
    /// # Errors
    /// [`DepotError`] if the blob cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<StoredFile, DepotError> {
        let stored = StoredFile::of(bytes);
        if !self.use_blob(&stored) || !self.is_intact_here(&stored) {
            self.write_whole(&self.blob_path(&stored.digest), bytes)?;
        }
        self.share(&stored)?;
        Ok(stored)
    }

    /// Brings a blob of the folder into the bucket, if there is one.
    pub(crate) fn share(&self, file: &StoredFile) -> Result<(), DepotError> {
        let Some(objects) = &self.objects else { return Ok(()) };
        objects.put_blob(&blob_name(&file.digest), file, &self.blob_path(&file.digest))
    }

    /// Where the bytes with a digest are kept in the folder.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(blob_name(digest))
    }

    fn record_path<K: Kept>(&self, key: &Digest) -> PathBuf {
        self.root.join(record_name::<K>(key))
    }

    /// Whether the stored bytes still have their digest. Reads all of them, from the bucket if there
    /// is one.
    ///
    /// # Errors
    /// [`DepotError`] if the bucket does not answer.
    pub fn is_intact(&self, file: &StoredFile) -> Result<bool, DepotError> {
        let Some(objects) = &self.objects else { return Ok(self.is_intact_here(file)) };
        let name = blob_name(&file.digest);
        match objects.look(&name)? {
            Some(seen) if seen.size == file.size => {
                Ok(objects.read(&name, seen.size, &mut std::io::sink())? == *file)
            }
            _ => Ok(false),
        }
    }

    /// Whether the folder has the bytes of a blob.
    fn is_intact_here(&self, file: &StoredFile) -> bool {
        digest_of_file(&self.blob_path(&file.digest)).is_ok_and(|found| found == *file)
    }

    fn has_files<K: Kept>(&self, record: &K) -> Result<bool, DepotError> {
        let files = record.files();
        match &self.objects {
            Some(objects) => self.complete(objects, &files, Belief::Recent),
            None => Ok(files.iter().all(|file| {
                let metadata = fs::metadata(self.blob_path(&file.digest));
                metadata.is_ok_and(|metadata| metadata.len() == file.size)
            })),
        }
    }
}

/// The name of a blob, in the folder as in the bucket.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{digest}", digest.short(2))
}

/// The name of a record, in the folder as in the bucket.
pub(crate) fn record_name<K: Kept>(key: &Digest) -> String {
    format!("{}/{}/{key}.json", K::FOLDER, key.short(2))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    fn depot() -> (tempfile::TempDir, Depot) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let depot = Depot::at(dir.path(), &TenantId::local());
        (dir, depot)
    }

    fn found<K: Kept>(depot: &Depot, key: &Digest) -> Option<K> {
        depot.find(key).expect("looks")
    }

    fn reused<K: Kept>(depot: &Depot, key: &Digest) -> Option<K> {
        depot.reuse(key).expect("looks")
    }

    fn record(depot: &Depot, data: &[u8]) -> PartRecord {
        let data = depot.put_blob(data).expect("writes");
        let index = depot.put_blob(b"index").expect("writes");
        PartRecord::for_test(data, index)
    }

    #[test]
    fn a_part_is_found_by_its_key_until_its_bytes_are_gone() {
        let (_dir, depot) = depot();
        let key = Digest::of(b"key");
        assert_eq!(found::<PartRecord>(&depot, &key), None);
        let record = record(&depot, b"data");
        depot.keep(&key, &record).expect("writes");
        assert_eq!(found(&depot, &key), Some(record.clone()));
        assert_eq!(reused(&depot, &key), Some(record.clone()));
        assert_eq!(found::<OutputRecord>(&depot, &key), None);
        assert!(!depot.forget_damaged::<PartRecord>(&key).expect("looks"), "it is intact");
        fs::write(depot.blob_path(&record.files()[0].digest), b"dat4").expect("writes");
        assert!(found::<PartRecord>(&depot, &key).is_some(), "nobody looks at the bytes");
        assert!(depot.forget_damaged::<PartRecord>(&key).expect("looks"));
        assert_eq!(found::<PartRecord>(&depot, &key), None);
        assert_eq!(reused::<PartRecord>(&depot, &key), None);
    }

    #[test]
    fn what_is_reused_counts_as_used_last() {
        let (_dir, depot) = depot();
        let key = Digest::of(b"key");
        let record = record(&depot, &[1; 1000]);
        depot.keep(&key, &record).expect("writes");
        let other = depot.put_blob(&[2; 1000]).expect("writes");
        for file in record.files().iter().chain([&other]) {
            let path = depot.blob_path(&file.digest);
            let blob = File::options().append(true).open(path).expect("opens");
            let past = SystemTime::now() - Duration::from_secs(7200);
            blob.set_modified(past).expect("sets the time");
        }
        assert!(reused::<PartRecord>(&depot, &key).is_some());
        assert_eq!(depot.prune(1500).expect("prunes"), Pruned { files: 1, bytes: 1000 });
        assert!(reused::<PartRecord>(&depot, &key).is_some() && !depot.is_intact_here(&other));
    }

    #[test]
    fn what_is_kept_again_counts_as_used_last() {
        let (_dir, depot) = depot();
        let again = depot.put_blob(&[1; 1000]).expect("writes");
        let other = depot.put_blob(&[2; 1000]).expect("writes");
        for (file, hours) in [(&again, 3), (&other, 2)] {
            let path = depot.blob_path(&file.digest);
            let blob = File::options().append(true).open(path).expect("opens");
            let past = SystemTime::now() - Duration::from_secs(hours * 3600);
            blob.set_modified(past).expect("sets the time");
        }
        depot.put_blob(&[1; 1000]).expect("finds it");
        assert_eq!(depot.prune(1500).expect("prunes"), Pruned { files: 1, bytes: 1000 });
        assert!(depot.is_intact_here(&again) && !depot.is_intact_here(&other));
    }

    #[test]
    fn damage_is_seen_and_mended_by_writing_again() {
        let (_dir, depot) = depot();
        let file = depot.put_blob(b"some bytes").expect("writes");
        fs::write(depot.blob_path(&file.digest), b"some bytez").expect("writes");
        assert!(!depot.is_intact_here(&file));
        depot.put_blob(b"some bytes").expect("writes");
        assert!(depot.is_intact_here(&file));
    }

    #[test]
    fn pruning_keeps_what_was_used_last() {
        let (_dir, depot) = depot();
        let old = depot.put_blob(&[1; 1000]).expect("writes");
        let new = depot.put_blob(&[2; 1000]).expect("writes");
        let past = SystemTime::now() - std::time::Duration::from_secs(3600);
        let file = File::options().append(true).open(depot.blob_path(&old.digest)).expect("opens");
        file.set_modified(past).expect("sets the time");
        assert_eq!(depot.prune(2000).expect("prunes"), Pruned::default());
        assert_eq!(depot.prune(1500).expect("prunes"), Pruned { files: 1, bytes: 1000 });
        assert!(!depot.is_intact_here(&old) && depot.is_intact_here(&new));
    }

    #[test]
    fn nothing_is_pruned_while_a_run_holds_the_depot() {
        let (_dir, depot) = depot();
        let key = Digest::of(b"key");
        let record = record(&depot, b"data");
        depot.keep(&key, &record).expect("writes");
        let held = depot.hold().expect("holds");
        assert_eq!(depot.prune(0).expect("prunes"), Pruned::default());
        assert_eq!(found(&depot, &key), Some(record));
        drop(held);
        assert_eq!(depot.prune(0).expect("prunes").files, 2);
        assert!(
            !depot.record_path::<PartRecord>(&key).exists(),
            "what is known of it goes with it"
        );
    }

    #[test]
    fn tenants_do_not_see_each_other() {
        let (dir, depot) = depot();
        let other = TenantId::new("other").expect("a tenant");
        let other = Depot::at(dir.path(), &other);
        let file = depot.put_blob(b"bytes").expect("writes");
        assert!(depot.is_intact_here(&file) && !other.is_intact_here(&file));
    }
}
