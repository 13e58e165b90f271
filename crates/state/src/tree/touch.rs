//! Reading ahead what is about to be written or read, all of it at once.
//!
//! A copy of a node writes the reference count of each child, and these lie all over memory. One by one each write waits
//! for its cache line, because a processor does not overlap locked instructions; plain reads before overlap, so that the
//! copy waits once. A scan gains likewise. This changes no meaning, only when memory is fetched.

use std::hint::black_box;
use std::sync::Arc;

use super::node::Slot;

/// What a tree holds: cheap to clone, such as a reference count.
pub trait Value: Clone {
    /// Reads what a clone would write, or else what a reader looks at first, if that lies elsewhere in memory. Returns
    /// anything made of what was read. Nothing to read by default.
    fn touch(&self) -> usize {
        0
    }
}

impl<T: ?Sized> Value for Arc<T> {
    fn touch(&self) -> usize {
        Arc::strong_count(self)
    }
}

impl<V: Value> Value for Option<V> {
    fn touch(&self) -> usize {
        self.as_ref().map_or(0, V::touch)
    }
}

macro_rules! values_in_place {
    ($($value:ty)*) => {
        $(impl Value for $value {})*
    };
}
values_in_place!(() bool u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

/// Touches what each slot refers to.
pub(super) fn touch<V: Value>(slots: &[Slot<V>]) {
    let mut read = 0usize;
    for slot in slots {
        read = read.wrapping_add(match slot {
            Slot::Vacant => 0,
            Slot::Leaf { value, .. } => value.touch(),
            Slot::Branch { node, .. } => Arc::strong_count(node),
            Slot::Span(span) => Arc::strong_count(span),
        });
    }
    black_box(read);
}
