//! `export cat`: records of a bundle as a stream.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use stella_manifest::PartEntry;
use stella_model::screen::Safe;
use stella_model::{Digest, ErrorCode, FeedName, Kind, RecordId, SetKey};
use stella_plan::SetEntry;
use stella_records::line::{IndexEntry, parse_line};
use stella_verify::lines::{self, Buffers};

use super::read::{ReadBundle, bad_part, unpack_failed};
use crate::{Cancel, EngineError};

/// Which records of which bundle.
#[derive(Debug, Clone)]
pub struct CatRequest {
    /// The bundle.
    pub path: PathBuf,
    /// Only this kind.
    pub kind: Option<Kind>,
    /// Only this feed.
    pub feed: Option<FeedName>,
    /// Only this id.
    pub id: Option<RecordId>,
    /// What is written of a record.
    pub form: CatForm,
}

impl CatRequest {
    fn takes(&self, set: &SetEntry) -> bool {
        self.kind.as_ref().is_none_or(|kind| *kind == set.kind)
            && self.feed.as_ref().is_none_or(|feed| *feed == set.feed)
    }
}

/// What is written of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatForm {
    /// The document with a line feed.
    Documents,
    /// Its line in the bundle: identity, digest and document.
    Lines,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CatReport {
    /// Number of records.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Writes the records in the order of the bundle. Each is compared with its digest; the bundle is
/// not verified. A reader that closes the stream ends it.
///
/// # Errors
/// [`EngineError`] if the bundle does not read, it carries no records, no set is of the kind and feed
/// or the id is not in it (exit 3), `out` fails, or the operator interrupts.
pub fn cat(
    request: &CatRequest,
    out: &mut dyn Write,
    cancel: &Cancel,
) -> Result<CatReport, EngineError> {
    let bundle = ReadBundle::open(&request.path)?.sound()?.with_records()?;
    let is_asked = request.kind.is_some() || request.feed.is_some();
    if is_asked && !bundle.manifest.sets.iter().any(|set| request.takes(set)) {
        let any = |text: Option<&str>| text.unwrap_or("*").to_owned();
        let (kind, feed) = (request.kind.as_ref(), request.feed.as_ref());
        let (kind, feed) = (any(kind.map(Kind::as_str)), any(feed.map(FeedName::as_str)));
        let what = format!("the bundle holds no set {kind}/{feed}");
        return Err(EngineError::new(ErrorCode::NotFound, what)
            .hint("stella export inspect lists the sets of a bundle"));
    }
    let mut stream = Stream {
        bundle: &bundle,
        request,
        out,
        cancel,
        data: bundle.buffers()?,
        index: bundle.buffers()?,
        report: CatReport::default(),
    };
    match stream.run() {
        Ok(()) => {}
        Err(Stop::Closed) => return Ok(stream.report),
        Err(Stop::Failed(error)) => return Err(error),
    }
    match (&request.id, stream.report.records) {
        (Some(id), 0) => {
            let what = format!("the bundle holds no record {}", Safe(id.as_str()));
            Err(EngineError::new(ErrorCode::NotFound, what).hint(
                "aliases do not count: search what stella export cat prints; \
                 stella export prove proves that the id is not there",
            ))
        }
        _ => Ok(stream.report),
    }
}

enum Stop {
    /// Nobody reads any more.
    Closed,
    Failed(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Stop {
        Stop::Failed(error)
    }
}

struct Stream<'a> {
    bundle: &'a ReadBundle,
    request: &'a CatRequest,
    out: &'a mut dyn Write,
    cancel: &'a Cancel,
    data: Buffers,
    index: Buffers,
    report: CatReport,
}

impl Stream<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let bundle = self.bundle;
        let wanted = bundle.manifest.sets.iter().filter(|set| self.request.takes(set));
        for set in wanted {
            let set = SetKey { kind: set.kind.clone(), feed: set.feed.clone() };
            for (data, index) in bundle.parts_of(&set)? {
                match &self.request.id {
                    None => self.whole_part(data)?,
                    Some(id)
                        if data.first_id.as_ref() <= Some(id)
                            && Some(id) <= data.last_id.as_ref() =>
                    {
                        self.one_record(&set, id, data, index)?;
                    }
                    Some(_) => {}
                }
            }
        }
        self.out.flush().map_err(written)
    }

    fn whole_part(&mut self, entry: &PartEntry) -> Result<(), Stop> {
        let opened = lines::open(&self.bundle.carrier, entry, &mut self.data, &self.bundle.limits);
        let mut lines =
            opened.map_err(|error| bad_part(entry, "it cannot be read").because(error))?;
        while let Some(line) = lines.next_line().map_err(|error| unpack_failed(entry, error))? {
            if self.cancel.is_set() {
                return Err(Stop::Failed(EngineError::new(ErrorCode::Interrupted, "stopped")));
            }
            write_record(line, entry, self.request.form, self.out, &mut self.report)?;
        }
        let (_, digest) = lines.finish().map_err(|error| unpack_failed(entry, error))?;
        if digest == entry.digest.sha256 {
            return Ok(());
        }
        Err(bad_part(entry, "it has another SHA-256 than the manifest tells").into())
    }

    /// Decompresses a part only as far as the one record in it.
    fn one_record(
        &mut self,
        set: &SetKey,
        id: &RecordId,
        data: &PartEntry,
        index: &PartEntry,
    ) -> Result<(), Stop> {
        let entries = self.bundle.index(index, &mut self.index)?;
        let found = entries.binary_search_by(|entry| entry.id.cmp(id));
        let Some(told) = found.ok().and_then(|at| entries.get(at)) else {
            return Ok(());
        };
        let opened = lines::open(&self.bundle.carrier, data, &mut self.data, &self.bundle.limits);
        let mut lines =
            opened.map_err(|error| bad_part(data, "it cannot be read").because(error))?;
        lines.skip_to(told.offset).map_err(|error| unpack_failed(data, error))?;
        let line = lines.next_line().map_err(|error| unpack_failed(data, error))?;
        let line = line.ok_or_else(|| bad_part(data, "its index tells of more than it holds"))?;
        if !is_told(line, set, told) {
            return Err(bad_part(data, "its index tells of another record there").into());
        }
        write_record(line, data, self.request.form, self.out, &mut self.report)
    }
}

