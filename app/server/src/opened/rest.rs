//! A range of a bundle on its way to a client, piece by piece.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use axum::body::Bytes;
use stella_depot::{BlobReader, Depot, StoredFile};

use super::{Opened, PIECE, Stretch, Wait};
use crate::listener::direct::{LARGEST, Outbox, Piece, is_in_memory, read_from_memory};

/// What of a bundle is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    /// All of it, as one tar.
    Tar,
    /// A file of it.
    File(StoredFile),
}

/// What is left of a range of a bundle.
pub(crate) struct Rest {
    opened: Arc<Opened>,
    of: Of,
    range: Range<u64>,
    /// What the range begins in, if that is a file.
    file: Option<Reading>,
    /// What sends large files as they are, where the connection has it.
    outbox: Option<Outbox>,
}

/// A file that is read.
struct Reading {
    what: What,
    /// What is left of it.
    range: Range<u64>,
    /// The file, if this machine has it.
    file: Option<Arc<File>>,
}

/// What a file is that is read.
enum What {
    /// The whole tar.
    Laid,
    /// A stored file.
    Stored {
        stored: StoredFile,
        /// The stretch that it is, if it is one.
        number: Option<usize>,
        reader: Option<Box<BlobReader>>,
    },
}

impl Rest {
    /// A range of a bundle; what lies beyond the end is left out.
    pub(crate) fn new(
        opened: Arc<Opened>,
        of: Of,
        range: Range<u64>,
        outbox: Option<Outbox>,
    ) -> Rest {
        let size = match &of {
            Of::Tar => opened.tar.size(),
            Of::File(stored) => stored.size,
        };
        let range = range.start..range.end.min(size);
        Rest { opened, of, range, file: None, outbox }
    }

    /// Whether nothing is left.
    pub(crate) fn is_over(&self) -> bool {
        self.file.is_none() && self.range.is_empty()
    }

    /// Counts bytes of it that are sent; gives a bundle that is to be laid into one file now.
    pub(crate) fn sent(&self, bytes: u64) -> Option<Arc<Opened>> {
        let (opened, is_tar) = (&self.opened, matches!(self.of, Of::Tar));
        (is_tar && opened.laid.is_due(bytes, opened.tar.size())).then(|| opened.clone())
    }

    /// What comes next and is in memory, or what stands for it: as much as goes at once. Waits for no
    /// disk. Nothing if what comes next is not in memory, and at the end.
    pub(crate) fn ready(&mut self) -> Bytes {
        match self.outbox.clone() {
            Some(outbox) => outbox.put(self.pieces()),
            None => self.ready_bytes(),
        }
    }

    /// What comes next and is in memory, [`LARGEST`] bytes of it at most.
    fn pieces(&mut self) -> Vec<Piece> {
        let (mut pieces, mut room) = (Vec::new(), LARGEST as u64);
        while room > 0 {
            self.open_file();
            let piece = match &mut self.file {
                Some(reading) => reading.piece(&self.opened, room),
                None => self.put_together(Wait::No, room).ok().flatten().map(Piece::Bytes),
            };
            self.close_file_if_read();
            let Some(piece) = piece.filter(|piece| piece.size() > 0) else { break };
            room -= piece.size() as u64;
            pieces.push(piece);
        }
        pieces
    }

    fn ready_bytes(&mut self) -> Bytes {
        self.open_file();
        let ready = match &mut self.file {
            Some(reading) => reading.ready(),
            None => self.put_together(Wait::No, PIECE).ok().flatten(),
        };
        self.close_file_if_read();
        ready.unwrap_or_default()
    }

    /// Reads what comes next, a piece of it at most, from wherever it is. Nothing is read at the end
    /// alone.
    ///
    /// # Errors
    /// Also if a file is gone or shorter than it was.
    pub(crate) fn read(&mut self) -> io::Result<Bytes> {
        self.open_file();
        let read = match &mut self.file {
            Some(reading) => reading.read(&self.opened.depot)?,
            None => self.put_together(Wait::ForDisks, PIECE)?.unwrap_or_default(),
        };
        self.close_file_if_read();
        Ok(read)
    }

