//! The golden vectors: signatures made by the official SDKs, or published by Alibaba Cloud.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, header::AUTHORIZATION, request::Parts};
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, SignRequest};
use serde_json::Value;

use super::{acs3, acs3::Acs3Signer, percent_encode, sha256_hex, sls4, sls4::Sls4Signer};

fn vectors() -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, Value> =
        serde_json::from_str(include_str!("../../tests/fixtures/sign-vectors.json")).unwrap();
    all.remove("_about");
    all
}

/// Why a vector is not for these signers.
fn skipped(name: &str) -> Option<&'static str> {
    match name {
        _ if name.ends_with("__all_headers") => Some("signs accept and user-agent too, as only the Python SDK does"),
        "sts_AssumeRoleWithOIDC_anonymous_rpc_v1style" => Some("is not signed"),
        "official_doc_vector_RPC_legacy_HMAC_SHA1" => Some("is of the legacy RPC signature, which is not used"),
        _ if name.starts_with("sls_") && name.contains("_v1") => {
            Some("is of the SLS signature version 1, which is not used")
        }
        _ => None,
    }
}

fn string(vector: &Value, key: &str) -> Option<String> {
    vector.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn header<'a>(vector: &'a Value, name: &str) -> Option<&'a str> {
    let headers = vector["headers"].as_object().unwrap();
    headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .and_then(|(_, value)| value.as_str())
}

fn credential(vector: &Value) -> Credential {
    Credential {
        access_key_id: string(vector, "access_key_id").unwrap_or("testak".into()),
        access_key_secret: string(vector, "access_key_secret").unwrap_or("testsk".into()),
        security_token: header(vector, "x-acs-security-token").map(str::to_owned),
        expires_in: None,
    }
}

/// The head as the client builds it, with the vector's date and nonce, and without what the signer adds.
fn head(vector: &Value) -> Parts {
    let mut query: Vec<String> = Vec::new();
    for (key, value) in vector["query"].as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            other => other.to_string(),
        };
        query.push(format!("{}={}", percent_encode(key), percent_encode(&value)));
    }
    let uri = format!(
        "https://connect.invalid{}?{}",
        vector["path"].as_str().unwrap(),
        query.join("&")
    );
    let method = vector["method"].as_str().unwrap();
    let (mut parts, ()) = http::Request::builder()
        .method(method)
        .uri(uri)
        .body(())
        .unwrap()
        .into_parts();
    for (name, value) in vector["headers"].as_object().unwrap() {
        // One published vector has the header " Ko ", which HTTP forbids; it is not among those signed.
        let Ok(name) = HeaderName::try_from(name.as_str()) else {
            continue;
        };
        if name != AUTHORIZATION && name != super::SECURITY_TOKEN {
            parts
                .headers
                .insert(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
        }
    }
    parts
}

