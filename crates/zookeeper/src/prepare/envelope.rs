//! What travels between a front end and the leader: the request's envelope and the decision. Both are written and
//! read by members only, in jute, since they are mostly made of the client's own records.

use bytes::Bytes;
use state::LeaseId;

use crate::wire::{Code, Identity, Malformed, Password, Reader, Writer};

const OPEN: i32 = 1;
const RESUME: i32 = 2;
const OPERATE: i32 = 3;
const SWEEP: i32 = 4;
const CONFIGURE: i32 = 5;

/// A connection's hold on a session: worth something until another connection takes the session over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) session: LeaseId,
    /// The revision at which the connection took the session.
    pub(crate) revision: u64,
}

/// What a front end asks the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// A new session. The password is drawn by the front end, so that nobody who knows the session's number, which
    /// everybody may see, could guess it.
    Open { timeout_milliseconds: u32, password: Password },
    /// A connection takes over a session that is there.
    Resume { session: LeaseId, timeout_milliseconds: u32, password: Password },
    /// One of the operations that the leader decides.
    Operate {
        hold: Hold,
        /// The client's number of the operation.
        opcode: i32,
        /// Who the client has proven to be.
        identities: Vec<Identity>,
        /// The client's record.
        body: &'a [u8],
    },
    /// Write the ensemble's members down where clients read them.
    Configure {
        /// One line for each member.
        lines: String,
    },
    /// Delete a container or a node with a time to live, if it is as old and as empty as it was found.
    Sweep {
        path: String,
        /// Revision of the node's newest change when it was found.
        revision: u64,
    },
}

impl<'a> Request<'a> {
    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        match self {
            Request::Open { timeout_milliseconds, password } => {
                writer.int(OPEN).int(timeout_milliseconds.cast_signed()).buffer(Some(password));
            }
            Request::Resume { session, timeout_milliseconds, password } => {
                writer.int(RESUME).int(timeout_milliseconds.cast_signed()).buffer(Some(password)).long(session.0);
            }
            Request::Operate { hold, opcode, identities, body } => {
                writer.int(OPERATE).long(hold.session.0).long(hold.revision.cast_signed()).int(*opcode);
                writer.length(identities.len());
                for identity in identities {
                    identity.write(&mut writer);
                }
                writer.raw(body);
            }
            Request::Configure { lines } => {
                writer.int(CONFIGURE).string(lines);
            }
            Request::Sweep { path, revision } => {
                writer.int(SWEEP).long(revision.cast_signed()).string(path);
            }
        }
        writer.finish()
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Request<'a>, Malformed> {
        let mut reader = Reader::new(bytes);
        Ok(match reader.int()? {
            OPEN => Request::Open {
                timeout_milliseconds: read_timeout(&mut reader)?,
                password: read_password(&mut reader)?,
            },
            RESUME => Request::Resume {
                timeout_milliseconds: read_timeout(&mut reader)?,
                password: read_password(&mut reader)?,
                session: LeaseId(reader.long()?),
            },
            OPERATE => Request::Operate {
                hold: Hold { session: LeaseId(reader.long()?), revision: reader.long()?.cast_unsigned() },
                opcode: reader.int()?,
                identities: reader.vector(Identity::MIN_BYTES, Identity::read)?,
                body: reader.rest(),
            },
            CONFIGURE => Request::Configure { lines: reader.string()?.into_owned() },
            SWEEP => Request::Sweep { revision: reader.long()?.cast_unsigned(), path: reader.string()?.into_owned() },
            value => return Err(Malformed::Unknown { what: "request", value }),
        })
    }
}

fn read_timeout(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    reader.int().map(i32::cast_unsigned)
}

fn read_password(reader: &mut Reader<'_>) -> Result<Password, Malformed> {
    reader.buffer()?.and_then(|password| password.try_into().ok()).ok_or(Malformed::Absent)
}

/// What the leader decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) code: i32,
    /// The transaction, or for a refusal the newest one that it saw.
    pub(crate) zxid: i64,
    /// The record for the client; for Open and Resume an [`Attached`].
    pub(crate) body: Bytes,
}

impl Decision {
    pub(crate) fn refused(code: Code, zxid: i64) -> Decision {
        Decision { code: code.number(), zxid, body: Bytes::new() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(12 + self.body.len());
        writer.int(self.code).long(self.zxid).raw(&self.body);
        writer.finish()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Decision, Malformed> {
        let mut reader = Reader::new(bytes);
        let (code, zxid) = (reader.int()?, reader.long()?);
        Ok(Decision { code, zxid, body: bytes.slice_ref(reader.rest()) })
    }
}

/// A connection got hold of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) hold: Hold,
    pub(crate) timeout_milliseconds: u32,
    pub(crate) password: Password,
}

impl Attached {
    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer
            .long(self.hold.session.0)
            .long(self.hold.revision.cast_signed())
            .int(self.timeout_milliseconds.cast_signed())
            .buffer(Some(&self.password));
        writer.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Attached, Malformed> {
        let mut reader = Reader::new(bytes);
        Ok(Attached {
            hold: Hold { session: LeaseId(reader.long()?), revision: reader.long()?.cast_unsigned() },
            timeout_milliseconds: read_timeout(&mut reader)?,
            password: read_password(&mut reader)?,
        })
    }
}
