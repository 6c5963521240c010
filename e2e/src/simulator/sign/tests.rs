//! The golden signatures, made by Alibaba's own SDKs.

use serde_json::Value;

use super::*;

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../crates/alibaba-cloud/tests/fixtures/sign-vectors.json"
));

/// The vectors of one scheme, with the request that each signs.
fn vectors(algorithm: &str) -> Vec<(String, Value, Incoming)> {
    let all: Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    let all = all.as_object().expect("a vector by name");
    let signature = |v: &Value| {
        v["authorization"]
            .as_str()
            .or(v["headers"]["authorization"].as_str())
            .unwrap_or("")
            .to_owned()
    };
    all.iter()
        // One vector has the hash of its body, but not the body.
        .filter(|(name, v)| signature(v).starts_with(algorithm) && *name != "sls_alibabacloud_sdk_GetLogs_v4")
        .map(|(name, v)| {
            let scalar = |value: &Value| match value {
                Value::String(text) => text.clone(),
                Value::Bool(true) => "True".to_owned(),
                Value::Bool(false) => "False".to_owned(),
                other => other.to_string(),
            };
            let pairs = |value: &Value| -> Vec<(String, String)> {
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(k, v)| (k.clone(), scalar(v)))
                    .collect()
            };
            let mut request = Incoming {
                method: v["method"].as_str().expect("a method").to_owned(),
                path: v["path"].as_str().expect("a path").to_owned(),
                query: pairs(&v["query"]),
                headers: pairs(&v["headers"])
                    .into_iter()
                    .map(|(k, v)| (k.to_lowercase(), v))
                    .collect(),
                body: v["body"].as_str().unwrap_or("").as_bytes().to_vec(),
            };
            request.headers.insert("authorization".to_owned(), signature(v));
            (name.clone(), v.clone(), request)
        })
        .collect()
}

/// The secret, which is not in every vector.
fn secret(vector: &Value) -> String {
    vector["secret_access_key"]
        .as_str()
        .or(vector["access_key_secret"].as_str())
        .unwrap_or("testsk")
        .to_owned()
}

#[test]
fn every_acs3_vector_verifies_and_no_altered_one() {
    let vectors = vectors("ACS3-HMAC-SHA256");
    assert!(vectors.len() > 40, "only {}", vectors.len());
    for (name, vector, request) in vectors {
        let Ok(signed) = acs3::read(&request) else {
            panic!("{name} cannot be read")
        };
        assert!(signed.is_by(&secret(&vector), &request), "{name} does not verify");
        assert!(!signed.is_by("another", &request), "{name} verifies with any secret");
        for altered in altered(&request, "x-acs-signature-nonce") {
            assert!(
                !signed.is_by(&secret(&vector), &altered),
                "{name} verifies although altered: {altered:?}"
            );
        }
    }
}

#[test]
fn every_sls4_vector_verifies_and_no_altered_one() {
    let vectors = vectors("SLS4-HMAC-SHA256");
    assert!(vectors.len() >= 11, "only {}", vectors.len());
    for (name, vector, request) in vectors {
        let Ok(signed) = sls4::read(&request) else {
            panic!("{name} cannot be read")
        };
        assert!(signed.is_by(&secret(&vector), &request), "{name} does not verify");
        assert!(!signed.is_by("another", &request), "{name} verifies with any secret");
        assert!(signed.date().is_some(), "{name} has no date");
        for altered in altered(&request, "x-log-date") {
            let Ok(signed) = sls4::read(&altered) else {
                panic!("{name} cannot be read")
            };
            assert!(
                !signed.is_by(&secret(&vector), &altered),
                "{name} verifies although altered: {altered:?}"
            );
        }
    }
}

/// The request with one part of it changed, in every way.
fn altered(request: &Incoming, header: &str) -> Vec<Incoming> {
    let change = |change: fn(&mut Incoming)| {
        let mut altered = request.clone();
        change(&mut altered);
        altered
    };
    let mut all = vec![
        change(|r| r.method = "PUT".to_owned()),
        change(|r| r.path.push('x')),
        change(|r| r.query.push(("x".to_owned(), "y".to_owned()))),
        change(|r| r.body.push(b'x')),
    ];
    let mut with_header = request.clone();
    with_header
        .headers
        .insert(header.to_owned(), "20200101T000000Z".to_owned());
    all.push(with_header);
    all
}

