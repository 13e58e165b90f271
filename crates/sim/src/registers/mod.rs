//! A protocol for simulation only: registers with put, get, compare-and-set and delete, leases with registers
//! attached, and exchanges of several registers at once. It stands where a real protocol stands, uses all that the
//! member offers to one, and is simple enough that its whole meaning can be written down again in `check::model`.
//!
//! Every request that changes something also leaves a receipt (a row that says which request it was), so that the
//! committed log itself tells what was done, once and in which order. Every change has a revision of its own.

mod protocol;
mod wire;

pub use protocol::{EXPIRIES, RECEIPTS, Registers};

/// A register's number.
pub type Register = u16;

/// A request's number, unique in a simulation.
pub type RequestId = u64;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The request's number.
    pub id: RequestId,
    /// The client's number.
    pub client: u32,
    /// What is asked for.
    pub action: Action,
}

/// Something that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set a register, and attach it to a lease (0: to none).
    Put {
        /// Which.
        register: Register,
        /// To what.
        value: u64,
        /// The lease.
        lease: i64,
        /// So many bytes more, to have large requests.
        padding: u32,
    },
    /// Read a register where the leader decides.
    Get {
        /// Which.
        register: Register,
    },
    /// Set a register if it holds what is expected (`None`: if there is no such register).
    CompareAndSet {
        /// Which.
        register: Register,
        /// What it must hold.
        expected: Option<u64>,
        /// What it is to hold.
        value: u64,
    },
    /// Remove a register; a refusal if there is none.
    Delete {
        /// Which.
        register: Register,
    },
    /// Set or remove several registers if all of several hold what is expected; else nothing.
    Exchange {
        /// What must hold.
        expected: Vec<(Register, Option<u64>)>,
        /// What is to hold.
        wanted: Vec<(Register, Option<u64>)>,
    },
    /// Begin a lease; a refusal if it exists.
    Grant {
        /// Its number.
        lease: i64,
        /// Its span in milliseconds.
        ttl_milliseconds: u64,
    },
    /// End a lease and remove what is attached to it; a refusal if there is none.
    Revoke {
        /// Its number.
        lease: i64,
    },
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The revision the decision made, or, if it changed nothing, the revision it saw.
    pub revision: u64,
    /// What it is.
    pub answer: Answer,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was not done, for what was expected does not hold (or the lease or register is not there, or is already).
    Refused,
    /// What the register holds.
    Holds(Option<u64>),
    /// The request could not be read.
    Unreadable,
}
