//! Evidence: recognised by content, identified, brought to canonical form.
//!
//! [`recognise`] turns the bytes of one document into [`Draft`]s: records with their identity,
//! revision, canonical content, digest and facets (FORMATS "Kinds, feeds, records"). The rest of
//! the product sees the formats only through [`view`]. [`mod@line`] and [`setroot`] are how records lie
//! in a bundle, [`exchange`] how one ledger tells another of them. INV-PURE, INV-RAW, INV-LIMIT.

mod by_name;
mod cvss;
mod draft;
pub mod exchange;
mod facets;
mod format;
mod formats;
pub mod line;
pub mod purl;
mod recognise;
pub mod redact;
mod rejection;
mod reread;
mod revision;
pub mod setroot;
mod severity;
pub mod view;

pub use by_name::{NameClass, by_name};
pub use cvss::{CvssScore, CvssVersion};
pub use draft::Draft;
pub use facets::{FACETS_VERSION, Facets};
pub use format::Format;
pub use recognise::{Recognised, has_byte_order_mark, recognise};
pub use rejection::{RejectReason, Rejection};
pub use reread::reread;
pub use revision::{Revision, RevisionOrder};
pub use severity::Severity;
