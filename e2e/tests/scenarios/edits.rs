//! The cluster pushes back: bindings are edited, replaced and restored, and the object is edited, deleted and replaced,
//! between two requests of the operator.

use crate::{
    sight::{self, sees, sees_text},
    support::{
        LEAVER, TestEnv, UID, approvals, assert_conditions, assert_gone, assert_stalled, assert_untouched, env,
        give_access, message, purges, read_backup, running_with,
    },
};
use ack_offboarding_e2e::{
    cluster::{BARRIER, OPERATOR_NAMESPACE, eventually},
    env::{OperatorOptions, PATIENCE, condition, state, user},
    observer::Invariant,
    proxy::{Proxy, Upstream},
};
use ack_offboarding_operator::{
    api::{UserOffboarding, UserOffboardingStatus},
    rbac::backup::StoredEntry,
};
use futures::{StreamExt, future::BoxFuture};
use http::{Method, Uri};
use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, Namespace},
        rbac::v1::{ClusterRole, Role, RoleBinding},
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::watcher,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

const COLLEAGUE: &str = "200000000000000002-1700000000";
const TEAM_A: &str = "/api/v1/namespaces/team-a/configmaps";
/// Within a test nothing is tried again because its time has come.
const AN_HOUR: &str = "--recheck-interval=1h";
const MINUTE: Duration = Duration::from_secs(60);

/// A request of the operator to the API server, before it arrives there.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    uri: Uri,
    body: Value,
}

impl Asked {
    fn path(&self) -> &str {
        self.uri.path()
    }

    /// Whether it deletes or changes a binding other than the barrier.
    fn is_effect(&self) -> bool {
        let changes = self.method == Method::DELETE || self.method == Method::PATCH;
        changes && self.path().contains("rolebindings/") && !self.path().ends_with(BARRIER)
    }

    fn is_effect_on(&self, name: &str) -> bool {
        self.is_effect() && self.path().ends_with(&format!("rolebindings/{name}"))
    }

    /// The resourceVersion on which the change insists.
    fn resource_version(&self) -> Option<&str> {
        let pointers = ["/preconditions/resourceVersion", "/metadata/resourceVersion"];
        pointers.iter().find_map(|p| self.body.pointer(p)?.as_str())
    }
}

/// A proxy between operator and API server that lets a test step in before each request, and compares each change of a
/// binding with the backups that are stored at that moment.
struct Between {
    proxy: Proxy,
    asked: Arc<Mutex<Vec<Asked>>>,
    without_backup: Arc<Mutex<Vec<Asked>>>,
}

impl Between {
    /// `step` is called with each request; what it returns is done before the request goes on.
    async fn start(
        env: &TestEnv,
        step: impl Fn(&Asked) -> Option<BoxFuture<'static, anyhow::Result<()>>> + Send + Sync + 'static,
    ) -> anyhow::Result<Between> {
        let (asked, without_backup) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<Mutex<Vec<Asked>>>::default());
        let (all, bad, admin) = (asked.clone(), without_backup.clone(), env.admin());
        let before = move |method: &Method, uri: &Uri, body: &bytes::Bytes| -> BoxFuture<'static, ()> {
            let request = Asked {
                method: method.clone(),
                uri: uri.clone(),
                body: serde_json::from_slice(body).unwrap_or_default(),
            };
            let stepping_in = step(&request);
            let (all, bad, admin) = (all.clone(), bad.clone(), admin.clone());
            Box::pin(async move {
                if let Some(stepping_in) = stepping_in {
                    stepping_in.await.expect("the step");
                }
                if request.is_effect() && !is_stored(&admin, &request).await.expect("the backups") {
                    bad.lock().expect("the lock").push(request.clone());
                }
                all.lock().expect("the lock").push(request);
            })
        };
        let upstream = Upstream::api_server(&env.cluster)?;
        Ok(Between {
            proxy: Proxy::stepping_in(upstream, Arc::new(before)).await?,
            asked,
            without_backup,
        })
    }

    /// Starts the operator behind it.
    async fn start_operator(&self, env: &mut TestEnv, flags: &[&str]) -> anyhow::Result<()> {
        let options = flags.iter().fold(OperatorOptions::default(), |o, flag| o.flag(flag));
        let options = OperatorOptions {
            api_server: Some(self.proxy.url()),
            ..options
        };
        env.start_operator(&options).await
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("the lock").clone()
    }

    /// I1: every change of a binding, also one that failed, insisted on a state that was stored before.
    fn assert_every_state_was_stored(&self) {
        let effects = self.asked().into_iter().filter(Asked::is_effect).count();
        assert!(effects > 0, "the operator changed bindings");
        let bad = self.without_backup.lock().expect("the lock");
        assert!(bad.is_empty(), "I1: without a backup of that state: {bad:#?}");
    }
}

