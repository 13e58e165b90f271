//! The admin address of a member: `/health`, `/metrics`, `/status`, `/diary` and `/members` by HTTP. It reads what the
//! member tells of itself; the only thing it changes is who belongs to the ensemble, and who leads it.

mod commands;
mod diary;
mod members;
mod metrics;
mod report;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use node::{Handle, Status};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;
use zookeeper::Reports;

pub(crate) use members::{MemberLine, MembersReport, Order};
use report::Health;
pub(crate) use report::{ChangeReport, MemberReport, Report};

use crate::config::Configuration;

/// What the admin address knows of its member.
pub(crate) struct Admin {
    member: String,
    /// Empty until the member has recovered its log and is running.
    handle: OnceLock<Handle>,
    /// Likewise.
    zookeeper: OnceLock<Reports>,
}

impl Admin {
    pub(crate) fn new(configuration: &Configuration) -> Admin {
        Admin { member: configuration.member.clone(), handle: OnceLock::new(), zookeeper: OnceLock::new() }
    }

    /// The member is running from now on.
    pub(crate) fn attach(&self, handle: Handle) {
        assert!(self.handle.set(handle).is_ok(), "a member is started once");
    }

    /// ZooKeeper's clients are served from now on.
    pub(crate) fn attach_zookeeper(&self, reports: Reports) {
        assert!(self.zookeeper.set(reports).is_ok(), "a front end is started once");
    }

    fn status(&self) -> Option<Arc<Status>> {
        self.handle.get().map(Handle::status)
    }

    fn health(&self) -> Health {
        Health::of(self.status().as_deref())
    }
}

/// Answers until told to stop.
pub(crate) async fn serve(listener: TcpListener, admin: Arc<Admin>, mut told_to_stop: watch::Receiver<bool>) {
    let router = router(Arc::new(Shared { admin, told_to_stop: told_to_stop.clone() }));
    let stop = async move {
        // An error means that the sender is gone, which is the end as well.
        let _ = told_to_stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
        warn!("the admin address stopped answering: {error}");
    }
}

struct Shared {
    admin: Arc<Admin>,
    told_to_stop: watch::Receiver<bool>,
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/health", get(health))
        .route("/health/alive", get(alive))
        .route("/health/read", get(can_read))
        .route("/health/commit", get(can_commit))
        .route("/commands", get(commands::list))
        .route("/commands/{name}", get(commands::answer))
        .route("/diary", get(diary))
        .route("/members", get(members::list).post(members::order))
        .route("/metrics", get(metrics))
        .route("/metrics/zookeeper", get(commands::metrics))
        .route("/snapshot", get(snapshot))
        .route("/status", get(status))
        .route("/status/follow", get(follow))
        .with_state(shared)
}

const INDEX: &str = "\
conclave admin address
  /health          alive, can read, can commit: 200 if all three hold, else 503
  /health/alive    200 while the process answers
  /health/read     200 while reads are answered here, else 503
  /health/commit   200 while writes are committed through this member, else 503
  /members         who belongs to the ensemble, as JSON; changed by POST, as `conclave member` does
  /metrics         OpenMetrics text
  /metrics/zookeeper   the same of the ZooKeeper front end, by the names that its dashboards know
  /commands        the commands of ZooKeeper's AdminServer: /commands/mntr and others, as JSON
  /diary           what happened here and why, as a JSON array, the newest last; ?limit=N for the newest N (1000),
                   ?after=UNIX_MILLISECONDS for those behind a moment, to page on
  /snapshot        a backup of what is committed here, as `conclave snapshot save` writes it
  /status          JSON
  /status/follow   one line of JSON now, and one for every change of role, term, leader or members
";

async fn index() -> &'static str {
    INDEX
}

/// A probe's answer: the health in full, and a status code that says whether what was asked for holds.
fn probe(health: Health, holds: bool) -> Response {
    let code = if holds { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health)).into_response()
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let health = shared.admin.health();
    let all = health.alive && health.can_read && health.can_commit;
    probe(health, all)
}

