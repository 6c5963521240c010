//! Which binding: its kind, namespace and name, and the URL that they make.

use crate::rbac::subject;
use std::fmt;

/// A kind of binding. ClusterRoleBindings sort first, as they grant more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindingKind {
    /// Grants a role everywhere.
    ClusterRoleBinding,
    /// Grants a role in one namespace.
    RoleBinding,
}

impl BindingKind {
    /// The kind as manifests spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            BindingKind::ClusterRoleBinding => "ClusterRoleBinding",
            BindingKind::RoleBinding => "RoleBinding",
        }
    }

    /// The resource as URLs spell it.
    pub fn plural(self) -> &'static str {
        match self {
            BindingKind::ClusterRoleBinding => "clusterrolebindings",
            BindingKind::RoleBinding => "rolebindings",
        }
    }

    /// The kind of that spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [BindingKind::ClusterRoleBinding, BindingKind::RoleBinding]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Which binding: unique in a cluster at any one time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingKey {
    /// Decides whether there is a namespace.
    pub kind: BindingKind,
    /// Of a RoleBinding; `None` of a ClusterRoleBinding.
    pub namespace: Option<String>,
    /// Anything that RBAC allows, spaces and colons included: it goes into a URL through [`BindingKey::path`] only.
    pub name: String,
}

/// What stands for itself in a path segment (RFC 3986, unreserved). RBAC names may hold anything but `/`, `%`, `.` and `..`.
const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl BindingKey {
    /// The path of its URL: the one place where a binding's name gets into a request, percent-encoded.
    pub fn path(&self) -> String {
        let segment = |text| percent_encoding::utf8_percent_encode(text, SEGMENT);
        let namespace = self
            .namespace
            .as_ref()
            .map(|n| format!("namespaces/{}/", segment(n)))
            .unwrap_or_default();
        format!(
            "/apis/{}/v1/{namespace}{}/{}",
            subject::RBAC_GROUP,
            self.kind.plural(),
            segment(&self.name)
        )
    }

    /// Whether the API server could have an object under this key.
    pub fn is_possible(&self) -> bool {
        let segment = |text: &str| !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '%']);
        let namespaced = self.kind == BindingKind::RoleBinding;
        segment(&self.name) && self.namespace.is_some() == namespaced && self.namespace.as_deref().is_none_or(segment)
    }
}

/// `RoleBinding NAMESPACE/NAME` or `ClusterRoleBinding NAME`. Control characters of the name are spelled out.
impl fmt::Display for BindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.as_str())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        for letter in self.name.chars() {
            match letter.is_control() {
                true => write!(f, "{}", letter.escape_unicode())?,
                false => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}
