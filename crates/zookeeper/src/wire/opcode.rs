//! The table of operations: ZooKeeper's, and from 500 on those that ClickHouse Keeper added. It knows numbers, and
//! which part of the server an operation concerns.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub(crate) enum OpCode {
    Create = 1,
    Delete = 2,
    Exists = 3,
    GetData = 4,
    SetData = 5,
    GetAcl = 6,
    SetAcl = 7,
    GetChildren = 8,
    Sync = 9,
    Ping = 11,
    GetChildren2 = 12,
    Check = 13,
    Multi = 14,
    Create2 = 15,
    Reconfig = 16,
    CheckWatches = 17,
    RemoveWatches = 18,
    CreateContainer = 19,
    DeleteContainer = 20,
    CreateTtl = 21,
    MultiRead = 22,
    Auth = 100,
    SetWatches = 101,
    Sasl = 102,
    GetEphemerals = 103,
    GetAllChildrenNumber = 104,
    SetWatches2 = 105,
    AddWatch = 106,
    WhoAmI = 107,
    FilteredList = 500,
    CheckNotExists = 501,
    CreateIfNotExists = 502,
    RemoveRecursive = 503,
    CloseSession = -11,
}

impl OpCode {
    /// Every operation there is.
    pub(crate) const ALL: [OpCode; 34] = [
        OpCode::Create,
        OpCode::Delete,
        OpCode::Exists,
        OpCode::GetData,
        OpCode::SetData,
        OpCode::GetAcl,
        OpCode::SetAcl,
        OpCode::GetChildren,
        OpCode::Sync,
        OpCode::Ping,
        OpCode::GetChildren2,
        OpCode::Check,
        OpCode::Multi,
        OpCode::Create2,
        OpCode::Reconfig,
        OpCode::CheckWatches,
        OpCode::RemoveWatches,
        OpCode::CreateContainer,
        OpCode::DeleteContainer,
        OpCode::CreateTtl,
        OpCode::MultiRead,
        OpCode::Auth,
        OpCode::SetWatches,
        OpCode::Sasl,
        OpCode::GetEphemerals,
        OpCode::GetAllChildrenNumber,
        OpCode::SetWatches2,
        OpCode::AddWatch,
        OpCode::WhoAmI,
        OpCode::FilteredList,
        OpCode::CheckNotExists,
        OpCode::CreateIfNotExists,
        OpCode::RemoveRecursive,
        OpCode::CloseSession,
    ];

    /// The operation with this number, if there is one.
    pub(crate) fn from_number(number: i32) -> Option<OpCode> {
        OpCode::ALL.into_iter().find(|opcode| opcode.number() == number)
    }

    /// The number on the wire.
    pub(crate) fn number(self) -> i32 {
        self as i32
    }

    /// Whether the leader decides it: everything that changes the tree, or belongs into its order.
    pub(crate) fn is_decided_by_leader(self) -> bool {
        matches!(
            self,
            OpCode::Create
                | OpCode::Create2
                | OpCode::CreateContainer
                | OpCode::CreateTtl
                | OpCode::Delete
                | OpCode::DeleteContainer
                | OpCode::SetData
                | OpCode::SetAcl
                | OpCode::Check
                | OpCode::Multi
                | OpCode::Reconfig
                | OpCode::CheckNotExists
                | OpCode::CreateIfNotExists
                | OpCode::RemoveRecursive
                | OpCode::CloseSession
        )
    }
}
