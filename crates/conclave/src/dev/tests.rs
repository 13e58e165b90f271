//! The decisions of a development ensemble that need no process: ports, configurations, and what is told of changes.

use std::collections::BTreeMap;

use super::folder::Folder;
use super::plan::{Plan, Ports};
use super::story::Scene;
use crate::admin::{ChangeReport, Report};
use crate::config::{Addresses, Port};

fn ports(addresses: &[Addresses], port: Port) -> Vec<&str> {
    addresses.iter().map(|addresses| addresses.get(port).rsplit_once(':').unwrap().1).collect()
}

#[test]
fn standard_ports_are_taken_when_free() {
    let (addresses, notices) = Ports::new(|_| true).choose(3, &[]).unwrap();
    assert_eq!(ports(&addresses, Port::ZooKeeper), ["2181", "2182", "2183"]);
    assert_eq!(ports(&addresses, Port::Etcd), ["2379", "2380", "2381"]);
    assert_eq!(notices, Vec::<String>::new());
}

#[test]
fn the_next_free_ports_are_taken_and_told_when_the_standard_ones_are_not_free() {
    let (addresses, notices) = Ports::new(|port| port != 2181 && port != 2380).choose(3, &[]).unwrap();
    assert_eq!(ports(&addresses, Port::ZooKeeper), ["2182", "2183", "2184"]);
    assert_eq!(ports(&addresses, Port::Etcd), ["2379", "2381", "2382"]);
    assert_eq!(
        notices,
        [
            "etcd: port 2380 belongs to another process; using 2379, 2381, 2382.",
            "ZooKeeper: port 2181 belongs to another process; using 2182, 2183, 2184.",
        ]
    );
}

#[test]
fn the_ports_of_the_last_run_are_kept_where_they_are_free() {
    let (before, _) = Ports::new(|port| port != 2181).choose(3, &[]).unwrap();
    let (addresses, notices) = Ports::new(|_| true).choose(3, &before).unwrap();
    assert_eq!(addresses, before);
    assert_eq!(notices, Vec::<String>::new());
}

#[test]
fn no_free_port_at_all_is_an_error() {
    let error = Ports::new(|_| false).choose(1, &[]).unwrap_err();
    assert_eq!(error.to_string(), "no port from 7271 on is free on 127.0.0.1");
}

fn plan(wanted: Option<usize>, folder: &Folder, settings: &[(&str, &str)]) -> anyhow::Result<Plan> {
    let settings: BTreeMap<String, String> = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Plan::make(folder, wanted, &settings)
}

#[test]
fn a_second_start_continues_with_the_members_of_the_first() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::open(temporary.path(), false).unwrap();
    let first = plan(Some(5), &folder, &[]).unwrap();
    first.write().unwrap();
    let second = plan(None, &folder, &[]).unwrap();
    assert_eq!(second.members.len(), 5);
    let name = |plan: &Plan| plan.configuration(&plan.members[0]).lines().nth(1).map(str::to_owned);
    assert!(name(&first).is_some_and(|line| line.starts_with("ensemble = \"dev-")));
    assert_eq!(name(&first), name(&second), "the name is kept");
    let refused = plan(Some(3), &folder, &[]).err().expect("three members are not five");
    assert!(refused.to_string().contains("holds an ensemble of 5 members, --members says 3"), "{refused}");
    drop(folder);
    let folder = Folder::open(temporary.path(), true).unwrap();
    assert_eq!(plan(None, &folder, &[]).unwrap().members.len(), 3, "fresh forgets the five");
}

