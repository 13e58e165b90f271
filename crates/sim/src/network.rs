//! The network between members: connections that come and go, lanes that keep their order, ways that are slow, blocked
//! or lossy. It may not know what the messages mean beyond their lane and size, and it keeps no time of its own: it
//! says when something is to happen, and the world calls it then.
//!
//! The promise of a standing connection (it stands for two TCP connections, one for each lane): within one lane nothing
//! is lost, doubled or reordered. A blocked way holds messages back; they arrive when it is open again, or are lost
//! when the connection breaks. A *harsh* way breaks this promise for consensus messages, which must survive it.

use std::collections::{BTreeMap, VecDeque};

use node::{NodeId, PeerMessage, Question};
use raft::{Entry, Lane, Message};

use crate::chance::Chance;
use crate::clock::{MICROSECOND, MILLISECOND, SECOND};

/// Both lanes.
pub const LANES: [Lane; 2] = [Lane::Control, Lane::Bulk];
/// After a block is lifted, the time until lost segments are sent again.
const RETRANSMISSION: u64 = 5 * MILLISECOND;

/// A connection, by the lower and the higher of its ends.
pub type Pair = (NodeId, NodeId);
/// A direction: from, to.
pub type Way = (NodeId, NodeId);

/// The connection between two members.
pub fn pair(one: NodeId, other: NodeId) -> Pair {
    (one.min(other), one.max(other))
}

/// When messages of a lane can be taken off again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The true time.
    pub at: u64,
    /// The direction.
    pub way: Way,
    /// The lane.
    pub lane: Lane,
    /// The connection they are on.
    pub generation: u64,
}

/// What becomes of a message that was sent.
pub enum Sent {
    /// There is no connection, or it was dropped on a harsh way.
    Lost,
    /// It is on its lane.
    OnLane(Due),
    /// It goes its own way, perhaps more than once: each copy with the time of its arrival.
    Loose(Vec<(u64, PeerMessage)>),
}

/// What a way does to messages for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The least time a message takes, in nanoseconds.
    pub delay: u64,
    /// What may come on top of it.
    pub jitter: u64,
    /// What comes on top of it in each lane.
    pub lane_delay: [u64; 2],
    /// Bytes per second, if that matters.
    pub bandwidth: Option<u64>,
    /// What happens to consensus messages, if the promise is broken.
    pub harsh: Option<Harsh>,
}

/// How a way breaks its promise, in messages of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Harsh {
    /// Dropped.
    pub drop: u64,
    /// Delivered twice.
    pub double: u64,
    /// Delivered out of order.
    pub reorder: u64,
    /// Delivered again many seconds later, on whatever connection stands then.
    pub replay: u64,
}

struct OneWay {
    conditions: Conditions,
    /// How many things block it, and since when anything does.
    blocks: u32,
    blocked_since: u64,
    lanes: [Queue; 2],
}

#[derive(Default)]
struct Queue {
    flying: VecDeque<(u64, PeerMessage)>,
    last_arrival: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Connection {
    generation: u64,
    up: bool,
    refused_until: u64,
    /// The pause before the next attempt.
    pause: u64,
}

/// All ways and connections of an ensemble.
pub struct Network {
    ways: BTreeMap<Way, OneWay>,
    connections: BTreeMap<Pair, Connection>,
    normal: Conditions,
    chance: Chance,
    /// A lane that holds more bytes than this loses its connection.
    queue_bytes: u64,
    lossy: bool,
}

impl Network {
    /// The first pause between two attempts to connect, and the longest.
    const PAUSES: (u64, u64) = (10 * MILLISECOND, 500 * MILLISECOND);

    /// A network without connections.
    #[must_use]
    pub fn new(members: &[NodeId], normal: Conditions, queue_bytes: u64, chance: Chance) -> Network {
        let mut network =
            Network { ways: BTreeMap::new(), connections: BTreeMap::new(), normal, chance, queue_bytes, lossy: false };
        for &from in members {
            for &to in members.iter().filter(|&&to| to != from) {
                let way = OneWay { conditions: normal, blocks: 0, blocked_since: 0, lanes: Default::default() };
                network.ways.insert((from, to), way);
                network.connections.entry(pair(from, to)).or_default();
            }
        }
        network
    }

    /// From now on lanes lose messages, which no network of this kind does.
    pub fn sabotage_lanes(&mut self) {
        self.lossy = true;
    }

    /// Every direction.
    #[must_use]
    pub fn ways(&self) -> Vec<Way> {
        self.ways.keys().copied().collect()
    }

    /// Every connection, standing or not.
    #[must_use]
    pub fn pairs(&self) -> Vec<Pair> {
        self.connections.keys().copied().collect()
    }

    /// What a direction does at present, to be changed.
    pub fn conditions(&mut self, way: Way) -> &mut Conditions {
        &mut self.way(way).conditions
    }

    /// What every direction does when nothing is wrong.
    #[must_use]
    pub fn normal(&self) -> Conditions {
        self.normal
    }

    /// The number of the connection, if it stands.
    #[must_use]
    pub fn standing(&self, pair: Pair) -> Option<u64> {
        let connection = &self.connections[&pair];
        connection.up.then_some(connection.generation)
    }

