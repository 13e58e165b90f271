//! Jute, the serialisation of ZooKeeper: big-endian numbers, length-prefixed buffers, strings and vectors.
//!
//! A length is always held against what is left of the input before anything is allocated for it.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes are not the record they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The input ends inside a value.
    #[error("{needed} bytes are needed, {left} are left")]
    Truncated {
        /// Bytes the value needs.
        needed: usize,
        /// Bytes there are.
        left: usize,
    },
    /// A length below -1, which stands for "none".
    #[error("length {0} is negative")]
    Negative(i32),
    /// A value is absent where the record needs one.
    #[error("the record needs a value where none is given")]
    Absent,
    /// A number that stands for nothing.
    #[error("{value} is not a known {what}")]
    Unknown {
        /// What the number should be.
        what: &'static str,
        /// The number.
        value: i32,
    },
    /// Reading and writing operations in one transaction, or the wrong kind for it.
    #[error("this operation cannot be part of this transaction")]
    Misplaced,
}

/// Takes values from the front of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Malformed> {
        self.byte().map(|byte| byte != 0)
    }

    pub(crate) fn int(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A buffer, or `None` for the length -1: the protocol tells "no data" from "empty data".
    pub(crate) fn buffer(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.length()? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// A string. What is not UTF-8 is replaced as Java does it; no valid path contains the replacement.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.buffer()?.map(String::from_utf8_lossy).ok_or(Malformed::Absent)
    }

    /// A vector, empty for the length -1. `element_min_bytes` is the least that one element takes, so that a
    /// length can be refused before anything is allocated for it.
    pub(crate) fn vector<T>(
        &mut self,
        element_min_bytes: usize,
        mut element: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let Some(length) = self.length()? else { return Ok(Vec::new()) };
        let needed = length.saturating_mul(element_min_bytes);
        if needed > self.rest.len() {
            return Err(Malformed::Truncated { needed, left: self.rest.len() });
        }
        let mut elements = Vec::with_capacity(length);
        for _ in 0..length {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// A vector of strings.
    pub(crate) fn strings(&mut self) -> Result<Vec<Cow<'a, str>>, Malformed> {
        self.vector(4, Reader::string)
    }

    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        match self.int()? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Malformed::Negative(length)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(Malformed::Truncated { needed: length, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Malformed::Truncated { needed: N, left: self.rest.len() });
        };
        self.rest = rest;
        Ok(*taken)
    }
}

/// Appends values to a record.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: BytesMut,
}

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer::default()
    }

    pub(crate) fn with_capacity(bytes: usize) -> Writer {
        Writer { bytes: BytesMut::with_capacity(bytes) }
    }

    /// What is written so far.
    #[cfg(test)]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn finish(self) -> Bytes {
        self.bytes.freeze()
    }

    pub(crate) fn boolean(&mut self, value: bool) -> &mut Writer {
        self.bytes.put_u8(value.into());
        self
    }

    pub(crate) fn int(&mut self, value: i32) -> &mut Writer {
        self.bytes.put_i32(value);
        self
    }

    pub(crate) fn long(&mut self, value: i64) -> &mut Writer {
        self.bytes.put_i64(value);
        self
    }

    pub(crate) fn buffer(&mut self, value: Option<&[u8]>) -> &mut Writer {
        match value {
            Some(value) => {
                self.length(value.len());
                self.bytes.put_slice(value);
            }
            None => self.bytes.put_i32(-1),
        }
        self
    }

    pub(crate) fn string(&mut self, value: &str) -> &mut Writer {
        self.buffer(Some(value.as_bytes()))
    }

    /// The length of a vector whose elements follow.
    pub(crate) fn length(&mut self, length: usize) -> &mut Writer {
        let length = i32::try_from(length).expect("nothing this long fits into the memory of a frame");
        self.int(length)
    }

    /// Appends what is encoded already.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Writer {
        self.bytes.put_slice(bytes);
        self
    }
}