    /// Goes on with a file, if that comes next.
    fn open_file(&mut self) {
        if self.is_over() || self.file.is_some() {
            return;
        }
        let opened = &self.opened;
        let stored = |stored, number| What::Stored { stored, number, reader: None };
        let (begin, size, what, file) = match (self.of, opened.stretch(self.range.start)) {
            (Of::File(file), _) => {
                let here = opened.depot.open_here(&file).ok().map(Arc::new);
                (0, file.size, stored(file, None), here)
            }
            (Of::Tar, _) if let Some(laid) = opened.laid.file() => {
                (0, opened.tar.size(), What::Laid, Some(laid))
            }
            (Of::Tar, Some((number, Stretch { at, file: Some(file), .. }))) => {
                (*at, file.size, stored(*file, Some(number)), opened.file(number, file))
            }
            (Of::Tar, _) => return,
        };
        let end = self.range.end.min(begin + size);
        let range = self.range.start - begin..end - begin;
        self.range.start = end;
        self.file = Some(Reading { what, range, file });
    }

    fn close_file_if_read(&mut self) {
        if self.file.as_ref().is_some_and(|reading| reading.range.is_empty()) {
            self.file = None;
        }
    }

    /// What comes next of a stretch that is put together, so many bytes at most.
    fn put_together(&mut self, wait: Wait, most: u64) -> io::Result<Option<Bytes>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let Some((number, stretch)) = self.opened.stretch(self.range.start) else {
            return Ok(None);
        };
        let (begin, end) = (stretch.at, stretch.at + stretch.size);
        let Some(bytes) = self.opened.put_together(number, wait)? else { return Ok(None) };
        let end = end.min(self.range.end).min(self.range.start.saturating_add(most));
        let cut = self.range.start - begin..end - begin;
        self.range.start = end;
        Ok(Some(bytes.slice(cut.start as usize..cut.end as usize)))
    }
}

impl Reading {
    fn left(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// What comes next of it, so many bytes at most, to be sent as it is. None if it is not in memory.
    fn piece(&mut self, opened: &Opened, most: u64) -> Option<Piece> {
        let file = self.file.clone()?;
        let range = self.range.start..self.range.start + self.left().min(most);
        let is_there = match self.what {
            What::Stored { number: Some(number), .. } => opened.is_in_memory(number, &file, &range),
            _ => is_in_memory(&file, &range),
        };
        if !is_there {
            return None;
        }
        self.pass(range.end);
        Some(Piece::File(file, range))
    }

    /// Reads what comes next of it and is in memory, a [`PIECE`] at most.
    fn ready(&mut self) -> Option<Bytes> {
        let file = self.file.as_ref()?;
        let mut bytes = Vec::new();
        let most = self.left().min(PIECE) as usize;
        let read = read_from_memory(file, self.range.start, most, &mut bytes);
        self.pass(self.range.start + read as u64);
        Some(Bytes::from(bytes))
    }

    /// Reads what comes next of it, a [`PIECE`] at most.
    fn read(&mut self, depot: &Depot) -> io::Result<Bytes> {
        let most = self.left().min(PIECE);
        let mut bytes = Vec::with_capacity(most as usize);
        match &mut self.what {
            What::Laid => {
                let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
                bytes.resize(most as usize, 0);
                file.read_exact_at(&mut bytes, self.range.start)?;
            }
            What::Stored { stored, reader, .. } => {
                let make = || Box::new(depot.reader(stored, self.range.clone()));
                reader.get_or_insert_with(make).take(most).read_to_end(&mut bytes)?;
            }
        }
        self.range.start += bytes.len() as u64;
        Ok(Bytes::from(bytes))
    }

    /// Goes on at a byte: what was read by another way is not read again.
    fn pass(&mut self, at: u64) {
        if at > self.range.start {
            if let What::Stored { reader, .. } = &mut self.what {
                *reader = None;
            }
            self.range.start = at;
        }
    }
}
