//! Every event and every cause of the core in the words of the diary, and what the diary adds to them.

use std::collections::BTreeSet;

use raft::{
    Ballotage, Event, Index, InvalidMembership, Learner, LogId, Membership, Refusal, TallyEnd, Term, TransferCause,
    VoteRefusal,
};

use super::*;

const M1: NodeId = NodeId(1);
const M2: NodeId = NodeId(2);
const M3: NodeId = NodeId(3);

fn at(milliseconds: u64) -> Now {
    Now { nanoseconds: milliseconds * MILLISECOND, unix_milliseconds: 1_700_000_000_000 + milliseconds }
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(Term(term), Index(index))
}

/// The diary of m1, which heard m2 at 900 and lost the connection to it at 1000; it is 1012 now.
fn story() -> Story {
    let names = [M1, M2, M3].map(|id| (id, format!("m{}", id.0))).into();
    let mut story = Story::new(M1, names, id(3, 9), at(0));
    story.turn(at(900), 900 * MILLISECOND);
    story.heard(M2);
    story.turn(at(1000), 1000 * MILLISECOND);
    story.lost(M2);
    story.take();
    story.turn(at(1012), 1012 * MILLISECOND);
    story
}

fn stands(role: raft::Role, leader: Option<NodeId>, cause: Cause) -> Event {
    Event::Stands(Standing { role, term: Term(5), leader, cause })
}

fn written(event: &Event) -> DiaryEntry {
    let mut story = story();
    story.tell(event);
    let mut entries = story.take();
    assert_eq!(entries.len(), 1, "{event:?}");
    entries.remove(0)
}

/// One sample of each variant; a new one does not compile here until it has a line below.
fn variant_of(event: &Event) -> usize {
    match event {
        Event::Stands(_) => 0,
        Event::Granted { .. } => 1,
        Event::Refused { .. } => 2,
        Event::Tallied { .. } => 3,
        Event::LostLeader(_) => 4,
        Event::TransferStarted { .. } => 5,
        Event::TransferFailed { .. } => 6,
        Event::DiskStalled => 7,
        Event::MembershipAppended { .. } => 8,
        Event::MembershipReverted { .. } => 9,
        Event::Promoting(_) => 10,
        Event::SnapshotNeeded { .. } => 11,
        Event::SnapshotInstalled(_) => 12,
        Event::Unsound { .. } => 13,
        Event::Repaired(_) => 14,
    }
}
const VARIANTS: usize = 15;

fn membership() -> Membership {
    Membership {
        voters: [M1, M2].into(),
        outgoing: [M1, M2, M3].into(),
        learners: [(NodeId(4), Learner { promote: true })].into(),
        priorities: [(M2, 7)].into(),
        ..Membership::default()
    }
}