/// Whether the state on which a change insists is in a backup.
async fn is_stored(admin: &Client, asked: &Asked) -> anyhow::Result<bool> {
    let Some(version) = asked.resource_version() else {
        return Ok(false);
    };
    let api: Api<ConfigMap> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    let maps = api.list(&Default::default()).await?;
    let name = asked.path().rsplit('/').next().unwrap_or_default();
    let entries = maps
        .items
        .iter()
        .filter_map(|m| read_backup(m).ok())
        .flat_map(|p| p.entries);
    let uid = asked.body.pointer("/preconditions/uid").and_then(Value::as_str);
    let mut entries = entries.filter(|e| e.key.name == name && uid.is_none_or(|uid| uid == e.uid));
    if asked.method != Method::DELETE {
        return Ok(entries.any(|e| e.resource_version == version));
    }
    // The second move: of a binding whose last state with subjects is stored, and that names nobody in this version.
    let stored = entries.next().is_some();
    let live: Result<Value, _> = admin.request(http::Request::get(asked.path()).body(Vec::new())?).await;
    let is_empty = |live: Value| live["subjects"].is_null() || live["metadata"]["resourceVersion"] != version;
    Ok(stored && live.map_or(true, is_empty))
}

/// Does something the first time that it is asked to, and nothing after.
#[derive(Clone, Default)]
struct Once(Arc<AtomicBool>);

impl Once {
    fn first(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }
}

/// What was stored of the bindings of this name, oldest first.
async fn stored(env: &TestEnv, name: &str) -> anyhow::Result<Vec<StoredEntry>> {
    let maps = env.backups().await?;
    let mut parts = maps.iter().map(read_backup).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.created);
    let entries = parts.into_iter().flat_map(|part| part.entries);
    Ok(entries.filter(|e| e.key.name == name).collect())
}

/// The objects among them.
fn objects(stored: &[StoredEntry]) -> usize {
    stored.iter().map(|e| e.uid.as_str()).collect::<BTreeSet<_>>().len()
}

fn in_team_a(client: &Client) -> Api<RoleBinding> {
    Api::namespaced(client.clone(), "team-a")
}

/// A colleague writes an annotation on `team-a/leaver`; `false` if it is gone.
async fn annotate(client: &Client, value: &str) -> anyhow::Result<bool> {
    let edit = Patch::Merge(json!({"metadata": {"annotations": {"example.com/note": value}}}));
    match in_team_a(client).patch("leaver", &PatchParams::default(), &edit).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Creates `team-a/leaver`, with this metadata besides, unless it is there.
async fn restore(client: &Client, metadata: &Value) -> anyhow::Result<()> {
    let mut metadata = metadata.clone();
    metadata["name"] = json!("leaver");
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [user(LEAVER)],
    }))?;
    match in_team_a(client).create(&PostParams::default(), &binding).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(drop).map_err(Into::into),
    }
}

/// Edits the spec of `left`.
async fn edit_spec(client: &Client, spec: Value) -> anyhow::Result<()> {
    let api: Api<UserOffboarding> = Api::all(client.clone());
    api.patch("left", &PatchParams::default(), &Patch::Merge(json!({"spec": spec})))
        .await?;
    Ok(())
}

/// Every state of the UserOffboardings that the API server stored, in order.
pub(crate) struct History {
    seen: Arc<Mutex<Vec<UserOffboarding>>>,
    task: tokio::task::JoinHandle<()>,
}

impl History {
    /// From now on.
    pub(crate) fn begin(env: &TestEnv) -> Self {
        let seen = Arc::<Mutex<Vec<UserOffboarding>>>::default();
        let (all, api) = (seen.clone(), env.offboardings());
        let task = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event {
                    all.lock().expect("the lock").push(object);
                }
            }
        });
        History { seen, task }
    }

    pub(crate) fn all(&self) -> Vec<UserOffboarding> {
        self.seen.lock().expect("the lock").clone()
    }

    /// The first status that is so: it may be over by now.
    async fn wait_for(
        &self,
        what: &str,
        is_so: impl Fn(&UserOffboardingStatus) -> bool,
    ) -> anyhow::Result<UserOffboardingStatus> {
        eventually(what, PATIENCE, async || {
            Ok(self.all().into_iter().filter_map(|o| o.status).find(|s| is_so(s)))
        })
        .await
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whatever state of a binding is removed was backed up: one that a colleague edits between its backup and its removal is
/// stored again, as it is now, and then removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_edited_while_it_is_removed_is_backed_up_again() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let (once, admin) = (Once::default(), env.admin());
    let between = Between::start(&env, move |asked| {
        let admin = admin.clone();
        let now = asked.is_effect_on("leaver") && once.first();
        now.then(|| -> BoxFuture<_> { Box::pin(async move { annotate(&admin, "by a colleague").await.map(drop) }) })
    })
    .await?;
    between.start_operator(&mut env, &[]).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    sees!(env, "left", "at the end");

    between.assert_every_state_was_stored();
    let stored = stored(&env, "leaver").await?;
    assert_eq!(
        (stored.len(), objects(&stored)),
        (2, 1),
        "one binding in two states: {stored:#?}"
    );
    let takes_out = |a: &Asked| a.is_effect_on("leaver") && a.method == Method::PATCH;
    let deletes = between.asked().into_iter().filter(takes_out);
    let versions: Vec<_> = deletes
        .filter_map(|a| a.resource_version().map(str::to_owned))
        .collect();
    assert_eq!(
        versions,
        [stored[0].resource_version.clone(), stored[1].resource_version.clone()]
    );
    let removed = status.removed.unwrap_or_default();
    assert_eq!((removed.deleted, removed.total), (2, 2), "and counts once");
    let last = env
        .backups()
        .await?
        .into_iter()
        .filter_map(|m| m.data?.remove("deleted.yaml"));
    assert_eq!(
        last.filter(|text| text.contains("by a colleague")).count(),
        1,
        "as it was last"
    );
    Ok(())
}

