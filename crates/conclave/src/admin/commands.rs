//! The commands of ZooKeeper's AdminServer, for the tools that ask them. What they answer is the front end's business.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use zookeeper::Reports;

use super::Shared;

const STARTING: &str = "the member is not serving ZooKeeper's clients yet\n";

fn reports(shared: &Shared) -> Result<&Reports, Response> {
    shared.admin.zookeeper.get().ok_or_else(|| (StatusCode::SERVICE_UNAVAILABLE, STARTING).into_response())
}

/// Links to all commands.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Html<String>, Response> {
    let links = reports(&shared)?.commands().map(|name| format!("<a href=\"/commands/{name}\">{name}</a>\n<br/>\n"));
    Ok(Html(links.collect()))
}

/// What a command answers.
pub(super) async fn answer(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Result<Response, Response> {
    let answer = reports(&shared)?.answer(&name);
    Ok(answer.map_or_else(
        || (StatusCode::NOT_FOUND, "there is no such command\n").into_response(),
        |answer| Json(answer).into_response(),
    ))
}

/// All that is measured, by the real server's names.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Response> {
    let text = reports(&shared)?.metrics();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
