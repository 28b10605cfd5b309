//! The checks, their outcomes and the report that they make.

use std::collections::BTreeMap;

use serde::Serialize;
use stella_model::screen::Safe;
use stella_model::{Digest, ErrorCode, Instant};

use crate::scanner::CanaryOutcome;

/// Defines the checks with their rows.
macro_rules! checks {
    ($($(#[$doc:meta])* $variant:ident $code:literal $title:literal $next:literal;)*) => {
        /// A check with a stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $($(#[$doc])* $variant,)*
        }

        impl Check {
            /// All checks, in the order of reports.
            pub const ALL: &[Check] = &[$(Check::$variant,)*];

            /// The stable code, such as `manifest-signature`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Check::$variant => $code,)* }
            }

            /// What a table calls it.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Check::$variant => $title,)* }
            }

            /// What to do when it fails.
            #[must_use]
            pub const fn next(self) -> &'static str {
                match self { $(Check::$variant => $next,)* }
            }
        }
    };
}

checks! {
    /// The directory or tar holds files with part names, in the one form of its carrier.
    Carrier "carrier-form" "carrier" "get the bundle again from its publisher: something was added to it, or it was cut short";
    /// A format version and features that this verifier knows.
    FormatVersion "format-version" "format version" "verify with a newer version of stella";
    /// `export.json` is the RFC 8785 form of a manifest whose lists are sorted and unique.
    ManifestForm "manifest-form" "manifest form" "get the bundle again from its publisher: its manifest was changed or is broken";
    /// A key to verify with was given.
    Signer "signer" "signer" "give the publisher's public key with --key, or add it with: stella trust add";
    /// `export.json.sig` and `export.json.sigstore.json` verify with one trusted key.
    ManifestSignature "manifest-signature" "manifest signature" "do not use the bundle: it was changed, or signed by someone else";
    /// `provenance.json.sigstore.json` verifies with the same key and holds `provenance.json`.
    ProvenanceSignature "provenance-signature" "provenance signature" "do not use the bundle: its provenance was changed, or signed by someone else";
    /// `provenance.json` is a statement about exactly this manifest.
    Provenance "provenance" "provenance" "do not use the bundle: its provenance tells of another one";
    /// The plan that provenance and manifest describe has the digest `planHash`.
    PlanHash "plan-hash" "plan" "do not use the bundle: manifest and provenance tell of different plans";
    /// Every file in `signatures/` is what its name says.
    FurtherSignatures "further-signatures" "further signatures" "remove the named file if it is not by someone you know, else get it again";
    /// Nothing listed is missing, nothing unlisted is there.
    FilesListed "files-listed" "files listed" "get the bundle again from its publisher, or remove the file that does not belong there";
    /// Names of parts agree with what the parts are.
    PartNames "part-names" "part names" "get the bundle again from its publisher: parts were renamed or swapped";
    /// Stored bytes have the size and SHA-256 that the manifest tells.
    PartDigests "part-digests" "file digests" "get the named file again: it was changed or cut short after the export";
    /// `SHA256SUMS` lists all other parts.
    ChecksumsFile "checksums-file" "SHA256SUMS" "get the bundle again from its publisher";
    /// `trusted_root.json` is the constant one.
    TrustedRoot "trusted-root" "trusted root" "do not verify with cosign here: its trusted root was exchanged";
    /// Parts are one zstd frame each, with the size and checksum they claim.
    Compression "compression" "compression" "report it to the publisher: the part is not what the format describes";
    /// Lines are in their canonical form and belong to their set.
    RecordLines "record-lines" "record lines" "report it to the publisher: the part is not what the format describes";
    /// Records are in order, within parts and across them.
    RecordOrder "record-order" "record order" "report it to the publisher: the set is not what the format describes";
    /// Documents have the digests their lines tell.
    RecordDigests "record-digests" "record digests" "do not use the record: it is not the document that was exported";
    /// Parts hold the number of records, first and last id that the manifest tells.
    PartCounts "part-counts" "part counts" "report it to the publisher: manifest and parts disagree";
    /// Each index tells exactly where the records of its part are.
    Indexes "indexes" "indexes" "report it to the publisher: the index is not that of its part";
    /// Set roots recomputed from the documents are those of the manifest.
    SetRoots "set-roots" "set roots" "do not use the bundle: it does not hold the sets that were signed for";
    /// Totals of the manifest are the sums of its entries.
    Totals "totals" "totals" "report it to the publisher: the manifest contradicts itself";
    /// Every set is of a listed feed.
    Feeds "feeds" "feeds" "report it to the publisher: the manifest contradicts itself";
    /// Documents are in canonical form (`--deep`).
    Documents "canonical-documents" "canonical documents" "report it to the publisher: the document is not in canonical form";
    /// The image layout and the archive with the database of a scanner, and its metadata.
    ScannerPackaging "scanner-packaging" "scanner packaging" "do not give it to a scanner: it would be refused, or unpack to something else";
    /// Every page, bucket and value of the database is what the scanner reads, as many as told.
    ScannerDatabase "scanner-database" "scanner database" "do not give it to a scanner: it would crash, or find nothing and call that success";
    /// Every page and row of the index of jars is what the scanner reads, as many as told.
    ScannerJavaIndex "scanner-java-index" "scanner Java index" "do not give it to a scanner: it would find no jar, and call that success";
    /// The VEX repository is one that the scanner reads, and every entry leads to a document about its package.
    ScannerVex "scanner-vex" "scanner VEX" "do not give it to a scanner: it would hide what is not said, or show what is";
    /// The reports of what the outputs leave out have the lines and sums that the manifest tells.
    ScannerReport "scanner-report" "scanner report" "report it to the publisher: it is not known what the database leaves out";
    /// A scanner finds what the database says (`--scanner`).
    ScannerCanary "scanner-canary" "scanner canary" "do not trust this scanner with this database: compare their versions, then report it to the publisher";
    /// The evidence is not older than allowed.
    Age "age" "age" "get a newer bundle from its publisher";
    /// A transparency log.
    TransparencyLog "transparency-log" "transparency log" "";
    /// A proof leads to the signed root of its set (`verify-proof` only).
    Proof "proof" "proof" "ask for another proof: this one does not belong to the manifest, or was changed";
}

