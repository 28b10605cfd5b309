//! Where everything is: made by those who begin a place, found by all others.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use stella_catalog::Catalog;
use stella_engine::EngineError;
use stella_model::ErrorCode;

use crate::arguments::{Address, Usage};
use crate::telemetry::LogFormat;

/// Where everything is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Data directory: depot and keys, and the embedded databases.
    #[arg(long, env = "EXPORT_CENTER_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address of the catalog, `sqlite:…` or `postgres:…`; a file in the data directory unless given.
    #[arg(long, env = "EXPORT_CENTER_CATALOG", value_name = "URL", hide_env_values = true)]
    pub(crate) catalog: Option<Address>,
    /// Address of the ledger, `postgres:…`; a file in the data directory unless given.
    #[arg(long, env = "EXPORT_CENTER_LEDGER", value_name = "URL", hide_env_values = true)]
    pub(crate) ledger: Option<Address>,
    /// What lines of the log look like.
    #[arg(long, env = "EXPORT_CENTER_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// What is logged: error, warn, info or debug.
    #[arg(long, env = "EXPORT_CENTER_LOG", value_name = "LEVEL", default_value = "info")]
    pub(crate) log: String,
}

/// The file of the embedded catalog.
const CATALOG: &str = "catalog.db";

impl Place {
    /// The data directory.
    pub(crate) fn dir(&self) -> Result<&Path, Usage> {
        self.data.as_deref().ok_or_else(|| {
            Usage::new("give --data DIR (`serve --demo` tries it with sample data, without one)")
        })
    }

    /// The address of the catalog.
    pub(crate) fn catalog(&self) -> Result<String, Usage> {
        let file = || Ok(format!("sqlite://{}", self.dir()?.join(CATALOG).display()));
        self.catalog.as_ref().map_or_else(file, |address| Ok(address.as_str().to_owned()))
    }

    /// Makes the data directory, for nobody else to look into, and brings the catalog to the form of
    /// this version.
    pub(crate) async fn make(&self) -> anyhow::Result<()> {
        let dir = self.dir()?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| unusable("make the data directory", dir, error))?;
        if self.catalog.is_none() {
            // A database says less well what is wrong with its file.
            let file = dir.join(CATALOG);
            let opened = OpenOptions::new().append(true).create(true).open(&file);
            opened.map_err(|error| unusable("write the catalog", &file, error))?;
        }
        Ok(Catalog::migrate(&self.catalog()?).await?)
    }

    /// Opens the catalog, which has to be there: whoever mistypes a place is not to begin another one.
    pub(crate) async fn open(&self) -> anyhow::Result<Catalog> {
        if self.catalog.is_none() {
            let (dir, file) = (self.dir()?, self.dir()?.join(CATALOG));
            if !file.try_exists().map_err(|error| unusable("look into", dir, error))? {
                let message = format!("{} is no data directory of a service", dir.display());
                return Err(EngineError::new(ErrorCode::NotFound, message)
                    .hint("check --data; export-center migrate makes a new one")
                    .into());
            }
            let opened = OpenOptions::new().append(true).open(&file);
            opened.map_err(|error| unusable("write the catalog", &file, error))?;
        }
        Ok(Catalog::open(&self.catalog()?).await?)
    }
}

fn unusable(attempt: &str, path: &Path, error: std::io::Error) -> EngineError {
    let message = format!("cannot {attempt} {}", path.display());
    EngineError::new(ErrorCode::of_writing(error.kind()), message)
        .because(error)
        .hint("check --data, and the owner and mode of the directory")
}
