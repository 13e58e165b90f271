//! Decides on users, roles and whether requests are checked. Knows no password, only hashes, and not who asks: that was
//! allowed before.
//!
//! Every change moves the authentication revision on by one, in the same delta.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use state::{State, Transaction};

use super::header;
use crate::auth::accounts::{self, StoredUser};
use crate::auth::{ROOT, permit};
use crate::envelope::EnableAuth;
use crate::refusal::Refusal;
use crate::wire::authpb::Role;
use crate::wire::etcdserverpb as pb;

/// Enables authentication; what is enabled already stays as it is, its tokens included.
pub(super) fn enable(
    transaction: &mut Transaction<'_>,
    request: &EnableAuth,
) -> Result<pb::AuthEnableResponse, Refusal> {
    let mut settings = accounts::settings(transaction.state());
    if !settings.enabled {
        let root = accounts::user(transaction.state(), ROOT).ok_or(Refusal::RootUserMissing)?;
        if !root.is_root() {
            return Err(Refusal::RootRoleMissing);
        }
        settings.enabled = true;
        settings.secret.clone_from(&request.secret);
        accounts::put_settings(transaction, &settings);
    }
    Ok(pb::AuthEnableResponse { header: present(transaction.state()) })
}

/// Disables authentication. Users and roles stay.
pub(super) fn disable(transaction: &mut Transaction<'_>) -> pb::AuthDisableResponse {
    let mut settings = accounts::settings(transaction.state());
    if settings.enabled {
        settings.enabled = false;
        settings.secret.clear();
        settings.revision += 1;
        accounts::put_settings(transaction, &settings);
    }
    pb::AuthDisableResponse { header: present(transaction.state()) }
}

pub(super) fn user_add(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthUserAddRequest,
) -> Result<pb::AuthUserAddResponse, Refusal> {
    if request.name.is_empty() {
        return Err(Refusal::UserEmpty);
    }
    if accounts::user(transaction.state(), &request.name).is_some() {
        return Err(Refusal::UserExists);
    }
    let no_password = request.options.as_ref().is_some_and(|options| options.no_password);
    let password_hash = if no_password { String::new() } else { carried_hash(&request.hashed_password)? };
    let generation = moved_on(transaction);
    let user = StoredUser { password_hash, no_password, roles: Vec::new(), generation };
    accounts::put_user(transaction, &request.name, &user);
    Ok(pb::AuthUserAddResponse { header: present(transaction.state()) })
}

pub(super) fn user_delete(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthUserDeleteRequest,
) -> Result<pb::AuthUserDeleteResponse, Refusal> {
    if request.name == ROOT && accounts::enabled(transaction.state()) {
        return Err(Refusal::InvalidAuthManagement);
    }
    existing_user(transaction.state(), &request.name)?;
    moved_on(transaction);
    accounts::delete_user(transaction, &request.name);
    Ok(pb::AuthUserDeleteResponse { header: present(transaction.state()) })
}

pub(super) fn user_change_password(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthUserChangePasswordRequest,
) -> Result<pb::AuthUserChangePasswordResponse, Refusal> {
    let mut user = existing_user(transaction.state(), &request.name)?;
    user.password_hash = if user.no_password { String::new() } else { carried_hash(&request.hashed_password)? };
    user.generation = moved_on(transaction);
    accounts::put_user(transaction, &request.name, &user);
    Ok(pb::AuthUserChangePasswordResponse { header: present(transaction.state()) })
}

/// The role of root can be granted before it exists.
pub(super) fn user_grant_role(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthUserGrantRoleRequest,
) -> Result<pb::AuthUserGrantRoleResponse, Refusal> {
    let mut user = existing_user(transaction.state(), &request.user)?;
    if request.role != ROOT {
        existing_role(transaction.state(), &request.role)?;
    }
    if let Err(place) = user.roles.binary_search(&request.role) {
        user.roles.insert(place, request.role.clone());
        moved_on(transaction);
        accounts::put_user(transaction, &request.user, &user);
    }
    Ok(pb::AuthUserGrantRoleResponse { header: present(transaction.state()) })
}

pub(super) fn user_revoke_role(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthUserRevokeRoleRequest,
) -> Result<pb::AuthUserRevokeRoleResponse, Refusal> {
    if request.name == ROOT && request.role == ROOT && accounts::enabled(transaction.state()) {
        return Err(Refusal::InvalidAuthManagement);
    }
    let mut user = existing_user(transaction.state(), &request.name)?;
    let place = user.roles.binary_search(&request.role).map_err(|_| Refusal::RoleNotGranted)?;
    user.roles.remove(place);
    moved_on(transaction);
    accounts::put_user(transaction, &request.name, &user);
    Ok(pb::AuthUserRevokeRoleResponse { header: present(transaction.state()) })
}

