//! The UserOffboardings that there are, as far as a scan needs them.

use crate::api::{ConditionType, PLAN_LABEL, UserOffboarding, scan::SCAN_LABEL};
use alibaba_cloud::Uid;
use kube::{Api, Client, Resource, api::ListParams, core::ObjectMeta};
use serde::{Deserialize, de::IgnoredAny};
use std::collections::HashMap;

/// Objects in a page.
const PAGE: u32 = 500;

/// One of them. Every word is a string here: an object of another version breaks no scan.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "UserOffboarding")]
pub(super) struct Known {
    metadata: ObjectMeta,
    spec: KnownSpec,
    #[serde(default)]
    status: KnownStatus,
}

#[derive(Clone, Debug, Deserialize)]
struct KnownSpec {
    uid: String,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default)]
    suspend: bool,
    #[serde(default)]
    kubeconfig: Option<String>,
    #[serde(default)]
    names: KnownNames,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct KnownNames {
    ignore: Vec<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct KnownStatus {
    conditions: Vec<KnownCondition>,
}

#[derive(Clone, Debug, Deserialize)]
struct KnownCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

impl Known {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn label(&self, key: &str) -> Option<&str> {
        Some(self.metadata.labels.as_ref()?.get(key)?.as_str())
    }

    fn is_dry_run(&self) -> bool {
        self.spec.mode.as_deref() == Some("DryRun")
    }

    fn is_complete(&self) -> bool {
        self.is_true(ConditionType::Offboarded)
    }

    /// Complete, with nothing kept, and nothing that came back was noticed since: who holds something all the same is not dealt with.
    fn is_over(&self) -> bool {
        let keeps = self.spec.kubeconfig.as_deref() == Some("Keep") || !self.spec.names.ignore.is_empty();
        self.is_complete() && self.is_true(ConditionType::Ready) && !keeps
    }

    fn is_true(&self, type_: ConditionType) -> bool {
        let mut conditions = self.status.conditions.iter();
        conditions.any(|c| c.type_ == type_.as_str() && c.status == "True")
    }
}

/// All of them, by UID.
#[derive(Debug, Default)]
pub(super) struct Offboardings {
    by_uid: HashMap<Uid, Dealing>,
    /// How many proposals of each scan are not complete.
    open: HashMap<String, u32>,
}

/// What deals with a UID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dealing {
    // First: one that is carried out comes before one that is not.
    /// Whether it removes nothing as it is: a dry run, suspended, or complete.
    pub(super) is_idle: bool,
    /// Whether it never removes anything.
    pub(super) is_dry_run: bool,
    pub(super) name: String,
}

impl Offboardings {
    pub(super) fn of(all: Vec<Known>) -> Self {
        let mut offboardings = Offboardings::default();
        for known in all {
            let Ok(uid) = known.spec.uid.parse() else { continue };
            // As `is_plan` of a UserOffboarding has it.
            if known.label(PLAN_LABEL).is_some() && known.is_dry_run() && !known.spec.suspend {
                continue;
            }
            if let Some(scan) = known
                .label(SCAN_LABEL)
                .filter(|_| !known.is_complete() && !known.is_dry_run())
            {
                *offboardings.open.entry(scan.to_owned()).or_default() += 1;
            }
            let dealing = Dealing {
                is_idle: known.is_dry_run() || known.spec.suspend || known.is_over(),
                is_dry_run: known.is_dry_run(),
                name: known.name().to_owned(),
            };
            let first = offboardings.by_uid.entry(uid).or_insert_with(|| dealing.clone());
            if dealing < *first {
                *first = dealing;
            }
        }
        offboardings
    }

    pub(super) fn dealing_with(&self, uid: Uid) -> Option<&Dealing> {
        self.by_uid.get(&uid)
    }

    /// How many proposals of each scan are not complete.
    pub(super) fn all_open(&self) -> HashMap<String, u32> {
        self.open.clone()
    }
}

/// Lists all of them.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn list(client: &Client) -> kube::Result<Offboardings> {
    let api: Api<Known> = Api::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(Offboardings::of(all)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;
    use serde_json::json;

    fn known(name: &str, labels: serde_json::Value, mode: &str, offboarded: &str) -> Known {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels}, "spec": {"uid": "100", "mode": mode},
            "status": {"conditions": [{"type": "Offboarded", "status": offboarded}]},
        }))
        .unwrap()
    }

    #[test]
    fn one_that_is_carried_out_deals_with_it_and_a_plan_does_not() {
        let plan = json!({PLAN_LABEL: ""});
        assert!(
            Offboardings::of(vec![known("plan-x", plan, "DryRun", "False")])
                .dealing_with(uid(100))
                .is_none()
        );
        let all = Offboardings::of(vec![
            known("a-dry", json!({}), "DryRun", "False"),
            known("z-real", json!({}), "Execute", "False"),
        ]);
        let dealing = all.dealing_with(uid(100)).unwrap();
        assert_eq!((dealing.name.as_str(), dealing.is_idle), ("z-real", false));
    }

    #[test]
    fn one_that_is_complete_deals_with_nothing_that_came_since() {
        let mut complete = known("left", json!({}), "Execute", "True");
        let is_idle = |known: &Known| {
            Offboardings::of(vec![known.clone()])
                .dealing_with(uid(100))
                .unwrap()
                .is_idle
        };
        assert!(!is_idle(&complete), "access that returned is noticed");
        complete.status.conditions.push(KnownCondition {
            type_: "Ready".into(),
            status: "True".into(),
        });
        assert!(is_idle(&complete));
        complete.spec.kubeconfig = Some("Keep".into());
        assert!(!is_idle(&complete), "it was to be kept");
    }

    #[test]
    fn proposals_are_open_until_they_are_complete() {
        let of = json!({SCAN_LABEL: "default"});
        let all = Offboardings::of(vec![
            known("scan-1", of.clone(), "Execute", "False"),
            known("scan-2", of, "Execute", "True"),
            known("other", json!({}), "Execute", "False"),
        ]);
        assert_eq!(all.all_open(), HashMap::from([("default".to_owned(), 1)]));
    }
}
