//! Answers recorded from the real server (3.8, standalone), request by request.

use super::bench::{
    Bench, code, create, create_with, everybody, failures, multi, path_and_number, set_access, set_data,
};
use crate::prepare::{Decision, Request};
use crate::read::Desk;
use crate::tables::Tree;
use crate::wire::{Access, Code, Identity, OpCode, Reader, Stat, Writer};

const EPHEMERAL: i32 = 1;
const SEQUENTIAL: i32 = 2;

#[test]
fn built_in_nodes_look_as_in_the_real_server() {
    let (bench, _) = Bench::new();
    let with = |children_version, access_version, children| Stat {
        children_version,
        access_version,
        children,
        ..Stat::default()
    };
    assert_eq!(bench.stat("/"), Some(with(-1, 0, 1)));
    assert_eq!(bench.stat("/zookeeper"), Some(with(-2, 0, 2)));
    assert_eq!(bench.stat("/zookeeper/quota"), Some(with(0, 0, 0)));
    assert_eq!(bench.stat("/zookeeper/config"), Some(with(0, -1, 0)));
    bench.check();
}

#[test]
fn built_in_nodes_count_on_from_there() {
    let (mut bench, session) = Bench::new();
    bench.create(session, "/a", 0).unwrap();
    let created = bench.zxid;
    let expected = Stat { children_version: 0, children: 2, children_zxid: created, ..Stat::default() };
    assert_eq!(bench.stat("/"), Some(expected));

    let stat = bench.set(session, "/", b"r", 0).unwrap();
    let time = bench.time.cast_signed();
    let changed = Stat { version: 1, modified_zxid: bench.zxid, modified_time: time, data_length: 1, ..expected };
    assert_eq!(stat, changed);
    assert_eq!(bench.set(session, "/", b"", 0), Err(code(Code::BadVersion)));
    assert_eq!(bench.set(session, "/", b"", 1).unwrap().version, 2);
    assert_eq!(bench.set(session, "/zookeeper/config", b"", -1), Err(code(Code::NoAuth)));
}

#[test]
fn creations_and_why_they_are_refused() {
    let (mut bench, session) = Bench::new();
    let script: &[(&str, i32, Result<&str, Code>)] = &[
        ("/n", 0, Ok("/n")),
        ("/n", 0, Err(Code::NodeExists)),
        ("/", 0, Err(Code::NodeExists)),
        ("", 0, Err(Code::BadArguments)),
        ("abc", 0, Err(Code::BadArguments)),
        ("/abc/", 0, Err(Code::NoNode)),
        ("/n/", 0, Err(Code::BadArguments)),
        ("/n/..", 0, Err(Code::BadArguments)),
        ("/.", 0, Err(Code::BadArguments)),
        ("/a\0b", 0, Err(Code::BadArguments)),
        ("/n/.x", 0, Ok("/n/.x")),
        ("/n/", SEQUENTIAL, Ok("/n/0000000001")),
        ("/n/s-", SEQUENTIAL, Ok("/n/s-0000000002")),
        ("/m/x", 0, Err(Code::NoNode)),
        ("/q", 9, Err(Code::BadArguments)),
        ("/q", -1, Err(Code::BadArguments)),
        ("/q", 5, Err(Code::BadArguments)),
        ("/q", 4, Ok("/q")),
        ("/e", EPHEMERAL, Ok("/e")),
        ("/e/x", 0, Err(Code::NoChildrenForEphemerals)),
        ("/e/..", 0, Err(Code::BadArguments)),
        ("/zookeeper/mine", 0, Ok("/zookeeper/mine")),
    ];
    for (path, flags, expected) in script {
        let created = bench.create(session, path, *flags);
        assert_eq!(created, expected.map(str::to_owned).map_err(code), "create {path:?} {flags}");
        bench.check();
    }
}

