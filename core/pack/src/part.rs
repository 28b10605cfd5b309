//! Data parts and their indexes.

use stella_model::{Digest, Instant, Limits, RecordId, SetKey};
use stella_records::Format;
use stella_records::line::{Content, IndexEntry, LineHead, write_index_line, write_line};
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
    /// libzstd failed.
    #[error("a part of {set} cannot be compressed")]
    Compress {
        /// The set.
        set: SetKey,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Memory of a part in the making, kept from part to part.
#[derive(Debug, Default)]
pub struct Scratch {
    data: Vec<u8>,
    index: Vec<u8>,
    redacted: Vec<u8>,
}

/// A part in the making. Takes the records of one planned part in order.
pub struct PartBuilder<'a> {
    set: &'a SetKey,
    rules: &'a RuleSet,
    limits: &'a Limits,
    scratch: &'a mut Scratch,
    counts: RedactionCounts,
    records: u64,
    ids: Option<(RecordId, RecordId)>,
}

impl<'a> PartBuilder<'a> {
    /// Begins a part of about `expected` uncompressed bytes.
    #[must_use]
    pub fn new(
        set: &'a SetKey,
        rules: &'a RuleSet,
        limits: &'a Limits,
        expected: u64,
        scratch: &'a mut Scratch,
    ) -> PartBuilder<'a> {
        let expected = usize::try_from(expected).unwrap_or(0);
        scratch.data.clear();
        scratch.index.clear();
        // An eighth more for the members before each document.
        scratch.data.reserve(expected + expected / 8 + 4096);
        let counts = RedactionCounts::default();
        PartBuilder { set, rules, limits, scratch, counts, records: 0, ids: None }
    }

    /// Takes the next record: redacts it, writes its line and its index line.
    ///
    /// # Errors
    /// [`PackError`] if the document is not what the ledger says.
    pub fn push(&mut self, record: &SourceRecord<'_>) -> Result<(), PackError> {
        let mut redacted = std::mem::take(&mut self.scratch.redacted);
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
        self.scratch.redacted = redacted;
        Ok(())
    }

    fn write(
        &mut self,
        record: &SourceRecord<'_>,
        content_digest: Digest,
        content: &[u8],
    ) -> Result<(), PackError> {
        let body = if record.format.is_json() {
            Content::Json(content)
        } else {
            let not_text = |_| PackError::NotText { set: self.set.clone(), id: record.id.clone() };
            Content::Text(std::str::from_utf8(content).map_err(not_text)?)
        };
        let head = LineHead {
            content_digest,
            set: self.set,
            id: record.id,
            media_type: record.format.media_type(),
            modified: record.modified,
        };
        let offset = self.scratch.data.len() as u64;
        write_line(&mut self.scratch.data, &head, body);
        let length = self.scratch.data.len() as u64 - offset;
        let entry = IndexEntry { content_digest, id: record.id.clone(), length, offset };
        write_index_line(&mut self.scratch.index, &entry);
        self.records += 1;
        match &mut self.ids {
            Some((_, last)) => last.clone_from(record.id),
            None => self.ids = Some((record.id.clone(), record.id.clone())),
        }
        Ok(())
    }

    /// Compresses the part. `None` if no record is carried, because none could be redacted.
    ///
    /// # Errors
    /// [`PackError::TooLarge`] and [`PackError::Compress`].
    pub fn finish(
        self,
        compressor: &mut Compressor,
    ) -> Result<(Option<Part>, RedactionCounts), PackError> {
        let Some(ids) = self.ids else { return Ok((None, self.counts)) };
        let failed = |source| PackError::Compress { set: self.set.clone(), source };
        let data = compressor.frame(&self.scratch.data).map_err(failed)?;
        let index = compressor.frame(&self.scratch.index).map_err(failed)?;
        let limit = self.limits.part_bytes;
        let size = (data.len().max(index.len())) as u64;
        if size >= limit {
            return Err(PackError::TooLarge { set: self.set.clone(), size, limit });
        }
        let part = Part {
            data,
            index,
            data_uncompressed: self.scratch.data.len() as u64,
            index_uncompressed: self.scratch.index.len() as u64,
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

    fn build(rules: &RuleSet, records: &[(&str, Format, &str)]) -> Option<Part> {
        let set: SetKey = "advisory/npm".parse().expect("a set");
        let mut scratch = Scratch::default();
        let mut builder = PartBuilder::new(&set, rules, &Limits::DEFAULT, 100, &mut scratch);
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
            builder.push(&record).expect("packs");
        }
        let mut compressor = Compressor::new(3).expect("level 3 exists");
        builder.finish(&mut compressor).expect("packs").0
    }

    const RECORDS: [(&str, Format, &str); 3] = [
        ("A-1", Format::Osv, r#"{"id":"A-1","n":1E5}"#),
        ("A-2", Format::Osv, r#"{"id":"A-2"}"#),
        ("B \"x\"", Format::CycloneDxXml, "<bom>\n</bom>"),
    ];

    #[test]
    fn the_index_says_where_every_line_lies() {
        let part = build(&RuleSet::none(), &RECORDS).expect("a part");
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
        assert_eq!(build(&RuleSet::none(), &RECORDS), build(&RuleSet::none(), &RECORDS));
    }

    #[test]
    fn a_part_of_nothing_but_records_left_out_is_no_part() {
        assert_eq!(build(&RuleSet::none(), &[]), None);
    }
}