fn samples() -> Vec<(Event, DiaryKind, &'static str)> {
    use DiaryKind as Kind;
    let (term, pre_vote, vote) = (Term(5), Ballotage::PreVote, Ballotage::Vote);
    let tallied = |kind, end| Event::Tallied {
        kind,
        term,
        end,
        granted: vec![M1],
        refused: vec![(M2, VoteRefusal::VotedFor(M3))],
        silent: vec![M3],
    };
    vec![
        (
            stands(raft::Role::Follower, None, Cause::Started),
            Kind::Started,
            "started as a follower in term 5; its log ends with entry 9 of term 3",
        ),
        (Event::Granted { kind: vote, to: M2, term }, Kind::Vote, "gives m2 its vote for term 5"),
        (
            Event::Refused { kind: pre_vote, to: M3, term, why: VoteRefusal::LeaderAlive(Some(M2)) },
            Kind::Refusal,
            "refuses m3 its pre-vote for term 5: it still hears the leader m2",
        ),
        (
            tallied(vote, TallyEnd::Won),
            Kind::Tally,
            "won the vote for term 5: yes from m1; no from m2, it voted for m3 in that term; no answer from m3",
        ),
        (
            tallied(pre_vote, TallyEnd::Lost),
            Kind::PreVoteFailed,
            "lost the pre-vote for term 5: yes from m1; no from m2, it voted for m3 in that term; no answer from m3",
        ),
        (
            tallied(vote, TallyEnd::TimedOut),
            Kind::ElectionFailed,
            "got no majority in time in the vote for term 5: yes from m1; no from m2, it voted for m3 in that term; no \
             answer from m3",
        ),
        (
            tallied(pre_vote, TallyEnd::Overtaken),
            Kind::Tally,
            "gave up the pre-vote for term 5, overtaken by a leader or a later term: yes from m1; no from m2, it voted \
             for m3 in that term; no answer from m3",
        ),
        (Event::LostLeader(M2), Kind::ConnectionLost, "lost the connection to the leader m2"),
        (
            Event::TransferStarted { to: M2, why: TransferCause::Asked },
            Kind::Transfer,
            "begins to hand over to m2: it was asked to",
        ),
        (
            Event::TransferFailed {
                to: M2,
                why: TransferCause::Preferred,
                because: Refusal::TransferTimedOut { to: M2 },
            },
            Kind::Transfer,
            "could not hand over to m2 (the other has the higher priority and is caught up): m2 did not take over \
             within an election timeout",
        ),
        (
            Event::DiskStalled,
            Kind::Disk,
            "leads on with a disk that did not finish a write within an election timeout, for nobody can take over",
        ),
        (
            Event::MembershipAppended { index: Index(8), membership: membership() },
            Kind::Membership,
            "goes by the membership of entry 8: voters m1 and m2 together with the majority of m1, m2 and m3; learner \
             member 4, to become a voter; m2 has priority 7",
        ),
        (
            Event::MembershipReverted { membership: Membership::of_voters([M1]) },
            Kind::Membership,
            "is back to the membership of before: voters m1",
        ),
        (Event::Promoting(vec![M2, M3]), Kind::Membership, "makes caught-up learners voters: m2 and m3"),
        (
            Event::SnapshotNeeded { by: M3, matched: Index(4) },
            Kind::Snapshot,
            "sends a snapshot to m3, which needs what only a snapshot holds any more: it holds the log up to entry 4",
        ),
        (Event::SnapshotInstalled(id(2, 7)), Kind::Snapshot, "goes on behind a snapshot of entry 7 of term 2"),
        (Event::Unsound { from: M3 }, Kind::Unsound, "ignored what m3 said: no correct member says such a thing"),
        (
            Event::Repaired(id(2, 7)),
            Kind::Repaired,
            "has the entries up to entry 7 of term 2 back, which its disk had lost",
        ),
    ]
}

#[test]
fn every_event_has_its_words() {
    let samples = samples();
    let variants: BTreeSet<usize> = samples.iter().map(|(event, ..)| variant_of(event)).collect();
    assert_eq!(variants, (0..VARIANTS).collect(), "a sample of each");
    for (event, kind, text) in samples {
        let entry = written(&event);
        assert_eq!((entry.kind, entry.text.as_str()), (kind, text));
        assert_eq!((entry.member.as_str(), entry.unix_milliseconds), ("m1", 1_700_000_001_012));
    }
}

fn number_of(cause: &Cause) -> usize {
    match cause {
        Cause::Started => 0,
        Cause::Campaigns(_) => 1,
        Cause::Elected { .. } => 2,
        Cause::HeardLeader(_) => 3,
        Cause::HigherTerm { .. } => 4,
        Cause::SnapshotOfLaterTerm(_) => 5,
        Cause::LostMajority { .. } => 6,
        Cause::HandedOver { .. } => 7,
        Cause::Removed => 8,
        Cause::PreVoteFailed => 9,
        Cause::ElectionLost => 10,
        Cause::MembershipChanged => 11,
    }
}
const CAUSES: usize = 12;

#[test]
fn every_cause_has_its_words() {
    let handed_over = |why| Cause::HandedOver { to: M2, why };
    let samples = [
        (Cause::Started, "just started"),
        (Cause::Campaigns(Trigger::TimedOut { leader: Some(M2) }), "m2 was silent for 112 ms"),
        (Cause::Campaigns(Trigger::TimedOut { leader: Some(M3) }), "m3 was never heard"),
        (Cause::Campaigns(Trigger::TimedOut { leader: None }), "no leader was heard"),
        (Cause::Campaigns(Trigger::ConnectionLost { leader: M2 }), "m2's connection was lost 12 ms ago"),
        (Cause::Campaigns(Trigger::ConnectionLost { leader: M3 }), "m3's connection was lost"),
        (Cause::Campaigns(Trigger::Transfer { from: M2 }), "m2 handed over"),
        (Cause::Campaigns(Trigger::Deposed), "it had to give up the term it led"),
        (Cause::Elected { trigger: Trigger::Alone, votes: 1, voters: 1 }, "it is the only voter; elected by 1 of 1"),
        (Cause::HeardLeader(M2), "heard from the leader m2"),
        (Cause::HigherTerm { from: M3, term: Term(7) }, "m3 spoke of the later term 7"),
        (Cause::SnapshotOfLaterTerm(Term(7)), "a snapshot ends in the later term 7"),
        (
            Cause::LostMajority { heard: 1, voters: 3 },
            "lost contact with the majority: heard 1 of 3 within an election timeout",
        ),
        (handed_over(TransferCause::Asked), "handed over to m2: it was asked to"),
        (
            handed_over(TransferCause::DiskStalled),
            "handed over to m2: its disk did not finish a write within an election timeout",
        ),
        (
            handed_over(TransferCause::Preferred),
            "handed over to m2: the other has the higher priority and is caught up",
        ),
        (handed_over(TransferCause::Removed), "handed over to m2: it is no longer a voter"),
        (Cause::Removed, "removed from the ensemble"),
        (Cause::PreVoteFailed, "too many refused the pre-vote"),
        (Cause::ElectionLost, "too many refused the vote"),
        (Cause::MembershipChanged, "the membership changed"),
    ];
    let causes: BTreeSet<usize> = samples.iter().map(|(cause, _)| number_of(cause)).collect();
    assert_eq!(causes, (0..CAUSES).collect(), "a sample of each");
    for (cause, words) in samples {
        let entry = written(&stands(raft::Role::Follower, None, cause));
        assert_eq!(entry.facts.because.as_deref(), Some(words));
    }
}

