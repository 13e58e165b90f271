//! The configuration of one member: what it holds, and how it is read.
//!
//! Every key is defined once, in [`keys`]; reading, checking, the listing of `conclave config keys` and the page
//! `docs/configuration.md` all derive from that table. Nothing here opens a port or a data folder.

mod advice;
mod file;
mod keys;
mod reference;
#[cfg(test)]
mod tests;
mod tls;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use keys::{settable_on_all, written};
pub(crate) use reference::{listing, page};
pub(crate) use tls::TlsFiles;

/// Everything one member is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration {
    /// The ensemble's name.
    pub(crate) ensemble: String,
    /// This member's name; one of `members`.
    pub(crate) member: String,
    /// The data folder as written; [`Configuration::data_folder`] resolves it.
    pub(crate) data: String,
    /// The folder of the configuration file, to which `data` is relative.
    pub(crate) base: PathBuf,
    /// Whether this member is added to an ensemble that exists, and founds none.
    pub(crate) join: bool,
    /// All members, this one included.
    pub(crate) members: Vec<Member>,
    /// Where this member listens, where that differs from its addresses in `members`; empty where it does not.
    pub(crate) listen: Addresses,
    /// Heartbeats and elections.
    pub(crate) timing: node::Timing,
    /// The member's bounds.
    pub(crate) limits: node::Limits,
    /// The etcd front end's bounds.
    pub(crate) etcd: etcd::Options,
    /// The ZooKeeper front end's bounds.
    pub(crate) zookeeper: zookeeper::Options,
    /// What ZooKeeper's requests are decided by.
    pub(crate) zookeeper_rules: zookeeper::Rules,
    /// Who may prove themselves by SASL: a file.
    pub(crate) zookeeper_sasl_users: Option<String>,
    /// What ZooKeeper's encrypted connections are encrypted by.
    pub(crate) zookeeper_tls: TlsFiles,
}

/// One line of the list of members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its number in the ensemble.
    pub(crate) id: u64,
    /// Its name.
    pub(crate) name: String,
    /// Where others reach it.
    pub(crate) addresses: Addresses,
    /// How much it is wished for as leader.
    pub(crate) priority: u8,
}

/// One address (`host:port`) for each port of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// For its peers.
    pub(crate) peer: String,
    /// For etcd's clients.
    pub(crate) etcd: String,
    /// For ZooKeeper's clients.
    pub(crate) zookeeper: String,
    /// For probes, metrics and people.
    pub(crate) admin: String,
}

/// The ports of a member, by which addresses and their keys are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Peer,
    Etcd,
    ZooKeeper,
    Admin,
}

impl Port {
    pub(crate) const ALL: [Port; 4] = [Port::Peer, Port::Etcd, Port::ZooKeeper, Port::Admin];

    /// The port's name in keys: `listen.<name>`, `members.<name>`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Port::Peer => "peer",
            Port::Etcd => "etcd",
            Port::ZooKeeper => "zookeeper",
            Port::Admin => "admin",
        }
    }
}

impl Addresses {
    pub(crate) fn get(&self, port: Port) -> &str {
        match port {
            Port::Peer => &self.peer,
            Port::Etcd => &self.etcd,
            Port::ZooKeeper => &self.zookeeper,
            Port::Admin => &self.admin,
        }
    }

    pub(crate) fn get_mut(&mut self, port: Port) -> &mut String {
        match port {
            Port::Peer => &mut self.peer,
            Port::Etcd => &mut self.etcd,
            Port::ZooKeeper => &mut self.zookeeper,
            Port::Admin => &mut self.admin,
        }
    }
}

/// An address to bind, and the key that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen<'a> {
    /// `host:port`.
    pub(crate) address: &'a str,
    /// The key under which the address stands.
    pub(crate) key: String,
}

impl Configuration {
    /// This member's own line in the list of members.
    pub(crate) fn own(&self) -> &Member {
        let own = self.members.iter().find(|member| member.name == self.member);
        own.expect("a configuration is only handed out after its own member was found in the list")
    }

    /// The data folder, relative to the folder of the configuration file.
    pub(crate) fn data_folder(&self) -> PathBuf {
        self.base.join(&self.data)
    }

    /// Where this member listens on `port`.
    pub(crate) fn listen_on(&self, port: Port) -> Listen<'_> {
        let stated = self.listen.get(port);
        if stated.is_empty() {
            Listen {
                address: self.own().addresses.get(port),
                key: format!("members.{} of {}", port.name(), self.member),
            }
        } else {
            Listen { address: stated, key: format!("listen.{}", port.name()) }
        }
    }

    /// What etcd's room is told: files are relative to the folder of the configuration file.
    pub(crate) fn etcd_options(&self) -> etcd::Options {
        let mut options = self.etcd.clone();
        for path in [&mut options.tls_certificate, &mut options.tls_key, &mut options.tls_client_authorities] {
            *path = path.take().map(|path| self.base.join(path).to_string_lossy().into_owned());
        }
        options
    }

    /// What the member's room is told.
    pub(crate) fn node_options(&self) -> node::Options {
        let stated = &self.listen.peer;
        node::Options {
            ensemble: self.ensemble.clone(),
            id: node::NodeId(self.own().id),
            members: self.members.iter().map(Member::node_address).collect(),
            join: self.join,
            listen_peer: (!stated.is_empty()).then(|| stated.clone()),
            data: self.data_folder(),
            timing: self.timing,
            limits: self.limits,
        }
    }
}

impl Member {
    fn node_address(&self) -> node::MemberAddress {
        let clients = [Port::Etcd, Port::ZooKeeper, Port::Admin];
        let client: BTreeMap<String, String> =
            clients.into_iter().map(|port| (port.name().to_owned(), self.addresses.get(port).to_owned())).collect();
        node::MemberAddress {
            id: node::NodeId(self.id),
            name: self.name.clone(),
            peer: self.addresses.peer.clone(),
            client,
            priority: self.priority,
        }
    }
}

/// A configuration that may be used, and what is unwise in it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The checked configuration.
    pub(crate) configuration: Configuration,
    /// Advice: things that work and should not be so.
    pub(crate) warnings: Vec<String>,
}

/// All that is wrong with a configuration, each with its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Vec<String>);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.join("\n"))
    }
}

impl std::error::Error for Refused {}

/// Reads and checks a configuration file. All problems are reported together.
pub(crate) fn load(path: &Path) -> Result<Loaded, Refused> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Refused(vec![format!("{shown}: the configuration file cannot be read: {error}")]))?;
    parse(path, &text)
}

/// Reads and checks the text of a configuration file that stands at `path`.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Loaded, Refused> {
    let mut configuration =
        Configuration { base: path.parent().unwrap_or(Path::new("")).to_owned(), ..Configuration::default() };
    let shown = path.display().to_string();
    let mut problems = file::read(&shown, text, &mut configuration);
    if problems.is_empty() {
        problems =
            advice::contradictions(&configuration).into_iter().map(|problem| format!("{shown}: {problem}")).collect();
    }
    if !problems.is_empty() {
        return Err(Refused(problems));
    }
    let warnings = advice::warnings(&configuration);
    Ok(Loaded { configuration, warnings })
}
