//! Who opened each watch of a stream, and whether he may still see what it watches. Knows no mailbox and no response.

use std::collections::BTreeMap;

use bytes::Bytes;
use state::Row;
use tonic::Status;

use super::Stream;
use crate::auth::permit::{self, Access};
use crate::auth::{Caller, accounts};
use crate::refusal::Refusal;
use crate::serve::{Credentials, Door, Present};
use crate::wire::etcdserverpb::WatchCreateRequest;

/// The permissions of one stream.
pub(super) struct Permissions {
    credentials: Credentials,
    /// By the token of the watch: who opened it, and that it counts as open.
    callers: BTreeMap<u64, (Caller, Present)>,
    /// The accounts as they were when all watches were found to be allowed.
    checked: Option<Row>,
}

impl Permissions {
    pub(super) fn new(credentials: Credentials) -> Permissions {
        Permissions { credentials, callers: BTreeMap::new(), checked: None }
    }

    /// Who wants to watch this, if he may.
    pub(super) fn admit(&self, door: &Door, request: &WatchCreateRequest) -> Result<Caller, Refusal> {
        let caller = door.identify(&self.credentials)?;
        let key = if request.key.is_empty() { Bytes::from_static(b"\0") } else { request.key.clone() };
        permit::keys(&door.handle.view(), &caller, &key, &request.range_end, Access::Read)?;
        // A signed token is of a revision. It was good when the watch was opened, and the permissions of its user are
        // what counts from then on.
        Ok(Caller { revision: 0, ..caller })
    }

    pub(super) fn opened(&mut self, door: &Door, token: u64, caller: Caller) {
        self.callers.insert(token, (caller, Present::new(&door.counts, |counts| &counts.watches)));
        // Permissions may have changed since the watch was admitted.
        self.checked = None;
    }

    pub(super) fn closed(&mut self, token: u64) {
        self.callers.remove(&token);
    }

    /// The watches whose callers may not see any more what they watch, each with the reason. Costs a comparison of
    /// pointers unless accounts changed.
    pub(super) fn lost(&mut self, door: &Door, stream: &Stream) -> Vec<(u64, String)> {
        let view = door.handle.view();
        let Some(now) = accounts::settings_row(&view) else { return Vec::new() };
        if self.checked.as_ref().is_some_and(|checked| checked.is_same(now)) {
            return Vec::new();
        }
        self.checked = Some(now.clone());
        let mut lost = Vec::new();
        for (token, range) in stream.ranges() {
            let (key, range_end) = range.spelt();
            let caller = match self.callers.get(&token) {
                Some((caller, _)) if !caller.is_nobody() => caller.clone(),
                // Opened while authentication was off: who it is matters only now.
                _ => door.identify(&self.credentials).unwrap_or_default(),
            };
            if let Err(refusal) = permit::keys(&view, &caller, &key, &range_end, Access::Read) {
                lost.push((token, reason(refusal)));
            }
        }
        for (token, _) in &lost {
            self.callers.remove(token);
        }
        lost
    }
}

/// A refusal as the reason for which a watch is cancelled: clients parse the form in which Go prints an error.
pub(super) fn reason(refusal: Refusal) -> String {
    let status = Status::from(refusal);
    let code = format!("{:?}", status.code());
    format!("rpc error: code = {code} desc = {}", status.message())
}
