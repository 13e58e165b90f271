//! Sessions: opening, taking over, closing. A session is a lease of the member's; its ephemeral nodes are attached
//! to it.

use node::Context;
use state::{LeaseId, Transaction};

use super::change::{put_built_in, remove};
use super::{Attached, Hold, PROTOCOL};
use crate::members;
use crate::path;
use crate::tables::{ACCESS, AccessList, Kind, NODES, NodeValue, SESSIONS, Session, Tree, session_key};
use crate::wire::{Access, Code, permission};

/// Opens a session.
pub(super) fn open(context: &Context, transaction: &mut Transaction<'_>, session: Session) -> Attached {
    put_built_in_nodes(transaction);
    let id = unused_id(transaction, context.random);
    transaction.grant(id, session.timeout_milliseconds.into(), PROTOCOL.0);
    put_session(transaction, id, session)
}

/// A connection takes over a session that is there, with the timeout it negotiated.
///
/// # Errors
/// [`Code::SessionExpired`] if there is no such session, or the password is not its own: who guesses learns nothing.
pub(super) fn resume(transaction: &mut Transaction<'_>, id: LeaseId, wanted: Session) -> Result<Attached, Code> {
    let (present, _) = Tree(transaction.state()).session(id).ok_or(Code::SessionExpired)?;
    if present.password != wanted.password {
        return Err(Code::SessionExpired);
    }
    transaction.grant(id, wanted.timeout_milliseconds.into(), PROTOCOL.0);
    Ok(put_session(transaction, id, wanted))
}

/// Whether a connection still holds its session.
///
/// # Errors
/// [`Code::SessionExpired`] or [`Code::SessionMoved`].
pub(super) fn check_hold(tree: Tree<'_>, hold: Hold) -> Result<(), Code> {
    match tree.session(hold.session) {
        None => Err(Code::SessionExpired),
        Some((_, revision)) if revision != hold.revision => Err(Code::SessionMoved),
        Some(_) => Ok(()),
    }
}

/// Ends a session: deletes its ephemeral nodes, and everything that is known of it. One that is gone is no error.
pub(super) fn close(transaction: &mut Transaction<'_>, id: LeaseId) {
    let mut ephemerals = Vec::new();
    let mut rows = transaction.state().lease_rows(id);
    while let Some((table, key)) = rows.next() {
        assert_eq!(table, NODES, "only nodes are attached to sessions");
        ephemerals.push(path::from_node_key(key));
    }
    for path in ephemerals {
        remove(transaction, &path);
    }
    transaction.delete(SESSIONS, &session_key(id));
    transaction.revoke(id);
}

/// Writes the ensemble's members down where clients read them, if that is not what stands there already.
pub(super) fn put_members(transaction: &mut Transaction<'_>, lines: &str) {
    let tree = Tree(transaction.state());
    let Some(node) = tree.node(path::CONFIG) else { return };
    let present = String::from_utf8_lossy(node.value.data.unwrap_or_default()).into_owned();
    let created_time = node.value.created_time;
    if members::lines_of(&present) == lines {
        return;
    }
    let text = members::text(lines, transaction.revision());
    let modified_time = transaction.time_milliseconds();
    let value = NodeValue { created_time, modified_time, kind: Kind::Plain, data: Some(text.as_bytes()) };
    let key = path::node_key(path::CONFIG).expect("the path has a slash");
    transaction.put_parts(NODES, &key, &[&value.head(), text.as_bytes()], LeaseId::NONE);
}

fn put_session(transaction: &mut Transaction<'_>, id: LeaseId, session: Session) -> Attached {
    transaction.put(SESSIONS, &session_key(id), &session.encode(), LeaseId::NONE);
    let Session { timeout_milliseconds, password } = session;
    let hold = Hold { session: id, revision: transaction.revision() };
    Attached { hold, timeout_milliseconds, password }
}

/// An id that no lease has. Positive: clients print it, and negative owners mean other things to them.
fn unused_id(transaction: &Transaction<'_>, random: u64) -> LeaseId {
    let mut candidate = random;
    loop {
        let id = LeaseId((candidate & i64::MAX.cast_unsigned()).cast_signed());
        if id != LeaseId::NONE && transaction.state().lease(id).is_none() {
            return id;
        }
        candidate = candidate.wrapping_add(1);
    }
}

/// The nodes that the real server has from the beginning. They come with the first session, since without one
/// nobody can see them.
fn put_built_in_nodes(transaction: &mut Transaction<'_>) {
    if Tree(transaction.state()).node(path::ROOT).is_some() {
        return;
    }
    put_built_in(transaction, path::ROOT, 1);
    put_built_in(transaction, path::RESERVED, 2);
    put_built_in(transaction, path::QUOTA, 0);
    put_built_in(transaction, path::CONFIG, 0);
    // Everybody may read the configuration; its list has the version that the real server gives it.
    let access = AccessList { version: -1, list: vec![Access::world(permission::READ)] };
    transaction.put(ACCESS, path::CONFIG.as_bytes(), &access.encode(), LeaseId::NONE);
}
