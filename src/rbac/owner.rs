//! Who would bring a deleted binding back, as its labels, annotations and managedFields tell: one table, and the advice that fits
//! each row.

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// Who may bring a binding back, and how that is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// As messages call it: `Flux Kustomization team-a/rbac`. At most 256 characters, none of them a control character.
    pub name: String,
    /// How it is stopped.
    pub advice: Advice,
    /// Whether the binding is marked as its own, by labels and annotations that anybody who may edit the binding can set. If not, it only
    /// wrote the subjects last.
    pub owns: bool,
    /// Who wrote the subjects last, if something else marks it.
    pub writer: Option<String>,
}

impl Manager {
    /// `; its subjects were last written by "x"`, where a mark says somebody else.
    pub fn written_by(&self) -> String {
        let said = |writer| format!("; its subjects were last written by a client that calls itself {writer:?}");
        self.writer.as_ref().map(said).unwrap_or_default()
    }

    /// What is said of it beside a binding that changes, as a sentence.
    pub fn relation(&self) -> String {
        match self.owns {
            true => format!("It is marked as belonging to {}{}.", self.name, self.written_by()),
            false => format!("Its subjects were last written by {}.", self.name),
        }
    }
}

/// What a person does about a manager: imperative sentences, without their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// So that the binding does not come back.
    pub binding: &'static str,
    /// So that the leaver does not come back into a binding of others.
    pub subject: &'static str,
}

const GIT: Advice = Advice {
    binding: "Remove it from Git",
    subject: "Take the leaver out of it in Git",
};
const FLEET: Advice = Advice {
    binding: "Remove it from the Git repository or the Bundle that Rancher deploys it from",
    subject: "Take the leaver out of it in the Git repository or the Bundle that Rancher deploys it from",
};
const HELM: Advice = Advice {
    binding: "Remove it from the values or the chart of the release, and upgrade the release",
    subject: "Take the leaver out of the values or the chart of the release, and upgrade the release",
};
const VELERO: Advice = Advice {
    binding: "Stop the restore, or leave the binding out of it",
    subject: "Stop the restore, or leave the binding out of it",
};
const TERRAFORM: Advice = Advice {
    binding: "Remove it from the Terraform configuration, and apply that",
    subject: "Take the leaver out of it in the Terraform configuration, and apply that",
};
const OWNER: Advice = Advice {
    binding: "Change the object that owns it, so that it no longer creates the binding",
    subject: "Change the object that owns it, so that it no longer names the leaver",
};
const WEAK: Advice = Advice {
    binding: "Look for it in Git and among the Helm releases, and remove it there",
    subject: "Look for it in Git and among the Helm releases, and take the leaver out of it there",
};
const WRITER: Advice = Advice {
    binding: "Find out where it runs (the audit log has its user and address), and remove the binding there",
    subject: "Find out where it runs (the audit log has its user and address), and take the leaver out there",
};

