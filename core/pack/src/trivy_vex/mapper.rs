//! From records to rows.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;

use stella_model::{FeedName, Instant, RecordId, RowLimits};
use stella_records::view::{Evidence, Product, Statement, Status};

use super::purl::Purl;
use super::report::Reason;
use super::{Options, no_time};
use crate::rows::code::{Reader, Writer, damaged};
use crate::rows::{Sorter, Spool};

/// Memory of one mapper, in bytes: statements, lines of the report.
const ROWS: usize = 24 << 20;
const REPORT: usize = 6 << 20;

/// What one statement, and one document, may be multiplied to.
const LIMITS: RowLimits = RowLimits::DEFAULT;

/// Longest id of a vulnerability.
const ID_BYTES: usize = 256;

/// Spools of one mapper.
pub struct Spools<'s> {
    /// For statements.
    pub rows: &'s dyn Spool,
    /// For lines of the report.
    pub report: &'s dyn Spool,
}

/// Where a record is from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'r> {
    /// Its feed.
    pub feed: &'r FeedName,
    /// The publisher of the feed.
    pub publisher: Option<&'r str>,
    /// Its id.
    pub id: &'r RecordId,
    /// Its revision time, for statements that tell none.
    pub modified: Option<Instant>,
}

/// Turns statements into rows. Any number of them work side by side; [`super::assemble`] puts
/// their rows together.
pub struct Mapper<'s> {
    options: &'s Options,
    pub(super) rows: Sorter<'s>,
    pub(super) report: Report<'s>,
    key: Vec<u8>,
    value: Writer,
}

impl<'s> Mapper<'s> {
    /// A mapper with spools of its own.
    #[must_use]
    pub fn new(options: &'s Options, spools: Spools<'s>) -> Mapper<'s> {
        Mapper {
            options,
            rows: Sorter::new(spools.rows, ROWS),
            report: Report::new(Sorter::new(spools.report, REPORT)),
            key: Vec::new(),
            value: Writer::default(),
        }
    }

    /// Takes a record.
    ///
    /// # Errors
    /// If a spool fails.
    pub fn record(&mut self, origin: Origin<'_>, evidence: &Evidence<'_>) -> io::Result<()> {
        let Some(vex) = evidence.vex() else {
            return self.gap(&origin, Reason::FormatNotMapped, "", "");
        };
        let mut outcome = Ok(());
        let (mut position, mut left) = (0_u32, LIMITS.vex_document_bytes);
        vex.each_statement(&mut |statement| {
            if outcome.is_ok() {
                outcome = self.statement(&origin, &statement, position, &mut left);
            }
            position = position.saturating_add(1);
        });
        if position == 0 {
            return self.gap(&origin, Reason::FormatNotMapped, "", "");
        }
        outcome
    }

    fn statement(
        &mut self,
        origin: &Origin<'_>,
        statement: &Statement<'_>,
        position: u32,
        left: &mut usize,
    ) -> io::Result<()> {
        let names = names(statement);
        let name = statement.vulnerability.as_ref();
        let Some(first) = names.first() else {
            return self.gap(origin, Reason::NoVulnerabilityId, name, "");
        };
        // Told of each product: no longer than a usable one.
        let name = names.get(name).unwrap_or(first);
        let Some(status) = statement.status else {
            return self.gap(origin, Reason::StatusUnknown, name, "");
        };
        if statement.products.is_empty() {
            return self.gap(origin, Reason::NoProduct, name, "");
        }
        let time = statement.updated.as_deref().and_then(|text| Instant::parse(text).ok());
        let time = time.or(origin.modified);
        let says = Says::of(statement, status, time);
        let feed = origin.feed.as_str();
        let rank = self.options.precedence.rank(feed, feed);
        let author = origin.publisher.unwrap_or(feed);
        let id = origin.id.as_str();
        says.write(self.value.clear()).text(author).text(feed).text(id);
        let tail = tail(time, rank, origin, position);
        let bytes = bytes_of(statement, &names, tail.len() + self.value.bytes.len());
        let after = left.checked_sub(bytes).filter(|_| bytes <= LIMITS.row_bytes);
        match after.filter(|_| names.len() <= LIMITS.ids) {
            Some(after) => *left = after,
            None => return self.gap(origin, Reason::TooManyRows, name, ""),
        }
        for product in &statement.products {
            let (product, parts) = match place(product, status) {
                Ok(found) => found,
                Err(reason) => {
                    self.gap(origin, reason, name, &product.id)?;
                    continue;
                }
            };
            let (package, text) = (product.package(), product.product());
            let mut told = BTreeSet::new();
            for part in parts {
                let part = match part {
                    Ok(part) => part,
                    Err(reason) => {
                        if told.insert(reason.as_str()) {
                            self.gap(origin, reason, name, &text)?;
                        }
                        continue;
                    }
                };
                for name in &names {
                    self.key.clear();
                    for field in [package.as_str(), name, &text, &part] {
                        self.key.extend_from_slice(field.as_bytes());
                        self.key.push(0);
                    }
                    self.key.extend_from_slice(&tail);
                    self.rows.push(&self.key, &self.value.bytes)?;
                }
            }
        }
        Ok(())
    }

    fn gap(
        &mut self,
        origin: &Origin<'_>,
        reason: Reason,
        vulnerability: &str,
        product: &str,
    ) -> io::Result<()> {
        self.report.push(&Gap {
            feed: origin.feed.as_str(),
            id: origin.id.as_str(),
            vulnerability,
            reason,
            product,
        })
    }
}

