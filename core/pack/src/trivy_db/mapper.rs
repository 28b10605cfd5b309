//! From records to rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use stella_model::{Digest, FeedName, Instant, RecordId, rfc8785};
use stella_records::Format;
use stella_records::view::{AdvisoryView, Affected, Evidence};

use super::blobs::{BlobRef, Blobs};
use super::claims::source_row;
use super::ecosystems::{Distribution, Ids, Language, NoTarget, Target, target};
use super::fixes::{self, Fix};
use super::ranges::{self, Ranges, is_modular, module_stream, usable_key};
use super::redhat;
use super::report::Reason;
use super::sources::{Source, of_record};
use super::{Options, Tally, VULNERABILITIES, detail, detail::KnownScores};
use crate::rows::code::{Reader, Writer, damaged};
use crate::rows::{Sorter, Spool};

/// Memory of one mapper for rows, in bytes: those that need nothing but sorting, rows of languages,
/// rows whose id is not final, lines of the report, texts.
const ENTRIES: usize = 20 << 20;
const CLAIMS: usize = 6 << 20;
const PENDING: usize = 4 << 20;
const REPORT: usize = 4 << 20;
const TEXTS: usize = 16 << 20;

/// Spools of one mapper, each its own.
pub struct Spools<'s> {
    /// For rows that need nothing but sorting: of distributions, of vulnerabilities, and those that
    /// the rows of languages end as.
    pub entries: &'s dyn Spool,
    /// For rows of languages.
    pub claims: &'s dyn Spool,
    /// For rows whose id is not final.
    pub pending: &'s dyn Spool,
    /// For lines of the report.
    pub report: &'s dyn Spool,
    /// For texts.
    pub texts: &'s dyn Spool,
}

/// What the kinds of rows are, in the first byte of their values.
pub(super) mod tag {
    /// Final JSON.
    pub(crate) const JSON: u8 = 0;
    /// A fix of a distribution, with the ids that it is for.
    pub(crate) const FIXES: u8 = 1;
    /// A reference to what is known of a vulnerability.
    pub(crate) const DETAIL: u8 = 2;
    /// Nothing: the bucket is to be there.
    pub(crate) const BUCKET: u8 = 3;
    /// A row of a language.
    pub(crate) const CLAIM: u8 = 4;
    /// Entries of Red Hat.
    pub(crate) const RED_HAT: u8 = 5;
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
    /// CVE ids by the other names of the same vulnerability.
    pub(super) names: Vec<(NameKey, Box<str>)>,
    pub(super) rejected: BTreeSet<String>,
    /// Products of Red Hat that rows name.
    pub(super) cpes: BTreeSet<String>,
    /// Descriptions of the buckets of distributions.
    pub(super) sources: BTreeMap<String, Vec<u8>>,
    pub(super) tally: Tally,
    buffers: Buffers,
}

/// A name, hashed: there are as many as records, so they are kept short.
pub(super) type NameKey = [u8; 16];

pub(super) fn name_key(name: &str) -> NameKey {
    let digest = Digest::of(name.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.as_bytes()[..16]);
    key
}

#[derive(Default)]
struct Buffers {
    key: Vec<u8>,
    tail: Vec<u8>,
    value: Writer,
    blob: Writer,
    scores: KnownScores,
}

