//! `doctor`: runs the operator's own check, in its pod, with its flags and its rights.

use crate::{
    cli::DoctorArgs,
    cluster::{Cluster, said},
    exit::{Exit, Failure, Outcome},
    output::{self, Format},
};
use k8s_openapi::{
    api::core::v1::{Container, Pod},
    apimachinery::pkg::apis::meta::v1::Status,
};
use kube::{
    Api, ResourceExt,
    api::{AttachParams, ListParams},
};
use tokio::io::AsyncReadExt;

/// Where the image has the operator.
const BINARY: &str = "/ack-offboarding-operator";
const CONTAINER: &str = "operator";
const PODS: &str = "app.kubernetes.io/name=ack-offboarding-operator";
/// What it takes; none of our roles has it.
const RIGHT: &str = "It takes the verb create (and get) on pods/exec in the operator's namespace. None of our roles has it: whoever may run \
     programs in the operator's pod has the operator's rights, so it is a cluster administrator's. Without it: helm test \
     ack-offboarding-operator --logs";

/// Runs it.
///
/// # Errors
/// When there is no pod, or nothing may be run in it.
pub(crate) async fn run(cluster: &Cluster, args: &DoctorArgs) -> Outcome {
    let namespace = cluster.operator_namespace().await?;
    let pods: Api<Pod> = Api::namespaced(cluster.patient.clone(), &namespace);
    let found = pods.list(&ListParams::default().labels(PODS)).await;
    let found = found.map_err(|error| denied(&error, &format!("list pods in namespace {namespace}")))?;
    let Some((pod, container)) = found.items.iter().find_map(operator) else {
        return Err(Failure::new(format!(
            "no pod of the operator runs in namespace {namespace}. If it is in another one: --operator-namespace=NAMESPACE. Else see why it does \
             not run: kubectl --namespace {namespace} get pods -l {PODS}"
        )));
    };
    let name = pod.name_any();
    output::note(format!("Running doctor in pod {namespace}/{name}."));
    let command = command(container, args.output.output);
    let streams = AttachParams::default()
        .container(CONTAINER)
        .stdin(false)
        .stdout(true)
        .stderr(true);
    let mut process = match pods.exec(&name, command, &streams).await {
        Ok(process) => process,
        Err(error) => return Err(denied(&error, &format!("run doctor in pod {namespace}/{name}"))),
    };
    let (mut data, mut rest) = (String::new(), String::new());
    let status = process.take_status();
    let (mut out, mut err) = (process.stdout(), process.stderr());
    let data_read = async {
        if let Some(out) = out.as_mut() {
            let _ = out.read_to_string(&mut data).await;
        }
    };
    let rest_read = async {
        if let Some(err) = err.as_mut() {
            let _ = err.read_to_string(&mut rest).await;
        }
    };
    tokio::join!(data_read, rest_read);
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    if !rest.is_empty() {
        output::note(rest.trim_end());
    }
    output::print(&data)?;
    match status.and_then(|status| code(&status)) {
        Some(0) => Ok(Exit::Done),
        Some(1) => Ok(Exit::Found),
        Some(code) => Err(Failure::new(format!(
            "doctor ended with {code} in pod {namespace}/{name}."
        ))),
        None => Err(Failure::new(format!(
            "doctor was cut short in pod {namespace}/{name}: the pod may have ended. Run it again."
        ))),
    }
}

/// A pod that runs the operator, and its container.
fn operator(pod: &Pod) -> Option<(&Pod, &Container)> {
    let is_running = pod.status.as_ref()?.phase.as_deref() == Some("Running");
    let container = pod
        .spec
        .as_ref()?
        .containers
        .iter()
        .find(|container| container.name == CONTAINER)?;
    let runs = container.args.iter().flatten().next().is_some_and(|verb| verb == "run");
    (is_running && runs && pod.metadata.deletion_timestamp.is_none()).then_some((pod, container))
}

/// The operator's command line, with another verb.
fn command(container: &Container, format: Format) -> Vec<String> {
    let mut command = container.command.clone().unwrap_or_else(|| vec![BINARY.to_owned()]);
    command.push("doctor".to_owned());
    command.extend(container.args.iter().flatten().skip(1).cloned());
    if format == Format::Json {
        command.extend(["--output".to_owned(), "json".to_owned()]);
    }
    command
}

/// The exit code in what the kubelet says at the end.
fn code(status: &Status) -> Option<i32> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let causes = status.details.as_ref()?.causes.as_ref()?;
    let code = causes
        .iter()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"))?;
    code.message.as_ref()?.parse().ok()
}

fn denied(error: &kube::Error, doing: &str) -> Failure {
    let said = said(error);
    let is_refused = matches!(error, kube::Error::Api(status) if status.code == 403) || said.contains("403");
    match is_refused {
        true => Failure::new(format!("may not {doing}: {said}. {RIGHT}")),
        false => Failure::new(format!("cannot {doing}: {said}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn doctor_gets_the_flags_of_run() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "operator-1"},
            "spec": {"containers": [
                {"name": "sidecar"},
                {"name": "operator", "args": ["run", "--region=cn-hangzhou"]},
            ]},
            "status": {"phase": "Running"},
        }))
        .unwrap();
        let (_, container) = operator(&pod).unwrap();
        let expected = ["/ack-offboarding-operator", "doctor", "--region=cn-hangzhou"];
        assert_eq!(command(container, Format::Table), expected);
        assert_eq!(command(container, Format::Json).last().unwrap(), "json");
    }

    #[test]
    fn the_exit_code_is_the_kubelets() {
        let status = |value| serde_json::from_value::<Status>(value).unwrap();
        assert_eq!(code(&status(json!({"status": "Success"}))), Some(0));
        let causes = json!([{"reason": "ExitCode", "message": "1"}]);
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}});
        assert_eq!(code(&status(failed)), Some(1));
        assert_eq!(code(&status(json!({"status": "Failure"}))), None);
    }
}
