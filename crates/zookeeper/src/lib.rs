//! The ZooKeeper protocol: wire, prepare, serve, watch.
