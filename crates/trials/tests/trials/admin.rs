//! The admin address tells being alive, reading and committing apart.

use conclave_trials::admin::{get, wait_until};
use conclave_trials::ensemble::Ensemble;

fn codes(address: &str) -> [u16; 4] {
    ["/health", "/health/alive", "/health/read", "/health/commit"].map(|path| get(address, path).unwrap().0)
}

#[test]
fn health_metrics_and_status_tell_a_lost_majority() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let admin = ensemble.member("m1").admin.clone();
    assert_eq!(codes(&admin), [200; 4]);
    let (code, metrics) = get(&admin, "/metrics").unwrap();
    assert_eq!(code, 200);
    assert!(metrics.lines().any(|line| line == "conclave_can_commit 1"), "{metrics}");

    ensemble.kill("m2").unwrap();
    ensemble.kill("m3").unwrap();
    wait_until(&admin, "the loss of the majority", |report| report["can_commit"] == false).unwrap();
    let [all, alive, _, commit] = codes(&admin);
    assert_eq!([all, alive, commit], [503, 200, 503]);
    let (_, health) = get(&admin, "/health").unwrap();
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert_eq!((&health["alive"], &health["can_commit"]), (&true.into(), &false.into()), "{health}");

    ensemble.bring_back("m2").unwrap();
    ensemble.leader_known_by("m1").unwrap();
    assert_eq!(codes(&admin), [200; 4]);
    ensemble.stop().unwrap();
}

#[test]
fn status_names_leader_members_and_reasons() {
    let ensemble = Ensemble::start(3).unwrap();
    let leader = ensemble.leader_known_by("m1").unwrap();
    for member in ensemble.members() {
        let status = conclave_trials::admin::status(&member.admin).unwrap();
        assert_eq!(status["name"], member.name.as_str());
        assert_eq!(status["pid"], member.pid);
        assert_eq!(status["leader"], leader.as_str());
        assert_eq!(status["members"].as_array().unwrap().len(), 3);
        let changes = status["changes"].as_array().unwrap();
        assert!(
            changes.iter().all(|change| change["cause"].as_str().is_some_and(|cause| !cause.is_empty())),
            "{status}"
        );
    }
    ensemble.stop().unwrap();
}

#[test]
fn the_tools_of_zookeeper_find_their_commands_and_metrics() {
    let ensemble = Ensemble::start(3).unwrap();
    let leader = ensemble.leader_known_by("m1").unwrap();
    let admin = &ensemble.member(&leader).admin;
    for (path, expected) in [
        ("/commands/srvr", "\"server_state\":\"leader\""),
        ("/commands/monitor", "\"synced_followers\":2"),
        ("/commands/voting_view", "\"learner_type\":\"PARTICIPANT\""),
        ("/commands", "/commands/zabstate"),
        ("/metrics/zookeeper", "\nsynced_followers 2\n"),
    ] {
        let (code, text) = get(admin, path).unwrap();
        assert!(code == 200 && text.contains(expected), "{path} answers {code} without {expected}: {text}");
    }
    assert_eq!(get(admin, "/commands/nosuch").unwrap().0, 404);
    ensemble.stop().unwrap();
}
