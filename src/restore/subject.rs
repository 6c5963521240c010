//! A subject of a binding, compared as the API server does.

use crate::rbac::subject::RBAC_GROUP;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A subject: two are the same if kind, API group, namespace and name are. Its text is kept as it was.
#[derive(Clone, Debug)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Its API group; an absent one is what the API server defaults it to.
    pub api_group: String,
    /// The namespace of a ServiceAccount.
    pub namespace: String,
    /// Its name.
    pub name: String,
    pub(super) text: String,
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        (&self.kind, &self.api_group, &self.namespace, &self.name)
            == (&other.kind, &other.api_group, &other.namespace, &other.name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    kind: String,
    #[serde(default)]
    api_group: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    name: String,
}

impl Subject {
    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let wire: Wire = serde_json::from_str(text)?;
        let default = match wire.kind.as_str() {
            "User" | "Group" => RBAC_GROUP,
            _ => "",
        };
        let api_group = wire.api_group.filter(|group| !group.is_empty());
        Ok(Subject {
            api_group: api_group.unwrap_or_else(|| default.to_owned()),
            namespace: wire.namespace.unwrap_or_default(),
            kind: wire.kind,
            name: wire.name,
            text: text.to_owned(),
        })
    }

    /// The subjects of a binding.
    pub(super) fn all(binding: &str) -> Result<Vec<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Binding<'a> {
            #[serde(default, borrow)]
            subjects: Option<Vec<&'a RawValue>>,
        }
        let binding: Binding<'_> = serde_json::from_str(binding)?;
        let subjects = binding.subjects.unwrap_or_default();
        subjects.into_iter().map(|raw| Subject::parse(raw.get())).collect()
    }
}

/// The subjects as a JSON array.
pub(super) fn array<'a>(subjects: impl IntoIterator<Item = &'a Subject>) -> String {
    let texts: Vec<&str> = subjects.into_iter().map(|subject| subject.text.as_str()).collect();
    format!("[{}]", texts.join(","))
}
