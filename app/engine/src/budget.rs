//! Admission by weight: how much may be in memory at once, whatever the number of threads.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that may be in flight together.
///
/// One holder is always admitted, so that a document larger than the budget is worked on alone
/// instead of never.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// Bytes taken from a budget until dropped.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Budget {
        Budget { limit, used: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until `bytes` fit.
    pub(crate) fn admit(&self, bytes: u64) -> Admission<'_> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |used: &mut u64| *used > 0 && used.saturating_add(bytes) > self.limit;
        let mut used = self.freed.wait_while(used, full).unwrap_or_else(PoisonError::into_inner);
        *used += bytes;
        Admission { budget: self, bytes }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used -= self.bytes;
        drop(used);
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn no_more_than_the_limit_is_in_flight_and_a_giant_goes_alone() {
        let budget = Budget::new(100);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for weight in [30, 40, 50, 250, 60, 10, 70, 30] {
                let (budget, now, most) = (&budget, &now, &most);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let _admission = budget.admit(weight);
                        let sum = now.fetch_add(weight, Ordering::SeqCst) + weight;
                        assert!(sum <= 100 || sum == 250, "{sum}");
                        most.fetch_max(sum, Ordering::SeqCst);
                        now.fetch_sub(weight, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 250);
    }
}
