//! The verification of one bundle, from its envelope to the report.

use std::collections::BTreeMap;
use std::io;

use stella_bolt::ReadAt;
use stella_manifest::{ExportManifest, ManifestError, layout};
use stella_model::screen::Safe;
use stella_model::{Digest, Instant, Limits, PartName, SetKey};
use stella_records::setroot::CompactRange;

use crate::lines::read_small;
use crate::parts::{Context, PartVerdict, Scratch, Task, Work};
use crate::report::{
    Check, FROM_THE_FUTURE, Findings, MISSING, Problem, Report, SignerReport, Subject, UNSIGNED,
};
use crate::signatures::{Sidecars, TrustedKey, check_further, check_primary};
use crate::{BundleFiles, ScannerVerdict, listing, provenance, scanner};

/// What a verification demands.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The trusted keys.
    pub keys: Vec<TrustedKey>,
    /// Oldest evidence that is accepted, in seconds before `now`.
    pub max_age_seconds: Option<u64>,
    /// The time of the verification.
    pub now: Instant,
    /// How far documents are looked at.
    pub depth: Depth,
    /// What a bundle without any signature is.
    pub unsigned: Unsigned,
    /// The bounds on what is read.
    pub limits: Limits,
}

/// How far documents are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Their digests are recomputed.
    Digests,
    /// They are also parsed and brought to canonical form again.
    Documents,
}

/// What a bundle without any signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// Not verified.
    Refuse,
    /// Acceptable: a test bundle, written with `--unsigned-for-testing`.
    AcceptForTesting,
}

/// The checks with nothing to look at in a bundle without records.
const OF_RECORDS: [Check; 9] = [
    Check::PartNames,
    Check::Compression,
    Check::RecordLines,
    Check::RecordOrder,
    Check::RecordDigests,
    Check::PartCounts,
    Check::Indexes,
    Check::SetRoots,
    Check::Documents,
];

/// Why nothing in a manifest was looked at.
pub(crate) const UNTRUSTED: &str = "the manifest is not signed by a trusted key";

/// Largest file in `signatures/` and most files there.
const SIGNATURE_BYTES: u64 = 4 << 20;
const SIGNATURES_MAX: usize = 1000;

/// How far `asOf` may lie in the future where age matters: clocks differ, time zones are mistaken.
const FUTURE_SECONDS: i64 = 86_400;

/// A verification whose envelope has been checked.
///
/// Parts are checked by the caller, one [`Task`] each, in any order and on any number of threads;
/// [`finish`](Self::finish) joins what came out.
pub struct Verification<'a> {
    files: &'a dyn BundleFiles,
    policy: &'a Policy,
    findings: Findings,
    signers: Vec<SignerReport>,
    manifest: Option<ExportManifest>,
    export: Digest,
    tasks: Vec<Task>,
    scanner: Option<ScannerVerdict>,
    /// Why checks that could not be made were not.
    otherwise: &'static str,
}