/// The checks of a bundle.
fn of_bundles() -> Vec<Check> {
    Check::ALL.iter().copied().filter(|check| *check != Check::Proof).collect()
}

impl Serialize for Check {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// There was nothing to check, or it was not asked for.
    NotUsed,
    /// It could not be told.
    NotChecked,
}

impl State {
    /// The state in words, such as `not used`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pass => "pass",
            State::Fail => "FAIL",
            State::NotUsed => "not used",
            State::NotChecked => "not checked",
        }
    }
}

/// One thing that is wrong. Every text is safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What had to be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl Problem {
    /// A problem; texts from outside are escaped.
    #[must_use]
    pub fn new(message: impl AsRef<str>) -> Problem {
        let message = Safe(message.as_ref()).to_string();
        Problem { file: None, message, expected: None, found: None }
    }

    /// Names the file.
    #[must_use]
    pub fn of(mut self, file: impl AsRef<str>) -> Problem {
        self.file = Some(Safe(file.as_ref()).to_string());
        self
    }

    /// Tells what had to be there and what is.
    #[must_use]
    pub fn expected(mut self, expected: impl ToString, found: impl ToString) -> Problem {
        self.expected = Some(Safe(&expected.to_string()).to_string());
        self.found = Some(Safe(&found.to_string()).to_string());
        self
    }
}

/// One check with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// The check.
    pub check: Check,
    /// Its outcome.
    pub state: State,
    /// One line for people.
    pub detail: String,
    /// What is wrong; at most [`PROBLEMS_KEPT`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Number of problems, kept or not.
    pub problem_count: u64,
    /// What to do, if it failed or could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<&'static str>,
}

/// Problems that a report holds of one check.
pub const PROBLEMS_KEPT: usize = 100;

/// Number of checks by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Checks that hold.
    pub pass: u64,
    /// Checks that do not.
    pub fail: u64,
    /// Checks with nothing to check.
    pub not_used: u64,
    /// Checks that could not be told.
    pub not_checked: u64,
}

/// What the bundle says of itself; worth nothing unless the report verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// SHA-256 of `export.json`.
    pub export_digest: Digest,
    /// Digest of the plan.
    pub plan_hash: Digest,
    /// Name of the profile.
    pub profile: String,
    /// The outputs.
    pub outputs: Vec<String>,
    /// `asOf`.
    pub as_of: Instant,
    /// Carried records.
    pub records: u64,
    /// Listed parts.
    pub parts: u64,
    /// Their stored bytes.
    pub bytes: u64,
}

