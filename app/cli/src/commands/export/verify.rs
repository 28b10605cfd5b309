//! `export verify`: checks a bundle.

use std::path::{Path, PathBuf};

use stella_engine::{CanaryRequest, VerifyRequest};
use stella_model::screen::Safe;
use stella_verify::{Check, Report, State};

use super::super::{Exit, files, value};
use super::{checks, dest};
use crate::args::VerifyArgs;
use crate::clock;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page, shell};

/// Checks a bundle and prints what each check found.
pub(crate) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    super::is_bundle(&args.bundle)?;
    if let Some(path) = &args.report {
        dest::refuse_inside_bundle_or_store(path, context)?;
    }
    let request = VerifyRequest {
        path: args.bundle.clone(),
        keys: args.keys.clone(),
        store: args.keys.is_empty().then_some(&context.store),
        max_age: args.max_age,
        now: clock::now(),
        deep: args.deep,
        allow_unsigned: args.allow_unsigned_for_testing,
        threads: context.threads(),
        scanner: args.scanner.as_ref().map(|program| CanaryRequest {
            program: program.clone(),
            timeout: args.scanner_timeout,
        }),
    };
    let report =
        context.work(|progress, cancel| stella_engine::verify(&request, progress, cancel))?;
    let page = page(&report, args, context)?;
    if let Some(path) = &args.report {
        files::write(path, format!("{:#}\n", page.to_json()).as_bytes())?;
    }
    context.print(&page)?;
    let tried = report.result(Check::ScannerCanary).is_some_and(|it| it.state != State::NotUsed);
    if args.scanner.is_some() && report.verified && !tried {
        context.warn("--scanner was not tried: the bundle has no database for it");
    }
    let shown = Safe(&args.bundle.to_string_lossy()).to_string();
    if let Some(failure) = checks::failure(&report, &shown) {
        return Err(failure);
    }
    if let Some(key) = signing_key(&report, args, context) {
        context.hint(&cosign(&args.bundle, &key));
    }
    Ok(Exit::Done)
}

fn page(report: &Report, args: &VerifyArgs, context: &Context) -> Result<Page, Failure> {
    let digest = report.bundle.as_ref().map(|bundle| bundle.export_digest.to_string());
    let item = Item {
        name: args.bundle.to_string_lossy().into_owned(),
        id: digest.unwrap_or_default(),
        value: value(report)?,
    };
    let verdict = match (report.verified, args.allow_unsigned_for_testing) {
        (true, true) if !is_signed(report) => "Consistent, but NOT SIGNED: nobody vouches for it",
        (true, _) => "Verified",
        (false, _) => "Not verified",
    };
    let mut page = Page::one("VerifyReport", item).table(checks::table(report));
    let problems = checks::problems(report, context.out.paint);
    if !problems.is_empty() {
        page = page.text(problems);
    }
    Ok(page.text(format!("\n{verdict}. {}.", checks::numbers(report))))
}

fn is_signed(report: &Report) -> bool {
    report.signers.iter().any(|signer| signer.state == State::Pass)
}

/// The file of the trusted key that the bundle is signed with.
fn signing_key(report: &Report, args: &VerifyArgs, context: &Context) -> Option<PathBuf> {
    let primary = report
        .signers
        .iter()
        .find(|signer| signer.role.is_none() && signer.state == State::Pass)?;
    let name = primary.key.as_deref()?;
    if args.keys.is_empty() {
        return Some(context.store.trust_dir().join(format!("{name}.pub")));
    }
    let named = |key: &&PathBuf| key.file_stem().is_some_and(|stem| stem.to_string_lossy() == name);
    args.keys.iter().find(named).cloned()
}

/// The same check of the signatures with cosign 2 or 3, which needs no network: without the
/// trusted root of the bundle, cosign 2 would look for one on the internet.
fn cosign(bundle: &Path, key: &Path) -> String {
    let mut lines = vec!["Same check of the signatures with cosign:".to_owned()];
    let folder = if bundle.is_dir() {
        bundle.to_owned()
    } else {
        let folder = bundle.with_extension("signed");
        let word = shell::quote(&folder);
        let tar = shell::quote(bundle);
        lines.push(format!(
            "  mkdir {word} && tar -xf {tar} -C {word} export.json export.json.sigstore.json \
             provenance.json.sigstore.json trusted_root.json"
        ));
        folder
    };
    let file = |name: &str| shell::quote(&folder.join(name));
    let (key, export, root) = (shell::quote(key), file("export.json"), file("trusted_root.json"));
    let offline = format!("--trusted-root {root} --insecure-ignore-tlog {export}");
    lines.push(format!(
        "  cosign verify-blob --key {key} --bundle {} {offline}",
        file("export.json.sigstore.json")
    ));
    lines.push(format!(
        "  cosign verify-blob-attestation --type slsaprovenance1 --key {key} --bundle {} {offline}",
        file("provenance.json.sigstore.json")
    ));
    lines.push(
        "cosign warns that no transparency log was used. That is expected for offline keys."
            .to_owned(),
    );
    lines.join("\n")
}
