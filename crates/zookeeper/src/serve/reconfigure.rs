//! reconfig: what a client wants of the ensemble's membership, told to the member, which decides it. An observer is a
//! learner here. Several wishes of one request are carried out one after another; the first that is refused ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use node::{Change, Failure, MemberAddress, MemberEntry, NodeId, Refused};
use tokio::time::Instant;
use tracing::info;

use super::front::Front;
use crate::identity;
use crate::members::PROTOCOL_NAME;
use crate::path;
use crate::read::Desk;
use crate::tables::{Tree, zxid};
use crate::wire::{Code, Identity, Malformed, Reader, permission};

/// Why a request for another membership was not fulfilled.
pub(super) enum Unfulfilled {
    /// The protocol has a code for it.
    Refused(Code),
    /// Nobody knows what came of it.
    Failed(Failure),
}

impl From<Code> for Unfulfilled {
    fn from(code: Code) -> Unfulfilled {
        Unfulfilled::Refused(code)
    }
}

/// Carries a request out and gives the record for the client: the new configuration and the numbers of its node.
pub(super) async fn reconfigure(
    front: Arc<Front>,
    identities: Arc<[Identity]>,
    body: Bytes,
) -> Result<(i64, Bytes), Unfulfilled> {
    let wish = Wish::read(&mut Reader::new(&body)).map_err(Code::from)?;
    let view = front.handle.barrier().await.map_err(Unfulfilled::Failed)?;
    let tree = Tree(&view.state);
    let node = tree.node(path::CONFIG).ok_or(Code::NoNode)?;
    let access = tree.access(path::CONFIG).map(|access| access.list).unwrap_or_default();
    if !identity::is_granted(&access, permission::WRITE, &identities) {
        return Err(Code::NoAuth.into());
    }
    if wish.version != -1 && wish.version != zxid(node.modified()) {
        return Err(Code::BadVersion.into());
    }
    for change in wish.changes(&view.members.list)? {
        carry_out(&front, change).await?;
    }
    front.write_members_down().await;
    let view = front.handle.barrier().await.map_err(Unfulfilled::Failed)?;
    let identities = [Identity::new(identity::SUPER, "")];
    let record = Desk { state: &view.state, identities: &identities }.data(path::CONFIG)?;
    Ok((zxid(view.revision()), record))
}

/// Changes come one at a time: one that is under way is waited for, as long as a request may take.
async fn carry_out(front: &Front, change: Change) -> Result<(), Unfulfilled> {
    let deadline = Instant::now() + front.handle.limits().request_timeout;
    let mut standing = front.handle.status_changes();
    loop {
        let changed = front.handle.change_members(change.clone()).await.map_err(Unfulfilled::Failed)?;
        let Err(refused) = changed else { return Ok(()) };
        let is_over = refused != Refused::ChangeInFlight
            || !matches!(tokio::time::timeout_at(deadline, standing.changed()).await, Ok(Ok(())));
        if is_over {
            info!(%refused, "a client's change of the membership is refused");
            return Err(code_of(&refused).into());
        }
    }
}

fn code_of(refused: &Refused) -> Code {
    match refused {
        Refused::ChangeInFlight => Code::ReconfigInProgress,
        Refused::WouldLoseQuorum { .. } | Refused::NotCaughtUp(_) | Refused::LastVoter(_) => Code::NewConfigNoQuorum,
        _ => Code::BadArguments,
    }
}

/// What a client asks for: who shall come and who shall go, or all who shall be there.
struct Wish {
    joining: Option<String>,
    leaving: Option<String>,
    all: Option<String>,
    /// The transaction of the configuration that the client knows, -1 for any.
    version: i64,
}

