//! The commands of ZooKeeper's AdminServer, for the tools that ask them. What they answer is the front end's business.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use zookeeper::Reports;

use super::Shared;

/// Asked for before the front end was there.
#[derive(Clone, Copy)]
pub(super) struct Starting;

impl IntoResponse for Starting {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, "the member is not serving ZooKeeper's clients yet\n").into_response()
    }
}

fn reports(shared: &Shared) -> Result<&Reports, Starting> {
    shared.admin.zookeeper.get().ok_or(Starting)
}

/// Links to all commands.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Html<String>, Starting> {
    let links = reports(&shared)?.commands().map(|name| format!("<a href=\"/commands/{name}\">{name}</a>\n<br/>\n"));
    Ok(Html(links.collect()))
}

/// What a command answers.
pub(super) async fn answer(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Result<Response, Starting> {
    let missing = || (StatusCode::NOT_FOUND, "there is no such command\n").into_response();
    Ok(reports(&shared)?.answer(&name).map_or_else(missing, |answer| Json(answer).into_response()))
}

/// All that is measured, by the real server's names.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Starting> {
    let text = reports(&shared)?.metrics();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
