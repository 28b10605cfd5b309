//! Records made to be multiplied: what they may take is bounded, and what is over a bound is
//! reported (INV-LIMIT).

mod support;

use serde_json::{Value, json};
use stella_pack::trivy_db::Options;
use stella_testkit::Osv;

use support::{AS_OF, Built, build, build_with};

fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// A record with these aliases about the package `p`.
fn named(id: &str, ecosystem: &str, cves: usize, others: usize) -> Osv {
    let mut aliases = ids("CVE-2026-", cves);
    aliases.extend(ids("ACME-X-", others));
    let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
    Osv::new(id).aliases(&aliases).affects(ecosystem, "p", "1.0.0")
}

fn rows(built: &Built, bucket: &str) -> usize {
    built.keys.keys().filter(|(top, ..)| top.starts_with(bucket)).count()
}

#[test]
fn names_without_number_are_reported_and_have_no_rows() {
    for (cves, others, told) in [
        (3000, 3000, "too-many-names A 6001 names"),
        (4096, 0, "too-many-names A 4097 names"),
        (129, 0, "too-many-names A 129 CVE ids, 129 pairs of names, 1978 bytes under each id"),
        (100, 40, "too-many-names A 100 CVE ids, 4100 pairs of names, 2024 bytes under each id"),
    ] {
        let built = build(&[named("A", "npm", cves, others)]);
        assert_eq!(built.told(), [told]);
        assert_eq!(rows(&built, "npm"), 0);
        assert_eq!(built.contents.tally.gaps, [("npm".to_owned(), 1)].into());
        assert!(built.contents.is_lost("npm"));
    }
    for (cves, others) in [(128, 0), (128, 31), (1, 4000), (0, 4000), (8, 500)] {
        let built = build(&[named("A", "npm", cves, others)]);
        assert_eq!(built.told(), [""; 0], "{cves} {others}");
        assert_eq!(rows(&built, "npm"), cves.max(1));
    }
}

#[test]
fn packages_times_names_are_bounded() {
    let record = |packages: usize, cves: usize, others: usize| {
        let entry = |number: usize| {
            json!({"package": {"ecosystem": "npm", "name": format!("p{number}")},
                "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.0"}]}]})
        };
        let entries: Vec<Value> = (0..packages).map(entry).collect();
        named("A", "npm", cves, others).with("affected", json!(entries))
    };
    for (packages, cves, others) in [(3000, 100, 0), (4000, 1, 400)] {
        let built = build(&[record(packages, cves, others)]);
        let told = built.told();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("too-many-names A "), "{told:?}");
        assert_eq!(rows(&built, "npm"), 0);
    }
    let built = build(&[record(500, 8, 16)]);
    assert_eq!(built.told(), [""; 0]);
    assert_eq!(rows(&built, "npm"), 4000);
}

