//! How a person's credentials are fetched over the network.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header, uri::PathAndQuery};
use reqsign_aliyun_oss::{AssumeRoleWithOidcCredentialProvider, Credential, EcsRamRoleCredentialProvider};
use reqsign_core::{Context, ProvideCredential, SignRequest};
use serde_json::Value;

use super::{
    super::exchange::attach,
    plan::{Role, SignedIn},
    received,
};
use crate::{
    answer::legible,
    call::{Call, failure, no_json},
    endpoint::Endpoint,
    error::{ApiError, ErrorKind, LOCAL, Service},
    sign::acs3::Acs3Signer,
    transport::{Answer, NoAnswer, Transport},
};

/// The largest answer of an address or of CloudSSO.
const ANSWER_LIMIT: usize = 64 << 10;

/// Sends the requests.
pub(in crate::credentials) struct Wire {
    pub(in crate::credentials) transport: Transport,
    pub(in crate::credentials) sts: Endpoint,
    pub(in crate::credentials) session_name: String,
    pub(in crate::credentials) timeout: Duration,
}

impl Wire {
    /// Assumes a role with other credentials: STS AssumeRole.
    pub(super) async fn assume_role(&self, base: &Credential, role: &Role) -> Result<Credential, ApiError> {
        let mut query = vec![
            ("RoleArn", role.arn.clone()),
            ("RoleSessionName", self.session(role).to_owned()),
        ];
        query.extend(role.seconds.map(|seconds| ("DurationSeconds", seconds.to_string())));
        query.extend(role.external_id.clone().map(|id| ("ExternalId", id)));
        query.extend(role.policy.clone().map(|policy| ("Policy", policy)));
        let call = Call::rpc(Service::Sts, "AssumeRole", &self.sts, query).on(legible(&role.arn, 128));
        let mut parts = call.parts()?;
        Acs3Signer
            .sign_request(&Context::new(), &mut parts, Some(base), None)
            .await
            .map_err(|_| call.error(ErrorKind::Credentials, "a request cannot be signed with the access key"))?;
        let secrets = [
            base.access_key_id.as_str(),
            base.access_key_secret.as_str(),
            base.security_token.as_deref().unwrap_or_default(),
        ];
        let answer = self
            .transport
            .send(Request::from_parts(parts, Bytes::new()), self.timeout)
            .await
            .map_err(|error| none(call.error(error.kind, &error.message), &error))?;
        let answer = call.check_status(answer, &secrets)?;
        let body: Value = call.json(&answer)?;
        received::read(body.get("Credentials")).map_err(|why| call.malformed(&answer, &why))
    }

    /// Assumes a role with an OIDC token, read anew each time.
    pub(super) async fn assume_role_with_oidc(
        &self,
        context: &Context,
        role: &Role,
        provider: &str,
        token_file: &str,
    ) -> reqsign_core::Result<Credential> {
        let provider = AssumeRoleWithOidcCredentialProvider::new()
            .with_role_arn(&role.arn)
            .with_oidc_provider_arn(provider)
            .with_oidc_token_file(token_file)
            .with_role_session_name(self.session(role))
            .with_sts_endpoint(self.sts.url());
        let nothing = || reqsign_core::Error::config_invalid("STS provided no credentials");
        provider.provide_credential(context).await?.ok_or_else(nothing)
    }

    /// The role of the ECS instance, from its metadata service.
    pub(super) async fn ecs_role(&self, context: &Context, name: Option<&str>) -> reqsign_core::Result<Credential> {
        let provider = EcsRamRoleCredentialProvider::new();
        let provider = name
            .iter()
            .fold(provider, |provider, name| provider.with_role_name(*name));
        match provider.provide_credential(context).await {
            Ok(Some(credential)) => Ok(credential),
            Ok(None) => Err(reqsign_core::Error::config_invalid(
                "ALIBABA_CLOUD_ECS_METADATA_DISABLED is set",
            )),
            // The error's own words quote what the service answered.
            Err(error) => {
                let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
                while let Some(next) = source {
                    if let Some(known) = next.downcast_ref::<ApiError>() {
                        return Err(attach(known.clone()));
                    }
                    source = next.source();
                }
                Err(reqsign_core::Error::config_invalid(match error.kind() {
                    reqsign_core::ErrorKind::PermissionDenied => "the metadata service denies access to the role",
                    reqsign_core::ErrorKind::ConfigInvalid => {
                        "the instance has no such role; is one attached, and is this an ECS instance?"
                    }
                    _ => "the metadata service gave no credentials; is a role attached, and is this an ECS instance?",
                }))
            }
        }
    }