/// Plans it anew: a binding to which somebody was added since the plan is not deleted any more, but loses the leaver only.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_somebody_is_added_to_while_it_is_removed_keeps_them() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let (once, admin) = (Once::default(), env.admin());
    let between = Between::start(&env, move |asked| {
        let admin = admin.clone();
        let now = asked.is_effect_on("leaver") && once.first();
        now.then(|| -> BoxFuture<_> {
            Box::pin(async move {
                let edit = Patch::Merge(json!({"subjects": [user(LEAVER), user(COLLEAGUE)]}));
                in_team_a(&admin)
                    .patch("leaver", &PatchParams::default(), &edit)
                    .await?;
                Ok(())
            })
        })
    })
    .await?;
    between.start_operator(&mut env, &[]).await?;
    let history = History::begin(&env);
    env.apply("left", json!({"uid": UID})).await?;
    let conflict = history.wait_for("a conflict", |s| state(s) == "Conflict").await?;
    sees_text!("when it was changed", sight::describe(&conflict));

    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    between.assert_every_state_was_stored();
    let left = in_team_a(&env.admin()).get("leaver").await?;
    assert_eq!(serde_json::to_value(left.subjects)?, json!([user(COLLEAGUE)]), "I2");
    assert_eq!(env.probe(COLLEAGUE, TEAM_A).await?, 200);
    let removed = status.removed.unwrap_or_default();
    assert_eq!((removed.deleted, removed.subjects_removed), (1, 1));
    Ok(())
}

/// An approval is for the binding that was planned, not for its name: another one under it is left, and waits for an
/// approval of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_replaced_while_it_is_removed_needs_a_new_approval() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let (once, admin) = (Once::default(), env.admin());
    let between = Between::start(&env, move |asked| {
        let admin = admin.clone();
        let now = asked.is_effect_on("leaver") && once.first();
        now.then(|| -> BoxFuture<_> {
            Box::pin(async move {
                let api = in_team_a(&admin);
                let mut other = api.get("leaver").await?;
                api.delete("leaver", &DeleteParams::default()).await?;
                other.metadata.resource_version = None;
                other.metadata.uid = None;
                other.role_ref.name = "view".to_owned();
                api.create(&PostParams::default(), &other).await?;
                Ok(())
            })
        })
    })
    .await?;
    between.start_operator(&mut env, &[]).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    let first = status.plan.expect("a plan").digest;
    let manual = |digests: &[&String]| json!({"uid": UID, "approval": "Manual", "approvals": approvals(digests)});
    env.apply("left", manual(&[&first])).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    sees!(env, "left", "when it was replaced");
    let plan = status.plan.expect("a plan");
    let planned: Vec<_> = plan
        .bindings
        .iter()
        .map(|b| (b.name.as_str(), b.role_ref.as_str()))
        .collect();
    assert_eq!(planned, [("leaver", "ClusterRole/view")]);
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/leaver"]);
    assert!(purges(&env).is_empty());

    env.apply("left", manual(&[&first, &plan.digest])).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    between.assert_every_state_was_stored();
    assert_eq!(objects(&stored(&env, "leaver").await?), 2);
    Ok(())
}

