//! `completion`: the script that completes commands in a shell.

use clap_complete::Shell;

use super::Exit;
use crate::context::Context;
use crate::error::Failure;

/// Prints the script.
pub(crate) fn run(shell: Shell, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command_line(), "stella", &mut script);
    context.out.raw(&script)?;
    Ok(Exit::Done)
}
