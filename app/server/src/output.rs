//! What the program says on standard output.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write as _};

use anyhow::Context as _;

/// Says a line; it is out when this returns. Who does not listen any more (`export-center scrub | head`)
/// is no reason not to go on.
pub(crate) fn line(line: Arguments<'_>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
