//! Directives that no config may have.

use super::rule::Group;

const CODE: &str = "it runs a program or loads code: remove it";
const CHECK: &str = "it checks the server in a way that is not supported here, and leaving it out \
                     would weaken the check";
const FILES: &str = "it reads or writes files of the host: remove it";
const KEYS_ELSEWHERE: &str = "the key must stand in the config: put it between <key> and </key>";
const PROXY: &str = "a proxy is not supported";
const UNSAFE: &str = "it takes protection away: remove it";
const STATIC_KEY: &str = "a tunnel with a static key is not supported, only one with TLS";
const COMMAND: &str = "it is a command to openvpn, not a setting";
const SERVER: &str = "it belongs into a server's config";
const PUSHED: &str = "only a server may send it";
const MEANING: &str = "it is not supported, and leaving it out would change what the config means";

pub(super) const GROUPS: &[Group] = &[
    (
        CODE,
        &[
            "auth-user-pass-verify",
            "client-connect",
            "client-crresponse",
            "client-disconnect",
            "engine",
            "iproute",
            "learn-address",
            "msg-channel",
            "pkcs11-cert-private",
            "pkcs11-id",
            "pkcs11-id-management",
            "pkcs11-pin-cache",
            "pkcs11-private-mode",
            "pkcs11-protected-authentication",
            "pkcs11-providers",
            "plugin",
            "providers",
            "setcon",
            "tls-crypt-v2-verify",
        ],
    ),
    (
        CHECK,
        &["compat-names", "no-name-remapping", "tls-remote", "tls-verify", "x509-username-field"],
    ),
    (
        FILES,
        &[
            "auth-gen-token-secret",
            "capath",
            "cd",
            "chroot",
            "client-config-dir",
            "config",
            "ifconfig-pool-persist",
            "memstats",
            "replay-persist",
            "tls-export-cert",
            "tmp-dir",
            "writepid",
        ],
    ),
    (KEYS_ELSEWHERE, &["cryptoapicert", "management-external-cert", "management-external-key"]),
    (
        PROXY,
        &[
            "http-proxy",
            "http-proxy-option",
            "http-proxy-override",
            "http-proxy-timeout",
            "http-proxy-user-pass",
            "socks-proxy",
        ],
    ),
    (UNSAFE, &["no-iv", "no-replay"]),
    (STATIC_KEY, &["secret"]),
    (
        COMMAND,
        &[
            "genkey",
            "gremlin",
            "help",
            "mktun",
            "rmtun",
            "show-adapters",
            "show-ciphers",
            "show-curves",
            "show-digests",
            "show-engines",
            "show-gateway",
            "show-groups",
            "show-net",
            "show-pkcs11-ids",
            "show-tls",
            "show-valid-subnets",
            "test-crypto",
            "version",
        ],
    ),
    (
        SERVER,
        &[
            "auth-gen-token",
            "auth-user-pass-optional",
            "bcast-buffers",
            "ccd-exclusive",
            "client-cert-not-required",
            "client-to-client",
            "connect-freq",
            "connect-freq-initial",
            "disable",
            "duplicate-cn",
            "force-tls-key-material-export",
            "hash-size",
            "ifconfig-ipv6-pool",
            "ifconfig-ipv6-push",
            "ifconfig-pool",
            "ifconfig-push",
            "ifconfig-push-constraint",
            "iroute",
            "iroute-ipv6",
            "max-clients",
            "max-routes-per-client",
            "mode",
            "opt-verify",
            "port-share",
            "push",
            "push-remove",
            "push-reset",
            "server",
            "server-bridge",
            "server-ipv6",
            "stale-routes-check",
            "tcp-queue-limit",
            "tls-server",
            "username-as-common-name",
            "verify-client-cert",
            "vlan-accept",
            "vlan-pvid",
            "vlan-tagging",
        ],
    ),
    (
        PUSHED,
        &[
            "auth-token",
            "auth-token-user",
            "key-derivation",
            "keying-material-exporter",
            "peer-id",
            "protocol-flags",
            "push-continuation",
        ],
    ),
    (MEANING, &["client-nat", "proto-force"]),
];
