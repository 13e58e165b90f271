//! A case: steps in a form that means the same on both sides. Whatever a server chooses (revisions, ids of leases,
//! tokens) is named by how it came about. Knows no server.

/// A revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// 0: the newest, or none.
    None,
    /// So many before the newest.
    Back(i64),
    /// So many after it.
    Ahead(i64),
    /// Just this number.
    Plain(i64),
}

/// A lease, by the slot it was granted into; what is in no slot exists on neither side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// 0.
    None,
    /// The one in this slot.
    Slot(usize),
}

/// A range of keys, as the API spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// `key`.
    pub key: Vec<u8>,
    /// `range_end`.
    pub end: Vec<u8>,
}

/// A range request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the request of that name")]
pub struct Range {
    pub keys: Keys,
    pub limit: i64,
    pub revision: Revision,
    pub sort_order: i32,
    pub sort_target: i32,
    pub serializable: bool,
    pub keys_only: bool,
    pub count_only: bool,
    pub min_mod: Revision,
    pub max_mod: Revision,
    pub min_create: Revision,
    pub max_create: Revision,
}

/// A put request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the request of that name")]
pub struct Put {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub lease: Lease,
    pub prev_kv: bool,
    pub ignore_value: bool,
    pub ignore_lease: bool,
}

/// What a comparison compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the target of that name")]
pub enum Target {
    Version(i64),
    Create(Revision),
    Mod(Revision),
    Value(Vec<u8>),
    Lease(Lease),
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the message of that name")]
pub struct Compare {
    pub keys: Keys,
    pub result: i32,
    pub target: Target,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the request of that name")]
pub struct Txn {
    pub compare: Vec<Compare>,
    pub success: Vec<Operation>,
    pub failure: Vec<Operation>,
}

/// An operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the operation of that name")]
pub enum Operation {
    Range(Range),
    Put(Put),
    Delete(Keys, bool),
    Txn(Txn),
    Nothing,
}

/// A watch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of the request of that name")]
pub struct Watch {
    pub keys: Keys,
    pub start: Revision,
    pub filters: Vec<i32>,
    pub prev_kv: bool,
    pub id: i64,
    pub fragment: bool,
}

/// A permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// 0 read, 1 write, 2 both.
    pub kind: i32,
    /// For which keys.
    pub keys: Keys,
}

/// A request on accounts. Users, roles and passwords are named by numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the request of that name")]
pub enum Account {
    Status,
    UserAdd {
        user: usize,
        password: usize,
        no_password: bool,
    },
    UserDelete(usize),
    UserPassword {
        user: usize,
        password: usize,
    },
    UserGet(usize),
    UserList,
    Grant {
        user: usize,
        role: usize,
    },
    Revoke {
        user: usize,
        role: usize,
    },
    RoleAdd(usize),
    RoleDelete(usize),
    RoleGet(usize),
    RoleList,
    Permit {
        role: usize,
        permission: Option<Permission>,
    },
    Forbid {
        role: usize,
        keys: Keys,
    },
    Enable,
    Disable,
    /// Logs in; what he does from then on he does with the token that he was given.
    LogIn {
        user: usize,
        password: usize,
    },
}

/// What one step does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the request of that name")]
pub enum Deed {
    Range(Range),
    Put(Put),
    Delete(Keys, bool),
    Txn(Txn),
    Compact(Revision),
    LeaseGrant {
        slot: usize,
        ttl: i64,
        own_id: bool,
    },
    LeaseRevoke(Lease),
    LeaseRemaining(Lease, bool),
    LeaseKeep(Lease),
    Leases,
    Account(Account),
    /// Opens watches on one stream, writes, and waits until all is told.
    Watches {
        watches: Vec<Watch>,
        writes: Vec<Operation>,
    },
}

/// One step, made by a user: 0 shows no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose token is shown.
    pub user: usize,
    /// What is done.
    pub deed: Deed,
}

impl Deed {
    /// Whether it is a request of the Lease service.
    #[must_use]
    pub fn is_about_leases(&self) -> bool {
        use Deed::{LeaseGrant, LeaseKeep, LeaseRemaining, LeaseRevoke, Leases};
        matches!(self, LeaseGrant { .. } | LeaseRevoke(_) | LeaseRemaining(..) | LeaseKeep(_) | Leases)
    }

    /// Whether it changes nothing, so that its neighbours of the same kind may run beside it.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        matches!(self, Deed::Range(_) | Deed::LeaseRemaining(..) | Deed::Leases)
    }
}
