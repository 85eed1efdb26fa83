use super::*;
use crate::openvpn::management::{Message, Parser};

/// What openvpn 2.6.14 told of a server that gives both kinds of addresses.
const BOTH: &str = "tun_mtu=1500\nroute_ipv6_gateway_1=fd00:8::1\nroute_ipv6_network_1=2000::/3\n\
                    route_gateway_1=10.8.0.1\nroute_netmask_1=255.255.255.0\n\
                    route_network_1=192.0.2.0\nroute_vpn_gateway=10.8.0.1\n\
                    route_net_gateway=10.77.0.2\nifconfig_ipv6_remote=fd00:8::1\n\
                    ifconfig_ipv6_netbits=64\nifconfig_ipv6_local=fd00:8::1000\n\
                    ifconfig_netmask=255.255.255.0\nifconfig_local=10.8.0.2\n\
                    foreign_option_2=dhcp-option DOMAIN example.test\n\
                    foreign_option_1=dhcp-option DNS 10.8.0.1";
const REDIRECT: &str = "PUSH: Received control message: 'PUSH_REPLY,redirect-gateway def1,\
                        dhcp-option DNS 10.8.0.1,ping 2,ping-restart 8,topology subnet'";

fn environment(lines: &str) -> Environment {
    let mut text = ">UPDOWN:UP\r\n".to_owned();
    for line in lines.lines() {
        text.extend([">UPDOWN:ENV,", line, "\r\n"]);
    }
    text.push_str(">UPDOWN:ENV,END\r\n");
    match Parser::new().feed(text.as_bytes()).pop() {
        Some(Message::Up(environment)) => environment,
        other => panic!("{other:?}"),
    }
}

fn read(lines: &str, reply: &str, terms: &Terms) -> Result<Pushed, Unusable> {
    let mut pushed = PushReply::default();
    pushed.add(reply);
    Pushed::read(&environment(lines), &pushed, terms)
}

