//! Handshakes over a pipe, with certificates made for the occasion.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::{Acceptor, ClientCertificates, Peer, Settings, TlsError, peer_of};

/// An authority, and a folder for what it signs.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let folder = tempfile::tempdir().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("authority.pem"), issuer.pem()).unwrap();
        Authority { folder, issuer }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes NAME.pem and NAME.key.
    fn sign(&self, name: &str, parts: &[(DnType, &str)]) {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in parts {
            parameters.distinguished_name.push(kind.clone(), *text);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn settings(&self, clients: ClientCertificates) -> Settings {
        Settings {
            certificate: self.path().join("server.pem"),
            key: self.path().join("server.key"),
            client_authorities: Some(self.path().join("authority.pem")),
            clients,
            application_protocols: Vec::new(),
        }
    }

    /// Greets a server in this client's name. Who the server took it for, and whom the client met.
    async fn meet(&self, acceptor: &Acceptor, client: Option<&str>) -> std::io::Result<(Option<Peer>, Peer)> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let certificate = CertificateDer::from_pem_file(self.path().join(format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path().join(format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let (near, far) = tokio::io::duplex(64 * 1024);
        let connector = TlsConnector::from(Arc::new(config));
        let connect = async {
            let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), near).await?;
            stream.write_all(b"hello").await?;
            // A refusal of the client's certificate arrives only with the first read.
            stream.read_u8().await?;
            let (_, session) = stream.get_ref();
            Ok::<_, std::io::Error>(Peer::read(&session.peer_certificates().unwrap()[0]).unwrap())
        };
        let accept = async {
            let mut stream = acceptor.accept(far).await?;
            let mut greeting = [0; 5];
            stream.read_exact(&mut greeting).await?;
            stream.write_all(b"!").await?;
            Ok::<_, std::io::Error>(peer_of(&stream))
        };
        let (met, taken_for) = tokio::join!(connect, accept);
        Ok((taken_for?, met?))
    }
}

#[tokio::test]
async fn a_client_is_who_its_certificate_says() {
    let authority = Authority::new();
    authority.sign("server", &[(DnType::CommonName, "server")]);
    authority.sign(
        "client",
        &[
            (DnType::OrganizationName, "example, inc"),
            (DnType::OrganizationalUnitName, "jobs"),
            (DnType::CommonName, "worker"),
        ],
    );
    let acceptor = Acceptor::new(authority.settings(ClientCertificates::Required)).unwrap();
    let (peer, _) = authority.meet(&acceptor, Some("client")).await.unwrap();
    let subject = "CN=worker,OU=jobs,O=example\\, inc".to_owned();
    assert_eq!(peer, Some(Peer { subject, common_name: Some("worker".to_owned()) }));
    assert!(authority.meet(&acceptor, None).await.is_err(), "a client without a certificate is refused");
}

#[tokio::test]
async fn certificates_of_clients_are_asked_for_as_the_settings_say() {
    let authority = Authority::new();
    let stranger = Authority::new();
    authority.sign("server", &[(DnType::CommonName, "server")]);
    stranger.sign("client", &[(DnType::CommonName, "stranger")]);
    for name in ["client.pem", "client.key"] {
        fs::copy(stranger.path().join(name), authority.path().join(name)).unwrap();
    }
    let optional = Acceptor::new(authority.settings(ClientCertificates::Optional)).unwrap();
    assert_eq!(authority.meet(&optional, None).await.unwrap().0, None);
    assert!(authority.meet(&optional, Some("client")).await.is_err(), "nobody vouches for a stranger");
    let ignored = Acceptor::new(authority.settings(ClientCertificates::Ignored)).unwrap();
    assert_eq!(authority.meet(&ignored, Some("client")).await.unwrap().0, None);
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let settings = authority.settings(ClientCertificates::Ignored);
    authority.sign("server", &[(DnType::CommonName, "first")]);
    let acceptor = Acceptor::looking_every(settings.clone(), Duration::ZERO).unwrap();
    let met = async || authority.meet(&acceptor, None).await.unwrap().1.subject;
    assert_eq!(met().await, "CN=first");

    fs::write(&settings.key, "half of a key").unwrap();
    assert_eq!(met().await, "CN=first");
    authority.sign("server", &[(DnType::CommonName, "the second")]);
    assert_eq!(met().await, "CN=the second");
}

#[test]
fn files_that_cannot_serve_are_named() {
    let authority = Authority::new();
    let settings = authority.settings(ClientCertificates::Required);
    let Err(TlsError::File { file, what, .. }) = settings.load() else { panic!("there is no certificate yet") };
    assert_eq!((file, what), (settings.certificate.clone(), "certificate"));
    authority.sign("server", &[]);
    fs::write(&settings.key, "").unwrap();
    assert!(matches!(settings.load(), Err(TlsError::File { what: "private key", .. })));
    let other = KeyPair::generate().unwrap();
    fs::write(&settings.key, other.serialize_pem()).unwrap();
    assert!(matches!(settings.load(), Err(TlsError::Unfit { .. })), "the key of another certificate");
    let without = Settings { client_authorities: None, ..settings };
    assert!(matches!(without.load(), Err(TlsError::NoAuthorities)));
}

#[test]
fn what_is_no_certificate_has_no_subject() {
    let authority = Authority::new();
    authority.sign("any", &[(DnType::CommonName, "any")]);
    let whole = CertificateDer::from_pem_file(authority.path().join("any.pem")).unwrap();
    assert!(Peer::read(&whole).is_some());
    for length in 0..whole.len() {
        assert_eq!(Peer::read(&whole[..length]), None, "cut at {length}");
    }
    // Whatever stands there: an answer, no panic.
    for position in 0..whole.len() {
        for value in [0, 0x30, 0x7f, 0x80, 0x83, 0xff] {
            let mut changed = whole.to_vec();
            changed[position] = value;
            let _ = Peer::read(&changed);
        }
    }
}
