//! Who may make which call.

use std::collections::BTreeSet;

use egress_core::catalog::{Provider, RecordKind};
use nix::unistd::{Gid, Group, Uid, User};

use super::calls::Call;
use crate::config::{CertificateName, Members, Name, Plugin, Roles};

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
            | Call::Status
            | Call::Connections
            | Call::Traffic
            | Call::Events
            | Call::ResolveGateway => (true, true, false),
            Call::Providers
            | Call::Gateways
            | Call::Mappings
            | Call::Credentials
            | Call::Workspaces
            | Call::Record(
                RecordKind::Gateway
                | RecordKind::Mapping
                | RecordKind::Credential
                | RecordKind::Workspace,
            ) => (false, true, false),
            Call::Record(RecordKind::Provider) => (false, true, true),
            Call::Apply
            | Call::Create(_)
            | Call::Update(_)
            | Call::Delete(_)
            | Call::BackupStore
            | Call::RotateKey => (false, false, false),
            Call::Push => (false, false, true),
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

/// What somebody may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Their roles; none is a stranger's.
    pub roles: BTreeSet<Role>,
    /// As plugin: the providers that are their own.
    pub providers: Providers,
}

/// Providers that somebody pushes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Providers {
    /// Every managed one.
    Every,
    /// Those with one of these names or ids.
    Named(BTreeSet<String>),
}

