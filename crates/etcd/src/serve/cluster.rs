//! The Cluster service: who belongs to the ensemble, and changes of that. Knows how a change and its refusals read in
//! this API, not how a change is carried through.

use std::collections::BTreeMap;

use axum::http::Uri;
use node::{Change, Changed, MemberAddress, MemberEntry, Members, NodeId, Refused};
use tonic::{Request, Response, Status};

use super::Door;
use crate::identity::member_id;
use crate::refusal::{Refusal, status_of};
use crate::wire::etcdserverpb::cluster_server::Cluster;
use crate::wire::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
    ResponseHeader,
};

/// The name under which a member's address for clients of this protocol is known.
const CLIENT_ADDRESS: &str = "etcd";

#[tonic::async_trait]
impl Cluster for Door {
    /// The new member is known by its address until it starts and says its name. It gets its vote by itself, once it
    /// is caught up, unless it is to stay a learner.
    async fn member_add(&self, request: Request<MemberAddRequest>) -> Result<Response<MemberAddResponse>, Status> {
        self.admit(request.metadata())?;
        let peer = peer_address(&request.get_ref().peer_ur_ls)?;
        self.administrator(&request)?;
        let learner = request.get_ref().is_learner;
        let member = MemberAddress { id: NodeId(0), name: peer.clone(), peer, client: BTreeMap::new(), priority: 0 };
        let changed = self.change(Change::Add { member, learner }).await?;
        let member = changed.members.get(changed.member).map(|entry| self.member(entry));
        let (header, members) = self.list(&changed.members);
        Ok(Response::new(MemberAddResponse { header, member, members }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        self.admit(request.metadata())?;
        self.administrator(&request)?;
        let id = self.node_id(request.get_ref().id).await?;
        let changed = self.change(Change::Remove { id }).await?;
        let (header, members) = self.list(&changed.members);
        Ok(Response::new(MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        self.admit(request.metadata())?;
        let peer = peer_address(&request.get_ref().peer_ur_ls)?;
        self.administrator(&request)?;
        let id = self.node_id(request.get_ref().id).await?;
        let (peer, client) = (Some(peer), BTreeMap::new());
        let changed = self.change(Change::Update { id, name: None, peer, client, priority: None }).await?;
        let (header, members) = self.list(&changed.members);
        Ok(Response::new(MemberUpdateResponse { header, members }))
    }

    async fn member_list(&self, request: Request<MemberListRequest>) -> Result<Response<MemberListResponse>, Status> {
        self.admit(request.metadata())?;
        let view = self.view(!request.get_ref().linearizable).await?;
        let (header, members) = self.list(&view.members);
        Ok(Response::new(MemberListResponse { header, members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        self.admit(request.metadata())?;
        self.administrator(&request)?;
        let id = self.node_id(request.get_ref().id).await?;
        let changed = self.change(Change::Promote { id }).await?;
        let (header, members) = self.list(&changed.members);
        Ok(Response::new(MemberPromoteResponse { header, members }))
    }
}

impl Door {
    async fn change(&self, change: Change) -> Result<Changed, Status> {
        let outcome = self.handle.change_members(change).await.map_err(|failure| status_of(&failure))?;
        outcome.map_err(|refused| status_of_refused(&refused))
    }

    /// The member that clients know by this number.
    pub(super) async fn node_id(&self, id: u64) -> Result<NodeId, Status> {
        let view = self.view(false).await?;
        let ensemble = &self.handle.status().ensemble;
        let found = view.members.list.iter().find(|entry| member_id(ensemble, entry.address.id) == id);
        Ok(found.ok_or(Refusal::MemberNotFound)?.address.id)
    }

    /// The members in the order of their numbers. Membership has no revision: the header says 0.
    fn list(&self, members: &Members) -> (Option<ResponseHeader>, Vec<Member>) {
        let mut list: Vec<Member> = members.list.iter().map(|entry| self.member(entry)).collect();
        list.sort_by_key(|member| member.id);
        (Some(self.header_at(0, self.handle.view().term)), list)
    }

    fn member(&self, entry: &MemberEntry) -> Member {
        let url = |address: &String| format!("{}://{address}", self.scheme());
        let address = &entry.address;
        Member {
            id: member_id(&self.handle.status().ensemble, address.id),
            name: address.name.clone(),
            peer_ur_ls: vec![format!("http://{}", address.peer)],
            client_ur_ls: address.client.get(CLIENT_ADDRESS).map(url).into_iter().collect(),
            is_learner: !entry.voter,
        }
    }
}

/// The one address that the URLs of a request name. A member of ours is reached by its peers at one place.
fn peer_address(urls: &[String]) -> Result<String, Refusal> {
    let [url] = urls else { return Err(Refusal::BadMemberUrls) };
    let url: Uri = url.parse().map_err(|_| Refusal::BadMemberUrls)?;
    let scheme = matches!(url.scheme_str(), Some("http" | "https"));
    let bare = matches!(url.path(), "" | "/") && url.query().is_none();
    match (url.host(), url.port_u16()) {
        (Some(host), Some(port)) if scheme && bare && !host.is_empty() => Ok(format!("{host}:{port}")),
        _ => Err(Refusal::BadMemberUrls),
    }
}

/// What this API calls a refusal. What it has no name for is told in our own words.
pub(super) fn status_of_refused(refused: &Refused) -> Status {
    let refusal = match refused {
        Refused::Unknown(_) => Refusal::MemberNotFound,
        Refused::Exists(_) | Refused::IdUsed { .. } => Refusal::MemberExists,
        // The name of a new member is its address.
        Refused::NameTaken(_) | Refused::AddressTaken(_) => Refusal::PeerUrlExists,
        Refused::NotALearner(_) => Refusal::NotALearner,
        Refused::NotCaughtUp(_) => Refusal::LearnerNotReady,
        Refused::TooManyLearners { .. } => Refusal::TooManyLearners,
        Refused::LastVoter(_) | Refused::WouldLoseQuorum { .. } => Refusal::NotEnoughStarted,
        Refused::TransferTimedOut(_) => Refusal::TimedOut,
        Refused::NoSuccessor(_) => Refusal::Unhealthy,
        Refused::TooManyVoters { .. } | Refused::ChangeInFlight | Refused::Invalid(_) => {
            return Status::failed_precondition(format!("conclave: {refused}"));
        }
    };
    refusal.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_url_is_a_scheme_a_host_and_a_port() {
        let address = |url: &str| peer_address(&[url.to_owned()]);
        assert_eq!(address("http://10.0.0.1:2380"), Ok("10.0.0.1:2380".to_owned()));
        assert_eq!(address("https://a.example:7/"), Ok("a.example:7".to_owned()));
        assert_eq!(address("http://[::1]:2380"), Ok("[::1]:2380".to_owned()));
        for bad in ["", "10.0.0.1:2380", "http://a", "ftp://a:1", "http://a:1/path", "http://a:1?q", "http://:1", "@"] {
            assert_eq!(address(bad), Err(Refusal::BadMemberUrls), "{bad}");
        }
        assert_eq!(peer_address(&[]), Err(Refusal::BadMemberUrls));
    }

    #[test]
    fn refusals_read_as_in_the_real_server() {
        let text = |refused: Refused| status_of_refused(&refused).message().to_owned();
        assert_eq!(text(Refused::Unknown(NodeId(1))), "etcdserver: member not found");
        assert_eq!(
            text(Refused::WouldLoseQuorum { healthy: 1, needed: 2 }),
            "etcdserver: re-configuration failed due to not enough started members"
        );
        assert_eq!(
            text(Refused::NotCaughtUp(NodeId(1))),
            "etcdserver: can only promote a learner member which is in sync with leader"
        );
        assert!(text(Refused::ChangeInFlight).starts_with("conclave: another change"));
    }
}
