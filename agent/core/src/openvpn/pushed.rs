//! What a server gives a tunnel, read from what openvpn would tell a script.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::hints::DnsHints;
use super::management::Environment;
use crate::wireguard::config::{MTU_MIN, MTU_MIN_V6, tunnel_address_allowed};

/// The most routes of a tunnel, neighbouring ones counted as one.
pub const ROUTES_MAX: usize = 64;
/// The most numbered variables of one kind that are looked at.
const NUMBERED_MAX: usize = 4096;
/// The largest packet that a tunnel may carry, in bytes.
const MTU_MAX: u16 = 9000;

/// What the device in the container is to have. Every value has been checked: a server is a third
/// party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// At least one.
    pub addresses: Vec<IpNet>,
    /// What goes through the tunnel, sorted, at most [`ROUTES_MAX`]. What is not in them is
    /// blocked.
    pub routes: Vec<IpNet>,
    /// Resolvers to be asked through the tunnel.
    pub dns: Vec<IpAddr>,
    /// Search domains.
    pub search: Vec<String>,
    /// The largest packet in the tunnel, in bytes, from 576 (with IPv6 1280) to 9000.
    pub mtu: u16,
}

/// What a gateway's config and provider say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Only what the server sends routes for goes through the tunnel; else everything does.
    pub split: bool,
    /// The config's own resolvers and search domains, where the server names none.
    pub hints: DnsHints,
}

/// What only the server's own words say. openvpn does not tell it to scripts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushReply {
    /// `redirect-gateway`, for IPv4 and for IPv6.
    redirect: (bool, bool),
    /// Seconds of silence after which the client gives the server up.
    pub ping_restart_s: Option<u32>,
}

/// Why what a server gives is of no use. It never repeats the server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Neither IPv4 nor IPv6.
    #[error("the server gives no address")]
    NoAddress,
    /// It is loopback's, multicast's or none at all.
    #[error("the server gives an address that no interface can have")]
    Address,
    /// IPv6 does not fit.
    #[error("the server gives an IPv6 address and packets too small for it")]
    Mtu,
    /// One that cannot be read.
    #[error("the server gives a route that cannot be read")]
    Route,
    /// Past the bound.
    #[error("the server gives more than {ROUTES_MAX} routes")]
    TooManyRoutes,
}

impl PushReply {
    /// Adds what a line of openvpn's log says of it, if it is one that does. A long reply comes in
    /// several.
    pub fn add(&mut self, log: &str) {
        let Some(said) = log.strip_prefix("PUSH: Received control message: 'PUSH_REPLY,") else {
            return;
        };
        for option in said.trim_end_matches('\'').split(',') {
            let mut words = option.split_ascii_whitespace();
            match words.next() {
                Some("redirect-gateway") => self.add_redirect(words),
                Some("ping-restart") => {
                    self.ping_restart_s = words.next().and_then(|word| word.parse().ok());
                }
                _ => {}
            }
        }
    }

    fn add_redirect<'a>(&mut self, flags: impl Iterator<Item = &'a str>) {
        let (mut v4, mut v6) = (true, false);
        for flag in flags {
            match flag {
                "!ipv4" => v4 = false,
                "ipv6" => v6 = true,
                _ => {}
            }
        }
        self.redirect = (self.redirect.0 | v4, self.redirect.1 | v6);
    }
}

impl Pushed {
    /// Reads and checks.
    pub fn read(
        environment: &Environment,
        reply: &PushReply,
        terms: &Terms,
    ) -> Result<Self, Unusable> {
        let addresses = addresses(environment)?;
        let routes = if terms.split {
            routes(environment, reply, &addresses)?
        } else {
            defaults((true, true), &addresses)
        };
        let mut resolvers = resolvers(environment);
        if resolvers.servers.is_empty() {
            resolvers.servers.clone_from(&terms.hints.servers);
        }
        if resolvers.search.is_empty() {
            resolvers.search.clone_from(&terms.hints.search);
        }
        let mtu = mtu(environment, &addresses)?;
        let DnsHints { servers: dns, search } = resolvers;
        Ok(Self { addresses, routes, dns, search, mtu })
    }
}

fn variable<T: FromStr>(environment: &Environment, name: &str) -> Option<T> {
    environment.get(name)?.parse().ok()
}

