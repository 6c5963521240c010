//! What happens, in order.

use std::{collections::BTreeSet, path::Path, time::Duration, time::Instant};

use ack_offboarding_operator::api::UserOffboarding;
use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Pod},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, LogParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    cloud, helm,
    installation::{self, Installation},
    people,
    report::{Report, mib, tenths},
    target::Target,
};
use crate::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, apply_objects, eventually, service_account_token},
    env::{CLUSTER_ID, REGION, condition, issue_kubeconfig, plugin_binary, probe, settled, state, user},
    node::archive,
    refusals,
    screen::Screen,
    simulator::{Record, Simulator, world::CertificateState},
};

/// How long something may take that takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Older than the window of seven days.
const LONG_AGO: Duration = Duration::from_secs(30 * 86_400);
/// Where the leavers' bindings are.
const NAMESPACE: &str = "team-a";
/// So many that the leader can be killed in their midst.
const MANY: usize = 1000;

/// What the steps share.
struct Play<'a> {
    target: &'a Target,
    admin: Client,
    sim: Simulator,
    installation: Installation,
    screen: &'a mut Screen,
    report: &'a mut Report,
    leavers: u32,
}

/// A leaver, of whom RAM knows nothing any more.
struct Leaver {
    /// The name of the object, and what the bindings' names begin with.
    name: String,
    uid: String,
    bindings: BTreeSet<String>,
}

impl Leaver {
    /// The name in the certificate and the bindings, as ACK chooses it.
    fn certificate(&self) -> String {
        format!("{}-1700000000", self.uid)
    }
}

/// All steps.
pub(super) async fn play(
    target: &Target,
    image: &Path,
    screen: &mut Screen,
    report: &mut Report,
) -> anyhow::Result<()> {
    screen.heading("The surroundings");
    let step = screen.step("Importing the image", "a few seconds");
    let contents = archive::read(image)?;
    report.image_mib = Some(mib(contents.bytes));
    target.load(image).await?;
    step.done(screen, "imported");
    screen.check(
        "the image is under 20 MB",
        &(contents.bytes < 20_000_000).to_string(),
        "true",
    );
    let admin = target.admin().await?;
    let sim = cloud::start(target, &admin).await?;
    screen.line("The simulated cloud listens, and pods reach it under the VPC's host names.");
    let mut play = Play {
        installation: Installation::new(&admin),
        target,
        admin,
        sim,
        screen,
        report,
        leavers: 0,
    };
    play.install().await?;
    play.refusals().await?;
    play.offboard().await?;
    play.lose_the_leader().await?;
    play.upgrade().await?;
    play.update_that_cannot_work().await?;
    play.uninstall().await
}

