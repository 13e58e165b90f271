//! Sessions: who holds them, and what their end takes along.

use super::bench::{Bench, code};
use crate::prepare::Request;
use crate::wire::{Code, OpCode, Writer};

const EPHEMERAL: i32 = 1;

#[test]
fn the_end_of_a_session_takes_its_nodes_along_in_one_transaction() {
    let (mut bench, watcher) = Bench::new();
    bench.create(watcher, "/p", 0).unwrap();
    for ends_by_expiry in [false, true] {
        let session = bench.open(4000).hold;
        for path in ["/p/a", "/p/b", "/c"] {
            bench.create(session, path, EPHEMERAL).unwrap();
        }
        let before = bench.state.revision();
        if ends_by_expiry {
            bench.expire(session.session);
        } else {
            bench.ask(session, OpCode::CloseSession, &Writer::new()).unwrap();
        }
        assert_eq!(bench.state.revision(), before + 1);
        let parent = bench.stat("/p").unwrap();
        assert_eq!((parent.children, parent.children_zxid), (0, bench.state.revision().cast_signed()));
        assert_eq!((bench.stat("/p/a"), bench.stat("/c")), (None, None));
        assert_eq!(bench.create(session, "/late", 0), Err(code(Code::SessionExpired)));
        bench.check();
    }
}

#[test]
fn a_session_that_is_gone_expires_without_a_trace() {
    let (mut bench, session) = Bench::new();
    bench.ask(session, OpCode::CloseSession, &Writer::new()).unwrap();
    let before = bench.state.revision();
    bench.expire(session.session);
    assert_eq!(bench.state.revision(), before);
}

#[test]
fn whoever_took_a_session_over_holds_it_alone() {
    let (mut bench, first) = Bench::new();
    bench.create(first, "/e", EPHEMERAL).unwrap();
    let second = bench.resume(first.session, 8000, 7).unwrap();
    assert_eq!((second.hold.session, second.timeout_milliseconds), (first.session, 8000));
    assert_eq!(bench.state.lease(first.session).unwrap().ttl_milliseconds, 8000);
    assert_eq!(bench.create(first, "/x", 0), Err(code(Code::SessionMoved)));
    assert_eq!(bench.ask(first, OpCode::CloseSession, &Writer::new()), Err(code(Code::SessionMoved)));
    assert!(bench.stat("/e").is_some(), "the nodes move along");
    bench.create(second.hold, "/x", 0).unwrap();
    bench.check();
}

#[test]
fn a_session_is_taken_over_only_with_its_password() {
    let (mut bench, session) = Bench::new();
    assert_eq!(bench.resume(session.session, 4000, 8).unwrap_err(), code(Code::SessionExpired));
    bench.create(session, "/still-mine", 0).unwrap();
    bench.expire(session.session);
    assert_eq!(bench.resume(session.session, 4000, 7).unwrap_err(), code(Code::SessionExpired));
}

#[test]
fn no_two_sessions_have_one_id() {
    let (mut bench, first) = Bench::new();
    // The same random number again: the next id is taken.
    let mut transaction = bench.state.begin(0);
    let context = node::Context { random: first.session.0.cast_unsigned(), origin: node::NodeId(1), term: 1 };
    let session = crate::tables::Session { timeout_milliseconds: 4000, password: [1; 16] };
    let second = crate::prepare::session::open(&context, &mut transaction, session);
    transaction.finish();
    assert_ne!(second.hold.session, first.session);
    assert!(second.hold.session.0 > 0);
}

#[test]
fn containers_and_expired_nodes_are_swept_only_as_they_were_found() {
    let (mut bench, session) = Bench::new();
    bench.ask(session, OpCode::CreateContainer, &super::bench::create("/c", 4)).unwrap();
    bench.create(session, "/c/x", 0).unwrap();
    bench.create(session, "/plain", 0).unwrap();
    let found = bench.state.revision();
    let sweep = |bench: &mut Bench, path: &str, revision| {
        bench.decide(&Request::Sweep { path: path.to_owned(), revision }.encode()).code
    };
    assert_eq!(sweep(&mut bench, "/c", found), code(Code::NotEmpty));
    assert_eq!(sweep(&mut bench, "/plain", found), code(Code::BadVersion));
    assert_eq!(sweep(&mut bench, "/nowhere", found), code(Code::NoNode));
    bench.delete(session, "/c/x", -1).unwrap();
    assert_eq!(sweep(&mut bench, "/c", found), code(Code::BadVersion), "it changed since it was found");
    let found = bench.state.revision();
    assert_eq!(sweep(&mut bench, "/c", found), code(Code::Ok));
    assert_eq!(bench.stat("/c"), None);
    bench.check();
}
