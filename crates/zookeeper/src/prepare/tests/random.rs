//! Random requests of several sessions: whatever they do, the tables stay sound and a follower stays equal.

use proptest::prelude::*;

use super::bench::{Bench, create, multi, path_and_number, set_access, set_data};
use crate::prepare::Hold;
use crate::wire::{Access, OpCode, Writer, permission};

#[derive(Clone, Debug)]
enum Step {
    Operate { session: usize, operation: Op },
    Transact { session: usize, operations: Vec<Op> },
    Expire { session: usize },
    Resume { session: usize },
}

#[derive(Clone, Debug)]
enum Op {
    Create {
        path: String,
        flags: i32,
    },
    Delete {
        path: String,
        version: i32,
    },
    Set {
        path: String,
        version: i32,
    },
    Check {
        path: String,
        version: i32,
    },
    Protect {
        path: String,
        permissions: i32,
    },
    /// Keeper's.
    Ensure {
        path: String,
        flags: i32,
    },
    Miss {
        path: String,
        version: i32,
    },
    RemoveTree {
        path: String,
        limit: i32,
    },
}

impl Op {
    fn request(&self) -> (OpCode, Writer) {
        match self {
            Op::Create { path, flags: 4 } => (OpCode::CreateContainer, create(path, 4)),
            Op::Create { path, flags } => (OpCode::Create2, create(path, *flags)),
            Op::Delete { path, version } => (OpCode::Delete, path_and_number(path, *version)),
            Op::Set { path, version } => (OpCode::SetData, set_data(path, b"x", *version)),
            Op::Check { path, version } => (OpCode::Check, path_and_number(path, *version)),
            Op::Ensure { path, flags } => (OpCode::CreateIfNotExists, create(path, *flags)),
            Op::Miss { path, version } => (OpCode::CheckNotExists, path_and_number(path, *version)),
            Op::RemoveTree { path, limit } => (OpCode::RemoveRecursive, path_and_number(path, *limit)),
            Op::Protect { path, permissions } => (OpCode::SetAcl, set_access(path, &[Access::world(*permissions)], -1)),
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c")];
    proptest::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn version() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(-1), 1 => 0_i32..3]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (path(), 0_i32..5).prop_map(|(path, flags)| Op::Create { path, flags }),
        3 => (path(), version()).prop_map(|(path, version)| Op::Delete { path, version }),
        2 => (path(), version()).prop_map(|(path, version)| Op::Set { path, version }),
        1 => (path(), version()).prop_map(|(path, version)| Op::Check { path, version }),
        2 => (path(), 0_i32..4).prop_map(|(path, flags)| Op::Ensure { path, flags }),
        1 => (path(), version()).prop_map(|(path, version)| Op::Miss { path, version }),
        1 => (path(), 0_i32..6).prop_map(|(path, limit)| Op::RemoveTree { path, limit }),
        1 => (path(), prop_oneof![Just(permission::ALL), Just(permission::READ | permission::ADMIN)])
            .prop_map(|(path, permissions)| Op::Protect { path, permissions }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0_usize..3;
    prop_oneof![
        12 => (session.clone(), op()).prop_map(|(session, operation)| Step::Operate { session, operation }),
        4 => (session.clone(), proptest::collection::vec(op(), 0..5))
            .prop_map(|(session, operations)| Step::Transact { session, operations }),
        1 => session.clone().prop_map(|session| Step::Expire { session }),
        1 => session.prop_map(|session| Step::Resume { session }),
    ]
}

fn perform(bench: &mut Bench, sessions: &mut [Hold], step: &Step) {
    match step {
        Step::Operate { session, operation } => {
            let (opcode, body) = operation.request();
            let _ = bench.ask(sessions[*session], opcode, &body);
        }
        Step::Transact { session, operations } => {
            let operations: Vec<_> = operations.iter().map(Op::request).collect();
            let _ = bench.ask(sessions[*session], OpCode::Multi, &multi(&operations));
        }
        Step::Expire { session } => {
            bench.expire(sessions[*session].session);
            sessions[*session] = bench.open(4000).hold;
        }
        Step::Resume { session } => {
            sessions[*session] = bench.resume(sessions[*session].session, 6000, 7).unwrap().hold;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tables_stay_sound(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut bench, first) = Bench::new();
        let mut sessions = [first, bench.open(4000).hold, bench.open(4000).hold];
        for step in &steps {
            perform(&mut bench, &mut sessions, step);
            bench.check();
        }
        // Whatever there was of ephemeral nodes goes with the last session.
        for hold in sessions {
            bench.expire(hold.session);
        }
        bench.check();
        prop_assert_eq!(bench.state.lease_count(), 0);
    }
}
