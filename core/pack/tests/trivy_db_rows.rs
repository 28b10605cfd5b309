//! What becomes of records in the database of Trivy: rows, ranges, names, and what is reported.

mod support;

use serde_json::json;
use stella_testkit::Osv;

use support::build;

#[test]
fn an_empty_database_has_what_trivy_cannot_do_without() {
    let built = build(&[]);
    assert_eq!(built.buckets, ["Red Hat CPE", "data-source", "vulnerability"]);
    for release in [8, 9] {
        let set = format!("rhel-{release}-for-x86_64-baseos-rpms");
        assert_eq!(built.row("Red Hat CPE", "repository", &set), Some(json!([0])), "{set}");
    }
    assert!(built.report.is_empty());
}

#[test]
fn rows_of_distributions_lie_under_the_ids_that_their_scanners_show() {
    let of = |id: &str, ecosystem: &str| Osv::new(id).affects(ecosystem, "p", "1.2");
    let upstream = |osv: Osv| osv.with("upstream", json!(["CVE-2023-1", "CVE-2023-2"]));
    let suse = "SUSE:Linux Enterprise Server 15 SP5";
    for (record, bucket, ids) in [
        (upstream(of("DSA-1-1", "Debian:12")), "debian 12", &["CVE-2023-1", "CVE-2023-2"][..]),
        (of("ACME-1", "Debian:12"), "debian 12", &["ACME-1"]),
        (of("CVE-2023-1", "Wolfi"), "wolfi", &["CVE-2023-1"]),
        (upstream(of("SUSE-SU-1", suse)), "SUSE Linux Enterprise 15.5", &["SUSE-SU-1"]),
        // An erratum about no vulnerability.
        (of("ALBA-2023:1", "AlmaLinux:9"), "alma 9", &[]),
    ] {
        let built = build(&[record]);
        let found: Vec<&str> = built
            .keys
            .keys()
            .filter(|(top, ..)| top == bucket)
            .map(|(_, _, id)| id.as_str())
            .collect();
        assert_eq!(found, ids, "{bucket}");
        assert!(ids.iter().all(|id| built.detail(id).is_some()), "{bucket}");
    }
}

#[test]
fn releases_that_nobody_scans_are_no_loss_while_others_are_told() {
    let suse = |product: &str| Osv::new("SUSE-SU-1").affects(product, "p", "1.0-1");
    let unknown = "SUSE:Manager Server 4.3";
    assert!(build(&[suse(unknown)]).contents.is_lost("SUSE"));
    let known = suse(unknown).affects("SUSE:Linux Enterprise Server 15 SP5", "p", "1.0-1");
    assert!(!build(&[known]).contents.is_lost("SUSE"));
}
