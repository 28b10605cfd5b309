//! Small result files that commands write on request.

use std::io::Write as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::Failure;

/// Writes a new file, whole or not at all; an existing one is kept and is a conflict.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = prepare(path, bytes)?;
    let persisted = file.persist_noclobber(path).map(drop).map_err(|error| error.error);
    persisted
        .map_err(|error| failed(path, &error).hint("choose another name or move the file away"))
}

/// Writes a file, whole or not at all, in the place of one that may be there.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = prepare(path, bytes)?;
    file.persist(path).map(drop).map_err(|error| failed(path, &error.error))
}

fn prepare(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As any new file: the process's umask decides, not the secrecy of temporary files.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.prefix(".stella-").tempfile_in(folder);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    });
    written.map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(format!("cannot write {}", path.display()), error)
        .hint("look whether its folder is there and may be written")
}