/// Backs each state up and tries again, at most twenty states a day; from then on once an hour, so that it goes on by itself
/// when whoever changes the binding has stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_changes_before_each_removal_is_not_backed_up_without_end() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let (count, stopped, admin) = (AtomicU32::new(0), Arc::new(AtomicBool::new(false)), env.admin());
    let stop = stopped.clone();
    let between = Between::start(&env, move |asked| {
        let admin = admin.clone();
        let now = asked.is_effect_on("leaver") && !stopped.load(Ordering::SeqCst);
        now.then(|| -> BoxFuture<_> {
            let number = count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { annotate(&admin, &number.to_string()).await.map(drop) })
        })
    })
    .await?;
    between.start_operator(&mut env, &[AN_HOUR]).await?;
    let history = History::begin(&env);
    env.apply("left", json!({"uid": UID})).await?;
    let conflict = history.wait_for("a conflict", |s| state(s) == "Conflict").await?;
    assert!(message(&conflict, "Ready").contains("5 times in a row"));
    sees_text!("after the first tries", sight::describe(&conflict));
    let set_aside = |s: &UserOffboardingStatus| message(s, "Ready").contains("was backed up 20 times");
    let status = env.wait_for("left", "it is set aside", set_aside).await?;
    assert_conditions(
        &status,
        &[
            ("Ready", "False/KeepsChanging"),
            ("Stalled", "True/KeepsChanging"),
            ("BindingsRemoved", "False/KeepsChanging"),
            ("KubeconfigPurged", "False/BindingsRemain"),
        ],
    );
    sees!(env, "left", "after twenty states");
    assert_eq!(
        env.bindings_of(UID).await?,
        ["RoleBinding team-a/leaver"],
        "the others are gone"
    );
    assert!(purges(&env).is_empty());

    // Another look makes no other backup.
    edit_spec(&env.admin(), json!({"activityCheck": {"windowDays": 8}})).await?;
    env.wait_for_state("left", "KeepsChanging").await?;
    let states = stored(&env, "leaver").await?;
    assert_eq!((states.len(), objects(&states)), (21, 1));

    stop.store(true, Ordering::SeqCst);
    env.stop_operator().await?;
    between.start_operator(&mut env, &["--recheck-interval=1s"]).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    between.assert_every_state_was_stored();
    assert_eq!(stored(&env, "leaver").await?.len(), 21, "and the last try needed none");
    Ok(())
}

/// Removes it between two edits of a colleague who edits every 100 ms for a minute; at the latest, when the edits end. No state
/// goes without a backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_a_colleague_edits_all_the_time_goes_all_the_same() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    let admin = env.admin();
    let began = Instant::now();
    let colleague = tokio::spawn(async move {
        let mut edits = 0;
        while began.elapsed() < MINUTE && annotate(&admin, &edits.to_string()).await? {
            edits += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(edits)
    });
    eventually("the first edit", PATIENCE, async || {
        let notes = in_team_a(&env.admin()).get("leaver").await?.metadata.annotations;
        Ok(notes.filter(|n| n.contains_key("example.com/note")))
    })
    .await?;
    env.apply("left", json!({"uid": UID})).await?;
    eventually("the end of the edits", MINUTE + PATIENCE, async || {
        Ok(colleague.is_finished().then_some(()))
    })
    .await?;
    let edits = colleague.await??;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    let states = stored(&env, "leaver").await?.len();
    assert!(edits > 0);
    // Twenty and those of the last look; then those of one look a second (the recheck interval).
    let most = 26 + 6 * began.elapsed().as_secs() as usize;
    assert!((1..=most).contains(&states), "{states} states stored, {edits} edits");
    // How many states that took depends on who was faster.
    let in_some = "2 bindings stored and read back, in N ConfigMaps of namespace ack-offboarding-system.";
    let seen = sight::describe(&status).replace(message(&status, "BackedUp"), in_some);
    sees_text!("at the end", seen);
    Ok(())
}

/// Takes the leaver out of what is in it like anywhere else: a namespace that waits for its end can wait for ever, and its bindings
/// would grant access meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn bindings_in_a_namespace_that_is_being_deleted_are_removed() -> anyhow::Result<()> {
    let env = running_with(&[]).await;
    give_access(&env).await?;
    let shared = [user(UID), user(COLLEAGUE)];
    env.role_binding("team-a", "shared", "view", &shared).await?;
    let finalizers = |list: Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    let set = async |list: Value| -> anyhow::Result<()> {
        for name in ["leaver", "shared"] {
            let patch = finalizers(list.clone());
            in_team_a(&env.admin())
                .patch(name, &PatchParams::default(), &patch)
                .await?;
        }
        Ok(())
    };
    set(json!(["example.com/wait"])).await?;
    let namespaces: Api<Namespace> = Api::all(env.admin());
    namespaces.delete("team-a", &DeleteParams::default()).await?;
    eventually(
        "the namespace controller to delete what is in it",
        PATIENCE,
        async || {
            let binding = in_team_a(&env.admin()).get("shared").await?;
            Ok(binding.metadata.deletion_timestamp.map(drop))
        },
    )
    .await?;

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "while they wait for a finalizer");
    assert_gone(&env, &status).await?;
    let left = in_team_a(&env.admin()).get("shared").await?;
    assert_eq!(serde_json::to_value(left.subjects)?, json!([user(COLLEAGUE)]), "I2");
    assert_eq!(stored(&env, "leaver").await?.len(), 1, "it was backed up as well");
    set(json!(null)).await
}

