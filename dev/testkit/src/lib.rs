//! What the tests of every crate share: where the real data and the samples are, temporary folders,
//! small documents to feed in, the built `stella` binary, certificates, and servers that fail as they are
//! told.
//!
//! Depends on no crate of the product, so every crate may use it in its tests.
//!
//! # Tests that need something the machine may not have
//! [`data_dir`], [`stella`] and [`skip`] follow one rule: what is missing makes a test **skip
//! visibly** on a developer's machine and **fail** where `CI` is set, so that CI cannot grow green
//! by losing its data. `STELLA_ALLOW_SKIP` is the explicit way out: `data` allows it for the real
//! data alone (`.ci/run` sets it, and says so, where none lies beside the checkout), `all` for
//! everything.

mod certificate;
mod listening;
mod osv;
mod places;
mod proxy;
mod vault;
mod web;

pub use certificate::Certificate;
pub use osv::Osv;
pub use places::{
    SAMPLE_FEEDS, data_archive, data_dir, sample_files, samples, stella, temp_dir, workspace_root,
};
pub use proxy::{Passing, Proxy};
pub use vault::{FakeVault, VaultFault};
pub use web::{Answered, Asked, WebServer};

use std::io::Write as _;

/// The file that [`skip`] appends its reasons to, if the variable names one.
pub const SKIP_LOG: &str = "STELLA_SKIP_LOG";

/// Says that the running test is skipped and why.
///
/// Returns on a developer's machine, after a line `skipped: TEST: REASON` on standard error and in
/// the file that [`SKIP_LOG`] names; the test then returns.
///
/// # Panics
/// Where `CI` is set and `STELLA_ALLOW_SKIP` is not `all`.
pub fn skip(reason: &str) {
    skip_if(may_skip("all"), reason);
}

/// Whether something may be missing here: `CI` is not set, or `STELLA_ALLOW_SKIP` names `what` or
/// `all`.
#[must_use]
pub fn may_skip(what: &str) -> bool {
    let ci = std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    !ci || std::env::var("STELLA_ALLOW_SKIP")
        .is_ok_and(|allowed| allowed == what || allowed == "all")
}

pub(crate) fn skip_if(allowed: bool, reason: &str) {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    let line = format!("skipped: {test}: {reason}\n");
    assert!(allowed, "{line}this must not be skipped in CI (STELLA_ALLOW_SKIP allows it)");
    std::io::stderr().write_all(line.as_bytes()).ok();
    if let Some(log) = std::env::var_os(SKIP_LOG) {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(log);
        file.and_then(|mut file| file.write_all(line.as_bytes())).ok();
    }
}

/// Puts a new file in the place of one, so that nothing that links to the old one changes, and that it
/// may be read-only.
///
/// # Panics
/// If it cannot be written.
pub fn overwrite(path: &std::path::Path, bytes: impl AsRef<[u8]>) {
    std::fs::remove_file(path).expect("there is a file");
    std::fs::write(path, bytes).expect("writable");
}

/// Whether the long form of tests is asked for (`STELLA_FULL=1`, set by `cargo xtask full`).
#[must_use]
pub fn full() -> bool {
    std::env::var("STELLA_FULL").is_ok_and(|value| value == "1")
}

/// `quick` rounds in a normal run of the tests, `thorough` rounds in the long form.
#[must_use]
pub fn rounds(quick: usize, thorough: usize) -> usize {
    if full() { thorough } else { quick }
}