    /// Takes a message from its sender.
    pub fn send(&mut self, now: u64, way: Way, message: PeerMessage) -> Sent {
        let connection = self.connections[&pair(way.0, way.1)];
        if !connection.up {
            return Sent::Lost;
        }
        let conditions = self.ways[&way].conditions;
        if let (Some(harsh), PeerMessage::Raft(_)) = (conditions.harsh, &message)
            && let Some(sent) = self.send_harshly(now, &conditions, harsh, &message)
        {
            return sent;
        }
        if self.lossy && self.chance.per_mille(20) {
            return Sent::Lost;
        }
        let lane = message.lane();
        let arrival = now + self.travel_time(&conditions, lane);
        let on_wire = conditions.bandwidth.map_or(0, |bandwidth| size(&message) * SECOND / bandwidth.max(1));
        let queue = &mut self.way(way).lanes[lane as usize];
        queue.last_arrival = arrival.max(queue.last_arrival + MICROSECOND) + on_wire;
        queue.bytes += size(&message);
        let at = queue.last_arrival;
        queue.flying.push_back((at, message));
        Sent::OnLane(Due { at, way, lane, generation: connection.generation })
    }

    /// Whether the lanes of a direction hold more than a sender may keep for a peer.
    #[must_use]
    pub fn overflows(&self, way: Way) -> bool {
        self.ways[&way].lanes.iter().any(|queue| queue.bytes > self.queue_bytes)
    }

    /// Takes off what has arrived by now.
    pub fn arrived(&mut self, now: u64, due: Due) -> Vec<PeerMessage> {
        let stale = self.standing(pair(due.way.0, due.way.1)) != Some(due.generation);
        let way = self.way(due.way);
        if stale || way.blocks > 0 {
            return Vec::new();
        }
        let queue = &mut way.lanes[due.lane as usize];
        let mut arrived = Vec::new();
        while let Some((_, message)) = queue.flying.pop_front_if(|(at, _)| *at <= now) {
            queue.bytes -= size(&message);
            arrived.push(message);
        }
        arrived
    }

    /// The connection breaks: everything under way is lost, except for a first part of what `last_words_of` had said,
    /// which arrives all the same. Gives that part.
    pub fn break_connection(&mut self, pair: Pair, last_words_of: Option<NodeId>) -> Vec<(u64, NodeId, PeerMessage)> {
        let connection = self.connection(pair);
        connection.up = false;
        connection.pause = Self::PAUSES.0;
        let mut last_words = Vec::new();
        for way in [(pair.0, pair.1), (pair.1, pair.0)] {
            let blocked = self.ways[&way].blocks > 0;
            for lane in LANES {
                let queue = std::mem::take(&mut self.way(way).lanes[lane as usize]);
                if last_words_of == Some(way.0) && !blocked {
                    let kept = self.chance.below(queue.flying.len() as u64 + 1);
                    let kept = queue.flying.into_iter().zip(0..kept);
                    last_words.extend(kept.map(|((at, message), _)| (at, way.1, message)));
                }
            }
        }
        last_words
    }

    /// The number of the connection that a coming attempt would replace, and when the attempt is due.
    pub fn next_attempt(&mut self, now: u64, pair: Pair) -> u64 {
        let connection = self.connection(pair);
        let pause = connection.pause.max(Self::PAUSES.0);
        connection.pause = (pause * 2).min(Self::PAUSES.1);
        now + pause + self.chance.below(pause)
    }

    /// Tries to connect; gives the new connection's number if both ways are open and nobody refuses.
    pub fn connect(&mut self, now: u64, pair: Pair) -> Option<u64> {
        let open = |way: &OneWay| way.blocks == 0;
        let passable = open(&self.ways[&pair]) && open(&self.ways[&(pair.1, pair.0)]);
        let connection = self.connection(pair);
        if connection.up || !passable || connection.refused_until > now {
            return None;
        }
        connection.generation += 1;
        connection.up = true;
        connection.pause = Self::PAUSES.0;
        Some(connection.generation)
    }

    /// Attempts to connect fail until then.
    pub fn refuse(&mut self, pair: Pair, until: u64) {
        self.connection(pair).refused_until = until;
    }

    /// Blocks a direction once more.
    pub fn block(&mut self, now: u64, way: Way) {
        let way = self.way(way);
        if way.blocks == 0 {
            way.blocked_since = now;
        }
        way.blocks += 1;
    }

    /// Takes one block off a direction. If that opens it, gives when what was held back arrives.
    pub fn unblock(&mut self, now: u64, way: Way) -> Vec<Due> {
        let one_way = self.way(way);
        one_way.blocks = one_way.blocks.saturating_sub(1);
        if one_way.blocks > 0 {
            return Vec::new();
        }
        for queue in &mut one_way.lanes {
            let mut at = now + RETRANSMISSION;
            for (arrival, _) in &mut queue.flying {
                at = at.max(*arrival);
                *arrival = at;
                at += MICROSECOND;
            }
            queue.last_arrival = queue.last_arrival.max(at);
        }
        let Some(generation) = self.standing(pair(way.0, way.1)) else { return Vec::new() };
        let queues = self.ways[&way].lanes.iter().zip(LANES);
        let arrivals = queues.flat_map(|(queue, lane)| queue.flying.iter().map(move |(at, _)| (*at, lane)));
        arrivals.map(|(at, lane)| Due { at, way, lane, generation }).collect()
    }