/// A record on its way into rows.
struct Record<'r> {
    feed: &'r FeedName,
    publisher: Option<&'r str>,
    id: &'r RecordId,
    advisory: AdvisoryView<'r>,
    /// CVE ids, in the order of the document.
    cves: Vec<Cow<'r, str>>,
    /// The other names, the record's own id last.
    others: Vec<Cow<'r, str>>,
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
            names: Vec::new(),
            rejected: BTreeSet::new(),
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
        if let (Some(csaf), Some(advisory)) = (evidence.csaf(), evidence.advisory())
            && redhat::is_publisher(csaf)
        {
            let (cves, others) = (Vec::new(), Vec::new());
            let record = Record { feed, publisher, id, advisory, cves, others };
            return self.red_hat(&record, redhat::map(csaf));
        }
        let advisory = evidence.advisory().filter(|_| evidence.format() == Format::Osv);
        let Some(advisory) = advisory else {
            return self.gap(feed, id, "", Reason::FormatNotMapped, "");
        };
        let (mut cves, mut others) = (Vec::new(), Vec::new());
        each_name(advisory, &mut |name| {
            let list = if name.starts_with("CVE-") { &mut cves } else { &mut others };
            if !list.contains(&name) {
                list.push(name);
            }
        });
        let record = Record { feed, publisher, id, advisory, cves, others };
        if advisory.withdrawn().is_some_and(|withdrawn| withdrawn <= self.as_of) {
            return self.gap(feed, id, "", Reason::Withdrawn, "");
        }
        if is_rejection(&advisory.details().unwrap_or_default()) {
            self.rejected.extend(record.cves.iter().map(|cve| cve.clone().into_owned()));
            return self.gap(feed, id, "", Reason::Rejected, "");
        }
        self.learn_names(&record);
        self.map(&record)
    }

    /// Notes that the other names of a record stand for its CVE ids.
    fn learn_names(&mut self, record: &Record<'_>) {
        for cve in &record.cves {
            for name in &record.others {
                self.names.push((name_key(name), cve.as_ref().into()));
            }
        }
    }

    fn map(&mut self, record: &Record<'_>) -> io::Result<()> {
        let mut said = Said::default();
        let title = record.advisory.title().unwrap_or_default();
        record.advisory.each_affected(&mut |affected| said.take(affected, &title));
        for (ecosystem, package, reason, detail) in &said.gaps {
            self.tally.gap(ecosystem, *reason);
            self.gap(record.feed, record.id, package, *reason, detail)?;
        }
        self.language_rows(record, &mut said.languages)?;
        self.fix_rows(record, &mut said.fixes)
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
        let mut told = BTreeSet::new();
        for LanguageSaid { language, package, claim } in said {
            if claim.ranges.vulnerable.is_empty() {
                continue;
            }
            let source = of_record(language, record.id.as_str(), record.feed, record.publisher);
            self.tally.row(language.osv);
            self.claim_rows(record, language.prefix, package, &source, claim)?;
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
    ) -> io::Result<()> {
        let Buffers { key, tail, value, .. } = &mut self.buffers;
        encode_claim(value, source, record, claim);
        write_tail(tail, self.options.precedence.rank(&source.id), record);
        let waiting = [Cow::Borrowed("")];
        let (sorter, ids) = match record.cves.is_empty() {
            true => (&mut self.pending, &waiting[..]),
            false => (&mut self.claims, &record.cves[..]),
        };
        for id in ids {
            key.clear();
            join(key, &[prefix, package, id]);
            key.extend_from_slice(tail);
            sorter.push(key, &value.bytes)?;
        }
        Ok(())
    }

    /// What a record says of its vulnerabilities whatever the package.
    fn claim_details(&mut self, record: &Record<'_>, source: &str) -> io::Result<()> {
        let blob = self.text(record, source)?;
        let detail = self.detail_value(blob, &[]);
        let Buffers { key, tail, value, .. } = &mut self.buffers;
        write_tail(tail, self.options.precedence.rank(source), record);
        if record.cves.is_empty() {
            key.clear();
            join(key, &[VULNERABILITIES, "", ""]);
            key.extend_from_slice(tail);
            value.clear().bytes.extend_from_slice(&detail);
            value.list(&record.others);
            return self.pending.push(key, &value.bytes);
        }
        for cve in &record.cves {
            self.detail_row(cve, &detail)?;
        }
        // Where a CVE id turns out to be rejected, the record's own id takes its place.
        let spare = self.detail_value(blob, &record.cves);
        self.detail_row(record.id.as_str(), &spare)
    }

    /// A row about a vulnerability, with the tail that the buffers hold.
    fn detail_row(&mut self, id: &str, detail: &[u8]) -> io::Result<()> {
        let Some(id) = usable_key(id.into()) else { return Ok(()) };
        let Buffers { key, tail, .. } = &mut self.buffers;
        key.clear();
        join(key, &[VULNERABILITIES, "", &id]);
        key.extend_from_slice(tail);
        self.entries.push(key, detail)
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
        let related = if said.is_empty() { Vec::new() } else { related_ids(record) };
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
                let blob = self.text(record, source)?;
                let detail = self.detail_value(blob, &[]);
                let rank = self.options.precedence.rank(source);
                write_tail(&mut self.buffers.tail, rank, record);
                for id in &ids {
                    self.detail_row(id, &detail)?;
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
        write_tail(tail, self.options.precedence.rank(distribution.source.0), record);
        for FixSaid { package, fix, .. } in said {
            self.tally.row(bucket);
            fixes::encode(value, distribution, fix, &ids);
            key.clear();
            join(key, &[bucket, package, ""]);
            key.extend_from_slice(tail);
            self.entries.push(key, &value.bytes)?;
        }
        Ok(())
    }

    /// The rows of a document of Red Hat.
    fn red_hat(&mut self, record: &Record<'_>, mapped: redhat::Mapped) -> io::Result<()> {
        let rank = self.options.precedence.rank(redhat::DETAIL_SOURCE);
        write_tail(&mut self.buffers.tail, rank, record);
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
            key.clear();
            join(key, &[redhat::BUCKET, package, id]);
            key.extend_from_slice(tail);
            self.entries.push(key, value)?;
        }
        if !mapped.rows.is_empty() && !self.sources.contains_key(redhat::BUCKET) {
            self.sources.insert(redhat::BUCKET.to_owned(), source_row(redhat::SOURCE));
        }
        for (id, told) in &mapped.details {
            let blob = self.texts.add(told)?;
            let detail = self.detail_value(blob, &[]);
            self.detail_row(id, &detail)?;
        }
        self.cpes.extend(mapped.cpes);
        self.rejected.extend(mapped.rejected);
        Ok(())
    }

    fn text(&mut self, record: &Record<'_>, source: &str) -> io::Result<BlobRef> {
        let Buffers { blob, scores, .. } = &mut self.buffers;
        detail::encode(blob, source, record.advisory, scores);
        self.texts.add(&blob.bytes)
    }

    /// The value of a row that refers to a text; one with ids counts only if all of them are
    /// rejected.
    fn detail_value(&self, blob: BlobRef, only_if_rejected: &[Cow<'_, str>]) -> Vec<u8> {
        let spare = !only_if_rejected.is_empty();
        let mut value = DetailRow { mapper: self.number, blob, spare }.write();
        if spare {
            value.list(only_if_rejected);
        }
        value.bytes
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
        let line = ReportLine {
            detail: (!detail.is_empty()).then_some(detail),
            feed: feed.as_str(),
            id: id.as_str(),
            package: (!package.is_empty()).then_some(package),
            reason: reason.as_str(),
        };
        let mut bytes = rfc8785::to_vec(&line);
        bytes.push(b'\n');
        // Lines are sorted by record, and distinct by what they say.
        self.buffers.key.clear();
        join(
            &mut self.buffers.key,
            &[feed.as_str(), id.as_str(), package, reason.as_str(), detail],
        );
        self.report.push(&self.buffers.key, &bytes)
    }
}

/// A line of `trivy/db.report.jsonl`.
#[derive(serde::Serialize)]
struct ReportLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    feed: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a str>,
    reason: &'a str,
}

