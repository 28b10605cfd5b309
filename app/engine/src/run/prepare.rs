//! Deciding a run: the profile and a snapshot become the immutable plan.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use stella_ledger::{FeedInfo, IdRange, Ledger, LiveSet, Seq, StoredRecord};
use stella_model::screen::Safe;
use stella_model::{
    Digest, DigestBuilder, ErrorCode, FeedName, Instant, Kind, PRODUCT_VERSION, SetKey, TenantId,
    rfc8785,
};
use stella_pack::codec;
use stella_pack::trivy_db::{TRIVY_DB, source_ids};
use stella_plan::floors::{FloorBroken, Floors};
use stella_plan::run_plan::FORMAT_VERSION;
use stella_plan::{
    AdapterSpec, FeedEntry, OutputPlan, PartPlan, Profile, ProfileId, RedactionId, RunPlan,
    Selectors, SetEntry, SetSummary, Unmatched,
};
use stella_records::redact::RuleSet;

use super::kept_sets::KeptSets;
use super::notices::not_to_be_passed_on;
use super::profile::{invalid_selection, resolve};
use super::record::RunRecord;
use super::request::{ProfileSource, RunRequest};
use super::scan::{Scan, with_facets};
use crate::{Cancel, EngineError, Progress, Store};

/// A plan with all that executing it needs.
pub(super) struct Prepared {
    pub(super) plan: RunPlan,
    pub(super) profile: Profile,
    pub(super) sets: Vec<SetSummary>,
    /// What is kept of the sets for the next run; none of a run that was decided before.
    pub(super) kept: Option<KeptSets>,
    pub(super) rules: RuleSet,
    pub(super) ledger: Box<dyn Ledger>,
    pub(super) ledger_id: String,
    pub(super) sequence: u64,
    pub(super) selectors: Selectors,
    /// What selectors ask for and nothing has; among the warnings too.
    pub(super) unmatched: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) now: Instant,
    pub(super) floors: Floors,
    pub(super) broken: Vec<FloorBroken>,
    /// Drops against the last run that were accepted.
    pub(super) accepted: Vec<FloorBroken>,
    /// The last run that selected alike.
    pub(super) last: Option<RunRecord>,
    /// Why drops against the last run are accepted, if they are.
    pub(super) accept_drop: Option<String>,
}