/// After the third time, stops and names who restores it. Once it is gone from Git, goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_flux_restores_at_once_is_named_and_left() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let labels = json!({"labels": {
        "kustomize.toolkit.fluxcd.io/name": "rbac", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    }});
    in_team_a(&env.admin())
        .patch(
            "leaver",
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": labels.clone()})),
        )
        .await?;
    let (stopped, admin) = (Arc::new(AtomicBool::new(false)), env.admin());
    let stop = stopped.clone();
    // Each time that the operator asks whether all is gone, it is there again.
    let between = Between::start(&env, move |asked| {
        let (admin, labels) = (admin.clone(), labels.clone());
        let verifies = asked.method == Method::PATCH && asked.path().ends_with(BARRIER);
        let now = verifies && !stopped.load(Ordering::SeqCst);
        now.then(|| -> BoxFuture<_> { Box::pin(async move { restore(&admin, &labels).await }) })
    })
    .await?;
    between.start_operator(&mut env, &[AN_HOUR]).await?;
    let history = History::begin(&env);
    env.apply("left", json!({"uid": UID})).await?;
    let appeared = history.wait_for("its return", |s| state(s) == "Conflict").await?;
    sees_text!("when it is there again", sight::describe(&appeared));
    let status = env.wait_for_state("left", "RestoredByManager").await?;
    assert_stalled(&status, "RestoredByManager");
    assert_conditions(
        &status,
        &[
            ("BindingsRemoved", "False/RestoredByManager"),
            ("KubeconfigPurged", "False/BindingsRemain"),
        ],
    );
    sees!(env, "left", "after the third time");
    assert!(purges(&env).is_empty());

    // Another look makes no other backup.
    edit_spec(&env.admin(), json!({"activityCheck": {"windowDays": 8}})).await?;
    env.wait_for_state("left", "RestoredByManager").await?;
    let states = stored(&env, "leaver").await?;
    assert_eq!((states.len(), objects(&states)), (3, 3));

    // The person removes it from Git, and Flux prunes it.
    stop.store(true, Ordering::SeqCst);
    in_team_a(&env.admin())
        .delete("leaver", &DeleteParams::default())
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    between.assert_every_state_was_stored();
    Ok(())
}

/// Lets time pass for the record: the backups were made so long before. As nobody may change one, each is lost and put back.
async fn age_backups(env: &TestEnv, by: SignedDuration) -> anyhow::Result<()> {
    const CREATED: &str = "ack-offboarding.io/created-at";
    let api: Api<ConfigMap> = Api::namespaced(env.admin(), OPERATOR_NAMESPACE);
    for mut map in env.backups().await? {
        let created: Timestamp = map.annotations()[CREATED].parse()?;
        let created = created.checked_sub(by)?.to_string();
        map.annotations_mut().insert(CREATED.to_owned(), created);
        map.metadata.uid = None;
        map.metadata.resource_version = None;
        map.metadata.managed_fields = None;
        env.cluster.lose_config_map(OPERATOR_NAMESPACE, &map.name_any()).await?;
        api.create(&PostParams::default(), &map).await?;
    }
    Ok(())
}

/// Counts the removals of a whole day, by the backups: neither an interval of hours nor a restart hides that something restores
/// it. What else appears is removed; this one is left, and tried once more after an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_argo_cd_restores_every_few_hours_is_named_and_left() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let hour = OperatorOptions::default().flag(AN_HOUR);
    env.start_operator(&hour).await?;
    env.apply("left", json!({"uid": UID, "enforcement": "Continuous"}))
        .await?;
    env.wait_for_state("left", "Offboarded").await?;
    let tracked = json!({"annotations": {
        "argocd.argoproj.io/tracking-id": "access:rbac.authorization.k8s.io/RoleBinding:team-a/leaver",
    }});
    for returns in 1..=2 {
        age_backups(&env, SignedDuration::from_hours(6)).await?;
        restore(&env.admin(), &tracked).await?;
        let again = |s: &UserOffboardingStatus| {
            state(s) == "Offboarded" && s.removed.as_ref().is_some_and(|r| r.deleted == 2 + returns)
        };
        env.wait_for("left", "it is removed again", again).await?;
    }
    env.stop_operator().await?;
    restore(&env.admin(), &tracked).await?;
    env.start_operator(&hour).await?;
    let status = env.wait_for_state("left", "RestoredByManager").await?;
    assert_stalled(&status, "RestoredByManager");
    sees!(env, "left", "after the third time");
    assert_eq!(condition(&status, "AccessReturned"), "True/BindingFound");

    // It does not shield another.
    env.role_binding("team-b", "another", "view", &[user(UID)]).await?;
    let gone = |s: &UserOffboardingStatus| {
        state(s) == "RestoredByManager" && s.removed.as_ref().is_some_and(|r| r.deleted == 5)
    };
    env.wait_for("left", "the other is removed", gone).await?;
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/leaver"]);
    assert_eq!(stored(&env, "leaver").await?.len(), 3, "no backup of what is left");

    // An hour later, nothing restores it any more, and nobody has told the operator.
    env.stop_operator().await?;
    age_backups(&env, SignedDuration::from_hours(1)).await?;
    env.start_operator(&hour).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    assert_eq!(stored(&env, "leaver").await?.len(), 4);
    Ok(())
}

