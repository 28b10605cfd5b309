//! Data parts and their indexes.

use std::io;

use stella_model::{Digest, Instant, Limits, RecordId, SetKey};
use stella_records::Format;
use stella_records::line::{
    Content, IndexEntry, LINE_END, LineHead, write_index_line, write_json_head, write_line,
};
use stella_records::redact::{RedactError, Redacted, RedactionCounts, RuleSet};

use crate::Compressor;

/// A record as the ledger holds it.
#[derive(Debug, Clone, Copy)]
pub struct SourceRecord<'a> {
    /// Id within the set.
    pub id: &'a RecordId,
    /// Digest of `content`.
    pub content_digest: Digest,
    /// Revision time.
    pub modified: Option<Instant>,
    /// Format of the document.
    pub format: Format,
    /// The document: canonical JSON, or text.
    pub content: &'a [u8],
}

/// A finished part with its index; a function of the records, the rules and the codec alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The stored bytes.
    pub data: Vec<u8>,
    /// The stored bytes of its index.
    pub index: Vec<u8>,
    /// Size of the data before compression.
    pub data_uncompressed: u64,
    /// Size of the index before compression.
    pub index_uncompressed: u64,
    /// Number of carried records.
    pub records: u64,
    /// Ids of the first and last carried record.
    pub ids: (RecordId, RecordId),
}

/// Why a part cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A document that the ledger says is text is not UTF-8.
    #[error("record {id} of {set} is not UTF-8 text; the ledger is damaged")]
    NotText {
        /// The set.
        set: SetKey,
        /// The record.
        id: RecordId,
    },
    /// Redaction could not read a document.
    #[error("record {id} of {set} cannot be redacted")]
    Redact {
        /// The set.
        set: SetKey,
        /// The record.
        id: RecordId,
        /// Why.
        #[source]
        source: RedactError,
    },
    /// The part is 4 GiB or more.
    #[error("a part of {set} has {size} bytes; parts are below {limit}")]
    TooLarge {
        /// The set.
        set: SetKey,
        /// Its stored size.
        size: u64,
        /// [`Limits::part_bytes`].
        limit: u64,
    },
    /// The lines do not have the length that the part was begun with.
    #[error("a part of {set} has {found} bytes before compression where {planned} were planned")]
    OtherLength {
        /// The set.
        set: SetKey,
        /// What was planned.
        planned: u64,
        /// What there is, or would be at least.
        found: u64,
    },
    /// libzstd failed.
    #[error("a part of {set} cannot be compressed")]
    Compress {
        /// The set.
        set: SetKey,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What one thread needs to build parts, kept from part to part.
pub struct Tools {
    compressor: Compressor,
    /// Lines that are not compressed yet.
    lines: Vec<u8>,
    index: Vec<u8>,
    redacted: Vec<u8>,
}

impl Tools {
    /// Tools for one level of compression.
    ///
    /// # Errors
    /// As [`Compressor::new`].
    pub fn new(level: i32) -> io::Result<Tools> {
        let compressor = Compressor::new(level)?;
        Ok(Tools { compressor, lines: Vec::new(), index: Vec::new(), redacted: Vec::new() })
    }
}

/// How many bytes the lines of a part have together. The frame of a part tells its length before
/// its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many: the lines are compressed as they come.
    Exactly(u64),
    /// Documents of so many bytes, before redaction or as text: the lines are gathered first.
    Unknown(u64),
}

/// A part in the making. Takes the records of one planned part in order.
pub struct PartBuilder<'a> {
    set: &'a SetKey,
    rules: &'a RuleSet,
    limits: &'a Limits,
    tools: &'a mut Tools,
    /// The length that the frame was begun with.
    planned: Option<u64>,
    /// What there is of the frame.
    frame: Vec<u8>,
    /// Bytes of all lines so far.
    length: u64,
    counts: RedactionCounts,
    records: u64,
    ids: Option<(RecordId, RecordId)>,
}

/// Lines are compressed when there are so many bytes of them: what was just written is still in the
/// cache then.
const BATCH: usize = 1 << 17;

