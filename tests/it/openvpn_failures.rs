//! What is told of an OpenVPN tunnel that does not come to be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use egress_core::api::Code;

use super::harness::lab::{Lab, in_lab};
use super::harness::openvpn_client::{Client, Who};
use super::harness::openvpn_pki::{Age, Authority};
use super::harness::openvpn_server::{Carrier, OpenvpnServer, Options, PASSWORD, Proof, Wrap};

/// An attach waits that long, unless it says otherwise.
const ATTACH: Duration = Duration::from_secs(10);

#[expect(clippy::print_stdout, reason = "the times are worth a look")]
/// A tunnel that does not come to be: its code, what is said of it, and whether it is over.
fn failure(client: &mut Client, profile: &str, who: &Who) -> (Code, String, bool) {
    let begun = Instant::now();
    let mut tunnel = client.start(profile, who);
    let failure = tunnel.trouble();
    println!("{failure:?} after {:?}", begun.elapsed());
    assert!(begun.elapsed() < ATTACH, "later than an attach waits: {failure:?}");
    if failure.2 {
        assert!(!tunnel.tells_more_within(Duration::from_millis(700)), "tried again by itself");
    }
    failure
}

#[test]
fn every_failure_has_its_code() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let mut client = Client::new();
        let who = Who::default();
        let said = Some("Account suspended, see https://x.example/?a=1".to_owned());
        let proof = Proof::Password(PASSWORD.to_owned(), said);
        let server = OpenvpnServer::start(&gateway, Options { proof, ..Options::default() });
        let profile = server.profile();

        let wrong = Who { password: Some("wrong".to_owned()), ..Who::default() };
        let (code, detail, over) = failure(&mut client, &profile, &wrong);
        assert!(code == Code::AuthFailed && over && detail.contains("Account suspended"));

        let name = server.profile_with(&server.remote(), "verify-x509-name other name\n");
        let (code, detail, over) = failure(&mut client, &name, &who);
        assert!(code == Code::TlsFailed && over && detail.contains("X509NAME"), "{detail}");

        let other = OpenvpnServer::start(&gateway, Options { port: 1195, ..Options::default() });
        let (code, detail, over) =
            failure(&mut client, &other.profile_with(&server.remote(), ""), &who);
        assert!(code == Code::TlsFailed && over && detail.contains("certificate"), "{detail}");

        let old = Options { port: 1196, age: Age::Expired, ..Options::default() };
        let old = OpenvpnServer::start(&gateway, old);
        let (code, detail, over) = failure(&mut client, &old.profile(), &who);
        assert!(code == Code::TlsFailed && over && detail.contains("expired"), "{detail}");

        let refused = format!("remote {} 1 udp\n", gateway.v4(1));
        let (code, ..) = failure(&mut client, &server.profile_with(&refused, ""), &who);
        assert_eq!(code, Code::EndpointUnreachable);
        let refused = format!("remote {} 1 tcp\n", gateway.v4(1));
        let (code, ..) = failure(&mut client, &server.profile_with(&refused, ""), &who);
        assert_eq!(code, Code::EndpointUnreachable);
        let silent = "remote 203.0.113.9 1194 udp\n";
        let (code, ..) = failure(&mut client, &server.profile_with(silent, ""), &who);
        assert_eq!(code, Code::EndpointUnreachable);
        let unknown = "remote no-such-host.invalid 1194 udp\n";
        let (code, ..) = failure(&mut client, &server.profile_with(unknown, ""), &who);
        assert_eq!(code, Code::EndpointUnresolved);
    });
}

#[test]
fn a_wrong_key_around_tls_and_an_expired_certificate_of_ours_have_their_codes() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let mut client = Client::new();
        let who = Who::default();
        let crypt = |port, carrier| {
            let wrap = Wrap::Crypt;
            OpenvpnServer::start(&gateway, Options { carrier, port, wrap, ..Options::default() })
        };
        let (one, other) = (crypt(1210, Carrier::Udp), crypt(1211, Carrier::Udp));
        // A server that is given the wrong key says nothing at all.
        let (code, detail, _) = failure(&mut client, &one.profile_with(&other.remote(), ""), &who);
        assert!(code == Code::EndpointUnreachable && detail.contains("tls-crypt"), "{detail}");
        let tcp = crypt(1212, Carrier::Tcp);
        let (code, detail, _) = failure(&mut client, &one.profile_with(&tcp.remote(), ""), &who);
        assert!(code == Code::TlsFailed && detail.contains("tls-crypt"), "{detail}");

        let proof = Proof::Certificate(Age::Expired);
        let strict =
            OpenvpnServer::start(&gateway, Options { port: 1213, proof, ..Options::default() });
        let who = Who { password: None, ..Who::default() };
        let (code, ..) = failure(&mut client, &strict.profile(), &who);
        assert_eq!(code, Code::TlsFailed);
    });
}

#[test]
fn a_challenge_is_asked_for_and_answered() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let mut client = Client::new();
        let asked = Some("CRV1:R,E:state:YWxpY2U=:Please enter token PIN".to_owned());
        let proof = Proof::Password("CRV1::state::1234".to_owned(), asked);
        let server = OpenvpnServer::start(&gateway, Options { proof, ..Options::default() });
        let (code, detail, over) = failure(&mut client, &server.profile(), &Who::default());
        assert!(
            code == Code::ChallengeRequired && over && detail.contains("token PIN"),
            "{detail}"
        );
        let who = Who { challenge: Some("1234".to_owned()), ..Who::default() };
        client.start(&server.profile(), &who).connected();

        // "s3cret pass" and "1234" in base64.
        let proof = Proof::Password("SCRV1:czNjcmV0IHBhc3M=:MTIzNA==".to_owned(), None);
        let options = Options { port: 1220, proof, ..Options::default() };
        let server = OpenvpnServer::start(&gateway, options);
        let profile = server.profile_with(&server.remote(), "static-challenge \"Token PIN\" 1\n");
        let (code, _, over) = failure(&mut client, &profile, &Who::default());
        assert!(code == Code::ChallengeRequired && over);
        client.start(&profile, &who).connected();
    });
}

#[test]
fn an_openvpn_that_is_missing_or_too_old_is_told() {
    in_lab(|_: &Lab| {
        let profile = "client\ndev tun\nremote 203.0.113.1\nauth-user-pass\n";
        let profile = format!("{profile}<ca>\n{}</ca>\n", Authority::new("x").certificate());
        let mut client = Client::of("/nowhere/openvpn").unwrap();
        let refused = client.try_start(&profile, &Who::default()).err().unwrap();
        assert_eq!(refused.code, Code::OpenvpnMissing);
        let path = "/run/old-openvpn";
        fs::write(path, "#!/bin/sh\necho 'OpenVPN 2.5.9 x86_64-pc-linux-gnu'\nexit 1\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut client = Client::of(path).unwrap();
        let refused = client.try_start(&profile, &Who::default()).err().unwrap();
        assert_eq!(refused.code, Code::OpenvpnTooOld);
        assert!(refused.detail.contains("2.5.9"), "{refused:?}");
    });
}
