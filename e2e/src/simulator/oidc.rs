//! OIDC tokens, verified against a provider's key set.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::Value;

use super::message::Refusal;
use super::world::OidcProvider;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) audience: String,
}

/// Verifies a token of `provider`: signature, issuer, audience, expiry.
pub(crate) fn verify(token: &str, provider: &OidcProvider, now: i64) -> Result<Claims, Refusal> {
    let invalid = |why: &str| refusal("OIDCToken.Invalid", why);
    let mut parts = token.split('.');
    let (Some(head), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid("not a JSON Web Token"));
    };
    let json = |part: &str| -> Option<Value> { serde_json::from_slice(&decode(part)?).ok() };
    let (header, body) = json(head)
        .zip(json(claims))
        .ok_or_else(|| invalid("not a JSON Web Token"))?;
    let signature = decode(signature).ok_or_else(|| invalid("the signature is not base64url"))?;

    let signed = format!("{head}.{claims}");
    let keys = provider.jwks["keys"].as_array().map_or(&[][..], Vec::as_slice);
    let candidates = keys
        .iter()
        .filter(|key| header["kid"].is_null() || key["kid"] == header["kid"]);
    if !candidates
        .into_iter()
        .any(|key| is_signed_by(key, &header["alg"], signed.as_bytes(), &signature))
    {
        return Err(refusal(
            "OIDCToken.InvalidSignature",
            "no key of the provider made the signature",
        ));
    }

    if body["iss"] != provider.issuer.as_str() {
        return Err(invalid("the issuer is not the provider's"));
    }
    let audiences = match &body["aud"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    if !audiences.iter().any(|audience| *audience == provider.audience.as_str()) {
        return Err(refusal(
            "OIDCToken.AudienceNotMatch",
            "the audience is not the provider's",
        ));
    }
    if body["exp"].as_i64().is_none_or(|exp| exp <= now) {
        return Err(refusal("OIDCToken.Expired", "the token is expired"));
    }
    if body["nbf"].as_i64().is_some_and(|nbf| nbf > now + 60) {
        return Err(invalid("the token is not valid yet"));
    }
    let subject = body["sub"]
        .as_str()
        .ok_or_else(|| invalid("the token has no subject"))?
        .to_owned();
    Ok(Claims {
        subject,
        issuer: provider.issuer.clone(),
        audience: provider.audience.clone(),
    })
}

/// A refusal of AssumeRoleWithOIDC.
pub(crate) fn refusal(code: &str, why: &str) -> Refusal {
    Refusal::new(
        401,
        &format!("AuthenticationFail.{code}"),
        format!("This request is denied: {why}."),
    )
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// The API server signs with RS256 or ES256, whichever key it was given.
fn is_signed_by(key: &Value, algorithm: &Value, signed: &[u8], signature: &[u8]) -> bool {
    let number = |name: &str| key[name].as_str().and_then(decode);
    match (algorithm.as_str(), key["kty"].as_str()) {
        (Some("RS256"), Some("RSA")) => number("n").zip(number("e")).is_some_and(|(n, e)| {
            RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
                .is_ok()
        }),
        (Some("ES256"), Some("EC")) => number("x").zip(number("y")).is_some_and(|(x, y)| {
            let point = [&[4], &x[..], &y[..]].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(signed, signature)
                .is_ok()
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    /// A provider, and something that signs for it.
    fn provider() -> (OidcProvider, impl Fn(&Value) -> String) {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
            .expect("the same key");
        let point = pair.public_key().as_ref().to_vec();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key =
            json!({"kty": "EC", "crv": "P-256", "kid": "k1", "x": encode(&point[1..33]), "y": encode(&point[33..])});
        let provider = OidcProvider {
            arn: "acs:ram::1000000000000001:oidc-provider/ack-rrsa-c1".to_owned(),
            issuer: "https://kubernetes.default.svc".to_owned(),
            audience: "sts.aliyuncs.com".to_owned(),
            jwks: json!({"keys": [key]}),
        };
        let sign = move |claims: &Value| {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": "ES256", "kid": "k1"}).to_string());
            let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
            let signature = pair.sign(&random, signed.as_bytes()).expect("a signature");
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        };
        (provider, sign)
    }

    #[test]
    fn only_a_whole_and_current_token_of_the_provider_passes() {
        let (provider, sign) = provider();
        let good = json!({"iss": provider.issuer, "aud": ["sts.aliyuncs.com"], "sub": "system:serviceaccount:a:b", "exp": 200});
        assert_eq!(
            verify(&sign(&good), &provider, 100).map(|c| c.subject),
            Ok("system:serviceaccount:a:b".to_owned())
        );
        for (change, value, code) in [
            ("iss", json!("https://other"), "AuthenticationFail.OIDCToken.Invalid"),
            ("aud", json!("other"), "AuthenticationFail.OIDCToken.AudienceNotMatch"),
            ("exp", json!(100), "AuthenticationFail.OIDCToken.Expired"),
            ("exp", json!(null), "AuthenticationFail.OIDCToken.Expired"),
            ("nbf", json!(1000), "AuthenticationFail.OIDCToken.Invalid"),
            ("sub", json!(null), "AuthenticationFail.OIDCToken.Invalid"),
        ] {
            let mut claims = good.clone();
            claims[change] = value;
            assert_eq!(
                verify(&sign(&claims), &provider, 100).map_err(|r| r.code),
                Err(code.to_owned()),
                "{claims}"
            );
        }
    }

    #[test]
    fn a_token_signed_by_another_key_is_refused() {
        let ((provider, _), (_, sign)) = (self::provider(), self::provider());
        let claims = json!({"iss": provider.issuer, "aud": "sts.aliyuncs.com", "sub": "s", "exp": 200});
        let code = verify(&sign(&claims), &provider, 100).map_err(|r| r.code);
        assert_eq!(code, Err("AuthenticationFail.OIDCToken.InvalidSignature".to_owned()));
        for broken in ["", "a.b", "a.b.c", "e30.e30.!"] {
            assert!(verify(broken, &provider, 100).is_err(), "{broken}");
        }
    }
}
