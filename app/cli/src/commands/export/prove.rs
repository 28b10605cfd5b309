//! `export prove` and `export verify-proof`: whether a record is in a bundle, without the bundle.

use std::io::{self, IsTerminal as _};

use stella_engine::{MissingSet, ProveRequest, VerifyProofRequest};
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_verify::proof::{ProofReport, Proven};

use super::super::{Exit, files, value};
use super::{checks, dest};
use crate::args::{Format, ProveArgs, VerifyProofArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page};

/// Writes the proof: exactly the bytes of its file.
pub(crate) fn prove(args: ProveArgs, context: &Context) -> Result<Exit, Failure> {
    super::is_bundle(&args.bundle)?;
    has_one_form(context.out.format)?;
    if let Some(dest) = &args.dest {
        dest::refuse_inside_bundle_or_store(dest, context)?;
    }
    let request = ProveRequest {
        path: args.bundle,
        kind: args.kind,
        feed: args.feed,
        id: args.id,
        missing_set: match args.allow_missing_set {
            true => MissingSet::ProvesAbsence,
            false => MissingSet::Refuse,
        },
    };
    let proof = stella_engine::prove(&request)?;
    let bytes = proof.to_bytes();
    match &args.dest {
        Some(path) => files::write_new(path, &bytes)?,
        None => {
            context.out.raw(&bytes)?;
            if io::stdout().is_terminal() {
                // The proof has no line end; whoever looks at it gets one.
                context.out.raw(b"\n")?;
            }
        }
    }
    let is_present = proof.leaves.iter().any(|leaf| leaf.id == proof.id);
    let word = if is_present { "is" } else { "is not" };
    let why = match (is_present, proof.count) {
        (true, _) => "",
        (false, 0) => ", which holds nothing of this kind and feed",
        (false, _) => ", at least not under this id: aliases do not count",
    };
    let set = format!("{}/{}", proof.kind, proof.feed);
    context.note(&format!(
        "The proof says that {set} {} {word} in the bundle{why}. It is worth something once checked: \
         stella export verify-proof",
        Safe(proof.id.as_str())
    ));
    Ok(Exit::Done)
}

/// A proof is checked as the bytes that it is, so that it has no other form.
fn has_one_form(format: Format) -> Result<(), Failure> {
    if let Format::Table | Format::Json | Format::Jsonl = format {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::Usage, "a proof has no form but JSON").hint("leave -o out"))
}

/// Checks a proof against a signed manifest.
pub(crate) fn verify(args: VerifyProofArgs, context: &Context) -> Result<Exit, Failure> {
    let store = args.keys.is_empty().then_some(&context.store);
    let request =
        VerifyProofRequest { proof: args.proof, manifest: args.manifest, keys: args.keys, store };
    let report = stella_engine::verify_proof(&request)?;
    let mut page = Page::one("ProofReport", item(&report)?).table(checks::table(&report.report));
    let problems = checks::problems(&report.report, context.out.paint);
    if !problems.is_empty() {
        page = page.text(problems);
    }
    context.print(&page.text(verdict(&report)))?;
    match checks::failure(&report.report, "the proof") {
        Some(failure) => Err(failure),
        None => Ok(Exit::Done),
    }
}

fn item(report: &ProofReport) -> Result<Item, Failure> {
    let id = report.record.as_ref().map(|record| record.id.to_string()).unwrap_or_default();
    Ok(Item { name: id.clone(), id, value: value(report)? })
}

fn verdict(report: &ProofReport) -> String {
    let numbers = checks::numbers(&report.report);
    let (Some(record), Some(proven), true) =
        (&report.record, &report.proven, report.report.verified)
    else {
        return format!("\nNothing is proven. {numbers}.");
    };
    let name = format!("{}/{} {}", record.kind, record.feed, Safe(record.id.as_str()));
    match proven {
        Proven::Presence { content_digest } => {
            format!("\nProven: {name} is in the bundle, as sha256:{content_digest}. {numbers}.")
        }
        Proven::Absence => {
            format!("\nProven: {name} is not in the bundle; aliases do not count. {numbers}.")
        }
    }
}