/// All names of the vulnerability, once each. Each has a statement of its own: Trivy sorts what it
/// finds by name before it takes the newest, so that an alias would win or lose by its spelling.
fn names<'n>(statement: &'n Statement<'_>) -> BTreeSet<&'n str> {
    let all = std::iter::once(&statement.vulnerability).chain(&statement.aliases);
    let usable =
        |name: &&str| (1..=ID_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    all.map(AsRef::as_ref).filter(usable).collect()
}

/// About how many bytes the rows of a statement take, each with so many beside its names.
fn bytes_of(statement: &Statement<'_>, names: &BTreeSet<&str>, row: usize) -> usize {
    let names_bytes: usize = names.iter().map(|name| name.len()).sum();
    let product = |product: &Product<'_>| {
        let whole = product.part_of.as_ref().and_then(|whole| whole.purl.as_deref());
        let own = product.purl.as_deref().unwrap_or_default();
        let parts: usize = product.subcomponents.iter().map(|part| part.len()).sum();
        let count = product.subcomponents.len().max(1);
        // The package and the product are both spelled from a package URL.
        let each = row + 2 * own.len() + whole.map_or(0, |whole| 2 * whole.len());
        let bytes = count.saturating_mul(each).saturating_add(parts);
        bytes.saturating_mul(names.len()).saturating_add(count.saturating_mul(names_bytes))
    };
    statement.products.iter().map(product).fold(0, usize::saturating_add)
}

/// Parts of a product that a statement is about; an empty one is the whole product.
type Parts = Vec<Result<String, Reason>>;

/// The product that Trivy would ask for, and the parts of it.
fn place(product: &Product<'_>, status: Status) -> Result<(Purl, Parts), Reason> {
    let own = product.purl.as_deref().ok_or(Reason::ProductWithoutPurl)?;
    let own = usable(own)?;
    let suppresses = matches!(status, Status::NotAffected | Status::Fixed);
    if product.limited_to_versions && suppresses && !own.has_version() {
        return Err(Reason::VersionsNotExpressible);
    }
    if let Some(whole) = &product.part_of {
        // Said of every product that has the component, it would hide what is not said.
        let whole = whole.purl.as_deref().ok_or(Reason::WholeWithoutPurl)?;
        return Ok((usable(whole)?, vec![Ok(own.product())]));
    }
    let parts = product.subcomponents.iter().map(|part| Ok(usable(part)?.product()));
    let nameless = product.nameless_subcomponents > 0;
    let nameless = nameless.then_some(Err(Reason::SubcomponentWithoutPurl));
    let mut parts: Parts = parts.chain(nameless).collect();
    if parts.is_empty() {
        parts.push(Ok(String::new()));
    }
    Ok((own, parts))
}

