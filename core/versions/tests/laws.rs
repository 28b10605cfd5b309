//! Laws that hold for every text: reading never panics, and each published order is total.

use std::cmp::Ordering;

use proptest::prelude::*;
use stella_versions::trivy::{Comparer, Plain};
use stella_versions::{Scheme, Version};

/// Texts out of the pieces that versions are made of, so that many are read and many are equal.
fn version_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "0",
        "1",
        "2",
        "01",
        "10",
        ".",
        ".",
        ".",
        "-",
        "-",
        "+",
        "~",
        "^",
        "_",
        ":",
        "!",
        "a",
        "b",
        "rc",
        "alpha",
        "final",
        "sp",
        "post",
        "dev",
        "x",
        "r",
        "-r1",
        "_rc",
        "_p",
        "v",
        "git",
        "99999999999999999999",
    ]);
    prop::collection::vec(pieces, 1..9).prop_map(|pieces| pieces.concat())
}

fn constraint_like() -> impl Strategy<Value = String> {
    let operators = prop::sample::select(vec![
        "", "=", "==", "===", "!=", "<", "<=", ">", ">=", "~", "~>", "~=", "^", "||", ",", " ",
        "[", "(", "]", ")", "*", ".*", "|",
    ]);
    prop::collection::vec((operators, version_like()), 1..5).prop_map(|terms| {
        terms.iter().map(|(operator, text)| format!("{operator}{text}")).collect()
    })
}

/// The versions of a scheme among the texts.
fn read(scheme: Scheme, texts: &[String]) -> Vec<Version> {
    texts.iter().filter_map(|text| scheme.parse(text).ok()).collect()
}

fn order(a: &Version, b: &Version) -> Ordering {
    a.compare(b).expect("versions of one scheme have an order")
}

/// Three versions of numbers and dots, most often of as many numbers.
fn plain_like() -> impl Strategy<Value = Vec<String>> {
    let version = |counts: std::ops::Range<usize>| {
        let numbers = prop::sample::select(vec!["0", "1", "2", "9", "10", "11", "999999999"]);
        prop::collection::vec(numbers, counts).prop_map(|numbers| numbers.join("."))
    };
    let three = |counts| prop::collection::vec(version(counts), 3);
    prop_oneof![2 => three(3..4), 1 => three(1..5)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Reading them as numbers decides what Trivy decides, old and new.
    #[test]
    fn plain_versions_and_their_ranges_are_what_the_parser_makes_of_them(
        texts in plain_like(),
    ) {
        for &comparer in Comparer::ALL {
            let plain: Vec<_> =
                texts.iter().filter_map(|text| Plain::read(comparer, text)).collect();
            let [from, to, version] = plain[..] else { continue };
            let parsed: Vec<_> =
                texts.iter().map(|text| comparer.version(text).expect("plain")).collect();
            prop_assert_eq!(parsed[0].compare(&parsed[1]), Some(from.cmp(&to)));
            for (range, holds) in [
                (format!("={}", texts[0]), version == from),
                (format!("<{}", texts[1]), version < to),
                (format!("<={}", texts[1]), version <= to),
                (format!(">={}, <{}", texts[0], texts[1]), from <= version && version < to),
                (format!(">={}, <={}", texts[0], texts[1]), from <= version && version <= to),
            ] {
                let read = comparer.constraint(&range);
                let read = read.unwrap_or_else(|error| panic!("{comparer:?} {range}: {error}"));
                prop_assert!(read.is_read_by_0_59());
                prop_assert_eq!(read.matches(&parsed[2]), Some(holds), "{:?} {}", comparer, range);
                prop_assert_eq!(read.matches_until_0_64(&parsed[2]), Some(holds), "{}", range);
            }
        }
    }

    #[test]
    fn published_orders_are_total(texts in prop::collection::vec(version_like(), 3..12)) {
        for scheme in Scheme::ALL {
            let versions = read(*scheme, &texts);
            for a in &versions {
                prop_assert_eq!(order(a, a), Ordering::Equal);
                for b in &versions {
                    prop_assert_eq!(order(a, b), order(b, a).reverse(), "{:?} {:?}", a, b);
                    // The order of Maven is not transitive; see `Maven::compare`.
                    for c in versions.iter().filter(|_| *scheme != Scheme::Maven) {
                        let rises = order(a, b).is_le() && order(b, c).is_le();
                        prop_assert!(!rises || order(a, c).is_le(), "{:?} {:?} {:?}", a, b, c);
                    }
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}", other in ".{0,20}") {
        for scheme in Scheme::ALL {
            let _ = scheme.compare(&text, &other);
        }
        for comparer in Comparer::ALL {
            let _ = comparer.compare(&text, &other);
            let range = comparer.constraint(&text);
            if let (Ok(range), Ok(version)) = (range, comparer.version(&other)) {
                prop_assert!(range.matches(&version).is_some());
            }
        }
    }

    #[test]
    fn ranges_are_decided_without_panic(range in constraint_like(), text in version_like()) {
        for comparer in Comparer::ALL {
            let (range, version) = (comparer.constraint(&range), comparer.version(&text));
            if let (Ok(range), Ok(version)) = (range, version) {
                prop_assert!(range.matches(&version).is_some());
                prop_assert!(range.matches_until_0_64(&version).is_some());
            }
        }
    }

    #[test]
    fn trivys_orders_are_the_same_from_both_sides(a in version_like(), b in version_like()) {
        for comparer in Comparer::ALL {
            if let (Ok(forth), Ok(back)) = (comparer.compare(&a, &b), comparer.compare(&b, &a)) {
                prop_assert_eq!(forth, back.reverse(), "{:?} {:?} for {}", a, b, comparer.name());
            }
        }
    }
}
