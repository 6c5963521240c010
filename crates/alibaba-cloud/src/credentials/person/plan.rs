//! What a profile asks for, checked as far as that is possible without the network or another program.

use http::Uri;
use reqsign_aliyun_oss::Credential;
use reqsign_core::time::Timestamp;
use std::time::Duration;

use super::{
    document::Document,
    fields::{Fields, clean},
    mode::Mode,
    problem::{Problem, shown},
};
use crate::{answer::legible, endpoint::is_loopback};

/// How many profiles may assume roles for one another.
const DEEPEST: usize = 8;
/// Cached credentials are used if they last so much longer.
const LEFT: Duration = Duration::from_secs(60);

/// How to get credentials. Has no `Debug`: it holds secrets.
pub(super) enum Plan {
    Keys(Credential),
    Role(Box<Plan>, Role),
    EcsRole(Option<String>),
    Oidc {
        role: Role,
        provider: String,
        token_file: String,
    },
    Uri(Uri),
    External(Vec<String>),
    CloudSso(SignedIn),
}

/// A role to assume.
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session: Option<String>,
    pub(super) seconds: Option<i64>,
    pub(super) external_id: Option<String>,
    pub(super) policy: Option<String>,
}

/// A session of CloudSSO, which is exchanged for credentials of one account.
pub(super) struct SignedIn {
    pub(super) host: Uri,
    pub(super) access_token: String,
    pub(super) account: String,
    pub(super) access_configuration: String,
    /// What to run when the host does not take the token.
    pub(super) again: String,
}

/// The plan of a profile, with what is known of it even where there is none.
pub(super) struct Planned {
    pub(super) mode: Option<Mode>,
    pub(super) region: Option<String>,
    pub(super) plan: Result<Plan, Problem>,
}

/// Plans a profile. `no_external` forbids other programs, and addresses.
pub(super) fn plan(document: &Document, profile: &str, no_external: bool) -> Planned {
    let fields = match document.profile(profile) {
        Ok(fields) => fields,
        Err(problem) => {
            return Planned {
                mode: None,
                region: None,
                plan: Err(problem),
            };
        }
    };
    let mode = mode(&fields);
    Planned {
        mode: mode.as_ref().ok().copied(),
        region: fields.text("region_id").ok().flatten(),
        plan: mode.and_then(|mode| {
            Planner {
                document,
                no_external,
                behind: vec![profile.to_owned()],
            }
            .plan(mode, &fields, profile)
        }),
    }
}

fn mode(fields: &Fields) -> Result<Mode, Problem> {
    let Some(text) = fields.text("mode")? else {
        return Err(Problem::NoMode(fields.name("mode")));
    };
    Mode::read(fields.dialect, &text)
}

struct Planner<'a> {
    document: &'a Document,
    no_external: bool,
    /// The profiles on the way here.
    behind: Vec<String>,
}

impl Planner<'_> {
    fn plan(&mut self, mode: Mode, fields: &Fields, profile: &str) -> Result<Plan, Problem> {
        Ok(match mode {
            Mode::Ak => Plan::Keys(keys(fields, false)?),
            Mode::StsToken => Plan::Keys(unexpired(keys(fields, true)?, || {
                format!("set new ones with {}", command("configure --mode StsToken", profile))
            })?),
            Mode::RamRoleArn => {
                let with_token = fields.text("sts_token")?.is_some();
                let base = unexpired(keys(fields, with_token)?, || "set new ones in the profile".to_owned())?;
                Plan::Role(Box::new(Plan::Keys(base)), role(fields)?)
            }
            Mode::ChainableRamRoleArn => {
                let role = role(fields)?;
                Plan::Role(Box::new(self.source(&fields.required("source_profile")?)?), role)
            }
            Mode::RamRoleArnWithRoleName => Plan::Role(Box::new(Plan::EcsRole(ecs_role(fields)?)), role(fields)?),
            Mode::EcsRamRole => Plan::EcsRole(ecs_role(fields)?),
            Mode::Oidc => Plan::Oidc {
                role: role(fields)?,
                provider: fields.required("oidc_provider_arn")?,
                token_file: fields.required("oidc_token_file")?,
            },
            Mode::CredentialsUri => {
                let address = fields.required("credentials_uri")?;
                self.allow(mode)?;
                Plan::Uri(url(fields.name("credentials_uri"), &address)?)
            }
            Mode::External => {
                let command = fields.required("process_command")?;
                self.allow(mode)?;
                Plan::External(words(fields.name("process_command"), &command)?)
            }
            Mode::CloudSso => cloud_sso(fields, profile)?,
            Mode::OAuth => Plan::Keys(oauth(fields, profile)?),
        })
    }

    fn allow(&self, mode: Mode) -> Result<(), Problem> {
        match self.no_external {
            true => Err(Problem::Forbidden(mode.as_str())),
            false => Ok(()),
        }
    }

    fn source(&mut self, profile: &str) -> Result<Plan, Problem> {
        let repeated = self.behind.iter().any(|behind| behind == profile);
        self.behind.push(profile.to_owned());
        if repeated {
            let names: Vec<_> = self.behind.iter().map(|name| shown(name)).collect();
            return Err(Problem::Loop(names.join(" -> ")));
        }
        if self.behind.len() > DEEPEST {
            return Err(Problem::TooDeep(DEEPEST));
        }
        let planned = self.document.profile(profile).and_then(|fields| {
            let mode = mode(&fields)?;
            self.plan(mode, &fields, profile)
        });
        planned.map_err(|problem| match problem {
            // These name the profiles by themselves.
            Problem::Loop(_) | Problem::TooDeep(_) | Problem::NoProfile(..) | Problem::Source(..) => problem,
            problem => Problem::Source(shown(profile), Box::new(problem)),
        })
    }
}

