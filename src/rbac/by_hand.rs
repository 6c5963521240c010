//! The command with which a person takes a leaver out of a binding that the operator cannot change.

use super::{BindingKey, subject::Leaver};

/// A line for a shell: it takes the leaver's subjects out of exactly the binding with this `metadata.uid`, and nothing if it has changed
/// since it was read. It needs kubectl and jq.
///
/// A binding's name may hold anything that a shell or a terminal would take for something else, so it is not in the line.
pub(crate) fn command(key: &BindingKey, binding_uid: &str, leaver: &Leaver) -> String {
    let (resource, scope) = match &key.namespace {
        Some(namespace) => ("rolebindings", format!(" -n {}", quoted(namespace))),
        None => ("clusterrolebindings", String::new()),
    };
    let uid = leaver.uid();
    let mut is_leavers = format!(r#"(.name | test("^{uid}(-[0-9]+)?$"))"#);
    for name in leaver.included() {
        is_leavers += &format!(" or .name == {}", serde_json::Value::from(name));
    }
    let program = format!(
        r#".items[] | select(.metadata.uid == {}) | .subjects |= map(select((.kind == "User" and ({is_leavers})) | not))"#,
        serde_json::Value::from(binding_uid)
    );
    format!(
        "kubectl get {resource}{scope} -o json | jq {} | kubectl replace -f -",
        quoted(&program)
    )
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::BindingKind;

    #[test]
    fn it_holds_no_name_that_a_shell_would_take_for_something_else() {
        let include = ["1001-$(reboot)'\"".to_owned()];
        let leaver = Leaver::new("1001".parse().unwrap(), &include, &[]);
        let key = |namespace: Option<&str>| BindingKey {
            kind: BindingKind::RoleBinding,
            namespace: namespace.map(str::to_owned),
            name: "'; reboot; '".to_owned(),
        };
        let line = command(&key(Some("team-a")), "u-1", &leaver);
        assert_eq!(
            line,
            r#"kubectl get rolebindings -n 'team-a' -o json | jq '.items[] | select(.metadata.uid == "u-1") | .subjects |= map(select((.kind == "User" and ((.name | test("^1001(-[0-9]+)?$")) or .name == "1001-$(reboot)'\''\"")) | not))' | kubectl replace -f -"#
        );
        assert!(command(&key(None), "u-1", &leaver).starts_with("kubectl get clusterrolebindings -o json | jq "));
    }
}
