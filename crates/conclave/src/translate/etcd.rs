//! `conclave config from-etcd`: an etcd member's flags, or its environment, as one of our configurations. What has a
//! counterpart is translated, everything else is named with what takes its place or why there is none. It reads words
//! and writes text; it starts nothing and checks no address.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How a flag of theirs is translated.
enum Translation {
    /// To this key of ours, a plain number.
    Count(&'static str),
    /// To this key of ours, a number of milliseconds.
    Milliseconds(&'static str),
    /// To this key of ours, a number of seconds.
    Seconds(&'static str),
    /// To this key of ours, a span as Go spells it.
    Span(&'static str),
    /// To this key of ours, text as it stands.
    Text(&'static str),
    /// Handled with others.
    Elsewhere,
    /// No counterpart, because of this.
    No(&'static str),
}

use Translation::{Count, Elsewhere, Milliseconds, No, Seconds, Span, Text};

const FILES: &str = "the log and the snapshots are kept small by limits.snapshot_log_bytes and need no care";
const HISTORY: &str =
    "history is kept within limits.history_bytes and limits.history_revisions, and compacted beyond them by itself";
const BACKEND: &str = "there is no backend file: rows lie in memory and in the log";
const PEERS: &str = "connections between members are not encrypted yet";
const DISCOVERY: &str = "members are listed, or added by conclave member add";
const CHECKS: &str = "replicas compare their states all the time, always";
const TRACING: &str = "no traces are sent; the log, /metrics and conclave why tell what happened";
const LOGGING: &str = "conclave serve --log chooses the form, RUST_LOG the level";
const TLS: &str = "TLS 1.2 and 1.3 with the ciphers that are safe today, always";

/// Their flags, without the dashes; `experimental-` before them is left out.
const FLAGS: &[(&str, Translation)] = &[
    ("name", Elsewhere),
    ("data-dir", Elsewhere),
    ("listen-peer-urls", Elsewhere),
    ("listen-client-urls", Elsewhere),
    ("advertise-client-urls", Elsewhere),
    ("initial-advertise-peer-urls", Elsewhere),
    ("initial-cluster", Elsewhere),
    ("initial-cluster-token", Elsewhere),
    ("election-timeout", Elsewhere),
    ("trusted-ca-file", Elsewhere),
    ("client-cert-auth", Elsewhere),
    ("heartbeat-interval", Milliseconds("timing.heartbeat")),
    ("max-txn-ops", Count("etcd.max_txn_operations")),
    ("max-request-bytes", Count("etcd.max_request_bytes")),
    ("max-concurrent-streams", Count("etcd.max_streams_per_connection")),
    ("max-learners", Count("limits.learners")),
    ("watch-progress-notify-interval", Span("etcd.watch_progress_interval")),
    ("auth-token", Text("etcd.tokens")),
    ("auth-token-ttl", Seconds("etcd.token_ttl")),
    ("bcrypt-cost", Count("etcd.bcrypt_cost")),
    ("cert-file", Text("etcd.tls_certificate")),
    ("key-file", Text("etcd.tls_key")),
    ("initial-cluster-state", No("a member that was added starts with an empty data folder: see docs/membership.md")),
    ("quota-backend-bytes", Elsewhere),
    ("auto-compaction-mode", No(HISTORY)),
    ("auto-compaction-retention", No(HISTORY)),
    ("compaction-batch-limit", No(HISTORY)),
    ("compaction-sleep-interval", No(HISTORY)),
    ("wal-dir", No("log and snapshots share the data folder")),
    ("snapshot-count", No(FILES)),
    ("snapshot-catchup-entries", No(FILES)),
    ("max-snapshots", No(FILES)),
    ("max-wals", No(FILES)),
    ("backend-bbolt-freelist-type", No(BACKEND)),
    ("backend-batch-interval", No(BACKEND)),
    ("backend-batch-limit", No(BACKEND)),
    ("bootstrap-defrag-threshold-megabytes", No(BACKEND)),
    ("memory-mlock", No(BACKEND)),
    ("unsafe-no-fsync", No("every write is synced before it is acknowledged, always")),
    ("initial-election-tick-advance", No("elections have their own keys, timing.*")),
    ("pre-vote", No("members ask before they stand, always")),
    ("strict-reconfig-check", No("changes that would lose the quorum are refused, always")),
    ("force-new-cluster", No("a member never forgets the others by itself")),
    ("enable-grpc-gateway", No("the gateway is served on the same port, always")),
    ("enable-v2", No("the second version of the API is not spoken")),
    ("listen-client-http-urls", No("HTTP and gRPC share one port, members.etcd")),
    ("listen-metrics-urls", No("/metrics is served at members.etcd and members.admin")),
    ("metrics", No("/metrics is served at members.etcd and members.admin")),
    ("enable-pprof", No("it shows the insides of Go programs")),
    ("grpc-keepalive-min-time", No("clients may ask as often as they like")),
    ("grpc-keepalive-interval", No("silent connections are asked every two hours, as by default")),
    ("grpc-keepalive-timeout", No("silent connections are asked every two hours, as by default")),
    ("socket-reuse-port", No("a port belongs to one member")),
    ("socket-reuse-address", No("a port belongs to one member")),
    ("discovery", No(DISCOVERY)),
    ("discovery-srv", No(DISCOVERY)),
    ("discovery-srv-name", No(DISCOVERY)),
    ("discovery-fallback", No(DISCOVERY)),
    ("discovery-proxy", No(DISCOVERY)),
    ("client-crl-file", No("revocation lists are not read yet")),
    ("client-cert-allowed-hostname", No("every client that the authorities signed is let in")),
    ("auto-tls", No("certificates come from files: etcd.tls_certificate and etcd.tls_key")),
    ("peer-auto-tls", No(PEERS)),
    ("peer-cert-file", No(PEERS)),
    ("peer-key-file", No(PEERS)),
    ("peer-client-cert-auth", No(PEERS)),
    ("peer-trusted-ca-file", No(PEERS)),
    ("peer-crl-file", No(PEERS)),
    ("peer-cert-allowed-cn", No(PEERS)),
    ("peer-cert-allowed-hostname", No(PEERS)),
    ("cipher-suites", No(TLS)),
    ("tls-min-version", No(TLS)),
    ("tls-max-version", No(TLS)),
    ("cors", No("pages of other origins are not let in; put a proxy before the gateway")),
    ("host-whitelist", No("any name for this host is taken")),
    ("initial-corrupt-check", No(CHECKS)),
    ("corrupt-check-time", No(CHECKS)),
    ("compact-hash-check-enabled", No(CHECKS)),
    ("compact-hash-check-time", No(CHECKS)),
    ("warning-apply-duration", No(TRACING)),
    ("warning-unary-request-duration", No(TRACING)),
    ("enable-distributed-tracing", No(TRACING)),
    ("distributed-tracing-address", No(TRACING)),
    ("distributed-tracing-service-name", No(TRACING)),
    ("distributed-tracing-sampling-rate", No(TRACING)),
    ("logger", No(LOGGING)),
    ("log-level", No(LOGGING)),
    ("log-format", No(LOGGING)),
    ("log-outputs", No(LOGGING)),
    ("enable-log-rotation", No(LOGGING)),
    ("log-rotation-config-json", No(LOGGING)),
    ("downgrade-check-time", No("there is no older version to go back to")),
    ("feature-gates", No("what is offered is offered always")),
    ("enable-lease-checkpoint", No("what is left of long leases is written into the log, always")),
    ("enable-lease-checkpoint-persist", No("what is left of long leases is written into the log, always")),
    ("stop-grpc-service-on-defrag", No("there is nothing to defragment")),
];

const PREFIX: &str = "ETCD_";
const EXPERIMENTAL: &str = "experimental-";

/// The ports that members get which their flags cannot tell.
const ETCD_PORT: u16 = 2379;
const ZOOKEEPER_PORT: u16 = 2181;
const ADMIN_PORT: u16 = 7281;

/// Flags by their names, from words as they stand behind `etcd`. A flag without a value is `true`.
pub(crate) fn flags_of_words(words: &[String]) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = words.next_if(|next| !next.starts_with('-'));
                (flag, value.cloned().unwrap_or_else(|| "true".to_owned()))
            }
        };
        flags.insert(plain(name), value);
    }
    flags
}

/// Flags by their names, from variables. Those that do not begin with `ETCD_` are not etcd's.
pub(crate) fn flags_of_variables(variables: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let flag = |(name, value): (String, String)| {
        let name = name.strip_prefix(PREFIX)?.to_lowercase().replace('_', "-");
        Some((plain(&name), value))
    };
    variables.into_iter().filter_map(flag).collect()
}

/// The lines of a file of variables, as systemd reads them.
pub(crate) fn variables_of_file(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned())).collect()
}

