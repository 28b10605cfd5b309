//! The ids that were given back: rows under them give way to the records' own.

use std::cell::RefCell;
use std::io;

use super::blobs::{BlobRef, Blobs};
use crate::rows::code::{Reader, Writer};
use crate::rows::{Sorter, Spool, merge};

/// Bytes of ids that are held in memory. All CVE ids that were ever rejected take a tenth of it.
const MEMORY: usize = 4 << 20;

/// Bytes of one page of those that are not.
const PAGE: usize = 16 << 10;

/// A set of ids: those that sort first in memory, the others in pages of a spool. Memory grows by
/// one id for each page.
#[derive(Default)]
pub(super) struct Rejected<'s> {
    memory: Vec<Box<str>>,
    /// The first id of each page.
    pages: Vec<(Box<str>, BlobRef)>,
    /// What holds the pages; nothing if there are none.
    blobs: Option<Blobs<'s>>,
    /// The page that was read last, and which it is.
    page: RefCell<(Option<usize>, Vec<u8>)>,
}

impl<'s> Rejected<'s> {
    /// The ids that are the keys of these rows.
    pub(super) fn read(sorters: Vec<Sorter<'s>>) -> io::Result<Rejected<'s>> {
        Rejected::within(MEMORY, sorters)
    }

    fn within(budget: usize, sorters: Vec<Sorter<'s>>) -> io::Result<Rejected<'s>> {
        let mut rejected = Rejected::default();
        let Some(spool) = sorters.first().map(Sorter::spool) else { return Ok(rejected) };
        let mut rows = merge(sorters)?;
        let (mut held, mut last) = (0, String::new());
        let mut page = Page::default();
        while let Some((id, _)) = rows.next_row()? {
            let id = std::str::from_utf8(id).map_err(|_| crate::rows::code::damaged())?;
            if id == last {
                continue;
            }
            id.clone_into(&mut last);
            if held + id.len() <= budget && page.ids.is_empty() && rejected.pages.is_empty() {
                held += id.len();
                rejected.memory.push(id.into());
                continue;
            }
            page.bytes += id.len();
            page.ids.push(id.to_owned());
            if page.bytes >= PAGE {
                rejected.keep(&mut page, spool)?;
            }
        }
        rejected.keep(&mut page, spool)?;
        Ok(rejected)
    }

    fn keep(&mut self, page: &mut Page, spool: &'s dyn Spool) -> io::Result<()> {
        let Some(first) = page.ids.first() else { return Ok(()) };
        let mut value = Writer::default();
        value.list(&page.ids);
        let blobs = self.blobs.get_or_insert_with(|| Blobs::new(spool, 0));
        self.pages.push((first.as_str().into(), blobs.add(&value.bytes)?));
        *page = Page::default();
        Ok(())
    }

    /// Whether an id was given back.
    pub(super) fn contains(&self, id: &str) -> io::Result<bool> {
        let found = self.memory.binary_search_by(|known| (**known).cmp(id));
        let Some(blobs) = self.blobs.as_ref().filter(|_| found.is_err()) else {
            return Ok(found.is_ok());
        };
        let after = self.pages.partition_point(|(first, _)| **first <= *id);
        let Some(place) = after.checked_sub(1) else { return Ok(false) };
        let (held, bytes) = &mut *self.page.borrow_mut();
        if *held != Some(place) {
            (*held, _) = (None, bytes.clear());
            blobs.append(self.pages[place].1, bytes)?;
            *held = Some(place);
        }
        let mut found = false;
        Reader::new(bytes).each_text(&mut |known| found |= known == id)?;
        Ok(found)
    }

    /// Whether all ids were given back.
    pub(super) fn contains_all(&self, ids: &[&str]) -> io::Result<bool> {
        for id in ids {
            if !self.contains(id)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a description says that the id was given back.
pub(super) fn is_rejection(details: &str) -> bool {
    details.starts_with("Rejected reason:")
        || details.contains("** REJECT **")
        || details.contains("DO NOT USE THIS CANDIDATE NUMBER")
}

/// A page in the making.
#[derive(Default)]
struct Page {
    ids: Vec<String>,
    bytes: usize,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rows::memory::Memory;

    /// A set in memory, for tests of those that ask.
    pub(in super::super) fn of(ids: &[&str]) -> Rejected<'static> {
        let mut memory: Vec<Box<str>> = ids.iter().map(|id| (*id).into()).collect();
        memory.sort_unstable();
        Rejected { memory, ..Rejected::default() }
    }

    #[test]
    fn every_id_is_found_in_memory_or_spool_and_no_other() {
        let ids: Vec<String> = (0..9000).map(|number| format!("CVE-2020-{number}")).collect();
        for budget in [0, 1, 20_000, usize::MAX] {
            let spool = Memory::default();
            let mut sorters = vec![Sorter::new(&spool, 1 << 12), Sorter::new(&spool, 1 << 12)];
            for (place, id) in ids.iter().chain(&ids[..100]).enumerate() {
                sorters[place % 2].push(id.as_bytes(), &[]).expect("the spool writes");
            }
            let rejected = Rejected::within(budget, sorters).expect("the spool reads");
            for id in &ids {
                assert!(rejected.contains(id).expect("reads"), "{id} with {budget}");
            }
            for id in ["", "CVE-2020-", "CVE-2020-9000", "CVE-2020-00", "GHSA-1", "A"] {
                assert!(!rejected.contains(id).expect("reads"), "{id} with {budget}");
            }
            let held: usize = rejected.memory.iter().map(|id| id.len()).sum();
            assert!(held <= budget && rejected.pages.len() <= 10);
            assert!(rejected.contains_all(&["CVE-2020-1", "CVE-2020-8999"]).expect("reads"));
            assert!(!rejected.contains_all(&["CVE-2020-1", "CVE-2021-1"]).expect("reads"));
        }
    }
}