    /// Since when a direction is blocked, if it is.
    #[must_use]
    pub fn blocked_since(&self, way: Way) -> Option<u64> {
        let way = &self.ways[&way];
        (way.blocks > 0).then_some(way.blocked_since)
    }

    /// Everything is as it should be from now on. Gives when what was held back arrives.
    pub fn heal(&mut self, now: u64) -> Vec<Due> {
        let normal = self.normal;
        let mut due = Vec::new();
        for connection in self.connections.values_mut() {
            connection.refused_until = 0;
        }
        for way in self.ways() {
            let one_way = self.way(way);
            one_way.conditions = normal;
            if one_way.blocks > 0 {
                one_way.blocks = 1;
                due.extend(self.unblock(now, way));
            }
        }
        due
    }

    fn way(&mut self, way: Way) -> &mut OneWay {
        self.ways.get_mut(&way).expect("every two members have a way to each other")
    }

    fn connection(&mut self, pair: Pair) -> &mut Connection {
        self.connections.get_mut(&pair).expect("every two members have a connection, standing or not")
    }

    fn travel_time(&mut self, conditions: &Conditions, lane: Lane) -> u64 {
        conditions.delay + self.chance.below(conditions.jitter + 1) + conditions.lane_delay[lane as usize]
    }

    /// Decides whether a message is dropped or leaves its lane. `None`: it stays in its lane.
    fn send_harshly(&mut self, now: u64, conditions: &Conditions, harsh: Harsh, message: &PeerMessage) -> Option<Sent> {
        if self.chance.per_mille(harsh.drop) {
            return Some(Sent::Lost);
        }
        let mut copies = Vec::new();
        if self.chance.per_mille(harsh.replay) {
            copies.push((now + self.chance.between(SECOND, 20 * SECOND), message.clone()));
        }
        let double = self.chance.per_mille(harsh.double);
        if !double && copies.is_empty() && !self.chance.per_mille(harsh.reorder) {
            return None;
        }
        for _ in 0..=u64::from(double) {
            let wander = self.chance.below(50 * MILLISECOND);
            let arrival = now + self.travel_time(conditions, message.lane()) + wander;
            copies.push((arrival, message.clone()));
        }
        Some(Sent::Loose(copies))
    }
}

/// About how many bytes a message has on the wire.
fn size(message: &PeerMessage) -> u64 {
    const FIELDS: usize = 64;
    let payload = match message {
        PeerMessage::Raft(envelope) => match &envelope.message {
            Message::Append { entries, .. } => entries.iter().map(Entry::weight).sum(),
            _ => 0,
        },
        PeerMessage::Ask { question: Question::Decide { request, .. }, .. } => request.len(),
        PeerMessage::Touch { leases } => leases.len() * size_of::<u64>(),
        _ => 0,
    };
    (FIELDS + payload) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn network() -> Network {
        let normal =
            Conditions { delay: MILLISECOND, jitter: MILLISECOND, lane_delay: [0; 2], bandwidth: None, harsh: None };
        let mut network = Network::new(&[A, B], normal, 1 << 20, Chance::new(1));
        network.connect(0, (A, B)).expect("nothing stands in the way");
        network
    }

    fn touch(number: i64) -> PeerMessage {
        PeerMessage::Touch { leases: vec![state::LeaseId(number)] }
    }

    fn send(network: &mut Network, now: u64, number: i64) -> Due {
        match network.send(now, (A, B), touch(number)) {
            Sent::OnLane(due) => due,
            _ => panic!("a standing connection takes messages"),
        }
    }

    #[test]
    fn a_lane_keeps_its_order_whatever_the_jitter() {
        let mut network = network();
        let dues: Vec<Due> = (0..100).map(|number| send(&mut network, 0, number)).collect();
        let arrived: Vec<PeerMessage> = dues.into_iter().flat_map(|due| network.arrived(due.at, due)).collect();
        assert_eq!(arrived, (0..100).map(touch).collect::<Vec<_>>());
    }

    #[test]
    fn a_blocked_way_holds_back_and_a_broken_connection_loses() {
        let mut network = network();
        network.block(0, (A, B));
        let due = send(&mut network, 0, 7);
        assert!(network.arrived(due.at, due).is_empty());
        let due = network.unblock(SECOND, (A, B))[0];
        assert!(due.at > SECOND);
        assert_eq!(network.arrived(due.at, due), [touch(7)]);
        let due = send(&mut network, 2 * SECOND, 8);
        assert!(network.break_connection((A, B), None).is_empty());
        assert!(network.connect(2 * SECOND, (A, B)).is_some());
        assert!(network.arrived(due.at, due).is_empty(), "nothing of the old connection arrives on the new one");
    }
}
