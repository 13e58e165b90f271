//! Transactions: all operations, or none of them.

use bytes::Bytes;

use super::Pen;
use crate::wire::{Code, MultiReply, OpCode, Operation, Operations, Reader};

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
            if let Err(code) = self.perform(operation, &mut reply) {
                self.transaction.rollback(&before);
                return Ok(failed(operations.len(), position, code));
            }
        }
        Ok(reply.finish())
    }

    fn perform(&mut self, operation: &Operation<'_>, reply: &mut MultiReply) -> Result<(), Code> {
        match operation {
            Operation::Create(opcode, request) => {
                let created = self.create(*opcode, request)?;
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
            Operation::GetData(_) | Operation::GetChildren(_) => return Err(Code::MarshallingError),
        }
        Ok(())
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
