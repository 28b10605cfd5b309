//! What the simulator finds: nothing in the product, and every bug that is put in.

use stella_sim::{Canary, Faults, Report, Setup, simulate};

/// Seeds of a normal run, and of the long form.
const SEEDS: (usize, usize) = (5_000, 100_000);

fn setup(seed: u64, canary: Option<Canary>) -> Setup {
    Setup { seed, faults: Faults::Chance, canary }
}

#[test]
fn whatever_fails_every_run_ends_and_its_bytes_are_the_same() {
    let mut all = Report::default();
    for seed in 0..stella_testkit::rounds(SEEDS.0, SEEDS.1) as u64 {
        let report = simulate(&setup(seed, None)).unwrap_or_else(|violation| panic!("{violation}"));
        all.actions += report.actions;
        all.kills += report.kills;
        for (status, count) in report.ended {
            *all.ended.entry(status).or_insert(0) += count;
        }
    }
    println!("{all:?}");
    // Chance reaches everything that runs can come to.
    assert_eq!(all.ended.len(), 4, "{all:?}");
    assert!(all.kills > 1_000, "{all:?}");
}

#[test]
fn a_worker_may_be_killed_at_any_action() {
    for seed in 0..6 {
        let undisturbed = Setup { seed, faults: Faults::KillAt(u64::MAX), canary: None };
        let calm = simulate(&undisturbed).unwrap_or_else(|violation| panic!("{violation}"));
        assert_eq!(calm.kills, 0);
        for action in 0..calm.actions {
            let report = simulate(&Setup { faults: Faults::KillAt(action), ..undisturbed })
                .unwrap_or_else(|violation| panic!("killed at action {action}: {violation}"));
            assert_eq!((report.kills, &report.ended), (1, &calm.ended), "at action {action}");
        }
    }
}

/// The first seed that shows a bug.
fn found(canary: Canary) -> Option<String> {
    let of_seed = |seed| simulate(&setup(seed, Some(canary))).err();
    (0..500).find_map(of_seed).map(|violation| violation.what)
}

#[test]
fn bugs_that_are_put_in_are_found() {
    for canary in [Canary::LostUpdates, Canary::WorkerInBytes, Canary::NoSweeper] {
        let what = found(canary);
        println!("{canary:?}: {what:?}");
        assert!(what.is_some(), "{canary:?} was not found");
    }
}

#[test]
fn a_seed_says_the_same_every_time() {
    for seed in 0..20 {
        assert_eq!(simulate(&setup(seed, None)), simulate(&setup(seed, None)));
    }
}
