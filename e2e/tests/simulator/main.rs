//! The simulator over the wire: what it refuses, what it does on demand, what it notes.
//!
//! That it computes signatures as Alibaba Cloud does is shown by the golden vectors (unit tests of `simulator::sign`) and by
//! the official SDKs (`e2e/conformance/run`). The signer here is only a means to get past the door.

mod lists;
mod sls;

use std::io::Write;
use std::time::{Duration, Instant};

use ack_offboarding_e2e::simulator::world::{AccessKey, CertificateState, Cluster, Principal, User};
use ack_offboarding_e2e::simulator::{Fault, FaultKind, Hint, Operation, Options, Record, Simulator, Throttle, World};
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const UID: &str = "259083957089437690";
const DEADLINE: Duration = Duration::from_secs(10);

fn simulator() -> Simulator {
    let mut world = World::default();
    world.access_keys.push(AccessKey::new(
        "ak",
        "sk",
        Principal::RamUser {
            user_id: "200000000000000001".to_owned(),
        },
    ));
    world.users.push(User::new(UID, "leaver"));
    world
        .add_cluster(Cluster::new("c1"))
        .issue(UID, CertificateState::Unexpired);
    Simulator::start(Options {
        world,
        ..Options::default()
    })
    .expect("a simulator")
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Without a pool: a connection that the simulator cuts must not be tried again.
    Client::builder()
        .pool_max_idle_per_host(0)
        .timeout(DEADLINE)
        .build()
        .expect("a client")
}

/// A request that is right but for what a test changes.
#[derive(Clone)]
struct Signed {
    method: Method,
    path: String,
    query: String,
    action: &'static str,
    version: &'static str,
    date: Timestamp,
    nonce: String,
    secret: &'static str,
    access_key: &'static str,
    /// The body's hash as it is signed, and as the header has it.
    hash: String,
    header_hash: String,
}

impl Signed {
    fn new(method: Method, path: &str, query: &str, action: &'static str, version: &'static str) -> Self {
        let nonce = format!("{:?}-{:?}", Instant::now(), std::thread::current().id());
        let hash = hex::encode(Sha256::digest(b""));
        let date = Timestamp::now();
        let (path, query) = (path.to_owned(), query.to_owned());
        Self {
            method,
            path,
            query,
            action,
            version,
            date,
            nonce,
            secret: "sk",
            access_key: "ak",
            header_hash: hash.clone(),
            hash,
        }
    }

    fn caller_identity() -> Self {
        Self::new(Method::POST, "/", "", "GetCallerIdentity", "2015-04-01")
    }

    fn user() -> Self {
        Self::new(Method::POST, "/", &format!("UserId={UID}"), "GetUser", "2019-08-15")
    }

    fn purge(force: bool) -> Self {
        let path = format!("/cluster/c1/user/{UID}/permissions");
        Self::new(
            Method::DELETE,
            &path,
            &format!("Force={force}"),
            "CleanClusterUserPermissions",
            "2015-12-15",
        )
    }

    fn states() -> Self {
        let path = format!("/users/{UID}/kubeconfig/states");
        Self::new(Method::GET, &path, "", "ListUserKubeConfigStates", "2015-12-15")
    }

    fn request(&self, simulator: &Simulator) -> RequestBuilder {
        let date = self.date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let headers = [
            ("host", simulator.address().to_string()),
            ("x-acs-action", self.action.to_owned()),
            ("x-acs-content-sha256", self.header_hash.clone()),
            ("x-acs-date", date),
            ("x-acs-signature-nonce", self.nonce.clone()),
            ("x-acs-version", self.version.to_owned()),
        ];
        let names = headers.each_ref().map(|(name, _)| *name).join(";");
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{}",
            self.method, self.path, self.query, self.hash
        );
        let to_sign = format!("ACS3-HMAC-SHA256\n{}", hex::encode(Sha256::digest(canonical)));
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())
            .expect("any length")
            .chain_update(to_sign);
        let signature = hex::encode(mac.finalize().into_bytes());
        let credential = self.access_key;
        let authorization =
            format!("ACS3-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}");
        let url = format!("{}{}?{}", simulator.url(), self.path, self.query);
        let request = client()
            .request(self.method.clone(), url.trim_end_matches('?'))
            .header("authorization", authorization);
        headers
            .into_iter()
            .skip(1)
            .fold(request, |request, (name, value)| request.header(name, value))
    }

    async fn send(&self, simulator: &Simulator) -> Response {
        self.request(simulator).send().await.expect("an answer")
    }
}

