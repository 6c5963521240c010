//! Installs what the operator needs in a cluster: its CRD, its ServiceAccount, its permissions, and the admission policy that keeps
//! it to them. The operator itself runs as a process of the test, with the ServiceAccount's real token.

use std::{fs, path::Path, time::Duration};

use ack_offboarding_operator::api::{PLAN_LABEL, UserOffboarding};
use anyhow::Context;
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingAdmissionPolicyBinding,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::{ConfigMap, Namespace},
    rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::json;

use super::{Cluster, manifests, wait::eventually};

/// The operator's usual namespace.
pub const OPERATOR_NAMESPACE: &str = "ack-offboarding-system";
/// The name of the operator's ServiceAccount.
pub const OPERATOR_SERVICE_ACCOUNT: &str = "ack-offboarding-operator";
/// The name of the two bindings, one cluster-wide and one in the operator's namespace, that only serve as a barrier.
pub const BARRIER: &str = "ack-offboarding-barrier";

const OPERATOR: &str = include_str!("../../manifests/operator.yaml");
const SUBJECT_REMOVAL: &str = include_str!("../../manifests/subject-removal.yaml");
const ADMISSION_POLICY: &str = include_str!("../../manifests/admission-policy.yaml");
/// The roles for people, and the policy that asks for the verb `approve`.
const PEOPLE: &str = include_str!("../../manifests/people.yaml");
/// The ClusterRole and the ClusterRoleBinding in [`SUBJECT_REMOVAL`].
const SUBJECT_REMOVAL_NAME: &str = "ack-offboarding-operator-subject-removal";

const BACKUP_POLICY: &str = include_str!("../../manifests/backup-policy.yaml");
/// The chart's policies: what the operator may do to bindings, who may touch backups, who may approve. Each has a binding of its name.
pub const POLICIES: [&str; 3] = ["ack-offboarding-operator", BACKUPS, APPROVAL];
/// The policy that asks for the verb `approve`.
const APPROVAL: &str = "ack-offboarding-approval";
/// The policy that keeps backups.
const BACKUPS: &str = "ack-offboarding-backups";

const DEADLINE: Duration = Duration::from_secs(60);

impl Cluster {
    /// Installs the CRD, the ServiceAccount `ack-offboarding-operator` in `namespace`, what it may do, the two barrier bindings, the roles
    /// for people, and the admission policies. Returns once all of that is in force. Installing again restores what was changed.
    ///
    /// There is one operator in a cluster: a second installation in another namespace takes the permissions from the first.
    pub async fn install_operator(&self, namespace: &str) -> anyhow::Result<()> {
        self.install(namespace, true).await
    }

    /// As [`install_operator`](Self::install_operator), but the operator may delete bindings only, not take a subject out of one.
    pub async fn install_operator_without_subject_removal(&self, namespace: &str) -> anyhow::Result<()> {
        self.install(namespace, false).await
    }

