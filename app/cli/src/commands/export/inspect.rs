//! `export inspect`: what a bundle says of itself.

use std::collections::BTreeSet;

use stella_engine::InspectReport;
use stella_model::screen::Safe;

use super::super::{Exit, value};
use crate::args::InspectArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table, human};

/// Prints what the bundle says; nothing is checked.
pub(crate) fn run(args: &InspectArgs, context: &Context) -> Result<Exit, Failure> {
    super::is_bundle(&args.bundle)?;
    let report = stella_engine::inspect(&args.bundle)?;
    for fault in &report.faults {
        // Escaped by the report.
        context.warn(fault);
    }
    let item = Item {
        name: args.bundle.to_string_lossy().into_owned(),
        id: report.export_digest.to_string(),
        value: value(&report)?,
    };
    let head = head(&report, &args.bundle.to_string_lossy());
    let mut page = Page::one("Inspection", item).text(head);
    let manifest = &report.manifest;
    let has_made = manifest.outputs.iter().any(|output| !output.keys.is_empty());
    if !manifest.sets.is_empty() {
        page = page.table(sets(&report));
        if has_made {
            page = page.text("");
        }
    }
    if has_made {
        page = page.table(outputs(&report));
    }
    if !manifest.coverage.is_empty() {
        page = page.text("").text(covered(&report));
    }
    if context.out.is_wide() {
        page = page.text("").table(files(&report));
    }
    let text = "\nNothing of this was checked. To check it: stella export verify";
    context.print(&page.text(text))?;
    Ok(Exit::Done)
}

fn head(report: &InspectReport, bundle: &str) -> String {
    let manifest = &report.manifest;
    let outputs: Vec<String> =
        manifest.outputs.iter().map(|output| Safe(&output.adapter).to_string()).collect();
    let signatures: Vec<String> = report
        .signatures
        .iter()
        .map(|signature| match signature.fingerprint {
            Some(fingerprint) => format!("{} by {}", Safe(&signature.file), fingerprint.short(8)),
            None => format!("{} (unreadable)", Safe(&signature.file)),
        })
        .collect();
    let signed = if signatures.is_empty() { "by nobody".to_owned() } else { signatures.join(", ") };
    let policy = match (&manifest.policy_version, manifest.inputs_hash) {
        (None, None) => String::new(),
        (version, inputs) => {
            let version = version.as_ref().map_or("not named", |version| version.as_str());
            let inputs = inputs.map(|hash| format!(", inputs sha256:{hash}")).unwrap_or_default();
            format!("  policy      {version}{inputs}\n")
        }
    };
    format!(
        "Bundle {} ({})\n  digest      sha256:{}\n  profile     {}, outputs {}\n  plan        {}\n{policy}  \
         asOf        {}\n  redaction   {}, {} changed\n  records     {}\n  files       {}, {} listed\n  \
         says signed {signed}\n",
        Safe(bundle),
        report.carrier,
        report.export_digest,
        Safe(&manifest.profile.name),
        outputs.join(", "),
        manifest.plan_hash,
        manifest.as_of,
        Safe(&manifest.redaction.name),
        human::counted(manifest.redaction.records, "record"),
        records(report),
        human::count(report.files.len() as u64),
        human::bytes(manifest.counts.bytes),
    )
}

/// Records that are carried, and those that are not, by reason.
fn records(report: &InspectReport) -> String {
    let counts = &report.manifest.counts;
    let left_out = counts.not_carried.iter();
    let left_out =
        left_out.map(|(why, n)| format!(", {} {} left out", human::count(*n), Safe(why)));
    format!("{}{}", human::count(counts.records), left_out.collect::<String>())
}

fn sets(report: &InspectReport) -> Table {
    let mut table = Table::new([
        Column::new("KIND"),
        Column::new("FEED"),
        Column::new("RECORDS").right(),
        Column::new("LICENCE").shrinks(),
        Column::new("ROOT").wide(),
    ]);
    for set in &report.manifest.sets {
        let feed = report.manifest.feeds.iter().find(|feed| feed.feed == set.feed);
        let licence = feed.and_then(|feed| feed.licence.as_deref()).unwrap_or_default();
        table.row([
            set.kind.as_str().into(),
            set.feed.as_str().into(),
            human::count(set.count).into(),
            licence.into(),
            set.root.to_string().into(),
        ]);
    }
    table
}

/// What was made of records.
fn outputs(report: &InspectReport) -> Table {
    let mut table = Table::new([
        Column::new("OUTPUT"),
        Column::new("KEYS").right(),
        Column::new("NOT SAID").right(),
        Column::new("SCANNER"),
    ]);
    for output in report.manifest.outputs.iter().filter(|output| !output.keys.is_empty()) {
        let scanner = output.scanner.as_ref().map_or_else(String::new, |scanner| {
            format!("{} from {} on, schema {}", scanner.name, scanner.oldest, scanner.schema)
        });
        table.row([
            output.adapter.as_str().into(),
            human::count(output.key_count()).into(),
            human::count(output.not_represented_count()).into(),
            scanner.into(),
        ]);
    }
    table
}

/// What a scanner would see, one line for each word.
fn covered(report: &InspectReport) -> String {
    const KNOWN: [&str; 3] = ["full", "partial", "absent"];
    let coverage = &report.manifest.coverage;
    let line = |word: &str| {
        let entries = coverage.iter().filter(|entry| entry.state == word);
        let names: Vec<String> = entries.map(|entry| Safe(&entry.ecosystem).to_string()).collect();
        let word = Safe(word).to_string();
        (!names.is_empty()).then(|| format!("  {word:<11} {}", names.join(", ")))
    };
    let others: BTreeSet<&str> = coverage.iter().map(|entry| entry.state.as_str()).collect();
    let others = others.into_iter().filter(|word| !KNOWN.contains(word));
    let lines: Vec<String> = KNOWN.into_iter().chain(others).filter_map(line).collect();
    format!("Coverage, as the bundle says\n{}", lines.join("\n"))
}

fn files(report: &InspectReport) -> Table {
    let columns = [Column::new("FILE"), Column::new("SIZE").right(), Column::new("LISTED")];
    let mut table = Table::new(columns);
    for file in &report.files {
        let listed = if file.listed { "yes" } else { "no" };
        table.row([file.name.as_str().into(), human::bytes(file.size).into(), listed.into()]);
    }
    table
}
