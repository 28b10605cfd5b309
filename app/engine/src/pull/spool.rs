//! What came, in a file without a name until all of it is here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

use stella_model::{ErrorCode, FeedName};
use stella_records::exchange;
use stella_records::line::Content;
use stella_remote::Told;

use crate::{EngineError, LIMITS};

/// Lines of pages by feed.
pub(super) struct Spool {
    file: File,
    length: u64,
    feeds: BTreeMap<FeedName, Vec<Range<u64>>>,
}

/// Lines of a page that is not whole yet.
#[derive(Default)]
pub(super) struct SpoolPage {
    bytes: Vec<u8>,
    /// Feeds, each with where its lines begin.
    feeds: Vec<(FeedName, usize)>,
}

impl SpoolPage {
    /// Takes a record or a removal.
    pub(super) fn take(&mut self, told: Told<'_>) -> Result<(), EngineError> {
        let feed = match told {
            Told::Feed(_) => return Ok(()),
            Told::Record(head, _) => &head.feed,
            Told::Removed(removed) => &removed.feed,
        };
        if self.feeds.last().is_none_or(|(last, _)| last != feed) {
            self.feeds.push((feed.clone(), self.bytes.len()));
        }
        match told {
            Told::Feed(_) => {}
            Told::Removed(removed) => exchange::write_removed(&mut self.bytes, removed),
            Told::Record(head, content) => {
                let content = match head.format.is_json() {
                    true => Content::Json(content),
                    false => Content::Text(std::str::from_utf8(content).map_err(|error| {
                        EngineError::new(ErrorCode::Internal, "a text is no text").because(error)
                    })?),
                };
                exchange::write_record(&mut self.bytes, head, content);
            }
        }
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.feeds.clear();
    }

    /// Bytes of the lines.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

fn failed(error: io::Error) -> EngineError {
    EngineError::new(ErrorCode::of_writing(error.kind()), "cannot keep what came until all is here")
        .hint("look at the disk of the store; nothing was changed")
        .because(error)
}

impl Spool {
    /// A file in a folder, which nobody else sees and which goes with this process.
    pub(super) fn in_folder(dir: &Path) -> Result<Spool, EngineError> {
        let file = tempfile::tempfile_in(dir).map_err(failed)?;
        Ok(Spool { file, length: 0, feeds: BTreeMap::new() })
    }

    /// Keeps a page that is whole.
    pub(super) fn keep(&mut self, page: &SpoolPage) -> Result<(), EngineError> {
        self.file.write_all(&page.bytes).map_err(failed)?;
        let ends = page.feeds.iter().skip(1).map(|(_, begin)| *begin);
        for ((feed, begin), end) in page.feeds.iter().zip(ends.chain([page.bytes.len()])) {
            let range = self.length + *begin as u64..self.length + end as u64;
            let ranges = self.feeds.entry(feed.clone()).or_default();
            match ranges.last_mut().filter(|last| last.end == range.start) {
                Some(last) => last.end = range.end,
                None => ranges.push(range),
            }
        }
        self.length += page.len();
        Ok(())
    }

    /// Gives every line of a feed, without its line feed, until one fails.
    pub(super) fn each_line(
        &self,
        feed: &FeedName,
        line: &mut dyn FnMut(Vec<u8>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let longest = exchange::line_bytes(&LIMITS) + 1;
        for range in self.feeds.get(feed).into_iter().flatten() {
            let mut file = &self.file;
            file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
            let mut lines = BufReader::new(file.take(range.end - range.start));
            loop {
                let mut bytes = Vec::new();
                lines.by_ref().take(longest).read_until(b'\n', &mut bytes).map_err(failed)?;
                if bytes.pop().is_none() {
                    break;
                }
                line(bytes)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stella_model::{Kind, RecordId, TenantId};
    use stella_records::exchange::{PageLine, Removed};

    use super::*;

    #[test]
    fn lines_come_back_by_feed_whatever_pages_they_came_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::in_folder(dir.path()).expect("a file");
        let removed = |feed: &str, id: &str| Removed {
            feed: feed.parse().expect("a feed"),
            id: RecordId::new(id).expect("an id"),
            kind: Kind::vex(),
            sequence: 1,
            tenant: TenantId::local(),
        };
        let pages: [&[(&str, &str)]; 4] =
            [&[("a", "1"), ("a", "2"), ("b", "3")], &[], &[("b", "4"), ("c", "5")], &[("a", "6")]];
        let mut page = SpoolPage::default();
        for lines in pages {
            page.clear();
            for (feed, id) in lines {
                page.take(Told::Removed(&removed(feed, id))).expect("is taken");
            }
            spool.keep(&page).expect("is kept");
        }
        for (feed, expected) in [("a", "126"), ("b", "34"), ("c", "5"), ("d", "")] {
            let mut found = String::new();
            let feed = feed.parse().expect("a feed");
            let each = &mut |line: Vec<u8>| {
                let Ok(PageLine::Removed(removed)) = exchange::parse(&line) else {
                    panic!("{line:?}")
                };
                found.push_str(removed.id.as_str());
                Ok(())
            };
            spool.each_line(&feed, each).expect("reads");
            assert_eq!(found, expected, "{feed}");
        }
    }
}
