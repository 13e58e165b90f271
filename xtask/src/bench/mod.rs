//! `cargo xtask bench <name>`: the benchmarks. Each builds what it needs in release mode and prints a table; results worth
//! keeping stand in `docs/`, with their date and command.

mod consensus;
mod state;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Benchmark {
    /// The consensus core beside the `raft` crate (TiKV) and `openraft`, in one run; a name measures one of them alone
    Consensus {
        /// What the benchmark is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// The tables' tree beside `BTreeMap` and `imbl::OrdMap`, and watchers; numbers are how many keys (1000000 10000000)
    State {
        /// What the benchmark is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Measures.
pub(crate) fn run(root: &Path, benchmark: &Benchmark) -> anyhow::Result<ExitCode> {
    match benchmark {
        Benchmark::Consensus { arguments } => consensus::run(root, arguments),
        Benchmark::State { arguments } => state::run(root, arguments),
    }
}
