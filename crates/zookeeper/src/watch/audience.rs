//! Who may hear of an event: whoever may read the node. A watch on a whole subtree would otherwise tell of nodes
//! that its owner may not even know of.

use state::{HistoryError, State};

use crate::identity;
use crate::path;
use crate::tables::{ACCESS, AccessList};
use crate::wire::{Event, EventKind, Identity, permission};

/// Whether somebody may hear of an event of this revision. The access list counts that the node had then; of a node
/// that came and went in one transaction nothing is known, and everybody may hear.
///
/// # Errors
/// If the access lists of that time are forgotten already.
pub(crate) fn may_hear(
    state: &State,
    revision: u64,
    event: &Event,
    identities: &[Identity],
) -> Result<bool, HistoryError> {
    let moment = if event.kind == EventKind::Deleted { revision - 1 } else { revision };
    let row = state.get_at(ACCESS, path::canonical(&event.path).as_bytes(), moment)?;
    Ok(row.is_none_or(|row| identity::is_granted(&AccessList::parse(row.value()).list, permission::READ, identities)))
}
