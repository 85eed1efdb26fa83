//! Resolvers that a config names: openvpn would ignore them, containers need not.

use std::net::IpAddr;

use super::taken::Taken;
use crate::wireguard::config::dns_server_allowed;
use crate::wireguard::is_domain;

/// The most resolvers or search domains.
const LIST_MAX: usize = 16;

/// Resolvers to be asked through the tunnel, if the server names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsHints {
    /// Their addresses.
    pub servers: Vec<IpAddr>,
    /// Search domains.
    pub search: Vec<String>,
}

impl DnsHints {
    /// Takes a `dhcp-option`.
    pub(super) fn take_dhcp_option(&mut self, parameters: &[String]) -> Taken {
        let words: Vec<&str> = parameters.iter().map(String::as_str).collect();
        let added = match words.as_slice() {
            ["DNS" | "DNS6", server] => self.add_server(server),
            ["DOMAIN" | "DOMAIN-SEARCH" | "ADAPTER_DOMAIN_SUFFIX", domain] => {
                self.add_domain(domain)
            }
            _ => Err(UNNEEDED.to_owned()),
        };
        dropped(added)
    }

    /// Takes a `dns`.
    pub(super) fn take_dns(&mut self, parameters: &[String]) -> Taken {
        let words: Vec<&str> = parameters.iter().map(String::as_str).collect();
        let added = match words.as_slice() {
            ["server", _, "address", servers @ ..] => {
                servers.iter().try_for_each(|server| self.add_server(server))
            }
            ["search-domains", domains @ ..] => {
                domains.iter().try_for_each(|domain| self.add_domain(domain))
            }
            _ => Err(UNNEEDED.to_owned()),
        };
        dropped(added)
    }

    fn add_server(&mut self, text: &str) -> Result<(), String> {
        let server: IpAddr = text.parse().map_err(|_| "not the IP address of a resolver")?;
        dns_server_allowed(server)?;
        push(&mut self.servers, server)
    }

    fn add_domain(&mut self, text: &str) -> Result<(), String> {
        let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if !is_domain(&domain) {
            return Err("not a domain".to_owned());
        }
        push(&mut self.search, domain)
    }
}

const UNNEEDED: &str = "of these only resolvers and search domains are of use";

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), String> {
    if list.len() == LIST_MAX {
        return Err(format!("of these only {LIST_MAX} are of use"));
    }
    list.push(item);
    Ok(())
}

fn dropped(added: Result<(), String>) -> Taken {
    let hint = || "taken as a hint: what the server sends comes first".to_owned();
    Taken::Dropped(added.err().unwrap_or_else(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_and_domains_are_taken_and_the_rest_does_no_harm() {
        let mut hints = DnsHints::default();
        for line in [
            "DNS 10.8.0.1",
            "DNS 127.0.0.1",
            "DNS x",
            "DNS6 fd00::1",
            "DOMAIN Example.test.",
            "DOMAIN a..b",
            "WINS 10.0.0.1",
            "DNS",
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert!(matches!(hints.take_dhcp_option(&words), Taken::Dropped(_)), "{line}");
        }
        hints.take_dns(&["server", "0", "address", "10.8.0.2", "10.8.0.3"].map(str::to_owned));
        let servers: Vec<String> = hints.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.8.0.1", "fd00::1", "10.8.0.2", "10.8.0.3"]);
        assert_eq!(hints.search, ["example.test"]);
    }
}
