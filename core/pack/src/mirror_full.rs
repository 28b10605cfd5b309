//! `mirror:full`: everything a site needs to become an equal ledger.

use stella_plan::{AdapterSpec, DefaultRedaction};

use crate::Adapter;

/// The adapter.
pub const MIRROR_FULL: Adapter = Adapter {
    spec: AdapterSpec {
        id: "mirror:full",
        version: 1,
        about: "all records of all feeds as they are, for a site that keeps an equal ledger",
        default_redaction: DefaultRedaction::None,
        importable: true,
        kinds: &[],
    },
    carries_records: true,
    description: "Every record of every kind and feed, unredacted, so that a site that imports it \
        reproduces the set roots. With redaction or selectors it is still a bundle, but no longer \
        importable.",
};
