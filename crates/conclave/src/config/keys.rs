//! The table of keys: each key of the configuration, once. Knows values and the structure they fill, no file.

mod zookeeper;

use std::collections::BTreeMap;
use std::time::Duration;

use super::values::{Kind, Number};
use super::{Configuration, Member, Port};

/// One key: its name, where its value goes, what it may be, and what it is for.
pub(crate) struct Key<T> {
    /// The dotted name, as in `timing.heartbeat`.
    pub(crate) name: &'static str,
    /// What may stand there and where it goes.
    pub(crate) kind: Kind<T>,
    /// Whether it must be stated.
    pub(crate) presence: Presence,
    /// What it means, in a sentence or two.
    pub(crate) help: &'static str,
}

/// What happens if a key is not stated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It must be stated, on each member for itself.
    Own,
    /// It must be stated, alike on all members.
    Common,
    /// Without it, the member listens at its address in the list of members. Each member for itself.
    Listen,
    /// It has a default. Each member for itself.
    OwnDefault,
    /// It has a default. May be stated alike on all members.
    Default,
}

/// Tables of keys, one after another.
pub(crate) type Keys<T> = &'static [&'static [Key<T>]];

const fn key<T>(name: &'static str, kind: Kind<T>, presence: Presence, help: &'static str) -> Key<T> {
    Key { name, kind, presence, help }
}

const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The keys of each `[[members]]` entry.
pub(crate) const MEMBER_KEYS: Keys<Member> = &[MEMBER];

const MEMBER: &[Key<Member>] = &[
    key(
        "members.id",
        Kind::Count(Number::Wide(|member| &mut member.id), 1, 65_535),
        Presence::Common,
        "The member's number. Unique, and never given to another member later.",
    ),
    key(
        "members.name",
        Kind::Text(|member| &mut member.name),
        Presence::Common,
        "The member's name: the one that `member` refers to.",
    ),
    key(
        "members.peer",
        Kind::Address(|member| member.addresses.get_mut(Port::Peer)),
        Presence::Common,
        "Where the other members reach it.",
    ),
    key(
        "members.etcd",
        Kind::Address(|member| member.addresses.get_mut(Port::Etcd)),
        Presence::Common,
        "Where etcd's clients reach it.",
    ),
    key(
        "members.zookeeper",
        Kind::Address(|member| member.addresses.get_mut(Port::ZooKeeper)),
        Presence::Common,
        "Where ZooKeeper's clients reach it.",
    ),
    key(
        "members.admin",
        Kind::Address(|member| member.addresses.get_mut(Port::Admin)),
        Presence::Common,
        "Where probes, metrics and people reach it, by HTTP.",
    ),
    key(
        "members.priority",
        Kind::Count(Number::Byte(|member| &mut member.priority), 0, 255),
        Presence::Default,
        "How much it is wished for as leader. A leader hands over to a healthy member of higher priority.",
    ),
];

/// All other keys, room by room.
pub(crate) const KEYS: Keys<Configuration> = &[GENERAL, zookeeper::KEYS];

