//! From records to rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use stella_model::{FeedName, Instant, RecordId};
use stella_records::Format;
use stella_records::view::{AdvisoryView, Evidence};

use super::blobs::{BlobRef, Blobs};
use super::claims::source_row;
use super::distinct::Distinct;
use super::ecosystems::{Distribution, Ids};
use super::fixes;
use super::names::{self, asker};
use super::redhat;
use super::rejected::is_rejection;
use super::report::{Gap, Reason};
use super::row::{tag, usable_key, write_key, write_tail, write_waiting};
use super::said::{Claim, FixSaid, LanguageSaid, Said};
use super::sources::{Source, of_record};
use super::{LIMITS, Options, Tally, VULNERABILITIES, detail, detail::KnownScores};
use crate::rows::code::{Reader, Writer, damaged};
use crate::rows::{Sorter, Spool};

/// Memory of one mapper for rows, in bytes: those that need nothing but sorting, rows of languages,
/// rows whose id is not final, lines of the report, texts.
const ENTRIES: usize = 20 << 20;
const CLAIMS: usize = 6 << 20;
const PENDING: usize = 4 << 20;
const REPORT: usize = 4 << 20;
const TEXTS: usize = 16 << 20;

/// The same for the other names of vulnerabilities and for ids that were given back.
const NAMES: usize = 4 << 20;
const REJECTED: usize = 1 << 20;

/// Spools of one mapper, each its own.
pub struct Spools<'s> {
    /// For rows that need nothing but sorting: of distributions, of vulnerabilities, and those that
    /// the rows of languages end as.
    pub entries: &'s dyn Spool,
    /// For rows of languages.
    pub claims: &'s dyn Spool,
    /// For rows whose id is not final, and what makes it so.
    pub pending: &'s dyn Spool,
    /// For lines of the report.
    pub report: &'s dyn Spool,
    /// For texts.
    pub texts: &'s dyn Spool,
}

/// Turns records into rows. Any number of them work side by side; [`super::assemble`] puts their
/// rows together.
pub struct Mapper<'s> {
    options: &'s Options,
    as_of: Instant,
    /// Which mapper this is, for references to texts.
    number: u16,
    pub(super) entries: Sorter<'s>,
    pub(super) claims: Sorter<'s>,
    pub(super) pending: Sorter<'s>,
    pub(super) report: Sorter<'s>,
    pub(super) texts: Blobs<'s>,
    /// Which CVE ids other names stand for, and who wants to know.
    pub(super) names: Sorter<'s>,
    pub(super) rejected: Sorter<'s>,
    /// Records whose rows wait.
    waiting: u64,
    /// Products of Red Hat that rows name.
    pub(super) cpes: BTreeSet<String>,
    /// Descriptions of the buckets of distributions.
    pub(super) sources: BTreeMap<String, Vec<u8>>,
    pub(super) tally: Tally,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    key: Vec<u8>,
    tail: Vec<u8>,
    value: Writer,
    /// A row that refers to a text.
    detail: Writer,
    blob: Writer,
    scores: KnownScores,
}

/// A record on its way into rows.
struct Record<'r> {
    feed: &'r FeedName,
    publisher: Option<&'r str>,
    id: &'r RecordId,
    advisory: AdvisoryView<'r>,
    modified: Option<Instant>,
    /// CVE ids, in the order of the document.
    cves: Vec<Cow<'r, str>>,
    /// The other names, the record's own id last.
    others: Vec<Cow<'r, str>>,
}

impl Record<'_> {
    fn write_tail(&self, tail: &mut Vec<u8>, rank: u16) {
        write_tail(tail, rank, self.modified, self.feed.as_str(), self.id.as_str());
    }
}

