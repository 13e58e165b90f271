//! The known bugs of the rooms around the core, put back one by one: how many seeds it takes until each is noticed, and
//! by which invariant. It runs this very program again for each, and knows nothing of how a bug is put in.

use std::io;
use std::process::Command;

/// The variable that puts one known bug in.
const CHOICE: &str = "CONCLAVE_MUTANT";
/// Each must be noticed in so many short worlds.
const SEEDS: &str = "100";

/// What each name means.
const MUTANTS: [(&str, &str); 7] = [
    ("answer-before-commit", "a leader answers when an entry is appended, not when it is committed"),
    ("answer-before-applying", "a member answers its client before it has applied the entry itself"),
    ("leader-forgets-its-tail", "a new leader decides on what is committed, without the rest of its log"),
    ("follower-skips-a-change", "a follower leaves the last change of a batch out"),
    ("sleepers-expire-leases", "a leader that stood still counts the time for the leases it keeps"),
    ("watchers-hear-the-newest-only", "watchers are told of the newest revision when several come at once"),
    ("append-without-sync", "the log reports as durable what it has only written"),
];

/// Runs them all. False if one is not noticed.
pub(crate) fn run(say: fn(&str) -> io::Result<()>) -> io::Result<bool> {
    if !cfg!(mutants) {
        return Err(io::Error::other("this program has no known bugs in it: build it with RUSTFLAGS='--cfg mutants'"));
    }
    let mut all = true;
    for (name, what) in MUTANTS {
        let program = std::env::current_exe()?;
        let output = Command::new(program).args(["--seeds", SEEDS, "--simulate", "60"]).env(CHOICE, name).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let noticed = said.lines().find(|line| line.starts_with("seed "));
        all &= noticed.is_some();
        let how: String = noticed.unwrap_or("NOBODY NOTICES").chars().take(160).collect();
        say(&format!("{name}: {what}\n    {how}\n"))?;
    }
    Ok(all)
}