/// Stops as well, and says how to find out who it is. It tries once more when its time has come: if nothing restores the
/// binding any more, that is the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_something_unknown_restores_is_tried_once_more_later() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let (stopped, admin) = (Arc::new(AtomicBool::new(false)), env.admin());
    let stop = stopped.clone();
    let between = Between::start(&env, move |asked| {
        let admin = admin.clone();
        let verifies = asked.method == Method::PATCH && asked.path().ends_with(BARRIER);
        let now = verifies && !stopped.load(Ordering::SeqCst);
        now.then(|| -> BoxFuture<_> { Box::pin(async move { restore(&admin, &json!({})).await }) })
    })
    .await?;
    between.start_operator(&mut env, &["--recheck-interval=3s"]).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "RestoredByManager").await?;
    sees!(env, "left", "after the third time");
    assert_stalled(&status, "RestoredByManager");

    stop.store(true, Ordering::SeqCst);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    between.assert_every_state_was_stored();
    Ok(())
}

/// The leaver is taken out of every one; the one that it may not delete stays, names nobody, and is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_the_operator_may_not_delete_does_not_shield_the_others() -> anyhow::Result<()> {
    let mut env = env().await;
    // An administrator who grants `delete` a namespace at a time, and has forgotten team-b.
    let everywhere: Api<ClusterRole> = Api::all(env.admin());
    let shipped = everywhere.get("ack-offboarding-operator").await?;
    let bindings = |resources: Value, verbs: Value| json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": resources, "verbs": verbs});
    let mut rules = serde_json::to_value(&shipped.rules)?;
    rules[0] = bindings(
        json!(["rolebindings", "clusterrolebindings"]),
        json!(["get", "list", "watch"]),
    );
    let rules = rules.as_array_mut().expect("rules");
    rules.push(bindings(json!(["clusterrolebindings"]), json!(["delete"])));
    everywhere
        .patch(
            "ack-offboarding-operator",
            &PatchParams::default(),
            &Patch::Merge(json!({"rules": rules})),
        )
        .await?;
    give_access(&env).await?;
    env.role_binding("team-b", "forgotten", "view", &[user(UID)]).await?;
    let admin = env.admin();
    let grant = async |namespace: &str| -> anyhow::Result<()> {
        let role: Role = serde_json::from_value(json!({
            "metadata": {"name": "offboarding"}, "rules": [bindings(json!(["rolebindings"]), json!(["delete"]))],
        }))?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "offboarding"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "offboarding"},
            "subjects": [{"kind": "ServiceAccount", "name": "ack-offboarding-operator", "namespace": OPERATOR_NAMESPACE}],
        }))?;
        let params = PostParams::default();
        Api::namespaced(admin.clone(), namespace).create(&params, &role).await?;
        Api::namespaced(admin.clone(), namespace)
            .create(&params, &binding)
            .await?;
        Ok(())
    };
    grant("team-a").await?;
    // Where it proves that the admission policy refuses what it must.
    grant(OPERATOR_NAMESPACE).await?;
    let may = async |namespace: &str, expected: bool| -> anyhow::Result<()> {
        let operator = env
            .cluster
            .service_account_client(OPERATOR_NAMESPACE, "ack-offboarding-operator")
            .await?;
        let api: Api<RoleBinding> = Api::namespaced(operator, namespace);
        let dry_run = DeleteParams::default().dry_run();
        eventually("the authorizer to have seen it", PATIENCE, async || {
            let refused =
                matches!(api.delete("not-there", &dry_run).await, Err(kube::Error::Api(s)) if s.is_forbidden());
            Ok((refused != expected).then_some(()))
        })
        .await
    };
    may("team-a", true).await?;
    may("team-b", false).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "while it may not");
    let said = message(&status, "BindingsRemoved");
    assert!(said.contains("RoleBinding team-b/forgotten has no subjects"), "{said}");
    assert_gone(&env, &status).await?;
    let removed = status.removed.unwrap_or_default();
    assert_eq!((removed.deleted, removed.disarmed), (2, 1));
    Ok(())
}

