//! What a record says of packages, entry by entry.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use stella_records::view::Affected;

use super::LIMITS;
use super::distinct::Distinct;
use super::ecosystems::{Distribution, Language, NoTarget, Packages, Target, target};
use super::fixes::Fix;
use super::ranges::{self, Ranges, is_modular, module_stream};
use super::report::Reason;
use super::row::usable_key;

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
pub(super) struct Said<'r> {
    pub(super) languages: Vec<LanguageSaid<'r>>,
    pub(super) fixes: Vec<FixSaid<'r>>,
    /// Bytes of them in memory.
    fix_bytes: usize,
    /// The places of fixes that are not held because there are too many.
    pub(super) too_many: BTreeSet<Rc<str>>,
    pub(super) gaps: Gaps,
    /// The last ecosystem and where it goes: most records are about one.
    last: Option<(Cow<'r, str>, Rc<Destination>)>,
}

/// What a record says that cannot be said in rows.
#[derive(Default)]
pub(super) struct Gaps {
    /// Where, of which package, why, and what.
    pub(super) single: Vec<(Rc<str>, Rc<str>, Reason, String)>,
    /// The places of all, once there is too much of them to tell one by one.
    pub(super) too_many: BTreeSet<Rc<str>>,
    /// Bytes of the lines that single ones become.
    bytes: usize,
}

impl Gaps {
    fn push(&mut self, place: &Rc<str>, package: &Rc<str>, reason: Reason, detail: &str) {
        self.bytes = self.bytes.saturating_add(package.len() + detail.len());
        if self.bytes <= LIMITS.row_bytes {
            self.single.push((place.clone(), package.clone(), reason, detail.to_owned()));
        } else {
            self.too_many.extend(self.single.drain(..).map(|(place, ..)| place));
            if !self.too_many.contains(place) {
                self.too_many.insert(place.clone());
            }
        }
    }
}

/// Where an ecosystem goes, and the name under which it is counted.
pub(super) struct Destination {
    pub(super) target: Result<Target, NoTarget>,
    pub(super) place: Rc<str>,
}

pub(super) struct LanguageSaid<'r> {
    pub(super) language: &'static Language,
    pub(super) package: Cow<'r, str>,
    pub(super) claim: Claim,
}

impl LanguageSaid<'_> {
    pub(super) fn key(&self) -> (&str, &str) {
        (self.language.prefix, &self.package)
    }
}

pub(super) struct FixSaid<'r> {
    pub(super) distribution: &'static Distribution,
    pub(super) bucket: Rc<str>,
    pub(super) package: Cow<'r, str>,
    pub(super) fix: Fix<'r>,
}

impl FixSaid<'_> {
    pub(super) fn key(&self) -> (&str, &str) {
        (&self.bucket, &self.package)
    }
}

impl<'r> Said<'r> {
    pub(super) fn take(&mut self, affected: Affected<'r>, title: &str) {
        let package = affected.package();
        let ecosystem = package.ecosystem.unwrap_or_default();
        let name = package.name.unwrap_or_default();
        let is_named = !ecosystem.is_empty();
        let destination = self.destination(ecosystem);
        let place = &destination.place;
        let gaps = &mut self.gaps;
        let mut package_name = None;
        let mut gap = |reason: Reason, detail: &str| {
            let package = package_name.get_or_insert_with(|| Rc::from(&*name));
            gaps.push(place, package, reason, detail);
        };
        let Some(usable) = usable_key(name.clone()) else {
            // OSS-Fuzz and the like name commits and no package.
            let reason = if is_named { Reason::NoPackage } else { Reason::GitOnly };
            return gap(reason, "");
        };
        match &destination.target {
            Err(NoTarget::Ecosystem) => gap(Reason::EcosystemNotScanned, ""),
            Err(NoTarget::NotMapped) => gap(Reason::DistributionNotMapped, ""),
            Err(NoTarget::Release) => gap(Reason::ReleaseUnknown, ""),
            Ok(Target::Language(language)) => {
                let Some(claim) = claim(affected, language, &mut gap) else { return };
                match &usable {
                    Cow::Borrowed(name) => self.add(language, language.names.keys(name), claim),
                    Cow::Owned(name) => {
                        let own = |key: Cow<'_, str>| Cow::Owned(key.into_owned());
                        self.add(language, language.names.keys(name).map(own), claim);
                    }
                }
            }
            Ok(Target::Distribution(distribution, _)) => {
                let (fixes, bytes) = (&mut self.fixes, &mut self.fix_bytes);
                let too_many = &mut self.too_many;
                each_fix(affected, distribution, usable, title, &mut gap, &mut |package, fix| {
                    *bytes += size_of::<FixSaid<'_>>() + package.len();
                    if *bytes > LIMITS.row_bytes {
                        too_many.insert(place.clone());
                        return;
                    }
                    fixes.push(FixSaid { distribution, bucket: place.clone(), package, fix });
                });
            }
        }
    }

