//! MD5 after RFC 1321. SASL's DIGEST-MD5 prescribes it; it serves as nothing else here.

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
const BLOCK_BYTES: usize = 64;

/// The digest of a message.
pub(super) fn md5(message: &[u8]) -> [u8; 16] {
    // The message, a one bit, zeros, and the length in bits: a whole number of blocks.
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(BLOCK_BYTES) - 8, 0);
    padded.extend_from_slice(&(8 * message.len() as u64).to_le_bytes());

    let sines: Vec<u32> = (1..=64).map(sine).collect();
    let mut hash = START;
    for block in padded.chunks_exact(BLOCK_BYTES) {
        let mixed = mix_block(hash, block, &sines);
        for (word, mixed) in hash.iter_mut().zip(mixed) {
            *word = word.wrapping_add(mixed);
        }
    }
    let mut bytes = [0; 16];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(hash) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The digest as text.
pub(super) fn hex(digest: [u8; 16]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The constant of a step: the first 32 bits behind the point of the sine's amount.
fn sine(step: u32) -> u32 {
    let scaled = f64::from(step).sin().abs() * 4_294_967_296.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is at least 0 and below 2^32")]
    let constant = scaled as u64 as u32;
    constant
}

fn mix_block(hash: [u32; 4], block: &[u8], sines: &[u32]) -> [u32; 4] {
    let word = |at: usize| u32::from_le_bytes(block[4 * at..4 * at + 4].try_into().expect("four bytes"));
    let [mut a, mut b, mut c, mut d] = hash;
    for (step, sine) in sines.iter().enumerate() {
        let (mixed, at) = match step / 16 {
            0 => (b & c | !b & d, step),
            1 => (d & b | !d & c, 5 * step + 1),
            2 => (b ^ c ^ d, 3 * step + 5),
            _ => (c ^ (b | !d), 7 * step),
        };
        let sum = a.wrapping_add(mixed).wrapping_add(*sine).wrapping_add(word(at % 16));
        let next = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
        (a, b, c, d) = (d, next, b, c);
    }
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(hex(md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(md5(b"abc")), "900150983cd24fb0d6963f7d28e17f72");
        let digits = b"12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(hex(md5(digits)), "57edf4a22be3c955ac49da2e2107b67a");
    }
}
