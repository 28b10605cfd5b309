//! Turns files, directories, archives and standard input into documents, as a stream.
//!
//! What a container is, its content decides: zstd, gzip, tar and zip are told by their magic bytes,
//! JSON lines by their name (`.jsonl`, `.ndjson`) or by a first line that is a whole object with
//! another behind it. Containers may lie in containers.
//!
//! Every input is hostile. Nothing is ever extracted to disk, so a member's name cannot become a
//! path; names that try (absolute, `..`), links, devices and repeated members are rejected one by
//! one and the rest goes on. Sizes, ratios, counts and depths are bounded by [`Limits`] (INV-LIMIT).
//! Memory holds one document, the window of each open decompressor, and eleven bytes for
//! each member of the archive that is open.
//!
//! A zip archive is read from its end. One that comes as a stream, from standard input or from
//! within another container, is therefore first written to an anonymous temporary file, which is
//! bounded as every other stream is.

mod decode;
mod inputs;
mod json_lines;
mod magic;
mod member;
mod source;
mod stream;
mod tar_archive;
mod zip_archive;

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use stella_model::Limits;

pub use inputs::Input;

/// What a file is by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// To be read.
    Document,
    /// Belongs to documents without being one, such as a signature.
    Companion,
    /// No evidence, such as a read-me file or the folders of version control.
    Ignored,
}

/// What a walk needs to know.
pub struct Options<'a> {
    /// Bounds on everything that is read.
    pub limits: Limits,
    /// Classes a name, relative to the argument or within the archive, `/` between its folders.
    pub by_name: &'a (dyn Fn(&str) -> Class + Sync),
    /// Where zip archives out of streams are kept while they are read; else the system's folder
    /// for temporary files, which may be held in memory.
    pub spool_dir: Option<PathBuf>,
}

/// One document, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it was found, for people: `feeds/archive.tar.zst!dir/a.json`, `x.jsonl:17`. Not
    /// escaped: show it through [`stella_model::screen::Safe`].
    pub path: String,
    /// Its bytes as received, without the compression around them.
    pub bytes: Vec<u8>,
    /// Offset of its first byte in the uncompressed JSON lines it was cut from.
    pub offset: Option<u64>,
}

/// A file, member or line that cannot be taken as a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where it was found; not escaped.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// Offset in bytes at which the fault shows: in the container if the container is at fault.
    pub offset: Option<u64>,
    /// What was found, for a person; not escaped.
    pub detail: String,
}

/// What a walk meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A document to recognise.
    Document(Document),
    /// A file that its name says is no document. A folder of version control counts once.
    Skipped {
        /// Where it lies.
        path: String,
        /// [`Class::Companion`] or [`Class::Ignored`].
        class: Class,
    },
    /// Something that could not be taken, while the rest goes on.
    Rejected(Rejected),
}

/// Defines the reasons with their codes.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $code:literal;)*) => {
        /// A stable code for why something was rejected here, before any format was looked at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)*];

            /// The code, such as `unsafe-name`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $code,)* }
            }
        }
    };
}

reasons! {
    /// A document over a limit.
    TooLarge "too-large";
    /// A compression or container that is not read here.
    UnknownFormat "unknown-format";
    /// A member's name is absolute, has `..` or a NUL, or is empty.
    UnsafeName "unsafe-name";
    /// A symbolic or hard link. Links are never followed.
    Link "link";
    /// A device, pipe or socket.
    Device "device";
    /// Another member of the same archive has this name; the first one was taken.
    DuplicateMember "duplicate-member";
    /// An encrypted member.
    Encrypted "encrypted";
    /// A container within a container, or one file of a directory, is truncated, corrupt, over a
    /// limit or nested too deeply. What it holds is not known.
    BadContainer "bad-container";
    /// A file of a directory could not be opened or read. What it holds is not known.
    Unreadable "unreadable";
}

