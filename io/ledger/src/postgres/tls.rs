//! TLS to the server, and which server is believed: what `sslmode` and `sslrootcert` of an address say, as
//! libpq has them. The driver knows three of the five modes and no file.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use postgres::Config;
use postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::Failure;
use crate::LedgerError;

/// What is checked of the certificate of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Nothing: what is sent is kept from who listens, not from who takes the place of the server.
    Nothing,
    /// Who has signed it.
    Authority,
    /// Who has signed it, and that it is of the host that was named.
    AuthorityAndHost,
}

/// Where a connection string leads, and how connections are made.
pub(super) fn read(address: &str) -> Result<(Config, MakeRustlsConnect), LedgerError> {
    let (rest, mode, authorities) = split(address)?;
    let mut config: Config = rest.parse().map_err(|error: postgres::Error| {
        // The text may have a password in it.
        Failure::from(error).of("the database that was named", "read the connection string")
    })?;
    let (mode, check) = match (mode.as_deref(), &authorities) {
        (None, _) => (config.get_ssl_mode(), Check::Nothing),
        (Some("disable"), _) => (SslMode::Disable, Check::Nothing),
        (Some("prefer"), _) => (SslMode::Prefer, Check::Nothing),
        (Some("require"), None) => (SslMode::Require, Check::Nothing),
        (Some("require"), Some(_)) | (Some("verify-ca"), _) => (SslMode::Require, Check::Authority),
        (Some("verify-full"), _) => (SslMode::Require, Check::AuthorityAndHost),
        (Some(_), _) => {
            let rule = "sslmode is disable, prefer, require, verify-ca or verify-full";
            return Err(LedgerError::Address { problem: rule.to_owned() });
        }
    };
    config.ssl_mode(mode);
    Ok((config, connector(check, authorities.as_deref())?))
}

/// A URL without `sslmode` and `sslrootcert`, and what they say. Any other text is left as it is.
fn split(address: &str) -> Result<(String, Option<String>, Option<String>), LedgerError> {
    let query = address.split_once('?').filter(|(before, _)| before.contains("://"));
    let Some((before, query)) = query else { return Ok((address.to_owned(), None, None)) };
    let (mut mode, mut authorities, mut rest) = (None, None, Vec::new());
    for part in query.split('&') {
        let said = match part.split_once('=') {
            Some(("sslmode", value)) => (&mut mode, value),
            Some(("sslrootcert", value)) => (&mut authorities, value),
            _ => {
                rest.push(part);
                continue;
            }
        };
        let value = percent_decode_str(said.1).decode_utf8().map_err(|_| LedgerError::Address {
            problem: "sslmode and sslrootcert are UTF-8".to_owned(),
        })?;
        *said.0 = Some(value.into_owned());
    }
    Ok((format!("{before}?{}", rest.join("&")), mode, authorities))
}

fn connector(check: Check, file: Option<&str>) -> Result<MakeRustlsConnect, LedgerError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(roots(file)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
    let verifier = verifier.map_err(|error| LedgerError::Address { problem: error.to_string() })?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| LedgerError::Address { problem: error.to_string() })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { verifier, check }))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Those in a file, and nobody else; the public ones if no file is named.
fn roots(file: Option<&str>) -> Result<RootCertStore, LedgerError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(roots);
    };
    let wrong =
        |why: String| LedgerError::Address { problem: format!("sslrootcert {file}: {why}") };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("it has no certificate".to_owned())),
        false => Ok(roots),
    }
}

/// Checks as much as a mode asks for. That the server has the key of its certificate always is.
#[derive(Debug)]
struct Verifier {
    verifier: Arc<WebPkiServerVerifier>,
    check: Check,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        // The host is looked at last: where it alone is wrong, the rest is right.
        match self.verifier.verify_server_cert(certificate, intermediates, host, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Authority => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Why there is no TLS with a server, if that is what an error is about.
pub(super) fn reason(error: &postgres::Error) -> Option<String> {
    // The driver tells its errors apart by what they say, and by nothing else.
    let is_tls = error.to_string() == "error performing TLS handshake";
    let cause = std::error::Error::source(error).filter(|_| is_tls)?;
    Some(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_tls_is_taken_out_of_an_address() {
        let none = |address: &str| (address.to_owned(), None, None);
        let some = |text: &str| Some(text.to_owned());
        for (address, expected) in [
            ("postgres://h/d", none("postgres://h/d")),
            ("host=h dbname=d?sslmode=x", none("host=h dbname=d?sslmode=x")),
            ("postgres://h/d?sslmode=require", ("postgres://h/d?".into(), some("require"), None)),
            (
                "postgresql://u:p@h:1/d?a=b&sslrootcert=%2Fa%20b&sslmode=verify-full&c=d",
                ("postgresql://u:p@h:1/d?a=b&c=d".into(), some("verify-full"), some("/a b")),
            ),
        ] {
            assert_eq!(split(address).expect("is read"), expected, "{address}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_followed_says_why() {
        let dir = stella_testkit::temp_dir();
        let empty = dir.path().join("empty");
        std::fs::write(&empty, "").expect("writes");
        let empty = empty.display().to_string();
        for (said, why) in [
            ("sslmode=allow", "disable, prefer, require, verify-ca or verify-full"),
            ("sslmode=verify-full&sslrootcert=/nowhere", "sslrootcert /nowhere: "),
            (&format!("sslmode=verify-ca&sslrootcert={empty}"), "it has no certificate"),
            ("sslmode=verify-full&sslrootcert=%ff", "UTF-8"),
        ] {
            let error = read(&format!("postgres://u:secret@h/d?{said}")).err().expect("is refused");
            let told = error.to_string();
            assert!(told.contains(why) && !told.contains("secret"), "{told}");
        }
    }
}
