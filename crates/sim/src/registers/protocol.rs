//! The decisions: what each request does to the tables. It is the code under test only in so far as it uses the
//! member and the tables; its own meaning is checked against `check::model`.

use bytes::{BufMut, Bytes};
use node::{Context, Protocol, ProtocolId};
use state::{Change, Delta, Edit, History, LeaseId, TableId, TableSpec, Transaction};

use super::{Action, Answer, Register, Reply, Request, RequestId};

/// The registers, by their big-endian number.
const REGISTERS: TableId = TableId(0x70);
/// The last request done for each client: key is the client's number, value the request's.
pub const RECEIPTS: TableId = TableId(0x71);
/// The last lease that ran out: one row, which holds its number.
pub const EXPIRIES: TableId = TableId(0x72);

/// The protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registers;

impl Registers {
    /// Its number.
    pub const ID: ProtocolId = ProtocolId(7);

    /// The table of the registers.
    pub const REGISTERS: TableId = REGISTERS;

    /// What a change says of a register: at which revision, which, and what it holds since. `None` if it is a change of
    /// something else.
    #[must_use]
    pub fn told(change: &Change) -> Option<(u64, Register, Option<u64>)> {
        if change.table != REGISTERS {
            return None;
        }
        let register = Register::from_be_bytes(change.key.as_ref().try_into().ok()?);
        let holds = match &change.after {
            Some(row) => Some(u64::from_le_bytes(*row.value().first_chunk()?)),
            None => None,
        };
        Some((change.revision, register, holds))
    }

    /// What a register holds in a state.
    #[must_use]
    pub fn read(state: &state::State, register: Register) -> Option<u64> {
        let row = state.get(REGISTERS, &register.to_be_bytes())?;
        let value = row.value().first_chunk().expect("a register's row begins with its value");
        Some(u64::from_le_bytes(*value))
    }

    /// The request whose receipt a delta holds, and the revision that the delta makes.
    #[must_use]
    pub fn receipt_in(delta: &[u8]) -> Option<(RequestId, u64)> {
        let delta = Delta::decode(delta).ok()?;
        delta.edits().find_map(|edit| match edit {
            Ok(Edit::Put { table: RECEIPTS, value, .. }) => {
                Some((u64::from_le_bytes(value.try_into().ok()?), delta.prepared_on() + 1))
            }
            _ => None,
        })
    }
}

impl Protocol for Registers {
    fn id(&self) -> ProtocolId {
        Registers::ID
    }

    fn tables(&self) -> &'static [TableSpec] {
        const TABLES: [TableSpec; 3] = [
            TableSpec { id: REGISTERS, name: "registers", history: History::Kept },
            TableSpec { id: RECEIPTS, name: "receipts", history: History::EventsOnly },
            TableSpec { id: EXPIRIES, name: "expiries", history: History::EventsOnly },
        ];
        &TABLES
    }

    fn prepare(&self, _: &Context, transaction: &mut Transaction<'_>, request: &[u8]) -> Bytes {
        let answer = match Request::decode(request) {
            None => Answer::Unreadable,
            Some(request) => {
                let answer = act(transaction, &request.action);
                if answer == Answer::Done {
                    let client = request.client.to_be_bytes();
                    transaction.put(RECEIPTS, &client, &request.id.to_le_bytes(), LeaseId::NONE);
                }
                answer
            }
        };
        // Whatever was done has claimed its revision by now; a refusal tells what it saw.
        Reply { revision: transaction.state().revision(), answer }.encode()
    }

    fn expire(&self, _: &Context, transaction: &mut Transaction<'_>, lease: LeaseId) {
        transaction.revoke(lease);
        transaction.put(EXPIRIES, b"last", &lease.0.to_le_bytes(), LeaseId::NONE);
    }
}

fn act(transaction: &mut Transaction<'_>, action: &Action) -> Answer {
    match *action {
        Action::Get { register } => return Answer::Holds(Registers::read(transaction.state(), register)),
        Action::Put { register, value, lease, padding } => {
            let lease = LeaseId(lease);
            if lease != LeaseId::NONE && transaction.state().lease(lease).is_none() {
                return Answer::Refused;
            }
            let mut row = Vec::with_capacity(8 + padding as usize);
            row.put_u64_le(value);
            row.put_bytes(0x5a, padding as usize);
            transaction.put(REGISTERS, &register.to_be_bytes(), &row, lease);
        }
        Action::CompareAndSet { register, expected, value } => {
            if Registers::read(transaction.state(), register) != expected {
                return Answer::Refused;
            }
            set(transaction, register, Some(value));
        }
        Action::Delete { register } => {
            if !transaction.delete(REGISTERS, &register.to_be_bytes()) {
                return Answer::Refused;
            }
        }
        Action::Exchange { ref expected, ref wanted } => return exchange(transaction, expected, wanted),
        Action::Grant { lease, ttl_milliseconds } => {
            if transaction.state().lease(LeaseId(lease)).is_some() {
                return Answer::Refused;
            }
            transaction.grant(LeaseId(lease), ttl_milliseconds, Registers::ID.0);
        }
        Action::Revoke { lease } => {
            if !transaction.revoke(LeaseId(lease)) {
                return Answer::Refused;
            }
        }
    }
    Answer::Done
}

/// Writes first and compares then, so that the way back through a savepoint is walked as real protocols walk it.
fn exchange(
    transaction: &mut Transaction<'_>,
    expected: &[(Register, Option<u64>)],
    wanted: &[(Register, Option<u64>)],
) -> Answer {
    let before = transaction.savepoint();
    let held: Vec<_> = expected.iter().map(|(register, _)| Registers::read(transaction.state(), *register)).collect();
    for (register, content) in wanted {
        set(transaction, *register, *content);
    }
    if expected.iter().map(|(_, content)| *content).eq(held) {
        return Answer::Done;
    }
    transaction.rollback(&before);
    Answer::Refused
}

fn set(transaction: &mut Transaction<'_>, register: Register, content: Option<u64>) {
    match content {
        Some(value) => transaction.put(REGISTERS, &register.to_be_bytes(), &value.to_le_bytes(), LeaseId::NONE),
        None => {
            transaction.delete(REGISTERS, &register.to_be_bytes());
        }
    }
}
