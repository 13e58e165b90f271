//! Signed tokens (RFC 7519) as etcd makes and reads them: the claims `username`, `revision` and `exp`, under one method
//! and one key for the whole ensemble. Knows no user and no request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{hmac, signature};
use serde_json::{Value, json};

use super::der;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) user: String,
    /// The authentication revision at which it was made.
    pub(super) revision: u64,
}

/// Makes and reads the tokens of one method and key.
pub(super) struct Jwt {
    method: &'static str,
    signer: Option<Signer>,
    verifier: Verifier,
    ttl_seconds: u64,
    random: SystemRandom,
}

enum Signer {
    Shared(hmac::Key),
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Elliptic(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

enum Verifier {
    Shared(hmac::Key),
    Public(UnparsedPublicKey<Vec<u8>>),
}

/// The kinds of signature.
#[derive(Clone, Copy)]
enum Family {
    Shared(hmac::Algorithm),
    Rsa(&'static dyn RsaEncoding, &'static dyn VerificationAlgorithm),
    Elliptic(&'static EcdsaSigningAlgorithm, &'static dyn VerificationAlgorithm),
    Edwards,
}

fn families() -> [(&'static str, Family); 12] {
    [
        ("HS256", Family::Shared(hmac::HMAC_SHA256)),
        ("HS384", Family::Shared(hmac::HMAC_SHA384)),
        ("HS512", Family::Shared(hmac::HMAC_SHA512)),
        ("RS256", Family::Rsa(&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256)),
        ("RS384", Family::Rsa(&RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384)),
        ("RS512", Family::Rsa(&RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512)),
        ("PS256", Family::Rsa(&RSA_PSS_SHA256, &RSA_PSS_2048_8192_SHA256)),
        ("PS384", Family::Rsa(&RSA_PSS_SHA384, &RSA_PSS_2048_8192_SHA384)),
        ("PS512", Family::Rsa(&RSA_PSS_SHA512, &RSA_PSS_2048_8192_SHA512)),
        ("ES256", Family::Elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_FIXED)),
        ("ES384", Family::Elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_FIXED)),
        ("EdDSA", Family::Edwards),
    ]
}

impl Jwt {
    /// A method by its name, and the contents of the files with the keys. Without a private key tokens can only be
    /// read.
    ///
    /// # Errors
    /// What is wrong, as a clause about the setting.
    pub(super) fn new(
        method: &str,
        public: Option<&[u8]>,
        private: Option<&[u8]>,
        ttl_seconds: u64,
    ) -> Result<Jwt, String> {
        let known = families();
        let Some((method, family)) = known.iter().find(|(name, _)| *name == method) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return Err(format!("names the sign-method {method:?}; known are {}", names.join(", ")));
        };
        let random = SystemRandom::new();
        let (signer, verifier) = match *family {
            Family::Shared(algorithm) => {
                let secret = private.ok_or("needs priv-key: the file with the shared secret")?;
                let key = hmac::Key::new(algorithm, secret);
                (Some(Signer::Shared(key.clone())), Verifier::Shared(key))
            }
            Family::Rsa(encoding, verification) => {
                let pair = private.map(rsa_pair).transpose()?;
                let public = public_half(public, pair.as_ref().map(|pair| pair.public_key().as_ref()))?;
                let signer = pair.map(|pair| Signer::Rsa(Box::new(pair), encoding));
                (signer, Verifier::Public(UnparsedPublicKey::new(verification, public)))
            }
            Family::Elliptic(algorithm, verification) => {
                let pair = private.map(|text| elliptic_pair(algorithm, text, &random)).transpose()?;
                let public = public_half(public, pair.as_ref().map(|pair| pair.public_key().as_ref()))?;
                (pair.map(Signer::Elliptic), Verifier::Public(UnparsedPublicKey::new(verification, public)))
            }
            Family::Edwards => {
                let pair = private.map(edwards_pair).transpose()?;
                let public = public_half(public, pair.as_ref().map(|pair| pair.public_key().as_ref()))?;
                (pair.map(Signer::Edwards), Verifier::Public(UnparsedPublicKey::new(&ED25519, public)))
            }
        };
        Ok(Jwt { method, signer, verifier, ttl_seconds, random })
    }

