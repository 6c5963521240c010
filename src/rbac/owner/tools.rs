//! The tools that own bindings: how each is recognised, with the source of that, and the advice that fits it.

/// What a person does about a manager: imperative sentences, without their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// So that the binding does not come back.
    pub binding: &'static str,
    /// So that the leaver does not come back into a binding of others.
    pub subject: &'static str,
}

pub(super) const GIT: Advice = Advice {
    binding: "Remove it from Git",
    subject: "Take the leaver out of it in Git",
};

pub(super) const FLEET: Advice = Advice {
    binding: "Remove it from the Git repository or the Bundle that Rancher deploys it from",
    subject: "Take the leaver out of it in the Git repository or the Bundle that Rancher deploys it from",
};

pub(super) const HELM: Advice = Advice {
    binding: "Remove it from the values or the chart of the release, and upgrade the release",
    subject: "Take the leaver out of the values or the chart of the release, and upgrade the release",
};

pub(super) const VELERO: Advice = Advice {
    binding: "Stop the restore, or leave the binding out of it",
    subject: "Stop the restore, or leave the binding out of it",
};

pub(super) const TERRAFORM: Advice = Advice {
    binding: "Remove it from the Terraform configuration, and apply that",
    subject: "Take the leaver out of it in the Terraform configuration, and apply that",
};

pub(super) const OWNER: Advice = Advice {
    binding: "Change the object that owns it, so that it no longer creates the binding",
    subject: "Change the object that owns it, so that it no longer names the leaver",
};

pub(super) const WEAK: Advice = Advice {
    binding: "Look for it in Git and among the Helm releases, and remove it there",
    subject: "Look for it in Git and among the Helm releases, and take the leaver out of it there",
};

pub(super) const WRITER: Advice = Advice {
    binding: "Find out where it runs (the audit log has its user and address), and remove the binding there",
    subject: "Find out where it runs (the audit log has its user and address), and take the leaver out there",
};

/// Where something stands in an object's metadata.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Label(&'static str),
    Annotation(&'static str),
}
use Key::{Annotation, Label};

/// What tells that an object is a tool's.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    /// The key is there.
    Is(Key),
    /// The key has this value, in whatever case.
    Says(Key, &'static str),
    /// One of several.
    Any(&'static [Sign]),
    /// A label or annotation has a key that begins so.
    Prefix(&'static str),
    /// Its fields were written by a client whose name begins so.
    Writer(&'static str),
}

/// How a tool is recognised, and what is said of it.
pub(super) struct Row {
    pub(super) sign: Sign,
    pub(super) called: &'static str,
    /// Its name among the tool's own objects, and its namespace.
    pub(super) name: &'static [Key],
    pub(super) namespace: Option<Key>,
    pub(super) advice: Advice,
}

/// The tools, the more certain sign first: what Git tools set stays on an object that Helm rendered or Velero restored.
pub(super) const TABLE: &[Row] = &[
    // fluxcd.io, kustomize-controller, "Kustomization": labels of each applied object.
    Row {
        sign: Sign::Is(Label("kustomize.toolkit.fluxcd.io/name")),
        called: "Flux Kustomization",
        name: &[Label("kustomize.toolkit.fluxcd.io/name")],
        namespace: Some(Label("kustomize.toolkit.fluxcd.io/namespace")),
        advice: GIT,
    },
    // fluxcd.io, helm-controller: its post-renderer labels what a HelmRelease renders.
    Row {
        sign: Sign::Is(Label("helm.toolkit.fluxcd.io/name")),
        called: "Flux HelmRelease",
        name: &[Label("helm.toolkit.fluxcd.io/name")],
        namespace: Some(Label("helm.toolkit.fluxcd.io/namespace")),
        advice: GIT,
    },
    // argo-cd.readthedocs.io, "Resource Tracking": the annotation holds APP:GROUP/KIND:NAMESPACE/NAME.
    Row {
        sign: Sign::Is(Annotation("argocd.argoproj.io/tracking-id")),
        called: "Argo CD application",
        name: &[Annotation("argocd.argoproj.io/tracking-id")],
        namespace: None,
        advice: GIT,
    },
    // The same page: the label that many installations set as application.instanceLabelKey.
    Row {
        sign: Sign::Is(Label("argocd.argoproj.io/instance")),
        called: "Argo CD application",
        name: &[Label("argocd.argoproj.io/instance")],
        namespace: None,
        advice: GIT,
    },
    // The same page: app.kubernetes.io/instance is the default tracking label. Helm charts set it as well, so that another sign of
    // Argo CD is needed: one of its annotations, or its field manager (argocd-controller, argocd-application-controller).
    Row {
        sign: Sign::Any(&[
            Sign::Prefix("argocd.argoproj.io/"),
            Sign::Writer("argocd-controller"),
            Sign::Writer("argocd-application-controller"),
        ]),
        called: "Argo CD application",
        name: &[Label("app.kubernetes.io/instance")],
        namespace: None,
        advice: GIT,
    },
    // cloud.google.com, Config Sync, "Kubernetes annotations and labels of managed objects".
    Row {
        sign: Sign::Any(&[
            Sign::Says(Annotation("configmanagement.gke.io/managed"), "enabled"),
            Sign::Says(Label("app.kubernetes.io/managed-by"), "configmanagement.gke.io"),
            Sign::Prefix("configsync.gke.io/"),
        ]),
        called: "Config Sync",
        name: &[
            Annotation("configmanagement.gke.io/source-path"),
            Annotation("configsync.gke.io/manager"),
        ],
        namespace: None,
        advice: GIT,
    },
    // rancher/fleet and rancher/wrangler, pkg/apply: each applied object gets its set's hash, and the owner of the set.
    Row {
        sign: Sign::Any(&[
            Sign::Prefix("fleet.cattle.io/"),
            Sign::Prefix("objectset.rio.cattle.io/"),
        ]),
        called: "Rancher Fleet",
        name: &[
            Annotation("objectset.rio.cattle.io/owner-name"),
            Annotation("objectset.rio.cattle.io/id"),
        ],
        namespace: Some(Annotation("objectset.rio.cattle.io/owner-namespace")),
        advice: FLEET,
    },
    // velero.io, pkg/apis/velero/v1/labels_annotations.go: on everything that a restore creates.
    Row {
        sign: Sign::Any(&[
            Sign::Is(Label("velero.io/restore-name")),
            Sign::Is(Label("velero.io/backup-name")),
        ]),
        called: "Velero restore",
        name: &[Label("velero.io/restore-name"), Label("velero.io/backup-name")],
        namespace: None,
        advice: VELERO,
    },
    // helm.sh, pkg/action/validate.go: Helm adopts an object only with these annotations, and sets them.
    Row {
        sign: Sign::Is(Annotation("meta.helm.sh/release-name")),
        called: "Helm release",
        name: &[Annotation("meta.helm.sh/release-name")],
        namespace: Some(Annotation("meta.helm.sh/release-namespace")),
        advice: HELM,
    },
    // hashicorp/terraform-provider-kubernetes: "Terraform" is the field manager of kubernetes_manifest and begins the User-Agent,
    // which was "HashiCorp/1.0 Terraform/…" before 2.0. Many modules set the label.
    Row {
        sign: Sign::Any(&[
            Sign::Says(Label("app.kubernetes.io/managed-by"), "terraform"),
            Sign::Writer("Terraform"),
            Sign::Writer("HashiCorp"),
        ]),
        called: "Terraform",
        name: &[],
        namespace: None,
        advice: TERRAFORM,
    },
];
