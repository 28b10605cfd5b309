//! `export verify`, `inspect`, `coverage`, `diff`, `cat`, `prove`, `verify-proof`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use stella_model::{FeedName, Kind, RecordId};

use super::values;

/// Arguments of `export verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --key the trusted keys of the store count (see stella trust). A key found inside \
                        the bundle proves nothing and is refused.\n\nExamples:\n  \
                        stella export verify out/raw --key release.pub\n  \
                        stella export verify mirror.tar --key release.pub --max-age 7d --report report.json\n  \
                        stella export verify out/db --key release.pub --scanner /usr/bin/trivy"
)]
pub(crate) struct VerifyArgs {
    /// The bundle: a folder or a tar file
    pub(crate) bundle: PathBuf,

    /// A public key to believe, as PEM (repeatable)
    #[arg(long = "key", value_name = "PUB")]
    pub(crate) keys: Vec<PathBuf>,

    /// Fail (exit 11) if the bundle's asOf is older than this, such as 7d
    #[arg(long, value_name = "AGE", value_parser = values::age)]
    pub(crate) max_age: Option<Duration>,

    /// Also bring every document to canonical form again
    #[arg(long)]
    pub(crate) deep: bool,

    /// Accept a bundle that nobody signed
    #[arg(long)]
    pub(crate) allow_unsigned_for_testing: bool,

    /// Also let this Trivy find what the database of the bundle says
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) scanner: Option<PathBuf>,

    /// Most time for one scan, such as 5m
    #[arg(long, value_name = "TIME", value_parser = values::age, default_value = "2m", requires = "scanner")]
    pub(crate) scanner_timeout: Duration,

    /// Also write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// Arguments of `export inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The bundle: a folder or a tar file
    pub(crate) bundle: PathBuf,
}

/// Arguments of `export coverage`.
#[derive(Debug, Args)]
#[command(
    // The paths of SBOMs go on to the end: what comes behind them is one.
    override_usage = "stella export coverage [OPTIONS] <BUNDLE> --sbom <PATH>...",
    after_help = "Exits 10 if anything is absent: the scanner then finds nothing of it, whatever there is.\n\nExamples:\n  \
                        stella export coverage out/db --sbom sboms/\n  \
                        stella export coverage out/db --sbom a.cdx.json b.spdx.json --strict -o json"
)]
pub(crate) struct CoverageArgs {
    /// The bundle: a folder or a tar file
    pub(crate) bundle: PathBuf,

    /// SBOMs in CycloneDX or SPDX: files, folders, archives; - is standard input
    #[arg(long = "sbom", value_name = "PATH", num_args = 1.., required = true)]
    pub(crate) sboms: Vec<PathBuf>,

    /// Exit 10 also if anything is covered in part, or a document is no SBOM that can be read
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Arguments of `export diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The older bundle
    pub(crate) from: PathBuf,
    /// The newer bundle
    pub(crate) to: PathBuf,
}

/// Arguments of `export cat`.
#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    /// The bundle: a folder or a tar file
    pub(crate) bundle: PathBuf,
    /// Only this kind
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<Kind>,
    /// Only this feed
    #[arg(long, value_name = "FEED")]
    pub(crate) feed: Option<FeedName>,
    /// Only this record id
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<RecordId>,
}

/// Arguments of `export prove`.
#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The bundle: a folder or a tar file
    pub(crate) bundle: PathBuf,
    /// The kind, such as advisory
    pub(crate) kind: Kind,
    /// The feed
    pub(crate) feed: FeedName,
    /// The record id
    pub(crate) id: RecordId,
    /// File to write the proof to [default: standard output]
    #[arg(short = 'd', long = "dest", value_name = "FILE")]
    pub(crate) dest: Option<PathBuf>,
    /// Also prove absence where the bundle holds nothing of this kind and feed
    #[arg(long)]
    pub(crate) allow_missing_set: bool,
}

/// Arguments of `export verify-proof`.
#[derive(Debug, Args)]
pub(crate) struct VerifyProofArgs {
    /// The proof; - is standard input
    pub(crate) proof: PathBuf,
    /// export.json of the bundle, with its signatures beside it, or the bundle
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    /// A public key to believe, as PEM (repeatable)
    #[arg(long = "key", value_name = "PUB")]
    pub(crate) keys: Vec<PathBuf>,
}
