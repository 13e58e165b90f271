//! Checks the order that the ensemble itself claims: every reply names the revision it made or saw, and the log names
//! what was done at each revision. If the registers, taken through that order, answer as the clients were answered,
//! and the order agrees with real time and with every stream, then the history is linearizable.
//!
//! Takes n log n time, so it judges histories of any length.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Done, History, Operation, Outcome, Step};
use super::model::Model;
use crate::registers::{Action, Answer, RequestId};

/// The revision of a state to which nothing was ever done.
pub const FIRST_REVISION: u64 = 1;

/// Why a history is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The rule that does not hold.
    pub rule: Rule,
    /// Where and how.
    pub detail: String,
}

/// What holds in every good history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Revisions follow each other without a gap.
    Dense,
    /// Whatever was done was asked for, and done once.
    OnlyWhatWasAsked,
    /// Whatever a client was told was done is in the log, at the revision it was told.
    AcknowledgedIsDone,
    /// Whatever a client was told was not done is not in the log.
    RefusedIsNotDone,
    /// Every answer is what the registers hold at its revision.
    AnswersFollowTheOrder,
    /// Whoever asked after another was answered comes later in the order.
    OrderFollowsTime,
    /// Requests of one stream are decided in the order in which they were asked, or not at all.
    StreamsAreFifo,
}

/// Judges a whole history.
///
/// # Errors
/// The first rule that does not hold.
pub fn check(history: &History) -> Result<(), Anomaly> {
    steps_are_dense_and_asked_for(history)?;
    acknowledged_is_done(history)?;
    answers_follow_the_order(history)?;
    order_follows_time(history)?;
    streams_are_fifo(history)
}

fn anomaly(rule: Rule, detail: impl Into<String>) -> Anomaly {
    Anomaly { rule, detail: detail.into() }
}

fn steps_are_dense_and_asked_for(history: &History) -> Result<(), Anomaly> {
    let mut done = BTreeSet::new();
    let due = FIRST_REVISION + 1..;
    for ((&revision, step), due) in history.steps.iter().zip(due) {
        if revision != due {
            return Err(anomaly(Rule::Dense, format!("revision {due} is missing, the next is {revision}")));
        }
        let Step::Request(id) = step else { continue };
        if !done.insert(id) {
            return Err(anomaly(Rule::OnlyWhatWasAsked, format!("request {id} was done again at revision {revision}")));
        }
        match history.operations.get(id).map(|operation| (&operation.done, operation.outcome)) {
            Some((Done::Request(_), Outcome::NotApplied)) => {
                let detail = format!("request {id} is done at revision {revision}, but its client was told it was not");
                return Err(anomaly(Rule::RefusedIsNotDone, detail));
            }
            Some((Done::Request(action), _)) if action.writes() => {}
            _ => {
                let detail = format!("revision {revision} was made by request {id}, which asks for no change");
                return Err(anomaly(Rule::OnlyWhatWasAsked, detail));
            }
        }
    }
    Ok(())
}

fn acknowledged_is_done(history: &History) -> Result<(), Anomaly> {
    for (&id, operation) in &history.operations {
        let Outcome::Replied { revision, answer: Answer::Done } = operation.outcome else { continue };
        if history.steps.get(&revision) != Some(&Step::Request(id)) {
            let found = history.steps.get(&revision);
            let detail = format!("request {id} was acknowledged at revision {revision}, where the log has {found:?}");
            return Err(anomaly(Rule::AcknowledgedIsDone, detail));
        }
    }
    Ok(())
}

fn answers_follow_the_order(history: &History) -> Result<(), Anomaly> {
    let mut observers: BTreeMap<u64, Vec<(RequestId, &Operation, Answer)>> = BTreeMap::new();
    for (&id, operation) in &history.operations {
        if let Outcome::Replied { revision, answer } = operation.outcome
            && answer != Answer::Done
        {
            observers.entry(revision).or_default().push((id, operation, answer));
        }
    }
    let mut model = Model::default();
    let mut newest = FIRST_REVISION;
    observed(&model, FIRST_REVISION, observers.remove(&FIRST_REVISION))?;
    for (&revision, step) in &history.steps {
        newest = revision;
        match *step {
            Step::Expired(lease) => {
                if !model.expire(lease) {
                    let detail = format!("lease {lease} ran out at revision {revision}, but there is none");
                    return Err(anomaly(Rule::AnswersFollowTheOrder, detail));
                }
            }
            Step::Request(id) => {
                let Done::Request(action) = &history.operations[&id].done else { unreachable!("checked before") };
                let answer = model.act(action);
                if answer != Answer::Done {
                    let detail = format!("request {id} ({action:?}) was done at {revision}, the model says {answer:?}");
                    return Err(anomaly(Rule::AnswersFollowTheOrder, detail));
                }
            }
        }
        observed(&model, revision, observers.remove(&revision))?;
    }
    match observers.into_iter().next() {
        None => Ok(()),
        Some((revision, observers)) => {
            let id = observers[0].0;
            let detail = format!("request {id} saw revision {revision}, the log ends at {newest}");
            Err(anomaly(Rule::AnswersFollowTheOrder, detail))
        }
    }
}

