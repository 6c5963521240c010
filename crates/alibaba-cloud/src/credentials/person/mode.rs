//! The modes of a profile, under the aliyun CLI's names.

use std::fmt;

use super::{fields::Dialect, problem::Problem, problem::shown};

/// How a profile obtains credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// An access key.
    Ak,
    /// Temporary credentials, as they are.
    StsToken,
    /// A role, assumed with an access key.
    RamRoleArn,
    /// A role, assumed with another profile's credentials.
    ChainableRamRoleArn,
    /// A role, assumed with the role of the ECS instance.
    RamRoleArnWithRoleName,
    /// The role of the ECS instance.
    EcsRamRole,
    /// A role, assumed with an OIDC token in a file.
    Oidc,
    /// Whatever an address answers.
    CredentialsUri,
    /// Whatever a program prints.
    External,
    /// A session of CloudSSO.
    CloudSso,
    /// A session of the CLI's own sign-in.
    OAuth,
}

/// The modes with their names in `config.json`, and in an ini file, if they have one.
const NAMES: [(Mode, &str, Option<&str>); 11] = [
    (Mode::Ak, "AK", Some("access_key")),
    (Mode::StsToken, "StsToken", Some("sts")),
    (Mode::RamRoleArn, "RamRoleArn", Some("ram_role_arn")),
    (Mode::ChainableRamRoleArn, "ChainableRamRoleArn", None),
    (Mode::RamRoleArnWithRoleName, "RamRoleArnWithRoleName", None),
    (Mode::EcsRamRole, "EcsRamRole", Some("ecs_ram_role")),
    (Mode::Oidc, "OIDC", Some("oidc_role_arn")),
    (Mode::CredentialsUri, "CredentialsURI", Some("credentials_uri")),
    (Mode::External, "External", Some("external")),
    (Mode::CloudSso, "CloudSSO", None),
    (Mode::OAuth, "OAuth", None),
];

/// What the CLI also knows, and why it is of no use here.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("RsaKeyPair", "Alibaba Cloud no longer offers it; use a RAM role"),
    ("rsa_key_pair", "Alibaba Cloud no longer offers it; use a RAM role"),
    ("BearerToken", "the APIs that are needed do not take bearer tokens"),
    ("Anonymous", "the APIs that are needed must know who asks"),
];

impl Mode {
    /// The name in the CLI's configuration.
    pub fn as_str(self) -> &'static str {
        NAMES
            .iter()
            .find(|(mode, ..)| *mode == self)
            .map_or("unknown", |(_, name, _)| name)
    }

    /// Reads a mode; case does not matter, as for the CLI.
    pub(super) fn read(dialect: Dialect, text: &str) -> Result<Self, Problem> {
        let name = |json: &'static str, ini: Option<&'static str>| match dialect {
            Dialect::Json => Some(json),
            Dialect::Ini => ini,
        };
        let mut known = NAMES
            .iter()
            .filter_map(|(mode, json, ini)| Some((mode, name(json, *ini)?)));
        if let Some((mode, _)) = known.clone().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Ok(*mode);
        }
        match UNSUPPORTED.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Some((name, why)) => Err(Problem::Unsupported(name, why)),
            None => {
                let names: Vec<_> = known.by_ref().map(|(_, name)| name).collect();
                Err(Problem::UnknownMode(shown(text), names.join(", ")))
            }
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_people_has_every_mode_under_both_names() {
        let page = include_str!("../../../../../docs/credentials.md");
        for (mode, json, ini) in NAMES {
            let ini_cell = ini.map_or(" ".to_owned(), |ini| format!(" `{ini}` "));
            assert!(page.contains(&format!("| `{json}` |{ini_cell}|")), "{json}");
            assert_eq!(Mode::read(Dialect::Json, &json.to_lowercase()).unwrap(), mode);
            assert_eq!(mode.to_string(), json);
            match ini {
                Some(ini) => assert_eq!(Mode::read(Dialect::Ini, ini).unwrap(), mode),
                // AK is no type, and access_key no mode.
                None => assert!(Mode::read(Dialect::Ini, json).is_err()),
            }
        }
        assert!(Mode::read(Dialect::Json, "access_key").is_err());
    }
}
