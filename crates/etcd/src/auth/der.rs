//! Keys from PEM files: just as much of the encoding as lies around the keys themselves. Knows no signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// The element of an elliptic private key that holds its public half.
const PUBLIC_HALF: u8 = 0xa1;

/// One block of a PEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// What stands between the dashes, without `BEGIN`.
    pub(super) label: String,
    /// The contents, decoded.
    pub(super) der: Vec<u8>,
}

/// The blocks of a PEM file. What is not within a block is ignored, as is a block that is damaged.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        let dashed = |word: &str| Some(line.strip_prefix(word)?.strip_suffix("-----")?.to_owned());
        if let Some(label) = dashed("-----BEGIN ") {
            open = Some((label, String::new()));
        } else if let Some(label) = dashed("-----END ") {
            if let Some((begun, body)) = open.take().filter(|(begun, _)| *begun == label)
                && let Ok(der) = STANDARD.decode(body)
            {
                blocks.push(Block { label: begun, der });
            }
        } else if let Some((_, body)) = &mut open {
            body.push_str(line);
        }
    }
    blocks
}

/// The key inside a `PUBLIC KEY` block: the numbers of an RSA key, the point of an elliptic one.
pub(super) fn public_key(der: &[u8]) -> Option<&[u8]> {
    let (outer, _) = element(der, SEQUENCE)?;
    let (_, rest) = element(outer, SEQUENCE)?;
    bits(rest)
}

/// The two halves, private and public, of an `EC PRIVATE KEY` block.
pub(super) fn elliptic_halves(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (outer, _) = element(der, SEQUENCE)?;
    let (_, rest) = element(outer, INTEGER)?;
    let (private, mut rest) = element(rest, OCTET_STRING)?;
    while let Some((tag, contents, behind)) = any_element(rest) {
        if tag == PUBLIC_HALF {
            return Some((private, bits(contents)?));
        }
        rest = behind;
    }
    None
}

/// The contents of a string of whole bytes.
fn bits(input: &[u8]) -> Option<&[u8]> {
    let (contents, _) = element(input, BIT_STRING)?;
    let (unused, bytes) = contents.split_first()?;
    (*unused == 0).then_some(bytes)
}

/// The first element, if it has this tag: its contents and what follows it.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, contents, rest) = any_element(input)?;
    (found == tag).then_some((contents, rest))
}

fn any_element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, input) = input.split_first()?;
    let (&first, mut input) = input.split_first()?;
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let (digits, rest) = input.split_at_checked(usize::from(first & 0x7f))?;
        input = rest;
        (digits.len() <= 4).then(|| digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)))?
    };
    let (contents, rest) = input.split_at_checked(length)?;
    Some((tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_found_between_other_lines() {
        let text = "key:\n-----BEGIN A KEY-----\nAQID\nBA==\n-----END A KEY-----\n\
                    -----BEGIN B-----\n!\n-----END B-----\n-----BEGIN C-----\nAQ==\n-----END D-----\n";
        assert_eq!(blocks(text), [Block { label: "A KEY".to_owned(), der: vec![1, 2, 3, 4] }]);
    }

    #[test]
    fn a_long_length_is_read() {
        let mut der = vec![OCTET_STRING, 0x82, 0x01, 0x00];
        der.extend([7; 256]);
        assert_eq!(element(&der, OCTET_STRING).map(|(contents, rest)| (contents.len(), rest.len())), Some((256, 0)));
        assert_eq!(element(&der[..200], OCTET_STRING), None);
    }

    proptest! {
        #[test]
        fn garbage_is_no_key(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (public_key(&bytes), elliptic_halves(&bytes));
            let mut wrapped = vec![SEQUENCE, u8::try_from(bytes.len()).unwrap()];
            wrapped.extend(&bytes);
            let _ = (public_key(&wrapped), elliptic_halves(&wrapped));
        }
    }
}
