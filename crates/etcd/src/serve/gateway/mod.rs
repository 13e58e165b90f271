//! The JSON gateway: the same services over plain HTTP, on the same port. A request is turned into a message by the
//! service's own description and handed to the very services that gRPC clients call. Knows no single service.

mod codec;
mod json;
mod paths;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{AsciiMetadataKey, MetadataMap};
use tonic::service::Routes;
use tonic::{Code, Request, Status, Streaming};

use codec::Raw;
use json::Splitter;
use paths::{PATHS, PREFIXES};

use crate::wire::DESCRIPTIONS;

/// Headers with this prefix become metadata of the call.
const METADATA_PREFIX: &str = "grpc-metadata-";

/// Bytes as base64 in JSON are a third larger; the rest is room for names and spaces.
const JSON_GROWTH: usize = 2;

/// Requests of one streamed call that were read and are not taken by the service yet.
const REQUESTS_AHEAD: usize = 16;

/// Adds the gateway's paths to those of the gRPC services, which it calls.
pub(super) fn router(services: &Routes, max_message_bytes: usize) -> Router {
    let gateway = Arc::new(Gateway::new(services.clone(), max_message_bytes));
    let router = PREFIXES
        .iter()
        .fold(Router::new(), |router, prefix| router.route(&format!("{prefix}/{{*path}}"), axum::routing::any(call)));
    router.with_state(gateway)
}

struct Gateway {
    services: Routes,
    /// By path behind the prefix.
    methods: BTreeMap<&'static str, MethodDescriptor>,
    max_body_bytes: usize,
}

impl Gateway {
    fn new(services: Routes, max_message_bytes: usize) -> Gateway {
        let pool = DescriptorPool::decode(DESCRIPTIONS).expect("the descriptions were compiled with the program");
        let find = |name: &str| {
            let (service, method) = name.rsplit_once('.').expect("names in the table are qualified");
            let service = pool.get_service_by_name(service)?;
            service.methods().find(|candidate| candidate.name() == method)
        };
        let methods = PATHS.iter().map(|(path, name)| (*path, find(name).expect("the table names known methods")));
        Gateway { services, methods: methods.collect(), max_body_bytes: max_message_bytes * JSON_GROWTH }
    }
}

async fn call(
    State(gateway): State<Arc<Gateway>>,
    http_method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let path = PREFIXES.iter().find_map(|prefix| uri.path().strip_prefix(prefix)).unwrap_or_default();
    let Some(method) = gateway.methods.get(path) else {
        return (StatusCode::NOT_FOUND, "Not Found\n").into_response();
    };
    if http_method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n").into_response();
    }
    let metadata = metadata_of(&headers);
    let answered = if method.is_client_streaming() {
        gateway.converse(method, metadata, body).await
    } else {
        gateway.ask(method, metadata, body).await
    };
    answered.unwrap_or_else(|status| error_response(&status))
}

impl Gateway {
    /// One request; one response or a stream of them.
    async fn ask(&self, method: &MethodDescriptor, metadata: MetadataMap, body: Body) -> Result<Response, Status> {
        let body =
            to_bytes(body, self.max_body_bytes).await.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let message = json::read(method.input(), &body)?;
        let mut request = Request::new(message);
        *request.metadata_mut() = metadata;
        let (mut client, path) = self.client(method).await?;
        if method.is_server_streaming() {
            let responses = client.server_streaming(request, path, Raw).await?;
            return Ok(lines(method, responses.into_inner()));
        }
        let response = client.unary(request, path, Raw).await?.into_inner();
        let text = json::write(method.output(), response)?;
        Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
    }

    /// A stream of requests and a stream of responses.
    async fn converse(&self, method: &MethodDescriptor, metadata: MetadataMap, body: Body) -> Result<Response, Status> {
        let (sender, messages) = tokio::sync::mpsc::channel(REQUESTS_AHEAD);
        tokio::spawn(read_requests(method.clone(), body, Splitter::new(self.max_body_bytes), sender));
        let mut request = Request::new(ReceiverStream::new(messages));
        *request.metadata_mut() = metadata;
        let (mut client, path) = self.client(method).await?;
        let responses = client.streaming(request, path, Raw).await?;
        Ok(lines(method, responses.into_inner()))
    }

    async fn client(
        &self,
        method: &MethodDescriptor,
    ) -> Result<(tonic::client::Grpc<Routes>, axum::http::uri::PathAndQuery), Status> {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let path = path.parse().map_err(|_| Status::internal("a method's name is not a path"))?;
        let mut client = tonic::client::Grpc::new(self.services.clone()).max_decoding_message_size(usize::MAX);
        client.ready().await.map_err(|_| Status::internal("the services are not ready"))?;
        Ok((client, path))
    }
}

/// Passes requests on as they come. A malformed one ends the asking; what was asked before is still answered.
async fn read_requests(
    method: MethodDescriptor,
    body: Body,
    mut splitter: Splitter,
    messages: tokio::sync::mpsc::Sender<Bytes>,
) {
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        let Ok(texts) = splitter.push(&chunk) else { return };
        for text in texts {
            let Ok(message) = json::read_value(method.input(), text) else { return };
            if messages.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// One line of JSON a response, and one for the error if there is one.
fn lines(method: &MethodDescriptor, responses: Streaming<Bytes>) -> Response {
    let output = method.output();
    let lines = responses.map(move |response| {
        let line = response.and_then(|message| json::write(output.clone(), message));
        Ok::<_, std::convert::Infallible>(match line {
            Ok(text) => format!("{{\"result\":{text}}}\n"),
            Err(status) => stream_error(&status).to_string() + "\n",
        })
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
}

fn stream_error(status: &Status) -> serde_json::Value {
    let http = http_status(status.code());
    serde_json::json!({ "error": {
        "grpc_code": i32::from(status.code()),
        "http_code": http.as_u16(),
        "message": status.message(),
        "http_status": http.canonical_reason().unwrap_or_default(),
    }})
}

fn error_response(status: &Status) -> Response {
    let (message, code) = (status.message(), i32::from(status.code()));
    let body = serde_json::json!({ "error": message, "code": code, "message": message }).to_string();
    (http_status(status.code()), [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// How the public gateway spells gRPC codes.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `Authorization` is the token; headers with the prefix are passed on without it.
fn metadata_of(headers: &HeaderMap) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let key =
            if name == header::AUTHORIZATION.as_str() { Some("token") } else { name.strip_prefix(METADATA_PREFIX) };
        let key = key.and_then(|key| AsciiMetadataKey::from_bytes(key.as_bytes()).ok());
        let value = value.to_str().ok().and_then(|value| value.parse().ok());
        if let (Some(key), Some(value)) = (key, value) {
            metadata.insert(key, value);
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_leads_to_a_method() {
        let gateway = Gateway::new(Routes::default(), 1);
        assert_eq!(gateway.methods.len(), PATHS.len(), "no path stands twice");
        assert!(gateway.methods["/watch"].is_client_streaming());
        assert!(gateway.methods["/maintenance/snapshot"].is_server_streaming());
    }

    #[test]
    fn headers_become_metadata() {
        let mut headers = HeaderMap::new();
        headers.insert("Authorization", "secret".parse().unwrap());
        headers.insert("Grpc-Metadata-hasleader", "true".parse().unwrap());
        headers.insert("Accept", "text/html".parse().unwrap());
        let metadata = metadata_of(&headers);
        assert_eq!(metadata.get("token").unwrap(), "secret");
        assert_eq!(metadata.get("hasleader").unwrap(), "true");
        assert_eq!(metadata.len(), 2);
    }
}
