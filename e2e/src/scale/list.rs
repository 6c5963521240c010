//! What any client must spend to read all bindings once.

use std::time::{Duration, Instant};

use anyhow::Context;
use kube::Client;

/// As large as the operator's pages.
pub(super) const PAGE: u32 = 500;

/// Lists all RoleBindings a page at a time, and throws the bodies away unparsed.
pub(super) async fn bare(client: &Client) -> anyhow::Result<Duration> {
    bare_kind(client, "rolebindings").await
}

/// The same with another kind of bindings, by its plural.
pub(super) async fn bare_kind(client: &Client, kind: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut next = String::new();
    loop {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/{kind}?limit={PAGE}{next}");
        let page = client
            .request_text(http::Request::get(path).body(Vec::new())?)
            .await
            .context("listing a page of bindings")?;
        match continue_token(&page) {
            Some(token) => next = format!("&continue={token}"),
            None => return Ok(begun.elapsed()),
        }
    }
}

/// The token of the next page: it stands in the list's metadata, before the items. Its alphabet needs no escape.
fn continue_token(page: &str) -> Option<&str> {
    let head = page.split_once("\"items\"").map_or(page, |(head, _)| head);
    let (_, rest) = head.split_once("\"continue\":\"")?;
    rest.split('"').next().filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_the_head_alone() {
        let page = r#"{"kind":"RoleBindingList","metadata":{"resourceVersion":"7","continue":"abc","remainingItemCount":1},"items":[]}"#;
        assert_eq!(continue_token(page), Some("abc"));
        assert_eq!(
            continue_token(r#"{"metadata":{"resourceVersion":"7"},"items":[{"x":{"continue":"no"}}]}"#),
            None
        );
    }
}