#[test]
fn errata_of_distributions_name_hundreds_of_vulnerabilities() {
    // As a kernel of Ubuntu: each CVE id beside the distribution's own name of it.
    let mut upstream = ids("CVE-2026-", 900);
    upstream.extend(ids("UBUNTU-CVE-2026-", 900));
    let entry = |number: usize| {
        json!({"package": {"ecosystem": "Ubuntu:22.04:LTS", "name": format!("linux-{number}")},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.15.0-1"}]}]})
    };
    let entries: Vec<Value> = (0..60).map(entry).collect();
    let notice =
        Osv::new("USN-1-1").with("upstream", json!(upstream)).with("affected", json!(entries));
    let built = build(&[notice]);
    assert_eq!(built.told(), [""; 0]);
    assert_eq!(rows(&built, "ubuntu 22.04"), 60 * 900);

    let erratum = |related: usize, packages: usize| {
        let entry = |number: usize| {
            json!({"package": {"ecosystem": "AlmaLinux:9", "name": format!("p{number}")},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1-1.el9"}]}]})
        };
        let entries: Vec<Value> = (0..packages).map(entry).collect();
        let related = json!(ids("CVE-2026-", related));
        Osv::new("ALSA-2026:1").with("related", related).with("affected", json!(entries))
    };
    let built = build(&[erratum(400, 600)]);
    assert_eq!(built.told(), [""; 0]);
    assert_eq!(rows(&built, "alma 9"), 400 * 600);
    for (related, packages, told) in [
        (4097, 1, "too-many-names ALSA-2026:1 4097 related names"),
        (4000, 300, "too-many-names ALSA-2026:1 4000 CVE ids for 300 packages"),
    ] {
        let built = build(&[erratum(related, packages)]);
        assert_eq!(built.told(), [told]);
        assert_eq!(rows(&built, "alma 9"), 0);
        assert!(built.contents.is_lost("alma 9"));
    }
}

#[test]
fn notices_name_thousands_of_packages_and_not_more_than_memory_holds() {
    let notice = |id: &str, packages: usize| {
        let names = (0..packages).map(|number| (format!("p{number}"), json!("1.0-1")));
        let binaries: serde_json::Map<String, Value> = names.collect();
        let entry = json!({
            "package": {"ecosystem": "SUSE:Linux Enterprise Server 15 SP5", "name": "p"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0-1"}]}],
            "ecosystem_specific": {"binaries": [binaries]},
        });
        build(&[Osv::new(id).with("affected", json!([entry]))])
    };
    let bucket = "SUSE Linux Enterprise 15.5";
    let built = notice("SUSE-SU-1", 10_000);
    assert_eq!((rows(&built, bucket), built.told()), (10_000, Vec::new()));
    let long = "S".repeat(1000);
    for (id, packages, told) in [
        (long.as_str(), 17_000, "a long id for 17000 packages"),
        ("SUSE-SU-1", 200_000, "more packages of distributions than rows are made for"),
    ] {
        let built = notice(id, packages);
        assert_eq!(built.told(), [format!("too-many-names {id} {told}")]);
        assert_eq!(rows(&built, bucket), 0);
        assert!(built.contents.is_lost(bucket));
    }
}

#[test]
fn a_name_that_stands_for_too_many_ids_leaves_a_record_under_its_own() {
    let teacher = |number: usize, count: usize| {
        let mut aliases = ids(&format!("CVE-{}-", 2000 + number), count);
        aliases.push("X".to_owned());
        let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
        Osv::new(&format!("T-{number}")).aliases(&aliases).affects("npm", "q", "1.0.0")
    };
    let asker = || Osv::new("A").aliases(&["X"]).affects("npm", "p", "1.0.0");
    let of_p = |built: &Built| {
        let keys = built.keys.keys().filter(|(_, package, _)| package == "p");
        keys.map(|(_, _, id)| id.clone()).collect::<Vec<_>>()
    };
    let built = build(&[teacher(1, 60), teacher(2, 60), asker()]);
    assert_eq!(built.told(), [""; 0]);
    assert_eq!(of_p(&built).len(), 120);
    let built = build(&[teacher(1, 60), teacher(2, 60), asker(), teacher(3, 60)]);
    assert_eq!(built.told(), ["too-many-names A p names that stand for too many CVE ids"]);
    assert_eq!(of_p(&built), ["A"]);
    assert!(built.detail("A").is_some());
    assert_eq!(built.contents.tally.gaps, [("npm".to_owned(), 1)].into());
}

#[test]
fn of_more_records_of_one_issue_than_a_row_takes_the_least_believed_are_reported() {
    // 5 MB of versions each; the newest are believed most.
    let long = "x".repeat(250);
    let record = |number: usize| {
        let versions: Vec<String> =
            (0..20_000).map(|version| format!("{version}.{number}.1-{long}")).collect();
        let affected = json!([{"package": {"ecosystem": "Go", "name": "p"}, "versions": versions}]);
        Osv::new(&format!("A-{number}"))
            .aliases(&["CVE-1"])
            .modified(&format!("2026-01-0{number}T00:00:00Z"))
            .with("affected", affected)
            .bytes()
    };
    let built = |order: [usize; 4], mappers: usize| {
        let documents = order.map(|number| ("acme".to_owned(), record(number)));
        build_with(&Options::default(), AS_OF, mappers, documents)
    };
    let one = built([1, 2, 3, 4], 1);
    assert_eq!(one.told(), ["too-many-records A-1 p CVE-1"]);
    assert_eq!(one.list("go", "p", "CVE-1", "VulnerableVersions").len(), 60_000);
    assert_eq!(one.contents.tally.gaps, [("Go".to_owned(), 1)].into());
    assert!(built([4, 1, 3, 2], 3) == one, "the order of records decides");
}

#[test]
fn long_lists_of_ranges_and_versions_say_what_short_ones_would() {
    let range = |from: String, to: String| json!({"type": "SEMVER", "events": [{"introduced": from}, {"fixed": to}]});
    let count = 20_000;
    let ranges: Vec<Value> =
        (1..=count).map(|n| range(format!("{n}.2.0"), format!("{n}.8.0"))).collect();
    let mut versions: Vec<String> = (1..=count).map(|n| format!("{n}.5.0")).collect();
    versions.extend(["7.8.0".to_owned(), "7.1.9".to_owned()]);
    let affected = json!([{"package": {"ecosystem": "Go", "name": "p"}, "ranges": ranges,
        "versions": versions}]);
    let built = build(&[Osv::new("A").with("affected", affected)]);
    let said = built.list("go", "p", "A", "VulnerableVersions");
    assert_eq!(said[count..], ["=7.8.0", "=7.1.9"]);
}

#[test]
fn more_events_than_a_thousand_are_ordered_too() {
    let mut events = Vec::new();
    for number in (0..1500).rev() {
        events.push(json!({"fixed": format!("{number}.5.0")}));
        events.push(json!({"introduced": format!("{number}.1.0")}));
    }
    let affected = json!([{"package": {"ecosystem": "npm", "name": "p"},
        "ranges": [{"type": "SEMVER", "events": events}]}]);
    let built = build(&[Osv::new("A").with("affected", affected)]);
    let said = built.list("npm", "p", "A", "VulnerableVersions");
    assert_eq!((said.len(), said[0].as_str()), (1500, ">=0.1.0, <0.5.0"));
    assert_eq!(built.told(), [""; 0]);
}

#[test]
fn versions_that_there_is_no_time_to_compare_are_said() {
    // Pre-releases need Trivy's own reading.
    let affected = |count: usize| {
        let range = |n: usize| {
            json!({"type": "SEMVER", "events": [{"introduced": format!("{n}.2.0-a")},
                {"fixed": format!("{n}.8.0-a")}]})
        };
        let ranges: Vec<Value> = (1..=count).map(range).collect();
        let versions: Vec<String> = (1..=count).map(|n| format!("{n}.5.0-a")).collect();
        json!([{"package": {"ecosystem": "Go", "name": "p"}, "ranges": ranges, "versions": versions}])
    };
    let said = |count| {
        let built = build(&[Osv::new("A").with("affected", affected(count))]);
        built.list("go", "p", "A", "VulnerableVersions").len()
    };
    assert_eq!(said(256), 256);
    assert_eq!(said(300), 300 + (300 - 65_536 / 300));
}

#[test]
fn fixes_that_there_is_no_time_to_dispute_do_not_count_as_patched() {
    let record = |id: &str, count: usize| {
        let range = |n: usize| {
            json!({"type": "SEMVER", "events": [{"introduced": format!("{n}.2.0")},
                {"fixed": format!("{n}.8.0")}]})
        };
        let ranges: Vec<Value> = (1..=count).map(range).collect();
        Osv::new(id).aliases(&["CVE-1"]).with(
            "affected",
            json!([{"package": {"ecosystem": "Go", "name": "p"}, "ranges": ranges}]),
        )
    };
    let patched = |count| {
        let built = build(&[record("A", count), record("B", count)]);
        built.list("go", "p", "CVE-1", "PatchedVersions").len()
    };
    assert_eq!(patched(45), 45);
    assert_eq!(patched(300), 4096 / 300);
}

#[test]
fn what_cannot_be_said_of_a_record_is_bounded_too() {
    // Each version is a line of the report with the name of its package.
    let name = "n".repeat(4_000);
    let record = |versions: usize| {
        let versions: Vec<String> = (0..versions).map(|number| format!("!{number}")).collect();
        let affected = json!([{"package": {"ecosystem": "npm", "name": name}, "versions": versions},
            {"package": {"ecosystem": "Unheard-of", "name": "q"}}]);
        Osv::new("A").with("affected", affected)
    };
    let built = build(&[record(4_000)]);
    assert_eq!(built.told().len(), 4_001);
    let built = build(&[record(8_000)]);
    assert_eq!(built.told(), ["too-many-gaps A Unheard-of", "too-many-gaps A npm"]);
    assert_eq!(built.contents.tally.gaps.get("npm"), Some(&1));
    assert!(built.contents.is_lost("npm"));
}

#[test]
fn a_record_whose_id_cannot_be_a_key_is_not_filed_under_another() {
    let hostile = Osv::new("GHSA-1\0x").affects("npm", "p", "9.0.0");
    let honest = Osv::new("GHSA-1").affects("npm", "p", "1.0.0");
    let built = build(&[hostile, honest]);
    assert_eq!(built.told(), ["no-vulnerability-id GHSA-1\0x"]);
    assert_eq!(built.list("npm", "p", "GHSA-1", "PatchedVersions"), ["1.0.0"]);
}

#[test]
fn ids_that_were_rejected_leave_rows_and_details_under_the_ids_that_stand() {
    let rejected = |id: &str| {
        Osv::new(id)
            .with("details", json!("Rejected reason: not a fault"))
            .affects("npm", "x", "1.0.0")
    };
    let teacher =
        |id: &str, cve: &str| Osv::new(id).aliases(&[cve, "X"]).affects("npm", "q", "1.0.0");
    let asker = || Osv::new("GHSA-9").aliases(&["X"]).affects("npm", "p", "1.0.0");
    let ids_of_p = |built: &Built| {
        let keys = built.keys.keys().filter(|(_, package, _)| package == "p");
        keys.map(|(_, _, id)| id.clone()).collect::<Vec<_>>()
    };
    // The only id that its names stand for was rejected.
    let built = build(&[rejected("CVE-1"), teacher("T-1", "CVE-1"), asker()]);
    assert_eq!(ids_of_p(&built), ["GHSA-9"]);
    assert!(built.detail("GHSA-9").is_some(), "a row without a description");
    // One of two.
    let documents = [rejected("CVE-1"), teacher("T-1", "CVE-1"), teacher("T-2", "CVE-2"), asker()];
    let built = build(&documents);
    assert_eq!(ids_of_p(&built), ["CVE-2"]);
    assert!(built.detail("GHSA-9").is_none(), "a description without a row");
    // The ids of a record itself: named by one of them, with another name.
    let own = Osv::new("CVE-1").aliases(&["CVE-3", "GHSA-8"]).affects("npm", "p", "1.0.0");
    let built = build(&[rejected("CVE-1"), rejected("CVE-3"), own]);
    assert_eq!(ids_of_p(&built), ["GHSA-8"]);
    assert!(built.detail("GHSA-8").is_some(), "a row without a description");
}
