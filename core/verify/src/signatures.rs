//! Who signed what.
//!
//! Every trusted key is tried, whatever a hint says. A signature by a known key that does not
//! verify, or that verifies under a wrong hint, is a failure even if another one passes; only a
//! signature by an unknown key says nothing (FORMATS "The bundle").

use stella_model::{Digest, Limits};
use stella_seal::{Content, PublicKey, SignatureName, SigstoreBundle, VerifyError, detached, dsse};

use crate::report::{Check, Findings, MISSING, Problem, SignerReport, State};

/// A public key that the caller trusts.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    /// What the caller calls it.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// What one signature amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict<'k> {
    /// A trusted key made it.
    By(&'k str, Digest),
    /// No trusted key made it, and it does not claim so.
    Unknown,
    /// It claims what is not so.
    Wrong(String),
}

/// The primary signatures as read; a missing file is `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sidecars<'a> {
    pub(crate) export: &'a [u8],
    pub(crate) export_sig: Option<&'a [u8]>,
    pub(crate) export_bundle: Option<&'a [u8]>,
    pub(crate) provenance: Option<&'a [u8]>,
    pub(crate) provenance_bundle: Option<&'a [u8]>,
}

/// Checks the signatures of manifest and provenance. Returns who signed the manifest.
pub(crate) fn check_primary(
    sidecars: Sidecars<'_>,
    keys: &[TrustedKey],
    limits: &Limits,
    findings: &mut Findings,
) -> Option<SignerReport> {
    let manifest = check_manifest(sidecars, keys, limits, findings);
    let signer = manifest
        .as_ref()
        .and_then(|signer| (signer.state == State::Pass).then_some(signer.fingerprint));
    check_provenance(sidecars, keys, signer, limits, findings);
    manifest
}

/// Checks the signatures of the manifest alone, for proofs that come without a bundle.
pub(crate) fn check_manifest(
    sidecars: Sidecars<'_>,
    keys: &[TrustedKey],
    limits: &Limits,
    findings: &mut Findings,
) -> Option<SignerReport> {
    const CHECK: Check = Check::ManifestSignature;
    let (sig_file, bundle_file) = ("export.json.sig", "export.json.sigstore.json");
    let fail = |findings: &mut Findings, file: &str, message: &str| {
        findings.fail(CHECK, Problem::new(message).of(file));
    };
    let detached = match sidecars.export_sig.map(detached::parse) {
        None => {
            fail(findings, sig_file, MISSING);
            None
        }
        Some(Err(error)) => {
            fail(findings, sig_file, &error.to_string());
            None
        }
        Some(Ok(signature)) => Some(signature),
    };
    let bundle = parse(sidecars.export_bundle, bundle_file, CHECK, limits, findings)?;
    let report = |key: Option<&str>, state| SignerReport {
        file: bundle_file.to_owned(),
        role: None,
        key: key.map(ToOwned::to_owned),
        fingerprint: *bundle.hint(),
        state,
    };
    let verdict = judge_message(&bundle, keys, sidecars.export);
    let (name, fingerprint) = match verdict {
        Verdict::By(name, fingerprint) => (name, fingerprint),
        Verdict::Wrong(message) => {
            fail(findings, bundle_file, &message);
            return Some(report(None, State::Fail));
        }
        Verdict::Unknown => {
            unknown_signer(CHECK, bundle_file, bundle.hint(), keys, findings);
            return Some(report(None, State::NotChecked));
        }
    };
    let by_same_key = detached.is_some_and(|signature| {
        let same = keys.iter().filter(|key| *key.key.fingerprint() == fingerprint);
        same.clone().any(|key| key.key.verify(sidecars.export, &signature).is_ok())
    });
    if !by_same_key && !findings.failed(CHECK) {
        let message = format!(
            "it is no signature of export.json by the key {name}, which signed the sigstore bundle"
        );
        fail(findings, sig_file, &message);
    }
    findings.pass(CHECK, format!("key {name}, sha256:{}", fingerprint.short(16)));
    Some(report(Some(name), State::Pass))
}

fn check_provenance(
    sidecars: Sidecars<'_>,
    keys: &[TrustedKey],
    signer: Option<Digest>,
    limits: &Limits,
    findings: &mut Findings,
) {
    const CHECK: Check = Check::ProvenanceSignature;
    let file = "provenance.json.sigstore.json";
    let Some(bundle) = parse(sidecars.provenance_bundle, file, CHECK, limits, findings) else {
        return;
    };
    let fail = |findings: &mut Findings, message: &str| {
        findings.fail(CHECK, Problem::new(message).of(file));
    };
    match bundle.content() {
        Content::MessageSignature { .. } => {
            fail(findings, "it holds a signature over a file instead of a signed statement");
            return;
        }
        Content::Dsse(envelope) => {
            if envelope.payload_type != dsse::IN_TOTO {
                let problem = Problem::new("the signed document is no in-toto statement");
                let problem = problem.of(file).expected(dsse::IN_TOTO, &envelope.payload_type);
                findings.fail(CHECK, problem);
            }
            if sidecars.provenance != Some(&envelope.payload[..]) {
                fail(findings, "the signed statement is not provenance.json");
            }
        }
    }
    match judge(&bundle, keys, |key| bundle.verify_document(key).map(|_| ())) {
        Verdict::By(_, fingerprint) if signer.is_some_and(|signer| signer != fingerprint) => {
            fail(findings, "it is by another key than the signature of export.json");
        }
        Verdict::By(name, _) => findings.pass(CHECK, format!("key {name}")),
        Verdict::Wrong(message) => fail(findings, &message),
        Verdict::Unknown => unknown_signer(CHECK, file, bundle.hint(), keys, findings),
    }
}

