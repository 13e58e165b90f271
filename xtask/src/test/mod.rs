//! `cargo xtask test`: installs what is missing, then every check and every test, and a table of how long each took.

mod count;
mod install;
mod step;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::screen::say;
use count::Count;
use step::Step;

/// What one part came to.
struct Part {
    title: &'static str,
    took: Duration,
    count: Count,
}

/// Runs everything. What fails does not keep the rest from running, except for what nothing can run without.
pub(crate) async fn run(root: PathBuf) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    say("Installing what the tests need and is missing");
    install::packages().await?;
    let python = install::python(&root).await?;
    let mut parts = vec![Part { title: "install", took: begin.elapsed(), count: Count::default() }];

    for step in steps(&root, &python).await {
        say(&format!("\n{}: {}", step.title, step.shown()));
        let begin = Instant::now();
        let count = step.run(&root).await?;
        parts.push(Part { title: step.title, took: begin.elapsed(), count });
    }
    Ok(close(&parts, begin.elapsed()))
}

/// All steps in order: what is quick and often wrong comes first.
async fn steps(root: &std::path::Path, python: &std::path::Path) -> Vec<Step> {
    let nextest = step::cargo(&["nextest", "--version"]).succeeds(root).await;
    let mut steps = vec![
        step::cargo(&["fmt", "--all", "--", "--check", "-l"]).titled("format"),
        step::cargo(&["xtask", "tidy"]).titled("tidy"),
        step::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).titled("lint"),
    ];
    let everything_but_trials = ["--workspace", "--exclude", TRIALS];
    if nextest {
        steps.push(
            step::cargo(&["nextest", "run", "--no-fail-fast"])
                .and(&everything_but_trials)
                .counted()
                .titled("unit and script tests"),
        );
        steps
            .push(step::cargo(&["test", "--doc"]).and(&everything_but_trials).counted().titled("examples in the docs"));
    } else {
        steps.push(step::cargo(&["test"]).and(&everything_but_trials).counted().titled("unit and script tests"));
    }
    steps.push(step::cargo(&["xtask", "mutants", "--scripts"]).titled("known bugs, put back"));
    // The profile of the tests: optimised enough, with every assertion on, and compiled already.
    let simulation = step::cargo(&["run", "--quiet", "--profile", "test", "--package", "conclave-sim", "--"]);
    steps.push(simulation.and(&["--seeds", SEEDS, "--minutes", MINUTES]).titled("simulation"));
    steps.push(step::cargo(&["build", "--release", "--package", "conclave"]).titled("release build"));
    let binary = root.join("target/release/conclave");
    let trials = step::cargo(&["test", "--package", TRIALS, "--", "--test-threads=1"]).counted();
    steps.push(
        trials.with("CONCLAVE_BINARY", &binary).with("CONCLAVE_PYTHON", python).titled("real clients, real kills"),
    );
    steps
}

/// The seeds that every run simulates, and the minutes after which a slow machine has simulated enough.
const SEEDS: &str = "20";
const MINUTES: &str = "2";

/// The package of the tests with real processes.
const TRIALS: &str = "conclave-trials";

/// Prints the table and the sum.
fn close(parts: &[Part], took: Duration) -> ExitCode {
    say("");
    let mut sum = Count::default();
    for Part { title, took, count } in parts {
        let verdict = if count.failed > 0 { "FAILED" } else { "ok" };
        let seconds = took.as_secs_f64();
        say(&format!(
            "  {title:<26} {seconds:>7.1} s   {:>5} passed {:>3} failed   {verdict}",
            count.passed, count.failed
        ));
        sum.add(*count);
    }
    say(&format!("  {:<26} {:>7.1} s", "all", took.as_secs_f64()));
    say(&format!("\n{} passed, {} failed", sum.passed, sum.failed));
    if sum.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
