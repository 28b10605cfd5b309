//! Where simulated tasks put what they make.

use std::cell::RefCell;
use std::collections::BTreeMap;

use stella_model::{Digest, DigestBuilder};
use stella_run::{Bundle, Plan, TaskId};

/// Blobs by plan and task, and bundles by plan and target.
#[derive(Debug, Default)]
pub(crate) struct Depot {
    blobs: RefCell<BTreeMap<(Digest, TaskId), Digest>>,
}

/// What a task of a plan makes: it depends on nothing else (INV-DET).
pub(crate) fn made(plan: &Digest, task: &TaskId) -> Digest {
    let mut content = DigestBuilder::new();
    content.digest(plan).lp(task.to_string().as_bytes());
    content.finish()
}

/// The bundle of a plan.
pub(crate) fn bundle(plan: &Plan) -> Bundle {
    let mut content = DigestBuilder::new();
    for task in plan.packing() {
        content.digest(&made(&plan.plan_hash, &task));
    }
    sealed(content)
}

fn sealed(content: DigestBuilder) -> Bundle {
    let export_digest = content.finish();
    Bundle { export_digest, files: export_digest, bytes: 1 }
}

impl Depot {
    /// Puts what a task made.
    ///
    /// # Errors
    /// If something else is there already.
    pub(crate) fn put(&self, plan: &Digest, task: &TaskId, content: Digest) -> Result<(), String> {
        match self.blobs.borrow_mut().insert((*plan, task.clone()), content) {
            Some(before) if before != content => Err(format!("{task} made two different things")),
            _ => Ok(()),
        }
    }

    pub(crate) fn get(&self, plan: &Digest, task: &TaskId) -> Option<Digest> {
        self.blobs.borrow().get(&(*plan, task.clone())).copied()
    }

    /// The bundle over what the tasks of a plan made; none if something is missing.
    pub(crate) fn seal(&self, plan: &Plan) -> Option<Bundle> {
        let mut content = DigestBuilder::new();
        for task in plan.packing() {
            content.digest(&self.get(&plan.plan_hash, &task)?);
        }
        Some(sealed(content))
    }

    /// Loses the blob at this place.
    pub(crate) fn lose(&self, place: u64) {
        let mut blobs = self.blobs.borrow_mut();
        let count = blobs.len() as u64;
        let place = usize::try_from(place.checked_rem(count).unwrap_or(0)).unwrap_or(0);
        if let Some(key) = blobs.keys().nth(place).cloned() {
            blobs.remove(&key);
        }
    }
}
