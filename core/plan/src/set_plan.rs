//! One set of a plan: its count, root and parts, from its rows in order.

use serde::{Deserialize, Serialize};
use stella_model::{Digest, DigestBuilder, Instant, PRODUCT_VERSION, RecordId, SetKey, rfc8785};
use stella_records::line::{self, LINE_END, LineHead, write_json_head};
use stella_records::{Format, setroot};

use crate::{Partition, run_plan::SetEntry};

/// The rows of one set on their way into parts.
///
/// Takes the selected records in the order of their ids. Memory is the list of parts, not of
/// records.
#[derive(Debug)]
pub struct SetPlan<'a> {
    set: SetKey,
    partition: &'a Partition,
    /// What begins every part key of this set.
    key_prefix: DigestBuilder,
    root: setroot::SetRoot,
    bytes: u64,
    newest: Option<Instant>,
    parts: Vec<PartPlan>,
    open: Option<OpenPart>,
    /// Whether documents are carried as they are, so that lines are as long as they tell.
    unredacted: bool,
    /// The head of the line at hand.
    head: Vec<u8>,
}

#[derive(Debug)]
struct OpenPart {
    first_id: RecordId,
    last_id: RecordId,
    records: u64,
    bytes: u64,
    line_bytes: Option<u64>,
    key: DigestBuilder,
}

/// What a plan needs to know of a record.
#[derive(Debug, Clone, Copy)]
pub struct PlannedRecord<'a> {
    /// Its id.
    pub id: &'a RecordId,
    /// SHA-256 of its document before redaction.
    pub content_digest: Digest,
    /// Bytes of its document before redaction.
    pub size: u64,
    /// Its revision time.
    pub modified: Option<Instant>,
    /// The format of its document.
    pub format: Format,
}

/// One part of a plan: a contiguous range of the ids of one set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartPlan {
    /// Id of the first record.
    pub first_id: RecordId,
    /// Id of the last record.
    pub last_id: RecordId,
    /// Number of records.
    pub records: u64,
    /// Bytes of their documents before redaction.
    pub bytes: u64,
    /// Bytes of their lines. Absent if documents are redacted, or one is text, which becomes a JSON
    /// string of a length that only the text tells.
    pub line_bytes: Option<u64>,
    /// Identity of the part's bytes: equal keys, equal parts (FORMATS "Reuse").
    pub key: Digest,
}

/// A planned set.
#[derive(Debug, Clone)]
pub struct SetSummary {
    key_prefix: DigestBuilder,
    shape: Digest,
    /// Kind and feed.
    pub set: SetKey,
    /// Number of selected records.
    pub count: u64,
    /// Merkle root over them, before redaction.
    pub root: Digest,
    /// Bytes of their documents before redaction.
    pub bytes: u64,
    /// Newest revision time among them.
    pub newest: Option<Instant>,
    /// The parts in order.
    pub parts: Vec<PartPlan>,
}

/// A [`SetSummary`] put away for a later run over the same records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptSummary {
    /// Identity of all that decided it, beside the records.
    shape: Digest,
    count: u64,
    root: Digest,
    bytes: u64,
    newest: Option<Instant>,
    parts: Vec<PartPlan>,
}

impl SetSummary {
    /// For [`SetPlan::recall`] when the set is planned again.
    #[must_use]
    pub fn keep(&self) -> KeptSummary {
        KeptSummary {
            shape: self.shape,
            count: self.count,
            root: self.root,
            bytes: self.bytes,
            newest: self.newest,
            parts: self.parts.clone(),
        }
    }

    /// The key of a part of this set in the making: `LP(id) ‖ contentDigest` of each record in
    /// order completes it. For holding records that are read later against the plan.
    #[must_use]
    pub fn part_key(&self) -> DigestBuilder {
        self.key_prefix.clone()
    }

    /// The set as the plan lists it.
    #[must_use]
    pub fn entry(&self) -> SetEntry {
        SetEntry {
            kind: self.set.kind.clone(),
            feed: self.set.feed.clone(),
            count: self.count,
            root: self.root,
        }
    }
}

