//! `/members`: who belongs to the ensemble, and orders to change that. Orders name members as people do; what may be
//! changed, the leader decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use node::{Change, Handle, MemberAddress, Members, NodeId};
use serde::{Deserialize, Serialize};

use super::{Shared, starting};

/// The answer of `/members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembersReport {
    pub(crate) ensemble: String,
    /// The ensemble's number, which tells it from others of the same name.
    pub(crate) ensemble_id: String,
    /// Counts the changes of the membership.
    pub(crate) version: u64,
    /// A change of voters is half way.
    pub(crate) changing: bool,
    /// The leader's name, if one is known.
    pub(crate) leader: Option<String>,
    /// After an order: the id of the member that it was about.
    pub(crate) about: Option<u64>,
    pub(crate) members: Vec<MemberLine>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberLine {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// `voter`, `learner`, or `joining` for a learner that becomes a voter by itself.
    pub(crate) standing: String,
    pub(crate) priority: u8,
    pub(crate) peer: String,
    pub(crate) client: BTreeMap<String, String>,
    /// 0 for those who founded the ensemble.
    pub(crate) added_unix_milliseconds: u64,
}

/// What is to be done. Members are named by name or id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Order {
    /// Add a member.
    Add {
        name: String,
        peer: String,
        client: BTreeMap<String, String>,
        #[serde(default)]
        id: u64,
        #[serde(default)]
        priority: u8,
        /// It stays a learner.
        #[serde(default)]
        learner: bool,
    },
    /// Make a learner a voter.
    Promote { member: String },
    /// Remove a member.
    Remove { member: String },
    /// Change what is known of a member; what is not named stays.
    Update {
        member: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        peer: Option<String>,
        #[serde(default)]
        client: BTreeMap<String, String>,
        #[serde(default)]
        priority: Option<u8>,
    },
    /// Hand leadership over, to this member or to whoever is best placed.
    Lead { member: Option<String> },
}

/// Why an order was not carried out.
enum Failed {
    /// No such member.
    Unknown(String),
    /// The leader refused; nothing was changed.
    Refused(node::Refused),
    /// The member could not reach the leader, or does not know what became of the order.
    Unanswered(node::Failure),
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (code, message) = match self {
            Failed::Unknown(name) => (StatusCode::NOT_FOUND, format!("there is no member {name}")),
            Failed::Refused(refused) => (StatusCode::CONFLICT, refused.to_string()),
            Failed::Unanswered(failure) => (StatusCode::SERVICE_UNAVAILABLE, failure.to_string()),
        };
        (code, format!("{message}\n")).into_response()
    }
}

impl From<node::Failure> for Failed {
    fn from(failure: node::Failure) -> Failed {
        Failed::Unanswered(failure)
    }
}

impl From<node::Refused> for Failed {
    fn from(refused: node::Refused) -> Failed {
        Failed::Refused(refused)
    }
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let Some(handle) = shared.admin.handle.get() else { return starting(&shared.admin) };
    match handle.members().await {
        Ok(members) => Json(report(handle, &members, None)).into_response(),
        Err(failure) => Failed::from(failure).into_response(),
    }
}

pub(super) async fn order(State(shared): State<Arc<Shared>>, Json(order): Json<Order>) -> Response {
    let Some(handle) = shared.admin.handle.get() else { return starting(&shared.admin) };
    match carry_out(handle, order).await {
        Ok(report) => Json(report).into_response(),
        Err(failed) => failed.into_response(),
    }
}

async fn carry_out(handle: &Handle, order: Order) -> Result<MembersReport, Failed> {
    let members = handle.members().await?;
    let find = |name: &str| find(&members, name);
    let change = match order {
        Order::Add { name, peer, client, id, priority, learner } => {
            let member = MemberAddress { id: NodeId(id), name, peer, client, priority };
            Change::Add { member, learner }
        }
        Order::Promote { member } => Change::Promote { id: find(&member)? },
        Order::Remove { member } => Change::Remove { id: find(&member)? },
        Order::Update { member, name, peer, client, priority } => {
            Change::Update { id: find(&member)?, name, peer, client, priority }
        }
        Order::Lead { member } => {
            let to = member.as_deref().map(find).transpose()?;
            let leader = handle.transfer_leadership(to).await??;
            return Ok(report(handle, &members, Some(leader)));
        }
    };
    let changed = handle.change_members(change).await??;
    Ok(report(handle, &changed.members, Some(changed.member)))
}

fn find(members: &Members, name: &str) -> Result<NodeId, Failed> {
    let numbered = || name.parse().ok().and_then(|id| members.get(NodeId(id)));
    let found = members.named(name).or_else(numbered);
    found.map(|entry| entry.address.id).ok_or_else(|| Failed::Unknown(name.to_owned()))
}

fn report(handle: &Handle, members: &Members, about: Option<NodeId>) -> MembersReport {
    let status = handle.status();
    let name = |id: NodeId| members.get(id).map(|entry| entry.address.name.clone());
    let line = |entry: &node::MemberEntry| MemberLine {
        id: entry.address.id.0,
        name: entry.address.name.clone(),
        standing: match (entry.voter, entry.promoting) {
            (true, _) => "voter".to_owned(),
            (false, true) => "joining".to_owned(),
            (false, false) => "learner".to_owned(),
        },
        priority: entry.address.priority,
        peer: entry.address.peer.clone(),
        client: entry.address.client.clone(),
        added_unix_milliseconds: entry.added_unix_milliseconds,
    };
    MembersReport {
        ensemble: status.ensemble.clone(),
        ensemble_id: format!("{:016x}", members.ensemble_id),
        version: members.version,
        changing: members.changing,
        leader: status.leader.and_then(name),
        about: about.map(|id| id.0),
        members: members.list.iter().map(line).collect(),
    }
}
