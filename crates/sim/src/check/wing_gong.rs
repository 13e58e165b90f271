//! Searches for an order of a short history, without believing any order that is claimed: the algorithm of Wing and
//! Gong with Lowe's memory of configurations seen before, walked over a doubly linked list of calls and returns.
//!
//! It judges one register at a time (linearizability is local: a history is linearizable if the part of each object
//! is), so it is for registers that no request touches together with others and that no lease removes.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use super::history::{Done, History, Outcome};
use super::model::Model;
use crate::registers::{Action, Answer, Register, RequestId};

/// An object's meaning.
pub trait Sequential {
    /// What the object holds.
    type State: Clone + Eq + Hash + Default;
    /// What is asked of it.
    type Call: Clone;
    /// What it answers.
    type Return: Clone;

    /// What the object holds after a call, if it can have been answered so. `None` as the answer: nobody knows it.
    fn step(state: &Self::State, call: &Self::Call, answer: Option<&Self::Return>) -> Option<Self::State>;
}

/// One call of one object.
#[derive(Clone, Debug)]
pub struct Call<M: Sequential> {
    /// When it began.
    pub asked: u64,
    /// When it was over; `u64::MAX` if nobody knows.
    pub over: u64,
    /// What was asked.
    pub call: M::Call,
    /// What was answered, if anything was.
    pub answer: Option<M::Return>,
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An order exists.
    Linearizable,
    /// No order exists.
    Violation,
    /// The bound on configurations was reached first.
    Undecided,
}

/// Searches for an order of the calls, looking at no more than `most` configurations.
#[must_use]
pub fn search<M: Sequential>(calls: &[Call<M>], most: usize) -> Verdict {
    let mut list = List::new(calls);
    let mut state = M::State::default();
    let mut linearized = BitSet::new(calls.len());
    let mut seen: HashSet<(BitSet, M::State)> = HashSet::new();
    let mut chosen: Vec<(usize, M::State)> = Vec::new();
    let mut at = list.first();
    loop {
        let Some(node) = at else { return Verdict::Linearizable };
        match list.entry(node) {
            Entry::Call(position) => {
                let call = &calls[position];
                let next = M::step(&state, &call.call, call.answer.as_ref());
                let fresh = next.filter(|next| {
                    linearized.insert(position);
                    let fresh = seen.insert((linearized.clone(), next.clone()));
                    linearized.remove(position);
                    fresh
                });
                if seen.len() > most {
                    return Verdict::Undecided;
                }
                if let Some(next) = fresh {
                    chosen.push((position, std::mem::replace(&mut state, next)));
                    linearized.insert(position);
                    list.lift(position);
                    at = list.first();
                } else {
                    at = list.after(node);
                }
            }
            Entry::Return => {
                // The call of this return had to come before it and did not: the last choice was wrong.
                let Some((position, before)) = chosen.pop() else { return Verdict::Violation };
                state = before;
                linearized.remove(position);
                list.unlift(position);
                at = list.after(list.call_of(position));
            }
        }
    }
}

/// How much work a search may be, for each register.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// So many calls of a history, from its beginning. What was not over when the last of them began counts as never
    /// over: if the whole has an order, so has this part.
    pub calls: usize,
    /// So many configurations.
    pub configurations: usize,
}

/// Judges the beginning of the part of each register of which `judged` says yes.
///
/// # Errors
/// A register without an order.
pub fn check(
    history: &History,
    judged: impl Fn(Register) -> bool,
    bounds: Bounds,
) -> Result<BTreeMap<Register, Verdict>, Register> {
    let mut calls: BTreeMap<Register, Vec<Call<OneRegister>>> = BTreeMap::new();
    for (&id, operation) in &history.operations {
        let (register, call) = match &operation.done {
            Done::Read(register) => (*register, Action::Get { register: *register }),
            Done::Request(action) => match register_of(action) {
                Some(register) => (register, action.clone()),
                None => continue,
            },
        };
        if !judged(register) {
            continue;
        }
        let answer = match operation.outcome {
            Outcome::Replied { answer, .. } => Some(answer),
            Outcome::NotApplied => continue,
            Outcome::Unknown if !call.writes() => continue,
            Outcome::Unknown => None,
        };
        let call = Call { asked: operation.asked, over: operation.over(), call: (id, call), answer };
        calls.entry(register).or_default().push(call);
    }
    let mut verdicts = BTreeMap::new();
    for (register, mut calls) in calls {
        shorten(&mut calls, bounds.calls);
        let verdict = search(&calls, bounds.configurations);
        if verdict == Verdict::Violation {
            return Err(register);
        }
        verdicts.insert(register, verdict);
    }
    Ok(verdicts)
}

