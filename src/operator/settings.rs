//! Settings: flags and environment variables, completed by what the cluster knows about itself.

use crate::offboarding::{policies::Policies, settings::Settings};
use crate::rbac::barrier_bindings::BarrierNames;
use crate::sources::profile::PROFILE;
use alibaba_cloud::{CALLS_PER_MINUTE, CloudSettings, CredentialsSource, EndpointOverrides, Network, Timeouts, Uid};
use clap::Args;
use k8s_openapi::{api::core::v1::ConfigMap, jiff::SignedDuration};
use kube::{Api, Client};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Flags and environment variables of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The kubeconfig to use; without it, the pod's ServiceAccount.
    #[arg(long, env = "ACK_OFFBOARDING_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The ACK cluster's ID; by default what kube-system/ack-cluster-profile says.
    #[arg(long, env = "ACK_OFFBOARDING_CLUSTER_ID", value_name = "ID")]
    pub cluster_id: Option<String>,

    /// The ID of the Alibaba Cloud account that the cluster belongs to; by default what kube-system/ack-cluster-profile
    /// says.
    #[arg(long, env = "ACK_OFFBOARDING_ACCOUNT_ID", value_name = "ID")]
    pub account_id: Option<String>,

    /// The cluster's region, as in cn-hangzhou; by default ALIBABA_CLOUD_STS_REGION, which RRSA sets.
    #[arg(long, env = "ACK_OFFBOARDING_REGION", value_name = "REGION")]
    pub region: Option<String>,

    /// The operator's namespace: backups are stored here.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_NAMESPACE",
        value_name = "NAME",
        default_value = "ack-offboarding-system"
    )]
    pub namespace: String,

    /// The ClusterRoleBinding by which the operator knows that a read is up to date.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_BARRIER_CLUSTER_ROLE_BINDING",
        value_name = "NAME",
        default_value = "ack-offboarding-barrier"
    )]
    pub barrier_cluster_role_binding: String,

    /// The RoleBinding for the same, in the operator's namespace.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_BARRIER_ROLE_BINDING",
        value_name = "NAME",
        default_value = "ack-offboarding-barrier"
    )]
    pub barrier_role_binding: String,

    /// Which endpoints of Alibaba Cloud to use.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_NETWORK",
        value_name = "public|vpc",
        default_value = "public"
    )]
    pub network: Network,

    /// Another endpoint for STS, as a URL. http is allowed for loopback addresses only. The same holds for the others.
    #[arg(long, env = "ACK_OFFBOARDING_STS_ENDPOINT", value_name = "URL")]
    pub sts_endpoint: Option<String>,

    /// Another endpoint for IMS.
    #[arg(long, env = "ACK_OFFBOARDING_IMS_ENDPOINT", value_name = "URL")]
    pub ims_endpoint: Option<String>,

    /// Another endpoint for RAM.
    #[arg(long, env = "ACK_OFFBOARDING_RAM_ENDPOINT", value_name = "URL")]
    pub ram_endpoint: Option<String>,

    /// Another endpoint for ACK (API name: CS).
    #[arg(long, env = "ACK_OFFBOARDING_CS_ENDPOINT", value_name = "URL")]
    pub cs_endpoint: Option<String>,

    /// Where to connect for SLS; the Host header and the signature keep the name of the preset.
    #[arg(long, env = "ACK_OFFBOARDING_SLS_ENDPOINT", value_name = "URL")]
    pub sls_endpoint: Option<String>,

    /// Where the credentials come from: rrsa, env (keys in the environment), profile[:NAME], ecsrole[:NAME]; auto is rrsa
    /// where its variables are set, else env.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_CREDENTIALS",
        value_name = "SOURCE",
        default_value = "auto"
    )]
    pub credentials: CredentialsSource,

    /// UIDs that are never offboarded, separated by commas.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_PROTECTED_UIDS",
        value_name = "UID",
        value_delimiter = ','
    )]
    pub protected_uids: Vec<Uid>,

    /// Whether the operator may remove subjects from shared bindings.
    #[arg(long, env = "ACK_OFFBOARDING_REMOVE_SUBJECTS", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub remove_subjects: bool,

    /// Whether the policy that demands the verb `approve` must be in force before anything is changed.
    #[arg(long, env = "ACK_OFFBOARDING_REQUIRE_APPROVAL_POLICY", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub require_approval_policy: bool,

    /// How often the operator rechecks a UserOffboarding that waits, as in 1h or 30m.
    #[arg(long, env = "ACK_OFFBOARDING_RECHECK_INTERVAL", value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub recheck_interval: Duration,

    /// How often ACK is asked for a reissued kubeconfig once an offboarding is complete.
    #[arg(long, env = "ACK_OFFBOARDING_POLL_INTERVAL", value_name = "TIME", default_value = "1d", value_parser = duration)]
    pub poll_interval: Duration,

    /// The longest wait between two retries.
    #[arg(long, env = "ACK_OFFBOARDING_BACKOFF", value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub backoff: Duration,

    /// How long one attempt of a call to Alibaba Cloud may take; the purge, attempted once, may take four times as long,
    /// and a call with all its retries six times.
    #[arg(long, env = "ACK_OFFBOARDING_CLOUD_TIMEOUT", value_name = "TIME", default_value = "15s", value_parser = timeout)]
    pub cloud_timeout: Duration,

    /// The most calls to Alibaba Cloud in a minute, except the purge; further calls wait, and the status reports that.
    #[arg(long, env = "ACK_OFFBOARDING_CLOUD_CALLS_PER_MINUTE", default_value_t = CALLS_PER_MINUTE, value_parser = clap::value_parser!(u32).range(60..))]
    pub cloud_calls_per_minute: u32,

    /// How many offboardings may begin to remove access in an hour; the others wait.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_NEW_RUNS_PER_HOUR",
        value_name = "N",
        default_value_t = 20
    )]
    pub new_runs_per_hour: u16,

    /// How many ConfigMaps are written as backups of one UserOffboarding in 24 hours, at most; what exceeds that is left,
    /// and reported.
    #[arg(long, env = "ACK_OFFBOARDING_BACKUPS_PER_DAY", value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub backups_per_day: u16,

    /// How many UserOffboardings the operator handles at a time.
    #[arg(long, env = "ACK_OFFBOARDING_CONCURRENCY", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,

    /// Where /healthz, /readyz and /metrics are served.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,

    /// Whether to be active only while holding a Lease, so that several replicas can run; without it, run exactly one.
    #[arg(long, env = "ACK_OFFBOARDING_LEADER_ELECT", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,

    /// The Lease, in the operator's namespace.
    #[arg(
        long,
        env = "ACK_OFFBOARDING_LEASE_NAME",
        value_name = "NAME",
        default_value = "ack-offboarding-operator"
    )]
    pub lease_name: String,

    /// How long a standby waits for a leader that does not renew its Lease; the leader steps down by itself after two
    /// thirds of that.
    #[arg(long, env = "ACK_OFFBOARDING_LEASE_DURATION", value_name = "TIME", default_value = "15s", value_parser = lease_duration)]
    pub lease_duration: Duration,
}

