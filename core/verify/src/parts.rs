//! Checking one part: its stored bytes, and what they hold.

use std::io;

use stella_manifest::{ExportManifest, PartEntry};
use stella_model::json::Document;
use stella_model::{Digest, Limits, RecordId, SetKey};
use stella_records::line::{
    Body, IndexEntry, Line, parse_index_line, parse_line, write_index_line,
};
use stella_records::setroot::{CompactRange, leaf};

use crate::lines::{Buffers, Lines, UnpackError, open};
use crate::listing::DataPart;
use crate::report::{Check, Problem};
use crate::{BundleFiles, Depth};

/// What one thread needs to check parts, kept from part to part.
#[derive(Debug)]
pub struct Scratch {
    data: Buffers,
    index: Buffers,
    index_line: Vec<u8>,
    canonical: Vec<u8>,
}

impl Scratch {
    /// Buffers for data and index.
    ///
    /// # Errors
    /// If libzstd has no memory for its contexts.
    pub fn new(limits: &Limits) -> io::Result<Scratch> {
        Ok(Scratch {
            data: Buffers::new(limits)?,
            index: Buffers::new(limits)?,
            index_line: Vec::new(),
            canonical: Vec::new(),
        })
    }
}

/// One part to check, with its index if it is a data part.
#[derive(Debug, Clone)]
pub struct Task {
    pub(crate) work: Work,
    bytes: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// A data part and its index.
    Records(DataPart),
    /// The digest of any other part.
    Stored(usize),
}

impl Task {
    pub(crate) fn records(part: DataPart, manifest: &ExportManifest) -> Task {
        let bytes = manifest.parts[part.data].size + manifest.parts[part.index].size;
        Task { work: Work::Records(part), bytes }
    }

    pub(crate) fn stored(at: usize, manifest: &ExportManifest) -> Task {
        Task { work: Work::Stored(at), bytes: manifest.parts[at].size }
    }

    /// Stored bytes that the check reads.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What became of a [`Task`].
#[derive(Debug, Clone, Default)]
pub struct PartVerdict {
    pub(crate) problems: Vec<(Check, Problem)>,
    /// The leaves of a good data part.
    pub(crate) leaves: Option<CompactRange>,
}

/// What all parts of one verification share.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) files: &'a dyn BundleFiles,
    pub(crate) manifest: &'a ExportManifest,
    pub(crate) limits: &'a Limits,
    pub(crate) depth: Depth,
}

impl Context<'_> {
    pub(crate) fn check(&self, task: &Task, scratch: &mut Scratch) -> PartVerdict {
        match &task.work {
            Work::Records(part) => self.check_records(part, scratch),
            Work::Stored(at) => {
                let entry = &self.manifest.parts[*at];
                let lines = open(self.files, entry, &mut scratch.data, self.limits);
                let problem = match lines {
                    Ok(lines) => check_stored(entry, lines),
                    Err(error) => Some(unreadable(entry, &error)),
                };
                PartVerdict { problems: problem.into_iter().collect(), leaves: None }
            }
        }
    }

    fn check_records(&self, part: &DataPart, scratch: &mut Scratch) -> PartVerdict {
        let entry = &self.manifest.parts[part.data];
        let index_entry = &self.manifest.parts[part.index];
        let Scratch { data, index, index_line, canonical } = scratch;
        let opened = (
            open(self.files, entry, data, self.limits),
            open(self.files, index_entry, index, self.limits),
        );
        let (data, index) = match opened {
            (Ok(data), Ok(index)) => (data, index),
            (Err(error), _) => return PartVerdict::bad(unreadable(entry, &error)),
            (_, Err(error)) => return PartVerdict::bad(unreadable(index_entry, &error)),
        };
        let mut walk = Walk {
            entry,
            index_entry,
            set: &part.set,
            data,
            index,
            index_line,
            canonical,
            leaves: CompactRange::starting_at(part.start),
            last: None,
            limits: self.limits,
            depth: self.depth,
        };
        let content = walk.run();
        let Walk { data, index, leaves, .. } = walk;
        // Damage to the stored bytes explains whatever is wrong with the content.
        let stored = [check_stored(entry, data), check_stored(index_entry, index)];
        let stored: Vec<_> = stored.into_iter().flatten().collect();
        match content {
            _ if !stored.is_empty() => PartVerdict { problems: stored, leaves: None },
            Err(problem) => PartVerdict::bad(*problem),
            Ok(()) => PartVerdict { problems: Vec::new(), leaves: Some(leaves) },
        }
    }
}

