//! Rows: what goes in comes out, in one encoding only.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::LeaseId;
use crate::row::{Header, Row};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, (0..64_u32).prop_map(|bits| (1 << bits) - 1), any::<u64>()]
}

proptest! {
    #[test]
    fn a_row_gives_back_its_header_and_value(
        created in number(),
        age in number(),
        earlier in number(),
        lease in any::<i64>(),
        value in prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 250..300)],
    ) {
        let created = created.max(1);
        let modified = created.saturating_add(age);
        let version = earlier.min(u64::MAX - 2) + 1;
        let header = Header { created, modified, version, lease: LeaseId(lease) };
        let (head, tail) = value.split_at(value.len() / 3);
        let row = Row::build(header, &[head, &[], tail]);
        prop_assert_eq!((row.created(), row.modified()), (created, modified));
        prop_assert_eq!((row.version(), row.lease()), (version, LeaseId(lease)));
        prop_assert_eq!(row.value(), &value);
        prop_assert_eq!(&row.value_bytes()[..], &value);
        let again = Row::from_encoded(row.encoded());
        prop_assert_eq!(again.as_ref(), Some(&row));
    }

    /// Whatever is accepted as a row is exactly what building it from its parts would give.
    #[test]
    fn bytes_are_refused_or_are_the_one_encoding(bytes in vec(prop_oneof![0..=17_u8, any::<u8>()], 0..24)) {
        if let Some(row) = Row::from_encoded(&bytes) {
            let header = Header {
                created: row.created(),
                modified: row.modified(),
                version: row.version(),
                lease: row.lease(),
            };
            let built = Row::build(header, &[row.value()]);
            prop_assert_eq!(built.encoded(), &bytes);
        }
    }
}

#[test]
fn a_new_row_without_a_lease_costs_five_bytes_beside_its_value() {
    let header = Header { created: 1_000_000, modified: 1_000_000, version: 1, lease: LeaseId::NONE };
    assert_eq!(Row::build(header, &[b"value"]).encoded().len(), 5 + 5);
}

#[test]
fn a_long_value_is_shared_and_a_short_one_copied() {
    let header = Header { created: 2, modified: 2, version: 1, lease: LeaseId::NONE };
    let long = Row::build(header, &[&[7; 4_000]]);
    assert_eq!(long.value_bytes().as_ptr(), long.value().as_ptr());
    let short = Row::build(header, &[&[7; 4]]);
    assert_ne!(short.value_bytes().as_ptr(), short.value().as_ptr());
}
