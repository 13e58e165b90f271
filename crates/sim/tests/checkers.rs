//! The checkers, held against histories whose verdict is known.

use conclave_sim::chance::Chance;
use conclave_sim::check::model::Model;
use conclave_sim::check::revision_order::{self, Rule};
use conclave_sim::check::wing_gong::{self, Bounds, Call, OneRegister, Verdict};
use conclave_sim::check::{Done, History, Operation, Outcome, Step};
use conclave_sim::registers::{Action, Answer, RequestId};

/// A history in the making: requests get their numbers in the order in which they are written down.
#[derive(Default)]
struct Story {
    history: History,
    next: RequestId,
}

impl Story {
    fn tell(&mut self, stream: u64, times: (u64, u64), done: Done, outcome: Outcome) -> RequestId {
        self.next += 1;
        let (asked, answered) = (times.0, Some(times.1));
        self.history.operations.insert(self.next, Operation { stream, done, asked, answered, outcome });
        self.next
    }

    /// A put of register 1 that was acknowledged at a revision.
    fn put(&mut self, times: (u64, u64), value: u64, revision: u64) -> RequestId {
        let id = self.tell(1, times, put(value), Outcome::Replied { revision, answer: Answer::Done });
        self.history.steps.insert(revision, Step::Request(id));
        id
    }

    /// A read of register 1.
    fn read(&mut self, times: (u64, u64), found: Option<u64>, revision: u64) -> RequestId {
        let outcome = Outcome::Replied { revision, answer: Answer::Holds(found) };
        self.tell(100 + times.0, times, Done::Read(1), outcome)
    }

    fn verdict(&self) -> Result<(), Rule> {
        revision_order::check(&self.history).map_err(|anomaly| anomaly.rule)
    }

    fn searched(&self) -> Verdict {
        match wing_gong::check(&self.history, |_| true, Bounds { calls: 1000, configurations: 10_000 }) {
            Ok(verdicts) => verdicts.into_values().next().unwrap_or(Verdict::Linearizable),
            Err(_) => Verdict::Violation,
        }
    }
}

fn put(value: u64) -> Done {
    Done::Request(Action::Put { register: 1, value, lease: 0, padding: 0 })
}

#[test]
fn a_good_history_passes_both() {
    let mut story = Story::default();
    story.read((0, 1), None, 1);
    story.put((2, 6), 10, 2);
    // Concurrent with the put: may see it or not.
    story.read((3, 4), None, 1);
    story.read((3, 5), Some(10), 2);
    story.put((7, 8), 20, 3);
    story.read((9, 10), Some(20), 3);
    assert_eq!(story.verdict(), Ok(()));
    assert_eq!(story.searched(), Verdict::Linearizable);
}

#[test]
fn a_lost_write_is_found_by_both() {
    let mut story = Story::default();
    let lost = story.put((0, 1), 10, 2);
    story.history.steps.remove(&2);
    story.put((2, 3), 20, 2);
    story.read((4, 5), Some(20), 2);
    assert_eq!(story.verdict(), Err(Rule::AcknowledgedIsDone), "request {lost}");
    let mut story = Story::default();
    story.put((0, 1), 10, 2);
    story.read((2, 3), None, 2);
    assert_eq!(story.verdict(), Err(Rule::AnswersFollowTheOrder));
    assert_eq!(story.searched(), Verdict::Violation);
}

#[test]
fn a_stale_read_is_found_by_both() {
    let mut story = Story::default();
    story.put((0, 1), 10, 2);
    story.put((2, 3), 20, 3);
    story.read((4, 5), Some(10), 2);
    assert_eq!(story.verdict(), Err(Rule::OrderFollowsTime));
    assert_eq!(story.searched(), Verdict::Violation);
}

#[test]
fn reads_that_disagree_on_the_order_are_found_by_search() {
    let mut story = Story::default();
    story.put((0, 100), 10, 2);
    story.put((0, 100), 20, 3);
    story.read((10, 11), Some(20), 3);
    story.read((12, 13), Some(10), 2);
    story.read((14, 15), Some(20), 3);
    assert_eq!(story.searched(), Verdict::Violation);
    assert_eq!(story.verdict(), Err(Rule::OrderFollowsTime));
}

#[test]
fn a_write_of_unknown_outcome_may_take_effect_late_or_never_but_not_twice() {
    let mut story = Story::default();
    let unknown = story.tell(1, (0, 1), put(10), Outcome::Unknown);
    story.put((2, 3), 20, 2);
    story.read((4, 5), Some(20), 2);
    assert_eq!(story.searched(), Verdict::Linearizable, "never");
    story.history.steps.insert(3, Step::Request(unknown));
    story.read((6, 7), Some(10), 3);
    assert_eq!(story.searched(), Verdict::Linearizable, "late");
    story.put((8, 9), 30, 4);
    story.history.steps.insert(5, Step::Request(unknown));
    story.read((10, 11), Some(10), 5);
    assert_eq!(story.searched(), Verdict::Violation, "twice");
    assert_eq!(story.verdict(), Err(Rule::OnlyWhatWasAsked));
}

#[test]
fn what_was_said_not_to_be_done_must_not_be() {
    let mut story = Story::default();
    let refused = story.tell(1, (0, 1), put(10), Outcome::NotApplied);
    assert_eq!(story.verdict(), Ok(()));
    story.history.steps.insert(2, Step::Request(refused));
    assert_eq!(story.verdict(), Err(Rule::RefusedIsNotDone));
}