/// Compares what was answered at a revision with what the model says there.
fn observed(
    model: &Model,
    revision: u64,
    observers: Option<Vec<(RequestId, &Operation, Answer)>>,
) -> Result<(), Anomaly> {
    for (id, operation, answer) in observers.into_iter().flatten() {
        let expected = match &operation.done {
            Done::Read(register) => Answer::Holds(model.holds(*register)),
            Done::Request(Action::Get { register }) => Answer::Holds(model.holds(*register)),
            Done::Request(action) => model.clone().act(action),
        };
        if answer != expected {
            let done = &operation.done;
            let detail = format!("{id} ({done:?}) was answered {answer:?} at {revision}, the model says {expected:?}");
            return Err(anomaly(Rule::AnswersFollowTheOrder, detail));
        }
    }
    Ok(())
}

/// Where each operation stands in the order, if it is known: its revision, and whether it made it.
fn places(history: &History) -> BTreeMap<RequestId, (u64, bool)> {
    let mut places = BTreeMap::new();
    for (&id, operation) in &history.operations {
        if let Outcome::Replied { revision, answer } = operation.outcome {
            places.insert(id, (revision, answer == Answer::Done));
        }
    }
    for (&revision, step) in &history.steps {
        if let Step::Request(id) = *step {
            places.insert(id, (revision, true));
        }
    }
    places
}

fn order_follows_time(history: &History) -> Result<(), Anomaly> {
    let places = places(history);
    let placed = || places.iter().map(|(id, place)| (*id, &history.operations[id], *place));
    let mut over: Vec<(u64, u64, RequestId)> =
        placed().map(|(id, operation, (revision, _))| (operation.over(), revision, id)).collect();
    over.sort_unstable();
    let mut asked: Vec<(u64, RequestId, (u64, bool))> =
        placed().map(|(id, operation, place)| (operation.asked, id, place)).collect();
    asked.sort_unstable();
    let mut over = over.into_iter().peekable();
    let mut newest: Option<(u64, RequestId)> = None;
    for (at, id, (revision, made)) in asked {
        while let Some((_, earlier, whose)) = over.next_if(|(over, ..)| *over < at) {
            newest = newest.max(Some((earlier, whose)));
        }
        let Some((earlier, whose)) = newest else { continue };
        if revision < earlier || (made && revision == earlier) {
            let verb = if made { "made" } else { "saw" };
            let detail = format!("{id} {verb} revision {revision}, but {whose} was at {earlier} before {id} was asked");
            return Err(anomaly(Rule::OrderFollowsTime, detail));
        }
    }
    Ok(())
}

fn streams_are_fifo(history: &History) -> Result<(), Anomaly> {
    let places = places(history);
    // The newest revision of each stream, and the first of its requests that came to nothing.
    let mut streams: BTreeMap<u64, (u64, Option<RequestId>)> = BTreeMap::new();
    for (&id, operation) in &history.operations {
        let Done::Request(action) = &operation.done else { continue };
        let (newest, lost) = streams.entry(operation.stream).or_default();
        match places.get(&id) {
            Some(&(revision, made)) => {
                if let Some(lost) = lost {
                    let detail = format!("request {id} was decided, but {lost} of the same stream came to nothing");
                    return Err(anomaly(Rule::StreamsAreFifo, detail));
                }
                if revision < *newest || (made && revision == *newest) {
                    let detail = format!("request {id} stands at revision {revision}, one before it at {newest}");
                    return Err(anomaly(Rule::StreamsAreFifo, detail));
                }
                *newest = revision;
            }
            // What may have been decided without a change is not known to have been passed over: a refusal whose
            // answer was lost leaves no trace.
            None if matches!(action, Action::Put { lease: 0, .. }) => {
                lost.get_or_insert(id);
            }
            None => {}
        }
    }
    Ok(())
}
