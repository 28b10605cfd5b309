//! What the errors of the crates below mean to the caller: their code and the next step.

use stella_carrier::CarrierError;
use stella_depot::DepotError;
use stella_keys::KeysError;
use stella_ledger::LedgerError;
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_remote::RemoteError;
use stella_sources::{SourceError, SourceErrorKind};

use crate::EngineError;

/// An error of a crate below with its own cause kept.
fn wrap<E: std::error::Error>(code: ErrorCode, error: &E) -> EngineError {
    let wrapped = EngineError::new(code, error.to_string());
    match error.source() {
        Some(source) => wrapped.because(source.to_string()),
        None => wrapped,
    }
}

impl From<DepotError> for EngineError {
    fn from(error: DepotError) -> EngineError {
        let hint = match error.code() {
            ErrorCode::NotAllowed => {
                "check the owner and mode of the folder, or choose another with --store; of a bucket \
                 the credentials in the environment"
            }
            ErrorCode::Unreachable => "check the address of the bucket, the network and the server",
            ErrorCode::DigestMismatch => "the same run makes it again",
            _ => "look at the disk of the store: it may be full",
        };
        wrap(error.code(), &error).hint(hint)
    }
}

impl From<CarrierError> for EngineError {
    fn from(error: CarrierError) -> EngineError {
        match &error {
            CarrierError::NotFound { .. } => wrap(ErrorCode::NotFound, &error).hint(
                "check the path; a bundle is the folder or tar that `stella export run -d` made",
            ),
            CarrierError::NotABundle { .. } => wrap(ErrorCode::Usage, &error)
                .hint("a bundle is the folder or tar that `stella export run -d` made"),
            CarrierError::Destination { .. } => wrap(ErrorCode::Usage, &error)
                .hint("-d names the bundle itself, such as -d ./bundle"),
            CarrierError::Conflict { replaceable: true, .. } => wrap(ErrorCode::Conflict, &error)
                .hint("choose another name, or put the new bundle in its place with --replace"),
            CarrierError::Conflict { replaceable: false, .. } => wrap(ErrorCode::Conflict, &error)
                .hint("choose another name; what is there is no bundle and is never replaced"),
            CarrierError::ReadBack { .. } => wrap(ErrorCode::DigestMismatch, &error)
                .hint("the disk of the store or of the destination loses data; check it"),
            CarrierError::NotVerified { .. } => wrap(ErrorCode::Internal, &error)
                .hint("nothing was put there; report it with the command and this message"),
            CarrierError::Stopped => wrap(ErrorCode::Interrupted, &error),
            CarrierError::Order { .. } | CarrierError::SourceSize { .. } => {
                wrap(ErrorCode::Internal, &error)
            }
            CarrierError::TooLarge(_) => {
                wrap(ErrorCode::RunFailed, &error).hint("use --carrier dir")
            }
            CarrierError::Io { source, .. } if error.is_reading() => {
                wrap(ErrorCode::of_reading(source.kind()), &error)
            }
            CarrierError::Io { source, .. } => wrap(ErrorCode::of_writing(source.kind()), &error)
                .hint("look at the disk and at the owner and mode of the folder"),
        }
    }
}

impl From<KeysError> for EngineError {
    fn from(error: KeysError) -> EngineError {
        let wrapped = wrap(error.code(), &error);
        match error.hint() {
            Some(hint) => wrapped.hint(hint),
            None => wrapped,
        }
    }
}

impl From<LedgerError> for EngineError {
    fn from(error: LedgerError) -> EngineError {
        let wrapped = wrap(error.code(), &error);
        let wrapped = match error.hint() {
            Some(hint) => wrapped.hint(hint),
            None => wrapped,
        };
        match &error {
            LedgerError::Missing { .. } => wrapped.hint_over_http(
                "bring evidence in first: POST /feeds/NAME/records (stella ingest --feed NAME PATH)",
            ),
            LedgerError::NotFound { .. } => {
                wrapped.hint_over_http("GET /feeds shows what there is (stella feeds list)")
            }
            _ => wrapped,
        }
    }
}

impl From<RemoteError> for EngineError {
    fn from(error: RemoteError) -> EngineError {
        let hint = error.hint();
        // What a server says is shown on a terminal.
        let text = Safe(&error.to_string()).to_string();
        let wrapped = EngineError::new(error.code(), text);
        // Of what a connection says the last is the cause: that it was refused, or a certificate is bad.
        let mut cause = std::error::Error::source(&error);
        while let Some(deeper) = cause.and_then(std::error::Error::source) {
            cause = Some(deeper);
        }
        let wrapped = match cause {
            Some(cause) => wrapped.because(cause.to_string()),
            None => wrapped,
        };
        match hint {
            Some(hint) => wrapped.hint(Safe(&hint).to_string()),
            None => wrapped,
        }
    }
}

impl From<SourceError> for EngineError {
    fn from(error: SourceError) -> EngineError {
        let code = match error.kind {
            SourceErrorKind::NotFound => ErrorCode::NotFound,
            SourceErrorKind::Denied => ErrorCode::NotAllowed,
            SourceErrorKind::Io => ErrorCode::Io,
            SourceErrorKind::Refused => ErrorCode::Rejected,
        };
        EngineError::new(code, Safe(&error.to_string()).to_string()).hint(
            "nothing was taken in; mend or leave out this input and run the same command again",
        )
    }
}
