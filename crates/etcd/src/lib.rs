//! The etcd v3 protocol: wire, prepare, serve, watch.
pub mod wire;
