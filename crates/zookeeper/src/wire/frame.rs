//! Cuts a stream of bytes into frames. A frame's length is checked before anything is kept for it, and the
//! buffer grows with the bytes that came, not with the bytes that were announced.

use bytes::{Buf, Bytes, BytesMut};

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// The announced frame is larger than allowed.
    #[error("a frame of {length} bytes exceeds the limit of {limit} (packet_limit, which is jute.maxbuffer)")]
    TooLarge {
        /// Announced length.
        length: u32,
        /// The limit.
        limit: usize,
    },
    /// The announced length is below zero.
    #[error("a frame of {0} bytes cannot be")]
    Negative(i32),
}

/// Room for the next read: enough for most requests in the first case, for large ones in few reads in the second.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;

/// The bytes of one connection that are not consumed yet, and how long a frame of it may be.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Filled from the socket, at its end.
    pub(crate) buffer: BytesMut,
    limit: usize,
}

impl Frames {
    pub(crate) fn new(limit: usize) -> Frames {
        Frames { buffer: BytesMut::new(), limit }
    }

    /// The first four bytes, which before the first frame may be a word for people instead of a length.
    pub(crate) fn word(&self) -> Option<[u8; 4]> {
        self.buffer.first_chunk().copied()
    }

    /// Makes room for a read: as much as the frame that has begun lacks, within bounds.
    pub(crate) fn make_room(&mut self) {
        let announced = self.word().map_or(0, i32::from_be_bytes);
        let lacking = usize::try_from(announced).unwrap_or(0).saturating_sub(self.buffer.len());
        self.buffer.reserve(lacking.clamp(READ_BYTES_MIN, READ_BYTES_MAX));
    }

    /// The next whole frame, `None` while bytes are missing.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the length is read; the connection cannot be read on.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(head) = self.word() else { return Ok(None) };
        let announced = i32::from_be_bytes(head);
        let length = u32::try_from(announced).map_err(|_| FrameError::Negative(announced))?;
        let limit = self.limit;
        let whole = usize::try_from(length).ok().filter(|&length| length <= limit);
        let whole = whole.ok_or(FrameError::TooLarge { length, limit })?;
        if self.buffer.len() < 4 + whole {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(whole).freeze()))
    }
}
