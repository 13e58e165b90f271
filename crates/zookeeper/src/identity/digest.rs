//! The digest scheme: a client sends `user:password`, lists hold `user:` and the hash of both. SHA-1 is what the
//! protocol prescribes; it serves as nothing else here.

use super::DIGEST;
use crate::wire::Identity;

/// The identity that credentials prove.
pub(crate) fn digest_identity(credentials: &[u8]) -> Identity {
    let credentials_text = String::from_utf8_lossy(credentials);
    let user = credentials_text.split(':').next().unwrap_or_default();
    Identity { scheme: DIGEST.to_owned(), id: format!("{user}:{}", base64(&sha1(credentials))) }
}

/// Whether a list may hold this id: two parts with a colon between them. Empty parts at the end do not count, as
/// where Java splits strings.
pub(crate) fn is_valid_id(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let symbol = ALPHABET[(group >> (18 - 6 * position) & 63) as usize];
            text.push(if position <= chunk.len() { symbol.into() } else { '=' });
        }
    }
    text
}

/// SHA-1 after FIPS 180-4.
fn sha1(message: &[u8]) -> [u8; 20] {
    const START: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    const BLOCK_BYTES: usize = 64;

    // The message, a one bit, zeros, and the length in bits: a whole number of blocks.
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(BLOCK_BYTES) - 8, 0);
    padded.extend_from_slice(&(8 * message.len() as u64).to_be_bytes());

    let mut hash = START;
    for block in padded.chunks_exact(BLOCK_BYTES) {
        let mixed = mix_block(hash, block);
        for (word, mixed) in hash.iter_mut().zip(mixed) {
            *word = word.wrapping_add(mixed);
        }
    }
    let mut bytes = [0; 20];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(hash) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

fn mix_block(hash: [u32; 5], block: &[u8]) -> [u32; 5] {
    let mut schedule = [0; 80];
    for (word, bytes) in schedule.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes(bytes.try_into().expect("chunks of four bytes"));
    }
    for at in 16..80 {
        let word = schedule[at - 3] ^ schedule[at - 8] ^ schedule[at - 14] ^ schedule[at - 16];
        schedule[at] = word.rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = hash;
    for (round, word) in schedule.into_iter().enumerate() {
        let (mixed, constant): (u32, u32) = match round {
            0..20 => (b & c | !b & d, 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    [a, b, c, d, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(&sha1(b"")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(&sha1(long)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        assert_eq!(hex(&sha1(&[b'a'; 1_000_000])), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    }

    #[test]
    fn the_identity_that_the_real_server_gives() {
        assert_eq!(digest_identity(b"user:pass").id, "user:smGaoVKd/cQkjm7b88GyorAUz20=");
        assert_eq!(digest_identity(b"super:admin").id, "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=");
    }

    #[test]
    fn ids_have_two_parts() {
        for good in ["user:hash", ":hash", "user:hash:"] {
            assert!(is_valid_id(good), "{good}");
        }
        for bad in ["", "user", "user:", "a:b:c", "a::b", ":"] {
            assert!(!is_valid_id(bad), "{bad}");
        }
    }
}
