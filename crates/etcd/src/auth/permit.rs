//! Whether a caller may do something, as of one state. Knows rows and ranges, no request and no token.

use bytes::Bytes;
use state::{LeaseId, State};

use super::accounts::{self, StoredUser};
use crate::keys::KeyRange;
use crate::refusal::Refusal;
use crate::table::KEYS;
use crate::wire::authpb::Permission;
use crate::wire::authpb::permission::Type;

/// Who asks, as far as his token or certificate says. Travels with a request to the leader.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Caller {
    /// The name of the user; empty: nobody said who asks.
    #[prost(string, tag = "1")]
    pub(crate) user: String,
    /// The generation of the user that a simple token was made for; 0: there is no such token.
    #[prost(uint64, tag = "2")]
    pub(crate) generation: u64,
    /// The authentication revision at which a signed token was made; 0: there is no such token.
    #[prost(uint64, tag = "3")]
    pub(crate) revision: u64,
}

/// What is to be done with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Caller {
    /// Nobody in particular: what every client is while authentication is off.
    pub(crate) fn nobody() -> Caller {
        Caller::default()
    }

    /// Whether anybody said who asks.
    pub(crate) fn is_nobody(&self) -> bool {
        self.user.is_empty()
    }
}

/// Whether the caller is known. What everybody may do who is somebody.
///
/// # Errors
/// [`Refusal::UserEmpty`], [`Refusal::InvalidAuthToken`].
pub(crate) fn known(state: &State, caller: &Caller) -> Result<(), Refusal> {
    if !accounts::enabled(state) {
        return Ok(());
    }
    identified(state, caller).map(drop)
}

/// Whether the caller, if he said who he is, is known: what takes no permission is refused with a token that is no longer
/// good, and not without one.
///
/// # Errors
/// [`Refusal::InvalidAuthToken`].
pub(crate) fn nobody_or_known(state: &State, caller: &Caller) -> Result<(), Refusal> {
    if caller.is_nobody() { Ok(()) } else { known(state, caller) }
}

/// Whether the caller may administrate.
///
/// # Errors
/// As [`known`], and [`Refusal::PermissionDenied`].
pub(crate) fn administrate(state: &State, caller: &Caller) -> Result<(), Refusal> {
    if !accounts::enabled(state) {
        return Ok(());
    }
    let user = identified(state, caller)?;
    if user.is_some_and(|user| user.is_root()) { Ok(()) } else { Err(Refusal::PermissionDenied) }
}

/// Whether the caller may read or write the keys that `key` and `range_end` mean.
///
/// # Errors
/// As [`known`], [`Refusal::AuthOldRevision`] for a signed token that is older than the last change, and
/// [`Refusal::PermissionDenied`].
pub(crate) fn keys(
    state: &State,
    caller: &Caller,
    key: &Bytes,
    range_end: &Bytes,
    access: Access,
) -> Result<(), Refusal> {
    if !accounts::enabled(state) {
        return Ok(());
    }
    let user = user_for_keys(state, caller)?;
    if user.is_root() || covered(&granted(state, &user, access), key, range_end) {
        Ok(())
    } else {
        Err(Refusal::PermissionDenied)
    }
}

/// Whether the caller may read or write every key attached to a lease. A lease without keys is anybody's.
///
/// # Errors
/// As [`keys`].
pub(crate) fn lease_keys(state: &State, caller: &Caller, lease: i64, access: Access) -> Result<(), Refusal> {
    if lease == 0 || !accounts::enabled(state) {
        return Ok(());
    }
    let mut rows = state.lease_rows(LeaseId(lease));
    let mut allowed: Option<(StoredUser, Vec<Interval>)> = None;
    while let Some((table, key)) = rows.next() {
        if table != KEYS {
            continue;
        }
        let (user, intervals) = match &mut allowed {
            Some(allowed) => allowed,
            None => {
                let user = user_for_keys(state, caller)?;
                let intervals = granted(state, &user, access);
                allowed.insert((user, intervals))
            }
        };
        if !user.is_root() && !covered(intervals, &Bytes::copy_from_slice(key), &Bytes::new()) {
            return Err(Refusal::PermissionDenied);
        }
    }
    Ok(())
}

/// The user behind a caller; `None` if there is none of that name.
fn identified(state: &State, caller: &Caller) -> Result<Option<StoredUser>, Refusal> {
    if caller.is_nobody() {
        return Err(Refusal::UserEmpty);
    }
    let user = accounts::user(state, &caller.user);
    let generation = user.as_ref().map_or(0, |user| user.generation);
    if caller.generation != 0 && caller.generation != generation {
        return Err(Refusal::InvalidAuthToken);
    }
    Ok(user)
}

