//! The bytes of what members say to each other. It may not know connections (see `shell::links`).
//!
//! A frame is its length (4), the CRC-32C of its content (4) and the content; lengths and numbers are
//! little-endian. The content starts with the kind of message.

use bytes::{Buf, Bytes, BytesMut};
use raft::{Envelope, Index, Message, Term, VoteRefusal};
use state::LeaseId;

use crate::codec::{Reader, Writer};
use crate::handle::Remaining;
use crate::message::{Decline, Outcome, PeerMessage, Question};
use crate::{Batch, Change, ProtocolId, Refused};

/// Length and checksum.
pub(crate) const FRAME_HEADER_BYTES: usize = 8;

/// Why a peer's bytes are not a frame. The connection they came on is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It announces more than is taken.
    #[error("a frame of {bytes} bytes is announced, the limit is {limit}")]
    TooLong {
        /// What it announces.
        bytes: usize,
        /// What is taken.
        limit: usize,
    },
    /// Its bytes changed under way, or are none of ours.
    #[error("a frame's checksum does not fit its content")]
    Checksum,
    /// It is whole, and says what this version does not know.
    #[error("a frame's content is no message that this version knows")]
    Content,
}

/// Puts a message into a frame, in parts, so that payloads are lent and not copied.
#[must_use]
pub fn encode_frame(message: &PeerMessage) -> Vec<Bytes> {
    let mut writer = Writer::default();
    write_message(&mut writer, message);
    let length = writer.len();
    let content = writer.finish();
    let checksum = content.iter().fold(0, |checksum, part| crc32c::crc32c_append(checksum, part));
    let mut header = Vec::with_capacity(FRAME_HEADER_BYTES);
    header.extend_from_slice(&u32::try_from(length).expect("messages are bounded far below 4 GiB").to_le_bytes());
    header.extend_from_slice(&checksum.to_le_bytes());
    let mut parts = Vec::with_capacity(content.len() + 1);
    parts.push(Bytes::from(header));
    parts.extend(content);
    parts
}

/// A frame that says nothing but that its sender is there.
pub(crate) fn ping_frame() -> [u8; FRAME_HEADER_BYTES] {
    [0; FRAME_HEADER_BYTES]
}

/// Takes the next message out of what was received, if it is there whole.
///
/// # Errors
/// [`BadFrame`]: nothing that comes after it on this connection can be understood.
pub fn decode_frame(received: &mut BytesMut, limit: usize) -> Result<Option<PeerMessage>, BadFrame> {
    while received.starts_with(&ping_frame()) {
        received.advance(FRAME_HEADER_BYTES);
    }
    let Some(mut header) = received.get(..FRAME_HEADER_BYTES) else { return Ok(None) };
    let bytes = header.get_u32_le() as usize;
    let checksum = header.get_u32_le();
    if bytes > limit {
        return Err(BadFrame::TooLong { bytes, limit });
    }
    if received.len() < FRAME_HEADER_BYTES + bytes {
        received.reserve(FRAME_HEADER_BYTES + bytes - received.len());
        return Ok(None);
    }
    received.advance(FRAME_HEADER_BYTES);
    let content = received.split_to(bytes).freeze();
    if crc32c::crc32c(&content) != checksum {
        return Err(BadFrame::Checksum);
    }
    let mut reader = Reader::new(content);
    let message = read_message(&mut reader).and_then(|message| reader.end(message));
    message.map(Some).ok_or(BadFrame::Content)
}

fn write_message(writer: &mut Writer, message: &PeerMessage) {
    match message {
        PeerMessage::Raft(envelope) => {
            writer.u8(1);
            write_envelope(writer, envelope);
        }
        PeerMessage::Ask { number, term, question } => {
            writer.u8(2);
            writer.u64(*number);
            writer.u64(*term);
            write_question(writer, question);
        }
        PeerMessage::Tell { number, outcome } => {
            writer.u8(3);
            writer.u64(*number);
            write_outcome(writer, outcome);
        }
        PeerMessage::Touch { leases } => {
            writer.u8(4);
            writer.count(leases.len());
            leases.iter().for_each(|lease| writer.u64(lease.0.cast_unsigned()));
        }
        PeerMessage::Digest { index, hash } => {
            writer.u8(5);
            writer.u64(*index);
            writer.u128(*hash);
        }
        PeerMessage::Ping { number } => {
            writer.u8(6);
            writer.u64(*number);
        }
        PeerMessage::Pong { number } => {
            writer.u8(7);
            writer.u64(*number);
        }
        PeerMessage::WantState { above } => {
            writer.u8(8);
            writer.u64(*above);
        }
    }
}

