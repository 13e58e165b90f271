//! Finds containers whose children have gone, and nodes whose time to live is over. The member that leads looks for
//! them now and then, and asks itself to delete what it found: a decision like any other, which fails if anything
//! happened to the node meanwhile.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node::{Handle, Role, StreamId};
use state::State;
use tokio::time::MissedTickBehavior;
use tracing::debug;

use crate::prepare::{PROTOCOL, Request};
use crate::tables::{Kind, PASSING, Tree};

/// Nodes that are deleted in one round; the others wait for the next.
const DELETIONS_PER_ROUND: usize = 10_000;

/// Looks at regular intervals, for ever.
pub(super) async fn run(handle: &Handle, interval: Duration) {
    let mut rounds = tokio::time::interval(interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if handle.status().role == Role::Leader {
            round(handle).await;
        }
    }
}

async fn round(handle: &Handle) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
    let view = handle.view();
    let due = find(&view.state, u64::try_from(now).unwrap_or(u64::MAX));
    for path in due {
        let request = Request::Sweep { path, revision: view.revision() };
        // Refused or failed: whatever is still due then is found again in the next round.
        if let Err(failure) = handle.submit(PROTOCOL, StreamId::NONE, request.encode()).await {
            return debug!(%failure, "sweeping stopped");
        }
    }
}

/// Nodes that may go, in order of their paths.
fn find(state: &State, now: u64) -> Vec<String> {
    let tree = Tree(state);
    let mut due = Vec::new();
    let mut rows = state.prefix(PASSING, &[]);
    while let Some((key, _)) = rows.next() {
        let path = String::from_utf8_lossy(key);
        if is_due(tree, &path, now) {
            due.push(path.into_owned());
        }
        if due.len() == DELETIONS_PER_ROUND {
            break;
        }
    }
    due
}

fn is_due(tree: Tree<'_>, path: &str, now: u64) -> bool {
    let Some(node) = tree.node(path) else { return false };
    let children = tree.children(path);
    match node.value.kind {
        _ if children.count > 0 => false,
        Kind::Plain => false,
        // A container that never had a child may still be waiting for its first.
        Kind::Container => children.creations > 0,
        Kind::Ttl(span) => now.saturating_sub(node.value.modified_time) > span,
    }
}

#[cfg(test)]
mod tests {
    use state::LeaseId;

    use super::*;
    use crate::path;
    use crate::tables::{CHILDREN, Children, NODES, NodeValue, SPECS};

    #[test]
    fn what_is_empty_and_old_enough_is_found() {
        let mut state = State::new(&SPECS);
        let mut transaction = state.begin(0);
        let mut put = |path: &str, kind: Kind, modified_time: u64, children: Option<Children>| {
            let value = NodeValue { created_time: 1000, modified_time, kind, data: None }.head();
            transaction.put(NODES, &path::node_key(path).unwrap(), &value, LeaseId::NONE);
            if kind != Kind::Plain {
                transaction.put(PASSING, path.as_bytes(), &[], LeaseId::NONE);
            }
            if let Some(children) = children {
                transaction.put(CHILDREN, path.as_bytes(), &children.encode(), LeaseId::NONE);
            }
        };
        let had = Some(Children { creations: 2, count: 0 });
        let has = Some(Children { creations: 2, count: 1 });
        put("/container-new", Kind::Container, 1000, None);
        put("/container-left", Kind::Container, 1000, had);
        put("/container-used", Kind::Container, 1000, has);
        put("/plain", Kind::Plain, 1000, had);
        put("/ttl-old", Kind::Ttl(500), 1000, None);
        put("/ttl-touched", Kind::Ttl(500), 1500, None);
        put("/ttl-used", Kind::Ttl(500), 1000, has);
        transaction.finish();
        assert_eq!(find(&state, 1500), ["/container-left"]);
        assert_eq!(find(&state, 1501), ["/container-left", "/ttl-old"]);
        assert_eq!(find(&state, 2001), ["/container-left", "/ttl-old", "/ttl-touched"]);
    }
}
