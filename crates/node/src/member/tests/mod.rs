//! A whole ensemble of members without disks and ways: what one says the others hear at once, what is written is durable
//! at once. For what a member decides; what goes wrong between members is the simulator's.

mod healing;
mod history;
mod keepalives;
mod membership;
mod quota;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft::{NodeId, Recovered, SnapshotMeta};
use state::{History, LeaseId, State, TableId, TableSpec, Transaction};

use super::{Answer, Event, Member, Published, RequestTag};
use crate::clock::{MILLISECOND, Now};
use crate::{
    Context, DiaryEntry, DiaryKind, Failure, Limits, MemberAddress, Options, Protocol, ProtocolId, Status, StreamId,
    Timing,
};

const TABLE: TableId = TableId(0x10);
const SPECS: [TableSpec; 1] = [TableSpec { id: TABLE, name: "shelf", history: History::Kept }];
const SHELF: ProtocolId = ProtocolId(7);
const STREAM: StreamId = StreamId(1);

/// A protocol with little to decide.
struct Shelf;

/// Requests of the protocol.
enum Ask<'a> {
    Put(&'a [u8], usize),
    Delete(&'a [u8]),
    /// Puts a small row that clients cannot do without.
    Essential(&'a [u8]),
    Grant(i64, u64),
}

impl Ask<'_> {
    fn encode(&self) -> Bytes {
        let (kind, number, key): (u8, u64, &[u8]) = match *self {
            Ask::Put(key, bytes) => (b'p', bytes as u64, key),
            Ask::Delete(key) => (b'd', 0, key),
            Ask::Essential(key) => (b'e', 8, key),
            Ask::Grant(lease, ttl) => return [&[b'g'][..], &ttl.to_le_bytes(), &lease.to_le_bytes()].concat().into(),
        };
        [&[kind][..], &number.to_le_bytes(), key].concat().into()
    }
}

impl Protocol for Shelf {
    fn id(&self) -> ProtocolId {
        SHELF
    }

    fn tables(&self) -> &'static [TableSpec] {
        &SPECS
    }

    fn prepare(&self, _context: &Context, transaction: &mut Transaction<'_>, request: &[u8]) -> Bytes {
        let number = u64::from_le_bytes(request[1..9].try_into().expect("eight bytes"));
        let key = &request[9..];
        match request[0] {
            b'd' => {
                transaction.delete(TABLE, key);
            }
            b'g' => {
                let lease = i64::from_le_bytes(key.try_into().expect("eight bytes"));
                transaction.grant(LeaseId(lease), number, SHELF.0);
            }
            _ => {
                let value = vec![7; usize::try_from(number).expect("a short value")];
                transaction.put(TABLE, key, &value, LeaseId::NONE);
            }
        }
        Bytes::from_static(b"done")
    }

    fn expire(&self, _context: &Context, transaction: &mut Transaction<'_>, lease: LeaseId) {
        transaction.revoke(lease);
    }

    fn is_essential(&self, request: &[u8]) -> bool {
        request[0] == b'e'
    }
}

/// What stands around one member.
struct Seat {
    member: Member,
    published: Option<Published>,
    status: Option<Status>,
    snapshot: Option<(SnapshotMeta, State)>,
    diary: Vec<DiaryEntry>,
    /// Entries that were given to the log.
    logged: usize,
}

struct Ensemble {
    seats: BTreeMap<NodeId, Seat>,
    now: Now,
    answers: BTreeMap<u64, Result<Answer, Failure>>,
    asked: u64,
}

impl Ensemble {
    /// So many members, all connected, one of which leads.
    fn new(members: u64, limits: Limits) -> Ensemble {
        let now = Now { nanoseconds: 1, unix_milliseconds: 1_700_000_000_000 };
        let addresses: Vec<MemberAddress> = (1..=members)
            .map(|id| MemberAddress {
                id: NodeId(id),
                name: format!("m{id}"),
                peer: String::new(),
                client: BTreeMap::new(),
                priority: 0,
            })
            .collect();
        let seat = |id: NodeId| {
            let options = Options {
                ensemble: "test".into(),
                id,
                members: addresses.clone(),
                listen_peer: None,
                join: false,
                data: "nowhere".into(),
                timing: Timing::default(),
                limits,
            };
            let member = Member::restore(
                options,
                vec![Arc::new(Shelf)],
                Recovered::default(),
                State::new(&SPECS),
                now,
                0x5eed ^ id.0,
            );
            Seat { member, published: None, status: None, snapshot: None, diary: Vec::new(), logged: 0 }
        };
        let seats: BTreeMap<NodeId, Seat> = (1..=members).map(|id| (NodeId(id), seat(NodeId(id)))).collect();
        let mut ensemble = Ensemble { seats, now, answers: BTreeMap::new(), asked: 0 };
        let ids: Vec<NodeId> = ensemble.seats.keys().copied().collect();
        for &one in &ids {
            for &other in ids.iter().filter(|other| **other != one) {
                ensemble.step(one, Event::Connected(other));
            }
        }
        ensemble.pass(Duration::from_secs(3));
        ensemble.leader();
        ensemble
    }

