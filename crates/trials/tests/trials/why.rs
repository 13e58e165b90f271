//! Why did the leader change? Asked after a kill, of the members and of their files.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use conclave_trials::admin::{get, status};
use conclave_trials::ensemble::Ensemble;
use conclave_trials::process::Process;
use conclave_trials::{PATIENCE, binary};
use serde_json::Value;

/// What `conclave why` prints of the ensemble in this folder.
fn why(data: &Path, arguments: &[&str]) -> String {
    let output = Command::new(binary()).arg("why").arg("--data").arg(data).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The story as JSON: its point, and the entries of the diaries.
fn story(data: &Path) -> (String, Vec<Value>) {
    let story: Value = serde_json::from_str(&why(data, &["--json", "--last", "100000"])).unwrap();
    let lines: Vec<&str> = story["answer"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    (lines.join(" "), story["entries"].as_array().unwrap().clone())
}

#[test]
fn a_killed_leader_is_named_as_the_cause_and_restarts_forget_nothing() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let killed = ensemble.leader_known_by("m1").unwrap();
    let names: Vec<String> = ensemble.members().iter().map(|member| member.name.clone()).collect();
    let survivor = names.iter().find(|name| **name != killed).unwrap();
    ensemble.kill(&killed).unwrap();
    let successor = ensemble.leader_other_than(survivor, &killed).unwrap();

    let text = why(&ensemble.data(), &[]);
    let point = text.lines().nth(1).unwrap().trim();
    assert!(point.starts_with(&format!("{successor} leads since ")), "{text}");
    assert!(point.contains(&format!("because the connection to {killed} broke")), "{text}");
    let (answer, entries) = story(&ensemble.data());
    assert!(answer.contains(&successor) && answer.contains(&killed), "{answer}");
    let election = election_of(&entries, &successor);
    assert!(election["term"].as_u64().unwrap() > 1, "{election}");

    // The same entries by HTTP, of one member.
    let (code, diary) = get(&ensemble.member(&successor).admin, "/diary?limit=100000").unwrap();
    assert_eq!(code, 200);
    let diary: Vec<Value> = serde_json::from_str(&diary).unwrap();
    assert!(diary.contains(&election), "{diary:?}");

    // Everybody is killed: the files tell as much. Everybody is back: the diaries go on behind what they held.
    for name in names.iter().filter(|name| **name != killed) {
        ensemble.kill(name).unwrap();
    }
    let (answer, entries) = story(&ensemble.data());
    assert!(answer.contains(&format!("{successor} was elected last")), "{answer}");
    assert!(entries.contains(&election), "{answer}");
    for name in &names {
        ensemble.bring_back(name).unwrap();
    }
    for name in &names {
        ensemble.leader_known_by(name).unwrap();
    }
    let (_, entries) = story(&ensemble.data());
    assert!(entries.contains(&election), "{entries:?}");
    ensemble.stop().unwrap();
}

#[test]
fn a_leader_whose_disk_hangs_hands_over_and_says_so() {
    let ensemble = Ensemble::start(3).unwrap();
    let leader = ensemble.leader_known_by("m1").unwrap();
    let other = ensemble.members().iter().find(|member| member.name != leader).unwrap();
    // Every sync of the leader takes three seconds from now on: ten election timeouts.
    let mut tracer = Command::new("strace");
    tracer.args([
        "-f",
        "-qq",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:delay_enter=3000000",
        "-o",
        "/dev/null",
    ]);
    let pid = ensemble.member(&leader).pid.to_string();
    let tracer = Process::start("strace", tracer.args(["-p", &pid])).unwrap();
    // A change of the membership is a write like any other; the first ones may come before the tracer is there. What
    // becomes of each is not the question here.
    let deadline = Instant::now() + PATIENCE;
    while status(&other.admin).unwrap()["leader"] == leader.as_str() {
        let _ = ensemble.member_command(&["update", &other.name, "--set", "priority=0"]);
        assert!(Instant::now() < deadline, "{leader} leads on with a disk that hangs");
    }
    let successor = ensemble.leader_other_than(&other.name, &leader).unwrap();
    drop(tracer);
    let (answer, _) = story(&ensemble.data());
    assert!(answer.contains(&format!("{successor} leads since ")), "{answer}");
    assert!(answer.contains("its disk did not finish a write within an election timeout"), "{answer}");
}

/// The entry that tells of this member's election.
fn election_of(entries: &[Value], member: &str) -> Value {
    let found = entries.iter().rev().find(|entry| entry["kind"] == "leader" && entry["member"] == member);
    found.unwrap_or_else(|| panic!("no entry tells of the election of {member}: {entries:?}")).clone()
}
