//! The members' processes.
//!
//! Nobody is left behind, however `dev` ends: a member asks the kernel to be killed with its parent. To the kernel the
//! parent is the *thread* that started it, so [`Children::start`] must run on the main thread, which lives as long as the
//! process. Members stand in process groups of their own: Ctrl-C at the terminal reaches `dev` alone, which stops them.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use super::Event;
use super::plan::{Plan, Planned};
use super::story::Scene;
use crate::life;

/// What the members' keepers are to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Wish {
    Run,
    Stop,
    Kill,
}

/// The processes started here, each with a keeper that waits for its end.
pub(super) struct Children {
    wish: watch::Sender<Wish>,
    running: tokio::task::JoinSet<()>,
}

/// How long members may take to stop: leadership is handed over and connections are closed.
const STOP: Duration = Duration::from_secs(15);

impl Children {
    /// Starts all members. Must run on the main thread.
    pub(super) fn start(plan: &Plan, scene: &mut Scene, events: &mpsc::Sender<Event>) -> anyhow::Result<Children> {
        let wish = watch::Sender::new(Wish::Run);
        let mut running = tokio::task::JoinSet::new();
        for (place, member) in plan.members.iter().enumerate() {
            let child = spawn(member).with_context(|| format!("{} cannot be started", member.name))?;
            scene.started(place, child.id());
            running.spawn(keep(place, child, wish.subscribe(), events.clone()));
        }
        Ok(Children { wish, running })
    }

    /// Asks all members to stop and waits for them. False if some did not.
    pub(super) async fn stop(&mut self, happening: &mut mpsc::Receiver<Event>) -> bool {
        self.wish.send_replace(Wish::Stop);
        tokio::time::timeout(STOP, self.all_ended(happening)).await.is_ok()
    }

    /// Kills what still runs.
    pub(super) async fn kill(&mut self, happening: &mut mpsc::Receiver<Event>) {
        self.wish.send_replace(Wish::Kill);
        self.all_ended(happening).await;
    }

    /// Waits for all keepers, and drops events meanwhile so that no keeper waits to report.
    async fn all_ended(&mut self, happening: &mut mpsc::Receiver<Event>) {
        loop {
            tokio::select! {
                ended = self.running.join_next() => if ended.is_none() { return },
                _ = happening.recv() => {}
            }
        }
    }
}

fn spawn(member: &Planned) -> anyhow::Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&member.log)
        .with_context(|| format!("{} cannot be written", member.log.display()))?;
    let program = std::env::current_exe().context("this program does not know where it lies")?;
    let child = Command::new(program)
        .arg("serve")
        .arg("--config")
        .arg(&member.config)
        .arg(life::OPTION)
        .arg(std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

/// Waits for a member's end and reports it; signals it when its end is wished for.
async fn keep(place: usize, mut child: Child, mut wish: watch::Receiver<Wish>, events: mpsc::Sender<Event>) {
    loop {
        tokio::select! {
            status = child.wait() => {
                let how = status.map_or_else(|error| format!("was lost sight of ({error})"), describe);
                // Nobody listens any more only when dev itself is ending.
                let _ = events.send(Event::Ended(place, how)).await;
                return;
            }
            Ok(()) = wish.changed() => {
                let wish = *wish.borrow_and_update();
                let signal = if wish >= Wish::Kill { rustix::process::Signal::KILL } else { rustix::process::Signal::TERM };
                send(&child, signal);
            }
        }
    }
}

/// Signals a process that has not been waited for yet, so its number cannot have passed to another.
fn send(child: &Child, signal: rustix::process::Signal) {
    let number = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = number {
        // It can only fail if the process is gone, which the wait is about to tell.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// How a process ended, as the rest of a sentence.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "stopped".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(9)) => "was killed (signal 9)".to_owned(),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
