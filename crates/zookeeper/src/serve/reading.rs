//! Reads: from the newest committed state here, each in its turn, with the watches they leave.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use node::View;
use tracing::warn;

use super::client::Client;
use crate::identity;
use crate::read::Desk;
use crate::tables::zxid;
use crate::watch::Mark;
use crate::wire::{Code, Filter, FilteredListRequest, Identity, Malformed, OpCode, PathWithWatch, Reader, Writer};

/// How to read a node.
type ReadNode = fn(Desk<'_>, &str) -> Result<Bytes, Code>;

impl Client {
    /// Answers a request that is not the leader's to decide.
    pub(super) async fn read(&mut self, xid: i32, opcode: OpCode, body: &[u8], identities: &[Identity]) {
        match opcode {
            OpCode::SetWatches | OpCode::SetWatches2 => return self.set_watches(xid, opcode, body).await,
            OpCode::AddWatch => return self.add_watch(xid, body).await,
            OpCode::CheckWatches | OpCode::RemoveWatches => return self.change_watches(xid, opcode, body).await,
            _ => {}
        }
        if let Some(Ok(reading)) = Reading::of(opcode, body)
            && reading.watch
        {
            return self.read_and_watch(xid, opcode, &reading, identities).await;
        }
        let view = self.front.handle.view();
        let read = match opcode {
            OpCode::MultiRead => Desk { state: &view.state, identities }.multi(body),
            _ => self.read_plain(&view, opcode, body, identities).map_err(|code| (code, Bytes::new())),
        };
        let read = read.and_then(|reply| self.require_size(opcode, body, reply).map_err(|code| (code, Bytes::new())));
        let (code, reply) = read.map_or_else(|failed| failed, |reply| (Code::Ok, reply));
        self.answer_after_events(xid, zxid(view.revision()), code, &reply).await;
    }

    fn read_plain(&self, view: &View, opcode: OpCode, body: &[u8], identities: &[Identity]) -> Result<Bytes, Code> {
        let desk = Desk { state: &view.state, identities };
        let mut reader = Reader::new(body);
        match opcode {
            OpCode::GetAcl => desk.access(&reader.string()?),
            OpCode::GetAllChildrenNumber => desk.descendants(&reader.string()?),
            OpCode::GetEphemerals => {
                // No prefix is the prefix of everything.
                let prefix = reader.buffer()?.map_or(Cow::Borrowed(""), String::from_utf8_lossy);
                Ok(desk.ephemerals(self.hold.session, &prefix))
            }
            OpCode::WhoAmI => Ok(who_am_i(identities)),
            _ => {
                let Reading { path, read, .. } = Reading::of(opcode, body).ok_or(Code::Unimplemented)??;
                read(desk, &path)
            }
        }
    }

    /// A read that leaves a watch. How that is done without missing or doubling an event is told in
    /// [`crate::watch`].
    async fn read_and_watch(&mut self, xid: i32, opcode: OpCode, reading: &Reading<'_>, identities: &[Identity]) {
        let Reading { path, mark, read, .. } = reading;
        let (path, mark) = (path.as_ref(), *mark);
        let orders = self.watches().reserve(path, mark);
        self.carry_out(orders);
        let view = self.front.handle.view();
        self.settle(zxid(view.revision())).await;
        let read = read(Desk { state: &view.state, identities }, path);
        let read = read.and_then(|reply| self.require_size(opcode, path.as_bytes(), reply));
        // Whoever asks whether a node is there wants to hear that it came, too.
        if read.is_ok() || (opcode == OpCode::Exists && read == Err(Code::NoNode)) {
            self.watches().set(path, mark);
        } else {
            let orders = self.watches().release(path, mark);
            self.carry_out(orders);
        }
        let (code, reply) = read.map_or_else(|code| (code, Bytes::new()), |reply| (Code::Ok, reply));
        self.answer_after_events(xid, zxid(view.revision()), code, &reply).await;
    }
}

impl Client {
    /// Refuses a list that its client would take for a broken connection.
    fn require_size(&self, opcode: OpCode, about: &[u8], reply: Bytes) -> Result<Bytes, Code> {
        let options = &self.front.options;
        let limit = options.list_bytes.unwrap_or(options.packet_limit);
        let lists =
            [OpCode::GetChildren, OpCode::GetChildren2, OpCode::FilteredList, OpCode::GetEphemerals, OpCode::MultiRead];
        if reply.len() <= limit || !lists.contains(&opcode) {
            return Ok(reply);
        }
        self.front.counters.too_large.fetch_add(1, Ordering::Relaxed);
        let (shown, bytes) = (String::from_utf8_lossy(&about[..about.len().min(SHOWN_BYTES)]), reply.len());
        warn!(?opcode, about = %shown, "an answer of {bytes} bytes exceeds list_bytes = {limit} and is refused");
        Err(Code::MarshallingError)
    }
}

/// Bytes of a request that a log line shows.
const SHOWN_BYTES: usize = 200;

/// A request that reads a node.
struct Reading<'a> {
    path: Cow<'a, str>,
    /// Whether the client wants to hear of the next change.
    watch: bool,
    /// What is left at the node then.
    mark: Mark,
    read: ReadNode,
}

impl<'a> Reading<'a> {
    /// `None` for the other operations.
    fn of(opcode: OpCode, body: &'a [u8]) -> Option<Result<Reading<'a>, Malformed>> {
        let mut reader = Reader::new(body);
        let (mark, read): (Mark, ReadNode) = match opcode {
            OpCode::Exists => (Mark::Data, |desk, path| desk.exists(path)),
            OpCode::GetData => (Mark::Data, |desk, path| desk.data(path)),
            OpCode::GetChildren => (Mark::Children, |desk, path| desk.children(path)),
            OpCode::GetChildren2 => (Mark::Children, |desk, path| desk.children_with_stat(path)),
            OpCode::FilteredList => {
                return Some(FilteredListRequest::read(&mut reader).map(
                    |FilteredListRequest { path, watch, filter }| Reading {
                        path,
                        watch,
                        mark: Mark::Children,
                        read: filtered_by(filter),
                    },
                ));
            }
            _ => return None,
        };
        let request = PathWithWatch::read(&mut reader);
        Some(request.map(|PathWithWatch { path, watch }| Reading { path, watch, mark, read }))
    }
}

fn filtered_by(filter: Filter) -> ReadNode {
    match filter {
        Filter::All => |desk, path| desk.filtered(path, Filter::All),
        Filter::Persistent => |desk, path| desk.filtered(path, Filter::Persistent),
        Filter::Ephemeral => |desk, path| desk.filtered(path, Filter::Ephemeral),
    }
}

/// Who the client is to this server: schemes and names, no hashes.
fn who_am_i(identities: &[Identity]) -> Bytes {
    let mut reply = Writer::new();
    reply.length(identities.len());
    for identity in identities {
        reply.string(&identity.scheme).string(identity::shown_name(identity));
    }
    reply.finish()
}
