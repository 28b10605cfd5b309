//! Profiles: the recipe of a run, from a TOML file or a built-in name.
//!
//! ```toml
//! name = "nightly"
//! outputs = ["mirror:full", "trivy:db"]
//! redaction = "none"                 # none | standard | a rules file
//! max-drop = 50                      # percent of a set that may be gone since the last run
//! allow-empty = ["vex/acme"]
//!
//! [select]
//! kinds = ["advisory", "vex"]
//! feeds = ["npm", "pypi"]
//! modified-since = "30d"             # relative, or an RFC 3339 time
//! severity = "high"
//!
//! [floors]
//! "advisory/npm" = 100
//!
//! [partition]                        # bytes
//! min = 1048576
//! target = 4194304
//! max = 16777216
//!
//! [codec]
//! level = 3
//!
//! [trivy]                            # for the outputs trivy:*
//! precedence = ["acme-own", "ghsa"]  # who is believed first; the rest follow
//! vex-url = "https://vex.example"     # where trivy:vex will be served from
//!
//! [trivy.floors]                     # least packages with advisories
//! npm = 100
//!
//! [policy]                           # for the outputs trivy:*
//! version = "2026.11.1"
//! inputs-hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
//!
//! [handling]
//! classification = "OFFICIAL"
//! releasable-to = ["AUS", "NZL"]
//! max-tlp = "AMBER"
//! ```
//!
//! Unknown members are errors: a misspelt selector must not widen an export in silence.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stella_model::{Digest, FeedName, Instant, Kind, SetKey, rfc8785};
use stella_records::{Severity, purl};

use crate::policy::{PolicyVersion, inputs_hash};
use crate::{AdapterSpec, DefaultRedaction, Handling, Partition, Policy, Selectors};

/// Names that no profile may have, because they are verbs of `stella export`.
pub const RESERVED_NAMES: &[&str] = &[
    "cancel",
    "cat",
    "coverage",
    "decrypt",
    "diff",
    "download",
    "explain",
    "get",
    "help",
    "inspect",
    "list",
    "logs",
    "plan",
    "profile",
    "prove",
    "reproduce",
    "retry",
    "run",
    "start",
    "status",
    "verify",
    "verify-proof",
    "watch",
];

/// A recipe, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its outputs, sorted by adapter.
    pub outputs: Vec<&'static AdapterSpec>,
    /// Which records it takes, times still relative.
    pub select: Select,
    /// Which redaction it asks for.
    pub redaction: RedactionChoice,
    /// Where parts end.
    pub partition: Partition,
    /// zstd level.
    pub level: i32,
    /// Handling marks.
    pub handling: Option<Handling>,
    /// Least records per set.
    pub floors: BTreeMap<SetKey, u64>,
    /// Sets that may be empty.
    pub allow_empty: BTreeSet<SetKey>,
    /// Percent of a set that may be gone since the last run.
    pub max_drop_percent: u8,
    /// What it decides about outputs for Trivy.
    pub trivy: Trivy,
    /// The policy that the outputs for Trivy belong to.
    pub policy: Option<Policy>,
}

/// What a profile decides about outputs for Trivy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Trivy {
    /// Ids of data sources and names of feeds, the most believed first; those that are not named
    /// follow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub precedence: Vec<String>,
    /// Address from which the VEX repository will be served, without a slash at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vex_url: Option<String>,
    /// Least number of packages with advisories, by ecosystem or distribution. Decides no byte.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub floors: BTreeMap<String, u64>,
}

impl Trivy {
    /// What decides the bytes of an output, as the plan lists it.
    #[must_use]
    pub fn options(&self, adapter: &str) -> BTreeMap<String, String> {
        let precedence = (!self.precedence.is_empty()).then(|| self.precedence.join(","));
        let told = match adapter {
            "trivy:db" => vec![("precedence", precedence)],
            "trivy:vex" => vec![("precedence", precedence), ("vex-url", self.vex_url.clone())],
            _ => Vec::new(),
        };
        told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// Which redaction rules a run uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedactionChoice {
    /// No redaction.
    None,
    /// The built-in rules.
    Standard,
    /// Rules from a file, relative to the profile.
    File(String),
}

/// Selectors as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Select {
    /// Kinds.
    pub kinds: BTreeSet<Kind>,
    /// Feeds.
    pub feeds: BTreeSet<FeedName>,
    /// Ecosystems.
    pub ecosystems: BTreeSet<String>,
    /// Package URLs without version.
    pub packages: BTreeSet<String>,
    /// Ids or aliases.
    pub ids: BTreeSet<String>,
    /// `30d`, `12h`, or an RFC 3339 time.
    pub modified_since: Option<String>,
    /// Least severity.
    pub severity: Option<Severity>,
}

