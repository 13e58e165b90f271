//! `conclave log`: what stands in the log of a member, whether it runs, is stopped or cannot start. It changes nothing,
//! and knows nothing of how a log lies on disk.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use node::LogLine;

use crate::{protocols, screen};

/// Looks at the log of a member.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand)]
enum Task {
    /// Print every record with the rows that it changes
    Dump {
        #[command(flatten)]
        target: Target,
        /// Only records from this number on
        #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
        from: u64,
    },
    /// Check every checksum, and say what a start would say
    Verify {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(clap::Args)]
struct Target {
    /// The member's data folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print one line of JSON for each finding, and one for the whole
    #[arg(long)]
    json: bool,
}

/// Prints what was asked for. An error if the log is damaged.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (target, from, dumping) = match arguments.task {
        Task::Dump { target, from } => (target, from, true),
        Task::Verify { target } => (target, 0, false),
    };
    let tell = |line: LogLine| {
        let wanted = dumping && line.sequence.is_none_or(|sequence| sequence >= from) || line.what == "damage";
        if wanted {
            screen::print(&if target.json { format!("{}\n", json(&line)) } else { describe(&line) });
        }
    };
    let summary = node::inspect_log(&target.data, &protocols::all(), tell)
        .with_context(|| format!("the log of {} cannot be read", target.data.display()))?;
    if target.json {
        screen::print_line(&json(&summary));
    } else {
        screen::print_line(&format!(
            "{} segments, {} records, {} bytes of records",
            summary.segments, summary.records, summary.bytes
        ));
    }
    if summary.not_understood > 0 {
        bail!("{} records are whole but cannot be understood by this version", summary.not_understood);
    }
    match summary.refusal {
        None => Ok(()),
        Some(refusal) => bail!("{refusal}"),
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a finding holds nothing that JSON cannot")
}

/// A finding as text, one line for itself and one for each change.
fn describe(line: &LogLine) -> String {
    let place = line.offset.map_or(String::new(), |offset| format!(":{offset}"));
    let number = line.sequence.map_or(String::new(), |sequence| format!(" #{sequence}"));
    let mut text = format!("{}{place}{number} {}: {}\n", line.file, line.what, line.text);
    for entry in &line.entries {
        let _ = writeln!(text, "    entry {} term {}: {}", entry.index, entry.term, entry.what);
        for change in &entry.changes {
            let table = if change.table.is_empty() { String::new() } else { format!(" {}", change.table) };
            let bytes = if change.what == "put" { format!(" ({} bytes)", change.value_bytes) } else { String::new() };
            let _ = writeln!(text, "        r{} {}{table} {}{bytes}", change.revision, change.what, change.key);
        }
    }
    text
}
