//! From the ranges and versions of an advisory to what a row says.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use stella_model::RowLimits;
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

/// Takes a stretch.
type Found<'f, 't> = dyn FnMut(&Stretch<'_, 't>, &mut OnGap<'_>) + 'f;

/// Cuts the events of a range into stretches.
///
/// Nearly everybody writes a beginning and then its end, whatever the order of the pairs. The schema
/// lets events come in any order and [evaluates] them by version: where they are no pairs, or an end
/// comes before its beginning, they are ordered by their versions, and what cannot be ordered stays
/// as it is.
///
/// [evaluates]: https://ossf.github.io/osv-schema/#evaluation
fn each_stretch<'t>(
    events: &[Event<'t>],
    order: &Order<'_>,
    gap: &mut OnGap<'_>,
    found: &mut Found<'_, 't>,
) {
    if are_pairs(events, order) {
        return cut(events.iter(), gap, found);
    }
    let mut sorted: Vec<&Event<'t>> = events.iter().collect();
    sort(&mut sorted, &|a, b| is_before(a, b, order));
    cut(sorted.into_iter(), gap, found);
}

fn cut<'e, 't: 'e>(
    events: impl Iterator<Item = &'e Event<'t>>,
    gap: &mut OnGap<'_>,
    found: &mut Found<'_, 't>,
) {
    let (mut open, mut closed_by) = (None, None);
    for event in events {
        match event {
            Event::Introduced(version) => {
                // A second beginning says nothing new.
                open = open.or(Some(version));
            }
            Event::Fixed(version) | Event::LastAffected(version) => match open.take() {
                Some(introduced) => {
                    closed_by = Some(event);
                    found(&Stretch { introduced, end: Some(event) }, gap);
                }
                // Nor does the same end twice.
                None if closed_by == Some(event) => {}
                None => gap(Reason::RangeWithoutBeginning, version),
            },
            Event::Limit(_) => {}
        }
    }
    if let Some(introduced) = open {
        found(&Stretch { introduced, end: None }, gap);
    }
}

/// Sorts; what is not before another stays behind it. The standard library's sort may panic, since
/// Trivy's order of some versions goes round in a circle.
fn sort<T: Copy>(list: &mut Vec<T>, is_before: &dyn Fn(T, T) -> bool) {
    /// So many are put in their places one by one: hardly any range has more.
    const FEW: usize = 32;
    for few in list.chunks_mut(FEW) {
        for end in 1..few.len() {
            let mut place = end;
            while place > 0 && is_before(few[place], few[place - 1]) {
                few.swap(place, place - 1);
                place -= 1;
            }
        }
    }
    let (mut length, mut merged) = (FEW, Vec::new());
    while length < list.len() {
        for both in list.chunks(2 * length) {
            let (mut one, mut other) = both.split_at(length.min(both.len()));
            while let (Some(first), Some(second)) = (one.first(), other.first()) {
                let side = if is_before(*second, *first) { &mut other } else { &mut one };
                merged.push(side[0]);
                *side = &side[1..];
            }
            merged.extend_from_slice(one);
            merged.extend_from_slice(other);
        }
        std::mem::swap(list, &mut merged);
        merged.clear();
        length *= 2;
    }
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
    let (from, all) = (&*from, from == "0");
    match stretch.end {
        None if all => everything(comparer).to_owned(),
        None => [">=", from].concat(),
        Some(Event::LastAffected(to)) if to == stretch.introduced => ["=", from].concat(),
        Some(Event::LastAffected(to)) if all => ["<=", &spelled(comparer, to)].concat(),
        Some(Event::LastAffected(to)) => [">=", from, ", <=", &spelled(comparer, to)].concat(),
        Some(Event::Fixed(to)) if all => ["<", &spelled(comparer, to)].concat(),
        Some(Event::Fixed(to) | Event::Introduced(to) | Event::Limit(to)) => {
            [">=", from, ", <", &spelled(comparer, to)].concat()
        }
    }
}

