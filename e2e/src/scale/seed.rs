//! Bindings as ACK makes them, and as people make them with kubectl: about 1.3 kB each, as they are sent.

use std::time::Instant;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// How many requests are under way at a time; each has a connection of its own.
const CONNECTIONS: usize = 48;
/// How many namespaces the bindings are spread over.
const NAMESPACES: u32 = 100;
/// How many RAM identities they name.
pub(super) const IDENTITIES: u32 = 5000;
/// When the certificates were issued.
const ISSUED: u32 = 1_700_000_000;

/// The UID of the n-th of those who stay.
pub(super) fn uid(n: u32) -> u64 {
    // Eighteen digits, as RAM's are.
    200_000_000_000_000_000 + u64::from(n % IDENTITIES) * 7_919_000_011
}

/// The UID of the n-th leaver.
pub(super) fn leaver(n: u32) -> String {
    (290_000_000_000_000_000 + u64::from(n) * 104_729).to_string()
}

/// Makes the namespaces and so many bindings in them.
pub(super) async fn bindings(cluster: &Cluster, count: u32) -> anyhow::Result<()> {
    let client = cluster.admin();
    let namespaces = (0..NAMESPACES).map(|n| {
        (
            "/api/v1/namespaces".to_owned(),
            json!({"metadata": {"name": namespace(n)}}),
        )
    });
    create(&client, namespaces, "namespaces", NAMESPACES).await?;
    create(&client, (0..count).map(binding), "bindings", count).await
}

/// Makes the namespaces in which leavers have bindings, where nothing else is.
pub(super) async fn namespaces(cluster: &Cluster) -> anyhow::Result<()> {
    bindings(cluster, 0).await
}

/// Gives each leaver three bindings: one everywhere, two in namespaces.
pub(super) async fn leavers(cluster: &Cluster, count: u32) -> anyhow::Result<()> {
    let all = (0..count).flat_map(|n| {
        let name = format!("{}-{ISSUED}", leaver(n));
        let everywhere = object(
            "ClusterRoleBinding",
            None,
            &format!("leaver-{n}-everywhere"),
            vec![user(&name)],
        );
        let in_namespace = |place| {
            let (namespace, binding) = (namespace(place), format!("leaver-{n}-there"));
            (
                path(&namespace),
                object("RoleBinding", Some(&namespace), &binding, vec![user(&name)]),
            )
        };
        [
            (format!("{RBAC}/clusterrolebindings"), everywhere),
            in_namespace(n),
            in_namespace(n + 1),
        ]
    });
    create(&cluster.admin(), all, "bindings of leavers", 3 * count).await
}

/// How many namespaces the bindings of one who holds many are spread over.
const MANY_NAMESPACES: u32 = 300;

/// The UID of the n-th of those who hold many bindings.
pub(super) fn holds_many(n: u32) -> String {
    (280_000_000_000_000_000 + u64::from(n) * 104_729).to_string()
}

/// What the names of the bindings of the n-th of them begin with.
pub(super) fn many_prefix(n: u32) -> String {
    format!("many-{n}-")
}

/// Namespace and name of one of the bindings of the n-th of them.
pub(super) fn many_place(n: u32, binding: u32) -> (String, String) {
    let namespace = format!("many-{:03}", binding % MANY_NAMESPACES);
    (namespace, format!("{}{binding}", many_prefix(n)))
}

/// Who shares the first binding in each of these namespaces.
pub(super) const COLLEAGUE: &str = "204100000000000002";

/// Whether a colleague is in this one, too: in one of each namespace.
pub(super) fn is_shared(binding: u32) -> bool {
    binding < MANY_NAMESPACES
}

/// Two who hold `count` bindings each, in the same 300 namespaces; in each namespace, they share one with a colleague.
pub(super) async fn many(cluster: &Cluster, count: u32) -> anyhow::Result<()> {
    let client = cluster.admin();
    let namespaces = (0..MANY_NAMESPACES).map(|n| {
        let (name, _) = many_place(0, n);
        ("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": name}}))
    });
    create(&client, namespaces, "namespaces", MANY_NAMESPACES).await?;
    let bindings = (0..2).flat_map(|n| {
        let subject = user(&holds_many(n));
        (0..count).map(move |binding| {
            let (namespace, name) = many_place(n, binding);
            let mut subjects = vec![subject.clone()];
            subjects.extend(is_shared(binding).then(|| user(COLLEAGUE)));
            let body = object("RoleBinding", Some(&namespace), &name, subjects);
            (path(&namespace), body)
        })
    });
    create(&client, bindings, "bindings of two who hold many", 2 * count).await
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn namespace(n: u32) -> String {
    format!("team-{:02}", n % NAMESPACES)
}

fn path(namespace: &str) -> String {
    format!("{RBAC}/namespaces/{namespace}/rolebindings")
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name})
}

fn binding(n: u32) -> (String, Value) {
    let namespace = namespace(n);
    let subjects = vec![
        user(&format!("{}-{}", uid(n), ISSUED + n % IDENTITIES)),
        json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": format!("team-{}-developers", n % 40)}),
        json!({"kind": "ServiceAccount", "name": format!("deployer-{}", n % 10), "namespace": namespace}),
    ];
    let body = object(
        "RoleBinding",
        Some(&namespace),
        &format!("{}-{n}-rolebinding", uid(n)),
        subjects,
    );
    (path(&namespace), body)
}

/// A binding that was applied with kubectl, hence with the whole manifest once more in an annotation.
fn object(kind: &str, namespace: Option<&str>, name: &str, subjects: Vec<Value>) -> Value {
    let mut object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "platform", "team": "team", "environment": "production"},
            "annotations": {},
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": subjects,
    });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    let applied = object.to_string();
    object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = applied.into();
    object
}

async fn create(
    client: &Client,
    objects: impl Iterator<Item = (String, Value)>,
    what: &str,
    count: u32,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut requests = stream::iter(objects)
        .map(|(path, body)| async move {
            let request = http::Request::post(&path).header("content-type", "application/json");
            client
                .request_text(request.body(body.to_string().into_bytes())?)
                .await
                .with_context(|| format!("POST {path}"))
        })
        .buffer_unordered(CONNECTIONS);
    let (mut done, tenth) = (0, (count / 10).max(1000));
    while requests.try_next().await?.is_some() {
        done += 1;
        if done % tenth == 0 && done < count {
            eprintln!(
                "  {done} of {count} {what}, {:.0} a second",
                f64::from(done) / begun.elapsed().as_secs_f64()
            );
        }
    }
    eprintln!("Created {count} {what} in {:.1} s.", begun.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_as_large_as_those_in_real_clusters() {
        let size = binding(4321).1.to_string().len();
        // The API server adds a uid, creationTimestamp, resourceVersion and managedFields.
        assert!((1200..1400).contains(&size), "{size}");
    }
}