fn user_for_keys(state: &State, caller: &Caller) -> Result<StoredUser, Refusal> {
    let user = identified(state, caller)?;
    if caller.revision != 0 && caller.revision < accounts::settings(state).revision {
        return Err(Refusal::AuthOldRevision);
    }
    user.ok_or(Refusal::PermissionDenied)
}

/// A start, and an end that does not belong to it; `None` for no end.
type Interval = (Bytes, Option<Bytes>);

fn interval(key: &Bytes, range_end: &Bytes) -> Interval {
    match KeyRange::new(key.clone(), range_end.clone()) {
        KeyRange::Single(key) => {
            let end = [&key[..], b"\0"].concat();
            (key, Some(end.into()))
        }
        KeyRange::Between(start, end) => (start, Some(end)),
        KeyRange::From(start) => (start, None),
    }
}

/// What the user's roles allow, sorted by where it starts.
fn granted(state: &State, user: &StoredUser, access: Access) -> Vec<Interval> {
    let allows = |permission: &Permission| match permission.perm_type() {
        Type::Readwrite => true,
        Type::Read => access == Access::Read,
        Type::Write => access == Access::Write,
    };
    let roles = user.roles.iter().filter_map(|name| accounts::role(state, name));
    let permissions = roles.flat_map(|role| role.key_permission).filter(|permission| allows(permission));
    let mut intervals: Vec<Interval> =
        permissions.map(|permission| interval(&permission.key, &permission.range_end)).collect();
    intervals.sort();
    intervals
}

/// Whether sorted intervals together hold every key of the wanted one. Neighbours count as one.
fn covered(intervals: &[Interval], key: &Bytes, range_end: &Bytes) -> bool {
    let (start, wanted_end) = interval(key, range_end);
    if wanted_end.as_ref().is_some_and(|end| *end <= start) {
        return false;
    }
    let mut reached = start;
    for (from, to) in intervals {
        if *from > reached {
            return false;
        }
        let Some(to) = to else { return true };
        if *to > reached {
            reached.clone_from(to);
        }
        if wanted_end.as_ref().is_some_and(|end| reached >= *end) {
            return true;
        }
    }
    false
}

/// Whether a permission may be granted for these keys.
pub(crate) fn is_grantable(key: &Bytes, range_end: &Bytes) -> bool {
    !key.is_empty() && !KeyRange::new(key.clone(), range_end.clone()).is_empty()
}

/// All keys, as bounds: what the holder of the root role may touch.
pub(crate) fn everything() -> Permission {
    Permission { perm_type: Type::Readwrite.into(), key: Bytes::new(), range_end: Bytes::from_static(b"\0") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(2)], 1..3)
    }

    fn end() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(2), Just(3)], 0..3)
    }

    proptest! {
        /// Over the few keys that there are, a range is covered exactly if each of its keys is granted. Keys between
        /// those few are why every bound is tried with a tail as well.
        #[test]
        fn a_range_is_covered_if_all_its_keys_are_granted(
            grants in proptest::collection::vec((key(), end()), 0..5),
            (start, end) in (key(), end()),
        ) {
            let (start, end) = (Bytes::from(start), Bytes::from(end));
            let grants: Vec<(Bytes, Bytes)> = grants.into_iter().map(|(key, end)| (key.into(), end.into())).collect();
            let mut intervals: Vec<Interval> = grants.iter().map(|(key, end)| interval(key, end)).collect();
            intervals.sort();
            let mut probes: BTreeSet<Vec<u8>> = BTreeSet::from([start.to_vec(), end.to_vec()]);
            for bound in grants.iter().flat_map(|(key, end)| [key, end]) {
                probes.insert(bound.to_vec());
                probes.insert([bound, &b"\0"[..]].concat());
            }
            probes.insert([&start, &b"\0"[..]].concat());
            probes.insert(vec![255; 4]);
            let wanted = KeyRange::new(start.clone(), end.clone());
            let holds = |probe: &Vec<u8>| {
                grants.iter().any(|(key, end)| KeyRange::new(key.clone(), end.clone()).contains(probe))
            };
            let each = !wanted.is_empty() && probes.iter().filter(|probe| wanted.contains(probe)).all(holds);
            prop_assert_eq!(covered(&intervals, &start, &end), each);
        }
    }

    #[test]
    fn an_open_end_is_covered_by_an_open_end_only() {
        let all = [interval(&Bytes::from_static(b"\0"), &Bytes::from_static(b"\0"))];
        let many = [interval(&Bytes::from_static(b"\0"), &Bytes::from_static(b"\xff\xff"))];
        let (key, end) = (Bytes::from_static(b"a"), Bytes::from_static(b"\0"));
        assert!(covered(&all, &key, &end));
        assert!(!covered(&many, &key, &end));
        assert!(is_grantable(&key, &end) && is_grantable(&key, &Bytes::new()));
        assert!(!is_grantable(&key, &key) && !is_grantable(&Bytes::new(), &end));
    }
}
