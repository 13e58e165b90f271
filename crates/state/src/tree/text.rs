//! The short byte strings that stand on the edges of the tree, inside the slots themselves. Knows nothing of nodes.

/// At most `N` bytes, in place.
#[derive(Clone, Copy)]
pub(super) struct Text<const N: usize> {
    length: u8,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    pub(super) const EMPTY: Self = Text { length: 0, bytes: [0; N] };

    /// # Panics
    /// If there are more than `N` bytes.
    pub(super) fn new(text: &[u8]) -> Self {
        assert!(text.len() <= N, "the text must fit in place");
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text);
        let length = u8::try_from(text.len()).expect("no text in place is longer than 255 bytes");
        Text { length, bytes }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Adds the text to a key. Copies all `N` bytes and takes back what is too much: that needs no call.
    pub(super) fn append_to(&self, key: &mut Vec<u8>) {
        let end = key.len() + self.len();
        key.extend_from_slice(&self.bytes);
        key.truncate(end);
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.length)
    }
}

/// How many bytes two strings have in common at their beginning.
pub(super) fn common(one: &[u8], other: &[u8]) -> usize {
    let length = one.len().min(other.len());
    let (one, other) = (&one[..length], &other[..length]);
    // Whole words first, so that long common prefixes cost little; then byte by byte in the word that differs.
    let words = one.as_chunks::<16>().0.iter().zip(other.as_chunks::<16>().0).take_while(|(a, b)| a == b).count();
    let start = words * 16;
    let bytes = one[start..].iter().zip(&other[start..]);
    start + bytes.take_while(|(a, b)| a == b).count()
}
