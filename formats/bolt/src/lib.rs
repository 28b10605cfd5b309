//! Files of bbolt, the key/value store that programs in Go keep their data in: a bulk [`Writer`] and
//! an independent reader, [`Database`].
//!
//! The writer takes sorted entries and makes the file in one pass, in memory that does not grow with
//! it. The same entries give the same bytes. The reader trusts nothing: it takes files of anybody,
//! checks every offset before it follows it, and says by page and [`Defect`] what is wrong. The two
//! share no code, so that one can judge the other.
//!
//! The byte layout is described in `docs/formats/bolt.md` of the repository.
//!
//! # Examples
//! ```
//! use std::io::Cursor;
//! use stella_bolt::{Database, Limits, PageSize, Writer};
//!
//! let mut writer = Writer::new(Cursor::new(Vec::new()), PageSize::DEFAULT);
//! writer.enter(b"colours")?;
//! writer.put(b"blue", b"#00f")?;
//! writer.put(b"red", b"#f00")?;
//! writer.leave()?;
//! let file = writer.finish()?.sink.into_inner();
//!
//! let database = Database::open(&file[..], Limits::DEFAULT)?;
//! assert_eq!(database.get(&[b"colours"], b"red")?.as_deref(), Some(&b"#f00"[..]));
//! assert_eq!(database.check()?.pairs, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod read;
mod write;

pub use read::{
    Cursor, Database, Defect, Event, Limits, MetaDefect, OpenError, ReadAt, ReadError, Report,
};
pub use write::{
    EnterError, FinishError, Finished, KeyError, LeaveError, MAX_DEPTH, MAX_KEY_BYTES,
    MAX_VALUE_BYTES, PageSize, PageSizeError, PutError, Writer,
};
