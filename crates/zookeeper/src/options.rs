//! What can be set. Every bound of the front end has its knob here, with the name that errors and logs mention.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What the leader decides by: must be the same on all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether nodes may have a time to live (`extendedTypesEnabled` of the real server). On by default.
    pub extended_types: bool,
    /// Whether what goes beyond a hard quota is refused (`enforceQuota`). Off by default, as in the real server.
    pub enforce_quotas: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { extended_types: true, enforce_quotas: false }
    }
}

/// What one member's front end goes by.
#[derive(Clone, Debug)]
pub struct Options {
    /// The unit of the session bounds and of `tickTime` in reports. 2 s by default.
    pub tick: Duration,
    /// The shortest session timeout a client can get; two ticks if not set.
    pub session_timeout_min: Option<Duration>,
    /// The longest session timeout a client can get; twenty ticks if not set.
    pub session_timeout_max: Option<Duration>,
    /// Bytes of one request (`jute.maxbuffer`). A client that announces more is disconnected. 1,048,575 by default.
    pub packet_limit: usize,
    /// Connections from one address, 0 for any number (`maxClientCnxns`). More are closed at once. 60 by default.
    pub connections_per_address: usize,
    /// Connections in all, 0 for any number (`maxCnxns`). More are closed at once. 0 by default.
    pub connections: usize,
    /// Requests of one connection that wait for their answers. At the bound the connection is not read on. 1000 by
    /// default.
    pub outstanding_requests: usize,
    /// Bytes of those requests. At the bound the connection is not read on. 4 MiB by default; one request of any
    /// allowed size always fits.
    pub outstanding_bytes: usize,
    /// Bytes of answers that wait for one slow client. At the bound nothing more is done for it until it reads.
    /// 4 MiB by default; an answer larger than that still goes out whole.
    pub output_bytes: usize,
    /// How long a connection may take to send its first request. 10 s by default.
    pub handshake_timeout: Duration,
    /// How long connections are kept when no leader can be reached. Then they are closed, so that clients try
    /// another member. 10 s by default.
    pub leaderless_patience: Duration,
    /// How often the leader looks for containers that emptied and nodes whose time to live is over
    /// (`znode.container.checkIntervalMs`). 60 s by default.
    pub container_check: Duration,
    /// The four-letter words that are answered (`4lw.commands.whitelist`). All by default.
    pub words: BTreeSet<String>,
    /// `user:hash` of who may do anything (`DigestAuthenticationProvider.superDigest`). Nobody by default.
    pub super_digest: Option<String>,
    /// The subject of a client's certificate who may do anything (`X509AuthenticationProvider.superUser`). Nobody by
    /// default.
    pub super_x509: Option<String>,
    /// The user who may do anything once proven by SASL (`superUser`). Nobody by default.
    pub super_sasl: Option<String>,
    /// Passwords of those who may prove themselves by SASL's DIGEST-MD5, by user (a `Server` section of JAAS). Without
    /// any, SASL is not spoken. Nobody by default.
    pub sasl_users: BTreeMap<String, String>,
    /// Whether every read first makes sure that it sees all that was written before it was asked, wherever that was.
    /// Costs a round among the members, shared by all reads of the moment. Off by default, as in the real server.
    pub linearizable_reads: bool,
    /// Whether clients may change the membership (`reconfigEnabled`), if the access list of `/zookeeper/config` lets
    /// them: at first, only `super`. Off by default, as in the real server.
    pub reconfig: bool,
    /// Bytes of one answer that lists children. Larger ones are refused (MarshallingError) and logged: clients take a
    /// larger frame for a broken connection, come back, and ask again. As `packet_limit` if not set.
    pub list_bytes: Option<usize>,
    /// Encrypts connections: those of a port of its own, and with `tls_on_plain_port` on the plain port as well.
    pub tls: Option<Arc<tls::Acceptor>>,
    /// Whether the plain port takes encrypted connections, too (`client.portUnification`). Off by default.
    pub tls_on_plain_port: bool,
    /// Where the member keeps its data, for reports only (`dataDir`).
    pub data_folder: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            tick: Duration::from_secs(2),
            session_timeout_min: None,
            session_timeout_max: None,
            packet_limit: 0xf_ffff,
            connections_per_address: 60,
            connections: 0,
            outstanding_requests: 1000,
            outstanding_bytes: 4 * 1024 * 1024,
            output_bytes: 4 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(10),
            leaderless_patience: Duration::from_secs(10),
            container_check: Duration::from_secs(60),
            words: crate::serve::WORDS.iter().map(|&word| word.to_owned()).collect(),
            super_digest: None,
            super_x509: None,
            super_sasl: None,
            sasl_users: BTreeMap::new(),
            linearizable_reads: false,
            reconfig: false,
            list_bytes: None,
            tls: None,
            tls_on_plain_port: false,
            data_folder: String::new(),
        }
    }
}

impl Options {
    /// The shortest and the longest session timeout, in milliseconds.
    #[must_use]
    pub fn session_bounds(&self) -> (u32, u32) {
        let milliseconds = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(i32::MAX.cast_unsigned());
        let shortest = milliseconds(self.session_timeout_min.unwrap_or(self.tick * 2));
        let longest = milliseconds(self.session_timeout_max.unwrap_or(self.tick * 20));
        (shortest, longest.max(shortest))
    }

    /// The session timeout a client gets that wants `wanted` milliseconds.
    pub(crate) fn negotiate(&self, wanted: i32) -> u32 {
        let (shortest, longest) = self.session_bounds();
        u32::try_from(wanted).unwrap_or(0).clamp(shortest, longest)
    }
}
