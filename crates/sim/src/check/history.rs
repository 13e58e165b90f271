//! What clients remember, and what the committed log says was done.

use std::collections::BTreeMap;

use crate::registers::{Action, Answer, Register, RequestId};

/// Everything that happened, as seen from outside.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What clients asked, by request.
    pub operations: BTreeMap<RequestId, Operation>,
    /// What the log did at each revision.
    pub steps: BTreeMap<u64, Step>,
}

/// One thing a client did. Times are true nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The ordered stream it was part of. Requests of one stream must be decided in the order of their numbers.
    pub stream: u64,
    /// What was asked.
    pub done: Done,
    /// When it was asked.
    pub asked: u64,
    /// When the client knew what came of it; `None` if it never did.
    pub answered: Option<u64>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a client can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Have a request decided.
    Request(Action),
    /// Wait for a barrier, then read a register where it is connected.
    Read(Register),
}

/// What a client knows of what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer came.
    Replied {
        /// The revision made or seen.
        revision: u64,
        /// The answer.
        answer: Answer,
    },
    /// It was told that nothing was done.
    NotApplied,
    /// Nobody told it.
    Unknown,
}

/// What happened at one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This request was done.
    Request(RequestId),
    /// This lease ran out.
    Expired(i64),
}

impl Operation {
    /// When it was over at the latest, for whoever must not assume that it was over sooner.
    #[must_use]
    pub fn over(&self) -> u64 {
        match self.outcome {
            Outcome::Replied { .. } | Outcome::NotApplied => self.answered.unwrap_or(u64::MAX),
            Outcome::Unknown => u64::MAX,
        }
    }
}

impl Action {
    /// Whether it may change something.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self, Action::Get { .. })
    }
}