    fn leader(&self) -> NodeId {
        let leading = self.seats.iter().filter(|(_, seat)| seat.member.leading.is_some());
        *leading.map(|(id, _)| id).next().expect("somebody leads")
    }

    fn follower(&self) -> NodeId {
        let leader = self.leader();
        *self.seats.keys().find(|id| **id != leader).expect("there are several members")
    }

    fn seat(&self, id: NodeId) -> &Seat {
        &self.seats[&id]
    }

    fn step(&mut self, id: NodeId, event: Event) {
        let now = self.now;
        self.seats.get_mut(&id).expect("it is a member").member.step(now, event);
        self.settle();
    }

    /// Lets everything happen that happens at this moment.
    fn settle(&mut self) {
        loop {
            let mut events: Vec<(NodeId, Event)> = Vec::new();
            for (&id, seat) in &mut self.seats {
                let effects = seat.member.drain(self.now);
                assert_eq!(effects.fatal, None, "{id} stops");
                events.extend(effects.send.into_iter().map(|(to, message)| (to, Event::Peer { from: id, message })));
                for write in effects.write {
                    seat.logged += write.append.len();
                    events.push((id, Event::Written(write.ticket)));
                }
                if let Some(order) = effects.save_snapshot {
                    seat.snapshot = Some((order.meta.clone(), order.state));
                    events.push((id, Event::SnapshotWritten { meta: order.meta }));
                }
                for to in effects.send_snapshot {
                    let sent = seat.snapshot.clone();
                    let at = sent.as_ref().map_or_else(Default::default, |(meta, _)| meta.last);
                    let delivered = sent.is_some();
                    let received = |(meta, state)| (to, Event::SnapshotReceived { meta, state: Box::new(state) });
                    events.extend(sent.map(received));
                    events.push((id, Event::SnapshotSent { to, at, delivered }));
                }
                seat.published = effects.publish.or(seat.published.take());
                seat.status = effects.status.or(seat.status.take());
                seat.diary.extend(effects.diary);
                self.answers.extend(effects.answers.into_iter().map(|(tag, answer)| (tag.0, answer)));
            }
            if events.is_empty() {
                return;
            }
            for (id, event) in events {
                self.seats.get_mut(&id).expect("it is a member").member.step(self.now, event);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.nanoseconds + u64::try_from(time.as_nanos()).expect("a short time");
        while self.now.nanoseconds < end {
            self.now.nanoseconds += 10 * MILLISECOND;
            self.now.unix_milliseconds += 10;
            for seat in self.seats.values_mut() {
                if seat.member.deadline() <= self.now.nanoseconds {
                    seat.member.step(self.now, Event::Tick);
                }
            }
            self.settle();
        }
    }

    /// Sends a request through a member; its answer, if there is one at once.
    fn ask(&mut self, through: NodeId, ask: &Ask<'_>) -> Option<Result<Answer, Failure>> {
        self.asked += 1;
        let tag = RequestTag(self.asked);
        self.step(through, Event::Submit { tag, protocol: SHELF, stream: STREAM, request: ask.encode() });
        self.answers.remove(&self.asked)
    }

    /// Sends a request that must be decided at once.
    fn done(&mut self, through: NodeId, ask: &Ask<'_>) {
        let answer = self.ask(through, ask).expect("it is answered at once");
        assert_eq!(answer, Ok(Answer::Decided(Bytes::from_static(b"done"))));
    }

    fn told(&self, id: NodeId, kind: DiaryKind) -> Vec<&str> {
        let entries = self.seat(id).diary.iter().filter(|entry| entry.kind == kind);
        entries.map(|entry| entry.text.as_str()).collect()
    }
}