    /// What an entry says, under each key of its package.
    fn add(
        &mut self,
        language: &'static Language,
        keys: impl Iterator<Item = Cow<'r, str>>,
        claim: Claim,
    ) {
        let mut keys = keys.peekable();
        while let Some(package) = keys.next() {
            if keys.peek().is_none() {
                return self.languages.push(LanguageSaid { language, package, claim });
            }
            self.languages.push(LanguageSaid { language, package, claim: claim.clone() });
        }
    }

    pub(super) fn destination(&mut self, ecosystem: Cow<'r, str>) -> Rc<Destination> {
        match &self.last {
            Some((last, destination)) if *last == ecosystem => destination.clone(),
            _ => {
                let target = target(&ecosystem);
                let place = place(&target, &ecosystem).into();
                let destination = Rc::new(Destination { target, place });
                self.last = Some((ecosystem, destination.clone()));
                destination
            }
        }
    }
}

/// What a record says of a package of a language.
#[derive(Debug, Clone, Default)]
pub(super) struct Claim {
    pub(super) ranges: Ranges,
    pub(super) os: Vec<String>,
    pub(super) arch: Vec<String>,
}

impl Claim {
    /// Takes what another entry says of the same package.
    pub(super) fn extend(&mut self, other: &mut Claim) {
        self.ranges.vulnerable.append(&mut other.ranges.vulnerable);
        self.ranges.patched.append(&mut other.ranges.patched);
        self.os.append(&mut other.os);
        self.arch.append(&mut other.arch);
    }
}

fn claim(
    affected: Affected<'_>,
    language: &Language,
    gap: &mut ranges::OnGap<'_>,
) -> Option<Claim> {
    let ranges = ranges::language(affected, language.comparer, gap)?;
    let mut claim = Claim { ranges, ..Claim::default() };
    let (mut os, mut arch) = (Distinct::new(), Distinct::new());
    affected.each_platform(&mut |name| os.push(name), &mut |name| arch.push(name));
    let owned = |names: Distinct<Cow<'_, str>>| {
        names.into_list().into_iter().map(Cow::into_owned).collect()
    };
    (claim.os, claim.arch) = (owned(os), owned(arch));
    Some(claim)
}

/// Gives each package of a distribution that an entry is about, by its key, with its fix.
fn each_fix<'r>(
    affected: Affected<'r>,
    distribution: &Distribution,
    name: Cow<'r, str>,
    title: &str,
    gap: &mut ranges::OnGap<'_>,
    put: &mut dyn FnMut(Cow<'r, str>, Fix<'r>),
) {
    let fix = ranges::distribution(affected, distribution.scheme, distribution.can_say, gap);
    let Some(fix) = fix else { return };
    match distribution.packages {
        Packages::Named => {}
        Packages::Untold => gap(Reason::BinariesUnknown, ""),
        Packages::Listed => {
            let mut listed = 0_u64;
            affected.each_binary(&mut |name, version| {
                let Some(name) = usable_key(name) else { return gap(Reason::NoPackage, "") };
                listed += 1;
                let mut fix = fix.clone();
                if distribution.scheme.parse(&version).is_ok() {
                    fix.fixed = Some(version);
                }
                put(name, fix);
            });
            if listed > 0 {
                return;
            }
            gap(Reason::BinariesUnknown, "");
        }
    }
    let modular = distribution.modules && fix.fixed.as_deref().is_some_and(is_modular);
    if !modular {
        return put(name, fix);
    }
    match module_stream(title) {
        Some(stream) => put(format!("{stream}::{name}").into(), fix),
        None => {
            gap(Reason::ModuleStreamUnknown, "");
            put(name, fix);
        }
    }
}
