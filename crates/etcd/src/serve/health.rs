//! The plain HTTP pages beside the gateway: is this member well, can it be used, which version does it speak.
//! Knows nothing of why it is not well.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use node::Role;

use super::Door;
use super::maintenance::API_VERSION;

/// The checks of `/livez`: the process works.
const ALIVE: &[Check] = &[Check::SerializableRead];

/// The checks of `/readyz`: clients may be sent here.
const READY: &[Check] = &[Check::DataCorruption, Check::LinearizableRead, Check::NonLearner, Check::SerializableRead];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    DataCorruption,
    LinearizableRead,
    NonLearner,
    SerializableRead,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
            Check::SerializableRead => "serializable_read",
        }
    }

    async fn run(self, door: &Door) -> Result<(), String> {
        match self {
            // A member whose state differs from the others' does not serve at all, so whoever answers is sound; and
            // its own state can be read as long as it runs.
            Check::DataCorruption | Check::SerializableRead => Ok(()),
            Check::LinearizableRead => door.view(false).await.map(|_| ()).map_err(|status| status.message().to_owned()),
            Check::NonLearner if door.handle.status().role == Role::Learner => {
                Err("the member is a learner".to_owned())
            }
            Check::NonLearner => Ok(()),
        }
    }
}

/// The pages.
pub(super) fn router(door: Door) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/version", get(version))
        .route("/livez", get(|State(door), RawQuery(query)| async move { all(&door, ALIVE, query).await }))
        .route("/readyz", get(|State(door), RawQuery(query)| async move { all(&door, READY, query).await }))
        .route("/livez/{check}", get(|State(door), Path(name)| async move { one(&door, ALIVE, name).await }))
        .route("/readyz/{check}", get(|State(door), Path(name)| async move { one(&door, READY, name).await }))
        .with_state(door)
}

async fn version() -> Response {
    let versions = serde_json::json!({
        "etcdserver": API_VERSION, "etcdcluster": API_VERSION, "storage": API_VERSION,
    });
    ([(header::CONTENT_TYPE, "application/json")], versions.to_string()).into_response()
}

/// Whether a read can be answered: one that a majority stands behind, unless the caller is content with less.
async fn health(State(door): State<Door>, RawQuery(query): RawQuery) -> Response {
    let serializable = arguments(query.as_deref()).contains(&("serializable", "true"));
    let reason = if !serializable && door.handle.status().leader.is_none() {
        "RAFT NO LEADER".to_owned()
    } else {
        match door.view(serializable).await {
            Ok(_) => String::new(),
            Err(status) => format!("RANGE ERROR:{}", status.message()),
        }
    };
    let well = reason.is_empty();
    let body = serde_json::json!({ "health": well.to_string(), "reason": reason }).to_string();
    (if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body).into_response()
}

async fn all(door: &Door, checks: &[Check], query: Option<String>) -> Response {
    let arguments = arguments(query.as_deref());
    let wanted = checks.iter().filter(|check| !arguments.contains(&("exclude", check.name())));
    let verbose = arguments.iter().any(|(name, _)| *name == "verbose");
    report(door, wanted.copied(), verbose).await
}

async fn one(door: &Door, checks: &[Check], name: String) -> Response {
    match checks.iter().find(|check| check.name() == name) {
        Some(check) => report(door, [*check].into_iter(), false).await,
        None => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

/// `ok` if all checks pass; otherwise, or if asked for, a line for each.
async fn report(door: &Door, checks: impl Iterator<Item = Check>, verbose: bool) -> Response {
    let mut lines = String::new();
    let mut failed = false;
    for check in checks {
        match check.run(door).await {
            Ok(()) => lines += &format!("[+]{} ok\n", check.name()),
            Err(reason) => {
                failed = true;
                lines += &format!("[-]{} failed: {reason}\n", check.name());
            }
        }
    }
    if failed {
        return (StatusCode::SERVICE_UNAVAILABLE, lines).into_response();
    }
    (if verbose { lines + "ok\n" } else { "ok\n".to_owned() }).into_response()
}

/// The arguments of a query, as they stand: nothing that is asked for here needs an escape.
fn arguments(query: Option<&str>) -> BTreeSet<(&str, &str)> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_pairs_or_bare_names() {
        let found = arguments(Some("verbose&exclude=non_learner&exclude=serializable_read&"));
        assert!(found.contains(&("verbose", "")) && found.contains(&("exclude", "non_learner")));
        assert_eq!(found.len(), 3);
        assert!(arguments(None).is_empty());
    }
}
