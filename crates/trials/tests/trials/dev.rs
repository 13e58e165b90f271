//! `conclave dev`, as somebody sees it who tries things out.

use std::net::TcpListener;

use conclave_trials::admin;
use conclave_trials::clients::etcdctl;
use conclave_trials::ensemble::{Ensemble, dev, members};
use conclave_trials::process::{Process, send, wait_gone};
use rustix::process::Signal;

/// Waits for the table and returns everything that was printed up to the line that ends it.
fn hear_welcome(dev: &mut Process) -> Vec<String> {
    let mut lines = Vec::new();
    dev.hear("the end of the welcome", |line| {
        lines.push(line.to_owned());
        line.ends_with("Ctrl-C stops all members.")
    })
    .unwrap();
    lines
}

#[test]
fn a_failover_is_shown_as_it_happens_and_a_dead_member_stays_dead() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = dev(&folder.path().join("e"), &[]).unwrap();
    let welcome = hear_welcome(&mut dev);
    let row = welcome.iter().find(|line| line.split_whitespace().nth(2) == Some("leader")).expect("a row says leader");
    let mut cells = row.split_whitespace();
    let (leader, pid) = (cells.next().unwrap().to_owned(), cells.next().unwrap().parse().unwrap());
    for line in ["zkCli.sh -server ", "etcdctl --endpoints ", "kill -9 "] {
        assert!(welcome.iter().any(|printed| printed.contains(line)), "no line to paste with {line:?}: {welcome:?}");
    }

    send(pid, Signal::KILL).unwrap();
    let (mut died, mut back, mut leads) = (None, None, None);
    dev.hear("the whole story", |line| {
        let target = if line.contains("was killed (signal 9). It stays down") {
            &mut died
        } else if line.contains(" serve --config ") {
            &mut back
        } else if line.contains(" leads, term ") {
            &mut leads
        } else {
            return false;
        };
        *target = Some(line.to_owned());
        died.is_some() && back.is_some() && leads.is_some()
    })
    .unwrap();
    assert!(died.unwrap().starts_with(&leader));
    assert!(leads.as_ref().unwrap().contains(&leader), "the cause names the old leader: {leads:?}");

    // The line that dev prints brings it back.
    let command = back.unwrap();
    let config = command.rsplit(' ').next().unwrap();
    let _member = conclave_trials::ensemble::serve(config.as_ref(), &folder.path().join("log")).unwrap();
    dev.hear("the member's return", |line| line.starts_with(&format!("{leader} is back, pid "))).unwrap();

    dev.signal(Signal::INT).unwrap();
    dev.hear("a farewell", |line| line.starts_with("All members are stopped.")).unwrap();
    assert!(dev.ended().unwrap().0.success());
}

#[test]
fn a_second_start_continues_with_the_same_data_and_ports() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("e");
    let start = |options: &[&str]| {
        let mut dev = dev(&data, options).unwrap();
        let line = dev.hear("line of JSON", |_| true).unwrap_or_else(|error| {
            let errors = std::fs::read_to_string(data.with_extension("errors")).unwrap_or_default();
            panic!("{error}\n{errors}")
        });
        (dev, members(&line).unwrap())
    };
    let stop = |mut dev: Process| {
        dev.signal(Signal::TERM).unwrap();
        assert!(dev.ended().unwrap().0.success());
    };
    let (dev, first) = start(&["--json"]);
    etcdctl(&first[0].etcd, &["put", "k", "kept"], "").unwrap();
    stop(dev);
    first.iter().for_each(|member| wait_gone(member.pid).unwrap());

    let (dev, second) = start(&["--json"]);
    let addresses = |members: &[conclave_trials::ensemble::Member]| {
        members.iter().map(|member| (member.etcd.clone(), member.zookeeper.clone())).collect::<Vec<_>>()
    };
    assert_eq!(addresses(&first), addresses(&second));
    assert_eq!(etcdctl(&second[2].etcd, &["get", "k"], "").unwrap(), "k\nkept\n");
    stop(dev);

    let (dev, third) = start(&["--json", "--fresh"]);
    assert_eq!(etcdctl(&third[2].etcd, &["get", "k"], "").unwrap(), "");
    stop(dev);
}

#[test]
fn killing_dev_outright_leaves_no_member_behind() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let pids: Vec<u32> = ensemble.members().iter().map(|member| member.pid).collect();
    ensemble.dev().signal(Signal::KILL).unwrap();
    pids.into_iter().for_each(|pid| wait_gone(pid).unwrap());
}

#[test]
fn taken_ports_are_told_and_the_next_ones_used() {
    // If the port is somebody else's already, the same is to be seen.
    let _held = TcpListener::bind("127.0.0.1:2181");
    let folder = tempfile::tempdir().unwrap();
    let mut dev = dev(&folder.path().join("e"), &["--members", "1"]).unwrap();
    let welcome = hear_welcome(&mut dev);
    assert!(welcome.iter().any(|line| line.starts_with("ZooKeeper: port 2181")), "{welcome:?}");
    assert!(welcome.iter().any(|line| line.contains("zkCli.sh -server 127.0.0.1:21")), "{welcome:?}");
    dev.signal(Signal::TERM).unwrap();
    assert!(dev.ended().unwrap().0.success());
}

#[test]
fn settings_reach_all_members() {
    let ensemble = Ensemble::start_with(3, &["ensemble=renamed", "timing.heartbeat=40ms"]).unwrap();
    for member in ensemble.members() {
        assert_eq!(admin::status(&member.admin).unwrap()["ensemble"], "renamed");
        let config = std::fs::read_to_string(&member.config).unwrap();
        assert!(config.contains("heartbeat = \"40ms\""), "{config}");
    }
    ensemble.stop().unwrap();
}

#[test]
fn an_ensemble_may_have_one_member_or_five() {
    for count in [1, 5] {
        let ensemble = Ensemble::start(count).unwrap();
        assert_eq!(ensemble.members().len(), count);
        let last = ensemble.members().last().unwrap();
        assert_eq!(etcdctl(&last.etcd, &["put", "k", "v"], "").unwrap(), "OK\n");
        ensemble.stop().unwrap();
    }
}
