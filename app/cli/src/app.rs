//! From arguments to an exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use stella_model::ErrorCode;

use crate::args::{Cli, Color, Format};
use crate::commands;
use crate::context::Context;
use crate::error::Failure;
use crate::interrupt::Interrupts;
use crate::output::{Paint, use_colour};

/// Runs the command line; the exit code.
pub(crate) fn run(arguments: Vec<OsString>) -> u8 {
    let arguments = help_as_flag(arguments);
    let hints = Hints::of(&arguments);
    let command = Cli::command().color(hints.clap_colour());
    let parsed =
        command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error, &hints),
    };
    let paint = stderr_paint(cli.global.color);
    let is_json = cli.global.output == Format::Json;
    let interrupts = Interrupts::install();
    if let Some(time) = cli.global.timeout {
        interrupts.stop_after(time);
    }
    let outcome = Context::new(cli.global, interrupts)
        .and_then(|context| commands::run(cli.command, &context));
    match outcome {
        Ok(exit) => exit.code(),
        Err(failure) => {
            tell(&failure, is_json, paint);
            failure.code().exit_code()
        }
    }
}

/// `stella help VERB` and `stella export help VERB` are `stella VERB --help`; people try both.
fn help_as_flag(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let all = Cli::command();
    let mut command = &all;
    let mut at = 1;
    while let Some(word) = arguments.get(at).and_then(|word| word.to_str()) {
        if word == "help" && command.has_subcommands() {
            arguments.remove(at);
            arguments.push("--help".into());
            break;
        }
        let Some(next) = command.find_subcommand(word) else { break };
        command = next;
        at += 1;
    }
    arguments
}

/// What has to be known of the command line even if it cannot be parsed.
struct Hints {
    color: Color,
    is_json: bool,
}

impl Hints {
    fn of(arguments: &[OsString]) -> Hints {
        let texts: Vec<&str> = arguments.iter().filter_map(|text| text.to_str()).collect();
        let texts = &texts[..texts.iter().position(|text| *text == "--").unwrap_or(texts.len())];
        let after =
            |flag: &str| texts.windows(2).rfind(|two| two[0] == flag).map(|two| two[1].to_owned());
        let joined = |prefix: &str| {
            texts
                .iter()
                .rfind(|text| text.starts_with(prefix))
                .map(|text| text[prefix.len()..].to_owned())
        };
        let color = after("--color").or_else(|| joined("--color="));
        let color = match color.as_deref() {
            Some("always") => Color::Always,
            Some("never") => Color::Never,
            _ => Color::Auto,
        };
        let output = after("-o")
            .or_else(|| after("--output"))
            .or_else(|| joined("--output="))
            .or_else(|| joined("-o"));
        let output = output.or_else(|| std::env::var("STELLA_OUTPUT").ok());
        Hints {
            color,
            is_json: output.is_some_and(|output| output.trim_start_matches('=') == "json"),
        }
    }

    fn clap_colour(&self) -> clap::ColorChoice {
        match self.color {
            Color::Always => clap::ColorChoice::Always,
            Color::Never => clap::ColorChoice::Never,
            // Help goes to standard output, errors to standard error: clap looks at the stream.
            Color::Auto => clap::ColorChoice::Auto,
        }
    }
}

/// Help and version are results; everything else that clap says is a usage error.
fn not_parsed(error: &clap::Error, hints: &Hints) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone away has what it wanted.
            error.print().ok();
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let failure = Failure::new(ErrorCode::Usage, "a command is missing");
            if hints.is_json {
                tell(&failure, true, Paint { on: false });
            } else {
                error.print().ok();
            }
            ErrorCode::Usage.exit_code()
        }
        _ => {
            let text = error.render().to_string();
            tell(&usage_failure(&text), hints.is_json, stderr_paint(hints.color));
            ErrorCode::Usage.exit_code()
        }
    }
}

/// Clap's message in our two parts: the first paragraph is what failed, the rest what to do.
fn usage_failure(text: &str) -> Failure {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let (what, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let what = what
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let rest: Vec<&str> = rest
        .lines()
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .collect();
    let failure = Failure::new(ErrorCode::Usage, what);
    if rest.is_empty() { failure } else { failure.hint(rest.join("\n")) }
}

/// Writes a failure on standard error.
fn tell(failure: &Failure, is_json: bool, paint: Paint) {
    let text = if is_json { format!("{}\n", failure.to_json()) } else { failure.to_text(paint) };
    io::stderr().write_all(text.as_bytes()).ok();
}

fn stderr_paint(color: Color) -> Paint {
    let on = use_colour(color, io::stderr().is_terminal(), |name| std::env::var(name).ok());
    Paint { on }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_clap_says_becomes_two_parts() {
        let text = "error: unexpected argument '--nope' found\n\n  tip: to pass '--nope' as a value, use '-- --nope'\n\nUsage: stella ingest\n\nFor more information, try '--help'.\n";
        let shown = usage_failure(text).to_text(Paint { on: false });
        let expected = "\
error[ERR_EXPORT_USAGE]: unexpected argument '--nope' found
  hint: tip: to pass '--nope' as a value, use '-- --nope'
        Usage: stella ingest
        For more information, try '--help'.
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_word_help_asks_for_it_wherever_a_verb_could_stand() {
        let of = |line: &str| {
            let turned = help_as_flag(line.split(' ').map(OsString::from).collect());
            turned.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("stella help export run"), "stella export run --help");
        assert_eq!(of("stella export help"), "stella export --help");
        assert_eq!(of("stella export profile help list"), "stella export profile list --help");
        assert_eq!(of("stella export cat help"), "stella export cat help");
    }

    #[test]
    fn json_errors_are_known_before_the_command_line_is() {
        let of = |texts: &[&str]| {
            let texts: Vec<OsString> = texts.iter().map(OsString::from).collect();
            Hints::of(&texts).is_json
        };
        assert!(of(&["stella", "-o", "json", "--nope"]));
        assert!(of(&["stella", "--nope", "--output=json"]));
        assert!(of(&["stella", "-ojson", "--nope"]));
        assert!(!of(&["stella", "-o", "yaml", "--nope"]));
        assert!(!of(&["stella", "--", "-o", "json"]));
    }
}
