//! The commands of the real server's AdminServer: the reports of the four-letter words and some more, as JSON. Which
//! address they are asked at is not known here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use node::Role;
use serde_json::{Map, Value, json};

use super::front::{Front, Guest};
use super::tally::Latency;
use super::words::{self, Holdings, Summary};

/// What a front end tells of itself, for tools.
#[derive(Clone)]
pub struct Reports {
    front: Arc<Front>,
}

/// A command: its names, the first of which it calls itself by, and what it answers.
struct Command {
    names: &'static [&'static str],
    answer: fn(&Front) -> Value,
}

const fn command(names: &'static [&'static str], answer: fn(&Front) -> Value) -> Command {
    Command { names, answer }
}

const COMMANDS: &[Command] = &[
    command(&["configuration", "conf", "config"], configuration),
    command(&["connection_stat_reset", "crst"], |front| {
        words::reset_connections(front);
        json!({})
    }),
    command(&["connections", "cons"], connections),
    command(&["dirs"], |front| {
        let bytes = front.handle.status().state_bytes;
        json!({"datadir_size": bytes, "logdir_size": bytes})
    }),
    command(&["dump"], dump),
    command(&["environment", "env", "envi"], |_| {
        json!({
            "zookeeper.version": words::VERSION,
            "os.name": std::env::consts::OS,
            "os.arch": std::env::consts::ARCH,
        })
    }),
    command(
        &["get_trace_mask", "gtmk"],
        |front| json!({"tracemask": front.counters.trace_mask.load(Ordering::Relaxed)}),
    ),
    command(&["hash"], |front| {
        let (index, hash) = front.handle.status().hash_at;
        json!({"digests": [{"index": index, "digest": format!("{hash:032x}")}]})
    }),
    command(
        &["initial_configuration", "icfg"],
        |front| json!({"initial_configuration": crate::members::lines(&front.handle.view().members)}),
    ),
    command(&["is_read_only", "isro"], |front| json!({"read_only": !front.handle.status().can_read})),
    command(&["last_snapshot", "lsnp"], |front| {
        // What is committed is what a restart comes back with: the log replays up to there.
        json!({"zxid": format!("{:#x}", front.handle.view().revision())})
    }),
    command(&["leader", "lead"], leader),
    command(&["monitor", "mntr"], monitor),
    command(&["observer_connection_stat_reset", "orst"], |_| json!({})),
    command(&["observers", "obsr"], |front| {
        let status = front.handle.status();
        let observers = || status.members.iter().filter(|member| !member.voter);
        let names: Vec<&str> = observers().map(|member| member.name.as_str()).collect();
        json!({"synced_observers": observers().filter(|member| member.connected).count(), "observers": names})
    }),
    command(&["ruok"], |_| json!({})),
    command(&["server_stats", "srvr"], server_stats),
    command(
        &["set_trace_mask", "stmk"],
        |front| json!({"tracemask": front.counters.trace_mask.load(Ordering::Relaxed)}),
    ),
    command(&["stat_reset", "srst"], |front| {
        front.counters.tally.reset();
        json!({})
    }),
    command(&["stats", "stat"], |front| {
        let mut answer = server_stats(front);
        answer["connections"] = connections(front)["connections"].take();
        answer
    }),
    command(&["system_properties", "sysp"], |_| json!({})),
    command(&["voting_view"], voting_view),
    command(&["watch_summary", "wchs"], |front| {
        let Summary { connections, paths, watches } = words::summary(front);
        json!({"num_connections": connections, "num_paths": paths, "num_total_watches": watches})
    }),
    command(&["watches", "wchc"], |front| {
        let lists: BTreeMap<String, _> =
            words::by_session(front).into_iter().map(|(session, paths)| (format!("{session:#x}"), paths)).collect();
        json!({"session_id_to_watched_paths": lists})
    }),
    command(&["watches_by_path", "wchp"], |front| json!({"path_to_session_ids": words::by_path(front)})),
    command(&["zabstate"], |front| {
        let status = front.handle.status();
        let own = status.member(status.id);
        json!({"zabstate": if status.can_commit { "broadcast" } else { "election" }, "voting": own.is_some_and(|own| own.voter)})
    }),
];

impl Reports {
    pub(super) fn new(front: Arc<Front>) -> Reports {
        Reports { front }
    }

    /// The first name of every command.
    pub fn commands(&self) -> impl Iterator<Item = &'static str> {
        COMMANDS.iter().map(|command| command.names[0])
    }

    /// What a command answers; `None` if there is no such command.
    #[must_use]
    pub fn answer(&self, name: &str) -> Option<Value> {
        let command = COMMANDS.iter().find(|command| command.names.contains(&name))?;
        let mut answer = (command.answer)(&self.front);
        let fields = answer.as_object_mut()?;
        fields.insert("command".to_owned(), command.names[0].into());
        fields.insert("error".to_owned(), Value::Null);
        Some(answer)
    }

    /// All that is measured, in the text format of Prometheus, by the real server's names.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        for (name, value) in words::monitored(&self.front) {
            if value.parse::<f64>().is_ok() {
                let _ = writeln!(text, "# TYPE {name} gauge\n{name} {value}");
            }
        }
        text
    }
}

