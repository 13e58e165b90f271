//! The few shapes of bytes that deltas and snapshots are made of: variable-length integers and counted slices.
//!
//! Reading borrows from the input and allocates nothing. Integers have one encoding each, the shortest.

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The input ends inside a field.
    Truncated,
    /// An integer is longer than it has to be, or has more than 64 bits.
    Integer,
}

/// What is left of an input.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn slice(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (slice, rest) = self.0.split_at_checked(length).ok_or(Broken::Truncated)?;
        self.0 = rest;
        Ok(slice)
    }

    pub(crate) fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Broken> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Broken::Truncated)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Seven bits a byte, lowest first; the high bit says that more follow.
    pub(crate) fn integer(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Broken::Integer);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest { Ok(number) } else { Err(Broken::Integer) };
            }
        }
        Err(Broken::Integer)
    }

    /// A length and so many bytes.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.integer()?;
        self.slice(usize::try_from(length).map_err(|_| Broken::Truncated)?)
    }
}

pub(crate) fn put_integer(output: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        output.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    output.push(number.to_le_bytes()[0]);
}

pub(crate) fn put_counted(output: &mut Vec<u8>, parts: &[&[u8]]) {
    put_integer(output, parts.iter().map(|part| part.len() as u64).sum());
    for part in parts {
        output.extend_from_slice(part);
    }
}
