//! `conclave config from-zoo-cfg`: a ZooKeeper server's configuration as one of ours. What has a counterpart is
//! translated, everything else is named with what takes its place or why there is none. It reads one text and writes
//! another; it starts nothing and checks no address.

pub(crate) mod etcd;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How a key of theirs is translated.
enum Translation {
    /// To this key of ours, the value in milliseconds.
    Milliseconds(&'static str),
    /// To this key of ours, a plain number.
    Count(&'static str),
    /// To this key of ours, a number of bytes, perhaps hexadecimal.
    Bytes(&'static str),
    /// To this key of ours, yes or no.
    Flag(&'static str),
    /// To this key of ours, text as it stands.
    Text(&'static str),
    /// A file in PEM, to this key of ours; other kinds of files must be converted.
    Pem(&'static str),
    /// Handled with others.
    Elsewhere,
    /// No counterpart, because of this.
    None(&'static str),
}

use Translation::{Bytes, Count, Elsewhere, Flag, Milliseconds, None as No, Pem, Text};

const ELECTIONS: &str = "elections have their own keys, timing.*";
const FILES: &str = "the log and the snapshots are kept small by limits.snapshot_log_bytes and need no care";
const DISK: &str = "every write is synced before it is acknowledged, always";
const QUORUM: &str = "members have one port for each other, members.peer, and nothing to set there";
const ADMIN: &str = "the admin address, members.admin, answers /commands";
const THROTTLE: &str = "back-pressure works by zookeeper.outstanding_requests and limits.queue_*";
const METRICS: &str = "the admin address answers /metrics and /metrics/zookeeper";
const CACHES: &str = "reads need no such cache";
const KERBEROS: &str = "Kerberos is not spoken; SASL's DIGEST-MD5 is, by zookeeper.sasl_users";

/// Their keys, by the names they have in a file. The prefix `zookeeper.` of system properties is left out.
const KEYS: &[(&str, Translation)] = &[
    ("tickTime", Milliseconds("zookeeper.tick")),
    ("minSessionTimeout", Milliseconds("zookeeper.session_timeout_min")),
    ("maxSessionTimeout", Milliseconds("zookeeper.session_timeout_max")),
    ("maxClientCnxns", Count("zookeeper.connections_per_address")),
    ("maxCnxns", Count("zookeeper.connections")),
    ("globalOutstandingLimit", Count("zookeeper.outstanding_requests")),
    ("jute.maxbuffer", Bytes("zookeeper.packet_limit")),
    ("znode.container.checkIntervalMs", Milliseconds("zookeeper.container_check")),
    ("4lw.commands.whitelist", Text("zookeeper.words")),
    ("extendedTypesEnabled", Flag("zookeeper.extended_types")),
    ("enforceQuota", Flag("zookeeper.enforce_quotas")),
    ("DigestAuthenticationProvider.superDigest", Text("zookeeper.super_digest")),
    ("X509AuthenticationProvider.superUser", Text("zookeeper.super_x509")),
    ("superUser", Text("zookeeper.super_sasl")),
    ("client.portUnification", Flag("zookeeper.tls_on_plain_port")),
    ("ssl.keyStore.location", Pem("zookeeper.tls_certificate")),
    ("ssl.trustStore.location", Pem("zookeeper.tls_client_authorities")),
    ("ssl.clientAuth", Elsewhere),
    ("clientPort", Elsewhere),
    ("clientPortAddress", Elsewhere),
    ("secureClientPort", Elsewhere),
    ("secureClientPortAddress", Elsewhere),
    ("dataDir", Elsewhere),
    ("dataLogDir", No("log and snapshots share the data folder")),
    ("initLimit", No(ELECTIONS)),
    ("syncLimit", No(ELECTIONS)),
    ("connectToLearnerMasterLimit", No(ELECTIONS)),
    ("electionAlg", No(ELECTIONS)),
    ("cnxTimeout", No(ELECTIONS)),
    ("electionPortBindRetry", No(ELECTIONS)),
    ("maxTimeToWaitForEpoch", No(ELECTIONS)),
    ("leaderServes", No("every member serves clients; members.priority keeps a member from leading")),
    ("peerType", No("a member is a learner by how it is added: conclave member add --learner")),
    ("standaloneEnabled", No("one member is an ensemble of one")),
    ("reconfigEnabled", Flag("zookeeper.reconfig")),
    ("dynamicConfigFile", No("translate the file that it names as well: its server.N lines become members")),
    ("skipACL", No("access lists are always held against who asks")),
    ("quorumListenOnAllIPs", No("listen.peer says where to listen")),
    ("autopurge.snapRetainCount", No(FILES)),
    ("autopurge.purgeInterval", No(FILES)),
    ("snapCount", No(FILES)),
    ("snapSizeLimitInKb", No(FILES)),
    ("txnLogSizeLimitInKb", No(FILES)),
    ("preAllocSize", No(FILES)),
    ("commitLogCount", No(FILES)),
    ("snapshot.compression.method", No(FILES)),
    ("snapshot.trust.empty", No(FILES)),
    ("forceSync", No(DISK)),
    ("fsync.warningthresholdms", No(DISK)),
    ("flushDelay", No(DISK)),
    ("maxBatchSize", No(DISK)),
    ("syncEnabled", No("learners always keep the log")),
    ("digest.enabled", No("replicas compare their states all the time, always")),
    ("observerMasterPort", No(QUORUM)),
    ("tcpKeepAlive", No(QUORUM)),
    ("sslQuorum", No("connections between members are not encrypted yet")),
    ("portUnification", No("connections between members are not encrypted yet")),
    ("quorum.auth.enableSasl", No(KERBEROS)),
    ("kerberos.removeHostFromPrincipal", No(KERBEROS)),
    ("kerberos.removeRealmFromPrincipal", No(KERBEROS)),
    ("authProvider.1", No("SASL and x509 need no provider: zookeeper.sasl_users, zookeeper.tls_client_authorities")),
    ("authProvider.sasl", No("SASL needs no provider: zookeeper.sasl_users")),
    ("authProvider.x509", No("x509 needs no provider: zookeeper.tls_client_authorities")),
    ("localSessionsEnabled", No("all sessions are global")),
    ("localSessionsUpgradingEnabled", No("all sessions are global")),
    ("readonlymode.enabled", No("a member without a leader serves nobody, so that no client reads what is long past")),
    ("admin.enableServer", No(ADMIN)),
    ("admin.serverPort", No(ADMIN)),
    ("admin.serverAddress", No(ADMIN)),
    ("admin.commandURL", No(ADMIN)),
    ("admin.idleTimeout", No(ADMIN)),
    ("metricsProvider.className", No(METRICS)),
    ("metricsProvider.httpHost", No(METRICS)),
    ("metricsProvider.httpPort", No(METRICS)),
    ("metricsProvider.exportJvmInfo", No(METRICS)),
    ("requestThrottleLimit", No(THROTTLE)),
    ("requestThrottleStallTime", No(THROTTLE)),
    ("largeRequestMaxBytes", No(THROTTLE)),
    ("largeRequestThreshold", No(THROTTLE)),
    ("connectionMaxTokens", No(THROTTLE)),
    ("maxResponseCacheSize", No(CACHES)),
    ("maxGetChildrenResponseCacheSize", No(CACHES)),
    ("watchManagerName", No(CACHES)),
    ("serverCnxnFactory", No("there is one kind of connection")),
    ("ssl.keyStore.password", No("a key in PEM lies there without a password")),
    ("ssl.trustStore.password", No("certificates in PEM have no password")),
    ("audit.enable", No("changes are not written to an audit log yet")),
];

/// The ports that members get which their files cannot tell.
const ETCD_PORT: u16 = 2379;
const ADMIN_PORT: u16 = 7281;
const CLIENT_PORT: u16 = 2181;

/// A server of theirs.
struct Server {
    number: u64,
    host: String,
    peer_port: String,
    client: String,
}

/// What a translation came to: our file, with comments about everything that could not be taken over.
pub(crate) fn from_zoo_cfg(text: &str, own: Option<u64>) -> String {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        if let Some((name, value)) = line.split_once(['=', ':']) {
            let name = name.trim();
            let name = name.strip_prefix("zookeeper.").unwrap_or(name);
            values.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    Writing { values, sections: BTreeMap::new(), remarks: Vec::new() }.translate(own)
}

/// The server's own number, from the file `myid` in its data folder, if that is there.
pub(crate) fn own_number(text: &str) -> Option<u64> {
    let folder = text.lines().find_map(|line| line.trim().strip_prefix("dataDir="))?;
    std::fs::read_to_string(std::path::Path::new(folder.trim()).join("myid")).ok()?.trim().parse().ok()
}

struct Writing {
    values: BTreeMap<String, String>,
    /// Lines of our file, by section.
    sections: BTreeMap<&'static str, Vec<String>>,
    remarks: Vec<String>,
}

impl Writing {
    fn translate(mut self, own: Option<u64>) -> String {
        let servers = self.servers();
        for (name, value) in self.values.clone() {
            if !name.starts_with("server.") {
                self.key(&name, &value);
            }
        }
        self.client_auth();
        if let Some(port) = self.values.get("secureClientPort") {
            let host = self.values.get("secureClientPortAddress").map_or("0.0.0.0", String::as_str);
            let line = format!("tls_listen = {}", quoted(&format!("{host}:{port}")));
            self.sections.entry("zookeeper").or_default().push(line);
        }
        self.document(own, &servers)
    }

    fn key(&mut self, name: &str, value: &str) {
        let Some((_, translation)) = KEYS.iter().find(|(known, _)| *known == name) else {
            let group = ["group.", "weight."].iter().any(|prefix| name.starts_with(prefix));
            let why = if group { "hierarchical weights are not known here" } else { "this key is not known here" };
            return self.remarks.push(format!("{name}={value}: no counterpart: {why}"));
        };
        let (key, text) = match translation {
            Milliseconds(_) if value == "-1" => return,
            Milliseconds(key) => (key, quoted(&format!("{value}ms"))),
            Bytes(key) => {
                let number = value
                    .strip_prefix("0x")
                    .map_or_else(|| value.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok());
                let Some(number) = number else {
                    return self.remarks.push(format!("{name}={value}: is no number of bytes"));
                };
                (key, quoted(&format!("{number}B")))
            }
            Count(key) => (key, value.to_owned()),
            Flag(key) => (key, value.to_lowercase()),
            Text(key) => (key, quoted(value)),
            Pem(key) if value.to_lowercase().ends_with(".pem") => {
                if *key == "zookeeper.tls_certificate" {
                    // Their file holds the key as well; so may ours.
                    let line = format!("tls_key = {}", quoted(value));
                    self.sections.entry("zookeeper").or_default().push(line);
                }
                (key, quoted(value))
            }
            Pem(key) => {
                let why = format!("convert it to PEM (keytool, openssl pkcs12) and name the file as {key}");
                return self.remarks.push(format!("{name}={value}: {why}"));
            }
            Elsewhere => return,
            No(why) => return self.remarks.push(format!("{name}={value}: no counterpart: {why}")),
        };
        let (section, key) = key.split_once('.').expect("the keys of the table stand in sections");
        self.sections.entry(section).or_default().push(format!("{key} = {text}"));
    }

    fn client_auth(&mut self) {
        match self.values.get("ssl.clientAuth").map(String::as_str) {
            Some("want") => self.sections.entry("zookeeper").or_default().push("tls_client_optional = true".to_owned()),
            Some("none") => {
                let lines = self.sections.entry("zookeeper").or_default();
                lines.retain(|line| !line.starts_with("tls_client_authorities"));
            }
            _ => {}
        }
    }

    fn client_port(&self) -> String {
        self.values.get("clientPort").cloned().unwrap_or_else(|| CLIENT_PORT.to_string())
    }

    /// The servers of the file, or the one that is alone.
    fn servers(&mut self) -> Vec<Server> {
        let mut servers = Vec::new();
        for (name, value) in self.values.clone() {
            let Some(number) = name.strip_prefix("server.").and_then(|number| number.parse().ok()) else { continue };
            match server(number, &value, &self.client_port()) {
                Some(server) => {
                    if value.contains(":observer") {
                        self.remarks.push(format!(
                            "server.{number} is an observer: leave it out of the files that found the ensemble and add it \
                             with conclave member add --learner"
                        ));
                    }
                    servers.push(server);
                }
                None => self.remarks.push(format!("{name}={value}: is no host:port:port")),
            }
        }
        if servers.is_empty() {
            let host = self.values.get("clientPortAddress").map_or("127.0.0.1", String::as_str).to_owned();
            let client = format!("{host}:{}", self.client_port());
            servers.push(Server { number: 1, host, peer_port: "2888".to_owned(), client });
        }
        servers.sort_by_key(|server| server.number);
        servers
    }

    fn document(&self, own: Option<u64>, servers: &[Server]) -> String {
        let mut text = String::new();
        let own = own.or_else(|| (servers.len() == 1).then_some(servers[0].number));
        let member = own.map_or("NAME: one of those below".to_owned(), |number| format!("m{number}"));
        let data = self.values.get("dataDir").map_or("data", String::as_str);
        let _ = writeln!(text, "ensemble = \"zookeeper\"\nmember = {}", quoted(&member));
        let _ = writeln!(text, "data = {}", quoted(&format!("{}/conclave", data.trim_end_matches('/'))));
        for Server { number, host, peer_port, client } in servers {
            let address = |port: &str| quoted(&format!("{host}:{port}"));
            let _ = writeln!(text, "\n[[members]]\nid = {number}\nname = \"m{number}\"\npeer = {}", address(peer_port));
            let _ = writeln!(text, "etcd = {}\nzookeeper = {}", address(&ETCD_PORT.to_string()), quoted(client));
            let _ = writeln!(text, "admin = {}", address(&ADMIN_PORT.to_string()));
        }
        for (section, lines) in &self.sections {
            let _ = writeln!(text, "\n[{section}]\n{}", lines.join("\n"));
        }
        if !self.remarks.is_empty() {
            text.push_str("\n# Not taken over:\n");
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "# {remark}");
        }
        text
    }
}

/// `host:port:port[:role][;[address:]port]`, of which the first of several addresses counts.
fn server(number: u64, value: &str, client_port: &str) -> Option<Server> {
    let (addresses, client) =
        value.split_once(';').map_or((value, None), |(addresses, client)| (addresses, Some(client)));
    let first = addresses.split('|').next()?;
    let (host, rest) = match first.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once("]:")?;
            (format!("[{host}]"), rest)
        }
        None => {
            let (host, rest) = first.split_once(':')?;
            (host.to_owned(), rest)
        }
    };
    let peer_port = rest.split(':').next()?.to_owned();
    let port = client.map_or(client_port, |client| client.rsplit_once(':').map_or(client, |(_, port)| port));
    let client = format!("{host}:{port}");
    peer_port.parse::<u16>().ok()?;
    Some(Server { number, host, peer_port, client })
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
