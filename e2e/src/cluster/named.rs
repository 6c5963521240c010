//! Requests for objects whose names may hold anything.
//!
//! Names of RBAC objects hold any character but `/` and `%`. kube puts them into the request's path as they are, where
//! `leaver#2` is a request for `leaver`, and `a b` none at all.

use http::Request;
use kube::{
    Client, Resource,
    api::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};

/// A segment of a path: everything percent-encoded but letters, digits, `-` and `_`.
pub fn segment(name: &str) -> String {
    use std::fmt::Write;
    name.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => path.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(path, "%{byte:02X}")),
        }
        path
    })
}

/// Names that RBAC objects can have: `before`, a character, `after`, for every ASCII character that is allowed and a few that are
/// not ASCII; and names that look like parts of a URL.
pub fn hostile_names(before: &str, after: &str) -> Vec<String> {
    let ascii = (1_u8..128).map(char::from).filter(|c| !['/', '%'].contains(c));
    let others = ['\u{a0}', 'ü', 'ß', '\u{202e}', '中', '\u{1f600}'];
    let mut names: Vec<String> = ascii.chain(others).map(|c| format!("{before}{c}{after}")).collect();
    for more in ["?a=b&c=d", "#", "..", ";v=1", "+", " ", "\\..\\x", "\"'`$(x)"] {
        names.push(format!("{before}{more}"));
        names.push(format!("{more}{before}"));
    }
    names
}

/// The path of one object, such as `/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/leaver%232`.
pub fn path(resource: &ApiResource, namespace: Option<&str>, name: &str) -> String {
    format!("{}/{}", DynamicObject::url_path(resource, namespace), segment(name))
}

/// The object, or `None` if there is none.
///
/// # Errors
/// When the API server refuses, or does not answer.
pub async fn get(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    name: &str,
) -> anyhow::Result<Option<DynamicObject>> {
    let request = Request::get(path(resource, namespace, name)).body(Vec::new())?;
    match client.request(request).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Applies a JSON merge patch.
///
/// # Errors
/// When the API server refuses, or does not answer.
pub async fn merge(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    name: &str,
    patch: &Value,
) -> anyhow::Result<DynamicObject> {
    let request = Request::patch(path(resource, namespace, name))
        .header("Content-Type", "application/merge-patch+json")
        .body(serde_json::to_vec(patch)?)?;
    Ok(client.request(request).await?)
}

/// Deletes it, at once as far as finalizers allow, and says whether it was there.
///
/// # Errors
/// When the API server refuses, or does not answer.
pub async fn delete(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
    name: &str,
) -> anyhow::Result<bool> {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
    let request = Request::delete(path(resource, namespace, name))
        .header("Content-Type", "application/json")
        .body(serde_json::to_vec(&options)?)?;
    match client.request::<Value>(request).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(segment("system:node"), "system%3Anode");
        assert_eq!(
            segment("a#b?c d\"e\\f..;=&+"),
            "a%23b%3Fc%20d%22e%5Cf%2E%2E%3B%3D%26%2B"
        );
        assert_eq!(segment("ü\n"), "%C3%BC%0A");
    }
}