#[test]
fn every_refusal_has_its_words_and_no_member_is_called_by_its_number() {
    let names = Names::new([M1, M2, M3].map(|id| (id, format!("m{}", id.0))).into());
    let votes = [
        VoteRefusal::TermPassed(Term(8)),
        VoteRefusal::LeaderAlive(None),
        VoteRefusal::LogBehind { asker: id(3, 7), own: id(3, 9) },
        VoteRefusal::VotedFor(M3),
        VoteRefusal::Repairing(id(3, 9)),
    ];
    let mut texts: Vec<String> = votes.map(|why| names.vote_refusal(why)).into();
    assert_eq!(texts[2], "its log ends with entry 9 of term 3, the asker's with entry 7 of term 3");
    let invalid = [
        InvalidMembership::NoVoters,
        InvalidMembership::VoterAndLearner(M1),
        InvalidMembership::PriorityOfStranger(M1),
        InvalidMembership::ZeroPriority(M1),
        InvalidMembership::Joint,
    ];
    let requests = [
        Refusal::NotLeader { hint: Some(M2) },
        Refusal::NotLeader { hint: None },
        Refusal::Overwritten,
        Refusal::Covered,
        Refusal::Busy { waiting: 3, limit: 3 },
        Refusal::Transferring { to: M2 },
        Refusal::NotReady,
        Refusal::ChangeInFlight,
        Refusal::NotCaughtUp(M2),
        Refusal::WouldLoseQuorum { healthy: 1, needed: 2 },
        Refusal::NoSuccessor(Some(M2)),
        Refusal::NoSuccessor(None),
        Refusal::TransferTimedOut { to: M2 },
    ];
    texts.extend(requests.into_iter().chain(invalid.map(Refusal::Invalid)).map(|why| names.refusal(why)));
    texts.extend(samples().iter().map(|(event, ..)| written(event).text));
    for text in texts {
        let numbered =
            |word: &str| word.strip_prefix('n').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        assert!(!text.split(|c: char| !c.is_alphanumeric()).any(numbered), "{text}");
    }
}

#[test]
fn an_election_tells_its_cause_its_votes_and_the_conditions() {
    let mut story = story();
    story.connected(M3);
    story.synced(2_000_000, 9_000_000);
    story.began_to_write(Ticket(4));
    let pings = story.pings();
    assert_eq!(pings, [(M3, PeerMessage::Ping { number: 1 })], "only who is connected");
    story.turn(at(1015), 1015 * MILLISECOND);
    story.answered(M3, 1);
    let trigger = Trigger::ConnectionLost { leader: M2 };
    story.tell(&stands(raft::Role::Candidate, None, Cause::Campaigns(trigger)));
    story.turn(at(1020), 1020 * MILLISECOND);
    story.tell(&Event::Tallied {
        kind: Ballotage::Vote,
        term: Term(5),
        end: TallyEnd::Won,
        granted: vec![M1, M3],
        refused: Vec::new(),
        silent: vec![M2],
    });
    story.tell(&stands(raft::Role::Leader, Some(M1), Cause::Elected { trigger, votes: 2, voters: 3 }));
    let leader = story.take().pop().expect("was written");
    assert_eq!(leader.kind, DiaryKind::Leader);
    assert_eq!(leader.text, "leads term 5: m2's connection was lost 20 ms ago; elected in 5 ms by 2 of 3");
    let facts = leader.facts;
    assert_eq!((facts.yes, facts.silent), (vec!["m1".to_owned(), "m3".to_owned()], vec!["m2".to_owned()]));
    assert_eq!((facts.took_milliseconds, facts.lost_milliseconds_ago), (Some(5), Some(20)));
    let disk = facts.disk.expect("is known");
    assert_eq!((disk.newest_microseconds, disk.worst_microseconds), (2_000, 9_000));
    assert_eq!(disk.waiting_microseconds, Some(8_000));
    assert_eq!(facts.peers["m3"].round_trip_microseconds, Some(3_000));
    assert!(!facts.peers["m2"].connected);
    assert_eq!(facts.peers["m2"].heard_milliseconds_ago, Some(120));
}

