//! From the ranges and versions of an advisory to what a row says.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use stella_records::view::{Affected, Event, RangeKind};
use stella_versions::Scheme;
use stella_versions::pep440::Pep440;
use stella_versions::trivy::{Comparer, Constraint, Plain, Version};

use super::ecosystems::CanSay;
use super::fixes::Fix;
use super::report::Reason;

/// What a row of a language says of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// Constraints; a version that matches any of them is vulnerable.
    pub(super) vulnerable: Vec<String>,
    /// Versions with the fix.
    pub(super) patched: Vec<String>,
}

/// Told of everything that cannot be said.
pub(super) type OnGap<'a> = dyn FnMut(Reason, &str) + 'a;

/// One stretch of versions.
struct Stretch<'e, 't> {
    introduced: &'e Cow<'t, str>,
    end: Option<&'e Event<'t>>,
}

/// How two versions of a range are ordered; nothing if one of them cannot be read.
type Order<'a> = dyn Fn(&str, &str) -> Option<Ordering> + 'a;

/// Cuts the events of a range into stretches.
fn stretches<'e, 't>(
    events: &'e [Event<'t>],
    order: &Order<'_>,
    gap: &mut OnGap<'_>,
) -> Vec<Stretch<'e, 't>> {
    let mut stretches: Vec<Stretch<'e, 't>> = Vec::new();
    for event in in_order(events, order) {
        match event {
            Event::Introduced(version) => {
                // A second beginning says nothing new.
                if stretches.last().is_none_or(|last| last.end.is_some()) {
                    stretches.push(Stretch { introduced: version, end: None });
                }
            }
            Event::Fixed(version) | Event::LastAffected(version) => match stretches.last_mut() {
                Some(open) if open.end.is_none() => open.end = Some(event),
                // Nor does the same end twice.
                Some(closed) if closed.end == Some(event) => {}
                _ => gap(Reason::RangeWithoutBeginning, version),
            },
            Event::Limit(_) => {}
        }
    }
    stretches
}

/// The events as they are to be read. Nearly everybody writes a beginning and then its end, whatever
/// the order of the pairs. The schema lets events come in any order and [evaluates] them by version:
/// where they are no pairs, or an end comes before its beginning, they are ordered by their
/// versions, and what cannot be ordered stays as it is.
///
/// [evaluates]: https://ossf.github.io/osv-schema/#evaluation
fn in_order<'e, 't>(events: &'e [Event<'t>], order: &Order<'_>) -> Vec<&'e Event<'t>> {
    /// No honest range has as many; it bounds the time that sorting takes.
    const MOST: usize = 1000;
    if are_pairs(events, order) {
        return events.iter().collect();
    }
    let mut sorted: Vec<&Event<'_>> = Vec::with_capacity(events.len());
    for event in events {
        let mut place = sorted.len();
        // One by one, since Trivy's order of some versions goes round in a circle.
        while place > 0 && events.len() <= MOST && is_before(event, sorted[place - 1], order) {
            place -= 1;
        }
        sorted.insert(place, event);
    }
    sorted
}

/// Whether every end comes right after a beginning, and nowhere before it by version.
fn are_pairs(events: &[Event<'_>], order: &Order<'_>) -> bool {
    let mut open = None;
    events.iter().all(|event| match event {
        Event::Introduced(version) => open.replace(version).is_none(),
        Event::Fixed(end) | Event::LastAffected(end) => {
            open.take().is_some_and(|from| from == "0" || order(end, from) != Some(Ordering::Less))
        }
        Event::Limit(_) => true,
    })
}

fn is_before(a: &Event<'_>, b: &Event<'_>, order: &Order<'_>) -> bool {
    // At one version a stretch may end and the next begin; the last affected version is within.
    let rank = |event: &Event<'_>| match event {
        Event::Fixed(_) | Event::Limit(_) => 0,
        Event::Introduced(_) => 1,
        Event::LastAffected(_) => 2,
    };
    match (a, b) {
        (_, Event::Introduced(first)) if first == "0" => false,
        (Event::Introduced(first), _) if first == "0" => true,
        _ => match order(version_of(a), version_of(b)) {
            Some(Ordering::Equal) => rank(a) < rank(b),
            order => order == Some(Ordering::Less),
        },
    }
}

fn version_of<'e>(event: &'e Event<'_>) -> &'e str {
    match event {
        Event::Introduced(version)
        | Event::Fixed(version)
        | Event::LastAffected(version)
        | Event::Limit(version) => version,
    }
}