impl<'a> SetPlan<'a> {
    /// Begins a set. `redaction` is the digest of the rules, `codec` the RFC 8785 form of the codec.
    #[must_use]
    pub fn new(
        set: SetKey,
        partition: &'a Partition,
        redaction: Option<&Digest>,
        codec: &[u8],
    ) -> SetPlan<'a> {
        let mut key_prefix = DigestBuilder::new();
        key_prefix
            .lp(b"stella-part-1")
            .lp(set.kind.as_str().as_bytes())
            .lp(set.feed.as_str().as_bytes())
            .u32(line::LINE_VERSION)
            .bytes(redaction.map_or(&[0; 32][..], |digest| digest.as_bytes()))
            .lp(codec);
        SetPlan {
            set,
            partition,
            key_prefix,
            root: setroot::SetRoot::new(),
            bytes: 0,
            newest: None,
            parts: Vec::new(),
            open: None,
            unredacted: redaction.is_none(),
            head: Vec::new(),
        }
    }

    /// The summary that this plan would come to, if one of the same records was kept; `None` if it
    /// was planned otherwise: into other parts, with other rules or another codec.
    #[must_use]
    pub fn recall(&self, kept: &KeptSummary) -> Option<SetSummary> {
        let shape = self.shape();
        (kept.shape == shape).then(|| SetSummary {
            key_prefix: self.key_prefix.clone(),
            shape,
            set: self.set.clone(),
            count: kept.count,
            root: kept.root,
            bytes: kept.bytes,
            newest: kept.newest,
            parts: kept.parts.clone(),
        })
    }

    /// All that decides a summary beside the records.
    fn shape(&self) -> Digest {
        let mut shape = self.key_prefix.clone();
        // Another version may cut parts, or make set roots, in another way.
        shape.lp(PRODUCT_VERSION.as_bytes()).lp(&rfc8785::to_vec(self.partition));
        shape.finish()
    }

    /// Takes the next selected record.
    pub fn push(&mut self, record: &PlannedRecord<'_>) {
        let PlannedRecord { id, content_digest, size, modified, .. } = *record;
        self.root.push(setroot::leaf(&self.set, id.as_str(), &content_digest));
        self.bytes += size;
        self.newest = self.newest.max(modified);
        let cut = self.open.as_ref().is_some_and(|open| {
            self.partition.cuts_before(open.bytes, &self.set.feed, id.as_str(), size)
        });
        if cut {
            self.close();
        }
        let lines = match &self.open {
            Some(open) => open.line_bytes,
            None => self.unredacted.then_some(0),
        };
        let lines = lines.and_then(|before| Some(before + self.line_bytes(record)?));
        let open = self.open.get_or_insert_with(|| OpenPart {
            first_id: id.clone(),
            last_id: id.clone(),
            records: 0,
            bytes: 0,
            line_bytes: None,
            key: self.key_prefix.clone(),
        });
        open.key.lp(id.as_str().as_bytes()).digest(&content_digest);
        open.last_id.clone_from(id);
        open.records += 1;
        open.bytes += size;
        open.line_bytes = lines;
    }

    /// Length of the line of a record that is carried as it is.
    fn line_bytes(&mut self, record: &PlannedRecord<'_>) -> Option<u64> {
        if !record.format.is_json() {
            return None;
        }
        let head = LineHead {
            content_digest: record.content_digest,
            set: &self.set,
            id: record.id,
            media_type: record.format.media_type(),
            modified: record.modified,
        };
        self.head.clear();
        write_json_head(&mut self.head, &head);
        Some((self.head.len() + LINE_END.len()) as u64 + record.size)
    }

    /// Ends the set.
    #[must_use]
    pub fn finish(mut self) -> SetSummary {
        self.close();
        SetSummary {
            shape: self.shape(),
            key_prefix: self.key_prefix,
            count: self.root.count(),
            root: self.root.finish(),
            set: self.set,
            bytes: self.bytes,
            newest: self.newest,
            parts: self.parts,
        }
    }

    fn close(&mut self) {
        self.parts.extend(self.open.take().map(|open| PartPlan {
            first_id: open.first_id,
            last_id: open.last_id,
            records: open.records,
            bytes: open.bytes,
            line_bytes: open.line_bytes,
            key: open.key.finish(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(ids: &[&str], codec: &[u8], redaction: Option<&Digest>) -> SetSummary {
        let partition = Partition::new(10, 20, 40).expect("valid bounds");
        let set = "advisory/npm".parse().expect("a set");
        let mut plan = SetPlan::new(set, &partition, redaction, codec);
        for id in ids {
            let id = RecordId::new(id).expect("an id");
            plan.push(&PlannedRecord {
                id: &id,
                content_digest: Digest::of(id.as_str().as_bytes()),
                size: 15,
                modified: None,
                format: Format::Osv,
            });
        }
        plan.finish()
    }

    #[test]
    fn parts_cover_the_set_without_gaps() {
        let ids: Vec<String> = (0..100).map(|n| format!("X-{n:03}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let planned = plan(&ids, b"codec", None);
        assert_eq!(planned.parts.iter().map(|part| part.records).sum::<u64>(), 100);
        assert_eq!(planned.parts.iter().map(|part| part.bytes).sum::<u64>(), planned.bytes);
        assert!(planned.parts.len() > 30, "every part is at most 40 bytes");
        assert!(planned.parts.windows(2).all(|two| two[0].last_id < two[1].first_id));
    }

    #[test]
    fn the_part_key_depends_on_all_that_decides_the_bytes() {
        let key = |ids: &[&str], codec: &[u8], redaction| plan(ids, codec, redaction).parts[0].key;
        let base = key(&["A"], b"codec", None);
        assert_eq!(base, key(&["A"], b"codec", None));
        assert_ne!(base, key(&["B"], b"codec", None));
        assert_ne!(base, key(&["A"], b"other", None));
        assert_ne!(base, key(&["A"], b"codec", Some(&Digest::of(b"rules"))));
    }

    #[test]
    fn the_part_key_is_the_one_computed_apart_from_this_code() {
        // python3: sha256(LP('stella-part-1') + LP('advisory') + LP('npm') + u32be(1) + 32 zeros
        //          + LP('codec') + LP('A') + sha256('A'))
        let key = plan(&["A"], b"codec", None).parts[0].key;
        assert_eq!(
            key.to_string(),
            "ec698ca1f3c560ae7302ed3e4b094d74cf2e03b501f9d6c15862133d55eba903"
        );
    }

    #[test]
    fn a_kept_summary_is_recalled_only_by_a_plan_of_the_same_shape() {
        let ids = ["A", "B", "C", "D", "E"];
        let planned = plan(&ids, b"codec", None);
        let kept = serde_json::to_vec(&planned.keep()).expect("JSON");
        let kept: KeptSummary = serde_json::from_slice(&kept).expect("reads");
        let recall = |set: &str, bounds: (u64, u64, u64), codec: &[u8], rules| {
            let partition = Partition::new(bounds.0, bounds.1, bounds.2).expect("valid bounds");
            SetPlan::new(set.parse().expect("a set"), &partition, rules, codec).recall(&kept)
        };
        let again = recall("advisory/npm", (10, 20, 40), b"codec", None).expect("the same");
        assert_eq!(again.entry(), planned.entry());
        assert_eq!((again.bytes, &again.parts), (planned.bytes, &planned.parts));
        assert_eq!(again.part_key().finish(), planned.part_key().finish());
        assert_eq!(again.keep(), planned.keep());
        let rules = Digest::of(b"rules");
        assert!(recall("advisory/pypi", (10, 20, 40), b"codec", None).is_none());
        assert!(recall("advisory/npm", (10, 20, 41), b"codec", None).is_none());
        assert!(recall("advisory/npm", (10, 20, 40), b"other", None).is_none());
        assert!(recall("advisory/npm", (10, 20, 40), b"codec", Some(&rules)).is_none());
    }

    #[test]
    fn an_empty_set_has_the_empty_root_and_no_parts() {
        let planned = plan(&[], b"codec", None);
        assert_eq!((planned.count, planned.root, planned.parts.len()), (0, Digest::EMPTY, 0));
    }
}
