//! What one entry of the log carries: the deltas of one turn, sealed with a checksum by the leader that prepared
//! them and checked on every hop. It may not know what the deltas mean.

use bytes::{BufMut, Bytes, BytesMut};

/// The deltas of one turn, in order, as the bytes that disk, peers and apply share.
///
/// Layout, little-endian: CRC-32C of all that follows (4), format (1), then for each delta its length (4) and bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Batch(Bytes);

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamagedBatch {
    /// The checksum does not fit the content.
    #[error("the entry's checksum does not fit its content")]
    Checksum,
    /// The content does not follow the layout, or has a format this version does not know.
    #[error("the entry's content has an unknown layout (format {0})")]
    Layout(u8),
}

const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 4;
const HEADER_BYTES: usize = CHECKSUM_BYTES + 1;

impl Batch {
    /// Seals the deltas of one turn.
    #[must_use]
    pub fn seal(deltas: &[Bytes]) -> Batch {
        let size = HEADER_BYTES + deltas.iter().map(|delta| 4 + delta.len()).sum::<usize>();
        let mut bytes = BytesMut::with_capacity(size);
        bytes.put_u32_le(0);
        bytes.put_u8(FORMAT);
        for delta in deltas {
            bytes.put_u32_le(u32::try_from(delta.len()).expect("a delta is bounded by the request limit"));
            bytes.put_slice(delta);
        }
        let checksum = crc32c::crc32c(&bytes[CHECKSUM_BYTES..]);
        bytes[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Batch(bytes.freeze())
    }

    /// Takes bytes from a peer or a file, checking seal and layout.
    ///
    /// # Errors
    /// [`DamagedBatch`] if they are not what a leader sealed.
    pub fn open(bytes: Bytes) -> Result<Batch, DamagedBatch> {
        let Some((checksum, content)) = bytes.split_at_checked(CHECKSUM_BYTES) else {
            return Err(DamagedBatch::Checksum);
        };
        if checksum != crc32c::crc32c(content).to_le_bytes() {
            return Err(DamagedBatch::Checksum);
        }
        let format = content.first().copied().unwrap_or_default();
        let batch = Batch(bytes);
        if format != FORMAT || batch.walk(|_| ()).is_none() {
            return Err(DamagedBatch::Layout(format));
        }
        Ok(batch)
    }

    /// The sealed bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The deltas, in order.
    #[must_use]
    pub fn deltas(&self) -> Vec<Bytes> {
        let mut deltas = Vec::new();
        self.walk(|delta| deltas.push(delta)).expect("the layout was checked when the batch was opened");
        deltas
    }

    fn walk(&self, mut visit: impl FnMut(Bytes)) -> Option<()> {
        let mut at = HEADER_BYTES;
        while at < self.0.len() {
            let length = self.0.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok()? as usize;
            at += 4;
            let end = at.checked_add(length).filter(|&end| end <= self.0.len())?;
            visit(self.0.slice(at..end));
            at = end;
        }
        Some(())
    }
}

impl raft::Payload for Batch {
    fn weight(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Batch {
        Batch::seal(&[Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")])
    }

    #[test]
    fn what_was_sealed_is_what_is_opened() {
        let batch = Batch::open(sample().bytes().clone()).expect("a sealed batch opens");
        assert_eq!(batch.deltas(), [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = sample().bytes().to_vec();
        for at in 0..sealed.len() {
            assert!(Batch::open(Bytes::copy_from_slice(&sealed[..at])).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = sealed.clone();
                damaged[at] ^= 1 << bit;
                assert!(Batch::open(damaged.into()).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_false_length_under_a_true_checksum_is_refused() {
        let mut content = vec![FORMAT];
        content.extend_from_slice(&100_u32.to_le_bytes());
        content.extend_from_slice(b"short");
        let mut bytes = crc32c::crc32c(&content).to_le_bytes().to_vec();
        bytes.extend_from_slice(&content);
        assert_eq!(Batch::open(bytes.into()), Err(DamagedBatch::Layout(FORMAT)));
    }
}
