//! What people build on ZooKeeper, while members are killed; and clients that prove who they are.

use std::fs;

use conclave_trials::clients::{c_client, script, zkcli_with};
use conclave_trials::ensemble::Ensemble;

/// How often the leader is killed.
const KILLS: usize = 2;

/// Locks taken, elections won and items handed out before, between and after the kills.
const FURTHER: usize = 15;

#[test]
fn recipes_keep_their_promises_while_leaders_are_killed() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let mut recipes = script("recipes.py", &[&ensemble.zookeeper()]).unwrap();
    recipes.hear("the recipes in quiet", |line| line == "quiet").unwrap();
    let mut counts = [0; 3];
    let mut advance = |recipes: &mut conclave_trials::process::Process| {
        let goals = counts.map(|count| count + FURTHER);
        recipes
            .hear("locks, elections and items", |line| {
                for (count, word) in counts.iter_mut().zip(["held ", "won ", "taken "]) {
                    if let Some(number) = line.strip_prefix(word) {
                        *count = number.parse::<usize>().unwrap().max(*count);
                    }
                }
                counts.iter().zip(goals).all(|(count, goal)| *count >= goal)
            })
            .unwrap();
    };
    advance(&mut recipes);
    for _ in 0..KILLS {
        let leader = ensemble.leader_known_by("m1").unwrap();
        ensemble.kill(&leader).unwrap();
        advance(&mut recipes);
        ensemble.bring_back(&leader).unwrap();
        ensemble.leader_known_by(&leader).unwrap();
    }
    recipes.tell("enough").unwrap();
    recipes.hear("the end without a broken promise", |line| line == "all well").unwrap();
    ensemble.stop().unwrap();
}

#[test]
fn the_c_client_works_against_each_member() {
    let ensemble = Ensemble::start(3).unwrap();
    for member in ensemble.members() {
        let path = format!("/c-{}", member.name);
        let mut client = c_client(&member.zookeeper).unwrap();
        client.hear("a session", |line| line.starts_with("Got a new session id: ")).unwrap();
        let answers = [
            (format!("create {path}"), format!("[{path}]: rc = 0")),
            (format!("set {path} two"), format!("{path}: rc = 0")),
            (format!("get {path}"), "two".to_owned()),
            ("ls /".to_owned(), format!("\t{}", &path[1..])),
            (format!("delete {path}"), format!("{path}: rc = 0")),
            (format!("get {path}"), format!("{path}: rc = -101")),
        ];
        for (command, answer) in answers {
            client.tell(&command).unwrap();
            client.hear(&answer, |line| line.starts_with(&answer)).unwrap();
        }
        client.tell("quit").unwrap();
        assert!(client.ended().unwrap().0.success());
    }
    ensemble.stop().unwrap();
}

#[test]
fn the_java_client_proves_itself_by_sasl() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, "bob:secret\n").unwrap();
    let ensemble = Ensemble::start_with(1, &[&format!("zookeeper.sasl_users={}", users.display())]).unwrap();
    let login = |password: &str| {
        let file = folder.path().join(format!("{password}.conf"));
        let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
        fs::write(&file, format!("Client {{ {module} required username=\"bob\" password=\"{password}\"; }};\n"))
            .unwrap();
        format!("-Djava.security.auth.login.config={}", file.display())
    };
    let server = &ensemble.members()[0].zookeeper;
    let commands = ["create /bobs data sasl:bob:cdrwa", "getAcl /bobs", "whoami"];
    let printed = zkcli_with(server, &commands, &login("secret")).unwrap();
    for expected in ["Created /bobs", "'sasl,'bob", "sasl: bob"] {
        assert!(printed.contains(expected), "{expected:?} is missing in:\n{printed}");
    }
    let printed = zkcli_with(server, &["get /bobs", "ls /"], "-Dnobody=1").unwrap();
    assert!(printed.contains("Insufficient permission : /bobs"), "{printed}");
    ensemble.stop().unwrap();
}
