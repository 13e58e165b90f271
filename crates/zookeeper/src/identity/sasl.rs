//! The server's side of SASL's DIGEST-MD5 (RFC 2831), as far as clients of this protocol use it: one realm, no layer of
//! protection, no second authentication by an older challenge. It knows users and texts, no connection.

use std::collections::BTreeMap;

use super::md5::{hex, md5};
use crate::wire::Identity;

/// The scheme of those who proved by SASL who they are.
pub(crate) const SASL: &str = "sasl";

/// Clients take this for the server's name, and hash it in.
const REALM: &str = "zk-sasl-md5";

/// The longest answer that is looked at.
const ANSWER_BYTES_MAX: usize = 4096;

/// One client's way through the exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    nonce: String,
    is_challenged: bool,
}

/// What to tell the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It must answer this.
    Challenge(Vec<u8>),
    /// It is who it says; this proves that the server knows its password as well.
    Proven(Identity, Vec<u8>),
    /// It is not.
    Refused(&'static str),
}

impl Exchange {
    /// A new exchange. The nonce must be one that nobody can foretell.
    pub(crate) fn new(nonce: String) -> Exchange {
        Exchange { nonce, is_challenged: false }
    }

    /// What to say to a client's token. An empty one asks for the challenge.
    pub(crate) fn step(&mut self, users: &BTreeMap<String, String>, token: &[u8]) -> Step {
        if !self.is_challenged {
            self.is_challenged = true;
            let nonce = &self.nonce;
            let challenge =
                format!("realm=\"{REALM}\",nonce=\"{nonce}\",charset=utf-8,qop=\"auth\",algorithm=md5-sess");
            return Step::Challenge(challenge.into_bytes());
        }
        if token.len() > ANSWER_BYTES_MAX {
            return Step::Refused("the answer is too long");
        }
        let Some(answer) = std::str::from_utf8(token).ok().and_then(parse) else {
            return Step::Refused("the answer is no list of names and values");
        };
        self.verify(users, &answer)
    }

    fn verify(&self, users: &BTreeMap<String, String>, answer: &BTreeMap<String, String>) -> Step {
        let part = |name: &str| answer.get(name).map_or("", String::as_str);
        if part("nonce") != self.nonce || part("nc") != "00000001" {
            return Step::Refused("the answer is to another challenge");
        }
        if !matches!(part("qop"), "" | "auth") || part("realm") != REALM {
            return Step::Refused("the answer wants another realm or protection");
        }
        let user = part("username");
        let Some(password) = users.get(user) else { return Step::Refused("there is no such user") };
        let secret = md5(format!("{user}:{REALM}:{password}").as_bytes());
        let mut first = secret.to_vec();
        first.extend_from_slice(format!(":{}:{}", self.nonce, part("cnonce")).as_bytes());
        if !part("authzid").is_empty() {
            first.extend_from_slice(format!(":{}", part("authzid")).as_bytes());
        }
        let first = hex(md5(&first));
        let expected = |method: &str| {
            let second = hex(md5(format!("{method}:{}", part("digest-uri")).as_bytes()));
            hex(md5(format!("{first}:{}:00000001:{}:auth:{second}", self.nonce, part("cnonce")).as_bytes()))
        };
        if part("response") != expected("AUTHENTICATE") {
            return Step::Refused("the password is wrong");
        }
        // Nobody may act in another's name.
        if !part("authzid").is_empty() && part("authzid") != user {
            return Step::Refused("the answer asks to act for another user");
        }
        Step::Proven(Identity::new(SASL, user), format!("rspauth={}", expected("")).into_bytes())
    }
}

/// The names and values of an answer: `name=value,name="value, with \" anything"`.
fn parse(text: &str) -> Option<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        values.insert(name.trim().to_owned(), value);
        rest = after.trim_start().strip_prefix(',').unwrap_or(after).trim_start();
        if rest == after && !rest.is_empty() {
            return None;
        }
    }
    Some(values)
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> BTreeMap<String, String> {
        BTreeMap::from([("bob".to_owned(), "secret".to_owned())])
    }

    /// What a client answers who knows this password.
    fn answer(nonce: &str, user: &str, password: &str) -> String {
        let secret = md5(format!("{user}:{REALM}:{password}").as_bytes());
        let first = hex(md5(&[&secret[..], format!(":{nonce}:cn").as_bytes()].concat()));
        let second = hex(md5(format!("AUTHENTICATE:zookeeper/{REALM}").as_bytes()));
        let response = hex(md5(format!("{first}:{nonce}:00000001:cn:auth:{second}").as_bytes()));
        format!(
            "charset=utf-8,username=\"{user}\",realm=\"{REALM}\",nonce=\"{nonce}\",nc=00000001,cnonce=\"cn\",\
             digest-uri=\"zookeeper/{REALM}\",maxbuf=65536,response={response},qop=auth"
        )
    }

    fn outcome(answer: &str) -> Step {
        let mut exchange = Exchange::new("n0".to_owned());
        assert!(matches!(exchange.step(&users(), b""), Step::Challenge(_)));
        exchange.step(&users(), answer.as_bytes())
    }

    #[test]
    fn who_knows_the_password_is_proven() {
        let Step::Proven(identity, proof) = outcome(&answer("n0", "bob", "secret")) else { panic!("not proven") };
        assert_eq!(identity, Identity::new(SASL, "bob"));
        assert!(proof.starts_with(b"rspauth="));
    }

    #[test]
    fn everybody_else_is_refused() {
        for wrong in [
            answer("n0", "bob", "guess"),
            answer("n0", "eve", "secret"),
            answer("other", "bob", "secret"),
            answer("n0", "bob", "secret").replace("nc=00000001", "nc=00000002"),
            answer("n0", "bob", "secret").replace("qop=auth", "qop=auth-conf"),
            "username=\"bob".to_owned(),
            String::new(),
            "=,=,=".to_owned(),
            "x".repeat(5000),
        ] {
            assert!(matches!(outcome(&wrong), Step::Refused(_)), "{wrong}");
        }
    }

    #[test]
    fn quoted_values_hold_anything() {
        let parsed = parse("a=1, b=\"x,\\\"y\\\\\" ,c=").unwrap();
        let expected = [("a", "1"), ("b", "x,\"y\\"), ("c", "")];
        assert_eq!(parsed, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