/// Removes nothing more. What was backed up stays; an object created anew begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_deleted_in_the_middle_of_a_run_stops_it() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let (once, offboardings) = (Once::default(), env.offboardings());
    // The backup is written, and is being read back.
    let between = Between::start(&env, move |asked| {
        let offboardings = offboardings.clone();
        let backup = asked.path().contains("/configmaps/offboarding-") && !asked.path().contains("-cleared-");
        let reads_back = asked.method == Method::GET && backup;
        (reads_back && once.first()).then(|| -> BoxFuture<_> {
            Box::pin(async move {
                offboardings.delete("left", &DeleteParams::default()).await?;
                Ok(())
            })
        })
    })
    .await?;
    between.start_operator(&mut env, &[]).await?;
    let first = env.apply("left", json!({"uid": UID})).await?;
    let log = env.operator()?.log().to_owned();
    eventually("the end of the run", PATIENCE, async || {
        Ok(std::fs::read_to_string(&log)?
            .contains("reconciled object=\"left\"")
            .then_some(()))
    })
    .await?;
    assert!(env.offboardings().get_opt("left").await?.is_none());
    assert_eq!(
        env.bindings_of(UID).await?,
        ["ClusterRoleBinding leaver-everywhere", "RoleBinding team-a/leaver"]
    );
    assert!(!between.asked().iter().any(Asked::is_effect), "nothing was even tried");
    assert!(purges(&env).is_empty());
    let of_first = env.backups().await?;
    assert_eq!(of_first.len(), 1);

    let second = env.apply("left", json!({"uid": UID})).await?;
    assert_ne!(first.uid(), second.uid());
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    sees!(env, "left", "when it is created anew");
    between.assert_every_state_was_stored();
    let backups = env.backups().await?;
    assert_eq!(backups.len(), 2, "each has its own");
    assert!(backups.contains(&of_first[0]), "I7");
    Ok(())
}

/// What was found out about the old object is never written to the new one, nor done in its name.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_replaced_while_its_status_is_written_gets_none_of_the_old_one() -> anyhow::Result<()> {
    const OTHER: &str = "200000000000000003";
    let mut env = env().await;
    give_access(&env).await?;
    let (once, offboardings) = (Once::default(), env.offboardings());
    let between = Between::start(&env, move |asked| {
        let offboardings = offboardings.clone();
        let writes = asked.method == Method::PATCH && asked.path().ends_with("/useroffboardings/left/status");
        (writes && once.first()).then(|| -> BoxFuture<_> {
            Box::pin(async move {
                offboardings.delete("left", &DeleteParams::default()).await?;
                let new: UserOffboarding = serde_json::from_value(json!({
                    "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding", "metadata": {"name": "left"},
                    "spec": {"uid": OTHER, "mode": "DryRun"},
                }))?;
                offboardings.create(&PostParams::default(), &new).await?;
                Ok(())
            })
        })
    })
    .await?;
    between.start_operator(&mut env, &[]).await?;
    let history = History::begin(&env);
    let old = env.apply("left", json!({"uid": UID})).await?;
    let done = history.wait_for("the end", |s| state(s) == "DryRunComplete").await?;
    sees_text!("of the new object", sight::describe(&done));
    let of_new: Vec<_> = history.all().into_iter().filter(|o| o.uid() != old.uid()).collect();
    assert!(of_new.len() >= 2, "its creation, and at least one status");
    for object in of_new {
        let status = serde_json::to_string(&object.status)?;
        assert!(!status.contains(UID) && !status.contains("startedAt"), "{status}");
    }
    let old_writes = between
        .asked()
        .into_iter()
        .filter(|a| a.body["metadata"]["uid"] == json!(old.uid()));
    assert!(old_writes.count() > 0, "the write that was held was the old object's");
    assert_untouched(&env).await
}

/// What was asked between the first effects and the last: the look at the record, with which each new look begins.
fn looks_between_effects(between: &Between) -> usize {
    let asked = between.asked();
    let effects: Vec<_> = asked
        .iter()
        .enumerate()
        .filter(|(_, a)| a.is_effect())
        .map(|(i, _)| i)
        .collect();
    let (first, last) = (effects.first().expect("an effect"), effects.last().expect("another"));
    asked[*first..*last]
        .iter()
        .filter(|a| a.path().ends_with("/configmaps") && a.method == Method::GET)
        .count()
}

/// How many bindings [`edited_at_the_first_effect`] makes, and how many the operator removes at a time.
const MANY: usize = 22;
const AT_A_TIME: usize = 8;

