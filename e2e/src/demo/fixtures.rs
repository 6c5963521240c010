//! Who plays, what they may do at first, and what is said about them.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::env::OwnEnv;
use crate::{
    env::{CLUSTER_ID, add_user, issue_kubeconfig, user},
    simulator::world::CertificateState,
};

/// Somebody with a RAM UID and a client certificate of this cluster.
pub(super) struct Person {
    /// The RAM UID.
    pub(super) uid: &'static str,
    /// The name in RAM; the demo's people are called by their roles.
    pub(super) name: &'static str,
    /// The certificate's common name, as ACK chooses it: the UID and when it was issued.
    pub(super) certificate: &'static str,
}

/// RAM has forgotten them; this cluster has not.
pub(super) const LEAVER: Person = Person {
    uid: "259083957089437690",
    name: "leaver",
    certificate: "259083957089437690-1700000000",
};
/// Shares a binding with the leaver, and stays.
pub(super) const COLLEAGUE: Person = Person {
    uid: "201000000000000002",
    name: "colleague",
    certificate: "201000000000000002-1710000000",
};
/// Was said to have left, and made a request an hour ago.
pub(super) const STILL_ACTIVE: Person = Person {
    uid: "201000000000000003",
    name: "still-active",
    certificate: "201000000000000003-1720000000",
};
/// The name of the object with the colleague's UID by mistake.
pub(super) const MISTYPED: &str = "mistyped";

/// A binding of the leaver, and a request that it alone allows.
pub(super) struct Grant {
    /// The binding, as people write it.
    pub(super) binding: &'static str,
    /// What the request is.
    pub(super) request: &'static str,
    /// Its path.
    pub(super) path: &'static str,
    /// Whether others are bound too.
    pub(super) shared: bool,
}

/// The leaver's four bindings.
pub(super) const GRANTS: [Grant; 4] = [
    Grant {
        binding: "ClusterRoleBinding leaver-everywhere",
        request: "list pods everywhere",
        path: "/api/v1/pods",
        shared: false,
    },
    Grant {
        binding: "RoleBinding shop/leaver-edits",
        request: "list secrets in shop",
        path: "/api/v1/namespaces/shop/secrets",
        shared: false,
    },
    Grant {
        binding: "RoleBinding billing/leaver-administers",
        request: "list role bindings in billing",
        path: "/apis/rbac.authorization.k8s.io/v1/namespaces/billing/rolebindings",
        shared: false,
    },
    Grant {
        binding: "RoleBinding platform/on-call",
        request: "list secrets in platform",
        path: SHARED_PATH,
        shared: true,
    },
];
/// What the shared binding allows the leaver and the colleague.
pub(super) const SHARED_PATH: &str = "/api/v1/namespaces/platform/secrets";
/// What the one who is still active does.
pub(super) const ACTIVE_PATH: &str = "/api/v1/namespaces/shop/pods";

/// Longer than the window of seven days.
const LONG_AGO: Duration = Duration::from_secs(30 * 86_400);
const AN_HOUR: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(30);

/// Makes the people known, and binds them.
pub(super) async fn seed(env: &OwnEnv) -> anyhow::Result<()> {
    add_user(&env.sim, COLLEAGUE.uid, COLLEAGUE.name);
    add_user(&env.sim, STILL_ACTIVE.uid, STILL_ACTIVE.name);
    for person in [LEAVER, COLLEAGUE, STILL_ACTIVE] {
        issue_kubeconfig(&env.sim, person.uid, CertificateState::Unexpired);
    }
    let leaver = user(LEAVER.certificate);
    // By the UID alone as well: both are found.
    env.cluster_role_binding("leaver-everywhere", "view", &[user(LEAVER.uid), leaver.clone()])
        .await?;
    env.role_binding("shop", "leaver-edits", "edit", std::slice::from_ref(&leaver))
        .await?;
    env.role_binding("billing", "leaver-administers", "admin", std::slice::from_ref(&leaver))
        .await?;
    env.role_binding("platform", "on-call", "edit", &[leaver, user(COLLEAGUE.certificate)])
        .await?;
    env.role_binding("shop", "active-views", "view", &[user(STILL_ACTIVE.certificate)])
        .await?;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "example"}, "stringData": {"key": "value"}}))?;
    Api::namespaced(env.admin(), "shop")
        .create(&PostParams::default(), &secret)
        .await
        .context("a Secret in shop")?;
    Ok(())
}

/// Makes the leaver's requests in the audit log a month old: the demo has just used the certificate to show that it works.
/// Returns how many there were.
pub(super) async fn make_quiet(env: &OwnEnv) -> anyhow::Result<usize> {
    let by_leaver = |record: &crate::simulator::Record| record.get("user.username") == Some(LEAVER.certificate);
    // One more request, which can be told from all others: when its record is there, so are those before it.
    let marker = format!("{}?limit=7", GRANTS[0].path);
    env.probe(LEAVER.certificate, &marker).await?;
    let is_marker = |record: &crate::simulator::Record| record.get("requestURI") == Some(&marker);
    env.sim
        .wait_for_record(CLUSTER_ID, is_marker, DEADLINE)
        .await
        .context("the leaver's last request")?;
    Ok(env.sim.age_records(CLUSTER_ID, by_leaver, LONG_AGO))
}

/// Has the one who is still active make a request, with a real certificate, and waits until it is in the audit log; there it
/// is made an hour old. Returns the answer's status.
pub(super) async fn be_active(env: &OwnEnv) -> anyhow::Result<u16> {
    let status = env.probe(STILL_ACTIVE.certificate, ACTIVE_PATH).await?;
    let theirs = |record: &crate::simulator::Record| record.get("user.username") == Some(STILL_ACTIVE.certificate);
    env.sim
        .wait_for_record(CLUSTER_ID, theirs, DEADLINE)
        .await
        .context("a request of still-active")?;
    env.sim.age_records(CLUSTER_ID, theirs, AN_HOUR);
    Ok(status)
}

/// Writes the three manifests into `dir`, and returns their text.
pub(super) fn write_manifests(dir: &Path) -> anyhow::Result<Vec<String>> {
    let manifest = |name: &str, uid: &str, expected: &str, comment: &str| {
        format!(
            "apiVersion: ack-offboarding.io/v1alpha1\nkind: UserOffboarding\nmetadata: {{name: {name}}}\nspec:\n  uid: \"{uid}\"{comment}\n  \
             expectedName: {expected}\n"
        )
    };
    let manifests = [
        ("leaver.yaml", manifest("leaver", LEAVER.uid, LEAVER.name, "")),
        (
            "still-active.yaml",
            manifest("still-active", STILL_ACTIVE.uid, STILL_ACTIVE.name, ""),
        ),
        (
            "mistyped.yaml",
            manifest(
                MISTYPED,
                COLLEAGUE.uid,
                "another-leaver",
                "   # a mistake: this is the colleague's UID",
            ),
        ),
    ];
    fs::create_dir_all(dir).context("cannot make a folder for the manifests")?;
    manifests
        .into_iter()
        .map(|(file, text)| {
            fs::write(dir.join(file), &text).with_context(|| format!("cannot write {file}"))?;
            Ok(text)
        })
        .collect()
}