    /// A token for a user; `None` if there is no private key.
    pub(super) fn sign(&self, claims: &Claims, now_seconds: u64) -> Option<String> {
        let signer = self.signer.as_ref()?;
        let head = json!({ "alg": self.method, "typ": "JWT" }).to_string();
        let expiry = now_seconds.saturating_add(self.ttl_seconds);
        let body = json!({ "username": claims.user, "revision": claims.revision, "exp": expiry }).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(body));
        let signature = self.signature(signer, signed.as_bytes())?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, signer: &Signer, message: &[u8]) -> Option<Vec<u8>> {
        match signer {
            Signer::Shared(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Signer::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &self.random, message, &mut signature).ok()?;
                Some(signature)
            }
            Signer::Elliptic(pair) => Some(pair.sign(&self.random, message).ok()?.as_ref().to_vec()),
            Signer::Edwards(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// What a token says, if it is ours and not over.
    pub(super) fn verify(&self, token: &str, now_seconds: u64) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, body) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // The method is ours whatever the token claims; one that claims another was not made by us.
        if read(head)?.get("alg")?.as_str()? != self.method {
            return None;
        }
        match &self.verifier {
            Verifier::Shared(key) => hmac::verify(key, signed.as_bytes(), &signature).ok()?,
            Verifier::Public(key) => key.verify(signed.as_bytes(), &signature).ok()?,
        }
        let claims = read(body)?;
        let time = |name: &str| claims.get(name).map(Value::as_f64);
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact far beyond any date that matters")]
        let now = now_seconds as f64;
        // A time that is there must be a number, and in order.
        let over = time("exp").is_some_and(|expiry| expiry.is_none_or(|expiry| expiry < now));
        let early = time("nbf").is_some_and(|begin| begin.is_none_or(|begin| begin > now));
        if over || early {
            return None;
        }
        Some(Claims { user: claims.get("username")?.as_str()?.to_owned(), revision: claims.get("revision")?.as_u64()? })
    }
}

fn read(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The public key that is stated, or else that of the pair.
fn public_half(stated: Option<&[u8]>, of_pair: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let Some(text) = stated else {
        return of_pair.map(<[u8]>::to_vec).ok_or_else(|| "needs pub-key, priv-key or both".to_owned());
    };
    let blocks = der::blocks(&String::from_utf8_lossy(text));
    let found = blocks.iter().find_map(|block| match block.label.as_str() {
        "PUBLIC KEY" => der::public_key(&block.der).map(<[u8]>::to_vec),
        "RSA PUBLIC KEY" => Some(block.der.clone()),
        _ => None,
    });
    let public = found.ok_or("has a pub-key file without a PUBLIC KEY block")?;
    if of_pair.is_some_and(|own| own != public) {
        return Err("has a pub-key that is not the other half of its priv-key".to_owned());
    }
    Ok(public)
}

fn rsa_pair(text: &[u8]) -> Result<RsaKeyPair, String> {
    let (label, der) = private_block(text)?;
    let pair = if label == "RSA PRIVATE KEY" { RsaKeyPair::from_der(&der) } else { RsaKeyPair::from_pkcs8(&der) };
    pair.map_err(|error| format!("has a priv-key that is no usable RSA key: {error}"))
}

fn elliptic_pair(
    algorithm: &'static EcdsaSigningAlgorithm,
    text: &[u8],
    random: &SystemRandom,
) -> Result<EcdsaKeyPair, String> {
    let (label, der) = private_block(text)?;
    let pair = if label == "EC PRIVATE KEY" {
        let (private, public) =
            der::elliptic_halves(&der).ok_or("has a priv-key that does not hold its public half")?;
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, random)
    } else {
        EcdsaKeyPair::from_pkcs8(algorithm, &der, random)
    };
    pair.map_err(|error| format!("has a priv-key that is no key of its sign-method: {error}"))
}

