//! Watches that are set, asked for and removed by themselves, not by a read.

use std::borrow::Cow;

use super::client::Client;
use crate::tables::{Tree, zxid};
use crate::watch::{Mark, Selection};
use crate::wire::{Code, Event, EventKind, OpCode, PathWithNumber, Reader, SetWatchesRequest, Writer, write_event};

/// The zxid of events that tell what was missed: which transaction it was, nobody knows any more.
const UNKNOWN_ZXID: i64 = -1;

impl Client {
    /// setWatches, setWatches2: a client that comes from another connection watches on. What it missed is told at
    /// once, in the order of its lists, and the watch that would have told it is spent.
    pub(super) async fn set_watches(&mut self, xid: i32, opcode: OpCode, body: &[u8]) {
        let request = match SetWatchesRequest::read(opcode, &mut Reader::new(body)) {
            Ok(request) => request,
            Err(malformed) => return self.answer_now(xid, malformed.into(), &[]).await,
        };
        let lists = [
            (Mark::Data, false, &request.data),
            (Mark::Data, true, &request.exist),
            (Mark::Children, false, &request.children),
            (Mark::Persistent, false, &request.persistent),
            (Mark::Recursive, false, &request.recursive),
        ];
        for (mark, _, paths) in lists {
            self.reserve_all(mark, paths);
        }
        let view = self.front.handle.view();
        self.settle(zxid(view.revision())).await;
        let tree = Tree(&view.state);
        for (mark, waits_for_creation, paths) in lists {
            for path in paths {
                match missed(tree, path, mark, waits_for_creation, request.relative_zxid) {
                    Some(kind) => {
                        let event = Event { zxid: UNKNOWN_ZXID, kind, path: path.clone().into_owned() };
                        write_event(&mut self.out, &event);
                        self.count_sent(path.len());
                    }
                    // A path may stand in several lists, or in one twice: one mark is enough.
                    None if self.watches().is_reserved(path, mark) => self.watches().set(path, mark),
                    None => {}
                }
            }
        }
        for (mark, _, paths) in lists {
            for path in paths {
                let orders = self.watches().release(path, mark);
                self.carry_out(orders);
            }
        }
        self.answer_after_events(xid, zxid(view.revision()), Code::Ok, &[]).await;
    }

    fn reserve_all(&mut self, mark: Mark, paths: &[Cow<'_, str>]) {
        for path in paths {
            let orders = self.watches().reserve(path, mark);
            self.carry_out(orders);
        }
    }

    /// addWatch: a persistent watch, of the node alone or of all below it as well.
    pub(super) async fn add_watch(&mut self, xid: i32, body: &[u8]) {
        let request = PathWithNumber::read(&mut Reader::new(body)).ok();
        let wanted = request.and_then(|request| match request.number {
            0 => Some((request.path, Mark::Persistent)),
            1 => Some((request.path, Mark::Recursive)),
            _ => None,
        });
        let Some((path, mark)) = wanted else {
            return self.answer_now(xid, Code::MarshallingError, &[]).await;
        };
        let orders = self.watches().reserve(&path, mark);
        self.carry_out(orders);
        let view = self.front.handle.view();
        self.settle(zxid(view.revision())).await;
        self.watches().set(&path, mark);
        let mut reply = Writer::new();
        reply.int(Code::Ok.number());
        self.answer_after_events(xid, zxid(view.revision()), Code::Ok, &reply.finish()).await;
    }

    /// checkWatches, removeWatches.
    pub(super) async fn change_watches(&mut self, xid: i32, opcode: OpCode, body: &[u8]) {
        let request = PathWithNumber::read(&mut Reader::new(body)).ok();
        let wanted = request.and_then(|request| Some((request.path, Selection::from_number(request.number)?)));
        let Some((path, selection)) = wanted else {
            return self.answer_now(xid, Code::MarshallingError, &[]).await;
        };
        let view = self.front.handle.view();
        self.settle(zxid(view.revision())).await;
        let is_there = if opcode == OpCode::CheckWatches {
            self.watches().contains(&path, selection)
        } else {
            let removed = self.watches().remove(&path, selection);
            match removed {
                Some(orders) => {
                    self.carry_out(orders);
                    true
                }
                None => false,
            }
        };
        let code = if is_there { Code::Ok } else { Code::NoWatcher };
        self.answer_after_events(xid, zxid(view.revision()), code, &[]).await;
    }

    async fn answer_now(&mut self, xid: i32, code: Code, body: &[u8]) {
        let revision = self.front.handle.view().revision();
        self.answer_after_events(xid, zxid(revision), code, body).await;
    }
}

/// What a watch would have told since the client saw `relative_zxid`, if it would have told anything. Persistent
/// watches tell nothing: their clients cannot rely on hearing of every single change anyway.
fn missed(tree: Tree<'_>, path: &str, mark: Mark, waits_for_creation: bool, relative_zxid: i64) -> Option<EventKind> {
    let node = tree.node(path);
    match (mark, node) {
        (Mark::Persistent | Mark::Recursive, _) => None,
        (_, node) if waits_for_creation => node.map(|_| EventKind::Created),
        (_, None) => Some(EventKind::Deleted),
        (Mark::Data, Some(node)) => (zxid(node.modified()) > relative_zxid).then_some(EventKind::DataChanged),
        (Mark::Children, Some(node)) => {
            let changed = zxid(tree.children_modified(path, &node));
            (changed > relative_zxid).then_some(EventKind::ChildrenChanged)
        }
    }
}