/// Why a profile is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, or a member that is unknown or of the wrong type.
    #[error("the profile cannot be read")]
    Syntax(#[source] toml::de::Error),
    /// A member has an unusable value.
    #[error("profile member `{member}`: {rule}")]
    Member {
        /// The path of the member.
        member: String,
        /// What it must be.
        rule: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    name: String,
    outputs: Vec<String>,
    #[serde(default)]
    select: Select,
    redaction: Option<String>,
    partition: Option<WrittenPartition>,
    codec: Option<WrittenCodec>,
    handling: Option<Handling>,
    #[serde(default)]
    floors: BTreeMap<String, u64>,
    #[serde(default)]
    allow_empty: Vec<String>,
    max_drop: Option<u8>,
    #[serde(default)]
    trivy: Trivy,
    policy: Option<WrittenPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenPolicy {
    version: Option<String>,
    inputs_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPartition {
    min: u64,
    target: u64,
    max: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCodec {
    level: i32,
}

/// Drop that is allowed when a profile does not say: half a set gone is a mistake somewhere.
const DEFAULT_MAX_DROP_PERCENT: u8 = 50;

/// zstd level when a profile does not say.
pub const DEFAULT_LEVEL: i32 = 3;

fn member(member: impl Into<String>, rule: impl Into<String>) -> ProfileError {
    ProfileError::Member { member: member.into(), rule: rule.into() }
}

impl Profile {
    /// The built-in profile with one adapter as its only output.
    #[must_use]
    pub fn built_in(adapter: &'static AdapterSpec) -> Profile {
        Profile {
            name: adapter.id.to_owned(),
            redaction: default_redaction(adapter),
            outputs: vec![adapter],
            select: Select {
                kinds: adapter.kinds.iter().filter_map(|kind| Kind::new(kind).ok()).collect(),
                ..Select::default()
            },
            partition: Partition::DEFAULT,
            level: DEFAULT_LEVEL,
            handling: None,
            floors: BTreeMap::new(),
            allow_empty: BTreeSet::new(),
            max_drop_percent: DEFAULT_MAX_DROP_PERCENT,
            trivy: Trivy::default(),
            policy: None,
        }
    }

    /// Reads a profile from TOML.
    ///
    /// # Errors
    /// [`ProfileError`] names the member and what it must be.
    pub fn from_toml(
        text: &str,
        adapters: &[&'static AdapterSpec],
    ) -> Result<Profile, ProfileError> {
        let written: Written = toml::from_str(text).map_err(ProfileError::Syntax)?;
        check_name(&written.name)?;
        let outputs = outputs(&written.outputs, adapters)?;
        let redaction = match written.redaction.as_deref() {
            Some("none") => RedactionChoice::None,
            Some("standard") => RedactionChoice::Standard,
            Some(file) => RedactionChoice::File(file.to_owned()),
            None => common_redaction(&outputs)?,
        };
        let partition = match &written.partition {
            Some(p) => Partition::new(p.min, p.target, p.max)
                .map_err(|error| member("partition", error.to_string()))?,
            None => Partition::DEFAULT,
        };
        let level = written.codec.map_or(DEFAULT_LEVEL, |codec| codec.level);
        if !(1..=19).contains(&level) {
            return Err(member("codec.level", "must be 1 to 19"));
        }
        let max_drop_percent = written.max_drop.unwrap_or(DEFAULT_MAX_DROP_PERCENT);
        if max_drop_percent > 100 {
            return Err(member("max-drop", "must be 0 to 100 percent"));
        }
        let set = |name: &'static str, text: &str| -> Result<SetKey, ProfileError> {
            text.parse().map_err(|error: stella_model::NameError| member(name, error.to_string()))
        };
        let named = |id: &String| !id.is_empty() && !id.contains(',');
        if !written.trivy.precedence.iter().all(named) {
            return Err(member(
                "trivy.precedence",
                "must be ids of data sources or names of feeds, without commas",
            ));
        }
        if !written.trivy.vex_url.as_deref().is_none_or(is_address) {
            return Err(member(
                "trivy.vex-url",
                "must be an http or https address such as https://vex.example",
            ));
        }
        let floors = written.floors.iter().map(|(key, least)| Ok((set("floors", key)?, *least)));
        let allow_empty = written.allow_empty.iter().map(|key| set("allow-empty", key));
        let policy = written.policy.map(policy).transpose()?;
        let profile = Profile {
            name: written.name,
            outputs,
            select: written.select,
            redaction,
            partition,
            level,
            handling: written.handling,
            floors: floors.collect::<Result<_, ProfileError>>()?,
            allow_empty: allow_empty.collect::<Result<_, _>>()?,
            max_drop_percent,
            trivy: written.trivy,
            policy,
        };
        profile.check_policy()?;
        Ok(profile)
    }

    /// Whether a policy is named for outputs that belong to one.
    ///
    /// # Errors
    /// [`ProfileError::Member`] if there is none among them.
    pub fn check_policy(&self) -> Result<(), ProfileError> {
        let mut outputs = self.outputs.iter();
        if self.policy.is_none() || outputs.any(|adapter| adapter.id.starts_with("trivy:")) {
            return Ok(());
        }
        let outputs: Vec<&str> = self.outputs.iter().map(|adapter| adapter.id).collect();
        let rule = format!("is only for outputs trivy:*, not for {}", outputs.join(" and "));
        Err(member("policy", rule))
    }

    /// Digest of the members that decide bytes: floors and drop alarms do not, nor does the name.
    #[must_use]
    pub fn revision(&self) -> Digest {
        self.digest_with(self.policy.as_ref())
    }

    /// The revision whatever the policy: runs that differ in nothing else select alike, and are
    /// held against each other.
    #[must_use]
    pub fn revision_without_policy(&self) -> Digest {
        self.digest_with(None)
    }

    fn digest_with(&self, policy: Option<&Policy>) -> Digest {
        #[derive(Serialize)]
        struct Revision<'a> {
            handling: &'a Option<Handling>,
            level: i32,
            outputs: Vec<&'a str>,
            partition: &'a Partition,
            #[serde(skip_serializing_if = "Option::is_none")]
            policy: Option<&'a Policy>,
            redaction: &'a str,
            select: &'a Select,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            trivy: Vec<(&'a str, BTreeMap<String, String>)>,
        }
        Digest::of(&rfc8785::to_vec(&Revision {
            handling: &self.handling,
            level: self.level,
            outputs: self.outputs.iter().map(|adapter| adapter.id).collect(),
            partition: &self.partition,
            policy,
            redaction: match self.redaction {
                RedactionChoice::None => "none",
                RedactionChoice::Standard => "standard",
                // The plan has the digest of the rules; where their file lies decides no byte.
                RedactionChoice::File(_) => "file",
            },
            select: &self.select,
            trivy: self
                .outputs
                .iter()
                .map(|adapter| (adapter.id, self.trivy.options(adapter.id)))
                .filter(|(_, options)| !options.is_empty())
                .collect(),
        }))
    }
}

/// A policy as a profile writes it.
fn policy(written: WrittenPolicy) -> Result<Policy, ProfileError> {
    let version = written.version.ok_or_else(|| {
        member("policy.version", "must be there: a hash of inputs alone names no policy")
    })?;
    let policy_version: PolicyVersion =
        version.parse().map_err(|error: crate::policy::PolicyVersionError| {
            member("policy.version", error.to_string())
        })?;
    let inputs_hash = written.inputs_hash.as_deref().map(inputs_hash).transpose();
    let inputs_hash =
        inputs_hash.map_err(|rule| member("policy.inputs-hash", format!("must be {rule}")))?;
    Ok(Policy { inputs_hash, policy_version })
}

impl Select {
    /// Makes relative times absolute; `now` is the time of planning.
    ///
    /// # Errors
    /// [`ProfileError::Member`] if `modified-since` is neither a duration nor a time, a kind is not
    /// known, or an ecosystem, package or id is empty.
    pub fn resolve(&self, now: Instant) -> Result<Selectors, ProfileError> {
        let modified_since =
            self.modified_since.as_deref().map(|text| since(text, now)).transpose()?;
        for (name, values) in
            [("ecosystems", &self.ecosystems), ("packages", &self.packages), ("ids", &self.ids)]
        {
            if values.contains("") {
                return Err(member(format!("select.{name}"), "must not be empty"));
            }
        }
        // A ledger holds no other kinds: one that nobody knows is misspelt.
        if let Some(kind) = self.kinds.iter().find(|kind| !kind.is_known()) {
            let rule = format!("`{kind}` is none of {}", Kind::KNOWN.join(", "));
            return Err(member("select.kinds", rule));
        }
        Ok(Selectors {
            ecosystems: self.ecosystems.clone(),
            feeds: self.feeds.clone(),
            ids: self.ids.clone(),
            kinds: self.kinds.clone(),
            modified_since,
            packages: self.packages.iter().map(|text| package(text)).collect::<Result<_, _>>()?,
            severity: self.severity,
        })
    }
}

/// Whether a text is an address that stands for itself in YAML and before a path.
fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-._~/:@%+[]".contains(&c);
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.contains("//")
            && !rest.ends_with(['/', ':'])
            && rest.bytes().all(plain)
    })
}