/// Settings are missing or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings say one thing, and the cluster another.
    #[error(
        "{what} is {said} according to {flag} or {variable}, but {own} according to ConfigMap kube-system/{PROFILE}: omit the \
         setting, or correct it"
    )]
    Contradiction {
        what: &'static str,
        said: String,
        own: String,
        flag: &'static str,
        variable: &'static str,
    },
    /// Neither a flag nor the cluster says it.
    #[error("{what} is unknown: set {flag} or {variable}{elsewhere}")]
    Missing {
        what: &'static str,
        flag: &'static str,
        variable: &'static str,
        /// Where else it could have come from, and why it did not.
        elsewhere: String,
    },
}

impl RunArgs {
    /// Where the two bindings of the barrier are.
    pub fn barrier(&self) -> BarrierNames {
        BarrierNames {
            cluster_role_binding: self.barrier_cluster_role_binding.clone(),
            role_binding: self.barrier_role_binding.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// The admission policies that must be in force.
    pub fn policies(&self, client: Client) -> Policies {
        Policies::new(client, self.barrier(), self.require_approval_policy)
    }

    /// Completes the settings by what the cluster says about itself, and compares them with it: an operator that takes
    /// its cluster for another one would read that one's audit log, and purge there.
    ///
    /// # Errors
    /// When something is known to nobody, or the cluster contradicts it.
    pub async fn complete(&self, client: &Client) -> Result<Settings, SettingsError> {
        let profile = Api::<ConfigMap>::namespaced(client.clone(), "kube-system")
            .get(PROFILE)
            .await;
        let from_profile = |key: &str| {
            let value = profile.as_ref().ok()?.data.as_ref()?.get(key)?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let why = match &profile {
            Err(error) => format!("; cannot read ConfigMap kube-system/{PROFILE}: {error}"),
            Ok(_) => format!("; ConfigMap kube-system/{PROFILE} does not contain it"),
        };
        let known = |value: &Option<String>, key, what, flag, variable| {
            let said = value
                .as_deref()
                .map(str::trim)
                .filter(|value| !value.is_empty())
                .map(str::to_owned);
            match (said, from_profile(key)) {
                (Some(said), Some(own)) if said != own => Err(SettingsError::Contradiction {
                    what,
                    said,
                    own,
                    flag,
                    variable,
                }),
                (Some(known), _) | (None, Some(known)) => Ok(known),
                (None, None) => Err(SettingsError::Missing {
                    what,
                    flag,
                    variable,
                    elsewhere: why.clone(),
                }),
            }
        };
        Ok(Settings {
            cluster_id: known(
                &self.cluster_id,
                "clusterid",
                "the cluster's ID",
                "--cluster-id",
                "ACK_OFFBOARDING_CLUSTER_ID",
            )?,
            account_id: known(
                &self.account_id,
                "uid",
                "the cluster's account",
                "--account-id",
                "ACK_OFFBOARDING_ACCOUNT_ID",
            )?,
            namespace: self.namespace.clone(),
            barrier: self.barrier(),
            protected_uids: self.protected_uids.iter().map(Uid::to_string).collect(),
            approval_policy: self.require_approval_policy,
            remove_subjects: self.remove_subjects,
            backups_per_day: self.backups_per_day,
            cloud_calls_per_minute: self.cloud_calls_per_minute,
            new_runs_per_hour: self.new_runs_per_hour,
            recheck_interval: self.recheck_interval,
            poll_interval: self.poll_interval,
            backoff_first: Duration::from_secs(1).min(self.backoff),
            backoff_longest: self.backoff,
        })
    }

    /// The settings of the cloud clients.
    ///
    /// # Errors
    /// When the region is known to nobody.
    pub fn cloud(&self) -> Result<CloudSettings, SettingsError> {
        let from_rrsa = || {
            std::env::var("ALIBABA_CLOUD_STS_REGION")
                .ok()
                .filter(|region| !region.is_empty())
        };
        let region = self
            .region
            .clone()
            .or_else(from_rrsa)
            .ok_or_else(|| SettingsError::Missing {
                what: "the cluster's region",
                flag: "--region",
                variable: "ACK_OFFBOARDING_REGION",
                elsewhere: " (ALIBABA_CLOUD_STS_REGION, which RRSA sets, is not set either)".to_owned(),
            })?;
        let mut settings = CloudSettings::new(region);
        settings.user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned();
        settings.session_name = env!("CARGO_PKG_NAME").to_owned();
        settings.network = self.network;
        settings.endpoints = EndpointOverrides {
            sts: self.sts_endpoint.clone(),
            ims: self.ims_endpoint.clone(),
            ram: self.ram_endpoint.clone(),
            ack: self.cs_endpoint.clone(),
            sls: self.sls_endpoint.clone(),
        };
        settings.credentials = self.credentials.clone();
        settings.timeouts = Timeouts::of(self.cloud_timeout);
        settings.calls_per_minute = self.cloud_calls_per_minute;
        Ok(settings)
    }
}

/// `1h`, `30m`, `1h30m`, `250ms`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let expected = |why: &str| format!("expected a time such as 1h, 30m or 2s{why}");
    // jiff leaves days out of a time span without a calendar; for intervals a day is 24 hours.
    let hours = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok())
        .map(|days| format!("{}h", 24 * u64::from(days)));
    let parsed: SignedDuration = hours
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|e| expected(&format!(": {e}")))?;
    Duration::try_from(parsed)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(|| expected(", longer than zero"))
}

/// A duration of at most ten minutes: a call that takes longer holds everything else up, and is not coming back.
fn timeout(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| match time <= Duration::from_secs(600) {
        true => Ok(time),
        false => Err("expected at most 10m".to_owned()),
    })
}

/// Whole seconds, as a Lease says it, and enough of them for several tries.
fn lease_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(
        |time| match time.subsec_nanos() == 0 && (5..=300).contains(&time.as_secs()) {
            true => Ok(time),
            false => Err("expected whole seconds, 5s to 5m".to_owned()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let cases = [("1h", 3600), ("30m", 1800), ("1h30m", 5400), ("1d", 86_400), ("2s", 2)];
        for (text, seconds) in cases {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "1", "-1h", "0s", "x", "1w2"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(timeout("10m").is_ok() && timeout("11m").is_err());
        for (text, fits) in [
            ("5s", true),
            ("15s", true),
            ("5m", true),
            ("4s", false),
            ("6m", false),
            ("5500ms", false),
        ] {
            assert_eq!(lease_duration(text).is_ok(), fits, "{text}");
        }
    }
}
