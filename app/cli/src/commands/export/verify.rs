//! `export verify`: checks a bundle.

use super::super::Exit;
use crate::args::VerifyArgs;
use crate::context::Context;
use crate::error::Failure;

/// Checks a bundle.
pub(crate) fn run(_args: &VerifyArgs, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new(stella_model::ErrorCode::Internal, "not wired yet"))
}
