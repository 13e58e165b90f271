//! Four-letter words: reports in plain text, in the layouts that people's scripts and exporters parse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use node::Role;

use super::front::{Front, Guest};
use super::tally::{Latency, Sizes};
use crate::prepare::PROTOCOL;
use crate::tables::NODES;

/// Every word there is a report for.
pub const WORDS: [&str; 18] = [
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr", "stat",
    "stmk", "wchc", "wchp", "wchs",
];

/// The word that eight more bytes follow: a mask.
pub(super) const SET_MASK: [u8; 4] = *b"stmk";

/// The release of the real server whose behaviour clients may expect, and ours.
pub(super) const VERSION: &str = concat!("3.9.0-conclave-", env!("CARGO_PKG_VERSION"), ", built on unknown date");

/// What the real server says where it cannot serve.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// Nodes that are there before the first session brings them, and the second name of the root, which the real
/// server counts.
const NODES_FROM_THE_BEGINNING: usize = 4;
const SECOND_ROOT: usize = 1;

/// Whether the first bytes of a connection are one of the words.
pub(super) fn is_word(word: [u8; 4]) -> bool {
    WORDS.iter().any(|known| known.as_bytes() == word)
}

/// The report for a word. `mask` is what followed [`SET_MASK`].
pub(super) fn report(front: &Front, word: [u8; 4], mask: u64) -> String {
    let word = String::from_utf8_lossy(&word);
    if !front.options.words.contains(word.as_ref()) {
        return format!("{word} is not executed because it is not in the whitelist.\n");
    }
    let is_serving = front.handle.status().can_read;
    match word.as_ref() {
        "ruok" => "imok".to_owned(),
        "envi" => environment(),
        "conf" => configuration(front),
        "isro" => if is_serving { "rw" } else { "null" }.to_owned(),
        _ if !is_serving => NOT_SERVING.to_owned(),
        "gtmk" => front.counters.trace_mask.load(Ordering::Relaxed).to_string(),
        "stmk" => {
            front.counters.trace_mask.store(mask, Ordering::Relaxed);
            mask.to_string()
        }
        "srvr" => server(front, false),
        "stat" => server(front, true),
        "cons" => connections(front, false),
        "crst" => {
            reset_connections(front);
            "Connection stats reset.\n".to_owned()
        }
        "srst" => {
            front.counters.tally.reset();
            "Server stats reset.\n".to_owned()
        }
        "dirs" => directories(front),
        "dump" => dump(front),
        "hash" => {
            let (_, hash) = front.handle.status().hash_at;
            format!("{:x}: {hash:032x}\n", front.handle.view().revision())
        }
        "mntr" => monitor(front),
        "wchc" => watched(&by_session(front), |session| format!("{session:#x}"), ToString::to_string),
        "wchp" => watched(&by_path(front), ToString::to_string, |session| format!("{session:#x}")),
        "wchs" => {
            let Summary { connections, paths, watches } = summary(front);
            format!("{connections} connections watching {paths} paths\nTotal watches:{watches}\n")
        }
        _ => unreachable!("only the known words come here"),
    }
}

/// How the real server names what a member is.
pub(super) fn mode(front: &Front) -> &'static str {
    let status = front.handle.status();
    match status.role {
        Role::Leader if status.members.len() == 1 => "standalone",
        Role::Leader => "leader",
        Role::Learner => "observer",
        Role::Follower | Role::PreCandidate | Role::Candidate => "follower",
    }
}

pub(super) fn node_count(front: &Front) -> usize {
    front.handle.view().len(NODES).max(NODES_FROM_THE_BEGINNING) + SECOND_ROOT
}

/// Begins to count anew, connection by connection.
pub(super) fn reset_connections(front: &Front) {
    for guest in front.connected() {
        guest.tally.reset();
    }
}

