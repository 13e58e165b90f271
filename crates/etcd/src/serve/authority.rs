//! Makes `:authority` what our HTTP library takes for one. Clients of etcd 3.4 that are given an endpoint as a URL send
//! the whole URL there (`http://127.0.0.1:2379`), which is no authority, and every request of theirs would be refused
//! before any service sees it. Nothing here looks at the value afterwards, so its scheme is put into letters that a host
//! may have.
//!
//! It works on bytes as they come in, in place and length by length: HTTP/2 compresses headers against a table that both
//! ends keep, so a field must stay as long as it was, in plain text and in Huffman's code alike. It knows just as much of
//! HTTP/2 as is needed to find that one field. A field that is torn between two reads is left as it is.

#![expect(
    clippy::unusual_byte_groupings,
    reason = "the bits of a Huffman code are grouped by the letters they stand for"
)]

/// What an HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;

/// The place of `:authority` in the table of well-known fields.
const AUTHORITY: usize = 1;

/// Huffman's codes of the two beginnings, up to where the letters to change stand: value and number of bits.
const HTTP: (u64, usize) = (0b100111_01001_01001_101011, 22);
const HTTPS: (u64, usize) = (0b100111_01001_01001_101011_01000, 27);
/// `://`, and `j--`, which takes as many bits.
const SCHEME_END: (u64, usize) = (0b1011100_011000_011000, 19);
const REPLACED: u64 = 0b1110100_010110_010110;

/// Watches over the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Authorities {
    state: State,
}

#[derive(Debug)]
enum State {
    /// So much of the preface was there.
    Preface(usize),
    /// No HTTP/2: nothing to be done.
    Other,
    /// Between frames or within one.
    Frames {
        /// What came of the next frame's head.
        head: [u8; FRAME_HEAD],
        have: usize,
        /// Bytes of the frame under way that are still to come.
        skip: usize,
    },
}

impl Default for State {
    fn default() -> State {
        State::Preface(0)
    }
}

impl Authorities {
    /// Looks through bytes that were just read, and changes what must be changed.
    pub(super) fn mend(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Other => return,
                State::Preface(have) => {
                    let expected = &PREFACE[*have..];
                    let length = expected.len().min(bytes.len());
                    if bytes[..length] != expected[..length] {
                        self.state = State::Other;
                        return;
                    }
                    *have += length;
                    if *have == PREFACE.len() {
                        self.state = State::Frames { head: [0; FRAME_HEAD], have: 0, skip: 0 };
                    }
                    bytes = &mut bytes[length..];
                }
                State::Frames { skip, .. } if *skip > 0 => {
                    let length = bytes.len().min(*skip);
                    *skip -= length;
                    bytes = &mut bytes[length..];
                }
                State::Frames { head, have, skip } => {
                    let length = bytes.len().min(FRAME_HEAD - *have);
                    head[*have..*have + length].copy_from_slice(&bytes[..length]);
                    *have += length;
                    bytes = &mut bytes[length..];
                    if *have == FRAME_HEAD {
                        *have = 0;
                        *skip = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                        if head[3] == HEADERS
                            && let Some(payload) = bytes.get_mut(..*skip)
                        {
                            mend_headers(head[4], payload);
                        }
                    }
                }
            }
        }
    }
}

/// Finds the field in the payload of a frame of headers.
fn mend_headers(flags: u8, payload: &mut [u8]) {
    let mut at = usize::from(flags & PADDED != 0);
    if flags & PRIORITY != 0 {
        at += PRIORITY_BYTES;
    }
    // Padding at the end looks like fields that nobody knows: harmless.
    while let Some(field) = field(payload, at) {
        if let Some((huffman, from, to)) = field.authority {
            if huffman {
                mend_code(&mut payload[from..to]);
            } else {
                mend_text(&mut payload[from..to]);
            }
            return;
        }
        at = field.end;
    }
}

struct Field {
    end: usize,
    /// Where the value of `:authority` lies, if it is spelt out here, and whether it is in code.
    authority: Option<(bool, usize, usize)>,
}

/// The field that begins at `at`.
fn field(block: &[u8], at: usize) -> Option<Field> {
    let first = *block.get(at)?;
    // An index alone, or a change of the table's size.
    if first & 0x80 != 0 || first & 0xe0 == 0x20 {
        let (_, end) = integer(block, at, if first & 0x80 != 0 { 7 } else { 5 })?;
        return Some(Field { end, authority: None });
    }
    let (name, mut end) = integer(block, at, if first & 0x40 != 0 { 6 } else { 4 })?;
    if name == 0 {
        (_, _, end) = text(block, end)?;
    }
    let (huffman, from, end) = text(block, end)?;
    Some(Field { end, authority: (name == AUTHORITY).then_some((huffman, from, end)) })
}

/// A string: whether it is in code, where it begins, where it ends.
fn text(block: &[u8], at: usize) -> Option<(bool, usize, usize)> {
    let huffman = block.get(at)? & 0x80 != 0;
    let (length, from) = integer(block, at, 7)?;
    let to = from.checked_add(length)?;
    (to <= block.len()).then_some((huffman, from, to))
}

