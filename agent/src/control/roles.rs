//! Who may make which call.

use std::collections::BTreeSet;

use nix::unistd::{Gid, Group, Uid, User};

use super::calls::Call;
use crate::config::{CertificateName, Members, Name, Roles};

/// What a caller may be. Somebody may have several roles, and may do what any of them may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Attaches and detaches containers.
    Launcher,
    /// Looks, and changes nothing.
    Ops,
    /// Pushes managed gateways, and does nothing else.
    Plugin,
    /// Does everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Launcher, Self::Ops, Self::Plugin, Self::Admin];

    /// The role's name in `agent.toml` and the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launcher => "launcher",
            Self::Ops => "ops",
            Self::Plugin => "plugin",
            Self::Admin => "admin",
        }
    }

    /// Whether this role may make this call.
    pub fn may(self, call: Call) -> bool {
        let (launcher, ops, plugin) = match call {
            Call::Attach | Call::Detach => (true, false, false),
            Call::Sessions
            | Call::Session
            | Call::Offers
            | Call::Connections
            | Call::Events
            | Call::ResolveGateway => (true, true, false),
            Call::Providers
            | Call::Gateways
            | Call::Mappings
            | Call::Credentials
            | Call::Workspaces => (false, true, false),
            Call::Apply | Call::BackupStore | Call::RotateKey => (false, false, false),
            Call::Openapi => (true, true, true),
        };
        match self {
            Self::Launcher => launcher,
            Self::Ops => ops,
            Self::Plugin => plugin,
            Self::Admin => true,
        }
    }
}

/// [`Roles`] with numbers for names, to be asked for each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleTable(Vec<Row>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    role: Role,
    users: BTreeSet<u32>,
    groups: BTreeSet<u32>,
    certificates: BTreeSet<CertificateName>,
}

impl RoleTable {
    /// Looks the names up on this host, and says which it does not know: nobody has a role by
    /// those.
    pub fn resolve(roles: &Roles) -> (Self, Vec<String>) {
        let mut unknown = Vec::new();
        let rows = Role::ALL
            .map(|role| {
                let members = members(roles, role);
                let users = numbers(&members.users, "user", user_number, &mut unknown);
                let groups = numbers(&members.groups, "group", group_number, &mut unknown);
                let certificates = members.certificates.iter().cloned().collect();
                Row { role, users, groups, certificates }
            })
            .to_vec();
        (Self(rows), unknown)
    }

    /// The roles of a process with this user and these groups, the primary one among them.
    pub fn of(&self, uid: u32, groups: &[u32]) -> BTreeSet<Role> {
        let has = |row: &&Row| {
            row.users.contains(&uid) || groups.iter().any(|group| row.groups.contains(group))
        };
        self.0.iter().filter(has).map(|row| row.role).collect()
    }

    /// The roles of somebody whose certificate has these names.
    pub fn of_certificate(&self, names: &BTreeSet<CertificateName>) -> BTreeSet<Role> {
        let has = |row: &&Row| !row.certificates.is_disjoint(names);
        self.0.iter().filter(has).map(|row| row.role).collect()
    }
}

fn members(roles: &Roles, role: Role) -> &Members {
    match role {
        Role::Launcher => &roles.launcher,
        Role::Ops => &roles.ops,
        Role::Plugin => &roles.plugin,
        Role::Admin => &roles.admin,
    }
}

fn numbers(
    names: &[Name],
    kind: &str,
    number: fn(&str) -> Option<u32>,
    unknown: &mut Vec<String>,
) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for name in names {
        match name {
            Name::Number(number) => {
                found.insert(*number);
            }
            Name::Text(text) => match number(text) {
                Some(number) => {
                    found.insert(number);
                }
                None => unknown.push(format!("{kind} {text}")),
            },
        }
    }
    found
}

fn user_number(name: &str) -> Option<u32> {
    User::from_name(name).ok().flatten().map(|user| Uid::as_raw(user.uid))
}

