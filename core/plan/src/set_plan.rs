//! One set of a plan: its count, root and parts, from its rows in order.

use stella_model::{Digest, DigestBuilder, Instant, RecordId, SetKey};
use stella_records::{line, setroot};

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
}

#[derive(Debug)]
struct OpenPart {
    first_id: RecordId,
    last_id: RecordId,
    records: u64,
    bytes: u64,
    key: DigestBuilder,
}

/// One part of a plan: a contiguous range of the ids of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartPlan {
    /// Id of the first record.
    pub first_id: RecordId,
    /// Id of the last record.
    pub last_id: RecordId,
    /// Number of records.
    pub records: u64,
    /// Bytes of their documents before redaction.
    pub bytes: u64,
    /// Identity of the part's bytes: equal keys, equal parts (FORMATS "Reuse").
    pub key: Digest,
}

/// A planned set.
#[derive(Debug, Clone)]
pub struct SetSummary {
    key_prefix: DigestBuilder,
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

impl SetSummary {
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
        }
    }

    /// Takes the next selected record; `size` is in bytes before redaction.
    pub fn push(&mut self, id: &RecordId, content: &Digest, size: u64, modified: Option<Instant>) {
        self.root.push(setroot::leaf(&self.set, id.as_str(), content));
        self.bytes += size;
        self.newest = self.newest.max(modified);
        let cut = self.open.as_ref().is_some_and(|open| {
            self.partition.cuts_before(open.bytes, &self.set.feed, id.as_str(), size)
        });
        if cut {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| OpenPart {
            first_id: id.clone(),
            last_id: id.clone(),
            records: 0,
            bytes: 0,
            key: self.key_prefix.clone(),
        });
        open.key.lp(id.as_str().as_bytes()).digest(content);
        open.last_id.clone_from(id);
        open.records += 1;
        open.bytes += size;
    }

    /// Ends the set.
    #[must_use]
    pub fn finish(mut self) -> SetSummary {
        self.close();
        SetSummary {
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
            plan.push(&id, &Digest::of(id.as_str().as_bytes()), 15, None);
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
    fn an_empty_set_has_the_empty_root_and_no_parts() {
        let planned = plan(&[], b"codec", None);
        assert_eq!((planned.count, planned.root, planned.parts.len()), (0, Digest::EMPTY, 0));
    }
}
