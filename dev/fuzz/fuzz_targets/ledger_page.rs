//! Any line of a page of a ledger: reading never panics, a record is written as it was read, and what
//! its document says of itself holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stella_model::{Digest, Limits};
use stella_records::exchange::{self, PageLine};
use stella_records::line::{Body, Content};
use stella_records::reread;

fuzz_target!(|line: &[u8]| {
    let Ok(PageLine::Record(head, body)) = exchange::parse(line) else { return };
    let mut again = Vec::new();
    let content = match &body {
        Body::Json(bytes) => Content::Json(bytes),
        Body::Text(text) => Content::Text(text),
    };
    exchange::write_record(&mut again, &head, content);
    assert_eq!(again.strip_suffix(b"\n"), Some(line));
    if let Ok(draft) = reread(head.format, &head.id, body.bytes(), &Limits::DEFAULT) {
        assert_eq!(draft.content, body.bytes());
        assert_eq!(draft.content_digest, Digest::of(&draft.content));
        assert_eq!(draft.format, head.format);
    }
});
