//! Small files, read with a bound and written at once or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use stella_seal::{KeyError, MAX_KEY_FILE_BYTES, PublicKey};
use zeroize::Zeroizing;

use crate::KeysError;

/// What to do about a file of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Leave it and fail.
    #[default]
    Keep,
    /// Replace it. A replaced secret key is gone.
    Replace,
}

/// What a file with a public key is called.
pub(crate) const PUBLIC_KEY: &str = "the public key";

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    Owner,
    Everyone,
}

/// Reads the public key in a PEM file.
///
/// # Errors
/// [`KeysError`]; a private key given by mistake is named as such.
pub fn read_public_key(path: &Path) -> Result<PublicKey, KeysError> {
    let text = read_text(PUBLIC_KEY, path)?;
    let named = |source: KeyError| KeysError::PublicKey { path: path.to_owned(), source };
    PublicKey::from_pem(&text).map_err(named)
}

/// Reads a file that is a key or a password, so small and wiped after use.
pub(crate) fn read_bytes(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let failed = |source| KeysError::Read { what, path: path.to_owned(), source };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_BYTES + 1));
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_KEY_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_KEY_FILE_BYTES {
        let fault = "it is far too long";
        return Err(KeysError::NotText { what, path: path.to_owned(), fault });
    }
    Ok(bytes)
}

/// Reads a file of text; as [`read_bytes`].
pub(crate) fn read_text(what: &'static str, path: &Path) -> Result<Zeroizing<String>, KeysError> {
    let bytes = read_bytes(what, path)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => {
            let fault = "it is not UTF-8 text";
            Err(KeysError::NotText { what, path: path.to_owned(), fault })
        }
    }
}

/// Writes a whole file: after a crash it is there in full, or as it was before.
pub(crate) fn write(
    what: &'static str,
    path: &Path,
    bytes: &[u8],
    readers: Readers,
    existing: Existing,
) -> Result<(), KeysError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeysError::Exists { what, path: path.to_owned() },
        _ => KeysError::Write { what, path: path.to_owned(), source },
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder).map_err(failed)?;
    let temporary = temporary_beside(path);
    let done = write_temporary(&temporary, bytes, readers)
        .and_then(|()| put_in_place(&temporary, path, existing));
    if done.is_err() || existing == Existing::Keep {
        // Gone already after a rename; otherwise a leftover that is of no use.
        fs::remove_file(&temporary).ok();
    }
    done.and_then(|()| sync_folder(folder)).map_err(failed)
}

/// Makes a folder that only its owner may enter, with the folders above it.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// A hidden name in the same folder that no other writer uses.
fn temporary_beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial-{}-{number}", std::process::id()))
}

fn write_temporary(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    // A leftover of a crashed process that had this one's id.
    fs::remove_file(path).ok();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(
        &mut options,
        match readers {
            Readers::Owner => 0o600,
            Readers::Everyone => 0o644,
        },
    );
    #[cfg(not(unix))]
    let _ = readers;
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn put_in_place(temporary: &Path, path: &Path, existing: Existing) -> io::Result<()> {
    if existing == Existing::Replace {
        return fs::rename(temporary, path);
    }
    // A link fails if the name is taken, which a rename does not.
    match fs::hard_link(temporary, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // A file system without links: two writers at the same moment may both pass here.
            if path.try_exists()? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(temporary, path)
        }
        done => done,
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