/// Decides everything about a run.
pub(super) fn prepare(
    store: &Store,
    request: &RunRequest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Prepared, EngineError> {
    let recipe = Recipe::of(request)?;
    let Recipe { profile, rules, selectors } = &recipe;
    let ledger = store.ledger()?;
    let (id, epoch) = ledger.identity()?;
    let ledger_id = format!("{id}.{epoch}");
    let again = request.again.as_ref();
    let head = again.map_or_else(|| Ok(ledger.head()?), |again| again.snapshot(&ledger_id))?;
    let feeds = ledger.feeds()?;
    check_feeds(selectors, &feeds)?;
    check_precedence(profile, &feeds)?;
    let codec = codec::codec(profile.level);
    let known = KeptSets::load(store, &kin(profile), selectors);
    let scan = Scan {
        ledger: &*ledger,
        head,
        selectors,
        profile,
        redaction: rules.digest(),
        codec: rfc8785::to_vec(&codec),
        kept: &known,
        progress,
        cancel,
    };
    let live = ledger.sets(head)?;
    let mut unmatched = Unmatched::new(selectors);
    let is_built_in = matches!(request.profile, ProfileSource::BuiltIn(_));
    if is_built_in && request.select.kinds.is_empty() {
        unmatched = unmatched.with_given_kinds();
    }
    let scanned = scan.sets(&live, &mut unmatched)?;
    // What a bundle that is made again needs is not what the next run does.
    let kept = again.is_none().then(|| known.renew(&live, &scanned));
    let unmatched = unmatched.warnings();
    let mut warnings = unmatched.clone();
    warnings.extend(never_filled(selectors, &feeds));
    // What is made again has to be what it was, and that was judged when it was made.
    let last = match again {
        Some(_) => None,
        None => last_run(store, profile, &mut warnings)?,
    };
    let floors = floors(last.as_ref(), profile, selectors);
    let mut broken = match again {
        Some(_) => Vec::new(),
        None => broken_floors(&floors, selectors, &feeds, &live, &scanned),
    };
    let mut accepted = Vec::new();
    if request.accept_drop.is_some() {
        accepted = broken.extract_if(.., |broken| broken.is_drop()).collect();
    }
    let sets: Vec<SetSummary> = scanned.into_iter().filter(|set| set.count > 0).collect();
    let as_of = as_of(request, &sets, &broken, &mut warnings)?;
    let feeds = feed_entries(&feeds, &sets)?;
    let plan = plan(store.tenant(), &recipe, as_of, feeds, &sets);
    again.map_or(Ok(()), |again| again.check(&plan))?;
    warnings.extend(not_to_be_passed_on(&plan.feeds));
    Ok(Prepared {
        plan,
        profile: recipe.profile,
        sets,
        kept,
        rules: recipe.rules,
        ledger_id,
        ledger,
        sequence: head.0,
        selectors: recipe.selectors,
        unmatched,
        warnings,
        now: request.now,
        floors,
        broken,
        accepted,
        last,
        accept_drop: request.accept_drop.clone(),
    })
}

/// The run that a new one is held against; a record that does not read is warned of and left out.
fn last_run(
    store: &Store,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Result<Option<RunRecord>, EngineError> {
    match RunRecord::last(store, &kin(profile)) {
        Err(error) if error.code() == ErrorCode::Io => {
            warnings.push(error.to_string());
            Ok(None)
        }
        other => other,
    }
}

/// What a request asks for, with every default filled in.
pub(super) struct Recipe {
    pub(super) profile: Profile,
    pub(super) rules: RuleSet,
    pub(super) selectors: Selectors,
}

impl Recipe {
    pub(super) fn of(request: &RunRequest) -> Result<Recipe, EngineError> {
        let (profile, rules) = resolve(request)?;
        check_redaction(&profile, &rules)?;
        let selectors = profile.select.resolve(request.now).map_err(invalid_selection)?;
        Ok(Recipe { profile, rules, selectors })
    }
}

/// Whether a request can be understood at all: its profile is known, its selectors and rules are
/// valid. Reads no evidence.
///
/// # Errors
/// [`EngineError`] as a run of it would end with.
pub fn check_request(request: &RunRequest) -> Result<(), EngineError> {
    Recipe::of(request).map(drop)
}

/// Everything that decides the bytes.
pub(super) fn plan(
    tenant: &TenantId,
    recipe: &Recipe,
    as_of: Instant,
    feeds: Vec<FeedEntry>,
    sets: &[SetSummary],
) -> RunPlan {
    let Recipe { profile, rules, selectors } = recipe;
    RunPlan {
        as_of,
        codec: codec::codec(profile.level),
        feeds,
        format_version: FORMAT_VERSION,
        handling: profile.handling.clone(),
        outputs: outputs(profile),
        partition: profile.partition,
        policy: profile.policy.clone(),
        producer: PRODUCT_VERSION.to_owned(),
        profile: ProfileId { name: profile.name.clone(), revision: profile.revision() },
        redaction: RedactionId { digest: rules.digest(), name: rules.name().to_owned() },
        selectors: selectors.clone(),
        sets: sets.iter().map(SetSummary::entry).collect(),
        tenant: tenant.clone(),
    }
}

/// What the last run that selected alike is remembered under: another policy changes no record.
fn kin(profile: &Profile) -> ProfileId {
    ProfileId { name: profile.name.clone(), revision: profile.revision_without_policy() }
}

impl Prepared {
    /// What the run is remembered under.
    pub(super) fn kin(&self) -> ProfileId {
        kin(&self.profile)
    }

    /// Whether any output carries the records themselves.
    pub(super) fn carries_records(&self) -> bool {
        let carries =
            |id: &str| stella_pack::adapter(id).is_some_and(|found| found.carries_records);
        self.profile.outputs.iter().any(|spec| carries(spec.id))
    }

    /// Gives the selected records of a planned part in their order, as they were when the run was
    /// decided, and makes sure that they are the planned ones (INV-PLAN). The first error ends it.
    pub(super) fn read_part(
        &self,
        summary: &SetSummary,
        part: &PartPlan,
        take: &mut dyn FnMut(&StoredRecord) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let (at, set) = (Seq(self.sequence), &summary.set);
        let range =
            IdRange { first: Some(part.first_id.clone()), last: Some(part.last_id.clone()) };
        let selectors = &self.selectors;
        // None if no record between the first and the last one is left out.
        let mut wanted = None;
        if !selectors.take_whole_sets() {
            let ids = wanted.insert(BTreeSet::new());
            self.ledger.scan(at, set, &range, with_facets(selectors), &mut |row| {
                if selectors.admits(row.id.as_str(), row.modified, row.facets.as_ref()) {
                    ids.insert(row.id);
                }
                ControlFlow::Continue(())
            })?;
        }
        let mut check = RangeCheck { records: 0, key: summary.part_key() };
        let mut failure = None;
        self.ledger.read(at, set, &range, &mut |record| {
            if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&record.id)) {
                return ControlFlow::Continue(());
            }
            check.take(record.id.as_str(), &record.content_digest);
            match take(record) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        match failure {
            Some(error) => Err(error),
            None => check.against(part, set),
        }
    }

    /// The selected sets of some kinds.
    pub(super) fn sets_of(&self, kinds: &[&str]) -> impl Iterator<Item = &SetKey> {
        let sets = self.sets.iter().map(|summary| &summary.set);
        sets.filter(|set| kinds.contains(&set.kind.as_str()))
    }

    /// INV-EMPTY: whether it is meant that nothing comes of the sets of some kinds: whether all that are
    /// selected, and any at all, may be empty.
    pub(super) fn may_be_nothing(&self, kinds: &[&str]) -> bool {
        let allowed = &self.profile.allow_empty;
        allowed.iter().any(|set| kinds.contains(&set.kind.as_str()))
            && self.sets_of(kinds).all(|set| allowed.contains(set))
    }

    /// The error that nothing comes of the sets of some kinds, and what would make it [so](Self::may_be_nothing).
    pub(super) fn nothing(&self, kinds: &[&str], what: String, remedy: &str) -> EngineError {
        let sets: Vec<&SetKey> = self.sets_of(kinds).collect();
        let error = EngineError::new(ErrorCode::Empty, what);
        if sets.is_empty() {
            return error.hint(remedy).hint_over_http(remedy);
        }
        error
            .hint(format!("{remedy}; if it is meant:{}", allow_empty(sets.iter().copied())))
            .hint_over_http(format!("{remedy}; if it is meant, {}", order_empty(sets)))
    }

    /// INV-EMPTY: what was selected.
    pub(super) fn check_floors(&self) -> Result<(), EngineError> {
        refuse(&self.broken, &self.unmatched)
    }

    /// INV-EMPTY: what was made of it, against the last run. Gives the drops that were accepted.
    pub(super) fn check_output(
        &self,
        adapter: &str,
        sizes: &BTreeMap<String, u64>,
    ) -> Result<Vec<FloorBroken>, EngineError> {
        let mut dropped = self.floors.check_output(adapter, sizes);
        if adapter == TRIVY_DB.spec.id {
            // A floor of 0 accepts that everything is lost.
            let floors = &self.profile.trivy.floors;
            let may_go = |name: &str| floors.get(name) == Some(&0);
            dropped.retain(
                |broken| !matches!(broken, FloorBroken::OutputDropped { name, .. } if may_go(name)),
            );
        }
        if self.accept_drop.is_none() {
            refuse(&dropped, &[])?;
        }
        Ok(dropped)
    }

    /// INV-EMPTY: what is left of it after redaction.
    pub(super) fn check_carried(&self, carried: &[SetEntry]) -> Result<(), EngineError> {
        if !self.carries_records() {
            // Outputs made of the records have floors of their own.
            return Ok(());
        }
        let selected = self.sets.iter().map(|set| (set.set.clone(), set.count)).collect();
        let key = |set: &SetEntry| SetKey { kind: set.kind.clone(), feed: set.feed.clone() };
        let carried = carried.iter().map(|set| (key(set), set.count)).collect();
        refuse(&self.floors.check_carried(&selected, &carried), &[])
    }
}

/// Holds the records that were read against the plan (INV-PLAN).
struct RangeCheck {
    records: u64,
    key: DigestBuilder,
}

impl RangeCheck {
    fn take(&mut self, id: &str, content: &Digest) {
        self.records += 1;
        self.key.lp(id.as_bytes()).digest(content);
    }

    fn against(self, part: &PartPlan, set: &SetKey) -> Result<(), EngineError> {
        if self.records == part.records && self.key.finish() == part.key {
            return Ok(());
        }
        let message = format!(
            "the records of {set} from {} to {} are no longer those of the plan",
            Safe(part.first_id.as_str()),
            Safe(part.last_id.as_str())
        );
        let error = EngineError::new(ErrorCode::RunFailed, message);
        Err(error
            .hint("the ledger was compacted or restored meanwhile; run the same command again"))
    }
}

/// The error that floors are broken; `unmatched` is what selectors ask for and nothing has.
fn refuse(broken: &[FloorBroken], unmatched: &[String]) -> Result<(), EngineError> {
    let Some(first) = broken.first() else { return Ok(()) };
    let all: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let error = EngineError::new(ErrorCode::Empty, all.join("; "));
    let drop = "acceptDrop (--accept-drop --reason TEXT)";
    Err(match first {
        FloorBroken::FeedEmpty { sets, .. } if !sets.is_empty() => error
            .hint(format!("find out why; if it is meant:{}", allow_empty(sets)))
            .hint_over_http(format!("find out why; if it is meant, {}", order_empty(sets))),
        FloorBroken::NothingCarried { set, .. } => error
            .hint(format!(
                "its format has no redaction rules: --redaction none carries it, --allow-empty {set} goes without"
            ))
            .hint_over_http(format!(
                "its format has no redaction rules: order it without redaction, or with {set} in allowEmpty"
            )),
        FloorBroken::NothingSelected => {
            // A failed run shows no warnings, and these tell what is misspelt.
            let hint = match unmatched.is_empty() {
                true => "look at the selectors, and at what the feeds hold".to_owned(),
                false => format!("look at the selectors: {}", unmatched.join("; ")),
            };
            error.hint(hint.clone()).hint_over_http(hint)
        }
        FloorBroken::OutputDropped { .. } => error
            .hint("find out why; if it is meant: --accept-drop --reason TEXT")
            .hint_over_http(format!("find out why; if it is meant, order it with {drop}")),
        FloorBroken::Dropped { set, .. } => error
            .hint(format!(
                "find out why; if it is meant: --accept-drop --reason TEXT, or --allow-empty {set} for a set"
            ))
            .hint_over_http(format!(
                "find out why; if it is meant, order it with {drop}, or with {set} in allowEmpty"
            )),
        _ => error.hint("find out why; if it is meant, name each set: --allow-empty KIND/FEED"),
    })
}

/// The flags of a command that allow sets to be empty.
fn allow_empty<'s>(sets: impl IntoIterator<Item = &'s SetKey>) -> String {
    sets.into_iter().map(|set| format!(" --allow-empty {set}")).collect()
}

/// The same for an order over HTTP.
fn order_empty<'s>(sets: impl IntoIterator<Item = &'s SetKey>) -> String {
    let sets: Vec<String> = sets.into_iter().map(SetKey::to_string).collect();
    format!("order it with {} in allowEmpty", sets.join(", "))
}

