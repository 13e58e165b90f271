//! Transactions: all operations, or none of them.

use bytes::Bytes;

use super::Pen;
use crate::wire::{Code, CreateRequest, Mode, MultiReply, OpCode, Operation, Operations, Reader};

impl Pen<'_, '_> {
    /// Decides a transaction. One that fails is still answered with a list: success for what came before the
    /// failure, its code for the operation that failed, and "not tried" for all after it.
    pub(super) fn multi(&mut self, body: &[u8]) -> Result<Bytes, Code> {
        let Operations(operations) = Operations::read(&mut Reader::new(body))?;
        if operations.first().is_some_and(Operation::is_read) {
            return Err(Code::MarshallingError);
        }
        let before = self.transaction.savepoint();
        let mut reply = MultiReply::new();
        for (position, operation) in operations.iter().enumerate() {
            if let Err(failure) = self.perform(operation, &mut reply) {
                self.transaction.rollback(&before);
                return match failure {
                    Failure::OfOperation(code) => Ok(failed(operations.len(), position, code)),
                    Failure::OfAll => Err(Code::MarshallingError),
                };
            }
        }
        Ok(reply.finish())
    }

    fn perform(&mut self, operation: &Operation<'_>, reply: &mut MultiReply) -> Result<(), Failure> {
        match operation {
            Operation::Create(opcode @ OpCode::CreateIfNotExists, request) => {
                let (kind, _) = kind_of_create(*opcode, request)?;
                let path = self.create_if_not_exists(kind, request)?;
                reply.result(*opcode).string(&path);
            }
            Operation::CheckNotExists(request) => {
                self.check_not_exists(request)?;
                reply.result(OpCode::CheckNotExists);
            }
            Operation::RemoveRecursive(request) => {
                self.remove_recursive(request)?;
                reply.result(OpCode::RemoveRecursive);
            }
            Operation::Create(opcode, request) => {
                let (kind, ttl_milliseconds) = kind_of_create(*opcode, request)?;
                let created = self.create(kind, &CreateRequest { ttl_milliseconds, ..request.clone() })?;
                reply.created(*opcode, &created.path, &created.stat);
            }
            Operation::Delete(request) => {
                self.delete(request)?;
                reply.result(OpCode::Delete);
            }
            Operation::SetData(request) => {
                let stat = self.set_data(request)?;
                stat.write(reply.result(OpCode::SetData));
            }
            Operation::Check(request) => {
                self.check(request)?;
                reply.result(OpCode::Check);
            }
            Operation::GetData(_) | Operation::GetChildren(_) => return Err(Failure::OfAll),
        }
        Ok(())
    }
}

/// How an operation fails.
enum Failure {
    /// By itself, and the others share its fate.
    OfOperation(Code),
    /// So that the transaction is no transaction.
    OfAll,
}

impl From<Code> for Failure {
    fn from(code: Code) -> Failure {
        Failure::OfOperation(code)
    }
}

/// Within a transaction the real server goes by the flags, where it goes by the opcode otherwise: what they ask for is
/// what is created, and a time to live that has no place in the record is the end of the transaction.
fn kind_of_create(opcode: OpCode, request: &CreateRequest<'_>) -> Result<(OpCode, Option<i64>), Failure> {
    match Mode::from_flags(request.flags) {
        Some(Mode { ttl: true, .. }) if opcode != OpCode::CreateTtl => Err(Failure::OfAll),
        Some(Mode { ttl: true, .. }) => Ok((opcode, request.ttl_milliseconds)),
        Some(Mode { container: true, .. }) => Ok((OpCode::CreateContainer, None)),
        _ => Ok((OpCode::Create, None)),
    }
}

/// The results of `count` operations of which the one at `position` failed.
fn failed(count: usize, position: usize, code: Code) -> Bytes {
    let mut reply = MultiReply::new();
    for each in 0..count {
        reply.failure(match each.cmp(&position) {
            std::cmp::Ordering::Less => Code::Ok,
            std::cmp::Ordering::Equal => code,
            std::cmp::Ordering::Greater => Code::RuntimeInconsistency,
        });
    }
    reply.finish()
}
