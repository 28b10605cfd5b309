//! Any two texts as versions and ranges: reading never panics, and orders are the same from both sides.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stella_versions::Scheme;
use stella_versions::trivy::Comparer;

fuzz_target!(|texts: (&str, &str)| {
    let (a, b) = texts;
    for scheme in Scheme::ALL {
        if let (Ok(forth), Ok(back)) = (scheme.compare(a, b), scheme.compare(b, a)) {
            assert_eq!(forth, back.reverse(), "{a:?} and {b:?} in {}", scheme.name());
        }
    }
    for comparer in Comparer::ALL {
        if let (Ok(range), Ok(version)) = (comparer.constraint(a), comparer.version(b)) {
            assert!(range.matches(&version).is_some(), "no answer of the same comparer");
        }
    }
});
