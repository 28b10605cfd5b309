//! Where results may be written: nowhere that they spoil.

use std::path::{Path, PathBuf};

use stella_model::ErrorCode;

use super::MANIFEST;
use crate::context::Context;
use crate::error::Failure;

/// Refuses a file or folder that would lie in a bundle, which it would break, or in the store.
pub(crate) fn refuse_inside_bundle_or_store(path: &Path, context: &Context) -> Result<(), Failure> {
    let real = resolved(path);
    if real.starts_with(resolved(context.store.dir())) {
        let store = context.store.dir();
        return Err(inside(path, "the store", store)
            .hint(format!("choose a place outside {}", store.display())));
    }
    let bundle = real.ancestors().skip(1).find(|folder| folder.join(MANIFEST).is_file());
    match bundle {
        None => Ok(()),
        Some(bundle) => Err(inside(path, "the bundle", bundle).hint(format!(
            "a file inside would break that bundle; choose a place outside {}",
            bundle.display()
        ))),
    }
}

fn inside(path: &Path, what: &str, place: &Path) -> Failure {
    let message = format!("{} is inside {what} {}", path.display(), place.display());
    Failure::new(ErrorCode::Usage, message)
}

/// The absolute path without links as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (there.canonicalize(), path.strip_prefix(there)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path
}