impl Wish {
    fn read(reader: &mut Reader<'_>) -> Result<Wish, Malformed> {
        let mut text = || Ok(reader.buffer()?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
        let (joining, leaving, all) = (text()?, text()?, text()?);
        Ok(Wish { joining, leaving, all, version: reader.long()? })
    }

    fn changes(&self, present: &[MemberEntry]) -> Result<Vec<Change>, Code> {
        let mut changes = Vec::new();
        let wanted = self.all.as_ref().or(self.joining.as_ref()).map_or("", String::as_str);
        let mut named = BTreeSet::new();
        for line in wanted.split([',', '\n']).map(str::trim) {
            if line.is_empty() || line.starts_with("version=") {
                continue;
            }
            let server = Server::parse(line).ok_or(Code::BadArguments)?;
            named.insert(server.id);
            changes.extend(server.change(present));
        }
        for id in self.leaving.as_deref().unwrap_or("").split(',').map(str::trim).filter(|id| !id.is_empty()) {
            changes.push(Change::Remove { id: NodeId(id.parse().map_err(|_| Code::BadArguments)?) });
        }
        if self.all.is_some() {
            let gone = present.iter().map(|member| member.address.id).filter(|id| !named.contains(id));
            changes.extend(gone.map(|id| Change::Remove { id }));
        }
        if changes.is_empty() && named.is_empty() { Err(Code::BadArguments) } else { Ok(changes) }
    }
}

/// One line of a client's wish.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    id: NodeId,
    peer: String,
    is_observer: bool,
    client: Option<String>,
}

impl Server {
    /// `server.ID=HOST:PORT:PORT[:ROLE][;[HOST:]PORT]`. One port serves for everything between members: the first.
    fn parse(line: &str) -> Option<Server> {
        let (id, rest) = line.strip_prefix("server.")?.split_once('=')?;
        let (addresses, client) =
            rest.split_once(';').map_or((rest, None), |(address, client)| (address, Some(client)));
        let (addresses, is_observer) = match addresses.strip_suffix(":observer") {
            Some(addresses) => (addresses, true),
            None => (addresses.strip_suffix(":participant").unwrap_or(addresses), false),
        };
        let (peer, _election_port) = addresses.rsplit_once(':')?;
        let (host, port) = peer.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        let client = client.map(|client| match client.rsplit_once(':') {
            Some(_) => client.to_owned(),
            None => format!("{host}:{client}"),
        });
        Some(Server { id: NodeId(id.parse().ok()?), peer: peer.to_owned(), is_observer, client })
    }

    /// What it takes to have the member so, if anything.
    fn change(self, present: &[MemberEntry]) -> Vec<Change> {
        let Server { id, peer, is_observer, client } = self;
        let client: BTreeMap<String, String> =
            client.into_iter().map(|client| (PROTOCOL_NAME.to_owned(), client)).collect();
        let Some(member) = present.iter().find(|member| member.address.id == id) else {
            let member = MemberAddress { id, name: format!("m{}", id.0), peer, client, priority: 0 };
            return vec![Change::Add { member, learner: is_observer }];
        };
        let mut changes = Vec::new();
        let is_moved = member.address.peer != peer
            || client.iter().any(|(name, address)| member.address.client.get(name) != Some(address));
        if is_moved {
            changes.push(Change::Update { id, name: None, peer: Some(peer), client, priority: None });
        }
        if !is_observer && !member.voter && !member.promoting {
            changes.push(Change::Promote { id });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_servers_are_understood_as_clients_write_them() {
        let server = Server::parse("server.5=10.0.0.5:2888:3888:observer;2181").unwrap();
        let client = Some("10.0.0.5:2181".to_owned());
        assert_eq!(server, Server { id: NodeId(5), peer: "10.0.0.5:2888".to_owned(), is_observer: true, client });
        let plain = Server::parse("server.6=host:1:2").unwrap();
        assert_eq!((plain.peer.as_str(), plain.is_observer, plain.client), ("host:1", false, None));
        let own = Server::parse("server.7=host:1:2:participant;0.0.0.0:3").unwrap();
        assert_eq!(own.client.as_deref(), Some("0.0.0.0:3"));
        for bad in ["", "server.x=a:1:2", "server.1", "server.1=a", "server.1=a:1", "server.1=a:x:2", "1=a:1:2"] {
            assert_eq!(Server::parse(bad), None, "{bad}");
        }
    }
}