impl<'s> Mapper<'s> {
    /// The mapper with this number; each number once.
    #[must_use]
    pub fn new(
        options: &'s Options,
        as_of: Instant,
        number: u16,
        spools: Spools<'s>,
    ) -> Mapper<'s> {
        Mapper {
            options,
            as_of,
            number,
            entries: Sorter::new(spools.entries, ENTRIES),
            claims: Sorter::new(spools.claims, CLAIMS),
            pending: Sorter::new(spools.pending, PENDING),
            report: Sorter::new(spools.report, REPORT),
            texts: Blobs::new(spools.texts, TEXTS),
            names: Sorter::new(spools.pending, NAMES),
            rejected: Sorter::new(spools.pending, REJECTED),
            waiting: 0,
            cpes: BTreeSet::new(),
            sources: BTreeMap::new(),
            tally: Tally::default(),
            buffers: Buffers::default(),
        }
    }

    /// Takes a record. `publisher` is that of its feed.
    ///
    /// # Errors
    /// If a spool fails.
    pub fn record(
        &mut self,
        feed: &FeedName,
        publisher: Option<&str>,
        id: &RecordId,
        evidence: &Evidence<'_>,
    ) -> io::Result<()> {
        if usable_key(id.as_str().into()).is_none() {
            // In a key it would end the names before it, and stand for another record's.
            return self.gap(feed, id, "", Reason::NoVulnerabilityId, "");
        }
        if let (Some(csaf), Some(advisory)) = (evidence.csaf(), evidence.advisory())
            && redhat::is_publisher(csaf)
        {
            let modified = advisory.modified();
            let (cves, others) = (Vec::new(), Vec::new());
            let record = Record { feed, publisher, id, advisory, modified, cves, others };
            return self.red_hat(&record, redhat::map(csaf));
        }
        let advisory = evidence.advisory().filter(|_| evidence.format() == Format::Osv);
        let Some(advisory) = advisory else {
            return self.gap(feed, id, "", Reason::FormatNotMapped, "");
        };
        if advisory.withdrawn().is_some_and(|withdrawn| withdrawn <= self.as_of) {
            return self.gap(feed, id, "", Reason::Withdrawn, "");
        }
        let (mut cves, mut others) = (Distinct::new(), Distinct::new());
        let mut count = 0_usize;
        each_name(advisory, &mut |name| {
            count += 1;
            if count <= LIMITS.names {
                let list = if name.starts_with("CVE-") { &mut cves } else { &mut others };
                list.push(name);
            }
        });
        let (cves, others) = (cves.into_list(), others.into_list());
        let modified = advisory.modified();
        let record = Record { feed, publisher, id, advisory, modified, cves, others };
        if count > LIMITS.names {
            return self.too_many_names(&record, &format!("{count} names"));
        }
        if is_rejection(&advisory.details().unwrap_or_default()) {
            for cve in &record.cves {
                self.rejected.push(cve.as_bytes(), &[])?;
            }
            return self.gap(feed, id, "", Reason::Rejected, "");
        }
        self.learn_names(&record)?;
        self.map(&record)
    }

    /// A record with so many names that nothing is made of it.
    fn too_many_names(&mut self, record: &Record<'_>, detail: &str) -> io::Result<()> {
        let mut said = Said::default();
        let mut places = BTreeSet::new();
        record.advisory.each_affected(&mut |affected| {
            let ecosystem = affected.package().ecosystem.unwrap_or_default();
            let destination = said.destination(ecosystem);
            if destination.target.is_ok() {
                places.insert(destination.place.clone());
            }
        });
        self.no_rows(record, places.iter().map(|place| &**place), detail)
    }

    /// Tells that there is too much of something for what a record says of some places to have rows.
    fn no_rows<'p>(
        &mut self,
        record: &Record<'_>,
        places: impl IntoIterator<Item = &'p str>,
        detail: &str,
    ) -> io::Result<()> {
        for place in places {
            self.tally.gap(place, Reason::TooManyNames);
        }
        self.gap(record.feed, record.id, "", Reason::TooManyNames, detail)
    }

    /// Notes that the other names of a record stand for its CVE ids.
    fn learn_names(&mut self, record: &Record<'_>) -> io::Result<()> {
        if record.cves.is_empty() || record.others.is_empty() {
            return Ok(());
        }
        let Buffers { key, value, .. } = &mut self.buffers;
        let ids = self.texts.add(&value.clear().list(&record.cves).bytes)?;
        names::teach(&mut self.names, key, &record.others, self.number, ids)
    }

    fn map(&mut self, record: &Record<'_>) -> io::Result<()> {
        let mut said = Said::default();
        let title = record.advisory.title().unwrap_or_default();
        record.advisory.each_affected(&mut |affected| said.take(affected, &title));
        for (ecosystem, package, reason, detail) in &said.gaps.single {
            self.tally.gap(ecosystem, *reason);
            self.gap(record.feed, record.id, package, *reason, detail)?;
        }
        for ecosystem in &said.gaps.too_many {
            self.tally.gap(ecosystem, Reason::TooManyGaps);
            self.gap(record.feed, record.id, "", Reason::TooManyGaps, ecosystem)?;
        }
        self.language_rows(record, &mut said.languages)?;
        if said.too_many.is_empty() {
            return self.fix_rows(record, &mut said.fixes);
        }
        let held = said.fixes.iter().map(|said| said.bucket.clone());
        said.too_many.extend(held);
        let detail = "more packages of distributions than rows are made for";
        self.no_rows(record, said.too_many.iter().map(|place| &**place), detail)
    }

    /// The rows of a record about packages of languages.
    fn language_rows(
        &mut self,
        record: &Record<'_>,
        said: &mut Vec<LanguageSaid<'_>>,
    ) -> io::Result<()> {
        said.sort_by(|a, b| a.key().cmp(&b.key()));
        said.dedup_by(|more, held| {
            let same = more.key() == held.key();
            if same {
                held.claim.extend(&mut more.claim);
            }
            same
        });
        said.retain(|said| !said.claim.ranges.vulnerable.is_empty());
        if said.is_empty() {
            return Ok(());
        }
        let copies = Copies::of(record, said);
        if copies.are_too_many() {
            let places: BTreeSet<&str> = said.iter().map(|said| said.language.osv).collect();
            return self.no_rows(record, places, &copies.to_string());
        }
        if record.cves.is_empty() {
            self.waiting += 1;
            let asker = asker(self.number, self.waiting);
            names::ask(&mut self.names, &mut self.buffers.key, &record.others, asker)?;
        }
        let mut told = BTreeSet::new();
        for LanguageSaid { language, package, claim } in said {
            let source = of_record(language, record.id.as_str(), record.feed, record.publisher);
            self.tally.row(language.osv);
            self.claim_rows(record, language.prefix, package, &source, claim, copies.bytes)?;
            if told.insert(source.id.clone()) {
                self.claim_details(record, &source.id)?;
            }
        }
        Ok(())
    }

    /// The rows of a record about a package of a language, one for each CVE id. Without one they
    /// wait: another record may tell it.
    fn claim_rows(
        &mut self,
        record: &Record<'_>,
        prefix: &str,
        package: &str,
        source: &Source<'_>,
        claim: &Claim,
        all_bytes: usize,
    ) -> io::Result<()> {
        let Buffers { key, tail, value, .. } = &mut self.buffers;
        encode_claim(value, source, record, claim);
        record.write_tail(tail, self.options.precedence.rank(&source.id, record.feed.as_str()));
        if record.cves.is_empty() {
            value.number(all_bytes as u64);
            write_waiting(key, asker(self.number, self.waiting), prefix, package, tail);
            return self.pending.push(key, &value.bytes);
        }
        for id in &record.cves {
            write_key(key, [prefix, package, id], tail);
            self.claims.push(key, &value.bytes)?;
        }
        Ok(())
    }

    /// What a record says of its vulnerabilities whatever the package.
    fn claim_details(&mut self, record: &Record<'_>, source: &str) -> io::Result<()> {
        let blob = self.text(record, source, record.cves.len())?;
        self.refer_to(blob, &[]);
        let Buffers { key, tail, detail, .. } = &mut self.buffers;
        record.write_tail(tail, self.options.precedence.rank(source, record.feed.as_str()));
        if record.cves.is_empty() {
            write_waiting(key, asker(self.number, self.waiting), VULNERABILITIES, "", tail);
            detail.list(&record.others);
            return self.pending.push(key, &detail.bytes);
        }
        for cve in &record.cves {
            self.detail_row(cve)?;
        }
        // Where the CVE ids turn out to be rejected, the record's own id takes their place.
        let Some(own) = record.others.last() else { return Ok(()) };
        self.refer_to(blob, &record.cves);
        self.detail_row(own)
    }

    /// A row about a vulnerability, with the tail and the reference that the buffers hold.
    fn detail_row(&mut self, id: &str) -> io::Result<()> {
        let Some(id) = usable_key(id.into()) else { return Ok(()) };
        let Buffers { key, tail, detail, .. } = &mut self.buffers;
        write_key(key, [VULNERABILITIES, "", &id], tail);
        self.entries.push(key, &detail.bytes)
    }

    /// The rows of a record about packages of distributions.
    fn fix_rows(&mut self, record: &Record<'_>, said: &mut Vec<FixSaid<'_>>) -> io::Result<()> {
        said.sort_by(|a, b| a.key().cmp(&b.key()));
        said.dedup_by(|more, held| {
            let same = more.key() == held.key();
            if same {
                let both = (std::mem::take(&mut held.fix), std::mem::take(&mut more.fix));
                held.fix = both.0.widest(both.1, held.distribution.scheme);
            }
            same
        });
        if said.is_empty() {
            return Ok(());
        }
        let related = match related_ids(record, said) {
            Ok(related) => related,
            Err(detail) => {
                let buckets = said.chunk_by(|a, b| a.bucket == b.bucket);
                return self.no_rows(record, buckets.map(|same| &*same[0].bucket), &detail);
            }
        };
        for same in said.chunk_by(|a, b| a.bucket == b.bucket) {
            self.bucket_rows(record, same, &related)?;
        }
        let mut told = BTreeSet::new();
        for FixSaid { distribution, .. } in said {
            let ids = ids_of(record, distribution, &related);
            let source = distribution.source.0;
            if ids.is_empty() {
                if told.insert(distribution.osv) {
                    self.gap(record.feed, record.id, "", Reason::NoVulnerabilityId, "")?;
                }
            } else if told.insert(source) {
                let blob = self.text(record, source, ids.len())?;
                self.refer_to(blob, &[]);
                let rank = self.options.precedence.rank(source, record.feed.as_str());
                record.write_tail(&mut self.buffers.tail, rank);
                for id in &ids {
                    self.detail_row(id)?;
                }
            }
        }
        Ok(())
    }

    /// The rows of a record about packages of one release of a distribution.
    fn bucket_rows(
        &mut self,
        record: &Record<'_>,
        said: &[FixSaid<'_>],
        related: &[Cow<'_, str>],
    ) -> io::Result<()> {
        let [FixSaid { distribution, bucket, .. }, ..] = said else { return Ok(()) };
        let ids = ids_of(record, distribution, related);
        if ids.is_empty() {
            return Ok(());
        }
        if !self.sources.contains_key(&**bucket) {
            self.sources.insert(bucket.to_string(), source_row(distribution.source));
        }
        let Buffers { key, tail, value, .. } = &mut self.buffers;
        let rank = self.options.precedence.rank(distribution.source.0, record.feed.as_str());
        record.write_tail(tail, rank);
        for FixSaid { package, fix, .. } in said {
            self.tally.row(bucket);
            fixes::encode(value, distribution, fix, &ids);
            write_key(key, [bucket, package, ""], tail);
            self.entries.push(key, &value.bytes)?;
        }
        Ok(())
    }

    /// The rows of a document of Red Hat.
    fn red_hat(&mut self, record: &Record<'_>, mut mapped: redhat::Mapped) -> io::Result<()> {
        let feed = record.feed.as_str();
        let rank = self.options.precedence.rank(redhat::DETAIL_SOURCE, feed);
        record.write_tail(&mut self.buffers.tail, rank);
        for (package, reason, detail) in &mapped.gaps {
            self.tally.gap(redhat::BUCKET, *reason);
            self.gap(record.feed, record.id, package, *reason, detail)?;
        }
        let mut last = None;
        for (package, id, value) in &mapped.rows {
            if last.replace(package) != Some(package) {
                self.tally.row(redhat::BUCKET);
            }
            let Buffers { key, tail, .. } = &mut self.buffers;
            write_key(key, [redhat::BUCKET, package, id], tail);
            self.entries.push(key, value)?;
        }
        if !mapped.rows.is_empty() && !self.sources.contains_key(redhat::BUCKET) {
            self.sources.insert(redhat::BUCKET.to_owned(), source_row(redhat::SOURCE));
        }
        let known = mapped.details.len();
        let distance = self.options.precedence.distance(redhat::DETAIL_SOURCE, feed, known);
        for (id, told) in &mut mapped.details {
            detail::set_distance(told, distance);
            let blob = self.texts.add(told)?;
            self.refer_to(blob, &[]);
            self.detail_row(id)?;
        }
        self.cpes.extend(mapped.cpes);
        for id in &mapped.rejected {
            self.rejected.push(id.as_bytes(), &[])?;
        }
        Ok(())
    }

    /// What a record says of so many vulnerabilities, kept once.
    fn text(
        &mut self,
        record: &Record<'_>,
        source: &str,
        vulnerabilities: usize,
    ) -> io::Result<BlobRef> {
        let Buffers { blob, scores, .. } = &mut self.buffers;
        detail::encode(blob, source, record.advisory, scores);
        let feed = record.feed.as_str();
        let distance = self.options.precedence.distance(source, feed, vulnerabilities);
        detail::set_distance(&mut blob.bytes, distance);
        self.texts.add(&blob.bytes)
    }

    /// Puts the value of a row that refers to a text into the buffers; one with ids counts only if
    /// all of them are rejected.
    fn refer_to(&mut self, blob: BlobRef, only_if_rejected: &[Cow<'_, str>]) {
        let (mapper, spare) = (self.number, !only_if_rejected.is_empty());
        let value = &mut self.buffers.detail;
        DetailRow { mapper, blob, spare }.write(value);
        if spare {
            value.list(only_if_rejected);
        }
    }

    /// A line of the report.
    fn gap(
        &mut self,
        feed: &FeedName,
        id: &RecordId,
        package: &str,
        reason: Reason,
        detail: &str,
    ) -> io::Result<()> {
        let gap = Gap { feed: feed.as_str(), id: id.as_str(), package, reason, detail };
        gap.push(&mut self.report, &mut self.buffers.key)
    }
}

/// How often, and in how many bytes, a record says what it says of packages of languages.
struct Copies {
    ids: usize,
    pairs: usize,
    /// Of one copy of everything.
    bytes: usize,
}

impl Copies {
    fn of(record: &Record<'_>, said: &[LanguageSaid<'_>]) -> Copies {
        let names = bytes_of(&record.cves) + bytes_of(&record.others);
        let claim = |said: &LanguageSaid<'_>| {
            let Claim { ranges, os, arch } = &said.claim;
            let lists = [&ranges.vulnerable, &ranges.patched, os, arch];
            names + lists.iter().map(|list| bytes_of(list)).sum::<usize>()
        };
        Copies {
            ids: record.cves.len(),
            pairs: record.cves.len() * record.others.len(),
            bytes: said.iter().map(claim).sum(),
        }
    }

    fn are_too_many(&self) -> bool {
        self.ids > LIMITS.ids
            || self.pairs > LIMITS.name_pairs
            || self.bytes.saturating_mul(self.ids.max(1)) > LIMITS.row_bytes
    }
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Copies { ids, pairs, bytes } = self;
        write!(f, "{ids} CVE ids, {pairs} pairs of names, {bytes} bytes under each id")
    }
}