fn server(front: &Front, with_clients: bool) -> String {
    let mut text = format!("Zookeeper version: {VERSION}\n");
    if with_clients {
        text += "Clients:\n";
        text += &connections(front, true);
    }
    let Latency { min, average, max, .. } = front.counters.tally.latency();
    let counters = &front.counters;
    let mode = mode(front);
    text += &format!(
        "Latency min/avg/max: {min}/{average:?}/{max}\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\n\
         Zxid: {:#x}\nMode: {mode}\nNode count: {}\n",
        counters.tally.received.load(Ordering::Relaxed),
        counters.tally.sent.load(Ordering::Relaxed),
        front.connected().len(),
        counters.outstanding.load(Ordering::Relaxed).max(0),
        front.handle.view().revision(),
        node_count(front),
    );
    if mode == "leader" {
        // Proposals of the real server's kind do not exist here; -1 is what it says before its first one.
        text += "Proposal sizes last/min/max: -1/-1/-1\n";
    }
    text
}

fn connections(front: &Front, is_brief: bool) -> String {
    let mut text = String::new();
    for guest in front.connected() {
        let session = guest.session.load(Ordering::Relaxed);
        // 1: the connection is read from; 0: it is one that asks for a report.
        let reads = u8::from(session != 0);
        let (queued, received, sent) = (
            guest.queued.load(Ordering::Relaxed),
            guest.tally.received.load(Ordering::Relaxed),
            guest.tally.sent.load(Ordering::Relaxed),
        );
        text += &format!(" /{}[{reads}](queued={queued},recved={received},sent={sent}", guest.peer);
        if !is_brief && session != 0 {
            text += &details(&guest, session);
        }
        text += ")\n";
    }
    text + "\n"
}

/// What is told of a connection that has a session.
fn details(guest: &Guest, session: i64) -> String {
    let Latency { min, average, max, last } = guest.tally.latency();
    format!(
        ",sid={session:#x},lop={},est={},to={},lcxid={:#x},lzxid={:#x},lresp={},llat={last},minlat={min},\
         avglat={average:.0},maxlat={max}",
        operation_name(guest.last_opcode.load(Ordering::Relaxed)),
        guest.established,
        guest.timeout.load(Ordering::Relaxed),
        guest.last_xid.load(Ordering::Relaxed),
        guest.tally.last_zxid.load(Ordering::Relaxed),
        guest.last_answer.load(Ordering::Relaxed),
    )
}

/// The four letters by which the real server names an operation in reports.
pub(super) fn operation_name(opcode: i64) -> &'static str {
    match opcode {
        1 => "CREA",
        2 => "DELE",
        3 => "EXIS",
        4 => "GETD",
        5 => "SETD",
        6 => "GETA",
        7 => "SETA",
        8 | 12 => "GETC",
        9 => "SYNC",
        11 => "PING",
        13 => "CHCK",
        14 => "MULT",
        15 => "CRE2",
        16 => "RECO",
        19 => "CREC",
        21 => "CRET",
        22 => "MULR",
        100 => "AUTH",
        101 | 105 => "SETW",
        102 => "SASL",
        106 => "ADDW",
        107 => "WHOA",
        -11 => "CLOS",
        _ => "NA",
    }
}

/// Sessions that watch, each with the paths it watches.
pub(super) fn by_session(front: &Front) -> BTreeMap<i64, BTreeSet<String>> {
    let mut by_session: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for guest in front.connected() {
        let paths: BTreeSet<String> = guest.watches().paths().map(str::to_owned).collect();
        if !paths.is_empty() {
            by_session.entry(guest.session.load(Ordering::Relaxed)).or_default().extend(paths);
        }
    }
    by_session
}

/// Paths that are watched, each with the sessions that watch it.
pub(super) fn by_path(front: &Front) -> BTreeMap<String, BTreeSet<i64>> {
    let mut by_path: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for (session, paths) in by_session(front) {
        for path in paths {
            by_path.entry(path).or_default().insert(session);
        }
    }
    by_path
}

/// How much is watched.
pub(super) struct Summary {
    pub(super) connections: usize,
    pub(super) paths: usize,
    pub(super) watches: usize,
}