impl Stretch<'_, '_> {
    /// The versions at its ends; where all versions are meant, there is none.
    fn bounds(&self) -> impl Iterator<Item = &str> {
        let from = (self.introduced != "0").then_some(&**self.introduced);
        from.into_iter().chain(self.end.map(version_of))
    }
}

/// The constraint of a stretch, as Trivy's own builder would put it.
fn constraint(stretch: &Stretch<'_, '_>, comparer: Comparer) -> String {
    let from = match &**stretch.introduced {
        "0" => Cow::Borrowed("0"),
        from => spelled(comparer, from),
    };
    let all = from == "0";
    match stretch.end {
        None => format!(">={from}"),
        Some(Event::LastAffected(to)) if to == stretch.introduced => format!("={from}"),
        Some(Event::LastAffected(to)) if all => format!("<={}", spelled(comparer, to)),
        Some(Event::LastAffected(to)) => format!(">={from}, <={}", spelled(comparer, to)),
        Some(Event::Fixed(to)) if all => format!("<{}", spelled(comparer, to)),
        Some(Event::Fixed(to) | Event::Introduced(to) | Event::Limit(to)) => {
            format!(">={from}, <{}", spelled(comparer, to))
        }
    }
}

/// A version in a spelling that Trivy reads right in a range, if there is one: it takes `1.0alpha2`
/// of Python for two versions, refuses `1.0RC1`, and for npm `1.2` stands for all of `1.2.x`.
fn spelled(comparer: Comparer, version: &str) -> Cow<'_, str> {
    if is_read_right(comparer, version) {
        return Cow::Borrowed(version);
    }
    let other = match comparer {
        Comparer::Pep440 => Pep440::parse(version).ok().map(|version| version.to_string()),
        Comparer::Npm | Comparer::Bitnami => three_numbers(version),
        _ => None,
    };
    match other.filter(|other| is_read_right(comparer, other)) {
        Some(other) => Cow::Owned(other),
        None => Cow::Borrowed(version),
    }
}

/// Whether a range of a version alone holds that version.
fn is_read_right(comparer: Comparer, version: &str) -> bool {
    let wants_three = matches!(comparer, Comparer::Npm | Comparer::Bitnami);
    let dots = version.bytes().filter(|byte| *byte == b'.').count();
    if wants_three && dots < 2 {
        return false;
    }
    // Nearly all are numbers and dots, and no comparer misreads those.
    let is_plain = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_plain && (!wants_three || dots == 2) {
        return true;
    }
    let Ok(read) = comparer.version(version) else { return false };
    let only = comparer.constraint(&format!("={version}"));
    only.is_ok_and(|only| only.matches(&read) == Some(true))
}

/// `1.2` as `1.2.0`, without a `v`.
fn three_numbers(version: &str) -> Option<String> {
    let version = version.strip_prefix(['v', '=']).unwrap_or(version);
    let numbers = version.split('.').count();
    let is_numbers = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match numbers {
        1 | 2 if is_numbers => Some(format!("{version}{}", ".0".repeat(3 - numbers))),
        3.. => Some(version.to_owned()),
        _ => None,
    }
}