async fn status_and_code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
    let code = body["Code"]
        .as_str()
        .or(body["code"].as_str())
        .or(body["errorCode"].as_str())
        .unwrap_or("");
    (status, code.to_owned())
}

#[tokio::test]
async fn a_signed_request_is_answered_and_noted() {
    let simulator = simulator();
    let response = Signed::user().send(&simulator).await;
    assert_eq!(response.status(), 200);
    let body: Value = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
    assert_eq!(body["User"]["UserName"], "leaver");
    assert!(body["RequestId"].is_string());
    let call = simulator
        .wait_for_call(|call| call.done, DEADLINE)
        .await
        .expect("noted");
    assert_eq!((call.operation, call.parameter("UserId")), (Operation::ImsGetUser, UID));
    assert_eq!(
        (call.status, call.code, call.access_key.as_deref()),
        (Some(200), None, Some("ak"))
    );
}

#[tokio::test]
async fn requests_that_are_not_signed_properly_are_refused() {
    let simulator = simulator();
    let good = Signed::caller_identity;
    let zeros = || "0".repeat(64);
    let hours = |hours: i64| Timestamp::from_second(Timestamp::now().as_second() + hours * 3600).expect("a time");
    for (what, request, status, code) in [
        (
            "wrong secret",
            Signed {
                secret: "other",
                ..good()
            },
            400,
            "SignatureDoesNotMatch",
        ),
        (
            "hash of another body",
            Signed {
                hash: zeros(),
                header_hash: zeros(),
                ..good()
            },
            400,
            "SignatureDoesNotMatch",
        ),
        (
            "another hash in the header",
            Signed {
                header_hash: zeros(),
                ..good()
            },
            400,
            "SignatureDoesNotMatch",
        ),
        (
            "too late",
            Signed {
                date: hours(-1),
                ..good()
            },
            400,
            "InvalidTimeStamp.Expired",
        ),
        (
            "too early",
            Signed {
                date: hours(1),
                ..good()
            },
            400,
            "InvalidTimeStamp.Expired",
        ),
        (
            "unknown key",
            Signed {
                access_key: "nobody",
                ..good()
            },
            404,
            "InvalidAccessKeyId.NotFound",
        ),
        (
            "unknown operation",
            Signed {
                action: "CreateUser",
                ..good()
            },
            404,
            "Simulated.UnknownOperation",
        ),
    ] {
        let answer = status_and_code(request.send(&simulator).await).await;
        assert_eq!(answer, (status, code.to_owned()), "{what}");
    }
    let unsigned = client()
        .post(simulator.url())
        .header("x-acs-action", "ListUsers")
        .header("x-acs-version", "2015-05-01");
    let answer = status_and_code(unsigned.send().await.expect("an answer")).await;
    assert_eq!(answer, (400, "IncompleteSignature".to_owned()));
    let sls = client()
        .get(format!("{}/logstores/audit-c1", simulator.url()))
        .header("host", "k8s-log-c1.simulated");
    let answer = status_and_code(sls.send().await.expect("an answer")).await;
    assert_eq!(answer, (401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn a_nonce_is_good_for_one_request() {
    let simulator = simulator();
    let request = Signed::caller_identity();
    assert_eq!(request.send(&simulator).await.status(), 200);
    let answer = status_and_code(request.send(&simulator).await).await;
    assert_eq!(answer, (400, "SignatureNonceUsed".to_owned()));
}

#[tokio::test]
async fn a_purge_moves_the_kubeconfig_to_the_recycle_bin() {
    let simulator = simulator();
    simulator.edit(|world| world.purge.removed_after_polls = 1);
    assert_eq!(Signed::purge(false).send(&simulator).await.status(), 200);
    assert_eq!(
        simulator.read(|world| world.cluster("c1").map(|c| c.recycle_bin.len())),
        Some(1)
    );
    let mut seen = Vec::new();
    for _ in 0..2 {
        let body = Signed::states().send(&simulator).await.bytes().await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        seen.push(body["states"][0]["cert_state"].as_str().unwrap_or("").to_owned());
    }
    assert_eq!(seen, ["Unexpired", "Removed"]);
    let answer = status_and_code(Signed::purge(true).send(&simulator).await).await;
    assert_eq!(answer, (400, "Simulated.NothingToRevoke".to_owned()));
}

#[tokio::test]
async fn an_active_user_is_purged_with_force_only() {
    let simulator = simulator();
    assert!(simulator.add_record("c1", Record::by(UID).ago(Duration::from_secs(3600))));
    let answer = status_and_code(Signed::purge(false).send(&simulator).await).await;
    assert_eq!(answer, (400, "Simulated.UserActive".to_owned()));
    let by_leaver = |record: &Record| record.get("user.username") == Some(UID);
    assert_eq!(
        simulator.age_records("c1", by_leaver, Duration::from_secs(8 * 86_400)),
        1
    );
    assert_eq!(Signed::purge(false).send(&simulator).await.status(), 200);
}

#[tokio::test]
async fn faults_come_as_often_as_they_were_asked_for() {
    let simulator = simulator();
    let user = Operation::ImsGetUser;
    simulator.fault(
        Fault::new(user, FaultKind::Throttled(Throttle::user().hint(Hint::TimeLeft(250))))
            .after(1)
            .times(1),
    );
    assert_eq!(Signed::user().send(&simulator).await.status(), 200);
    let throttled = Signed::user().send(&simulator).await;
    assert_eq!(
        throttled.headers()["x-ratelimit-user-api"],
        "Limit:100,Remain:0,TimeLeft:250,Reset:0"
    );
    assert_eq!(status_and_code(throttled).await, (400, "Throttling.User".to_owned()));
    assert_eq!(Signed::user().send(&simulator).await.status(), 200);

    simulator.fault(Fault::new(user, FaultKind::Forbidden));
    for _ in 0..2 {
        assert_eq!(
            status_and_code(Signed::user().send(&simulator).await).await,
            (403, "NoPermission".to_owned())
        );
    }
    assert_eq!(
        Signed::states().send(&simulator).await.status(),
        200,
        "another operation is not hit"
    );
    simulator.clear_faults();
    assert_eq!(Signed::user().send(&simulator).await.status(), 200);
}

#[tokio::test]
async fn broken_answers_leave_the_effect_that_their_name_says() {
    for (kind, status, effect) in [
        (FaultKind::CutBefore, None, false),
        (FaultKind::CutAfter, None, true),
        (FaultKind::Html(502), Some(502), false),
        (FaultKind::ServerError(503), Some(503), false),
        (FaultKind::EmptyBody, Some(200), true),
        (FaultKind::TruncatedBody, Some(200), true),
    ] {
        let simulator = simulator();
        simulator.fault(Fault::new(Operation::CsCleanClusterUserPermissions, kind.clone()));
        let answer = Signed::purge(true).request(&simulator).send().await;
        assert_eq!(
            answer.as_ref().ok().map(|answer| answer.status().as_u16()),
            status,
            "{kind:?}"
        );
        if matches!(kind, FaultKind::TruncatedBody) {
            assert!(answer.expect("a head").bytes().await.is_err(), "the body breaks off");
        }
        let state = simulator.read(|world| world.cluster("c1").map(|c| c.certificates[UID].state));
        let expected = if effect {
            CertificateState::Removed
        } else {
            CertificateState::Unexpired
        };
        assert_eq!(state, Some(expected), "{kind:?}");
    }
}

#[tokio::test]
async fn a_call_that_hangs_is_noted_on_arrival() {
    let simulator = simulator();
    simulator.fault(Fault::new(Operation::ImsGetUser, FaultKind::Hang));
    let (request, arrival) = (
        Signed::user().request(&simulator),
        simulator.wait_for_call(|_| true, DEADLINE),
    );
    tokio::select! {
        answer = request.send() => panic!("answered: {answer:?}"),
        call = arrival => assert!(!call.expect("noted").done),
    }
    let error = simulator
        .wait_for_call(|call| call.done, Duration::from_millis(50))
        .await
        .expect_err("never done");
    assert!(error.to_string().contains("ImsGetUser"), "{error}");
}

#[tokio::test]
async fn https_is_trusted_through_the_ca_under_any_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca_out = folder.path().join("ca.pem");
    let simulator = Simulator::start(Options {
        ca_out: Some(ca_out.clone()),
        ..Options::default()
    })
    .expect("a simulator");
    let url = simulator.https_url().expect("https");
    let port = url.rsplit(':').next().expect("a port").parse().expect("a number");
    let ca = reqwest::Certificate::from_pem(&std::fs::read(ca_out).expect("the CA")).expect("a certificate");
    let name = "k8s-log-c1.cn-hangzhou.log.aliyuncs.com";
    let trusting = Client::builder()
        .tls_certs_only([ca])
        .resolve(name, (std::net::Ipv4Addr::LOCALHOST, port).into())
        .build()
        .expect("a client");
    for url in [url.clone(), format!("https://{name}:{port}")] {
        assert_eq!(
            trusting.post(&url).send().await.expect("an answer").status(),
            400,
            "{url}"
        );
    }
    assert!(
        client().post(url).send().await.is_err(),
        "another CA's certificate is not trusted"
    );
}

#[tokio::test]
async fn the_audit_file_is_followed_from_its_end() {
    let simulator = simulator();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    let line = |username: &str| {
        json!({
            "auditID": username, "stage": "ResponseComplete", "verb": "get", "requestURI": "/api/v1/pods",
            "user": {"username": username}, "objectRef": {"resource": "pods"},
            "stageTimestamp": Timestamp::now().to_string(),
        })
    };
    std::fs::write(&path, format!("{}\n", line("before"))).expect("written");
    simulator.follow_audit_log("c1", &path);
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("the file");
    let (first, second) = (line("first").to_string(), line("second").to_string());
    // A line is only whole with its newline.
    write!(file, "{first}\n{}", &second[..20]).expect("written");
    simulator
        .wait_for_record("c1", |r| r.get("user.username") == Some("first"), DEADLINE)
        .await
        .expect("first");
    writeln!(file, "{}", &second[20..]).expect("written");
    simulator
        .wait_for_record("c1", |r| r.get("user.username") == Some("second"), DEADLINE)
        .await
        .expect("second");
    let count = simulator.read(|world| world.audit_logstore("c1").map(|logstore| logstore.records.len()));
    assert_eq!(count, Some(2), "what was there before is left out");
}

#[test]
fn it_listens_on_loopback_only() {
    let options = Options {
        http: ([0, 0, 0, 0], 0).into(),
        ..Options::default()
    };
    assert!(Simulator::start(options).is_err_and(|error| error.to_string().contains("loopback")));
}

#[test]
fn it_outlives_the_runtime_that_started_it_and_may_be_dropped_within_another() {
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let simulator = runtime().block_on(async { simulator() });
    let status = runtime().block_on(async { Signed::user().send(&simulator).await.status() });
    assert_eq!(status, 200);
    runtime().block_on(async { drop(simulator) });
}

#[test]
fn the_example_seed_can_be_read() {
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/example.yaml");
    let world = World::from_file(std::path::Path::new(seed)).expect("a world");
    assert!(world.audit_logstore("cexample").is_some());
    let json = serde_json::to_string(&world).expect("JSON");
    assert_eq!(
        World::from_yaml(&json).expect("JSON is a seed too").users.len(),
        world.users.len()
    );
}