#[test]
fn deletions_and_why_they_are_refused() {
    let (mut bench, session) = Bench::new();
    for path in ["/n", "/n/c"] {
        bench.create(session, path, 0).unwrap();
    }
    let script: &[(&str, i32, Result<(), Code>)] = &[
        ("/", -1, Err(Code::BadArguments)),
        ("/zookeeper", -1, Err(Code::BadArguments)),
        ("/zookeeper/quota", -1, Err(Code::BadArguments)),
        ("/zookeeper/config", -1, Err(Code::BadArguments)),
        ("", -1, Err(Code::BadArguments)),
        ("zzz", -1, Err(Code::BadArguments)),
        ("/zzz", -1, Err(Code::NoNode)),
        ("/zzz/y", -1, Err(Code::NoNode)),
        ("/n/", -1, Err(Code::NoNode)),
        ("/n", 7, Err(Code::BadVersion)),
        ("/n", -5, Err(Code::BadVersion)),
        ("/n", -1, Err(Code::NotEmpty)),
        ("/n/c", 0, Ok(())),
        ("/n", 0, Ok(())),
        ("/n", -1, Err(Code::NoNode)),
    ];
    for (path, version, expected) in script {
        assert_eq!(bench.delete(session, path, *version), expected.map_err(code), "delete {path:?} {version}");
        bench.check();
    }
}

#[test]
fn changes_of_data_and_why_they_are_refused() {
    let (mut bench, session) = Bench::new();
    bench.create(session, "/n", 0).unwrap();
    for (path, version, expected) in [
        ("/zzz", -1, Code::NoNode),
        ("zzz", -1, Code::BadArguments),
        ("", -1, Code::BadArguments),
        ("/n", 5, Code::BadVersion),
        ("/n", -5, Code::BadVersion),
    ] {
        assert_eq!(bench.set(session, path, b"x", version), Err(code(expected)), "set {path:?} {version}");
    }
    let before = bench.stat("/n").unwrap();
    let after = bench.set(session, "/n", b"hello", 0).unwrap();
    let (modified_zxid, modified_time) = (bench.zxid, bench.time.cast_signed());
    assert_eq!(after, Stat { version: 1, modified_zxid, modified_time, data_length: 5, ..before });
}

#[test]
fn no_data_is_not_empty_data() {
    let (mut bench, session) = Bench::new();
    for (path, data) in [("/none", None), ("/empty", Some(&b""[..]))] {
        bench.ask(session, OpCode::Create, &create_with(path, data, &everybody(), 0)).unwrap();
        let read = Desk { state: &bench.state, identities: &[] }.data(path).unwrap();
        assert_eq!(Reader::new(&read).buffer(), Ok(data));
        assert_eq!(bench.stat(path).unwrap().data_length, 0);
    }
}

#[test]
fn sequence_numbers_count_creations_and_never_go_back() {
    let (mut bench, session) = Bench::new();
    bench.create(session, "/p", 0).unwrap();
    assert_eq!(bench.create(session, "/p/s", SEQUENTIAL).unwrap(), "/p/s0000000000");
    bench.delete(session, "/p/s0000000000", -1).unwrap();
    assert_eq!(bench.create(session, "/p/s", SEQUENTIAL | EPHEMERAL).unwrap(), "/p/s0000000001");
    let stat = bench.stat("/p").unwrap();
    assert_eq!((stat.children_version, stat.children, stat.children_zxid), (3, 1, bench.zxid));
    let owner = bench.stat("/p/s0000000001").unwrap().ephemeral_owner;
    assert_eq!(owner, session.session.0);
}

