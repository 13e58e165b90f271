//! `cargo xtask bench state`: what the tables cost. The program is `crates/state/benches/state`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::long;

/// How many keys there are if nothing else is said.
const KEYS: [&str; 2] = ["1000000", "10000000"];

pub(super) fn run(root: &Path, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let mut measure = Command::new("cargo");
    measure.args(["bench", "--package", "conclave-state", "--bench", "state", "--"]);
    if arguments.is_empty() {
        measure.args(KEYS);
    } else {
        measure.args(arguments);
    }
    long::run(root, &mut measure)
}
