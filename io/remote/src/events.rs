//! Server-sent events, as they come (HTML, section 9.2).

use std::io::{BufRead as _, BufReader};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use serde_json::Value;

use crate::RemoteError;

/// Longest line that is read, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteEvent {
    /// Its number: whoever has seen it goes on after it.
    pub id: u64,
    /// What.
    pub data: Value,
}

/// Events, as they come; ends where the server has no more to tell.
#[derive(Debug)]
pub struct EventStream {
    attempt: String,
    lines: Option<BufReader<Response>>,
}

impl EventStream {
    pub(crate) fn new(attempt: String, response: Response) -> EventStream {
        // All was seen, and no more will come.
        let is_over = response.status() == StatusCode::NO_CONTENT;
        EventStream { attempt, lines: (!is_over).then(|| BufReader::new(response)) }
    }

    /// The next event; none at the end.
    ///
    /// # Errors
    /// [`RemoteError::BrokenOff`]: ask again after the last event that was seen.
    pub fn next_event(&mut self) -> Result<Option<RemoteEvent>, RemoteError> {
        use std::io::Read as _;
        let Some(lines) = &mut self.lines else { return Ok(None) };
        let (mut id, mut data) = (None, String::new());
        loop {
            let mut line = String::new();
            let read = lines.by_ref().take(LONGEST_LINE).read_line(&mut line);
            let read = read.map_err(|source| RemoteError::BrokenOff {
                attempt: self.attempt.clone(),
                source,
            })?;
            let line = line.trim_end_matches(['\r', '\n']);
            match line.split_once(':') {
                _ if read == 0 => return Ok(None),
                None if line.is_empty() && !data.is_empty() => break,
                Some(("id", value)) => id = value.trim().parse().ok(),
                Some(("data", value)) => data.push_str(value.strip_prefix(' ').unwrap_or(value)),
                // Comments keep the connection alive; other members say nothing to us.
                _ => {}
            }
        }
        let strange = |what: String| RemoteError::Strange { attempt: self.attempt.clone(), what };
        let id = id.ok_or_else(|| strange("an event has no id".to_owned()))?;
        let data = serde_json::from_str(&data);
        let data = data.map_err(|error| strange(format!("an event is no JSON: {error}")))?;
        Ok(Some(RemoteEvent { id, data }))
    }
}
