//! The messages and services of etcd's public API, generated from `proto/`. Knows nothing of what they mean.
//!
//! Names and numbers follow the public API, hence the lints switched off for what is generated.

/// Package `mvccpb`: keys with their versions, and events.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

/// Package `authpb`: users, roles and permissions.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub mod authpb {
    tonic::include_proto!("authpb");
}

/// Package `etcdserverpb`: KV, Watch, Lease, Cluster, Maintenance and Auth.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

/// Package `v3lockpb`: the Lock service.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}

/// Package `v3electionpb`: the Election service.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}

/// Package `grpc.health.v1`: gRPC's own health service.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// The descriptions of all messages and services above, as an encoded `FileDescriptorSet`.
pub const DESCRIPTIONS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.bin"));
