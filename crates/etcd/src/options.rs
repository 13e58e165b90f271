//! The settings of the etcd room: every limit, its default, and what happens when it is reached. Knows nothing of
//! configuration files.

use std::time::Duration;

/// Limits and intervals. Each has the default of etcd itself where etcd has the setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Largest request in bytes, as encoded by the client. Larger ones are refused with `request is too large`.
    pub max_request_bytes: usize,
    /// Most comparisons, or operations of one branch, in a transaction; a nested one has what its parents left.
    /// More are refused with `too many operations in txn request`.
    pub max_txn_operations: usize,
    /// Most watches on one stream; a further one is cancelled with the limit as its reason.
    pub max_watches_per_stream: usize,
    /// Most concurrent calls and streams on one connection; HTTP/2 makes a client wait for a free one.
    pub max_streams_per_connection: u32,
    /// Most events that one watch response gathers while a watch catches up with history. One revision is never torn:
    /// a revision with more events is one response all the same.
    pub watch_batch_events: usize,
    /// Bytes of keys and values after which such a response is closed, likewise at the end of a revision.
    pub watch_batch_bytes: usize,
    /// How often a watch that asked for it and heard nothing is told how far the stream is.
    pub watch_progress_interval: Duration,
    /// Shortest time to live in seconds; a shorter wish is raised to it.
    pub lease_min_ttl_seconds: i64,
    /// How long a stream that insists on a leader outlives the loss of it.
    pub leaderless_grace: Duration,
    /// Ranges that visit more keys than this are read on a thread of their own, so that no small request waits.
    pub range_inline_keys: usize,
    /// The file with the server's certificate; without it connections are not encrypted.
    pub tls_certificate: Option<String>,
    /// The file with its private key.
    pub tls_key: Option<String>,
    /// The file with the authorities whose clients are trusted. If it is named, clients must show a certificate, and
    /// its common name is their user where they show no token.
    pub tls_client_authorities: Option<String>,
    /// How clients show who they are once authentication is enabled, as [`crate::TokenKind::parse`] reads it.
    pub tokens: String,
    /// How long a simple token lives after its last use.
    pub token_ttl: Duration,
    /// What hashing a password costs: bcrypt's exponent, each step doubles the work.
    pub bcrypt_cost: u32,
    /// Passwords that are hashed or checked at a time, each on a thread.
    pub login_threads: usize,
    /// Passwords that may wait for such a thread. More are refused with `too many requests`.
    pub logins_waiting: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_request_bytes: 1_572_864,
            max_txn_operations: 128,
            max_watches_per_stream: 100_000,
            max_streams_per_connection: 100_000,
            watch_batch_events: 1000,
            watch_batch_bytes: 1024 * 1024,
            watch_progress_interval: Duration::from_secs(600),
            lease_min_ttl_seconds: 2,
            leaderless_grace: Duration::from_secs(3),
            range_inline_keys: 1000,
            tls_certificate: None,
            tls_key: None,
            tls_client_authorities: None,
            tokens: "simple".to_owned(),
            token_ttl: Duration::from_secs(300),
            bcrypt_cost: 10,
            login_threads: 2,
            logins_waiting: 1000,
        }
    }
}