/// The constraint of all versions. Modules of Go without tags have versions such as
/// `v0.0.0-20200101000000-abcdefabcdef`, which are before 0: with the generic comparer none is before
/// `0.0.0-0`.
fn everything(comparer: Comparer) -> &'static str {
    if comparer == Comparer::Generic { ">=0.0.0-0" } else { ">=0" }
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

/// What a row of a language says; `None` if the entry says nothing that could be said.
pub(super) fn language(
    affected: Affected<'_>,
    comparer: Comparer,
    gap: &mut OnGap<'_>,
) -> Option<Ranges> {
    let mut ranges = Ranges::default();
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
        each_stretch(events, &|a, b| order.compare(a, b).ok(), gap, &mut |stretch, gap| {
            let last_known = last_known.as_deref();
            said.extend(say(stretch, comparer, last_known, &mut ranges.patched, gap));
        });
    });
    let (mut held, mut single) = (None, Vec::new());
    affected.each_version(&mut |version| {
        others = true;
        let held = held.get_or_insert_with(|| Held::new(&said));
        single.extend(listed(comparer, &version, held, gap));
    });
    ranges.vulnerable.extend(said.into_iter().map(|range| range.text));
    ranges.vulnerable.append(&mut single);
    let is_empty = ranges == Ranges::default();
    if is_empty && !others {
        gap(if git { Reason::GitOnly } else { Reason::NoVersions }, "");
    }
    (!is_empty).then_some(ranges)
}

/// A stretch as a range of the row, and its end among the versions with the fix.
fn say(
    stretch: &Stretch<'_, '_>,
    comparer: Comparer,
    last_known: Option<&str>,
    with_fix: &mut Vec<String>,
    gap: &mut OnGap<'_>,
) -> Option<SaidRange> {
    let mut text = constraint(stretch, comparer);
    let mut bounds = Bounds::of(stretch, comparer);
    if let (None, Some(last)) = (stretch.end, last_known) {
        // Written `<= 1.2.3`; no version has spaces.
        let last: String = last.split_ascii_whitespace().collect();
        text = [&text, ", ", &last].concat();
        bounds = None;
    }
    if bounds.is_some() {
        if let Some(Event::Fixed(version)) = stretch.end {
            with_fix.push(version.clone().into_owned());
        }
        return Some(SaidRange { text, bounds, parsed: OnceCell::new() });
    }
    let constraint = understood(comparer, &text, gap)?;
    for bound in stretch.bounds() {
        if !is_read_right(comparer, &spelled(comparer, bound)) {
            gap(Reason::VersionNotUnderstood, bound);
        }
    }
    if let Some(Event::Fixed(version)) = stretch.end {
        patched(comparer, version, with_fix);
    }
    Some(SaidRange { text, bounds, parsed: OnceCell::from(Some(constraint)) })
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
    fn holds(&self, comparer: Comparer, version: &Version) -> bool {
        let parsed = self.parsed.get_or_init(|| comparer.constraint(&self.text).ok());
        parsed.as_ref().is_some_and(|constraint| constraint.matches(version) == Some(true))
    }
}

/// The versions that the ranges of a row hold.
struct Held<'r> {
    ranges: &'r [SaidRange],
    /// Beginnings of the ranges that need no parser, ascending, each with the farthest end of those
    /// that begin there or before.
    plain: Vec<(Option<Plain>, Plain, bool)>,
    /// Ranges that need one.
    others: usize,
    /// Comparisons that may still be made. Without them a version is said beside a range that holds
    /// it, which changes nothing.
    left: usize,
}

