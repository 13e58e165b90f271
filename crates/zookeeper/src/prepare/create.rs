//! Creating nodes.

use state::LeaseId;

use super::{Pen, quota};
use crate::identity;
use crate::path;
use crate::quota::Usage;
use crate::tables::{CHILDREN, Children, Kind, NODES, NodeValue, PASSING};
use crate::wire::{Access, Code, CreateRequest, Mode, OpCode, Stat, permission};

/// The longest time to live, in milliseconds: five bytes, as the real server keeps it.
const TTL_MAX_MILLISECONDS: u64 = 0xff_ffff_ffff;

/// A node that was created.
pub(super) struct Created {
    /// Its path, with its number if it is sequential.
    pub(super) path: String,
    pub(super) stat: Stat,
}

/// A node about to be created, every question answered.
struct NewNode<'a> {
    parent: &'a str,
    path: String,
    data: Option<&'a [u8]>,
    kind: Kind,
    owner: LeaseId,
    access: Vec<Access>,
}

impl Pen<'_, '_> {
    /// Decides a creation. The questions are asked in the order of the real server, so that a request which is
    /// wrong in several ways gets the same answer.
    pub(super) fn create(&mut self, opcode: OpCode, request: &CreateRequest<'_>) -> Result<Created, Code> {
        let mode = Mode::from_flags(request.flags).ok_or(Code::BadArguments)?;
        let kind = self.kind(opcode, mode, request.ttl_milliseconds)?;
        let (parent, _) = path::split(&request.path).ok_or(Code::BadArguments)?;
        if request.path.contains('\0') {
            return Err(Code::BadArguments);
        }
        let access = identity::resolve(&request.access, self.identities)?;
        let parent_node = self.tree().node(parent).ok_or(Code::NoNode)?;
        let parent_is_ephemeral = parent_node.owner() != LeaseId::NONE;
        self.permit(parent, permission::CREATE)?;

        let mut path = request.path.clone().into_owned();
        if mode.sequential {
            path.push_str(&format!("{:010}", self.tree().children(parent).sequence()));
        }
        path::validate(&path).map_err(|_| Code::BadArguments)?;
        if self.tree().node(&path).is_some() {
            return Err(Code::NodeExists);
        }
        if parent_is_ephemeral {
            return Err(Code::NoChildrenForEphemerals);
        }
        self.require_quota(&path, Usage { count: 1, bytes: quota::bytes(request.data) })?;
        let is_ephemeral = mode.ephemeral && kind == Kind::Plain;
        let owner = if is_ephemeral { self.session } else { LeaseId::NONE };
        Ok(self.put_new(NewNode { parent, path, data: request.data, kind, owner, access }))
    }

    /// What will end the node. The opcode rules, not the flags: a client that asks for a container by the plain
    /// opcode gets a plain node from the real server, too.
    fn kind(&self, opcode: OpCode, mode: Mode, ttl_milliseconds: Option<i64>) -> Result<Kind, Code> {
        if mode.ttl && !self.rules.extended_types {
            return Err(Code::Unimplemented);
        }
        let span = ttl_milliseconds.and_then(|ttl| u64::try_from(ttl).ok());
        if mode.ttl {
            let span = span.filter(|span| (1..=TTL_MAX_MILLISECONDS).contains(span)).ok_or(Code::BadArguments)?;
            return Ok(Kind::Ttl(span));
        }
        match span {
            Some(_) => Err(Code::BadArguments),
            None if opcode == OpCode::CreateContainer => Ok(Kind::Container),
            None => Ok(Kind::Plain),
        }
    }

    fn put_new(&mut self, new: NewNode<'_>) -> Created {
        let NewNode { parent, path, data, kind, owner, access } = new;
        let time = self.transaction.time_milliseconds();
        let value = NodeValue { created_time: time, modified_time: time, kind, data };
        let key = path::node_key(&path).expect("a valid path has a slash");
        // The node first, its parent's counters second: watchers hear of them in this order.
        self.transaction.put_parts(NODES, &key, &[&value.head(), data.unwrap_or_default()], owner);
        if kind != Kind::Plain {
            self.transaction.put(PASSING, path.as_bytes(), &[], LeaseId::NONE);
        }
        self.put_first_access(&path, access);
        quota::note_put(self.transaction, &path, Usage { count: 1, bytes: quota::bytes(data) });
        let Children { creations, count } = self.tree().children(parent);
        self.put_children(parent, Children { creations: creations.wrapping_add(1), count: count + 1 });

        let tree = self.tree();
        let node = tree.node(&path).expect("it was put just now");
        let stat = tree.stat(&path, &node);
        Created { path, stat }
    }

    pub(super) fn put_children(&mut self, parent: &str, children: Children) {
        put_children(self.transaction, parent, children);
    }
}

/// Puts a node's counters.
pub(super) fn put_children(transaction: &mut state::Transaction<'_>, parent: &str, children: Children) {
    transaction.put(CHILDREN, path::canonical(parent).as_bytes(), &children.encode(), LeaseId::NONE);
}
