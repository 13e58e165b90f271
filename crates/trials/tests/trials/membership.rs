//! Members come and go while clients work.

use std::time::Instant;

use conclave_trials::PATIENCE;
use conclave_trials::ensemble::Ensemble;
use conclave_trials::load::Load;

/// Writes that every writer must have been acknowledged after each change.
const WRITES: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn one_member_grows_to_three_to_five_and_back_to_three() {
    let mut ensemble = Ensemble::start(1).unwrap();
    let mut load = Load::start(&ensemble.etcd(), &ensemble.zookeeper(), 1).await.unwrap();
    for name in ["m2", "m3", "m4", "m5"] {
        ensemble.add(name).unwrap();
        load.advance(WRITES).await.unwrap();
    }
    for name in ["m4", "m2"] {
        ensemble.remove(name).unwrap();
        load.advance(WRITES).await.unwrap();
    }
    assert_eq!(standings(&ensemble), [("m1", "voter"), ("m3", "voter"), ("m5", "voter")].map(owned));

    let promised = load.stop().await.unwrap();
    for member in ensemble.members() {
        promised.check(&member.name, &member.etcd, &member.zookeeper).await.unwrap();
    }
    // Two of the three are enough, whoever they are.
    ensemble.kill("m1").unwrap();
    ensemble.leader_other_than("m3", "m1").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_member_is_replaced_and_the_leader_itself_removed() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let mut load = Load::start(&ensemble.etcd(), &ensemble.zookeeper(), 1).await.unwrap();
    let leader = ensemble.leader_known_by("m1").unwrap();
    let others: Vec<String> = ensemble.members().iter().map(|member| member.name.clone()).collect();
    let others: Vec<&String> = others.iter().filter(|name| **name != leader).collect();

    ensemble.kill(others[0]).unwrap();
    load.advance(WRITES).await.unwrap();
    ensemble.remove(others[0]).unwrap();
    ensemble.add("m4").unwrap();
    load.advance(WRITES).await.unwrap();

    // Leadership goes where it is wanted, the leader's own removal included.
    ensemble.member_command(&["lead", "m4"]).unwrap();
    assert_eq!(ensemble.leader_known_by("m4").unwrap(), "m4");
    load.advance(WRITES).await.unwrap();
    ensemble.remove("m4").unwrap();
    load.advance(WRITES).await.unwrap();
    ensemble.add("m5").unwrap();
    load.advance(WRITES).await.unwrap();
    let stay = [leader.as_str(), others[1], "m5"];
    let mut expected = stay.map(|name| owned((name, "voter")));
    expected.sort();
    assert_eq!(standings(&ensemble), expected);

    let promised = load.stop().await.unwrap();
    for name in stay {
        let member = ensemble.member(name);
        promised.check(name, &member.etcd, &member.zookeeper).await.unwrap();
    }
    // A removed member that is started again is told so, and ends.
    let refusal = ensemble.member_command(&["promote", others[0]]).unwrap_err().to_string();
    assert!(refusal.contains("there is no member"), "{refusal}");
}

#[test]
fn what_may_not_be_is_refused_and_a_preferred_member_leads() {
    let mut ensemble = Ensemble::start(1).unwrap();
    ensemble.start_new("m2", &["--learner"]).unwrap();
    ensemble.wait_for_standing("m2", "learner").unwrap();
    let refused = |arguments: &[&str]| ensemble.member_command(arguments).unwrap_err().to_string();
    let address = ensemble.member("m1").admin.clone();
    let same = format!("peer={address}");
    let all = ["--set", &same, "--set", "etcd=h:1", "--set", "zookeeper=h:2", "--set", "admin=h:3"];
    let add = |name: &'static str, more: &[&'static str]| {
        let arguments = [&["add", name][..], &all, more].concat();
        refused(&arguments)
    };
    assert!(add("m1", &[]).contains("another member has the name \"m1\""));
    assert!(add("m3", &["--set", "id=2"]).contains("member 2 exists already"));
    assert!(refused(&["remove", "m1"]).contains("member 1 is the only voter"));
    assert!(refused(&["promote", "m1"]).contains("member 1 is a voter already"));
    assert!(refused(&["lead", "m2"]).contains("member 2 is no voter"));
    assert_eq!(standings(&ensemble), [("m1", "voter"), ("m2", "learner")].map(owned));

    // Refused until it has the whole log, which nobody but the leader sees coming.
    let deadline = Instant::now() + PATIENCE;
    while let Err(refusal) = ensemble.member_command(&["promote", "m2"]) {
        assert!(refusal.to_string().contains("member 2 does not have the whole log yet"), "{refusal}");
        assert!(Instant::now() < deadline, "{refusal}");
    }
    // Whoever is wished for as leader takes over, once it was well for a while.
    ensemble.member_command(&["update", "m2", "--set", "priority=9"]).unwrap();
    let listed = ensemble.member_command(&["list"]).unwrap();
    assert_eq!(listed["members"][1]["priority"], 9);
    assert_eq!(ensemble.leader_other_than("m1", "m1").unwrap(), "m2");
}

fn standings(ensemble: &Ensemble) -> Vec<(String, String)> {
    let listed = ensemble.member_command(&["list"]).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let members = listed["members"].as_array().unwrap().iter();
    let mut standings: Vec<_> = members.map(|member| (text(&member["name"]), text(&member["standing"]))).collect();
    standings.sort();
    standings
}

fn owned((name, standing): (&str, &str)) -> (String, String) {
    (name.to_owned(), standing.to_owned())
}
