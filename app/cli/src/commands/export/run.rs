//! `export run`: makes a bundle.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use stella_engine::{ExportRequest, RunReport, Signing};
use stella_model::ErrorCode;
use stella_model::screen::Safe;

use super::super::{Exit, value};
use super::dest;
use super::request::request;
use crate::args::{Carrier, RunArgs, SigningArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page, human, shell};

/// Makes the bundle and prints what it is.
pub(crate) fn run(args: RunArgs, context: &Context) -> Result<Exit, Failure> {
    if args.watch || args.download {
        let message = "--watch and --download are for runs of a server, and none is named";
        return Err(Failure::new(ErrorCode::Usage, message)
            .hint("give --server URL, or leave them out and name the bundle with -d"));
    }
    let dest = args.dest.clone().ok_or_else(|| {
        Failure::new(ErrorCode::Usage, "the bundle has no place to be made at")
            .hint("name the folder or tar file to make: -d ./bundle")
    })?;
    if dest.as_os_str() == "-" {
        let failure = Failure::new(ErrorCode::Usage, "a bundle is not written to standard output");
        return Err(failure.hint("name the folder or tar file to make: -d ./bundle"));
    }
    // What is at the destination itself is looked at by the engine.
    dest::refuse_inside_bundle_or_store(&dest, context)?;
    warn_of_tar_name(&dest, args.carrier, context);
    let request = ExportRequest {
        run: request(&args.profile, args.scope, args.select, context),
        dest,
        carrier: match args.carrier {
            Carrier::Dir => stella_engine::Carrier::Dir,
            Carrier::Tar => stella_engine::Carrier::Tar,
        },
        replace: args.replace,
        signing: signing(&args.signing),
        cache_bytes: args.cache_size,
    };
    let report = context.work(|progress, cancel| {
        stella_engine::export(&context.store, &request, progress, cancel)
    })?;
    for warning in &report.warnings {
        context.warn(warning);
    }
    let item = Item {
        name: report.destination.to_string_lossy().into_owned(),
        id: report.export_digest.to_string(),
        value: value(&report)?,
    };
    context.print(&Page::one("Run", item).text(summary(&report)))?;
    context.hint(&format!("Next:  {}", next(&report, context)));
    Ok(Exit::Done)
}

/// A folder that is named like a tar is a surprise.
fn warn_of_tar_name(dest: &Path, carrier: Carrier, context: &Context) {
    let is_named_tar = dest.extension().is_some_and(|extension| extension == "tar");
    if is_named_tar && carrier == Carrier::Dir && !dest.exists() {
        let dest = dest.to_string_lossy();
        context.warn(&format!("{dest} becomes a folder; for a tar file add --carrier tar"));
    }
}

fn signing(args: &SigningArgs) -> Signing {
    if args.unsigned_for_testing {
        return Signing::UnsignedForTesting;
    }
    Signing::Key { name: args.key.clone(), password: args.password.source() }
}

fn summary(report: &RunReport) -> String {
    let there = if report.already_there { "  (was there already, unchanged)" } else { "" };
    let mut text = format!(
        "Bundle {}{there}\n  digest    sha256:{}\n  profile   {}, plan {}\n  asOf      {}\n  records   {}",
        Safe(&report.destination.to_string_lossy()),
        report.export_digest,
        report.profile,
        report.plan_hash,
        report.as_of,
        match report.databases.is_empty() || report.records > 0 {
            true => human::count(report.records),
            false => format!("{} read, none carried as they are", human::count(report.selected)),
        },
    );
    let kinds: Vec<String> = report
        .kinds
        .iter()
        .map(|(kind, count)| format!("{} {kind}", human::count(*count)))
        .collect();
    if !kinds.is_empty() {
        let _ = write!(text, ": {}", kinds.join(", "));
    }
    let _ = write!(text, "\n  size      {}", human::bytes(report.bytes));
    if report.parts > 0 || report.databases.is_empty() {
        let _ = write!(
            text,
            ", {} before compression, {} ({} reused)",
            human::bytes(report.uncompressed_bytes),
            human::counted(report.parts, "part"),
            human::count(report.reused_parts),
        );
    }
    for database in &report.databases {
        let _ = write!(
            text,
            "\n  {:<9} {}, {} not represented{}",
            Safe(&database.adapter).to_string(),
            human::counted(database.keys, "key"),
            human::counted(
                database.not_represented.values().sum(),
                // An index of jars is made of components.
                if database.adapter == "trivy:java-db" { "component" } else { "statement" },
            ),
            if database.reused { " (reused)" } else { "" },
        );
        if !database.not_represented.is_empty() {
            let reasons = by_name(&database.not_represented);
            let list = match database.adapter.as_str() {
                "trivy:db" => ", one by one in trivy/db.report.jsonl",
                "trivy:vex" => ", one by one in trivy/vex.report.jsonl",
                _ => "",
            };
            let _ = write!(text, "\n            {reasons}{list}");
        }
    }
    if !report.redacted.is_empty() {
        let _ = write!(text, "\n  redacted  {}", by_name(&report.redacted));
    }
    if !report.not_carried.is_empty() {
        let _ = write!(text, "\n  left out  {}", by_name(&report.not_carried));
    }
    let _ = match &report.key {
        Some(key) => write!(text, "\n  signed    key {}, {}", key.name, key.fingerprint.short(8)),
        None => write!(text, "\n  signed    NOT SIGNED: only for testing"),
    };
    text
}

fn by_name(counts: &BTreeMap<String, u64>) -> String {
    let one = |(name, count): (&String, &u64)| format!("{} {}", human::count(*count), Safe(name));
    counts.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The command that checks the bundle, ready to copy.
fn next(report: &RunReport, context: &Context) -> String {
    let bundle = shell::quote(&report.destination);
    match &report.key {
        Some(key) => {
            let public = context.store.keys_dir().join(format!("{}.pub", key.name));
            format!("stella export verify {bundle} --key {}", shell::quote(&public))
        }
        None => format!("stella export verify {bundle} --allow-unsigned-for-testing"),
    }
}
