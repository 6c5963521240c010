//! A scan where no operator runs: by a person, with their own credentials of Alibaba Cloud and their own rights in the cluster. What it takes for
//! true is what the operator's scan does; it reads the bindings by one paged list of each kind.

use super::{
    confirm,
    gather::{self, Seen},
    holdings::Holdings,
    known::{self, Offboardings},
    listings::{self, Listings},
    result,
    trouble::Trouble,
};
use crate::{
    api::scan::{Finding, Include, ScanReason},
    rbac::{
        BindingKey, BindingKind,
        list::{self, Listed},
        slim::SlimBinding,
        subject::RBAC_GROUP,
    },
    sources::{Account, AckCluster, QueryError, activity::audit_log::AuditLog, identity::Identity},
    sync::lock,
};
use alibaba_cloud::{Cloud, Uid};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use std::{
    borrow::Borrow,
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use crate::sources::profile::profile;

/// How long the audit log is waited for: somebody watches.
const PATIENCE: Duration = Duration::from_secs(20);

/// How far back the audit log is searched for when identities were last seen: as far as ACK keeps it, unless somebody changed that.
const SEEN_DAYS: u16 = 30;

/// Which ACK cluster it is, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckIdentity {
    /// ACK's ID of the cluster.
    pub cluster_id: String,
    /// The ID of the account that it belongs to.
    pub account_id: String,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct DirectScan {
    /// Everybody who was looked for, the worst first, with all bindings.
    pub findings: Vec<Finding>,
    /// What could not be asked, and what the findings lack because of it.
    pub gaps: Vec<String>,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq)]
pub struct NotScanned {
    /// The kind of trouble.
    pub reason: ScanReason,
    /// What was seen, and what it means.
    pub message: String,
}

impl From<Trouble> for NotScanned {
    fn from(trouble: Trouble) -> Self {
        NotScanned {
            reason: trouble.reason,
            message: trouble.seen,
        }
    }
}

/// Everybody whom an account has, listed once for all of its clusters that are scanned.
pub struct Everyone {
    account: Account,
    listings: Arc<Listings>,
    /// Who was looked up since. A UID that was nowhere stays so: RAM gives none twice.
    looked_up: Mutex<HashMap<Uid, Identity>>,
}

impl Everyone {
    /// Lists them.
    ///
    /// # Errors
    /// When a service does not answer, or a listing is not whole.
    pub async fn list(cloud: &Cloud) -> Result<Self, NotScanned> {
        let (account, caller) = Account::of_caller(cloud).await.map_err(Trouble::from)?;
        let everybody = account.list_everybody().await.map_err(Trouble::from)?;
        let listings = listings::whole(everybody, &caller, account.id())?;
        Ok(Everyone {
            account,
            listings: Arc::new(listings),
            looked_up: Mutex::default(),
        })
    }

    /// The account whose people they are: that of the credentials.
    pub fn account_id(&self) -> &str {
        self.account.id()
    }

    /// Who it is now; asked once.
    pub(super) async fn look_up(&self, uid: Uid) -> Result<Identity, QueryError> {
        if let Some(known) = lock(&self.looked_up).get(&uid) {
            return Ok(known.clone());
        }
        let found = self.account.look_up(uid).await?;
        lock(&self.looked_up).insert(uid, found.clone());
        Ok(found)
    }
}

/// Scans once. The bindings and the account are listed at the same time.
///
/// # Errors
/// When the bindings cannot be listed, a service does not answer, or a listing is not whole: nobody is called deleted then.
pub async fn direct(
    client: &Client,
    cloud: &Cloud,
    of: &AckIdentity,
    include: Include,
) -> Result<DirectScan, NotScanned> {
    scan(client, cloud, of, include, Everyone::list(cloud)).await
}

/// As [`direct`], with a listing of the account that was made before.
///
/// # Errors
/// As [`direct`]; and when the cluster belongs to another account.
pub async fn direct_among(
    client: &Client,
    cloud: &Cloud,
    of: &AckIdentity,
    include: Include,
    everyone: &Everyone,
) -> Result<DirectScan, NotScanned> {
    scan(client, cloud, of, include, std::future::ready(Ok(everyone))).await
}

async fn scan<E: Borrow<Everyone>>(
    client: &Client,
    cloud: &Cloud,
    of: &AckIdentity,
    include: Include,
    everyone: impl Future<Output = Result<E, NotScanned>>,
) -> Result<DirectScan, NotScanned> {
    let log = AuditLog::new(cloud.clone(), of.cluster_id.clone(), None);
    let cluster = AckCluster::new(cloud.clone(), of.cluster_id.clone(), log);
    let now = Timestamp::now();
    let (holdings, everyone, ack, offboardings, last_seen) = tokio::join!(
        bindings(client),
        everyone,
        gather::ack_opinion(&cluster),
        known::list(client),
        gather::last_seen(&cluster, now, SEEN_DAYS, PATIENCE),
    );
    let everyone = everyone?;
    let everyone: &Everyone = everyone.borrow();
    listings::is_of(everyone.account_id(), &of.account_id)?;
    let mut gaps = Vec::new();
    let seen = Seen {
        listings: everyone.listings.clone(),
        holdings: holdings.map_err(|error| NotScanned::from(Trouble::from(error)))?,
        ack: ack?,
        offboardings: match offboardings {
            Ok(all) => all,
            // No operator was ever installed.
            Err(kube::Error::Api(status)) if status.code == 404 => Offboardings::default(),
            Err(error) => {
                gaps.push(format!(
                    "Whether a UserOffboarding deals with somebody is unknown: {error}."
                ));
                Offboardings::default()
            }
        },
        last_seen,
    };
    let mut result = result::assemble(&seen, include, SEEN_DAYS, now);
    drop(seen);
    confirm::confirm_all(|uid| everyone.look_up(uid), &mut result).await?;
    if result.unread > 0 {
        gaps.push(format!(
            "{} bindings of very many UIDs were left out: whom they name is unknown.",
            result.unread
        ));
    }
    if let Some(why) = &result.ack_is_silent {
        gaps.push(format!(
            "ACK does not tell the states of kubeconfigs, so whoever holds nothing but a kubeconfig is missing, and there is no second opinion: {}.",
            why.trim_end_matches('.')
        ));
    }
    if let Some(why) = &result.seen_doubt {
        gaps.push(format!(
            "When identities were last seen is unknown, or may have been later: {}.",
            why.trim_end_matches('.')
        ));
    }
    Ok(DirectScan {
        findings: result.into_findings(),
        gaps,
    })
}

/// What everybody is bound to, by one paged list of each kind, of which one object is in memory at a time.
async fn bindings(client: &Client) -> Result<Holdings, kube::Error> {
    let mut holdings = Holdings::showing(usize::MAX);
    for kind in [BindingKind::ClusterRoleBinding, BindingKind::RoleBinding] {
        let path = format!("/apis/{RBAC_GROUP}/v1/{}", kind.plural());
        let before = holdings;
        // Begun anew, if the list is.
        let listed: Listed<Holdings> = list::fold(
            client,
            &path,
            || before.clone(),
            |holdings, binding: SlimBinding| {
                let key = BindingKey {
                    kind,
                    namespace: binding.namespace.clone(),
                    name: binding.name.clone(),
                };
                holdings.take_read(&key, &binding);
            },
        )
        .await?;
        holdings = listed.value;
    }
    Ok(holdings)
}