pub(super) fn summary(front: &Front) -> Summary {
    let (by_session, by_path) = (by_session(front), by_path(front));
    let watches = by_session.values().map(BTreeSet::len).sum();
    Summary { connections: by_session.len(), paths: by_path.len(), watches }
}

fn watched<K, V>(lists: &BTreeMap<K, BTreeSet<V>>, head: impl Fn(&K) -> String, line: impl Fn(&V) -> String) -> String {
    let mut text = String::new();
    for (key, values) in lists {
        text += &head(key);
        for value in values {
            text += &format!("\n\t{}", line(value));
        }
        text += "\n";
    }
    text + "\n"
}

/// Sessions of the whole ensemble, with their timeouts, and the ephemeral nodes of each.
pub(super) struct Holdings {
    pub(super) timeouts: BTreeMap<i64, u64>,
    pub(super) ephemerals: BTreeMap<i64, Vec<String>>,
}

pub(super) fn holdings(front: &Front) -> Holdings {
    let view = front.handle.view();
    let (mut timeouts, mut ephemerals) = (BTreeMap::new(), BTreeMap::new());
    for (id, lease) in view.leases().filter(|(_, lease)| lease.owner == PROTOCOL.0) {
        timeouts.insert(id.0, lease.ttl_milliseconds);
        let mut rows = view.lease_rows(id);
        let mut paths = Vec::new();
        while let Some((_, key)) = rows.next() {
            paths.push(crate::path::from_node_key(key));
        }
        if !paths.is_empty() {
            ephemerals.insert(id.0, paths);
        }
    }
    Holdings { timeouts, ephemerals }
}

/// Deadlines are in the leader's memory alone, so sessions stand here by their timeouts.
fn dump(front: &Front) -> String {
    let Holdings { timeouts, ephemerals } = holdings(front);
    let mut text = format!("SessionTracker dump:\nGlobal Sessions({}):\n", timeouts.len());
    for (session, timeout) in &timeouts {
        text += &format!("{session:#x}\t{timeout}ms\n");
    }
    text += &format!("ephemeral nodes dump:\nSessions with Ephemerals ({}):\n", ephemerals.len());
    for (session, paths) in &ephemerals {
        text += &format!("{session:#x}:\n");
        for path in paths {
            text += &format!("\t{path}\n");
        }
    }
    let connected = front.connected();
    text += &format!("Connections dump:\nConnections ({}):\n", connected.len());
    for guest in connected {
        text += &format!("\tip: /{} sessionId: {:#x}\n", guest.peer, guest.session.load(Ordering::Relaxed));
    }
    text
}

fn directories(front: &Front) -> String {
    let bytes = front.handle.status().state_bytes;
    format!("datadir_size: {bytes}\nlogdir_size: {bytes}\n")
}

fn configuration(front: &Front) -> String {
    let options = &front.options;
    let (shortest, longest) = options.session_bounds();
    let status = front.handle.status();
    let folder = &options.data_folder;
    let mut text = format!(
        "clientPort={}\nsecureClientPort={}\ndataDir={folder}\ndataLogDir={folder}\ntickTime={}\nmaxClientCnxns={}\n\
         minSessionTimeout={shortest}\nmaxSessionTimeout={longest}\nclientPortListenBacklog=-1\nserverId={}\n",
        front.address.port(),
        front.secure_port.load(Ordering::Relaxed),
        options.tick.as_millis(),
        options.connections_per_address,
        status.id.0,
    );
    let members = crate::members::lines(&front.handle.view().members);
    if !members.is_empty() {
        text += &format!("membership: \n{members}");
    }
    text
}

fn environment() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned());
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("Environment:\nzookeeper.version={VERSION}\nhost.name={host}\nos.name={system}\nos.arch={machine}\n")
}

fn monitor(front: &Front) -> String {
    monitored(front).iter().fold(String::new(), |text, (name, value)| text + &format!("zk_{name}\t{value}\n"))
}

