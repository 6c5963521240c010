//! Which clusters: contexts of the kubeconfig, or all of an Alibaba Cloud account.

use super::{
    issuer::Issuer,
    member::{Access, Member},
};
use crate::{
    cli::{Connection, ManyArgs},
    cloud,
    cluster::kubeconfig,
    exit::{Exit, Failure, NotCovered},
    output::clean,
};
use alibaba_cloud::{
    Cloud,
    ack::{CertState, ListedCluster},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What was asked for.
pub(crate) struct Selection {
    /// In the order in which they were named, else by name.
    pub(crate) members: Vec<Member>,
    /// What ACK says of the UID's kubeconfigs, by cluster ID.
    pub(crate) kubeconfigs: HashMap<String, CertState>,
    /// What should be known of it.
    pub(crate) warnings: Vec<String>,
    /// The clients by which the account was asked, if it was.
    pub(crate) cloud: Option<Cloud>,
}

/// The clusters that were asked for, which are not asked anything yet. With a UID and an account, ACK is asked once for the states of the UID's
/// kubeconfigs in all of them.
///
/// # Errors
/// When none were asked for, or they cannot be found.
pub(crate) async fn select(many: &ManyArgs, connection: &Connection, uid: Option<&str>) -> Result<Selection, Failure> {
    if connection.context.is_some() {
        return Err(Failure::usage(
            "--context is one cluster. Name them by --contexts=A,B,C.",
        ));
    }
    if many.all_clusters {
        return of_account(many, uid).await;
    }
    let file = kubeconfig(connection)?;
    let known: Vec<&str> = file.contexts.iter().map(|context| context.name.as_str()).collect();
    let names = contexts(many, &known)?;
    let file = Arc::new(file.clone());
    let member = |name: String| Member::new(name, None, None, Access::Context(file.clone()));
    Ok(Selection {
        members: names.into_iter().map(member).collect(),
        kubeconfigs: HashMap::new(),
        warnings: Vec::new(),
        cloud: None,
    })
}

/// The contexts that were asked for, each once.
fn contexts(many: &ManyArgs, known: &[&str]) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = match &many.context_selector {
        Some(glob) => {
            let pattern = glob::Pattern::new(glob)
                .map_err(|error| Failure::usage(format!("--context-selector {glob:?}: {error}")))?;
            let fitting = known.iter().filter(|name| pattern.matches(name));
            fitting.map(|name| (*name).to_owned()).collect()
        }
        None if many.all_contexts => known.iter().map(|name| (*name).to_owned()).collect(),
        None => many.contexts.clone(),
    };
    let mut seen = HashSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    let lists = "`kubectl config get-contexts -o name` lists what there is";
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Failure::usage(format!(
            "the kubeconfig has no context {:?}: {lists}.",
            clean(unknown)
        )));
    }
    let is_by_name = !many.contexts.is_empty();
    match names.is_empty() {
        true if is_by_name || many.all_contexts || many.context_selector.is_some() => {
            Err(Failure::usage(format!("no context fits: {lists}.")))
        }
        true => Err(Failure::usage(
            "which clusters? --contexts=A,B,C, --all-contexts, --context-selector=GLOB or --all-clusters.",
        )),
        false => Ok(names),
    }
}

async fn of_account(many: &ManyArgs, uid: Option<&str>) -> Result<Selection, Failure> {
    let cloud = cloud::connect(&many.cloud).await?;
    let issuer = Arc::new(Issuer::new(cloud.clone(), many.private_address));
    let asked = async {
        match uid {
            Some(uid) => issuer.kubeconfig_states(uid).await,
            None => Ok(HashMap::new()),
        }
    };
    let (listed, states) = tokio::join!(issuer.clusters(), asked);
    let mut listed = listed?;
    if listed.is_empty() {
        return Err(Failure {
            exit: Exit::Found,
            ..Failure::new("your account has no clusters.")
        });
    }
    listed.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    let names = unique_names(&listed);
    let ids: HashSet<String> = listed.iter().map(|cluster| cluster.id.clone()).collect();
    let members = listed.into_iter().zip(names).map(|(cluster, name)| {
        let access = match without_api_server(&cluster.state) {
            Some(why) => Access::Not(
                NotCovered::NoApiServer,
                format!("ACK says that it is {}: {why}.", clean(&cluster.state)),
            ),
            None => Access::Issued(issuer.clone()),
        };
        let region = Some(cluster.region).filter(|region| !region.is_empty());
        Member::new(name, Some(cluster.id), region, access)
    });
    let members = members.collect();
    let (kubeconfigs, warnings) = match states {
        Ok(states) => {
            let warnings = elsewhere(&states, &ids);
            (states, warnings)
        }
        Err(warning) => (HashMap::new(), vec![warning]),
    };
    Ok(Selection {
        members,
        kubeconfigs,
        warnings,
        cloud: Some(cloud),
    })
}

