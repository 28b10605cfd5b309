//! Servers that this person works with: `contexts.toml` in the XDG configuration folder, for nobody
//! else to read, because it has tokens in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use stella_model::ErrorCode;

use crate::error::Failure;

/// Servers, by the names that this person gave them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that commands go to unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, ServerContext>,
}

/// A server and how one comes there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ServerContext {
    /// Its address.
    pub(crate) server: String,
    /// A token of it.
    pub(crate) token: String,
}

impl std::fmt::Debug for ServerContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerContext").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Where the file is.
fn path() -> Result<PathBuf, Failure> {
    let strategy = etcetera::choose_base_strategy().map_err(|error| {
        Failure::new(ErrorCode::Usage, "there is no home folder for the list of servers")
            .because(&error)
            .hint("give --server and set STELLA_TOKEN")
    })?;
    Ok(strategy.config_dir().join("stella").join("contexts.toml"))
}

impl Contexts {
    /// Reads them; none where there is no file.
    pub(crate) fn load() -> Result<Contexts, Failure> {
        // Whoever has no home has no list.
        let Ok(path) = path() else { return Ok(Contexts::default()) };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Contexts::default());
            }
            Err(error) => {
                let message = format!("cannot read {}", path.display());
                let code = ErrorCode::of_reading(error.kind());
                return Err(Failure::new(code, message).because(&error));
            }
        };
        only_for_its_owner(&path)?;
        toml::from_str(&text).map_err(|error| {
            let message = format!("{} is no list of servers", path.display());
            // Without the text of the line, which may be that of a token.
            Failure::new(ErrorCode::Invalid, message)
                .hint(format!("{}; or remove the file and log in again", error.message()))
        })
    }

    /// Writes them, for this person alone, whole or not at all.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let path = path()?;
        let text = toml::to_string(self).map_err(|error| {
            Failure::new(ErrorCode::Internal, "the list of servers has no text").because(&error)
        })?;
        write(&path, text.as_bytes())
            .map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
    }
}

/// Refuses a list that others may read: there are tokens in it.
fn only_for_its_owner(path: &Path) -> Result<(), Failure> {
    let mode = fs::metadata(path).map(|file| file.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o077 != 0 => {
            let message = format!("{} has tokens in it, and others may read it", path.display());
            let hint = format!("chmod 600 {}", path.display());
            Err(Failure::new(ErrorCode::NotAllowed, message).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Temporary files are made for their owner alone, and keep that.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
