//! Changing, checking and deleting nodes.

use state::{LeaseId, Transaction};

use super::create::put_children;
use super::{Pen, quota};
use crate::path;
use crate::quota::Usage;
use crate::tables::{ACCESS, CHILDREN, Children, Kind, NODES, NodeValue, PASSING, Tree};
use crate::wire::{Code, PathWithNumber, SetDataRequest, Stat, permission};

impl Pen<'_, '_> {
    pub(super) fn set_data(&mut self, request: &SetDataRequest<'_>) -> Result<Stat, Code> {
        let path = &request.path;
        path::validate(path).map_err(|_| Code::BadArguments)?;
        let node = self.tree().node(path).ok_or(Code::NoNode)?;
        let (present, owner) = (node.version(), node.owner());
        let NodeValue { created_time, kind, .. } = node.value;
        let more = Usage { count: 0, bytes: quota::bytes(request.data) - quota::bytes(node.value.data) };
        self.permit(path, permission::WRITE)?;
        self.require_quota(path, more)?;
        require_version(request.version, present)?;

        let modified_time = self.transaction.time_milliseconds();
        let value = NodeValue { created_time, modified_time, kind, data: request.data };
        let key = path::node_key(path).expect("a valid path has a slash");
        self.transaction.put_parts(NODES, &key, &[&value.head(), request.data.unwrap_or_default()], owner);
        quota::note_put(self.transaction, path, more);
        let tree = self.tree();
        let node = tree.node(path).expect("it was put just now");
        Ok(tree.stat(path, &node))
    }

    pub(super) fn check(&mut self, request: &PathWithNumber<'_>) -> Result<(), Code> {
        path::validate(&request.path).map_err(|_| Code::BadArguments)?;
        let present = self.tree().node(&request.path).ok_or(Code::NoNode)?.version();
        self.permit(&request.path, permission::READ)?;
        require_version(request.number, present)
    }

    pub(super) fn delete(&mut self, request: &PathWithNumber<'_>) -> Result<(), Code> {
        let path = &request.path;
        let (parent, _) = path::split(path).ok_or(Code::BadArguments)?;
        if path.contains('\0') || path::is_built_in(path) {
            return Err(Code::BadArguments);
        }
        if self.tree().node(parent).is_none() {
            return Err(Code::NoNode);
        }
        self.permit(parent, permission::DELETE)?;
        let present = self.tree().node(path).ok_or(Code::NoNode)?.version();
        require_version(request.number, present)?;
        if self.tree().children(path).count > 0 {
            return Err(Code::NotEmpty);
        }
        remove(self.transaction, path);
        Ok(())
    }

    /// Deletes a container or a node with a time to live, unless something happened to it since it was found.
    pub(super) fn sweep(&mut self, path: &str, revision: u64) -> Result<(), Code> {
        let tree = self.tree();
        let node = tree.node(path).ok_or(Code::NoNode)?;
        let newest = node.modified().max(tree.children_modified(path, &node));
        if node.value.kind == Kind::Plain || newest > revision {
            return Err(Code::BadVersion);
        }
        if tree.children(path).count > 0 {
            return Err(Code::NotEmpty);
        }
        remove(self.transaction, path);
        Ok(())
    }
}

/// -1 stands for any version.
fn require_version(wanted: i32, present: i32) -> Result<(), Code> {
    if wanted == -1 || wanted == present { Ok(()) } else { Err(Code::BadVersion) }
}

/// Deletes a node that has no children, with all its rows, and tells its parent's counters.
pub(super) fn remove(transaction: &mut Transaction<'_>, path: &str) {
    let (parent, _) = path::split(path).expect("only the root has no parent, and it is never deleted");
    let key = path::node_key(path).expect("what has a parent has a key");
    let row = transaction.state().get(NODES, &key).cloned();
    if let Some(row) = row {
        quota::note_removal(transaction, path, &NodeValue::parse(row.value()));
    }
    // The node first, its parent's counters last: watchers hear of them in this order.
    let was_there = transaction.delete(NODES, &key);
    assert!(was_there, "only nodes that were found are deleted");
    for table in [CHILDREN, ACCESS, PASSING] {
        transaction.delete(table, path.as_bytes());
    }
    let Children { creations, count } = Tree(transaction.state()).children(parent);
    let count = count.checked_sub(1).expect("a node that is there is counted by its parent");
    put_children(transaction, parent, Children { creations, count });
}

/// Puts a node that is there from the beginning.
pub(super) fn put_built_in(transaction: &mut Transaction<'_>, path: &str, children: u32) {
    let value = NodeValue { created_time: 0, modified_time: 0, kind: Kind::Plain, data: Some(b"") };
    let key = path::node_key(path).expect("every built-in path has a slash");
    transaction.put(NODES, &key, &value.head(), LeaseId::NONE);
    if children > 0 {
        put_children(transaction, path, Children { creations: 0, count: children });
    }
}
