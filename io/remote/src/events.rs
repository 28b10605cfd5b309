//! Server-sent events, as they come (HTML, section 9.2).

use std::io::{BufRead, BufReader, Read as _};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use serde_json::Value;

use crate::RemoteError;

/// Bytes of an event that are read at most. What a server tells of a run has some hundred.
const LARGEST_EVENT: u64 = 1 << 20;

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
    /// [`RemoteError::BrokenOff`]: ask again after the last event that was seen;
    /// [`RemoteError::Strange`] if it is none, or larger than 1 MiB.
    pub fn next_event(&mut self) -> Result<Option<RemoteEvent>, RemoteError> {
        match &mut self.lines {
            Some(lines) => next_event(lines, &self.attempt),
            None => Ok(None),
        }
    }
}

/// Reads an event; none at the end.
fn next_event(lines: &mut impl BufRead, attempt: &str) -> Result<Option<RemoteEvent>, RemoteError> {
    let strange = |what: String| RemoteError::Strange { attempt: attempt.to_owned(), what };
    let (mut id, mut data) = (None, String::new());
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LARGEST_EVENT + 1).read_until(b'\n', &mut line);
        read.map_err(|source| RemoteError::BrokenOff { attempt: attempt.to_owned(), source })?;
        // A line counts as an event too: it may be one that never ends.
        if (data.len() + line.len()) as u64 > LARGEST_EVENT {
            return Err(strange(format!("an event is larger than {LARGEST_EVENT} bytes")));
        }
        // The stream ends, perhaps within a line.
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let line = str::from_utf8(&line);
        let line = line.map_err(|error| strange(format!("an event is no text: {error}")))?;
        let line = line.trim_end_matches(['\r', '\n']);
        match line.split_once(':') {
            None if line.is_empty() && !data.is_empty() => break,
            Some(("id", value)) => id = value.trim().parse().ok(),
            Some(("data", value)) => data.push_str(value.strip_prefix(' ').unwrap_or(value)),
            // Comments keep the connection alive; other members say nothing to us.
            _ => {}
        }
    }
    let id = id.ok_or_else(|| strange("an event has no id".to_owned()))?;
    let data = serde_json::from_str(&data);
    let data = data.map_err(|error| strange(format!("an event is no JSON: {error}")))?;
    Ok(Some(RemoteEvent { id, data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events of a stream, until it ends or is strange.
    fn read(mut stream: &[u8]) -> Result<Vec<RemoteEvent>, RemoteError> {
        std::iter::from_fn(|| next_event(&mut stream, "watch r-1").transpose()).collect()
    }

    #[test]
    fn events_come_one_by_one_whatever_else_is_told() {
        let stream =
            b": beat\n\nid: 1\nevent: x\ndata: {\"a\":\ndata: 1}\n\nid: 2\r\ndata:[]\r\n\r\nid: 3";
        let expected = [(1, serde_json::json!({ "a": 1 })), (2, serde_json::json!([]))];
        // What broke off within a character is the end, as anything that broke off is.
        let stream = [&stream[..], b" \xc3"].concat();
        let events = read(&stream).expect("reads");
        assert_eq!(events, expected.map(|(id, data)| RemoteEvent { id, data }));
    }

    #[test]
    fn an_event_without_end_is_refused_in_one_line_and_in_many() {
        let largest = usize::try_from(LARGEST_EVENT).expect("is small");
        let many = format!("id: 1\n{}", "data: 1\n".repeat(largest + 1));
        let one = format!("id: 1\ndata: {}", "1".repeat(largest));
        let comment = ":".repeat(largest + 1);
        for stream in [many, one, comment] {
            let error = read(stream.as_bytes()).expect_err("it is too large");
            assert!(matches!(&error, RemoteError::Strange { .. }), "{error}");
            assert!(error.to_string().contains("larger than"), "{error}");
        }
        // Beats of a heart are no event, however many come.
        let beats = ": beat\n\n".repeat(largest / 4);
        assert!(read(beats.as_bytes()).expect("reads").is_empty());
    }
}
