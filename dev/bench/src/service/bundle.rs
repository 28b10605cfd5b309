//! A service with a bundle to be fetched, and the same bundle as a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use stella_testkit::Certificate;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Programs;
use super::place::Place;
use crate::corpus::Feed;
use crate::stella::Stella;

/// What to ask for.
pub(super) const PATH: &str = "/runs/r-1/bundle.tar";

/// A bundle, in a service and in a folder for nginx.
pub(super) struct Bundle {
    pub(super) place: Place,
    pub(super) files: PathBuf,
    /// Its bytes.
    pub(super) size: u64,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Bundle {
    /// Takes evidence in, and makes a bundle of all of it.
    ///
    /// # Errors
    /// If that goes wrong.
    pub(super) fn new(feeds: &[Feed], cache: &Path, programs: &Programs) -> Result<Bundle> {
        let stella = Stella::new(programs.stella.clone(), cache.join("service"))?;
        let (data, files) = (stella.path("data"), stella.path("files"));
        fs::create_dir_all(&files)?;
        stella.ingest(&data, feeds)?;
        let place = Place::new(&programs.server, data, &[])?;
        let server = place.serve(&[])?;
        let run = place.ask_for(&server, &json!({ "profile": "mirror:full" }))?;
        place.wait(&server, &run)?;
        let size = place.fetch(&server, &run, &files.join("bundle.tar"))?;
        drop(server);
        let Certificate { certificate, key } = Certificate::make(&files, "server");
        Ok(Bundle { place, files, size, certificate, key })
    }

    /// What believes its certificate.
    ///
    /// # Errors
    /// If the certificate does not read.
    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.certificate)?)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
