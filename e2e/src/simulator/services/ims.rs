//! IMS 2019-08-15.

use serde_json::{Value, json};

use super::{Parameters, page, required, tags};
use crate::simulator::message::Refusal;
use crate::simulator::rfc3339;
use crate::simulator::world::{Principal, RecycledUser, User, World};

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
    let mut answer = described(world, user);
    answer["UserName"] = user.user_name.clone().into();
    Ok(json!({"User": answer}))
}

/// The fields that GetUser and ListUsers share.
fn described(world: &World, user: &User) -> Value {
    json!({
        "UserId": user.user_id,
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
    })
}

/// ListUsers: of the active users only, unless it is asked for others. A user in it has no UserName. [source: the official
/// Python SDK; that Status in the answer has the words of the request is a guess]
pub(in crate::simulator) fn list_users(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    let asked = parameters.get("Status").map_or("", String::as_str);
    let asked: Vec<&str> = match asked {
        "" => vec!["active"],
        text => text.split(',').collect(),
    };
    if let Some(other) = asked.iter().find(|status| !["active", "freeze"].contains(status)) {
        let message = format!("the parameter Status has an invalid value: {other}");
        return Err(Refusal::new(400, "Simulated.InvalidParameter", message));
    }
    let status = |user: &User| if user.frozen { "freeze" } else { "active" };
    let users = world.users.iter().filter(|user| asked.contains(&status(user)));
    let users = users.map(|user| {
        let mut answer = described(world, user);
        answer["Status"] = status(user).into();
        answer
    });
    page(parameters, "Users", "User", (1000, 1000), users.collect())
}

/// ListUsersInRecycleBin; the filter on the principal name is not simulated. [source: the official Python SDK]
pub(in crate::simulator) fn list_users_in_recycle_bin(
    world: &World,
    parameters: &Parameters,
) -> Result<Value, Refusal> {
    if parameters.get("Filter").is_some_and(|filter| !filter.is_empty()) {
        let message = "the simulator knows no Filter";
        return Err(Refusal::new(400, "Simulated.InvalidParameter", message));
    }
    let users = world.recycle_bin.iter().map(recycled);
    page(parameters, "Users", "User", (100, 100), users.collect())
}

fn recycled(user: &RecycledUser) -> Value {
    json!({
        "UserId": user.user_id,
        "UserPrincipalName": user.user_principal_name,
        "DisplayName": user.display_name,
        "CreateDate": rfc3339(user.created_at),
        "RecycleDate": rfc3339(user.recycled_at),
        "DeleteDate": rfc3339(user.deleted_at),
    })
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
    Ok(json!({"User": recycled(user)}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(answer: &Value) -> Vec<&str> {
        let users = answer["Users"]["User"].as_array().expect("users");
        users.iter().filter_map(|user| user["UserId"].as_str()).collect()
    }

    #[test]
    fn frozen_users_are_listed_only_when_they_are_asked_for() {
        let mut frozen = User::new("200000000000000002", "frozen");
        frozen.frozen = true;
        let world = World {
            users: vec![User::new("200000000000000001", "active"), frozen],
            ..World::default()
        };
        let (active, freeze) = ("200000000000000001", "200000000000000002");
        for (status, expected) in [
            ("", vec![active]),
            ("active", vec![active]),
            ("freeze", vec![freeze]),
            ("active,freeze", vec![active, freeze]),
        ] {
            let parameters = Parameters::from([("Status".to_owned(), status.to_owned())]);
            let answer = list_users(&world, &parameters).expect("a page");
            assert_eq!(uids(&answer), expected, "{status}");
            for user in answer["Users"]["User"].as_array().expect("users") {
                let frozen = user["UserId"] == freeze;
                assert_eq!(user["Status"], if frozen { "freeze" } else { "active" });
                assert!(user.get("UserName").is_none(), "the service's list has none");
            }
        }
        for (name, value) in [("Status", "frozen"), ("MaxItems", "1001")] {
            let parameters = Parameters::from([(name.to_owned(), value.to_owned())]);
            assert!(list_users(&world, &parameters).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn a_page_of_the_recycle_bin_has_a_hundred_users_at_most() {
        let user = |n: u32| RecycledUser::new(&User::new(&format!("2{n:017}"), "u"), format!("u{n}@d"));
        let world = World {
            recycle_bin: (0..150).map(user).collect(),
            ..World::default()
        };
        let first = list_users_in_recycle_bin(&world, &Parameters::new()).expect("a page");
        assert_eq!((uids(&first).len(), &first["IsTruncated"]), (100, &json!(true)));
        let marker = first["Marker"].as_str().expect("a marker").to_owned();
        let parameters = Parameters::from([("Marker".to_owned(), marker)]);
        let second = list_users_in_recycle_bin(&world, &parameters).expect("a page");
        assert_eq!((uids(&second).len(), &second["IsTruncated"]), (50, &json!(false)));
        let parameters = Parameters::from([("MaxItems".to_owned(), "101".to_owned())]);
        assert!(list_users_in_recycle_bin(&world, &parameters).is_err());
    }
}