fn usable(text: &str) -> Result<Purl, Reason> {
    let purl = Purl::parse(text).ok_or(Reason::PurlNotValid)?;
    if purl.has_subpath() { Err(Reason::PurlWithSubpath) } else { Ok(purl) }
}

/// What orders rows of one (vulnerability, product, part): the newest first, then the most
/// believed; of one record, what stands last.
fn tail(time: Option<Instant>, rank: u16, origin: &Origin<'_>, position: u32) -> Vec<u8> {
    let nanoseconds = time.map_or(i128::MIN, Instant::unix_nanoseconds);
    let ascending = nanoseconds.cast_unsigned() ^ (1 << 127);
    let mut tail = Vec::with_capacity(64);
    tail.extend_from_slice(&(!ascending).to_be_bytes());
    tail.extend_from_slice(&rank.to_be_bytes());
    tail.extend_from_slice(origin.feed.as_str().as_bytes());
    tail.push(0);
    tail.extend_from_slice(origin.id.as_str().as_bytes());
    tail.push(0);
    tail.extend_from_slice(&(!position).to_be_bytes());
    tail
}

/// How much of a tail rows share that are equally new and equally believed.
pub(super) const STANDING: usize = 18;

/// What a statement says, whatever it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Says<'v> {
    /// 0 to 3, in the order in which they are believed when nothing else decides: what hides a
    /// finding last.
    pub(super) status: u8,
    pub(super) time: Cow<'v, str>,
    pub(super) justification: Cow<'v, str>,
    pub(super) impact: Cow<'v, str>,
    pub(super) action: Cow<'v, str>,
    pub(super) notes: Cow<'v, str>,
}

/// The words of OpenVEX, by number.
pub(super) const STATUS: [&str; 4] = ["affected", "under_investigation", "fixed", "not_affected"];

const AFFECTED: u8 = 0;
const NOT_AFFECTED: u8 = 3;

/// Justifications of CycloneDX that OpenVEX has other words for.
const JUSTIFICATIONS: [(&str, &str); 6] = [
    ("code_not_present", "vulnerable_code_not_present"),
    ("code_not_reachable", "vulnerable_code_not_in_execute_path"),
    ("protected_by_compiler", "inline_mitigations_already_exist"),
    ("protected_at_runtime", "inline_mitigations_already_exist"),
    ("protected_at_perimeter", "inline_mitigations_already_exist"),
    ("protected_by_mitigating_control", "inline_mitigations_already_exist"),
];

/// Those of OpenVEX and CSAF.
const OPENVEX_JUSTIFICATIONS: [&str; 5] = [
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

impl<'v> Says<'v> {
    fn of(statement: &'v Statement<'_>, status: Status, time: Option<Instant>) -> Says<'v> {
        let status = match status {
            Status::Affected => AFFECTED,
            Status::UnderInvestigation => 1,
            Status::Fixed => 2,
            Status::NotAffected => NOT_AFFECTED,
        };
        let text = |text: &'v Option<Cow<'_, str>>| Cow::Borrowed(text.as_deref().unwrap_or(""));
        let mut says = Says {
            status,
            time: time.or_else(no_time).map(|time| time.to_string()).unwrap_or_default().into(),
            notes: text(&statement.notes),
            ..Says::default()
        };
        // OpenVEX has each of these texts for one status alone, and demands it there.
        if status == NOT_AFFECTED {
            says.impact = text(&statement.impact);
            let word = statement.justification.as_deref().unwrap_or("");
            let other = JUSTIFICATIONS.iter().find(|(from, _)| *from == word);
            let word = other.map_or(word, |(_, to)| to);
            if OPENVEX_JUSTIFICATIONS.contains(&word) {
                says.justification = Cow::Borrowed(word);
            } else if says.impact.is_empty() {
                says.impact = match word {
                    "" => Cow::Borrowed("No reason was given."),
                    word => Cow::Owned(format!("Justification: {word}")),
                };
            }
        } else if status == AFFECTED {
            says.action = text(&statement.action);
            if says.action.is_empty() {
                says.action = Cow::Borrowed("No action was given.");
            }
        }
        says
    }

    fn write<'w>(&self, out: &'w mut Writer) -> &'w mut Writer {
        out.byte(self.status).text(&self.time).text(&self.justification);
        out.text(&self.impact).text(&self.action).text(&self.notes)
    }

    fn read(reader: &mut Reader<'v>) -> io::Result<Says<'v>> {
        let status = reader.byte()?;
        if usize::from(status) >= STATUS.len() {
            return Err(damaged());
        }
        let mut text = || reader.text().map(Cow::Borrowed);
        Ok(Says {
            status,
            time: text()?,
            justification: text()?,
            impact: text()?,
            action: text()?,
            notes: text()?,
        })
    }
}

