//! `conclave dev`: a whole ensemble on this machine, as processes of this same binary, and a window on it.
//!
//! | module | what it does |
//! |---|---|
//! | [`folder`] | the folder with everybody's data: one ensemble at a time, nothing foreign is ever removed |
//! | [`plan`] | who the members are, on which ports, with which configuration |
//! | [`children`] | the processes: started, waited for, stopped |
//! | [`follow`] | the members' own word on their standing, from their admin addresses |
//! | [`story`] | from changed standings to sentences |
//! | [`show`] | the table and the lines to paste |
//!
//! It knows no more of a member than its configuration file and its admin address: what it shows, anybody can see.

mod children;
mod folder;
mod follow;
mod plan;
mod show;
mod story;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::config;
use crate::life::Life;
use crate::screen::{self, Paint, Style};
use children::Children;
use folder::Folder;
use plan::Plan;
use story::Scene;

/// Runs an ensemble on this machine.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many members; by default three, or as many as the data folder holds
    #[arg(long, value_name = "N", value_parser = PossibleValuesParser::new(["1", "3", "5"]).map(|text| count(&text)))]
    members: Option<usize>,
    /// The folder for the members' data, configuration and logs
    #[arg(long, value_name = "DIR", default_value = "conclave-data")]
    data: PathBuf,
    /// Forget the data of earlier runs
    #[arg(long)]
    fresh: bool,
    /// Set a key of the configuration on all members (repeatable); `conclave config keys` lists them
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Print one line of JSON when all is ready, and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(crate) life: Life,
}

const MEMBERS: usize = 3;

fn count(text: &str) -> usize {
    match text {
        "1" => 1,
        "5" => 5,
        _ => MEMBERS,
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("KEY=VALUE is needed, as in timing.heartbeat=20ms")?;
    config::settable_on_all(name.trim(), value)?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// What happened to a member, named by its place in the plan.
#[derive(Debug)]
enum Event {
    /// Its admin address told a new standing.
    Standing(usize, Box<crate::admin::Report>),
    /// The connection to its admin address ended.
    Silent(usize),
    /// Its process, started here, ended; the text says how.
    Ended(usize, String),
}

/// Events that wait to be shown. Senders wait when it is full, and nothing is lost.
const EVENTS: usize = 64;

/// How long the members may take to start and to agree on a leader.
const START: Duration = Duration::from_secs(60);

/// Runs the ensemble until it is interrupted. Must be polled on the main thread: see [`children`].
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut interrupts = Interrupts::new()?;
    let folder = Folder::open(&arguments.data, arguments.fresh)?;
    let settings: BTreeMap<String, String> = arguments.settings.into_iter().collect();
    let plan = Plan::make(&folder, arguments.members, &settings)?;
    plan.write()?;
    let window = Window { style: Style::for_output(), quiet: arguments.json };
    for notice in &plan.notices {
        window.say(&window.style.paint(Paint::Warning, notice));
    }

    let (events, mut happening) = mpsc::channel(EVENTS);
    let mut scene = Scene::new(&plan);
    let mut children = Children::start(&plan, &mut scene, &events)?;
    for (place, member) in plan.members.iter().enumerate() {
        tokio::spawn(follow::follow(place, member.addresses.admin.clone(), events.clone()));
    }
    let outcome = tokio::select! {
        outcome = start(&mut scene, &mut happening) => Some(outcome),
        () = interrupts.next() => None,
    };
    match outcome {
        Some(Ok(())) => {
            window.open(&plan, &scene);
            tokio::select! {
                () = watch(&window, &mut scene, &mut happening) => {}
                () = interrupts.next() => {}
            }
        }
        Some(Err(error)) => {
            stop(&window, &mut children, &mut happening, &mut interrupts).await;
            return Err(error);
        }
        None => {}
    }
    stop(&window, &mut children, &mut happening, &mut interrupts).await;
    for line in scene.left_running() {
        window.say(&line.painted(window.style));
    }
    let shown = plan.folder.display();
    window.say(&format!("All members are stopped. The data stays in {shown}; the next start goes on with it."));
    Ok(())
}

/// Waits until all members are there and agree on a leader that commits.
async fn start(scene: &mut Scene, happening: &mut mpsc::Receiver<Event>) -> anyhow::Result<()> {
    let deadline = tokio::time::sleep(START);
    tokio::pin!(deadline);
    while !scene.ready() {
        tokio::select! {
            event = happening.recv() => match event.expect("this task holds a sender") {
                Event::Standing(place, report) => {
                    scene.stands(place, *report);
                }
                Event::Silent(_) => {}
                Event::Ended(place, how) => anyhow::bail!(scene.stillborn(place, &how)),
            },
            () = &mut deadline => anyhow::bail!(scene.unfinished(START)),
        }
    }
    Ok(())
}

/// Shows what happens, for ever.
async fn watch(window: &Window, scene: &mut Scene, happening: &mut mpsc::Receiver<Event>) {
    while let Some(event) = happening.recv().await {
        let lines = match event {
            Event::Standing(place, report) => scene.stands(place, *report),
            Event::Silent(place) => scene.silent(place),
            Event::Ended(place, how) => scene.ended(place, &how),
        };
        for line in lines {
            window.say(&line.painted(window.style));
        }
    }
}

/// Stops all members; a second interrupt stops waiting for them.
async fn stop(
    window: &Window,
    children: &mut Children,
    happening: &mut mpsc::Receiver<Event>,
    interrupts: &mut Interrupts,
) {
    window.say("Stopping all members.");
    let stopped = tokio::select! {
        stopped = children.stop(happening) => stopped,
        () = interrupts.next() => false,
    };
    if !stopped {
        window.say(&window.style.paint(Paint::Alarm, "Some members did not stop in time and are killed."));
        children.kill(happening).await;
    }
}

/// Where people watch.
struct Window {
    style: Style,
    quiet: bool,
}

impl Window {
    fn say(&self, line: &str) {
        if !self.quiet {
            screen::print_line(line);
        }
    }

    /// All is ready.
    fn open(&self, plan: &Plan, scene: &Scene) {
        if self.quiet {
            screen::print_line(&show::json(plan, scene));
        } else {
            screen::print(&show::welcome(plan, scene, self.style));
        }
    }
}

/// Ctrl-C, a polite request to end, and the terminal going away.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn new() -> anyhow::Result<Interrupts> {
        let catch = |kind| signal(kind).context("signals cannot be caught");
        Ok(Interrupts([catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?, catch(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
