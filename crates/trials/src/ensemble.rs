//! An ensemble of real processes: started by `conclave dev`, killed and brought back by name.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, Process};
use crate::{admin, binary};

/// One member, as `conclave dev --json` describes it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The number of its process; changes when it is brought back.
    pub pid: u32,
    /// Where ZooKeeper's clients reach it.
    pub zookeeper: String,
    /// Where etcd's clients reach it.
    pub etcd: String,
    /// Where it answers by HTTP.
    pub admin: String,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its data folder.
    pub data: PathBuf,
}

/// An ensemble in a folder of its own. Everything is stopped and removed when it is dropped; members' logs are shown then
/// if a test is failing.
pub struct Ensemble {
    dev: Process,
    members: Vec<Member>,
    /// Members that were brought back by hand.
    by_hand: BTreeMap<String, Process>,
    folder: TempDir,
}

/// Starts `conclave dev` with its data in `data` and these further options.
///
/// # Errors
/// Fails if the binary cannot be started.
pub fn dev(data: &Path, options: &[&str]) -> anyhow::Result<Process> {
    let errors = File::create(data.with_extension("errors"))?;
    let mut command = Command::new(binary());
    command.arg("dev").arg("--data").arg(data).args(options).stderr(errors);
    Process::start("conclave dev", bound_to_us(&mut command))
}

/// Starts `conclave serve` with this configuration file, its errors going to `log`.
///
/// # Errors
/// Fails if the binary cannot be started or the log not be written.
pub fn serve(config: &Path, log: &Path) -> anyhow::Result<Process> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(binary());
    command.arg("serve").arg("--config").arg(config).stderr(log);
    Process::start("conclave serve", bound_to_us(&mut command))
}

/// The process dies with the thread that starts it, even if that is killed outright.
fn bound_to_us(command: &mut Command) -> &mut Command {
    command.arg("--parent").arg(std::process::id().to_string())
}

