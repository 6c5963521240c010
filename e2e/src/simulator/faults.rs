//! What can go wrong on demand.

use std::time::Duration;

use super::calls::{Operation, Service};
use super::message::{Refusal, Reply};
use super::pages::PageFault;
use super::route::Target;

/// A misbehaviour of one operation.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(crate) operation: Operation,
    pub(crate) kind: FaultKind,
    /// How many calls go well first.
    pub(crate) after: u32,
    /// How many calls it then hits; none means every one.
    pub(crate) times: Option<u32>,
    /// Only calls with this in a parameter.
    pub(crate) about: Option<String>,
}

impl Fault {
    /// A fault that hits every call of `operation`, until it is cleared.
    pub fn new(operation: Operation, kind: FaultKind) -> Self {
        Self {
            operation,
            kind,
            after: 0,
            times: None,
            about: None,
        }
    }

    /// It hits only calls with this text in one of their parameters.
    pub fn about(mut self, text: &str) -> Self {
        self.about = Some(text.to_owned());
        self
    }

    /// It hits so many calls only.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// So many calls go well first.
    pub fn after(mut self, calls: u32) -> Self {
        self.after = calls;
        self
    }
}

/// How an operation misbehaves. "Before" means that the request had no effect, "after" that it had.
#[derive(Debug, Clone)]
pub enum FaultKind {
    /// 403 with the service's own code and form; SLS answers 401 `Unauthorized`. Before.
    Forbidden,
    /// Throttled.
    Throttled(Throttle),
    /// This status with the service's code for it; before.
    ServerError(u16),
    /// No answer, ever; before.
    Hang,
    /// Answered properly, but so much later.
    Latency(Duration),
    /// The connection is cut without an answer, before.
    CutBefore,
    /// The connection is cut without an answer, after.
    CutAfter,
    /// A gateway's HTML page with this status, before.
    Html(u16),
    /// 200 with nothing in it, after.
    EmptyBody,
    /// The first half of the proper answer, after; then the connection is cut.
    TruncatedBody,
    /// A page of a list with this fault, after.
    Page(PageFault),
    /// 200 with this instead of the proper answer, before.
    Answer(serde_json::Value),
    /// Any refusal, before.
    Custom {
        /// HTTP status.
        status: u16,
        /// Error code.
        code: String,
        /// Error message.
        message: String,
    },
}

/// A throttled answer.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// HTTP status: 400 or 429; SLS: 403.
    pub status: u16,
    /// `Throttling`, `Throttling.User`, `Throttling.Api`; SLS: `ReadQuotaExceed` and its like.
    pub code: String,
    /// The hint when to come back.
    pub hint: Hint,
}

/// When to come back, as the SDKs read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// No hint.
    None,
    /// `x-ratelimit-user-api: Limit:..,Remain:..,TimeLeft:<milliseconds>,Reset:..`, read by the Go SDK.
    TimeLeft(u64),
    /// `x-acs-retry-after: <number>`, read by the Python SDK; its unit is not documented.
    RetryAfter(u64),
}

impl Throttle {
    /// `Throttling.User`, 400, without a hint.
    pub fn user() -> Self {
        Self {
            status: 400,
            code: "Throttling.User".to_owned(),
            hint: Hint::None,
        }
    }

    /// `Throttling`, 429, without a hint.
    pub fn plain() -> Self {
        Self {
            status: 429,
            code: "Throttling".to_owned(),
            hint: Hint::None,
        }
    }

    /// SLS's `ReadQuotaExceed`, 403.
    pub fn read_quota() -> Self {
        Self {
            status: 403,
            code: "ReadQuotaExceed".to_owned(),
            hint: Hint::None,
        }
    }

    /// With a hint.
    pub fn hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }
}

/// Takes the fault that hits this call, if one does.
pub(crate) fn take(faults: &mut [Fault], target: &Target) -> Option<FaultKind> {
    let is_about = |text: &String| target.parameters.values().any(|value| value.contains(text));
    let applies = |fault: &&mut Fault| fault.operation == target.operation && fault.about.as_ref().is_none_or(is_about);
    for fault in faults.iter_mut().filter(applies) {
        if fault.after > 0 {
            fault.after -= 1;
            continue;
        }
        match &mut fault.times {
            Some(0) => continue,
            Some(times) => *times -= 1,
            None => {}
        }
        return Some(fault.kind.clone());
    }
    None
}

impl FaultKind {
    /// The answer of a fault that replaces the call's own.
    pub(crate) fn reply(&self, service: Service, request_id: &str) -> Option<Reply> {
        let sls = service == Service::Sls;
        let refusal = match self {
            Self::Forbidden => match service {
                Service::Cs => Refusal::new(403, "StatusForbidden", "RAM policy Forbidden for action (simulated)"),
                Service::Sls => Refusal::new(401, "Unauthorized", "denied by sts or ram, action: (simulated)"),
                _ => Refusal::new(
                    403,
                    "NoPermission",
                    "You are not authorized to do this action. (simulated)",
                ),
            },
            Self::Throttled(throttle) => {
                let refusal = Refusal::new(
                    throttle.status,
                    &throttle.code,
                    "Request was denied due to flow control.",
                );
                let reply = refusal.reply(service, request_id);
                return Some(match throttle.hint {
                    Hint::None => reply,
                    Hint::TimeLeft(ms) => reply.with_header(
                        "x-ratelimit-user-api",
                        format!("Limit:100,Remain:0,TimeLeft:{ms},Reset:0"),
                    ),
                    Hint::RetryAfter(n) => reply.with_header("x-acs-retry-after", n.to_string()),
                });
            }
            Self::ServerError(status) => {
                let code = match (sls, status) {
                    (true, 503) => "ServerBusy",
                    (true, _) => "InternalServerError",
                    (false, 503) => "ServiceUnavailable",
                    (false, _) => "InternalError",
                };
                Refusal::new(
                    *status,
                    code,
                    "The request has failed due to a simulated failure of the server.",
                )
            }
            Self::Html(status) => {
                let headers = vec![("content-type", "text/html".to_owned())];
                let body =
                    format!("<html><head><title>{status}</title></head><body>gateway</body></html>").into_bytes();
                return Some(Reply {
                    status: *status,
                    headers,
                    body,
                    code: None,
                });
            }
            Self::Answer(body) => return Some(Reply::json(body)),
            Self::Custom { status, code, message } => Refusal::new(*status, code, message.as_str()),
            Self::Hang
            | Self::Latency(_)
            | Self::CutBefore
            | Self::CutAfter
            | Self::EmptyBody
            | Self::Page(_)
            | Self::TruncatedBody => return None,
        };
        Some(refusal.reply(service, request_id))
    }
}
