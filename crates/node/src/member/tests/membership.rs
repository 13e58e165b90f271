//! Changes of the membership that are asked for while another one is under way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Answer, Ensemble, Event, Limits, RequestTag};
use crate::{Change, Refused};

/// What waits behind one change that is under way.
const WAITING: u64 = 64;

#[test]
fn changes_are_made_one_after_the_other_in_the_order_in_which_they_were_asked_for() {
    let mut ensemble = Ensemble::new(3, Limits::default());
    let (leader, follower) = (ensemble.leader(), ensemble.follower());
    let wish = |id, priority| Change::Update {
        id,
        name: None,
        peer: Some("host:1".into()),
        client: BTreeMap::new(),
        priority: Some(priority),
    };
    let mut changes = vec![Change::Remove { id: follower }];
    changes.extend((1..=WAITING).map(|number| wish(leader, u8::try_from(number).expect("small"))));
    changes.push(wish(leader, 200));

    let now = ensemble.now;
    for (tag, change) in (1..).map(RequestTag).zip(changes) {
        let seat = ensemble.seats.get_mut(&leader).expect("it is a member");
        seat.member.step(now, Event::Change { tag, change });
    }
    ensemble.settle();
    ensemble.pass(Duration::from_secs(1));

    let last = WAITING + 2;
    for tag in 1..last {
        assert!(
            matches!(ensemble.answers.get(&tag), Some(Ok(Answer::Changed { .. }))),
            "change {tag}: {:?}",
            ensemble.answers.get(&tag)
        );
    }
    assert_eq!(ensemble.answers.get(&last), Some(&Ok(Answer::Refused(Refused::ChangeInFlight))), "one too many");
    let members = ensemble.seat(leader).member.belonging.members();
    assert_eq!(members.get(leader).map(|entry| u64::from(entry.address.priority)), Some(WAITING));
    assert!(members.get(follower).is_none(), "it was removed");
}
