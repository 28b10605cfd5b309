//! TLS at the listener: a certificate chain and its key, which may be replaced while it listens.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::arguments::Usage;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The files of a certificate, as the listener has them.
#[derive(Debug)]
pub(crate) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// When the files were changed that were read first.
    first: Changed,
}

/// When the files were changed last.
type Changed = [Option<SystemTime>; 2];

impl Certificate {
    /// Reads both files.
    pub(crate) fn read(chain: &Path, key: &Path) -> anyhow::Result<Arc<Certificate>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        // Looked at before they are read: what changes from then on is seen.
        let first = changed(chain, key);
        let current = RwLock::new(Arc::new(read(chain, key, &provider)?));
        let (chain, key) = (chain.to_owned(), key.to_owned());
        Ok(Arc::new(Certificate { chain, key, provider, current, first }))
    }

    /// What takes TLS connections with it: TLS 1.2 and 1.3, HTTP/2 where the client can.
    pub(crate) fn acceptor(self: &Arc<Certificate>) -> anyhow::Result<TlsAcceptor> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Takes what is in the files once they have changed, for as long as it is waited for. Files that
    /// do not fit each other, such as in the middle of being replaced, change nothing.
    pub(crate) async fn follow(self: Arc<Certificate>) {
        let mut seen = self.first;
        loop {
            tokio::time::sleep(LOOK).await;
            let own = self.clone();
            // Files may be where a disk or a network has to be waited for.
            let looked = tokio::task::spawn_blocking(move || own.look(&mut seen).then_some(seen));
            if let Ok(Some(now)) = looked.await {
                seen = now;
            }
        }
    }

    /// Looks once; whether the files have changed.
    fn look(&self, seen: &mut Changed) -> bool {
        let now = changed(&self.chain, &self.key);
        if now == *seen {
            return false;
        }
        *seen = now;
        match read(&self.chain, &self.key, &self.provider) {
            Ok(new) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                tracing::info!(file = %self.chain.display(), "a new certificate is in use");
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "the certificate changed and is of no use; the old one stays"
                );
            }
        }
        true
    }
}

fn changed(chain: &Path, key: &Path) -> Changed {
    let time = |path: &Path| std::fs::metadata(path).ok()?.modified().ok();
    [time(chain), time(key)]
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(chain: &Path, key: &Path, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let bytes = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let unusable = |path: &Path, why: &dyn std::fmt::Display| {
        Usage::new(format!("{} is no PEM that can be used: {why}", path.display()))
    };
    let (chain_pem, key_pem) = (bytes(chain)?, bytes(key)?);
    let certificates = CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| unusable(chain, &error))?;
    if certificates.is_empty() {
        return Err(unusable(chain, &"it has no certificate").into());
    }
    let secret = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| unusable(key, &error))?;
    // Also looks whether the two fit each other.
    CertifiedKey::from_der(certificates, secret, provider).map_err(|error| {
        let key = key.display();
        Usage::new(format!("the key {key} does not fit the certificate: {error}")).into()
    })
}