#[test]
fn a_transaction_happens_whole() {
    let (mut bench, session) = Bench::new();
    let reply = bench.ask(
        session,
        OpCode::Multi,
        &multi(&[
            (OpCode::Create, create("/mm", 0)),
            (OpCode::Create2, create("/mm/s", SEQUENTIAL)),
            (OpCode::SetData, set_data("/mm", b"x", 0)),
            (OpCode::Check, path_and_number("/mm", 1)),
            (OpCode::Delete, path_and_number("/mm/s0000000000", 0)),
            (OpCode::CreateContainer, create("/mm/c", 4)),
        ]),
    );
    let reply = reply.unwrap();
    let stat = |reader: &mut Reader<'_>| Stat::read(reader).unwrap();
    let mut reader = Reader::new(&reply);
    let header = |reader: &mut Reader<'_>| (reader.int().unwrap(), reader.boolean().unwrap(), reader.int().unwrap());
    assert_eq!(header(&mut reader), (1, false, 0));
    assert_eq!(reader.string().unwrap(), "/mm");
    assert_eq!(header(&mut reader), (15, false, 0));
    assert_eq!((reader.string().unwrap().as_ref(), stat(&mut reader).version), ("/mm/s0000000000", 0));
    assert_eq!(header(&mut reader), (5, false, 0));
    let changed = stat(&mut reader);
    assert_eq!((changed.version, changed.children_version, changed.children), (1, 1, 1));
    assert_eq!((header(&mut reader), header(&mut reader)), ((13, false, 0), (2, false, 0)));
    assert_eq!(header(&mut reader), (15, false, 0));
    assert_eq!((reader.string().unwrap().as_ref(), stat(&mut reader).ephemeral_owner), ("/mm/c", 0));
    assert_eq!((header(&mut reader), reader.rest()), ((-1, true, -1), &b""[..]));

    let stat = bench.stat("/mm").unwrap();
    assert_eq!((stat.created_zxid, stat.modified_zxid, stat.children_zxid), (bench.zxid, bench.zxid, bench.zxid));
    assert_eq!((stat.version, stat.children_version, stat.children), (1, 3, 1));
    bench.check();
}

#[test]
fn a_transaction_fails_whole() {
    let (mut bench, session) = Bench::new();
    bench.create(session, "/mm", 0).unwrap();
    type Operations = Vec<(OpCode, Writer)>;
    let script: [(Operations, &[Code]); 4] = [
        (
            vec![
                (OpCode::Create, create("/m2", 0)),
                (OpCode::Check, path_and_number("/mm", 7)),
                (OpCode::Delete, path_and_number("/mm", -1)),
            ],
            &[Code::Ok, Code::BadVersion, Code::RuntimeInconsistency],
        ),
        (
            vec![(OpCode::Create, create("/e", EPHEMERAL)), (OpCode::Create, create("/e/x", EPHEMERAL))],
            &[Code::Ok, Code::NoChildrenForEphemerals],
        ),
        (vec![(OpCode::Create, create("/m3", 9))], &[Code::BadArguments]),
        (
            vec![(OpCode::Delete, path_and_number("/mm", -1)), (OpCode::Delete, path_and_number("/mm", -1))],
            &[Code::Ok, Code::NoNode],
        ),
    ];
    for (operations, expected) in script {
        let reply = bench.ask(session, OpCode::Multi, &multi(&operations)).expect("the failure is in the results");
        assert_eq!(failures(&reply), expected.iter().copied().map(code).collect::<Vec<_>>());
        for path in ["/m2", "/m3", "/e"] {
            assert_eq!(bench.stat(path), None, "{path}");
        }
        assert_eq!(bench.stat("/mm").map(|stat| stat.version), Some(0));
        bench.check();
    }
}

#[test]
fn transactions_that_are_none() {
    let (mut bench, session) = Bench::new();
    let empty = bench.ask(session, OpCode::Multi, &multi(&[])).unwrap();
    assert_eq!(failures(&empty), Vec::<i32>::new());
    for misplaced in [OpCode::GetData, OpCode::SetAcl] {
        let refused = bench.ask(session, OpCode::Multi, &multi(&[(misplaced, path_and_number("/", 0))]));
        assert_eq!(refused, Err(code(Code::MarshallingError)), "{misplaced:?}");
    }
}

