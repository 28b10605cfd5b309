//! `export plan`: the immutable plan of a run, and what it would do.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stella_ledger::{FeedInfo, IdRange, Ledger, Seq, SqliteLedger, WithFacets};
use stella_model::{
    Digest, ErrorCode, FeedName, Instant, Kind, PRODUCT_VERSION, SetKey, TenantId, rfc8785,
};
use stella_pack::{ADAPTERS, codec};
use stella_plan::estimate::{Estimate, Experience, Work, estimate};
use stella_plan::floors::{FloorBroken, Floors};
use stella_plan::profile::{RedactionChoice, Select};
use stella_plan::run_plan::FORMAT_VERSION;
use stella_plan::{
    AdapterSpec, FeedEntry, OutputPlan, Profile, ProfileId, RedactionId, RunPlan, Selectors,
    SetPlan, SetSummary,
};
use stella_records::redact::RuleSet;

use crate::export::{cancelled, open_depot};
use crate::run_record::RunRecord;
use crate::{Cancel, EngineError, Progress, Stage, StageUpdate, Store};

/// What to run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The recipe.
    pub profile: ProfileSource,
    /// Selectors of the request; each one given replaces the profile's.
    pub select: Select,
    /// `asOf`, instead of the newest revision time among the selected records.
    pub as_of: Option<Instant>,
    /// `none`, `standard` or a rules file, instead of the profile's.
    pub redaction: Option<String>,
    /// Sets that may be empty, besides the profile's.
    pub allow_empty: Vec<SetKey>,
    /// Worker threads.
    pub threads: usize,
    /// The time of planning.
    pub now: Instant,
}

/// Where a profile comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource {
    /// The name of an adapter.
    BuiltIn(String),
    /// A TOML file.
    File(PathBuf),
}

/// What a run would do.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// The plan itself.
    pub plan: RunPlan,
    /// Its hash.
    pub plan_hash: Digest,
    /// The sets with their costs.
    pub sets: Vec<PlannedSet>,
    /// Selected records.
    pub records: u64,
    /// Their bytes before compression.
    pub uncompressed_bytes: u64,
    /// Data parts.
    pub parts: u64,
    /// Data parts that the depot already has.
    pub reusable_parts: u64,
    /// Bytes and time.
    pub estimate: Estimate,
    /// The last successful run of the profile, if there was one.
    pub last_run: Option<RunRecord>,
    /// Floors that would fail the run.
    pub broken_floors: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// One set of a plan with its costs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedSet {
    /// Kind and feed.
    #[serde(flatten)]
    pub set: SetKey,
    /// Selected records.
    pub records: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// Parts.
    pub parts: u64,
    /// Parts that the depot already has.
    pub reusable_parts: u64,
    /// Against the last run of the profile.
    pub change: Change,
}

/// How a set compares with the last run of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// There is no last run, or the set was not in it.
    New,
    /// The same records.
    Unchanged,
    /// Other records; the number of them compared with the last run.
    Changed {
        /// Records more (or fewer) than in the last run.
        records: i64,
    },
}

/// A plan with all that executing it needs.
pub(crate) struct Prepared {
    pub(crate) plan: RunPlan,
    pub(crate) profile: Profile,
    pub(crate) sets: Vec<SetSummary>,
    pub(crate) rules: RuleSet,
    pub(crate) ledger: SqliteLedger,
    pub(crate) ledger_id: String,
    pub(crate) sequence: u64,
    pub(crate) selectors: Selectors,
    pub(crate) warnings: Vec<String>,
    pub(crate) now: Instant,
    broken: Vec<FloorBroken>,
}

