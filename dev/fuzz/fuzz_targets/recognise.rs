//! Any document: recognising never panics, and what it says of a record holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stella_model::{Digest, Limits};
use stella_records::{Recognised, recognise};

fuzz_target!(|bytes: &[u8]| {
    let first = recognise("document.json", bytes, &Limits::DEFAULT);
    let Ok(Recognised::Records(drafts)) = first else { return };
    for draft in &drafts {
        assert_eq!(draft.content_digest, Digest::of(&draft.content));
    }
    // Findings are cuts of their report; every other document is one record that is recognised
    // again, as the same, from what is carried of it.
    if let [draft] = drafts.as_slice()
        && draft.kind.as_str() != "finding"
    {
        let again = recognise("document.json", &draft.content, &Limits::DEFAULT);
        let Ok(Recognised::Records(again)) = again else { panic!("carried content is refused") };
        assert_eq!((&again[0].kind, &again[0].id), (&draft.kind, &draft.id));
        assert_eq!(again[0].content_digest, draft.content_digest);
    }
});
