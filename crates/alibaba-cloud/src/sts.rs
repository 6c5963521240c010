//! Security Token Service, 2015-04-01.

use http::header;
use serde::Deserialize;
use std::time::SystemTime;

use super::{
    answer::{NAME_LIMIT, legible},
    call::Call,
    client::Client,
    endpoint::Endpoint,
    error::{ApiError, Service},
};

/// Client of Security Token Service; see [`Cloud::sts`](crate::Cloud::sts). Its calls are free of the limit of calls a minute.
#[derive(Clone, Debug)]
pub struct Sts {
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
}

/// The identity that the credentials belong to. Source: API page `GetCallerIdentity`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallerIdentity {
    /// The Alibaba Cloud account's ID.
    pub account_id: String,
    /// As in `acs:ram::<account>:assumed-role/<role>/<session>`.
    pub arn: String,
    /// `Account`, `RAMUser` or `AssumedRoleUser`.
    pub identity_type: String,
    /// Of a role session, `<role ID>:<session>`.
    pub principal_id: String,
    /// The UID, of a RAM user.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The role's ID, of a role session.
    #[serde(default)]
    pub role_id: Option<String>,
}

impl Sts {
    /// Asks who the caller is. Needs no permission.
    ///
    /// # Errors
    /// Any [`ApiError`]; an answer without an account's ID (decimal digits) is malformed.
    pub async fn get_caller_identity(&self) -> Result<CallerIdentity, ApiError> {
        Ok(self.get_caller_identity_and_time().await?.0)
    }

    /// The same, and what time it is for the service (whole seconds), if it says so.
    ///
    /// # Errors
    /// As [`get_caller_identity`](Self::get_caller_identity).
    pub async fn get_caller_identity_and_time(&self) -> Result<(CallerIdentity, Option<SystemTime>), ApiError> {
        let call = Call::rpc(Service::Sts, "GetCallerIdentity", &self.endpoint, Vec::new());
        let answer = self.client.send(&call).await?;
        let caller: CallerIdentity = call.json(&answer)?;
        if caller.account_id.is_empty() || !caller.account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(call.malformed(&answer, "its AccountId is not an account ID"));
        }
        if caller.account_id.len() > NAME_LIMIT {
            return Err(call.malformed(&answer, "its AccountId is not an account ID"));
        }
        let given = |id: Option<String>| id.filter(|id| !id.is_empty()).map(|id| legible(&id, NAME_LIMIT));
        let date = answer.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let caller = CallerIdentity {
            user_id: given(caller.user_id.clone()),
            role_id: given(caller.role_id.clone()),
            arn: legible(&caller.arn, 2 * NAME_LIMIT),
            identity_type: legible(&caller.identity_type, NAME_LIMIT),
            principal_id: legible(&caller.principal_id, 2 * NAME_LIMIT),
            account_id: caller.account_id,
        };
        Ok((caller, date.and_then(|date| httpdate::parse_http_date(date).ok())))
    }
}