fn plain(name: &str) -> String {
    name.strip_prefix(EXPERIMENTAL).unwrap_or(name).to_owned()
}

/// The configuration in TOML, with comments on what has no counterpart.
pub(crate) fn from_etcd(flags: &BTreeMap<String, String>) -> String {
    let mut sections: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut remarks = Vec::new();
    for (name, value) in flags {
        match FLAGS.iter().find(|(known, _)| known == name).map(|(_, translation)| translation) {
            Some(No(reason)) => remarks.push(format!("# --{name} {value}: {reason}")),
            Some(Elsewhere) => {}
            Some(translation) => match translated(translation, value) {
                Some((key, value)) => state(&mut sections, key, &value),
                None => remarks.push(format!("# --{name} {value}: the value is not understood")),
            },
            None => remarks.push(format!("# --{name} {value}: there is no flag of etcd's known by this name")),
        }
    }
    elections(flags, &mut sections);
    quota(flags, &mut sections);
    authorities(flags, &mut sections, &mut remarks);
    listening(flags, &mut sections);
    let mut text = top(flags);
    for (section, lines) in sections {
        // Writing to a string does not fail.
        let _ = write!(text, "\n[{section}]\n{}\n", lines.join("\n"));
    }
    text += &members(flags);
    if !remarks.is_empty() {
        let _ = write!(text, "\n# Without a counterpart:\n{}\n", remarks.join("\n"));
    }
    text
}

