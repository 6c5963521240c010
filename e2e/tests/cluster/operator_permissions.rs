//! What the API server lets the operator's real token do, and what not.

use ack_offboarding_e2e::cluster::{BARRIER, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, Options, eventually, pool};
use ack_offboarding_operator::operator::REQUEST_TIMEOUT;
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret},
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::json;

use super::{DEADLINE, LEAVER, assert_forbidden, bind_view, cluster, cluster_with_operator, user};

/// What the operator may do to bindings: take subjects out, delete with preconditions, annotate its barriers.
#[tokio::test]
async fn the_operator_may_remove_access() {
    let (cluster, operator) = cluster_with_operator().await;
    let shared = bind_view(&cluster, "shared", &["stays", LEAVER, "stays-too"]).await;
    let bindings = Api::<RoleBinding>::namespaced(operator.clone(), "team-a");

    let shrink = json!({
        "metadata": {"resourceVersion": shared.metadata.resource_version},
        "subjects": [user("stays"), user("stays-too")],
    });
    let shrunk = bindings
        .patch("shared", &PatchParams::default(), &Patch::Merge(&shrink))
        .await
        .unwrap();
    let left: Vec<String> = shrunk
        .subjects
        .clone()
        .unwrap()
        .into_iter()
        .map(|subject| subject.name)
        .collect();
    assert_eq!(left, ["stays", "stays-too"]);
    assert_eq!(shrunk.metadata.labels, shared.metadata.labels);

    let stale = bindings
        .patch("shared", &PatchParams::default(), &Patch::Merge(&shrink))
        .await;
    assert!(matches!(stale, Err(kube::Error::Api(status)) if status.is_conflict()));

    let with = |resource_version: &Option<String>| {
        orphan().preconditions(Preconditions {
            uid: shrunk.metadata.uid.clone(),
            resource_version: resource_version.clone(),
        })
    };
    let stale = bindings
        .delete("shared", &with(&shared.metadata.resource_version))
        .await;
    assert!(matches!(stale, Err(kube::Error::Api(status)) if status.is_conflict()));
    let shared = bindings
        .delete("shared", &with(&shrunk.metadata.resource_version))
        .await;
    assert_forbidden("delete what others are in", shared, "nobody else");

    let nonce = Patch::Merge(json!({"metadata": {"annotations": {"ack-offboarding.io/nonce": "1"}}}));
    let barrier = Api::<RoleBinding>::namespaced(operator.clone(), OPERATOR_NAMESPACE);
    barrier.patch(BARRIER, &PatchParams::default(), &nonce).await.unwrap();
    Api::<ClusterRoleBinding>::all(operator)
        .patch(BARRIER, &PatchParams::default(), &nonce)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_operator_may_store_and_read_a_backup_but_not_change_it() {
    let (cluster, operator) = cluster_with_operator().await;
    let backup = json!({"metadata": {"name": "backup"}, "data": {"a": "b"}, "immutable": false});
    let backup: ConfigMap = serde_json::from_value(backup).unwrap();
    let backups = Api::<ConfigMap>::namespaced(operator.clone(), OPERATOR_NAMESPACE);
    backups.create(&PostParams::default(), &backup).await.unwrap();
    backups.get("backup").await.unwrap();
    let change = Patch::Merge(json!({"data": {"a": "c"}}));
    assert_forbidden(
        "patch",
        backups.patch("backup", &PatchParams::default(), &change).await,
        "cannot patch",
    );
    assert_forbidden(
        "replace",
        backups.replace("backup", &PostParams::default(), &backup).await,
        "cannot update",
    );
    assert_forbidden(
        "delete",
        backups.delete("backup", &DeleteParams::default()).await,
        "cannot delete",
    );

    let elsewhere = Api::<ConfigMap>::namespaced(operator.clone(), "default");
    assert_forbidden(
        "list elsewhere",
        elsewhere.list(&ListParams::default()).await,
        "cannot list",
    );
    let profile = Api::<ConfigMap>::namespaced(operator.clone(), "kube-system");
    cluster
        .set_cluster_profile("c0123456789abcdef0123456789abcdef", "1234567890123456")
        .await
        .unwrap();
    assert_eq!(
        profile.get("ack-cluster-profile").await.unwrap().data.unwrap()["uid"],
        "1234567890123456"
    );
    assert_forbidden(
        "another",
        profile.get("extension-apiserver-authentication").await,
        "cannot get",
    );
    let secrets = Api::<Secret>::namespaced(operator, OPERATOR_NAMESPACE);
    assert_forbidden("read a Secret", secrets.get("any").await, "cannot get");
}

/// As the operator deletes: whatever names the binding as its owner stays.
fn orphan() -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    }
}

