//! `export plan`, `export run`, `export profile`, and the verbs that read bundles.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use stella_keys::KeyName;
use stella_model::{Digest, FeedName, Instant, Kind, SetKey};
use stella_plan::PolicyVersion;

use super::values;
use super::{
    CancelArgs, CatArgs, CoverageArgs, DiffArgs, DownloadArgs, DownloadTrust, InspectArgs,
    PasswordArgs, ProveArgs, RetryArgs, RunId, StatusArgs, VerifyArgs, VerifyProofArgs,
};

/// Verbs of `export`.
#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// Show what a run would do, and write nothing
    Plan(Box<PlanArgs>),
    /// Make a bundle
    Run(Box<RunArgs>),
    /// Runs of a server, or one of them
    Status(StatusArgs),
    /// Tell what happens to a run of a server until it ends
    Watch(RunId),
    /// Stop a run of a server
    Cancel(CancelArgs),
    /// Do the same again as a run of a server did
    Retry(RetryArgs),
    /// Fetch the bundle of a run of a server, verified
    Download(Box<DownloadArgs>),
    /// Check a bundle against a public key
    Verify(VerifyArgs),
    /// Show what a bundle says of itself; needs no key and proves nothing
    Inspect(InspectArgs),
    /// Say which SBOMs would be scanned blind (exit 10 if any)
    Coverage(CoverageArgs),
    /// Say which records two bundles differ in (exit 10 if they do)
    Diff(DiffArgs),
    /// Print records of a bundle
    Cat(CatArgs),
    /// Prove that a record is in a bundle, or that it is not
    Prove(ProveArgs),
    /// Check a proof against a signed manifest
    VerifyProof(VerifyProofArgs),
    /// Profiles: what can be exported
    #[command(subcommand)]
    Profile(ProfileCommand),
}

/// Arguments of `export plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// A built-in profile such as json:raw, a TOML file, or a profile of the tenant of a server
    pub(crate) profile: String,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

/// What decides the bytes of a run beside the profile.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScopeArgs {
    /// The time the bundle speaks of [default: the newest revision time selected]
    #[arg(long, value_name = "TIME", value_parser = values::instant)]
    pub(crate) as_of: Option<Instant>,

    /// Redaction: none, standard or a rules file [default: as the profile says]
    #[arg(long, value_name = "none|standard|FILE", value_parser = values::text)]
    pub(crate) redaction: Option<String>,

    /// Version of the policy that an output for Trivy belongs to [default: as the profile says]
    #[arg(long, value_name = "VERSION")]
    pub(crate) policy_version: Option<PolicyVersion>,

    /// SHA-256 of everything that this policy was evaluated over
    #[arg(long, value_name = "SHA256", value_parser = values::sha256)]
    pub(crate) policy_inputs_hash: Option<Digest>,

    /// A set that may be empty (repeatable)
    #[arg(long, value_name = "KIND/FEED", value_parser = values::set)]
    pub(crate) allow_empty: Vec<SetKey>,

    /// Accept that far less is there than in the last run
    #[arg(long, requires = "reason")]
    pub(crate) accept_drop: bool,

    /// Why that is right
    #[arg(long, value_name = "TEXT", requires = "accept_drop", value_parser = values::text)]
    pub(crate) reason: Option<String>,
}

/// Which records are taken. Different flags must all hold; values of one flag are alternatives.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selectors")]
pub(crate) struct SelectArgs {
    /// Only these kinds (repeatable, or separated by commas)
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    pub(crate) kinds: Vec<Kind>,

    /// Only these feeds
    #[arg(long = "feed", value_name = "FEED", value_delimiter = ',')]
    pub(crate) feeds: Vec<FeedName>,

    /// Only these ecosystems, such as npm or Debian:12
    #[arg(long = "ecosystem", value_name = "NAME", value_delimiter = ',', value_parser = values::text)]
    pub(crate) ecosystems: Vec<String>,

