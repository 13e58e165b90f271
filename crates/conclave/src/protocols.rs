//! The protocols that this program speaks, for commands that read what their tables hold. It knows none of their words.

use std::sync::Arc;

/// All protocols, as far as their tables go.
pub(crate) fn all() -> Vec<Arc<dyn node::Protocol>> {
    vec![
        Arc::new(etcd::Etcd::new(&etcd::Options::default())),
        Arc::new(zookeeper::ZooKeeper::new(zookeeper::Rules::default())),
    ]
}
