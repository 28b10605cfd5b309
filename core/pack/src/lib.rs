//! Packing: adapters, and the parts that they share.
//!
//! An adapter is a value in [`ADAPTERS`]; help, documentation and profiles are made from that
//! slice. `json:raw` and `mirror:full` both carry `data/raw/`, which [`part::PartBuilder`] writes
//! once per run whatever the number of outputs.

pub mod codec;
pub mod json_raw;
pub mod mirror_full;
pub mod part;
pub mod rows;
pub mod trivy_db;
pub mod trivy_java_db;
pub mod trivy_vex;

pub use codec::Compressor;
pub use part::{Length, PackError, Part, PartBuilder, SourceRecord, Tools};

use stella_plan::AdapterSpec;

/// One profile variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adapter {
    /// What planning has to know.
    pub spec: AdapterSpec,
    /// Whether the output includes the records themselves under `data/raw/`.
    pub carries_records: bool,
    /// What the output is for, in a few sentences.
    pub description: &'static str,
}

/// All adapters, in the order in which help lists them.
pub const ADAPTERS: &[&Adapter] = &[
    &json_raw::JSON_RAW,
    &mirror_full::MIRROR_FULL,
    &trivy_db::TRIVY_DB,
    &trivy_java_db::TRIVY_JAVA_DB,
    &trivy_vex::TRIVY_VEX,
];

/// The adapter with this name.
#[must_use]
pub fn adapter(id: &str) -> Option<&'static Adapter> {
    ADAPTERS.iter().copied().find(|adapter| adapter.spec.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_adapter_is_found_by_its_name_and_names_are_unique() {
        for wanted in ADAPTERS {
            assert_eq!(adapter(wanted.spec.id), Some(*wanted));
            assert!(!wanted.description.is_empty() && !wanted.spec.about.is_empty());
        }
        assert_eq!(adapter("json:best"), None);
    }

    #[test]
    fn what_a_site_may_import_is_carried_unaltered() {
        for adapter in ADAPTERS.iter().filter(|adapter| adapter.spec.importable) {
            assert_eq!(adapter.spec.default_redaction, stella_plan::DefaultRedaction::None);
            assert!(adapter.carries_records);
        }
    }
}
