//! What becomes of ZooKeeper's files. Every translation is read as a member would read it.

use std::path::Path;

use super::{KEYS, Translation, from_zoo_cfg};
use crate::config::{self, Configuration};

fn check(text: &str, own: Option<u64>) -> (Configuration, String) {
    let translated = from_zoo_cfg(text, own);
    let loaded =
        config::parse(Path::new("m1.toml"), &translated).unwrap_or_else(|refused| panic!("{refused}\n{translated}"));
    (loaded.configuration, translated)
}

#[test]
fn an_ensemble_keeps_its_hosts_ports_and_limits() {
    let text = "\
        # a comment\n\
        tickTime=3000\ndataDir=/var/lib/zookeeper/\nclientPort=2182\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=7\n\
        minSessionTimeout=-1\nzookeeper.jute.maxbuffer=0x3fffff\n4lw.commands.whitelist=ruok, mntr\n\
        zookeeper.enforceQuota=true\nautopurge.purgeInterval=1\n\
        server.1=one.example:2888:3888\nserver.2=two.example:2889:3889:participant;2183\n\
        server.3=three.example:2888:3888:observer;0.0.0.0:2184\nmysterious.key=x\n";
    let (configuration, translated) = check(text, Some(2));
    assert_eq!(configuration.member, "m2");
    assert_eq!(configuration.data, "/var/lib/zookeeper/conclave");
    let addresses: Vec<(&str, &str)> = configuration
        .members
        .iter()
        .map(|member| (member.addresses.peer.as_str(), member.addresses.zookeeper.as_str()))
        .collect();
    let expected = [
        ("one.example:2888", "one.example:2182"),
        ("two.example:2889", "two.example:2183"),
        ("three.example:2888", "three.example:2184"),
    ];
    assert_eq!(addresses, expected);
    let options = &configuration.zookeeper;
    assert_eq!(options.session_bounds(), (6000, 60_000));
    assert_eq!((options.connections_per_address, options.packet_limit), (7, 0x3f_ffff));
    assert_eq!(options.words.iter().collect::<Vec<_>>(), ["mntr", "ruok"]);
    assert!(configuration.zookeeper_rules.enforce_quotas);
    for named in ["initLimit=10: no counterpart", "mysterious.key=x: no counterpart", "server.3 is an observer"] {
        assert!(translated.contains(named), "{named} is missing in\n{translated}");
    }
}

#[test]
fn a_server_alone_becomes_an_ensemble_of_one() {
    let (configuration, _) = check("dataDir=data\nclientPort=2181\n", None);
    assert_eq!((configuration.member.as_str(), configuration.members.len()), ("m1", 1));
}

#[test]
fn encryption_is_taken_over_from_files_in_pem() {
    let text = "dataDir=d\nsecureClientPort=2281\nssl.keyStore.location=/k.pem\nssl.trustStore.location=/t.pem\nssl.clientAuth=want\n";
    let (configuration, _) = check(text, None);
    let settings = configuration.zookeeper_tls.settings(Path::new("/")).unwrap();
    assert_eq!((settings.certificate, settings.clients), ("/k.pem".into(), tls::ClientCertificates::Optional));
    assert_eq!(configuration.zookeeper_tls.listen.as_deref(), Some("0.0.0.0:2281"));
    let (_, translated) = check("dataDir=d\nssl.keyStore.location=/k.jks\n", None);
    assert!(translated.contains("# ssl.keyStore.location=/k.jks: convert it to PEM"), "{translated}");
}

#[test]
fn every_key_of_theirs_with_a_counterpart_leads_to_one_of_ours() {
    for (name, translation) in KEYS {
        let value = match translation {
            Translation::Milliseconds(_) | Translation::Count(_) => "1000",
            Translation::Bytes(_) => "1048576",
            Translation::Flag(_) => "false",
            Translation::Text("zookeeper.words") => "*",
            Translation::Text(_) => "text",
            // Its certificate and key are read only at the start.
            Translation::Pem(_) => "/k.pem",
            Translation::Elsewhere | Translation::None(_) => continue,
        };
        check(&format!("dataDir=d\n{name}={value}\n"), None);
    }
}
