//! Which links a namespace may have that is to be sealed: none that packets could leave by, now or
//! once somebody has switched it on.

use std::sync::Arc;

use egress_core::api::{Code, Refusal};
use egress_linux::link::{self, Link};
use egress_linux::netns::Netns;
use tokio::task::spawn_blocking;

use super::container::broken;
use crate::telemetry::chain;

/// The kinds and names of devices that the kernel puts into every namespace when their modules are
/// loaded. They cannot be taken out, and lead nowhere by themselves.
const FALLBACKS: [(&str, &str); 9] = [
    ("ipip", "tunl0"),
    ("sit", "sit0"),
    ("gre", "gre0"),
    ("gretap", "gretap0"),
    ("erspan", "erspan0"),
    ("vti", "ip_vti0"),
    ("ip6tnl", "ip6tnl0"),
    ("ip6gre", "ip6gre0"),
    ("vti6", "ip6_vti0"),
];

/// Refuses a namespace that has more than loopback and the kernel's own devices, by name.
pub async fn must_be_empty(netns: Arc<Netns>) -> Result<(), Refusal> {
    let ways_out = ways_out(netns).await?;
    if ways_out.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "the sealed profile wants a namespace with nothing but lo, and this one has {}: start the \
         container with --network none",
        ways_out.join(", ")
    );
    Err(Refusal::new(Code::NetnsNotEmpty, detail))
}

/// What a namespace has beside loopback and the kernel's own devices, as in `eth0 (veth, down)`.
pub async fn ways_out(netns: Arc<Netns>) -> Result<Vec<String>, Refusal> {
    let links = spawn_blocking(move || netns.run(link::links)).await;
    let links = match links {
        Ok(Ok(Ok(links))) => links,
        Ok(Ok(Err(error))) => return Err(Refusal::new(Code::Internal, chain(&error))),
        Ok(Err(error)) => return Err(Refusal::new(Code::NetnsGone, chain(&error))),
        Err(_) => return Err(broken()),
    };
    Ok(links.iter().filter(|link| is_way_out(link)).map(described).collect())
}

fn is_way_out(link: &Link) -> bool {
    // Names can be taken, and kinds: a fallback device has both, and was never touched.
    let fallback = FALLBACKS.contains(&(&*link.kind, &*link.name));
    let untouched = !link.up && link.addresses.is_empty() && !link.linked_elsewhere;
    !(link.loopback || fallback && untouched)
}

/// As in `eth0 (veth, down)`.
fn described(link: &Link) -> String {
    let kind = if link.kind.is_empty() { "hardware" } else { &link.kind };
    format!("{} ({kind}, {})", link.name, if link.up { "up" } else { "down" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: &str, name: &str) -> Link {
        Link {
            index: 2,
            name: name.to_owned(),
            kind: kind.to_owned(),
            up: false,
            loopback: false,
            linked_elsewhere: false,
            addresses: Vec::new(),
        }
    }

    #[test]
    fn loopback_is_no_way_out_whatever_it_is_called() {
        let lo = Link { index: 1, loopback: true, up: true, ..link("", "renamed") };
        let addresses = vec!["127.0.0.1/8".parse().unwrap()];
        assert!(!is_way_out(&Link { addresses, ..lo }));
    }

    #[test]
    fn what_the_kernel_puts_into_every_namespace_is_no_way_out_as_long_as_nobody_touched_it() {
        for (kind, name) in FALLBACKS {
            let fallback = link(kind, name);
            assert!(!is_way_out(&fallback), "{name}");
            assert!(is_way_out(&Link { up: true, ..fallback.clone() }), "{name} up");
            let addresses = vec!["192.0.2.2/24".parse().unwrap()];
            assert!(is_way_out(&Link { addresses, ..fallback.clone() }), "{name} with an address");
            assert!(
                is_way_out(&Link { linked_elsewhere: true, ..fallback }),
                "{name} from outside"
            );
        }
    }

    #[test]
    fn every_other_device_is_a_way_out_though_it_is_down() {
        for kind in ["veth", "macvlan", "ipvlan", "dummy", "tun", "wireguard", "vxlan", ""] {
            assert!(is_way_out(&link(kind, "eth0")), "{kind}");
        }
    }

    #[test]
    fn a_name_or_a_kind_of_the_kernels_devices_is_not_enough() {
        assert!(is_way_out(&link("veth", "tunl0")));
        assert!(is_way_out(&link("ipip", "tunl1")));
        assert!(is_way_out(&link("sit", "tunl0")));
    }

    #[test]
    fn a_refused_device_is_named_with_what_it_is() {
        assert_eq!(described(&link("veth", "eth0")), "eth0 (veth, down)");
        assert_eq!(described(&Link { up: true, ..link("", "ens3") }), "ens3 (hardware, up)");
    }
}
