//! Commands in a provider's config. None is ever run.

use crate::catalog::model::OnHooks;

/// Programs that tell a host the tunnel's resolvers, which is what an attach's reply does.
const RESOLVER_UPDATERS: [&str; 6] = [
    "resolvconf",
    "resolvectl",
    "systemd-resolve",
    "update-resolv-conf",
    "update-resolv-conf.sh",
    "update-systemd-resolved",
];

/// What becomes of a command, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is left out, and is no loss.
    Moot(&'static str),
    /// It is left out.
    Dropped(&'static str),
    /// The config is refused.
    Refused(&'static str),
}

/// Judges a command. One that would tell the host the tunnel's resolvers is left out whatever the
/// provider says.
pub(crate) fn judge(command: &str, on_hooks: OnHooks) -> Fate {
    if updates_resolvers(command) {
        return Fate::Moot("the resolvers stand in the attach's reply");
    }
    match on_hooks {
        OnHooks::Drop => Fate::Dropped("no command of a config is ever run"),
        OnHooks::Refuse => Fate::Refused(
            "no command of a config is ever run: remove the line, or have it ignored with \
             --drop-hooks or, on the provider, on_hooks = \"drop\"",
        ),
    }
}

/// Whether a command is one program of those alone.
fn updates_resolvers(command: &str) -> bool {
    let program = command.split_ascii_whitespace().next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    RESOLVER_UPDATERS.contains(&name) && !command.contains(|c| "|&;<>()$`\\\"'".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_refused_unless_it_is_dropped_or_only_tells_of_resolvers() {
        for command in ["/etc/openvpn/update-resolv-conf", "resolvectl dns %i 10.64.0.1"] {
            for on_hooks in [OnHooks::Refuse, OnHooks::Drop] {
                assert!(matches!(judge(command, on_hooks), Fate::Moot(_)), "{command}");
            }
        }
        for command in
            ["", "/tmp/x", "resolvectl dns x; reboot", "/tmp/evil resolvconf", "resolvconf|sh"]
        {
            assert!(matches!(judge(command, OnHooks::Refuse), Fate::Refused(_)), "{command}");
            assert!(matches!(judge(command, OnHooks::Drop), Fate::Dropped(_)), "{command}");
        }
    }
}
