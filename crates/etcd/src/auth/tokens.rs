//! How a client shows who it is: makes tokens, and reads them back.
//!
//! A *simple* token needs no table: it names the user, his generation and the time, sealed with the ensemble's secret,
//! which is a row. So every member can read the tokens of every other, no log-in writes to the log, and thousands of
//! clients that log in at once cost only their passwords. It lives as long as it is used: each member remembers when
//! it last saw the tokens in use there, and forgets them after their time.
//!
//! A *signed* token (`jwt`) is valid until its own expiry and says at which authentication revision it was made.
//!
//! Knows no connection. Time is handed in.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use ring::hmac;

use super::accounts::{Settings, StoredUser};
use super::jwt::{Claims, Jwt};
use super::permit::Caller;

/// Tokens whose last use is remembered. Beyond it, and if none of them is over, a token is not prolonged by its use.
const REMEMBERED_TOKENS: usize = 100_000;

/// Life of a signed token for which the setting names none.
const SIGNED_TTL: Duration = Duration::from_secs(300);

/// How tokens are made, as the setting says: `simple`, or `jwt,sign-method=…,priv-key=…,pub-key=…,ttl=…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenKind {
    /// Sealed with a secret of the ensemble's own, prolonged by use.
    #[default]
    Simple,
    /// Signed with the keys in these files.
    Signed {
        /// The method's name in the header of the token.
        method: String,
        /// The file with the public key.
        public_key: Option<String>,
        /// The file with the private key, or the shared secret.
        private_key: Option<String>,
        /// How long a token is valid.
        ttl: Duration,
    },
}

/// A setting for tokens that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kind of tokens {setting:?} {problem}")]
pub struct TokenError {
    setting: String,
    problem: String,
}

impl TokenKind {
    /// Reads the setting as etcd's `--auth-token` spells it.
    ///
    /// # Errors
    /// [`TokenError`] with what is wrong.
    pub fn parse(setting: &str) -> Result<TokenKind, TokenError> {
        let refuse = |problem: String| TokenError { setting: setting.to_owned(), problem };
        let mut parts = setting.split(',');
        let kind = parts.next().unwrap_or_default();
        let mut values = BTreeMap::new();
        for part in parts {
            let (name, value) =
                part.split_once('=').ok_or_else(|| refuse(format!("has the part {part:?}, which is no name=value")))?;
            if values.insert(name, value).is_some() {
                return Err(refuse(format!("says {name} twice")));
            }
        }
        match kind {
            "simple" => Ok(TokenKind::Simple),
            "jwt" => {
                let method = values.get("sign-method").ok_or_else(|| refuse("names no sign-method".to_owned()))?;
                let ttl = match values.get("ttl") {
                    Some(text) => duration(text)
                        .ok_or_else(|| refuse(format!("has the ttl {text:?}; spans look like 90s, 5m or 1h30m")))?,
                    None => SIGNED_TTL,
                };
                let path = |name| values.get(name).map(|path: &&str| (*path).to_owned());
                Ok(TokenKind::Signed {
                    method: (*method).to_owned(),
                    public_key: path("pub-key"),
                    private_key: path("priv-key"),
                    ttl,
                })
            }
            _ => Err(refuse("is unknown; known are simple and jwt".to_owned())),
        }
    }
}

/// A span as Go spells it: numbers with the units h, m, s and ms.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let milliseconds = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        let number: u64 = number.parse().ok()?;
        total = total.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = behind;
    }
    (!total.is_zero()).then_some(total)
}

/// Makes tokens and reads them.
pub(crate) struct Tokens {
    kind: Kind,
}

enum Kind {
    Simple { ttl_seconds: u64, used: Mutex<BTreeMap<Vec<u8>, u64>> },
    Signed(Box<Jwt>),
}

/// What a simple token says.
#[derive(Clone, PartialEq, Message)]
struct Sealed {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(uint64, tag = "2")]
    generation: u64,
    #[prost(uint64, tag = "3")]
    made_seconds: u64,
    /// Makes two tokens of one second differ.
    #[prost(fixed64, tag = "4")]
    salt: u64,
}

impl Tokens {
    /// Tokens of this kind. `ttl` is the life of simple tokens.
    ///
    /// # Errors
    /// A file with a key cannot be read, or does not hold one.
    pub(crate) fn new(setting: &TokenKind, ttl: Duration) -> Result<Tokens, TokenError> {
        let TokenKind::Signed { method, public_key, private_key, ttl: signed_ttl } = setting else {
            let ttl_seconds = ttl.as_secs().max(1);
            return Ok(Tokens { kind: Kind::Simple { ttl_seconds, used: Mutex::default() } });
        };
        let refuse = |problem: String| TokenError { setting: format!("jwt with {method}"), problem };
        let read = |path: &Option<String>| {
            let read = |path: &String| {
                std::fs::read(Path::new(path))
                    .map_err(|error| refuse(format!("names {path}, which cannot be read: {error}")))
            };
            path.as_ref().map(read).transpose()
        };
        let (public, private) = (read(public_key)?, read(private_key)?);
        let jwt = Jwt::new(method, public.as_deref(), private.as_deref(), signed_ttl.as_secs()).map_err(refuse)?;
        Ok(Tokens { kind: Kind::Signed(Box::new(jwt)) })
    }

