//! Encrypted connections, on a port of their own and on the plain one, and who a client's certificate says it is.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use conclave_zookeeper::Options;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tls::{Acceptor, ClientCertificates, Settings};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::{CREATE, Client, Member, Raw, WHO_AM_I, buffer, create};

/// Certificates for a server and a client, signed by one authority.
fn write_certificates(folder: &Path) {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::OrganizationName, "example");
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem() + &key.serialize_pem()).unwrap();
    }
}

fn options(folder: &Path) -> Options {
    let settings = Settings {
        certificate: folder.join("server.pem"),
        key: folder.join("server.pem"),
        client_authorities: Some(folder.join("authority.pem")),
        clients: ClientCertificates::Optional,
        application_protocols: Vec::new(),
    };
    let tls = Some(Arc::new(Acceptor::new(settings).unwrap()));
    Options { tls, tls_on_plain_port: true, super_x509: Some("CN=root".to_owned()), ..Options::default() }
}

async fn connect(folder: &Path, address: SocketAddr, with_certificate: bool) -> Client<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("authority.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let file = folder.join("client.pem");
    let config = if with_certificate {
        let certificate = CertificateDer::from_pem_file(&file).unwrap();
        builder.with_client_auth_cert(vec![certificate], PrivateKeyDer::from_pem_file(&file).unwrap()).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    Client::establish(Raw { socket }, 4000, 0, [0; 16]).await
}

#[tokio::test]
async fn encrypted_and_plain_clients_share_the_plain_port() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let member = Member::start(options(folder.path())).await;
    let mut plain = member.client(4000).await;
    assert_eq!(plain.call(CREATE, &create("/plain", 0)).await.code, 0);
    for address in [member.address, member.secure_address] {
        let mut encrypted = connect(folder.path(), address, false).await;
        assert_eq!(encrypted.call(CREATE, &create("/plain", 0)).await.code, -110);
    }
    let mut unencrypted = Raw { socket: TcpStream::connect(member.secure_address).await.unwrap() };
    unencrypted.send(b"ruok").await;
    assert_ne!(unencrypted.rest().await, b"imok", "the port for encrypted connections answers no others");
}

#[tokio::test]
async fn a_certificate_is_an_identity() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let member = Member::start(options(folder.path())).await;
    let mut client = connect(folder.path(), member.secure_address, true).await;
    let told = client.call(WHO_AM_I, &[]).await.body;
    let expected = [
        2_i32.to_be_bytes().to_vec(),
        [buffer(b"ip"), buffer(b"127.0.0.1")].concat(),
        [buffer(b"x509"), buffer(b"CN=client,O=example")].concat(),
    ];
    assert_eq!(told, expected.concat());

    // A node for this certificate alone: its owner may, a stranger may not.
    let access = [&1_i32.to_be_bytes()[..], &31_i32.to_be_bytes(), &buffer(b"x509"), &buffer(b"CN=client,O=example")];
    let own = [buffer(b"/own"), buffer(b""), access.concat(), 0_i32.to_be_bytes().to_vec()].concat();
    assert_eq!(client.call(CREATE, &own).await.code, 0);
    assert_eq!(client.call(CREATE, &create("/own/child", 0)).await.code, 0);
    let mut stranger = member.client(4000).await;
    assert_eq!(stranger.call(CREATE, &create("/own/other", 0)).await.code, -102);
}
