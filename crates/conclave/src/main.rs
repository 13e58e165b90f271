//! The conclave binary: command line, configuration, listeners, wiring, development ensemble.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | the table of keys, and reading a configuration file by it |
//! | [`serve`] | one member: binds its ports, starts the member's room and the protocols, stops them in order |
//! | [`admin`] | the HTTP address of a member: health, metrics, status |
//! | [`translate`] | a ZooKeeper server's configuration as one of ours |
//! | [`dev`] | a whole ensemble on this machine, as processes of this same binary |
//! | [`member`] | who belongs to the ensemble, and changes of it |
//! | [`ask`] | asking an admin address |
//! | [`why`] | the members' diaries as one story: why did the leader change? |
//! | [`moment`] | dates, times of day and spans for people |
//! | [`life`] | ties a process's life to its parent's |
//! | [`screen`] | the only door to standard output |
//!
//! It wires rooms together and decides nothing about consensus, storage or protocols.

mod admin;
mod ask;
mod backup;
mod config;
mod dev;
mod inspect;
mod life;
mod listen;
mod logging;
mod member;
mod moment;
mod protocols;
mod screen;
mod serve;
mod translate;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// A coordination server: ZooKeeper's and etcd's clients, one ensemble.
#[derive(Parser)]
#[command(name = "conclave", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an ensemble on this machine, to try things out
    Dev(dev::Arguments),
    /// Run one member
    Serve(serve::Arguments),
    /// Tell why the leader changed, from the diaries of all members
    Why(why::Arguments),
    /// List, add, promote, remove and update members, or choose who leads
    Member(member::Arguments),
    /// Look at the log of a member, be it running, stopped or broken
    Log(inspect::Arguments),
    /// Save, check or restore a backup
    Snapshot(backup::Arguments),
    /// List the configuration's keys, or check a file
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// List every key with its range, default and meaning
    Keys {
        /// As the page docs/configuration.md
        #[arg(long)]
        markdown: bool,
    },
    /// Translate a ZooKeeper server's zoo.cfg, and name what has no counterpart
    FromZooCfg {
        /// The server's configuration file
        file: PathBuf,
        /// The number of the server whose file it is; found in `myid` beside its data if not given
        #[arg(long)]
        member: Option<u64>,
    },
    /// Translate an etcd member's flags, and name what has no counterpart: everything behind `--`
    FromEtcd {
        /// A file of ETCD_ variables, as systemd reads it; `-` for this process's own environment
        #[arg(long, value_name = "FILE")]
        environment: Option<String>,
        /// The flags as they stand behind `etcd`; they count more than variables
        #[arg(last = true)]
        flags: Vec<String>,
    },
    /// Read a configuration file and say what is wrong or unwise in it
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dev(arguments) => {
            arguments.life.bind_to_parent()?;
            runtime()?.block_on(dev::run(arguments))
        }
        Command::Serve(arguments) => {
            arguments.life.bind_to_parent()?;
            runtime()?.block_on(serve::run(arguments))
        }
        Command::Member(arguments) => runtime()?.block_on(member::run(arguments)),
        Command::Log(arguments) => inspect::run(arguments),
        Command::Snapshot(arguments) => runtime()?.block_on(backup::run(arguments)),
        Command::Why(arguments) => runtime()?.block_on(why::run(arguments)),
        Command::Config(ConfigCommand::Keys { markdown }) => {
            screen::print(&if markdown { config::page() } else { config::listing() });
            Ok(())
        }
        Command::Config(ConfigCommand::FromZooCfg { file, member }) => {
            let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
            screen::print(&translate::from_zoo_cfg(&text, member.or_else(|| translate::own_number(&text))));
            Ok(())
        }
        Command::Config(ConfigCommand::FromEtcd { environment, flags }) => from_etcd(environment.as_deref(), &flags),
        Command::Config(ConfigCommand::Check { config }) => check(&config),
    }
}

/// The runtime for sockets and timers. The future given to `block_on` stays on the main thread, which [`dev`] relies on.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads for sockets cannot be started")
}

fn from_etcd(environment: Option<&str>, words: &[String]) -> anyhow::Result<()> {
    let variables = match environment {
        None => Vec::new(),
        Some("-") => std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?;
            translate::etcd::variables_of_file(&text)
        }
    };
    let mut flags = translate::etcd::flags_of_variables(variables);
    flags.extend(translate::etcd::flags_of_words(words));
    screen::print(&translate::etcd::from_etcd(&flags));
    Ok(())
}

fn check(path: &std::path::Path) -> anyhow::Result<()> {
    let loaded = config::load(path)?;
    for warning in &loaded.warnings {
        screen::print_line(&format!("warning: {warning}"));
    }
    let configuration = loaded.configuration;
    screen::print_line(&format!(
        "{}: good for {} of {} ({} members)",
        path.display(),
        configuration.member,
        configuration.ensemble,
        configuration.members.len()
    ));
    Ok(())
}
