//! What ClickHouse Keeper's own operations do, by themselves and in transactions.

use super::bench::{Bench, code, create, create_with, failures, multi, path_and_number};
use crate::prepare::Hold;
use crate::read::Desk;
use crate::wire::{Access, Code, OpCode, Reader, Stat, permission};

const EPHEMERAL: i32 = 1;

fn ask(bench: &mut Bench, session: Hold, opcode: OpCode, path: &str, number: i32) -> Result<(), i32> {
    let answer = bench.ask(session, opcode, &path_and_number(path, number));
    bench.check();
    answer.map(|body| assert!(body.is_empty()))
}

/// A node whose list grants everybody these permissions.
fn protect(bench: &mut Bench, session: Hold, path: &str, permissions: i32) {
    let request = create_with(path, None, &[Access::world(permissions)], 0);
    bench.ask(session, OpCode::Create, &request).unwrap();
}

#[test]
fn a_node_is_created_if_there_is_none() {
    let (mut bench, session) = Bench::new();
    protect(&mut bench, session, "/closed", permission::ALL & !permission::CREATE);
    bench.create(session, "/e", EPHEMERAL).unwrap();
    for (path, expected) in [
        ("/n", Ok("/n")),
        ("/n", Ok("/n")),
        ("/n/", Err(Code::BadArguments)),
        ("/m/x", Err(Code::NoNode)),
        ("/closed/x", Err(Code::NoAuth)),
        ("/e/x", Err(Code::NoChildrenForEphemerals)),
    ] {
        let before = bench.stat("/n");
        let answer = bench.ask(session, OpCode::CreateIfNotExists, &create(path, 0));
        let created = answer.map(|body| Reader::new(&body).string().unwrap().into_owned());
        assert_eq!(created, expected.map(str::to_owned).map_err(code), "{path}");
        assert!(before.is_none() || before == bench.stat("/n"), "what is there stays as it is");
    }
}

#[test]
fn that_a_node_is_not_there_can_be_checked() {
    let (mut bench, session) = Bench::new();
    bench.create(session, "/n", 0).unwrap();
    protect(&mut bench, session, "/closed", permission::ALL & !permission::READ);
    for (path, version, expected) in [
        ("/n", -1, Err(Code::NodeExists)),
        ("/n", 0, Err(Code::NodeExists)),
        ("/n", 1, Ok(())),
        ("/m", -1, Ok(())),
        ("/m/x", -1, Ok(())),
        ("/", -1, Err(Code::NodeExists)),
        ("n", -1, Err(Code::BadArguments)),
        ("/closed/x", -1, Err(Code::NoAuth)),
    ] {
        let answer = ask(&mut bench, session, OpCode::CheckNotExists, path, version);
        assert_eq!(answer, expected.map_err(code), "{path} {version}");
    }
}

#[test]
fn a_subtree_is_removed_whole_or_not_at_all() {
    let (mut bench, session) = Bench::new();
    for path in ["/t", "/t/a", "/t/a/b", "/t/a/c", "/t/d", "/tail"] {
        bench.create(session, path, 0).unwrap();
    }
    bench.create(session, "/t/d/e", EPHEMERAL).unwrap();
    for (path, limit, expected) in [
        ("/t", 0, Code::NotEmpty),
        ("/t", 5, Code::NotEmpty),
        ("/none", 9, Code::NoNode),
        ("/none/none", 9, Code::NoNode),
        ("/", -1, Code::BadArguments),
        ("/zookeeper", -1, Code::BadArguments),
    ] {
        assert_eq!(
            ask(&mut bench, session, OpCode::RemoveRecursive, path, limit),
            Err(code(expected)),
            "{path} {limit}"
        );
        assert_eq!(bench.stat("/t").unwrap().children, 2);
    }
    assert_eq!(ask(&mut bench, session, OpCode::RemoveRecursive, "/t", 6), Ok(()));
    for path in ["/t", "/t/a", "/t/a/b", "/t/d/e"] {
        assert_eq!(bench.stat(path), None, "{path}");
    }
    assert!(bench.stat("/tail").is_some(), "a name that begins alike is no child");
    // The largest number there is, without a sign.
    assert_eq!(ask(&mut bench, session, OpCode::RemoveRecursive, "/tail", -1), Ok(()));
}