/// Feeds that hold nothing because everything that was brought was rejected. What kind their
/// records would be is not known, so that a run of some kinds only tells of those that it names.
fn never_filled(selectors: &Selectors, feeds: &[FeedInfo]) -> Option<String> {
    let is_meant = |feed: &FeedInfo| {
        selectors.feeds.contains(&feed.name)
            || selectors.kinds.is_empty() && selectors.admits_feed(&feed.name)
    };
    /// More names than these say no more.
    const NAMED: usize = 5;
    let empty = feeds.iter().filter(|feed| feed.kinds.is_empty() && is_meant(feed));
    let names: Vec<&str> = empty.map(|feed| feed.name.as_str()).collect();
    let (shown, others) = names.split_at(names.len().min(NAMED));
    let more = match others.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| {
        format!(
            "feeds that never held a record are not in the bundle: {}{more}; `stella quarantine list \
             --feed NAME` tells why, `stella feeds remove NAME` removes one",
            shown.join(", ")
        )
    })
}

/// A database is made of what the evidence says: rules for documents do not apply to it.
fn check_redaction(profile: &Profile, rules: &RuleSet) -> Result<(), EngineError> {
    let made = |spec: &&&'static AdapterSpec| {
        stella_pack::adapter(spec.id).is_some_and(|adapter| !adapter.carries_records)
    };
    match (rules.digest(), profile.outputs.iter().find(made)) {
        (Some(_), Some(spec)) => {
            let message = format!("{} cannot be redacted", spec.id);
            Err(EngineError::new(ErrorCode::Usage, message)
                .hint("use --redaction none, or a profile of its own for the redacted output"))
        }
        _ => Ok(()),
    }
}