/// A package as facets name it: a package URL in its normal form, or `ecosystem/name`.
fn package(text: &str) -> Result<String, ProfileError> {
    let refused = |rule: &str| Err(member("select.packages", format!("`{text}` {rule}")));
    let Some(package) = purl::package(text) else {
        if text.starts_with("pkg:") || !text.contains('/') {
            return refused("is neither a package URL such as pkg:npm/lodash nor ecosystem/name");
        }
        return Ok(text.to_owned());
    };
    // A version that is not looked at would select more than it says.
    if text.contains(['?', '#']) || text.rsplit('/').next().is_some_and(|name| name.contains('@')) {
        return refused("has a version, qualifiers or subpath: a selector names the package alone");
    }
    Ok(package.into_owned())
}

fn since(text: &str, now: Instant) -> Result<Instant, ProfileError> {
    if let Ok(instant) = Instant::parse(text) {
        return Ok(instant);
    }
    let seconds = seconds(text).and_then(|age| now.unix_seconds().checked_sub_unsigned(age));
    seconds.and_then(Instant::from_unix_seconds).ok_or_else(|| {
        member("select.modified-since", "must be an RFC 3339 time or an age such as 36h, 30d or 4w")
    })
}

/// Seconds of an age such as `90s`, `15m`, `36h`, `30d` or `4w`.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 7 * 86_400,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(unit)
}

