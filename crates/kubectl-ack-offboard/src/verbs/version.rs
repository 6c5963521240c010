//! `version`: what is installed, and whether it fits.

use crate::{
    cli::{Connection, VersionArgs},
    cloud,
    cluster::{Cluster, Role},
    exit::{Exit, Outcome},
    offboarding,
    output::{self, Shown},
};
use ack_offboarding_operator::api::{API_VERSION, GROUP, OperatorStatus};
use serde::Serialize;

const PLUGIN: &str = env!("CARGO_PKG_VERSION");

/// Prints it.
///
/// # Errors
/// When the cluster cannot be asked.
pub(crate) async fn run(connection: &Connection, args: &VersionArgs) -> Outcome {
    let cluster = match args.verbose {
        true => Some(installed(&Cluster::connect(connection).await?).await?),
        false => None,
    };
    let exit = match &cluster {
        Some(cluster) if !cluster.fits => Exit::Found,
        _ => Exit::Done,
    };
    // Named, whatever they are: it is no failure of the version that there are none.
    let credentials = match args.verbose {
        true => Some(match cloud::person(&args.person).await {
            Ok(person) => person.described().to_string(),
            Err(failure) => output::clean(&failure.message),
        }),
        false => None,
    };
    let versions = Versions {
        plugin: PLUGIN,
        api: API_VERSION,
        credentials,
        cluster,
    };
    output::show(args.output.output, &versions)?;
    Ok(exit)
}

/// What the cluster has. Which versions the CRD serves, everybody may ask; the operator's, whoever sees UserOffboardings.
async fn installed(cluster: &Cluster) -> Result<Installed, crate::exit::Failure> {
    let groups = cluster.client.list_api_groups().await;
    let groups = groups.map_err(|error| cluster.refused(&error, "ask for the cluster's APIs", Role::Viewer))?;
    let group = groups.groups.into_iter().find(|group| group.name == GROUP);
    let mut served: Vec<String> = Vec::new();
    for version in group.into_iter().flat_map(|group| group.versions) {
        // The group may be there for its other kinds.
        let resources = cluster.client.list_api_group_resources(&version.group_version).await;
        let resources =
            resources.map_err(|error| cluster.refused(&error, "ask for the cluster's APIs", Role::Viewer))?;
        if resources
            .resources
            .iter()
            .any(|resource| resource.name == "useroffboardings")
        {
            served.push(version.group_version);
        }
    }
    let operator = match served.is_empty() {
        true => None,
        false => {
            let mut operators: Vec<_> = cluster
                .all_offboardings()
                .await?
                .iter()
                .filter_map(offboarding::operator)
                .collect();
            operators.sort_by(|one, other| one.version.cmp(&other.version));
            operators.pop()
        }
    };
    Ok(judge(served, operator))
}

/// Whether it fits: the same API, and an operator of the same minor version.
fn judge(served: Vec<String>, operator: Option<OperatorStatus>) -> Installed {
    let says = if served.is_empty() {
        "ack-offboarding-operator is not installed in this cluster.".to_owned()
    } else if !served.iter().any(|version| version == API_VERSION) {
        format!(
            "the CRD has no version {API_VERSION}, which this plugin uses. Use the plugin of the operator's version."
        )
    } else {
        match &operator {
            None => {
                "no operator has said yet which version it is: there is no UserOffboarding with a status.".to_owned()
            }
            Some(operator) if minor(&operator.version) != minor(PLUGIN) => format!(
                "the operator is {}, the plugin {PLUGIN}. Use a plugin of the operator's version.",
                operator.version
            ),
            Some(_) => "they fit.".to_owned(),
        }
    };
    Installed {
        fits: says == "they fit.",
        served,
        operator,
        says,
    }
}

/// Major and minor version.
fn minor(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    plugin: &'static str,
    api: &'static str,
    /// Which credentials of Alibaba Cloud `--direct` would use, or why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<String>,
    #[serde(flatten)]
    cluster: Option<Installed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Installed {
    /// The versions that the CRD serves.
    served: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<OperatorStatus>,
    fits: bool,
    /// The same, in words.
    says: String,
}

impl Shown for Versions {
    const KIND: &'static str = "Version";

    fn text(&self, _wide: bool) -> String {
        let mut lines = vec![format!("Plugin    {}, for {}", self.plugin, self.api)];
        if let Some(cluster) = &self.cluster {
            let operator = cluster.operator.as_ref();
            let operator =
                operator.map(|operator| format!("{}, in namespace {}", operator.version, operator.namespace));
            lines.push(format!("Operator  {}", operator.unwrap_or("unknown".to_owned())));
            let served = match cluster.served.is_empty() {
                true => "not installed".to_owned(),
                false => cluster.served.join(", "),
            };
            lines.push(format!("CRD       {served}"));
            if let Some(credentials) = &self.credentials {
                lines.push(format!("Cloud     {credentials}"));
            }
            lines.push(format!("Result    {}", cluster.says));
        }
        lines.join("\n")
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_and_what_does_not() {
        let operator = |version: &str| {
            Some(OperatorStatus {
                namespace: "ns".to_owned(),
                version: version.to_owned(),
            })
        };
        let served = || vec![API_VERSION.to_owned()];
        assert!(judge(served(), operator(PLUGIN)).fits);
        assert!(judge(served(), operator("0.1.99")).fits);
        assert!(judge(served(), operator("9.1.0")).says.contains("operator is 9.1.0"));
        assert!(judge(served(), None).says.contains("no operator"));
        assert!(judge(Vec::new(), None).says.contains("not installed"));
        assert!(
            judge(vec!["ack-offboarding.io/v9".to_owned()], None)
                .says
                .contains("has no version")
        );
    }
}
