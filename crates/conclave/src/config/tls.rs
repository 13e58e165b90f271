//! The files that a port encrypts by, as the configuration names them.

use std::path::Path;

use tls::ClientCertificates;

/// See the keys `*.tls_*`. Files are relative to the folder of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// `host:port` of a port for encrypted connections alone.
    pub(crate) listen: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) client_authorities: Option<String>,
    /// Clients may come without a certificate.
    pub(crate) client_optional: bool,
}

impl TlsFiles {
    /// What the acceptor needs; `None` if no certificate is named.
    pub(crate) fn settings(&self, base: &Path) -> Option<tls::Settings> {
        let (certificate, key) = (self.certificate.as_ref()?, self.key.as_ref()?);
        let clients = match (&self.client_authorities, self.client_optional) {
            (None, _) => ClientCertificates::Ignored,
            (Some(_), true) => ClientCertificates::Optional,
            (Some(_), false) => ClientCertificates::Required,
        };
        Some(tls::Settings {
            certificate: base.join(certificate),
            key: base.join(key),
            client_authorities: self.client_authorities.as_ref().map(|file| base.join(file)),
            clients,
            application_protocols: Vec::new(),
        })
    }

    /// What is wrong with the keys, which begin with `prefix`.
    pub(crate) fn contradictions(&self, prefix: &str, on_plain_port: bool) -> Vec<String> {
        let mut found = Vec::new();
        if self.certificate.is_some() != self.key.is_some() {
            found.push(format!("{prefix}.tls_certificate and {prefix}.tls_key go together: one of them is missing"));
        }
        if self.certificate.is_none() && (self.listen.is_some() || on_plain_port) {
            found.push(format!("{prefix}.tls_certificate is missing, but encrypted connections are to be served"));
        }
        found
    }
}
