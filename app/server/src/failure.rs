//! Why the program ends with an error, as whoever started it is told.

use std::io;

use stella_catalog::CatalogError;
use stella_depot::DepotError;
use stella_engine::EngineError;
use stella_keys::KeysError;
use stella_model::ErrorCode;

use crate::arguments::Usage;
use crate::keeping::DamageFound;

/// Tells it on standard error, with what to do next; the exit code.
pub(crate) fn tell(error: &anyhow::Error) -> u8 {
    let Some((code, next)) = error.chain().find_map(known) else {
        eprintln!("error: {error:#}");
        return ErrorCode::Internal.exit_code();
    };
    eprintln!("error[{code}]: {error:#}");
    eprintln!("  hint: {}", next.as_deref().unwrap_or(code.next()));
    code.exit_code()
}

/// The row of the table of errors, and what to do where that is more than the table has.
fn known(cause: &(dyn std::error::Error + 'static)) -> Option<(ErrorCode, Option<String>)> {
    if let Some(error) = cause.downcast_ref::<EngineError>() {
        return Some((error.code(), error.next_step().map(str::to_owned)));
    }
    if let Some(error) = cause.downcast_ref::<KeysError>() {
        return Some((error.code(), error.hint()));
    }
    if let Some(error) = cause.downcast_ref::<CatalogError>() {
        let unreachable =
            "check --catalog and the database; a new one is made by export-center migrate";
        let next = (error.code() == ErrorCode::Unreachable).then(|| unreachable.to_owned());
        return Some((error.code(), next));
    }
    let depot = cause.downcast_ref::<DepotError>().map(DepotError::code);
    let damage = cause.downcast_ref::<DamageFound>().map(|_| ErrorCode::DigestMismatch);
    let usage = cause.downcast_ref::<Usage>().map(|_| ErrorCode::Usage);
    let file = cause.downcast_ref::<io::Error>().map(|error| ErrorCode::of_writing(error.kind()));
    depot.or(damage).or(usage).or(file).map(|code| (code, None))
}
