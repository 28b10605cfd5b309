//! `ingest`, `feeds list`, `feeds show` and `quarantine list` of a server.

use std::fs::File;
use std::io::{self, PipeWriter, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use stella_ledger::QuarantineFilter;
use stella_model::screen::Safe;
use stella_model::{ErrorCode, FeedName};
use stella_remote::Client;

use super::super::feeds::{feed_item, summary};
use super::super::ingest::where_rejected;
use super::super::report::{list, number};
use super::super::{Exit, feeds};
use super::{items, remote, segment};
use crate::args::{IngestArgs, YesNo};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page, human};

/// `ingest` of a server: files go as they are, several and folders as one archive.
pub(crate) fn ingest(
    client: &Client,
    args: IngestArgs,
    context: &Context,
) -> Result<Exit, Failure> {
    let mut told = Vec::new();
    let mut tell = |name, value: Option<String>| told.extend(value.map(|value| (name, value)));
    tell("licence", args.licence);
    tell("attribution", args.attribution);
    tell("publisher", args.publisher);
    tell("redistribution", args.redistribution.map(|yes| (yes == YesNo::Yes).to_string()));
    tell("replace", args.replace.then(|| "true".to_owned()));
    tell("maxDrop", args.replace.then(|| args.max_drop.to_string()));
    tell("acceptDrop", args.reason.filter(|_| args.accept_drop));
    // What was rejected is found by it.
    let source = match &args.paths[..] {
        [path] if path.as_os_str() != "-" => Some(path.to_string_lossy().into_owned()),
        _ => None,
    };
    tell("source", source);
    tell("dryRun", args.dry_run.then(|| "true".to_owned()));
    let evidence = evidence(&args.paths)?;
    let shown = where_rejected(&args.feed, args.dry_run);
    let report = client.ingest(args.feed.as_str(), &told, evidence).map_err(|error| {
        // Other words are for an input that was not taken at all.
        let is_of_table =
            error.hint().is_some_and(|hint| hint.starts_with(ErrorCode::Rejected.next()));
        let failure = remote(error);
        if is_of_table { failure.hint(&shown) } else { failure }
    })?;
    let number = |member: &str| human::count(number(&report, member));
    let summary = format!(
        "Input for feed {}\n  records    {} added, {} updated, {} unchanged, {} vanished\n  \
         documents  {} read{}",
        args.feed,
        number("added"),
        number("updated"),
        number("unchanged"),
        number("vanished"),
        number("documents"),
        if args.dry_run { "; nothing was stored" } else { "" },
    );
    for change in list(&report, "feedChanges") {
        context.warn(change.as_str().unwrap_or_default());
    }
    let quarantined = report["quarantined"].as_object();
    let rejected: u64 =
        quarantined.into_iter().flat_map(|by| by.values()).filter_map(Value::as_u64).sum();
    let name = args.feed.to_string();
    let id = report["seqTo"].to_string();
    context.print(&Page::one("Ingest", Item { name, id, value: report }).text(summary))?;
    if rejected == 0 {
        return Ok(Exit::Done);
    }
    let what = format!("{} rejected", human::counted(rejected, "document"));
    match args.strict {
        true => Err(Failure::new(ErrorCode::Rejected, what).hint(shown)),
        false => {
            context.warn(&what);
            Ok(Exit::Done)
        }
    }
}

fn cannot_read(path: &Path) -> impl Fn(io::Error) -> Failure {
    let shown = Safe(&path.to_string_lossy()).to_string();
    move |error| {
        let code = ErrorCode::of_reading(error.kind());
        Failure::new(code, format!("cannot read {shown}")).because(&error)
    }
}

/// The bytes of the inputs.
fn evidence(paths: &[PathBuf]) -> Result<Box<dyn Read + Send>, Failure> {
    if let [path] = paths {
        if path.as_os_str() == "-" {
            return Ok(Box::new(io::stdin()));
        }
        let file = File::open(path).map_err(cannot_read(path))?;
        if !file.metadata().map_err(cannot_read(path))?.is_dir() {
            return Ok(Box::new(file));
        }
    }
    for path in paths {
        std::fs::metadata(path).map_err(cannot_read(path))?;
    }
    let (reader, writer) = io::pipe().map_err(|error| {
        Failure::new(ErrorCode::Io, "cannot make a pipe for the evidence").because(&error)
    })?;
    let paths = paths.to_vec();
    // Ends when all is read, or nobody reads any more.
    let archive = std::thread::spawn(move || archive(&paths, writer));
    Ok(Box::new(Archive { reader, made: Some(archive) }))
}

/// An archive that is read while it is made. It ends only if all of it was made: what cannot be read
/// must not be taken for what is not there.
struct Archive {
    reader: io::PipeReader,
    made: Option<std::thread::JoinHandle<io::Result<()>>>,
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer)? {
            0 if !buffer.is_empty() => match self.made.take().map(std::thread::JoinHandle::join) {
                Some(Ok(made)) => made.map(|()| 0),
                Some(Err(_)) => Err(io::Error::other("the evidence could not be read")),
                None => Ok(0),
            },
            read => Ok(read),
        }
    }
}

fn archive(paths: &[PathBuf], writer: PipeWriter) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(256 << 10, writer));
    for (number, path) in paths.iter().enumerate() {
        let name = path.file_name().map_or_else(|| number.to_string().into(), ToOwned::to_owned);
        // Inputs of one name in several folders are told apart.
        let name = Path::new(&number.to_string()).join(name);
        match path.is_dir() {
            true => archive.append_dir_all(name, path)?,
            false => archive.append_file(name, &mut File::open(path)?)?,
        }
    }
    archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error).map(drop)
}

/// `feeds list` of a server.
pub(crate) fn feeds(client: &Client, context: &Context) -> Result<(), Failure> {
    let listed = client.get("list feeds", "/feeds").map_err(remote)?;
    context.print(&feeds::list(items(&listed)))
}

/// `feeds show` of a server.
pub(crate) fn feed(client: &Client, name: &FeedName, context: &Context) -> Result<(), Failure> {
    let feed = client.get("show a feed", &format!("/feeds/{name}")).map_err(remote)?;
    context.print(&Page::one("Feed", feed_item(&feed)).text(summary(&feed)))
}

/// What a server rejected of a feed.
pub(crate) fn quarantine(
    client: &Client,
    filter: &QuarantineFilter,
) -> Result<Vec<Value>, Failure> {
    let Some(feed) = &filter.feed else {
        let message = "a server tells what it rejected of one feed at a time";
        return Err(Failure::new(ErrorCode::Usage, message).hint(
            "add --feed NAME; stella feeds list shows them, with how many documents were rejected",
        ));
    };
    let reason = match &filter.reason {
        Some(reason) => format!("&reason={}", segment("reason", reason)?),
        None => String::new(),
    };
    let (mut entries, mut after) = (Vec::new(), Some(filter.after));
    let most =
        filter.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    while let Some(number) = after.filter(|_| entries.len() < most) {
        let path = format!("/feeds/{feed}/quarantine?after={number}{reason}");
        let page = client.get("list what was rejected", &path).map_err(remote)?;
        entries.extend_from_slice(items(&page));
        after = page["next"].as_u64();
    }
    entries.truncate(most);
    Ok(entries)
}
