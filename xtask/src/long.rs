//! The long runs: what takes minutes or hours, and is not part of the test command. Each builds what it needs in release
//! mode and passes on its output; the results worth keeping stand in `docs/`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::screen::say;

/// `cargo xtask failover`: how long writes stand still when the leader goes.
pub(crate) fn failover(root: &Path) -> anyhow::Result<ExitCode> {
    cargo(root, ["build", "--release", "--package", "conclave"])?;
    cargo(root, ["build", "--release", "--package", "conclave-trials", "--bin", "failover"])?;
    let mut measure = Command::new(root.join("target/release/failover"));
    measure.env("CONCLAVE_BINARY", root.join("target/release/conclave"));
    run(root, &mut measure)
}

/// `cargo xtask compare`: puts and gets beside a real etcd, in one run.
pub(crate) fn compare(root: &Path) -> anyhow::Result<ExitCode> {
    cargo(root, ["build", "--release", "--package", "conclave"])?;
    cargo(root, ["build", "--release", "--package", "conclave-trials", "--bin", "compare"])?;
    let mut measure = Command::new(root.join("target/release/compare"));
    measure.env("CONCLAVE_BINARY", root.join("target/release/conclave"));
    run(root, &mut measure)
}

/// `cargo xtask sim …`: the simulator, with whatever it is told, in a profile of its own: fast, with every assertion on.
/// `cargo xtask oracle …`, `cargo xtask storm …`: one of the programs beside the trials, against the release build.
pub(crate) fn trial(root: &Path, program: &str, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let source = root.join("crates/trials/src/bin").join(program).with_extension("rs");
    anyhow::ensure!(source.exists(), "there is no such program: {} is missing", source.display());
    cargo(root, ["build", "--release", "--package", "conclave"])?;
    cargo(root, ["build", "--release", "--package", "conclave-trials", "--bin", program])?;
    let mut run_it = Command::new(root.join("target/release").join(program));
    run(root, run_it.args(arguments).env("CONCLAVE_BINARY", root.join("target/release/conclave")))
}

/// `cargo xtask sim …`: the simulator, with whatever it is told.
pub(crate) fn sim(root: &Path, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    cargo(root, ["build", "--profile", "sim", "--package", "conclave-sim", "--bin", "conclave-sim"])?;
    run(root, Command::new(root.join("target/sim/conclave-sim")).args(arguments))
}

/// `cargo xtask model …`: the model check, with whatever it is told.
pub(crate) fn model(root: &Path, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    cargo(root, ["build", "--release", "--package", "conclave-sim", "--bin", "model"])?;
    run(root, Command::new(root.join("target/release/model")).args(arguments))
}

fn cargo<const N: usize>(root: &Path, arguments: [&str; N]) -> anyhow::Result<()> {
    let status = Command::new("cargo").args(arguments).current_dir(root).status().context("cargo")?;
    anyhow::ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

pub(crate) fn run(root: &Path, command: &mut Command) -> anyhow::Result<ExitCode> {
    say(&format!("{command:?}"));
    let status = command.current_dir(root).status().with_context(|| format!("{command:?}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
