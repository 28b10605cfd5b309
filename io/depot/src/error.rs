//! What could not be done in the depot.

use std::error::Error;
use std::io;
use std::path::Path;

use stella_manifest::tar::TooLarge;
use stella_model::ErrorCode;

/// What could not be done in the depot.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {what} in the depot")]
pub struct DepotError {
    attempt: &'static str,
    /// A file, or an object of the bucket.
    what: String,
    code: ErrorCode,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl DepotError {
    /// The code, from which exit code and HTTP status follow: [`ErrorCode::Unreachable`] if a bucket
    /// does not answer, [`ErrorCode::DigestMismatch`] if something is missing or not what it was.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// That something is not there, or no longer what it was.
    pub(crate) fn damaged(attempt: &'static str, what: String, how: &'static str) -> DepotError {
        let source = io::Error::new(io::ErrorKind::InvalidData, how).into();
        DepotError { attempt, what, code: ErrorCode::DigestMismatch, source }
    }

    /// That something does not have the bytes that its name tells.
    pub(crate) fn other_bytes(attempt: &'static str, what: String) -> DepotError {
        DepotError::damaged(attempt, what, "it does not have the bytes that its name tells")
    }

    /// Says of which file something could not be read, unless that is told already.
    pub(crate) fn of_reading(path: &Path) -> impl FnOnce(io::Error) -> DepotError {
        move |error| match error.downcast::<DepotError>() {
            Ok(told) => told,
            Err(error) => failed("read", path)(error),
        }
    }

    /// That a file does not fit into a tar.
    pub(crate) fn too_large(source: TooLarge) -> DepotError {
        let (what, code) = (source.name.to_string(), ErrorCode::RunFailed);
        DepotError { attempt: "make a tar with", what, code, source: source.into() }
    }

    /// That a bucket did not do what it was asked. Where it is, is left out: who is told of a run that
    /// failed need not know it.
    pub(crate) fn of_bucket(
        attempt: &'static str,
        what: String,
        source: object_store::Error,
    ) -> DepotError {
        use object_store::Error as Bucket;
        let code = match &source {
            Bucket::PermissionDenied { .. } | Bucket::Unauthenticated { .. } => {
                ErrorCode::NotAllowed
            }
            Bucket::NotFound { .. } => ErrorCode::DigestMismatch,
            Bucket::InvalidPath { .. } => ErrorCode::Internal,
            _ => ErrorCode::Unreachable,
        };
        DepotError { attempt, what, code, source: without_addresses(&source.to_string()).into() }
    }

    /// The same for those who read a file.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match self.source.downcast_ref::<io::Error>() {
            Some(error) => error.kind(),
            None => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }
}

fn without_addresses(text: &str) -> String {
    let is_address = |word: &&str| word.contains("http://") || word.contains("https://");
    let word = |word| if is_address(&word) { "(its address)" } else { word };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Says what was attempted on a file.
pub(crate) fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DepotError {
    let what = path.display().to_string();
    move |source| {
        let code = match ErrorCode::of_writing(source.kind()) {
            ErrorCode::NotAllowed => ErrorCode::NotAllowed,
            // The names are the depot's own: nobody can choose others.
            _ => ErrorCode::Io,
        };
        DepotError { attempt, what, code, source: source.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_bucket_is_is_not_told() {
        let told = "Error performing PUT http://10.0.0.1:8333/evidence/a in 2s, after 5 retries";
        let source = object_store::Error::Generic { store: "S3", source: told.into() };
        let error = DepotError::of_bucket("write", "the object a".to_owned(), source);
        assert_eq!(error.to_string(), "cannot write the object a in the depot");
        let source = error.source().expect("says why").to_string();
        assert!(!source.contains("10.0.0.1") && source.contains("after 5 retries"), "{source}");
        assert_eq!(error.code(), ErrorCode::Unreachable);
    }
}
