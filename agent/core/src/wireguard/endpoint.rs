//! Where a peer is: `host:port`, and which addresses a tunnel may be built to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use crate::address;

/// A peer's `Endpoint`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address or name.
    pub host: Host,
    /// Its UDP port.
    pub port: NonZeroU16,
}

/// A peer's address, or a name that is resolved in the host's namespace at every bring-up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// An address that [`endpoint_allowed`] allows; v4-mapped IPv6 has become IPv4.
    Ip(IpAddr),
    /// A DNS name in lower case, without a dot at its end. Every address it resolves to must pass
    /// [`endpoint_allowed`].
    Name(String),
}

/// Whether a tunnel may be built to this address; if not, what kind of address it is.
///
/// To be asked again at every resolution of a name: a gateway's text comes from a third party and
/// must not make the host talk to itself, its link or its cloud.
pub fn endpoint_allowed(ip: IpAddr) -> Result<(), &'static str> {
    address::allowed(ip)
}

/// Reads `name:port`, `v4:port` or `[v6]:port`; an error says what is wrong without repeating it.
pub(super) fn parse(text: &str) -> Result<Endpoint, String> {
    let (host, port) = split(text)?;
    let port = port.parse().map_err(|_| "the port is not a number from 1 to 65535".to_owned())?;
    Ok(Endpoint { host, port })
}

fn split(text: &str) -> Result<(Host, &str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, port) = rest
            .split_once("]:")
            .ok_or("expected [IPv6 address]:port, for instance [2001:db8::1]:51820")?;
        let ip: Ipv6Addr = inside.parse().map_err(|_| "not an IPv6 address between [ and ]")?;
        return Ok((host_at(IpAddr::V6(ip))?, port));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err("an IPv6 address needs brackets and a port: [2001:db8::1]:51820".to_owned());
    }
    let (host, port) = text.rsplit_once(':').ok_or("no port: expected host:port")?;
    match host.parse::<Ipv4Addr>() {
        Ok(ip) => Ok((host_at(IpAddr::V4(ip))?, port)),
        Err(_) => Ok((name(host)?, port)),
    }
}

/// Reads an address, IPv6 without brackets, or a name; an error says what is wrong without
/// repeating it.
pub(crate) fn host(text: &str) -> Result<Host, String> {
    match text.parse() {
        Ok(ip) => host_at(ip),
        Err(_) => name(text),
    }
}

fn host_at(ip: IpAddr) -> Result<Host, String> {
    endpoint_allowed(ip).map_err(|kind| format!("{kind}: a tunnel cannot be built to it"))?;
    Ok(Host::Ip(ip.to_canonical()))
}

fn name(text: &str) -> Result<Host, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if !is_domain(&name) {
        return Err("not an IPv4 address, IPv6 address or DNS name".to_owned());
    }
    if is_number_to_a_resolver(&name) {
        return Err("not a complete IPv4 address: expected four decimal numbers".to_owned());
    }
    if name == "localhost" || name.ends_with(".localhost") {
        return Err("a loopback name: a tunnel cannot be built to it".to_owned());
    }
    Ok(Host::Name(name))
}

/// Whether a text has the form of a DNS name (RFC 1123, underscores allowed), without a last dot.
pub(crate) fn is_domain(name: &str) -> bool {
    let label_fits = |label: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label_fits)
}

/// Resolvers read `127.1`, `0x7f000001` and `2130706433` as addresses (`inet_aton(3)`).
fn is_number_to_a_resolver(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || last.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_endpoints_read_back_as_they_were() {
        for text in [
            "198.51.100.7:51820",
            "[2001:db8::7]:1",
            "se-got-wg-001.relays.example.net:65535",
            "a_b.example:3000",
            "10.0.0.1:51820",
            "[fd00::1]:51820",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("VPN.Example.Org.:80").unwrap().to_string(), "vpn.example.org:80");
        assert_eq!(parse("[::ffff:198.51.100.7]:80").unwrap().to_string(), "198.51.100.7:80");
    }

    #[test]
    fn no_tunnel_is_built_to_the_host_itself_or_its_link() {
        for text in [
            "127.0.0.1:1",
            "127.255.0.9:1",
            "0.0.0.0:1",
            "0.1.2.3:1",
            "169.254.169.254:80",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "240.0.0.1:1",
            "[::]:1",
            "[::1]:1",
            "[::127.0.0.1]:1",
            "[::ffff:127.0.0.1]:1",
            "[::ffff:169.254.1.1]:1",
            "[::ffff:0.0.0.0]:1",
            "[64:ff9b::7f00:1]:1",
            "[2002:7f00:1::]:1",
            "168.63.129.16:80",
            "[fe80::1]:1",
            "[febf::1]:1",
            "[ff02::1]:1",
            "localhost:1",
            "LOCALHOST.:1",
            "a.localhost:1",
            "127.1:1",
            "0x7f000001:1",
            "2130706433:1",
            "0177.0.0.1:1",
        ] {
            assert!(parse(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn what_is_not_host_and_port_is_refused() {
        for text in [
            "",
            ":",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:65536",
            "host:-1",
            "host:1x",
            "h ost:1",
            "2001:db8::7",
            "2001:db8::7:51820",
            "[2001:db8::7]",
            "[2001:db8::7]51820",
            "[1.2.3.4]:1",
            "[fe80::1%eth0]:1",
            "-a.example:1",
            "a..example:1",
            "1.2.3:1",
            "1.2.3.4.5:1",
            "1.2.3.999:1",
        ] {
            assert!(parse(text).is_err(), "{text:?} was taken");
        }
    }
}
