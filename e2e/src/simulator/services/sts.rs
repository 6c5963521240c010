//! STS 2015-04-01.

use serde_json::{Value, json};

use super::{Parameters, number, required};
use crate::simulator::message::Refusal;
use crate::simulator::world::{AccessKey, Principal, World};
use crate::simulator::{now, oidc, random_hex, rfc3339};

/// GetCallerIdentity.
pub(in crate::simulator) fn get_caller_identity(world: &World, caller: &AccessKey) -> Value {
    let account = &world.account_id;
    match &caller.principal {
        Principal::Account => json!({
            "AccountId": account,
            "Arn": format!("acs:ram::{account}:root"),
            "IdentityType": "Account",
            "PrincipalId": account,
            "UserId": account,
        }),
        Principal::RamUser { user_id } => {
            let name = world
                .users
                .iter()
                .find(|u| u.user_id == *user_id)
                .map_or("unknown", |u| u.user_name.as_str());
            json!({
                "AccountId": account,
                "Arn": format!("acs:ram::{account}:user/{name}"),
                "IdentityType": "RAMUser",
                "PrincipalId": user_id,
                "UserId": user_id,
            })
        }
        Principal::AssumedRole { role_id, session } => {
            let name = world
                .roles
                .iter()
                .find(|r| r.role_id == *role_id)
                .map_or("unknown", |r| r.role_name.as_str());
            json!({
                "AccountId": account,
                "Arn": format!("acs:ram::{account}:assumed-role/{}/{session}", name.to_lowercase()),
                "IdentityType": "AssumedRoleUser",
                "PrincipalId": format!("{role_id}:{session}"),
                "RoleId": role_id,
            })
        }
    }
}

/// AssumeRoleWithOIDC: not signed; the token is what counts.
pub(in crate::simulator) fn assume_role_with_oidc(
    world: &mut World,
    parameters: &Parameters,
) -> Result<Value, Refusal> {
    let provider_arn = required(parameters, "OIDCProviderArn")?;
    let role_arn = required(parameters, "RoleArn")?;
    let session = required(parameters, "RoleSessionName")?;
    let token = required(parameters, "OIDCToken")?;
    let asked = number(
        parameters.get("DurationSeconds").map(String::as_str),
        "DurationSeconds",
        3600,
        900..=43_200,
    )?;

    let no_permission = |why: &str| oidc::refusal("NoPermission", why);
    let provider = world
        .oidc_providers
        .iter()
        .find(|provider| provider.arn == provider_arn)
        .ok_or_else(|| no_permission("there is no such OIDC provider"))?;
    let claims = oidc::verify(token, provider, now())?;
    let role = world
        .roles
        .iter()
        .find(|role| role.arn(&world.account_id) == role_arn.to_lowercase())
        .ok_or_else(|| no_permission("there is no such role"))?;
    if !role
        .trust
        .as_ref()
        .is_some_and(|t| t.provider_arn == provider_arn && t.subject == claims.subject)
    {
        return Err(no_permission("the role's trust policy does not allow it"));
    }

    let lifetime = world.session_seconds.unwrap_or(i64::try_from(asked).unwrap_or(3600));
    let key = AccessKey {
        id: format!("STS.{}", random_hex(12)),
        secret: random_hex(20),
        security_token: Some(random_hex(64)),
        expires_at: Some(now() + lifetime),
        principal: Principal::AssumedRole {
            role_id: role.role_id.clone(),
            session: session.to_owned(),
        },
    };
    let answer = json!({
        "Credentials": {
            "AccessKeyId": key.id,
            "AccessKeySecret": key.secret,
            "SecurityToken": key.security_token,
            "Expiration": rfc3339(now() + lifetime),
        },
        "AssumedRoleUser": {
            "Arn": format!("acs:ram::{}:assumed-role/{}/{session}", world.account_id, role.role_name.to_lowercase()),
            "AssumedRoleId": format!("{}:{session}", role.role_id),
        },
        "OIDCTokenInfo": {
            "Subject": claims.subject,
            "Issuer": claims.issuer,
            "ClientIds": claims.audience,
            "VerificationInfo": "Success",
        },
    });
    world.access_keys.push(key);
    Ok(answer)
}