/// RBAC lets the operator delete any binding, as it cannot say whose: the admission policy does.
#[tokio::test]
async fn the_operator_deletes_what_names_nobody_or_one_ram_identity() {
    let cluster = pool::acquire(Options {
        controller_manager: true,
        ..Options::default()
    })
    .await
    .unwrap();
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    let operator = cluster
        .service_account_client(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    let uid = "259083957089437690";
    let bindings = Api::<RoleBinding>::namespaced(operator.clone(), "team-a");
    let admins = Api::<RoleBinding>::namespaced(cluster.admin(), "team-a");
    let refused: &[(&str, &[&str])] = &[
        ("somebody", &["stays"]),
        ("the leaver and somebody", &[LEAVER, "stays"]),
        ("somebody and the leaver", &["stays", LEAVER]),
        ("two identities", &[uid, "259083957089437691"]),
        (
            "an identity and one whose UID begins like it",
            &[uid, "2590839570894376901"],
        ),
        ("what is no UID", &["0259083957089437690"]),
        ("a name with a dash", &["alice-1"]),
    ];
    let many: Vec<String> = (0..3000).map(|number| format!("{uid}-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let allowed: &[(&str, &[&str])] = &[
        ("nobody", &[]),
        ("the leaver", &[LEAVER]),
        (
            "the leaver under several names",
            &[LEAVER, uid, "259083957089437690-c7f1a2b9"],
        ),
        ("the leaver very often", &many),
    ];
    for (number, (what, users)) in refused.iter().chain(allowed).enumerate() {
        let name = format!("binding-{number}");
        bind_view(&cluster, &name, users).await;
        let otherwise = bindings.delete(&name, &DeleteParams::default()).await;
        assert_forbidden(&format!("{what}, not orphaning"), otherwise, "propagationPolicy Orphan");
        let deleted = bindings.delete(&name, &orphan()).await;
        if number < refused.len() {
            assert_forbidden(what, deleted, "one RAM identity and nobody else");
            assert!(admins.get_opt(&name).await.unwrap().is_some(), "{what}");
        } else {
            deleted.unwrap_or_else(|error| panic!("{what}: {error}"));
            // The garbage collector takes the finalizer away that the API server adds for it.
            eventually(&format!("the binding of {what} to be gone"), DEADLINE, async || {
                Ok(admins.get_opt(&name).await?.is_none().then_some(()))
            })
            .await
            .unwrap();
        }
    }

    for (what, subjects) in [
        (
            "a group",
            json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": uid}]),
        ),
        (
            "a ServiceAccount",
            json!([{"kind": "ServiceAccount", "name": uid, "namespace": "team-a"}]),
        ),
        (
            "the leaver and a group",
            json!([user(uid), {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": uid}]),
        ),
    ] {
        let subjects = Patch::Merge(json!({ "subjects": subjects }));
        admins
            .patch("binding-0", &PatchParams::default(), &subjects)
            .await
            .unwrap();
        let deleted = bindings.delete("binding-0", &orphan()).await;
        assert_forbidden(what, deleted, "one RAM identity and nobody else");
    }
    let barrier = Api::<RoleBinding>::namespaced(operator.clone(), OPERATOR_NAMESPACE);
    assert_forbidden("a barrier", barrier.delete(BARRIER, &orphan()).await, "no barrier");
    let barrier = Api::<ClusterRoleBinding>::all(operator);
    assert_forbidden("a barrier", barrier.delete(BARRIER, &orphan()).await, "no barrier");
    // The name of a barrier is worth nothing in another namespace.
    bind_view(&cluster, BARRIER, &[LEAVER]).await;
    bindings.delete(BARRIER, &orphan()).await.unwrap();
}

/// What waits for a finalizer can still be emptied: a finalizer keeps nobody's access.
#[tokio::test]
async fn the_operator_empties_a_binding_that_is_being_deleted() {
    let (cluster, operator) = cluster_with_operator().await;
    bind_view(&cluster, "held", &[LEAVER, "259083957089437690-c7f1a2b9"]).await;
    let admins = Api::<RoleBinding>::namespaced(cluster.admin(), "team-a");
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    admins.patch("held", &PatchParams::default(), &hold).await.unwrap();
    admins.delete("held", &DeleteParams::default()).await.unwrap();
    let bindings = Api::<RoleBinding>::namespaced(operator, "team-a");
    let empty = Patch::Merge(json!({"subjects": []}));
    let emptied = bindings.patch("held", &PatchParams::default(), &empty).await.unwrap();
    assert_eq!(emptied.subjects.unwrap_or_default(), []);
    assert!(emptied.metadata.deletion_timestamp.is_some());
}

/// RBAC alone would allow all of these patches, as it has to grant `patch` and `bind`: the admission policy refuses them.
#[tokio::test]
async fn the_operator_cannot_promote_anybody() {
    let (cluster, operator) = cluster_with_operator().await;
    bind_view(&cluster, "shared", &["stays", LEAVER]).await;
    let apply = PatchParams::apply("operator").force();
    let merge = PatchParams::default();
    let itself = json!({"kind": "ServiceAccount", "name": OPERATOR_SERVICE_ACCOUNT, "namespace": OPERATOR_NAMESPACE});
    let bindings = Api::<RoleBinding>::namespaced(operator.clone(), "team-a");
    let cluster_bindings = Api::<ClusterRoleBinding>::all(operator.clone());
    let barrier = Api::<RoleBinding>::namespaced(operator.clone(), OPERATOR_NAMESPACE);

    for (what, patch, refusal) in [
        (
            "add a subject",
            json!({"subjects": [user("stays"), user(LEAVER), itself]}),
            "adds no subject",
        ),
        (
            "replace a subject",
            json!({"subjects": [user("stays"), user("other")]}),
            "adds no subject",
        ),
        ("replace all subjects", json!({"subjects": [itself]}), "adds no subject"),
        (
            "change a subject's kind",
            json!({"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "stays"}]}),
            "adds no subject",
        ),
        ("change the roleRef", json!({"roleRef": {"name": "cluster-admin"}}), ""),
        (
            "change a label",
            json!({"metadata": {"labels": {"team": "b"}}}),
            "no label",
        ),
        ("remove the labels", json!({"metadata": {"labels": null}}), "no label"),
        (
            "change an annotation",
            json!({"metadata": {"annotations": {"note": "changed"}}}),
            "no annotation",
        ),
        (
            "add an owner",
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}}),
            "no owner",
        ),
        (
            "add a finalizer",
            json!({"metadata": {"finalizers": ["example.com/hold"]}}),
            "no finalizer",
        ),
        (
            "shrink and label",
            json!({"metadata": {"labels": {"x": "y"}}, "subjects": [user("stays")]}),
            "no label",
        ),
    ] {
        assert_forbidden(
            what,
            bindings.patch("shared", &merge, &Patch::Merge(&patch)).await,
            refusal,
        );
    }

    let promote = Patch::Merge(json!({"subjects": [itself]}));
    let outcome = cluster_bindings.patch("cluster-admin", &merge, &promote).await;
    assert_forbidden("bind itself to cluster-admin", outcome, "adds no subject");
    let outcome = barrier.patch(BARRIER, &merge, &promote).await;
    assert_forbidden("give a barrier a subject", outcome, "adds no subject");
    let label = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    assert_forbidden(
        "label a barrier",
        barrier.patch(BARRIER, &merge, &label).await,
        "no label",
    );
    // The name of a barrier is worth nothing in another namespace.
    bind_view(&cluster, BARRIER, &["stays"]).await;
    let annotation = Patch::Merge(json!({"metadata": {"annotations": {"x": "y"}}}));
    assert_forbidden(
        "annotate",
        bindings.patch(BARRIER, &merge, &annotation).await,
        "no annotation",
    );

    let new = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "new"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [itself],
    });
    let typed: RoleBinding = serde_json::from_value(new.clone()).unwrap();
    assert_forbidden(
        "create",
        bindings.create(&PostParams::default(), &typed).await,
        "cannot create",
    );
    assert_forbidden(
        "create by apply",
        bindings.patch("new", &apply, &Patch::Apply(&new)).await,
        "",
    );
    assert_forbidden(
        "replace",
        bindings.replace("shared", &PostParams::default(), &typed).await,
        "",
    );

    let after = Api::<RoleBinding>::namespaced(cluster.admin(), "team-a")
        .get("shared")
        .await
        .unwrap();
    assert_eq!(after.subjects.unwrap().len(), 2);
}

/// A second lock: even were `create` granted by mistake, the policy would refuse it.
#[tokio::test]
async fn the_operator_creates_no_binding_even_when_rbac_lets_it() {
    let (cluster, operator) = cluster_with_operator().await;
    cluster.ensure_namespace("team-a").await.unwrap();
    let grant = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "a-mistake"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR_SERVICE_ACCOUNT, "namespace": OPERATOR_NAMESPACE}],
    });
    Api::<ClusterRoleBinding>::all(cluster.admin())
        .create(&PostParams::default(), &serde_json::from_value(grant).unwrap())
        .await
        .unwrap();
    let secrets = Api::<Secret>::all(operator.clone());
    eventually("the mistake to take effect", DEADLINE, async || {
        Ok(secrets.list(&ListParams::default()).await.ok())
    })
    .await
    .unwrap();

    let new = json!({
        "metadata": {"name": "new"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    });
    let new: RoleBinding = serde_json::from_value(new).unwrap();
    let bindings = Api::<RoleBinding>::namespaced(operator, "team-a");
    assert_forbidden(
        "create",
        bindings.create(&PostParams::default(), &new).await,
        "creates no binding",
    );
}

