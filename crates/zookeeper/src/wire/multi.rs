//! Transactions of several operations: the request's list, and the reply's list of results.

use std::borrow::Cow;

use super::{
    Code, CreateRequest, Malformed, OpCode, PathWithNumber, PathWithWatch, Reader, SetDataRequest, Stat, Writer,
};

/// One operation of a multi or multiRead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// Any of the five creating opcodes.
    Create(OpCode, CreateRequest<'a>),
    Delete(PathWithNumber<'a>),
    SetData(SetDataRequest<'a>),
    Check(PathWithNumber<'a>),
    CheckNotExists(PathWithNumber<'a>),
    RemoveRecursive(PathWithNumber<'a>),
    GetData(Cow<'a, str>),
    GetChildren(Cow<'a, str>),
}

impl<'a> Operation<'a> {
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Operation::GetData(_) | Operation::GetChildren(_))
    }

    fn read(number: i32, reader: &mut Reader<'a>) -> Result<Operation<'a>, Malformed> {
        let opcode = OpCode::from_number(number).ok_or(Malformed::Misplaced)?;
        Ok(match opcode {
            OpCode::Create
            | OpCode::Create2
            | OpCode::CreateContainer
            | OpCode::CreateTtl
            | OpCode::CreateIfNotExists => Operation::Create(opcode, CreateRequest::read(opcode, reader)?),
            OpCode::Delete => Operation::Delete(PathWithNumber::read(reader)?),
            OpCode::SetData => Operation::SetData(SetDataRequest::read(reader)?),
            OpCode::Check => Operation::Check(PathWithNumber::read(reader)?),
            OpCode::CheckNotExists => Operation::CheckNotExists(PathWithNumber::read(reader)?),
            OpCode::RemoveRecursive => Operation::RemoveRecursive(PathWithNumber::read(reader)?),
            // Watches cannot be left in a multiRead: the flag is there but without meaning.
            OpCode::GetData => Operation::GetData(PathWithWatch::read(reader)?.path),
            OpCode::GetChildren => Operation::GetChildren(PathWithWatch::read(reader)?.path),
            _ => return Err(Malformed::Misplaced),
        })
    }
}

/// The operations of one transaction: all of them read, or none of them does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operations<'a>(pub(crate) Vec<Operation<'a>>);

impl<'a> Operations<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Operations<'a>, Malformed> {
        let mut operations: Vec<Operation<'a>> = Vec::new();
        loop {
            let number = reader.int()?;
            let done = reader.boolean()?;
            let _error = reader.int()?;
            if done {
                return Ok(Operations(operations));
            }
            let operation = Operation::read(number, reader)?;
            if operations.first().is_some_and(|first| first.is_read() != operation.is_read()) {
                return Err(Malformed::Misplaced);
            }
            operations.push(operation);
        }
    }
}

/// Writes the results of a transaction, one after the other.
#[derive(Debug, Default)]
pub(crate) struct MultiReply {
    writer: Writer,
}

impl MultiReply {
    /// The header's number for a failed operation.
    const ERROR: i32 = -1;

    pub(crate) fn new() -> MultiReply {
        MultiReply::default()
    }

    /// A result with its record, which the caller writes: none for what only deletes or checks.
    pub(crate) fn result(&mut self, opcode: OpCode) -> &mut Writer {
        self.header(opcode.number(), false, 0);
        &mut self.writer
    }

    /// A create's result. Only the oldest form goes without the node's numbers.
    pub(crate) fn created(&mut self, opcode: OpCode, path: &str, stat: &Stat) {
        if opcode == OpCode::Create {
            self.result(OpCode::Create).string(path);
        } else {
            stat.write(self.result(OpCode::Create2).string(path));
        }
    }

    /// An operation that failed, or that shares the fate of one that did.
    pub(crate) fn failure(&mut self, code: Code) {
        self.header(MultiReply::ERROR, false, code.number());
        self.writer.int(code.number());
    }

    /// The whole record.
    pub(crate) fn finish(mut self) -> bytes::Bytes {
        self.header(-1, true, -1);
        self.writer.finish()
    }

    fn header(&mut self, number: i32, done: bool, error: i32) {
        self.writer.int(number).boolean(done).int(error);
    }
}
