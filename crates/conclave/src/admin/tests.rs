//! What the admin address says of a status.

use std::collections::BTreeMap;

use node::{Counters, MemberStatus, NodeId, Role, RoleChange, Status};

use super::{Health, Report, metrics};

fn member(id: u64, connected: bool, matched: Option<u64>) -> MemberStatus {
    MemberStatus {
        id: NodeId(id),
        name: format!("m{id}"),
        peer: format!("127.0.0.1:727{id}"),
        client: BTreeMap::from([("etcd".to_owned(), format!("127.0.0.1:238{id}"))]),
        voter: true,
        priority: 0,
        connected,
        matched,
    }
}

fn leading() -> Status {
    Status {
        id: NodeId(2),
        name: "m2".to_owned(),
        ensemble: "e".to_owned(),
        role: Role::Leader,
        term: 5,
        leader: Some(NodeId(2)),
        commit: 10,
        applied: 9,
        revision: 8,
        compacted: 3,
        hash_at: (9, 0xabc),
        state_bytes: 123,
        quota_soft_bytes: 200,
        quota_hard_bytes: 400,
        members: vec![member(1, false, Some(4)), member(2, true, None), member(3, true, Some(10))],
        changes: vec![RoleChange {
            unix_milliseconds: 1,
            role: Role::Leader,
            term: 5,
            leader: Some(NodeId(2)),
            cause: "m1's connection was lost".to_owned(),
        }],
        diverged: false,
        can_read: true,
        can_commit: true,
        counters: Counters { prepared: 77, ..Counters::default() },
    }
}

fn health(status: Option<&Status>) -> (bool, bool, bool, String) {
    let Health { alive, can_read, can_commit, reason } = Health::of(status);
    (alive, can_read, can_commit, reason)
}

#[test]
fn health_has_three_answers_and_a_reason() {
    assert_eq!(health(None), (true, false, false, "recovering the log".to_owned()));
    assert_eq!(health(Some(&leading())), (true, true, true, "m2 leads in term 5".to_owned()));
    let isolated = Status { leader: None, role: Role::Follower, can_read: false, can_commit: false, ..leading() };
    assert_eq!(health(Some(&isolated)), (true, false, false, "no leader in term 5; not connected: m1".to_owned()));
    let doubtful = Status { can_commit: false, ..leading() };
    let reason = "m2 leads in term 5, but this member does not know that it reaches a majority";
    assert_eq!(health(Some(&doubtful)), (true, true, false, reason.to_owned()));
}

#[test]
fn a_report_names_members_instead_of_numbers_and_survives_json() {
    let report = Report::of(&leading());
    assert_eq!(report.leader.as_deref(), Some("m2"));
    assert_eq!(report.changes[0].leader.as_deref(), Some("m2"));
    assert_eq!(report.hash, "00000000000000000000000000000abc");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn metrics_are_open_metrics_text() {
    let text = metrics::text(&leading());
    for line in [
        "# TYPE conclave_leader gauge",
        "conclave_leader 1",
        "conclave_term 5",
        "conclave_commit_index 10",
        "# TYPE conclave_requests_prepared counter",
        "conclave_requests_prepared_total 77",
        "conclave_peer_connected{member=\"m1\"} 0",
        "conclave_peer_connected{member=\"m3\"} 1",
        "conclave_peer_entries_behind{member=\"m1\"} 6",
        "conclave_peer_entries_behind{member=\"m3\"} 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|candidate| candidate == line), "{line:?} is missing in\n{text}");
    }
}
