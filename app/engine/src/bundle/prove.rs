//! `export prove` and `verify-proof`: whether a record is in a bundle, without the bundle.

use std::io::Read;
use std::path::{Path, PathBuf};

use stella_carrier::begins_as_tar;
use stella_manifest::{ExportManifest, layout};
use stella_model::{Digest, ErrorCode, FeedName, Kind, Limits, RecordId, SetKey};
use stella_records::setroot::{PathBuilder, SetRoot, leaf};
use stella_verify::BundleFiles as _;
use stella_verify::lines::read_small;
use stella_verify::proof::{Proof, ProofFiles, ProofLeaf, ProofReport, verify_proof as check};

use super::read::{ReadBundle, SetIndex, open_carrier};
use super::verify::{refuse_inside, trusted_keys};
use crate::{EngineError, Store};

/// The record that a proof is to be about.
#[derive(Debug, Clone)]
pub struct ProveRequest {
    /// The bundle.
    pub path: PathBuf,
    /// The kind.
    pub kind: Kind,
    /// The feed.
    pub feed: FeedName,
    /// The id.
    pub id: RecordId,
    /// What a kind and feed that the bundle does not hold mean: they may be misspelt.
    pub missing_set: MissingSet,
}

/// What a kind and feed of which a bundle holds nothing mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingSet {
    /// A mistake.
    Refuse,
    /// That the record is not there either.
    ProvesAbsence,
}

/// Makes a proof that a record is in a bundle, or that it is not. Reads the indexes of the set and
/// no data; memory is that of the largest index.
///
/// # Errors
/// [`EngineError`] if the bundle does not read, it carries no records, it does not hold the set (exit
/// 3), or its indexes do not give the root that the manifest tells.
pub fn prove(request: &ProveRequest) -> Result<Proof, EngineError> {
    let bundle = ReadBundle::open(&request.path)?.sound()?.with_records()?;
    let set = SetKey { kind: request.kind.clone(), feed: request.feed.clone() };
    let sets = &bundle.manifest.sets;
    let entry = sets.iter().find(|entry| entry.kind == set.kind && entry.feed == set.feed);
    if entry.is_none() && request.missing_set == MissingSet::Refuse {
        let what = format!("the bundle holds no set {set}");
        return Err(EngineError::new(ErrorCode::NotFound, what).hint(
            "stella export inspect lists the sets of a bundle; if it is meant, \
             --allow-missing-set proves that the record is not there",
        ));
    }
    let (count, root) = entry.map_or((0, Digest::EMPTY), |entry| (entry.count, entry.root));
    let mut leaves = shown(&bundle, &set, &request.id, count)?;
    let found = fill_paths(&bundle, &set, &mut leaves)?;
    if found != (count, root) {
        return Err(disagree(&set));
    }
    Ok(Proof {
        count,
        export: bundle.export.into(),
        feed: set.feed,
        format_version: 1,
        id: request.id.clone(),
        kind: set.kind,
        leaves: leaves
            .into_iter()
            .map(|(leaf, path)| ProofLeaf { path: path.finish(), ..leaf })
            .collect(),
        root,
    })
}

/// The record, or its neighbours, each with a path that is still to be filled.
fn shown(
    bundle: &ReadBundle,
    set: &SetKey,
    id: &RecordId,
    count: u64,
) -> Result<Vec<(ProofLeaf, PathBuilder)>, EngineError> {
    let mut before = None;
    let mut shown = Vec::new();
    let mut index = 0;
    let mut entries = SetIndex::new(bundle, set)?;
    while let Some(entry) = entries.next()? {
        let leaf = ProofLeaf {
            content_digest: entry.content_digest,
            id: entry.id,
            index,
            path: Vec::new(),
        };
        index += 1;
        if leaf.id < *id {
            before = Some(leaf);
            continue;
        }
        if leaf.id > *id {
            shown.extend(before.take());
        }
        before = None;
        shown.push(leaf);
        break;
    }
    shown.extend(before);
    let with_path = |leaf: ProofLeaf| {
        let path = PathBuilder::new(leaf.index, count).ok_or_else(|| disagree(set))?;
        Ok((leaf, path))
    };
    shown.into_iter().map(with_path).collect()
}

/// Shows all leaves of the set to the paths. Returns count and root of what was shown.
fn fill_paths(
    bundle: &ReadBundle,
    set: &SetKey,
    shown: &mut [(ProofLeaf, PathBuilder)],
) -> Result<(u64, Digest), EngineError> {
    let mut root = SetRoot::new();
    let mut entries = SetIndex::new(bundle, set)?;
    while let Some(entry) = entries.next()? {
        let hash = leaf(set, entry.id.as_str(), &entry.content_digest);
        root.push(hash);
        shown.iter_mut().for_each(|(_, path)| path.push(hash));
    }
    Ok((root.count(), root.finish()))
}

