//! A client of the interface of Export Center (`/api/export/v1`) and of the export of its ledger
//! (`/ledger/export`), for programs that wait for answers.
//!
//! Errors of the server come back with the code, the words and the next step that it gave. Nothing is
//! tried twice here: whoever asks knows what may be asked again.

mod client;
mod error;
mod events;
mod ledger;

pub use client::{Client, Credentials, RemoteFile};
pub use error::RemoteError;
pub use events::{EventStream, RemoteEvent};
pub use ledger::{ExportQuery, LedgerExport, PageFault, RemoteState, Told};
