//! The variables that a person's credentials are read from, with the aliases that ack-ram-tool reads.

use std::{collections::BTreeMap, fmt};

/// The names of one setting: the first that is set and not empty wins.
pub(super) type Names = &'static [&'static str];

pub(super) const KEY_ID: Names = &[
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALICLOUD_ACCESS_KEY",
    "ALIBABACLOUD_ACCESS_KEY_ID",
    "ALICLOUD_ACCESS_KEY_ID",
    "ACCESS_KEY_ID",
];
pub(super) const KEY_SECRET: Names = &[
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALICLOUD_SECRET_KEY",
    "ALIBABACLOUD_ACCESS_KEY_SECRET",
    "ALICLOUD_ACCESS_KEY_SECRET",
    "ACCESS_KEY_SECRET",
];
pub(super) const TOKEN: Names = &[
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALICLOUD_ACCESS_KEY_STS_TOKEN",
    "ALIBABACLOUD_SECURITY_TOKEN",
    "ALICLOUD_SECURITY_TOKEN",
    "SECURITY_TOKEN",
];
pub(super) const ROLE_ARN: Names = &["ALIBABA_CLOUD_ROLE_ARN"];
pub(super) const OIDC_PROVIDER_ARN: Names = &["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"];
pub(super) const OIDC_TOKEN_FILE: Names = &["ALIBABA_CLOUD_OIDC_TOKEN_FILE"];
pub(super) const SESSION_NAME: Names = &["ALIBABA_CLOUD_ROLE_SESSION_NAME", "ALICLOUD_ROLE_SESSION_NAME"];
pub(super) const CREDENTIALS_URI: Names = &["ALIBABA_CLOUD_CREDENTIALS_URI"];
pub(super) const ECS_METADATA: Names = &["ALIBABA_CLOUD_ECS_METADATA"];
pub(super) const CREDENTIALS_FILE: Names = &["ALIBABA_CLOUD_CREDENTIALS_FILE"];
pub(super) const PROFILE: Names = &["ALIBABACLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE", "ALICLOUD_PROFILE"];
pub(super) const IGNORE_PROFILE: Names = &["ALIBABACLOUD_IGNORE_PROFILE"];
pub(super) const PROFILE_PATH: Names = &["ALIBABACLOUD_PROFILE_PATH"];
pub(super) const REGION: Names = &[
    "ALIBABA_CLOUD_REGION_ID",
    "ALIBABACLOUD_REGION_ID",
    "ALICLOUD_REGION_ID",
];
pub(super) const NO_EXTERNAL: Names = &["ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS"];
/// What the metadata service's client reads by itself.
const METADATA: Names = &[
    "ALIBABA_CLOUD_ECS_METADATA_DISABLED",
    "ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT",
    "ALIBABA_CLOUD_IMDSV1_DISABLED",
];

const ALL: [Names; 16] = [
    KEY_ID,
    KEY_SECRET,
    TOKEN,
    ROLE_ARN,
    OIDC_PROVIDER_ARN,
    OIDC_TOKEN_FILE,
    SESSION_NAME,
    CREDENTIALS_URI,
    ECS_METADATA,
    CREDENTIALS_FILE,
    PROFILE,
    IGNORE_PROFILE,
    PROFILE_PATH,
    REGION,
    NO_EXTERNAL,
    METADATA,
];

/// The variables that credentials are read from, and no others. `Debug` shows no value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<&'static str, String>);

impl Variables {
    /// A copy of those of the process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            // A value that is no text is kept, with marks in it: it is set, so it is used, and fails; no other source is taken instead.
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect()
    }

    /// The first of these names that is set, and its value.
    pub(super) fn first(&self, names: Names) -> Option<(&'static str, &str)> {
        names
            .iter()
            .find_map(|name| Some((*name, self.0.get(name).map(String::as_str)?)))
    }

    /// Whether a switch is on: `1` or `true`, in any case.
    pub(super) fn is_on(&self, names: Names) -> bool {
        self.first(names)
            .is_some_and(|(_, value)| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// The settings of the metadata service's client.
    pub(super) fn metadata(&self) -> impl Iterator<Item = (&'static str, &str)> {
        METADATA
            .iter()
            .filter_map(|name| Some((*name, self.0.get(name).map(String::as_str)?)))
    }
}

impl<K: AsRef<str>, V: Into<String>> FromIterator<(K, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let known = |name: &str| ALL.iter().copied().flatten().find(|known| **known == name).copied();
        Variables(
            pairs
                .into_iter()
                .filter_map(|(name, value)| Some((known(name.as_ref())?, value.into())))
                .filter(|(_, value)| !value.trim().is_empty())
                .collect(),
        )
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Variables")
            .field(&self.0.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_people_has_every_variable_and_only_these_are_kept() {
        let page = include_str!("../../../../../docs/credentials.md");
        for name in ALL.iter().copied().flatten() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        // In this order.
        for names in [KEY_ID, KEY_SECRET, TOKEN, SESSION_NAME, REGION] {
            assert!(page.contains(&format!("| `{}` |", names.join("`, `"))), "{names:?}");
        }
        let kept: Variables = [
            ("HOME", "/"),
            ("PATH", "x"),
            ("SECURITY_TOKEN", "t"),
            ("ACCESS_KEY_ID", ""),
        ]
        .into_iter()
        .collect();
        assert_eq!(format!("{kept:?}"), r#"Variables(["SECURITY_TOKEN"])"#);
    }
}
