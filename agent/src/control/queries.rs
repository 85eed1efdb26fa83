//! What may stand behind the question mark.

use egress_core::api::OnSessions;
use egress_core::catalog::Subject;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

/// `DELETE /v1/sessions/{id}`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DetachQuery {
    /// Take the seal away too: the namespace is then as it was before the attach.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = bool, default = false)]
    pub release: bool,
}

/// `GET /v1/offers`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OffersQuery {
    /// The user.
    user: Option<String>,
    /// The user's groups: the parameter repeated, or separated by commas.
    #[serde(default)]
    groups: Vec<String>,
    /// The workspace to be launched.
    workspace: Option<String>,
    /// Say also what is hidden, and why.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = bool, default = false)]
    pub explain: bool,
}

impl OffersQuery {
    /// Who the menu is for.
    pub fn into_subject(self) -> Subject {
        let names = self.groups.iter().flat_map(|groups| groups.split(','));
        let groups = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Subject { user: self.user, groups, workspace: self.workspace }
    }
}

/// `GET /v1/gateways:resolve`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveQuery {
    /// A gateway's id, `provider/name`, or a name that only one provider's gateway has.
    pub name: String,
}

/// `POST /v1/catalog:apply`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyQuery {
    /// Say what would change, and write nothing.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = bool, default = false)]
    pub dry_run: bool,
    /// Remove what an earlier apply made and this document does not name.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = bool, default = false)]
    pub prune: bool,
    /// What becomes of sessions that run on what is changed or removed.
    #[serde(default)]
    #[param(inline)]
    pub sessions: OnSessions,
}

/// `PATCH /v1/…/{id}`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateQuery {
    /// What becomes of sessions that run on what is changed.
    #[serde(default)]
    #[param(inline)]
    pub sessions: OnSessions,
}

/// `DELETE /v1/…/{id}`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    /// Remove also what needs the record: a provider's gateways, mappings and credentials. A
    /// gateway is taken off the lists that have it; one that is empty then allows nothing.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = bool, default = false)]
    pub cascade: bool,
    /// What becomes of sessions that run on what is removed.
    #[serde(default)]
    #[param(inline)]
    pub sessions: OnSessions,
}

/// `PUT /v1/providers/{id}/managed-gateways`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PushQuery {
    /// Say what would change, and write nothing.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = bool, default = false)]
    pub dry_run: bool,
}

/// `1` and `true`, `0` and `false`.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => {
            Err(serde::de::Error::custom(format!("expected true, false, 1 or 0, not {other:?}")))
        }
    }
}
