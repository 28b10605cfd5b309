//! The workers of this process, and the tasks of runs of all tenants that they do.

use stella_catalog::BlockingStore;
use stella_engine::{
    Cancel, Performer, Progress, RunTasks, Sweeper, WakingStore, Worker, WorkerEvent,
};
use stella_model::ErrorCode;
use stella_run::{Failure, Lease, RunState, TaskResult};
use tokio::runtime::{Handle, Runtime};

use crate::api::stored_order;
use crate::service::Service;
use crate::telemetry::TaskSpan;

/// Lets workers work for as long as something else goes on; what they hold then is given back.
pub(crate) fn with_workers(
    runtime: &Runtime,
    service: &Service,
    workers: u16,
    meanwhile: impl FnOnce(&Cancel) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stop = Cancel::new();
    let states = BlockingStore::new(service.catalog.clone(), runtime.handle().clone());
    let watch = |event: &WorkerEvent<'_>| service.hear(event, runtime.handle());
    let (queue, clock) = (&*service.queue, || service.now());
    let states = WakingStore { store: &states, queue, watch: &watch };
    let name = process_name();
    let hands = (0..workers).map(|number| Hands {
        service,
        runtime: runtime.handle().clone(),
        worker: format!("{name}-{number}"),
    });
    let hands: Vec<Hands<'_>> = hands.collect();
    std::thread::scope(|scope| {
        // Also where nobody works: what a dead worker held is taken back, so that a run that is
        // cancelled ends.
        let sweeper = Sweeper { store: &states, queue, clock: &clock, watch: &watch };
        let stopped = &stop;
        scope.spawn(move || sweeper.work(stopped));
        for hands in &hands {
            let worker = Worker {
                name: hands.worker.clone(),
                store: &states,
                queue,
                performer: hands,
                clock: &clock,
                watch: &watch,
            };
            scope.spawn(move || worker.work(stopped));
        }
        let done = meanwhile(&stop);
        stop.set();
        done
    })
}

/// What this process is called, for people who look for a worker.
pub(crate) fn process_name() -> String {
    format!("{}-{}", machine_name(), std::process::id())
}

fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let plain: String = name.chars().filter(|c| is_plain(*c)).take(40).collect();
    if plain.is_empty() { "worker".to_owned() } else { plain }
}

/// Does the tasks of runs.
struct Hands<'a> {
    service: &'a Service,
    runtime: Handle,
    /// What the worker is called whose hands they are.
    worker: String,
}

impl Performer for Hands<'_> {
    fn perform(
        &self,
        lease: &Lease,
        run: &RunState,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<TaskResult, Option<Failure>> {
        let span = TaskSpan::begin(&self.service.spans, lease, &self.worker);
        let done = self.attempt(lease, run, &span.stages(progress), cancel);
        span.end(&done);
        done
    }
}

impl Hands<'_> {
    fn attempt(
        &self,
        lease: &Lease,
        run: &RunState,
        progress: &dyn Progress,
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
        tasks.perform(&lease.task, run, progress, cancel)
    }
}
