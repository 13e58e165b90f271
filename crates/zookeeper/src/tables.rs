//! What the tree of nodes looks like in tables: six tables, their rows, and how a node's numbers follow from them.
//!
//! | table    | key                           | row                                             | absent means              |
//! |----------|-------------------------------|-------------------------------------------------|---------------------------|
//! | nodes    | parent, zero byte, name       | times, kind, data                               | no such node              |
//! | children | path                          | creations ever, children now                    | never had a child         |
//! | access   | path                          | version, list                                   | everybody may do anything |
//! | passing  | path                          | nothing                                         | the node stays            |
//! | quotas   | path                          | nodes and bytes in use                          | nothing is counted        |
//! | sessions | id, big-endian                | timeout, password                               | no such session           |
//!
//! The rest of a node's numbers are the rows' own: its transactions are the revisions of its row, its version the
//! row's, its owner the row's lease; the last change of its children is the revision of its row of counters. A
//! session's row is put only when a connection takes the session over, so its revision names that connection.
//!
//! It reads rows and lays them out; it decides nothing.

use std::borrow::Cow;

use state::{History, LeaseId, Row, State, TableId, TableSpec};

use crate::path;
use crate::wire::{Access, Password, Reader, Stat, Writer, permission};

/// The nodes.
pub(crate) const NODES: TableId = TableId(0x20);
/// Counters of a node's children.
pub(crate) const CHILDREN: TableId = TableId(0x21);
/// Access lists.
pub(crate) const ACCESS: TableId = TableId(0x22);
/// Sessions.
pub(crate) const SESSIONS: TableId = TableId(0x23);
/// Nodes that go by themselves one day, apart from those of sessions, so that they are found without a search.
pub(crate) const PASSING: TableId = TableId(0x24);

/// What subtrees with a quota use.
pub(crate) const QUOTAS: TableId = TableId(0x25);

/// Watches need to know what happened, not what was; only who may hear of it is asked of the past, so access lists,
/// which are few, keep theirs.
pub(crate) static SPECS: [TableSpec; 6] = [
    TableSpec { id: NODES, name: "zookeeper nodes", history: History::EventsOnly },
    TableSpec { id: CHILDREN, name: "zookeeper children", history: History::EventsOnly },
    TableSpec { id: ACCESS, name: "zookeeper access", history: History::Kept },
    TableSpec { id: SESSIONS, name: "zookeeper sessions", history: History::EventsOnly },
    TableSpec { id: PASSING, name: "zookeeper passing nodes", history: History::EventsOnly },
    TableSpec { id: QUOTAS, name: "zookeeper quotas", history: History::EventsOnly },
];

/// Why a node may go by itself, apart from its session's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It does not.
    Plain,
    /// When its last child has gone.
    Container,
    /// When it was left alone, childless, for this many milliseconds.
    Ttl(u64),
}

/// The value of a node's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeValue<'a> {
    /// Milliseconds since 1970; 48 bits are kept.
    pub(crate) created_time: u64,
    /// Likewise.
    pub(crate) modified_time: u64,
    pub(crate) kind: Kind,
    /// `None` is not the same as empty: clients see the difference.
    pub(crate) data: Option<&'a [u8]>,
}

const NO_DATA: u8 = 1;
const CONTAINER: u8 = 2;
const TTL: u8 = 4;
/// The two times differ, so both are kept.
const MODIFIED: u8 = 8;

impl<'a> NodeValue<'a> {
    /// What stands before the data, which follows to the end: flags, creation time, and as the flags say
    /// modification time and span, all in six bytes each.
    pub(crate) fn head(&self) -> Vec<u8> {
        let differs = self.created_time != self.modified_time;
        let (kind, span) = match self.kind {
            Kind::Plain => (0, None),
            Kind::Container => (CONTAINER, None),
            Kind::Ttl(milliseconds) => (TTL, Some(milliseconds)),
        };
        let flags = kind | if self.data.is_none() { NO_DATA } else { 0 } | if differs { MODIFIED } else { 0 };
        let mut head = Vec::with_capacity(1 + 3 * 6);
        head.push(flags);
        let numbers = [Some(self.created_time), differs.then_some(self.modified_time), span];
        for number in numbers.into_iter().flatten() {
            assert!(number >> 48 == 0, "times and spans are below 2^48 milliseconds, 8900 years");
            head.extend_from_slice(&number.to_le_bytes()[..6]);
        }
        head
    }