fn read_message(reader: &mut Reader) -> Option<PeerMessage> {
    Some(match reader.u8()? {
        1 => PeerMessage::Raft(read_envelope(reader)?),
        2 => PeerMessage::Ask { number: reader.u64()?, term: reader.u64()?, question: read_question(reader)? },
        3 => PeerMessage::Tell { number: reader.u64()?, outcome: read_outcome(reader)? },
        4 => {
            let count = reader.count(8)?;
            let leases = (0..count).map(|_| read_lease(reader)).collect::<Option<_>>()?;
            PeerMessage::Touch { leases }
        }
        5 => PeerMessage::Digest { index: reader.u64()?, hash: reader.u128()? },
        6 => PeerMessage::Ping { number: reader.u64()? },
        7 => PeerMessage::Pong { number: reader.u64()? },
        8 => PeerMessage::WantState { above: reader.u64()? },
        _ => return None,
    })
}

fn write_envelope(writer: &mut Writer, envelope: &Envelope<Batch>) {
    writer.u64(envelope.from.0);
    writer.u64(envelope.to.0);
    writer.u64(envelope.term.0);
    match &envelope.message {
        Message::AskPreVote { last } => {
            writer.u8(1);
            writer.log_id(*last);
        }
        Message::PreVote { asked, refusal } => write_vote(writer, 2, *asked, *refusal),
        Message::AskVote { last, transfer } => {
            writer.u8(3);
            writer.log_id(*last);
            writer.flag(*transfer);
        }
        Message::Vote { asked, refusal } => write_vote(writer, 4, *asked, *refusal),
        Message::Append { previous, entries, commit } => {
            writer.u8(5);
            writer.log_id(*previous);
            writer.u64(commit.0);
            writer.entries(entries);
        }
        Message::Appended { matched } => {
            writer.u8(6);
            writer.u64(matched.0);
        }
        Message::Rejected { previous, hint } => {
            writer.u8(7);
            writer.u64(previous.0);
            writer.log_id(*hint);
        }
        Message::Heartbeat { commit, round } => {
            writer.u8(8);
            writer.log_id(*commit);
            writer.u64(*round);
        }
        Message::Alive { round } => {
            writer.u8(9);
            writer.u64(*round);
        }
        Message::Commit { commit } => {
            writer.u8(10);
            writer.log_id(*commit);
        }
        Message::Overtaken => writer.u8(11),
        Message::CampaignNow => writer.u8(12),
        Message::Sleep { commit } => {
            writer.u8(13);
            writer.log_id(*commit);
        }
        Message::Asleep => writer.u8(14),
        Message::Wake => writer.u8(15),
    }
}

fn read_envelope(reader: &mut Reader) -> Option<Envelope<Batch>> {
    let (from, to, term) = (reader.node()?, reader.node()?, Term(reader.u64()?));
    let message = match reader.u8()? {
        1 => Message::AskPreVote { last: reader.log_id()? },
        2 => {
            let (asked, refusal) = read_vote(reader)?;
            Message::PreVote { asked, refusal }
        }
        3 => Message::AskVote { last: reader.log_id()?, transfer: reader.flag()? },
        4 => {
            let (asked, refusal) = read_vote(reader)?;
            Message::Vote { asked, refusal }
        }
        5 => {
            let (previous, commit) = (reader.log_id()?, Index(reader.u64()?));
            Message::Append { previous, entries: reader.entries()?, commit }
        }
        6 => Message::Appended { matched: Index(reader.u64()?) },
        7 => Message::Rejected { previous: Index(reader.u64()?), hint: reader.log_id()? },
        8 => Message::Heartbeat { commit: reader.log_id()?, round: reader.u64()? },
        9 => Message::Alive { round: reader.u64()? },
        10 => Message::Commit { commit: reader.log_id()? },
        11 => Message::Overtaken,
        12 => Message::CampaignNow,
        13 => Message::Sleep { commit: reader.log_id()? },
        14 => Message::Asleep,
        15 => Message::Wake,
        _ => return None,
    };
    Some(Envelope { from, to, term, message })
}

