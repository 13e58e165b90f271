//! `cargo xtask bench consensus`: `bench/consensus` is a workspace of its own, so that the crates it compares with are
//! fetched and built only when somebody asks.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

/// Builds the benchmark and runs it.
pub(super) fn run(root: &Path, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--release", "--locked", "--manifest-path", "bench/consensus/Cargo.toml", "--"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", root.join("target/bench-consensus"))
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