impl<'a> PartBuilder<'a> {
    /// Begins a part.
    ///
    /// # Errors
    /// [`PackError::Compress`] if libzstd has no memory.
    pub fn new(
        set: &'a SetKey,
        rules: &'a RuleSet,
        limits: &'a Limits,
        length: Length,
        tools: &'a mut Tools,
    ) -> Result<PartBuilder<'a>, PackError> {
        tools.lines.clear();
        tools.index.clear();
        let (Length::Exactly(expected) | Length::Unknown(expected)) = length;
        let expected = usize::try_from(expected).unwrap_or(0);
        let planned = match length {
            Length::Exactly(size) => {
                let begun = tools.compressor.begin(size);
                begun.map_err(|source| PackError::Compress { set: set.clone(), source })?;
                Some(size)
            }
            Length::Unknown(_) => {
                // An eighth more for the members before each document.
                tools.lines.reserve(expected + expected / 8 + 4096);
                None
            }
        };
        Ok(PartBuilder {
            set,
            rules,
            limits,
            tools,
            planned,
            // Evidence comes down to a tenth and less.
            frame: Vec::with_capacity(expected / 8 + 1024),
            length: 0,
            counts: RedactionCounts::default(),
            records: 0,
            ids: None,
        })
    }

    /// Takes the next record: redacts it, writes its line and its index line.
    ///
    /// # Errors
    /// [`PackError`] if the document is not what the ledger says.
    pub fn push(&mut self, record: &SourceRecord<'_>) -> Result<(), PackError> {
        let mut redacted = std::mem::take(&mut self.tools.redacted);
        redacted.clear();
        let outcome = self
            .rules
            .apply(record.format, record.content, self.limits, &mut redacted, &mut self.counts)
            .map_err(|source| PackError::Redact {
                set: self.set.clone(),
                id: record.id.clone(),
                source,
            })?;
        match outcome {
            Redacted::Unchanged => self.write(record, record.content_digest, record.content)?,
            Redacted::Changed => self.write(record, Digest::of(&redacted), &redacted)?,
            Redacted::NotRedactable => {}
        }
        self.tools.redacted = redacted;
        Ok(())
    }

    fn write(
        &mut self,
        record: &SourceRecord<'_>,
        content_digest: Digest,
        content: &[u8],
    ) -> Result<(), PackError> {
        let head = LineHead {
            content_digest,
            set: self.set,
            id: record.id,
            media_type: record.format.media_type(),
            modified: record.modified,
        };
        let offset = self.length;
        if record.format.is_json() {
            self.write_json(&head, content)?;
        } else {
            let not_text = |_| PackError::NotText { set: self.set.clone(), id: record.id.clone() };
            let text = std::str::from_utf8(content).map_err(not_text)?;
            let before = self.tools.lines.len();
            write_line(&mut self.tools.lines, &head, Content::Text(text));
            self.length += (self.tools.lines.len() - before) as u64;
        }
        let length = self.length - offset;
        let entry = IndexEntry { content_digest, id: record.id.clone(), length, offset };
        write_index_line(&mut self.tools.index, &entry);
        self.records += 1;
        match &mut self.ids {
            Some((_, last)) => last.clone_from(record.id),
            None => self.ids = Some((record.id.clone(), record.id.clone())),
        }
        Ok(())
    }

    /// Writes the line of a JSON document. A large one is compressed from where it lies.
    fn write_json(&mut self, head: &LineHead<'_>, content: &[u8]) -> Result<(), PackError> {
        let lines = &mut self.tools.lines;
        let before = lines.len();
        write_json_head(lines, head);
        self.length += (lines.len() - before + content.len() + LINE_END.len()) as u64;
        if self.planned.is_some() && content.len() >= BATCH {
            self.compress_lines()?;
            self.compress(content)?;
        } else {
            lines.extend_from_slice(content);
        }
        self.tools.lines.extend_from_slice(LINE_END);
        if self.planned.is_some() && self.tools.lines.len() >= BATCH {
            self.compress_lines()?;
        }
        Ok(())
    }

    fn compress_lines(&mut self) -> Result<(), PackError> {
        let mut lines = std::mem::take(&mut self.tools.lines);
        let result = self.compress(&lines);
        lines.clear();
        self.tools.lines = lines;
        result
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.check_length(|planned, found| planned >= found)?;
        let compressed = self.tools.compressor.push(bytes, &mut self.frame);
        compressed.map_err(|source| PackError::Compress { set: self.set.clone(), source })
    }

    fn check_length(&self, fits: fn(u64, u64) -> bool) -> Result<(), PackError> {
        match self.planned {
            Some(planned) if !fits(planned, self.length) => {
                let (set, found) = (self.set.clone(), self.length);
                Err(PackError::OtherLength { set, planned, found })
            }
            _ => Ok(()),
        }
    }

    /// The part with all its lines compressed. `None` if no record is carried, because none could be
    /// redacted.
    ///
    /// # Errors
    /// [`PackError::TooLarge`], [`PackError::OtherLength`] and [`PackError::Compress`].
    pub fn finish(mut self) -> Result<(Option<Part>, RedactionCounts), PackError> {
        let Some(ids) = self.ids.take() else { return Ok((None, self.counts)) };
        self.check_length(|planned, found| planned == found)?;
        let set = self.set;
        let failed = |source| PackError::Compress { set: set.clone(), source };
        if self.planned.is_none() {
            // All lines are gathered, so the length is known now.
            self.tools.compressor.begin(self.length).map_err(failed)?;
        }
        self.compress_lines()?;
        let PartBuilder { tools: Tools { compressor, index, .. }, frame: mut data, .. } = self;
        compressor.end(&mut data).map_err(failed)?;
        let index_uncompressed = index.len() as u64;
        let index = compressor.frame(index).map_err(failed)?;
        let limit = self.limits.part_bytes;
        let size = (data.len().max(index.len())) as u64;
        if size >= limit {
            return Err(PackError::TooLarge { set: self.set.clone(), size, limit });
        }
        let part = Part {
            data,
            index,
            data_uncompressed: self.length,
            index_uncompressed,
            records: self.records,
            ids,
        };
        Ok((Some(part), self.counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stella_records::line::{parse_index_line, parse_line};

    fn build(records: &[(&str, Format, &str)], length: Length) -> Result<Option<Part>, PackError> {
        let set: SetKey = "advisory/npm".parse().expect("a set");
        let mut tools = Tools::new(3).expect("level 3 exists");
        let (rules, limits) = (RuleSet::none(), Limits::DEFAULT);
        let mut builder = PartBuilder::new(&set, &rules, &limits, length, &mut tools)?;
        for (id, format, content) in records {
            let id = RecordId::new(id).expect("an id");
            let content = content.as_bytes();
            let record = SourceRecord {
                id: &id,
                content_digest: Digest::of(content),
                modified: None,
                format: *format,
                content,
            };
            builder.push(&record)?;
        }
        Ok(builder.finish()?.0)
    }

    fn gathered(records: &[(&str, Format, &str)]) -> Option<Part> {
        build(records, Length::Unknown(100)).expect("packs")
    }

    const RECORDS: [(&str, Format, &str); 3] = [
        ("A-1", Format::Osv, r#"{"id":"A-1","n":1E5}"#),
        ("A-2", Format::Osv, r#"{"id":"A-2"}"#),
        ("B \"x\"", Format::CycloneDxXml, "<bom>\n</bom>"),
    ];

    #[test]
    fn the_index_says_where_every_line_lies() {
        let part = gathered(&RECORDS).expect("a part");
        let data = zstd::decode_all(&part.data[..]).expect("a frame");
        let index = zstd::decode_all(&part.index[..]).expect("a frame");
        assert_eq!(part.data_uncompressed, data.len() as u64);
        assert_eq!(part.index_uncompressed, index.len() as u64);
        let entries: Vec<_> = index
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| parse_index_line(&line[..line.len() - 1]).expect("an index line"))
            .collect();
        assert_eq!(entries.len(), 3);
        for (entry, (id, _, content)) in entries.iter().zip(RECORDS) {
            let line = &data[entry.offset as usize..(entry.offset + entry.length) as usize];
            let line = parse_line(line.strip_suffix(b"\n").expect("a line feed")).expect("a line");
            assert_eq!((line.id.as_str(), line.body.bytes()), (id, content.as_bytes()));
            assert_eq!(line.content_digest, Digest::of(content.as_bytes()));
            assert_eq!(line.content_digest, entry.content_digest);
        }
        assert_eq!((part.ids.0.as_str(), part.ids.1.as_str()), ("A-1", "B \"x\""));
    }

    #[test]
    fn equal_records_give_equal_parts() {
        assert_eq!(gathered(&RECORDS), gathered(&RECORDS));
    }

    #[test]
    fn a_part_of_nothing_but_records_left_out_is_no_part() {
        assert_eq!(gathered(&[]), None);
    }

    #[test]
    fn lines_compressed_as_they_come_make_the_part_of_lines_gathered() {
        // Documents below, at and above what is compressed at once.
        let sizes = [0, 1, 77, BATCH - 1, BATCH, 5, 3 * BATCH + 1, BATCH - 300, 2, 2];
        let ids: Vec<String> = (0..sizes.len()).map(|n| format!("A-{n:02}")).collect();
        let texts = sizes.map(|size| format!("\"{}\"", "vulnerable? ".repeat(size.div_ceil(12))));
        let records: Vec<_> =
            ids.iter().zip(&texts).map(|(id, text)| (&**id, Format::Osv, &**text)).collect();
        let expected = gathered(&records).expect("a part");
        let length = expected.data_uncompressed;
        let streamed = build(&records, Length::Exactly(length)).expect("packs");
        assert_eq!(streamed, Some(expected));
        for planned in [0, 1, length - 1, length + 1, 2 * length] {
            let error = build(&records, Length::Exactly(planned));
            let told =
                matches!(error, Err(PackError::OtherLength { planned: p, .. }) if p == planned);
            assert!(told, "{error:?}");
        }
    }
}
