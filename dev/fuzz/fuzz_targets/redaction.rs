//! Any record: redaction never panics, gives a canonical document, and finds nothing in its own
//! output.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stella_model::Limits;
use stella_records::redact::{Redacted, RedactionCounts, RuleSet};
use stella_records::{Recognised, recognise};

/// Made once: its patterns take longer to compile than a document to redact.
static RULES: LazyLock<RuleSet> = LazyLock::new(RuleSet::standard);

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::DEFAULT;
    let Ok(Recognised::Records(drafts)) = recognise("document.json", bytes, &limits) else {
        return;
    };
    for draft in &drafts {
        let apply = |content: &[u8]| {
            let (mut output, mut counts) = (Vec::new(), RedactionCounts::default());
            let outcome = RULES.apply(draft.format, content, &limits, &mut output, &mut counts);
            (outcome.expect("what was recognised can be redacted"), output, counts)
        };
        let (outcome, output, counts) = apply(&draft.content);
        match outcome {
            Redacted::Changed => {
                let document = stella_model::json::Document::parse(&output, &limits);
                let document = document.expect("what redaction writes is JSON");
                let mut canonical = Vec::new();
                document.write_canonical(&mut canonical);
                assert_eq!(canonical, output, "redaction writes another form");
                assert_ne!(counts, RedactionCounts::default());
                let (again, _, _) = apply(&output);
                assert!(matches!(again, Redacted::Unchanged), "redacted twice");
            }
            _ => assert!(output.is_empty(), "nothing is written unless something changed"),
        }
    }
});
