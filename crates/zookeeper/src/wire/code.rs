//! The error codes of replies. They are numbers of the protocol; what leads to them is decided elsewhere.

/// An error code as it stands in a reply header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub(crate) enum Code {
    Ok = 0,
    /// In a transaction: an operation that was not tried because an earlier one failed.
    RuntimeInconsistency = -2,
    /// The request's bytes are not the record that its opcode announces.
    MarshallingError = -5,
    Unimplemented = -6,
    BadArguments = -8,
    /// Too few of the members that there would be could serve.
    NewConfigNoQuorum = -13,
    /// Another change of the membership is not through yet.
    ReconfigInProgress = -14,
    NoNode = -101,
    NoAuth = -102,
    BadVersion = -103,
    NoChildrenForEphemerals = -108,
    NodeExists = -110,
    NotEmpty = -111,
    SessionExpired = -112,
    InvalidAcl = -114,
    AuthFailed = -115,
    /// The session is served by another connection now.
    SessionMoved = -118,
    NoWatcher = -121,
    ReconfigDisabled = -123,
    QuotaExceeded = -125,
}

impl Code {
    /// The number on the wire.
    pub(crate) fn number(self) -> i32 {
        self as i32
    }
}
