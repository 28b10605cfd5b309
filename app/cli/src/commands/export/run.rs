//! `export run`: makes a bundle.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stella_engine::{ExportRequest, RunReport, Signing};
use stella_model::screen::Safe;

use super::super::{Exit, value};
use super::request::request;
use crate::args::{Carrier, RunArgs, SigningArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page, human, shell};

/// Makes the bundle and prints what it is.
pub(crate) fn run(args: RunArgs, context: &Context) -> Result<Exit, Failure> {
    let request = ExportRequest {
        run: request(&args.profile, args.scope, args.select, context),
        dest: args.dest,
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
        human::count(report.records),
    );
    let kinds: Vec<String> = report
        .kinds
        .iter()
        .map(|(kind, count)| format!("{} {kind}", human::count(*count)))
        .collect();
    if !kinds.is_empty() {
        let _ = write!(text, ": {}", kinds.join(", "));
    }
    let _ = write!(
        text,
        "\n  size      {}, {} before compression, {} ({} reused)",
        human::bytes(report.bytes),
        human::bytes(report.uncompressed_bytes),
        human::counted(report.parts, "part"),
        human::count(report.reused_parts),
    );
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