impl PartVerdict {
    fn bad(problem: (Check, Problem)) -> PartVerdict {
        PartVerdict { problems: vec![problem], leaves: None }
    }
}

fn unreadable(entry: &PartEntry, error: &io::Error) -> (Check, Problem) {
    let problem = Problem::new(format!("the file cannot be read: {error}"));
    (Check::PartDigests, problem.of(entry.path.as_str()))
}

/// Reads what is left of the stored bytes and compares size and digest.
fn check_stored(entry: &PartEntry, lines: Lines<'_>) -> Option<(Check, Problem)> {
    let (size, digest) = match lines.finish() {
        Ok(read) => read,
        Err(UnpackError::Read(error)) => return Some(unreadable(entry, &error)),
        Err(error) => return Some(unreadable(entry, &io::Error::other(error))),
    };
    let problem = if size != entry.size {
        // Not read beyond: the real size may be larger.
        let found = if size > entry.size { "more".to_owned() } else { size.to_string() };
        Problem::new("the file has another size").expected(entry.size, found)
    } else if digest != entry.digest.sha256 {
        Problem::new("the file has another SHA-256").expected(entry.digest.sha256, digest)
    } else {
        return None;
    };
    Some((Check::PartDigests, problem.of(entry.path.as_str())))
}

/// Boxed, because it is rare and large beside the nothing of a good part.
type Fault = Box<(Check, Problem)>;

/// A data part and its index, read side by side.
struct Walk<'a> {
    entry: &'a PartEntry,
    index_entry: &'a PartEntry,
    set: &'a SetKey,
    data: Lines<'a>,
    index: Lines<'a>,
    index_line: &'a mut Vec<u8>,
    canonical: &'a mut Vec<u8>,
    leaves: CompactRange,
    last: Option<RecordId>,
    limits: &'a Limits,
    depth: Depth,
}

impl Walk<'_> {
    /// Reads all records; stops at the first that is not as it should be.
    fn run(&mut self) -> Result<(), Fault> {
        loop {
            let offset = self.data.offset();
            let line = match self.data.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => return Err(unpacked(self.entry, &error)),
            };
            let fault = |check: Check, problem: Problem| {
                let at = format!("{} at offset {offset}", problem.message);
                Box::new((check, Problem { message: at, ..problem }.of(self.entry.path.as_str())))
            };
            let record = parse_line(line)
                .map_err(|error| fault(Check::RecordLines, Problem::new(error.to_string())))?;
            if record.kind != self.set.kind || record.feed != self.set.feed {
                let problem = Problem::new("a line is of another set");
                let found = format!("{}/{}", record.kind, record.feed);
                return Err(fault(Check::RecordLines, problem.expected(self.set, found)));
            }
            match &self.last {
                None => check_end(self.entry, "firstId", self.entry.first_id.as_ref(), &record.id)?,
                Some(last) if *last >= record.id => {
                    let problem = Problem::new("a record does not follow the one before it");
                    let problem = problem.expected(format!("an id after {last}"), &record.id);
                    return Err(fault(Check::RecordOrder, problem));
                }
                Some(_) => {}
            }
            check_document(&record, self.depth, self.limits, self.canonical)
                .map_err(|(check, problem)| fault(check, problem))?;
            let length = line.len() as u64 + 1;
            let expected =
                IndexEntry { content_digest: record.content_digest, id: record.id, length, offset };
            self.leaves.push(leaf(self.set, expected.id.as_str(), &expected.content_digest));
            check_index_line(&mut self.index, &expected, self.index_entry, self.index_line)?;
            self.last = Some(expected.id);
        }
        self.check_ends()
    }

    fn check_ends(&mut self) -> Result<(), Fault> {
        let (records, found) = (self.entry.records.unwrap_or(0), self.leaves.count());
        if records != found {
            let problem =
                Problem::new("it holds another number of records than the manifest tells");
            let problem = problem.of(self.entry.path.as_str()).expected(records, found);
            return Err(Box::new((Check::PartCounts, problem)));
        }
        if let Some(last) = &self.last {
            check_end(self.entry, "lastId", self.entry.last_id.as_ref(), last)?;
        }
        match self.index.next_line() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(index_fault(self.index_entry, "it has more lines than its part")),
            Err(error) => Err(unpacked(self.index_entry, &error)),
        }
    }
}