pub(super) fn role_add(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthRoleAddRequest,
) -> Result<pb::AuthRoleAddResponse, Refusal> {
    if request.name.is_empty() {
        return Err(Refusal::RoleEmpty);
    }
    if accounts::role(transaction.state(), &request.name).is_some() {
        return Err(Refusal::RoleExists);
    }
    moved_on(transaction);
    let role = Role { name: request.name.clone().into(), key_permission: Vec::new() };
    accounts::put_role(transaction, &request.name, &role);
    Ok(pb::AuthRoleAddResponse { header: present(transaction.state()) })
}

/// Deletes a role and takes it from everybody who has it.
pub(super) fn role_delete(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthRoleDeleteRequest,
) -> Result<pb::AuthRoleDeleteResponse, Refusal> {
    if request.role == ROOT && accounts::enabled(transaction.state()) {
        return Err(Refusal::InvalidAuthManagement);
    }
    existing_role(transaction.state(), &request.role)?;
    moved_on(transaction);
    accounts::delete_role(transaction, &request.role);
    for name in accounts::users(transaction.state()) {
        let user = accounts::user(transaction.state(), &name).filter(|user| user.has_role(&request.role));
        if let Some(mut user) = user {
            user.roles.retain(|role| *role != request.role);
            accounts::put_user(transaction, &name, &user);
        }
    }
    Ok(pb::AuthRoleDeleteResponse { header: present(transaction.state()) })
}

/// Grants a permission, or changes what kind it is for the very same range.
pub(super) fn role_grant_permission(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthRoleGrantPermissionRequest,
) -> Result<pb::AuthRoleGrantPermissionResponse, Refusal> {
    let permission = request.perm.clone().ok_or(Refusal::PermissionNotGiven)?;
    if !permit::is_grantable(&permission.key, &permission.range_end) {
        return Err(Refusal::InvalidAuthManagement);
    }
    let mut role = existing_role(transaction.state(), &request.name)?;
    let same =
        |own: &&mut crate::wire::authpb::Permission| own.key == permission.key && own.range_end == permission.range_end;
    if let Some(own) = role.key_permission.iter_mut().find(same) {
        own.perm_type = permission.perm_type;
    } else {
        let place = role.key_permission.partition_point(|own| own.key <= permission.key);
        role.key_permission.insert(place, permission);
    }
    moved_on(transaction);
    accounts::put_role(transaction, &request.name, &role);
    Ok(pb::AuthRoleGrantPermissionResponse { header: present(transaction.state()) })
}

pub(super) fn role_revoke_permission(
    transaction: &mut Transaction<'_>,
    request: &pb::AuthRoleRevokePermissionRequest,
) -> Result<pb::AuthRoleRevokePermissionResponse, Refusal> {
    let mut role = existing_role(transaction.state(), &request.role)?;
    let before = role.key_permission.len();
    role.key_permission.retain(|own| own.key != request.key || own.range_end != request.range_end);
    if role.key_permission.len() == before {
        return Err(Refusal::PermissionNotGranted);
    }
    moved_on(transaction);
    accounts::put_role(transaction, &request.role, &role);
    Ok(pb::AuthRoleRevokePermissionResponse { header: present(transaction.state()) })
}

fn existing_user(state: &State, name: &str) -> Result<StoredUser, Refusal> {
    accounts::user(state, name).ok_or(Refusal::UserNotFound)
}

fn existing_role(state: &State, name: &str) -> Result<Role, Refusal> {
    accounts::role(state, name).ok_or(Refusal::RoleNotFound)
}

/// Moves the authentication revision on and returns it.
fn moved_on(transaction: &mut Transaction<'_>) -> u64 {
    let mut settings = accounts::settings(transaction.state());
    settings.revision += 1;
    accounts::put_settings(transaction, &settings);
    settings.revision
}

/// The hash as the request carries it. Nothing at all is a password that nobody can know.
fn carried_hash(text: &str) -> Result<String, Refusal> {
    let bytes = STANDARD.decode(text).map_err(|_| Refusal::NoPasswordUser)?;
    String::from_utf8(bytes).map_err(|_| Refusal::NoPasswordUser)
}

/// The revision of the keys, which accounts do not move.
fn present(state: &State) -> Option<pb::ResponseHeader> {
    header(state.revision())
}