impl Play<'_> {
    async fn install(&mut self) -> anyhow::Result<()> {
        self.screen.heading("helm install");
        // What is upgraded later on.
        let package = helm::package(self.target.files.path(), Some("0.0.1")).await?;
        let set = [
            "image.repository=ack-offboarding-operator/ack-offboarding-operator".to_owned(),
            format!("cluster.region={REGION}"),
            // During the upgrade, somebody leaves twice a second.
            "operator.newRunsPerHour=1000".to_owned(),
            "credentials.source=rrsa".to_owned(),
            format!("credentials.rrsa.roleArn={}", cloud::role_arn()),
            format!("credentials.rrsa.oidcProviderArn={}", cloud::provider_arn()),
        ];
        let package = package.to_string_lossy().into_owned();
        let mut arguments = vec![package.as_str()];
        for value in &set {
            arguments.extend(["--set", value]);
        }
        self.screen
            .command(&format!("helm install {} {}", helm::RELEASE, arguments[1..].join(" ")));
        arguments.extend(["--wait", "--timeout", "1m"]);
        let step = self.screen.step("Installing", "15 s");
        let said = helm::run(self.target.kubeconfig(), "install", &arguments).await?;
        step.done(self.screen, "installed");
        self.screen.block(&said);
        let pods = eventually("two ready pods", PATIENCE, async || {
            let pods = self.installation.ready_pods().await?;
            Ok((pods.len() >= 2).then_some(pods))
        })
        .await?;
        self.report.pods_ready = Some(pods.len());
        self.screen.check("pods that are Ready", &pods.len().to_string(), "2");
        let ready_after: Option<Vec<f64>> = pods.iter().map(installation::ready_after).collect();
        let ready_after = ready_after.context("a pod is Ready, and does not say since when")?;
        let slowest = ready_after.into_iter().fold(0.0, f64::max);
        self.report.ready_s = Some(slowest);
        self.screen.line(&format!(
            "The slower pod was Ready {slowest} s after its container's start."
        ));
        self.screen
            .check("that is within 3 s", &(slowest <= 3.0).to_string(), "true");
        let mut resident = 0;
        for pod in &pods {
            resident = resident.max(self.target.memory(&self.installation, pod).await?);
        }
        self.report.idle_rss_mib = Some(mib(resident));
        self.screen
            .line(&format!("The larger pod takes {} MiB.", mib(resident)));
        self.screen
            .check("that is under 20 MiB", &(resident < 20 << 20).to_string(), "true");
        let policies = self
            .target
            .kubectl(["get", "networkpolicy", "--output", "name"])
            .await?;
        self.screen.check(
            "the NetworkPolicy",
            policies.trim(),
            "networkpolicy.networking.k8s.io/ack-offboarding-operator",
        );
        Ok(())
    }

    /// What the operator must not be able to do.
    async fn refusals(&mut self) -> anyhow::Result<()> {
        self.screen.heading("What the operator's token cannot do");
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        apply_objects(&self.admin, &[namespace]).await?;
        let uid = "259083957089437699-1700000000";
        self.bind(refusals::SHARED, &["stays", uid]).await?;
        let token = service_account_token(&self.admin, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, "").await?;
        let operator = self
            .target
            .client(serde_json::from_value(json!({ "token": token }))?)
            .await?;
        let outcomes = refusals::try_all(&operator, uid).await;
        for outcome in &outcomes {
            if let Err(error) = &outcome.refused {
                self.screen.check(outcome.what, error, "refused");
            }
        }
        let refused = outcomes.iter().filter(|outcome| outcome.refused.is_ok()).count();
        self.report.refusals_tried = Some(outcomes.len());
        self.report.refused = Some(refused);
        self.screen
            .check("refused", &refused.to_string(), &outcomes.len().to_string());
        Ok(())
    }

    /// The main job, once.
    async fn offboard(&mut self) -> anyhow::Result<()> {
        self.screen.heading("A leaver");
        let leaver = self.leaver(3).await?;
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        let client = people::client(self.target, &self.admin, &leaver.certificate()).await?;
        let before = settled(&client, &path, 200).await?;
        self.screen
            .check("the leaver's certificate: list pods", &before.to_string(), "200");
        if self.target.audit_log().is_some() {
            self.make_quiet(&leaver, &client).await?;
        }
        let took = Instant::now();
        self.apply(&leaver).await?;
        let offboarded = self.until_offboarded(&leaver).await;
        self.report.offboarded = offboarded.is_ok();
        self.screen.check(
            &format!("Offboarded, after {:.1} s", took.elapsed().as_secs_f64()),
            &self.report.offboarded.to_string(),
            "true",
        );
        offboarded?;
        self.nothing_lost(std::slice::from_ref(&leaver)).await?;
        let after = settled(&client, &path, 403).await?;
        self.report.leaver_after = Some(after);
        self.screen
            .check("the leaver's certificate: list pods", &after.to_string(), "403");
        let accepted = cloud::tokens_accepted(&self.sim);
        self.screen.line(&format!(
            "STS gave credentials {accepted} times, for a pod's token that it verified with the API server's key set."
        ));
        self.screen.check("it did", &(accepted > 0).to_string(), "true");
        self.doctor_by_plugin().await
    }

    /// The plugin runs the operator's own check in its pod, whose namespace an offboarding tells.
    async fn doctor_by_plugin(&mut self) -> anyhow::Result<()> {
        let mut plugin = tokio::process::Command::new(plugin_binary()?);
        plugin.arg("doctor").env("KUBECONFIG", self.target.kubeconfig());
        self.screen.command("kubectl ack-offboard doctor");
        let said = tokio::time::timeout(PATIENCE, plugin.output())
            .await
            .context("kubectl ack-offboard doctor does not end")??;
        let (out, err) = (
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr),
        );
        self.screen.block(&format!("{err}{out}"));
        let code = said.status.code().unwrap_or(-1);
        self.report.plugin_doctor = Some(code);
        self.screen.check("it ends with", &code.to_string(), "0");
        let is_there = out.contains("admission policy ack-offboarding-backups");
        self.screen
            .check("and shows the operator's checks", &is_there.to_string(), "true");
        Ok(())
    }

    /// The leader's pod is killed while it removes bindings.
    async fn lose_the_leader(&mut self) -> anyhow::Result<()> {
        self.screen.heading("The leader's pod is killed in the middle");
        let leaver = self.leaver(MANY).await?;
        let (leader, pod) = (
            self.installation.leader().await?,
            self.installation.leading_pod().await?,
        );
        self.apply(&leaver).await?;
        self.until_begun(&leaver).await?;
        self.target.kill(&pod).await?;
        let killed = Instant::now();
        // Nobody removes anything now.
        let left = self.left(&leaver).await?;
        self.screen.line(&format!(
            "Killed {} when {left} of {MANY} bindings were left.",
            pod.name_any()
        ));
        self.screen
            .check("that is in the midst", &(left > 0 && left < MANY).to_string(), "true");
        let next = eventually("another leader", PATIENCE, async || {
            let next = self.installation.leader().await?;
            Ok((!next.is_empty() && next != leader).then_some(next))
        })
        .await?;
        let failover = killed.elapsed().as_secs_f64();
        self.report.failover_s = Some(tenths(failover));
        self.screen.line(&format!("{next} led {failover:.1} s later."));
        self.screen
            .check("that is within 20 s", &(failover <= 20.0).to_string(), "true");
        self.until_offboarded(&leaver).await?;
        self.nothing_lost(&[leaver]).await
    }

    /// A release takes the place of another while there is work.
    async fn upgrade(&mut self) -> anyhow::Result<()> {
        self.screen.heading("helm upgrade, with work in flight");
        let package = helm::package(self.target.files.path(), None).await?;
        let package = package.to_string_lossy().into_owned();
        let before: BTreeSet<_> = self.object_uids().await?;
        let old: BTreeSet<_> = self
            .installation
            .pods()
            .await?
            .iter()
            .filter_map(|pod| pod.uid())
            .collect();
        let leader = self.installation.leader().await?;
        let mut prepared = Vec::new();
        for _ in 0..30 {
            prepared.push(self.leaver(40).await?);
        }
        let arguments = [
            package.as_str(),
            "--reuse-values",
            "--set",
            "podAnnotations.upgrade=yes",
            "--wait",
            "--timeout",
            "3m",
        ];
        self.screen
            .command(&format!("helm upgrade {} {}", helm::RELEASE, arguments[1..4].join(" ")));
        let upgrade = helm::run(self.target.kubeconfig(), "upgrade", &arguments);
        // Somebody leaves every half a second until the upgrade is over, and at least one does after it.
        let work = async {
            let mut left = prepared.into_iter();
            let mut asked = Vec::new();
            let mut tick = tokio::time::interval(Duration::from_millis(500));
            tokio::pin!(upgrade);
            loop {
                tokio::select! {
                    said = &mut upgrade => {
                        said?;
                        let last = left.next().context("the upgrade took so long that nobody was left to leave")?;
                        self.apply(&last).await?;
                        asked.push(last);
                        return anyhow::Ok(asked);
                    }
                    _ = tick.tick(), if left.len() > 1 => {
                        let Some(next) = left.next() else { continue };
                        self.apply(&next).await?;
                        asked.push(next);
                    }
                }
            }
        };
        let asked = work.await?;
        for leaver in &asked {
            self.until_offboarded(leaver).await?;
        }
        self.screen.line(&format!(
            "{} left while pods were replaced, and one after that; each is Offboarded.",
            asked.len() - 1
        ));
        self.screen
            .check("that is more than one", &(asked.len() > 2).to_string(), "true");
        let next = self.installation.leader().await?;
        self.screen
            .check("another process leads", &(next != leader).to_string(), "true");
        self.nothing_lost(&asked).await?;
        let pods = eventually("only new pods", PATIENCE, async || {
            let pods = self.installation.ready_pods().await?;
            let all_new = pods.iter().all(|pod| pod.uid().is_some_and(|uid| !old.contains(&uid)));
            Ok((pods.len() == 2 && all_new).then_some(pods))
        })
        .await?;
        self.screen.check(
            "restarts of the new pods",
            &installation::restarts(&pods).to_string(),
            "0",
        );
        let after = self.object_uids().await?;
        self.screen.check(
            "objects of before the upgrade that are still there",
            &before.intersection(&after).count().to_string(),
            &before.len().to_string(),
        );
        self.screen.command(&format!("helm test {}", helm::RELEASE));
        let said = helm::run(self.target.kubeconfig(), "test", &["--logs"]).await?;
        self.screen
            .check("it succeeded", &said.contains("Succeeded").to_string(), "true");
        self.doctor(&said)
    }

    /// What doctor, which the chart's test runs, said at its end: `40 ok, 0 failed, 1 not tried, in 0.4 s.`
    fn doctor(&mut self, said: &str) -> anyhow::Result<()> {
        let last = said
            .lines()
            .find(|line| line.contains(" failed, ") && line.ends_with(" s."));
        let last = last.with_context(|| format!("doctor has no last line: {said}"))?;
        self.screen.line(last);
        let failed = last.split(", ").find_map(|part| part.strip_suffix(" failed"));
        self.screen.check("failed checks", failed.unwrap_or("?"), "0");
        let took = last.split(" in ").nth(1).and_then(|part| part.strip_suffix(" s."));
        let took: f64 = took.context("doctor does not say how long it took")?.parse()?;
        self.report.doctor_s = Some(took);
        self.screen
            .check("done in less than 5 s", &(took < 5.0).to_string(), "true");
        Ok(())
    }

    /// An update to credentials that Alibaba Cloud does not accept gets no further than its first pod: those from before go on.
    async fn update_that_cannot_work(&mut self) -> anyhow::Result<()> {
        self.screen
            .heading("helm upgrade to a role that does not trust the operator");
        let before = self.ready_uids().await?;
        let package = helm::package(self.target.files.path(), None).await?;
        let package = package.to_string_lossy().into_owned();
        let role = format!("credentials.rrsa.roleArn={}-of-nobody", cloud::role_arn());
        self.screen
            .command(&format!("helm upgrade {} --reuse-values --set {role}", helm::RELEASE));
        helm::run(
            self.target.kubeconfig(),
            "upgrade",
            &[&package, "--reuse-values", "--set", &role],
        )
        .await?;
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), OPERATOR_NAMESPACE);
        let said = eventually("the new pod to say what is wrong", PATIENCE, async || {
            let all = self.installation.pods().await?;
            let new = all
                .iter()
                .find(|pod| pod.uid().is_some_and(|uid| !before.contains(&uid)));
            let Some(new) = new else { return Ok(None) };
            // Until its container runs.
            let Ok(log) = pods.logs(&new.name_any(), &LogParams::default()).await else {
                return Ok(None);
            };
            let mut lines = log.lines().map(str::to_owned);
            Ok(lines.find(|line| line.contains("cannot verify the Alibaba Cloud credentials")))
        })
        .await?;
        self.screen.check(
            "the new pod's log names the refusal",
            &said.contains("AuthenticationFail.NoPermission").to_string(),
            "true",
        );
        let leaver = self.leaver(2).await?;
        self.apply(&leaver).await?;
        self.until_offboarded(&leaver).await?;
        self.screen
            .line("Somebody who leaves meanwhile is offboarded all the same.");
        let still = self.ready_uids().await? == before;
        self.screen
            .check("exactly the pods from before are ready", &still.to_string(), "true");
        self.screen.command(&format!("helm rollback {}", helm::RELEASE));
        helm::run(self.target.kubeconfig(), "rollback", &["--wait", "--timeout", "3m"]).await?;
        let still = self.ready_uids().await? == before;
        self.screen
            .check("they are those that go on", &still.to_string(), "true");
        Ok(())
    }

    /// The `metadata.uid` of the pods that are ready.
    async fn ready_uids(&self) -> anyhow::Result<BTreeSet<String>> {
        let pods = self.installation.ready_pods().await?;
        Ok(pods.iter().filter_map(ResourceExt::uid).collect())
    }

    /// The release goes, and what must not be lost stays.
    async fn uninstall(&mut self) -> anyhow::Result<()> {
        self.screen.heading("helm uninstall");
        let (objects, backups) = (self.object_uids().await?.len(), self.backups().await?.len());
        helm::run(self.target.kubeconfig(), "uninstall", &["--wait", "--timeout", "3m"]).await?;
        eventually("no pod", PATIENCE, async || {
            Ok(self.installation.pods().await?.is_empty().then_some(()))
        })
        .await?;
        self.screen.line("No pod is left.");
        self.screen.check(
            "UserOffboardings",
            &self.object_uids().await?.len().to_string(),
            &objects.to_string(),
        );
        self.screen.check(
            "backups",
            &self.backups().await?.len().to_string(),
            &backups.to_string(),
        );
        Ok(())
    }

    /// A new leaver, with a kubeconfig and this many RoleBindings.
    async fn leaver(&mut self, bindings: usize) -> anyhow::Result<Leaver> {
        self.leavers += 1;
        let name = format!("leaver-{:02}", self.leavers);
        let leaver = Leaver {
            uid: format!("2590839570894300{:02}", self.leavers),
            bindings: (0..bindings).map(|number| format!("{name}-{number:04}")).collect(),
            name,
        };
        issue_kubeconfig(&self.sim, &leaver.uid, CertificateState::Unexpired);
        let subject = [leaver.certificate()];
        let subject = subject.each_ref().map(String::as_str);
        futures::stream::iter(&leaver.bindings)
            .map(|binding| self.bind(binding, &subject))
            .buffer_unordered(16)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(leaver)
    }

    async fn bind(&self, name: &str, users: &[&str]) -> anyhow::Result<()> {
        let subjects: Vec<_> = users.iter().map(|name| user(name)).collect();
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": subjects,
        }))?;
        let api = Api::namespaced(self.admin.clone(), NAMESPACE);
        api.create(&PostParams::default(), &binding).await?;
        Ok(())
    }

    fn offboardings(&self) -> Api<UserOffboarding> {
        Api::all(self.admin.clone())
    }

    /// `kubectl apply` of the leaver's manifest.
    async fn apply(&self, leaver: &Leaver) -> anyhow::Result<()> {
        let object = json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding",
            "metadata": {"name": leaver.name}, "spec": {"uid": leaver.uid},
        });
        let params = PatchParams::apply("person").force();
        self.offboardings()
            .patch(&leaver.name, &params, &Patch::Apply(object))
            .await?;
        Ok(())
    }

    async fn until_offboarded(&self, leaver: &Leaver) -> anyhow::Result<()> {
        let mut last = String::new();
        let what = format!("{} to be Offboarded", leaver.name);
        let done = eventually(&what, PATIENCE, async || {
            let status = self.offboardings().get(&leaver.name).await?.status.unwrap_or_default();
            last = state(&status).to_owned();
            Ok(condition(&status, "Offboarded").starts_with("True/").then_some(()))
        });
        done.await.with_context(|| format!("its state was {last:?} at last"))
    }

    /// Waits until the leaver is out of some bindings, and says how many are left.
    async fn until_begun(&self, leaver: &Leaver) -> anyhow::Result<usize> {
        let count = eventually("the first deleted binding", PATIENCE, async || {
            let left = self.left(leaver).await?;
            Ok((left < leaver.bindings.len()).then_some(left))
        })
        .await?;
        anyhow::ensure!(
            count > 0,
            "all {MANY} bindings were deleted before anybody could kill the leader"
        );
        Ok(count)
    }

    /// How many of the leaver's bindings still name somebody: one that names nobody grants nothing, and the garbage collector takes some
    /// twenty of these a second.
    async fn left(&self, leaver: &Leaver) -> anyhow::Result<usize> {
        let api: Api<RoleBinding> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let bindings = api.list(&ListParams::default().match_any()).await?;
        let names_somebody = |binding: &&RoleBinding| binding.subjects.as_ref().is_some_and(|list| !list.is_empty());
        Ok(bindings
            .iter()
            .filter(names_somebody)
            .filter(|binding| leaver.bindings.contains(&binding.name_any()))
            .count())
    }

    /// Each of the leavers' bindings is deleted, and in a backup.
    async fn nothing_lost(&mut self, leavers: &[Leaver]) -> anyhow::Result<()> {
        let backups = self.backups().await?;
        let text: Vec<_> = backups
            .iter()
            .filter_map(|map| map.data.as_ref())
            .flat_map(|data| data.values())
            .collect();
        let names: BTreeSet<&str> = text
            .iter()
            .flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')))
            .collect();
        let all = leavers.iter().map(|leaver| leaver.bindings.len()).sum::<usize>();
        let backed_up = leavers
            .iter()
            .flat_map(|leaver| &leaver.bindings)
            .filter(|name| names.contains(name.as_str()))
            .count();
        let mut left = 0;
        for leaver in leavers {
            left += self.left(leaver).await?;
        }
        self.screen.check("bindings that are left", &left.to_string(), "0");
        self.screen.check(
            "bindings that are in a backup",
            &backed_up.to_string(),
            &all.to_string(),
        );
        Ok(())
    }

    async fn backups(&self) -> anyhow::Result<Vec<ConfigMap>> {
        let api: Api<ConfigMap> = Api::namespaced(self.admin.clone(), OPERATOR_NAMESPACE);
        let ours = ListParams::default().labels("ack-offboarding.io/object-uid");
        Ok(api.list(&ours).await?.items)
    }

    async fn object_uids(&self) -> anyhow::Result<BTreeSet<String>> {
        let objects = self.offboardings().list(&ListParams::default()).await?;
        Ok(objects.iter().filter_map(|object| object.uid()).collect())
    }

    /// The leaver's requests have just shown that the certificate works; in the log they are made a month old.
    async fn make_quiet(&self, leaver: &Leaver, client: &Client) -> anyhow::Result<()> {
        // One more request, which can be told from all others: when its record is there, so are those before it.
        let marker = format!("/api/v1/namespaces/{NAMESPACE}/pods?limit=7");
        probe(client, &marker).await?;
        let is_marker = |record: &Record| record.get("requestURI") == Some(&marker);
        self.sim
            .wait_for_record(CLUSTER_ID, is_marker, PATIENCE)
            .await
            .context("the leaver's request")?;
        let certificate = leaver.certificate();
        let theirs = |record: &Record| record.get("user.username") == Some(&certificate);
        self.sim.age_records(CLUSTER_ID, theirs, LONG_AGO);
        Ok(())
    }
}
