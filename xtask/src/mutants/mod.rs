//! `cargo xtask mutants`: puts the known bugs into the core, one after the other, and looks who notices.
//!
//! | module | what it is |
//! |---|---|
//! | [`list`] | the bugs by name |
//! | [`checks`] | the programs that may notice one |
//!
//! What is cheap comes first. A bug that nobody notices fails the command; so does one that the golden scripts or the
//! small world meant for it no longer notice, and any check that finds something wrong when no bug is in.

mod checks;
mod list;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::screen::say;
use checks::{Checks, Verdict};
use list::{MUTANTS, Mutant};

/// How much is asked for.
#[derive(Args, Clone)]
pub(crate) struct Wishes {
    /// Run the golden scripts only (part of `cargo xtask test`)
    #[arg(long)]
    scripts: bool,
    /// Only the bugs whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// The most seeds that the walker walks for one bug
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// Explore every small world for every bug, not only the one that must notice it
    #[arg(long)]
    every_world: bool,
    /// Let the simulator look for each bug as well, in at most so many seeds
    #[arg(long, default_value_t = 0)]
    simulator: u64,
}

/// What every check said of one bug; `None` where it was not asked.
struct Row {
    mutant: &'static Mutant,
    scripts: Verdict,
    walker: Option<Verdict>,
    model: Option<Verdict>,
    simulator: Option<Verdict>,
}

/// See the file's head.
pub(crate) async fn run(root: PathBuf, wishes: Wishes) -> anyhow::Result<ExitCode> {
    let listed = MUTANTS.iter().map(|mutant| mutant.name.to_owned()).collect();
    ensure!(list::names_in_source(&root)? == listed, "the list in xtask and the questions in crates/raft differ");
    let checks = Arc::new(Checks::build(&root, wishes.scripts).await?);
    let began = Instant::now();
    look_without(&checks, &wishes).await?;

    let places = std::thread::available_parallelism().map_or(1, usize::from);
    let room = Arc::new(Semaphore::new(places));
    let mut tasks = JoinSet::new();
    for (position, mutant) in MUTANTS.iter().enumerate().filter(|(_, mutant)| mutant.name.contains(&wishes.only)) {
        let (checks, wishes, room) = (checks.clone(), wishes.clone(), room.clone());
        tasks.spawn(async move {
            let _place = room.acquire_owned().await?;
            anyhow::Ok((position, look(&checks, &wishes, mutant).await?))
        });
    }
    let mut rows = Vec::new();
    while let Some(row) = tasks.join_next().await {
        rows.push(row??);
    }
    rows.sort_by_key(|(position, _)| *position);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    Ok(close(&rows, began))
}

/// A check that finds something wrong where nothing is proves nothing.
async fn look_without(checks: &Checks, wishes: &Wishes) -> anyhow::Result<()> {
    let sound = |verdict: Verdict| verdict == Verdict::Nothing;
    ensure!(sound(checks.scripts(None).await?), "the scripts fail with no known bug in");
    if !wishes.scripts {
        ensure!(sound(checks.walker(None, wishes.seeds).await?), "the walker fails with no known bug in");
        ensure!(sound(checks.model(None, None).await?), "the model check fails with no known bug in");
    }
    if wishes.simulator > 0 {
        ensure!(sound(checks.simulator(None, wishes.simulator).await?), "the simulator fails with no known bug in");
    }
    Ok(())
}

async fn look(checks: &Checks, wishes: &Wishes, mutant: &'static Mutant) -> anyhow::Result<Row> {
    let name = Some(mutant.name);
    let mut row = Row { mutant, scripts: checks.scripts(name).await?, walker: None, model: None, simulator: None };
    if !wishes.scripts {
        row.walker = Some(checks.walker(name, wishes.seeds).await?);
        if let Some(world) = mutant.world {
            row.model = Some(checks.model(name, Some(world)).await?);
        } else if wishes.every_world {
            row.model = Some(checks.model(name, None).await?);
        }
    }
    if wishes.simulator > 0 {
        row.simulator = Some(checks.simulator(name, wishes.simulator).await?);
    }
    Ok(row)
}

impl Row {
    /// What is less than it should be, if anything is.
    fn complaint(&self) -> Option<String> {
        let others = [&self.walker, &self.model, &self.simulator];
        let noticed = |verdict: &Verdict| matches!(verdict, Verdict::Noticed(_));
        if !noticed(&self.scripts) && !others.into_iter().flatten().any(noticed) {
            return Some("NOBODY NOTICES".to_owned());
        }
        if !noticed(&self.scripts) {
            return Some("no script notices".to_owned());
        }
        let expected = self.model.as_ref().zip(self.mutant.world);
        expected
            .filter(|(verdict, _)| !noticed(verdict))
            .map(|(_, world)| format!("the world {:?} does not notice", world.name))
    }
}

fn shown(verdict: Option<&Verdict>) -> &str {
    match verdict {
        None => "",
        Some(Verdict::Nothing) => "-",
        Some(Verdict::Noticed(how)) => how,
    }
}

/// Prints the table.
fn close(rows: &[Row], began: Instant) -> ExitCode {
    say("\nThe known bug                Scripts  Walker    Simulator  Model check");
    say("                             (failed) (seeds)   (seeds)    (world: broken promise)\n");
    let mut complaints = Vec::new();
    for row in rows {
        let Row { mutant, scripts, walker, model, simulator } = row;
        let (scripts, walker) = (shown(Some(scripts)), shown(walker.as_ref()));
        let (model, simulator) = (shown(model.as_ref()), shown(simulator.as_ref()));
        let line = format!("{:<28} {scripts:<8} {walker:<9} {simulator:<10} {model}", mutant.name);
        say(line.trim_end());
        say(&format!("    {}", mutant.what));
        complaints.extend(row.complaint().map(|complaint| format!("{}: {complaint}", mutant.name)));
    }
    let took = began.elapsed().as_secs_f64();
    say(&format!(
        "\n{} known bugs put back, {} not noticed as they must be; {took:.0} s",
        rows.len(),
        complaints.len()
    ));
    complaints.iter().for_each(|complaint| say(complaint));
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