const GENERAL: &[Key<Configuration>] = &[
    key(
        "ensemble",
        Kind::Text(|c| &mut c.ensemble),
        Presence::Common,
        "The ensemble's name, the same on all members. Members of different ensembles refuse each other.",
    ),
    key("member", Kind::Text(|c| &mut c.member), Presence::Own, "This member's name: one of those under `members`."),
    key(
        "data",
        Kind::Folder(|c| &mut c.data),
        Presence::Own,
        "The data folder. A relative path starts at the folder of the configuration file.",
    ),
    key(
        "join",
        Kind::Flag(|c| &mut c.join),
        Presence::OwnDefault,
        "This member is added to an ensemble that exists: with an empty data folder it waits for `conclave member add`. May stay when it was added.",
    ),
    key(
        "listen.peer",
        Kind::Address(|c| c.listen.get_mut(Port::Peer)),
        Presence::Listen,
        "Where to listen for the other members, if not at `members.peer` (behind a container's network, for instance).",
    ),
    key(
        "listen.etcd",
        Kind::Address(|c| c.listen.get_mut(Port::Etcd)),
        Presence::Listen,
        "Where to listen for etcd's clients, if not at `members.etcd`.",
    ),
    key(
        "listen.zookeeper",
        Kind::Address(|c| c.listen.get_mut(Port::ZooKeeper)),
        Presence::Listen,
        "Where to listen for ZooKeeper's clients, if not at `members.zookeeper`.",
    ),
    key(
        "listen.admin",
        Kind::Address(|c| c.listen.get_mut(Port::Admin)),
        Presence::Listen,
        "Where to listen for probes, metrics and people, if not at `members.admin`.",
    ),
    key(
        "timing.heartbeat",
        Kind::Time(|c| &mut c.timing.heartbeat, milliseconds(5), seconds(10)),
        Presence::Default,
        "How often a leader lets its followers hear of it. About the longest round trip between members is a good value.",
    ),
    key(
        "timing.election_min",
        Kind::Time(|c| &mut c.timing.election_min, milliseconds(20), seconds(60)),
        Presence::Default,
        "The shortest silence after which a follower asks for an election. Several heartbeats, so that one late packet deposes nobody.",
    ),
    key(
        "timing.election_max",
        Kind::Time(|c| &mut c.timing.election_max, milliseconds(40), seconds(120)),
        Presence::Default,
        "The longest such silence. Each wait is drawn between the two, so that members seldom stand at the same moment.",
    ),
    key(
        "limits.request_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.limits.request_bytes), 64 * KIB, 64 * MIB),
        Presence::Default,
        "The largest request. A larger one is refused.",
    ),
    key(
        "limits.request_timeout",
        Kind::Time(|c| &mut c.limits.request_timeout, milliseconds(100), seconds(600)),
        Presence::Default,
        "How long a request may wait for a leader and for its answer before it fails.",
    ),
    key(
        "limits.queue_items",
        Kind::Count(Number::Word(|c| &mut c.limits.queue_items), 16, 16_777_216),
        Presence::Default,
        "Requests that may wait for the member's core. More are refused as overload.",
    ),
    key(
        "limits.queue_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.limits.queue_bytes), MIB, 64 * GIB),
        Presence::Default,
        "Bytes of requests that may wait for the member's core. More are refused as overload.",
    ),
    key(
        "limits.uncommitted_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.limits.uncommitted_bytes), MIB, 16 * GIB),
        Presence::Default,
        "Bytes a leader may prepare ahead of what is committed. At the bound requests wait in the queue.",
    ),
    key(
        "limits.entry_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.limits.entry_bytes), 64 * KIB, 64 * MIB),
        Presence::Default,
        "The size up to which requests share one entry of the log. More of them go into further entries.",
    ),
    key(
        "limits.change_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.limits.change_bytes), 64 * KIB, 64 * MIB),
        Presence::Default,
        "Bytes of row changes that one request may make; a request that would make more is refused.",
    ),
    key(
        "limits.peer_queue_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.limits.peer_queue_bytes), MIB, 16 * GIB),
        Presence::Default,
        "Bytes that may wait for one peer. Beyond it the connection is dropped and made anew.",
    ),
    key(
        "limits.history_bytes",
        Kind::Bytes(Number::Wide(|c| &mut c.limits.history_bytes), MIB, 1024 * GIB),
        Presence::Default,
        "Bytes of old rows kept for reads and watches of the past. Beyond it the older half is compacted.",
    ),
    key(
        "limits.history_revisions",
        Kind::Count(Number::Word(|c| &mut c.limits.history_revisions), 100, 1_000_000_000),
        Presence::Default,
        "Revisions kept for reads and watches of the past. Beyond it the older half is compacted.",
    ),
    key(
        "limits.history_age",
        Kind::Time(|c| &mut c.limits.history_age, seconds(0), seconds(10 * 365 * 86_400)),
        Presence::Default,
        "The age beyond which the past is compacted, however little it is. 0 sets no such bound.",
    ),
    key(
        "limits.mailbox_changes",
        Kind::Count(Number::Word(|c| &mut c.limits.mailbox_changes), 16, 16_777_216),
        Presence::Default,
        "Changes that may wait for one slow watcher. Beyond it the watcher catches up from history instead.",
    ),
    key(
        "limits.learners",
        Kind::Count(Number::Word(|c| &mut c.limits.learners), 1, 64),
        Presence::Default,
        "Members without a vote, those who are just catching up included. A further one is refused.",
    ),
    key(
        "limits.segment_bytes",
        Kind::Bytes(Number::Wide(|c| &mut c.limits.segment_bytes), MIB, GIB),
        Presence::Default,
        "The size of one file of the log. Files are allocated whole and used again.",
    ),
    key(
        "limits.snapshot_log_bytes",
        Kind::Bytes(Number::Wide(|c| &mut c.limits.snapshot_log_bytes), MIB, 1024 * GIB),
        Presence::Default,
        "Bytes of log after which the member writes a snapshot and releases the log below it.",
    ),
    key(
        "quota.soft_bytes",
        Kind::Bytes(Number::Wide(|c| &mut c.limits.quota_soft_bytes), 64 * KIB, 1024 * GIB),
        Presence::Default,
        "Bytes of live keys and rows above which the diary, the status and the metrics warn.",
    ),
    key(
        "quota.hard_bytes",
        Kind::Bytes(Number::Wide(|c| &mut c.limits.quota_hard_bytes), 64 * KIB, 1024 * GIB),
        Presence::Default,
        "Bytes of live keys and rows above which what makes them more is refused. Deleting is always possible, and writes \
         go on by themselves once there is room.",
    ),
    key(
        "etcd.max_request_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.etcd.max_request_bytes), KIB, 64 * MIB),
        Presence::Default,
        "The largest request of an etcd client. A larger one is refused.",
    ),
    key(
        "etcd.max_txn_operations",
        Kind::Count(Number::Word(|c| &mut c.etcd.max_txn_operations), 1, 100_000),
        Presence::Default,
        "The most comparisons, or operations of one branch, in a transaction. More are refused.",
    ),
    key(
        "etcd.max_watches_per_stream",
        Kind::Count(Number::Word(|c| &mut c.etcd.max_watches_per_stream), 1, 10_000_000),
        Presence::Default,
        "The most watches on one stream. A further one is cancelled, with this limit as its reason.",
    ),
    key(
        "etcd.max_streams_per_connection",
        Kind::Count(Number::Half(|c| &mut c.etcd.max_streams_per_connection), 1, 1_000_000),
        Presence::Default,
        "The most calls and streams at a time on one connection. Further ones wait at the client.",
    ),
    key(
        "etcd.watch_batch_events",
        Kind::Count(Number::Word(|c| &mut c.etcd.watch_batch_events), 1, 1_000_000),
        Presence::Default,
        "Events that one watch response gathers while a watch catches up with history. A revision is never torn.",
    ),
    key(
        "etcd.watch_batch_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.etcd.watch_batch_bytes), KIB, 64 * MIB),
        Presence::Default,
        "Bytes after which such a response is closed, at the end of a revision.",
    ),
    key(
        "etcd.watch_progress_interval",
        Kind::Time(|c| &mut c.etcd.watch_progress_interval, milliseconds(100), seconds(86_400)),
        Presence::Default,
        "How often a watch that asked for it and heard nothing is told how far the stream is.",
    ),
    key(
        "etcd.lease_min_ttl_seconds",
        Kind::Count(Number::Signed(|c| &mut c.etcd.lease_min_ttl_seconds), 1, 86_400),
        Presence::Default,
        "The shortest time to live of a lease, in seconds. A shorter wish is raised to it.",
    ),
    key(
        "etcd.leaderless_grace",
        Kind::Time(|c| &mut c.etcd.leaderless_grace, milliseconds(100), seconds(600)),
        Presence::Default,
        "How long a stream that insists on a leader outlives the loss of it.",
    ),
    key(
        "etcd.range_inline_keys",
        Kind::Count(Number::Word(|c| &mut c.etcd.range_inline_keys), 1, 1_000_000),
        Presence::Default,
        "Ranges that visit more keys than this are read on a thread of their own, so that no small request waits for them.",
    ),
    key(
        "etcd.tls_certificate",
        Kind::OptionalText(|c| &mut c.etcd.tls_certificate),
        Presence::Default,
        "The file (PEM) with the certificate for etcd's clients. With it connections are encrypted. Taken up again when it changes.",
    ),
    key(
        "etcd.tls_key",
        Kind::OptionalText(|c| &mut c.etcd.tls_key),
        Presence::Default,
        "The file (PEM) with its private key.",
    ),
    key(
        "etcd.tls_client_authorities",
        Kind::OptionalText(|c| &mut c.etcd.tls_client_authorities),
        Presence::Default,
        "The file (PEM) with the authorities that sign clients' certificates. With it clients must show one, and its common name is their user.",
    ),
    key(
        "etcd.tokens",
        Kind::Text(|c| &mut c.etcd.tokens),
        Presence::Default,
        "How clients show who they are: `simple`, or `jwt,sign-method=…,priv-key=FILE,pub-key=FILE,ttl=5m` (etcd's `--auth-token`).",
    ),
    key(
        "etcd.token_ttl",
        Kind::Time(|c| &mut c.etcd.token_ttl, seconds(1), seconds(31_536_000)),
        Presence::Default,
        "How long a simple token lives after its last use.",
    ),
    key(
        "etcd.bcrypt_cost",
        Kind::Count(Number::Half(|c| &mut c.etcd.bcrypt_cost), 4, 31),
        Presence::Default,
        "What hashing a password costs; each step doubles the work.",
    ),
    key(
        "etcd.login_threads",
        Kind::Count(Number::Word(|c| &mut c.etcd.login_threads), 1, 1024),
        Presence::Default,
        "Passwords that are hashed or checked at a time, each on a thread.",
    ),
    key(
        "etcd.logins_waiting",
        Kind::Count(Number::Word(|c| &mut c.etcd.logins_waiting), 0, 1_000_000),
        Presence::Default,
        "Passwords that may wait for such a thread. More are refused with `too many requests`.",
    ),
];