fn check_name(name: &str) -> Result<(), ProfileError> {
    let shape = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':'));
    if !shape {
        return Err(member(
            "name",
            "must be 1 to 64 characters of a-z, 0-9, '-', '_', '.' and ':', the first a letter",
        ));
    }
    if RESERVED_NAMES.contains(&name) {
        return Err(member("name", format!("`{name}` is a command of stella export")));
    }
    Ok(())
}

fn outputs(
    names: &[String],
    adapters: &[&'static AdapterSpec],
) -> Result<Vec<&'static AdapterSpec>, ProfileError> {
    let find = |name: &String| {
        let known = || adapters.iter().map(|adapter| adapter.id).collect::<Vec<_>>().join(", ");
        let found = adapters.iter().find(|adapter| adapter.id == name);
        found.copied().ok_or_else(|| {
            member("outputs", format!("`{name}` is no adapter; there are {}", known()))
        })
    };
    let mut outputs = names.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    outputs.sort_by_key(|adapter| adapter.id);
    if outputs.is_empty() || outputs.windows(2).any(|two| two[0].id == two[1].id) {
        return Err(member("outputs", "must name at least one adapter, each once"));
    }
    Ok(outputs)
}

fn default_redaction(adapter: &AdapterSpec) -> RedactionChoice {
    match adapter.default_redaction {
        DefaultRedaction::None => RedactionChoice::None,
        DefaultRedaction::Standard => RedactionChoice::Standard,
    }
}

