//! The keys of the ZooKeeper front end.

use super::{Configuration, GIB, KIB, Key, Kind, MIB, Number, Presence, key, milliseconds, seconds};

pub(super) const KEYS: &[Key<Configuration>] = &[
    key(
        "zookeeper.tick",
        Kind::Time(|c| &mut c.zookeeper.tick, milliseconds(10), seconds(60)),
        Presence::Default,
        "The unit of the bounds of session timeouts.",
    ),
    key(
        "zookeeper.session_timeout_min",
        Kind::OptionalTime(|c| &mut c.zookeeper.session_timeout_min, milliseconds(20), seconds(3600), "two ticks"),
        Presence::Default,
        "The shortest session timeout that a client can get.",
    ),
    key(
        "zookeeper.session_timeout_max",
        Kind::OptionalTime(|c| &mut c.zookeeper.session_timeout_max, milliseconds(20), seconds(86_400), "twenty ticks"),
        Presence::Default,
        "The longest session timeout that a client can get.",
    ),
    key(
        "zookeeper.packet_limit",
        Kind::Bytes(Number::Word(|c| &mut c.zookeeper.packet_limit), KIB, 64 * MIB),
        Presence::Default,
        "Bytes of one request (ZooKeeper's `jute.maxbuffer`). A client that announces more is disconnected.",
    ),
    key(
        "zookeeper.connections_per_address",
        Kind::Count(Number::Word(|c| &mut c.zookeeper.connections_per_address), 0, 1_000_000),
        Presence::Default,
        "Connections from one address (`maxClientCnxns`), 0 for any number. More are closed at once.",
    ),
    key(
        "zookeeper.connections",
        Kind::Count(Number::Word(|c| &mut c.zookeeper.connections), 0, 10_000_000),
        Presence::Default,
        "Connections in all (`maxCnxns`), 0 for any number. More are closed at once.",
    ),
    key(
        "zookeeper.outstanding_requests",
        Kind::Count(Number::Word(|c| &mut c.zookeeper.outstanding_requests), 1, 1_000_000),
        Presence::Default,
        "Requests of one connection that wait for their answers. At the bound nothing more is read from it.",
    ),
    key(
        "zookeeper.output_bytes",
        Kind::Bytes(Number::Word(|c| &mut c.zookeeper.output_bytes), 64 * KIB, GIB),
        Presence::Default,
        "Bytes of answers that wait for one slow client. At the bound nothing more is done for it until it reads.",
    ),
    key(
        "zookeeper.handshake_timeout",
        Kind::Time(|c| &mut c.zookeeper.handshake_timeout, milliseconds(100), seconds(600)),
        Presence::Default,
        "How long a connection may take to send its first request. Then it is closed.",
    ),
    key(
        "zookeeper.leaderless_patience",
        Kind::Time(|c| &mut c.zookeeper.leaderless_patience, milliseconds(100), seconds(600)),
        Presence::Default,
        "How long connections are kept when no leader can be reached. Then they are closed, so that clients try another member.",
    ),
    key(
        "zookeeper.container_check",
        Kind::Time(|c| &mut c.zookeeper.container_check, milliseconds(10), seconds(86_400)),
        Presence::Default,
        "How often the leader deletes containers that emptied and nodes whose time to live is over (`znode.container.checkIntervalMs`).",
    ),
    key(
        "zookeeper.super_digest",
        Kind::OptionalText(|c| &mut c.zookeeper.super_digest),
        Presence::Default,
        "`user:hash` of who may do anything (`DigestAuthenticationProvider.superDigest`).",
    ),
    key(
        "zookeeper.list_bytes",
        Kind::OptionalBytes(|c| &mut c.zookeeper.list_bytes, KIB, GIB, "as packet_limit"),
        Presence::Default,
        "Bytes of an answer that lists children. A larger one is refused and logged: clients would take it for a broken connection.",
    ),
    key(
        "zookeeper.words",
        Kind::Words(|c| &mut c.zookeeper.words, &::zookeeper::WORDS),
        Presence::Default,
        "The four-letter words that are answered (`4lw.commands.whitelist`), separated by commas; `*` for all.",
    ),
    key(
        "zookeeper.linearizable_reads",
        Kind::Flag(|c| &mut c.zookeeper.linearizable_reads),
        Presence::Default,
        "Whether reads through this member see all that was written before they were asked, as if each followed a `sync`.",
    ),
    key(
        "zookeeper.reconfig",
        Kind::Flag(|c| &mut c.zookeeper.reconfig),
        Presence::Default,
        "Whether clients may change the membership (`reconfigEnabled`), if the access list of `/zookeeper/config` lets them: at first only who is `super`.",
    ),
    key(
        "zookeeper.extended_types",
        Kind::Flag(|c| &mut c.zookeeper_rules.extended_types),
        Presence::Default,
        "Whether nodes may have a time to live (`extendedTypesEnabled`). The same on all members.",
    ),
    key(
        "zookeeper.enforce_quotas",
        Kind::Flag(|c| &mut c.zookeeper_rules.enforce_quotas),
        Presence::Default,
        "Whether what goes beyond a hard quota is refused (`enforceQuota`). The same on all members.",
    ),
    key(
        "zookeeper.super_x509",
        Kind::OptionalText(|c| &mut c.zookeeper.super_x509),
        Presence::Default,
        "The subject of a client's certificate who may do anything (`X509AuthenticationProvider.superUser`).",
    ),
    key(
        "zookeeper.super_sasl",
        Kind::OptionalText(|c| &mut c.zookeeper.super_sasl),
        Presence::Default,
        "The user who may do anything once proven by SASL (`superUser`).",
    ),
    key(
        "zookeeper.sasl_users",
        Kind::OptionalText(|c| &mut c.zookeeper_sasl_users),
        Presence::Default,
        "A file with a line `user:password` for each who may prove themselves by SASL's DIGEST-MD5.",
    ),
    key(
        "zookeeper.tls_listen",
        Kind::OptionalText(|c| &mut c.zookeeper_tls.listen),
        Presence::Default,
        "`host:port` of a port for encrypted connections alone (`secureClientPort`).",
    ),
    key(
        "zookeeper.tls_on_plain_port",
        Kind::Flag(|c| &mut c.zookeeper.tls_on_plain_port),
        Presence::Default,
        "Whether the plain port takes encrypted connections, too (`client.portUnification`).",
    ),
    key(
        "zookeeper.tls_certificate",
        Kind::OptionalText(|c| &mut c.zookeeper_tls.certificate),
        Presence::Default,
        "The server's certificate and those up to its authority, in PEM (`ssl.keyStore.location`). Taken up again when it changes.",
    ),
    key(
        "zookeeper.tls_key",
        Kind::OptionalText(|c| &mut c.zookeeper_tls.key),
        Presence::Default,
        "The private key of the certificate, in PEM.",
    ),
    key(
        "zookeeper.tls_client_authorities",
        Kind::OptionalText(|c| &mut c.zookeeper_tls.client_authorities),
        Presence::Default,
        "The authorities whose clients are trusted, in PEM (`ssl.trustStore.location`). Without it, clients are not asked for certificates.",
    ),
    key(
        "zookeeper.tls_client_optional",
        Kind::Flag(|c| &mut c.zookeeper_tls.client_optional),
        Presence::Default,
        "Whether clients may come without a certificate (`ssl.clientAuth=want`) where authorities are named.",
    ),
];