#[test]
fn access_lists_and_why_they_are_refused() {
    let (mut bench, session) = Bench::new();
    let access = |permissions, scheme: &str, id: &str| Access { permissions, identity: Identity::new(scheme, id) };
    for (scheme, id) in [("auth", ""), ("digest", "foo"), ("ip", "foo"), ("world", "x")] {
        let request = create_with("/a", None, &[access(31, scheme, id)], 0);
        assert_eq!(bench.ask(session, OpCode::Create, &request), Err(code(Code::InvalidAcl)), "{scheme}:{id}");
    }
    let refused = bench.ask(session, OpCode::Create, &create_with("/a", None, &[], 0));
    assert_eq!(refused, Err(code(Code::InvalidAcl)));

    bench.create(session, "/mm", 0).unwrap();
    let read_only = [access(1, "world", "anyone"), access(1, "world", "anyone")];
    let reply = bench.ask(session, OpCode::SetAcl, &set_access("/mm", &read_only, 0)).unwrap();
    assert_eq!(Stat::read(&mut Reader::new(&reply)).unwrap().access_version, 1);
    assert_eq!(Tree(&bench.state).access("/mm").unwrap().list, read_only[..1], "repetitions are left out");
    let refused = bench.ask(session, OpCode::SetAcl, &set_access("/mm", &everybody(), 0));
    assert_eq!(refused, Err(code(Code::NoAuth)), "permission comes before version");
    assert_eq!(bench.set(session, "/mm", b"", 7), Err(code(Code::NoAuth)));
    assert_eq!(bench.create(session, "/mm/x", 0), Err(code(Code::NoAuth)));
}

#[test]
fn a_node_belongs_to_who_created_it_for_himself() {
    let (mut bench, session) = Bench::new();
    let owner = [Identity::new("digest", "user:smGaoVKd/cQkjm7b88GyorAUz20=")];
    let own = [Access { permissions: 31, identity: Identity::new("auth", "") }];
    bench.operate(session, &owner, OpCode::Create, &create_with("/au", None, &own, 0)).unwrap();
    let desk = |identities| Desk { state: &bench.state, identities };
    assert_eq!(desk(&[]).data("/au"), Err(Code::NoAuth));
    assert_eq!(desk(&[]).access("/au"), Err(Code::NoAuth));
    assert!(desk(&[]).exists("/au").is_ok(), "that it is there, everybody may know");
    let stored = desk(&owner).access("/au").unwrap();
    let list = Access::read_list(&mut Reader::new(&stored)).unwrap();
    assert_eq!(list, [Access { permissions: 31, identity: owner[0].clone() }]);
    // To delete a node is a right to its parent.
    assert_eq!(bench.delete(session, "/au", -1), Ok(()));
}

#[test]
fn times_to_live_and_their_limits() {
    let (mut bench, session) = Bench::new();
    let mut create_ttl = |flags: i32, milliseconds: i64| {
        let mut body = create("/t", flags);
        body.long(milliseconds);
        bench.ask(session, OpCode::CreateTtl, &body).map(|_| ())
    };
    for (flags, milliseconds) in [(5, 0), (5, -1), (5, 0x100_0000_0000), (0, 5)] {
        assert_eq!(create_ttl(flags, milliseconds), Err(code(Code::BadArguments)), "{flags} {milliseconds}");
    }
    assert_eq!(create_ttl(5, 0xff_ffff_ffff), Ok(()));
    assert_eq!(bench.stat("/t").unwrap().ephemeral_owner, 0);
}

#[test]
fn garbage_from_a_client_is_refused_and_garbage_from_a_member_too() {
    let (mut bench, session) = Bench::new();
    for opcode in [OpCode::Create, OpCode::Delete, OpCode::SetData, OpCode::SetAcl, OpCode::Check, OpCode::Multi] {
        let mut body = Writer::new();
        body.raw(&[0x7f, 0xff, 0xff, 0xff, 0]);
        assert_eq!(bench.ask(session, opcode, &body), Err(code(Code::MarshallingError)), "{opcode:?}");
    }
    for request in [&b""[..], b"\0\0\0\x09", b"\0\0\0\x03\0\0", b"\xff\xff\xff\xff\xff"] {
        let Decision { code: refused, .. } = bench.decide(request);
        assert_eq!(refused, code(Code::MarshallingError));
    }
    let unknown = Request::Operate { hold: session, opcode: 99, identities: Vec::new(), body: &[] };
    assert_eq!(bench.decide(&unknown.encode()).code, code(Code::Unimplemented));
}
