//! What a bundle says about itself: `export.json`, the provenance statement, the files for people,
//! and the deterministic tar that carries it all.

pub mod export;
pub mod layout;
mod order;
pub mod people;
pub mod provenance;
pub mod tar;

pub use export::{
    Counts, Coverage, DigestMap, ExportManifest, FORMAT_VERSION, ManifestError, OutputEntry,
    PartEntry, RedactionReport, Scanner,
};
pub use order::{carrier_order, sort_for_carrier};
pub use provenance::Statement;
