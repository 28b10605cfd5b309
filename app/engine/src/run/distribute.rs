//! Stage distribute: the bundle at its destination, read back before it is there.

use std::ops::ControlFlow;

use stella_carrier::{CarrierError, Existing, FileSpec, Outcome, Source, carrier_order, place};
use stella_depot::Depot;
use stella_model::PartName;

use super::assemble::{Bytes, Files};
use super::request::ExportRequest;
use crate::{Cancel, Progress, Stage, StageUpdate};

/// Places the bundle; whether the same one was already there.
///
/// Every file is read back and compared with its digest before the bundle gets its name
/// (INV-VERIFY).
pub(crate) fn distribute(
    request: &ExportRequest,
    files: &Files,
    envelope: &[(PartName, Vec<u8>)],
    depot: &Depot,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<bool, CarrierError> {
    let mut specs: Vec<FileSpec<'_>> =
        envelope.iter().map(|(name, bytes)| FileSpec::bytes(name.clone(), bytes)).collect();
    specs.extend(files.parts.iter().map(|(name, bytes)| match bytes {
        Bytes::Memory(bytes) => FileSpec::bytes(name.clone(), bytes),
        Bytes::Depot(file) => FileSpec {
            name: name.clone(),
            size: file.size,
            digest: file.digest,
            source: Source::File(depot.blob_path(&file.digest)),
        },
    }));
    specs.sort_by(|a, b| carrier_order(a.name.as_str()).cmp(&carrier_order(b.name.as_str())));
    let existing = if request.replace { Existing::Replace } else { Existing::Refuse };
    let mut update = StageUpdate {
        stage: Stage::Distribute,
        done: 0,
        total: Some(specs.len() as u64),
        bytes: 0,
        unit: "files",
        finished: None,
    };
    let mut watch = |bytes| {
        update.done += 1;
        update.bytes += bytes;
        progress.update(&update);
        if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let placed = place(request.carrier, &request.dest, &specs, existing, &mut watch)?;
    Ok(placed.outcome == Outcome::Unchanged)
}
