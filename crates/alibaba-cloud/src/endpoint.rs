//! One endpoint: the scheme, host and port that requests are sent to.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use http::{Uri, uri::Authority};

/// An endpoint, a region or a network that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} cannot be used: {reason}")]
pub struct InvalidEndpoint {
    what: &'static str,
    value: String,
    reason: &'static str,
}

pub(crate) fn invalid(what: &'static str, value: &str, reason: &'static str) -> InvalidEndpoint {
    InvalidEndpoint {
        what,
        value: value.chars().take(200).collect(),
        reason,
    }
}

/// The scheme and authority that requests are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    https: bool,
    authority: Authority,
}

impl Endpoint {
    /// Parses `https://host[:port]`, or `http://` on a loopback host.
    ///
    /// # Errors
    /// Names `service`, the URL and what is wrong with it; a URL with a user is not repeated, as it may hold a
    /// password.
    pub(crate) fn parse(service: &'static str, url: &str) -> Result<Self, InvalidEndpoint> {
        if url.contains('@') {
            return Err(invalid(
                service,
                "…@…",
                "an endpoint must not contain a user or password",
            ));
        }
        let wrong = |reason| invalid(service, url, reason);
        let uri: Uri = url
            .parse()
            .map_err(|_| wrong("it is not a URL of the form https://host[:port]"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong("it is not a URL of the form https://host[:port]"));
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("an endpoint must not contain a path or query"));
        }
        let host_only = authority.as_str() == authority.host();
        if authority.host().is_empty() || !(host_only || authority.port_u16().is_some_and(|port| port > 0)) {
            return Err(wrong("it is not a URL of the form https://host[:port]"));
        }
        match scheme {
            "https" => Ok(Endpoint {
                https: true,
                authority: authority.clone(),
            }),
            "http" if is_loopback(authority.host()) => Ok(Endpoint {
                https: false,
                authority: authority.clone(),
            }),
            "http" => Err(wrong(
                "http is allowed for loopback hosts only (127.0.0.0/8, ::1, localhost); use https",
            )),
            _ => Err(wrong("the scheme must be https")),
        }
    }

    pub(crate) fn preset(what: &'static str, host: &str) -> Result<Self, InvalidEndpoint> {
        let authority = host
            .parse()
            .map_err(|_| invalid(what, host, "it does not form a host name"))?;
        Ok(Endpoint { https: true, authority })
    }

    /// The URL, without a trailing slash.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }

    /// The value of the `Host` header, as HTTP clients send it: with its port, unless that is the scheme's own.
    pub(crate) fn host_header(&self) -> String {
        match (self.authority.port_u16(), self.https) {
            (None, _) | (Some(443), true) | (Some(80), false) => self.authority.host().to_owned(),
            (Some(port), _) => format!("{}:{port}", self.authority.host()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_hosts_only() {
        for (good, host) in [
            ("https://cs.example.com", "cs.example.com"),
            ("https://cs.example.com:443/", "cs.example.com"),
            ("https://cs.example.com:8443", "cs.example.com:8443"),
            ("http://127.0.0.1:4567", "127.0.0.1:4567"),
            ("http://127.1.2.3:80", "127.1.2.3"),
            ("http://[::1]:4567", "[::1]:4567"),
            ("http://LocalHost:1", "LocalHost:1"),
        ] {
            assert_eq!(
                Endpoint::parse("ACK endpoint", good).unwrap().host_header(),
                host,
                "{good}"
            );
        }
        for bad in [
            "http://cs.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://[::2]",
            "ftp://localhost",
            "cs.example.com",
            "/",
            "",
            "https://",
            "https://h/path",
            "https://h?x=1",
            "https://u:secret@h",
            "http://127.1",
            "https://h:99999",
            "https://h:",
            "https://a b",
        ] {
            let error = Endpoint::parse("ACK endpoint", bad).unwrap_err().to_string();
            assert!(
                error.starts_with("ACK endpoint ") && !error.contains("secret"),
                "{bad}: {error}"
            );
        }
    }
}
