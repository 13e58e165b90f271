//! Real processes, real clients, real kills: what a user would do to an ensemble (development only).
//!
//! | module | what it does |
//! |---|---|
//! | [`ensemble`] | an ensemble of real processes, killed and brought back by name |
//! | [`process`] | processes that are waited for by event and never left behind |
//! | [`admin`] | asking a member's admin address |
//! | [`clients`] | etcdctl, zkCli.sh, Python programs |
//! | [`etcd`] | random requests to a real etcd and to a member of ours, compared |
//! | [`zookeeper`] | random requests to a real ZooKeeper and to an ensemble of ours, compared |
//! | [`load`] | steady writes by both protocols, with a record of what was acknowledged |
//!
//! The tests know what a user knows: the binary, its output, its ports. Nothing here links a room of the project.
//! Every wait is for an event; [`PATIENCE`] only says when a wait has failed.

pub mod admin;
pub mod clients;
pub mod ensemble;
pub mod etcd;
pub mod load;
pub mod process;
pub mod zookeeper;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long anything may take before a test gives up. No test waits that long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test: `CONCLAVE_BINARY`, or the release build.
#[must_use]
pub fn binary() -> PathBuf {
    let binary = chosen("CONCLAVE_BINARY", "target/release/conclave");
    assert!(binary.exists(), "{} is missing: cargo build --release --package conclave", binary.display());
    binary
}

/// The Python interpreter that has kazoo: `CONCLAVE_PYTHON`, or the one that `cargo xtask test` installs.
#[must_use]
pub fn python() -> PathBuf {
    let python = chosen("CONCLAVE_PYTHON", "target/venv/bin/python");
    assert!(python.exists(), "{} is missing: cargo xtask test makes it", python.display());
    python
}

fn chosen(variable: &str, otherwise: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::var_os(variable).map_or_else(|| root.join(otherwise), PathBuf::from)
}
