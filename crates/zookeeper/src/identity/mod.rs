//! Who may do what: schemes of identities, and access lists held against them. It knows neither tables nor sockets.

mod address;
mod digest;
mod md5;
mod sasl;

use std::collections::BTreeSet;

use crate::wire::{Access, Code, Identity};

pub(crate) use digest::digest_identity;
pub(crate) use sasl::{Exchange, SASL, Step};

/// The scheme of everybody.
pub(crate) const WORLD: &str = "world";
/// The scheme of user and password.
pub(crate) const DIGEST: &str = "digest";
/// The scheme of a client's address.
pub(crate) const IP: &str = "ip";
/// The scheme of those who may do anything.
pub(crate) const SUPER: &str = "super";
/// The scheme of the subject of a client's certificate.
pub(crate) const X509: &str = "x509";
/// In a list that a client sends: all identities it has proven.
const AUTH: &str = "auth";
const ANYONE: &str = "anyone";

/// The most that one access list may take. One short line of it can stand for many identities.
const LIST_BYTES_MAX: usize = 1024 * 1024;

/// The most that the identities of one connection may take: each of its requests carries them to the leader.
pub(crate) const IDENTITIES_BYTES_MAX: usize = 16 * 1024;

/// Whether one of the identities is granted any of the permissions by the list. An empty list grants all.
pub(crate) fn is_granted(list: &[Access], permissions: i32, identities: &[Identity]) -> bool {
    if list.is_empty() || identities.iter().any(|identity| identity.scheme == SUPER) {
        return true;
    }
    list.iter().filter(|access| access.permissions & permissions != 0).any(|access| {
        let Identity { scheme, id } = &access.identity;
        let same_scheme = |identity: &&Identity| identity.scheme == *scheme;
        match scheme.as_str() {
            WORLD => id == ANYONE,
            IP => identities.iter().filter(same_scheme).any(|identity| address::matches(&identity.id, id)),
            _ => identities.iter().filter(same_scheme).any(|identity| identity.id == *id),
        }
    })
}

/// The list to store for a list that a client sent: without repetitions, with `auth` replaced by what the client
/// has proven to be.
///
/// # Errors
/// [`Code::InvalidAcl`] for an empty list, an unknown scheme, an id that its scheme cannot have, or a list that
/// takes more than [`LIST_BYTES_MAX`].
pub(crate) fn resolve(sent: &[Access], identities: &[Identity]) -> Result<Vec<Access>, Code> {
    let mut resolved: Vec<Access> = Vec::with_capacity(sent.len());
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for access in sent {
        if !seen.insert(access) {
            continue;
        }
        let before = resolved.len();
        let Identity { scheme, id } = &access.identity;
        match scheme.as_str() {
            WORLD if id == ANYONE => resolved.push(access.clone()),
            AUTH => {
                let proven = identities.iter().filter(|identity| proves(&identity.scheme));
                resolved.extend(
                    proven.map(|identity| Access { permissions: access.permissions, identity: identity.clone() }),
                );
                if resolved.len() == before {
                    return Err(Code::InvalidAcl);
                }
            }
            // An unknown name may be known tomorrow; what is no name of a subject never is.
            X509 if id.contains('=') => resolved.push(access.clone()),
            SASL if !id.is_empty() => resolved.push(access.clone()),
            DIGEST if digest::is_valid_id(id) => resolved.push(access.clone()),
            IP if address::is_valid_pattern(id) => resolved.push(access.clone()),
            _ => return Err(Code::InvalidAcl),
        }
        bytes += resolved[before..].iter().map(Access::bytes).sum::<usize>();
        if bytes > LIST_BYTES_MAX {
            return Err(Code::InvalidAcl);
        }
    }
    if resolved.is_empty() { Err(Code::InvalidAcl) } else { Ok(resolved) }
}

/// Whether an identity of this scheme was proven by its owner: an address is not, and nobody stands for `super`.
fn proves(scheme: &str) -> bool {
    matches!(scheme, DIGEST | X509 | SASL)
}

/// The list as somebody sees it who may read but not administer it: without the hashes of passwords.
pub(crate) fn masked(list: &[Access]) -> Vec<Access> {
    let mask = |access: &Access| {
        let Identity { scheme, id } = &access.identity;
        match id.split_once(':') {
            Some((user, _)) if scheme == DIGEST => {
                Access { permissions: access.permissions, identity: Identity::new(DIGEST, &format!("{user}:x")) }
            }
            _ => access.clone(),
        }
    };
    list.iter().map(mask).collect()
}

/// The part of an identity that may be shown to its owner: of `user:hash` the user.
pub(crate) fn shown_name(identity: &Identity) -> &str {
    match identity.id.split_once(':') {
        Some((user, _)) if identity.scheme == DIGEST => user,
        _ => &identity.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::permission::{ADMIN, ALL, READ, WRITE};

    fn access(permissions: i32, scheme: &str, id: &str) -> Access {
        Access { permissions, identity: Identity::new(scheme, id) }
    }

    #[test]
    fn lists_grant_what_they_say() {
        let user = [Identity::new(IP, "10.1.2.3"), Identity::new(DIGEST, "user:hash")];
        let list = [access(READ, WORLD, ANYONE), access(WRITE, DIGEST, "user:hash"), access(ADMIN, IP, "10.1.0.0/16")];
        assert!(is_granted(&list, READ, &[]));
        assert!(is_granted(&list, WRITE, &user) && !is_granted(&list, WRITE, &[]));
        assert!(is_granted(&list, ADMIN, &user) && !is_granted(&list, ADMIN, &[Identity::new(IP, "10.2.0.1")]));
        assert!(is_granted(&list, READ | ADMIN, &[]), "any of the permissions is enough");
        assert!(is_granted(&list, WRITE, &[Identity::new(SUPER, "")]));
        assert!(is_granted(&[], WRITE, &[]));
    }

    #[test]
    fn lists_are_resolved_as_the_real_server_does() {
        let user = [Identity::new(IP, "127.0.0.1"), Identity::new(DIGEST, "user:hash")];
        let world = access(READ, WORLD, ANYONE);
        assert_eq!(resolve(&[world.clone(), world.clone()], &[]), Ok(vec![world]));
        assert_eq!(resolve(&[access(ALL, AUTH, "")], &user), Ok(vec![access(ALL, DIGEST, "user:hash")]));
        for (scheme, id) in [(AUTH, ""), (DIGEST, "foo"), (IP, "foo"), (WORLD, "x"), ("nobody", "x"), (SUPER, "")] {
            assert_eq!(resolve(&[access(ALL, scheme, id)], &user[..1]), Err(Code::InvalidAcl), "{scheme}:{id}");
        }
        assert_eq!(resolve(&[], &user), Err(Code::InvalidAcl));
    }

    #[test]
    fn short_lines_cannot_stand_for_endless_lists() {
        let identities: Vec<_> = (0..100).map(|user| Identity::new(DIGEST, &format!("{user}:hash"))).collect();
        let lines = |count: i32| (0..count).map(|permissions| access(permissions, AUTH, "")).collect::<Vec<_>>();
        assert_eq!(resolve(&lines(10), &identities).map(|list| list.len()), Ok(1000));
        assert_eq!(resolve(&lines(10_000), &identities), Err(Code::InvalidAcl));
    }

    #[test]
    fn hashes_are_masked() {
        let list = [access(ALL, DIGEST, "user:hash"), access(READ, IP, "127.0.0.1")];
        assert_eq!(masked(&list), [access(ALL, DIGEST, "user:x"), access(READ, IP, "127.0.0.1")]);
    }
}