#[test]
fn a_stream_is_not_overtaken() {
    let mut story = Story::default();
    let first = story.tell(1, (0, 5), put(10), Outcome::Unknown);
    let second = story.tell(1, (0, 6), put(20), Outcome::Unknown);
    story.history.steps.insert(2, Step::Request(second));
    assert_eq!(story.verdict(), Err(Rule::StreamsAreFifo), "the first was lost");
    story.history.steps.insert(3, Step::Request(first));
    assert_eq!(story.verdict(), Err(Rule::StreamsAreFifo), "the first came second");
    story.history.steps.insert(2, Step::Request(first));
    story.history.steps.insert(3, Step::Request(second));
    assert_eq!(story.verdict(), Ok(()));
}

#[test]
fn a_gap_in_the_revisions_is_found() {
    let mut story = Story::default();
    story.put((0, 1), 10, 2);
    story.put((2, 3), 20, 4);
    assert_eq!(story.verdict(), Err(Rule::Dense));
}

/// Every order of a few calls, tried one by one: the oracle for the search.
fn tried(calls: &[Call<OneRegister>]) -> bool {
    fn place(calls: &[Call<OneRegister>], placed: &mut Vec<usize>, state: Option<u64>) -> bool {
        if placed.len() == calls.len() {
            return true;
        }
        (0..calls.len()).filter(|next| !placed.contains(next)).collect::<Vec<_>>().into_iter().any(|next| {
            let left = (0..calls.len()).filter(|other| !placed.contains(other));
            let may_be_next = left.into_iter().all(|other| calls[other].over >= calls[next].asked);
            let after =
                <OneRegister as wing_gong::Sequential>::step(&state, &calls[next].call, calls[next].answer.as_ref());
            match after.filter(|_| may_be_next) {
                Some(after) => {
                    placed.push(next);
                    let found = place(calls, placed, after);
                    placed.pop();
                    found
                }
                None => false,
            }
        })
    }
    place(calls, &mut Vec::new(), None)
}

#[test]
fn the_search_agrees_with_trying_every_order() {
    let mut verdicts = [0_u32; 2];
    for seed in 0..3000 {
        let mut chance = Chance::new(seed);
        let count = chance.between(2, 6);
        let calls: Vec<Call<OneRegister>> = (0..count).map(|id| random_call(&mut chance, id)).collect();
        let expected = tried(&calls);
        let found = wing_gong::search(&calls, 1_000_000);
        let due = if expected { Verdict::Linearizable } else { Verdict::Violation };
        assert_eq!(found, due, "seed {seed}: {calls:?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts.iter().all(|&count| count > 300), "both verdicts are frequent: {verdicts:?}");
}

fn random_call(chance: &mut Chance, id: u64) -> Call<OneRegister> {
    let asked = chance.below(20);
    let over = if chance.percent(15) { u64::MAX } else { asked + chance.below(15) };
    let content = |chance: &mut Chance| chance.percent(75).then(|| chance.below(3));
    let action = match chance.below(4) {
        0 => Action::Put { register: 1, value: chance.below(3), lease: 0, padding: 0 },
        1 => Action::Get { register: 1 },
        2 => Action::CompareAndSet { register: 1, expected: content(chance), value: chance.below(3) },
        _ => Action::Delete { register: 1 },
    };
    let answer = match &action {
        Action::Get { .. } => Answer::Holds(content(chance)),
        Action::Put { .. } => Answer::Done,
        _ if chance.percent(70) => Answer::Done,
        _ => Answer::Refused,
    };
    Call { asked, over, call: (id, action), answer: (over < u64::MAX).then_some(answer) }
}

#[test]
fn the_model_and_the_protocol_mean_the_same() {
    use conclave_sim::registers::Registers;
    use node::{Context, NodeId, Protocol};

    let mut chance = Chance::new(1);
    let mut state = state::State::new(Registers.tables());
    let mut model = Model::default();
    let context = Context { random: 0, origin: NodeId(1), term: 1 };
    let mut answers = std::collections::BTreeMap::new();
    for id in 1..5000 {
        let action = random_action(&mut chance);
        let request = conclave_sim::registers::Request { id, client: 1, action: action.clone() };
        let mut transaction = state.begin(0);
        let reply = Registers.prepare(&context, &mut transaction, &request.encode());
        let delta = transaction.finish();
        let reply = conclave_sim::registers::Reply::decode(&reply).expect("the reply is one");
        assert_eq!(reply.answer, model.act(&action), "request {id}: {action:?}");
        assert_eq!(delta.is_some(), reply.answer == Answer::Done);
        assert_eq!(reply.revision, state.revision());
        *answers.entry(format!("{:?}", reply.answer).split('(').next().map(str::to_owned)).or_insert(0) += 1;
    }
    assert!(answers.values().all(|&count| count > 200), "every kind of answer is frequent: {answers:?}");
}

fn random_action(chance: &mut Chance) -> Action {
    let register = chance.below(4).try_into().expect("small");
    let content = |chance: &mut Chance| chance.percent(50).then(|| chance.below(3));
    let lease = chance.between(1, 3).cast_signed();
    match chance.below(8) {
        0 => Action::Put { register, value: chance.below(3), lease: 0, padding: 5 },
        1 => Action::Put { register, value: chance.below(3), lease, padding: 0 },
        2 => Action::Get { register },
        3 => Action::CompareAndSet { register, expected: content(chance), value: chance.below(3) },
        4 => Action::Delete { register },
        5 => Action::Exchange {
            expected: vec![(register, content(chance))],
            wanted: vec![(register, content(chance)), ((register + 1) % 4, content(chance))],
        },
        6 => Action::Grant { lease, ttl_milliseconds: 1000 },
        _ => Action::Revoke { lease },
    }
}