fn write_vote(writer: &mut Writer, kind: u8, asked: Term, refusal: Option<VoteRefusal>) {
    writer.u8(kind);
    writer.u64(asked.0);
    match refusal {
        None => writer.u8(0),
        Some(VoteRefusal::TermPassed(term)) => {
            writer.u8(1);
            writer.u64(term.0);
        }
        Some(VoteRefusal::LeaderAlive(leader)) => {
            writer.u8(2);
            writer.flag(leader.is_some());
            writer.u64(leader.map_or(0, |leader| leader.0));
        }
        Some(VoteRefusal::LogBehind { asker, own }) => {
            writer.u8(3);
            writer.log_id(asker);
            writer.log_id(own);
        }
        Some(VoteRefusal::VotedFor(other)) => {
            writer.u8(4);
            writer.u64(other.0);
        }
        Some(VoteRefusal::Repairing(lost)) => {
            writer.u8(5);
            writer.log_id(lost);
        }
    }
}

fn read_vote(reader: &mut Reader) -> Option<(Term, Option<VoteRefusal>)> {
    let asked = Term(reader.u64()?);
    let refusal = match reader.u8()? {
        0 => None,
        1 => Some(VoteRefusal::TermPassed(Term(reader.u64()?))),
        2 => {
            let (known, leader) = (reader.flag()?, reader.node()?);
            Some(VoteRefusal::LeaderAlive(known.then_some(leader)))
        }
        3 => Some(VoteRefusal::LogBehind { asker: reader.log_id()?, own: reader.log_id()? }),
        4 => Some(VoteRefusal::VotedFor(reader.node()?)),
        5 => Some(VoteRefusal::Repairing(reader.log_id()?)),
        _ => return None,
    };
    Some((asked, refusal))
}

fn write_question(writer: &mut Writer, question: &Question) {
    match question {
        Question::Decide { protocol, request } => {
            writer.u8(1);
            writer.u8(protocol.0);
            writer.payload(request);
        }
        Question::Barrier => writer.u8(2),
        Question::Lease { lease, renew } => {
            writer.u8(3);
            writer.u64(lease.0.cast_unsigned());
            writer.flag(*renew);
        }
        Question::Change(change) => {
            writer.u8(4);
            change.write(writer);
        }
        Question::Lead { to } => {
            writer.u8(5);
            writer.flag(to.is_some());
            writer.u64(to.map_or(0, |to| to.0));
        }
    }
}

fn read_question(reader: &mut Reader) -> Option<Question> {
    Some(match reader.u8()? {
        1 => Question::Decide { protocol: ProtocolId(reader.u8()?), request: reader.payload()? },
        2 => Question::Barrier,
        3 => Question::Lease { lease: read_lease(reader)?, renew: reader.flag()? },
        4 => Question::Change(Change::read(reader)?),
        5 => {
            let (named, to) = (reader.flag()?, reader.node()?);
            Question::Lead { to: named.then_some(to) }
        }
        _ => return None,
    })
}

