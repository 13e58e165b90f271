//! Every script of the project, in Rust: `cargo xtask test` proves the whole, `cargo xtask tidy` its order.
//!
//! It knows the repository's layout and the commands of its tools; it links no room of the project.

mod bench;
mod guard;
mod long;
mod mutants;
mod screen;
mod test;
mod tidy;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's scripts.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The guard that started this process, see `guard`
    #[arg(long, global = true, hide = true)]
    guarded_by: Option<i32>,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need and is missing, then run every check and test
    Test,
    /// Check the order of the repository: arrows between crates, file heads and sizes, words, dependencies
    Tidy,
    /// Measure how long writes stand still when the leader is killed, hangs or is shut down
    Failover,
    /// Measure puts and gets beside a real etcd in one run (needs Debian's `etcd-server`)
    Compare,
    /// Measure one part of the project; names what it is compared with, and the ratio
    Bench {
        #[command(subcommand)]
        benchmark: bench::Benchmark,
    },
    /// Put known bugs into the consensus core, one after the other, and print who notices
    Mutants(mutants::Wishes),
    /// Explore every behaviour of the consensus core in small worlds; `--deep` in larger ones (try `-- --help`)
    Model {
        /// What the model check is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Ask a real server and Conclave the same random things and compare the answers: `oracle zookeeper -- --help`
    Oracle {
        /// Which protocol
        protocol: String,
        /// What the oracle is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Thousands of clients, a killed leader, a burst of writes: does anybody lose what it holds? `storm zookeeper`
    Storm {
        /// Which protocol
        protocol: String,
        /// What the storm is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run the simulator, optimised; everything behind it goes to the simulator (try `-- --help`)
    Sim {
        /// What the simulator is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Tidy => tidy::run(&root()),
        Command::Bench { benchmark } => bench::run(&root(), &benchmark),
        Command::Failover => long::failover(&root()),
        Command::Compare => long::compare(&root()),
        Command::Oracle { protocol, arguments } => long::trial(&root(), &format!("oracle_{protocol}"), &arguments),
        Command::Storm { protocol, arguments } => long::trial(&root(), &format!("storm_{protocol}"), &arguments),
        Command::Sim { arguments } => long::sim(&root(), &arguments),
        Command::Model { arguments } => long::model(&root(), &arguments),
        Command::Mutants(wishes) => guard::run(arguments.guarded_by, || mutants::run(root(), wishes)),
        Command::Test => guard::run(arguments.guarded_by, || test::run(root())),
    };
    outcome.unwrap_or_else(|error| {
        screen::complain(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// The repository's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the repository's root").to_owned()
}
