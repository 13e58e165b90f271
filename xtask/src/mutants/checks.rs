//! The programs that may notice a known bug, and what their outputs say. Each is built once, with all the bugs in it;
//! the environment chooses one, or none.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::Command;

use super::list::World;

/// The variable that puts one known bug in.
const CHOICE: &str = "CONCLAVE_MUTANT";

/// A check that takes longer has been hung by the bug, which is a way to notice it.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It found nothing wrong.
    Nothing,
    /// It found something wrong: where, in a few words.
    Noticed(String),
}

/// The programs with all the bugs in them.
pub(super) struct Checks {
    root: PathBuf,
    tests: PathBuf,
    more: Option<(PathBuf, PathBuf)>,
}

impl Checks {
    /// Builds the scripts and the walker, and unless `only_scripts` the model check and the simulator, in a folder of
    /// their own: nobody should ever run these by mistake.
    pub(super) async fn build(root: &Path, only_scripts: bool) -> anyhow::Result<Self> {
        let tests = built(root, &["test", "--package", "conclave-raft", "--lib", "--no-run"]).await?;
        let tests = tests.into_iter().next().context("cargo named no program of tests")?;
        let more = if only_scripts {
            None
        } else {
            let both = ["--bin", "model", "--bin", "conclave-sim"];
            let mut build = vec!["build", "--profile", "test", "--package", "conclave-sim"];
            build.extend(both);
            let programs = built(root, &build).await?;
            let named = |name: &str| programs.iter().find(|path| path.ends_with(name)).cloned();
            Some((named("model").context("no model")?, named("conclave-sim").context("no simulator")?))
        };
        Ok(Self { root: root.to_owned(), tests, more })
    }

    /// All golden scripts.
    pub(super) async fn scripts(&self, mutant: Option<&str>) -> anyhow::Result<Verdict> {
        let mut command = self.command(&self.tests, mutant);
        self.judge(command.arg("tests::scripts"), noticed_by_scripts).await
    }

    /// The seeded walker, until a seed notices something.
    pub(super) async fn walker(&self, mutant: Option<&str>, seeds: u64) -> anyhow::Result<Verdict> {
        let mut command = self.command(&self.tests, mutant);
        command.arg("tests::walker::whatever").env("CONCLAVE_RAFT_SEEDS", seeds.to_string());
        self.judge(&mut command, noticed_by_walker).await
    }

    /// The bounded model check: one small world, or all.
    pub(super) async fn model(&self, mutant: Option<&str>, world: Option<World>) -> anyhow::Result<Verdict> {
        let (model, _) = self.more.as_ref().context("the model was not built")?;
        let mut command = self.command(model, mutant);
        command.arg("--until-broken");
        if let Some(world) = world {
            command.args(["--only", world.name]).args(world.deep.then_some("--deep"));
        }
        self.judge(&mut command, noticed_by_model).await
    }

    /// The simulator, until a seed notices something.
    pub(super) async fn simulator(&self, mutant: Option<&str>, seeds: u64) -> anyhow::Result<Verdict> {
        let (_, simulator) = self.more.as_ref().context("the simulator was not built")?;
        let mut command = self.command(simulator, mutant);
        // Short worlds in which always something is wrong: the long ones would take too long for as much.
        command.args(["--seeds", &seeds.to_string(), "--simulate", "60"]);
        self.judge(&mut command, noticed_by_simulator).await
    }

    fn command(&self, program: &Path, mutant: Option<&str>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root.join("crates/raft")).env_remove(CHOICE).envs(mutant.map(|name| (CHOICE, name)));
        command
    }

    async fn judge(&self, command: &mut Command, told: fn(&str) -> String) -> anyhow::Result<Verdict> {
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let Ok(output) = tokio::time::timeout(PATIENCE, output).await else {
            return Ok(Verdict::Noticed("it hangs".to_owned()));
        };
        let output = output.context("a check cannot be started")?;
        if output.status.success() {
            return Ok(Verdict::Nothing);
        }
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Ok(Verdict::Noticed(told(&said)))
    }
}

/// Builds with the known bugs in, and tells the programs that came of it.
async fn built(root: &Path, arguments: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("cargo")
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .env("RUSTFLAGS", "--cfg mutants")
        .env("CARGO_TARGET_DIR", root.join("target/mutants"))
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("cargo cannot be started")?;
    anyhow::ensure!(output.status.success(), "cargo {} failed", arguments.join(" "));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().filter_map(program).collect())
}

/// The program that a line of cargo's messages tells of.
fn program(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    message.get("executable")?.as_str().map(PathBuf::from)
}

/// How many scripts show something else, and one of them.
fn noticed_by_scripts(said: &str) -> String {
    let failed = said.lines().filter_map(|line| {
        let (name, why) = line.split_once(": ")?;
        let is_script = name.contains('_') && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        (is_script && !why.is_empty()).then_some(name)
    });
    // Those that panicked stand in the sum only as what they are: scripts that show something else.
    match failed.count() {
        0 => "failed".to_owned(),
        count => count.to_string(),
    }
}

/// The seed that noticed; seeds count from 0, so one more were needed.
fn noticed_by_walker(said: &str) -> String {
    let seed = said.split("seed ").skip(1).find_map(|rest| rest.split_once(" (again")?.0.parse::<u64>().ok());
    seed.map_or_else(|| "coverage".to_owned(), |seed| (seed + 1).to_string())
}

/// The world that came out otherwise, and how.
fn noticed_by_model(said: &str) -> String {
    let mut world = "";
    for line in said.lines() {
        if let Some((name, _)) =
            line.split_once(": ").filter(|_| line.starts_with(|letter: char| letter.is_ascii_lowercase()))
        {
            world = name;
        }
        for verdict in ["BROKEN: ", "VACUOUS: "] {
            if let Some(what) = line.trim_start().strip_prefix(verdict) {
                return format!("{world}: {what}");
            }
        }
    }
    "failed".to_owned()
}

/// The seed that noticed.
fn noticed_by_simulator(said: &str) -> String {
    let seed = said.lines().find_map(|line| {
        let rest = line.strip_prefix("seed ")?;
        rest.split([',', ' ']).next()?.parse::<u64>().ok()
    });
    seed.map_or_else(|| "failed".to_owned(), |seed| seed.to_string())
}

#[cfg(test)]
mod tests {
    use super::{noticed_by_model, noticed_by_scripts, noticed_by_simulator, noticed_by_walker};

    #[test]
    fn outputs_are_understood() {
        let scripts =
            "thread 'x' panicked:\na_vote_lost: it shows something else\nno_read: it shows something else\nnote: x";
        assert_eq!(noticed_by_scripts(scripts), "2");
        assert_eq!(noticed_by_walker("panicked at\nseed 3 (again with CONCLAVE_RAFT_SEED=3): log"), "4");
        assert_eq!(noticed_by_walker("no walk ever saw: crash"), "coverage");
        let model = "votes: three members\n    bounds: x\n    BROKEN: one leader per term\nIt begins";
        assert_eq!(noticed_by_model(model), "votes: one leader per term");
        assert_eq!(noticed_by_simulator("seed 17, after 3s: two leaders\nrepeat"), "17");
    }
}