/// What is measured, by the real server's names without their `zk_`.
pub(super) fn monitored(front: &Front) -> Vec<(&'static str, String)> {
    let counters = &front.counters;
    let view = front.handle.view();
    let status = front.handle.status();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();
    let Latency { min, average, max, .. } = counters.tally.latency();
    let Sizes { min: smallest, max: largest, last } = counters.tally.sizes();
    let mode = mode(front);
    let mut lines = vec![("version", VERSION.to_owned()), ("server_state", mode.to_owned())];
    match mode {
        "leader" => lines.push(("peer_state", "leading - broadcast".to_owned())),
        "follower" => lines.push(("peer_state", "following - broadcast".to_owned())),
        "observer" => lines.push(("peer_state", "observing - broadcast".to_owned())),
        _ => {}
    }
    let (sessions, ephemerals) = sessions_and_ephemerals(&view);
    let secure = front.connected().iter().filter(|guest| guest.is_secure).count();
    let alive = front.connected().len();
    lines.extend([
        ("avg_latency", format!("{average:?}")),
        ("min_latency", min.to_string()),
        ("max_latency", max.to_string()),
        ("packets_received", count(&counters.tally.received)),
        ("packets_sent", count(&counters.tally.sent)),
        ("num_alive_connections", alive.to_string()),
        ("outstanding_requests", counters.outstanding.load(Ordering::Relaxed).max(0).to_string()),
        ("znode_count", node_count(front).to_string()),
        ("watch_count", counters.watches.load(Ordering::Relaxed).max(0).to_string()),
        ("ephemerals_count", ephemerals.to_string()),
        ("global_sessions", sessions.to_string()),
        ("local_sessions", "0".to_owned()),
        ("approximate_data_size", view.table_bytes(NODES).to_string()),
        ("last_client_response_size", last.to_string()),
        ("max_client_response_size", largest.to_string()),
        ("min_client_response_size", smallest.to_string()),
        ("non_mtls_remote_conn_count", "0".to_owned()),
        ("non_mtls_local_conn_count", (alive - secure).to_string()),
        ("connection_drop_probability", "0.0".to_owned()),
        ("connection_rejected", count(&counters.rejected)),
        ("large_requests_rejected", count(&counters.too_large)),
        ("auth_failed_count", count(&counters.auth_failed)),
        ("stale_sessions_expired", status.counters.expired.to_string()),
        ("proposal_count", status.counters.proposed.to_string()),
        ("commit_count", status.commit.to_string()),
        ("looking_count", status.counters.leader_changes.to_string()),
        ("digest_mismatches_count", "0".to_owned()),
        ("throttled_ops", "0".to_owned()),
        ("uptime", front.up().to_string()),
    ]);
    if let Some((open, limit)) = file_descriptors() {
        lines.extend([
            ("open_file_descriptor_count", open.to_string()),
            ("max_file_descriptor_count", limit.to_string()),
        ]);
    }
    if mode == "leader" {
        let others = || status.members.iter().filter(|member| member.id != status.id && member.connected);
        lines.extend([
            ("quorum_size", status.members.iter().filter(|member| member.voter).count().to_string()),
            ("learners", others().count().to_string()),
            ("synced_followers", others().filter(|member| member.voter).count().to_string()),
            ("synced_non_voting_followers", "0".to_owned()),
            ("synced_observers", others().filter(|member| !member.voter).count().to_string()),
            ("pending_syncs", "0".to_owned()),
            ("leader_uptime", front.up().to_string()),
        ]);
    }
    lines
}

fn sessions_and_ephemerals(view: &state::State) -> (usize, usize) {
    let (mut sessions, mut ephemerals) = (0, 0);
    for (id, _) in view.leases().filter(|(_, lease)| lease.owner == PROTOCOL.0) {
        sessions += 1;
        let mut rows = view.lease_rows(id);
        while rows.next().is_some() {
            ephemerals += 1;
        }
    }
    (sessions, ephemerals)
}

/// Descriptors open in this process, and how many there may be, where the system tells.
fn file_descriptors() -> Option<(usize, u64)> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    let limit = line.split_whitespace().nth(3)?.parse().ok()?;
    Some((open, limit))
}
