//! The Cluster service: who belongs to the ensemble. Knows nothing of how members are added or removed.

use node::{MemberStatus, Status as Standing};
use tonic::{Request, Response, Status};

use super::Door;
use crate::identity::member_id;
use crate::wire::etcdserverpb::cluster_server::Cluster;
use crate::wire::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
};

/// The name under which a member's address for clients of this protocol is known.
const CLIENT_ADDRESS: &str = "etcd";

#[tonic::async_trait]
impl Cluster for Door {
    async fn member_add(&self, _: Request<MemberAddRequest>) -> Result<Response<MemberAddResponse>, Status> {
        Err(unchangeable())
    }

    async fn member_remove(&self, _: Request<MemberRemoveRequest>) -> Result<Response<MemberRemoveResponse>, Status> {
        Err(unchangeable())
    }

    async fn member_update(&self, _: Request<MemberUpdateRequest>) -> Result<Response<MemberUpdateResponse>, Status> {
        Err(unchangeable())
    }

    async fn member_list(&self, request: Request<MemberListRequest>) -> Result<Response<MemberListResponse>, Status> {
        self.admit(request.metadata())?;
        let view = self.view(!request.get_ref().linearizable).await?;
        let members = members(&self.handle.status());
        // Membership has no revision: the header says 0.
        Ok(Response::new(MemberListResponse { header: Some(self.header_at(0, view.term)), members }))
    }

    async fn member_promote(
        &self,
        _: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        Err(unchangeable())
    }
}

fn unchangeable() -> Status {
    Status::unimplemented(
        "conclave: the members are set in the configuration and cannot be changed through this service",
    )
}

/// The members in the order of their ids, as clients of the API know them.
fn members(standing: &Standing) -> Vec<Member> {
    let mut members: Vec<Member> = standing.members.iter().map(|one| member(&standing.ensemble, one)).collect();
    members.sort_by_key(|member| member.id);
    members
}

fn member(ensemble: &str, member: &MemberStatus) -> Member {
    let url = |address: &String| format!("http://{address}");
    Member {
        id: member_id(ensemble, member.id),
        name: member.name.clone(),
        peer_ur_ls: vec![url(&member.peer)],
        client_ur_ls: member.client.get(CLIENT_ADDRESS).map(url).into_iter().collect(),
        is_learner: !member.voter,
    }
}
