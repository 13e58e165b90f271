//! Records against bytes that the real server and real clients sent, and every reader against garbage.

use bytes::{Buf, BytesMut};
use proptest::prelude::*;

use super::frame::FrameError;
use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first frame of the Java client 3.8, which wants a session of 30 s.
const JAVA_CONNECT: &str =
    "0000002d000000000000000000000000000075300000000000000000000000100000000000000000000000000000000000";

/// The real server's answer to a client that wants 10 s.
const SERVER_CONNECT: &str = "00000000000027100100002d6d4a023900000010b457f362eb2fb24b8b98a5e5ff3ad58300";

/// The real server's getData of a node with the data "data", body only.
const SERVER_GET_DATA: &str = "00000004646174610000000000005bb40000000000005bb4000001a1f8e53bcb000001a1f8e53bcb\
                               000000000000000000000000000000000000000000000004000000000000000000005bb4";

/// create /m2 "a", check /gold 7, delete /gold -1.
const MULTI_REQUEST: &str = "0000000100ffffffff000000032f6d320000000161000000010000001f00000005776f726c6400000006\
                             616e796f6e65000000000000000d00ffffffff000000052f676f6c64000000070000000200ffffffff\
                             000000052f676f6c64ffffffffffffffff01ffffffff";

/// The real server's answer to it: the check fails.
const MULTI_FAILED: &str = "ffffffff000000000000000000ffffffff00ffffff99ffffff99ffffffff00fffffffefffffffeffffffff01\
                            ffffffff";

/// The real server's event for a changed node /gold, the frame without its length.
const SERVER_EVENT: &str = "ffffffffffffffffffffffff000000000000000300000003000000052f676f6c64";

#[test]
fn the_first_request_of_the_java_client() {
    let mut frames = Frames::new(1024);
    frames.buffer.extend_from_slice(&bytes(JAVA_CONNECT));
    let frame = frames.next().unwrap().expect("the frame is whole");
    let request = ConnectRequest::read(&mut Reader::new(&frame)).unwrap();
    let expected = ConnectRequest {
        last_zxid_seen: 0,
        timeout_milliseconds: 30_000,
        session: 0,
        password: Some([0; 16]),
        knows_read_only: true,
    };
    assert_eq!(request, expected);
    // A client older than 3.4 leaves the last byte out.
    let old = ConnectRequest::read(&mut Reader::new(&frame[..44])).unwrap();
    assert_eq!(old, ConnectRequest { knows_read_only: false, ..expected });
}

#[test]
fn the_first_answer_of_the_real_server() {
    let response = ConnectResponse {
        timeout_milliseconds: 10_000,
        session: 0x0100_002d_6d4a_0239,
        password: bytes("b457f362eb2fb24b8b98a5e5ff3ad583").try_into().unwrap(),
    };
    let mut out = BytesMut::new();
    write_connect(&mut out, &response, true);
    assert_eq!((out.get_u32(), hex(&out)), (37, SERVER_CONNECT.to_owned()));
}

#[test]
fn data_and_numbers_as_the_real_server_writes_them() {
    let recorded = bytes(SERVER_GET_DATA);
    let mut reader = Reader::new(&recorded);
    assert_eq!(reader.buffer(), Ok(Some(&b"data"[..])));
    let stat = Stat {
        created_zxid: 0x5bb4,
        modified_zxid: 0x5bb4,
        created_time: 0x01a1_f8e5_3bcb,
        modified_time: 0x01a1_f8e5_3bcb,
        data_length: 4,
        children_zxid: 0x5bb4,
        ..Stat::default()
    };
    let mut writer = Writer::new();
    writer.buffer(Some(b"data"));
    stat.write(&mut writer);
    assert_eq!(hex(&writer.finish()), SERVER_GET_DATA);
}

#[test]
fn a_transaction_and_the_answer_to_its_failure() {
    let recorded = bytes(MULTI_REQUEST);
    let Operations(operations) = Operations::read(&mut Reader::new(&recorded)).unwrap();
    let create = CreateRequest {
        path: "/m2".into(),
        data: Some(b"a"),
        access: vec![Access::world(permission::ALL)],
        flags: 0,
        ttl_milliseconds: None,
    };
    let expected = [
        Operation::Create(OpCode::Create, create),
        Operation::Check(PathWithNumber { path: "/gold".into(), number: 7 }),
        Operation::Delete(PathWithNumber { path: "/gold".into(), number: -1 }),
    ];
    assert_eq!(operations, expected);

    let mut reply = MultiReply::new();
    for code in [Code::Ok, Code::BadVersion, Code::RuntimeInconsistency] {
        reply.failure(code);
    }
    assert_eq!(hex(&reply.finish()), MULTI_FAILED);
}

#[test]
fn an_event_as_the_real_server_writes_it() {
    let mut out = BytesMut::new();
    write_event(&mut out, &Event { zxid: -1, kind: EventKind::DataChanged, path: "/gold".to_owned() });
    assert_eq!((out.get_u32() as usize, hex(&out)), (out.len(), SERVER_EVENT.to_owned()));
}

