//! The trace that a run belongs to (W3C Trace Context), as a value: who makes its ids is outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Millis;

/// Flags of a trace that are handed on: `sampled`, and that its id is random.
const KNOWN_FLAGS: u8 = 0x03;

/// A span of a trace, as the header `traceparent` names it.
///
/// Read from a text of any version that is known to begin as version 00 does, written as version 00.
/// Neither id is all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl TraceParent {
    /// A span of a trace; none if an id is all zero, which names nothing.
    #[must_use]
    pub fn new(trace: [u8; 16], span: [u8; 8], flags: u8) -> Option<TraceParent> {
        let is_named = trace != [0; 16] && span != [0; 8];
        is_named.then_some(TraceParent { trace, span, flags: flags & KNOWN_FLAGS })
    }

    /// The id of the trace.
    #[must_use]
    pub const fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// The id of the span.
    #[must_use]
    pub const fn span(&self) -> [u8; 8] {
        self.span
    }

    /// The flags.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// The id of the trace as logs have it: 32 hex digits.
    #[must_use]
    pub fn trace_text(&self) -> String {
        hex(&self.trace)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex(&self.trace), hex(&self.span), self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text names no span of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no traceparent")]
pub struct TraceParentError;

impl FromStr for TraceParent {
    type Err = TraceParentError;

    fn from_str(text: &str) -> Result<TraceParent, TraceParentError> {
        let mut pieces = text.split('-');
        let mut next = || pieces.next().ok_or(TraceParentError);
        let (version, trace, span, flags) = (next()?, next()?, next()?, next()?);
        let [version] = bytes(version)?;
        let has_more = pieces.next().is_some();
        // What a version of the future adds comes behind; version 00 has nothing there.
        if version == 0xff || (version == 0 && has_more) {
            return Err(TraceParentError);
        }
        let [flags] = bytes(flags)?;
        TraceParent::new(bytes(trace)?, bytes(span)?, flags).ok_or(TraceParentError)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceParent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<TraceParent, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a run comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The span of the request that asked for it.
    pub trace: TraceParent,
    /// When it was accepted.
    pub at: Millis,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in lower-case hex digits, two for each.
fn bytes<const N: usize>(text: &str) -> Result<[u8; N], TraceParentError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut all = [0; N];
    if text.len() != 2 * N {
        return Err(TraceParentError);
    }
    for (byte, pair) in all.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = digit(pair[0]).zip(digit(pair[1]));
        let (high, low) = digits.ok_or(TraceParentError)?;
        *byte = high << 4 | low;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_traceparent_reads_as_it_is_written() {
        for flags in ["00", "01", "03"] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            let read: TraceParent = text.parse().expect("is one");
            assert_eq!((read.to_string(), read.trace_text()), (text, TRACE.to_owned()));
        }
        // Of another version, and with flags that nobody knows: what is known of it is handed on.
        let newer: TraceParent = format!("cc-{TRACE}-{SPAN}-09-more").parse().expect("begins so");
        assert_eq!(newer.to_string(), format!("00-{TRACE}-{SPAN}-01"));
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            "00".to_owned(),
            "00-1-2-3".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}é-01", &SPAN[..14]),
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(TraceParentError), "{bad}");
        }
    }
}