    /// Only these packages, as package URL without version, such as pkg:npm/lodash
    #[arg(long = "package", value_name = "PURL", value_parser = values::text)]
    pub(crate) packages: Vec<String>,

    /// Only these ids or aliases, such as CVE-2021-44228
    #[arg(long = "id", value_name = "ID", value_parser = values::text)]
    pub(crate) ids: Vec<String>,

    /// Only records revised since then: a time, or an age such as 30d
    #[arg(long, value_name = "TIME|AGE", value_parser = values::since)]
    pub(crate) modified_since: Option<String>,

    /// Only records of this severity or worse
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) severity: Option<Severity>,
}

/// Severities, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Severity {
    /// CVSS 0
    None,
    /// CVSS 0.1 to 3.9
    Low,
    /// CVSS 4.0 to 6.9
    Medium,
    /// CVSS 7.0 to 8.9
    High,
    /// CVSS 9.0 to 10.0
    Critical,
}

/// Arguments of `export run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stella export run json:raw -d out/raw\n  \
                        stella export run mirror:full --carrier tar -d mirror.tar --key release\n  \
                        stella export run json:raw -d out/npm --ecosystem npm --severity high")]
pub(crate) struct RunArgs {
    /// A built-in profile such as json:raw, a TOML file, or a profile of the tenant of a server
    pub(crate) profile: String,

    /// The bundle itself: a folder, or with --carrier tar a file; a server need not be told
    #[arg(short = 'd', long = "dest", value_name = "PATH")]
    pub(crate) dest: Option<PathBuf>,

    /// With a server: tell what happens until the run ends
    #[arg(long)]
    pub(crate) watch: bool,

    /// With a server: wait for the bundle and fetch it [default: to RUN.PROFILE here]
    #[arg(long)]
    pub(crate) download: bool,

    #[command(flatten)]
    pub(crate) trust: DownloadTrust,

    /// What carries the bundle
    #[arg(long, value_enum, default_value = "dir")]
    pub(crate) carrier: Carrier,

    /// Replace another bundle at the destination
    #[arg(long)]
    pub(crate) replace: bool,

    #[command(flatten)]
    pub(crate) signing: SigningArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,

    /// Most bytes of finished parts that the store keeps for later runs, such as 10GiB
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) cache_size: Option<u64>,

    #[command(flatten)]
    pub(crate) select: SelectArgs,
}

/// Who signs.
#[derive(Debug, Args)]
pub(crate) struct SigningArgs {
    /// Sign with this key of the store [default: its only key]
    #[arg(long, value_name = "NAME", conflicts_with = "unsigned_for_testing")]
    pub(crate) key: Option<KeyName>,

    #[command(flatten)]
    pub(crate) password: PasswordArgs,

    /// Write a bundle that nobody can trust
    #[arg(long)]
    pub(crate) unsigned_for_testing: bool,
}

/// What carries a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Carrier {
    /// A folder
    Dir,
    /// One deterministic tar file
    Tar,
}

/// Verbs of `export profile`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// List the profiles: those that are built in, and those of the tenant of a server
    #[command(visible_alias = "ls")]
    List,
    /// Show a profile as TOML
    Show {
        /// A built-in profile such as json:raw, a TOML file, or a profile of the tenant of a server
        profile: String,
    },
    /// Check a profile without running it
    Validate {
        /// The TOML file
        #[arg(short = 'f', long = "file", value_name = "FILE")]
        file: PathBuf,
    },
    /// Make a file a profile of the tenant of a server, or the next revision of the one of its name
    Apply {
        /// The TOML file
        #[arg(short = 'f', long = "file", value_name = "FILE")]
        file: PathBuf,
        /// Let the server judge it, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show every revision of a profile of the tenant of a server
    History {
        /// The profile
        profile: String,
    },
    /// Delete a profile of the tenant of a server; its revisions stay for the runs made of them
    Delete {
        /// The profile
        profile: String,
    },
}
