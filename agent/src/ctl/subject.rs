//! Who asks, and who owns: names on the command line.

use std::env;

use clap::Args;
use egress_core::catalog::{Owner, Subject};
use nix::unistd::{User, getuid};

#[derive(Debug, Clone, Args)]
pub struct SubjectArguments {
    /// The user who asks; else $USER, under sudo who called it
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// A group of the user; may be repeated
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// The workspace that is launched
    #[arg(long, value_name = "NAME")]
    pub workspace: Option<String>,
}

impl SubjectArguments {
    /// The subject meant. Without any of the three it is the user at the keyboard.
    pub fn subject(&self) -> Subject {
        let nobody = self.user.is_none() && self.groups.is_empty() && self.workspace.is_none();
        let user = if nobody { user_at_keyboard() } else { self.user.clone() };
        Subject { user, groups: self.groups.clone(), workspace: self.workspace.clone() }
    }

    /// The same on another command line.
    pub fn to_arguments(&self) -> Vec<String> {
        let Subject { user, groups, workspace } = self.subject();
        let user = user.map(|name| format!("--user={name}"));
        let groups = groups.into_iter().map(|name| format!("--group={name}"));
        let workspace = workspace.map(|name| format!("--workspace={name}"));
        user.into_iter().chain(groups).chain(workspace).collect()
    }
}

/// Who called: what the environment says, else what the host calls our user.
pub fn user_at_keyboard() -> Option<String> {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|key| env::var(key).ok().filter(|name| !name.is_empty()))
        .or_else(|| User::from_uid(getuid()).ok().flatten().map(|user| user.name))
}

/// `user:NAME`, `group:NAME` or `workspace:NAME`.
pub fn owner(text: &str) -> Result<Owner, String> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() {
        return Err("expected user:NAME, group:NAME or workspace:NAME".to_owned());
    }
    match kind {
        "user" => Ok(Owner::User(name.to_owned())),
        "group" => Ok(Owner::Group(name.to_owned())),
        "workspace" => Ok(Owner::Workspace(name.to_owned())),
        other => Err(format!("{other} owns nothing: say user, group or workspace")),
    }
}

/// An owner as [`owner`] reads it.
pub fn owner_text(owner: &Owner) -> String {
    match owner {
        Owner::User(name) => format!("user:{name}"),
        Owner::Group(name) => format!("group:{name}"),
        Owner::Workspace(name) => format!("workspace:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owners_name_may_hold_colons() {
        assert_eq!(owner("group:a:b"), Ok(Owner::Group("a:b".into())));
        assert_eq!(owner("workspace:firefox"), Ok(Owner::Workspace("firefox".into())));
    }

    #[test]
    fn a_named_workspace_does_not_bring_the_user_along() {
        let named = SubjectArguments { user: None, groups: vec![], workspace: Some("w".into()) };
        assert_eq!(named.subject(), Subject { workspace: Some("w".into()), ..Subject::default() });
    }

    #[test]
    fn a_subject_survives_another_command_line() {
        let given = SubjectArguments {
            user: Some("-x".into()),
            groups: vec!["All Users".into(), "--".into()],
            workspace: None,
        };
        assert_eq!(given.to_arguments(), ["--user=-x", "--group=All Users", "--group=--"]);
    }
}