    /// Writes the ConfigMap in which ACK tells a cluster its ID (`clusterid`) and the ID of its account (`uid`).
    pub async fn set_cluster_profile(&self, cluster_id: &str, account_id: &str) -> anyhow::Result<()> {
        let profile = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "ack-cluster-profile", "namespace": "kube-system"},
            "data": {"clusterid": cluster_id, "uid": account_id},
        });
        let params = PatchParams::apply("ack-offboarding-e2e").force();
        Api::<ConfigMap>::namespaced(self.admin(), "kube-system")
            .patch("ack-cluster-profile", &params, &Patch::Apply(profile))
            .await
            .context("cannot write the cluster's profile")?;
        Ok(())
    }

    /// Makes the namespace if it is not there.
    pub async fn ensure_namespace(&self, name: &str) -> anyhow::Result<()> {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        };
        let namespace = Namespace {
            metadata,
            ..Namespace::default()
        };
        match Api::<Namespace>::all(self.admin())
            .create(&PostParams::default(), &namespace)
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot create the namespace {name}")),
        }
    }

    /// Installs the roles for people, and the policy that asks for the verb `approve`.
    pub async fn install_people(&self) -> anyhow::Result<()> {
        manifests::apply(&self.admin(), &manifests::parse(PEOPLE)?).await
    }

    /// Applies the objects of a YAML text.
    ///
    /// # Errors
    /// When it is no YAML, or the API server refuses.
    pub async fn apply_manifests(&self, yaml: &str) -> anyhow::Result<()> {
        manifests::apply(&self.admin(), &manifests::parse(yaml)?).await
    }

    async fn install(&self, namespace: &str, subject_removal: bool) -> anyhow::Result<()> {
        let admin = self.admin();
        install_crds(&admin).await?;
        let render = |yaml: &str| manifests::parse(&yaml.replace(OPERATOR_NAMESPACE, namespace));
        // The policy first: there is no moment at which the operator could do more than it lets it do.
        manifests::apply(&admin, &render(ADMISSION_POLICY)?).await?;
        manifests::apply(&admin, &render(BACKUP_POLICY)?).await?;
        manifests::apply(&admin, &render(OPERATOR)?).await?;
        manifests::apply(&admin, &render(PEOPLE)?).await?;
        if subject_removal {
            manifests::apply(&admin, &render(SUBJECT_REMOVAL)?).await?;
        } else {
            remove_subject_removal(&admin).await?;
        }
        let operator = self.service_account_client(namespace, OPERATOR_SERVICE_ACCOUNT).await?;
        until_permitted(&operator, namespace, subject_removal).await?;
        until_enforced(&operator, namespace).await?;
        until_approvals_are_guarded(&admin).await?;
        until_backups_are_kept(&operator, namespace, true).await
    }

    /// Takes away the policy that keeps backups, and returns once it is out of force.
    ///
    /// # Errors
    /// When the API server refuses, or goes on enforcing it.
    pub async fn lift_backup_policy(&self, namespace: &str) -> anyhow::Result<()> {
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.admin());
        match bindings.delete(BACKUPS, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error).context("cannot take away the policy that keeps backups"),
        }
        until_backups_are_kept(&self.admin(), namespace, false).await
    }

    /// Puts back the policy that keeps backups, and returns once it is in force.
    ///
    /// # Errors
    /// When the API server refuses, or does not enforce it.
    pub async fn enforce_backup_policy(&self, namespace: &str) -> anyhow::Result<()> {
        let policy = manifests::parse(&BACKUP_POLICY.replace(OPERATOR_NAMESPACE, namespace))?;
        manifests::apply(&self.admin(), &policy).await?;
        until_backups_are_kept(&self.admin(), namespace, true).await
    }
}

/// Applies the files of the folder `crds/` at the root of the repository, and waits until the API server serves them.
async fn install_crds(admin: &Client) -> anyhow::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    let Ok(files) = fs::read_dir(&dir) else { return Ok(()) };
    for file in files {
        let path = file?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            let yaml = fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
            let crds = manifests::parse(&yaml)?;
            manifests::apply(admin, &crds).await?;
            for crd in &crds {
                until_served(admin, crd).await?;
            }
        }
    }
    Ok(())
}

/// Established, and its storage version can be listed.
async fn until_served(admin: &Client, crd: &DynamicObject) -> anyhow::Result<()> {
    let spec = &crd.data["spec"];
    let text = |value: &serde_json::Value| {
        value
            .as_str()
            .map(str::to_owned)
            .context("a CRD lacks a required field")
    };
    let versions = spec["versions"].as_array().context("a CRD has no versions")?;
    let stored = versions
        .iter()
        .find(|version| version["storage"] == true)
        .context("a CRD has no storage version")?;
    let kind = GroupVersionKind::gvk(
        &text(&spec["group"])?,
        &text(&stored["name"])?,
        &text(&spec["names"]["kind"])?,
    );
    let resource = ApiResource::from_gvk_with_plural(&kind, &text(&spec["names"]["plural"])?);
    let objects = Api::<DynamicObject>::all_with(admin.clone(), &resource);
    eventually(&format!("the API of {}", kind.kind), DEADLINE, async || {
        Ok(objects.list(&ListParams::default().limit(1)).await.ok().map(drop))
    })
    .await
}

async fn remove_subject_removal(admin: &Client) -> anyhow::Result<()> {
    let params = DeleteParams::default();
    let binding = Api::<ClusterRoleBinding>::all(admin.clone())
        .delete(SUBJECT_REMOVAL_NAME, &params)
        .await
        .map(drop);
    let role = Api::<ClusterRole>::all(admin.clone())
        .delete(SUBJECT_REMOVAL_NAME, &params)
        .await
        .map(drop);
    for deleted in [binding, role] {
        match deleted {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => other.context("cannot take subject removal from the operator")?,
        }
    }
    Ok(())
}

