//! Changes as a story: what each makes of the membership, or why it is refused.

use bytes::Bytes;
use raft::Membership;

use super::target::Circumstances;
use super::*;
use crate::roster::{Members, Roster};

fn member(id: u64) -> MemberAddress {
    MemberAddress {
        id: NodeId(id),
        name: format!("m{id}"),
        peer: format!("m{id}:7271"),
        client: [("first".to_owned(), format!("m{id}:2379"))].into(),
        priority: 0,
    }
}

fn three() -> Membership {
    Roster::founding(&[member(1), member(2), member(3)])
}

fn add(id: u64) -> Change {
    Change::Add { member: member(id), learner: false }
}

fn rename(id: u64, name: &str) -> Change {
    let (name, client) = (Some(name.to_owned()), BTreeMap::new());
    Change::Update { id: NodeId(id), name, peer: None, client, priority: None }
}

/// Applies the change and shows what comes of it: `voters +learners(promoted by themselves)`, or the refusal.
fn check(membership: &mut Membership, change: &Change) -> String {
    match target(membership, change, Circumstances { learners_max: 2, unix_milliseconds: 9 }) {
        Ok((next, _)) => {
            *membership = next;
            membership.to_string()
        }
        Err(refused) => format!("refused: {refused}"),
    }
}

#[test]
fn a_member_comes_in_as_a_learner_and_leaves_for_good() {
    let mut membership = three();
    assert_eq!(check(&mut membership, &add(4)), "{n1 n2 n3} +n4!");
    assert_eq!(check(&mut membership, &Change::Promote { id: NodeId(4) }), "{n1 n2 n3 n4}");
    assert_eq!(check(&mut membership, &Change::Remove { id: NodeId(4) }), "{n1 n2 n3}");
    let used = "refused: the id 4 was given before, and none is given twice; the least free one is 5";
    assert_eq!(check(&mut membership, &add(4)), used);
    // Whoever left last can still be reached, to be told.
    assert_eq!(Roster::of(&membership).record(NodeId(4)).expect("left last").peer, "m4:7271");
    let unnumbered = Change::Add { member: MemberAddress { id: NodeId(0), ..member(4) }, learner: true };
    assert_eq!(check(&mut membership, &unnumbered), "{n1 n2 n3} +n5");
    let entry = Members::of(&membership).named("m4").cloned().expect("just added");
    assert_eq!((entry.address.id, entry.voter, entry.added_unix_milliseconds), (NodeId(5), false, 9));
    assert_eq!(Roster::of(&membership).version, 4);
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let mut membership = three();
    for (change, refusal) in [
        (add(2), "member 2 exists already"),
        (Change::Promote { id: NodeId(2) }, "member 2 is a voter already"),
        (Change::Promote { id: NodeId(7) }, "there is no member 7"),
        (Change::Remove { id: NodeId(7) }, "there is no member 7"),
        (rename(7, "x"), "there is no member 7"),
        (rename(1, "m2"), "another member has the name \"m2\""),
        (rename(1, "\n"), "\"\\n\" is no name or address: 1 to 255 bytes without control characters"),
        (
            Change::Add { member: MemberAddress { peer: "m1:7271".into(), ..member(4) }, learner: true },
            "another member has the peer address m1:7271",
        ),
        (add(70_000), "the id 70000 is too large: allowed are 1 to 65535"),
    ] {
        let before = membership.clone();
        assert_eq!(check(&mut membership, &change), format!("refused: {refusal}"), "{change:?}");
        assert_eq!(membership, before);
    }
    check(&mut membership, &add(4));
    check(&mut membership, &add(5));
    let full = "refused: there are as many learners as there may be (limits.learners = 2)";
    assert_eq!(check(&mut membership, &add(6)), full);
    let mut alone = Roster::founding(&[member(1)]);
    assert_eq!(check(&mut alone, &Change::Remove { id: NodeId(1) }), "refused: member 1 is the only voter");
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let mut membership = three();
    let client = [("second".to_owned(), "other:2181".to_owned())].into();
    let update = Change::Update { id: NodeId(2), name: None, peer: None, client, priority: Some(7) };
    assert_eq!(check(&mut membership, &update), "{n1 n2^7 n3}");
    let entry = Members::of(&membership).get(NodeId(2)).cloned().expect("it stayed");
    assert_eq!((entry.address.name.as_str(), entry.address.client.len()), ("m2", 2));
    let back = Change::Update { id: NodeId(2), name: None, peer: None, client: BTreeMap::new(), priority: Some(0) };
    assert_eq!(check(&mut membership, &back), "{n1 n2 n3}");
}

#[test]
fn changes_and_refusals_come_back_as_they_were() {
    let update = |name: Option<&str>, priority| Change::Update {
        id: NodeId(3),
        name: name.map(str::to_owned),
        peer: None,
        client: member(1).client,
        priority,
    };
    let changes = [add(4), Change::Promote { id: NodeId(4) }, Change::Remove { id: NodeId(4) }];
    for change in changes.into_iter().chain([update(None, Some(3)), update(Some("new"), None)]) {
        let mut writer = Writer::default();
        change.write(&mut writer);
        let mut reader = Reader::new(Bytes::from(writer.finish().concat()));
        let read = Change::read(&mut reader);
        assert_eq!(read.and_then(|read| reader.end(read)), Some(change));
    }
    for refused in [
        Refused::Unknown(NodeId(4)),
        Refused::Exists(NodeId(4)),
        Refused::IdUsed { id: NodeId(4), least: 5 },
        Refused::NameTaken("m4".into()),
        Refused::AddressTaken("m4:7271".into()),
        Refused::NotALearner(NodeId(4)),
        Refused::NotCaughtUp(NodeId(4)),
        Refused::TooManyLearners { limit: 2 },
        Refused::TooManyVoters { limit: 9 },
        Refused::LastVoter(NodeId(4)),
        Refused::WouldLoseQuorum { healthy: 1, needed: 2 },
        Refused::ChangeInFlight,
        Refused::NoSuccessor(None),
        Refused::NoSuccessor(Some(NodeId(4))),
        Refused::TransferTimedOut(NodeId(4)),
        Refused::Invalid("why".into()),
    ] {
        let mut writer = Writer::default();
        refused.write(&mut writer);
        let mut reader = Reader::new(Bytes::from(writer.finish().concat()));
        let read = Refused::read(&mut reader);
        assert_eq!(read.and_then(|read| reader.end(read)), Some(refused));
    }
}
