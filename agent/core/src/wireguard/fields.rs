//! Single values of a wg-quick text. An error says what is wrong and never repeats the value.

use std::net::IpAddr;
use std::num::NonZeroU16;

use ipnet::IpNet;

use super::endpoint::is_domain;
use crate::address;

/// The smallest MTU that IPv4 hosts must be able to carry (RFC 791).
pub const MTU_MIN: u16 = 576;
/// The smallest MTU that IPv6 allows (RFC 8200).
pub const MTU_MIN_V6: u16 = 1280;

/// One entry of `DNS`.
pub(super) enum Dns {
    Server(IpAddr),
    Search(String),
}

/// Reads every item of a comma list, in order; items that cannot be read give an error that says
/// which they are.
pub(super) fn list<'a, T>(
    value: &'a str,
    read: impl Fn(&'a str) -> Result<T, String>,
) -> impl Iterator<Item = Result<T, String>> {
    let several = value.contains(',');
    value.split(',').map(str::trim).zip(1_u32..).map(move |(item, number)| {
        let item = if item.is_empty() { Err("empty".to_owned()) } else { read(item) };
        item.map_err(|why| if several { format!("item {number} of the list: {why}") } else { why })
    })
}

/// A tunnel address, with or without a prefix length. Its host bits are kept.
pub(super) fn address(text: &str) -> Result<IpNet, String> {
    let net = net(text)?;
    tunnel_address_allowed(net)?;
    Ok(net)
}

/// Whether an interface can have this address.
pub fn tunnel_address_allowed(net: IpNet) -> Result<(), String> {
    if net.addr().to_canonical() != net.addr() {
        return Err("an IPv4-mapped address: an interface cannot have it".to_owned());
    }
    if net.prefix_len() == 0 {
        return Err("a prefix length of 0: an interface cannot have it".to_owned());
    }
    unicast(net.addr()).map_err(|kind| format!("{kind}: an interface cannot have it"))
}

/// Whether it is the address of one other host; if not, what kind of address it is.
fn unicast(ip: IpAddr) -> Result<(), &'static str> {
    let ip = ip.to_canonical();
    if ip.is_unspecified() {
        return Err("an unspecified address");
    }
    if ip.is_loopback() {
        return Err("a loopback address");
    }
    if ip.is_multicast() {
        return Err("a multicast address");
    }
    Ok(())
}

/// An allowed network; its host bits are cleared, as WireGuard itself does.
pub(super) fn allowed_ip(text: &str) -> Result<IpNet, String> {
    net(text).map(|net| net.trunc())
}

fn net(text: &str) -> Result<IpNet, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip));
    }
    let (ip, prefix) = text.split_once('/').ok_or("not an IPv4 or IPv6 address")?;
    let ip: IpAddr = ip.trim().parse().map_err(|_| "not an IPv4 or IPv6 address before the /")?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bad_prefix = || format!("expected a prefix length from 0 to {most} behind the /");
    let prefix = decimal(prefix.trim()).ok_or_else(bad_prefix)?;
    IpNet::new(ip, prefix).map_err(|_| bad_prefix())
}

/// Decimal digits only: no sign, no space.
fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A resolver's address or a search domain.
pub(super) fn dns(text: &str) -> Result<Dns, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        dns_server_allowed(ip)?;
        return Ok(Dns::Server(ip));
    }
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let looks_numeric = domain.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if looks_numeric || !is_domain(&domain) {
        return Err("neither an IPv4 or IPv6 address nor a search domain".to_owned());
    }
    Ok(Dns::Search(domain))
}

/// Whether a container can ask a resolver at this address through the tunnel.
pub fn dns_server_allowed(ip: IpAddr) -> Result<(), String> {
    if ip.to_canonical() != ip {
        return Err("an IPv4-mapped address: write the IPv4 address".to_owned());
    }
    address::allowed(ip).map_err(|kind| format!("{kind}: no tunnel leads there"))
}

pub(super) fn mtu(text: &str) -> Result<u16, String> {
    decimal(text)
        .filter(|mtu| *mtu >= MTU_MIN)
        .ok_or_else(|| format!("expected a number from {MTU_MIN} to {}", u16::MAX))
}

/// Seconds; `0` and `off` are none.
pub(super) fn keepalive(text: &str) -> Result<Option<NonZeroU16>, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let seconds = decimal(text).ok_or("expected a number of seconds from 0 to 65535, or off")?;
    Ok(NonZeroU16::new(seconds))
}
