//! Work that several threads do together.

/// Has the work done by so many threads, this one among them, and by no more than there are tasks;
/// each takes the tasks that nobody has taken. Ends when all have ended.
///
/// # Errors
/// That of one of them, if any failed. The others are not told: work that need not be done any more
/// says so in what they share.
///
/// # Panics
/// If one of them did.
pub(crate) fn share<E: Send>(
    threads: usize,
    tasks: usize,
    work: impl Fn() -> Result<(), E> + Sync,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        let others = threads.clamp(1, tasks.max(1)) - 1;
        let workers: Vec<_> = (0..others).map(|_| scope.spawn(&work)).collect();
        let first = work();
        workers.into_iter().fold(first, |all, worker| match worker.join() {
            Ok(outcome) => all.and(outcome),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Does something with each of these, each on a thread of its own but the first; the outcomes in their
/// order.
///
/// # Panics
/// If one of them did.
pub(crate) fn each<T: Sync, R: Send>(tasks: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let Some((first, others)) = tasks.split_first() else { return Vec::new() };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = others.iter().map(|task| scope.spawn(move || work(task))).collect();
        let mut outcomes = vec![work(first)];
        outcomes.extend(others.into_iter().map(|other| match other.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        outcomes
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_threads_work_than_there_are_tasks_and_one_does_if_there_is_none() {
        for (threads, tasks, expected) in
            [(0, 5, 1), (1, 5, 1), (3, 5, 3), (5, 3, 3), (4, 0, 1), (0, 0, 1)]
        {
            let begun = AtomicUsize::new(0);
            let work = || {
                begun.fetch_add(1, Ordering::Relaxed);
                Ok::<(), ()>(())
            };
            share(threads, tasks, work).expect("nobody fails");
            assert_eq!(begun.into_inner(), expected, "{threads} threads, {tasks} tasks");
        }
    }

    #[test]
    fn outcomes_come_in_the_order_of_their_tasks() {
        assert_eq!(each(&[3, 1, 2], |task| task * 10), [30, 10, 20]);
        assert_eq!(each(&[], |task: &u8| *task), [0; 0]);
    }

    #[test]
    fn the_failure_of_any_thread_is_that_of_all_and_all_are_waited_for() {
        for failing in 0..3 {
            let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = || {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                let outcome = if number == failing { Err(number) } else { Ok(()) };
                ended.fetch_add(1, Ordering::Relaxed);
                outcome
            };
            assert_eq!(share(3, 9, work), Err(failing));
            assert_eq!(ended.into_inner(), 3);
        }
    }

    #[test]
    fn a_panic_of_any_thread_goes_on_in_this_one() {
        let begun = AtomicUsize::new(0);
        let work = || match begun.fetch_add(1, Ordering::Relaxed) {
            1 => panic!("the second"),
            _ => Ok::<(), ()>(()),
        };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| share(2, 2, work)));
        let panic = caught.expect_err("it panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the second"));
    }
}