    /// Takes a row's value apart.
    ///
    /// # Panics
    /// If the row is not one of [`NodeValue::head`] and data: only the leader's own pen writes this table, and the
    /// running hash vouches for what replicas hold.
    pub(crate) fn parse(value: &'a [u8]) -> NodeValue<'a> {
        let (&flags, mut rest) = value.split_first().expect("a node's row begins with its flags");
        let mut number = || {
            let (bytes, after) = rest.split_at(6);
            rest = after;
            bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
        };
        let created_time = number();
        let modified_time = if flags & MODIFIED == 0 { created_time } else { number() };
        let kind = match flags & (CONTAINER | TTL) {
            0 => Kind::Plain,
            CONTAINER => Kind::Container,
            _ => Kind::Ttl(number()),
        };
        NodeValue { created_time, modified_time, kind, data: (flags & NO_DATA == 0).then_some(rest) }
    }
}

/// The value of a node's row of counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Children {
    /// Children created since the node is there, modulo 2^32: the next sequence number.
    pub(crate) creations: u32,
    /// Children there are.
    pub(crate) count: u32,
}

impl Children {
    pub(crate) fn encode(self) -> [u8; 8] {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&self.creations.to_le_bytes());
        value[4..].copy_from_slice(&self.count.to_le_bytes());
        value
    }

    fn parse(value: &[u8]) -> Children {
        let half = |at: usize| u32::from_le_bytes(value[at..at + 4].try_into().expect("four bytes"));
        Children { creations: half(0), count: half(4) }
    }

    /// The number appended to the name of a sequential node. It runs into the negative after 2^31 of them.
    pub(crate) fn sequence(self) -> i32 {
        self.creations.cast_signed()
    }

    /// Changes of the list of children: a deletion for every creation whose child is not there any more.
    fn version(self) -> i32 {
        self.creations.wrapping_mul(2).wrapping_sub(self.count).cast_signed()
    }
}

/// The value of a node's access row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessList {
    /// Changes of the list, as the protocol counts them.
    pub(crate) version: i32,
    pub(crate) list: Vec<Access>,
}

impl AccessList {
    /// What a node has that has no row.
    pub(crate) fn open() -> AccessList {
        AccessList { version: 0, list: vec![Access::world(permission::ALL)] }
    }

    pub(crate) fn encode(&self) -> bytes::Bytes {
        let mut writer = Writer::new();
        writer.int(self.version);
        Access::write_list(&self.list, &mut writer);
        writer.finish()
    }

    pub(crate) fn parse(value: &[u8]) -> AccessList {
        let mut reader = Reader::new(value);
        let mut parse = || Ok::<_, crate::wire::Malformed>((reader.int()?, Access::read_list(&mut reader)?));
        let (version, list) = parse().expect("only the leader's own pen writes this table");
        AccessList { version, list }
    }
}

/// The value of a session's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) timeout_milliseconds: u32,
    pub(crate) password: Password,
}

impl Session {
    pub(crate) fn encode(self) -> [u8; 20] {
        let mut value = [0; 20];
        value[..4].copy_from_slice(&self.timeout_milliseconds.to_le_bytes());
        value[4..].copy_from_slice(&self.password);
        value
    }

    pub(crate) fn parse(value: &[u8]) -> Session {
        let (timeout, password) = value.split_at(4);
        Session {
            timeout_milliseconds: u32::from_le_bytes(timeout.try_into().expect("four bytes")),
            password: password.try_into().expect("a session's row is as long as its two fields"),
        }
    }
}

/// The key of a session's row.
pub(crate) fn session_key(session: LeaseId) -> [u8; 8] {
    session.0.to_be_bytes()
}

/// A node that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    row: &'a Row,
    pub(crate) value: NodeValue<'a>,
    /// There since the beginning, before the first transaction.
    built_in: bool,
}

impl Node<'_> {
    /// The session it lives with, [`LeaseId::NONE`] if with none.
    pub(crate) fn owner(&self) -> LeaseId {
        self.row.lease()
    }

    /// Revision of the data.
    pub(crate) fn modified(&self) -> u64 {
        if self.built_in && self.row.version() == 1 { 0 } else { self.row.modified() }
    }

    /// Changes of the data. It never is -1, which in requests stands for "any": the number after -2 is 0.
    pub(crate) fn version(&self) -> i32 {
        let changes = (self.row.version() - 1) % u64::from(u32::MAX);
        u32::try_from(changes).expect("the remainder is below 2^32").cast_signed()
    }
}

/// Reads nodes out of a state.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'a>(pub(crate) &'a State);

