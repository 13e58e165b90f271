//! A backup becomes the beginning of a new ensemble: every member begins with the same rows, far ahead of the old history
//! and with nothing of it readable, and a damaged file or an occupied folder is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use conclave_node::{
    Context, Limits, MemberAddress, NodeId, Options, Protocol, ProtocolId, REVISIONS_AHEAD, Timing, View,
    backup_pieces, found_with, inspect_log, read_backup, recover_from,
};
use log::Folder;
use state::{History, HistoryError, LeaseId, State, TableId, TableSpec, Transaction};

const TABLE: TableId = TableId(0x70);

struct Notes;

impl Protocol for Notes {
    fn id(&self) -> ProtocolId {
        ProtocolId(7)
    }

    fn tables(&self) -> &'static [TableSpec] {
        &[TableSpec { id: TABLE, name: "notes", history: History::Kept }]
    }

    fn prepare(&self, _: &Context, _: &mut Transaction<'_>, _: &[u8]) -> Bytes {
        Bytes::new()
    }

    fn expire(&self, _: &Context, _: &mut Transaction<'_>, _: LeaseId) {}
}

fn protocols() -> Vec<Arc<dyn Protocol>> {
    vec![Arc::new(Notes)]
}

fn options(id: u64, data: &Path) -> Options {
    let address = |id: u64| MemberAddress {
        id: NodeId(id),
        name: format!("m{id}"),
        peer: format!("m{id}:1"),
        client: BTreeMap::new(),
        priority: 0,
    };
    Options {
        ensemble: "restored".into(),
        id: NodeId(id),
        members: (1..=3).map(address).collect(),
        join: false,
        listen_peer: None,
        data: data.to_owned(),
        timing: Timing::default(),
        limits: Limits { segment_bytes: 64 * 1024, ..Limits::default() },
    }
}

fn saved(file: &Path) -> View {
    let mut state = State::new(Notes.tables());
    for number in 0..500_u32 {
        let mut transaction = state.begin(u64::from(number));
        transaction.put(TABLE, &(number % 100).to_be_bytes(), &number.to_le_bytes(), LeaseId::NONE);
        transaction.finish();
    }
    let view = View { state, index: 600, term: 3, members: Arc::default() };
    let pieces: Vec<Bytes> = backup_pieces(&view, NodeId(2)).collect();
    fs::write(file, pieces.concat()).unwrap();
    view
}

#[test]
fn every_member_begins_with_the_same_rows_in_a_new_history() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let view = saved(&file);
    let backup = read_backup(&file, &protocols()).unwrap();
    assert_eq!((backup.taken_at, backup.state.hash()), ((600, 3), view.hash()));

    let mut hashes = Vec::new();
    for id in 1..=3 {
        let options = options(id, &folder.path().join(format!("m{id}")));
        let state = read_backup(&file, &protocols()).unwrap().state;
        found_with(&options, &protocols(), state).unwrap();
        let log = Folder::open(&options.data.join("log")).unwrap();
        let snapshots = Folder::open(&options.data.join("snapshots")).unwrap();
        let found = recover_from(log, snapshots, &options, &format!("m{id}"), &protocols(), 1).unwrap();
        let (state, consensus) = (found.state, found.consensus);
        assert_eq!(state.revision(), view.revision() + REVISIONS_AHEAD);
        assert_eq!(state.compacted(), state.revision());
        assert_eq!(state.get(TABLE, &7_u32.to_be_bytes()).unwrap().value(), 407_u32.to_le_bytes());
        assert!(matches!(state.changes(view.revision()).err(), Some(HistoryError::Compacted { .. })));
        assert_eq!(consensus.membership(), &options.initial_membership());
        assert_eq!((consensus.last(), consensus.missing), (consensus.base.last, None));
        hashes.push(state.hash());
        let mut lines = Vec::new();
        let summary = inspect_log(&options.data, &protocols(), |line| lines.push(line)).unwrap();
        assert_eq!((summary.refusal, summary.records), (None, 1));
        assert!(lines.iter().any(|line| line.text.contains("begins behind 1@1")), "{lines:?}");
    }
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]));
    let again = found_with(&options(1, &folder.path().join("m1")), &protocols(), backup.state);
    assert!(again.unwrap_err().to_string().contains("not empty"));
}

#[test]
fn every_changed_byte_of_a_backup_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    saved(&file);
    let whole = fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(31) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        assert!(read_backup(&file, &protocols()).is_err(), "byte {at}");
        fs::write(&file, &whole[..at]).unwrap();
        assert!(read_backup(&file, &protocols()).is_err(), "cut at {at}");
    }
}
