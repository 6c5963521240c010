//! RAM 2015-05-01.

use serde_json::{Value, json};

use super::{Parameters, page, required, tags};
use crate::simulator::message::Refusal;
use crate::simulator::rfc3339;
use crate::simulator::world::{Role, User, World};

/// The default and the largest size of a page. [source: API pages ListUsers, ListRoles]
const SIZES: (usize, usize) = (100, 1000);

/// ListUsers. That frozen users are among them is a guess.
pub(in crate::simulator) fn list_users(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    page(
        parameters,
        "Users",
        "User",
        SIZES,
        world.users.iter().map(user).collect(),
    )
}

/// ListRoles.
pub(in crate::simulator) fn list_roles(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    page(
        parameters,
        "Roles",
        "Role",
        SIZES,
        world
            .roles
            .iter()
            .map(|one| {
                let mut answer = role(world, one);
                answer["Tags"] = tags(&one.tags);
                answer
            })
            .collect(),
    )
}

/// GetUser: by name only.
pub(in crate::simulator) fn get_user(world: &World, parameters: &Parameters) -> Result<Value, Refusal> {
    let name = required(parameters, "UserName")?;
    let found = world.users.iter().find(|user| user.user_name == name);
    let found =
        found.ok_or_else(|| Refusal::new(404, "EntityNotExist.User", format!("The user does not exist: {name}")))?;
    let mut answer = user(found);
    // That it is empty for somebody who never signed in is a guess.
    answer["LastLoginDate"] = found.last_login_at.map(rfc3339).unwrap_or_default().into();
    Ok(json!({"User": answer}))
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
    answer["IsServiceLinkedRole"] = found.is_service_linked.into();
    answer["LatestDeletionTask"] = json!({});
    answer["RolePrincipalName"] = found.principal_name(&world.account_id).into();
    Ok(json!({"Role": answer}))
}

fn user(user: &User) -> Value {
    json!({
        "UserId": user.user_id,
        "UserName": user.user_name,
        "DisplayName": user.display_name,
        "Email": user.email,
        "MobilePhone": user.mobile_phone,
        "Comments": user.comments,
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
        // Nobody signs in to the console as a role for machines; which ones the service says true of is a guess.
        "AllowConsoleLogin": role.trust.is_none() && !role.is_service_linked,
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
    fn answers_have_every_field_of_the_official_models() {
        let mut user = User::new("200000000000000001", "alice");
        user.last_login_at = Some(0);
        user.tags.insert("team".to_owned(), "a".to_owned());
        let mut role = Role::new("300000000000000001", "Admin");
        role.tags = user.tags.clone();
        let world = World {
            users: vec![user],
            roles: vec![role],
            ..World::default()
        };
        let named = |name: &str, value: &str| Parameters::from([(name.to_owned(), value.to_owned())]);
        let fields = |value: &Value| {
            value
                .as_object()
                .expect("an object")
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let users = list_users(&world, &Parameters::new()).expect("users");
        let ram = get_user(&world, &named("UserName", "alice")).expect("a user");
        let ims = super::super::ims::get_user(&world, &named("UserId", "200000000000000001")).expect("a user");
        let roles = list_roles(&world, &Parameters::new()).expect("roles");
        let role = get_role(&world, &named("RoleName", "Admin")).expect("a role");
        for (answer, expected) in [
            (
                &users["Users"]["User"][0],
                "Comments CreateDate DisplayName Email MobilePhone UpdateDate UserId UserName",
            ),
            (
                &ram["User"],
                "Comments CreateDate DisplayName Email LastLoginDate MobilePhone UpdateDate UserId UserName",
            ),
            (
                &ims["User"],
                "Comments CreateDate DisplayName Email LastLoginDate MobilePhone ProvisionType Tags UpdateDate UserId UserName UserPrincipalName",
            ),
            (
                &roles["Roles"]["Role"][0],
                "AllowConsoleLogin Arn CreateDate Description MaxSessionDuration RoleId RoleName Tags UpdateDate",
            ),
            (
                &role["Role"],
                "AllowConsoleLogin Arn AssumeRolePolicyDocument CreateDate Description IsServiceLinkedRole LatestDeletionTask MaxSessionDuration RoleId RoleName RolePrincipalName UpdateDate",
            ),
        ] {
            assert_eq!(fields(answer), expected);
        }
        assert_eq!(ims["User"]["LastLoginDate"], "1970-01-01T00:00:00Z");
        assert_eq!(ims["User"]["ProvisionType"], "Manual");
        let tags = json!({"Tag": [{"TagKey": "team", "TagValue": "a"}]});
        assert_eq!(
            (&ims["User"]["Tags"], &roles["Roles"]["Role"][0]["Tags"]),
            (&tags, &tags)
        );
        assert_eq!(
            role["Role"]["RolePrincipalName"],
            "Admin@role.1000000000000001.onaliyunservice.com"
        );
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
