//! What a service's error means, and what of its words may be shown.

use super::{
    codes,
    error::{ErrorKind, MESSAGE_LIMIT, Service},
};

/// What a service's error answer means: by its code, if that is known ([`codes`]), else by its status.
///
/// `asks_to_wait` is whether it has a header `x-acs-retry-after`: the official CLI and SDK take any such error as throttling, whatever
/// its code. A 4xx without any code is no answer of these services (a proxy's page, say), hence [`ErrorKind::Malformed`].
pub(crate) fn classify(
    service: Service,
    status: u16,
    code: Option<&str>,
    message: &str,
    asks_to_wait: bool,
) -> ErrorKind {
    if status == 429 || asks_to_wait {
        return ErrorKind::Throttled;
    }
    let Some(code) = code else {
        return match status {
            500.. => ErrorKind::Server,
            _ => ErrorKind::Malformed,
        };
    };
    if service == Service::Sls && code == "Unauthorized" {
        // One code for everything: only the message tells a missing permission from a key that is not accepted.
        let message = message.to_ascii_lowercase().replace(' ', "");
        let denied = message.contains("deniedbysts") || message.contains("deniedbyram");
        let about_keys = message.contains("accesskey") || message.contains("securitytoken");
        return if !denied && about_keys {
            ErrorKind::Credentials
        } else {
            ErrorKind::Forbidden
        };
    }
    match (codes::find(service, code), status) {
        (Some(known), _) => known.kind,
        (None, 403) => ErrorKind::Forbidden,
        (None, 404) => ErrorKind::NotFound,
        (None, 500..) => ErrorKind::Server,
        (None, _) => ErrorKind::Rejected,
    }
}

/// Makes text of a stranger fit to show: no control characters, no line breaks, no echoed string to sign, none of
/// `secrets`, and at most [`MESSAGE_LIMIT`] characters.
pub(crate) fn redact(text: &str, secrets: &[&str]) -> Box<str> {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(*secret, "[redacted]");
        text = text.replace(&super::sign::percent_encode(secret), "[redacted]");
    }
    // The services' way of saying "your signature is not mine" is to print what they signed, the security token
    // included.
    let lower = text.to_ascii_lowercase();
    let marks = [
        "string to sign",
        "stringtosign",
        "canonicalrequest",
        "canonical request",
        "authorization:",
        "signature=",
    ];
    if let Some(at) = marks.iter().filter_map(|mark| lower.find(mark)).min() {
        text.truncate(at);
        text.push_str("[the echo of what was signed is left out]");
    }
    let words: Vec<&str> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let text = words.join(" ");
    if text.chars().count() <= MESSAGE_LIMIT {
        return text.into();
    }
    let mut short: String = text.chars().take(MESSAGE_LIMIT - 1).collect();
    short.push('…');
    short.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_classified_by_code_status_and_message() {
        use ErrorKind::*;
        use Service::*;
        let table = [
            (Ack, 404, Some("ErrorClusterNotFound"), "", ClusterNotFound),
            (Ims, 404, Some("EntityNotExist.User"), "", NotFound),
            (Ram, 404, Some("EntityNotExist.Role"), "", NotFound),
            (Ims, 404, Some("InvalidAction.NotFound"), "", Rejected),
            (Ram, 404, Some("InvalidAccessKeyId.NotFound"), "", Credentials),
            (
                Ack,
                403,
                Some("StatusForbidden"),
                "STSToken policy Forbidden for action cs:X",
                Forbidden,
            ),
            (Ram, 403, Some("NoPermission"), "", Forbidden),
            (Ack, 400, Some("ForbiddenQueryClusterNamespace"), "", Forbidden),
            (Ack, 500, Some("APISERVER_403"), "", Forbidden),
            (Ram, 400, Some("Throttling.User"), "", Throttled),
            (Ack, 429, Some("TooMany"), "", Throttled),
            (Ack, 429, None, "", Throttled),
            (Sls, 403, Some("ReadQuotaExceed"), "", Throttled),
            (Sls, 403, Some("ShardReadQuotaExceed"), "", Throttled),
            (
                Sls,
                401,
                Some("Unauthorized"),
                "denied by sts or ram, action: log:GetLogStoreLogs",
                Forbidden,
            ),
            (
                Sls,
                401,
                Some("Unauthorized"),
                "The security token you provided has expired",
                Credentials,
            ),
            (Sls, 401, Some("Unauthorized"), "AccessKeyId not found: x", Credentials),
            (Sls, 401, Some("SignatureNotMatch"), "", Credentials),
            (Sls, 404, Some("LogStoreNotExist"), "", NotFound),
            (Sls, 400, Some("IndexConfigNotExist"), "", NotFound),
            (Sls, 400, Some("ParameterInvalid"), "", Rejected),
            (Sls, 503, Some("ServerBusy"), "", Server),
            (Sts, 400, Some("InvalidTimeStamp.Expired"), "", Credentials),
            (Ack, 502, None, "", Server),
            (Ack, 403, None, "", Malformed),
            (Ack, 404, None, "", Malformed),
            (Ack, 400, Some("SomethingElse"), "", Rejected),
            (Ack, 403, Some("SomethingElse"), "", Forbidden),
            (Ims, 404, Some("SomethingElse"), "", NotFound),
            (Ack, 500, Some("SomethingElse"), "", Server),
            (Ack, 400, Some("ErrAuthorizationConflict"), "", Conflict),
            (Ack, 409, Some("ErrAuthorizationConflict"), "", Conflict),
            (Ack, 400, Some("ErrorCheckAcl"), "", Forbidden),
            (Ack, 400, Some("ErrorQueryCluster"), "", Server),
        ];
        for (service, status, code, message, kind) in table {
            assert_eq!(
                classify(service, status, code, message, false),
                kind,
                "{service} {status} {code:?} {message}"
            );
        }
    }

    #[test]
    fn whatever_asks_to_wait_is_throttling() {
        for (status, code) in [
            (400, Some("SomethingElse")),
            (403, Some("StatusForbidden")),
            (404, Some("EntityNotExist.User")),
            (409, None),
            (503, Some("ServiceUnavailable")),
        ] {
            let kind = |asks_to_wait| classify(Service::Ims, status, code, "", asks_to_wait);
            assert_eq!(kind(true), ErrorKind::Throttled, "{status} {code:?}");
            assert_ne!(kind(false), ErrorKind::Throttled, "{status} {code:?}");
        }
    }

    #[test]
    fn messages_are_bounded_and_hold_no_secret() {
        let echoed = redact(
            "Specified signature is not matched with our calculation. server string to sign is:POST\nx-acs-security-token:abc",
            &[],
        );
        assert_eq!(
            &*echoed,
            "Specified signature is not matched with our calculation. server [the echo of what was signed is left out]"
        );
        assert_eq!(
            &*redact("token tok+en/== and tok%2Ben%2F%3D%3D\r\n\u{1b}[31m!", &["tok+en/=="]),
            "token [redacted] and [redacted] [31m!"
        );
        assert_eq!(redact(&"ä".repeat(1000), &[]).chars().count(), MESSAGE_LIMIT);
    }
}