/// The clusters for which ACK knows a kubeconfig of the UID though the list of clusters has none of their IDs.
fn elsewhere(states: &HashMap<String, CertState>, ids: &HashSet<String>) -> Vec<String> {
    let is_left = |state: &CertState| !matches!(state, CertState::Unissued | CertState::Removed);
    let unlisted = states.iter().filter(|(id, state)| is_left(state) && !ids.contains(*id));
    let mut warnings: Vec<_> = unlisted
        .map(|(id, state)| {
            format!(
                "ACK says that the UID has a kubeconfig ({state:?}) for cluster {}, which the list of your clusters does not have.",
                clean(id)
            )
        })
        .collect();
    warnings.sort();
    warnings
}

/// The clusters' names; where two have the same, with their IDs.
fn unique_names(listed: &[ListedCluster]) -> Vec<String> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for cluster in listed {
        *count.entry(cluster.name.as_str()).or_default() += 1;
    }
    let name = |cluster: &ListedCluster| match count.get(cluster.name.as_str()) {
        Some(1) if !cluster.name.is_empty() => clean(&cluster.name),
        _ => format!("{} {}", clean(&cluster.name), clean(&cluster.id))
            .trim()
            .to_owned(),
    };
    listed.iter().map(name).collect()
}

/// Why there is no API server to ask in this state; `None` if there is, also in a state that is not known: asking tells.
fn without_api_server(state: &str) -> Option<&'static str> {
    match state {
        "initial" => Some("it is being created"),
        "failed" | "create_timeout" => Some("its creation failed"),
        "deleting" | "deleted" => Some("it is being deleted, or is gone"),
        "delete_failed" => Some("its deletion failed, and what is left of it is not known"),
        "waiting" => Some("it is registered, and has not connected to ACK yet"),
        "disconnected" => Some("it is registered, and has lost its connection to ACK"),
        "unavailable" => Some("ACK cannot reach it"),
        "stopped" => Some("it does not run"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        many: ManyArgs,
    }

    fn chosen(args: &[&str]) -> Result<Vec<String>, String> {
        let line = Line::try_parse_from([&["x"], args].concat()).map_err(|error| error.to_string())?;
        contexts(&line.many, &["prod-a", "prod-b", "team/test"]).map_err(|failure| failure.message)
    }

    #[test]
    fn contexts_are_chosen_by_name_or_pattern() {
        let names = |args: &[&str]| chosen(args).unwrap().join(" ");
        assert_eq!(names(&["--contexts", "prod-b,prod-a,prod-b"]), "prod-b prod-a");
        assert_eq!(names(&["--all-contexts"]), "prod-a prod-b team/test");
        assert_eq!(names(&["--context-selector", "prod-*"]), "prod-a prod-b");
        assert_eq!(names(&["--context-selector", "*t"]), "team/test");
    }

    #[test]
    fn none_is_never_silently_no_cluster() {
        let said = |args: &[&str]| chosen(args).unwrap_err();
        assert!(said(&["--contexts", "prod-c"]).contains("no context \"prod-c\""));
        assert!(said(&["--context-selector", "x*"]).contains("no context fits"));
        assert!(said(&["--context-selector", "[["]).contains("--context-selector"));
        assert!(said(&["--contexts", ","]).contains("no context fits"));
        assert!(said(&[]).contains("which clusters?"));
        assert!(said(&["--all-contexts", "--all-clusters"]).contains("cannot be used with"));
    }

    #[test]
    fn a_kubeconfig_for_a_cluster_that_is_not_listed_is_told() {
        let states = [
            ("c1", CertState::Unexpired),
            ("c2", CertState::Unknown),
            ("c3", CertState::Removed),
        ];
        let states = states.map(|(id, state)| (id.to_owned(), state)).into();
        let told = elsewhere(&states, &["c1".to_owned()].into());
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("(Unknown) for cluster c2"), "{told:?}");
    }

    #[test]
    fn two_clusters_of_one_name_are_told_apart() {
        let cluster = |id: &str, name: &str| ListedCluster {
            id: id.to_owned(),
            name: name.to_owned(),
            region: String::new(),
            state: String::new(),
            cluster_type: String::new(),
        };
        let listed = [
            cluster("c1", "prod"),
            cluster("c2", "prod"),
            cluster("c3", "test"),
            cluster("c4", ""),
        ];
        assert_eq!(unique_names(&listed), ["prod c1", "prod c2", "test", "c4"]);
    }
}
