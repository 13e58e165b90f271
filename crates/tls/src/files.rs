//! From files to a server's configuration. It knows names of files and their content, no connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    Ignored,
    /// They may; one that cannot be verified ends the connection all the same.
    Optional,
    /// They must.
    #[default]
    Required,
}

/// Where the files lie, all of them in PEM, and what is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The server's certificate, followed by those that lead from it to the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of the authorities whose clients are trusted; needed unless clients are not asked.
    pub client_authorities: Option<PathBuf>,
    /// Whether clients show certificates.
    pub clients: ClientCertificates,
    /// Protocols offered within the handshake (ALPN), the preferred one first; none if empty.
    pub application_protocols: Vec<&'static str>,
}

/// Why there can be no encryption with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds nothing of the kind it should.
    #[error("{}: no {what} can be read: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong, in words.
        reason: String,
    },
    /// Clients are to be verified, but no authority is named.
    #[error("certificates of clients are asked for, but no file names the authorities that sign them")]
    NoAuthorities,
    /// The parts do not fit together.
    #[error("{}: certificate, key and authorities do not go together: {reason}", certificate.display())]
    Unfit {
        /// The certificate's file.
        certificate: PathBuf,
        /// What is wrong, in words.
        reason: String,
    },
}

/// What tells one content of a file from another without reading it.
pub(crate) type Stamp = Option<(SystemTime, u64)>;

impl Settings {
    /// What the files look like at present, in the order certificate, key, authorities.
    pub(crate) fn stamps(&self) -> Vec<Stamp> {
        let files = [Some(&self.certificate), Some(&self.key), self.client_authorities.as_ref()];
        let stamp = |file: &PathBuf| {
            let metadata = fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        files.into_iter().flatten().map(stamp).collect()
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> Result<ServerConfig, TlsError> {
        let unfit = |reason: String| TlsError::Unfit { certificate: self.certificate.clone(), reason };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unfit(error.to_string()))?;
        let builder = match self.clients {
            ClientCertificates::Ignored => builder.with_no_client_auth(),
            asked => builder.with_client_cert_verifier(self.verifier(asked, provider)?),
        };
        let chain = certificates(&self.certificate, "certificate")?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| TlsError::File {
            file: self.key.clone(),
            what: "private key",
            reason: error.to_string(),
        })?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| unfit(error.to_string()))?;
        config.alpn_protocols =
            self.application_protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(config)
    }

    fn verifier(
        &self,
        asked: ClientCertificates,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>, TlsError> {
        let file = self.client_authorities.as_ref().ok_or(TlsError::NoAuthorities)?;
        let refused = |reason: String| TlsError::File { file: file.clone(), what: "authority", reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file, "authority")? {
            roots.add(certificate).map_err(|error| refused(error.to_string()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if asked == ClientCertificates::Optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|error| refused(error.to_string()))
    }
}

fn certificates(file: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |reason: String| TlsError::File { file: file.to_owned(), what, reason };
    let read = CertificateDer::pem_file_iter(file).map_err(|error| refused(error.to_string()))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| refused(error.to_string()))?;
    if read.is_empty() { Err(refused("it holds no certificate".to_owned())) } else { Ok(read) }
}
