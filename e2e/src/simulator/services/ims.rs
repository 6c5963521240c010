//! IMS 2019-08-15.

use serde_json::{Value, json};

use super::{Parameters, required, tags};
use crate::simulator::message::Refusal;
use crate::simulator::rfc3339;
use crate::simulator::world::{Principal, World};

/// GetUser, by exactly one of UserId, UserPrincipalName and UserAccessKeyId.
pub(in crate::simulator) fn get_user(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    let given = |name: &str| parameters.get(name).filter(|value| !value.is_empty());
    let (id, name, key) = (given("UserId"), given("UserPrincipalName"), given("UserAccessKeyId"));
    if [id, name, key].iter().flatten().count() != 1 {
        let message = "exactly one of UserId, UserPrincipalName and UserAccessKeyId is needed";
        return Err(Refusal::new(400, "Simulated.InvalidParameter", message));
    }
    let owner = key
        .and_then(|key| world.access_keys.iter().find(|k| k.id == *key))
        .map(|key| &key.principal);
    let user = world.users.iter().find(|user| {
        Some(&user.user_id) == id
            || Some(&user.principal_name(&world.domain)) == name
            || owner
                == Some(&Principal::RamUser {
                    user_id: user.user_id.clone(),
                })
    });
    let user = user.ok_or_else(|| {
        Refusal::new(
            404,
            "EntityNotExist.User",
            format!("The user does not exist: {}", id.or(name).or(key).map_or("", |s| s)),
        )
    })?;
    Ok(json!({"User": {
        "UserId": user.user_id,
        "UserName": user.user_name,
        "UserPrincipalName": user.principal_name(&world.domain),
        "DisplayName": user.display_name,
        "CreateDate": rfc3339(user.created_at),
        "UpdateDate": rfc3339(user.created_at),
        "Comments": user.comments,
        "Email": user.email,
        "MobilePhone": user.mobile_phone,
        // That it is empty for somebody who never signed in is a guess.
        "LastLoginDate": user.last_login_at.map(rfc3339).unwrap_or_default(),
        "ProvisionType": user.provision,
        "Tags": tags(&user.tags),
    }}))
}

/// GetUserInRecycleBin. No page gives the code for a user who is not there.
pub(in crate::simulator) fn get_user_in_recycle_bin(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    let id = required(parameters, "UserId")?;
    let user = world
        .recycle_bin
        .iter()
        .find(|user| user.user_id == id)
        .ok_or_else(|| {
            Refusal::new(
                404,
                "EntityNotExist.Simulated.UserInRecycleBin",
                format!("The user is not in the recycle bin: {id}"),
            )
        })?;
    Ok(json!({"User": {
        "UserId": user.user_id,
        "UserPrincipalName": user.user_principal_name,
        "DisplayName": user.display_name,
        "CreateDate": rfc3339(user.created_at),
        "RecycleDate": rfc3339(user.recycled_at),
        "DeleteDate": rfc3339(user.deleted_at),
    }}))
}
