//! Draws cases from seeds: few keys, so that requests meet each other, and bounds as odd as the API allows.

use super::case::{
    Account, Compare, Deed, Keys, Lease, Operation, Permission, Put, Range, Revision, Step, Target, Txn, Watch,
};
use crate::zookeeper::random::Random;

/// Leases of a case.
pub const SLOTS: usize = 4;

/// Users of a case; 0 is nobody, 1 is root.
pub const USERS: usize = 5;

/// Roles of a case; 1 is root.
pub const ROLES: usize = 4;

/// The case of a seed: so many steps. Every third case has users and roles.
#[must_use]
pub fn draw(seed: u64, steps: usize) -> Vec<Step> {
    let random = &mut Random::new(seed);
    let accounts = seed.is_multiple_of(3);
    // The real server 3.4 does not ask who may do what a nested transaction does.
    let nesting = if accounts { 0 } else { 2 };
    let mut case = Vec::new();
    if accounts {
        case.extend(beginning_of_accounts());
    }
    while case.len() < steps {
        let user = if accounts { random.below(USERS) } else { 0 };
        let mut deed = if accounts && random.once_in(4) { account(random) } else { deed(random, nesting) };
        // Most changes of accounts are made by root, or nothing would ever change. So is what is done with leases: the
        // real server 3.4 does not ask there who it is.
        let by_root = match &mut deed {
            Deed::Account(_) => !random.once_in(5),
            Deed::Watches { watches, .. } if accounts => {
                // The real server looks at the first key of such a range only.
                watches.iter_mut().filter(|watch| watch.keys.end == [0]).for_each(|watch| watch.keys.end.clear());
                false
            }
            deed => deed.is_about_leases(),
        };
        let user = if accounts && by_root { 1 } else { user };
        case.push(Step { user, deed });
    }
    case
}

fn beginning_of_accounts() -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |account| steps.push(Step { user: 0, deed: Deed::Account(account) });
    for user in 1..USERS - 1 {
        add(Account::UserAdd { user, password: 0, no_password: false });
    }
    for role in 2..ROLES {
        add(Account::RoleAdd(role));
    }
    add(Account::Grant { user: 1, role: 1 });
    add(Account::Grant { user: 2, role: 2 });
    add(Account::Permit { role: 2, permission: Some(Permission { kind: 2, keys: keys_of(b"a", b"c") }) });
    add(Account::Enable);
    for user in 1..USERS {
        add(Account::LogIn { user, password: 0 });
    }
    steps
}

fn keys_of(key: &[u8], end: &[u8]) -> Keys {
    Keys { key: key.to_vec(), end: end.to_vec() }
}

fn deed(random: &mut Random, nesting: usize) -> Deed {
    match random.below(100) {
        0..35 => Deed::Range(range(random)),
        35..58 => Deed::Put(put(random)),
        58..66 => Deed::Delete(keys(random), random.once_in(2)),
        66..84 => Deed::Txn(transaction(random, nesting)),
        84..86 => Deed::Compact(revision(random)),
        86..89 => Deed::LeaseGrant { slot: random.below(SLOTS), ttl: ttl(random), own_id: random.once_in(2) },
        89..91 => Deed::LeaseRevoke(lease(random)),
        91..93 => Deed::LeaseRemaining(lease(random), random.once_in(2)),
        93..95 => Deed::LeaseKeep(lease(random)),
        95 => Deed::Leases,
        96 => Deed::Account(Account::Status),
        _ => Deed::Watches {
            watches: (0..=random.below(4)).map(|_| watch(random)).collect(),
            writes: (0..random.below(5)).map(|_| write(random, nesting)).collect(),
        },
    }
}

fn account(random: &mut Random) -> Deed {
    let user = 1 + random.below(USERS);
    let role = 1 + random.below(ROLES);
    let password = usize::from(random.once_in(3));
    Deed::Account(match random.below(20) {
        0 => Account::UserAdd { user, password, no_password: random.once_in(5) },
        1 => Account::UserDelete(user),
        2 => Account::UserPassword { user: user.max(2), password },
        3 => Account::UserGet(user),
        4 => Account::UserList,
        5 | 6 => Account::Grant { user, role },
        7 => Account::Revoke { user, role },
        8 => Account::RoleAdd(role),
        9 => Account::RoleDelete(role),
        10 => Account::RoleGet(role.max(2)),
        11 => Account::RoleList,
        12..15 => Account::Permit { role, permission: Some(permission(random)) },
        15 => Account::Forbid { role, keys: keys(random) },
        16 => Account::Enable,
        _ => Account::LogIn { user, password },
    })
}

/// Always one, since the real server 3.4 does not survive a grant without.
/// A range that holds something, or all from a key on: the real server 3.4 takes others, which mean nothing.
fn permission(random: &mut Random) -> Permission {
    let key = Some(key(random)).filter(|key| !key.is_empty()).unwrap_or_else(|| vec![b'a']);
    let end = match random.below(4) {
        0 => Vec::new(),
        1 => vec![0],
        _ => [&key[..], &[*random.pick(&[0, b'a', 0xff])]].concat(),
    };
    Permission { kind: i32::try_from(random.below(3)).expect("below three"), keys: Keys { key, end } }
}

