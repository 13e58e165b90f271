//! The numbers by which etcd clients know an ensemble and its members. Derived from names, so they are the same after
//! every restart and on every member; nothing stores them.

use node::NodeId;

/// The `cluster_id` of the ensemble with this name.
pub(crate) fn cluster_id(ensemble: &str) -> u64 {
    nonzero(fnv(fnv(OFFSET, b"ensemble:"), ensemble.as_bytes()))
}

/// The `member_id` of a member of this ensemble.
pub(crate) fn member_id(ensemble: &str, member: NodeId) -> u64 {
    let seed = fnv(fnv(OFFSET, b"member:"), ensemble.as_bytes());
    nonzero(mix(fnv(seed, &member.0.to_be_bytes())))
}

/// Initial value of the 64-bit FNV-1a hash.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// One run of 64-bit FNV-1a: small, public, and never to change.
fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Spreads neighbouring inputs over all bits, so that members 1, 2 and 3 do not look alike to a reader.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Clients read 0 as "none".
fn nonzero(id: u64) -> u64 {
    id.max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_stable_across_versions() {
        assert_eq!(cluster_id("conclave"), 0x0c22_7433_1c22_2ac7);
        assert_eq!(member_id("conclave", NodeId(1)), 0x52df_cffc_aa98_feb3);
    }

    #[test]
    fn members_differ_within_and_across_ensembles() {
        let ids: BTreeSet<u64> =
            ["a", "b"].iter().flat_map(|name| (1..=9).map(|member| member_id(name, NodeId(member)))).collect();
        assert_eq!(ids.len(), 18);
        assert_ne!(cluster_id("a"), cluster_id("b"));
    }
}
