//! Credentials in the environment: which kind, in ack-ram-tool's order.

use reqsign_aliyun_oss::Credential;

use super::{
    described::Described,
    mode::Mode,
    plan::{Plan, Planned, Role, role_name, url, variable},
    problem::Problem,
    variables::{
        CREDENTIALS_URI, ECS_METADATA, KEY_ID, KEY_SECRET, NO_EXTERNAL, Names, OIDC_PROVIDER_ARN, OIDC_TOKEN_FILE,
        REGION, ROLE_ARN, SESSION_NAME, TOKEN, Variables,
    },
};

/// The credentials in the environment, if there are any. Half of them are some: what is missing is then the error, rather than whatever else
/// there is on the machine.
pub(super) fn find(variables: &Variables) -> Option<(Described, Planned)> {
    let set = |names: Names| variables.first(names).is_some();
    let key = set(KEY_ID) && set(KEY_SECRET);
    let (mode, used): (Mode, &[Names]) = if key && set(TOKEN) {
        (Mode::StsToken, &[KEY_ID, KEY_SECRET, TOKEN])
    } else if set(OIDC_PROVIDER_ARN) || set(OIDC_TOKEN_FILE) {
        (Mode::Oidc, &[ROLE_ARN, OIDC_PROVIDER_ARN, OIDC_TOKEN_FILE])
    } else if key && set(ROLE_ARN) {
        (Mode::RamRoleArn, &[KEY_ID, KEY_SECRET, ROLE_ARN])
    } else if set(KEY_ID) || set(KEY_SECRET) {
        (Mode::Ak, &[KEY_ID, KEY_SECRET])
    } else if set(CREDENTIALS_URI) {
        (Mode::CredentialsUri, &[CREDENTIALS_URI])
    } else if set(ECS_METADATA) {
        (Mode::EcsRamRole, &[ECS_METADATA])
    } else {
        return None;
    };
    let names = used
        .iter()
        .filter_map(|names| Some(variables.first(names)?.0))
        .collect();
    let described = Described {
        mode: Some(mode),
        ..Described::environment(names)
    };
    let planned = Planned {
        mode: Some(mode),
        region: variable(variables.first(REGION)).ok().flatten(),
        plan: plan(mode, used, variables),
    };
    Some((described, planned))
}

fn plan(mode: Mode, used: &[Names], variables: &Variables) -> Result<Plan, Problem> {
    let missing: Vec<_> = used
        .iter()
        .filter(|names| variables.first(names).is_none())
        .map(|names| names[0])
        .collect();
    if !missing.is_empty() {
        return Err(Problem::Lacks(format!(
            "{}; set what is missing, or leave the environment out with --ignore-env-credentials",
            missing.join(" and ")
        )));
    }
    let value = |names: Names| variable(variables.first(names))?.ok_or_else(|| Problem::Lacks(names[0].to_owned()));
    let key = |token: Option<String>| {
        Ok::<_, Problem>(Credential {
            access_key_id: value(KEY_ID)?,
            access_key_secret: value(KEY_SECRET)?,
            security_token: token,
            expires_in: None,
        })
    };
    let role = || {
        Ok::<_, Problem>(Role {
            arn: value(ROLE_ARN)?,
            session: variable(variables.first(SESSION_NAME))?,
            seconds: None,
            external_id: None,
            policy: None,
        })
    };
    Ok(match mode {
        Mode::StsToken => Plan::Keys(key(Some(value(TOKEN)?))?),
        Mode::Oidc => Plan::Oidc {
            role: role()?,
            provider: value(OIDC_PROVIDER_ARN)?,
            token_file: value(OIDC_TOKEN_FILE)?,
        },
        Mode::RamRoleArn => Plan::Role(Box::new(Plan::Keys(key(None)?)), role()?),
        Mode::CredentialsUri if variables.is_on(NO_EXTERNAL) => return Err(Problem::Forbidden(mode.as_str())),
        Mode::CredentialsUri => Plan::Uri(url(CREDENTIALS_URI[0], &value(CREDENTIALS_URI)?)?),
        Mode::EcsRamRole => Plan::EcsRole(Some(role_name(ECS_METADATA[0], value(ECS_METADATA)?)?)),
        _ => Plan::Keys(key(None)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(set: &[&str]) -> String {
        let variables: Variables = set.iter().map(|name| (name, "value")).collect();
        match find(&variables) {
            None => "none".to_owned(),
            Some((described, planned)) => match planned.plan {
                Ok(_) => described.to_string(),
                Err(problem) => problem.to_string(),
            },
        }
    }

    #[test]
    fn kinds_have_ack_ram_tools_order() {
        let (id, secret, token) = (KEY_ID[0], KEY_SECRET[0], TOKEN[0]);
        let oidc = [ROLE_ARN[0], OIDC_PROVIDER_ARN[0], OIDC_TOKEN_FILE[0]];
        let rest = [CREDENTIALS_URI[0], ECS_METADATA[0]];
        let of = |parts: &[&[&str]]| found(&parts.concat());
        assert!(of(&[&[id, secret, token], &oidc, &rest]).ends_with("mode StsToken"));
        assert!(of(&[&[id, secret], &oidc, &rest]).ends_with("mode OIDC"));
        assert!(of(&[&[id, secret, ROLE_ARN[0]], &rest]).ends_with("mode RamRoleArn"));
        assert!(of(&[&[id, secret], &rest]).ends_with("mode AK"));
        assert!(of(&[&rest]).contains("ALIBABA_CLOUD_CREDENTIALS_URI cannot be used: it is not a URL"));
        assert!(of(&[&rest[1..]]).ends_with("(ALIBABA_CLOUD_ECS_METADATA), mode EcsRamRole"));
        // Each of these belongs to many programs.
        assert_eq!(of(&[&[token, ROLE_ARN[0]]]), "none");
    }

    #[test]
    fn half_of_it_is_an_error() {
        let missing = |set: &[&str], name: &str| {
            let text = found(set);
            assert!(
                text.starts_with(&format!("it lacks {name};")) && text.contains("--ignore-env-credentials"),
                "{text}"
            );
        };
        missing(&["ACCESS_KEY_ID"], "ALIBABA_CLOUD_ACCESS_KEY_SECRET");
        missing(&[KEY_SECRET[2], TOKEN[0]], "ALIBABA_CLOUD_ACCESS_KEY_ID");
        missing(
            &[OIDC_TOKEN_FILE[0], KEY_ID[0], KEY_SECRET[0]],
            "ALIBABA_CLOUD_ROLE_ARN and ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
        );
    }

    #[test]
    fn the_first_alias_wins() {
        for names in [KEY_ID, KEY_SECRET, TOKEN] {
            for (at, name) in names.iter().enumerate() {
                let set = names[at..].iter().map(|name| (name, format!("value of {name}")));
                let variables: Variables = set.collect();
                assert_eq!(
                    variables.first(names),
                    Some((*name, format!("value of {name}").as_str()))
                );
            }
        }
        let empty: Variables = [(KEY_ID[0], " "), (KEY_ID[1], "k")].into_iter().collect();
        assert_eq!(empty.first(KEY_ID), Some((KEY_ID[1], "k")));
    }
}