impl Says<'_> {
    pub(super) fn to_owned(&self) -> Says<'static> {
        let own = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
        Says {
            status: self.status,
            time: own(&self.time),
            justification: own(&self.justification),
            impact: own(&self.impact),
            action: own(&self.action),
            notes: own(&self.notes),
        }
    }
}

/// The value of a row.
#[derive(Debug)]
pub(super) struct Row<'v> {
    pub(super) says: Says<'v>,
    pub(super) author: &'v str,
    pub(super) feed: &'v str,
    pub(super) id: &'v str,
}

impl<'v> Row<'v> {
    pub(super) fn read(value: &'v [u8]) -> io::Result<Row<'v>> {
        let mut reader = Reader::new(value);
        let says = Says::read(&mut reader)?;
        Ok(Row { says, author: reader.text()?, feed: reader.text()?, id: reader.text()? })
    }
}

/// A statement, or a part of one, that is not in the repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap<'g> {
    pub(super) feed: &'g str,
    pub(super) id: &'g str,
    pub(super) vulnerability: &'g str,
    pub(super) reason: Reason,
    pub(super) product: &'g str,
}

/// Takes gaps in any order; [`super::assemble`] counts and writes them.
pub(super) struct Report<'s> {
    pub(super) rows: Sorter<'s>,
    key: Vec<u8>,
    value: Writer,
}

impl<'s> Report<'s> {
    fn new(rows: Sorter<'s>) -> Report<'s> {
        Report { rows, key: Vec::new(), value: Writer::default() }
    }

    pub(super) fn push(&mut self, gap: &Gap<'_>) -> io::Result<()> {
        self.key.clear();
        for field in [gap.feed, gap.id, gap.vulnerability, gap.reason.as_str(), gap.product] {
            self.key.extend_from_slice(field.as_bytes());
            self.key.push(0);
        }
        let value = self.value.clear().byte(gap.reason as u8).text(gap.feed).text(gap.id);
        value.text(gap.vulnerability).text(gap.product);
        self.rows.push(&self.key, &self.value.bytes)
    }
}

impl<'v> Gap<'v> {
    pub(super) fn is_of_one_line_with(&self, other: &Gap<'_>) -> bool {
        let Gap { feed, id, vulnerability, reason, .. } = *other;
        (self.feed, self.id, self.vulnerability, self.reason) == (feed, id, vulnerability, reason)
    }

    pub(super) fn read(value: &'v [u8]) -> io::Result<Gap<'v>> {
        let mut reader = Reader::new(value);
        let number = usize::from(reader.byte()?);
        let reason = *Reason::ALL.get(number).ok_or_else(damaged)?;
        let mut text = || reader.text();
        let (feed, id, vulnerability, product) = (text()?, text()?, text()?, text()?);
        Ok(Gap { feed, id, vulnerability, reason, product })
    }
}