    /// Whatever an address answers: JSON with `Code` "Success" and credentials.
    pub(super) async fn get(&self, address: &Uri) -> Result<Credential, ApiError> {
        let error = |kind, message: &str| failure(Service::Sts, LOCAL, "", kind, message);
        let host = legible(address.authority().map_or("", |authority| authority.as_str()), 128);
        let request = Request::builder()
            .uri(address)
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| error(ErrorKind::Rejected, "no request can be made of credentials_uri"))?;
        let answer = self
            .transport
            .send(request, self.timeout)
            .await
            .map_err(|answer| none(error(answer.kind, &format!("{host}: {}", answer.message)), &answer))?;
        let status = Some(answer.status);
        if let Some(kind) = passing(answer.status) {
            let message = format!("{host} could not answer");
            return Err(ApiError {
                status,
                ..error(kind, &message)
            });
        }
        if answer.status != 200 {
            let message = format!("{host} refused; is credentials_uri right?");
            return Err(ApiError {
                status,
                ..error(ErrorKind::Credentials, &message)
            });
        }
        let read = || {
            let body = json(&answer)?;
            match body.get("Code").and_then(Value::as_str) {
                None | Some("Success") => received::read(Some(&body)),
                Some(_) => Err("its Code is not Success".to_owned()),
            }
        };
        read().map_err(|why| ApiError {
            status,
            ..error(
                ErrorKind::Malformed,
                &format!("the answer of {host} cannot be used: {why}"),
            )
        })
    }

    /// Exchanges a CloudSSO session for an account's credentials at the host where the person signs in.
    pub(super) async fn cloud_sso(&self, session: &SignedIn) -> Result<Credential, ApiError> {
        let error = |kind, message: &str| failure(Service::Sts, "cloud-credentials", "", kind, message);
        let mut parts = session.host.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/cloud-credentials"));
        let body = serde_json::json!({
            "AccountId": session.account,
            "AccessConfigurationId": session.access_configuration,
        });
        let rejected = || {
            error(
                ErrorKind::Rejected,
                "no request can be made of cloud_sso_sign_in_url and access_token",
            )
        };
        let mut bearer =
            http::HeaderValue::from_str(&format!("Bearer {}", session.access_token)).map_err(|_| rejected())?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(Method::POST)
            .uri(Uri::from_parts(parts).map_err(|_| rejected())?)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, bearer)
            .body(Bytes::from(body.to_string()))
            .map_err(|_| rejected())?;
        let answer = self
            .transport
            .send(request, self.timeout)
            .await
            .map_err(|answer| none(error(answer.kind, &answer.message), &answer))?;
        let status = Some(answer.status);
        if let Some(kind) = passing(answer.status) {
            return Err(ApiError {
                status,
                ..error(kind, "CloudSSO could not answer")
            });
        }
        if answer.status != 200 {
            let message = format!(
                "CloudSSO refused the session for this account and access configuration; sign in again with {}",
                session.again
            );
            return Err(ApiError {
                status,
                ..error(ErrorKind::Credentials, &message)
            });
        }
        json(&answer)
            .and_then(|body| received::read(body.get("CloudCredential")))
            .map_err(|why| ApiError {
                status,
                ..error(ErrorKind::Malformed, &why)
            })
    }

    fn session<'a>(&'a self, role: &'a Role) -> &'a str {
        role.session.as_deref().unwrap_or(&self.session_name)
    }
}

/// What has no answer keeps what is known of it.
fn none(error: ApiError, answer: &NoAnswer) -> ApiError {
    ApiError {
        status: answer.status,
        ..error
    }
}

/// The kind of a status that may be another the next time.
fn passing(status: u16) -> Option<ErrorKind> {
    match status {
        _ if status == StatusCode::TOO_MANY_REQUESTS => Some(ErrorKind::Throttled),
        500.. => Some(ErrorKind::Server),
        _ => None,
    }
}

/// The body of an answer; the error quotes none of it.
fn json(answer: &Answer) -> Result<Value, String> {
    if answer.body.len() > ANSWER_LIMIT {
        return Err(format!("it is larger than {ANSWER_LIMIT} bytes"));
    }
    serde_json::from_slice(&answer.body).map_err(|_| no_json(&answer.body).unwrap_or("it is not JSON").to_owned())
}
