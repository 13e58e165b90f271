//! The first exchange on a connection. It knows the two records, not what a session is.

use super::{Malformed, Reader, Writer};

/// Length of a session's password.
pub(crate) const PASSWORD_BYTES: usize = 16;

/// What proves that a client owns a session.
pub(crate) type Password = [u8; PASSWORD_BYTES];

/// What a client opens a connection with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectRequest {
    /// The newest transaction the client has seen anywhere; a member behind it must not serve it.
    pub(crate) last_zxid_seen: i64,
    /// Wanted session timeout in milliseconds.
    pub(crate) timeout_milliseconds: i32,
    /// The session to go on with, 0 for a new one.
    pub(crate) session: i64,
    /// The session's password; of the wrong length it is nobody's password.
    pub(crate) password: Option<Password>,
    /// Whether the client knows the last field of both records, added in 3.4; an answer repeats it only then.
    pub(crate) knows_read_only: bool,
}

impl ConnectRequest {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<ConnectRequest, Malformed> {
        let _protocol_version = reader.int()?;
        let last_zxid_seen = reader.long()?;
        let timeout_milliseconds = reader.int()?;
        let session = reader.long()?;
        let password = reader.buffer()?.and_then(|password| password.try_into().ok());
        let knows_read_only = reader.boolean().is_ok();
        Ok(ConnectRequest { last_zxid_seen, timeout_milliseconds, session, password, knows_read_only })
    }
}

/// The answer. All zero: there is no such session (any more).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectResponse {
    /// Granted session timeout in milliseconds.
    pub(crate) timeout_milliseconds: i32,
    pub(crate) session: i64,
    pub(crate) password: Password,
}

impl ConnectResponse {
    pub(crate) fn write(&self, knows_read_only: bool, writer: &mut Writer) {
        writer.int(0).int(self.timeout_milliseconds).long(self.session).buffer(Some(&self.password));
        if knows_read_only {
            writer.boolean(false);
        }
    }
}