#[test]
fn settings_reach_every_configuration() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::open(temporary.path(), false).unwrap();
    let settings = [("timing.heartbeat", "20ms"), ("limits.queue_items", "77"), ("ensemble", "trial \"x\"")];
    let plan = plan(Some(3), &folder, &settings).unwrap();
    plan.write().unwrap();
    for member in &plan.members {
        let configuration = crate::config::load(&member.config).unwrap().configuration;
        assert_eq!(configuration.timing.heartbeat.as_millis(), 20);
        assert_eq!(configuration.limits.queue_items, 77);
        assert_eq!(configuration.ensemble, "trial \"x\"");
        assert_eq!(configuration.member, member.name);
        assert_eq!(configuration.data_folder(), member.data);
        assert_eq!(configuration.own().addresses, member.addresses);
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused_before_anything_starts() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::open(temporary.path(), false).unwrap();
    let refused = plan(Some(3), &folder, &[("timing.heartbeat", "1s")]).unwrap().write().unwrap_err();
    assert!(refused.to_string().contains("must be longer than timing.heartbeat = 1s"), "{refused}");
}

#[test]
fn a_folder_with_foreign_things_is_never_touched() {
    let temporary = tempfile::tempdir().unwrap();
    std::fs::write(temporary.path().join("thesis.odt"), "years of work").unwrap();
    let refused = Folder::open(temporary.path(), true).err().expect("it is not ours");
    assert!(refused.to_string().contains("it holds \"thesis.odt\""), "{refused}");
    assert!(temporary.path().join("thesis.odt").exists());
}

#[test]
fn a_folder_in_use_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let _folder = Folder::open(temporary.path(), false).unwrap();
    let refused = Folder::open(temporary.path(), true).err().expect("the first one has it");
    assert!(refused.to_string().contains("belongs to an ensemble that runs already"), "{refused}");
}