/// Someone who signed the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerReport {
    /// The file of the signature.
    pub file: String,
    /// The role; the primary signature has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Name of the trusted key, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Fingerprint that the signature names: SHA-256 of the SPKI.
    pub fingerprint: Digest,
    /// Whether the signature holds; `not-checked` for unknown keys.
    pub state: State,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether the bundle is what a trusted key signed, and not too old.
    pub verified: bool,
    /// What the bundle says of itself, if its manifest could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Subject>,
    /// Every check in order.
    pub checks: Vec<CheckResult>,
    /// Numbers by outcome.
    pub summary: Summary,
    /// Who signed.
    pub signers: Vec<SignerReport>,
    /// The exit code of `stella export verify`.
    pub exit_code: u8,
    /// The error code, unless verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

impl Report {
    /// The result of one check.
    #[must_use]
    pub fn result(&self, check: Check) -> Option<&CheckResult> {
        self.checks.iter().find(|result| result.check == check)
    }

    /// The checks that fail.
    pub fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|result| result.state == State::Fail)
    }

    /// The report with what became of the canary.
    #[must_use]
    pub fn with_canary(mut self, outcome: CanaryOutcome) -> Report {
        let mut findings = Findings::default();
        let check = Check::ScannerCanary;
        match outcome {
            CanaryOutcome::Found(detail) => findings.pass(check, detail),
            CanaryOutcome::NothingPlanted(detail) => findings.not_checked(check, detail),
            CanaryOutcome::NotTried => findings.not_used(check, "the bundle is not verified"),
            CanaryOutcome::Wrong(problems) => {
                problems.into_iter().for_each(|problem| findings.fail(check, problem));
            }
        }
        for result in findings.results(&[check], "") {
            if let Some(old) = self.checks.iter_mut().find(|old| old.check == check) {
                *old = result;
            }
        }
        Report::of(self.bundle, self.checks, self.signers)
    }

    /// The report of these results.
    fn of(bundle: Option<Subject>, checks: Vec<CheckResult>, signers: Vec<SignerReport>) -> Report {
        let mut summary = Summary::default();
        for result in &checks {
            *match result.state {
                State::Pass => &mut summary.pass,
                State::Fail => &mut summary.fail,
                State::NotUsed => &mut summary.not_used,
                State::NotChecked => &mut summary.not_checked,
            } += 1;
        }
        let code = error_code(&checks);
        Report {
            verified: code.is_none(),
            bundle,
            checks,
            summary,
            signers,
            exit_code: code.map_or(0, ErrorCode::exit_code),
            code: code.map(ErrorCode::as_str),
        }
    }

    /// The exit code of `stella export verify` (FORMATS "Exit codes").
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Why the bundle is not verified, or `None` if it is.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode> {
        error_code(&self.checks)
    }
}

/// What was found so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    entries: BTreeMap<Check, Finding>,
}

#[derive(Debug, Clone, Default)]
struct Finding {
    problems: Vec<Problem>,
    count: u64,
    /// The outcome without problems; pass if not told.
    state: Option<State>,
    detail: String,
}

impl Findings {
    pub(crate) fn fail(&mut self, check: Check, problem: Problem) {
        let finding = self.entries.entry(check).or_default();
        finding.count += 1;
        if finding.problems.len() < PROBLEMS_KEPT {
            finding.problems.push(problem);
        }
    }

    pub(crate) fn failed(&self, check: Check) -> bool {
        self.entries.get(&check).is_some_and(|finding| finding.count > 0)
    }

    /// What to tell if no problem is found.
    pub(crate) fn pass(&mut self, check: Check, detail: impl AsRef<str>) {
        self.set(check, State::Pass, detail.as_ref());
    }

    pub(crate) fn not_used(&mut self, check: Check, detail: impl AsRef<str>) {
        self.set(check, State::NotUsed, detail.as_ref());
    }

    pub(crate) fn not_checked(&mut self, check: Check, detail: impl AsRef<str>) {
        self.set(check, State::NotChecked, detail.as_ref());
    }

    fn set(&mut self, check: Check, state: State, detail: &str) {
        let finding = self.entries.entry(check).or_default();
        finding.state = Some(state);
        finding.detail = Safe(detail).to_string();
    }

    /// One result for every check; those nobody spoke of could not be told.
    fn results(mut self, checks: &[Check], otherwise: &str) -> Vec<CheckResult> {
        let mut result = |check: Check| {
            let finding = self.entries.remove(&check).unwrap_or_default();
            let (state, detail) = match (finding.problems.first(), finding.state) {
                (Some(first), _) => (State::Fail, failure(first, finding.count)),
                (None, Some(state)) => (state, finding.detail),
                (None, None) => (State::NotChecked, otherwise.to_owned()),
            };
            let next = matches!(state, State::Fail | State::NotChecked)
                .then(|| next_step(check, &finding.problems));
            CheckResult {
                check,
                state,
                detail,
                problems: finding.problems,
                problem_count: finding.count,
                next,
            }
        };
        checks.iter().map(|check| result(*check)).collect()
    }

