//! Directives that are left out: the agent or the container's namespace makes them moot.

use super::rule::{Group, Reading};

/// Left out once the agent has read them.
pub(super) const READ: &[(&str, Reading)] = &[
    ("auth-user-pass", Reading::Credentials),
    ("dev", Reading::Device),
    ("dev-type", Reading::DeviceType),
    ("dhcp-option", Reading::DhcpOption),
    ("dns", Reading::Dns),
    ("setenv", Reading::Setenv),
];

const AGENT: &str = "the agent sees to this itself";
const SOCKET: &str = "the agent chooses the address that the tunnel's packets leave from";
const NETWORK: &str = "addresses and routes come from the server, and the tunnel always is the \
                       default route";
const COMMANDS: &str = "no command of a config is ever run, sooner or later";
const LOGS: &str = "openvpn's log goes to the agent";
const ELSEWHERE: &str = "it means nothing on this system";
const OBSOLETE: &str = "openvpn no longer needs it";
const UNTOLD: &str = "nothing about this host is told to the server";

const FILTER: &str = "what the server may set is the agent's to say";
const UPLINK: &str = "the agent chooses the way that the tunnel's packets take on the host";
const SPLIT: &str = "the tunnel is the default route all the same; with split = true on the provider \
                     it is the way to what the server sends routes for";
const RATE: &str = "the agent does not limit how much is sent";

/// Left out although the config means something else without them.
pub(super) const MISSED: &[Group] = &[
    (FILTER, &["pull-filter"]),
    (UPLINK, &["bind-dev", "local", "mark"]),
    (SPLIT, &["redirect-private", "route-nopull"]),
    (RATE, &["shaper"]),
];

/// Programs that openvpn would run when the tunnel's network changes. None of them checks the
/// server: those that do are refused whatever a provider says.
pub(super) const HOOKS: &[&str] = &["down", "ipchange", "route-pre-down", "route-up", "up"];

pub(super) const GROUPS: &[Group] = &[
    (
        AGENT,
        &[
            "allow-recursive-routing",
            "askpass",
            "auth-nocache",
            "auth-retry",
            "connect-retry",
            "connect-retry-max",
            "daemon",
            "disable-dco",
            "group",
            "ignore-unknown-option",
            "inactive",
            "management",
            "management-client",
            "management-client-auth",
            "management-client-group",
            "management-client-user",
            "management-forget-disconnect",
            "management-hold",
            "management-log-cache",
            "management-query-passwords",
            "management-query-proxy",
            "management-query-remote",
            "management-signal",
            "management-up-down",
            "max-packet-size",
            "mlock",
            "mtu-test",
            "nice",
            "persist-key",
            "persist-local-ip",
            "persist-remote-ip",
            "persist-tun",
            "ping-exit",
            "preresolve",
            "remap-usr1",
            "resolv-retry",
            "script-security",
            "session-timeout",
            "single-session",
            "tun-mtu-max",
            "user",
        ],
    ),
    (SOCKET, &["bind", "ip-remote-hint", "lport", "multihome", "nobind"]),
    (
        NETWORK,
        &[
            "allow-pull-fqdn",
            "block-ipv6",
            "block-outside-dns",
            "dev-node",
            "ifconfig",
            "ifconfig-ipv6",
            "ifconfig-noexec",
            "ifconfig-nowarn",
            "lladdr",
            "max-routes",
            "redirect-gateway",
            "route",
            "route-delay",
            "route-gateway",
            "route-ipv6",
            "route-ipv6-gateway",
            "route-metric",
            "route-noexec",
            "topology",
            "txqueuelen",
        ],
    ),
    (COMMANDS, &["down-pre", "up-delay", "up-restart"]),
    (
        LOGS,
        &[
            "echo",
            "errors-to-stderr",
            "log",
            "log-append",
            "machine-readable-output",
            "mute",
            "parameter",
            "status",
            "status-version",
            "suppress-timestamps",
            "syslog",
            "verb",
        ],
    ),
    (
        ELSEWHERE,
        &[
            "allow-nonadmin",
            "dhcp-internal",
            "dhcp-pre-release",
            "dhcp-release",
            "dhcp-renew",
            "ip-win32",
            "pause-exit",
            "rdns-internal",
            "register-dns",
            "route-method",
            "service",
            "show-net-up",
            "tap-sleep",
            "win-sys",
            "windows-driver",
        ],
    ),
    (
        OBSOLETE,
        &[
            "comp-noadapt",
            "dh",
            "disable-occ",
            "ecdh-curve",
            "http-proxy-retry",
            "key-method",
            "keysize",
            "mtu-dynamic",
            "ncp-disable",
            "prng",
            "socks-proxy-retry",
            "use-prediction-resistance",
            "x509-track",
        ],
    ),
    (UNTOLD, &["push-peer-info", "setenv-safe"]),
];