fn check_end(
    entry: &PartEntry,
    what: &str,
    told: Option<&RecordId>,
    found: &RecordId,
) -> Result<(), Fault> {
    if told == Some(found) {
        return Ok(());
    }
    let problem = Problem::new(format!("{what} is another than the manifest tells"));
    let problem = problem.expected(told.map_or("none", RecordId::as_str), found);
    Err(Box::new((Check::PartCounts, problem.of(entry.path.as_str()))))
}

/// Compares the digest of a document with what its line tells, and its form if that is asked for.
fn check_document(
    record: &Line<'_>,
    depth: Depth,
    limits: &Limits,
    canonical: &mut Vec<u8>,
) -> Result<(), (Check, Problem)> {
    let bytes = record.body.bytes();
    let found = Digest::of(bytes);
    if found != record.content_digest {
        let problem = Problem::new(format!("the document {} has another digest", record.id));
        return Err((Check::RecordDigests, problem.expected(record.content_digest, found)));
    }
    if depth == Depth::Digests {
        return Ok(());
    }
    let bad = |message: String| (Check::Documents, Problem::new(message));
    if bytes.len() as u64 > limits.document_bytes {
        return Err(bad(format!("the document {} is larger than documents may be", record.id)));
    }
    if let Body::Json(json) = record.body {
        let document = Document::parse(json, limits)
            .map_err(|error| bad(format!("the document {} is {error}", record.id)))?;
        canonical.clear();
        document.write_canonical(canonical);
        if canonical != json {
            return Err(bad(format!("the document {} is not in canonical form", record.id)));
        }
    }
    Ok(())
}

/// The next line of the index must be exactly the one that belongs to the record.
fn check_index_line(
    index: &mut Lines<'_>,
    expected: &IndexEntry,
    entry: &PartEntry,
    scratch: &mut Vec<u8>,
) -> Result<(), Fault> {
    scratch.clear();
    write_index_line(scratch, expected);
    scratch.pop();
    let line = match index.next_line() {
        Ok(Some(line)) => line,
        Ok(None) => return Err(index_fault(entry, "it has fewer lines than its part")),
        Err(error) => return Err(unpacked(entry, &error)),
    };
    if line == scratch {
        return Ok(());
    }
    let message = match parse_index_line(line) {
        Err(error) => error.to_string(),
        Ok(found) if found.id != expected.id => {
            format!("it tells of {} where its part holds {}", found.id, expected.id)
        }
        Ok(found) if found.content_digest != expected.content_digest => {
            format!("it tells another digest of {}", found.id)
        }
        Ok(found) => format!("it tells another place of {}", found.id),
    };
    Err(index_fault(entry, &message))
}

fn index_fault(entry: &PartEntry, message: &str) -> Fault {
    Box::new((Check::Indexes, Problem::new(message).of(entry.path.as_str())))
}

fn unpacked(entry: &PartEntry, error: &UnpackError) -> Fault {
    let check = match error {
        UnpackError::Read(_) => Check::PartDigests,
        UnpackError::LongLine(_) | UnpackError::Unterminated => Check::RecordLines,
        _ => Check::Compression,
    };
    Box::new((check, Problem::new(error.to_string()).of(entry.path.as_str())))
}
