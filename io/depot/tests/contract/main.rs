//! The depot does the same in a folder and in a bucket of real S3-compatible storage.

mod blobs;
mod collecting;
mod faults;
mod place;
mod scrubbing;
