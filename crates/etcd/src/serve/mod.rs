//! The services: they take requests off the wire, bring them to where they are decided, and complete the answers.
//! Async and thin. Knows nothing of how requests are decided.

mod auth;
mod authority;
mod cluster;
mod connections;
mod door;
mod election;
mod gateway;
mod health;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod metrics;
mod queue;
mod serving;
mod snapshot;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use node::Handle;
use tls::{Acceptor, ClientCertificates, TlsError};
use tokio::net::TcpListener;
use tokio::sync::watch::Receiver;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Code, Status};
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer as ReflectionServer};

pub(crate) use door::{Credentials, Door, Guard};
pub(crate) use metrics::{Counts, Present};

use connections::connections;

use crate::auth::{TokenError, TokenKind, Tokens};
use crate::options::Options;
use crate::wire::DESCRIPTIONS;
use crate::wire::etcdserverpb::auth_server::AuthServer;
use crate::wire::etcdserverpb::cluster_server::ClusterServer;
use crate::wire::etcdserverpb::kv_server::KvServer;
use crate::wire::etcdserverpb::lease_server::LeaseServer;
use crate::wire::etcdserverpb::maintenance_server::MaintenanceServer;
use crate::wire::etcdserverpb::watch_server::WatchServer;
use crate::wire::health::health_server::HealthServer;
use crate::wire::v3electionpb::election_server::ElectionServer;
use crate::wire::v3lockpb::lock_server::LockServer;

/// What a message may be larger than the largest request: room for the frame around it.
const MESSAGE_OVERHEAD_BYTES: usize = 512 * 1024;

/// How long open calls may take to end once the service was told to stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How often a silent connection is asked whether it lives, and how long it may take to say so: etcd's defaults.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The service of one member, ready to be opened: its settings were found to be in order.
pub struct Service {
    pub(crate) options: Arc<Options>,
    pub(crate) tokens: Arc<Tokens>,
    acceptor: Option<Arc<Acceptor>>,
}

/// Settings of the service that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The kind of tokens, or the keys for them.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The files for encryption.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// One of the two files is named without the other.
    #[error("encryption needs both etcd.tls_certificate and etcd.tls_key")]
    HalfTls,
}

impl Service {
    /// Reads what the settings name: the keys of signed tokens, and the files for encryption.
    ///
    /// # Errors
    /// [`ServiceError`], if they cannot be used.
    pub fn new(options: Options) -> Result<Service, ServiceError> {
        let tokens = Tokens::new(&TokenKind::parse(&options.tokens)?, options.token_ttl)?;
        let acceptor = acceptor(&options)?;
        Ok(Service { options: Arc::new(options), tokens: Arc::new(tokens), acceptor })
    }

    /// Serves etcd clients on `listener` until `shutdown` becomes true (or its sender is gone), then closes all
    /// connections; calls that are under way have two seconds to end.
    pub async fn serve(self, listener: TcpListener, handle: Handle, shutdown: Receiver<bool>) {
        let (noticed, account_changes) = tokio::sync::watch::channel(0);
        let door = Door::new(handle.clone(), &self, account_changes, shutdown.clone());
        tokio::select! {
            () = serve(listener, self.acceptor, &door, shutdown) => {}
            () = door::notice_account_changes(handle, noticed) => {}
        }
    }
}

fn acceptor(options: &Options) -> Result<Option<Arc<Acceptor>>, ServiceError> {
    let (certificate, key) = match (&options.tls_certificate, &options.tls_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        _ => return Err(ServiceError::HalfTls),
    };
    let client_authorities = options.tls_client_authorities.as_ref();
    let clients = match client_authorities {
        Some(_) => ClientCertificates::Required,
        None => ClientCertificates::Ignored,
    };
    let settings = tls::Settings {
        certificate: certificate.into(),
        key: key.into(),
        client_authorities: client_authorities.map(Into::into),
        clients,
        application_protocols: vec!["h2", "http/1.1"],
    };
    Ok(Some(Arc::new(Acceptor::new(settings)?)))
}

async fn serve(listener: TcpListener, acceptor: Option<Arc<Acceptor>>, door: &Door, shutdown: Receiver<bool>) {
    let incoming = connections(listener, acceptor);
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(door.options.max_streams_per_connection))
        .accept_http1(true)
        .add_routes(routes(door))
        .serve_with_incoming_shutdown(incoming, told_to_stop(shutdown.clone()));
    let overdue = async {
        told_to_stop(shutdown).await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        ended = serving => if let Err(error) = ended {
            tracing::error!(%error, "the etcd service ended");
        },
        () = overdue => {}
    }
}

/// Everything behind the port: the gRPC services, the same services as JSON, and a few pages.
fn routes(door: &Door) -> Routes {
    let limit = door.options.max_request_bytes + MESSAGE_OVERHEAD_BYTES;
    let services = services(door, limit);
    let gateway = gateway::router(&services, limit);
    let counted = services.into_axum_router().layer(axum::middleware::from_fn_with_state(door.clone(), count));
    let pages = health::router(door.clone()).route("/metrics", get(metrics::page).with_state(door.clone()));
    let router = counted.merge(gateway).merge(pages).fallback(nowhere);
    Routes::from(router)
}

/// Counts a call by the code of its answer: at hand at once if it is a refusal, and behind the answer if it is not.
async fn count(State(door): State<Door>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    door.counts.answered(&path, code);
    response
}

fn services(door: &Door, limit: usize) -> Routes {
    Routes::new(KvServer::new(door.clone()).max_decoding_message_size(limit))
        .add_service(WatchServer::new(door.clone()).max_decoding_message_size(limit))
        .add_service(LeaseServer::new(door.clone()).max_decoding_message_size(limit))
        .add_service(ClusterServer::new(door.clone()).max_decoding_message_size(limit))
        .add_service(MaintenanceServer::new(door.clone()).max_decoding_message_size(limit))
        .add_service(AuthServer::new(door.clone()).max_decoding_message_size(limit))
        .add_service(LockServer::new(door.clone()).max_decoding_message_size(limit))
        .add_service(ElectionServer::new(door.clone()).max_decoding_message_size(limit))
        .add_service(HealthServer::new(door.clone()))
        .add_service(reflection())
}

/// Tells tools such as grpcurl which services there are.
fn reflection() -> ReflectionServer<impl ServerReflection> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTIONS)
        .build_v1()
        .expect("the descriptions were compiled with the program")
}

/// A path that nobody serves: gRPC clients are told so in their way, others in theirs.
async fn nowhere(headers: HeaderMap) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|content_type| content_type.starts_with("application/grpc")) {
        return Status::unimplemented("unknown service or method").into_http::<Body>();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

async fn told_to_stop(mut shutdown: Receiver<bool>) {
    // An error says that the sender is gone: the member is being dropped.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