/// Where something stands in an object's metadata.
#[derive(Clone, Copy)]
enum Key {
    Label(&'static str),
    Annotation(&'static str),
}
use Key::{Annotation, Label};

/// What tells that an object is a tool's.
#[derive(Clone, Copy)]
enum Sign {
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
struct Row {
    sign: Sign,
    called: &'static str,
    /// Its name among the tool's own objects, and its namespace.
    name: &'static [Key],
    namespace: Option<Key>,
    advice: Advice,
}

/// The tools, the more certain sign first: what Git tools set stays on an object that Helm rendered or Velero restored.
const TABLE: &[Row] = &[
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

/// Labels or annotations.
pub(super) type Texts<'a> = Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>;

/// The owner that a controller noted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnerReference {
    kind: String,
    name: String,
}

/// What a binding's metadata says of its origin.
pub(super) struct Marks<'a> {
    pub(super) labels: &'a Texts<'a>,
    pub(super) annotations: &'a Texts<'a>,
    pub(super) owner: Option<&'a OwnerReference>,
    pub(super) managed_fields: Option<&'a RawValue>,
}

/// Who would bring the binding back: the first row of the table that fits; then the owner that a controller noted; then a label that Argo CD and
/// Helm both use; and at last whoever wrote the subjects.
pub(super) fn manager_of(marks: &Marks<'_>) -> Option<Manager> {
    let writer = marks.managed_fields.and_then(last_writer);
    let by_table = TABLE
        .iter()
        .find(|row| marks.have(row.sign, writer.as_deref()))
        .map(|row| (row.called(marks), row.advice, true));
    let by_owner = || {
        let owner = marks.owner.filter(|owner| !owner.name.is_empty())?;
        Some((
            format!("{} {}", legible(&owner.kind), legible(&owner.name)),
            OWNER,
            true,
        ))
    };
    let weak = || {
        let instance = marks.text(Label("app.kubernetes.io/instance"))?;
        let name = format!(
            "something of the name {} (label app.kubernetes.io/instance: an Argo CD application or a Helm release)",
            legible(instance)
        );
        Some((name, WEAK, true))
    };
    let by_writer = || {
        let name = format!("a client that calls itself {:?} (managedFields)", writer.as_ref()?);
        Some((name, WRITER, false))
    };
    let (name, advice, owns) = by_table.or_else(by_owner).or_else(weak).or_else(by_writer)?;
    Some(Manager {
        name: shown(&name, 256),
        advice,
        writer: writer.filter(|_| owns),
        owns,
    })
}

impl Row {
    fn called(&self, marks: &Marks<'_>) -> String {
        let Some(name) = self.name.iter().find_map(|key| marks.text(*key)) else {
            return self.called.to_owned();
        };
        // The tracking ID goes on with what it tracks; no other name holds a colon.
        let name = name.split(':').find(|part| !part.is_empty()).unwrap_or_default();
        match self.namespace.and_then(|key| marks.text(key)) {
            Some(namespace) => format!("{} {}/{}", self.called, legible(namespace), legible(name)),
            None => format!("{} {}", self.called, legible(name)),
        }
    }
}

impl Marks<'_> {
    fn text(&self, key: Key) -> Option<&str> {
        let (texts, key) = match key {
            Label(key) => (self.labels, key),
            Annotation(key) => (self.annotations, key),
        };
        texts
            .as_ref()?
            .get(key)
            .map(|text| &**text)
            .filter(|text| !text.is_empty())
    }

    fn have(&self, sign: Sign, writer: Option<&str>) -> bool {
        match sign {
            Sign::Is(key) => self.text(key).is_some(),
            Sign::Says(key, value) => self.text(key).is_some_and(|text| text.eq_ignore_ascii_case(value)),
            Sign::Any(signs) => signs.iter().any(|sign| self.have(*sign, writer)),
            Sign::Prefix(start) => [self.labels, self.annotations]
                .into_iter()
                .flatten()
                .any(|texts| texts.keys().any(|key| key.starts_with(start))),
            Sign::Writer(start) => writer.is_some_and(|writer| writer.starts_with(start)),
        }
    }
}

/// A name as Kubernetes and its tools have them: whatever else somebody wrote there is no part of a sentence of ours.
fn legible(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/@+-".contains(c);
    name.chars().take(253).map(|c| if plain(c) { c } else { '?' }).collect()
}

/// The text without control characters, cut.
fn shown(text: &str, characters: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(characters).collect()
}

/// Names that tell nothing: the operator's own, and what the API server calls clients without a name, of which the operator is one.
const NOBODY: [&str; 4] = ["", "unknown", "before-first-apply", "ack-offboarding-operator"];

/// Who wrote the subjects last and still owns them, besides the operator: of managedFields, the latest entry with `f:subjects`. No tree of
/// it is kept: how large it is, its authors decide.
fn last_writer(managed_fields: &RawValue) -> Option<String> {
    struct Latest;
    impl<'de> Visitor<'de> for Latest {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("managedFields")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut latest: Option<(String, String)> = None;
            while let Some(entry) = entries.next_element::<Entry<'de>>()? {
                let manager = entry.manager.unwrap_or_default();
                let writes = entry.operation.is_some() && entry.fields_v1.0;
                // Times are of one form, in UTC: their texts sort as they do.
                let time = shown(&entry.time.unwrap_or_default(), 32);
                let is_later = latest.as_ref().is_none_or(|(known, _)| *known <= time);
                if writes && !NOBODY.contains(&&*manager) && is_later {
                    latest = Some((time, shown(&manager, 128)));
                }
            }
            Ok(latest.map(|(_, manager)| manager))
        }
    }
    let mut json = serde_json::Deserializer::from_str(managed_fields.get());
    json.deserialize_seq(Latest).ok().flatten()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(default, borrow)]
    manager: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    operation: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(default, rename = "fieldsV1")]
    fields_v1: OwnsSubjects,
}

/// Whether fieldsV1 has `f:subjects` at its top; everything else is skipped while it is read.
#[derive(Default)]
struct OwnsSubjects(bool);

impl<'de> Deserialize<'de> for OwnsSubjects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = OwnsSubjects;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("fieldsV1")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<OwnsSubjects, A::Error> {
                let mut owns = false;
                while let Some((key, IgnoredAny)) = fields.next_entry::<Cow<'de, str>, IgnoredAny>()? {
                    owns |= key == "f:subjects";
                }
                Ok(OwnsSubjects(owns))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests;
