//! What holds for every text.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use egress_core::secret::Secret;
use egress_core::wireguard::{
    Endpoint, GatewayConfig, Host, Peer, Rules, endpoint_allowed, key, parse, redact,
    strip_private_key,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "[Interface]",
        "[Peer]",
        "[",
        "]",
        "=",
        ",",
        "/",
        ":",
        "#",
        ";",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "\u{feff}",
        " ",
        "PrivateKey",
        "Address",
        "DNS",
        "MTU",
        "PublicKey",
        "Endpoint",
        "AllowedIPs",
        "PersistentKeepalive",
        "PostUp",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.1",
        "fd00::1",
        "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
        "[2001:db8::1]:1",
        "h:1",
        "1420",
        "off",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn ip() -> impl Strategy<Value = IpAddr> {
    let usable = |ip: &IpAddr| endpoint_allowed(*ip).is_ok() && ip.to_canonical() == *ip;
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
    .prop_filter("an address that a tunnel can have or be built to", usable)
}

fn net() -> impl Strategy<Value = IpNet> {
    (ip(), any::<u8>()).prop_map(|(ip, prefix)| match ip {
        IpAddr::V4(ip) => Ipv4Net::new_assert(ip, prefix % 32 + 1).into(),
        IpAddr::V6(ip) => Ipv6Net::new_assert(ip, prefix % 128 + 1).into(),
    })
}

fn public_key() -> impl Strategy<Value = [u8; 32]> {
    secret_key().prop_map(|secret| key::public_of(&secret))
}

fn secret_key() -> impl Strategy<Value = Secret<[u8; 32]>> {
    any::<[u8; 32]>().prop_filter("a key is not zero", |key| *key != [0; 32]).prop_map(Secret::new)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let name = "[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?\\.(example|test)".prop_map(Host::Name);
    let port = (1..=u16::MAX).prop_map(|port| NonZeroU16::new(port).unwrap());
    (prop_oneof![ip().prop_map(Host::Ip), name], port)
        .prop_map(|(host, port)| Endpoint { host, port })
}

prop_compose! {
    fn peer()(
        public_key in public_key(),
        preshared_key in of(secret_key()),
        endpoint in endpoint(),
        allowed_ips in vec(net().prop_map(|net| net.trunc()), 1..5),
        keepalive in any::<u16>(),
    ) -> Peer {
        let keepalive = NonZeroU16::new(keepalive);
        Peer { public_key, preshared_key, endpoint, allowed_ips, keepalive }
    }
}

prop_compose! {
    fn config()(
        private_key in of(secret_key()),
        addresses in vec(net(), 0..4),
        dns in vec(ip(), 0..4),
        search in vec("[a-z]{1,9}\\.example", 0..3),
        mtu in of(1280..=u16::MAX),
        peers in vec(peer(), 1..5).prop_map(with_networks_of_their_own),
    ) -> GatewayConfig {
        GatewayConfig { private_key, addresses, dns, search, mtu, peers }
    }
}

/// Takes from each peer the networks of those before it; a peer that has none left is dropped.
fn with_networks_of_their_own(peers: Vec<Peer>) -> Vec<Peer> {
    let mut taken = BTreeSet::new();
    let mut left = Vec::new();
    for mut peer in peers {
        peer.allowed_ips.retain(|net| !taken.contains(net));
        taken.extend(peer.allowed_ips.iter().copied());
        left.extend((!peer.allowed_ips.is_empty()).then_some(peer));
    }
    left
}

/// The config as wg-quick text, every list item on a line of its own.
fn render(config: &GatewayConfig) -> String {
    let mut text = "[Interface]\n".to_owned();
    let mut line = |key: &str, value: &dyn Display| match key {
        "" => writeln!(text, "{value}").unwrap(),
        key => writeln!(text, "{key} = {value}").unwrap(),
    };
    let secret = |key: &Secret<[u8; 32]>| STANDARD.encode(key.expose());
    config.private_key.iter().for_each(|key| line("PrivateKey", &secret(key)));
    config.addresses.iter().for_each(|address| line("Address", address));
    config.dns.iter().for_each(|server| line("DNS", server));
    config.search.iter().for_each(|domain| line("DNS", domain));
    config.mtu.iter().for_each(|mtu| line("MTU", mtu));
    for peer in &config.peers {
        line("", &"[Peer]");
        line("PublicKey", &key::encode_public(&peer.public_key));
        peer.preshared_key.iter().for_each(|key| line("PresharedKey", &secret(key)));
        line("Endpoint", &peer.endpoint);
        peer.allowed_ips.iter().for_each(|net| line("AllowedIPs", net));
        peer.keepalive.iter().for_each(|seconds| line("PersistentKeepalive", seconds));
    }
    text
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = parse(&text, &Rules::default());
        let _ = redact(&text);
    }

    #[test]
    fn no_text_of_known_words_makes_the_parser_panic(text in vec(fragment(), 0..60)) {
        let text = text.concat();
        let _ = parse(&text, &Rules::default());
        let _ = redact(&text);
    }

    #[test]
    fn a_config_that_is_written_down_is_read_back(config in config()) {
        let rules = Rules { split: true, ..Rules::default() };
        let (read, _) = parse(&render(&config), &rules).unwrap();
        prop_assert_eq!(read, config);
    }

    #[test]
    fn stripping_takes_the_private_key_and_nothing_else(config in config()) {
        let rules = Rules { split: true, ..Rules::default() };
        let (stripped, key) = strip_private_key(&render(&config));
        let (read, _) = parse(&stripped, &rules).unwrap();
        prop_assert_eq!(&key, &config.private_key);
        prop_assert_eq!(read, GatewayConfig { private_key: None, ..config });
    }
}