impl Default for Providers {
    /// None.
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Providers {
    fn configured(names: &[String]) -> Self {
        if names.is_empty() { Self::Every } else { Self::Named(names.iter().cloned().collect()) }
    }

    fn join(&mut self, other: &Self) {
        match (self, other) {
            (Self::Every, Self::Every | Self::Named(_)) => {}
            (every @ Self::Named(_), Self::Every) => *every = Self::Every,
            (Self::Named(names), Self::Named(more)) => names.extend(more.iter().cloned()),
        }
    }

    /// Whether this provider is one of them.
    pub fn cover(&self, provider: &Provider) -> bool {
        match self {
            Self::Every => true,
            Self::Named(names) => {
                names.contains(&provider.name)
                    || names.iter().any(|name| name.parse() == Ok(provider.id))
            }
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
    /// Where the role is a plugin's: its own.
    providers: Providers,
}

impl RoleTable {
    /// Looks the names up on this host, and says which it does not know: nobody has a role by
    /// those.
    pub fn resolve(roles: &Roles) -> (Self, Vec<String>) {
        let mut unknown = Vec::new();
        let mut row =
            |role, users: &[Name], groups: &[Name], certificates: &[CertificateName]| Row {
                role,
                users: numbers(users, "user", user_number, &mut unknown),
                groups: numbers(groups, "group", group_number, &mut unknown),
                certificates: certificates.iter().cloned().collect(),
                providers: Providers::default(),
            };
        let mut of = |role, Members { users, groups, certificates }: &Members| {
            row(role, users, groups, certificates)
        };
        let mut rows = vec![
            of(Role::Launcher, &roles.launcher),
            of(Role::Ops, &roles.ops),
            of(Role::Admin, &roles.admin),
        ];
        for Plugin { users, groups, certificates, providers } in &roles.plugin.0 {
            let providers = Providers::configured(providers);
            rows.push(Row { providers, ..row(Role::Plugin, users, groups, certificates) });
        }
        (Self(rows), unknown)
    }

    /// What a process with this user and these groups, the primary one among them, may be.
    pub fn of(&self, uid: u32, groups: &[u32]) -> Standing {
        self.standing(|row| {
            row.users.contains(&uid) || groups.iter().any(|group| row.groups.contains(group))
        })
    }

    /// What somebody whose certificate has these names may be.
    pub fn of_certificate(&self, names: &BTreeSet<CertificateName>) -> Standing {
        self.standing(|row| !row.certificates.is_disjoint(names))
    }

    fn standing(&self, has: impl Fn(&Row) -> bool) -> Standing {
        let mut standing = Standing::default();
        for row in self.0.iter().filter(|row| has(row)) {
            standing.roles.insert(row.role);
            standing.providers.join(&row.providers);
        }
        standing
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
            "xx-x GET /v1/status",
            "xx-x GET /v1/connections",
            "xx-x GET /v1/traffic",
            "xx-x GET /v1/events",
            "---x POST /v1/catalog:apply",
            "--xx PUT /v1/providers/{id}/managed-gateways",
            "xx-x GET /v1/gateways:resolve",
            "-x-x GET /v1/providers",
            "-x-x GET /v1/gateways",
            "-x-x GET /v1/mappings",
            "-x-x GET /v1/credentials",
            "-x-x GET /v1/workspaces",
            "---x POST /v1/store:backup",
            "---x POST /v1/store:rotate-key",
            "---x POST /v1/providers",
            "-xxx GET /v1/providers/{id}",
            "---x PATCH /v1/providers/{id}",
            "---x DELETE /v1/providers/{id}",
            "---x POST /v1/gateways",
            "-x-x GET /v1/gateways/{id}",
            "---x PATCH /v1/gateways/{id}",
            "---x DELETE /v1/gateways/{id}",
            "---x POST /v1/mappings",
            "-x-x GET /v1/mappings/{id}",
            "---x PATCH /v1/mappings/{id}",
            "---x DELETE /v1/mappings/{id}",
            "---x POST /v1/credentials",
            "-x-x GET /v1/credentials/{id}",
            "---x PATCH /v1/credentials/{id}",
            "---x DELETE /v1/credentials/{id}",
            "---x POST /v1/workspaces",
            "-x-x GET /v1/workspaces/{name}",
            "---x PATCH /v1/workspaces/{name}",
            "---x DELETE /v1/workspaces/{name}",
            "xxxx GET /v1/openapi.json",
        ];
        assert_eq!(table, wanted);
    }

    #[test]
    fn by_default_root_is_admin_and_strangers_have_no_role() {
        let (table, _) = RoleTable::resolve(&Roles::default());
        assert_eq!(table.of(0, &[0]).roles, BTreeSet::from([Role::Admin]));
        assert_eq!(table.of(65_534, &[65_534]).roles, BTreeSet::new());
    }

    #[test]
    fn any_of_a_callers_groups_gives_it_the_groups_role() {
        let roles: Roles = serde_json::from_str(
            r#"{"launcher": {"groups": [7]}, "ops": {"users": ["nobody"], "groups": [8]}}"#,
        )
        .unwrap();
        let (table, unknown) = RoleTable::resolve(&roles);
        assert_eq!(unknown, Vec::<String>::new());
        assert_eq!(
            table.of(1_000, &[1_000, 8, 7]).roles,
            BTreeSet::from([Role::Launcher, Role::Ops])
        );
        assert_eq!(table.of(65_534, &[]).roles, BTreeSet::from([Role::Ops]));
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
            table.of_certificate(&names.iter().map(|name| name.parse().unwrap()).collect()).roles
        };
        assert_eq!(of(&["cn:x", "dns:L.example.org"]), BTreeSet::from([Role::Launcher]));
        assert_eq!(of(&["cn:o", "cn:l"]), BTreeSet::from([Role::Launcher, Role::Ops]));
        assert_eq!(of(&["dns:o", "uri:l", "email:l"]), BTreeSet::new());
        assert_eq!(of(&[]), BTreeSet::new());
    }

    #[test]
    fn a_plugin_pushes_to_its_own_providers_and_to_those_of_everything_else_it_is() {
        let roles: Roles = serde_json::from_str(
            r#"{"plugin": [{"users": [1, 2], "providers": ["a"]}, {"users": [2, 3], "providers":
                ["00000000-0000-0000-0000-000000000007"]}, {"users": [4]}]}"#,
        )
        .unwrap();
        let (table, _) = RoleTable::resolve(&roles);
        let provider = |id: u128, name: &str| {
            let document = serde_json::json!({"provider": [
                {"id": uuid::Uuid::from_u128(id), "name": name, "type": "custom"}]});
            let (document, _) = egress_core::catalog::Document::from_value(document).unwrap();
            let none = egress_core::catalog::Catalog::default();
            let (plan, _) = document.against(&none, uuid::Uuid::now_v7).unwrap();
            plan.catalog.providers().next().unwrap().clone()
        };
        let of = |uid| {
            let Standing { roles, providers } = table.of(uid, &[]);
            assert_eq!(roles.contains(&Role::Plugin), uid < 5);
            [provider(1, "a"), provider(7, "b")].map(|provider| providers.cover(&provider))
        };
        assert_eq!(of(1), [true, false]);
        assert_eq!(of(2), [true, true]);
        assert_eq!(of(3), [false, true]);
        assert_eq!(of(4), [true, true]);
        assert_eq!(of(5), [false, false]);
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
