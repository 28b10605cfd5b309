//! The service under load, beside nginx serving the same bytes as a file.

mod bundle;
mod crowd;
mod downloads;
mod load;
mod place;
mod process;
mod requests;
mod runs;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::corpus::Feed;

use self::bundle::Bundle;

/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(4);

/// What is measured, and what makes its evidence ready.
pub(crate) struct Programs {
    pub(crate) server: PathBuf,
    pub(crate) stella: PathBuf,
}

/// Measures everything and gives a page.
///
/// # Errors
/// If a program is missing, or a request is not answered.
pub(crate) fn measure(
    feeds: &[Feed],
    cache: &Path,
    programs: &Programs,
    only: Option<&str>,
) -> Result<String> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let mut page = String::new();
    if wanted("downloads") || wanted("crowd") || wanted("requests") {
        let bundle = Bundle::new(feeds, cache, programs)?;
        if wanted("downloads") {
            downloads::measure(&bundle, &mut page)?;
        }
        if wanted("crowd") {
            crowd::measure(&bundle, &mut page)?;
        }
        if wanted("requests") {
            requests::measure(&bundle.place, &mut page)?;
        }
    }
    if wanted("runs") {
        runs::measure(feeds, cache, programs, &mut page)?;
    }
    Ok(page)
}
