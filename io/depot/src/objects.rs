//! What a tenant has in a bucket.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload,
};
use stella_model::{DigestBuilder, TenantId};

use crate::bucket::{Begun, Bucket};
use crate::upload::Upload;
use crate::{DepotError, StoredFile, failed};

/// Bytes that are asked for at once, and that are sent at once.
pub(crate) const WINDOW: u64 = 8 << 20;

/// Requests that are under way at once, where many are alike.
const AT_ONCE: usize = 32;

/// How often an answer is asked for again that breaks off.
const BROKEN_OFF: u32 = 5;

/// How long it takes until it is asked for again, the first time.
const PAUSE: Duration = Duration::from_millis(100);

/// How long what was seen in the bucket is believed to be there. Collection leaves alone what is
/// younger than its grace, which is much longer.
const BELIEVED: Duration = Duration::from_secs(600);

/// Names that are believed to be there, at most.
const MOST_BELIEVED: usize = 200_000;

/// The objects of one tenant. Names are those of the files of a depot, such as `blobs/ab/abcd…`.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    bucket: Bucket,
    root: Path,
}

/// What a bucket tells of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) size: u64,
    /// When it was written, by the clock of the bucket.
    pub(crate) written: SystemTime,
}

impl Objects {
    /// Those of a tenant.
    pub(crate) fn of(bucket: &Bucket, tenant: &TenantId) -> Objects {
        let root = bucket.prefix().clone().join(tenant.as_str());
        Objects { bucket: bucket.clone(), root }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.root.clone(), |path, part| path.join(part))
    }

    fn failed(&self, attempt: &'static str, name: &str) -> impl FnOnce(Error) -> DepotError {
        let what = self.what(name);
        move |error| DepotError::of_bucket(attempt, what, error)
    }

    /// What a person is told of an object.
    pub(crate) fn what(&self, name: &str) -> String {
        format!("the object {name}")
    }

    /// Puts a small object in its place, whole or not at all, whatever is there.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), DepotError> {
        let (store, path) = (self.bucket.store.clone(), self.path(name));
        let put = async move { store.put(&path, PutPayload::from(bytes)).await };
        self.bucket.wait(put).map_err(self.failed("write", name))?;
        self.believe(name, Age::Fresh);
        Ok(())
    }

    /// Puts an object in its place, unless one of its size is there that nobody collects soon. Bytes
    /// that are not those of the blob never get its name.
    pub(crate) fn put_blob(
        &self,
        name: &str,
        blob: &StoredFile,
        path: &FilePath,
    ) -> Result<(), DepotError> {
        if self.is_believed(name, Age::Fresh) {
            return Ok(());
        }
        let file = File::open(path).map_err(failed("read", path))?;
        match blob.size <= WINDOW {
            true => self.put_small(name, blob, file, path)?,
            false if self.is_there(name, blob)? => {}
            false => self.put_large(name, blob, file, path)?,
        }
        self.believe(name, Age::Fresh);
        Ok(())
    }

    /// Whether a blob is there, and so young that nobody collects it soon.
    fn is_there(&self, name: &str, blob: &StoredFile) -> Result<bool, DepotError> {
        Ok(self.look(name)?.is_some_and(|seen| seen.size == blob.size && self.is_fresh(&seen)))
    }

    /// Whether it was written so short a time ago that nobody collects it soon.
    fn is_fresh(&self, seen: &Seen) -> bool {
        seen.written.elapsed().map_or(true, |age| age < self.bucket.fresh)
    }

    fn put_small(
        &self,
        name: &str,
        blob: &StoredFile,
        mut file: File,
        path: &FilePath,
    ) -> Result<(), DepotError> {
        let mut bytes = Vec::with_capacity(usize::try_from(blob.size).unwrap_or(0));
        file.read_to_end(&mut bytes).map_err(failed("read", path))?;
        let found = StoredFile::of(&bytes);
        if found != *blob {
            return Err(DepotError::other_bytes("store", path.display().to_string()));
        }
        let payload = PutPayload::from(bytes);
        let (store, to, first) = (self.bucket.store.clone(), self.path(name), payload.clone());
        // Create if absent: of several workers that made the same bytes one sends them for good.
        let put = async move { store.put_opts(&to, first, PutMode::Create.into()).await };
        match self.bucket.wait(put) {
            Ok(_) => return Ok(()),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. })
                if self.is_there(name, blob)? =>
            {
                return Ok(());
            }
            // Not fresh, of another size, or nobody knows: equal bytes may be written twice.
            Err(_) => {}
        }
        let (store, to) = (self.bucket.store.clone(), self.path(name));
        let put = async move { store.put(&to, payload).await };
        self.bucket.wait(put).map(drop).map_err(self.failed("write", name))
    }

    fn put_large(
        &self,
        name: &str,
        blob: &StoredFile,
        mut file: File,
        path: &FilePath,
    ) -> Result<(), DepotError> {
        let failed_here = || self.failed("write", name);
        let mut upload = Upload::begin(&self.bucket, self.path(name)).map_err(failed_here())?;
        let (mut digest, mut size) = (DigestBuilder::new(), 0);
        loop {
            let mut piece = Vec::new();
            let most = Upload::piece(blob.size);
            Read::by_ref(&mut file)
                .take(most)
                .read_to_end(&mut piece)
                .map_err(failed("read", path))?;
            if piece.is_empty() {
                break;
            }
            digest.bytes(&piece);
            size += piece.len() as u64;
            upload.send(piece).map_err(failed_here())?;
        }
        if (StoredFile { digest: digest.finish(), size }) != *blob {
            return Err(DepotError::other_bytes("store", path.display().to_string()));
        }
        upload.finish().map_err(failed_here())
    }

    /// What there is under a name.
    pub(crate) fn look(&self, name: &str) -> Result<Option<Seen>, DepotError> {
        self.begin_look(name).get().map_err(self.failed("look for", name))
    }

    fn begin_look(&self, name: &str) -> Begun<Result<Option<Seen>, Error>> {
        let (store, path) = (self.bucket.store.clone(), self.path(name));
        self.bucket.begin(async move {
            match store.head(&path).await {
                Ok(meta) => {
                    let written = SystemTime::from(meta.last_modified);
                    Ok(Some(Seen { size: meta.size, written }))
                }
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Which of many blobs are there, in their order.
    pub(crate) fn are_there(
        &self,
        blobs: &[(String, StoredFile)],
        belief: Belief,
    ) -> Result<Vec<bool>, DepotError> {
        let mut there = vec![true; blobs.len()];
        let is_asked = |name: &str| belief == Belief::None || !self.is_believed(name, Age::Any);
        let asked: Vec<usize> = (0..blobs.len()).filter(|at| is_asked(&blobs[*at].0)).collect();
        for group in asked.chunks(AT_ONCE) {
            let begun: Vec<_> =
                group.iter().map(|at| (*at, self.begin_look(&blobs[*at].0))).collect();
            for (at, look) in begun {
                let (name, blob) = &blobs[at];
                let seen = look.get().map_err(self.failed("look for", name))?;
                let seen = seen.filter(|seen| seen.size == blob.size);
                there[at] = seen.is_some();
                match seen {
                    Some(seen) if self.is_fresh(&seen) => self.believe(name, Age::Fresh),
                    Some(_) => self.believe(name, Age::Any),
                    None => self.doubt(name),
                }
            }
        }
        Ok(there)
    }

    /// A small object; none if it is not there.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Vec<u8>>, DepotError> {
        let (store, path) = (self.bucket.store.clone(), self.path(name));
        let get = async move { whole(&*store, &path, None).await };
        match self.bucket.wait(get) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", name)(error)),
        }
    }

    /// A range of an object, all of it.
    pub(crate) fn range(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>, DepotError> {
        let (wanted, end) = (range.end - range.start, range.end);
        let (store, path) = (self.bucket.store.clone(), self.path(name));
        let get = async move { whole(&*store, &path, Some(range)).await };
        let short = || DepotError::damaged("read", self.what(name), "it is too short");
        match self.bucket.wait(get) {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(_) => Err(short()),
            // A range beyond the end is refused like much else: the size tells.
            Err(Error::Generic { .. }) if self.look(name)?.is_some_and(|seen| seen.size < end) => {
                Err(short())
            }
            Err(error) => Err(self.failed("read", name)(error)),
        }
    }

    /// Reads an object from its start to its end, and tells what it was.
    pub(crate) fn read(
        &self,
        name: &str,
        size: u64,
        out: &mut dyn Write,
    ) -> Result<StoredFile, DepotError> {
        let (mut digest, mut at) = (DigestBuilder::new(), 0);
        while at < size {
            let piece = self.range(name, at..size.min(at + WINDOW))?;
            digest.bytes(&piece);
            at += piece.len() as u64;
            out.write_all(&piece).map_err(failed("keep a copy of", name.as_ref()))?;
        }
        Ok(StoredFile { digest: digest.finish(), size })
    }

    /// Removes an object, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), DepotError> {
        self.doubt(name);
        let (store, path) = (self.bucket.store.clone(), self.path(name));
        let remove = async move { store.delete(&path).await };
        match self.bucket.wait(remove) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", name)(error)),
        }
    }

    /// Every object of a folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<(String, Seen)>, DepotError> {
        let (store, path) = (self.bucket.store.clone(), self.path(folder));
        let list = async move { store.list(Some(&path)).try_collect::<Vec<_>>().await };
        let listed = self.bucket.wait(list).map_err(self.failed("list", folder))?;
        let root = format!("{}/", self.root);
        let named = listed.into_iter().filter_map(|meta| {
            let name = meta.location.as_ref().strip_prefix(&root)?.to_owned();
            let written = SystemTime::from(meta.last_modified);
            Some((name, Seen { size: meta.size, written }))
        });
        Ok(named.collect())
    }

    /// Throws away what was begun to be sent at least so long ago and never was an object; gives how
    /// many. `now` is the time of the bucket.
    pub(crate) fn remove_unfinished(
        &self,
        now: SystemTime,
        grace: Duration,
    ) -> Result<u64, DepotError> {
        let (uploads, root) = (self.bucket.uploads.clone(), self.root.clone());
        let removed = async move {
            let mut removed = 0;
            for upload in uploads.list(&root).await? {
                if now.duration_since(upload.begun).is_ok_and(|age| age >= grace) {
                    uploads.abort(&upload).await?;
                    removed += 1;
                }
            }
            Ok(removed)
        };
        self.bucket.wait(removed).map_err(self.failed("clear uploads of", "blobs"))
    }

    /// Makes an object young again by writing the same, if it would soon be old enough to be collected;
    /// `false` if it is not there: then it stays so.
    pub(crate) fn refresh(&self, name: &str, bytes: &[u8]) -> Result<bool, DepotError> {
        if self.is_believed(name, Age::Fresh) {
            return Ok(true);
        }
        let Some(seen) = self.look(name)? else { return Ok(false) };
        match seen.size == bytes.len() as u64 && self.is_fresh(&seen) {
            true => self.believe(name, Age::Fresh),
            false => self.put(name, bytes.to_vec())?,
        }
        Ok(true)
    }

    fn believe(&self, name: &str, age: Age) {
        self.bucket.seen.add(self.path(name).as_ref(), age);
    }

    fn doubt(&self, name: &str) {
        self.bucket.seen.remove(self.path(name).as_ref());
    }

    fn is_believed(&self, name: &str, age: Age) -> bool {
        self.bucket.seen.has(self.path(name).as_ref(), age)
    }
}

