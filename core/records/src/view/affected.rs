//! What an advisory says of one package: in which versions it is vulnerable (OSV schema
//! ["affected"](https://ossf.github.io/osv-schema/#affected-fields)).

use std::borrow::Cow;

use stella_model::json::Value;

use super::{Package, items, texts};

/// One entry of `affected`.
#[derive(Debug, Clone, Copy)]
pub struct Affected<'t>(Value<'t>);

/// How the versions of a range are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeKind {
    /// By SemVer 2.0.
    SemVer,
    /// By the rules of the ecosystem.
    Ecosystem,
    /// Commits of a repository, which have no order of their own.
    Git,
}

/// One point of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'t> {
    /// Vulnerable from this version on; `0` is before every version.
    Introduced(Cow<'t, str>),
    /// No longer vulnerable from this version on.
    Fixed(Cow<'t, str>),
    /// The last version known to be vulnerable.
    LastAffected(Cow<'t, str>),
    /// The end of what the advisory speaks of.
    Limit(Cow<'t, str>),
}

/// A CVSS vector as an advisory gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector<'t> {
    /// `CVSS_V2`, `CVSS_V3`, `CVSS_V4`, or another word.
    pub kind: Cow<'t, str>,
    /// The vector, unchecked.
    pub score: Cow<'t, str>,
}

impl<'t> Affected<'t> {
    pub(crate) fn new(value: Value<'t>) -> Affected<'t> {
        Affected(value)
    }

    /// The package; every part may be absent.
    #[must_use]
    pub fn package(self) -> Package<'t> {
        let package = self.0.get("package");
        let text = |name| package.and_then(|package: Value<'t>| package.str_at(&[name]));
        Package { ecosystem: text("ecosystem"), name: text("name"), purl: text("purl") }
    }

    /// The ranges in the order of the document, each with its events in theirs. A range of an
    /// unknown type counts as [`RangeKind::Ecosystem`].
    pub fn each_range(self, found: &mut dyn FnMut(RangeKind, &[Event<'t>])) {
        let mut events = Vec::new();
        for range in items(self.0, &["ranges"]) {
            let kind = match range.str_at(&["type"]).as_deref() {
                Some("SEMVER") => RangeKind::SemVer,
                Some("GIT") => RangeKind::Git,
                _ => RangeKind::Ecosystem,
            };
            events.clear();
            items(range, &["events"]).for_each(|object| add_events(object, &mut events));
            found(kind, &events);
        }
    }

    /// The versions that are listed one by one.
    pub fn each_version(self, found: &mut dyn FnMut(Cow<'t, str>)) {
        texts(self.0, &["versions"]).for_each(found);
    }

    /// CVSS vectors of this package, which stand over those of the advisory.
    pub fn each_vector(self, found: &mut dyn FnMut(Vector<'t>)) {
        vectors(self.0).for_each(found);
    }

    /// GitHub's note of the newest version known to be vulnerable, such as `<= 1.2.3`.
    #[must_use]
    pub fn last_known_range(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["database_specific", "last_known_affected_version_range"])
    }

    /// The binary packages that SUSE builds from the source package, each with its version that has the
    /// fix.
    pub fn each_binary(self, found: &mut dyn FnMut(Cow<'t, str>, Cow<'t, str>)) {
        for list in items(self.0, &["ecosystem_specific", "binaries"]) {
            for (name, version) in list.members() {
                if let Some(version) = version.as_str() {
                    found(name, version);
                }
            }
        }
    }

    /// Debian's urgency of the package.
    #[must_use]
    pub fn urgency(self) -> Option<Cow<'t, str>> {
        self.0.str_at(&["ecosystem_specific", "urgency"])
    }

    /// Operating systems and processors that Go's database narrows the vulnerability down to, by
    /// the names of `GOOS` and `GOARCH`. Nothing if any of the imports is not narrowed.
    pub fn each_platform(
        self,
        os: &mut dyn FnMut(Cow<'t, str>),
        arch: &mut dyn FnMut(Cow<'t, str>),
    ) {
        for import in items(self.0, &["ecosystem_specific", "imports"]) {
            texts(import, &["goos"]).for_each(&mut *os);
            texts(import, &["goarch"]).for_each(&mut *arch);
        }
    }
}

/// Vectors of an advisory or of one of its packages.
pub(super) fn vectors<'t>(value: Value<'t>) -> impl Iterator<Item = Vector<'t>> {
    items(value, &["severity"]).filter_map(|entry| {
        Some(Vector { kind: entry.str_at(&["type"])?, score: entry.str_at(&["score"])? })
    })
}

/// Appends the events of an object: one by the schema; older documents have several in one.
fn add_events<'t>(object: Value<'t>, events: &mut Vec<Event<'t>>) {
    let first = events.len();
    for (name, value) in object.members() {
        let Some(version) = value.as_str() else { continue };
        events.push(match &*name {
            "introduced" => Event::Introduced(version),
            "fixed" => Event::Fixed(version),
            "last_affected" => Event::LastAffected(version),
            "limit" => Event::Limit(version),
            _ => continue,
        });
    }
    let rank = |event: &Event<'_>| match event {
        Event::Introduced(_) => 0,
        Event::Fixed(_) => 1,
        Event::LastAffected(_) => 2,
        Event::Limit(_) => 3,
    };
    events[first..].sort_by_key(rank);
}