fn key(random: &mut Random) -> Vec<u8> {
    let length = *random.pick(&[1, 1, 1, 2, 2, 3]);
    let mut key: Vec<u8> = (0..length).map(|_| *random.pick(b"aaabbc\0\xff")).collect();
    if random.once_in(60) {
        key.clear();
    }
    key
}

fn keys(random: &mut Random) -> Keys {
    let key = key(random);
    let end = match random.below(10) {
        0..3 => Vec::new(),
        3 => vec![0],
        4 => key.clone(),
        5 => vec![b'z'],
        _ => self::key(random),
    };
    Keys { key: if random.once_in(12) { vec![0] } else { key }, end }
}

fn revision(random: &mut Random) -> Revision {
    match random.below(10) {
        0..4 => Revision::None,
        4..8 => Revision::Back(i64::try_from(random.below(30)).expect("small")),
        8 => Revision::Ahead(i64::try_from(random.below(3)).expect("small")),
        _ => Revision::Plain(*random.pick(&[-1, 1, i64::MAX, i64::MIN])),
    }
}

fn bound(random: &mut Random) -> Revision {
    if random.once_in(8) { revision(random) } else { Revision::None }
}

fn lease(random: &mut Random) -> Lease {
    if random.once_in(8) { Lease::None } else { Lease::Slot(random.below(SLOTS + 1)) }
}

/// Long enough that none runs out within a case.
fn ttl(random: &mut Random) -> i64 {
    *random.pick(&[3000, 5000, 100_000, 9_000_000_000, 9_000_000_001])
}

fn range(random: &mut Random) -> Range {
    let usual = random.once_in(2);
    let mut chance = |times| !usual && random.once_in(times);
    let (serializable, keys_only, count_only) = (chance(3), chance(4), chance(8));
    Range {
        keys: keys(random),
        limit: if usual { 0 } else { *random.pick(&[0, 0, 1, 2, 5, -1]) },
        revision: if random.once_in(3) { revision(random) } else { Revision::None },
        // None that are unknown: the real server 3.4 ends with a panic.
        sort_order: if usual { 0 } else { *random.pick(&[0, 1, 2, 2]) },
        sort_target: if usual { 0 } else { *random.pick(&[0, 0, 1, 2, 3, 4]) },
        serializable,
        keys_only,
        count_only,
        min_mod: bound(random),
        max_mod: bound(random),
        min_create: bound(random),
        max_create: bound(random),
    }
}

fn put(random: &mut Random) -> Put {
    let ignore_value = random.once_in(12);
    Put {
        key: key(random),
        value: if ignore_value && !random.once_in(6) { Vec::new() } else { value(random) },
        lease: if random.once_in(5) { lease(random) } else { Lease::None },
        prev_kv: random.once_in(4),
        ignore_value,
        ignore_lease: random.once_in(12),
    }
}

fn value(random: &mut Random) -> Vec<u8> {
    let length = *random.pick(&[0, 1, 1, 2, 300]);
    (0..length).map(|_| *random.pick(b"xyz")).collect()
}

fn write(random: &mut Random, nesting: usize) -> Operation {
    match random.below(4) {
        0 => Operation::Delete(keys(random), false),
        1 if nesting > 0 => Operation::Txn(transaction(random, nesting - 1)),
        _ => Operation::Put(put(random)),
    }
}

fn transaction(random: &mut Random, depth: usize) -> Txn {
    let branch = |random: &mut Random| (0..random.below(4)).map(|_| operation(random, depth)).collect();
    Txn {
        compare: (0..random.below(3)).map(|_| compare(random)).collect(),
        success: branch(random),
        failure: branch(random),
    }
}

fn operation(random: &mut Random, depth: usize) -> Operation {
    match random.below(20) {
        // Sorted by their keys: what ties mean is looked at in ranges of their own.
        0..6 => Operation::Range(Range { sort_target: 0, ..range(random) }),
        6..13 => Operation::Put(put(random)),
        13..16 => Operation::Delete(keys(random), random.once_in(2)),
        16..19 if depth > 0 => Operation::Txn(transaction(random, depth - 1)),
        19 if random.once_in(4) => Operation::Nothing,
        _ => Operation::Put(put(random)),
    }
}

fn compare(random: &mut Random) -> Compare {
    let number = i64::try_from(random.below(3)).expect("small");
    let target = match random.below(5) {
        0 => Target::Version(number),
        1 => Target::Create(revision(random)),
        2 => Target::Mod(revision(random)),
        3 => Target::Value(value(random)),
        _ => Target::Lease(lease(random)),
    };
    let mut keys = keys(random);
    if random.once_in(2) {
        keys.end.clear();
    }
    Compare { keys, result: *random.pick(&[0, 1, 2, 3, 0, 9]), target }
}

fn watch(random: &mut Random) -> Watch {
    let id = if random.once_in(4) { *random.pick(&[1, 2, 50]) } else { 0 };
    Watch {
        keys: keys(random),
        start: match random.below(4) {
            // A watch whose start is compacted is cancelled sooner or later; who names its id meanwhile is refused or not.
            _ if id != 0 => Revision::None,
            0 => Revision::None,
            1 => Revision::Ahead(1),
            _ => Revision::Back(i64::try_from(random.below(40)).expect("small")),
        },
        filters: (0..random.below(6).saturating_sub(3)).map(|_| *random.pick(&[0, 1, 7])).collect(),
        prev_kv: random.once_in(2),
        id,
        fragment: random.once_in(2),
    }
}