/// Looks whether the feeds that a request selects are there, its profile's among them: a run of one that
/// is not would only fail. Where nothing was ever taken in, none is missed: that is what the run says.
///
/// # Errors
/// [`EngineError`], not found, naming the feed; as [`check_request`] and where the ledger does not answer.
pub fn check_request_feeds(store: &Store, request: &RunRequest) -> Result<(), EngineError> {
    let selectors = Recipe::of(request)?.selectors;
    if selectors.feeds.is_empty() {
        return Ok(());
    }
    match store.ledger() {
        Err(error) if error.code() == ErrorCode::NotFound => Ok(()),
        ledger => check_feeds(&selectors, &ledger?.feeds()?),
    }
}

/// A feed that nobody knows is a mistake, not an empty selection.
fn check_feeds(selectors: &Selectors, feeds: &[FeedInfo]) -> Result<(), EngineError> {
    let unknown = selectors.feeds.iter().find(|name| feeds.iter().all(|feed| feed.name != **name));
    match unknown {
        None => Ok(()),
        Some(name) => Err(EngineError::new(
            ErrorCode::NotFound,
            format!("there is no feed `{name}` in the ledger"),
        )
        .hint("`stella feeds list` shows the feeds")),
    }
}

/// A name that nobody has would leave the order as it was, in silence.
fn check_precedence(profile: &Profile, feeds: &[FeedInfo]) -> Result<(), EngineError> {
    let sources = source_ids();
    let is_known =
        |name: &str| sources.contains(name) || feeds.iter().any(|feed| feed.name.as_str() == name);
    match profile.trivy.precedence.iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "`trivy.precedence` names `{}`, which is neither a feed nor a data source",
                Safe(name)
            );
            let sources: Vec<&str> = sources.into_iter().collect();
            Err(EngineError::new(ErrorCode::Invalid, message).hint(format!(
                "`stella feeds list` shows the feeds; the data sources are {}",
                sources.join(", ")
            )))
        }
    }
}