fn split() -> Terms {
    Terms { split: true, ..Terms::default() }
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_goes_through_the_tunnel_unless_the_provider_splits() {
    let pushed = read(BOTH, "", &Terms::default()).unwrap();
    assert_eq!(texts(&pushed.addresses), ["10.8.0.2/24", "fd00:8::1000/64"]);
    assert_eq!(texts(&pushed.routes), ["0.0.0.0/0", "::/0"]);
    assert_eq!(texts(&pushed.dns), ["10.8.0.1"]);
    assert_eq!(pushed.search, ["example.test"]);
    assert_eq!(pushed.mtu, 1500);
    let v4_only = "ifconfig_local=10.8.0.6\nifconfig_remote=10.8.0.5";
    let pushed = read(v4_only, "", &Terms::default()).unwrap();
    assert_eq!(texts(&pushed.addresses), ["10.8.0.6/32"]);
    assert_eq!(texts(&pushed.routes), ["0.0.0.0/0"]);
}

#[test]
fn a_split_tunnel_has_the_servers_routes() {
    assert_eq!(texts(&read(BOTH, "", &split()).unwrap().routes), ["192.0.2.0/24", "2000::/3"]);
    let redirected = read(BOTH, REDIRECT, &split()).unwrap().routes;
    assert_eq!(texts(&redirected), ["0.0.0.0/0", "2000::/3"]);
    let six = "PUSH: Received control message: 'PUSH_REPLY,redirect-gateway !ipv4 ipv6,ping 5'";
    assert_eq!(texts(&read(BOTH, six, &split()).unwrap().routes), ["192.0.2.0/24", "::/0"]);
}

#[test]
fn a_route_past_the_tunnel_is_left_out() {
    let past = format!(
        "{BOTH}\nroute_network_2=198.51.100.0\nroute_netmask_2=255.255.255.0\n\
         route_gateway_2=10.77.0.2"
    );
    assert_eq!(texts(&read(&past, "", &split()).unwrap().routes), ["192.0.2.0/24", "2000::/3"]);
}

#[test]
fn what_no_interface_can_have_is_refused() {
    for (lines, why) in [
        ("tun_mtu=1500", Unusable::NoAddress),
        ("ifconfig_local=127.0.0.1", Unusable::Address),
        ("ifconfig_local=224.0.0.1", Unusable::Address),
        ("ifconfig_local=0.0.0.0", Unusable::Address),
        ("ifconfig_local=x", Unusable::Address),
        ("ifconfig_local=10.0.0.1\nifconfig_netmask=255.0.255.0", Unusable::Address),
        ("ifconfig_local=10.0.0.1\nifconfig_netmask=0.0.0.0", Unusable::Address),
        ("ifconfig_ipv6_local=::1\nifconfig_ipv6_netbits=64", Unusable::Address),
        ("ifconfig_ipv6_local=fd00::1\nifconfig_ipv6_netbits=200", Unusable::Address),
        ("ifconfig_ipv6_local=fd00::1", Unusable::Address),
        ("ifconfig_ipv6_local=fd00::1\nifconfig_ipv6_netbits=64\ntun_mtu=1000", Unusable::Mtu),
        ("ifconfig_local=10.0.0.1\nroute_network_1=x", Unusable::Route),
        ("ifconfig_local=10.0.0.1\nroute_ipv6_network_1=::/129", Unusable::Route),
    ] {
        assert_eq!(read(lines, "", &split()), Err(why), "{lines}");
    }
}

#[test]
fn routes_are_bounded_and_neighbours_count_as_one() {
    use std::fmt::Write as _;
    let with = |count: usize, step: usize| {
        let mut lines = "ifconfig_local=10.0.0.1".to_owned();
        for n in 1..=count {
            let net = n * step;
            write!(lines, "\nroute_network_{n}=198.{}.{}.0", net / 256, net % 256).unwrap();
            write!(lines, "\nroute_netmask_{n}=255.255.255.0").unwrap();
        }
        read(&lines, "", &split()).map(|pushed| pushed.routes.len())
    };
    assert_eq!(with(64, 2), Ok(64));
    assert_eq!(with(65, 2), Err(Unusable::TooManyRoutes));
    assert!(with(255, 1).unwrap() < 20);
}

#[test]
fn the_configs_resolvers_stand_in_where_the_server_names_none() {
    let hints = DnsHints {
        servers: vec!["10.9.9.9".parse().unwrap()],
        search: vec!["hint.test".to_owned()],
    };
    let terms = Terms { split: false, hints };
    let pushed = read("ifconfig_local=10.0.0.1", "", &terms).unwrap();
    assert_eq!(
        (texts(&pushed.dns), pushed.search),
        (vec!["10.9.9.9".into()], vec!["hint.test".into()])
    );
    let pushed = read(BOTH, "", &terms).unwrap();
    assert_eq!(texts(&pushed.dns), ["10.8.0.1"]);
}

#[test]
fn resolvers_that_cannot_be_reached_and_odd_sizes_do_no_harm() {
    let lines = "ifconfig_local=10.0.0.1\ntun_mtu=65000\nforeign_option_1=dhcp-option DNS 127.0.0.1\n\
                 foreign_option_2=dhcp-option DNS6 fd00::1\nforeign_option_3=dhcp-option DOMAIN a..b\n\
                 foreign_option_4=register-dns";
    let pushed = read(lines, "", &Terms::default()).unwrap();
    assert_eq!(
        (texts(&pushed.dns), pushed.search.len(), pushed.mtu),
        (vec!["fd00::1".into()], 0, 9000)
    );
}

#[test]
fn a_long_reply_is_read_in_pieces() {
    let mut reply = PushReply::default();
    reply.add("PUSH: Received control message: 'PUSH_REPLY,ping-restart 60,push-continuation 2'");
    reply.add("PUSH: Received control message: 'PUSH_REPLY,redirect-gateway def1 ipv6,push-continuation 1'");
    reply.add("ping-restart 3");
    assert_eq!(reply, PushReply { redirect: (true, true), ping_restart_s: Some(60) });
}