impl Reason {
    /// Whether documents may be missing that nobody has seen, so that the input must not be taken
    /// for the whole of a feed.
    #[must_use]
    pub const fn is_read_error(self) -> bool {
        matches!(self, Reason::BadContainer | Reason::Unreadable)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An argument that could not be read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {path}{at}: {problem}", at = Offset(*.offset))]
pub struct SourceError {
    /// The file or member at fault; not escaped.
    pub path: String,
    /// Offset in bytes within it at which the fault shows.
    pub offset: Option<u64>,
    /// What kind of fault it is.
    pub kind: SourceErrorKind,
    /// What is wrong, for a person.
    pub problem: String,
}

/// What kind of fault ended a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// There is no such file.
    NotFound,
    /// The operating system does not allow it.
    Denied,
    /// The operating system failed to read.
    Io,
    /// The container is truncated, corrupt, over a limit or of an unknown kind.
    Refused,
}

/// Hands every document of `inputs` to `sink`, one after the other, in an order that depends only
/// on the inputs: arguments as given, directories sorted by name, archives in their own order.
///
/// Returns `Break` if the sink asked to stop. What the sink got before an error is not taken back:
/// whoever stores documents does so in a transaction.
///
/// # Errors
/// [`SourceError`] if an argument cannot be opened, or is a container that is refused. A fault
/// within a directory or an archive is an [`Event::Rejected`] instead, see
/// [`Reason::is_read_error`].
pub fn walk(
    inputs: Vec<Input>,
    options: &Options<'_>,
    sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, SourceError> {
    let mut walker = Walker { options, sink };
    for input in inputs {
        match walker.input(input) {
            Ok(()) => {}
            Err(Halt::Stopped) => return Ok(ControlFlow::Break(())),
            Err(Halt::Failed(error)) => return Err(error),
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// A walk under way.
struct Walker<'w> {
    options: &'w Options<'w>,
    sink: &'w mut dyn FnMut(Event) -> ControlFlow<()>,
}

/// Why a walk does not go on.
enum Halt {
    Stopped,
    Failed(SourceError),
}

type Walk = Result<(), Halt>;

/// Where something was found.
#[derive(Clone, Copy)]
struct Place<'p> {
    /// For people.
    path: &'p str,
    /// For classing, without the extensions of compressions already taken off.
    name: &'p str,
}

impl Walker<'_> {
    fn emit(&mut self, event: Event) -> Walk {
        match (self.sink)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::Stopped),
        }
    }

    fn reject(
        &mut self,
        place: Place<'_>,
        reason: Reason,
        offset: Option<u64>,
        detail: impl Into<String>,
    ) -> Walk {
        let path = place.path.to_owned();
        self.emit(Event::Rejected(Rejected { path, reason, offset, detail: detail.into() }))
    }

    /// Tells of a name that is no document's. `true` if the walk shall not look at it.
    fn skip_by_name(&mut self, place: Place<'_>) -> Result<bool, Halt> {
        match (self.options.by_name)(place.name) {
            Class::Document => Ok(false),
            class => {
                self.emit(Event::Skipped { path: place.path.to_owned(), class })?;
                Ok(true)
            }
        }
    }

    /// Turns the failure of one member or file into a rejection, so that its siblings go on.
    fn contain(&mut self, outcome: Walk) -> Walk {
        match outcome {
            Err(Halt::Failed(SourceError { path, offset, kind, problem })) => {
                let reason = match kind {
                    SourceErrorKind::Refused => Reason::BadContainer,
                    _ => Reason::Unreadable,
                };
                self.emit(Event::Rejected(Rejected { path, reason, offset, detail: problem }))
            }
            other => other,
        }
    }
}

fn refused(place: Place<'_>, offset: u64, problem: impl Into<String>) -> Halt {
    Halt::Failed(SourceError {
        path: place.path.to_owned(),
        offset: Some(offset),
        kind: SourceErrorKind::Refused,
        problem: problem.into(),
    })
}

fn failed(place: Place<'_>, offset: Option<u64>, error: &io::Error) -> Halt {
    let (offset, kind, problem) = source::describe(error, offset);
    Halt::Failed(SourceError { path: place.path.to_owned(), offset, kind, problem })
}

struct Offset(Option<u64>);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => write!(f, " at byte {offset}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
