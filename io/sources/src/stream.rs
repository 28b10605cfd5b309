//! From a stream of bytes to documents: which container it is, and what lies within.

use std::fs::File;
use std::io::{self, Read};

use crate::json_lines::{self, Shape};
use crate::magic::{self, HEAD_BYTES, Magic};
use crate::source::Source;
use crate::{Document, Event, Place, Reason, Walk, Walker, decode, failed, refused};

/// Bytes after which the shape of a document of unknown length is looked at, so that JSON lines
/// without a name that says so are not first gathered up to the limit.
const EARLY_BYTES: u64 = 256 << 10;

/// How many containers lie around a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Nesting {
    archives: u32,
    compressions: u32,
}

impl Nesting {
    fn archive(self) -> Nesting {
        Nesting { archives: self.archives + 1, ..self }
    }

    fn compression(self) -> Nesting {
        Nesting { compressions: self.compressions + 1, ..self }
    }

    fn exceeds(self, limit: u32) -> bool {
        self.archives > limit || self.compressions > limit
    }
}

impl Walker<'_> {
    /// Walks one stream. `file` is the file that the source reads from its beginning, if there is
    /// one that can be read at any place.
    pub(crate) fn stream(
        &mut self,
        source: &mut Source<'_>,
        place: Place<'_>,
        nesting: Nesting,
        file: Option<&File>,
    ) -> Walk {
        let head = source.peek(HEAD_BYTES).map_err(|error| failed(place, Some(0), &error))?;
        match magic::detect(head) {
            None => self.leaf(source, place, None),
            Some(magic) => self.container(magic, source, place, nesting, file),
        }
    }

    fn container(
        &mut self,
        magic: Magic,
        source: &mut Source<'_>,
        place: Place<'_>,
        nesting: Nesting,
        file: Option<&File>,
    ) -> Walk {
        let limits = self.options.limits;
        let inner = match magic {
            Magic::Zstd | Magic::Gzip => nesting.compression(),
            Magic::Tar | Magic::Zip => nesting.archive(),
            Magic::Other(what) => {
                let detail = format!("{what} is not read here; zstd, gzip, zip and tar are");
                return self.reject(place, Reason::UnknownFormat, None, detail);
            }
        };
        if inner.exceeds(limits.container_depth) {
            let depth = limits.container_depth;
            let problem = format!("containers are nested more than {depth} deep");
            return Err(refused(place, source.taken(), problem));
        }
        match magic {
            Magic::Zstd => match decode::zstd(source, &limits) {
                Ok(content) => self.compressed(content, place, inner),
                Err(error) => Err(failed(place, Some(0), &error)),
            },
            Magic::Gzip => self.compressed(decode::gzip(source, &limits), place, inner),
            Magic::Tar => self.tar(source, place, inner),
            Magic::Zip => match file {
                Some(file) => self.zip(file, place, inner),
                None => {
                    let spooled = self.spool(source);
                    let spooled =
                        spooled.map_err(|error| failed(place, Some(source.taken()), &error))?;
                    self.zip(&spooled, place, inner)
                }
            },
            Magic::Other(_) => Ok(()),
        }
    }

    fn compressed(&mut self, content: impl Read, place: Place<'_>, nesting: Nesting) -> Walk {
        let name = without_compression(place.name);
        let place = Place { path: place.path, name: &name };
        if name != place.path && self.skip_by_name(place)? {
            return Ok(());
        }
        self.stream(&mut Source::new(content), place, nesting, None)
    }

    /// Walks what is no container: one document, or documents in lines. `size` is its length, if
    /// that is known and not merely claimed.
    pub(crate) fn leaf(
        &mut self,
        mut reader: &mut dyn Read,
        place: Place<'_>,
        size: Option<u64>,
    ) -> Walk {
        if json_lines::by_name(place.name) {
            return self.lines(&mut Source::new(reader), place);
        }
        let limit = self.options.limits.document_bytes;
        let mut bytes = Vec::new();
        let expected = size.unwrap_or(0).min(limit);
        let early = if size.is_none() { EARLY_BYTES } else { limit + 1 };
        for up_to in [early.min(limit + 1), limit + 1] {
            // One more than expected: the read that finds the end needs room.
            bytes.reserve_exact(
                usize::try_from(expected + 1).unwrap_or(0).saturating_sub(bytes.len()),
            );
            let missing = up_to - bytes.len() as u64;
            let read = Read::take(&mut reader, missing).read_to_end(&mut bytes);
            let read = read.map_err(|error| failed(place, Some(bytes.len() as u64), &error))?;
            if json_lines::by_content(&bytes) == Shape::Lines {
                let whole = io::Cursor::new(bytes).chain(reader);
                return self.lines(&mut Source::new(whole), place);
            }
            if (read as u64) < missing {
                break;
            }
        }
        if bytes.len() as u64 > limit {
            let detail = format!("the document is longer than {limit} bytes");
            return self.reject(place, Reason::TooLarge, Some(limit), detail);
        }
        bytes.shrink_to_fit();
        self.emit(Event::Document(Document { path: place.path.to_owned(), bytes, offset: None }))
    }

    /// Writes a stream to a temporary file without a name.
    fn spool(&self, source: &mut Source<'_>) -> io::Result<File> {
        let mut file = match &self.options.spool_dir {
            Some(dir) => tempfile::tempfile_in(dir)?,
            None => tempfile::tempfile()?,
        };
        let limit = self.options.limits.container_bytes;
        let written = io::copy(&mut Read::take(source, limit + 1), &mut file)?;
        if written > limit {
            let problem = format!("the zip archive is longer than {limit} bytes");
            return Err(crate::source::Fault::refused(limit, problem).into_error());
        }
        Ok(file)
    }
}

/// A name without the extension of its compression.
fn without_compression(name: &str) -> String {
    let stem = |extension: &str| {
        let at = name.len().checked_sub(extension.len())?;
        let (stem, end) = name.split_at_checked(at)?;
        (end.eq_ignore_ascii_case(extension) && !stem.is_empty()).then_some(stem)
    };
    if let Some(stem) = [".zst", ".zstd", ".gz", ".gzip"].into_iter().find_map(stem) {
        return stem.to_owned();
    }
    match [".tgz", ".tzst"].into_iter().find_map(stem) {
        Some(stem) => format!("{stem}.tar"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_of_compressions_come_off() {
        for (name, expected) in [
            ("a.json.zst", "a.json"),
            ("d/a.JSONL.GZ", "d/a.JSONL"),
            ("a.tgz", "a.tar"),
            ("a.json", "a.json"),
            (".gz", ".gz"),
            ("漢.gz", "漢"),
            ("é", "é"),
            ("", ""),
        ] {
            assert_eq!(without_compression(name), expected);
        }
    }
}