#[test]
fn a_subtree_stays_if_one_node_of_it_may_not_be_deleted() {
    let (mut bench, session) = Bench::new();
    bench.create(session, "/t", 0).unwrap();
    protect(&mut bench, session, "/t/closed", permission::ALL & !permission::DELETE);
    // Without children its own list says nothing about its end.
    assert_eq!(ask(&mut bench, session, OpCode::RemoveRecursive, "/t/closed", 9), Ok(()));
    protect(&mut bench, session, "/t/closed", permission::ALL & !permission::DELETE);
    bench.create(session, "/t/closed/x", 0).unwrap();
    for path in ["/t", "/t/closed", "/t/closed/x"] {
        assert_eq!(ask(&mut bench, session, OpCode::RemoveRecursive, path, 9), Err(code(Code::NoAuth)), "{path}");
        assert!(bench.stat("/t/closed/x").is_some());
    }
}

#[test]
fn operations_of_keeper_within_a_transaction() {
    let (mut bench, session) = Bench::new();
    let operations = [
        (OpCode::CheckNotExists, path_and_number("/t", -1)),
        (OpCode::CreateIfNotExists, create("/t", 0)),
        (OpCode::CreateIfNotExists, create("/t", 0)),
        (OpCode::Create, create("/t/x", 0)),
        (OpCode::RemoveRecursive, path_and_number("/t", 2)),
    ];
    let reply = bench.ask(session, OpCode::Multi, &multi(&operations)).unwrap();
    let mut reader = Reader::new(&reply);
    for (number, path) in [(501, None), (502, Some("/t")), (502, Some("/t")), (1, Some("/t/x")), (503, None)] {
        assert_eq!((reader.int(), reader.boolean(), reader.int()), (Ok(number), Ok(false), Ok(0)));
        if let Some(path) = path {
            assert_eq!(reader.string().unwrap(), path);
        }
    }
    assert_eq!((reader.int(), reader.boolean(), reader.int()), (Ok(-1), Ok(true), Ok(-1)));
    assert_eq!((bench.stat("/t"), reader.rest()), (None, &b""[..]));

    let operations = [
        (OpCode::CreateIfNotExists, create("/t", 0)),
        (OpCode::CheckNotExists, path_and_number("/t", -1)),
        (OpCode::RemoveRecursive, path_and_number("/t", 2)),
    ];
    let reply = bench.ask(session, OpCode::Multi, &multi(&operations)).expect("the failure is in the results");
    assert_eq!(failures(&reply), [Code::Ok, Code::NodeExists, Code::RuntimeInconsistency].map(code));
    assert_eq!(bench.stat("/t"), None);
}

#[test]
fn what_keeper_announces_can_be_read_but_is_in_no_list() {
    let (mut bench, session) = Bench::new();
    let data = |bench: &Bench, path| {
        let read = Desk { state: &bench.state, identities: &[] }.data(path)?;
        let mut reader = Reader::new(&read);
        let data = reader.buffer().unwrap().unwrap().to_vec();
        assert_eq!(Stat::read(&mut reader).unwrap().data_length as usize, data.len());
        Ok::<_, Code>(data)
    };
    assert_eq!(data(&bench, "/keeper/feature_flags"), Ok(vec![0b1011_1000, 0]));
    assert_eq!(data(&bench, "/keeper/api_version"), Ok(b"1".to_vec()));
    assert_eq!(data(&bench, "/keeper/availability_zone"), Err(Code::NoNode));
    let desk = Desk { state: &bench.state, identities: &[] };
    assert!(desk.exists("/keeper/feature_flags").is_ok());
    let root = desk.children("/").unwrap();
    assert_eq!(Reader::new(&root).strings().unwrap(), ["zookeeper"]);

    // Whoever has nodes of his own there finds them.
    bench.create(session, "/keeper", 0).unwrap();
    bench.create(session, "/keeper/feature_flags", 0).unwrap();
    assert_eq!(data(&bench, "/keeper/feature_flags"), Ok(Vec::new()));
}