async fn alive(State(shared): State<Arc<Shared>>) -> Response {
    let health = shared.admin.health();
    let holds = health.alive;
    probe(health, holds)
}

async fn can_read(State(shared): State<Arc<Shared>>) -> Response {
    let health = shared.admin.health();
    let holds = health.can_read;
    probe(health, holds)
}

async fn can_commit(State(shared): State<Arc<Shared>>) -> Response {
    let health = shared.admin.health();
    let holds = health.can_commit;
    probe(health, holds)
}

/// While the log is being recovered there is no status to show.
fn starting(admin: &Admin) -> Response {
    let message = format!("{} is recovering its log and not running yet\n", admin.member);
    (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    match shared.admin.status() {
        Some(status) => Json(Report::of(&status)).into_response(),
        None => starting(&shared.admin),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.admin.status() {
        Some(status) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&status)).into_response(),
        None => starting(&shared.admin),
    }
}

async fn diary(State(shared): State<Arc<Shared>>, Query(wanted): Query<diary::Wanted>) -> Response {
    let Some(handle) = shared.admin.handle.get() else {
        return starting(&shared.admin);
    };
    match handle.diary().await {
        Ok(found) => {
            let damaged = [(diary::DAMAGED, found.damaged.to_string())];
            (damaged, Json(diary::select(found.entries, &wanted))).into_response()
        }
        Err(problem) => {
            let message = format!("the diary cannot be read: {problem}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
        }
    }
}

/// Pieces of a backup that wait for a reader.
const BACKUP_PIECES: usize = 8;

/// The state as it is published now, piece by piece as the reader takes it; writes go on meanwhile.
async fn snapshot(State(shared): State<Arc<Shared>>) -> Response {
    let Some(handle) = shared.admin.handle.get() else {
        return starting(&shared.admin);
    };
    let (view, own) = (handle.view(), handle.status().id);
    let (pieces, reader) = mpsc::channel::<Result<Bytes, Infallible>>(BACKUP_PIECES);
    tokio::task::spawn_blocking(move || {
        for piece in node::backup_pieces(&view, own) {
            if pieces.blocking_send(Ok(piece)).is_err() {
                // The reader is gone.
                return;
            }
        }
    });
    let body = Body::from_stream(ReceiverStream::new(reader));
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

/// Lines that wait for one reader; it is served from the newest status, so a slow reader misses nothing but repetition.
const FOLLOW_LINES: usize = 4;

async fn follow(State(shared): State<Arc<Shared>>) -> Response {
    let Some(handle) = shared.admin.handle.get() else {
        return starting(&shared.admin);
    };
    let (lines, reader) = mpsc::channel::<Result<Bytes, Infallible>>(FOLLOW_LINES);
    tokio::spawn(send_changes(handle.status_changes(), shared.told_to_stop.clone(), lines));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(ReceiverStream::new(reader))).into_response()
}

/// Sends the status now and after every change of role, term, leader or members, until the reader or the member is gone.
async fn send_changes(
    mut changes: watch::Receiver<Arc<Status>>,
    mut told_to_stop: watch::Receiver<bool>,
    lines: mpsc::Sender<Result<Bytes, Infallible>>,
) {
    let mut sent = None;
    loop {
        let status = Arc::clone(&changes.borrow_and_update());
        let members: Vec<_> = status.members.iter().map(|member| (member.id, member.voter)).collect();
        let standing = (status.role, status.term, status.leader, status.can_commit, status.changes.len(), members);
        if sent.as_ref() != Some(&standing) {
            let mut line = serde_json::to_vec(&Report::of(&status)).expect("a report holds nothing that JSON cannot");
            line.push(b'\n');
            if lines.send(Ok(line.into())).await.is_err() {
                return;
            }
            sent = Some(standing);
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = told_to_stop.wait_for(|stop| *stop) => return,
            () = lines.closed() => return,
        }
    }
}