/// A number whose first bits stand in the byte at `at`, and where it ends.
fn integer(block: &[u8], mut at: usize, bits: u32) -> Option<(usize, usize)> {
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(*block.get(at)?) & most;
    at += 1;
    if number < most {
        return Some((number, at));
    }
    for shift in [0, 7, 14, 21] {
        let byte = *block.get(at)?;
        at += 1;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number, at));
        }
    }
    None
}

fn mend_text(value: &mut [u8]) {
    for scheme in [&b"http"[..], b"https"] {
        if value.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(b"://")) {
            value[scheme.len()..scheme.len() + 3].copy_from_slice(b"j--");
        }
    }
}

fn mend_code(value: &mut [u8]) {
    for (scheme, length) in [HTTP, HTTPS] {
        if bits(value, 0, length) == Some(scheme) && bits(value, length, SCHEME_END.1) == Some(SCHEME_END.0) {
            for place in 0..SCHEME_END.1 {
                let (byte, mask) = ((length + place) / 8, 0x80 >> ((length + place) % 8));
                value[byte] &= !mask;
                if REPLACED >> (SCHEME_END.1 - 1 - place) & 1 == 1 {
                    value[byte] |= mask;
                }
            }
        }
    }
}

/// `count` bits from a place on, if they are there.
fn bits(value: &[u8], from: usize, count: usize) -> Option<u64> {
    let mut found = 0;
    for place in from..from + count {
        found = found << 1 | u64::from(*value.get(place / 8)? >> (7 - place % 8) & 1);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A connection's first bytes: the preface, empty settings, and one frame of headers with this block.
    fn opening(block: &[u8]) -> Vec<u8> {
        let length = u8::try_from(block.len()).unwrap();
        [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, length, HEADERS, 4, 0, 0, 0, 1], block].concat()
    }

    fn mended(mut bytes: Vec<u8>) -> Vec<u8> {
        Authorities::default().mend(&mut bytes);
        bytes
    }

    /// `:method POST`, then `:authority` with this value, spelt out, then a field that is to stay as it is.
    fn block(flag: u8, value: &[u8]) -> Vec<u8> {
        [&[0x83, 0x41, flag | u8::try_from(value.len()).unwrap()], value, &[0x40, 1, b'a', 7], b"http://"].concat()
    }

    #[test]
    fn a_url_in_plain_text_is_mended_and_nothing_else() {
        let bytes = opening(&block(0, b"http://127.0.0.1:2379"));
        assert_eq!(mended(bytes), opening(&block(0, b"httpj--127.0.0.1:2379")));
        let bytes = opening(&block(0, b"https://[::1]:2379"));
        assert_eq!(mended(bytes), opening(&block(0, b"httpsj--[::1]:2379")));
        for fine in [&b"127.0.0.1:2379"[..], b"http:2379", b"http", b""] {
            assert_eq!(mended(opening(&block(0, fine))), opening(&block(0, fine)));
        }
    }

    #[test]
    fn a_url_in_code_is_mended_to_the_code_of_as_many_bits() {
        // `http://a` and `httpj--a`, with ones up to the whole byte.
        let url = [0b1001_1101, 0b0010_1001, 0b1010_1110, 0b1110_0011, 0b0000_1100, 0b0000_0111];
        let host = [0b1001_1101, 0b0010_1001, 0b1010_1111, 0b1010_0010, 0b1100_1011, 0b0000_0111];
        assert_eq!(mended(opening(&block(0x80, &url))), opening(&block(0x80, &host)));
        assert_eq!(mended(opening(&block(0x80, &host))), opening(&block(0x80, &host)));
    }

    #[test]
    fn frames_are_followed_across_reads() {
        let mut authorities = Authorities::default();
        let mut first = opening(&block(0, b"a"));
        let second = opening(&block(0, b"http://a"))[PREFACE.len()..].to_vec();
        for byte in &mut first {
            authorities.mend(std::slice::from_mut(byte));
        }
        let mut bytes = second.clone();
        authorities.mend(&mut bytes);
        assert_eq!(bytes, opening(&block(0, b"httpj--a"))[PREFACE.len()..]);
    }

    #[test]
    fn what_is_not_http2_is_left_alone() {
        let bytes = b"POST /v3/kv/put HTTP/1.1\r\nhost: http://a\r\n".to_vec();
        assert_eq!(mended(bytes.clone()), bytes);
    }

    proptest! {
        #[test]
        fn whatever_comes_stays_as_long_and_panics_nobody(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            cut in 0..200_usize,
        ) {
            let mut stream = opening(&bytes[..bytes.len().min(200)]);
            stream.extend(&bytes);
            let length = stream.len();
            let (first, second) = stream.split_at_mut(cut.min(length));
            let mut authorities = Authorities::default();
            authorities.mend(first);
            authorities.mend(second);
            prop_assert_eq!(stream.len(), length);
        }
    }
}
