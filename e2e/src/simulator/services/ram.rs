//! RAM 2015-05-01.

use serde_json::{Value, json};

use super::{Parameters, number, required};
use crate::simulator::message::Refusal;
use crate::simulator::rfc3339;
use crate::simulator::world::{Role, User, World};

/// ListUsers.
pub(in crate::simulator) fn list_users(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    page(parameters, "Users", "User", world.users.iter().map(user).collect())
}

/// ListRoles.
pub(in crate::simulator) fn list_roles(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    page(
        parameters,
        "Roles",
        "Role",
        world.roles.iter().map(|one| role(world, one)).collect(),
    )
}

/// GetUser: by name only.
pub(in crate::simulator) fn get_user(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    let name = required(parameters, "UserName")?;
    let found = world.users.iter().find(|user| user.user_name == name);
    let found =
        found.ok_or_else(|| Refusal::new(404, "EntityNotExist.User", format!("The user does not exist: {name}")))?;
    Ok(json!({"User": user(found)}))
}

/// GetRole: by name only.
pub(in crate::simulator) fn get_role(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    let name = required(parameters, "RoleName")?;
    let found = world.roles.iter().find(|role| role.role_name == name);
    let found =
        found.ok_or_else(|| Refusal::new(404, "EntityNotExist.Role", format!("The role not exists: {name}")))?;
    let mut answer = role(world, found);
    let statement: Vec<Value> = found
        .trust
        .iter()
        .map(|trust| {
            json!({
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Federated": [trust.provider_arn]},
                "Condition": {"StringEquals": {"oidc:sub": trust.subject}},
            })
        })
        .collect();
    answer["AssumeRolePolicyDocument"] = json!({"Version": "1", "Statement": statement}).to_string().into();
    Ok(json!({"Role": answer}))
}

/// One page of a list. The marker is opaque to clients; here it says where the next page starts.
fn page(parameters: &Parameters, plural: &str, singular: &str, all: Vec<Value>) -> Result<Value, Refusal> {
    const PREFIX: &str = "simulated+marker/=";
    let size = number(
        parameters.get("MaxItems").map(String::as_str),
        "MaxItems",
        100,
        1..=1000,
    )?;
    let start = match parameters.get("Marker").filter(|marker| !marker.is_empty()) {
        None => 0,
        Some(marker) => marker
            .strip_prefix(PREFIX)
            .and_then(|at| at.parse().ok())
            .ok_or_else(|| {
                Refusal::new(
                    400,
                    "Simulated.InvalidMarker",
                    format!("the marker was not given out here: {marker}"),
                )
            })?,
    };
    let end = (start + size).min(all.len());
    let items = all.get(start.min(end)..end).unwrap_or(&[]);
    let mut answer = json!({"IsTruncated": end < all.len(), plural: {singular: items}});
    if end < all.len() {
        answer["Marker"] = format!("{PREFIX}{end}").into();
    }
    Ok(answer)
}

fn user(user: &User) -> Value {
    json!({
        "UserId": user.user_id,
        "UserName": user.user_name,
        "DisplayName": user.display_name,
        "Email": "",
        "MobilePhone": "",
        "Comments": "",
        "CreateDate": rfc3339(user.created_at),
        "UpdateDate": rfc3339(user.created_at),
    })
}

fn role(world: &World, role: &Role) -> Value {
    json!({
        "RoleId": role.role_id,
        "RoleName": role.role_name,
        "Arn": role.arn(&world.account_id),
        "Description": role.description,
        "MaxSessionDuration": 3600,
        "CreateDate": rfc3339(role.created_at),
        "UpdateDate": rfc3339(role.created_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_every_user_once() {
        let users: Vec<User> = (0..5)
            .map(|n| User::new(&format!("20000000000000000{n}"), &format!("user-{n}")))
            .collect();
        let world = World {
            users,
            ..World::default()
        };
        let mut parameters = Parameters::from([("MaxItems".to_owned(), "2".to_owned())]);
        let mut seen = Vec::new();
        loop {
            let page = list_users(&world, &parameters).expect("a page");
            let users = page["Users"]["User"].as_array().expect("users").clone();
            seen.extend(
                users
                    .iter()
                    .map(|user| user["UserName"].as_str().unwrap_or("").to_owned()),
            );
            assert_eq!(page["IsTruncated"].as_bool(), Some(page["Marker"].is_string()));
            let Some(marker) = page["Marker"].as_str() else { break };
            parameters.insert("Marker".to_owned(), marker.to_owned());
        }
        assert_eq!(seen, ["user-0", "user-1", "user-2", "user-3", "user-4"]);
    }

    #[test]
    fn a_page_size_out_of_bounds_and_a_foreign_marker_are_refused() {
        let world = World::default();
        for (name, value) in [("MaxItems", "0"), ("MaxItems", "1001"), ("Marker", "7")] {
            let parameters = Parameters::from([(name.to_owned(), value.to_owned())]);
            assert!(
                list_roles(&world, &parameters).is_err_and(|refusal| refusal.status == 400),
                "{name}={value}"
            );
        }
    }
}