/// A report of m`place + 1` after changes given as (role, term, cause).
fn report(place: usize, pid: u32, changes: &[(&str, u64, &str)]) -> Report {
    let name = format!("m{}", place + 1);
    let (role, term, _) = *changes.last().unwrap();
    let leader = Some(if role == "leader" { name.clone() } else { "m9".to_owned() });
    let change = |(number, (role, term, cause)): (u64, &(&str, u64, &str))| ChangeReport {
        unix_milliseconds: 43_200_000 + number,
        role: (*role).to_owned(),
        term: *term,
        leader: None,
        cause: (*cause).to_owned(),
    };
    Report {
        ensemble: "dev".to_owned(),
        name,
        id: place as u64 + 1,
        pid,
        version: "0".to_owned(),
        role: role.to_owned(),
        term,
        leader,
        can_read: true,
        can_commit: true,
        commit: 0,
        applied: 0,
        revision: 1,
        compacted: 0,
        hash: String::new(),
        hash_at: 0,
        state_bytes: 0,
        diverged: false,
        quota_soft_bytes: 200,
        quota_hard_bytes: 400,
        members: Vec::new(),
        changes: (0..).zip(changes).map(change).collect(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "every caller hands over what it was just given")]
fn told(lines: Vec<super::story::Line>) -> Vec<String> {
    let plain = crate::screen::Style::for_stream(false);
    lines.iter().map(|line| line.painted(plain)).collect()
}

fn scene(temporary: &tempfile::TempDir) -> Scene {
    let folder = Folder::open(temporary.path(), false).unwrap();
    let plan = plan(Some(3), &folder, &[]).unwrap();
    let mut scene = Scene::new(&plan);
    for (place, pid) in (0..3).zip(100..) {
        scene.started(place, Some(pid));
    }
    scene
}

#[test]
fn a_failover_is_told_with_its_cause() {
    let temporary = tempfile::tempdir().unwrap();
    let mut scene = scene(&temporary);
    assert_eq!(told(scene.stands(0, report(0, 100, &[("leader", 1, "started alone")]))).len(), 1);
    assert_eq!(told(scene.stands(1, report(1, 101, &[("follower", 1, "started")]))), Vec::<String>::new());
    let lines = told(scene.ended(0, "was killed (signal 9)"));
    assert_eq!(lines[0], "m1 (pid 100) was killed (signal 9). It stays down; to bring it back:");
    assert!(lines[1].ends_with("m1.toml") && lines[1].contains(" serve --config "), "{lines:?}");
    let changes = [
        ("follower", 1, "started"),
        ("candidate", 5, "m1's connection was lost"),
        ("leader", 5, "m1's connection was lost 3 ms ago; elected in 11 ms"),
    ];
    assert_eq!(
        told(scene.stands(1, report(1, 101, &changes))),
        ["12:00:00.002 m2 leads, term 5: m1's connection was lost 3 ms ago; elected in 11 ms"]
    );
    assert_eq!(told(scene.stands(1, report(1, 101, &changes))), Vec::<String>::new(), "nothing is told twice");
}

#[test]
fn a_leader_that_steps_down_is_told() {
    let temporary = tempfile::tempdir().unwrap();
    let mut scene = scene(&temporary);
    scene.stands(0, report(0, 100, &[("leader", 1, "started")]));
    let changes = [("leader", 1, "started"), ("follower", 2, "saw term 2 from m3")];
    assert_eq!(
        told(scene.stands(0, report(0, 100, &changes))),
        ["12:00:00.001 m1 leads no longer, term 2: saw term 2 from m3"]
    );
}

#[test]
fn a_member_started_by_hand_is_welcomed_and_missed_again() {
    let temporary = tempfile::tempdir().unwrap();
    let mut scene = scene(&temporary);
    for (place, pid) in (0..3).zip(100..) {
        scene.stands(place, report(place, pid, &[("follower", 1, "started")]));
    }
    scene.ended(0, "was killed (signal 9)");
    assert_eq!(scene.silent(0), [], "its end was told already");
    assert_eq!(scene.stands(0, report(0, 100, &[("follower", 2, "late")])), [], "the last word of a dead process");
    assert_eq!(scene.left_running(), []);
    assert_eq!(told(scene.stands(0, report(0, 777, &[("follower", 2, "started")]))), ["m1 is back, pid 777"]);
    assert_eq!(told(scene.left_running()), ["m1 (pid 777) was started by hand and is left running."]);
    assert_eq!(scene.silent(1), [], "a process started here reports its end by itself");
    let lines = told(scene.silent(0));
    assert_eq!(lines[0], "m1 (pid 777) does not answer any more. It stays down; to bring it back:");
}

#[test]
fn the_loss_of_the_majority_is_told() {
    let temporary = tempfile::tempdir().unwrap();
    let mut scene = scene(&temporary);
    assert_eq!(told(scene.ended(0, "stopped")).len(), 2);
    let lines = told(scene.ended(1, "stopped"));
    assert_eq!(lines[2], "1 of 3 members run: nothing can be committed until 2 do.");
}

#[test]
fn the_ensemble_is_ready_when_all_agree_on_a_leader() {
    let temporary = tempfile::tempdir().unwrap();
    let mut scene = scene(&temporary);
    let mut standing = |place: usize, leader: &str| {
        let mut report = report(place, 100, &[("follower", 1, "started")]);
        report.leader = Some(leader.to_owned());
        scene.stands(place, report);
        scene.ready()
    };
    assert!(!standing(0, "m1"));
    assert!(!standing(1, "m1"));
    assert!(!standing(2, "m2"));
    assert!(standing(2, "m1"));
}

#[test]
fn two_ensembles_never_choose_the_same_port() {
    let temporary = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let folders = temporary.each_ref().map(|temporary| Folder::open(temporary.path(), false).unwrap());
    let plans = folders.each_ref().map(|folder| plan(Some(3), folder, &[]).unwrap());
    for port in Port::ALL {
        let [one, other] = plans.each_ref().map(|plan| {
            plan.members.iter().map(|member| member.addresses.get(port)).collect::<std::collections::BTreeSet<_>>()
        });
        assert!(one.is_disjoint(&other), "{one:?} and {other:?}");
    }
}
