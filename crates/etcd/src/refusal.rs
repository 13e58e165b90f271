//! The error contract: which refusals there are, their gRPC codes and their exact texts. Clients compare the texts.
//! Knows nothing of how a refusal comes about.

use node::{Failure, Reason};
use tonic::{Code, Status};

/// A refusal that clients of the API know. Its number is its place in the encoded replies of the leader, so a number
/// is never given to another refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is its text in the table below")]
pub enum Refusal {
    EmptyKey = 1,
    KeyNotFound = 2,
    ValueProvided = 3,
    LeaseProvided = 4,
    TooManyOperations = 5,
    DuplicateKey = 6,
    InvalidSortOption = 7,
    Compacted = 8,
    FutureRevision = 9,
    NoSpace = 10,
    LeaseNotFound = 11,
    LeaseExists = 12,
    LeaseTtlTooLarge = 13,
    RequestTooLarge = 14,
    TooManyRequests = 15,
    NoLeader = 16,
    LeaderChanged = 17,
    Stopped = 18,
    TimedOut = 19,
    TimedOutLeaderFailed = 20,
    Unhealthy = 21,
    NotLeader = 22,
    BadTransferee = 23,
    MemberNotFound = 24,
    InvalidClientVersion = 25,
    NotSupportedForLearner = 26,
    /// The leader could not read the request. No client causes it: only members that differ in version could.
    Unreadable = 27,
    AuthNotEnabled = 28,
    InvalidDowngradeVersion = 29,
    NoDowngrade = 30,
    PermissionDenied = 31,
    InvalidAuthToken = 32,
    InvalidAuthManagement = 33,
    AuthOldRevision = 34,
    UserEmpty = 35,
    UserExists = 36,
    UserNotFound = 37,
    RoleEmpty = 38,
    RoleExists = 39,
    RoleNotFound = 40,
    AuthFailed = 41,
    PermissionNotGiven = 42,
    RoleNotGranted = 43,
    PermissionNotGranted = 44,
    RootUserMissing = 45,
    RootRoleMissing = 46,
    /// A user who can only be known by a certificate tried a password.
    NoPasswordUser = 47,
    /// A token was asked for where only the public key is known.
    VerifyOnly = 48,
    MemberExists = 49,
    PeerUrlExists = 50,
    NotEnoughStarted = 51,
    BadMemberUrls = 52,
    NotALearner = 53,
    LearnerNotReady = 54,
    TooManyLearners = 55,
}

use Refusal::*;

