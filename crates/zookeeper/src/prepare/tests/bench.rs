//! A leader without an ensemble: decides requests, and has a follower apply every delta.

use bytes::Bytes;
use node::{Context, NodeId, Protocol};
use state::{LeaseId, State};

use super::super::{Attached, Decision, Hold, Request, ZooKeeper};
use crate::options::Rules;
use crate::tables::{CHILDREN, NODES, SPECS, Tree};
use crate::wire::{Access, Code, Identity, OpCode, Reader, Stat, Writer, permission};
use crate::{path, tables};

/// What a create is answered with, what a stat is read from.
pub(super) type Answer = Result<Bytes, i32>;

pub(super) struct Bench {
    protocol: ZooKeeper,
    pub(super) state: State,
    follower: State,
    random: u64,
    /// The leader's clock; each request is decided a second after the one before.
    pub(super) time: u64,
    pub(super) zxid: i64,
}

impl Bench {
    /// An empty ensemble with one session.
    pub(super) fn new() -> (Bench, Hold) {
        Bench::with_rules(Rules::default())
    }

    /// The same, with these rules.
    pub(super) fn with_rules(rules: Rules) -> (Bench, Hold) {
        let protocol = ZooKeeper::new(rules);
        let (state, follower) = (State::new(&SPECS), State::new(&SPECS));
        let mut bench = Bench { protocol, state, follower, random: 0, time: 1_700_000_000_000, zxid: 0 };
        let attached = bench.open(4000);
        (bench, attached.hold)
    }

    pub(super) fn decide(&mut self, request: &[u8]) -> Decision {
        self.random += 1;
        self.time += 1000;
        let context = Context { random: self.random, origin: NodeId(1), term: 1 };
        let mut transaction = self.state.begin(self.time);
        let decision = self.protocol.prepare(&context, &mut transaction, request);
        let delta = transaction.finish();
        let decision = Decision::decode(&decision).expect("a decision is well-formed");
        assert_eq!(decision.zxid, tables::zxid(self.state.revision()), "an answer names the newest transaction");
        let has_written = decision.code == 0;
        assert_eq!(delta.is_some(), has_written, "a refusal writes nothing, everything else is a transaction");
        self.follow(delta);
        self.zxid = decision.zxid;
        decision
    }

    pub(super) fn expire(&mut self, session: LeaseId) {
        let context = Context { random: 0, origin: NodeId(1), term: 1 };
        let mut transaction = self.state.begin(self.time);
        self.protocol.expire(&context, &mut transaction, session);
        let delta = transaction.finish();
        self.follow(delta);
    }

    fn follow(&mut self, delta: Option<Bytes>) {
        if let Some(delta) = delta {
            self.follower.apply(&delta).expect("a follower applies what the leader wrote");
        }
        assert_eq!(self.follower.hash(), self.state.hash(), "leader and follower are equal");
    }

    pub(super) fn open(&mut self, timeout_milliseconds: u32) -> Attached {
        let decision = self.decide(&Request::Open { timeout_milliseconds, password: [7; 16] }.encode());
        Attached::decode(&decision.body).expect("a session is opened for whoever asks")
    }

    pub(super) fn resume(
        &mut self,
        session: LeaseId,
        timeout_milliseconds: u32,
        password: u8,
    ) -> Result<Attached, i32> {
        let request = Request::Resume { session, timeout_milliseconds, password: [password; 16] };
        let decision = self.decide(&request.encode());
        if decision.code == 0 { Ok(Attached::decode(&decision.body).unwrap()) } else { Err(decision.code) }
    }

    pub(super) fn operate(&mut self, hold: Hold, identities: &[Identity], opcode: OpCode, body: &Writer) -> Answer {
        let identities = identities.to_vec();
        let request = Request::Operate { hold, opcode: opcode.number(), identities, body: body.as_slice() };
        let decision = self.decide(&request.encode());
        if decision.code == 0 { Ok(decision.body) } else { Err(decision.code) }
    }

    pub(super) fn ask(&mut self, hold: Hold, opcode: OpCode, body: &Writer) -> Answer {
        self.operate(hold, &[], opcode, body)
    }

    /// Creates, and gives the path.
    pub(super) fn create(&mut self, hold: Hold, path: &str, flags: i32) -> Result<String, i32> {
        let created = self.ask(hold, OpCode::Create, &create(path, flags))?;
        Ok(Reader::new(&created).string().unwrap().into_owned())
    }

