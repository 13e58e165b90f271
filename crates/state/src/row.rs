//! One version of one record: a single shared allocation holding a small header and the value.
//!
//! The header is decoded in place, by arithmetic on two bytes:
//!
//! ```text
//! byte 0    low half: width of `created`          high half: width of `modified - created`
//! byte 1    low half: width of `version - 1`      high half: width of `lease`
//! then      the four numbers, little-endian, in exactly these widths (0 to 8 bytes; zero takes none)
//! then      the value, to the end
//! ```
//!
//! A new row without a lease at a revision below 2^24 so costs five bytes beside its value, and every row has
//! exactly one encoding: equal bytes and equal rows are the same thing, which the running hash relies on.
//!
//! It does not know its own key or table, and never changes once it is made.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::lease::LeaseId;
use crate::tree::Value;

/// Values up to this length are copied into a reply: one allocation either way, and the copy frees the row earlier.
const COPIED_VALUE_BYTES: usize = 256;

/// The two bytes that say how wide the four numbers are.
const SHAPE_BYTES: usize = 2;

/// One version of one record. Clone is a reference count.
#[derive(Clone, PartialEq, Eq)]
pub struct Row(Arc<[u8]>);

/// The numbers of a row's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Revision at which the key came into being; at least 1.
    pub(crate) created: u64,
    /// Revision of this version; never below `created`.
    pub(crate) modified: u64,
    /// How many times the key was put since it came into being, this one included; at least 1.
    pub(crate) version: u64,
    /// The lease this row is attached to, or [`LeaseId::NONE`].
    pub(crate) lease: LeaseId,
}

impl Value for Row {
    fn touch(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Row {
    /// Lays a row out. The value is the concatenation of `parts`.
    pub(crate) fn build(header: Header, parts: &[&[u8]]) -> Row {
        assert!(header.version >= 1, "a row's first version is 1");
        assert!(header.created <= header.modified, "a row cannot be older than its key");
        let numbers =
            [header.created, header.modified - header.created, header.version - 1, header.lease.0.cast_unsigned()];
        let widths = numbers.map(width);
        let head = SHAPE_BYTES + widths.iter().sum::<usize>();
        let length = head + parts.iter().map(|part| part.len()).sum::<usize>();

        // An iterator of known length makes the shared slice in one allocation; it is filled before it is shared.
        let mut shared: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
        let bytes = Arc::get_mut(&mut shared).expect("a fresh allocation has one owner");
        bytes[0] = shape(widths[0], widths[1]);
        bytes[1] = shape(widths[2], widths[3]);
        let mut at = SHAPE_BYTES;
        for (number, width) in numbers.into_iter().zip(widths) {
            bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
            at += width;
        }
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Row(shared)
    }

    /// Takes bytes that [`Row::encoded`] gave. `None` unless they are exactly what [`Row::build`] would have laid out,
    /// and leave room for a next version.
    pub(crate) fn from_encoded(bytes: &[u8]) -> Option<Row> {
        let &[first, second, ..] = bytes else {
            return None;
        };
        let widths = [first & 15, first >> 4, second & 15, second >> 4].map(usize::from);
        if widths.iter().any(|&width| width > 8) || bytes.len() < SHAPE_BYTES + widths.iter().sum::<usize>() {
            return None;
        }
        let row = Row(Arc::from(bytes));
        let [created, age, earlier, _] = row.numbers();
        let shortest = row.numbers().map(width) == widths;
        let in_range = created >= 1 && created.checked_add(age).is_some() && earlier < u64::MAX - 1;
        (shortest && in_range).then_some(row)
    }

    /// Revision at which the key came into being. Deleting a key and putting it again starts anew.
    pub fn created(&self) -> u64 {
        self.number(0)
    }

    /// Revision of this version.
    pub fn modified(&self) -> u64 {
        self.number(0) + self.number(1)
    }

    /// How many times the key was put since it came into being: 1 at creation.
    pub fn version(&self) -> u64 {
        self.number(2) + 1
    }

    /// The lease this row is attached to, or [`LeaseId::NONE`].
    pub fn lease(&self) -> LeaseId {
        LeaseId(self.number(3).cast_signed())
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        &self.0[self.value_start()..]
    }

    /// The value as a buffer of its own life: long values share this row's memory, short ones are copied
    /// (both cost one small allocation, but a copy does not keep the row alive).
    pub fn value_bytes(&self) -> Bytes {
        let start = self.value_start();
        if self.0.len() - start <= COPIED_VALUE_BYTES {
            return Bytes::copy_from_slice(&self.0[start..]);
        }
        Bytes::from_owner(self.clone()).slice(start..)
    }

    /// The whole row, header and value: what snapshots hold and the running hash covers.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// Whether both handles share one allocation.
    pub fn is_same(&self, other: &Row) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn widths(&self) -> [usize; 4] {
        let (first, second) = (self.0[0], self.0[1]);
        [first & 15, first >> 4, second & 15, second >> 4].map(usize::from)
    }

    fn numbers(&self) -> [u64; 4] {
        [self.number(0), self.number(1), self.number(2), self.number(3)]
    }

    fn number(&self, position: usize) -> u64 {
        let widths = self.widths();
        let at = SHAPE_BYTES + widths[..position].iter().sum::<usize>();
        let width = widths[position];
        let mut number = [0; 8];
        number[..width].copy_from_slice(&self.0[at..at + width]);
        u64::from_le_bytes(number)
    }

    fn value_start(&self) -> usize {
        SHAPE_BYTES + self.widths().iter().sum::<usize>()
    }
}

/// The bytes of the whole row, so that a [`Bytes`] can own it.
impl AsRef<[u8]> for Row {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = formatter.debug_struct("Row");
        row.field("created", &self.created()).field("modified", &self.modified()).field("version", &self.version());
        if self.lease() != LeaseId::NONE {
            row.field("lease", &self.lease());
        }
        row.field("value", &format_args!("\"{}\"", self.value().escape_ascii())).finish()
    }
}

/// How many bytes `number` needs; zero needs none.
fn width(number: u64) -> usize {
    let bits = u64::BITS - number.leading_zeros();
    bits.div_ceil(8) as usize
}

fn shape(low: usize, high: usize) -> u8 {
    u8::try_from(low | high << 4).expect("widths are at most 8")
}