impl<'a> Tree<'a> {
    /// The node at a path. Paths that no node may have are simply not found.
    pub(crate) fn node(self, path: &str) -> Option<Node<'a>> {
        let row = self.0.get(NODES, &path::node_key(path)?)?;
        Some(Node { row, value: NodeValue::parse(row.value()), built_in: path::is_built_in(path) })
    }

    /// The counters of a node's children.
    pub(crate) fn children(self, path: &str) -> Children {
        self.children_row(path).map(|row| Children::parse(row.value())).unwrap_or_default()
    }

    /// The paths of a node's children, in order.
    pub(crate) fn child_paths(self, path: &str) -> Vec<String> {
        let mut rows = self.0.prefix(NODES, &path::children_prefix(path::canonical(path)));
        let mut paths = Vec::new();
        while let Some((key, _)) = rows.next() {
            paths.push(path::from_node_key(key));
        }
        paths
    }

    /// A node's access list, `None` if everybody may do anything to it.
    pub(crate) fn access(self, path: &str) -> Option<AccessList> {
        self.0.get(ACCESS, path::canonical(path).as_bytes()).map(|row| AccessList::parse(row.value()))
    }

    /// Revision at which the list of a node's children last changed.
    pub(crate) fn children_modified(self, path: &str, node: &Node<'_>) -> u64 {
        match self.children_row(path) {
            Some(row) if node.built_in && row.version() == 1 => 0,
            Some(row) => row.modified(),
            None if node.built_in => 0,
            None => node.row.created(),
        }
    }

    /// All numbers of a node.
    pub(crate) fn stat(self, path: &str, node: &Node<'a>) -> Stat {
        let children = self.children(path);
        Stat {
            created_zxid: if node.built_in { 0 } else { zxid(node.row.created()) },
            modified_zxid: zxid(node.modified()),
            created_time: node.value.created_time.cast_signed(),
            modified_time: node.value.modified_time.cast_signed(),
            version: node.version(),
            children_version: children.version(),
            access_version: self.access(path).map_or(0, |access| access.version),
            ephemeral_owner: node.owner().0,
            data_length: self.data(path, node).map_or(0, |data| i32::try_from(data.len()).unwrap_or(i32::MAX)),
            children: children.count.cast_signed(),
            children_zxid: zxid(self.children_modified(path, node)),
        }
    }

    /// A node's data as clients see it: what a subtree uses is counted apart, and shown in a node of its own.
    pub(crate) fn data(self, path: &str, node: &Node<'a>) -> Option<Cow<'a, [u8]>> {
        match crate::quota::shown_at(path).and_then(|subject| self.usage(subject)) {
            Some(usage) => Some(Cow::Owned(usage.text().into_bytes())),
            None => node.value.data.map(Cow::Borrowed),
        }
    }

    /// A session's row: what it holds, and the revision that names the connection it belongs to.
    pub(crate) fn session(self, session: LeaseId) -> Option<(Session, u64)> {
        let row = self.0.get(SESSIONS, &session_key(session))?;
        Some((Session::parse(row.value()), row.modified()))
    }

    fn children_row(self, path: &str) -> Option<&'a Row> {
        self.0.get(CHILDREN, path::canonical(path).as_bytes())
    }
}

/// A transaction's number as clients see it: the revision of the state.
pub(crate) fn zxid(revision: u64) -> i64 {
    i64::try_from(revision).expect("a revision is counted up by one: 2^63 are out of reach")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_value_leads_back_to_itself() {
        for kind in [Kind::Plain, Kind::Container, Kind::Ttl(0xff_ffff_ffff)] {
            for data in [None, Some(&b""[..]), Some(&b"data"[..])] {
                for modified_time in [1_700_000_000_000, 1_700_000_000_001] {
                    let value = NodeValue { created_time: 1_700_000_000_000, modified_time, kind, data };
                    let bytes = [&value.head(), data.unwrap_or_default()].concat();
                    assert_eq!(NodeValue::parse(&bytes), value);
                }
            }
        }
    }

    #[test]
    fn a_plain_node_costs_seven_bytes_beside_its_data() {
        let value = NodeValue { created_time: 1, modified_time: 1, kind: Kind::Plain, data: Some(b"") };
        assert_eq!(value.head().len(), 7);
    }

    #[test]
    fn counters_wrap_as_java_numbers_do() {
        let full = Children { creations: i32::MAX.cast_unsigned(), count: 0 };
        assert_eq!(full.sequence(), i32::MAX);
        let over = Children { creations: full.creations + 1, count: 1 };
        assert_eq!((over.sequence(), over.version()), (i32::MIN, -1));
    }
}