/// The access key of a profile, and what makes it temporary.
fn keys(fields: &Fields, with_token: bool) -> Result<Credential, Problem> {
    let missing: Vec<_> = ["access_key_id", "access_key_secret", "sts_token"]
        .into_iter()
        .take(if with_token { 3 } else { 2 })
        .filter(|name| matches!(fields.text(name), Ok(None)))
        .map(|name| fields.name(name))
        .collect();
    if !missing.is_empty() {
        return Err(Problem::Lacks(missing.join(" and ")));
    }
    Ok(Credential {
        access_key_id: fields.required("access_key_id")?,
        access_key_secret: fields.required("access_key_secret")?,
        security_token: with_token.then(|| fields.required("sts_token")).transpose()?,
        expires_in: match with_token {
            true => time(fields, "sts_expiration")?,
            false => None,
        },
    })
}

/// What a program printed is a profile of its own, of one of these two modes.
pub(super) fn printed(fields: &Fields) -> Result<Credential, Problem> {
    let with_token = match mode(fields) {
        Ok(Mode::Ak) => false,
        Ok(Mode::StsToken) => true,
        // Without the text: it is the program's output.
        _ => return Err(Problem::Invalid("mode".to_owned(), "it is neither AK nor StsToken")),
    };
    let mut credential = keys(fields, with_token)?;
    if let Some(text) = fields.text("expiration")?.filter(|_| with_token) {
        let time = text.parse();
        credential.expires_in = Some(
            time.map_err(|_| Problem::Invalid("expiration".to_owned(), "it is not a time as 2026-01-02T03:04:05Z"))?,
        );
    }
    unexpired(credential, || "the program must print new ones".to_owned())
}

/// A time in seconds since 1970.
fn time(fields: &Fields, name: &'static str) -> Result<Option<Timestamp>, Problem> {
    let Some(seconds) = fields.number(name)? else {
        return Ok(None);
    };
    match Timestamp::from_second(seconds) {
        Ok(time) => Ok(Some(time)),
        Err(_) => Err(Problem::Invalid(fields.name(name).to_owned(), "it is not a time")),
    }
}

fn unexpired(credential: Credential, advice: impl FnOnce() -> String) -> Result<Credential, Problem> {
    match credential.expires_in {
        Some(expires) if expires <= Timestamp::now() => Err(Problem::Expired(expires.format_rfc3339_zulu(), advice())),
        _ => Ok(credential),
    }
}

/// The credentials that the CLI left in the profile when it last renewed them, if they last long enough.
fn cached(fields: &Fields) -> Result<Option<Credential>, Problem> {
    let there = ["access_key_id", "access_key_secret", "sts_token"]
        .iter()
        .all(|name| matches!(fields.text(name), Ok(Some(_))));
    if !there {
        return Ok(None);
    }
    let credential = keys(fields, true)?;
    // Without a time, nobody can tell.
    let lasts = credential
        .expires_in
        .is_some_and(|expires| expires > Timestamp::now() + LEFT);
    Ok(lasts.then_some(credential))
}

fn role(fields: &Fields) -> Result<Role, Problem> {
    Ok(Role {
        arn: fields.required("ram_role_arn")?,
        session: fields.text("ram_session_name")?,
        seconds: fields.number("expired_seconds")?,
        external_id: fields.text("external_id")?,
        policy: fields.text("policy")?,
    })
}

