//! The Maintenance service: how this member is doing. Knows nothing of other members' health.

use node::{Role, View};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::cluster::status_of_refused;
use super::{Door, snapshot};
use crate::identity::member_id;
use crate::refusal::{Refusal, status_of};
use crate::table::{KEYS, signed};
use crate::wire::etcdserverpb::alarm_request::AlarmAction;
use crate::wire::etcdserverpb::downgrade_request::DowngradeAction;
use crate::wire::etcdserverpb::maintenance_server::Maintenance;
use crate::wire::etcdserverpb::{
    AlarmRequest, AlarmResponse, DefragmentRequest, DefragmentResponse, DowngradeInfo, DowngradeRequest,
    DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};

/// The version of the API that is spoken here. Clients decide by it which requests they may send.
pub(crate) const API_VERSION: &str = "3.6.0";

/// Blocks of a snapshot that may wait for the client.
const SNAPSHOT_BLOCKS_AHEAD: usize = 4;

#[tonic::async_trait]
impl Maintenance for Door {
    type SnapshotStream = ReceiverStream<Result<SnapshotResponse, Status>>;

    /// There are no alarms to be raised yet, so none is listed, and clearing them succeeds.
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        self.admit(request.metadata())?;
        match request.get_ref().action() {
            AlarmAction::Get => self.somebody(&request)?,
            AlarmAction::Activate | AlarmAction::Deactivate => self.administrator(&request)?,
        }
        match request.get_ref().action() {
            AlarmAction::Get | AlarmAction::Deactivate => {
                Ok(Response::new(AlarmResponse { header: Some(self.header()), alarms: Vec::new() }))
            }
            AlarmAction::Activate => Err(Status::unimplemented("conclave: alarms are raised by the member alone")),
        }
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.admit(request.metadata())?;
        self.somebody(&request)?;
        let standing = self.handle.status();
        let bytes = signed(self.handle.view().bytes());
        let no_leader = standing.leader.is_none().then(|| Refusal::NoLeader.text().to_owned());
        Ok(Response::new(StatusResponse {
            header: Some(self.header()),
            version: API_VERSION.to_owned(),
            db_size: bytes,
            leader: standing.leader.map_or(0, |leader| member_id(&standing.ensemble, leader)),
            raft_index: standing.commit,
            raft_term: standing.term,
            raft_applied_index: standing.applied,
            errors: no_leader.into_iter().collect(),
            db_size_in_use: bytes,
            is_learner: standing.role == Role::Learner,
            storage_version: API_VERSION.to_owned(),
            db_size_quota: signed(self.handle.limits().quota_hard_bytes),
            downgrade_info: Some(DowngradeInfo::default()),
        }))
    }

    /// Memory needs no defragmentation: this succeeds, as clients expect, and does nothing.
    async fn defragment(&self, request: Request<DefragmentRequest>) -> Result<Response<DefragmentResponse>, Status> {
        self.admit(request.metadata())?;
        self.administrator(&request)?;
        Ok(Response::new(DefragmentResponse { header: None }))
    }

    /// The running hash over everything this member holds, folded to 32 bits.
    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        self.admit(request.metadata())?;
        self.administrator(&request)?;
        let hash = folded(self.handle.view().hash());
        Ok(Response::new(HashResponse { header: Some(self.header()), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        self.admit(request.metadata())?;
        self.administrator(&request)?;
        let wanted = request.into_inner().revision;
        let view = self.handle.view();
        let header = self.header_at(signed(view.revision()), view.term);
        let revision = match u64::try_from(wanted) {
            Ok(0) | Err(_) => view.revision(),
            Ok(revision) if revision > view.revision() => return Err(Refusal::FutureRevision.into()),
            Ok(revision) if revision < view.compacted() => return Err(Refusal::Compacted.into()),
            Ok(revision) => revision,
        };
        let compact_revision = signed(view.compacted());
        let hash = tokio::task::spawn_blocking(move || hash_of_keys(&view, revision)).await;
        let hash = hash.map_err(|_| Refusal::Stopped)??;
        let hash_revision = signed(revision);
        Ok(Response::new(HashKvResponse { header: Some(header), hash, compact_revision, hash_revision }))
    }

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        self.admit(request.metadata())?;
        self.administrator(&request)?;
        let view = self.handle.view();
        let header = self.header_at(signed(view.revision()), view.term);
        let (sender, responses) = mpsc::channel(SNAPSHOT_BLOCKS_AHEAD);
        tokio::task::spawn_blocking(move || snapshot::send(&view, &header, &sender));
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    /// Only the leader is asked, as in the real server: clients find it by the status of the members.
    async fn move_leader(&self, request: Request<MoveLeaderRequest>) -> Result<Response<MoveLeaderResponse>, Status> {
        self.admit(request.metadata())?;
        self.administrator(&request)?;
        let standing = self.handle.status();
        if standing.role != Role::Leader {
            return Err(Refusal::NotLeader.into());
        }
        let wanted = request.into_inner().target_id;
        let voters = standing.members.iter().filter(|member| member.voter);
        let target = voters.map(|member| member.id).find(|id| member_id(&standing.ensemble, *id) == wanted);
        let target = target.ok_or(Refusal::BadTransferee)?;
        if target != standing.id {
            let outcome = self.handle.transfer_leadership(Some(target)).await;
            outcome.map_err(|failure| status_of(&failure))?.map_err(|refused| status_of_refused(&refused))?;
        }
        Ok(Response::new(MoveLeaderResponse { header: Some(self.header()) }))
    }

    /// There is no older version to go back to.
    async fn downgrade(&self, request: Request<DowngradeRequest>) -> Result<Response<DowngradeResponse>, Status> {
        self.admit(request.metadata())?;
        self.administrator(&request)?;
        match request.get_ref().action() {
            DowngradeAction::Validate | DowngradeAction::Enable => Err(Refusal::InvalidDowngradeVersion.into()),
            DowngradeAction::Cancel => Err(Refusal::NoDowngrade.into()),
        }
    }
}

fn folded(hash: u128) -> u32 {
    let bytes = hash.to_le_bytes();
    bytes.chunks_exact(4).fold(0, |folded, chunk| folded ^ u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]))
}

/// A checksum over all keys as they were at a revision: equal on all members.
fn hash_of_keys(view: &View, revision: u64) -> Result<u32, Refusal> {
    use std::ops::Bound::Unbounded;
    let mut rows = view.range_at(KEYS, Unbounded, Unbounded, revision).map_err(|_| Refusal::Compacted)?;
    let mut hash = 0;
    while let Some((key, row)) = rows.next() {
        // Lengths before contents, so that no two different tables read alike.
        let numbers = [row.created(), row.modified(), row.version(), row.lease().0.cast_unsigned()];
        let lengths = [key.len() as u64, row.value().len() as u64];
        for number in lengths.into_iter().chain(numbers) {
            hash = crc32c::crc32c_append(hash, &number.to_le_bytes());
        }
        hash = crc32c::crc32c_append(hash, key);
        hash = crc32c::crc32c_append(hash, row.value());
    }
    Ok(hash)
}
