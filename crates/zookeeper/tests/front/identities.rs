//! SASL on the wire: a challenge, a refusal that leaves the client who it was, and no answer at all without users.

use std::collections::BTreeMap;

use conclave_zookeeper::Options;

use crate::client::{CREATE, Member, SASL, WHO_AM_I, buffer, create};

#[tokio::test]
async fn a_wrong_answer_to_the_challenge_changes_nothing() {
    let sasl_users = BTreeMap::from([("bob".to_owned(), "secret".to_owned())]);
    let member = Member::start(Options { sasl_users, ..Options::default() }).await;
    let mut client = member.client(4000).await;
    let challenge = client.call(SASL, &buffer(b"")).await;
    let text = String::from_utf8_lossy(&challenge.body[4..]).into_owned();
    assert!(challenge.code == 0 && text.contains("realm=\"zk-sasl-md5\"") && text.contains("nonce=\""), "{text}");
    let refused = client.call(SASL, &buffer(b"username=\"bob\",realm=\"zk-sasl-md5\",response=guessed")).await;
    assert_eq!((refused.code, &refused.body[..]), (0, &(-1_i32).to_be_bytes()[..]), "no token: not proven");
    let told = client.call(WHO_AM_I, &[]).await.body;
    assert_eq!(told[..4], 1_i32.to_be_bytes(), "its address is all that is known of it");
    assert_eq!(client.call(CREATE, &create("/n", 0)).await.code, 0, "the connection goes on");
    // A new exchange begins with a new challenge.
    let again = client.call(SASL, &buffer(b"")).await;
    assert_ne!(again.body, challenge.body);
}

#[tokio::test]
async fn without_users_sasl_is_not_spoken() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    assert_eq!(client.call(SASL, &buffer(b"")).await.code, -6);
    assert_eq!(client.next().await, None);
}
