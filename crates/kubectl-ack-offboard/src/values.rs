//! The values of flags and arguments: each is checked before anything is asked of a cluster.

use crate::output::clean;
use ack_offboarding_operator::rbac::{BindingKey, BindingKind};
use k8s_openapi::jiff::SignedDuration;
use std::{fmt, str::FromStr, time::Duration};

/// A duration in Go's notation, as kubectl takes it; a number alone is in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let wrong = || format!("{text} is no duration: write 30s, 5m or 1h30m");
    let parsed: SignedDuration = text.parse().map_err(|_| wrong())?;
    parsed.try_into().map_err(|_| wrong())
}

/// A UID as the CRD takes it.
pub(crate) fn uid(text: &str) -> Result<String, String> {
    let is_uid =
        (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    is_uid.then(|| text.to_owned()).ok_or_else(|| {
        "a UID is 1 to 20 digits, without a leading zero. It is no name: docs/finding-a-uid.md says where it stands"
            .to_owned()
    })
}

/// A whole digest.
pub(crate) fn digest(text: &str) -> Result<String, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    let is_whole = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_whole.then(|| text.to_owned()).ok_or_else(|| {
        "a digest is \"sha256:\" and 64 hexadecimal digits in lower case, as in status.plan.digest".to_owned()
    })
}

/// Free text, as long as the CRD takes it.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0..=1024 => Ok(text.to_owned()),
        length => Err(format!("it has {length} characters, and may have 1,024")),
    }
}

/// A binding, as `RoleBinding/NAMESPACE/NAME` or `ClusterRoleBinding/NAME`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BindingArg {
    pub(crate) kind: BindingKind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl FromStr for BindingArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, namespace, name] if kind.eq_ignore_ascii_case("RoleBinding") => {
                (BindingKind::RoleBinding, Some((*namespace).to_owned()), *name)
            }
            [kind, name] if kind.eq_ignore_ascii_case("ClusterRoleBinding") => {
                (BindingKind::ClusterRoleBinding, None, *name)
            }
            _ => return Err("write RoleBinding/NAMESPACE/NAME or ClusterRoleBinding/NAME".to_owned()),
        };
        let name = name.to_owned();
        Ok(BindingArg { kind, namespace, name })
    }
}

impl fmt::Display for BindingArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind.as_str())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl BindingArg {
    /// Whether it names this binding.
    pub(crate) fn is(&self, key: &BindingKey) -> bool {
        self.kind == key.kind && self.namespace == key.namespace && self.name == key.name
    }

    /// How `--binding` names it.
    pub(crate) fn name(key: &BindingKey) -> String {
        let namespace = key
            .namespace
            .iter()
            .map(|namespace| format!("{namespace}/"))
            .collect::<String>();
        clean(&format!("{}/{namespace}{}", key.kind.as_str(), key.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn a_binding_is_named_by_kind_namespace_and_name() {
        for (text, shown) in [
            ("RoleBinding/team-a/own", Some("RoleBinding/team-a/own")),
            ("rolebinding/team-a/a:b", Some("RoleBinding/team-a/a:b")),
            ("ClusterRoleBinding/all", Some("ClusterRoleBinding/all")),
            ("ClusterRoleBinding/team-a/all", None),
            ("RoleBinding/own", None),
            ("Role/team-a/own", None),
            ("own", None),
        ] {
            let parsed = text.parse::<BindingArg>().ok().map(|binding| binding.to_string());
            assert_eq!(parsed.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_gos() {
        let read = |text| duration(text).ok();
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read("90"), Some(Duration::from_secs(90)));
        assert_eq!(read("1h30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("-5s"), None);
        assert_eq!(read("soon"), None);
    }

    /// A verb by its path, as in `fleet scan`, its help's end, and the exit codes that this has.
    fn verbs() -> Vec<(String, String)> {
        let cli = Cli::command();
        let mut all = Vec::new();
        for verb in cli.get_subcommands() {
            let help = |verb: &clap::Command| verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            all.push((verb.get_name().to_owned(), help(verb)));
            let inner = verb.get_subcommands();
            all.extend(inner.map(|inner| (format!("{} {}", verb.get_name(), inner.get_name()), help(inner))));
        }
        all
    }

    /// The numbers at the beginning of each part: `0 done; 1 found`.
    fn numbers(text: &str) -> Vec<String> {
        let parts = text.split(';').filter_map(|part| part.split_whitespace().next());
        parts.map(str::to_owned).collect()
    }

    #[test]
    fn every_verb_has_examples_and_exit_codes() {
        for (name, help) in verbs() {
            assert!(help.contains(&format!("kubectl ack-offboard {name}")), "{name}: {help}");
            assert!(help.contains("Exit codes: 0 "), "{name}: {help}");
        }
    }

    #[test]
    fn the_pages_have_every_verb_with_the_exit_codes_of_its_help() {
        let one = include_str!("../../../docs/plugin.md");
        let many = include_str!("../../../docs/many-clusters.md");
        for (name, help) in verbs().into_iter().filter(|(name, _)| name != "man") {
            let codes = help.lines().find_map(|line| line.strip_prefix("Exit codes: "));
            let page = if name.contains(' ') { many } else { one };
            let row = page.lines().find(|line| {
                let rest = line.strip_prefix("| `").and_then(|rest| rest.strip_prefix(&name));
                rest.is_some_and(|rest| rest.starts_with([' ', '`']))
            });
            let row = row.unwrap_or_else(|| panic!("no page has a row for {name}"));
            let plain = row.replace('`', "");
            let cell = plain.split(" | ").nth(2).unwrap_or_default();
            assert_eq!(
                numbers(cell),
                numbers(codes.unwrap_or_default()),
                "{name}: {cell:?} {codes:?}"
            );
        }
    }
}