/// Keeps the first calls of a history (they are in the order in which they began).
fn shorten(calls: &mut Vec<Call<OneRegister>>, most: usize) {
    let Some(end) = calls.get(most).map(|first_left_out| first_left_out.asked) else { return };
    calls.truncate(most);
    calls.retain_mut(|call| {
        if call.over >= end {
            call.over = u64::MAX;
            call.answer = None;
        }
        call.answer.is_some() || call.call.1.writes()
    });
}

fn register_of(action: &Action) -> Option<Register> {
    match *action {
        Action::Put { register, .. }
        | Action::Get { register }
        | Action::CompareAndSet { register, .. }
        | Action::Delete { register } => Some(register),
        Action::Exchange { .. } | Action::Grant { .. } | Action::Revoke { .. } => None,
    }
}

/// A register by itself.
#[derive(Clone, Debug)]
pub struct OneRegister;

impl Sequential for OneRegister {
    type State = Option<u64>;
    type Call = (RequestId, Action);
    type Return = Answer;

    fn step(state: &Option<u64>, (_, action): &(RequestId, Action), answer: Option<&Answer>) -> Option<Option<u64>> {
        let register = register_of(action)?;
        let mut model = Model::default();
        if let Some(value) = *state {
            model.act(&Action::Put { register, value, lease: 0, padding: 0 });
        }
        let due = model.act(action);
        answer.is_none_or(|answer| *answer == due).then(|| model.holds(register))
    }
}

/// Calls and returns in the order of time, from which a linearized call and its return are lifted and put back.
struct List {
    entries: Vec<Entry>,
    /// Where the call and the return of each position stand.
    calls: Vec<usize>,
    returns: Vec<usize>,
    /// Links to the next and the previous entry; the end is `entries.len()`.
    next: Vec<usize>,
    previous: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Entry {
    Call(usize),
    Return,
}

impl List {
    fn new<M: Sequential>(calls: &[Call<M>]) -> List {
        // At the same moment a call comes before a return: the two are concurrent.
        let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(calls.len() * 2);
        for (position, call) in calls.iter().enumerate() {
            moments.push((call.asked, false, position));
            moments.push((call.over, true, position));
        }
        moments.sort_unstable();
        let length = moments.len();
        let mut list = List {
            entries: Vec::with_capacity(length),
            calls: vec![0; calls.len()],
            returns: vec![0; calls.len()],
            next: (1..=length).chain([0]).collect(),
            previous: [length].into_iter().chain(0..length).collect(),
        };
        for (place, (_, is_return, position)) in moments.into_iter().enumerate() {
            if is_return {
                list.returns[position] = place;
                list.entries.push(Entry::Return);
            } else {
                list.calls[position] = place;
                list.entries.push(Entry::Call(position));
            }
        }
        list
    }

    fn entry(&self, node: usize) -> Entry {
        self.entries[node]
    }

    fn first(&self) -> Option<usize> {
        self.after(self.entries.len())
    }

    fn after(&self, node: usize) -> Option<usize> {
        Some(self.next[node]).filter(|&next| next < self.entries.len())
    }

    fn call_of(&self, position: usize) -> usize {
        self.calls[position]
    }

    fn lift(&mut self, position: usize) {
        self.unlink(self.calls[position]);
        self.unlink(self.returns[position]);
    }

    fn unlift(&mut self, position: usize) {
        self.relink(self.returns[position]);
        self.relink(self.calls[position]);
    }

    fn unlink(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn relink(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = node;
        self.previous[next] = node;
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    fn new(length: usize) -> BitSet {
        BitSet { words: vec![0; length.div_ceil(64)] }
    }

    fn insert(&mut self, position: usize) {
        self.words[position / 64] |= 1 << (position % 64);
    }

    fn remove(&mut self, position: usize) {
        self.words[position / 64] &= !(1 << (position % 64));
    }
}
