//! Leaves no process behind, however a script ends.
//!
//! Two processes stand over the work: this program starts itself once more, and the inner one does the work. Both are
//! *subreapers*: whatever is orphaned below them becomes their child, process groups or not. When either is interrupted,
//! fails or finishes, it kills its children until none is left. If the outer one is killed outright, the kernel tells the
//! inner one; if the inner one is killed outright, its children fall to the outer one.

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitOptions};
use tokio::signal::unix::{SignalKind, signal};

/// Runs `work` in a process of its own, guarded by this one; `guarded_by` is the guard's number in the inner process.
pub(crate) fn run<W, F>(guarded_by: Option<i32>, work: W) -> anyhow::Result<ExitCode>
where
    W: FnOnce() -> F,
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("orphans cannot be adopted")?;
    let Some(guard) = guarded_by else {
        return runtime.block_on(guarded(start_inner()));
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))
        .context("the guard's end cannot be noticed")?;
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    anyhow::ensure!(parent == Some(guard), "the guard is already gone");
    runtime.block_on(guarded(work()))
}

/// This program once more, with the same arguments.
async fn start_inner() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("this program does not know where it lies")?;
    let mut command = tokio::process::Command::new(program);
    command.args(std::env::args_os().skip(1)).arg("--guarded-by").arg(std::process::id().to_string());
    let status = command.status().await.context("the work cannot be started")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// What a shell reports for a command that was interrupted.
const INTERRUPTED: u8 = 130;

/// Runs until the work is done or interrupted, then leaves nothing behind.
async fn guarded(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let outcome = tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => Ok(ExitCode::from(INTERRUPTED)),
        _ = terminate.recv() => Ok(ExitCode::from(INTERRUPTED)),
        _ = hangup.recv() => Ok(ExitCode::from(INTERRUPTED)),
    };
    sweep();
    outcome
}

/// Kills all descendants. Each death makes its children ours, so this ends when there is none to wait for.
fn sweep() {
    loop {
        for child in children() {
            // It fails only for a process that is gone, which is what is wanted.
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        if rustix::process::wait(WaitOptions::empty()).is_err() {
            return;
        }
    }
}

/// The processes whose parent is this one.
fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|number| parent_of(*number) == Some(own)).filter_map(Pid::from_raw).collect()
}

/// The parent of a process: the second field after its name, which stands in brackets and may hold anything.
fn parent_of(number: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}