/// Plans a run and writes nothing.
///
/// # Errors
/// [`EngineError`]: no such profile, an invalid one, no ledger, no dated record and no `asOf`.
pub fn plan(
    store: &Store,
    request: &RunRequest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<PlanReport, EngineError> {
    let prepared = prepare(store, request, progress, cancel)?;
    let depot = open_depot(store)?;
    let last_run = RunRecord::last(store, &prepared.profile.name);
    let mut work = Work::default();
    let mut sets = Vec::new();
    for set in &prepared.sets {
        let mut reusable_parts = 0;
        for part in &set.parts {
            match depot.part(&part.key) {
                Some(record) => {
                    reusable_parts += 1;
                    work.reused += record.files().map(|file| file.size).sum::<u64>();
                }
                None => work.to_build += part.bytes,
            }
        }
        sets.push(PlannedSet {
            set: set.set.clone(),
            records: set.count,
            bytes: set.bytes,
            parts: set.parts.len() as u64,
            reusable_parts,
            change: change(set, last_run.as_ref()),
        });
    }
    let experience = last_run.as_ref().map_or(Experience::DEFAULT, RunRecord::experience);
    Ok(PlanReport {
        plan_hash: prepared.plan.hash(),
        records: sets.iter().map(|set| set.records).sum(),
        uncompressed_bytes: sets.iter().map(|set| set.bytes).sum(),
        parts: sets.iter().map(|set| set.parts).sum(),
        reusable_parts: sets.iter().map(|set| set.reusable_parts).sum(),
        estimate: estimate(work, experience),
        sets,
        last_run,
        broken_floors: prepared.broken.iter().map(ToString::to_string).collect(),
        warnings: prepared.warnings,
        plan: prepared.plan,
    })
}

fn change(set: &SetSummary, last: Option<&RunRecord>) -> Change {
    match last.and_then(|run| run.sets.get(&set.set.to_string())) {
        None => Change::New,
        Some(last) if last.root == set.root => Change::Unchanged,
        Some(last) => Change::Changed { records: set.count as i64 - last.count as i64 },
    }
}

/// Decides everything about a run.
pub(crate) fn prepare(
    store: &Store,
    request: &RunRequest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Prepared, EngineError> {
    let (profile, rules) = profile(request)?;
    let selectors = profile.select.resolve(request.now).map_err(invalid_profile)?;
    let ledger = store.ledger()?;
    let (id, epoch) = ledger.identity().map_err(EngineError::from)?;
    let ledger_id = format!("{id}.{epoch}");
    let head = ledger.head().map_err(EngineError::from)?;
    let feeds = ledger.feeds().map_err(EngineError::from)?;
    check_feeds(&selectors, &feeds)?;
    let codec = codec::codec(profile.level);
    let scan = Scan {
        ledger: &ledger,
        head,
        selectors: &selectors,
        profile: &profile,
        redaction: rules.digest(),
        codec: rfc8785::to_vec(&codec),
        progress,
        cancel,
    };
    let live = ledger.sets(head).map_err(EngineError::from)?;
    let scanned = scan.sets(&live)?;
    let broken = broken_floors(store, request, &profile, &selectors, &feeds, &live, &scanned);
    let sets: Vec<SetSummary> = scanned.into_iter().filter(|set| set.count > 0).collect();
    let mut warnings = Vec::new();
    let as_of = as_of(request, &sets, &broken, &mut warnings)?;
    let plan = RunPlan {
        as_of,
        codec,
        feeds: feed_entries(&feeds, &sets),
        format_version: FORMAT_VERSION,
        handling: profile.handling.clone(),
        outputs: outputs(&profile),
        partition: profile.partition,
        producer: PRODUCT_VERSION.to_owned(),
        profile: ProfileId { name: profile.name.clone(), revision: profile.revision() },
        redaction: RedactionId { digest: rules.digest(), name: rules.name().to_owned() },
        selectors: selectors.clone(),
        sets: sets.iter().map(SetSummary::entry).collect(),
        tenant: TenantId::local(),
    };
    Ok(Prepared {
        plan,
        profile,
        sets,
        rules,
        ledger_id,
        ledger,
        sequence: head.0,
        selectors,
        warnings,
        now: request.now,
        broken,
    })
}

impl Prepared {
    /// INV-EMPTY.
    pub(crate) fn check_floors(&self) -> Result<(), EngineError> {
        let Some(first) = self.broken.first() else { return Ok(()) };
        let all: Vec<String> = self.broken.iter().map(ToString::to_string).collect();
        let hint = match first {
            FloorBroken::FeedEmpty { sets, .. } if !sets.is_empty() => {
                let flags = sets.iter().map(|set| format!(" --allow-empty {set}"));
                format!("find out why; if it is meant:{}", flags.collect::<String>())
            }
            FloorBroken::NothingSelected => {
                "look at `stella feeds list` and at the selectors".to_owned()
            }
            _ => "find out why; if it is meant, name each set: --allow-empty KIND/FEED".to_owned(),
        };
        Err(EngineError::new(ErrorCode::Empty, all.join("; ")).hint(hint))
    }
}

/// The specs of all adapters, for reading profiles.
#[must_use]
pub fn adapter_specs() -> Vec<&'static AdapterSpec> {
    ADAPTERS.iter().map(|adapter| &adapter.spec).collect()
}

/// Reads a profile file without running it.
///
/// # Errors
/// [`EngineError`] if it cannot be read or is invalid.
pub fn read_profile(path: &Path) -> Result<Profile, EngineError> {
    let text = std::fs::read_to_string(path).map_err(|source| {
        let code = match source.kind() {
            std::io::ErrorKind::NotFound => ErrorCode::NotFound,
            _ => ErrorCode::Io,
        };
        EngineError::new(code, format!("cannot read the profile {}", path.display()))
            .because(source)
    })?;
    Profile::from_toml(&text, &adapter_specs()).map_err(|error| {
        let message = format!("the profile {} is invalid", path.display());
        EngineError::new(ErrorCode::Invalid, message).because(explained(error))
    })
}

/// A profile's error with the place in the file that TOML tells.
fn explained(error: stella_plan::ProfileError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

fn invalid_profile(error: stella_plan::ProfileError) -> EngineError {
    EngineError::new(ErrorCode::Invalid, "the profile is invalid").because(error)
}

fn profile(request: &RunRequest) -> Result<(Profile, RuleSet), EngineError> {
    let (mut profile, dir) = match &request.profile {
        ProfileSource::BuiltIn(name) => {
            let adapter = stella_pack::adapter(name).ok_or_else(|| no_such_profile(name))?;
            (Profile::built_in(&adapter.spec), None)
        }
        ProfileSource::File(path) => (read_profile(path)?, path.parent()),
    };
    let mut rules_dir = dir;
    if let Some(text) = &request.redaction {
        profile.redaction = match text.as_str() {
            "none" => RedactionChoice::None,
            "standard" => RedactionChoice::Standard,
            file => RedactionChoice::File(file.to_owned()),
        };
        rules_dir = None;
    }
    merge(&mut profile.select, &request.select);
    profile.allow_empty.extend(request.allow_empty.iter().cloned());
    let rules = match &profile.redaction {
        RedactionChoice::None => RuleSet::none(),
        RedactionChoice::Standard => RuleSet::standard(),
        RedactionChoice::File(file) => read_rules(&rules_dir.unwrap_or(Path::new("")).join(file))?,
    };
    Ok((profile, rules))
}

fn no_such_profile(name: &str) -> EngineError {
    let known: Vec<&str> = ADAPTERS.iter().map(|adapter| adapter.spec.id).collect();
    EngineError::new(ErrorCode::NotFound, format!("there is no profile `{name}`"))
        .hint(format!("built in are {}; or give the path of a .toml file", known.join(" and ")))
}

fn read_rules(path: &Path) -> Result<RuleSet, EngineError> {
    let text = std::fs::read_to_string(path).map_err(|source| {
        EngineError::new(
            ErrorCode::NotFound,
            format!("cannot read the redaction rules {}", path.display()),
        )
        .because(source)
    })?;
    RuleSet::from_toml(&text).map_err(|error| {
        EngineError::new(
            ErrorCode::Invalid,
            format!("the redaction rules {} are invalid", path.display()),
        )
        .because(error)
    })
}

fn merge(select: &mut Select, request: &Select) {
    fn replace<T: Clone + Ord>(
        into: &mut std::collections::BTreeSet<T>,
        from: &std::collections::BTreeSet<T>,
    ) {
        if !from.is_empty() {
            into.clone_from(from);
        }
    }
    replace(&mut select.kinds, &request.kinds);
    replace(&mut select.feeds, &request.feeds);
    replace(&mut select.ecosystems, &request.ecosystems);
    replace(&mut select.packages, &request.packages);
    replace(&mut select.ids, &request.ids);
    if request.modified_since.is_some() {
        select.modified_since.clone_from(&request.modified_since);
    }
    if request.severity.is_some() {
        select.severity = request.severity;
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

fn broken_floors(
    store: &Store,
    request: &RunRequest,
    profile: &Profile,
    selectors: &Selectors,
    feeds: &[FeedInfo],
    live: &[(SetKey, u64)],
    scanned: &[SetSummary],
) -> Vec<FloorBroken> {
    let held = |feed: &FeedInfo| {
        let set = |kind: &Kind| SetKey { kind: kind.clone(), feed: feed.name.clone() };
        (feed.name.clone(), feed.kinds.iter().map(set).collect())
    };
    let known: BTreeMap<FeedName, Vec<SetKey>> = feeds.iter().map(held).collect();
    let live = live.iter().map(|(set, _)| set.clone()).collect();
    let selected = scanned.iter().map(|set| (set.set.clone(), set.count)).collect();
    // A run that selects otherwise than the last one is not held against it.
    let comparable = profile.select == Select::default() || request.select == Select::default();
    let last = RunRecord::last(store, &profile.name).filter(|_| comparable);
    let last = last.into_iter().flat_map(|run| run.sets);
    let last = last.filter_map(|(set, record)| {
        let set: SetKey = set.parse().ok()?;
        selectors.admits_set(&set).then_some((set, record.count))
    });
    let floors = Floors {
        least: profile.floors.clone(),
        allow_empty: profile.allow_empty.clone(),
        last: last.collect(),
        max_drop_percent: profile.max_drop_percent,
    };
    floors.check(selectors, &known, &live, &selected)
}

fn as_of(
    request: &RunRequest,
    sets: &[SetSummary],
    broken: &[FloorBroken],
    warnings: &mut Vec<String>,
) -> Result<Instant, EngineError> {
    if let Some(as_of) = request.as_of {
        return Ok(as_of.to_seconds());
    }
    let newest = sets.iter().filter_map(|set| set.newest).max().map(Instant::to_seconds);
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
        options: BTreeMap::new(),
    };
    profile.outputs.iter().map(output).collect()
}

fn feed_entries(feeds: &[FeedInfo], sets: &[SetSummary]) -> Vec<FeedEntry> {
    let carried = |feed: &&FeedInfo| sets.iter().any(|set| set.set.feed == feed.name);
    let mut entries: Vec<FeedEntry> = feeds
        .iter()
        .filter(carried)
        .map(|feed| FeedEntry {
            attribution: feed.attribution.clone(),
            feed: feed.name.clone(),
            licence: feed.licence.clone(),
            publisher: feed.publisher.clone(),
            redistribution: feed.redistribution,
        })
        .collect();
    entries.sort_by(|a, b| a.feed.cmp(&b.feed));
    entries
}

/// The one pass over the ledger's index.
struct Scan<'a> {
    ledger: &'a SqliteLedger,
    head: Seq,
    selectors: &'a Selectors,
    profile: &'a Profile,
    redaction: Option<Digest>,
    codec: Vec<u8>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

/// Facets cost a second look-up, so they are read only for selectors that ask for them.
pub(crate) fn with_facets(selectors: &Selectors) -> WithFacets {
    if selectors.need_facets() { WithFacets::Yes } else { WithFacets::No }
}

/// How many rows go by between two looks at progress and cancellation.
const ROWS_PER_UPDATE: u64 = 4096;

impl Scan<'_> {
    /// Every admitted set in order, empty ones too.
    fn sets(&self, live: &[(SetKey, u64)]) -> Result<Vec<SetSummary>, EngineError> {
        let admitted: Vec<_> =
            live.iter().filter(|(set, _)| self.selectors.admits_set(set)).collect();
        let total = admitted.iter().map(|(_, count)| count).sum();
        let mut seen = 0;
        admitted.into_iter().map(|(set, _)| self.set(set, &mut seen, total)).collect()
    }

    fn set(&self, set: &SetKey, seen: &mut u64, total: u64) -> Result<SetSummary, EngineError> {
        let mut planned = SetPlan::new(
            set.clone(),
            &self.profile.partition,
            self.redaction.as_ref(),
            &self.codec,
        );
        let facets = with_facets(self.selectors);
        self.ledger
            .scan(self.head, set, &IdRange::ALL, facets, &mut |row| {
                *seen += 1;
                if *seen % ROWS_PER_UPDATE == 0 {
                    self.tell(*seen, total);
                    if self.cancel.is_set() {
                        return ControlFlow::Break(());
                    }
                }
                if self.selectors.admits(row.id.as_str(), row.modified, row.facets.as_ref()) {
                    planned.push(&row.id, &row.content_digest, row.size, row.modified);
                }
                ControlFlow::Continue(())
            })
            .map_err(EngineError::from)?;
        cancelled(self.cancel)?;
        Ok(planned.finish())
    }

    fn tell(&self, done: u64, total: u64) {
        self.progress.update(&StageUpdate {
            stage: Stage::Plan,
            done,
            total: Some(total),
            bytes: 0,
            unit: "records",
            finished: None,
        });
    }
}
