//! The tasks of runs of all tenants, for the workers of this process.

use stella_engine::{Cancel, NoProgress, Performer, RunTasks};
use stella_model::ErrorCode;
use stella_run::{Failure, Lease, RunState, TaskResult};
use tokio::runtime::Handle;

use crate::runs::stored_order;
use crate::service::Service;

/// Does the tasks of runs.
pub(crate) struct Hands<'a> {
    pub(crate) service: &'a Service,
    pub(crate) runtime: Handle,
}

impl Performer for Hands<'_> {
    fn perform(
        &self,
        lease: &Lease,
        run: &RunState,
        cancel: &Cancel,
    ) -> Result<TaskResult, Option<Failure>> {
        let again = |error: &dyn std::fmt::Display| {
            Some(Failure::new(ErrorCode::Unreachable, format!("cannot read the run: {error}")))
        };
        let found = self.runtime.block_on(self.service.catalog.run(&lease.run));
        let found =
            found.map_err(|error| again(&error))?.ok_or_else(|| again(&"it is not there"))?;
        let order = stored_order(&found).and_then(|stored| stored.request());
        let request = order.map_err(|problem| Some(problem.failure()))?;
        let store = self.service.store(&lease.run.tenant);
        let tasks = RunTasks { store: &store, request: &request, signing: &self.service.signing };
        tasks.perform(&lease.task, run, &NoProgress, cancel)
    }
}
