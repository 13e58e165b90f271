//! Holds what two sides said against each other. Transactions correspond if the same names stand for each other
//! everywhere, in the same order; sessions if they were opened in the same order; times by their transactions.

use std::collections::BTreeMap;

use super::answer::{Token, event_tokens, is_transaction, tokens};
use super::case::{Deed, SESSIONS, Step};
use super::request::Request;
use super::side::{Heard, Record};

/// The first thing that differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Near which step.
    pub step: usize,
    /// What each side said, in words.
    pub told: String,
}

#[derive(Default)]
struct Correspondence {
    /// Ours by theirs.
    zxids: BTreeMap<i64, i64>,
    /// When each side says that a transaction was.
    times: [BTreeMap<i64, i64>; 2],
}

/// Compares; `None` if nothing differs that should not.
#[must_use]
pub fn difference(steps: &[Step], theirs: &Record, ours: &Record) -> Option<Difference> {
    let mut correspondence = Correspondence::default();
    for session in 0..SESSIONS {
        let [one, other] = [theirs, ours].map(|record| in_order(&record.heard[session], steps));
        for position in 0..one.len().max(other.len()) {
            let pair = [one.get(position), other.get(position)];
            let equal = match pair {
                [Some((_, one)), Some((_, other))] => correspondence.corresponds(steps, [one, other], [theirs, ours]),
                _ => false,
            };
            if !equal {
                let step = pair.iter().flatten().map(|(step, _)| *step).min().unwrap_or(steps.len());
                let shown = pair.map(|heard| shown(steps, heard.map(|(_, heard)| heard)));
                let told =
                    format!("session {session}, near step {step}\n  theirs: {}\n  ours:   {}", shown[0], shown[1]);
                return Some(Difference { step, told });
            }
        }
        for (side, record) in [("theirs", theirs), ("ours", ours)] {
            if let Some(told) = goes_back(session, &record.heard[session]) {
                return Some(Difference { step: steps.len(), told: format!("{side}: {told}") });
            }
        }
    }
    let order: Vec<i64> = correspondence.zxids.values().copied().collect();
    (!order.is_sorted_by(|one, next| one < next)).then(|| Difference {
        step: steps.len(),
        told: format!("transactions are not in the same order: {:?}", correspondence.zxids),
    })
}

/// The events that a session's end causes come in no promised order: those that stand together are sorted, in a case in
/// which a session ends.
fn in_order(heard: &[(usize, Heard)], steps: &[Step]) -> Vec<(usize, Heard)> {
    let mut heard = heard.to_vec();
    if !steps.iter().any(|step| matches!(&step.deed, Deed::Ask(request) if request.may_end())) {
        return heard;
    }
    for run in heard.chunk_by_mut(|(_, one), (_, next)| matches!((one, next), (Heard::Event(_), Heard::Event(_)))) {
        run.sort_by_key(|(_, heard)| match heard {
            Heard::Event(frame) => frame.body.clone(),
            _ => Vec::new(),
        });
    }
    heard
}

impl Correspondence {
    fn corresponds(&mut self, steps: &[Step], pair: [&Heard; 2], records: [&Record; 2]) -> bool {
        match pair {
            [Heard::Reply(one_step, one), Heard::Reply(other_step, other)] => {
                let request = request(steps, *one_step);
                let header = one_step == other_step && one.xid == other.xid && one.code == other.code;
                let is_decided = one.code == 0 && is_transaction(request);
                // A transaction that failed as a whole changed nothing: its number is nobody's.
                let is_decided = is_decided && !is_failed_multi(request, &one.body);
                header
                    && (!is_decided || self.same_zxid(one.zxid, other.zxid))
                    && self.all_correspond(&tokens(request, one), &tokens(request, other), records)
            }
            [Heard::Event(one), Heard::Event(other)] => {
                one.code == other.code && self.all_correspond(&event_tokens(one), &event_tokens(other), records)
            }
            [one, other] => one == other,
        }
    }

    fn all_correspond(&mut self, theirs: &[Token], ours: &[Token], records: [&Record; 2]) -> bool {
        theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(one, other)| self.token(one, other, records))
    }

    fn token(&mut self, theirs: &Token, ours: &Token, records: [&Record; 2]) -> bool {
        match (theirs, ours) {
            (Token::Zxid(one), Token::Zxid(other)) => self.same_zxid(*one, *other),
            (Token::Session(one), Token::Session(other)) => {
                let ordinal = |record: &Record, id: &i64| record.sessions.get(id).copied();
                ordinal(records[0], one) == ordinal(records[1], other) && (*one == 0) == (*other == 0)
            }
            (Token::Time { .. }, Token::Time { .. }) => {
                [theirs, ours].into_iter().zip(&mut self.times).all(|(token, times)| match token {
                    Token::Time { zxid, milliseconds } => *times.entry(*zxid).or_insert(*milliseconds) == *milliseconds,
                    _ => false,
                })
            }
            (one, other) => one == other,
        }
    }

    fn same_zxid(&mut self, theirs: i64, ours: i64) -> bool {
        (theirs == 0) == (ours == 0) && *self.zxids.entry(theirs).or_insert(ours) == ours
    }
}

fn is_failed_multi(request: &Request, body: &[u8]) -> bool {
    matches!(request, Request::Many { .. }) && body.starts_with(&(-1_i32).to_be_bytes())
}

fn request(steps: &[Step], at: usize) -> &Request {
    match &steps[at].deed {
        Deed::Ask(request) => request,
        Deed::Return => unreachable!("only requests are replied to"),
    }
}

/// The zxid of a session's replies never goes back. Some answers name none.
fn goes_back(session: usize, heard: &[(usize, Heard)]) -> Option<String> {
    let mut newest = 0;
    for (step, heard) in heard {
        let Heard::Reply(_, frame) = heard else { continue };
        if frame.xid == -4 || frame.zxid == -1 {
            continue;
        }
        if frame.zxid < newest {
            return Some(format!(
                "session {session}: at step {step} the zxid goes back from {newest} to {}",
                frame.zxid
            ));
        }
        newest = frame.zxid;
    }
    None
}

fn shown(steps: &[Step], heard: Option<&Heard>) -> String {
    match heard {
        None => "nothing".to_owned(),
        Some(Heard::Reply(step, frame)) => {
            let request = request(steps, *step);
            let tokens = tokens(request, frame);
            format!(
                "{request:?}, step {step}: xid {}, code {}, zxid {:#x}, {tokens:?}",
                frame.xid, frame.code, frame.zxid
            )
        }
        Some(Heard::Event(frame)) => format!("an event {:?}", event_tokens(frame)),
        Some(Heard::Closed) => "the connection is closed".to_owned(),
        Some(Heard::Opened { resumed }) => format!("a session, {}", if *resumed { "the old one" } else { "a new one" }),
    }
}