/// Bytes of a list in a row.
fn bytes_of<S: AsRef<str>>(texts: &[S]) -> usize {
    texts.iter().map(|text| text.as_ref().len() + 4).sum()
}

/// The CVE ids of a record, and those that it names as related: what an erratum fixes. Sorted. What
/// there is too much of, if there is: each package has them all, or the record's own.
fn related_ids<'r>(record: &Record<'r>, said: &[FixSaid<'_>]) -> Result<Vec<Cow<'r, str>>, String> {
    let of = |ids| said.iter().filter(|said| said.distribution.ids == ids).count();
    let (packages, notices) = (of(Ids::Cves), of(Ids::Notice));
    if bytes_of(&[record.id.as_str()]).saturating_mul(notices) > LIMITS.row_bytes {
        return Err(format!("a long id for {notices} packages"));
    }
    if packages == 0 {
        return Ok(Vec::new());
    }
    let mut related = record.cves.clone();
    let mut count = 0_usize;
    record.advisory.each_related(&mut |name| {
        count += 1;
        if count <= LIMITS.names && name.starts_with("CVE-") {
            related.extend(usable_key(name));
        }
    });
    if count > LIMITS.names {
        return Err(format!("{count} related names"));
    }
    related.sort_unstable();
    related.dedup();
    let bytes = bytes_of(&related).saturating_mul(packages);
    match bytes > LIMITS.row_bytes {
        true => Err(format!("{} CVE ids for {packages} packages", related.len())),
        false => Ok(related),
    }
}

/// The ids under which the rows of a distribution lie.
fn ids_of<'i>(
    record: &'i Record<'_>,
    distribution: &Distribution,
    related: &'i [Cow<'i, str>],
) -> Vec<&'i str> {
    match distribution.ids {
        Ids::Notice => vec![record.id.as_str()],
        // Own advisories have no CVE ids. Errata without any are about bugs of another kind.
        Ids::Cves if related.is_empty() && !is_erratum(record.id.as_str()) => {
            vec![record.id.as_str()]
        }
        Ids::Cves => related.iter().map(|id| &**id).collect(),
    }
}

