//! How a request travels from the member that was asked to the leader, and how the decision travels back: one byte and
//! a protobuf message. Knows nothing of what the messages mean.
//!
//! The byte of a request names its kind, and its upper bit that the caller stands before the request, with his length;
//! the byte of a reply is 0 for a decision and otherwise the number of a refusal.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::auth::Caller;
use crate::refusal::Refusal;
use crate::wire::etcdserverpb as pb;

/// The byte before a decision.
const DECIDED: u8 = 0;

/// The bit of a request's byte that says that a caller follows.
const CALLED: u8 = 0x80;

/// Authentication is to be enabled. Tokens will be sealed with a secret that the asking member drew.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EnableAuth {
    /// Bytes that nobody can guess.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) secret: Vec<u8>,
}

/// A request that goes through the log, as the leader reads it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is the request of that name")]
pub(crate) enum Request {
    Put(pb::PutRequest),
    DeleteRange(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
    Compact(pb::CompactionRequest),
    LeaseGrant(pb::LeaseGrantRequest),
    LeaseRevoke(pb::LeaseRevokeRequest),
    AuthEnable(EnableAuth),
    AuthDisable(pb::AuthDisableRequest),
    UserAdd(pb::AuthUserAddRequest),
    UserDelete(pb::AuthUserDeleteRequest),
    UserChangePassword(pb::AuthUserChangePasswordRequest),
    UserGrantRole(pb::AuthUserGrantRoleRequest),
    UserRevokeRole(pb::AuthUserRevokeRoleRequest),
    RoleAdd(pb::AuthRoleAddRequest),
    RoleDelete(pb::AuthRoleDeleteRequest),
    RoleGrantPermission(pb::AuthRoleGrantPermissionRequest),
    RoleRevokePermission(pb::AuthRoleRevokePermissionRequest),
}

/// A message that can be sent to the leader, with the message that answers it.
pub(crate) trait Submission: Message {
    /// The byte before it. Never given to another kind: members of different versions talk to each other.
    const KIND: u8;
    /// The answer.
    type Response: Headed + Default;
}

/// A response that begins with a header.
pub(crate) trait Headed: Message {
    /// The header, to be completed by the member that answers the client.
    fn header_mut(&mut self) -> &mut Option<pb::ResponseHeader>;
}

macro_rules! submissions {
    ($($kind:literal $variant:ident($request:ty) => $response:ident,)*) => {
        $(
            impl Submission for $request {
                const KIND: u8 = $kind;
                type Response = pb::$response;
            }
        )*

        impl Request {
            /// Reads what [`encode`] wrote.
            ///
            /// # Errors
            /// [`Refusal::Unreadable`] for anything else.
            pub(crate) fn decode(bytes: &[u8]) -> Result<(Caller, Request), Refusal> {
                let (kind, mut body) = bytes.split_first().ok_or(Refusal::Unreadable)?;
                let caller = if kind & CALLED == 0 {
                    Caller::nobody()
                } else {
                    Caller::decode_length_delimited(&mut body).map_err(|_| Refusal::Unreadable)?
                };
                let request = match kind & !CALLED {
                    $($kind => <$request>::decode(body).map(Request::$variant),)*
                    _ => return Err(Refusal::Unreadable),
                };
                request.map(|request| (caller, request)).map_err(|_| Refusal::Unreadable)
            }
        }
    };
}

submissions! {
    1 Put(pb::PutRequest) => PutResponse,
    2 DeleteRange(pb::DeleteRangeRequest) => DeleteRangeResponse,
    3 Txn(pb::TxnRequest) => TxnResponse,
    4 Compact(pb::CompactionRequest) => CompactionResponse,
    5 LeaseGrant(pb::LeaseGrantRequest) => LeaseGrantResponse,
    6 LeaseRevoke(pb::LeaseRevokeRequest) => LeaseRevokeResponse,
    7 AuthEnable(EnableAuth) => AuthEnableResponse,
    8 AuthDisable(pb::AuthDisableRequest) => AuthDisableResponse,
    9 UserAdd(pb::AuthUserAddRequest) => AuthUserAddResponse,
    10 UserDelete(pb::AuthUserDeleteRequest) => AuthUserDeleteResponse,
    11 UserChangePassword(pb::AuthUserChangePasswordRequest) => AuthUserChangePasswordResponse,
    12 UserGrantRole(pb::AuthUserGrantRoleRequest) => AuthUserGrantRoleResponse,
    13 UserRevokeRole(pb::AuthUserRevokeRoleRequest) => AuthUserRevokeRoleResponse,
    14 RoleAdd(pb::AuthRoleAddRequest) => AuthRoleAddResponse,
    15 RoleDelete(pb::AuthRoleDeleteRequest) => AuthRoleDeleteResponse,
    16 RoleGrantPermission(pb::AuthRoleGrantPermissionRequest) => AuthRoleGrantPermissionResponse,
    17 RoleRevokePermission(pb::AuthRoleRevokePermissionRequest) => AuthRoleRevokePermissionResponse,
}

macro_rules! headed {
    ($($response:ident)*) => {
        $(
            impl Headed for pb::$response {
                fn header_mut(&mut self) -> &mut Option<pb::ResponseHeader> {
                    &mut self.header
                }
            }
        )*
    };
}

headed! {
    RangeResponse PutResponse DeleteRangeResponse TxnResponse CompactionResponse
    LeaseGrantResponse LeaseRevokeResponse WatchResponse
    AuthEnableResponse AuthDisableResponse
    AuthUserAddResponse AuthUserDeleteResponse AuthUserChangePasswordResponse
    AuthUserGrantRoleResponse AuthUserRevokeRoleResponse
    AuthRoleAddResponse AuthRoleDeleteResponse AuthRoleGrantPermissionResponse AuthRoleRevokePermissionResponse
}

/// A request on its way to the leader.
pub(crate) fn encode<S: Submission>(caller: &Caller, request: &S) -> Bytes {
    if caller.is_nobody() {
        return framed(S::KIND, request);
    }
    let caller_bytes = caller.encoded_len();
    let head = 1 + prost::length_delimiter_len(caller_bytes) + caller_bytes;
    let mut bytes = BytesMut::with_capacity(head + request.encoded_len());
    bytes.put_u8(S::KIND | CALLED);
    caller.encode_length_delimited(&mut bytes).expect("the buffer grows");
    request.encode_raw(&mut bytes);
    bytes.freeze()
}

/// A decision on its way back.
pub(crate) fn encode_reply<R: Headed>(decision: &Result<R, Refusal>) -> Bytes {
    match decision {
        Ok(response) => framed(DECIDED, response),
        Err(refusal) => encode_refusal(*refusal),
    }
}

/// A refusal on its way back.
pub(crate) fn encode_refusal(refusal: Refusal) -> Bytes {
    Bytes::copy_from_slice(&[refusal.number()])
}

/// Reads what [`encode_reply`] wrote in answer to a request of kind `S`.
///
/// # Errors
/// The refusal, or [`Refusal::Unreadable`] if it is neither a decision nor a known refusal.
pub(crate) fn decode_reply<S: Submission>(mut reply: Bytes) -> Result<S::Response, Refusal> {
    if reply.is_empty() {
        return Err(Refusal::Unreadable);
    }
    match reply.split_to(1)[0] {
        DECIDED => S::Response::decode(reply).map_err(|_| Refusal::Unreadable),
        number => Err(Refusal::from_number(number).unwrap_or(Refusal::Unreadable)),
    }
}

fn framed<M: Message>(first: u8, message: &M) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + message.encoded_len());
    bytes.put_u8(first);
    message.encode_raw(&mut bytes);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_survives_the_way() {
        let request =
            pb::PutRequest { key: Bytes::from("k"), value: Bytes::from("v"), lease: -3, ..Default::default() };
        let nobody = Caller::nobody();
        assert_eq!(Request::decode(&encode(&nobody, &request)), Ok((nobody, Request::Put(request))));
        let caller = Caller { user: "alice".to_owned(), generation: 3, revision: 0 };
        let request = pb::LeaseRevokeRequest { id: 9 };
        assert_eq!(Request::decode(&encode(&caller, &request)), Ok((caller, Request::LeaseRevoke(request))));
    }

    #[test]
    fn a_decision_and_a_refusal_survive_the_way_back() {
        let response = pb::DeleteRangeResponse { deleted: 3, ..Default::default() };
        let reply = encode_reply(&Ok(response.clone()));
        assert_eq!(decode_reply::<pb::DeleteRangeRequest>(reply), Ok(response));
        let reply = encode_reply::<pb::DeleteRangeResponse>(&Err(Refusal::LeaseNotFound));
        assert_eq!(decode_reply::<pb::DeleteRangeRequest>(reply), Err(Refusal::LeaseNotFound));
    }

    #[test]
    fn nothing_and_unknown_kinds_are_unreadable() {
        assert_eq!(Request::decode(b""), Err(Refusal::Unreadable));
        assert_eq!(Request::decode(b"\xff"), Err(Refusal::Unreadable));
        assert_eq!(decode_reply::<pb::PutRequest>(Bytes::new()), Err(Refusal::Unreadable));
        assert_eq!(decode_reply::<pb::PutRequest>(Bytes::from_static(b"\xff")), Err(Refusal::Unreadable));
    }

    proptest! {
        #[test]
        fn garbage_is_read_or_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Request::decode(&bytes);
            let _ = decode_reply::<pb::TxnRequest>(Bytes::from(bytes));
        }
    }
}