/// How old an object was when it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// Nobody looked; what names it keeps it.
    Any,
    /// So young that nobody collects it soon, also if nothing names it.
    Fresh,
}

/// Objects that were seen in a bucket a little while ago.
#[derive(Default)]
pub(crate) struct Recently(Mutex<HashMap<String, (Instant, Age)>>);

impl Recently {
    fn names(&self) -> MutexGuard<'_, HashMap<String, (Instant, Age)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, path: &str, age: Age) {
        let mut names = self.names();
        if names.len() >= MOST_BELIEVED {
            names.clear();
        }
        names.insert(path.to_owned(), (Instant::now(), age));
    }

    fn remove(&self, path: &str) {
        self.names().remove(path);
    }

    fn has(&self, path: &str, age: Age) -> bool {
        self.names().get(path).is_some_and(|(at, seen)| *seen >= age && at.elapsed() < BELIEVED)
    }
}

/// Whether what was seen a little while ago counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belief {
    /// It does.
    Recent,
    /// It does not.
    None,
}

/// An object or a range of it, whole. What fails before an answer begins is tried again by the client;
/// an answer that breaks off is asked for again here, also one that says that nothing is there.
async fn whole(
    store: &dyn ObjectStore,
    path: &Path,
    range: Option<Range<u64>>,
) -> Result<Vec<u8>, Error> {
    let mut tries = 0;
    loop {
        let range = range.clone().map(GetRange::from);
        let options = GetOptions { range, ..GetOptions::default() };
        let begun = Instant::now();
        let broken = match store.get_opts(path, options).await {
            Ok(answer) => match answer.bytes().await {
                Ok(bytes) => return Ok(bytes.into()),
                Err(error) => error,
            },
            // What took longer was tried again by the client, as often as it is to be.
            Err(error @ Error::Generic { .. }) if begun.elapsed() < PAUSE => error,
            Err(error) => return Err(error),
        };
        if tries == BROKEN_OFF {
            return Err(broken);
        }
        tries += 1;
        tokio::time::sleep(PAUSE * tries).await;
    }
}
