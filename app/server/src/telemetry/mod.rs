//! What the service tells of itself: logs, figures, and traces.
//!
//! One struct per event, which writes the log and counts at once; see [`events`]. What takes time is
//! also a span; see [`spans`].

pub(crate) mod events;
mod figures;
mod keeping;
mod log;
mod spans;
mod tasks;
mod traces;

pub(crate) use figures::{Figures, text_of};
pub(crate) use keeping::{CollectionFigures, ScrubFigures};
pub(crate) use log::{LogFormat, start_log};
pub(crate) use spans::{Collector, Spans};
pub(crate) use tasks::TaskSpan;
pub(crate) use traces::{asked_by, trace, traced, without_places};