/// Reads the line that `conclave dev --json` prints when all is ready.
///
/// # Errors
/// Fails if a field is missing.
pub fn members(line: &str) -> anyhow::Result<Vec<Member>> {
    let ready: Value = serde_json::from_str(line).with_context(|| format!("{line:?} is no JSON"))?;
    let members = ready["members"].as_array().context("no members")?;
    let read = |member: &Value| {
        let text = |field: &str| member[field].as_str().map(str::to_owned).with_context(|| format!("no {field}"));
        let pid = member["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).context("no pid")?;
        let (config, data) = (text("config")?.into(), text("data")?.into());
        Ok(Member {
            name: text("name")?,
            pid,
            zookeeper: text("zookeeper")?,
            etcd: text("etcd")?,
            admin: text("admin")?,
            config,
            data,
        })
    };
    members.iter().map(read).collect()
}

impl Ensemble {
    /// Starts that many members and waits until they serve.
    ///
    /// # Errors
    /// Fails if they do not.
    pub fn start(count: usize) -> anyhow::Result<Ensemble> {
        Ensemble::start_with(count, &[])
    }

    /// The same, with `KEY=VALUE` settings on all members.
    ///
    /// # Errors
    /// Fails if they do not serve.
    pub fn start_with(count: usize, settings: &[&str]) -> anyhow::Result<Ensemble> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("ensemble");
        let count = count.to_string();
        let mut options = vec!["--json", "--members", &count, "--fresh"];
        options.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let mut dev = dev(&data, &options)?;
        let line = dev.hear("line of JSON", |_| true).map_err(|error| {
            let errors = std::fs::read_to_string(data.with_extension("errors")).unwrap_or_default();
            error.context(errors)
        })?;
        Ok(Ensemble { dev, members: members(&line)?, by_hand: BTreeMap::new(), folder })
    }

    /// All members, in the order of their names.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn member(&self, name: &str) -> &Member {
        let member = self.members.iter().find(|member| member.name == name);
        member.unwrap_or_else(|| panic!("there is no member {name}"))
    }

    /// The process of `conclave dev`.
    pub fn dev(&mut self) -> &mut Process {
        &mut self.dev
    }

    /// The folder that holds data, configurations and logs.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("ensemble")
    }

    /// All addresses for etcd's clients.
    #[must_use]
    pub fn etcd(&self) -> Vec<String> {
        self.members.iter().map(|member| member.etcd.clone()).collect()
    }

    /// All addresses for ZooKeeper's clients, separated by commas.
    #[must_use]
    pub fn zookeeper(&self) -> String {
        self.members.iter().map(|member| member.zookeeper.as_str()).collect::<Vec<_>>().join(",")
    }

    /// The name of the leader that the member knows; waits until it knows one that commits.
    ///
    /// # Errors
    /// Fails if there is none in time.
    pub fn leader_known_by(&self, name: &str) -> anyhow::Result<String> {
        self.leader_other_than(name, "")
    }

    /// The same, but waits for another leader than `other`.
    ///
    /// # Errors
    /// Fails if there is none in time.
    pub fn leader_other_than(&self, name: &str, other: &str) -> anyhow::Result<String> {
        let report = admin::wait_until(&self.member(name).admin, "a leader", |report| {
            report["can_commit"] == true && report["leader"].as_str().is_some_and(|leader| leader != other)
        })?;
        Ok(report["leader"].as_str().context("it was just seen")?.to_owned())
    }

    /// Kills a member without warning and waits until it is gone.
    ///
    /// # Errors
    /// Fails if it was not there.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let number = self.member(name).pid;
        process::send(number, Signal::KILL)?;
        match self.by_hand.remove(name) {
            Some(process) => drop(process),
            None => process::wait_gone(number)?,
        }
        Ok(())
    }

    /// A member ended in order, as it was told to: waits until it is gone.
    ///
    /// # Errors
    /// Fails if it is still there after a while.
    pub fn forget(&mut self, name: &str) -> anyhow::Result<()> {
        let number = self.member(name).pid;
        match self.by_hand.remove(name) {
            Some(mut process) => process.ended().map(|_| ()),
            None => process::wait_gone(number),
        }
    }

    /// Brings a member back as `conclave dev` says: `conclave serve --config FILE`. Waits until it answers.
    ///
    /// # Errors
    /// Fails if it does not.
    pub fn bring_back(&mut self, name: &str) -> anyhow::Result<()> {
        let config = self.member(name).config.clone();
        let process = serve(&config, &config.with_extension("log"))?;
        let number = process.number();
        self.by_hand.insert(name.to_owned(), process);
        let member = self.members.iter_mut().find(|member| member.name == name).context("no such member")?;
        member.pid = number;
        admin::wait_until(&member.admin, "its own answer", |report| report["pid"] == number)?;
        Ok(())
    }

    /// What `conclave member … --json` answers, asked of the first member that is there.
    ///
    /// # Errors
    /// Fails with what the command says.
    pub fn member_command(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut command = Command::new(binary());
        command.arg("member").args(arguments).arg("--json");
        for member in &self.members {
            command.args(["--admin", &member.admin]);
        }
        let output = command.output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "conclave member {}: {}", arguments.join(" "), told.trim());
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Adds a member with an empty disk, starts it as it is told to, and waits until it votes.
    ///
    /// # Errors
    /// Fails if it is refused, or does not get its vote.
    pub fn add(&mut self, name: &str) -> anyhow::Result<()> {
        self.start_new(name, &[])?;
        self.wait_for_standing(name, "voter")
    }

    /// Adds a member with an empty disk, with these further arguments, and starts it as it is told to.
    ///
    /// # Errors
    /// Fails if it is refused, or does not start.
    pub fn start_new(&mut self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let addresses = free_addresses()?;
        let settings: Vec<String> = PORTS.iter().zip(&addresses).map(|(port, at)| format!("{port}={at}")).collect();
        let mut all = vec!["add", name];
        settings.iter().for_each(|setting| all.extend(["--set", setting]));
        all.extend(arguments);
        let added = self.member_command(&all)?;
        let config = self.data().join(format!("{name}.toml"));
        std::fs::write(&config, added["configuration"].as_str().context("no configuration")?)?;
        let [_, etcd, zookeeper, admin] = addresses;
        let (name, data) = (name.to_owned(), self.data().join(name));
        self.members.push(Member { name: name.clone(), pid: 0, zookeeper, etcd, admin, config, data });
        self.bring_back(&name)
    }

    /// Waits until the ensemble knows this member as a `voter`, `learner` or `joining`.
    ///
    /// # Errors
    /// Fails if that does not come.
    pub fn wait_for_standing(&self, name: &str, standing: &str) -> anyhow::Result<()> {
        let voter = standing == "voter";
        admin::wait_until(&self.member(name).admin, standing, |report| {
            let members = report["members"].as_array().into_iter().flatten();
            report["can_commit"] == true
                && members.filter(|member| member["name"] == name).any(|member| member["voter"] == voter)
        })?;
        let listed = self.member_command(&["list"])?;
        let members = listed["members"].as_array().context("no members")?;
        let found = members.iter().find(|member| member["name"] == name).context("it is not listed")?;
        ensure!(found["standing"] == standing, "{name} is {}", found["standing"]);
        Ok(())
    }

    /// Removes a member and waits until its process is gone, by itself if it lives.
    ///
    /// # Errors
    /// Fails if the removal is refused, or the process stays.
    pub fn remove(&mut self, name: &str) -> anyhow::Result<()> {
        self.member_command(&["remove", name])?;
        let gone = self.member(name).clone();
        match self.by_hand.remove(name) {
            Some(mut process) => drop(process.ended()?),
            None => process::wait_gone(gone.pid)?,
        }
        self.members.retain(|member| member.name != name);
        Ok(())
    }

    /// Stops everything cleanly.
    ///
    /// # Errors
    /// Fails if anything does not end well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        for (name, mut process) in std::mem::take(&mut self.by_hand) {
            process.signal(Signal::TERM)?;
            let (status, _) = process.ended()?;
            ensure!(status.success(), "{name} ended with {status}");
        }
        self.dev.signal(Signal::TERM)?;
        let (status, _) = self.dev.ended()?;
        ensure!(status.success(), "conclave dev ended with {status}");
        Ok(())
    }

    /// The ends of all members' logs, for the report of a failure.
    fn logs(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            let log = std::fs::read(member.config.with_extension("log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            text.push_str(&format!("--- the log of {}:\n", member.name));
            text.push_str(&lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
            text.push('\n');
        }
        text
    }
}

/// The ports of a member, as `--set` names them.
const PORTS: [&str; 4] = ["peer", "etcd", "zookeeper", "admin"];

/// An address for each of [`PORTS`] on which nobody listens.
fn free_addresses() -> anyhow::Result<[String; 4]> {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut addresses = [const { String::new() }; 4];
    for (address, listener) in addresses.iter_mut().zip(listeners) {
        *address = listener?.local_addr()?.to_string();
    }
    Ok(addresses)
}

/// Lines of each member's log that the report of a failure shows.
const SHOWN: usize = 40;

impl Drop for Ensemble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            use std::io::Write as _;
            // A report that cannot be written is lost; the test fails all the same.
            let _ = writeln!(std::io::stderr(), "{}", self.logs());
        }
        // The members go with dev; the folder is removed only after them. What is gone already cannot be signalled.
        self.by_hand.clear();
        let _ = self.dev.signal(Signal::KILL);
        for member in &self.members {
            let _ = process::wait_gone(member.pid);
        }
    }
}
