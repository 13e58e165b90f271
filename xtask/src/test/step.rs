//! One step: a command, shown and run, its output passed on line by line and counted where it tells of tests.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::count::Count;
use crate::screen::{complain, say};

/// A command to run.
pub(super) struct Step {
    pub(super) title: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
    counted: bool,
}

/// A step that calls cargo.
pub(super) fn cargo(arguments: &[&str]) -> Step {
    command(Path::new("cargo"), arguments)
}

/// A step that calls a program.
pub(super) fn command(program: &Path, arguments: &[&str]) -> Step {
    Step {
        title: "",
        program: program.to_owned(),
        arguments: arguments.iter().map(OsString::from).collect(),
        variables: Vec::new(),
        counted: false,
    }
}

impl Step {
    pub(super) fn titled(mut self, title: &'static str) -> Step {
        self.title = title;
        self
    }

    pub(super) fn and(mut self, arguments: &[&str]) -> Step {
        self.arguments.extend(arguments.iter().map(OsString::from));
        self
    }

    pub(super) fn with(mut self, variable: &'static str, value: impl AsRef<OsStr>) -> Step {
        self.variables.push((variable, value.as_ref().to_owned()));
        self
    }

    /// The output tells numbers of tests.
    pub(super) fn counted(mut self) -> Step {
        self.counted = true;
        self
    }

    /// The command as somebody would type it.
    pub(super) fn shown(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| argument.to_string_lossy());
        let words: Vec<_> = std::iter::once(self.program.to_string_lossy()).chain(arguments).collect();
        words.join(" ")
    }

    fn built(&self, root: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(root).stdin(Stdio::null()).kill_on_drop(true);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the command silently and tells whether it succeeded.
    pub(super) async fn succeeds(&self, root: &Path) -> bool {
        let silent = self.built(root).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        silent.is_ok_and(|status| status.success())
    }

    /// Runs the command, passes its output on and counts.
    pub(super) async fn run(&self, root: &Path) -> anyhow::Result<Count> {
        let shown = self.shown();
        let mut child = self
            .built(root)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{shown} cannot be started"))?;
        let output = child.stdout.take().expect("the output is piped");
        let errors = child.stderr.take().expect("the errors are piped");
        let (mut count, more) = tokio::join!(pass_on(output, say), pass_on(errors, complain));
        count.add(more);
        let status = child.wait().await.with_context(|| format!("{shown} was lost sight of"))?;
        Ok(count.settled(status.success(), self.counted))
    }
}

/// Passes lines on and adds up what they tell.
async fn pass_on(stream: impl AsyncRead + Unpin, to: fn(&str)) -> Count {
    let mut lines = BufReader::new(stream).lines();
    let mut count = Count::default();
    while let Ok(Some(line)) = lines.next_line().await {
        to(&line);
        count.add(Count::of_line(&line));
    }
    count
}