#[test]
fn stepping_down_is_told_apart_from_following() {
    let mut story = story();
    let elected = Cause::Elected { trigger: Trigger::Alone, votes: 2, voters: 3 };
    story.tell(&stands(raft::Role::Leader, Some(M1), elected));
    story.tell(&stands(raft::Role::Follower, None, Cause::LostMajority { heard: 1, voters: 3 }));
    story.tell(&stands(raft::Role::Follower, Some(M3), Cause::HeardLeader(M3)));
    let entries: Vec<(DiaryKind, String)> = story.take().into_iter().map(|entry| (entry.kind, entry.text)).collect();
    let cause = "lost contact with the majority: heard 1 of 3 within an election timeout";
    assert_eq!(entries[1], (DiaryKind::StepDown, format!("leads no longer, term 5: {cause}")));
    assert_eq!(entries[2], (DiaryKind::Follower, "follows m3 in term 5".into()));
    assert_eq!(story.changes().len(), 3);
    assert_eq!(story.leader_changes(), 2);
}

#[test]
fn what_happens_for_hours_fills_no_diary() {
    let mut story = story();
    let refused =
        Event::Refused { kind: Ballotage::PreVote, to: M3, term: Term(6), why: VoteRefusal::LeaderAlive(Some(M2)) };
    for second in 2..2002 {
        story.turn(at(second * 1000), second * 1000 * MILLISECOND);
        story.tell(&refused);
    }
    let times: Vec<Option<u64>> = story.take().iter().map(|entry| entry.facts.times).collect();
    let powers = (1..11).map(|power| Some(1 << power));
    assert_eq!(times, std::iter::once(None).chain(powers).collect::<Vec<_>>());
    story.turn(at(2_100_000), 2_100_000 * MILLISECOND);
    story.tell(&refused);
    assert_eq!(story.take().len(), 1, "after a pause it is news again");
}

#[test]
fn a_member_that_did_not_run_says_so() {
    let mut story = story();
    story.turn(at(1300), 1300 * MILLISECOND);
    assert_eq!(story.take(), [], "woken when it was due");
    story.turn(at(6300), 1350 * MILLISECOND);
    let entry = story.take().remove(0);
    assert_eq!(entry.kind, DiaryKind::Paused);
    assert!(entry.text.starts_with("did not run for 5000 ms"), "{}", entry.text);
}

#[test]
fn a_storm_of_expiries_is_one_entry() {
    let mut story = story();
    for (time, count) in [(2000, 10), (2500, 7), (2900, 0), (3100, 0), (4000, 3), (9000, 0)] {
        story.turn(at(time), time * MILLISECOND);
        story.expired(count);
    }
    let texts: Vec<String> = story.take().into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts, ["saw 17 leases run out within a second"]);
}

#[test]
fn the_longest_sync_is_forgotten_after_a_while() {
    let mut story = story();
    let worst_after = |story: &mut Story, time: u64, took: u64| {
        story.turn(at(time), time * MILLISECOND);
        story.synced(took, took);
        story.disk.facts(story.now).expect("is known").worst_microseconds
    };
    assert_eq!(worst_after(&mut story, 2_000, 5_000_000), 5_000);
    assert_eq!(worst_after(&mut story, 31_000, 1_000_000), 5_000);
    assert_eq!(worst_after(&mut story, 62_000, 1_000_000), 1_000);
}

#[test]
fn a_diary_begins_with_the_start_even_if_peers_were_quicker() {
    let mut story = Story::new(M1, [(M2, "m2".to_owned())].into(), LogId::default(), at(0));
    story.connected(M2);
    story.tell(&stands(raft::Role::Follower, None, Cause::Started));
    let texts: Vec<String> = story.take().into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts, ["started as a follower in term 5; its log is empty", "is connected to m2"]);
}