fn translated(translation: &Translation, value: &str) -> Option<(&'static str, String)> {
    let number = || value.parse::<u64>().ok();
    match translation {
        Count(key) => Some((key, number()?.to_string())),
        Milliseconds(key) => Some((key, quoted(&format!("{}ms", number()?)))),
        Seconds(key) => Some((key, quoted(&format!("{}s", number()?)))),
        Span(key) => Some((key, quoted(&format!("{}ms", milliseconds(value)?)))),
        Text(key) => Some((key, quoted(value))),
        Elsewhere | No(_) => None,
    }
}

/// A span as Go spells it, in milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
        let (unit, behind) =
            behind.split_at(behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len()));
        let scale = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(scale)?)?;
        rest = behind;
    }
    Some(total)
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn state(sections: &mut BTreeMap<&str, Vec<String>>, key: &'static str, value: &str) {
    let (section, name) = key.split_once('.').expect("keys that flags are translated to stand in sections");
    sections.entry(section).or_default().push(format!("{name} = {value}"));
}

/// One time of theirs, for ever; ours is drawn between two.
fn elections(flags: &BTreeMap<String, String>, sections: &mut BTreeMap<&str, Vec<String>>) {
    if let Some(timeout) = flags.get("election-timeout").and_then(|value| value.parse::<u64>().ok()) {
        state(sections, "timing.election_min", &quoted(&format!("{timeout}ms")));
        state(sections, "timing.election_max", &quoted(&format!("{}ms", timeout.saturating_mul(2))));
    }
}

/// Theirs counts a file, ours live rows; ours warns before it refuses. 0 is the default there.
fn quota(flags: &BTreeMap<String, String>, sections: &mut BTreeMap<&str, Vec<String>>) {
    let bytes = flags.get("quota-backend-bytes").and_then(|value| value.parse::<u64>().ok());
    if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
        state(sections, "quota.hard_bytes", &bytes.to_string());
        state(sections, "quota.soft_bytes", &(bytes / 4 * 3).to_string());
    }
}

fn authorities(
    flags: &BTreeMap<String, String>,
    sections: &mut BTreeMap<&str, Vec<String>>,
    remarks: &mut Vec<String>,
) {
    let Some(file) = flags.get("trusted-ca-file") else { return };
    if flags.get("client-cert-auth").is_some_and(|value| value == "true") {
        state(sections, "etcd.tls_client_authorities", &quoted(file));
    } else {
        remarks.push(format!("# --trusted-ca-file {file}: without --client-cert-auth nobody is held against it"));
    }
}

fn listening(flags: &BTreeMap<String, String>, sections: &mut BTreeMap<&str, Vec<String>>) {
    for (flag, key) in [("listen-peer-urls", "listen.peer"), ("listen-client-urls", "listen.etcd")] {
        if let Some(address) = flags.get(flag).and_then(|urls| first_address(urls)) {
            state(sections, key, &quoted(&address));
        }
    }
}

/// `host:port` of the first of several URLs.
fn first_address(urls: &str) -> Option<String> {
    let url = urls.split(',').next()?;
    let address = url.split_once("://").map_or(url, |(_, address)| address).trim_end_matches('/');
    address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()).then(|| address.to_owned())
}

fn name(flags: &BTreeMap<String, String>) -> &str {
    flags.get("name").map_or("default", String::as_str)
}

fn top(flags: &BTreeMap<String, String>) -> String {
    let ensemble = flags.get("initial-cluster-token").map_or("etcd-cluster", String::as_str);
    let data = flags
        .get("data-dir")
        .map_or_else(|| format!("{}.conclave", name(flags)), |folder| format!("{folder}/conclave"));
    format!("ensemble = {}\nmember = {}\ndata = {}\n", quoted(ensemble), quoted(name(flags)), quoted(&data))
}