pub(super) fn floors(last: Option<&RunRecord>, profile: &Profile, selectors: &Selectors) -> Floors {
    let last_outputs = last.map(|run| run.outputs.clone()).unwrap_or_default();
    let last = last.into_iter().flat_map(|run| &run.sets).filter_map(|(set, record)| {
        let set: SetKey = set.parse().ok()?;
        selectors.admits_set(&set).then_some((set, record.count))
    });
    Floors {
        least: profile.floors.clone(),
        allow_empty: profile.allow_empty.clone(),
        last: last.collect(),
        max_drop_percent: profile.max_drop_percent,
        last_outputs,
    }
}

fn broken_floors(
    floors: &Floors,
    selectors: &Selectors,
    feeds: &[FeedInfo],
    live: &[LiveSet],
    scanned: &[SetSummary],
) -> Vec<FloorBroken> {
    let held = |feed: &FeedInfo| {
        let set = |kind: &Kind| SetKey { kind: kind.clone(), feed: feed.name.clone() };
        (feed.name.clone(), feed.kinds.iter().map(set).collect())
    };
    let known: BTreeMap<FeedName, Vec<SetKey>> = feeds.iter().map(held).collect();
    let live = live.iter().map(|live| live.set.clone()).collect();
    let selected = scanned.iter().map(|set| (set.set.clone(), set.count)).collect();
    floors.check(selectors, &known, &live, &selected)
}