#[test]
fn a_header_that_must_be_signed_and_is_not_is_refused() {
    let (_, _, mut request) = vectors("ACS3-HMAC-SHA256").remove(0);
    request
        .headers
        .insert("x-acs-security-token".to_owned(), "added on the way".to_owned());
    assert!(acs3::read(&request).is_err_and(|refusal| refusal.code == "IncompleteSignature"));
}

/// The vectors' clock.
const THEN: i64 = 1_767_323_045;

fn world(key: AccessKey) -> World {
    World {
        access_keys: vec![key],
        ..World::default()
    }
}

fn key(security_token: Option<&str>, expires_at: Option<i64>) -> AccessKey {
    let security_token = security_token.map(str::to_owned);
    let principal = crate::simulator::world::Principal::Account;
    AccessKey {
        id: "testak".to_owned(),
        secret: "testsk".to_owned(),
        security_token,
        expires_at,
        principal,
    }
}

fn vector(algorithm: &str, name: &str) -> Incoming {
    vectors(algorithm)
        .into_iter()
        .find(|(n, _, _)| n == name)
        .map(|(_, _, request)| request)
        .expect("the vector")
}

#[test]
fn a_golden_acs3_request_passes_once_in_its_time() {
    let request = vector("ACS3-HMAC-SHA256", "acs3_min_ram_ListUsers");
    let (world, nonces) = (world(key(None, None)), Nonces::default());
    let ask = |now: i64| {
        acs3(&request, &world, &nonces, now)
            .map(|key| key.id)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(ask(THEN + 901), Err("InvalidTimeStamp.Expired".to_owned()));
    assert_eq!(ask(THEN - 901), Err("InvalidTimeStamp.Expired".to_owned()));
    assert_eq!(ask(THEN + 900), Ok("testak".to_owned()));
    assert_eq!(ask(THEN + 900), Err("SignatureNonceUsed".to_owned()));
}

#[test]
fn temporary_credentials_need_their_token_and_expire() {
    let token = Some("teststs+token/==");
    for (key, acs3_code, sls4_code) in [
        (key(token, Some(THEN + 1)), None, None),
        (
            key(token, Some(THEN)),
            Some("InvalidSecurityToken.Expired"),
            Some("SecurityTokenExpired"),
        ),
        (
            key(Some("another"), None),
            Some("InvalidSecurityToken.Malformed"),
            Some("Unauthorized"),
        ),
        (
            key(None, None),
            Some("InvalidSecurityToken.Malformed"),
            Some("Unauthorized"),
        ),
    ] {
        let world = world(key);
        let request = vector("ACS3-HMAC-SHA256", "acs3_min_ram_ListUsers_sts");
        let refusal = acs3(&request, &world, &Nonces::default(), THEN).err();
        assert_eq!(refusal.map(|r| r.code).as_deref(), acs3_code, "{world:?}");
        let request = vector("SLS4-HMAC-SHA256", "sls_min_GetLogsV2_POST_v4_sts_intranet");
        assert_eq!(
            sls4(&request, &world, THEN).err().map(|r| r.code).as_deref(),
            sls4_code,
            "{world:?}"
        );
    }
}

#[test]
fn sls_refuses_with_its_own_codes() {
    let request = vector("SLS4-HMAC-SHA256", "sls_min_GetLogsV2_POST_v4_intranet");
    let ask = |key: AccessKey, now: i64| sls4(&request, &world(key), now).err().map(|refusal| refusal.code);
    assert_eq!(ask(key(None, None), THEN), None);
    assert_eq!(ask(key(None, None), THEN + 901).as_deref(), Some("RequestTimeExpired"));
    let mut other = key(None, None);
    other.secret = "another".to_owned();
    assert_eq!(ask(other.clone(), THEN).as_deref(), Some("SignatureNotMatch"));
    other.id = "another".to_owned();
    assert_eq!(ask(other, THEN).as_deref(), Some("Unauthorized"));
}
