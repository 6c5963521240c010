//! S9: an administrator deletes the backups while the operator relies on them.

use crate::{
    attacks_between::{Between, Once},
    attacks_records::lifted,
    sight::{self, sees_text},
    support::{LEAVER, UID, env, message},
};
use ack_offboarding_e2e::{
    env::{condition, issue_kubeconfig, user},
    simulator::world::CertificateState,
};
use futures::future::BoxFuture;
use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const BACKUPS: &str = "ack-offboarding.io/object-uid";

async fn delete_backups(admin: Client) -> anyhow::Result<()> {
    let delete = |maps: Api<ConfigMap>| -> BoxFuture<_> {
        Box::pin(async move {
            let all = ListParams::default().labels(BACKUPS);
            maps.delete_collection(&DeleteParams::default(), &all).await?;
            Ok(())
        })
    };
    lifted(&admin, delete).await
}

/// The backup is deleted after it was read back, before the first removal: nothing is removed that is not stored at that moment. What
/// the observer says at the end of every scenario is the point here: each removal had a backup that was there.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_deleted_before_the_first_removal_stops_it() -> anyhow::Result<()> {
    let mut env = env().await;
    crate::support::give_access(&env).await?;
    let (read_back, once, admin) = (Arc::new(AtomicUsize::new(0)), Once::default(), env.admin());
    let deleted = once.clone();
    let between = Between::start(&env, move |request| {
        let is_map = request.path.contains("/configmaps/offboarding-") && !request.path.contains("-cleared-");
        if request.method == Method::GET && is_map && read_back.fetch_add(1, Ordering::SeqCst) == 0 {
            return None;
        }
        let now = read_back.load(Ordering::SeqCst) > 0 && once.first();
        let admin = admin.clone();
        now.then(|| -> BoxFuture<_> { Box::pin(delete_backups(admin)) })
    })
    .await?;
    between.start_operator(&mut env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for("left", "the missing backup is named, or made again", |status| {
        let backed_up = message(status, "BackedUp");
        deleted.is_over() && (backed_up.contains("offboarding-") || status.completed_at.is_some())
    })
    .await?;
    // It is stored again, and goes.
    env.wait_for_state("left", "Offboarded").await?;
    assert!(!env.backups().await?.is_empty(), "it was stored anew");
    Ok(())
}

/// What does not depend on which of the eight at a time was faster.
fn anonymous(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(": ") {
        Some((what, said)) if what.starts_with("BackedUp") => {
            // A name is words of its own: without its digits it would still hold some of its hash. So is a count.
            let words = said.split(' ').filter(|word| word.parse::<usize>().is_err());
            let words = words.map(|word| match word.contains("/offboarding-") {
                true => "BACKUP",
                false => word,
            });
            let said = words.collect::<Vec<_>>().join(" ");
            format!("{what}: {}\n", said.replace("and more are", "is"))
        }
        Some((what, _)) if what.starts_with("BindingsRemoved") => format!("{what}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// Half-way through 32 bindings all backups are deleted: what is not removed yet is stored anew before it goes, and what is gone without
/// a backup is said, by the name of the ConfigMap that had it.
#[tokio::test(flavor = "multi_thread")]
async fn backups_deleted_half_way_are_named_at_the_end() -> anyhow::Result<()> {
    let mut env = env().await;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    for n in 0..32 {
        env.role_binding("team-a", &format!("leaver-{n}"), "view", &[user(LEAVER)])
            .await?;
    }
    let (count, once, admin) = (Arc::new(AtomicUsize::new(0)), Once::default(), env.admin());
    let between = Between::start(&env, move |request| {
        let now = request.disarms() && count.fetch_add(1, Ordering::SeqCst) >= 8 && once.first();
        let admin = admin.clone();
        now.then(|| -> BoxFuture<_> { Box::pin(delete_backups(admin)) })
    })
    .await?;
    // What was asked for a moment before the deletion is on its way: eight at a time.
    env.breaks_on_purpose(
        ack_offboarding_e2e::observer::Invariant::I1,
        "backups are deleted between the operator's look and its request, which are held apart here",
    );
    between.start_operator(&mut env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env
        .wait_for("left", "the missing backup is named", |status| {
            status.completed_at.is_some() && message(status, "BackedUp").contains("offboarding-")
        })
        .await?;
    sight::record(&env.offboardings().get("left").await?)?;
    sees_text!("at the end", anonymous(&sight::describe(&status)));
    let missing = status.backup.clone().unwrap_or_default().missing;
    let named = message(&status, "BackedUp");
    assert!(
        !missing.is_empty() && missing.iter().any(|name| named.contains(name.as_str())),
        "{named}: {missing:?}"
    );
    assert_eq!(condition(&status, "BackedUp"), "False/BackupMissing");
    // At most those on their way went without a backup that is there now.
    let mut there = 0;
    for backup in env.backups().await? {
        there += crate::support::read_backup(&backup)?.entries.len();
    }
    assert!(
        (32 - 8 - 8..32).contains(&there),
        "{there} of 32 are in backups that are there"
    );
    let effects = between.seen().iter().filter(|request| request.disarms()).count();
    assert!(effects >= 32);
    Ok(())
}
