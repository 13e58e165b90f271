//! Binding this process's life to its parent's, so that nobody is left behind when the parent is killed outright.

use anyhow::Context as _;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// The hidden option of commands that others start.
#[derive(clap::Args)]
pub(crate) struct Life {
    /// Die with the process of this number, which must be the parent: nobody is left behind if it is killed
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<i32>,
}

/// The option that [`Life`] reads.
pub(crate) const OPTION: &str = "--parent";

impl Life {
    /// Asks the kernel to kill this process when its parent ends, if the parent wishes so.
    ///
    /// The parent is, to the kernel, the *thread* that started this process; whoever passes the option starts the
    /// process from a thread that lives as long as it should.
    pub(crate) fn bind_to_parent(&self) -> anyhow::Result<()> {
        let Some(parent) = self.parent else { return Ok(()) };
        set_parent_process_death_signal(Some(Signal::KILL))
            .context("the kernel does not end this process with its parent")?;
        let actual = getppid().map(|pid| pid.as_raw_nonzero().get());
        anyhow::ensure!(actual == Some(parent), "the parent process {parent} is already gone");
        Ok(())
    }
}