/// Whether a line is the record of a set that an index tells of.
fn is_told(line: &[u8], set: &SetKey, told: &IndexEntry) -> bool {
    let Ok(record) = parse_line(line) else { return false };
    line.len() as u64 + 1 == told.length
        && (&record.kind, &record.feed) == (&set.kind, &set.feed)
        && (&record.id, &record.content_digest) == (&told.id, &told.content_digest)
}

fn write_record(
    line: &[u8],
    entry: &PartEntry,
    form: CatForm,
    out: &mut dyn Write,
    report: &mut CatReport,
) -> Result<(), Stop> {
    let record =
        parse_line(line).map_err(|error| bad_part(entry, "a line does not read").because(error))?;
    if Digest::of(record.body.bytes()) != record.content_digest {
        let what = format!("the document {} has another digest", Safe(record.id.as_str()));
        return Err(bad_part(entry, &what).into());
    }
    let bytes = match form {
        CatForm::Documents => record.body.bytes(),
        CatForm::Lines => line,
    };
    out.write_all(bytes).and_then(|()| out.write_all(b"\n")).map_err(written)?;
    report.records += 1;
    report.bytes += bytes.len() as u64 + 1;
    Ok(())
}

fn written(error: io::Error) -> Stop {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Stop::Closed;
    }
    Stop::Failed(EngineError::new(ErrorCode::Io, "cannot write the records").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stella_records::line::{Content, LineHead, write_line};

    #[test]
    fn a_line_is_the_record_of_its_index_entry_or_refused() {
        let set: SetKey = "advisory/npm".parse().expect("a set");
        let id = RecordId::new("A-1").expect("an id");
        let content_digest = Digest::of(b"{}");
        let mut line = Vec::new();
        let head = LineHead {
            content_digest,
            set: &set,
            id: &id,
            media_type: "application/json",
            modified: None,
        };
        write_line(&mut line, &head, Content::Json(b"{}"));
        let told = IndexEntry { content_digest, id, length: line.len() as u64, offset: 0 };
        line.pop();
        assert!(is_told(&line, &set, &told));
        let other = |text: &str| text.parse::<SetKey>().expect("a set");
        let another = |id: &str| RecordId::new(id).expect("an id");
        let cases = [
            ("another kind", other("vex/npm"), told.clone()),
            ("another feed", other("advisory/acme"), told.clone()),
            ("another id", set.clone(), IndexEntry { id: another("A-2"), ..told.clone() }),
            (
                "another digest",
                set.clone(),
                IndexEntry { content_digest: Digest::EMPTY, ..told.clone() },
            ),
            ("another length", set.clone(), IndexEntry { length: told.length + 1, ..told.clone() }),
        ];
        for (what, set, told) in cases {
            assert!(!is_told(&line, &set, &told), "{what}");
        }
        assert!(!is_told(b"{}", &set, &told), "no line");
    }
}
