//! `conclave why`: the members' election diaries as one story, and first of all its point: why did the leader change?
//!
//! | module | what it does |
//! |---|---|
//! | [`sources`] | which members there are, and their diaries: asked for, or read from their files |
//! | [`timeline`] | from several diaries to one |
//! | [`answer`] | the point, in a few sentences |
//! | [`show`] | text and JSON |

mod answer;
mod show;
pub(crate) mod sources;
#[cfg(test)]
mod tests;
mod timeline;

use std::path::PathBuf;

use crate::moment;
use crate::screen::{self, Style};

/// Tells why the leader changed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The admin address of a member (repeatable); it names the others
    #[arg(long, value_name = "HOST:PORT")]
    admin: Vec<String>,
    /// The configuration file of a member of this machine
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of a development ensemble [default: conclave-data, if nothing else is given]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON, with the facts of every entry
    #[arg(long)]
    json: bool,
    /// How many entries of the timeline to show, the newest ones
    #[arg(long, value_name = "N", default_value_t = 40)]
    last: usize,
}

/// Collects the diaries and tells the story.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let found = sources::find(&arguments.admin, arguments.config.as_deref(), arguments.data.as_deref()).await?;
    let witnesses = sources::hear(found).await;
    let nobody = witnesses.iter().all(|witness| witness.origin == sources::Origin::Nothing);
    if nobody {
        let problems = witnesses.iter().filter_map(|witness| witness.problem.as_deref()).collect::<Vec<_>>();
        anyhow::bail!("no diary can be read:\n{}", problems.join("\n"));
    }
    let entries = timeline::merge(witnesses.iter().map(|witness| witness.entries.clone()));
    let answer = answer::answer(&witnesses, &entries, moment::now());
    if arguments.json {
        screen::print_line(&show::json(&answer, &witnesses, &entries, arguments.last));
    } else {
        let moments = timeline::group(entries);
        screen::print(&show::page(&answer, &moments, arguments.last, Style::for_output()));
    }
    Ok(())
}
