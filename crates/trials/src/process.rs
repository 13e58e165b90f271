//! Processes that are waited for by event and never left behind.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::PATIENCE;

/// The process of this number, as the system's calls want it.
///
/// # Errors
/// Fails for a number that no process can have.
pub fn pid(number: u32) -> anyhow::Result<Pid> {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    pid.with_context(|| format!("{number} is no number of a process"))
}

/// Sends a signal to any process.
///
/// # Errors
/// Fails if the process is gone.
pub fn send(number: u32, signal: Signal) -> anyhow::Result<()> {
    kill_process(pid(number)?, signal).with_context(|| format!("process {number} cannot be signalled"))
}

/// Waits until any process, a child or not, is gone.
///
/// # Errors
/// Fails if it is still there after [`PATIENCE`].
pub fn wait_gone(number: u32) -> anyhow::Result<()> {
    anyhow::ensure!(is_gone_within(number, PATIENCE)?, "process {number} is still there after {PATIENCE:?}");
    Ok(())
}

fn is_gone_within(number: u32, limit: Duration) -> anyhow::Result<bool> {
    let Ok(descriptor) = pidfd_open(pid(number)?, PidfdFlags::empty()) else { return Ok(true) };
    let timeout = Timespec { tv_sec: i64::try_from(limit.as_secs())?, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout))?;
    Ok(ready > 0)
}

/// A process of ours, whose output is read line by line. Killed when dropped.
pub struct Process {
    title: String,
    child: Child,
    lines: Receiver<String>,
    /// Lines that came, for the report of a failure.
    heard: Vec<String>,
    reader: Option<JoinHandle<()>>,
}

/// Lines that wait to be read; a process that prints more waits.
const LINES: usize = 64 * 1024;

impl Process {
    /// Starts a program. Its standard output is read here; its standard error goes wherever `command` says.
    ///
    /// # Errors
    /// Fails if the program cannot be started.
    pub fn start(title: &str, command: &mut Command) -> anyhow::Result<Process> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{title} cannot be started"))?;
        let output = child.stdout.take().context("its output is piped")?;
        let (sender, lines) = sync_channel(LINES);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Process { title: title.to_owned(), child, lines, heard: Vec::new(), reader: Some(reader) })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.child.id()
    }

    /// Writes one line to its standard input.
    ///
    /// # Errors
    /// Fails if it no longer reads.
    pub fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("its input is piped")?;
        writeln!(input, "{line}")
            .and_then(|()| input.flush())
            .with_context(|| format!("{} does not listen", self.title))
    }

    /// Waits for a line of its output that `wanted` accepts, and returns it.
    ///
    /// # Errors
    /// Fails if its output ends or [`PATIENCE`] does, with all that was heard.
    pub fn hear(&mut self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.heard.push(line.clone());
                    if wanted(&line) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{}: no {what} within {PATIENCE:?}; heard:\n{}", self.title, self.heard.join("\n"))
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!("{}: ended ({status}) before {what}; heard:\n{}", self.title, self.heard.join("\n"))
                }
            }
        }
    }

    /// All lines that came and were not heard yet.
    pub fn rest(&mut self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Waits for its end and returns how it ended, with the lines that were not heard yet.
    ///
    /// # Errors
    /// Fails if it does not end within [`PATIENCE`].
    pub fn ended(&mut self) -> anyhow::Result<(ExitStatus, Vec<String>)> {
        drop(self.child.stdin.take());
        if !is_gone_within(self.number(), PATIENCE)? {
            bail!("{} did not end within {PATIENCE:?}; heard:\n{}", self.title, self.heard.join("\n"));
        }
        let status = self.child.wait()?;
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            rest.push(line);
        }
        Ok((status, rest))
    }

    /// Whether it ends within a time.
    ///
    /// # Errors
    /// Fails if the system does not tell.
    pub fn is_gone_within(&self, limit: Duration) -> anyhow::Result<bool> {
        is_gone_within(self.number(), limit)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Fails if it is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        send(self.number(), signal)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take().filter(JoinHandle::is_finished) {
            let _ = reader.join();
        }
    }
}

/// What a program that ran to its end printed.
#[derive(Debug)]
pub struct Printed {
    /// Whether it ended with exit code 0.
    pub success: bool,
    /// Its exit code, if it was not ended by a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

/// Runs a program to its end, `input` on its standard input.
///
/// # Errors
/// Fails if it cannot be started or does not end within [`PATIENCE`]; it is killed then.
pub fn run(command: &mut Command, input: &str) -> anyhow::Result<Printed> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{shown} cannot be started"))?;
    let output = read_all(child.stdout.take());
    let errors = read_all(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input is judged by its end.
        let _ = stdin.write_all(input.as_bytes());
    }
    let in_time = is_gone_within(child.id(), PATIENCE)?;
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    let [output, errors] = [output, errors].map(|reader| reader.join().unwrap_or_default());
    anyhow::ensure!(in_time, "{shown} did not end within {PATIENCE:?}\n{output}\n{errors}");
    anyhow::ensure!(status.signal().is_none(), "{shown} was ended by a signal: {status}\n{output}\n{errors}");
    Ok(Printed { success: status.success(), code: status.code(), output, errors })
}

fn read_all(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What came before an error is all there is to show.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
