//! What a change of a row means to those who watch nodes.

use state::{Change, ChangeKind};

use crate::path;
use crate::tables::{CHILDREN, NODES};
use crate::wire::EventKind;

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) kind: EventKind,
    pub(super) path: String,
}

/// The happening behind a change, if there is one. Counters are put exactly when a child came or went; that they
/// are deleted says only that the node itself went, which its own row tells.
pub(super) fn interpret(change: &Change) -> Option<Happening> {
    let kind = match (change.table, change.kind) {
        (NODES, ChangeKind::Delete) => EventKind::Deleted,
        (NODES, ChangeKind::Put) if change.after.as_ref().is_some_and(|row| row.version() == 1) => EventKind::Created,
        (NODES, ChangeKind::Put) => EventKind::DataChanged,
        (CHILDREN, ChangeKind::Put) => EventKind::ChildrenChanged,
        _ => return None,
    };
    let path = if change.table == NODES {
        path::from_node_key(&change.key)
    } else {
        String::from_utf8_lossy(&change.key).into_owned()
    };
    Some(Happening { kind, path })
}
