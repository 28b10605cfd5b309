//! `export cat`: records of a bundle as a stream.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use stella_engine::{CatForm, CatRequest};
use stella_model::ErrorCode;
use stella_model::screen::Safe;

use super::super::Exit;
use crate::args::{CatArgs, Format};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{API_VERSION, one_line};

/// Streams the records to standard output.
pub(crate) fn run(args: CatArgs, context: &Context) -> Result<Exit, Failure> {
    super::is_bundle(&args.bundle)?;
    let mut out = Lines::new(context.out.format)?;
    let form = match context.out.format {
        Format::Table | Format::Wide => CatForm::Documents,
        _ => CatForm::Lines,
    };
    let request =
        CatRequest { path: args.bundle, kind: args.kind, feed: args.feed, id: args.id, form };
    context.work(|_, cancel| stella_engine::cat(&request, &mut out, cancel))?;
    match out.end() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}

/// Turns the lines that the engine writes into the form that was asked for.
struct Lines {
    out: BufWriter<io::Stdout>,
    turn: Turn,
    line: Vec<u8>,
    lines: u64,
}

enum Turn {
    /// As they are.
    Keep,
    /// Escaped, because a person reads them on a terminal.
    Escape,
    /// Items of one JSON document.
    Items,
    /// Only the ids; escaped on a terminal.
    Ids { escape: bool },
}

impl Lines {
    fn new(format: Format) -> Result<Lines, Failure> {
        let turn = match format {
            Format::Json => Turn::Items,
            Format::Name | Format::Id => Turn::Ids { escape: io::stdout().is_terminal() },
            Format::Yaml => {
                let failure = Failure::new(ErrorCode::Usage, "records have no YAML form");
                return Err(failure.hint("use -o json or -o jsonl"));
            }
            _ if io::stdout().is_terminal() => Turn::Escape,
            _ => Turn::Keep,
        };
        let out = BufWriter::with_capacity(1 << 16, io::stdout());
        Ok(Lines { out, turn, line: Vec::new(), lines: 0 })
    }

    fn end(mut self) -> io::Result<()> {
        if let Turn::Items = self.turn {
            let head = if self.lines == 0 { self.head() } else { String::new() };
            writeln!(self.out, "{head}\n]}}")?;
        }
        self.out.flush()
    }

    fn head(&self) -> String {
        format!("{{\"apiVersion\":\"{API_VERSION}\",\"kind\":\"RecordList\",\"items\":[")
    }

    fn whole_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        let first = self.lines == 0;
        self.lines += 1;
        match self.turn {
            Turn::Keep => self.out.write_all(&line)?,
            Turn::Escape => {
                let text = String::from_utf8_lossy(&line);
                writeln!(self.out, "{}", Safe(text.trim_end_matches('\n')))?;
            }
            Turn::Items => {
                let lead = if first { self.head() } else { ",".to_owned() };
                writeln!(self.out, "{lead}")?;
                self.out.write_all(line.trim_ascii_end())?;
            }
            Turn::Ids { escape } => {
                #[derive(serde::Deserialize)]
                struct Line {
                    id: String,
                }
                let Line { id } = serde_json::from_slice(&line)?;
                writeln!(self.out, "{}", one_line(&id, escape))?;
            }
        }
        self.line = line;
        self.line.clear();
        Ok(())
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Turn::Keep = self.turn {
            return self.out.write(bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.whole_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