fn write_outcome(writer: &mut Writer, outcome: &Outcome) {
    match outcome {
        Outcome::Decided { index, reply } => {
            writer.u8(1);
            writer.u64(*index);
            writer.payload(reply);
        }
        Outcome::Barrier { index } => {
            writer.u8(2);
            writer.u64(*index);
        }
        Outcome::Lease { found } => {
            writer.u8(3);
            writer.flag(found.is_some());
            writer.u64(found.map_or(0, |found| found.ttl_milliseconds));
            writer.u64(found.map_or(0, |found| found.granted_milliseconds));
        }
        Outcome::Declined(Decline::NotLeader) => writer.u8(4),
        Outcome::Declined(Decline::UnknownProtocol(protocol)) => {
            writer.u8(5);
            writer.u8(protocol.0);
        }
        Outcome::Declined(Decline::TooLarge { bytes, limit }) => {
            writer.u8(6);
            writer.u64(*bytes);
            writer.u64(*limit);
        }
        Outcome::Changed { index, member } => {
            writer.u8(7);
            writer.u64(*index);
            writer.u64(member.0);
        }
        Outcome::Led { by } => {
            writer.u8(8);
            writer.u64(by.0);
        }
        Outcome::OverQuota { index, bytes, limit } => {
            writer.u8(10);
            writer.u64(*index);
            writer.u64(*bytes);
            writer.u64(*limit);
        }
        Outcome::Refused(refused) => {
            writer.u8(9);
            refused.write(writer);
        }
    }
}

fn read_outcome(reader: &mut Reader) -> Option<Outcome> {
    Some(match reader.u8()? {
        1 => Outcome::Decided { index: reader.u64()?, reply: reader.payload()? },
        2 => Outcome::Barrier { index: reader.u64()? },
        3 => {
            let known = reader.flag()?;
            let (ttl_milliseconds, granted_milliseconds) = (reader.u64()?, reader.u64()?);
            Outcome::Lease { found: known.then_some(Remaining { ttl_milliseconds, granted_milliseconds }) }
        }
        4 => Outcome::Declined(Decline::NotLeader),
        5 => Outcome::Declined(Decline::UnknownProtocol(ProtocolId(reader.u8()?))),
        6 => Outcome::Declined(Decline::TooLarge { bytes: reader.u64()?, limit: reader.u64()? }),
        7 => Outcome::Changed { index: reader.u64()?, member: reader.node()? },
        8 => Outcome::Led { by: reader.node()? },
        9 => Outcome::Refused(Refused::read(reader)?),
        10 => Outcome::OverQuota { index: reader.u64()?, bytes: reader.u64()?, limit: reader.u64()? },
        _ => return None,
    })
}

fn read_lease(reader: &mut Reader) -> Option<LeaseId> {
    reader.u64().map(|id| LeaseId(id.cast_signed()))
}

#[cfg(test)]
mod tests {
    use raft::{Body, Entry, LogId, NodeId};

    use super::*;

    fn raft(message: Message<Batch>) -> PeerMessage {
        PeerMessage::Raft(Envelope { from: NodeId(1), to: NodeId(2), term: Term(7), message })
    }

