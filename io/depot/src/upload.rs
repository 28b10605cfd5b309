//! A large object on its way into a bucket, in pieces.

use std::collections::VecDeque;

use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStoreExt as _, PutPayload, PutResult};

use crate::bucket::{Begun, Bucket};
use crate::objects::WINDOW;

/// Pieces that are under way at once.
const AT_ONCE: usize = 3;

/// Pieces of an object at most; S3 takes 10,000.
const MOST_PIECES: u64 = 9_000;

/// An object on its way. There is nothing under its name before it is finished; what was sent is
/// thrown away if it is dropped.
pub(crate) struct Upload {
    bucket: Bucket,
    /// There until it is over.
    upload: Option<Box<dyn MultipartUpload>>,
    under_way: VecDeque<Begun<Result<(), Error>>>,
}

impl Upload {
    /// Bytes of every piece but the last.
    pub(crate) fn piece(size: u64) -> u64 {
        WINDOW.max(size.div_ceil(MOST_PIECES))
    }

    pub(crate) fn begin(bucket: &Bucket, path: Path) -> Result<Upload, Error> {
        let store = bucket.store.clone();
        let upload = bucket.wait(async move { store.put_multipart(&path).await })?;
        Ok(Upload { bucket: bucket.clone(), upload: Some(upload), under_way: VecDeque::new() })
    }

    /// Sends the next piece; waits while enough are under way.
    pub(crate) fn send(&mut self, piece: Vec<u8>) -> Result<(), Error> {
        if self.under_way.len() >= AT_ONCE
            && let Some(first) = self.under_way.pop_front()
        {
            first.get()?;
        }
        if let Some(upload) = &mut self.upload {
            let sent = upload.put_part(PutPayload::from(piece));
            self.under_way.push_back(self.bucket.begin(sent));
        }
        Ok(())
    }

    /// Makes all that was sent an object, at once.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        while let Some(first) = self.under_way.pop_front() {
            first.get()?;
        }
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        let complete = async move {
            let done: Result<PutResult, Error> = upload.complete().await;
            if done.is_err() {
                upload.abort().await.ok();
            }
            done
        };
        self.bucket.wait(complete).map(drop)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            let waits: Vec<_> = self.under_way.drain(..).collect();
            for piece in waits {
                piece.get().ok();
            }
            self.bucket.wait(async move { upload.abort().await.ok() });
        }
    }
}