    /// The report of a bundle; `otherwise` says why the checks that nobody spoke of could not be
    /// made.
    pub(crate) fn report(
        self,
        bundle: Option<Subject>,
        signers: Vec<SignerReport>,
        otherwise: &str,
    ) -> Report {
        self.report_of(&of_bundles(), bundle, signers, otherwise)
    }

    /// A report of these checks alone.
    pub(crate) fn report_of(
        self,
        checks: &[Check],
        bundle: Option<Subject>,
        signers: Vec<SignerReport>,
        otherwise: &str,
    ) -> Report {
        Report::of(bundle, self.results(checks, otherwise), signers)
    }
}

/// What is wrong with a file that the manifest does not list.
pub(crate) const UNLISTED: &str = "the file is not listed in the manifest";

/// What a carrier tells of a file in a folder that cannot be listed by its name, such as those that
/// file managers leave behind.
const NO_NAME: &str = "the name is no part name";

/// What a carrier tells of a header in a tar that another program wrote.
pub const OTHER_HEADER: &str = "differs from the fixed form";

/// What is told of a file that should be there.
pub(crate) const MISSING: &str = "the file is missing";

/// What is told of evidence that was revised after now.
pub(crate) const FROM_THE_FUTURE: &str = "the evidence is from the future";

/// What is told of a bundle that nobody signed.
pub(crate) const UNSIGNED: &str = "the bundle is not signed";

/// What to do; a file too many needs another remedy than one that is missing.
fn next_step(check: Check, problems: &[Problem]) -> &'static str {
    let all = |message: &str| {
        !problems.is_empty() && problems.iter().all(|problem| problem.message == message)
    };
    let unlisted = problems.iter().filter(|problem| problem.message == UNLISTED).count();
    match check {
        Check::ManifestSignature if all(MISSING) => {
            "copy export.json.sig and export.json.sigstore.json too: they belong beside export.json"
        }
        Check::ManifestSignature if all(UNSIGNED) => {
            "get a signed one; a bundle made with --unsigned-for-testing needs --allow-unsigned-for-testing"
        }
        Check::FilesListed if unlisted == problems.len() && unlisted > 0 => {
            "remove the file that does not belong there, then verify again"
        }
        Check::Carrier if problems.iter().all(|problem| problem.message == NO_NAME) => {
            "remove the file that does not belong there, then verify again"
        }
        Check::Carrier if problems.iter().all(|problem| problem.message.contains(OTHER_HEADER)) => {
            "if another program packed it: unpack it into a folder and verify that; else get it again"
        }
        Check::FilesListed if unlisted == 0 => "get the bundle again from its publisher",
        Check::Age
            if problems.iter().any(|problem| problem.message.starts_with(FROM_THE_FUTURE)) =>
        {
            "set the clock of this machine; if it is right, tell the publisher, whose --as-of sets another time"
        }
        _ => check.next(),
    }
}

