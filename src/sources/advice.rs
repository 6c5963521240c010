//! What the operator advises when a call to Alibaba Cloud fails: a sentence for each remedy.

use alibaba_cloud::{ApiError, Remedy};

/// What a person can do about a failed call, as a sentence; empty if there is nothing to do but wait.
pub(crate) fn of(error: &ApiError) -> &'static str {
    sentence(error.remedy())
}

/// The sentence for a remedy; empty for none.
pub(crate) fn sentence(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Nothing => "",
        Remedy::Permission => {
            "Add this action to the RAM policy of the operator's role (docs/ram-policy.json has them all)."
        }
        // A proxy between the operator and the service may have answered so, or the service for a reason of its own.
        Remedy::PerhapsPermission => {
            "The operator does not know this code. HTTP 403 usually means that a permission is missing: compare the RAM policy of \
             the operator's role with docs/ram-policy.json."
        }
        Remedy::ClusterRole => "Make the operator's RAM role an RBAC administrator of the cluster, in the ACK console.",
        Remedy::UserPolicy => {
            "Give the user read access to the cluster in RAM, or purge the kubeconfig in the ACK console."
        }
        Remedy::TrustPolicy => {
            "Check the trust policy of the operator's role: it must name the cluster's OIDC provider and the operator's \
             ServiceAccount."
        }
        Remedy::Cluster => "Check the operator's cluster ID and region.",
        Remedy::ClusterState => "Look at the cluster's state in the ACK console.",
        Remedy::Credentials => {
            "Check the operator's RRSA set-up, access key or CLI profile (the operator reads a key in its environment only when it \
             starts)."
        }
        Remedy::CredentialsSource => "Correct this, or choose another source of credentials (--credentials).",
        Remedy::Clock => {
            "Correct the clock of the operator's node: the services refuse requests that are more than 15 minutes off."
        }
        Remedy::Endpoint => "Check the operator's endpoints: this one does not know the operation.",
        Remedy::Network => {
            "If this persists, check that the operator's pod can reach the service: egress rules, NAT, --network, its endpoint."
        }
        Remedy::WrongAnswerer => {
            "If this persists, check whether a proxy or a wrong endpoint answers instead of the service."
        }
        Remedy::CallLimit => {
            "If this persists, look for an object or a binding that changes all the time, or raise --cloud-calls-per-minute."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alibaba_cloud::{
        ErrorKind::*,
        Service::{self, *},
        codes::{CODES, Code},
    };

    #[test]
    fn the_page_of_error_codes_has_every_row_and_no_other() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cloud-errors.md");
        let page = std::fs::read_to_string(path).unwrap();
        let found: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| ") && !line.starts_with("| Service"))
            .collect();
        let right: Vec<String> = CODES.iter().map(documented).collect();
        assert!(
            found == right,
            "the table of docs/cloud-errors.md must be:\n{}",
            right.join("\n")
        );
    }

    fn documented(row: &Code) -> String {
        let services: Vec<String> = row.services.iter().map(Service::to_string).collect();
        let services = match [Sts, Ims, Ram, Ack, Sls].iter().all(|one| row.services.contains(one)) {
            true => "all".to_owned(),
            false => services.join(", "),
        };
        let status = row.status.map(|status| status.to_string()).unwrap_or_default();
        let Code {
            code, meaning, source, ..
        } = row;
        let advice = match sentence(row.remedy) {
            "" => "–",
            advice => advice,
        };
        let (kind, retry) = (row.kind.as_str(), retry(row));
        format!("| {services} | `{code}` | {status} | {kind} | {retry} | {meaning} | {advice} | {source} |")
    }

    /// What the operator does about a code by itself, as the page says it.
    fn retry(row: &Code) -> &'static str {
        match row.kind {
            Throttled | Server if row.services == [Sls] => "the call is repeated",
            Throttled | Server => "the call is repeated; the purge in the next reconcile",
            Conflict => "the purge is repeated after 5 s, then with backoff",
            Forbidden | ClusterNotFound => "every hour, until the cause is fixed",
            Credentials if row.remedy != Remedy::Credentials => "with backoff",
            NotFound if row.services == [Sts] => "with backoff",
            Credentials => "once with other credentials, then with backoff",
            NotFound => "none: it is an answer",
            _ => "with backoff; the purge every hour",
        }
    }

    #[test]
    fn advice_is_whole_sentences() {
        for row in CODES {
            let advice = sentence(row.remedy);
            assert!(advice.is_empty() || advice.ends_with('.'), "{row:?}");
        }
    }
}
