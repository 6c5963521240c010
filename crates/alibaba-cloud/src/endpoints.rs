//! Where the services are: a preset by region and network, and an override for each of them.

use std::str::FromStr;

pub use super::hosts::Network;
use super::{
    endpoint::{Endpoint, InvalidEndpoint, invalid},
    hosts,
};

impl FromStr for Network {
    type Err = InvalidEndpoint;

    /// `Public` or `Vpc`, in any case.
    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        match text.to_ascii_lowercase().as_str() {
            "public" => Ok(Network::Public),
            "vpc" => Ok(Network::Vpc),
            _ => Err(invalid("network", text, "it must be Public or Vpc")),
        }
    }
}

/// A URL for each service that is not where the preset says: `https://host[:port]`, or `http://` for a loopback host
/// only (`127.0.0.0/8`, `::1`, `localhost`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointOverrides {
    /// Security Token Service; also where RRSA exchanges the OIDC token.
    pub sts: Option<String>,
    /// Identity Management Service.
    pub ims: Option<String>,
    /// Resource Access Management.
    pub ram: Option<String>,
    /// Container Service (CS).
    pub ack: Option<String>,
    /// Simple Log Service: only where to connect. The `Host` header and the signature stay `<project>.<preset host>`.
    pub sls: Option<String>,
}

/// The five services' endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    /// Security Token Service.
    pub(crate) sts: Endpoint,
    /// Identity Management Service: global.
    pub(crate) ims: Endpoint,
    /// Resource Access Management: global.
    pub(crate) ram: Endpoint,
    /// Container Service (CS).
    pub(crate) ack: Endpoint,
    /// Simple Log Service.
    pub(crate) sls: SlsEndpoint,
}

/// Simple Log Service has a host for each project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlsEndpoint {
    host: String,
    /// Another name of the same service, for where the first does not exist.
    other: Option<String>,
    connect: Option<Endpoint>,
}

impl SlsEndpoint {
    /// The `Host` of a project: what is signed, and where to connect unless that is overridden. No port.
    pub(crate) fn project_host(&self, project: &str) -> String {
        format!("{project}.{}", self.host)
    }

    /// Hosts of these names, all of which are at `connect`.
    #[cfg(test)]
    pub(crate) fn of(host: &str, other: Option<&str>, connect: &str) -> Self {
        SlsEndpoint {
            host: host.to_owned(),
            other: other.map(str::to_owned),
            connect: Endpoint::parse("SLS endpoint", connect).ok(),
        }
    }

    /// The same service under its other name, if it has one.
    pub(crate) fn other(&self) -> Option<SlsEndpoint> {
        Some(SlsEndpoint {
            host: self.other.clone()?,
            other: None,
            connect: self.connect.clone(),
        })
    }

    /// Where to connect for a project.
    ///
    /// # Errors
    /// When the project's name makes no host name.
    pub(crate) fn connect(&self, project: &str) -> Result<Endpoint, InvalidEndpoint> {
        match &self.connect {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Endpoint::preset("SLS project", &self.project_host(project)),
        }
    }
}

impl Endpoints {
    /// The preset of a region and network, with the overrides applied.
    ///
    /// # Errors
    /// Names the region or the override that cannot be used, and why.
    pub(crate) fn new(region: &str, network: Network, overrides: &EndpointOverrides) -> Result<Self, InvalidEndpoint> {
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || region.len() > 40 || !region.bytes().all(named) {
            return Err(invalid("region", region, "a region has the form cn-hangzhou"));
        }
        let pick = |service, url: &Option<String>, host: &str| match url {
            Some(url) => Endpoint::parse(service, url),
            None => Endpoint::preset(service, host),
        };
        Ok(Endpoints {
            sts: pick("STS endpoint", &overrides.sts, &hosts::sts(region, network))?,
            ims: pick("IMS endpoint", &overrides.ims, hosts::ims(network))?,
            ram: pick("RAM endpoint", &overrides.ram, hosts::ram(region, network))?,
            ack: pick("ACK endpoint", &overrides.ack, &hosts::ack(region, network))?,
            sls: SlsEndpoint {
                host: hosts::sls(region, network),
                other: hosts::other_sls(region, network).filter(|_| overrides.sls.is_none()),
                connect: overrides
                    .sls
                    .as_deref()
                    .map(|url| Endpoint::parse("SLS endpoint", url))
                    .transpose()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_follow_region_and_network() {
        let none = EndpointOverrides::default();
        let public = Endpoints::new("cn-hangzhou", Network::Public, &none).unwrap();
        assert_eq!(public.sts.url(), "https://sts.cn-hangzhou.aliyuncs.com");
        assert_eq!(public.ack.url(), "https://cs.cn-hangzhou.aliyuncs.com");
        assert_eq!(public.ram.host_header(), "ram.aliyuncs.com");
        assert_eq!(
            public.sls.project_host("k8s-log-c1"),
            "k8s-log-c1.cn-hangzhou.log.aliyuncs.com"
        );
        let vpc = Endpoints::new("cn-hangzhou", "vpc".parse().unwrap(), &none).unwrap();
        assert_eq!(vpc.sts.url(), "https://sts-vpc.cn-hangzhou.aliyuncs.com");
        assert_eq!(vpc.ims.url(), "https://ims.vpc-proxy.aliyuncs.com");
        assert_eq!(vpc.ack.url(), "https://cs-anony-vpc.cn-hangzhou.aliyuncs.com");
        assert_eq!(
            vpc.sls.connect("p").unwrap().url(),
            "https://p.cn-hangzhou-intranet.log.aliyuncs.com"
        );
    }

    #[test]
    fn sls_has_another_name_inside_a_vpc_unless_it_is_overridden() {
        let sls = |network, url: Option<&str>| {
            let overrides = EndpointOverrides {
                sls: url.map(str::to_owned),
                ..Default::default()
            };
            Endpoints::new("cn-hangzhou", network, &overrides).unwrap().sls.other()
        };
        let other = sls(Network::Vpc, None).unwrap();
        assert_eq!(other.project_host("p"), "p.cn-hangzhou-internal.log.aliyuncs.com");
        assert_eq!(
            other.connect("p").unwrap().url(),
            "https://p.cn-hangzhou-internal.log.aliyuncs.com"
        );
        assert_eq!(other.other(), None);
        assert_eq!(sls(Network::Public, None), None);
        assert_eq!(sls(Network::Vpc, Some("https://sls.example.com")), None);
    }

    #[test]
    fn an_sls_override_changes_only_where_to_connect() {
        let overrides = EndpointOverrides {
            sls: Some("http://127.0.0.1:4567".into()),
            ..Default::default()
        };
        let endpoints = Endpoints::new("cn-hangzhou", Network::Public, &overrides).unwrap();
        assert_eq!(
            endpoints.sls.connect("k8s-log-c1").unwrap().url(),
            "http://127.0.0.1:4567"
        );
        assert_eq!(
            endpoints.sls.project_host("k8s-log-c1"),
            "k8s-log-c1.cn-hangzhou.log.aliyuncs.com"
        );
    }

    #[test]
    fn a_region_is_a_plain_name() {
        for bad in ["", "cn hangzhou", "evil.com/", "CN", "a@b"] {
            assert!(
                Endpoints::new(bad, Network::Public, &EndpointOverrides::default()).is_err(),
                "{bad}"
            );
        }
    }
}