/// Checks one file of `signatures/`. Returns who claims to have signed, if that can be told.
pub(crate) fn check_further(
    file: &str,
    bytes: &[u8],
    export: &[u8],
    keys: &[TrustedKey],
    limits: &Limits,
    findings: &mut Findings,
) -> Option<SignerReport> {
    const CHECK: Check = Check::FurtherSignatures;
    let fail = |findings: &mut Findings, message: &str| {
        findings.fail(CHECK, Problem::new(message).of(file));
    };
    let Some(name) = SignatureName::parse(file) else {
        fail(findings, "the name is not signatures/ROLE.HINT8.sigstore.json");
        return None;
    };
    let bundle = parse(Some(bytes), file, CHECK, limits, findings)?;
    if name.hint8() != bundle.hint8() {
        let problem = Problem::new("the name tells another key than the hint inside");
        findings.fail(CHECK, problem.of(file).expected(name.hint8(), bundle.hint8()));
    }
    let verdict = match bundle.content() {
        Content::MessageSignature { .. } => judge_message(&bundle, keys, export),
        Content::Dsse(envelope) if envelope.payload_type != dsse::IN_TOTO => {
            Verdict::Wrong("the signed document is no in-toto statement".to_owned())
        }
        Content::Dsse(envelope) if !crate::provenance::is_about(&envelope.payload, export) => {
            Verdict::Wrong("it is no statement about this export.json".to_owned())
        }
        Content::Dsse(_) => judge(&bundle, keys, |key| bundle.verify_document(key).map(|_| ())),
    };
    let (key, state) = match verdict {
        Verdict::By(name, _) => (Some(name.to_owned()), State::Pass),
        Verdict::Unknown => (None, State::NotChecked),
        Verdict::Wrong(message) => {
            fail(findings, &message);
            (None, State::Fail)
        }
    };
    Some(SignerReport {
        file: file.to_owned(),
        role: Some(name.role().to_string()),
        key,
        fingerprint: *bundle.hint(),
        state,
    })
}

fn parse(
    bytes: Option<&[u8]>,
    file: &str,
    check: Check,
    limits: &Limits,
    findings: &mut Findings,
) -> Option<SigstoreBundle> {
    let Some(bytes) = bytes else {
        findings.fail(check, Problem::new(MISSING).of(file));
        return None;
    };
    match SigstoreBundle::parse(bytes, limits) {
        Ok(bundle) => Some(bundle),
        Err(error) => {
            findings.fail(check, Problem::new(error.to_string()).of(file));
            None
        }
    }
}

/// Tries every key on a signature over `export.json`; what the bundle says it is over is looked at
/// even if there is none.
fn judge_message<'k>(
    bundle: &SigstoreBundle,
    keys: &'k [TrustedKey],
    export: &[u8],
) -> Verdict<'k> {
    match bundle.content() {
        Content::MessageSignature { digest, .. } if *digest == Digest::of(export) => {
            judge(bundle, keys, |key| bundle.verify_message(key, export))
        }
        Content::MessageSignature { .. } => {
            Verdict::Wrong("it is over another export.json than this one".to_owned())
        }
        Content::Dsse(_) => Verdict::Wrong(
            "it holds a signed document instead of a signature over export.json".to_owned(),
        ),
    }
}

/// Tries every key.
fn judge<'k>(
    bundle: &SigstoreBundle,
    keys: &'k [TrustedKey],
    verify: impl Fn(&PublicKey) -> Result<(), VerifyError>,
) -> Verdict<'k> {
    let mut verdict = Verdict::Unknown;
    for TrustedKey { name, key } in keys {
        match verify(key) {
            Ok(()) => verdict = Verdict::By(name, *key.fingerprint()),
            Err(VerifyError::Signature(_)) if bundle.hint() == key.fingerprint() => {
                return Verdict::Wrong(format!(
                    "it claims to be by the trusted key {name} and does not verify"
                ));
            }
            Err(VerifyError::Signature(_)) => {}
            // Neither digest, content nor hint depend on which key is tried.
            Err(other) => return Verdict::Wrong(other.to_string()),
        }
    }
    verdict
}

fn unknown_signer(
    check: Check,
    file: &str,
    hint: &Digest,
    keys: &[TrustedKey],
    findings: &mut Findings,
) {
    if keys.is_empty() {
        findings.not_checked(check, "no trusted key was given");
        return;
    }
    let trusted: Vec<String> =
        keys.iter().map(|key| format!("{} ({})", key.name, key.key.hint8())).collect();
    let problem = Problem::new("it is not by a trusted key");
    findings.fail(check, problem.of(file).expected(trusted.join(", "), hint.short(8)));
}