#[test]
fn reading_and_writing_operations_do_not_mix() {
    let read = |header: i32| {
        let mut request = Writer::new();
        request.int(1).boolean(false).int(-1).string("/a").buffer(None).length(0).int(0);
        request.int(header).boolean(false).int(-1).string("/a").int(0);
        request.int(-1).boolean(true).int(-1);
        Operations::read(&mut Reader::new(&request.finish())).map(|Operations(operations)| operations.len())
    };
    assert_eq!(read(OpCode::Delete.number()), Ok(2));
    for misplaced in [OpCode::GetData, OpCode::SetAcl, OpCode::Multi] {
        assert_eq!(read(misplaced.number()), Err(Malformed::Misplaced), "{misplaced:?}");
    }
}

#[test]
fn every_opcode_has_its_own_number() {
    for opcode in OpCode::ALL {
        assert_eq!(OpCode::from_number(opcode.number()), Some(opcode));
    }
    for unknown in [0, -1, -10, 10, 23, 99, 108, 499, 504] {
        assert_eq!(OpCode::from_number(unknown), None);
    }
}

#[test]
fn frames_are_refused_by_their_announced_length() {
    let next = |announced: i32| {
        let mut frames = Frames::new(100);
        frames.buffer.extend_from_slice(&announced.to_be_bytes());
        let result = frames.next();
        assert!(frames.buffer.capacity() < 1024, "nothing is reserved for what was only announced");
        result
    };
    assert_eq!(next(100), Ok(None));
    assert_eq!(next(101), Err(FrameError::TooLarge { length: 101, limit: 100 }));
    assert_eq!(next(i32::MAX), Err(FrameError::TooLarge { length: 0x7fff_ffff, limit: 100 }));
    assert_eq!(next(-1), Err(FrameError::Negative(-1)));
    assert_eq!(next(0), Ok(Some(bytes::Bytes::new())));
}

#[test]
fn a_length_beyond_the_input_is_refused_before_anything_is_allocated() {
    let announced = i32::MAX.to_be_bytes();
    assert!(matches!(Reader::new(&announced).buffer(), Err(Malformed::Truncated { left: 0, .. })));
    assert!(matches!(Reader::new(&announced).strings(), Err(Malformed::Truncated { left: 0, .. })));
    assert_eq!(Reader::new(&(-2_i32).to_be_bytes()).buffer(), Err(Malformed::Negative(-2)));
    assert_eq!(Reader::new(&(-1_i32).to_be_bytes()).strings(), Ok(Vec::new()));
}

/// Runs every reader over the input. They may fail; they may not panic.
pub(super) fn read_all(input: &[u8]) {
    let reader = || Reader::new(input);
    let _ = RequestHeader::read(&mut reader());
    let _ = ConnectRequest::read(&mut reader());
    let _ = AuthRequest::read(&mut reader());
    let _ = PathWithWatch::read(&mut reader());
    let _ = FilteredListRequest::read(&mut reader());
    let _ = PathWithNumber::read(&mut reader());
    let _ = SetDataRequest::read(&mut reader());
    let _ = SetAccessRequest::read(&mut reader());
    for opcode in [OpCode::Create, OpCode::CreateTtl] {
        let _ = CreateRequest::read(opcode, &mut reader());
    }
    for opcode in [OpCode::SetWatches, OpCode::SetWatches2] {
        let _ = SetWatchesRequest::read(opcode, &mut reader());
    }
    if let Ok(Operations(operations)) = Operations::read(&mut reader()) {
        assert!(operations.len() * 9 <= input.len(), "every operation has a header");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&input);
    }

    #[test]
    fn real_bytes_with_a_flaw_never_panic(at in 0_usize..120, value in any::<u8>(), cut in 0_usize..140) {
        for recorded in [MULTI_REQUEST, SERVER_GET_DATA, JAVA_CONNECT] {
            let mut flawed = bytes(recorded);
            if let Some(byte) = flawed.get_mut(at) {
                *byte = value;
            }
            flawed.truncate(cut);
            read_all(&flawed);
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
        pieces in proptest::collection::vec(1_usize..20, 1..8),
    ) {
        let mut stream = Vec::new();
        for body in &bodies {
            stream.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(body);
        }
        let mut frames = Frames::new(40);
        let mut received = Vec::new();
        let mut rest = &stream[..];
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            frames.buffer.extend_from_slice(now);
            rest = later;
            while let Some(frame) = frames.next().unwrap() {
                received.push(frame.to_vec());
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(received, bodies);
    }
}

#[test]
fn a_filtered_list_says_which_children_it_wants() {
    // The path /a, a watch, and the kind.
    let request = |kind: &str| bytes(&format!("000000022f6101{kind}"));
    for (kind, filter) in [
        ("", Filter::All),
        ("00000000", Filter::All),
        ("00000001", Filter::Persistent),
        ("00000002", Filter::Ephemeral),
    ] {
        let expected = FilteredListRequest { path: "/a".into(), watch: true, filter };
        assert_eq!(FilteredListRequest::read(&mut Reader::new(&request(kind))), Ok(expected), "{kind}");
    }
    for malformed in ["00000003", "ffffffff", "0000"] {
        assert!(FilteredListRequest::read(&mut Reader::new(&request(malformed))).is_err(), "{malformed}");
    }
}