/// A stage with many bindings, behind a proxy that edits the spec when the first of them is about to be removed.
async fn edited_at_the_first_effect(spec: Value) -> anyhow::Result<(TestEnv, Between)> {
    let mut env = env().await;
    give_access(&env).await?;
    for n in 2..MANY {
        let name = format!("more-{n}");
        env.role_binding("team-b", &name, "view", &[user(UID)]).await?;
    }
    let (edited, admin) = (Arc::new(tokio::sync::OnceCell::new()), env.admin());
    let between = Between::start(&env, move |asked| {
        let (admin, spec, edited) = (admin.clone(), spec.clone(), edited.clone());
        // None of those on their way arrives before the edit.
        asked.is_effect().then(|| -> BoxFuture<_> {
            Box::pin(async move {
                let edit = || async { edit_spec(&admin, spec).await };
                edited.get_or_try_init(edit).await?;
                Ok(())
            })
        })
    })
    .await?;
    between.start_operator(&mut env, &[]).await?;
    env.apply("left", json!({"uid": UID})).await?;
    Ok((env, between))
}

/// What is seen, but for how many are left: that depends on which of the eight at a time was faster.
fn how_many(status: &UserOffboardingStatus) -> String {
    let left = MANY - AT_A_TIME..=MANY;
    let seen = sight::describe(status);
    left.fold(seen, |seen, n| seen.replace(&format!("{n} bindings"), "N bindings"))
}

/// What was on its way when the spec was edited is all that was done.
async fn assert_stopped(env: &TestEnv, between: &Between) -> anyhow::Result<usize> {
    let effects = between.asked().into_iter().filter(Asked::is_effect).count();
    assert!((1..=AT_A_TIME).contains(&effects), "{effects} effects");
    assert_eq!(env.bindings_of(UID).await?.len(), MANY - effects);
    Ok(effects)
}

/// Stops after the requests that are on their way, and goes on where it was when it may.
#[tokio::test(flavor = "multi_thread")]
async fn suspended_in_the_middle_of_a_run_it_stops_at_once() -> anyhow::Result<()> {
    let (env, between) = edited_at_the_first_effect(json!({"suspend": true})).await?;
    let status = env.wait_for("left", "Suspended", |s| state(s) == "Suspended").await?;
    sees_text!("while it is suspended", how_many(&status));
    let effects = assert_stopped(&env, &between).await?;
    assert!(purges(&env).is_empty());
    assert_eq!(
        status.removed.unwrap_or_default().total as usize,
        effects,
        "and counts what is done"
    );

    edit_spec(&env.admin(), json!({"suspend": false})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    between.assert_every_state_was_stored();
    assert_eq!(status.removed.unwrap_or_default().deleted as usize, MANY);
    assert_eq!(env.backups().await?.len(), 1, "one backup of all of them");
    Ok(())
}

/// Stops as well, and shows what is left to do.
#[tokio::test(flavor = "multi_thread")]
async fn made_a_dry_run_in_the_middle_of_a_run_it_changes_nothing_more() -> anyhow::Result<()> {
    let (env, between) = edited_at_the_first_effect(json!({"mode": "DryRun"})).await?;
    let status = env
        .wait_for("left", "DryRunComplete", |s| state(s) == "DryRunComplete")
        .await?;
    sees_text!("as a dry run", how_many(&status));
    assert_conditions(&status, &[("Offboarded", "False/DryRunComplete")]);
    assert_stopped(&env, &between).await?;

    edit_spec(&env.admin(), json!({"mode": "Execute"})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    between.assert_every_state_was_stored();
    Ok(())
}

/// Looks anew before its next effect. A run that has begun needs neither another quiet window nor an approval of what it had
/// planned: to stop it, there is `suspend`.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_spec_in_the_middle_of_a_run_counts_before_the_next_effect() -> anyhow::Result<()> {
    let edit = json!({"approval": "Manual", "activityCheck": {"windowDays": 30}, "kubeconfig": "Keep"});
    let (mut env, between) = edited_at_the_first_effect(edit).await?;
    env.breaks_on_purpose(
        Invariant::I9,
        "what passed the checks goes on, though an approval is demanded later",
    );
    let ended = |s: &UserOffboardingStatus| state(s) == "Offboarded" && s.observed_generation == Some(2);
    let status = env.wait_for("left", "the end", ended).await?;
    sees!(env, "left", "at the end");
    assert!(looks_between_effects(&between) >= 1, "it looked anew");
    assert_conditions(
        &status,
        &[
            ("Offboarded", "True/Verified"),
            ("Approved", "True/Automatic"),
            ("KubeconfigPurged", "True/Kept"),
        ],
    );
    assert!(purges(&env).is_empty(), "the new spec keeps the kubeconfig");
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());
    between.assert_every_state_was_stored();
    Ok(())
}
