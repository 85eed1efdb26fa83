//! Ending sessions, and taking the seal off containers that they left.

use egress_core::api::{Code, Refusal, SessionState, SessionView};
use egress_core::id::SessionId;

use super::Manager;
use crate::session::lifeline::{Lifeline, Status};
use crate::session::sealed::Left;
use crate::session::{container, seal};

impl Manager {
    /// Ends a session. With `release` also one that has ended before: the containers that it left
    /// sealed are the launcher's again.
    pub async fn detach(&self, id: &SessionId, release: bool) -> Result<SessionView, Refusal> {
        let lifeline = match self.lifeline(id) {
            Ok(lifeline) => lifeline,
            Err(unknown) if release => return self.release_former(id).await?.ok_or(unknown),
            Err(unknown) => return Err(unknown),
        };
        let view = self.end(id, &lifeline, release).await.view;
        if view.state != SessionState::Closed && self.0.stopping.is_cancelled() {
            let detail = format!(
                "the agent is going down, and session {id} stands: detach it when it is back"
            );
            return Err(Refusal::new(Code::ShuttingDown, detail));
        }
        Ok(view)
    }

    pub(super) async fn end(&self, id: &SessionId, lifeline: &Lifeline, release: bool) -> Status {
        let status = lifeline.detach(release).await;
        self.forget_over(id, lifeline);
        status
    }

    /// Takes the seal off what sessions of this id left; the last of them, `None` when there is none.
    async fn release_former(&self, id: &SessionId) -> Result<Option<SessionView>, Refusal> {
        let mut shown = None;
        for left in self.0.shell.sealed.of(id) {
            shown = Some(self.unseal(left).await?);
        }
        Ok(shown)
    }

    async fn unseal(&self, left: Left) -> Result<SessionView, Refusal> {
        let shell = &self.0.shell;
        let (former, cookie) = (&left.former, left.former.netns.cookie);
        // Whoever attaches from now on waits for it with the first seal.
        let held = left.turn.take().await;
        if let Some(other) = self.holder(cookie) {
            let detail = format!(
                "the namespace that session {} left belongs to session {other} now: detach that",
                former.view.session_id
            );
            return Err(Refusal::new(Code::NetnsInUse, detail));
        }
        if left.sealed {
            let roots = &shell.sessions.netns_roots;
            let found = container::find(None, &former.found_by, roots, cookie).await;
            let Some(netns) = found else { return Err(not_found(&former.view)) };
            seal::release_held(netns, held).await.map_err(|error| error.reason())?;
        }
        let view = left.former.view.clone();
        shell.sealed.add(Left { sealed: false, ..left }).await;
        Ok(view)
    }

    /// The session that has the namespace of this cookie.
    fn holder(&self, cookie: u64) -> Option<SessionId> {
        let sessions = self.sessions();
        let mut all = sessions.iter();
        all.find(|(_, entry)| entry.cookie == Some(cookie)).map(|(id, _)| id.clone())
    }
}

fn not_found(view: &SessionView) -> Refusal {
    let detail = format!(
        "the namespace that session {} left is not found by the name that it was attached by: it has \
         ended, or can be attached by another name and be released then",
        view.session_id
    );
    Refusal::new(Code::NetnsGone, detail)
}