impl std::fmt::Debug for Verification<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verification").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl<'a> Verification<'a> {
    /// Reads the envelope (manifest, provenance, signatures) and checks it.
    #[must_use]
    pub fn begin(files: &'a dyn BundleFiles, policy: &'a Policy) -> Verification<'a> {
        let mut verification = Verification {
            files,
            policy,
            findings: Findings::default(),
            signers: Vec::new(),
            manifest: None,
            export: Digest::EMPTY,
            tasks: Vec::new(),
            scanner: None,
            otherwise: "export.json could not be read",
        };
        verification.check_carrier();
        verification.findings.not_used(Check::TransparencyLog, "offline key");
        if let Some(export) = verification.read(layout::EXPORT, policy.limits.manifest_bytes) {
            verification.export = Digest::of(&export);
            verification.check_envelope(&export);
        }
        verification
    }

    /// The parts to check.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Checks one part. Memory is bounded by the largest document.
    #[must_use]
    pub fn check_part(&self, task: &Task, scratch: &mut Scratch) -> PartVerdict {
        let Some(manifest) = &self.manifest else { return PartVerdict::default() };
        let context = Context {
            files: self.files,
            manifest,
            limits: &self.policy.limits,
            depth: self.policy.depth,
        };
        context.check(task, scratch)
    }

    /// Whether the bundle holds anything for a scanner, so that [`Self::check_scanner`] is wanted.
    #[must_use]
    pub fn has_scanner_output(&self) -> bool {
        self.manifest.as_ref().is_some_and(scanner::is_wanted)
    }

    /// Whether the bundle holds a database that a scanner can be tried with.
    #[must_use]
    pub fn has_database(&self) -> bool {
        self.manifest.as_ref().is_some_and(scanner::has_database)
    }

    /// Checks what the bundle holds for a scanner, if anything, and keeps what was found for the report. A
    /// bundle with such outputs of which this was not asked, or which was told to stop, is not verified.
    ///
    /// The rooms, for the database of vulnerabilities and for the index of jars, are empty, and are
    /// written from start to end before they are read. Memory does not grow with them, but for 40 bytes
    /// for each document of a VEX repository; each may be filled with 8 GiB.
    pub fn check_scanner<R: io::Write + ReadAt>(
        &mut self,
        database_room: R,
        java_room: R,
        stop: &dyn Fn() -> bool,
    ) -> Option<&ScannerVerdict> {
        let manifest = self.manifest.as_ref().filter(|manifest| scanner::is_wanted(manifest))?;
        let context =
            scanner::Context { files: self.files, manifest, limits: &self.policy.limits, stop };
        self.scanner = scanner::check(&context, database_room, java_room);
        self.scanner.as_ref()
    }

    /// The report. `verdicts` are those of [`tasks`](Self::tasks), in their order; one that is
    /// missing leaves its checks not made.
    #[must_use]
    pub fn finish(mut self, verdicts: Vec<PartVerdict>) -> Report {
        let Some(manifest) = self.manifest.take() else {
            return self.findings.report(None, self.signers, self.otherwise);
        };
        if verdicts.len() == self.tasks.len() {
            self.join(&manifest, verdicts);
        }
        self.join_scanner(&manifest);
        self.check_age(&manifest);
        let subject = Subject {
            export_digest: self.export,
            plan_hash: manifest.plan_hash,
            profile: Safe(&manifest.profile.name).to_string(),
            outputs: manifest.outputs.iter().map(|o| Safe(&o.adapter).to_string()).collect(),
            as_of: manifest.as_of,
            records: manifest.counts.records,
            parts: manifest.counts.parts,
            bytes: manifest.counts.bytes,
        };
        self.findings.report(Some(subject), self.signers, "the parts were not read")
    }

    fn check_carrier(&mut self) {
        for fault in self.files.faults() {
            let problem = Problem::new(&fault.problem).of(&fault.at);
            self.findings.fail(Check::Carrier, problem);
        }
        self.findings.pass(Check::Carrier, format!("{} files", self.files.files().len()));
    }

    /// Reads a file of the envelope; `None` if it is not there or cannot be read.
    fn read(&mut self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let missing = |findings: &mut Findings, message: &str| {
            findings.fail(Check::FilesListed, Problem::new(message).of(name));
        };
        let Some(entry) = self.files.entry(name) else {
            missing(&mut self.findings, MISSING);
            return None;
        };
        match read_small(self.files, &entry.name, limit) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                missing(&mut self.findings, &format!("the file cannot be read: {error}"));
                None
            }
        }
    }

    fn check_envelope(&mut self, export: &[u8]) {
        let provenance = self.read(layout::PROVENANCE, provenance::MAX_BYTES);
        self.check_signatures(export, provenance.as_deref());
        // What nobody trusted signed is not parsed: its lists may be made to exhaust memory.
        if !self.policy.keys.is_empty() && self.findings.failed(Check::ManifestSignature) {
            self.otherwise = UNTRUSTED;
            return;
        }
        match ExportManifest::from_bytes(export) {
            Ok(manifest) => {
                self.findings.pass(Check::FormatVersion, manifest.format_version.to_string());
                listing::check_manifest(&manifest, &mut self.findings);
                listing::check_files(self.files, &manifest, &mut self.findings);
                match provenance {
                    Some(bytes) => {
                        provenance::check(&bytes, &manifest, &self.export, &mut self.findings);
                    }
                    None => self.findings.not_checked(Check::Provenance, "there is none"),
                }
                self.plan_tasks(manifest);
            }
            Err(error) => self.refuse_manifest(&error),
        }
    }

    fn refuse_manifest(&mut self, error: &ManifestError) {
        let problem = Problem::new(error.to_string()).of(layout::EXPORT);
        let check = match error {
            ManifestError::Version(_) | ManifestError::Requires(_) => Check::FormatVersion,
            ManifestError::Syntax(_) | ManifestError::NotCanonical => Check::ManifestForm,
        };
        if check == Check::FormatVersion {
            self.otherwise = "the bundle needs a newer version of stella";
        }
        self.findings.fail(check, problem);
    }

    fn check_signatures(&mut self, export: &[u8], provenance: Option<&[u8]>) {
        let further = self.further_signatures();
        let primary = [layout::EXPORT_SIG, layout::EXPORT_BUNDLE, layout::PROVENANCE_BUNDLE];
        let unsigned = primary.iter().all(|name| self.files.entry(name).is_none());
        if unsigned && further.is_empty() {
            self.check_unsigned();
            return;
        }
        let keys = &self.policy.keys;
        if keys.is_empty() {
            self.findings.not_checked(Check::Signer, "no trusted key was given");
        } else {
            let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            self.findings.pass(Check::Signer, format!("trusted: {}", names.join(", ")));
        }
        let limit = self.policy.limits.manifest_bytes;
        let mut sidecar = |name: &str, limit: u64| {
            self.files.entry(name)?;
            self.read(name, limit)
        };
        let (sig, bundle) = (
            sidecar(layout::EXPORT_SIG, SIGNATURE_BYTES),
            sidecar(layout::EXPORT_BUNDLE, SIGNATURE_BYTES),
        );
        let provenance_bundle = sidecar(layout::PROVENANCE_BUNDLE, limit);
        let sidecars = Sidecars {
            export,
            export_sig: sig.as_deref(),
            export_bundle: bundle.as_deref(),
            provenance,
            provenance_bundle: provenance_bundle.as_deref(),
        };
        let limits = &self.policy.limits;
        self.signers.extend(check_primary(sidecars, keys, limits, &mut self.findings));
        self.check_further(export, &further);
    }

    fn check_unsigned(&mut self) {
        let signed = [
            Check::Signer,
            Check::ManifestSignature,
            Check::ProvenanceSignature,
            Check::FurtherSignatures,
        ];
        let detail = match self.policy.unsigned {
            Unsigned::AcceptForTesting => "an unsigned bundle, accepted for testing",
            Unsigned::Refuse => UNSIGNED,
        };
        for check in signed {
            self.findings.not_used(check, detail);
        }
        if self.policy.unsigned == Unsigned::Refuse {
            let problem = Problem::new(UNSIGNED).of(layout::EXPORT_BUNDLE);
            self.findings.fail(Check::ManifestSignature, problem);
        }
    }

    fn further_signatures(&self) -> Vec<PartName> {
        let names = self.files.files().iter().map(|entry| &entry.name);
        names.filter(|name| name.as_str().starts_with(layout::SIGNATURES)).cloned().collect()
    }

    fn check_further(&mut self, export: &[u8], names: &[PartName]) {
        const CHECK: Check = Check::FurtherSignatures;
        if names.len() > SIGNATURES_MAX {
            let problem = Problem::new(format!("more than {SIGNATURES_MAX} signatures"));
            self.findings.fail(CHECK, problem.of(layout::SIGNATURES));
        }
        let mut passed = 0;
        for name in names.iter().take(SIGNATURES_MAX) {
            let bytes = match read_small(self.files, name, SIGNATURE_BYTES) {
                Ok(bytes) => bytes,
                Err(error) => {
                    let problem = Problem::new(format!("the file cannot be read: {error}"));
                    self.findings.fail(CHECK, problem.of(name.as_str()));
                    continue;
                }
            };
            let (keys, limits) = (&self.policy.keys, &self.policy.limits);
            let signer =
                check_further(name.as_str(), &bytes, export, keys, limits, &mut self.findings);
            passed += usize::from(signer.as_ref().is_some_and(|signer| signer.key.is_some()));
            self.signers.extend(signer);
        }
        match (names.len(), passed) {
            (0, _) => self.findings.not_used(CHECK, "none"),
            (all, 0) => self.findings.not_used(CHECK, format!("{all} by unknown keys")),
            (all, by) if all == by => self.findings.pass(CHECK, format!("{by} by trusted keys")),
            (all, by) => {
                let unknown = all - by;
                let detail = format!("{by} by trusted keys, {unknown} by unknown keys not used");
                self.findings.pass(CHECK, detail);
            }
        }
    }

    /// One task for every file that is there; what is missing or of another size was told already.
    fn plan_tasks(&mut self, manifest: ExportManifest) {
        let limits = &self.policy.limits;
        let present = |at: &usize| {
            let part = &manifest.parts[*at];
            self.files.entry(part.path.as_str()).is_some_and(|entry| entry.size == part.size)
        };
        let pairs = listing::data_parts(&manifest, limits, &mut self.findings);
        let mut paired = std::collections::BTreeSet::new();
        for pair in pairs {
            if present(&pair.data) && present(&pair.index) {
                paired.extend([pair.data, pair.index]);
                self.tasks.push(Task::records(pair, &manifest));
            }
        }
        let others = (0..manifest.parts.len()).filter(|at| !paired.contains(at));
        self.tasks.extend(others.filter(present).map(|at| Task::stored(at, &manifest)));
        self.manifest = Some(manifest);
    }

    fn join(&mut self, manifest: &ExportManifest, verdicts: Vec<PartVerdict>) {
        let mut sets: BTreeMap<&SetKey, Joined> = BTreeMap::new();
        let mut data_parts: u64 = 0;
        for (task, verdict) in self.tasks.iter().zip(&verdicts) {
            for (check, problem) in &verdict.problems {
                self.findings.fail(*check, problem.clone());
            }
            let Work::Records(part) = &task.work else { continue };
            data_parts += 1;
            // Tasks of a set come in its order; a gap leaves the set without a root.
            let set = sets
                .entry(&part.set)
                .or_insert_with(|| Joined { parts: 0, leaves: Some(CompactRange::default()) });
            set.parts += 1;
            let all = set.leaves.take().zip(verdict.leaves.as_ref());
            set.leaves = all.and_then(|(all, next)| all.join(next));
        }
        check_sets(manifest, &sets, &mut self.findings);
        let parts = manifest.parts.len();
        let records = manifest.counts.records;
        let findings = &mut self.findings;
        findings.pass(Check::PartDigests, format!("{parts} of {parts} (SHA-256)"));
        if data_parts == 0 && manifest.sets.is_empty() {
            for check in OF_RECORDS {
                findings.not_used(check, "the bundle carries no records");
            }
            return;
        }
        let noun = if data_parts == 1 { "data part" } else { "data parts" };
        findings.pass(Check::PartNames, format!("{data_parts} {noun}, each with its index"));
        findings.pass(Check::Compression, "one frame each, sizes and checksums agree");
        findings.pass(Check::RecordLines, format!("{records} in canonical form"));
        findings.pass(Check::RecordOrder, "ascending, within and across parts");
        findings.pass(Check::RecordDigests, format!("{records} of {records} (SHA-256)"));
        findings.pass(Check::PartCounts, "records, first and last ids agree");
        findings.pass(Check::Indexes, format!("{data_parts} agree with their parts"));
        match self.policy.depth {
            Depth::Digests => findings.not_used(Check::Documents, "asked for with --deep"),
            Depth::Documents => findings.pass(Check::Documents, format!("{records} canonical")),
        }
    }

    fn join_scanner(&mut self, manifest: &ExportManifest) {
        let findings = &mut self.findings;
        findings.not_used(Check::ScannerCanary, "asked for with --scanner");
        if let Some(verdict) = self.scanner.take() {
            verdict.tell(findings);
        }
        for (check, why) in scanner::not_used(manifest) {
            findings.not_used(check, why);
        }
    }

    fn check_age(&mut self, manifest: &ExportManifest) {
        let age = self.policy.now.unix_seconds() - manifest.as_of.unix_seconds();
        let told = format!("asOf {}, {}", manifest.as_of, in_words(age));
        match self.policy.max_age_seconds {
            None => self.findings.not_used(Check::Age, told),
            Some(most) if age > i64::try_from(most).unwrap_or(i64::MAX) => {
                let problem = Problem::new(format!("the evidence is too old: {told}"));
                let most = in_words(i64::try_from(most).unwrap_or(i64::MAX));
                self.findings
                    .fail(Check::Age, problem.expected(format!("at most {most}"), in_words(age)));
            }
            // Otherwise a clock set wrong would keep the evidence young for as long.
            Some(_) if age < -FUTURE_SECONDS => {
                let problem = Problem::new(format!("{FROM_THE_FUTURE}: {told}"));
                let most = format!("at most {}", in_words(-FUTURE_SECONDS));
                self.findings.fail(Check::Age, problem.expected(most, in_words(age)));
            }
            Some(_) => self.findings.pass(Check::Age, told),
        }
    }
}

