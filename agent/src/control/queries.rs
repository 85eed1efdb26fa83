//! What may stand behind the question mark.

use egress_core::api::{GatewayRecord, OnSessions, SessionState, SessionView};
use egress_core::catalog::Subject;
use egress_core::id::{GatewayId, ProviderId};
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

/// `DELETE /v1/sessions/{id}`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DetachQuery {
    /// Take the seal away too: the namespace is then as it was before the attach. Also the seal that
    /// a session has left which has ended.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = bool, default = false)]
    pub release: bool,
}

/// `GET /v1/sessions`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsQuery {
    /// Only those of this user.
    pub user: Option<String>,
    /// Only those of this workspace.
    pub workspace: Option<String>,
    /// Only those through this gateway.
    #[param(value_type = Option<String>, format = Uuid)]
    pub gateway: Option<GatewayId>,
    /// Only those in this state.
    #[param(inline)]
    pub state: Option<SessionState>,
    /// How many at most; all without.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1)]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// `GET /v1/gateways`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewaysQuery {
    /// Only those of this provider.
    #[param(value_type = Option<String>, format = Uuid)]
    pub provider: Option<ProviderId>,
    /// Only those in this country, in letters of either case.
    pub country: Option<String>,
    /// Only those in this city, in letters of either case.
    pub city: Option<String>,
    /// How many at most; all without.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1)]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// `GET /v1/mappings`, `GET /v1/credentials`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OfProviderQuery {
    /// Only those of this provider.
    #[param(value_type = Option<String>, format = Uuid)]
    pub provider: Option<ProviderId>,
    /// How many at most; all without.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1)]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// `GET /v1/providers`, `GET /v1/workspaces`
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// How many at most; all without.
    #[serde(default, deserialize_with = "limit")]
    #[param(value_type = Option<u32>, minimum = 1)]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

impl SessionsQuery {
    /// Whether it asks for this session, on whatever page.
    pub fn wants(&self, session: &SessionView) -> bool {
        let gateway = || session.gateway.as_ref().map(|gateway| gateway.id);
        let subject = &session.subject;
        self.user.as_ref().is_none_or(|user| subject.user.as_ref() == Some(user))
            && self.workspace.as_ref().is_none_or(|name| subject.workspace.as_ref() == Some(name))
            && self.gateway.is_none_or(|id| gateway() == Some(id))
            && self.state.is_none_or(|state| session.state == state)
    }
}

impl GatewaysQuery {
    /// Whether it asks for this gateway, on whatever page.
    pub fn wants(&self, gateway: &GatewayRecord) -> bool {
        let same = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.to_lowercase() == text.to_lowercase())
        };
        self.provider.is_none_or(|id| gateway.provider_id == id)
            && same(&self.country, &gateway.country)
            && same(&self.city, &gateway.city)
    }
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

/// A number of entries, one at least.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let limit = u32::deserialize(deserializer)?;
    if limit == 0 {
        return Err(serde::de::Error::custom("expected 1 or more"));
    }
    Ok(Some(limit as usize))
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