fn ecs_role(fields: &Fields) -> Result<Option<String>, Problem> {
    let name = fields.text("ram_role_name")?;
    name.map(|name| role_name(fields.name("ram_role_name"), name))
        .transpose()
}

/// The name of a role, which becomes part of an address.
pub(super) fn role_name(setting: &str, name: String) -> Result<String, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.len() <= 64 && name.bytes().all(plain) && !name.starts_with('.') {
        return Ok(name);
    }
    Err(Problem::Invalid(
        setting.to_owned(),
        "a role's name has up to 64 letters, digits, '.', '_' and '-'",
    ))
}

/// An address that may be told, or may tell, a secret.
pub(super) fn url(setting: &str, text: &str) -> Result<Uri, Problem> {
    let wrong = |why| Problem::Invalid(setting.to_owned(), why);
    let uri: Uri = text.parse().map_err(|_| wrong("it is not a URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("it is not a URL"));
    };
    if authority.as_str().contains('@') {
        return Err(wrong("a user or password in a URL is not sent; leave it out"));
    }
    match scheme {
        "https" => Ok(uri),
        "http" if is_loopback(authority.host()) => Ok(uri),
        "http" => Err(wrong(
            "http would send credentials in the clear; use https (http is for this machine only)",
        )),
        _ => Err(wrong("its scheme must be https")),
    }
}

/// A command as a shell would split it; nothing is expanded.
fn words(setting: &str, command: &str) -> Result<Vec<String>, Problem> {
    match shlex::split(command) {
        Some(words) if words.first().is_some_and(|word| !word.is_empty()) => Ok(words),
        Some(_) => Err(Problem::Invalid(setting.to_owned(), "it names no program")),
        None => Err(Problem::Invalid(
            setting.to_owned(),
            "it cannot be split into words: a quote is not closed, or it ends in a backslash",
        )),
    }
}

fn cloud_sso(fields: &Fields, profile: &str) -> Result<Plan, Problem> {
    if let Some(credential) = cached(fields)? {
        return Ok(Plan::Keys(credential));
    }
    let again = command("configure --mode CloudSSO", profile);
    let sign_in = |what: String| Problem::SignIn(format!("{what}; sign in again with {again}"));
    let access_token = fields
        .text("access_token")?
        .ok_or_else(|| sign_in("nobody is signed in to CloudSSO".to_owned()))?;
    let expires = time(fields, "cloud_sso_access_token_expire")?
        .ok_or_else(|| sign_in("the profile does not say until when its CloudSSO session lasts".to_owned()))?;
    if expires <= Timestamp::now() {
        return Err(sign_in(format!(
            "the CloudSSO session ended at {}",
            expires.format_rfc3339_zulu()
        )));
    }
    Ok(Plan::CloudSso(SignedIn {
        host: url("cloud_sso_sign_in_url", &fields.required("cloud_sso_sign_in_url")?)?,
        access_token,
        account: fields.required("cloud_sso_account_id")?,
        access_configuration: fields.required("cloud_sso_access_config")?,
        again,
    }))
}

fn oauth(fields: &Fields, profile: &str) -> Result<Credential, Problem> {
    if let Some(credential) = cached(fields)? {
        return Ok(credential);
    }
    let what = match time(fields, "sts_expiration")? {
        Some(expires) => format!(
            "the credentials in the profile expire at {}",
            expires.format_rfc3339_zulu()
        ),
        None => "there are no credentials in the profile yet".to_owned(),
    };
    // Renewing takes a token that can be used once: only the CLI may do it.
    Err(Problem::SignIn(format!(
        "{what}; let the CLI renew them with {}, or sign in again with {}",
        command("sts GetCallerIdentity", profile),
        command("configure --mode OAuth", profile)
    )))
}

/// A command of the CLI for a person to run, safe to paste whatever the profile is called.
fn command(words: &str, profile: &str) -> String {
    let name = legible(profile, 64);
    match shlex::try_quote(&name) {
        Ok(name) => format!("`aliyun {words} --profile {name}`"),
        Err(_) => format!("`aliyun {words}`"),
    }
}

/// A value out of a variable.
pub(super) fn variable(found: Option<(&'static str, &str)>) -> Result<Option<String>, Problem> {
    found.map_or(Ok(None), |(name, value)| clean(name, value))
}

#[cfg(test)]
mod tests;