    fn samples() -> Vec<PeerMessage> {
        let id = LogId::new(Term(3), Index(9));
        let refusals = [
            VoteRefusal::TermPassed(Term(8)),
            VoteRefusal::LeaderAlive(Some(NodeId(3))),
            VoteRefusal::LeaderAlive(None),
            VoteRefusal::LogBehind { asker: id, own: id },
            VoteRefusal::VotedFor(NodeId(2)),
            VoteRefusal::Repairing(id),
        ];
        let entries = vec![
            Entry { term: Term(7), body: Body::Noop },
            Entry { term: Term(7), body: Body::Command(Batch::seal(&[Bytes::from(vec![1; 3000])])) },
        ];
        let remaining = Remaining { ttl_milliseconds: 5, granted_milliseconds: 6 };
        let mut samples = vec![
            raft(Message::AskPreVote { last: id }),
            raft(Message::AskVote { last: id, transfer: true }),
            raft(Message::Append { previous: id, entries, commit: Index(4) }),
            raft(Message::Appended { matched: Index(5) }),
            raft(Message::Rejected { previous: Index(5), hint: id }),
            raft(Message::Heartbeat { commit: id, round: 6 }),
            raft(Message::Alive { round: 6 }),
            raft(Message::Commit { commit: id }),
            raft(Message::Overtaken),
            raft(Message::CampaignNow),
            raft(Message::Sleep { commit: id }),
            raft(Message::Asleep),
            raft(Message::Wake),
            PeerMessage::Touch { leases: vec![LeaseId(-1), LeaseId(7)] },
            PeerMessage::Digest { index: 4, hash: u128::MAX - 1 },
            PeerMessage::WantState { above: 3 },
            PeerMessage::Ping { number: 12 },
            PeerMessage::Pong { number: 12 },
        ];
        for refusal in refusals.map(Some).into_iter().chain([None]) {
            samples.push(raft(Message::PreVote { asked: Term(7), refusal }));
            samples.push(raft(Message::Vote { asked: Term(7), refusal }));
        }
        let request = Bytes::from(vec![2; 2000]);
        for question in [
            Question::Decide { protocol: ProtocolId(1), request: request.clone() },
            Question::Barrier,
            Question::Lease { lease: LeaseId(-5), renew: true },
            Question::Change(Change::Remove { id: NodeId(4) }),
            Question::Lead { to: None },
            Question::Lead { to: Some(NodeId(4)) },
        ] {
            samples.push(PeerMessage::Ask { number: 11, term: 7, question });
        }
        for outcome in [
            Outcome::Decided { index: 9, reply: request },
            Outcome::Barrier { index: 9 },
            Outcome::Lease { found: Some(remaining) },
            Outcome::Lease { found: None },
            Outcome::Declined(Decline::NotLeader),
            Outcome::Declined(Decline::UnknownProtocol(ProtocolId(3))),
            Outcome::Declined(Decline::TooLarge { bytes: 7, limit: 6 }),
            Outcome::Changed { index: 9, member: NodeId(4) },
            Outcome::Led { by: NodeId(4) },
            Outcome::Refused(Refused::ChangeInFlight),
            Outcome::OverQuota { index: 9, bytes: 7, limit: 6 },
        ] {
            samples.push(PeerMessage::Tell { number: 11, outcome });
        }
        samples
    }

    fn framed(message: &PeerMessage) -> Vec<u8> {
        encode_frame(message).concat()
    }

    #[test]
    fn every_message_comes_back_as_it_was_pings_between() {
        let mut received = BytesMut::new();
        for message in samples() {
            received.extend_from_slice(&ping_frame());
            received.extend_from_slice(&framed(&message));
        }
        for message in samples() {
            assert_eq!(decode_frame(&mut received, 10_000), Ok(Some(message)));
        }
        assert_eq!(decode_frame(&mut received, 10_000), Ok(None));
    }

    #[test]
    fn half_a_frame_waits_for_the_rest_and_a_flipped_bit_is_refused() {
        for message in samples() {
            let whole = framed(&message);
            for cut in 0..whole.len() {
                let mut received = BytesMut::from(&whole[..cut]);
                assert_eq!(decode_frame(&mut received, 10_000), Ok(None), "{message:?} cut at {cut}");
            }
            for at in 4..whole.len() {
                let mut damaged = BytesMut::from(&whole[..]);
                damaged[at] ^= 0x20;
                assert_eq!(decode_frame(&mut damaged, 10_000), Err(BadFrame::Checksum), "{message:?} byte {at}");
            }
        }
    }

    #[test]
    fn an_announced_length_beyond_the_limit_is_refused_before_anything_is_reserved() {
        let mut received = BytesMut::from(&[0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0][..]);
        let refused = decode_frame(&mut received, 10_000);
        assert_eq!(refused, Err(BadFrame::TooLong { bytes: 0x7fff_ffff, limit: 10_000 }));
        assert!(received.capacity() < 10_000);
    }

    #[test]
    fn garbage_under_a_true_checksum_never_panics() {
        for message in samples() {
            let content = framed(&message)[FRAME_HEADER_BYTES..].to_vec();
            for at in 0..content.len() {
                for value in [0x00, 0x7f, 0xff] {
                    let mut garbage = content.clone();
                    garbage[at] = value;
                    let mut received = BytesMut::new();
                    let length = u32::try_from(garbage.len()).expect("small");
                    received.extend_from_slice(&length.to_le_bytes());
                    received.extend_from_slice(&crc32c::crc32c(&garbage).to_le_bytes());
                    received.extend_from_slice(&garbage);
                    let _ = decode_frame(&mut received, 10_000);
                }
            }
        }
    }
}
