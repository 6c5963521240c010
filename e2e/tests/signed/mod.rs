//! A signed request, as a means to get past the simulator's door.

use ack_offboarding_e2e::simulator::Simulator;
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Sends a request with ACS3-HMAC-SHA256, signed by `ak` and `sk`, and says the status of the answer.
pub(crate) async fn send(
    simulator: &Simulator,
    method: &str,
    path: &str,
    query: &str,
    action: &str,
    version: &str,
) -> u16 {
    let hash = hex::encode(Sha256::digest(b""));
    let headers = [
        ("host", simulator.address().to_string()),
        ("x-acs-action", action.to_owned()),
        ("x-acs-content-sha256", hash.clone()),
        (
            "x-acs-date",
            Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ),
        ("x-acs-signature-nonce", format!("{:?}", std::time::Instant::now())),
        ("x-acs-version", version.to_owned()),
    ];
    let names = headers.each_ref().map(|(name, _)| *name).join(";");
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{hash}");
    let to_sign = format!("ACS3-HMAC-SHA256\n{}", hex::encode(Sha256::digest(canonical)));
    let mac = Hmac::<Sha256>::new_from_slice(b"sk")
        .expect("any length")
        .chain_update(to_sign);
    let signature = hex::encode(mac.finalize().into_bytes());
    let authorization = format!("ACS3-HMAC-SHA256 Credential=ak,SignedHeaders={names},Signature={signature}");
    let url = format!("{}{path}?{query}", simulator.url());
    let request = reqwest::Client::new().request(method.parse().expect("a method"), url);
    let request = request.header("authorization", authorization);
    let request = headers
        .into_iter()
        .skip(1)
        .fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.expect("an answer").status().as_u16()
}