/// The redaction that all outputs ask for; one run has one (FORMATS "One run, several outputs").
fn common_redaction(outputs: &[&'static AdapterSpec]) -> Result<RedactionChoice, ProfileError> {
    let mut wanted = outputs.iter().map(|adapter| default_redaction(adapter));
    let first = wanted.next().unwrap_or(RedactionChoice::None);
    if wanted.all(|other| other == first) {
        return Ok(first);
    }
    let names: Vec<&str> = outputs.iter().map(|adapter| adapter.id).collect();
    Err(member(
        "redaction",
        format!(
            "{} differ in their default, so the profile must say `none`, `standard` or a file",
            names.join(" and ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: AdapterSpec = AdapterSpec {
        id: "json:raw",
        version: 1,
        about: "",
        default_redaction: DefaultRedaction::Standard,
        importable: false,
        kinds: &[],
    };
    const MIRROR: AdapterSpec = AdapterSpec {
        id: "mirror:full",
        version: 1,
        about: "",
        default_redaction: DefaultRedaction::None,
        importable: true,
        kinds: &[],
    };
    const DATABASE: AdapterSpec = AdapterSpec { id: "trivy:db", importable: false, ..MIRROR };

    fn read(text: &str) -> Result<Profile, String> {
        use std::error::Error as _;
        Profile::from_toml(text, &[&RAW, &MIRROR, &DATABASE]).map_err(|error| {
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{error} {source}")
        })
    }

    #[test]
    fn the_example_of_the_module_reads() {
        let text: String = include_str!("profile.rs")
            .lines()
            .skip_while(|line| !line.contains("```toml"))
            .skip(1)
            .take_while(|line| !line.contains("```"))
            .map(|line| line.trim_start_matches("//!").trim_start().to_owned() + "\n")
            .collect();
        let profile = read(&text).expect("the example is valid");
        assert_eq!(profile.name, "nightly");
        assert_eq!(profile.select.severity, Some(Severity::High));
        assert_eq!(profile.floors.len() + profile.allow_empty.len(), 2);
        assert_eq!(profile.handling.map(|h| h.releasable_to.len()), Some(2));
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("name='x'\noutputs=['json:raw']\ncolour='red'", "unknown field `colour`"),
            ("name='x'\noutputs=['json:raw']\n[select]\nkind=['vex']", "unknown field `kind`"),
            (
                "name='x'\noutputs=['json:best']",
                "`json:best` is no adapter; there are json:raw, mirror:full, trivy:db",
            ),
            ("name='x'\noutputs=[]", "at least one adapter"),
            ("name='verify'\noutputs=['json:raw']", "`verify` is a command"),
            ("name='X y'\noutputs=['json:raw']", "profile member `name`"),
            ("name='x'\noutputs=['json:raw','mirror:full']", "differ in their default"),
            (
                "name='x'\noutputs=['json:raw']\n[partition]\nmin=4\ntarget=2\nmax=9",
                "0 < min < target",
            ),
            ("name='x'\noutputs=['json:raw']\n[codec]\nlevel=99", "1 to 19"),
            ("name='x'\noutputs=['json:raw']\nallow-empty=['vex']", "KIND/FEED"),
            ("name='x'\noutputs=['json:raw']\nmax-drop=101", "0 to 100"),
            ("name='x'\noutputs=['json:raw']\n[trivy]\nvex-url='ftp://x'", "trivy.vex-url"),
            ("name='x'\noutputs=['json:raw']\n[trivy]\nvex-url='https://x/a//b'", "trivy.vex-url"),
            ("name='x'\noutputs=['json:raw']\n[trivy]\nvex-url='https://x: y'", "trivy.vex-url"),
            ("name='x'\noutputs=['json:raw']\n[policy]\nversion='7'", "not for json:raw"),
            ("name='x'\noutputs=['trivy:db']\n[policy]\nversion='a b'", "policy.version"),
            ("name='x'\noutputs=['trivy:db']\n[policy]\ninputs-hash=''", "policy.version"),
            (
                "name='x'\noutputs=['trivy:db']\n[policy]\nversion='7'\ninputs-hash='ab'",
                "policy.inputs-hash",
            ),
            ("name='x'\noutputs=['trivy:db']\n[policy]\nhash='ab'", "unknown field `hash`"),
        ];
        for (text, expected) in cases {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_revision_covers_what_decides_bytes_and_only_that() {
        let base = read("name='x'\noutputs=['json:raw']").expect("valid").revision();
        let same = "name='y'\noutputs=['json:raw']\nmax-drop=9\n[floors]\n'vex/a'=1";
        assert_eq!(read(same).expect("valid").revision(), base);
        for other in ["redaction='none'", "[codec]\nlevel=4", "[select]\nkinds=['vex']"] {
            let text = format!("name='x'\noutputs=['json:raw']\n{other}");
            assert_ne!(read(&text).expect("valid").revision(), base, "{other}");
        }
    }

    #[test]
    fn a_policy_is_part_of_the_revision_and_not_of_what_runs_are_compared_by() {
        let of = |policy: &str| {
            read(&format!("name='x'\noutputs=['trivy:db']\n{policy}")).expect("valid")
        };
        let hash = Digest::EMPTY;
        let profiles = [
            of(""),
            of("[policy]\nversion='7'"),
            of("[policy]\nversion='8'"),
            of(&format!("[policy]\nversion='8'\ninputs-hash='sha256:{hash}'")),
        ];
        let revisions: BTreeSet<Digest> = profiles.iter().map(Profile::revision).collect();
        assert_eq!(revisions.len(), profiles.len());
        let alike: BTreeSet<Digest> =
            profiles.iter().map(Profile::revision_without_policy).collect();
        assert_eq!(alike, BTreeSet::from([profiles[0].revision()]));
        assert_eq!(profiles[3].policy.as_ref().and_then(|policy| policy.inputs_hash), Some(hash));
    }

    #[test]
    fn packages_are_named_as_facets_name_them() {
        let now = Instant::from_unix_seconds(0).expect("a time");
        let resolve = |text: &str| {
            let select = Select { packages: [text.to_owned()].into(), ..Select::default() };
            select.resolve(now).map(|s| s.packages.into_iter().next().expect("one"))
        };
        assert_eq!(resolve("pkg:npm/lodash").expect("a purl"), "pkg:npm/lodash");
        assert_eq!(resolve("pkg:npm/@babel/core").expect("a purl"), "pkg:npm/%40babel/core");
        assert_eq!(resolve("pkg:PyPI/Django_X").expect("a purl"), "pkg:pypi/django-x");
        assert_eq!(resolve("npm/lodash").expect("a name"), "npm/lodash");
        for bad in ["", "lodash", "pkg:", "pkg:npm/lodash@4.17.20", "pkg:npm/lodash?a=b"] {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_that_nobody_knows_are_refused() {
        let select =
            |kind: &str| Select { kinds: kind.parse().into_iter().collect(), ..Select::default() };
        let now = Instant::from_unix_seconds(0).expect("a time");
        assert!(Kind::KNOWN.iter().all(|kind| select(kind).resolve(now).is_ok()));
        let error = select("advisry").resolve(now).expect_err("is misspelt").to_string();
        assert!(error.contains("`advisry` is none of advisory, vex"), "{error}");
    }

    #[test]
    fn ages_become_times() {
        let now = Instant::parse("2026-11-23T12:00:00Z").expect("a time");
        let resolve = |text: &str| {
            let select = Select { modified_since: Some(text.into()), ..Select::default() };
            select.resolve(now).map(|s| s.modified_since.expect("set").to_string())
        };
        assert_eq!(resolve("36h").expect("an age"), "2026-11-22T00:00:00Z");
        assert_eq!(resolve("2w").expect("an age"), "2026-11-09T12:00:00Z");
        assert_eq!(resolve("2026-01-01").expect("a date"), "2026-01-01T00:00:00Z");
        for bad in ["", "d", "5", "-5d", "5y", "99999999999999999w"] {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }
}