fn disagree(set: &SetKey) -> EngineError {
    EngineError::new(
        ErrorCode::BadBundle,
        format!("the indexes of {set} do not give the root in the manifest"),
    )
    .hint("stella export verify tells everything that is wrong with the bundle")
}

/// A proof and what it is checked against.
#[derive(Debug, Clone)]
pub struct VerifyProofRequest<'a> {
    /// The proof; `-` is standard input.
    pub proof: PathBuf,
    /// `export.json`, whose signatures lie beside it, or the bundle that holds it.
    pub manifest: PathBuf,
    /// Files with trusted public keys. If there are any, only these count.
    pub keys: Vec<PathBuf>,
    /// The store whose trusted keys count otherwise.
    pub store: Option<&'a Store>,
}

/// Checks a proof against a signed manifest. A report of failures is no error: its exit code tells.
///
/// # Errors
/// [`EngineError`] if a file or a key cannot be read, or a key lies inside the bundle.
pub fn verify_proof(request: &VerifyProofRequest<'_>) -> Result<ProofReport, EngineError> {
    let limits = Limits::DEFAULT;
    if let Some(bundle) = bundle_around(&request.manifest) {
        request.keys.iter().try_for_each(|key| refuse_inside(key, &bundle))?;
    }
    let keys = trusted_keys(&request.keys, request.store)?;
    let proof = read(&request.proof, PROOF_BYTES)
        .map_err(|error| error.hint("give the file that stella export prove wrote"))?;
    if ExportManifest::from_bytes(&proof).is_ok() {
        let what = format!("{} is a manifest, not a proof", request.proof.display());
        return Err(EngineError::new(ErrorCode::Usage, what)
            .hint("give the file that stella export prove wrote"));
    }
    let signed = SignedManifest::read(&request.manifest, &limits)?;
    let files = ProofFiles {
        proof: &proof,
        export: &signed.export,
        export_sig: signed.sig.as_deref(),
        export_bundle: signed.bundle.as_deref(),
    };
    Ok(check(files, &keys, &limits))
}

/// A manifest with the signatures beside it.
struct SignedManifest {
    export: Vec<u8>,
    sig: Option<Vec<u8>>,
    bundle: Option<Vec<u8>>,
}

impl SignedManifest {
    /// Of a file with others beside it, of a folder, or of a tar.
    fn read(path: &Path, limits: &Limits) -> Result<SignedManifest, EngineError> {
        if path.is_dir() {
            return SignedManifest::read(&path.join(layout::EXPORT), limits);
        }
        if begins_as_tar(path).is_ok_and(|begins| begins) {
            return SignedManifest::of_tar(path, limits);
        }
        let beside = |suffix: &str| {
            let mut path = path.as_os_str().to_owned();
            path.push(suffix);
            let path = PathBuf::from(path);
            if path.exists() { read(&path, PROOF_BYTES).map(Some) } else { Ok(None) }
        };
        Ok(SignedManifest {
            export: read(path, limits.manifest_bytes).map_err(|error| {
                error.hint("--manifest takes the export.json of a bundle, or the bundle")
            })?,
            sig: beside(".sig")?,
            bundle: beside(".sigstore.json")?,
        })
    }

    fn of_tar(path: &Path, limits: &Limits) -> Result<SignedManifest, EngineError> {
        let carrier = open_carrier(path)?;
        let file = |name: &str, most: u64| {
            let Some(entry) = carrier.entry(name) else { return Ok(None) };
            read_small(&carrier, &entry.name, most).map(Some).map_err(|error| {
                EngineError::new(ErrorCode::BadBundle, format!("cannot read {name}")).because(error)
            })
        };
        Ok(SignedManifest {
            export: file(layout::EXPORT, limits.manifest_bytes)?.unwrap_or_default(),
            sig: file(layout::EXPORT_SIG, PROOF_BYTES)?,
            bundle: file(layout::EXPORT_BUNDLE, PROOF_BYTES)?,
        })
    }
}

/// The folder that a manifest lies in, if that is a bundle. One that was copied somewhere has its
/// signatures beside it, but no provenance.
fn bundle_around(manifest: &Path) -> Option<PathBuf> {
    let manifest = manifest.canonicalize().ok()?;
    let folder = if manifest.is_dir() { manifest } else { manifest.parent()?.to_owned() };
    folder.join(layout::PROVENANCE).exists().then_some(folder)
}

/// Largest proof or signature that is read: two ids and 128 digests are far below.
const PROOF_BYTES: u64 = 1 << 20;

/// Reads a file of bounded size; `-` is standard input.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, EngineError> {
    let failed = |error: std::io::Error| {
        let code = ErrorCode::of_reading(error.kind());
        EngineError::new(code, format!("cannot read {}", path.display())).because(error)
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > limit {
        let what = format!("{} is larger than {limit} bytes", path.display());
        return Err(EngineError::new(ErrorCode::Invalid, what));
    }
    Ok(bytes)
}