fn as_of(
    request: &RunRequest,
    sets: &[SetSummary],
    broken: &[FloorBroken],
    warnings: &mut Vec<String>,
) -> Result<Instant, EngineError> {
    // Some feeds write the year 1 for "never"; no evidence was revised before 1970.
    let told = |time: &Instant| time.unix_seconds() > 0;
    let newest = sets.iter().filter_map(|set| set.newest).filter(told).max();
    let newest = newest.map(Instant::to_seconds);
    if let Some(as_of) = request.as_of.map(Instant::to_seconds) {
        if newest.is_some_and(|newest| newest > as_of) {
            warnings.push(format!(
                "records revised after {as_of} are in the bundle all the same: --as-of selects \
                 nothing"
            ));
        }
        if as_of > request.now {
            warnings.push(format!("asOf is {as_of}, in the future"));
        }
        return Ok(as_of);
    }
    match newest {
        Some(newest) => {
            if newest > request.now {
                warnings.push(format!(
                    "asOf is {newest}, in the future: a record claims to be revised then; \
                     --as-of sets another time"
                ));
            }
            Ok(newest)
        }
        // Nothing selected has its own error; asOf is never used then.
        None if !broken.is_empty() => Ok(request.now.to_seconds()),
        None => Err(EngineError::new(
            ErrorCode::Usage,
            "no selected record tells when it was revised, so `asOf` cannot be derived",
        )
        .hint("give the time yourself: --as-of 2026-01-31T00:00:00Z")),
    }
}

fn outputs(profile: &Profile) -> Vec<OutputPlan> {
    let output = |spec: &&'static AdapterSpec| OutputPlan {
        adapter: spec.id.to_owned(),
        adapter_version: spec.version,
        options: profile.trivy.options(spec.id),
    };
    profile.outputs.iter().map(output).collect()
}

/// The feeds of the selected sets. One that is gone was removed while planning: its notices must not
/// be missing from a bundle with its records.
fn feed_entries(feeds: &[FeedInfo], sets: &[SetSummary]) -> Result<Vec<FeedEntry>, EngineError> {
    let names: BTreeSet<&FeedName> = sets.iter().map(|set| &set.set.feed).collect();
    let entry = |name: &FeedName| {
        let feed = feeds.iter().find(|feed| feed.name == *name).ok_or_else(|| {
            let message = format!("feed {name} was removed while the run was planned");
            EngineError::new(ErrorCode::RunFailed, message).hint("run the same command again")
        })?;
        Ok(FeedEntry {
            attribution: feed.attribution.clone(),
            feed: feed.name.clone(),
            licence: feed.licence.clone(),
            publisher: feed.publisher.clone(),
            redistribution: feed.redistribution,
        })
    };
    names.into_iter().map(entry).collect()
}