/// Whether the API server's authorizer lets `client` do this.
///
/// # Errors
/// When it does not answer.
pub async fn is_allowed(client: &Client, attributes: ResourceAttributes) -> anyhow::Result<bool> {
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview {
        spec,
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Waits until the API server's authorizer, which follows RBAC objects by watch, knows one permission of each binding.
async fn until_permitted(operator: &Client, namespace: &str, subject_removal: bool) -> anyhow::Result<()> {
    let rbac = "rbac.authorization.k8s.io";
    // Verb, group, resource, namespace, name; whether it is allowed.
    let expected = [
        ("list", rbac, "rolebindings", "", "", true),
        ("list", "", "configmaps", namespace, "", true),
        ("create", "events.k8s.io", "events", "default", "", true),
        ("get", "", "configmaps", "kube-system", "ack-cluster-profile", true),
        ("patch", rbac, "clusterrolebindings", "", "", subject_removal),
        ("bind", rbac, "clusterroles", "", "", subject_removal),
        (
            "get",
            "admissionregistration.k8s.io",
            "validatingadmissionpolicies",
            "",
            BACKUPS,
            true,
        ),
    ];
    for (verb, group, resource, namespace, name, allowed) in expected {
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            ..ResourceAttributes::default()
        };
        eventually(
            &format!("{verb} {resource} to be allowed: {allowed}"),
            DEADLINE,
            async || Ok((is_allowed(operator, attributes.clone()).await? == allowed).then_some(())),
        )
        .await?;
    }
    Ok(())
}

/// Waits until the admission policy refuses what it has to refuse, and lets through what it has to let through: for a second
/// or so after it was made, it does nothing.
async fn until_enforced(operator: &Client, namespace: &str) -> anyhow::Result<()> {
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let barrier = Api::<RoleBinding>::namespaced(operator.clone(), namespace);
    let label = Patch::Merge(json!({"metadata": {"labels": {"ack-offboarding.io/probe": "refused"}}}));
    eventually("the admission policy to be enforced", DEADLINE, async || {
        let refused = barrier.patch(BARRIER, &dry_run, &label).await;
        Ok(refused
            .err()
            .filter(|error| error.to_string().contains("ValidatingAdmissionPolicy"))
            .map(drop))
    })
    .await?;
    let annotation = Patch::Merge(json!({"metadata": {"annotations": {"ack-offboarding.io/probe": "allowed"}}}));
    let cluster_barrier = Api::<ClusterRoleBinding>::all(operator.clone());
    eventually("the barrier bindings to be writable", DEADLINE, async || {
        let both = barrier.patch(BARRIER, &dry_run, &annotation).await.is_ok()
            && cluster_barrier.patch(BARRIER, &dry_run, &annotation).await.is_ok();
        Ok(both.then_some(()))
    })
    .await
}

/// Waits until the approval policy refuses what it refuses to everybody. It, and not the one about bindings: each comes into force by itself.
async fn until_approvals_are_guarded(admin: &Client) -> anyhow::Result<()> {
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let probe: UserOffboarding = serde_json::from_value(json!({
        "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding",
        "metadata": {"name": "policy-probe", "labels": {PLAN_LABEL: ""}}, "spec": {"uid": "1", "mode": "Execute"},
    }))?;
    let objects = Api::<UserOffboarding>::all(admin.clone());
    eventually("the approval policy to be enforced", DEADLINE, async || {
        let refused = objects.create(&dry_run, &probe).await.err();
        Ok(refused.filter(|error| error.to_string().contains(APPROVAL)).map(drop))
    })
    .await
}

/// Waits until nobody, or anybody, may create the ConfigMap whose name is reserved for this question.
async fn until_backups_are_kept(client: &Client, namespace: &str, kept: bool) -> anyhow::Result<()> {
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let named = |name: &str| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let (probe, another) = (named("offboarding-policy-probe"), named("offboarding-another"));
    let (what, mut last) = (format!("backups to be kept: {kept}"), String::new());
    let settled = eventually(&what, DEADLINE, async || {
        let refused = maps.create(&dry_run, &probe).await;
        // It lets through what it has to.
        let allowed = maps.create(&dry_run, &another).await;
        last = format!("{:?}; {:?}", refused.as_ref().err(), allowed.as_ref().err());
        let refused = refused.is_err_and(|error| error.to_string().contains(BACKUPS));
        let allowed = allowed.err().is_none_or(|error| !error.to_string().contains(BACKUPS));
        Ok((refused == kept && allowed).then_some(()))
    });
    settled.await.with_context(|| last)
}
