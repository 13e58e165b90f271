//! Four-letter words: reports in plain text, in the layouts that people's scripts and exporters parse.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use node::Role;

use super::front::Front;
use crate::prepare::PROTOCOL;
use crate::tables::NODES;

/// Every word there is a report for.
pub(crate) const WORDS: [&str; 9] = ["conf", "cons", "dirs", "envi", "isro", "mntr", "ruok", "srvr", "stat"];

/// The release of the real server whose behaviour clients may expect, and ours.
const VERSION: &str = concat!("3.9.0-conclave-", env!("CARGO_PKG_VERSION"), ", built on unknown date");

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

/// The report for a word.
pub(super) fn report(front: &Front, word: [u8; 4]) -> String {
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
        "srvr" => server(front, false),
        "stat" => server(front, true),
        "cons" => connections(front, false),
        "dirs" => directories(front),
        "mntr" => monitor(front),
        _ => unreachable!("only the known words come here"),
    }
}

/// How the real server names what a member is.
fn mode(front: &Front) -> &'static str {
    let status = front.handle.status();
    match status.role {
        Role::Leader if status.members.len() == 1 => "standalone",
        Role::Leader => "leader",
        Role::Learner => "observer",
        Role::Follower | Role::PreCandidate | Role::Candidate => "follower",
    }
}

fn node_count(front: &Front) -> usize {
    front.handle.view().len(NODES).max(NODES_FROM_THE_BEGINNING) + SECOND_ROOT
}

struct Latency {
    min: u64,
    average: f64,
    max: u64,
}

fn latency(front: &Front) -> Latency {
    let counters = &front.counters;
    let answered = counters.answered.load(Ordering::Relaxed);
    let sum = counters.latency_sum.load(Ordering::Relaxed);
    // Four decimals, as the real server rounds.
    let average = if answered == 0 { 0.0 } else { (sum as f64 / answered as f64 * 10_000.0).round() / 10_000.0 };
    Latency {
        min: counters.latency_min.load(Ordering::Relaxed),
        average,
        max: counters.latency_max.load(Ordering::Relaxed),
    }
}

fn server(front: &Front, with_clients: bool) -> String {
    let mut text = format!("Zookeeper version: {VERSION}\n");
    if with_clients {
        text += "Clients:\n";
        text += &connections(front, true);
    }
    let Latency { min, average, max } = latency(front);
    let counters = &front.counters;
    let mode = mode(front);
    text += &format!(
        "Latency min/avg/max: {min}/{average:?}/{max}\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\n\
         Zxid: {:#x}\nMode: {mode}\nNode count: {}\n",
        counters.received.load(Ordering::Relaxed),
        counters.sent.load(Ordering::Relaxed),
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
            guest.received.load(Ordering::Relaxed),
            guest.sent.load(Ordering::Relaxed),
        );
        text += &format!(" /{}[{reads}](queued={queued},recved={received},sent={sent}", guest.peer);
        if !is_brief && session != 0 {
            text += &format!(",sid={session:#x}");
        }
        text += ")\n";
    }
    text + "\n"
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
        "clientPort={}\nsecureClientPort=-1\ndataDir={folder}\ndataLogDir={folder}\ntickTime={}\nmaxClientCnxns={}\n\
         minSessionTimeout={shortest}\nmaxSessionTimeout={longest}\nclientPortListenBacklog=-1\nserverId={}\n",
        front.address.port(),
        options.tick.as_millis(),
        options.connections_per_address,
        status.id.0,
    );
    if status.members.len() > 1 {
        text += "membership: \n";
        for member in &status.members {
            let role = if member.voter { "participant" } else { "observer" };
            let client = member.client.get("zookeeper").map(|client| format!(";{client}")).unwrap_or_default();
            text += &format!("server.{}={}:{role}{client}\n", member.id.0, member.peer);
        }
    }
    text
}

fn environment() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned());
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("Environment:\nzookeeper.version={VERSION}\nhost.name={host}\nos.name={system}\nos.arch={machine}\n")
}

fn monitor(front: &Front) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "zk_{name}\t{value}").expect("a string takes everything");
    };
    let counters = &front.counters;
    let view = front.handle.view();
    let status = front.handle.status();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let Latency { min, average, max } = latency(front);
    let mode = mode(front);
    line("version", &VERSION);
    line("server_state", &mode);
    match mode {
        "leader" => line("peer_state", &"leading - broadcast"),
        "follower" => line("peer_state", &"following - broadcast"),
        "observer" => line("peer_state", &"observing - broadcast"),
        _ => {}
    }
    line("avg_latency", &format_args!("{average:?}"));
    line("min_latency", &min);
    line("max_latency", &max);
    line("packets_received", &count(&counters.received));
    line("packets_sent", &count(&counters.sent));
    line("num_alive_connections", &front.connected().len());
    line("outstanding_requests", &counters.outstanding.load(Ordering::Relaxed).max(0));
    line("znode_count", &node_count(front));
    line("watch_count", &counters.watches.load(Ordering::Relaxed).max(0));
    let (sessions, ephemerals) = sessions_and_ephemerals(&view);
    line("ephemerals_count", &ephemerals);
    line("global_sessions", &sessions);
    line("local_sessions", &0);
    line("approximate_data_size", &view.table_bytes(NODES));
    line("connection_rejected", &count(&counters.rejected));
    line("auth_failed_count", &count(&counters.auth_failed));
    line("stale_sessions_expired", &status.counters.expired);
    line("uptime", &front.started.elapsed().as_millis());
    if let Some((open, limit)) = file_descriptors() {
        line("open_file_descriptor_count", &open);
        line("max_file_descriptor_count", &limit);
    }
    if mode == "leader" {
        let others = || status.members.iter().filter(|member| member.id != status.id && member.connected);
        line("quorum_size", &status.members.iter().filter(|member| member.voter).count());
        line("learners", &others().count());
        line("synced_followers", &others().filter(|member| member.voter).count());
        line("synced_observers", &others().filter(|member| !member.voter).count());
    }
    text
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