/// Names of a record in the order of the document, its own last.
fn each_name<'t>(advisory: AdvisoryView<'t>, found: &mut dyn FnMut(Cow<'t, str>)) {
    advisory.each_alias(&mut |name| usable_key(name).into_iter().for_each(&mut *found));
    if let Some(id) = advisory.id() {
        found(id);
    }
}

/// Whether an id is that of an erratum of AlmaLinux or Rocky Linux, security or not.
fn is_erratum(id: &str) -> bool {
    let kinds = ["ALBA-", "ALEA-", "ALSA-", "RLBA-", "RLEA-", "RLSA-"];
    kinds.iter().any(|kind| id.starts_with(kind))
}

fn encode_claim(out: &mut Writer, source: &Source<'_>, record: &Record<'_>, claim: &Claim) {
    out.clear().byte(tag::CLAIM).text(&source.id).text(&source.name).text(&source.url);
    out.list(&record.cves)
        .list(&record.others)
        .list(&claim.ranges.vulnerable)
        .list(&claim.ranges.patched);
    out.list(&claim.os).list(&claim.arch);
}

/// A row that refers to what a record says of its vulnerabilities.
pub(super) struct DetailRow {
    /// The mapper that holds the text.
    pub(super) mapper: u16,
    pub(super) blob: BlobRef,
    /// Whether it counts only if all of the ids that follow are rejected.
    pub(super) spare: bool,
}

impl DetailRow {
    fn write(&self, value: &mut Writer) {
        value.clear().byte(tag::DETAIL).byte(u8::from(self.spare)).number(u64::from(self.mapper));
        let BlobRef { block, at, bytes } = self.blob;
        for number in [block, at, bytes] {
            value.number(u64::from(number));
        }
    }

    /// The row, and what follows it.
    pub(super) fn read(value: &[u8]) -> io::Result<(DetailRow, Reader<'_>)> {
        let mut read = Reader::new(value);
        read.byte()?;
        let spare = read.byte()? != 0;
        let mapper = u16::try_from(read.number()?).map_err(|_| damaged())?;
        let mut number = || u32::try_from(read.number()?).map_err(|_| damaged());
        let blob = BlobRef { block: number()?, at: number()?, bytes: number()? };
        Ok((DetailRow { mapper, blob, spare }, read))
    }
}