/// `NAME1`, `NAME2` and so on, up to the first that is not there.
fn numbered<'a>(
    environment: &'a Environment,
    name: &'a str,
) -> impl Iterator<Item = (usize, &'a str)> {
    (1..=NUMBERED_MAX).map_while(move |n| Some((n, environment.get(&format!("{name}{n}"))?)))
}

fn addresses(environment: &Environment) -> Result<Vec<IpNet>, Unusable> {
    let mut addresses = Vec::new();
    if environment.get("ifconfig_local").is_some() {
        let ip: Ipv4Addr = variable(environment, "ifconfig_local").ok_or(Unusable::Address)?;
        // Without a netmask there is another host at the far end, and no network.
        let net = match environment.get("ifconfig_netmask") {
            Some(mask) => net(ip, mask).ok_or(Unusable::Address)?,
            None => Ipv4Net::from(ip),
        };
        addresses.push(IpNet::V4(net));
    }
    if environment.get("ifconfig_ipv6_local").is_some() {
        let ip: Ipv6Addr = variable(environment, "ifconfig_ipv6_local").ok_or(Unusable::Address)?;
        let bits = variable(environment, "ifconfig_ipv6_netbits").ok_or(Unusable::Address)?;
        addresses.push(IpNet::V6(Ipv6Net::new(ip, bits).map_err(|_| Unusable::Address)?));
    }
    for address in &addresses {
        tunnel_address_allowed(*address).map_err(|_| Unusable::Address)?;
    }
    if addresses.is_empty() { Err(Unusable::NoAddress) } else { Ok(addresses) }
}

fn net(ip: Ipv4Addr, mask: &str) -> Option<Ipv4Net> {
    Ipv4Net::with_netmask(ip, mask.parse().ok()?).ok()
}

/// The default routes of those families, IPv4 and IPv6, that are redirected and have an address.
fn defaults(redirect: (bool, bool), addresses: &[IpNet]) -> Vec<IpNet> {
    let has_v6 = |v6: bool| addresses.iter().any(|net| net.addr().is_ipv6() == v6);
    let v4 = (redirect.0 && has_v6(false)).then(|| IpNet::V4(Ipv4Net::default()));
    let v6 = (redirect.1 && has_v6(true)).then(|| IpNet::V6(Ipv6Net::default()));
    v4.into_iter().chain(v6).collect()
}

fn routes(
    environment: &Environment,
    reply: &PushReply,
    addresses: &[IpNet],
) -> Result<Vec<IpNet>, Unusable> {
    let mut routes = defaults(reply.redirect, addresses);
    let outside = environment.get("route_net_gateway");
    for (n, network) in numbered(environment, "route_network_") {
        let gateway = environment.get(&format!("route_gateway_{n}"));
        // One that is meant to go past the tunnel: nothing goes past it.
        if gateway.is_some() && gateway == outside {
            continue;
        }
        let mask = environment.get(&format!("route_netmask_{n}")).unwrap_or("255.255.255.255");
        let ip = network.parse().map_err(|_| Unusable::Route)?;
        routes.push(IpNet::V4(net(ip, mask).ok_or(Unusable::Route)?));
    }
    for (_, network) in numbered(environment, "route_ipv6_network_") {
        routes.push(IpNet::V6(network.parse().map_err(|_| Unusable::Route)?));
    }
    routes.retain(|net| !net.addr().is_loopback() && !net.addr().is_multicast());
    let mut routes = IpNet::aggregate(&routes);
    routes.sort_unstable();
    if routes.len() > ROUTES_MAX { Err(Unusable::TooManyRoutes) } else { Ok(routes) }
}

fn resolvers(environment: &Environment) -> DnsHints {
    let mut pushed = DnsHints::default();
    for (_, option) in numbered(environment, "foreign_option_") {
        let words: Vec<String> = option.split_ascii_whitespace().map(str::to_owned).collect();
        if let [name, parameters @ ..] = words.as_slice()
            && name == "dhcp-option"
        {
            // What is not a resolver or a domain, or past their bound, does no harm left out.
            let _ = pushed.take_dhcp_option(parameters);
        }
    }
    pushed
}

fn mtu(environment: &Environment, addresses: &[IpNet]) -> Result<u16, Unusable> {
    let mtu = variable::<u16>(environment, "tun_mtu").unwrap_or(1500).clamp(MTU_MIN, MTU_MAX);
    let v6 = addresses.iter().any(|net| net.addr().is_ipv6());
    if v6 && mtu < MTU_MIN_V6 { Err(Unusable::Mtu) } else { Ok(mtu) }
}

#[cfg(test)]
mod tests;