/// The members as `--initial-cluster` lists them. Only its own flags tell where a member's clients reach it.
fn members(flags: &BTreeMap<String, String>) -> String {
    let alone = format!("{}=http://localhost:2380", name(flags));
    let list = flags.get("initial-cluster").unwrap_or(&alone);
    let mut text = String::new();
    for (number, entry) in list.split(',').enumerate() {
        let (member, url) = entry.split_once('=').unwrap_or((entry, ""));
        let peer = first_address(url).unwrap_or_else(|| "localhost:2380".to_owned());
        let host = peer.rsplit_once(':').map_or("localhost", |(host, _)| host);
        let own = flags.get("advertise-client-urls").filter(|_| member == name(flags));
        let etcd = own.and_then(|urls| first_address(urls)).unwrap_or_else(|| format!("{host}:{ETCD_PORT}"));
        let (zookeeper, admin) = (format!("{host}:{ZOOKEEPER_PORT}"), format!("{host}:{ADMIN_PORT}"));
        let lines = [("name", member), ("peer", &peer), ("etcd", &etcd), ("zookeeper", &zookeeper), ("admin", &admin)];
        let lines = lines.map(|(key, value)| format!("{key} = {}", quoted(value))).join("\n");
        // Writing to a string does not fail.
        let _ = write!(text, "\n[[members]]\nid = {}\n{lines}\n", number + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Configuration};

    fn check(flags: &BTreeMap<String, String>) -> (Configuration, String) {
        let text = from_etcd(flags);
        let loaded = config::parse(Path::new("m.toml"), &text).unwrap_or_else(|refused| panic!("{refused}\n{text}"));
        (loaded.configuration, text)
    }

    fn words(line: &str) -> BTreeMap<String, String> {
        flags_of_words(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_of_flags_keeps_its_addresses_and_limits() {
        let (configuration, text) = check(&words(
            "--name b --data-dir=/var/lib/etcd --initial-cluster a=http://10.0.0.1:2380,b=https://10.0.0.2:2380/ \
             --listen-client-urls http://0.0.0.0:2379,http://0.0.0.0:4001 --advertise-client-urls http://b.example:2379 \
             --heartbeat-interval 50 --election-timeout=500 --max-txn-ops 512 --auth-token-ttl 60 \
             --experimental-watch-progress-notify-interval 1m30s --client-cert-auth --trusted-ca-file ca.crt \
             --cert-file s.crt --key-file s.key --quota-backend-bytes 8589934592 --strange 1 \
             --auth-token jwt,sign-method=HS256,priv-key=k",
        ));
        assert_eq!((configuration.member.as_str(), configuration.ensemble.as_str()), ("b", "etcd-cluster"));
        assert_eq!(configuration.data, "/var/lib/etcd/conclave");
        let members: Vec<(&str, &str)> = configuration
            .members
            .iter()
            .map(|member| (member.addresses.peer.as_str(), member.addresses.etcd.as_str()))
            .collect();
        assert_eq!(members, [("10.0.0.1:2380", "10.0.0.1:2379"), ("10.0.0.2:2380", "b.example:2379")]);
        assert_eq!(configuration.listen.etcd, "0.0.0.0:2379");
        assert_eq!(configuration.timing.heartbeat.as_millis(), 50);
        assert_eq!(
            (configuration.timing.election_min.as_millis(), configuration.timing.election_max.as_millis()),
            (500, 1000)
        );
        let etcd = &configuration.etcd;
        assert_eq!((etcd.max_txn_operations, etcd.token_ttl.as_secs()), (512, 60));
        assert_eq!(etcd.watch_progress_interval.as_secs(), 90);
        assert_eq!(etcd.tokens, "jwt,sign-method=HS256,priv-key=k");
        assert_eq!(etcd.tls_client_authorities.as_deref(), Some("ca.crt"));
        assert_eq!(configuration.limits.quota_hard_bytes, 8_589_934_592);
        assert!(text.contains("# --strange 1: there is no flag"), "{text}");
    }

    #[test]
    fn an_environment_is_read_like_flags() {
        let file = "# etcd\nETCD_NAME=\"m1\"\nexport ETCD_MAX_REQUEST_BYTES=2000000\nPATH=/bin\n";
        let flags = flags_of_variables(variables_of_file(file));
        let (configuration, _) = check(&flags);
        assert_eq!((configuration.member.as_str(), configuration.etcd.max_request_bytes), ("m1", 2_000_000));
        assert_eq!(configuration.data, "m1.conclave");
    }

    #[test]
    fn every_flag_stands_in_the_table_once() {
        let names: std::collections::BTreeSet<&str> = FLAGS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), FLAGS.len());
    }

    #[test]
    fn a_key_that_flags_are_translated_to_is_known() {
        for (name, translation) in FLAGS {
            if let Count(key) | Milliseconds(key) | Seconds(key) | Span(key) | Text(key) = translation {
                let known = config::settable_on_all(key, "").err().unwrap_or_default();
                assert!(!known.contains("unknown"), "{name}: {known}");
            }
        }
    }
}