/// Every refusal with its code and its text.
const CONTRACT: &[(Refusal, Code, &str)] = &[
    (EmptyKey, Code::InvalidArgument, "etcdserver: key is not provided"),
    (KeyNotFound, Code::InvalidArgument, "etcdserver: key not found"),
    (ValueProvided, Code::InvalidArgument, "etcdserver: value is provided"),
    (LeaseProvided, Code::InvalidArgument, "etcdserver: lease is provided"),
    (TooManyOperations, Code::InvalidArgument, "etcdserver: too many operations in txn request"),
    (DuplicateKey, Code::InvalidArgument, "etcdserver: duplicate key given in txn request"),
    (InvalidSortOption, Code::InvalidArgument, "etcdserver: invalid sort option"),
    (Compacted, Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
    (FutureRevision, Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
    (NoSpace, Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
    (LeaseNotFound, Code::NotFound, "etcdserver: requested lease not found"),
    (LeaseExists, Code::FailedPrecondition, "etcdserver: lease already exists"),
    (LeaseTtlTooLarge, Code::OutOfRange, "etcdserver: too large lease TTL"),
    (RequestTooLarge, Code::InvalidArgument, "etcdserver: request is too large"),
    (TooManyRequests, Code::ResourceExhausted, "etcdserver: too many requests"),
    (NoLeader, Code::Unavailable, "etcdserver: no leader"),
    (LeaderChanged, Code::Unavailable, "etcdserver: leader changed"),
    (Stopped, Code::Unavailable, "etcdserver: server stopped"),
    (TimedOut, Code::Unavailable, "etcdserver: request timed out"),
    (TimedOutLeaderFailed, Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"),
    (Unhealthy, Code::Unavailable, "etcdserver: unhealthy cluster"),
    (NotLeader, Code::FailedPrecondition, "etcdserver: not leader"),
    (BadTransferee, Code::FailedPrecondition, "etcdserver: bad leader transferee"),
    (MemberNotFound, Code::NotFound, "etcdserver: member not found"),
    (InvalidClientVersion, Code::InvalidArgument, "etcdserver: invalid client api version"),
    (NotSupportedForLearner, Code::FailedPrecondition, "etcdserver: rpc not supported for learner"),
    (Unreadable, Code::Internal, "etcdserver: the leader cannot read the request of this member"),
    (AuthNotEnabled, Code::FailedPrecondition, "etcdserver: authentication is not enabled"),
    (InvalidDowngradeVersion, Code::InvalidArgument, "etcdserver: invalid downgrade target version"),
    (NoDowngrade, Code::FailedPrecondition, "etcdserver: no inflight downgrade job"),
    (PermissionDenied, Code::PermissionDenied, "etcdserver: permission denied"),
    (InvalidAuthToken, Code::Unauthenticated, "etcdserver: invalid auth token"),
    (InvalidAuthManagement, Code::InvalidArgument, "etcdserver: invalid auth management"),
    (AuthOldRevision, Code::InvalidArgument, "etcdserver: revision of auth store is old"),
    (UserEmpty, Code::InvalidArgument, "etcdserver: user name is empty"),
    (UserExists, Code::FailedPrecondition, "etcdserver: user name already exists"),
    (UserNotFound, Code::FailedPrecondition, "etcdserver: user name not found"),
    (RoleEmpty, Code::InvalidArgument, "etcdserver: role name is empty"),
    (RoleExists, Code::FailedPrecondition, "etcdserver: role name already exists"),
    (RoleNotFound, Code::FailedPrecondition, "etcdserver: role name not found"),
    (AuthFailed, Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password"),
    (PermissionNotGiven, Code::InvalidArgument, "etcdserver: permission not given"),
    (RoleNotGranted, Code::FailedPrecondition, "etcdserver: role is not granted to the user"),
    (PermissionNotGranted, Code::FailedPrecondition, "etcdserver: permission is not granted to the role"),
    (RootUserMissing, Code::FailedPrecondition, "etcdserver: root user does not exist"),
    (RootRoleMissing, Code::FailedPrecondition, "etcdserver: root user does not have root role"),
    (NoPasswordUser, Code::Unknown, "auth: authentication failed, password was given for no password user"),
    (VerifyOnly, Code::Unknown, "auth: token signing attempted with verify-only key"),
    (MemberExists, Code::FailedPrecondition, "etcdserver: member ID already exist"),
    (PeerUrlExists, Code::FailedPrecondition, "etcdserver: Peer URLs already exists"),
    (
        NotEnoughStarted,
        Code::FailedPrecondition,
        "etcdserver: re-configuration failed due to not enough started members",
    ),
    (BadMemberUrls, Code::InvalidArgument, "etcdserver: given member URLs are invalid"),
    (NotALearner, Code::FailedPrecondition, "etcdserver: can only promote a learner member"),
    (
        LearnerNotReady,
        Code::FailedPrecondition,
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    (TooManyLearners, Code::FailedPrecondition, "etcdserver: too many learner members in cluster"),
];

impl Refusal {
    /// The number in encoded replies, never 0.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The refusal with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Refusal> {
        CONTRACT.iter().map(|(refusal, ..)| *refusal).find(|refusal| refusal.number() == number)
    }

    /// The gRPC code.
    #[must_use]
    pub fn code(self) -> Code {
        self.entry().1
    }

    /// The exact text.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> &'static (Refusal, Code, &'static str) {
        // The table is in the order of the numbers, which start at 1: a test holds it to that.
        &CONTRACT[usize::from(self.number()) - 1]
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        Status::new(refusal.code(), refusal.text())
    }
}

/// What a client is told when the member could not answer.
///
/// "Definitely not applied" has texts of its own (`no leader`, `leader changed`, `too many requests`); whoever reads
/// `request timed out` must find out for himself whether his write happened.
pub(crate) fn refusal_of(failure: &Failure) -> Refusal {
    match failure {
        Failure::NotApplied(reason) => match reason {
            Reason::NoLeader => NoLeader,
            Reason::LeaderLost | Reason::StreamBroken => LeaderChanged,
            Reason::TimedOut { .. } => Unhealthy,
            Reason::Overloaded { .. } => TooManyRequests,
            Reason::TooLarge { .. } | Reason::ChangesTooMuch { .. } => RequestTooLarge,
            Reason::OverQuota { .. } => NoSpace,
            Reason::Diverged => Unhealthy,
            Reason::Stopping => Stopped,
            Reason::UnknownProtocol(_) => Unreadable,
        },
        Failure::Unknown(reason) => match reason {
            Reason::LeaderLost | Reason::NoLeader | Reason::StreamBroken => TimedOutLeaderFailed,
            Reason::Stopping => Stopped,
            _ => TimedOut,
        },
    }
}

/// The status a client is sent when the member could not answer.
pub(crate) fn status_of(failure: &Failure) -> Status {
    refusal_of(failure).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_numbers() {
        for (place, (refusal, ..)) in CONTRACT.iter().enumerate() {
            assert_eq!(usize::from(refusal.number()), place + 1, "{refusal:?}");
            assert_eq!(Refusal::from_number(refusal.number()), Some(*refusal));
        }
        assert_eq!(Refusal::from_number(0), None);
        assert_eq!(Refusal::from_number(u8::MAX), None);
    }

    #[test]
    fn texts_are_distinct_and_carry_the_prefix() {
        let texts: BTreeSet<&str> = CONTRACT.iter().map(|(.., text)| *text).collect();
        assert_eq!(texts.len(), CONTRACT.len());
        // Two come from below the real server's table of errors and are passed on as they are.
        assert!(texts.iter().all(|text| text.starts_with("etcdserver: ") || text.starts_with("auth: ")));
    }

    #[test]
    fn what_surely_did_not_happen_reads_differently_from_what_nobody_knows() {
        let not_applied = refusal_of(&Failure::NotApplied(Reason::LeaderLost));
        let unknown = refusal_of(&Failure::Unknown(Reason::LeaderLost));
        assert_eq!(not_applied.text(), "etcdserver: leader changed");
        assert_eq!(unknown.text(), "etcdserver: request timed out, possibly due to previous leader failure");
        assert_eq!(unknown.code(), Code::Unavailable);
    }
}