impl<'r> Held<'r> {
    fn new(ranges: &'r [SaidRange]) -> Held<'r> {
        let bounds = ranges.iter().filter_map(|range| range.bounds);
        let mut plain: Vec<_> =
            bounds.map(|bounds| (bounds.from, bounds.end, bounds.inclusive)).collect();
        plain.sort_unstable();
        for place in 1..plain.len() {
            let farthest = (plain[place - 1].1, plain[place - 1].2);
            if farthest > (plain[place].1, plain[place].2) {
                (plain[place].1, plain[place].2) = farthest;
            }
        }
        let others = ranges.len() - plain.len();
        Held { ranges, plain, others, left: RowLimits::DEFAULT.comparisons }
    }

    fn holds_plain(&self, version: Plain) -> bool {
        let after = self.plain.partition_point(|(from, ..)| *from <= Some(version));
        let farthest = after.checked_sub(1).map(|place| self.plain[place]);
        farthest.is_some_and(
            |(_, end, inclusive)| {
                if inclusive { version <= end } else { version < end }
            },
        )
    }

    /// Whether a range holds a version that none holds as a plain one.
    fn holds(&mut self, comparer: Comparer, plain: Option<Plain>, version: &Version) -> bool {
        let count = if plain.is_some() { self.others } else { self.ranges.len() };
        let Some(left) = self.left.checked_sub(count) else { return false };
        self.left = left;
        let mut ranges = self.ranges.iter();
        count > 0
            && ranges.any(|range| {
                (plain.is_none() || range.bounds.is_none()) && range.holds(comparer, version)
            })
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
    held: &mut Held<'_>,
    gap: &mut OnGap<'_>,
) -> Option<String> {
    let plain = Plain::read(comparer, version);
    if plain.is_some_and(|plain| held.holds_plain(plain)) {
        return None;
    }
    let Ok(number) = comparer.version(version) else {
        // No installed version can be equal to what is no version.
        gap(Reason::VersionNotUnderstood, version);
        return None;
    };
    if held.holds(comparer, plain, &number) {
        return None;
    }
    let text = ["=", &spelled(comparer, version)].concat();
    if comparer.constraint(&text).is_err() {
        gap(Reason::VersionNotUnderstood, &text);
        return None;
    }
    Some(text)
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
        each_stretch(events, &|a, b| scheme.compare(a, b).ok(), gap, &mut |stretch, gap| {
            if let Some(more) = fix_of(stretch, scheme, can_say, gap) {
                fix = Some(match fix.take() {
                    None => more,
                    Some(fix) => fix.widest(more, scheme),
                });
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_is_stable_and_takes_any_order() {
        for length in [0_u32, 1, 2, 31, 32, 33, 64, 65, 1000] {
            for step in [1, 7, 389] {
                let mut list: Vec<u32> = (0..length).map(|n| n * step % 101 * 1000 + n).collect();
                let mut expected = list.clone();
                expected.sort_by_key(|number| number / 1000);
                sort(&mut list, &|a, b| a / 1000 < b / 1000);
                assert_eq!(list, expected, "{length} {step}");
                // Each is before the next of a circle of three.
                sort(&mut list, &|a, b| (a + 1) % 3 == b % 3);
                list.sort_unstable();
                expected.sort_unstable();
                assert_eq!(list, expected, "{length} {step}");
            }
        }
    }

    #[test]
    fn many_ranges_hold_what_any_of_them_holds() {
        let plain = |number: u32| Plain::read(Comparer::Generic, &format!("{number}.0.0"));
        let mut seed = 1_u32;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % below
        };
        for count in [0, 1, 2, 5, 40] {
            let ranges: Vec<SaidRange> = (0..count)
                .map(|_| {
                    let (from, length) = (random(100), random(9));
                    let bounds = Bounds {
                        from: plain(from).filter(|_| from % 9 > 0),
                        end: plain((from + length).saturating_sub(2)).expect("plain"),
                        inclusive: length % 2 == 0,
                    };
                    SaidRange { text: String::new(), bounds: Some(bounds), parsed: OnceCell::new() }
                })
                .collect();
            let held = Held::new(&ranges);
            for version in (0..110).filter_map(plain) {
                let expected = ranges.iter().filter_map(|range| range.bounds).any(|bounds| {
                    let below = version < bounds.end || bounds.inclusive && version == bounds.end;
                    below && bounds.from.is_none_or(|from| from <= version)
                });
                assert_eq!(held.holds_plain(version), expected);
            }
        }
    }
}