/// What the parts of one set gave.
struct Joined {
    /// Number of parts that were checked.
    parts: u64,
    /// Their leaves, unless one of them is not good.
    leaves: Option<CompactRange>,
}

/// Compares count and root of every set with what its parts gave.
fn check_sets(
    manifest: &ExportManifest,
    joined: &BTreeMap<&SetKey, Joined>,
    findings: &mut Findings,
) {
    let mut listed: BTreeMap<SetKey, u64> = BTreeMap::new();
    for part in manifest.parts.iter().filter(|p| p.path.as_str().starts_with(listing::DATA)) {
        if let (Some(kind), Some(feed)) = (part.kind.clone(), part.feed.clone()) {
            *listed.entry(SetKey { kind, feed }).or_default() += 1;
        }
    }
    let mut incomplete = 0;
    for set in &manifest.sets {
        let key = SetKey { kind: set.kind.clone(), feed: set.feed.clone() };
        let parts = listed.remove(&key).unwrap_or(0);
        let found = joined.get(&key);
        let empty = Some(CompactRange::default());
        let leaves = found.map_or(&empty, |found| &found.leaves);
        let complete = found.map_or(0, |found| found.parts) == parts;
        let Some(leaves) = leaves.as_ref().filter(|_| complete) else {
            incomplete += 1;
            continue;
        };
        let root = leaves.root().unwrap_or(Digest::EMPTY);
        if (set.count, set.root) != (leaves.count(), root) {
            let tell = |count: u64, root: Digest| format!("{count} records, root {root}");
            let problem = Problem::new(format!("{key} is not the set that was signed for"));
            let (expected, found) = (tell(set.count, set.root), tell(leaves.count(), root));
            findings.fail(Check::SetRoots, problem.of(layout::EXPORT).expected(expected, found));
        }
    }
    for set in listed.keys() {
        let problem =
            Problem::new(format!("there are parts of {set}, which is not among the sets"));
        findings.fail(Check::SetRoots, problem.of(layout::EXPORT));
    }
    let all = manifest.sets.len();
    if incomplete > 0 {
        let detail = format!("{incomplete} of {all} sets have damaged or missing parts");
        findings.not_checked(Check::SetRoots, detail);
    } else {
        findings.pass(Check::SetRoots, format!("{all} of {all} recomputed"));
    }
}

fn in_words(seconds: i64) -> String {
    let words = |seconds: i64| match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    };
    match seconds {
        0.. => format!("{} old", words(seconds)),
        _ => format!("{} in the future", words(seconds.saturating_neg())),
    }
}
