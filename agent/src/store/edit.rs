//! A change of the catalog, planned where nobody else can change it.

use std::collections::BTreeSet;
use std::fmt;

use egress_core::catalog::{Catalog, RecordId};
use tokio::sync::oneshot;

use super::{Store, StoreError};

/// Given the catalog as it is and what the edit's source named last, if that is asked for: what is
/// to become of the catalog, or that nothing is.
type Planner = Box<dyn FnOnce(&Catalog, &BTreeSet<RecordId>) -> Option<Revision> + Send>;

/// A change of the catalog. It is planned by the engine, between the changes before and after it.
pub struct Edit {
    /// What it is, for errors: "apply to the catalog".
    pub operation: &'static str,
    /// Who edits.
    pub source: Source,
    /// Makes the plan. It may not wait: every other call does.
    pub plan: Planner,
}

/// Where a document comes from: `apply` prunes only what the same source named last.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Empty where there is none.
    pub name: String,
    /// Whether the plan is given the records that it named last. They may be the whole catalog.
    pub prunes: bool,
}

/// What the catalog becomes.
#[derive(Debug)]
pub struct Revision {
    /// Every record there is afterwards.
    pub catalog: Catalog,
    /// The records that are the source's from now on.
    pub named: BTreeSet<RecordId>,
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").field("operation", &self.operation).finish_non_exhaustive()
    }
}

impl dyn Store + '_ {
    /// Edits the catalog, and gives what `plan` has to say of it. That is said once the plan is
    /// carried out.
    pub(crate) async fn edit_as<T: Send + 'static>(
        &self,
        operation: &'static str,
        source: Source,
        plan: impl FnOnce(&Catalog, &BTreeSet<RecordId>) -> (T, Option<Revision>) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (say, said) = oneshot::channel();
        let plan: Planner = Box::new(move |catalog, made| {
            let (word, plan) = plan(catalog, made);
            // Whoever asked may have gone.
            let _ = say.send(word);
            plan
        });
        self.edit(Edit { operation, source, plan }).await?;
        said.await.map_err(|_| StoreError::Unavailable { operation })
    }
}
