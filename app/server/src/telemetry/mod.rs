//! What the service tells of itself: logs, figures, and the trace that a request belongs to.
//!
//! One struct per event, which writes the log and counts at once; see [`events`].

pub(crate) mod events;
mod figures;
mod log;
mod traces;

pub(crate) use figures::Figures;
pub(crate) use log::{LogFormat, start_log};
pub(crate) use traces::{trace, traced, without_places};
