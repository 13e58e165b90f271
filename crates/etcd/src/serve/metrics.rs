//! `/metrics`: this member under the names that dashboards for etcd ask for. Counts what passes through the services
//! here; all else is read from the member at the moment of the question. Knows no request's contents.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use node::{Role, Status as Standing};
use state::State as Tables;
use tonic::Code;

use super::Door;
use super::maintenance::API_VERSION;
use crate::auth::accounts;
use crate::table::{KEYS, PROTOCOL};

/// The content type of the text.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What this member's services did since it started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) ranges: AtomicU64,
    pub(crate) puts: AtomicU64,
    pub(crate) deletes: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) leases_granted: AtomicU64,
    pub(crate) leases_revoked: AtomicU64,
    pub(crate) leases_renewed: AtomicU64,
    pub(crate) watches: AtomicI64,
    pub(crate) watch_streams: AtomicI64,
    pub(crate) events: AtomicU64,
    /// Calls by method and the code of their answer. The methods are those of the API, so this is bounded.
    calls: Mutex<BTreeMap<(String, &'static str), u64>>,
}

impl Counts {
    /// A call was answered; a stream counts when its answer begins.
    pub(super) fn answered(&self, path: &str, code: Code) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((path.to_owned(), code_name(code))).or_default() += 1;
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Something that is there as long as this is held.
pub(crate) struct Present {
    counts: Arc<Counts>,
    gauge: fn(&Counts) -> &AtomicI64,
}

impl Present {
    pub(crate) fn new(counts: &Arc<Counts>, gauge: fn(&Counts) -> &AtomicI64) -> Present {
        gauge(counts).fetch_add(1, Ordering::Relaxed);
        Present { counts: Arc::clone(counts), gauge }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        (self.gauge)(&self.counts).fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) async fn page(State(door): State<Door>) -> Response {
    let text = text(&door.handle.status(), &door.handle.view(), &door.counts);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

/// Text in the making.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "{name} {value}");
    }
}

fn text(standing: &Standing, tables: &Tables, counts: &Counts) -> String {
    let mut page = Page(String::new());
    server(&mut page, standing, tables);
    store(&mut page, tables, counts);
    network(&mut page, standing);
    calls(&mut page, counts);
    page.0
}

fn server(page: &mut Page, standing: &Standing, tables: &Tables) {
    let counters = &standing.counters;
    let pending = standing.commit.saturating_sub(standing.applied);
    page.gauge("etcd_server_has_leader", "1 if this member knows a leader", u8::from(standing.leader.is_some()));
    page.gauge("etcd_server_is_leader", "1 if this member leads", u8::from(standing.role == Role::Leader));
    page.gauge("etcd_server_is_learner", "1 if this member is a learner", u8::from(standing.role == Role::Learner));
    page.counter("etcd_server_leader_changes_seen_total", "Changes of leader seen", counters.leader_changes);
    page.gauge("etcd_server_proposals_committed_total", "The last entry known to be committed", standing.commit);
    page.gauge("etcd_server_proposals_applied_total", "The last entry applied here", standing.applied);
    page.gauge("etcd_server_proposals_pending", "Entries committed and not applied yet", pending);
    page.counter("etcd_server_proposals_failed_total", "Requests that failed", counters.failed);
    page.head("etcd_server_version", "gauge", "The version of the API that is spoken here");
    let _ = writeln!(page.0, "etcd_server_version{{server_version=\"{API_VERSION}\"}} 1");
    page.head("etcd_cluster_version", "gauge", "The version of the API that all members speak");
    let _ = writeln!(page.0, "etcd_cluster_version{{cluster_version=\"{API_VERSION}\"}} 1");
    let settings = accounts::settings(tables);
    page.gauge("etcd_debugging_auth_revision", "Changes of users, roles and permissions", settings.revision);
}

fn store(page: &mut Page, tables: &Tables, counts: &Counts) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let bytes = tables.bytes();
    page.gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes of live keys and rows, of all protocols", bytes);
    page.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "The same: nothing waits to be defragmented", bytes);
    page.gauge("etcd_debugging_mvcc_keys_total", "Keys", tables.len(KEYS));
    page.gauge("etcd_debugging_mvcc_current_revision", "The newest revision", tables.revision());
    page.gauge("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction", tables.compacted());
    page.counter("etcd_mvcc_range_total", "Ranges read here", count(&counts.ranges));
    page.counter("etcd_mvcc_put_total", "Puts asked for here", count(&counts.puts));
    page.counter("etcd_mvcc_delete_total", "Deletions asked for here", count(&counts.deletes));
    page.counter("etcd_mvcc_txn_total", "Transactions asked for here", count(&counts.transactions));
    page.counter("etcd_debugging_mvcc_events_total", "Events sent to watches here", count(&counts.events));
    let watches = counts.watches.load(Ordering::Relaxed);
    let streams = counts.watch_streams.load(Ordering::Relaxed);
    page.gauge("etcd_debugging_mvcc_watcher_total", "Watches open here", watches);
    page.gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams open here", streams);
    page.counter("etcd_debugging_lease_granted_total", "Leases asked for here", count(&counts.leases_granted));
    page.counter("etcd_debugging_lease_revoked_total", "Revocations asked for here", count(&counts.leases_revoked));
    page.counter("etcd_debugging_lease_renewed_total", "Renewals asked for here", count(&counts.leases_renewed));
    let leases = tables.leases().filter(|(_, lease)| lease.owner == PROTOCOL.0).count();
    page.gauge("conclave_etcd_leases", "Leases of this protocol", leases);
}

fn network(page: &mut Page, standing: &Standing) {
    let others = || standing.members.iter().filter(|member| member.id != standing.id);
    for (name, help, connected) in [
        ("etcd_network_active_peers", "1 while a connection to the peer stands", true),
        ("etcd_network_known_peers", "1 for each peer that belongs to the ensemble", false),
    ] {
        page.head(name, "gauge", help);
        for member in others() {
            let value = u8::from(!connected || member.connected);
            let _ = writeln!(page.0, "{name}{{Local=\"{}\",Remote=\"{}\"}} {value}", standing.name, member.name);
        }
    }
}

/// As go-grpc-prometheus names them.
fn calls(page: &mut Page, counts: &Counts) {
    let calls = counts.calls.lock().unwrap_or_else(PoisonError::into_inner);
    page.head("grpc_server_handled_total", "counter", "Calls answered, by method and code");
    for ((path, code), count) in calls.iter() {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let _ = writeln!(
            page.0,
            "grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"{method}\",grpc_service=\"{service}\"}} {count}"
        );
    }
}

/// A code as Go spells it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