    /// A token for a user whose password was right; `None` if tokens can only be read here.
    pub(crate) fn make(
        &self,
        settings: &Settings,
        name: &str,
        user: &StoredUser,
        now_seconds: u64,
        salt: u64,
    ) -> Option<String> {
        match &self.kind {
            Kind::Simple { .. } => {
                let sealed =
                    Sealed { user: name.to_owned(), generation: user.generation, made_seconds: now_seconds, salt };
                let body = sealed.encode_to_vec();
                let seal = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &settings.secret), &body);
                Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(&body), URL_SAFE_NO_PAD.encode(seal)))
            }
            Kind::Signed(jwt) => jwt.sign(&Claims { user: name.to_owned(), revision: settings.revision }, now_seconds),
        }
    }

    /// Who shows this token; `None` if it is not valid, or not any more. Whether the user still exists and his password
    /// still is the same is looked up where his request is answered.
    pub(crate) fn read(&self, settings: &Settings, token: &str, now_seconds: u64) -> Option<Caller> {
        match &self.kind {
            Kind::Simple { ttl_seconds, used } => {
                let (body, seal) = token.split_once('.')?;
                let (body, seal) = (URL_SAFE_NO_PAD.decode(body).ok()?, URL_SAFE_NO_PAD.decode(seal).ok()?);
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &settings.secret), &body, &seal).ok()?;
                let sealed = Sealed::decode(body.as_slice()).ok()?;
                let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
                let last = used.get(&seal).copied().unwrap_or(0).max(sealed.made_seconds);
                if now_seconds > last.saturating_add(*ttl_seconds) {
                    used.remove(&seal);
                    return None;
                }
                if used.len() >= REMEMBERED_TOKENS {
                    used.retain(|_, last| now_seconds <= last.saturating_add(*ttl_seconds));
                }
                if used.len() < REMEMBERED_TOKENS {
                    used.insert(seal, now_seconds);
                }
                Some(Caller { user: sealed.user, generation: sealed.generation, revision: 0 })
            }
            Kind::Signed(jwt) => {
                let Claims { user, revision } = jwt.verify(token, now_seconds)?;
                Some(Caller { user, generation: 0, revision })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(secret: &[u8]) -> Settings {
        Settings { enabled: true, revision: 5, secret: secret.to_vec() }
    }

    #[test]
    fn a_simple_token_lives_as_long_as_it_is_used() {
        let tokens = Tokens::new(&TokenKind::Simple, Duration::from_secs(10)).unwrap();
        let user = StoredUser { generation: 4, ..StoredUser::default() };
        let token = tokens.make(&settings(b"one"), "alice", &user, 100, 1).unwrap();
        let expected = Some(Caller { user: "alice".to_owned(), generation: 4, revision: 0 });
        assert_eq!(tokens.read(&settings(b"one"), &token, 110), expected);
        assert_eq!(tokens.read(&settings(b"one"), &token, 120), expected, "it was used in time");
        assert_eq!(tokens.read(&settings(b"one"), &token, 131), None);
        let other = Tokens::new(&TokenKind::Simple, Duration::from_secs(10)).unwrap();
        assert_eq!(other.read(&settings(b"one"), &token, 105), expected, "any member can read it");
        assert_eq!(other.read(&settings(b"two"), &token, 105), None, "authentication was enabled anew since");
        for garbage in ["", ".", "a.b", &token[1..], &token[..token.len() - 1]] {
            assert_eq!(other.read(&settings(b"one"), garbage, 100), None);
        }
        assert_ne!(tokens.make(&settings(b"one"), "alice", &user, 100, 2).unwrap(), token);
    }

    #[test]
    fn the_setting_is_read_as_etcd_spells_it() {
        assert_eq!(TokenKind::parse("simple"), Ok(TokenKind::Simple));
        let signed = TokenKind::parse("jwt,pub-key=a.pub,priv-key=a.key,sign-method=RS256,ttl=1h30m").unwrap();
        let expected = TokenKind::Signed {
            method: "RS256".to_owned(),
            public_key: Some("a.pub".to_owned()),
            private_key: Some("a.key".to_owned()),
            ttl: Duration::from_secs(5400),
        };
        assert_eq!(signed, expected);
        for (setting, problem) in [
            ("magic", "known are simple and jwt"),
            ("jwt", "names no sign-method"),
            ("jwt,sign-method", "no name=value"),
            ("jwt,ttl=1s,ttl=2s", "says ttl twice"),
            ("jwt,sign-method=RS256,ttl=5", "spans look like"),
        ] {
            let error = TokenKind::parse(setting).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        let missing = TokenKind::parse("jwt,sign-method=HS256,priv-key=/nowhere/key").unwrap();
        let error = Tokens::new(&missing, Duration::ZERO).err().unwrap().to_string();
        assert!(error.contains("/nowhere/key"), "{error}");
    }
}
