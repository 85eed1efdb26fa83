//! The row of a session that begins.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use egress_core::api::{AttachRequest, Code, Refusal, SessionState, SessionView};
use tokio::time::timeout;

use crate::session::ends::End;
use crate::session::selection;
use crate::session::shell::Shell;
use crate::store::{NetnsIdentity, SessionRow};

/// The row of a session that begins, in the namespace of this cookie.
pub(super) fn new(shell: &Shell, request: AttachRequest, cookie: u64) -> SessionRow {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SessionRow {
        gateway: request.gateway,
        credential: None,
        secret_version: None,
        netns: NetnsIdentity { boot_id: shell.boot_id.clone(), cookie },
        found_by: request.netns.clone(),
        interface: None,
        tunnel: request.gateway.map(|_| shell.store.next_tunnel_id()),
        addresses: Vec::new(),
        dns: Vec::new(),
        search: Vec::new(),
        mtu: None,
        generation: 0,
        state: SessionState::Connecting,
        reason: None,
        endpoint: None,
        created_at: since_epoch.as_secs(),
        request,
    }
}

/// What is shown of it before there is one.
pub(super) fn blank_view(request: &AttachRequest) -> SessionView {
    SessionView {
        session_id: request.session_id.clone(),
        state: SessionState::Connecting,
        reason: None,
        subject: request.subject.clone(),
        profile: request.profile,
        gateway: None,
        credential_id: None,
        credential_name: None,
        stale_credential: false,
        interface: None,
        addresses: Vec::new(),
        dns: Vec::new(),
        search: Vec::new(),
        mtu: None,
        environment: BTreeMap::new(),
        timings_ms: None,
        created_at: 0,
        unwritten: None,
        warnings: Vec::new(),
    }
}

/// Writes the row of a new session. Until there is one, nothing is done to the container.
pub(super) async fn keep(
    shell: &Shell,
    row: &SessionRow,
    deadline: Instant,
) -> Result<(), Refusal> {
    let left = deadline.saturating_duration_since(Instant::now());
    let kept = timeout(left, async {
        // A former session of that id must be gone from the store before.
        shell.ends.settle_one(&*shell.store, row.id()).await?;
        shell.store.save(row).await
    });
    match kept.await {
        Ok(kept) => kept.map_err(|error| selection::unavailable(&error)),
        Err(_elapsed) => {
            // The store may still write it.
            shell.ends.add(End::of(row));
            let detail =
                "the deadline passed while the store was being written; nothing was changed";
            Err(Refusal::new(Code::DeadlineExceeded, detail))
        }
    }
}