fn edwards_pair(text: &[u8]) -> Result<Ed25519KeyPair, String> {
    let (_, der) = private_block(text)?;
    signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        .map_err(|error| format!("has a priv-key that is no Ed25519 key: {error}"))
}

/// The first private key of a PEM file. A file of parameters before it is how `openssl ecparam` writes.
fn private_block(text: &[u8]) -> Result<(String, Vec<u8>), String> {
    let blocks = der::blocks(&String::from_utf8_lossy(text));
    let found = blocks.into_iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    found.map(|block| (block.label, block.der)).ok_or_else(|| "has a priv-key file without a PRIVATE KEY block".into())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn claims() -> Claims {
        Claims { user: "alice".to_owned(), revision: 7 }
    }

    fn openssl(arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn check(method: &str, public: Option<&[u8]>, private: &[u8]) {
        let both = Jwt::new(method, public, Some(private), 60).unwrap();
        let token = both.sign(&claims(), 1000).unwrap();
        assert_eq!(both.verify(&token, 1060), Some(claims()), "{method}");
        assert_eq!(both.verify(&token, 1061), None, "{method}: it is over");
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert_eq!(both.verify(&format!("{signed}.AAAA"), 1000), None, "{method}: the signature is another");
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.rsplit_once('.').unwrap();
        let body = URL_SAFE_NO_PAD.encode(r#"{"username":"root","revision":7,"exp":2000}"#);
        assert_eq!(both.verify(&format!("{head}.{body}.{signature}"), 1000), None, "{method}: the claims are others");
        if let Some(public) = public {
            let reader = Jwt::new(method, Some(public), None, 60).unwrap();
            assert_eq!(reader.verify(&token, 1000), Some(claims()), "{method}");
            assert_eq!(reader.sign(&claims(), 1000), None, "{method}: there is no key to sign with");
        }
    }

    #[test]
    fn every_family_signs_what_it_verifies() {
        for method in ["HS256", "HS384", "HS512"] {
            check(method, None, b"a shared secret");
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let pairs: [(&[&str], &[&str]); 4] = [
            (&["genrsa", "2048"], &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
            (&["ecparam", "-name", "prime256v1", "-genkey"], &["ES256"]),
            (&["ecparam", "-name", "secp384r1", "-genkey"], &["ES384"]),
            (&["genpkey", "-algorithm", "ed25519"], &["EdDSA"]),
        ];
        for (generate, methods) in pairs {
            let private = openssl(generate);
            std::fs::write(at("private"), &private).unwrap();
            let public = openssl(&["pkey", "-in", &at("private"), "-pubout"]);
            let repacked = openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", &at("private")]);
            for method in methods {
                check(method, Some(&public), &private);
                check(method, None, &repacked);
            }
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let error = |method, public, private| Jwt::new(method, public, private, 60).err().unwrap();
        assert!(error("none", None, None).contains("known are HS256"));
        assert!(error("HS256", None, None).contains("priv-key"));
        assert!(error("RS256", None, None).contains("pub-key"));
        assert!(error("RS256", None, Some(&b"nonsense"[..])).contains("PRIVATE KEY"));
        assert!(error("ES256", Some(&b"nonsense"[..]), None).contains("PUBLIC KEY"));
    }

    #[test]
    fn a_token_that_claims_another_method_is_not_ours() {
        let own = Jwt::new("HS256", None, Some(b"secret"), 60).unwrap();
        let other = Jwt::new("HS384", None, Some(b"secret"), 60).unwrap();
        assert_eq!(own.verify(&other.sign(&claims(), 0).unwrap(), 0), None);
        for garbage in ["", ".", "..", "a.b", "a.b.c", "e30.e30.e30"] {
            assert_eq!(own.verify(garbage, 0), None);
        }
    }
}
