//! How two members greet each other when a connection is made, and how they refuse each other in plain words.
//! It may not know what is said afterwards.
//!
//! The dialler sends the magic bytes, the version and who it is; the other answers with one byte (0: welcome,
//! 1: refused, 2: refused because the dialler belongs to the ensemble no more) and, when refused, the reason as text.
//! Numbers are little-endian, texts have a length of two bytes.

use std::io;

use raft::{Lane, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::acquaintance::MeetError;

const MAGIC: [u8; 4] = *b"CNCL";
const VERSION: u16 = 1;
const TEXT_MAX: usize = 512;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Messages of one lane.
    Lane(Lane),
    /// One snapshot.
    Snapshot,
}

/// Who dials, whom, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The ensemble's name.
    pub(super) ensemble: String,
    /// The ensemble's number; 0 while the dialler does not know it.
    pub(super) ensemble_id: u64,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) purpose: Purpose,
    /// The number of the dialler's data folder: see `acquaintance`.
    pub(super) folder: u64,
}

/// Why a connection between members did not come about, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelloError {
    #[error("{0}")]
    Broken(#[from] io::Error),
    #[error("no answer in time")]
    Late,
    #[error("it does not speak the protocol of Conclave's members (is this a client on the peer port?)")]
    Foreign,
    #[error("it speaks version {0} of the peer protocol, this member speaks {VERSION}")]
    Version(u16),
    #[error(
        "refused member {} of ensemble {:?} that looks for member {}: this is member {} of ensemble {:?}",
        hello.from.0, hello.ensemble, hello.to.0, own.0, ensemble
    )]
    Stranger { hello: Hello, own: NodeId, ensemble: String },
    #[error("member {} of ensemble {:?} is not known here: it was not added yet, or this member has not heard of it", .0.from.0, .0.ensemble)]
    NotAMember(Hello),
    #[error("member {} of ensemble {:?} was removed", .0.from.0, .0.ensemble)]
    Removed(Hello),
    #[error(
        "ensemble {:?} of member {} has the number {:016x}, the one here {own:016x}: they were founded apart",
        hello.ensemble, hello.from.0, hello.ensemble_id
    )]
    OtherEnsemble { hello: Hello, own: u64 },
    #[error(
        "member {} is not who it was: {why}. If its disk was lost, remove it and add a new member with a new id",
        from.0
    )]
    NotItself { from: NodeId, why: MeetError },
    #[error("this member belongs to the ensemble no more, it says: {0}")]
    Expelled(String),
    #[error("it refused: {0}")]
    Refused(String),
}

impl Hello {
    /// Greets, and waits to be welcomed.
    pub(super) async fn send(&self, stream: &mut TcpStream) -> Result<(), HelloError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.push(match self.purpose {
            Purpose::Lane(Lane::Control) => 0,
            Purpose::Lane(Lane::Bulk) => 1,
            Purpose::Snapshot => 2,
        });
        for number in [self.from.0, self.to.0, self.folder, self.ensemble_id] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        put_text(&mut bytes, &self.ensemble);
        stream.write_all(&bytes).await?;
        match stream.read_u8().await? {
            0 => Ok(()),
            1 => Err(HelloError::Refused(get_text(stream).await?)),
            2 => Err(HelloError::Expelled(get_text(stream).await?)),
            _ => Err(HelloError::Foreign),
        }
    }

    /// Hears who dials.
    pub(super) async fn receive(stream: &mut TcpStream) -> Result<Hello, HelloError> {
        let mut magic = [0; 4];
        stream.read_exact(&mut magic).await?;
        if magic != MAGIC {
            return Err(HelloError::Foreign);
        }
        let version = stream.read_u16_le().await?;
        if version != VERSION {
            return Err(HelloError::Version(version));
        }
        let purpose = match stream.read_u8().await? {
            0 => Purpose::Lane(Lane::Control),
            1 => Purpose::Lane(Lane::Bulk),
            2 => Purpose::Snapshot,
            _ => return Err(HelloError::Foreign),
        };
        let from = NodeId(stream.read_u64_le().await?);
        let to = NodeId(stream.read_u64_le().await?);
        let folder = stream.read_u64_le().await?;
        let ensemble_id = stream.read_u64_le().await?;
        let ensemble = get_text(stream).await?;
        Ok(Hello { ensemble, ensemble_id, from, to, purpose, folder })
    }

    /// Answers a greeting with a welcome.
    pub(super) async fn welcome(stream: &mut TcpStream) -> io::Result<()> {
        stream.write_u8(0).await
    }

    /// Answers a greeting with a refusal and its reason.
    pub(super) async fn refuse(stream: &mut TcpStream, problem: &HelloError) -> io::Result<()> {
        let mut bytes = vec![if matches!(problem, HelloError::Removed(_)) { 2 } else { 1 }];
        put_text(&mut bytes, &problem.to_string());
        stream.write_all(&bytes).await
    }
}

/// Longer texts are cut: names are bounded by the configuration, and the rest is for people.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let length = u16::try_from(end).expect("bounded by TEXT_MAX");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&text.as_bytes()[..end]);
}

async fn get_text(stream: &mut TcpStream) -> Result<String, HelloError> {
    let length = usize::from(stream.read_u16_le().await?);
    if length > TEXT_MAX {
        return Err(HelloError::Foreign);
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    String::from_utf8(text).map_err(|_| HelloError::Foreign)
}
