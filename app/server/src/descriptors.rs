//! File descriptors: who may have how many.
//!
//! A quarter is for connections, a quarter for files of bundles that are kept open; a connection that
//! fetches a bundle may have one more file. The rest is for databases, keys, logs and the few bundles
//! that lie in one file.

use std::sync::LazyLock;

/// A quarter of what this process may have. The first to ask raises its limit as far as the system
/// allows.
pub(crate) fn quarter() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    static MOST: LazyLock<u64> = LazyLock::new(|| {
        let mut limit = getrlimit(Resource::Nofile);
        // That it stays as it is is no reason not to serve.
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    });
    *MOST / 4
}
