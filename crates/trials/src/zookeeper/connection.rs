//! Frames over a socket, and the first exchange.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;

/// How long an answer may take. No side needs that long when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest frame that anybody here sends or expects.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A session as its owner knows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Session {
    /// Its number, 0 for none.
    pub id: i64,
    /// Its password.
    pub password: [u8; 16],
}

/// A connection that holds a session.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

/// A reply or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The request's number, -1 for an event.
    pub xid: i32,
    /// The header's transaction.
    pub zxid: i64,
    /// The header's code.
    pub code: i32,
    /// The record.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects and gets a new session, or the given one again. The session's number is 0 if it is gone.
    ///
    /// # Errors
    /// Nobody listens there, or nobody answers.
    pub fn open(address: &str, session: Session, timeout_milliseconds: i32) -> anyhow::Result<(Connection, Session)> {
        let writer = TcpStream::connect(address).with_context(|| format!("no connection to {address}"))?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(PATIENCE))?;
        let mut connection = Connection { reader: BufReader::new(writer.try_clone()?), writer };
        let mut record = Vec::with_capacity(45);
        record.extend_from_slice(&[0; 4 + 8]);
        record.extend_from_slice(&timeout_milliseconds.to_be_bytes());
        record.extend_from_slice(&session.id.to_be_bytes());
        record.extend_from_slice(&16_i32.to_be_bytes());
        record.extend_from_slice(&session.password);
        record.push(0);
        let mut frame = Vec::new();
        frame_into(&record, &mut frame);
        connection.send(&frame)?;
        let answer = connection.frame()?.with_context(|| format!("{address} closed the connection"))?;
        anyhow::ensure!(answer.len() >= 36, "{address} answered with {} bytes", answer.len());
        let id = i64::from_be_bytes(answer[8..16].try_into()?);
        Ok((connection, Session { id, password: answer[20..36].try_into()? }))
    }

    /// Sends whole frames.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, frames: &[u8]) -> anyhow::Result<()> {
        Ok(self.writer.write_all(frames)?)
    }

    /// The next reply or event; `None` if the connection is closed.
    ///
    /// # Errors
    /// Nothing came in time, or something that is no frame.
    pub fn receive(&mut self) -> anyhow::Result<Option<Frame>> {
        let Some(frame) = self.frame()? else { return Ok(None) };
        anyhow::ensure!(frame.len() >= 16, "a reply of {} bytes", frame.len());
        Ok(Some(Frame {
            xid: i32::from_be_bytes(frame[..4].try_into()?),
            zxid: i64::from_be_bytes(frame[4..12].try_into()?),
            code: i32::from_be_bytes(frame[12..16].try_into()?),
            body: frame[16..].to_vec(),
        }))
    }

    fn frame(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        match self.reader.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                anyhow::bail!("no answer within {PATIENCE:?}")
            }
            // Closed in order or not: with unread bytes left, a close is a reset.
            Err(_) => return Ok(None),
        }
        let length = usize::try_from(u32::from_be_bytes(length))?;
        anyhow::ensure!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
        let mut frame = vec![0; length];
        Ok(self.reader.read_exact(&mut frame).is_ok().then_some(frame))
    }
}

/// Appends a frame with this content.
pub fn frame_into(content: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(content.len()).expect("what is sent here is small");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(content);
}
