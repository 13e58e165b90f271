//! A real etcd and a member of ours, asked the same: `cargo xtask oracle etcd`.
//!
//! | module | what it does |
//! |---|---|
//! | [`case`] | requests in a form that means the same on both sides, drawn from a seed |
//! | [`draw`] | the random choices |
//! | [`mercy`] | leaves out what the real server does not survive |
//! | [`side`] | one server: sends the requests of a case and writes down the answers, with its own ids made alike |
//! | [`watching`] | the watches of a case |
//! | [`server`] | the real server |

pub mod case;
pub mod draw;
pub mod mercy;
pub mod server;
pub mod side;
mod watching;

/// The public API, generated from its descriptions.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]
pub mod wire {
    /// Keys and events.
    pub mod mvccpb {
        tonic::include_proto!("mvccpb");
    }
    /// Users and roles.
    pub mod authpb {
        tonic::include_proto!("authpb");
    }
    /// The services.
    pub mod etcdserverpb {
        tonic::include_proto!("etcdserverpb");
    }
}