/// What a row of a language says; adds to `ranges`, which may hold what other entries of the same
/// package said. `false` if the entry says nothing that could be added.
pub(super) fn language(
    affected: Affected<'_>,
    comparer: Comparer,
    ranges: &mut Ranges,
    gap: &mut OnGap<'_>,
) -> bool {
    let before = (ranges.vulnerable.len(), ranges.patched.len());
    let mut said: Vec<SaidRange> = Vec::new();
    let (mut git, mut others) = (false, false);
    let last_known = affected.last_known_range();
    affected.each_range(&mut |kind, events| {
        if kind == RangeKind::Git {
            git = true;
            return;
        }
        others = true;
        // What the schema says of such ranges, whatever Trivy makes of `1.24.0-0` of Bitnami.
        let order = if kind == RangeKind::SemVer { Comparer::Generic } else { comparer };
        for stretch in stretches(events, &|a, b| order.compare(a, b).ok(), gap) {
            let mut text = constraint(&stretch, comparer);
            let length = text.len();
            if let (None, Some(last)) = (stretch.end, last_known.as_deref()) {
                // Written `<= 1.2.3`; no version has spaces.
                let last: String = last.split_ascii_whitespace().collect();
                text = format!("{text}, {last}");
            }
            let more = text.len() != length;
            let bounds = if more { None } else { Bounds::of(&stretch, comparer) };
            if bounds.is_some() {
                if let Some(Event::Fixed(version)) = stretch.end {
                    ranges.patched.push(version.clone().into_owned());
                }
                said.push(SaidRange { text: text.clone(), bounds, parsed: OnceCell::new() });
                ranges.vulnerable.push(text);
                continue;
            }
            let Some(constraint) = understood(comparer, &text, gap) else { continue };
            said.push(SaidRange {
                text: text.clone(),
                bounds,
                parsed: OnceCell::from(Some(constraint)),
            });
            ranges.vulnerable.push(text);
            for bound in stretch.bounds() {
                if !is_read_right(comparer, &spelled(comparer, bound)) {
                    gap(Reason::VersionNotUnderstood, bound);
                }
            }
            if let Some(Event::Fixed(version)) = stretch.end {
                patched(comparer, version, &mut ranges.patched);
            }
        }
    });
    affected.each_version(&mut |version| {
        others = true;
        listed(comparer, &version, &said, ranges, gap);
    });
    let added = (ranges.vulnerable.len(), ranges.patched.len()) != before;
    if !added && !others {
        gap(if git { Reason::GitOnly } else { Reason::NoVersions }, "");
    }
    added
}

/// A version with the fix. One that Trivy does not read would make it ignore the whole row, and one
/// that it takes for many would clear them all.
fn patched(comparer: Comparer, version: &str, patched: &mut Vec<String>) {
    let version = spelled(comparer, version);
    if is_read_right(comparer, &version) {
        patched.push(version.into_owned());
    }
}

/// A range that goes into the row.
struct SaidRange {
    text: String,
    /// Its ends, if they are plain.
    bounds: Option<Bounds>,
    /// The range as Trivy reads it, once that is asked for.
    parsed: OnceCell<Option<Constraint>>,
}

impl SaidRange {
    fn holds_plain(&self, version: Plain) -> bool {
        self.bounds.is_some_and(|bounds| bounds.hold(version))
    }

    /// Whether it holds a version that it does not hold as a plain one.
    fn holds(&self, comparer: Comparer, plain: Option<Plain>, version: &Version) -> bool {
        if plain.is_some() && self.bounds.is_some() {
            return false;
        }
        let parsed = self.parsed.get_or_init(|| comparer.constraint(&self.text).ok());
        parsed.as_ref().is_some_and(|constraint| constraint.matches(version) == Some(true))
    }
}

/// The ends of a range that needs no parser.
#[derive(Clone, Copy)]
struct Bounds {
    from: Option<Plain>,
    end: Plain,
    /// Whether the end itself is within.
    inclusive: bool,
}

impl Bounds {
    fn of(stretch: &Stretch<'_, '_>, comparer: Comparer) -> Option<Bounds> {
        let from = match &**stretch.introduced {
            "0" => None,
            from => Some(Plain::read(comparer, from)?),
        };
        let (end, inclusive) = match stretch.end? {
            Event::LastAffected(end) => (end, true),
            Event::Fixed(end) => (end, false),
            Event::Introduced(_) | Event::Limit(_) => return None,
        };
        Some(Bounds { from, end: Plain::read(comparer, end)?, inclusive })
    }

    fn hold(self, version: Plain) -> bool {
        let below = if self.inclusive { version <= self.end } else { version < self.end };
        below && self.from.is_none_or(|from| from <= version)
    }
}

/// A constraint as it goes into the row, if Trivy understands it: one that it does not would make
/// it ignore the whole row.
fn understood(comparer: Comparer, text: &str, gap: &mut OnGap<'_>) -> Option<Constraint> {
    match comparer.constraint(text) {
        Ok(constraint) => {
            if !constraint.is_read_by_0_59() {
                gap(Reason::LostOnOldest, text);
            }
            Some(constraint)
        }
        Err(_) => {
            gap(Reason::VersionNotUnderstood, text);
            None
        }
    }
}