    pub(super) fn delete(&mut self, hold: Hold, path: &str, version: i32) -> Result<(), i32> {
        self.ask(hold, OpCode::Delete, &path_and_number(path, version)).map(|body| assert!(body.is_empty()))
    }

    pub(super) fn set(&mut self, hold: Hold, path: &str, data: &[u8], version: i32) -> Result<Stat, i32> {
        let body = self.ask(hold, OpCode::SetData, &set_data(path, data, version))?;
        Ok(Stat::read(&mut Reader::new(&body)).unwrap())
    }

    pub(super) fn stat(&self, path: &str) -> Option<Stat> {
        let tree = Tree(&self.state);
        tree.node(path).map(|node| tree.stat(path, &node))
    }

    /// What holds whatever happened: every node but the root has a parent, counters count, and nothing is left of
    /// nodes and sessions that are gone.
    pub(super) fn check(&self) {
        let tree = Tree(&self.state);
        let mut rows = self.state.prefix(NODES, &[]);
        while let Some((key, row)) = rows.next() {
            let path = path::from_node_key(key);
            assert!(path::validate(&path).is_ok(), "{path} is no path");
            if path != path::ROOT {
                let (parent, _) = path::split(&path).unwrap();
                let parent = tree.node(parent).unwrap_or_else(|| panic!("{path} has no parent"));
                assert_eq!(parent.owner(), LeaseId::NONE, "{path} lies below an ephemeral node");
            }
            let is_owned = row.lease() != LeaseId::NONE;
            assert!(!is_owned || tree.session(row.lease()).is_some(), "{path} outlived its session");
            let children = self.state.prefix(NODES, &path::children_prefix(&path));
            assert_eq!(tree.children(&path).count as usize, count(children), "{path} counts its children wrong");
        }
        for table in [CHILDREN, tables::ACCESS, tables::PASSING] {
            let mut rows = self.state.prefix(table, &[]);
            while let Some((key, _)) = rows.next() {
                let path = String::from_utf8_lossy(key);
                assert!(tree.node(&path).is_some(), "{path} is gone, but its row in {table} is not");
            }
        }
        let sessions = count(self.state.prefix(tables::SESSIONS, &[]));
        assert_eq!(sessions, self.state.lease_count(), "every session is a lease, every lease a session");
    }
}

fn count(mut rows: state::Range<'_, state::Row>) -> usize {
    let mut count = 0;
    while rows.next().is_some() {
        count += 1;
    }
    count
}

pub(super) fn everybody() -> Vec<Access> {
    vec![Access::world(permission::ALL)]
}

pub(super) fn create_with(path: &str, data: Option<&[u8]>, access: &[Access], flags: i32) -> Writer {
    let mut body = Writer::new();
    body.string(path).buffer(data);
    Access::write_list(access, &mut body);
    body.int(flags);
    body
}

pub(super) fn create(path: &str, flags: i32) -> Writer {
    create_with(path, Some(b""), &everybody(), flags)
}

pub(super) fn path_and_number(path: &str, number: i32) -> Writer {
    let mut body = Writer::new();
    body.string(path).int(number);
    body
}

pub(super) fn set_data(path: &str, data: &[u8], version: i32) -> Writer {
    let mut body = Writer::new();
    body.string(path).buffer(Some(data)).int(version);
    body
}

pub(super) fn set_access(path: &str, access: &[Access], version: i32) -> Writer {
    let mut body = Writer::new();
    body.string(path);
    Access::write_list(access, &mut body);
    body.int(version);
    body
}

pub(super) fn multi(operations: &[(OpCode, Writer)]) -> Writer {
    let mut body = Writer::new();
    for (opcode, operation) in operations {
        body.int(opcode.number()).boolean(false).int(-1).raw(operation.as_slice());
    }
    body.int(-1).boolean(true).int(-1);
    body
}

/// The results of a transaction that failed.
pub(super) fn failures(reply: &[u8]) -> Vec<i32> {
    let mut reader = Reader::new(reply);
    let mut codes = Vec::new();
    while reader.int().unwrap() == -1 && !reader.boolean().unwrap() {
        let code = reader.int().unwrap();
        assert_eq!(reader.int(), Ok(code), "header and record tell the same");
        codes.push(code);
    }
    codes
}

pub(super) fn code(code: Code) -> i32 {
    code.number()
}