/// What is left of the subjects must be part of what was there, in its order, without those of one RAM identity.
#[tokio::test]
async fn the_operator_takes_out_one_ram_identity_at_a_time_and_cannot_be_tricked_into_more() {
    let (cluster, operator) = cluster_with_operator().await;
    let (uid, other) = ("259083957089437690", "259083957089437691");
    let group = |name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name});
    let account = |name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": "team-a"});
    let before = json!([
        user("first"),
        user(LEAVER),
        group(uid),
        account(uid),
        user("second"),
        user(uid),
        user(other),
        user("259083957089437690-x"),
        user("second"),
        group("system:masters"),
    ]);
    let before = before.as_array().unwrap();
    let subjects = Patch::Merge(json!({ "subjects": before }));
    bind_view(&cluster, "shared", &["first"]).await;
    Api::<RoleBinding>::namespaced(cluster.admin(), "team-a")
        .patch("shared", &PatchParams::default(), &subjects)
        .await
        .unwrap();
    let bindings = Api::<RoleBinding>::namespaced(operator, "team-a");
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let without = |left_out: &[usize]| {
        let kept = before.iter().enumerate().filter(|(i, _)| !left_out.contains(i));
        kept.map(|(_, subject)| subject.clone()).collect::<Vec<_>>()
    };
    let changed = |left_out: &[usize], change: fn(&mut Vec<serde_json::Value>)| {
        let mut subjects = without(left_out);
        change(&mut subjects);
        subjects
    };
    for (what, subjects) in [
        ("some of the identity's subjects only", without(&[5])),
        ("the identity's but one that ends in digits", without(&[5, 7])),
        ("a user who is no RAM identity", without(&[0])),
        ("a group with the identity's name", without(&[2])),
        ("and a group with the identity's name", without(&[1, 2, 5])),
        ("and a ServiceAccount with the identity's name", without(&[1, 3, 5])),
        (
            "one, and put another of the identity's names in its place",
            changed(&[1, 5, 7], |s| s.push(user("259083957089437690-y"))),
        ),
        ("a group", without(&[9])),
        ("two RAM identities", without(&[1, 5, 6])),
        ("one of two equal subjects", without(&[1, 5, 4])),
        ("all of them", Vec::new()),
        (
            "the last, and double the first",
            changed(&[6], |s| s.insert(0, s[0].clone())),
        ),
        (
            "one, and double another in its place",
            changed(&[6], |s| s.insert(6, s[0].clone())),
        ),
        (
            "one, and add another at the end",
            changed(&[6], |s| s.push(user("third"))),
        ),
        (
            "one, and put another in its place",
            changed(&[6], |s| s.insert(6, user("third"))),
        ),
        (
            "one, and another in the first place",
            changed(&[6], |s| s.insert(0, user(LEAVER))),
        ),
        ("one, and reorder the others", changed(&[6], |s| s.swap(0, 3))),
        (
            "one, and give another a namespace",
            changed(&[6], |s| s[3]["namespace"] = json!("kube-system")),
        ),
        (
            "one, and make another a group",
            changed(&[6], |s| s[0]["kind"] = json!("Group")),
        ),
        ("nobody, and reorder", changed(&[], |s| s.swap(0, 1))),
        (
            "nobody, and add one at the end",
            changed(&[], |s| s.push(user("third"))),
        ),
        ("nobody, and double the last", changed(&[], |s| s.push(s[9].clone()))),
    ] {
        let patch = Patch::Merge(json!({ "subjects": subjects }));
        let outcome = bindings.patch("shared", &dry_run, &patch).await;
        assert_forbidden(&format!("take out {what}"), outcome, "");
    }
    for (what, left_out) in [
        ("the leaver", &[1, 5, 7][..]),
        ("the leaver but a name that a person said is somebody else's", &[1, 5]),
        ("another", &[6]),
    ] {
        let patch = Patch::Merge(json!({ "subjects": without(left_out) }));
        let shrunk = bindings.patch("shared", &dry_run, &patch).await;
        let left = serde_json::to_value(shrunk.expect(what).subjects).unwrap();
        assert_eq!(left, json!(without(left_out)), "{what}");
    }
}