/// The name under which an ecosystem is counted.
fn place<'t>(target: &'t Result<Target, NoTarget>, ecosystem: &'t str) -> &'t str {
    match target {
        Ok(Target::Language(language)) => language.osv,
        Ok(Target::Distribution(_, bucket)) => bucket,
        Err(_) => ecosystem.split(':').next().unwrap_or(ecosystem),
    }
}

/// What a record says of packages, entry by entry.
#[derive(Default)]
struct Said<'r> {
    languages: Vec<LanguageSaid<'r>>,
    fixes: Vec<FixSaid<'r>>,
    /// What cannot be said: where, of which package, why, and what.
    gaps: Vec<(Rc<str>, String, Reason, String)>,
    /// The last ecosystem and where it goes: most records are about one.
    last: Option<(Cow<'r, str>, Destination)>,
}

/// Where an ecosystem goes, and the name under which it is counted.
#[derive(Clone)]
struct Destination {
    target: Result<Target, NoTarget>,
    place: Rc<str>,
}

struct LanguageSaid<'r> {
    language: &'static Language,
    package: Cow<'r, str>,
    claim: Claim,
}

impl LanguageSaid<'_> {
    fn key(&self) -> (&str, &str) {
        (self.language.prefix, &self.package)
    }
}

struct FixSaid<'r> {
    distribution: &'static Distribution,
    bucket: Rc<str>,
    package: Cow<'r, str>,
    fix: Fix<'r>,
}

impl FixSaid<'_> {
    fn key(&self) -> (&str, &str) {
        (&self.bucket, &self.package)
    }
}

impl<'r> Said<'r> {
    fn take(&mut self, affected: Affected<'r>, title: &str) {
        let package = affected.package();
        let ecosystem = package.ecosystem.unwrap_or_default();
        let name = package.name.unwrap_or_default();
        let is_named = !ecosystem.is_empty();
        let Destination { target, place } = self.destination(ecosystem);
        let gaps = &mut self.gaps;
        let mut gap = |reason: Reason, detail: &str| {
            gaps.push((place.clone(), name.to_string(), reason, detail.to_owned()));
        };
        let Some(usable) = usable_key(name.clone()) else {
            // OSS-Fuzz and the like name commits and no package.
            let reason = if is_named { Reason::NoPackage } else { Reason::GitOnly };
            return gap(reason, "");
        };
        match target {
            Err(NoTarget::Ecosystem) => gap(Reason::EcosystemNotScanned, ""),
            Err(NoTarget::Release) => gap(Reason::ReleaseUnknown, ""),
            Ok(Target::Language(language)) => {
                let Some(claim) = claim(affected, language, &mut gap) else { return };
                let said = |key: Cow<'_, str>| LanguageSaid {
                    language,
                    package: key.into_owned().into(),
                    claim: claim.clone(),
                };
                self.languages.extend(language.names.keys(&usable).map(said));
            }
            Ok(Target::Distribution(distribution, _)) => {
                let found = fix(affected, distribution, usable, title, &mut gap);
                self.fixes.extend(found.map(|(package, fix)| FixSaid {
                    distribution,
                    bucket: place,
                    package,
                    fix,
                }));
            }
        }
    }

    fn destination(&mut self, ecosystem: Cow<'r, str>) -> Destination {
        match &self.last {
            Some((last, destination)) if *last == ecosystem => destination.clone(),
            _ => {
                let target = target(&ecosystem);
                let place = place(&target, &ecosystem).into();
                let destination = Destination { target, place };
                self.last = Some((ecosystem, destination.clone()));
                destination
            }
        }
    }
}

