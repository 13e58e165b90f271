//! The leader's decisions: what a request does to the tables, or why it is refused.
//!
//! Deciding is a function of the working state, the request, the leader's clock and its random number; it knows no
//! sockets and no connections. A refusal writes nothing. Every request that is granted is one transaction with a
//! revision of its own, even if it changes no row (a transaction of checks, say): revisions are the zxids of clients.

mod access;
mod change;
mod create;
mod envelope;
mod keeper;
mod multi;
mod quota;
mod session;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use node::{Context, Protocol, ProtocolId};
use state::{LeaseId, TableSpec, Transaction};

pub(crate) use envelope::{Attached, Decision, Hold, Request};

use crate::options::Rules;
use crate::tables::{self, Tree};
use crate::wire::{
    Code, Identity, Malformed, OpCode, PathWithNumber, Reader, SetAccessRequest, SetDataRequest, Writer,
};

/// This protocol's number, the owner of its leases.
pub const PROTOCOL: ProtocolId = ProtocolId(2);

/// The largest record that is decided, whatever the packet limit: what comes of it must fit into one row of a table.
const BODY_BYTES_MAX: usize = state::MAX_ROW_BYTES / 2;

/// The ZooKeeper protocol's decisions, to be given to the member.
#[derive(Clone, Debug, Default)]
pub struct ZooKeeper {
    rules: Rules,
}

impl ZooKeeper {
    /// Decides by these rules, which must be the same on all members.
    #[must_use]
    pub fn new(rules: Rules) -> ZooKeeper {
        ZooKeeper { rules }
    }
}

impl Protocol for ZooKeeper {
    fn id(&self) -> ProtocolId {
        PROTOCOL
    }

    fn tables(&self) -> &'static [TableSpec] {
        &tables::SPECS
    }

    fn prepare(&self, context: &Context, transaction: &mut Transaction<'_>, request: &[u8]) -> Bytes {
        let decided =
            Request::decode(request).map_err(Code::from).and_then(|request| self.decide(context, transaction, request));
        let decision = match decided {
            Ok(body) => Decision { code: Code::Ok.number(), zxid: tables::zxid(transaction.revision()), body },
            Err(code) => Decision::refused(code, tables::zxid(transaction.state().revision())),
        };
        decision.encode()
    }

    fn expire(&self, _context: &Context, transaction: &mut Transaction<'_>, lease: LeaseId) {
        session::close(transaction, lease);
    }

    /// Without a session nobody could delete anything; sessions end by themselves.
    fn is_essential(&self, request: &[u8]) -> bool {
        matches!(Request::decode(request), Ok(Request::Open { .. } | Request::Resume { .. }))
    }
}

impl ZooKeeper {
    fn decide(
        &self,
        context: &Context,
        transaction: &mut Transaction<'_>,
        request: Request<'_>,
    ) -> Result<Bytes, Code> {
        match request {
            Request::Open { timeout_milliseconds, password } => {
                let session = tables::Session { timeout_milliseconds, password };
                Ok(session::open(context, transaction, session).encode())
            }
            Request::Resume { session, timeout_milliseconds, password } => {
                let wanted = tables::Session { timeout_milliseconds, password };
                session::resume(transaction, session, wanted).map(|attached| attached.encode())
            }
            Request::Operate { hold, opcode, identities, body } => {
                session::check_hold(Tree(transaction.state()), hold)?;
                if body.len() > BODY_BYTES_MAX {
                    return Err(Code::BadArguments);
                }
                let opcode = OpCode::from_number(opcode).ok_or(Code::Unimplemented)?;
                let mut pen = Pen { transaction, rules: &self.rules, session: hold.session, identities: &identities };
                pen.operate(opcode, body)
            }
            Request::Configure { lines } => {
                session::put_members(transaction, &lines);
                Ok(Bytes::new())
            }
            Request::Sweep { path, revision } => {
                let mut pen = Pen { transaction, rules: &self.rules, session: LeaseId::NONE, identities: &[] };
                pen.sweep(&path, revision).map(|()| Bytes::new())
            }
        }
    }
}

/// Whoever asks, and the transaction that the answer is written into.
struct Pen<'p, 't> {
    transaction: &'p mut Transaction<'t>,
    rules: &'p Rules,
    session: LeaseId,
    identities: &'p [Identity],
}

impl Pen<'_, '_> {
    fn tree(&self) -> Tree<'_> {
        Tree(self.transaction.state())
    }

    /// Decides one operation and gives the record for the client.
    fn operate(&mut self, opcode: OpCode, body: &[u8]) -> Result<Bytes, Code> {
        let mut reader = Reader::new(body);
        let mut reply = Writer::new();
        match opcode {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                let created = self.create(opcode, &crate::wire::CreateRequest::read(opcode, &mut reader)?)?;
                reply.string(&created.path);
                if opcode != OpCode::Create {
                    created.stat.write(&mut reply);
                }
            }
            OpCode::CreateIfNotExists => {
                let request = crate::wire::CreateRequest::read(opcode, &mut reader)?;
                reply.string(&self.create_if_not_exists(opcode, &request)?);
            }
            OpCode::CheckNotExists => self.check_not_exists(&PathWithNumber::read(&mut reader)?)?,
            OpCode::RemoveRecursive => self.remove_recursive(&PathWithNumber::read(&mut reader)?)?,
            OpCode::Delete => self.delete(&PathWithNumber::read(&mut reader)?)?,
            OpCode::SetData => self.set_data(&SetDataRequest::read(&mut reader)?)?.write(&mut reply),
            OpCode::SetAcl => self.set_access(&SetAccessRequest::read(&mut reader)?)?.write(&mut reply),
            OpCode::Check => self.check(&PathWithNumber::read(&mut reader)?)?,
            OpCode::Multi => return self.multi(body),
            OpCode::CloseSession => session::close(self.transaction, self.session),
            OpCode::Reconfig => return Err(Code::ReconfigDisabled),
            _ => return Err(Code::Unimplemented),
        }
        Ok(reply.finish())
    }
}

impl From<Malformed> for Code {
    fn from(_: Malformed) -> Code {
        Code::MarshallingError
    }
}
