//! The words of Export Center as types: names, digests, times, limits, error codes, and the
//! canonical form of JSON.
//!
//! Everything here is a value. A name that exists has been checked ([`Kind`], [`FeedName`],
//! [`RecordId`], [`PartName`]), so nothing above this crate validates again. INV-PURE: no clock,
//! file, environment or randomness is reached from here.

pub mod digest;
pub mod error;
pub mod host;
pub mod json;
pub mod limits;
pub mod name;
pub mod rfc8785;
pub mod screen;
pub mod time;

pub use digest::{Digest, DigestBuilder};
pub use error::ErrorCode;
pub use limits::{Limits, RowLimits};
pub use name::{FeedName, Kind, NameError, PartName, RecordId, Role, SetKey, Target, TenantId};
pub use time::{Instant, TimeError};

/// Version of the product as it enters plans and provenance.
pub const PRODUCT_VERSION: &str = env!("CARGO_PKG_VERSION");