async fn signed(vector: &Value, mut parts: Parts) -> String {
    let credential = credential(vector);
    let context = Context::new();
    if vector["scheme"].as_str() == Some("ACS3-HMAC-SHA256") {
        Acs3Signer
            .sign_request(&context, &mut parts, Some(&credential), None)
            .await
            .unwrap();
    } else {
        let region = string(vector, "region").unwrap_or("cn-hangzhou".into());
        Sls4Signer::new(region)
            .sign_request(&context, &mut parts, Some(&credential), None)
            .await
            .unwrap();
    }
    parts.headers[AUTHORIZATION].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_official_vectors_are_reproduced() {
    let (mut acs3, mut sls4, mut left_out) = (0, 0, 0);
    for (name, vector) in vectors() {
        if skipped(&name).is_some() {
            left_out += 1;
            continue;
        }
        let expected = string(&vector, "authorization").or_else(|| header(&vector, "authorization").map(str::to_owned));
        assert_eq!(signed(&vector, head(&vector)).await, expected.unwrap(), "{name}");
        if let Some(body) = vector["body"].as_str() {
            let hash = header(&vector, "x-acs-content-sha256").or(header(&vector, "x-log-content-sha256"));
            assert_eq!(hash, Some(sha256_hex(body.as_bytes()).as_str()), "{name}");
        }
        *if name.starts_with("sls") { &mut sls4 } else { &mut acs3 } += 1;
    }
    assert_eq!(
        (acs3, sls4, left_out),
        (38, 12, 26),
        "vectors run with ACS3, with SLS4, and left out"
    );
}

#[tokio::test]
async fn a_head_without_date_and_nonce_gets_fresh_ones() {
    let vector = &vectors()["acs3_min_ram_ListUsers"];
    let mut nonces = std::collections::HashSet::new();
    for _ in 0..3 {
        let mut parts = head(vector);
        parts.headers.remove(acs3::NONCE);
        parts.headers.remove(acs3::DATE);
        Acs3Signer
            .sign_request(&Context::new(), &mut parts, Some(&credential(vector)), None)
            .await
            .unwrap();
        assert_eq!(parts.headers[acs3::DATE].len(), "2026-01-02T03:04:05Z".len());
        nonces.insert(parts.headers[acs3::NONCE].clone());
    }
    assert_eq!(nonces.len(), 3);
}

#[tokio::test]
async fn what_cannot_be_signed_is_left_unchanged() {
    let vector = &vectors()["acs3_min_ram_ListUsers"];
    for missing in [acs3::CONTENT_SHA256, http::header::HOST] {
        let mut parts = head(vector);
        parts.headers.remove(&missing);
        parts.headers.remove(acs3::NONCE);
        let before = parts.headers.clone();
        let error = Acs3Signer
            .sign_request(&Context::new(), &mut parts, Some(&credential(vector)), None)
            .await
            .unwrap_err();
        assert!(error.to_string().to_lowercase().contains(missing.as_str()), "{error}");
        assert_eq!(parts.headers, before);
    }
    let vector = &vectors()["sls_min_GetLogs_GET_v4_intranet"];
    let mut parts = head(vector);
    parts.headers.insert(sls4::DATE, HeaderValue::from_static("2026"));
    assert!(
        Sls4Signer::new("cn-hangzhou")
            .sign_request(&Context::new(), &mut parts, Some(&credential(vector)), None)
            .await
            .is_err()
    );
    assert!(
        Acs3Signer
            .sign_request(&Context::new(), &mut parts, None, None)
            .await
            .is_err()
    );
}

/// (query on the wire, canonical for ACS3, canonical for SLS4)
const QUERIES: &[(&str, &str, &str)] = &[
    ("", "", ""),
    ("b=2&a=1", "a=1&b=2", "a=1&b=2"),
    ("a=", "a=", "a"),
    ("a", "a=", "a"),
    ("a=%2A%20~%2B%2F", "a=%2A%20~%2B%2F", "a=%2A%20~%2B%2F"),
    ("a=*~+/", "a=%2A~%2B%2F", "a=%2A~%2B%2F"),
    ("a=%7e%3d", "a=~%3D", "a=~%3D"),
    ("a=x=y", "a=x%3Dy", "a=x%3Dy"),
    (
        "q=%E4%B8%AD%F0%9F%92%A1",
        "q=%E4%B8%AD%F0%9F%92%A1",
        "q=%E4%B8%AD%F0%9F%92%A1",
    ),
    ("k=2&k=1&k=10", "k=1&k=10&k=2", "k=1&k=10&k=2"),
    ("A-b=1&%20c=2", "%20c=2&A-b=1", " c=2&A-b=1"),
    ("a1=x&a=y&aB=z&ab=z", "a=y&a1=x&aB=z&ab=z", "a=y&a1=x&aB=z&ab=z"),
];

#[test]
fn queries_are_canonical_in_each_scheme() {
    for (wire, acs3, sls4) in QUERIES {
        let request = http::Request::builder()
            .uri(format!("https://h.invalid/?{wire}"))
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        assert_eq!(&acs3::canonical_query(&parts).unwrap(), acs3, "ACS3 of {wire:?}");
        assert_eq!(&sls4::canonical_query(&parts).unwrap(), sls4, "SLS4 of {wire:?}");
    }
    let (parts, ()) = http::Request::builder()
        .uri("https://h.invalid/?a=%ff")
        .body(())
        .unwrap()
        .into_parts();
    assert!(acs3::canonical_query(&parts).is_err());
}

#[test]
fn the_order_of_a_query_on_the_wire_does_not_matter() {
    let pairs: Vec<String> = (0..40).map(|n| format!("k{}=%2A{n}", (n * 7) % 40)).collect();
    let canonical = |pairs: &[String]| {
        let request = http::Request::builder()
            .uri(format!("https://h.invalid/?{}", pairs.join("&")))
            .body(())
            .unwrap();
        acs3::canonical_query(&request.into_parts().0).unwrap()
    };
    let expected = canonical(&pairs);
    for turn in 1..pairs.len() {
        let mut turned = pairs.clone();
        turned.rotate_left(turn);
        assert_eq!(canonical(&turned), expected);
    }
}

#[test]
fn percent_encoding_leaves_only_the_unreserved_characters() {
    for byte in 0u8..128 {
        let character = char::from(byte).to_string();
        let kept = byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let expected = if kept {
            character.clone()
        } else {
            format!("%{byte:02X}")
        };
        assert_eq!(percent_encode(&character), expected);
    }
    assert_eq!(percent_encode("中"), "%E4%B8%AD");
}
