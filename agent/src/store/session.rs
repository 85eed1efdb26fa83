//! What must outlive the agent of each session.

use std::net::{IpAddr, SocketAddr};

use egress_core::api::{AttachRequest, NetnsRef, Reason, SessionState};
use egress_core::id::{CredentialId, GatewayId, SessionId};
use ipnet::IpNet;
use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};

use super::columns::{Bits, Json, Text, Word};

/// Which network namespace a session's container has. Inodes are reused, cookies are not, but for
/// another boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NetnsIdentity {
    /// `/proc/sys/kernel/random/boot_id` at the attach.
    pub boot_id: String,
    /// `SO_NETNS_COOKIE`.
    pub cookie: u64,
}

/// One session as the store keeps it: written before the kernel is touched, and after each change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// What the launcher asked for, its id included.
    pub request: AttachRequest,
    /// Its way out now: the request's, unless it was moved.
    pub gateway: Option<GatewayId>,
    /// The credential of its lease.
    pub credential: Option<CredentialId>,
    /// The [`secret_version`](egress_core::catalog::Credential::secret_version) of that credential
    /// that the tunnel was made of.
    pub secret_version: Option<u64>,
    /// The container's namespace.
    pub netns: NetnsIdentity,
    /// Where the namespace was found.
    pub found_by: NetnsRef,
    /// The tunnel's device inside the container.
    pub interface: Option<String>,
    /// What the data plane calls its tunnel.
    pub tunnel: Option<u64>,
    /// The device's addresses.
    pub addresses: Vec<IpNet>,
    /// The tunnel's resolvers.
    pub dns: Vec<IpAddr>,
    /// The tunnel's search domains.
    pub search: Vec<String>,
    /// The device's MTU in bytes.
    pub mtu: Option<u16>,
    /// Counts the session's tunnels: news of a former one is told apart by it.
    pub generation: u64,
    /// Where it stands.
    pub state: SessionState,
    /// Why it is where it is.
    pub reason: Option<Reason>,
    /// The address that the tunnel last reached its server at.
    pub endpoint: Option<SocketAddr>,
    /// Seconds since the epoch at which the attach was accepted.
    pub created_at: u64,
}

impl SessionRow {
    /// The launcher's name for it.
    pub fn id(&self) -> &SessionId {
        &self.request.session_id
    }
}

const SAVE: &str = "INSERT OR REPLACE INTO session (session_id, request, gateway_id, credential_id, \
    netns_boot_id, netns_cookie, netns_found_by, interface, tunnel_id, addresses, dns, search, mtu, \
    generation, state, reason, endpoint, created_at, secret_version) VALUES (:session_id, :request, :gateway_id, \
    :credential_id, :netns_boot_id, :netns_cookie, :netns_found_by, :interface, :tunnel_id, \
    :addresses, :dns, :search, :mtu, :generation, :state, :reason, :endpoint, \
    :created_at, :secret_version)";

/// Writes the row, whether it is new or known.
pub(super) fn save(db: &Connection, row: &SessionRow) -> rusqlite::Result<()> {
    db.prepare_cached(SAVE)?.execute(named_params! {
        ":session_id": row.id().as_str(),
        ":request": Json(&row.request),
        ":gateway_id": row.gateway.as_ref().map(GatewayId::as_bytes),
        ":credential_id": row.credential.as_ref().map(CredentialId::as_bytes),
        ":netns_boot_id": row.netns.boot_id,
        ":netns_cookie": Bits(row.netns.cookie),
        ":netns_found_by": Json(&row.found_by),
        ":interface": row.interface,
        ":tunnel_id": row.tunnel.map(Bits),
        ":addresses": Json(&row.addresses),
        ":dns": Json(&row.dns),
        ":search": Json(&row.search),
        ":mtu": row.mtu,
        ":generation": Bits(row.generation),
        ":state": Word(row.state),
        ":reason": row.reason.as_ref().map(Json),
        ":endpoint": row.endpoint.map(Text),
        ":created_at": Bits(row.created_at),
        ":secret_version": row.secret_version.map(Bits),
    })?;
    Ok(())
}

/// Removes the row; none is fine.
pub(super) fn forget(db: &Connection, session: &SessionId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM session WHERE session_id = ?1")?.execute([session.as_str()])?;
    Ok(())
}

/// The id of every row, and when its attach was accepted.
pub(super) fn ids(db: &Connection) -> rusqlite::Result<Vec<(SessionId, u64)>> {
    db.prepare_cached("SELECT session_id, created_at FROM session")?
        .query_map([], |row| Ok((row.get::<_, Text<_>>(0)?.0, row.get::<_, Bits>(1)?.0)))?
        .collect()
}

/// Every row, oldest first.
pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<SessionRow>> {
    db.prepare_cached("SELECT * FROM session ORDER BY created_at, session_id")?
        .query_map([], read)?
        .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        request: row.get::<_, Json<_>>("request")?.0,
        gateway: row.get::<_, Option<_>>("gateway_id")?.map(GatewayId::from_bytes),
        credential: row.get::<_, Option<_>>("credential_id")?.map(CredentialId::from_bytes),
        secret_version: row.get::<_, Option<Bits>>("secret_version")?.map(|bits| bits.0),
        netns: NetnsIdentity {
            boot_id: row.get("netns_boot_id")?,
            cookie: row.get::<_, Bits>("netns_cookie")?.0,
        },
        found_by: row.get::<_, Json<_>>("netns_found_by")?.0,
        interface: row.get("interface")?,
        tunnel: row.get::<_, Option<Bits>>("tunnel_id")?.map(|bits| bits.0),
        addresses: row.get::<_, Json<_>>("addresses")?.0,
        dns: row.get::<_, Json<_>>("dns")?.0,
        search: row.get::<_, Json<_>>("search")?.0,
        mtu: row.get("mtu")?,
        generation: row.get::<_, Bits>("generation")?.0,
        state: row.get::<_, Word<_>>("state")?.0,
        reason: row.get::<_, Option<Json<_>>>("reason")?.map(|json| json.0),
        endpoint: row.get::<_, Option<Text<_>>>("endpoint")?.map(|text| text.0),
        created_at: row.get::<_, Bits>("created_at")?.0,
    })
}
