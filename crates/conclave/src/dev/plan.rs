//! Who the members of a development ensemble are, on which ports, and the configuration file of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::MEMBERS;
use super::folder::Folder;
use crate::config::{self, Addresses, Configuration, Member, Port};

/// The ensemble as it will be started.
pub(super) struct Plan {
    /// The folder that holds everything.
    pub(super) folder: PathBuf,
    pub(super) members: Vec<Planned>,
    /// What is not as somebody would expect, in sentences.
    pub(super) notices: Vec<String>,
    settings: BTreeMap<String, String>,
    /// Held as long as the ensemble runs: see [`reserve`].
    _reserved: Vec<UnixListener>,
}

/// One member as it will be started.
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) config: PathBuf,
    pub(super) data: PathBuf,
    /// Where its process writes its log.
    pub(super) log: PathBuf,
    pub(super) addresses: Addresses,
}

/// The host of all addresses: a development ensemble is nobody else's business.
const HOST: &str = "127.0.0.1";

/// The first port that is tried: the standard one, where there is one.
fn first_port(port: Port) -> u16 {
    match port {
        Port::ZooKeeper => 2181,
        Port::Etcd => 2379,
        Port::Peer => 7271,
        Port::Admin => 7281,
    }
}

/// How people call the port.
pub(super) fn port_title(port: Port) -> &'static str {
    match port {
        Port::ZooKeeper => "ZooKeeper",
        Port::Etcd => "etcd",
        Port::Peer => "peer",
        Port::Admin => "admin",
    }
}

impl Plan {
    /// Plans `wanted` members in the folder, or as many as it holds already, with `settings` on all of them.
    pub(super) fn make(
        folder: &Folder,
        wanted: Option<usize>,
        settings: &BTreeMap<String, String>,
    ) -> anyhow::Result<Plan> {
        let before = last_run(&folder.path)?;
        let remembered: Vec<Addresses> =
            before.iter().flat_map(|before| before.members.iter()).map(addresses_of).collect();
        let count = match (remembered.len(), wanted) {
            (0, wanted) => wanted.unwrap_or(MEMBERS),
            (held, Some(wanted)) if held != wanted => bail!(
                "{} holds an ensemble of {held} members, --members says {wanted}: leave it out, start anew with --fresh, \
                 or choose another folder with --data",
                folder.path.display()
            ),
            (held, _) => held,
        };
        let mut reserved = Vec::new();
        let reserve = |port| reserve(port).map(|held| reserved.push(held)).is_some();
        let (addresses, notices) = Ports::new(reserve).choose(count, &remembered)?;
        let members = addresses.into_iter().zip(1..).map(|(addresses, number)| {
            let name = format!("m{number}");
            Planned {
                config: folder.path.join(format!("{name}.toml")),
                data: folder.path.join(&name),
                log: folder.path.join(format!("{name}.log")),
                addresses,
                name,
            }
        });
        let mut settings = settings.clone();
        let name = || before.map_or_else(fresh_name, |before| before.ensemble);
        settings.entry("ensemble".to_owned()).or_insert_with(name);
        Ok(Plan { folder: folder.path.clone(), members: members.collect(), notices, settings, _reserved: reserved })
    }

    /// Writes every member's configuration file, and reads it back as the member will.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        for member in &self.members {
            let text = self.configuration(member);
            config::parse(&member.config, &text)?;
            std::fs::write(&member.config, &text)
                .with_context(|| format!("{} cannot be written", member.config.display()))?;
        }
        Ok(())
    }

    /// The text of a member's configuration file.
    pub(super) fn configuration(&self, member: &Planned) -> String {
        let written = config::written(&self.settings);
        let mut text =
            String::from("# Written by `conclave dev`, anew at every start: what it is started with, goes in.\n");
        let _ = write!(text, "{}member = \"{}\"\ndata = \"{}\"\n", written.top, member.name, member.name);
        for (member, id) in self.members.iter().zip(1..) {
            let _ = write!(text, "\n[[members]]\nid = {id}\nname = \"{}\"\n", member.name);
            for port in Port::ALL {
                let _ = writeln!(text, "{} = \"{}\"", port.name(), member.addresses.get(port));
            }
        }
        for (section, lines) in &written.sections {
            let _ = write!(text, "\n[{section}]\n{lines}");
        }
        text
    }
}

/// The configuration of an earlier run in this folder, if there was one.
fn last_run(folder: &Path) -> anyhow::Result<Option<Configuration>> {
    let first = folder.join("m1.toml");
    if !first.exists() {
        return Ok(None);
    }
    let loaded = config::load(&first)
        .with_context(|| format!("{} is not as dev wrote it; mend it, or start anew with --fresh", first.display()))?;
    Ok(Some(loaded.configuration))
}

fn addresses_of(member: &Member) -> Addresses {
    member.addresses.clone()
}

/// A name that no other ensemble on this machine has. Ports are found and given up again, so that members of one
/// ensemble may well knock at a port that now belongs to another: by its name they are told apart.
fn fresh_name() -> String {
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("dev-{:08x}", random >> 32)
}

/// Takes a port that nobody listens on, for this ensemble alone.
///
/// A port is not its member's while the member is down, and another ensemble that starts then must not move in. So each
/// `dev` holds a name for every port of its members, in the kernel's own name space, which forgets it when `dev` ends.
fn reserve(port: u16) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("conclave-dev-port-{port}")).ok()?;
    let held = UnixListener::bind_addr(&name).ok()?;
    TcpListener::bind((HOST, port)).is_ok().then_some(held)
}

/// The search for ports. What can be had is a question to the outside, so that tests can answer it.
pub(super) struct Ports<F> {
    reserve: F,
    chosen: BTreeSet<u16>,
}

impl<F: FnMut(u16) -> bool> Ports<F> {
    pub(super) fn new(reserve: F) -> Ports<F> {
        Ports { reserve, chosen: BTreeSet::new() }
    }

    /// Chooses all addresses: those of the last run where they are still free, else the standard ones, else the next.
    pub(super) fn choose(
        &mut self,
        count: usize,
        remembered: &[Addresses],
    ) -> anyhow::Result<(Vec<Addresses>, Vec<String>)> {
        let mut all = vec![Addresses::default(); count];
        let mut notices = Vec::new();
        for port in Port::ALL {
            let (mut taken, mut chosen) = (BTreeSet::new(), Vec::new());
            for (member, number) in all.iter_mut().zip(0..) {
                let before = remembered.get(usize::from(number)).and_then(|addresses| port_of(addresses.get(port)));
                let free = self.first_free(before.unwrap_or(first_port(port) + number), &mut taken)?;
                chosen.push(free.to_string());
                *member.get_mut(port) = format!("{HOST}:{free}");
            }
            if !taken.is_empty() {
                let taken: Vec<String> = taken.iter().map(u16::to_string).collect();
                let (title, taken, chosen) = (port_title(port), taken.join(", "), chosen.join(", "));
                notices.push(format!("{title}: port {taken} belongs to another process; using {chosen}."));
            }
        }
        Ok((all, notices))
    }

    /// The first free port from `preferred` on that is not chosen yet. Those that others have go to `taken`.
    fn first_free(&mut self, preferred: u16, taken: &mut BTreeSet<u16>) -> anyhow::Result<u16> {
        for port in preferred..=u16::MAX {
            if self.chosen.contains(&port) {
                continue;
            }
            if (self.reserve)(port) {
                self.chosen.insert(port);
                return Ok(port);
            }
            taken.insert(port);
        }
        bail!("no port from {preferred} on is free on {HOST}")
    }
}

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}