/// The number of a group by its name or number; `None` when this host knows no such name.
pub fn group_number(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    Group::from_name(name).ok().flatten().map(|group| Gid::as_raw(group.gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole matrix, one line a call: launcher, ops, plugin, admin.
    #[test]
    fn each_role_may_make_exactly_its_calls() {
        let table: Vec<String> = Call::ALL
            .iter()
            .map(|call| {
                let mark = |role: Role| if role.may(*call) { 'x' } else { '-' };
                let marks: String = Role::ALL.into_iter().map(mark).collect();
                format!("{marks} {} {}", call.method(), call.path())
            })
            .collect();
        let wanted = [
            "x--x POST /v1/sessions",
            "xx-x GET /v1/sessions",
            "xx-x GET /v1/sessions/{id}",
            "x--x DELETE /v1/sessions/{id}",
            "xx-x GET /v1/offers",
            "xx-x GET /v1/connections",
            "xx-x GET /v1/events",
            "---x POST /v1/catalog:apply",
            "xx-x GET /v1/gateways:resolve",
            "-x-x GET /v1/providers",
            "-x-x GET /v1/gateways",
            "-x-x GET /v1/mappings",
            "-x-x GET /v1/credentials",
            "-x-x GET /v1/workspaces",
            "---x POST /v1/store:backup",
            "---x POST /v1/store:rotate-key",
            "xxxx GET /v1/openapi.json",
        ];
        assert_eq!(table, wanted);
    }

    #[test]
    fn by_default_root_is_admin_and_strangers_have_no_role() {
        let (table, _) = RoleTable::resolve(&Roles::default());
        assert_eq!(table.of(0, &[0]), BTreeSet::from([Role::Admin]));
        assert_eq!(table.of(65_534, &[65_534]), BTreeSet::new());
    }

    #[test]
    fn any_of_a_callers_groups_gives_it_the_groups_role() {
        let roles: Roles = serde_json::from_str(
            r#"{"launcher": {"groups": [7]}, "ops": {"users": ["nobody"], "groups": [8]}}"#,
        )
        .unwrap();
        let (table, unknown) = RoleTable::resolve(&roles);
        assert_eq!(unknown, Vec::<String>::new());
        assert_eq!(table.of(1_000, &[1_000, 8, 7]), BTreeSet::from([Role::Launcher, Role::Ops]));
        assert_eq!(table.of(65_534, &[]), BTreeSet::from([Role::Ops]));
    }

    #[test]
    fn any_of_a_certificates_names_gives_it_the_names_role() {
        let roles: Roles = serde_json::from_str(
            r#"{"launcher": {"certificates": ["dns:l.example.org", "cn:l"]},
                "ops": {"certificates": ["cn:o"]}}"#,
        )
        .unwrap();
        let (table, _) = RoleTable::resolve(&roles);
        let of = |names: &[&str]| {
            table.of_certificate(&names.iter().map(|name| name.parse().unwrap()).collect())
        };
        assert_eq!(of(&["cn:x", "dns:L.example.org"]), BTreeSet::from([Role::Launcher]));
        assert_eq!(of(&["cn:o", "cn:l"]), BTreeSet::from([Role::Launcher, Role::Ops]));
        assert_eq!(of(&["dns:o", "uri:l", "email:l"]), BTreeSet::new());
        assert_eq!(of(&[]), BTreeSet::new());
    }

    #[test]
    fn a_name_the_host_does_not_know_is_reported_and_gives_nobody_a_role() {
        let roles: Roles =
            serde_json::from_str(r#"{"ops": {"users": ["no-such-user"], "groups": ["no-group"]}}"#)
                .unwrap();
        let (_, unknown) = RoleTable::resolve(&roles);
        assert!(unknown.contains(&"user no-such-user".to_owned()), "{unknown:?}");
        assert!(unknown.contains(&"group no-group".to_owned()), "{unknown:?}");
    }
}
