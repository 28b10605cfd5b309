//! Our reading of Trivy against the decisions of the real program.

use stella_versions::trivy::Comparer;

/// Answers of Trivy 0.59.1 and 0.76.0 in the letters of the vectors.
fn decide(comparer: Comparer, constraint: &str, version: &str) -> (char, char) {
    let (Ok(range), Ok(version)) = (comparer.constraint(constraint), comparer.version(version))
    else {
        return ('e', 'e');
    };
    let letter = |matched: Option<bool>| if matched == Some(true) { 'y' } else { 'n' };
    (letter(range.matches_until_0_64(&version)), letter(range.matches(&version)))
}

fn check(comparer: Comparer, vectors: &str) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[constraint, version, old, new] = fields.as_slice() else {
            panic!("not four fields: {line:?}")
        };
        let ours = decide(comparer, &constraint.replace("\\t", "\t"), version);
        count += 1;
        if let Ok(range) = comparer.constraint(&constraint.replace("\\t", "\t")) {
            let lost = old == "e" && new != "e";
            assert_eq!(lost, new != "e" && !range.is_read_by_0_59(), "{constraint:?} {version:?}");
        }
        // Python's few differences between the two programs are not told.
        let old = if comparer == Comparer::Npm { old } else { new };
        if (ours.0.to_string(), ours.1.to_string()) != (old.to_owned(), new.to_owned()) {
            wrong.push(format!("{constraint:?} {version:?}: Trivy {old}{new}, ours {ours:?}"));
        }
    }
    assert!(count > 100, "{count} vectors");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn generic_ranges_are_decided_as_trivy_does() {
    check(Comparer::Generic, include_str!("vectors/generic-trivy.tsv"));
}

#[test]
fn npm_ranges_are_decided_as_trivy_does() {
    check(Comparer::Npm, include_str!("vectors/npm-trivy.tsv"));
}

#[test]
fn pep440_ranges_are_decided_as_trivy_does() {
    check(Comparer::Pep440, include_str!("vectors/pep440-trivy.tsv"));
}

#[test]
fn maven_ranges_are_decided_as_trivy_does() {
    check(Comparer::Maven, include_str!("vectors/maven-trivy.tsv"));
}

#[test]
fn rubygems_ranges_are_decided_as_trivy_does() {
    check(Comparer::RubyGems, include_str!("vectors/rubygems-trivy.tsv"));
}

#[test]
fn bitnami_ranges_are_decided_as_trivy_does() {
    check(Comparer::Bitnami, include_str!("vectors/bitnami-trivy.tsv"));
}

fn check_packages(comparer: Comparer, vectors: &str) {
    let mut wrong = Vec::new();
    let lines: Vec<&str> = vectors.lines().filter(|line| !line.starts_with('#')).collect();
    for line in &lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[installed, fixed, _, new] = fields.as_slice() else { panic!("not four: {line:?}") };
        let older = match (comparer.version(installed), comparer.version(fixed)) {
            (Ok(installed), Ok(fixed)) => installed.compare(&fixed).is_some_and(|o| o.is_lt()),
            _ => false,
        };
        if older != (new == "y") {
            wrong.push(format!("{installed:?} before {fixed:?}: Trivy {new}, ours {older}"));
        }
    }
    assert!(lines.len() > 100, "{} vectors", lines.len());
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}

#[test]
fn deb_versions_are_ordered_as_trivy_does() {
    check_packages(Comparer::Deb, include_str!("vectors/deb-trivy.tsv"));
}

#[test]
fn rpm_versions_are_ordered_as_trivy_does() {
    check_packages(Comparer::Rpm, include_str!("vectors/rpm-trivy.tsv"));
}

#[test]
fn apk_versions_are_ordered_as_trivy_does() {
    check_packages(Comparer::Apk, include_str!("vectors/apk-trivy.tsv"));
}

#[test]
fn every_ecosystem_of_the_database_has_its_comparer() {
    let cases = [
        ("go", Some(Comparer::Generic)),
        ("nuget", Some(Comparer::Generic)),
        ("npm", Some(Comparer::Npm)),
        ("pip", Some(Comparer::Pep440)),
        ("maven", Some(Comparer::Maven)),
        ("cocoapods", Some(Comparer::RubyGems)),
        ("bitnami", Some(Comparer::Bitnami)),
        ("debian 12", None),
    ];
    for (prefix, expected) in cases {
        assert_eq!(Comparer::of_ecosystem(prefix), expected, "{prefix}");
    }
}

#[test]
fn what_cannot_be_a_range_is_refused_by_name() {
    use stella_versions::trivy::{ConstraintError, MAX_CONSTRAINT_BYTES};
    let long = "=1 ".repeat(MAX_CONSTRAINT_BYTES);
    assert!(matches!(Comparer::Npm.constraint(&long), Err(ConstraintError::TooLong { .. })));
    assert_eq!(Comparer::Npm.constraint("").err(), Some(ConstraintError::Empty));
    assert!(matches!(Comparer::Deb.constraint("<1"), Err(ConstraintError::NoRanges { .. })));
    let large = Comparer::Generic.constraint("<18446744073709551616");
    assert!(matches!(large, Err(ConstraintError::Bound { .. })));
    let malformed = Comparer::Pep440.constraint(">=1 || ^2");
    assert!(matches!(malformed, Err(ConstraintError::Malformed { .. })));
}

#[test]
fn the_deepest_text_is_read_and_a_deeper_bound_is_refused() {
    use stella_versions::trivy::ConstraintError;
    use stella_versions::{MAX_VERSION_BYTES, Scheme};
    let deepest = "a1".repeat(MAX_VERSION_BYTES / 2);
    assert!(Scheme::Maven.compare(&deepest, &deepest).is_ok_and(|order| order.is_eq()));
    for comparer in Comparer::ALL {
        if let Ok(order) = comparer.compare(&deepest, &deepest) {
            assert!(order.is_eq(), "{}", comparer.name());
        }
    }
    let deeper = "1-".repeat(MAX_VERSION_BYTES);
    for range in [format!("<{deeper}"), format!("[{deeper},2]")] {
        let refused = Comparer::Maven.constraint(&range);
        assert!(matches!(refused, Err(ConstraintError::Bound { .. })), "{:.20}", range);
    }
}

#[test]
fn versions_and_ranges_of_two_comparers_have_no_answer() {
    let npm = Comparer::Npm.version("1.2.3").expect("a version");
    let generic = Comparer::Generic.version("1.2.3").expect("a version");
    assert_eq!(npm.compare(&generic), None);
    let range = Comparer::Npm.constraint("<2").expect("a range");
    assert_eq!((range.matches(&npm), range.matches(&generic)), (Some(true), None));
}