/// What a record says of a package of a language.
#[derive(Debug, Clone, Default)]
struct Claim {
    ranges: Ranges,
    os: Vec<String>,
    arch: Vec<String>,
}

impl Claim {
    /// Takes what another entry says of the same package.
    fn extend(&mut self, other: &mut Claim) {
        self.ranges.vulnerable.append(&mut other.ranges.vulnerable);
        self.ranges.patched.append(&mut other.ranges.patched);
        other.os.iter().for_each(|os| add(&mut self.os, os));
        other.arch.iter().for_each(|arch| add(&mut self.arch, arch));
    }
}

fn claim(
    affected: Affected<'_>,
    language: &Language,
    gap: &mut ranges::OnGap<'_>,
) -> Option<Claim> {
    let mut claim = Claim::default();
    if !ranges::language(affected, language.comparer, &mut claim.ranges, gap) {
        return None;
    }
    affected
        .each_platform(&mut |os| add(&mut claim.os, &os), &mut |arch| add(&mut claim.arch, &arch));
    Some(claim)
}

fn add(list: &mut Vec<String>, text: &str) {
    if !list.iter().any(|held| held == text) {
        list.push(text.to_owned());
    }
}

/// The key of a package of a distribution and its fix.
fn fix<'r>(
    affected: Affected<'r>,
    distribution: &Distribution,
    name: Cow<'r, str>,
    title: &str,
    gap: &mut ranges::OnGap<'_>,
) -> Option<(Cow<'r, str>, Fix<'r>)> {
    let fix = ranges::distribution(affected, distribution.scheme, distribution.can_say, gap)?;
    let modular = distribution.modules && fix.fixed.as_deref().is_some_and(is_modular);
    if !modular {
        return Some((name, fix));
    }
    match module_stream(title) {
        Some(stream) => Some((format!("{stream}::{name}").into(), fix)),
        None => {
            gap(Reason::ModuleStreamUnknown, "");
            Some((name, fix))
        }
    }
}

/// The CVE ids of a record, and those that it names as related: what an erratum fixes. Sorted.
fn related_ids<'r>(record: &Record<'r>) -> Vec<Cow<'r, str>> {
    let mut related = record.cves.clone();
    record.advisory.each_related(&mut |name| {
        if let Some(name) = usable_key(name)
            && name.starts_with("CVE-")
            && !related.contains(&name)
        {
            related.push(name);
        }
    });
    related.sort_unstable();
    related
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

/// Whether a description says that the id was given back.
pub(super) fn is_rejection(details: &str) -> bool {
    details.starts_with("Rejected reason:")
        || details.contains("** REJECT **")
        || details.contains("DO NOT USE THIS CANDIDATE NUMBER")
}

/// Appends the parts of a key, each ended by a zero byte.
pub(super) fn join(key: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
}

/// What ends a key: it orders what different records say of one thing, the most believed first,
/// then the newest.
fn write_tail(tail: &mut Vec<u8>, rank: u16, record: &Record<'_>) {
    let newest = record.advisory.modified().map_or(i64::MIN, Instant::unix_seconds);
    // Turned round, and so that negative times sort right.
    let age = !((newest as u64) ^ (1 << 63));
    tail.clear();
    tail.extend_from_slice(&rank.to_be_bytes());
    tail.extend_from_slice(&age.to_be_bytes());
    join(tail, &[record.feed.as_str(), record.id.as_str()]);
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
    fn write(&self) -> Writer {
        let mut value = Writer::default();
        value.byte(tag::DETAIL).byte(u8::from(self.spare)).number(u64::from(self.mapper));
        let BlobRef { block, at, bytes } = self.blob;
        for number in [block, at, bytes] {
            value.number(u64::from(number));
        }
        value
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
