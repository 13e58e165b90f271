//! What becomes of questions whose answers are late.

use bytes::Bytes;

use super::*;
use crate::ProtocolId;

const TIMEOUT: u64 = 100 * MILLISECOND;

fn decide() -> Question {
    Question::Decide { protocol: ProtocolId(1), request: Bytes::from_static(b"request") }
}

/// Posts the question as number 1, lets the leader answer with `outcome` (or not), and shows what is answered when the
/// time limit is over and the entry was never applied here.
fn check(question: Question, outcome: Option<Outcome>) -> Vec<(RequestTag, Result<Answer, Failure>)> {
    let mut asking = Asking::new(1, TIMEOUT);
    asking.post(0, RequestTag(7), StreamId(3), question);
    asking.send(true);
    if let Some(outcome) = outcome {
        asking.told(1, outcome, 8);
    }
    asking.expire(TIMEOUT - 1);
    assert_eq!(asking.take_answers(), [], "nothing fails before its time");
    asking.expire(TIMEOUT);
    let answers = asking.take_answers();
    // What is applied after that was answered already.
    asking.applied(9);
    assert_eq!(asking.take_answers(), []);
    answers
}

#[test]
fn an_answer_whose_entry_is_not_applied_here_in_time_is_a_failure() {
    let timed_out = || Reason::TimedOut { milliseconds: TIMEOUT / MILLISECOND };
    let decided = Outcome::Decided { index: 9, reply: Bytes::new() };
    assert_eq!(check(decide(), Some(decided)), [(RequestTag(7), Err(Failure::Unknown(timed_out())))]);
    let barrier = Outcome::Barrier { index: 9 };
    assert_eq!(check(Question::Barrier, Some(barrier)), [(RequestTag(7), Err(Failure::NotApplied(timed_out())))]);
}

#[test]
fn a_question_that_is_not_answered_in_time_is_a_failure_of_its_kind() {
    let timed_out = || Reason::TimedOut { milliseconds: TIMEOUT / MILLISECOND };
    assert_eq!(check(decide(), None), [(RequestTag(7), Err(Failure::Unknown(timed_out())))]);
    assert_eq!(check(Question::Barrier, None), [(RequestTag(7), Err(Failure::NotApplied(timed_out())))]);
}

#[test]
fn a_wish_for_a_leader_outlives_the_leader_and_is_fulfilled_by_the_next() {
    let mut asking = Asking::new(1, TIMEOUT);
    asking.post(0, RequestTag(7), StreamId::NONE, Question::Lead { to: Some(NodeId(2)) });
    asking.send(true);
    asking.leader_lost();
    asking.led_by(NodeId(3));
    assert_eq!(asking.take_answers(), []);
    assert!(asking.has_unsent(), "the next leader is asked again");
    asking.send(true);
    asking.leader_lost();
    asking.led_by(NodeId(2));
    assert_eq!(asking.take_answers(), [(RequestTag(7), Ok(Answer::Led { by: NodeId(2) }))]);
}
