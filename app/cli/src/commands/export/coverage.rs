//! `export coverage`: which SBOMs would be scanned blind.

use stella_engine::{CoverageReport, CoverageRequest, CoverageState};
use stella_model::ErrorCode;
use stella_model::screen::Safe;

use super::super::{Exit, value};
use crate::args::CoverageArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Cell, Column, Item, Page, Table, Tone, human};

/// Prints what a scanner would see of each SBOM.
pub(crate) fn run(args: &CoverageArgs, context: &Context) -> Result<Exit, Failure> {
    super::is_bundle(&args.bundle)?;
    let request = CoverageRequest { bundle: args.bundle.clone(), sboms: args.sboms.clone() };
    context.expect_input(&args.sboms);
    let report = context.work(|_, cancel| stella_engine::coverage(&request, cancel))?;
    for sbom in &report.sboms {
        for note in &sbom.notes {
            context.warn(&format!("{}: {note}", sbom.path));
        }
    }
    for rejected in &report.rejected {
        context.warn(&format!("not looked at: {rejected}"));
    }
    let item = Item {
        name: args.bundle.to_string_lossy().into_owned(),
        id: String::new(),
        value: value(&report)?,
    };
    let page = Page::one("CoverageReport", item).table(table(&report)).text(verdict(&report));
    context.print(&page)?;
    let bad = if args.strict { CoverageState::Partial } else { CoverageState::Absent };
    let is_bad = report.worst.is_some_and(|worst| worst >= bad);
    match is_bad || args.strict && !report.rejected.is_empty() {
        true => Ok(Exit::With(ErrorCode::Differs)),
        false => Ok(Exit::Done),
    }
}

/// One row for each ecosystem of each SBOM; an SBOM without packages has one row all the same.
fn table(report: &CoverageReport) -> Table {
    let mut table = Table::new([
        Column::new("SBOM").shrinks_at_start(),
        Column::new("ECOSYSTEM"),
        Column::new("PACKAGES").right(),
        Column::new("COVERAGE"),
        Column::new("UNNAMED").right().wide(),
    ]);
    for sbom in &report.sboms {
        let unnamed = || human::count(sbom.unnamed).into();
        if sbom.ecosystems.is_empty() {
            let none = match sbom.worst {
                Some(_) => Cell::new("ABSENT").tone(Tone::Bad),
                None => Cell::new("no packages").tone(Tone::Dim),
            };
            table.row([sbom.path.as_str().into(), "".into(), "0".into(), none, unnamed()]);
        }
        for ecosystem in &sbom.ecosystems {
            let (word, tone) = match ecosystem.state {
                CoverageState::Full => ("full", Tone::Good),
                CoverageState::Partial => ("partial", Tone::Warn),
                CoverageState::Absent => ("ABSENT", Tone::Bad),
            };
            table.row([
                sbom.path.as_str().into(),
                ecosystem.ecosystem.as_str().into(),
                human::count(ecosystem.packages).into(),
                Cell::new(word).tone(tone),
                unnamed(),
            ]);
        }
    }
    table
}

fn verdict(report: &CoverageReport) -> String {
    let with = |state: CoverageState| {
        report.sboms.iter().filter(|sbom| sbom.worst == Some(state)).count() as u64
    };
    let all = report.sboms.len() as u64;
    let (absent, partial) = (with(CoverageState::Absent), with(CoverageState::Partial));
    let of_all = |count: u64| format!("{} of {}", human::count(count), human::counted(all, "SBOM"));
    let text = match (absent, partial) {
        (0, 0) => format!("All packages named in {} are covered.", human::counted(all, "SBOM")),
        (0, _) => format!("{} covered in part.", of_all(partial)),
        (_, 0) => format!("In {} something would be scanned blind.", of_all(absent)),
        (_, _) => format!(
            "In {} something would be scanned blind; {} more covered in part.",
            of_all(absent),
            human::count(partial)
        ),
    };
    let unnamed: u64 = report.sboms.iter().map(|sbom| sbom.unnamed).sum();
    let unnamed = match unnamed {
        0 => String::new(),
        count => format!(
            " No scanner looks for {} without a package URL, or images.",
            human::counted(count, "component")
        ),
    };
    let rejected = match report.rejected.len() as u64 {
        0 => String::new(),
        count => format!(" Not looked at: {}.", human::counted(count, "document")),
    };
    format!(
        "\n{text}{unnamed}{rejected} The database is of {}; nothing of it was verified.",
        Safe(&report.as_of.to_string())
    )
}
