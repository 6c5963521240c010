//! Requests and answers as the services see them, without the HTTP library's types.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::calls::Service;

/// A request, read to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    /// The path as it was sent, still percent-encoded.
    pub(crate) path: String,
    /// The query, decoded, in the order in which it was sent.
    pub(crate) query: Vec<(String, String)>,
    /// Headers by lower-case name; the values of a repeated one are joined with commas.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Incoming {
    /// A header's value, or `""`.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The parameters of an RPC request: those of the query and those of a form in the body.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = self.query.iter().cloned().collect();
        if self
            .header("content-type")
            .starts_with("application/x-www-form-urlencoded")
        {
            all.extend(decode_query(&String::from_utf8_lossy(&self.body)));
        }
        all
    }
}

/// Decodes `a=b&c=d`; a plus sign is a space, as in a form.
pub(crate) fn decode_query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                percent_decode(&key.replace('+', " ")),
                percent_decode(&value.replace('+', " ")),
            )
        })
        .collect()
}

/// Decodes `%41` as `A`; what is no such thing stays.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text
            .get(at + 1..at + 3)
            .filter(|_| bytes[at] == b'%')
            .and_then(|c| u8::from_str_radix(c, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The error code in it, for the list of calls.
    pub(crate) code: Option<String>,
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self {
            status: 200,
            headers,
            body: body.to_string().into_bytes(),
            code: None,
        }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A refusal by one of the services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The error document in the service's own form.
    pub(crate) fn reply(&self, service: Service, request_id: &str) -> Reply {
        let body = match service {
            Service::Cs => {
                json!({"code": self.code, "message": self.message, "requestId": request_id, "status": self.status})
            }
            Service::Sls => json!({"errorCode": self.code, "errorMessage": self.message}),
            Service::Sts | Service::Ims | Service::Ram | Service::None => json!({
                "RequestId": request_id,
                "HostId": format!("{}.aliyuncs.com", service.name()),
                "Code": self.code,
                "Message": self.message,
                "Recommend": "This is a simulator.",
            }),
        };
        let mut reply = Reply::json(&body);
        reply.status = self.status;
        reply.code = Some(self.code.clone());
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_as_forms_are() {
        let pairs = decode_query("a=b+c&d=%2B%E4%B8%AD&e&f=1=2&g=%zz");
        let expected = [("a", "b c"), ("d", "+中"), ("e", ""), ("f", "1=2"), ("g", "%zz")];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }
}