fn failure(first: &Problem, count: u64) -> String {
    let file = first.file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
    let more = match count {
        1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    format!("{file}{}{more}", first.message)
}

/// What is wrong with the bundle comes before what it needs, and that before its age.
fn error_code(checks: &[CheckResult]) -> Option<ErrorCode> {
    let is = |check: Check, state: State| {
        checks.iter().any(|result| result.check == check && result.state == state)
    };
    let fails = |check: Check| is(check, State::Fail);
    let signatures = [
        Check::Signer,
        Check::ManifestSignature,
        Check::ProvenanceSignature,
        Check::FurtherSignatures,
    ];
    if signatures.into_iter().any(fails) {
        return Some(ErrorCode::Signature);
    }
    if fails(Check::PartDigests) {
        return Some(ErrorCode::DigestMismatch);
    }
    let apart = [Check::FormatVersion, Check::Age];
    if checks.iter().any(|r| r.state == State::Fail && !apart.contains(&r.check)) {
        return Some(ErrorCode::BadBundle);
    }
    if fails(Check::FormatVersion) {
        return Some(ErrorCode::NeedsNewer);
    }
    if is(Check::Signer, State::NotChecked) {
        return Some(ErrorCode::Signature);
    }
    // What could not be told is never taken for good.
    if checks.iter().any(|result| result.state == State::NotChecked) {
        return Some(ErrorCode::BadBundle);
    }
    fails(Check::Age).then_some(ErrorCode::TooOld)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All checks pass but these.
    fn report(fail: &[Check], not_checked: &[Check]) -> Report {
        let mut findings = Findings::default();
        for check in Check::ALL {
            findings.pass(*check, "fine");
        }
        for check in not_checked {
            findings.not_checked(*check, "no");
        }
        for check in fail {
            findings.fail(*check, Problem::new("bad"));
        }
        findings.report(None, Vec::new(), "")
    }

    #[test]
    fn codes_are_kebab_case_and_unique() {
        let codes: std::collections::BTreeSet<_> = Check::ALL.iter().map(|c| c.code()).collect();
        assert_eq!(codes.len(), Check::ALL.len());
        let kebab =
            |code: &str| code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        assert!(codes.iter().all(|code| kebab(code)));
    }

    #[test]
    fn exit_codes_follow_the_worst_finding() {
        use Check::{Age, FormatVersion, ManifestSignature, PartDigests, SetRoots, Signer};
        type Case = (&'static [Check], &'static [Check], u8, Option<ErrorCode>);
        let cases: [Case; 9] = [
            (&[], &[], 0, None),
            (&[Age], &[], 11, Some(ErrorCode::TooOld)),
            (&[], &[Signer], 8, Some(ErrorCode::Signature)),
            (&[Age], &[Signer], 8, Some(ErrorCode::Signature)),
            (&[FormatVersion], &[SetRoots], 15, Some(ErrorCode::NeedsNewer)),
            (&[FormatVersion, ManifestSignature], &[], 8, Some(ErrorCode::Signature)),
            (&[PartDigests, SetRoots], &[], 8, Some(ErrorCode::DigestMismatch)),
            (&[SetRoots, Age], &[], 8, Some(ErrorCode::BadBundle)),
            (&[], &[SetRoots], 8, Some(ErrorCode::BadBundle)),
        ];
        for (fail, not_checked, exit, code) in cases {
            let report = report(fail, not_checked);
            assert_eq!((report.exit_code(), report.error_code()), (exit, code), "{fail:?}");
            assert_eq!(report.verified, code.is_none());
        }
    }

    #[test]
    fn a_file_too_many_has_another_remedy_than_one_that_is_missing() {
        let next = |check: Check, messages: &[&str]| {
            let mut findings = Findings::default();
            for message in messages {
                findings.fail(check, Problem::new(message));
            }
            let report = findings.report(None, Vec::new(), "");
            report.result(check).and_then(|result| result.next).expect("it failed")
        };
        let missing = MISSING;
        assert!(next(Check::ManifestSignature, &[MISSING]).starts_with("copy export.json.sig"));
        assert!(next(Check::ManifestSignature, &[UNSIGNED]).starts_with("get a signed one"));
        assert_eq!(
            next(Check::ManifestSignature, &[MISSING, "x"]),
            Check::ManifestSignature.next()
        );
        assert!(next(Check::FilesListed, &[UNLISTED]).starts_with("remove the file"));
        assert!(next(Check::FilesListed, &[missing]).starts_with("get the bundle"));
        assert_eq!(next(Check::FilesListed, &[missing, UNLISTED]), Check::FilesListed.next());
        assert!(next(Check::Carrier, &[NO_NAME]).starts_with("remove the file"));
        assert_eq!(next(Check::Carrier, &[NO_NAME, "it is a link"]), Check::Carrier.next());
        let packed = format!("the header of export.json {OTHER_HEADER} in its byte 148");
        assert!(next(Check::Carrier, &[&packed]).contains("unpack it into a folder"));
    }

    #[test]
    fn problems_are_counted_beyond_those_kept_and_escaped() {
        let mut findings = Findings::default();
        for _ in 0..PROBLEMS_KEPT + 5 {
            findings.fail(Check::Carrier, Problem::new("bad \u{202e}").of("\u{1b}[2J"));
        }
        let report = findings.report(None, Vec::new(), "not looked at");
        let result = report.result(Check::Carrier).expect("is there");
        assert_eq!(result.problems.len(), PROBLEMS_KEPT);
        assert_eq!(result.detail, "\\u{1b}[2J: bad \\u{202e} (and 104 more)");
        assert_eq!(report.summary.not_checked, of_bundles().len() as u64 - 1);
    }
}