/// The API server bounds the work of a policy, and the operator its patience: a policy that compares every subject with every
/// other is over both.
#[tokio::test]
async fn a_binding_of_ten_thousand_subjects_can_be_shrunk_before_the_operator_gives_up() {
    let (cluster, operator) = cluster_with_operator().await;
    let names: Vec<String> = (0..10_000)
        .map(|number| format!("259083957089{number:06}-1717171717"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    bind_view(&cluster, "large", &names).await;
    let subjects: Vec<_> = names.iter().filter(|n| **n != names[5000]).map(|n| user(n)).collect();
    let shrink = Patch::Merge(json!({ "subjects": subjects }));
    let bindings = Api::<RoleBinding>::namespaced(operator, "team-a");
    let merge = PatchParams::default();
    let patch = bindings.patch("large", &merge, &shrink);
    let shrunk = tokio::time::timeout(REQUEST_TIMEOUT, patch).await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(shrunk.subjects).unwrap(), json!(subjects));
}

#[tokio::test]
async fn without_subject_removal_the_operator_deletes_bindings_but_changes_none() {
    let cluster = cluster().await;
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    cluster
        .install_operator_without_subject_removal(OPERATOR_NAMESPACE)
        .await
        .unwrap();
    let operator = cluster
        .service_account_client(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    bind_view(&cluster, "shared", &["stays", LEAVER]).await;
    let bindings = Api::<RoleBinding>::namespaced(operator.clone(), "team-a");

    let shrink = Patch::Merge(json!({"subjects": [user("stays")]}));
    let outcome = bindings.patch("shared", &PatchParams::default(), &shrink).await;
    assert_forbidden("shrink", outcome, "cannot patch");
    let deleted = bindings.delete("shared", &orphan()).await;
    assert_forbidden("delete what others are in", deleted, "nobody else");
    bind_view(&cluster, "own", &[LEAVER]).await;
    bindings.delete("own", &orphan()).await.unwrap();
    let nonce = Patch::Merge(json!({"metadata": {"annotations": {"ack-offboarding.io/nonce": "1"}}}));
    Api::<ClusterRoleBinding>::all(operator)
        .patch(BARRIER, &PatchParams::default(), &nonce)
        .await
        .unwrap();
}
