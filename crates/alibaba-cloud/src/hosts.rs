//! The host names of the services by region and network, and the regions that break the rule.
//!
//! Source: the endpoint table of the official CLI's metadata, the official SDKs, ack-ram-tool, and the endpoint pages. A host that is in none of them
//! is not guessed: the central host is used, which serves all regions but is reached through the internet only. [`EndpointOverrides`](crate::EndpointOverrides) can name
//! another for each.

/// From which network the cloud is reached; chooses the preset of host names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The public endpoints.
    #[default]
    Public,
    /// The endpoints inside a VPC, which need no route to the internet.
    Vpc,
}

/// STS serves every region here.
const STS_CENTRAL: &str = "sts.aliyuncs.com";

/// The regions without a regional public host of STS: the official tables send them to the central host, or have no entry.
const STS_WITHOUT_PUBLIC: &[&str] = &[
    "ap-south-1",
    "ap-southeast-2",
    "ap-southeast-6",
    "cn-beijing-gov-1",
    "cn-hangzhou-finance",
    "cn-heyuan-acdr-1",
    "cn-shenzhen-finance-1",
    "cn-zhengzhou-jva",
    "us-southeast-1",
];
/// Those of them that have a VPC host all the same.
const STS_WITH_VPC: &[&str] = &["cn-shenzhen-finance-1"];

/// The regions from which RAM has no VPC host.
const RAM_WITHOUT_VPC: &[&str] = &["cn-beijing-finance-1", "cn-hangzhou-finance", "me-east-1"];

/// The regions in which SLS has no private host.
const SLS_WITHOUT_PRIVATE: &[&str] = &["cn-shenzhen-finance-1", "us-southeast-1"];
/// The region whose only host of SLS is the private one.
const SLS_ONLY_INTRANET: &str = "cn-heyuan-acdr-1";

/// The host of STS.
pub(crate) fn sts(region: &str, network: Network) -> String {
    let central = STS_WITHOUT_PUBLIC.contains(&region) || region.ends_with("-pop");
    match network {
        // ack-ram-tool uses this one; the region has none of its own.
        Network::Vpc if region == "cn-hangzhou-finance" => "sts-vpc.cn-hangzhou.aliyuncs.com".to_owned(),
        Network::Vpc if !central || STS_WITH_VPC.contains(&region) => format!("sts-vpc.{region}.aliyuncs.com"),
        Network::Public if !central => format!("sts.{region}.aliyuncs.com"),
        _ => STS_CENTRAL.to_owned(),
    }
}

/// The host of IMS, which is one for all regions.
pub(crate) fn ims(network: Network) -> &'static str {
    match network {
        Network::Public => "ims.aliyuncs.com",
        Network::Vpc => "ims.vpc-proxy.aliyuncs.com",
    }
}

/// The host of RAM.
pub(crate) fn ram(region: &str, network: Network) -> &'static str {
    match network {
        Network::Vpc if !RAM_WITHOUT_VPC.contains(&region) => "ram.vpc-proxy.aliyuncs.com",
        _ => "ram.aliyuncs.com",
    }
}

/// The host of Container Service. `cs-anony-vpc` is in the metadata for all its regions; older pages have `cs-vpc`.
pub(crate) fn ack(region: &str, network: Network) -> String {
    match network {
        Network::Public => format!("cs.{region}.aliyuncs.com"),
        Network::Vpc => format!("cs-anony-vpc.{region}.aliyuncs.com"),
    }
}

/// The host of SLS, without the project. Of its two private names, `-intranet` is the one of which the official SDKs know.
pub(crate) fn sls(region: &str, network: Network) -> String {
    let private = network == Network::Vpc && !SLS_WITHOUT_PRIVATE.contains(&region);
    let suffix = if private || region == SLS_ONLY_INTRANET {
        "-intranet"
    } else {
        ""
    };
    format!("{region}{suffix}.log.aliyuncs.com")
}

/// The other private name of SLS, of which the current endpoint page knows, for where the first is not found.
pub(crate) fn other_sls(region: &str, network: Network) -> Option<String> {
    let private = network == Network::Vpc && !SLS_WITHOUT_PRIVATE.contains(&region);
    (private && region != SLS_ONLY_INTRANET).then(|| format!("{region}-internal.log.aliyuncs.com"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_is_where_the_official_tables_say() {
        use Network::{Public, Vpc};
        let regional = |prefix: &str, region: &str| format!("{prefix}.{region}.aliyuncs.com");
        for region in [
            "cn-hangzhou",
            "cn-shanghai-finance-1",
            "eu-central-1",
            "a-region-to-come",
        ] {
            assert_eq!(sts(region, Public), regional("sts", region));
            assert_eq!(sts(region, Vpc), regional("sts-vpc", region));
            assert_eq!(ram(region, Vpc), "ram.vpc-proxy.aliyuncs.com");
            assert_eq!(ack(region, Public), regional("cs", region));
            assert_eq!(ack(region, Vpc), regional("cs-anony-vpc", region));
            assert_eq!(sls(region, Public), format!("{region}.log.aliyuncs.com"));
            assert_eq!(sls(region, Vpc), format!("{region}-intranet.log.aliyuncs.com"));
            assert_eq!(
                other_sls(region, Vpc),
                Some(format!("{region}-internal.log.aliyuncs.com"))
            );
            assert_eq!(other_sls(region, Public), None);
        }
        for (region, public, vpc) in [
            ("cn-hangzhou-finance", STS_CENTRAL, "sts-vpc.cn-hangzhou.aliyuncs.com"),
            (
                "cn-shenzhen-finance-1",
                STS_CENTRAL,
                "sts-vpc.cn-shenzhen-finance-1.aliyuncs.com",
            ),
            ("ap-south-1", STS_CENTRAL, STS_CENTRAL),
            ("ap-southeast-2", STS_CENTRAL, STS_CENTRAL),
            ("ap-southeast-6", STS_CENTRAL, STS_CENTRAL),
            ("us-southeast-1", STS_CENTRAL, STS_CENTRAL),
            ("cn-heyuan-acdr-1", STS_CENTRAL, STS_CENTRAL),
            ("cn-zhengzhou-jva", STS_CENTRAL, STS_CENTRAL),
            ("cn-beijing-gov-1", STS_CENTRAL, STS_CENTRAL),
            ("cn-shanghai-pop", STS_CENTRAL, STS_CENTRAL),
        ] {
            assert_eq!(
                (sts(region, Public).as_str(), sts(region, Vpc).as_str()),
                (public, vpc),
                "{region}"
            );
        }
        for region in ["cn-beijing-finance-1", "cn-hangzhou-finance", "me-east-1"] {
            assert_eq!(ram(region, Vpc), "ram.aliyuncs.com", "{region}");
        }
        for region in ["cn-shenzhen-finance-1", "us-southeast-1"] {
            assert_eq!(sls(region, Vpc), format!("{region}.log.aliyuncs.com"));
            assert_eq!(other_sls(region, Vpc), None, "{region}");
        }
        for network in [Public, Vpc] {
            assert_eq!(
                sls("cn-heyuan-acdr-1", network),
                "cn-heyuan-acdr-1-intranet.log.aliyuncs.com"
            );
            assert_eq!(other_sls("cn-heyuan-acdr-1", network), None);
        }
    }
}
