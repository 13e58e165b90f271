//! The Auth service: passwords are hashed and checked here, on their own threads; everything else is decided by the
//! leader. Knows no rows and no permissions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use node::View;
use std::sync::Arc;
use tonic::{Request, Response, Status};

use super::Door;
use super::door::unix_seconds;
use crate::auth::accounts::{self, StoredUser};
use crate::auth::{Caller, ROOT, passwords, permit};
use crate::envelope::EnableAuth;
use crate::refusal::Refusal;
use crate::table::signed;
use crate::wire::authpb::Permission;
use crate::wire::etcdserverpb as pb;
use crate::wire::etcdserverpb::auth_server::Auth;

/// Methods that are decided by the leader as they come.
macro_rules! passed_on {
    ($($method:ident($request:ident) -> $response:ident;)* { $($other:item)* }) => {
        #[tonic::async_trait]
        impl Auth for Door {
            $(
                async fn $method(&self, request: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                    self.admit(request.metadata())?;
                    self.submit(&self.caller(&request)?, request.get_ref()).await
                }
            )*
            $($other)*
        }
    };
}

passed_on! {
    auth_disable(AuthDisableRequest) -> AuthDisableResponse;
    user_delete(AuthUserDeleteRequest) -> AuthUserDeleteResponse;
    user_grant_role(AuthUserGrantRoleRequest) -> AuthUserGrantRoleResponse;
    user_revoke_role(AuthUserRevokeRoleRequest) -> AuthUserRevokeRoleResponse;
    role_add(AuthRoleAddRequest) -> AuthRoleAddResponse;
    role_delete(AuthRoleDeleteRequest) -> AuthRoleDeleteResponse;
    role_grant_permission(AuthRoleGrantPermissionRequest) -> AuthRoleGrantPermissionResponse;
    role_revoke_permission(AuthRoleRevokePermissionRequest) -> AuthRoleRevokePermissionResponse;
    {
        async fn auth_enable(
            &self,
            request: Request<pb::AuthEnableRequest>,
        ) -> Result<Response<pb::AuthEnableResponse>, Status> {
            self.admit(request.metadata())?;
            let caller = self.caller(&request)?;
            self.submit(&caller, &EnableAuth { secret: passwords::secret()?.to_vec() }).await
        }

        async fn auth_status(
            &self,
            request: Request<pb::AuthStatusRequest>,
        ) -> Result<Response<pb::AuthStatusResponse>, Status> {
            self.admit(request.metadata())?;
            let view = self.view(false).await?;
            let settings = accounts::settings(&view);
            let header = self.header_of(&view);
            let (enabled, auth_revision) = (settings.enabled, settings.revision);
            Ok(Response::new(pb::AuthStatusResponse { header, enabled, auth_revision }))
        }

        async fn authenticate(
            &self,
            request: Request<pb::AuthenticateRequest>,
        ) -> Result<Response<pb::AuthenticateResponse>, Status> {
            self.admit(request.metadata())?;
            let pb::AuthenticateRequest { name, password } = request.into_inner();
            loop {
                // Behind a barrier, so that a password changed a moment ago is the one that counts.
                let view = self.view(false).await?;
                let user = user_with_password(&view, &name)?;
                let hash = user.password_hash.clone();
                if !self.passwords.matches(password.clone(), hash).await? {
                    return Err(Refusal::AuthFailed.into());
                }
                // The check took its time. If the user changed meanwhile, it said nothing about him as he is now.
                let now = self.handle.view();
                let settings = accounts::settings(&now);
                if !settings.enabled || accounts::user(&now, &name).as_ref() != Some(&user) {
                    continue;
                }
                let salt = u64::from_le_bytes(passwords::secret()?[..8].try_into().expect("eight bytes of a secret"));
                let token = self.tokens.make(&settings, &name, &user, unix_seconds(), salt);
                let token = token.ok_or(Refusal::VerifyOnly)?;
                return Ok(Response::new(pb::AuthenticateResponse { header: self.header_of(&now), token }));
            }
        }

        async fn user_add(
            &self,
            request: Request<pb::AuthUserAddRequest>,
        ) -> Result<Response<pb::AuthUserAddResponse>, Status> {
            self.admit(request.metadata())?;
            let caller = self.caller(&request)?;
            let mut request = request.into_inner();
            let no_password = request.options.as_ref().is_some_and(|options| options.no_password);
            // Hashing is work: nobody gets it who would be refused anyway.
            permit::administrate(&self.handle.view(), &caller)?;
            if !no_password && (request.hashed_password.is_empty() || !request.password.is_empty()) {
                request.hashed_password = self.hashed(std::mem::take(&mut request.password)).await?;
            }
            request.password.clear();
            self.submit(&caller, &request).await
        }

        async fn user_change_password(
            &self,
            request: Request<pb::AuthUserChangePasswordRequest>,
        ) -> Result<Response<pb::AuthUserChangePasswordResponse>, Status> {
            self.admit(request.metadata())?;
            let caller = self.caller(&request)?;
            let mut request = request.into_inner();
            permit::administrate(&self.handle.view(), &caller)?;
            if !request.password.is_empty() {
                request.hashed_password = self.hashed(std::mem::take(&mut request.password)).await?;
            }
            self.submit(&caller, &request).await
        }

        /// Everybody may look at himself.
        async fn user_get(
            &self,
            request: Request<pb::AuthUserGetRequest>,
        ) -> Result<Response<pb::AuthUserGetResponse>, Status> {
            self.admit(request.metadata())?;
            let caller = self.caller(&request)?;
            let name = request.into_inner().name;
            let view = self.view(false).await?;
            permit::known(&view, &caller)?;
            if name != caller.user {
                permit::administrate(&view, &caller)?;
            }
            let user = accounts::user(&view, &name).ok_or(Refusal::UserNotFound)?;
            Ok(Response::new(pb::AuthUserGetResponse { header: self.header_of(&view), roles: user.roles }))
        }

        async fn user_list(
            &self,
            request: Request<pb::AuthUserListRequest>,
        ) -> Result<Response<pb::AuthUserListResponse>, Status> {
            let view = self.administration(&request).await?;
            let users = accounts::users(&view);
            Ok(Response::new(pb::AuthUserListResponse { header: self.header_of(&view), users }))
        }

        /// Everybody may look at the roles he has.
        async fn role_get(
            &self,
            request: Request<pb::AuthRoleGetRequest>,
        ) -> Result<Response<pb::AuthRoleGetResponse>, Status> {
            self.admit(request.metadata())?;
            let caller = self.caller(&request)?;
            let name = request.into_inner().role;
            let view = self.view(false).await?;
            permit::known(&view, &caller)?;
            if !accounts::user(&view, &caller.user).is_some_and(|user| user.has_role(&name)) {
                permit::administrate(&view, &caller)?;
            }
            let role = accounts::role(&view, &name).ok_or(Refusal::RoleNotFound)?;
            let perm: Vec<Permission> = if name == ROOT { vec![permit::everything()] } else { role.key_permission };
            Ok(Response::new(pb::AuthRoleGetResponse { header: self.header_of(&view), perm }))
        }

        async fn role_list(
            &self,
            request: Request<pb::AuthRoleListRequest>,
        ) -> Result<Response<pb::AuthRoleListResponse>, Status> {
            let view = self.administration(&request).await?;
            let roles = accounts::roles(&view);
            Ok(Response::new(pb::AuthRoleListResponse { header: self.header_of(&view), roles }))
        }
    }
}

impl Door {
    /// A view for a question that only an administrator may ask.
    async fn administration<T>(&self, request: &Request<T>) -> Result<Arc<View>, Status> {
        self.admit(request.metadata())?;
        let caller: Caller = self.caller(request)?;
        let view = self.view(false).await?;
        permit::administrate(&view, &caller)?;
        Ok(view)
    }

    fn header_of(&self, view: &View) -> Option<pb::ResponseHeader> {
        Some(self.header_at(signed(view.revision()), view.term))
    }

    /// The hash of a password as requests carry it.
    async fn hashed(&self, password: String) -> Result<String, Refusal> {
        Ok(STANDARD.encode(self.passwords.hash(password).await?))
    }
}

/// A user who may log in by a password at all. One who does not exist is told the same as one with another password.
fn user_with_password(view: &View, name: &str) -> Result<StoredUser, Refusal> {
    if !accounts::enabled(view) {
        return Err(Refusal::AuthNotEnabled);
    }
    let user = accounts::user(view, name).ok_or(Refusal::AuthFailed)?;
    if user.no_password { Err(Refusal::NoPasswordUser) } else { Ok(user) }
}