/// A version that is listed: said as `=VERSION` unless a range says it already.
fn listed(
    comparer: Comparer,
    version: &str,
    said: &[SaidRange],
    ranges: &mut Ranges,
    gap: &mut OnGap<'_>,
) {
    let plain = Plain::read(comparer, version);
    if plain.is_some_and(|plain| said.iter().any(|range| range.holds_plain(plain))) {
        return;
    }
    let Ok(number) = comparer.version(version) else {
        // No installed version can be equal to what is no version.
        return gap(Reason::VersionNotUnderstood, version);
    };
    if said.iter().any(|range| range.holds(comparer, plain, &number)) {
        return;
    }
    let text = format!("={}", spelled(comparer, version));
    match comparer.constraint(&text) {
        Ok(_) => ranges.vulnerable.push(text),
        Err(_) => gap(Reason::VersionNotUnderstood, &text),
    }
}

/// What a row of a distribution says. Several stretches are one row with the last fix: the version
/// is vulnerable if any of them has it, and a row has one fix only.
pub(super) fn distribution<'t>(
    affected: Affected<'t>,
    scheme: Scheme,
    can_say: CanSay,
    gap: &mut OnGap<'_>,
) -> Option<Fix<'t>> {
    let mut fix: Option<Fix<'t>> = None;
    let (mut git, mut others) = (false, false);
    affected.each_range(&mut |kind, events| {
        if kind == RangeKind::Git {
            git = true;
            return;
        }
        others = true;
        for stretch in stretches(events, &|a, b| scheme.compare(a, b).ok(), gap) {
            if let Some(more) = fix_of(&stretch, scheme, can_say, gap) {
                fix = Some(match fix.take() {
                    None => more,
                    Some(fix) => fix.widest(more, scheme),
                });
            }
        }
    });
    if let Some(fix) = &mut fix {
        fix.severity = urgency(affected);
    }
    let mut versions = 0_u64;
    affected.each_version(&mut |_| versions += 1);
    if fix.is_none() && !others {
        // Versions one by one cannot be said either: a row means everything before its fix.
        let reason = match (git, versions) {
            (_, 1..) => Reason::LastAffectedNotExpressible,
            (true, 0) => Reason::GitOnly,
            (false, 0) => Reason::NoVersions,
        };
        gap(reason, "");
    }
    fix
}

/// Debian's urgency as a severity.
fn urgency(affected: Affected<'_>) -> u8 {
    match affected.urgency().as_deref() {
        Some("unimportant" | "low") => 1,
        Some("medium") => 2,
        Some("high") => 3,
        _ => 0,
    }
}

fn fix_of<'t>(
    stretch: &Stretch<'_, 't>,
    scheme: Scheme,
    can_say: CanSay,
    gap: &mut OnGap<'_>,
) -> Option<Fix<'t>> {
    let fixed = match stretch.end {
        Some(Event::Fixed(version)) => Some(version),
        Some(Event::LastAffected(version)) => {
            gap(Reason::LastAffectedNotExpressible, version);
            return None;
        }
        _ => None,
    };
    match fixed {
        Some(version) if scheme.parse(version).is_err() => {
            gap(Reason::VersionNotUnderstood, version);
            return None;
        }
        None if !can_say.unfixed => {
            gap(Reason::UnfixedNotExpressible, "");
            return None;
        }
        _ => {}
    }
    let mut introduced = (stretch.introduced != "0").then(|| stretch.introduced.clone());
    if let Some(version) = introduced.take_if(|_| !can_say.introduced) {
        // The row says more than the evidence: whoever has an older version is warned in vain.
        gap(Reason::IntroducedNotExpressible, &version);
    }
    if let Some(version) = introduced.take_if(|version| scheme.parse(version).is_err()) {
        gap(Reason::VersionNotUnderstood, &version);
    }
    Some(Fix { fixed: fixed.cloned(), introduced, severity: 0 })
}

/// `module:stream` of a modular erratum, from its one line of summary: the errata as OSV do not
/// carry it elsewhere.
pub(super) fn module_stream(summary: &str) -> Option<&str> {
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
    };
    // `httpd:2.4/mod_http2` is about one package of the stream.
    let tokens = summary.split_ascii_whitespace().filter_map(|token| token.split('/').next());
    let mut tokens = tokens.filter(|token| !token.ends_with(':'));
    tokens.find(|token| {
        token.split_once(':').is_some_and(|(module, stream)| word(module) && word(stream))
    })
}

/// Whether a package was built in a module, as its version tells.
pub(super) fn is_modular(version: &str) -> bool {
    version.contains(".module")
}

/// A text without what would end a key early.
pub(super) fn usable_key(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    /// bbolt's limit is 32,768; no package and no id is longer than this.
    const LONGEST: usize = 4096;
    (!text.is_empty() && text.len() <= LONGEST && !text.contains('\0')).then_some(text)
}