fn configuration(front: &Front) -> Value {
    let options = &front.options;
    let (shortest, longest) = options.session_bounds();
    json!({
        "client_port": front.address.port(),
        "secure_client_port": front.secure_port.load(Ordering::Relaxed),
        "data_dir": options.data_folder,
        "data_log_dir": options.data_folder,
        "tick_time": u64::try_from(options.tick.as_millis()).unwrap_or(u64::MAX),
        "max_client_cnxns": options.connections_per_address,
        "min_session_timeout": shortest,
        "max_session_timeout": longest,
        "server_id": front.handle.status().id.0,
        "client_port_listen_backlog": -1,
    })
}

fn connections(front: &Front) -> Value {
    let (secure, plain): (Vec<_>, Vec<_>) = front.connected().into_iter().partition(|guest| guest.is_secure);
    let shown = |guests: Vec<Arc<Guest>>| guests.iter().map(|guest| connection(guest)).collect::<Vec<Value>>();
    json!({"connections": shown(plain), "secure_connections": shown(secure)})
}

fn connection(guest: &Guest) -> Value {
    let Latency { min, average, max, last } = guest.tally.latency();
    json!({
        "remote_socket_address": guest.peer.to_string(),
        "interest_ops": 1,
        "outstanding_requests": guest.queued.load(Ordering::Relaxed),
        "packets_received": guest.tally.received.load(Ordering::Relaxed),
        "packets_sent": guest.tally.sent.load(Ordering::Relaxed),
        "session_id": guest.session.load(Ordering::Relaxed),
        "last_operation": words::operation_name(guest.last_opcode.load(Ordering::Relaxed)),
        "established": guest.established,
        "session_timeout": guest.timeout.load(Ordering::Relaxed),
        "last_cxid": guest.last_xid.load(Ordering::Relaxed),
        "last_zxid": guest.tally.last_zxid.load(Ordering::Relaxed),
        "last_response_time": guest.last_answer.load(Ordering::Relaxed),
        "last_latency": last,
        "min_latency": min,
        "avg_latency": average,
        "max_latency": max,
    })
}

fn dump(front: &Front) -> Value {
    let Holdings { timeouts, ephemerals } = words::holdings(front);
    let sessions: Map<String, Value> =
        timeouts.into_iter().map(|(session, timeout)| (format!("{session:#x}"), timeout.into())).collect();
    let ephemerals: Map<String, Value> =
        ephemerals.into_iter().map(|(session, paths)| (format!("{session:#x}"), paths.into())).collect();
    json!({"session_id_to_timeout": sessions, "session_id_to_ephemeral_paths": ephemerals})
}

fn leader(front: &Front) -> Value {
    let status = front.handle.status();
    let leader = status.leader.and_then(|leader| status.member(leader));
    let address = leader.map(|leader| leader.peer.rsplit_once(':').map_or("", |(host, _)| host).to_owned());
    json!({
        "is_leader": status.role == Role::Leader,
        "leader_id": status.leader.map(|leader| leader.0),
        "leader_ip": address,
    })
}

fn monitor(front: &Front) -> Value {
    let typed = |value: String| match (value.parse::<i64>(), value.parse::<f64>()) {
        (Ok(whole), _) => whole.into(),
        (_, Ok(real)) => real.into(),
        _ => Value::String(value),
    };
    words::monitored(front)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), typed(value)))
        .collect::<Map<_, _>>()
        .into()
}

fn server_stats(front: &Front) -> Value {
    let status = front.handle.status();
    let counters = &front.counters;
    let Latency { min, average, max, .. } = counters.tally.latency();
    let sizes = counters.tally.sizes();
    json!({
        "version": words::VERSION,
        "read_only": !status.can_read,
        "server_stats": {
            "packets_sent": counters.tally.sent.load(Ordering::Relaxed),
            "packets_received": counters.tally.received.load(Ordering::Relaxed),
            "fsync_threshold_exceed_count": 0,
            "client_response_stats": {
                "last_buffer_size": sizes.last, "min_buffer_size": sizes.min, "max_buffer_size": sizes.max,
            },
            "data_dir_size": status.state_bytes,
            "log_dir_size": status.state_bytes,
            "last_processed_zxid": front.handle.view().revision(),
            "outstanding_requests": counters.outstanding.load(Ordering::Relaxed).max(0),
            "server_state": words::mode(front),
            "avg_latency": average,
            "max_latency": max,
            "min_latency": min,
            "num_alive_client_connections": front.connected().len(),
            "provider_null": false,
            "uptime": front.up(),
        },
        "node_count": words::node_count(front),
    })
}

fn voting_view(front: &Front) -> Value {
    let view = front.handle.view();
    let voters: Map<String, Value> = view
        .members
        .list
        .iter()
        .filter(|member| member.voter)
        .map(|member| {
            let client = member.address.client.get(crate::members::PROTOCOL_NAME);
            let entry = json!({
                "server_addresses": [member.address.peer],
                "election_addresses": [member.address.peer],
                "client_address": client,
                "learner_type": "PARTICIPANT",
            });
            (member.address.id.0.to_string(), entry)
        })
        .collect();
    json!({"current_config": voters})
}
