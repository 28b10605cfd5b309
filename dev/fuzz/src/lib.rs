//! What several targets share.

use std::io::Cursor;
use std::ops::ControlFlow;

use stella_model::Limits;
use stella_sources::{Class, Event, Input, Options, walk};

/// Bounds that an input of a few kilobytes can reach.
const LIMITS: Limits = Limits {
    document_bytes: 4 << 10,
    container_bytes: 1 << 20,
    ratio_free_bytes: 64 << 10,
    members: 64,
    zstd_window_log: 20,
    ..Limits::DEFAULT
};

/// Walks bytes under a name twice: nothing panics, both walks meet the same, and what is handed out
/// keeps to the limits and to its place.
pub fn walk_twice(name: &str, bytes: &[u8]) {
    let first = events(name, bytes);
    for event in &first {
        let Ok(Event::Document(document)) = event else { continue };
        assert!(document.bytes.len() as u64 <= LIMITS.document_bytes, "over the limit");
        assert!(document.path.starts_with(name), "{} is elsewhere", document.path);
        let members = document.path.split('!').skip(1);
        for segment in members.flat_map(|member| member.split(['/', '\\'])) {
            assert_ne!(segment, "..", "a name leaves its archive");
        }
    }
    assert_eq!(first, events(name, bytes), "a walk depends on more than its input");
}

fn events(name: &str, bytes: &[u8]) -> Vec<Result<Event, String>> {
    let options = Options { limits: LIMITS, by_name: &|_| Class::Document, spool_dir: None };
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    let input = Input::Stream { name: name.to_owned(), reader };
    let mut events = Vec::new();
    let outcome = walk(vec![input], &options, &mut |event| {
        events.push(Ok(event));
        ControlFlow::Continue(())
    });
    if let Err(error) = outcome {
        events.push(Err(error.to_string()));
    }
    events
}