/// Checks that `name = text` may be given to all members alike, and that its value would be accepted.
pub(crate) fn settable_on_all(name: &str, text: &str) -> Result<(), String> {
    let Some(key) = KEYS.iter().copied().flatten().find(|key| key.name == name) else {
        if let Some(key) = MEMBER_KEYS.iter().copied().flatten().find(|key| key.name == name) {
            return Err(format!("{} is chosen for each member and cannot be set on all", key.name));
        }
        return Err(unknown(name));
    };
    if matches!(key.presence, Presence::Own | Presence::Listen | Presence::OwnDefault) {
        return Err(format!("{name} is chosen for each member and cannot be set on all"));
    }
    key.kind.read(&mut Configuration::default(), text).map_err(|problem| format!("{name} = {text:?} {problem}"))
}

/// The lines that state `values` in a configuration file, in the order of TOML: plain keys, then sections. Each value
/// must have passed [`settable_on_all`].
pub(crate) fn written(values: &BTreeMap<String, String>) -> Written {
    let mut written = Written::default();
    for (name, text) in values {
        let key =
            KEYS.iter().copied().flatten().find(|key| key.name == name).expect("a value that passed has a known key");
        let value =
            if key.kind.quoted() { toml::Value::String(text.clone()).to_string() } else { text.trim().to_owned() };
        match name.split_once('.') {
            None => written.top.push_str(&format!("{name} = {value}\n")),
            Some((section, name)) => {
                let lines = written.sections.entry(section.to_owned()).or_default();
                lines.push_str(&format!("{name} = {value}\n"));
            }
        }
    }
    written
}

/// Values in the form of a configuration file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// The keys that stand before the first section.
    pub(crate) top: String,
    /// The lines of each section, by its name.
    pub(crate) sections: BTreeMap<String, String>,
}

/// What is said of a key that is not in the table.
pub(crate) fn unknown(name: &str) -> String {
    format!("the key {name:?} is unknown; the nearest known one is {:?}", nearest(name))
}

/// The known key whose name is closest to `name`, by the fewest changed letters.
fn nearest(name: &str) -> &'static str {
    let names = KEYS
        .iter()
        .copied()
        .flatten()
        .map(|key| key.name)
        .chain(MEMBER_KEYS.iter().copied().flatten().map(|key| key.name));
    names.min_by_key(|known| distance(name, known)).expect("the table of keys is not empty")
}

/// How many letters must be put in, left out or replaced to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for column in 0..other.len() {
            let replaced = diagonal + usize::from(letter != other[column]);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
