//! What becomes of records in the database of Trivy: rows, ranges, names, and what is reported.

mod support;

use serde_json::{Value, json};
use stella_pack::trivy_db::{Coverage, Options, Precedence, coverage};
use stella_testkit::Osv;

use support::{AS_OF, Built, build, build_with};

/// An advisory with one entry of `affected`.
fn advisory(ecosystem: &str, name: &str, mut affected: Value) -> Osv {
    affected["package"] = json!({"ecosystem": ecosystem, "name": name});
    Osv::new("ACME-1").with("affected", json!([affected]))
}

fn ranges(events: Value) -> Value {
    json!({"ranges": [{"type": "ECOSYSTEM", "events": events}]})
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// Vulnerable and patched versions of the package `p`; nothing if it has no row.
fn said(built: &Built, bucket: &str) -> (Vec<String>, Vec<String>) {
    if built.row(bucket, "p", "ACME-1").is_none() {
        return Default::default();
    }
    let list = |member| built.list(bucket, "p", "ACME-1", member);
    (list("VulnerableVersions"), list("PatchedVersions"))
}

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
fn sources_of_one_issue_share_a_row_and_hide_nothing() {
    let affected = |fixed: &str| Osv::new("").affects("PyPI", "PyYAML", fixed).value();
    let of = |id: &str, aliases: &[&str], fixed: &str| {
        Osv::new(id).aliases(aliases).with("affected", affected(fixed)["affected"].clone())
    };
    let built = build(&[
        of("GHSA-8q59-q68h-6hv4", &["CVE-2020-14343", "PYSEC-2021-142"], "5.4"),
        // Knows no CVE id: the other record tells it.
        of("PYSEC-2021-142", &["GHSA-8q59-q68h-6hv4"], "5.4.1"),
    ]);
    let list = |member| built.list("pip", "pyyaml", "CVE-2020-14343", member);
    assert_eq!(list("VulnerableVersions"), ["<5.4", "<5.4.1"]);
    // 5.4 is vulnerable by the word of the other record, so it does not count as patched.
    assert_eq!(list("PatchedVersions"), ["5.4.1"]);
    assert_eq!(list("VendorIDs"), ["PYSEC-2021-142", "GHSA-8q59-q68h-6hv4"]);
    for id in ["GHSA-8q59-q68h-6hv4", "PYSEC-2021-142"] {
        assert_eq!(built.row("pip", "pyyaml", id), None, "{id}");
    }
    let rows = built.keys.keys().filter(|(top, ..)| top.starts_with("pip::"));
    assert_eq!(rows.count(), 1);
}

#[test]
fn every_cve_id_of_a_record_has_its_row() {
    let two =
        Osv::new("GHSA-1").aliases(&["CVE-2020-1", "CVE-2020-2"]).affects("npm", "p", "1.2.0");
    let built = build(&[two]);
    for id in ["CVE-2020-1", "CVE-2020-2"] {
        assert_eq!(built.list("npm", "p", id, "VulnerableVersions"), ["<1.2.0"], "{id}");
        assert_eq!(built.list("npm", "p", id, "PatchedVersions"), ["1.2.0"], "{id}");
        assert!(built.detail(id).is_some(), "{id}");
    }
    assert_eq!(built.row("npm", "p", "GHSA-1"), None);
}

#[test]
fn a_record_without_cve_id_lies_under_its_own() {
    for id in ["GHSA-xpw8-rcwv-8f8p", "RUSTSEC-2020-1", "PYSEC-2020-1", "ACME-2026-0001"] {
        let built = build(&[Osv::new(id).affects("npm", "p", "1.0.0")]);
        assert!(built.row("npm", "p", id).is_some(), "{id}");
        assert!(built.detail(id).is_some(), "{id}");
    }
}

#[test]
fn withdrawn_is_what_was_withdrawn_before_the_time_of_the_database() {
    let record = |time: &str| Osv::new("ACME-1").affects("npm", "p", "1.0.0").withdrawn(time);
    let past = build(&[record("2026-11-23T15:58:59Z")]);
    assert_eq!(past.row("npm", "p", "ACME-1"), None);
    assert_eq!(past.told(), ["withdrawn ACME-1"]);
    let future = build(&[record("2026-11-23T15:59:01Z")]);
    assert!(future.row("npm", "p", "ACME-1").is_some());
    assert!(future.told().is_empty());
}

#[test]
fn a_rejected_cve_id_gives_way_to_the_records_own() {
    let rejected = Osv::new("CVE-2020-1")
        .with("details", json!("Rejected reason: withdrawn by its CNA"))
        .affects("npm", "other", "1.0.0");
    let record = Osv::new("GHSA-1").aliases(&["CVE-2020-1"]).affects("npm", "p", "1.0.0");
    let built = build(&[rejected, record]);
    assert!(built.row("npm", "p", "GHSA-1").is_some());
    assert!(built.detail("GHSA-1").is_some());
    assert_eq!(built.row("npm", "p", "CVE-2020-1"), None);
    assert_eq!(built.detail("CVE-2020-1"), None);
    assert_eq!(built.told(), ["rejected CVE-2020-1"]);
}

#[test]
fn ranges_become_constraints() {
    let case =
        |name: &str, affected: Value, vulnerable: &[&str], patched: &[&str], told: &[&str]| {
            let built = build(&[advisory("npm", "p", affected)]);
            assert_eq!(said(&built, "npm"), (texts(vulnerable), texts(patched)), "{name}");
            assert_eq!(built.told(), texts(told), "{name}");
        };
    let (from, fixed) = (|v: &str| json!({"introduced": v}), |v: &str| json!({"fixed": v}));
    let last = |v: &str| json!({"last_affected": v});
    case(
        "several stretches",
        ranges(json!([from("0"), fixed("1.2.0"), from("2.0.0"), fixed("2.1.0")])),
        &["<1.2.0", ">=2.0.0, <2.1.0"],
        &["1.2.0", "2.1.0"],
        &[],
    );
    case("last affected", ranges(json!([from("0"), last("1.5.0")])), &["<=1.5.0"], &[], &[]);
    let within = ranges(json!([from("1.0.0"), last("1.5.0")]));
    case("from one to another", within, &[">=1.0.0, <=1.5.0"], &[], &[]);
    case("one version", ranges(json!([from("1.0.0"), last("1.0.0")])), &["=1.0.0"], &[], &[]);
    case("all", ranges(json!([from("0")])), &[">=0"], &[], &[]);
    case("unfixed", ranges(json!([from("1.0.0")])), &[">=1.0.0"], &[], &[]);
    let limited = ranges(json!([from("1.0.0"), {"limit": "2.0.0"}]));
    case("a limit is no fix", limited, &[">=1.0.0"], &[], &[]);
    let mixed = ranges(json!([fixed("2.1.0"), from("2.0.0"), fixed("1.2.0"), from("0")]));
    case("any order", mixed, &["<1.2.0", ">=2.0.0, <2.1.0"], &["1.2.0", "2.1.0"], &[]);
    let touching = ranges(json!([fixed("2.0.0"), from("2.0.0"), from("0"), last("2.1.0")]));
    case("ends touch", touching, &["<2.0.0", ">=2.0.0, <=2.1.0"], &["2.0.0"], &[]);
    let pairs = ranges(json!([from("2.0.0"), fixed("2.1.0"), from("1.0.0"), fixed("2.0.0")]));
    let both = [">=2.0.0, <2.1.0", ">=1.0.0, <2.0.0"];
    case("pairs in any order", pairs, &both, &["2.1.0", "2.0.0"], &[]);
    // As of Redis (CVE-2025-21605) and Elasticsearch: the schema evaluates events by version.
    let backwards = [from("2.6.0"), fixed("6.2.18"), from("7.0.0"), fixed("7.2.8")];
    let more = [from("7.3.0"), fixed("6.2.18"), from("7.2.0"), fixed("7.2.8"), from("7.4.0")];
    let mut events = [&backwards[..], &more[..]].concat();
    let open = [">=2.6.0, <6.2.18", ">=7.0.0, <7.2.8", ">=7.3.0"];
    let unfixed = ranges(json!(events));
    case("an end before its beginning", unfixed, &open, &["6.2.18", "7.2.8"], &[]);
    events.push(fixed("7.4.3"));
    let closed = [">=2.6.0, <6.2.18", ">=7.0.0, <7.2.8", ">=7.3.0, <7.4.3"];
    let patched = ["6.2.18", "7.2.8", "7.4.3"];
    case("a backwards pair among others", ranges(json!(events)), &closed, &patched, &[]);
    let lone = ranges(json!([from("9.4.0"), fixed("9.3.4")]));
    let told = ["range-without-beginning ACME-1 p 9.3.4"];
    case("an end that ends nothing", lone, &[">=9.4.0"], &[], &told);
    let empty = ranges(json!([from("1.0.0"), fixed("1.0.0")]));
    case("nothing between", empty, &[">=1.0.0, <1.0.0"], &["1.0.0"], &[]);
    let twice = ranges(json!([from("1.0.0"), from("1.5.0"), fixed("2.0.0")]));
    case("two beginnings", twice, &[">=1.0.0, <2.0.0"], &["2.0.0"], &[]);
    let headless = ranges(json!([fixed("1.2.0")]));
    case("no beginning", headless, &[], &[], &["range-without-beginning ACME-1 p 1.2.0"]);
    let one_bad = ranges(json!([from("0"), fixed("1 or 2"), from("2.0.0"), fixed("2.1.0")]));
    case(
        "one that is no range among others",
        one_bad,
        &[">=2.0.0, <2.1.0"],
        &["2.1.0"],
        &["version-not-understood ACME-1 p <1 or 2"],
    );
    let mut known = ranges(json!([from("0")]));
    known["database_specific"] = json!({"last_known_affected_version_range": "<= 1.2.3"});
    case("last known", known, &[">=0, <=1.2.3"], &[], &[]);
    case("nothing", json!({}), &[], &[], &["no-versions ACME-1 p"]);
}

#[test]
fn listed_versions_are_said_where_no_range_says_them() {
    let built = build(&[advisory("npm", "p", json!({"versions": ["1.0.0", "1.0.1-rc.1"]}))]);
    assert_eq!(said(&built, "npm").0, ["=1.0.0", "=1.0.1-rc.1"]);
    let git =
        json!({"type": "GIT", "repo": "https://git.example/p", "events": [{"introduced": "0"}]});
    let built = build(&[advisory("npm", "p", json!({"ranges": [git], "versions": ["1.0.0"]}))]);
    assert_eq!(said(&built, "npm").0, ["=1.0.0"]);
    let built = build(&[advisory("npm", "p", json!({"ranges": [git]}))]);
    assert_eq!(said(&built, "npm").0, [""; 0]);
    assert_eq!(built.told(), ["git-only ACME-1 p"]);
    let mut both = ranges(json!([{"introduced": "0"}, {"fixed": "1.1.0"}]));
    both["versions"] = json!(["1.0.0", "1.2.0", "trunk"]);
    let built = build(&[advisory("npm", "p", both)]);
    assert_eq!(said(&built, "npm").0, ["<1.1.0", "=1.2.0"]);
    assert_eq!(built.told(), ["version-not-understood ACME-1 p trunk"]);
}

#[test]
fn bounds_are_spelled_as_trivy_reads_them() {
    for (ecosystem, bucket, fixed, vulnerable, told) in [
        // Spellings of PEP 440 that Trivy refuses or takes for two versions.
        ("PyPI", "pip", "2.0.0-RC1", "<2.0.0rc1", None),
        ("PyPI", "pip", "1.0alpha2", "<1.0a2", None),
        ("PyPI", "pip", "1!2.0.dev1", "<1!2.0.dev1", None),
        ("PyPI", "pip", "2022.12.07", "<2022.12.07", None),
        // For npm and Bitnami too few numbers are many versions.
        ("npm", "npm", "1.2", "<1.2.0", None),
        ("npm", "npm", "v1.2.3", "<1.2.3", None),
        ("Bitnami", "bitnami", "7", "<7.0.0", None),
        ("Bitnami", "bitnami", "2020.04.23", "<2020.04.23", None),
        ("Bitnami", "bitnami", "17.0.3-1", "<17.0.3-1", None),
        ("NuGet", "nuget", "2.0.1.4", "<2.0.1.4", None),
        (
            "Go",
            "go",
            "0.0.0-20150717181359-44718f8a89b0",
            "<0.0.0-20150717181359-44718f8a89b0",
            None,
        ),
        ("Go", "go", "3.2.0+incompatible", "<3.2.0+incompatible", None),
        ("Maven", "maven", "4.1.100.Final", "<4.1.100.Final", None),
        ("RubyGems", "rubygems", "3.21.0.rc.1", "<3.21.0.rc.1", None),
        ("Maven", "maven", "1.0_2", "<1.0_2", Some("lost-on-oldest-trivy ACME-1 p <1.0_2")),
    ] {
        let events = json!([{"introduced": "0"}, {"fixed": fixed}]);
        let built = build(&[advisory(ecosystem, "p", ranges(events))]);
        let patched = vulnerable.trim_start_matches('<');
        let expected = (texts(&[vulnerable]), texts(&[patched]));
        assert_eq!(said(&built, bucket), expected, "{ecosystem} {fixed}");
        assert_eq!(built.told(), texts(told.as_slice()), "{ecosystem} {fixed}");
    }
}

#[test]
fn packages_lie_under_the_names_that_trivy_looks_up() {
    for (ecosystem, bucket, name, keys) in [
        ("PyPI", "pip", "Acme_Tools.Core", &["acme-tools.core"][..]),
        ("NuGet", "nuget", "Newtonsoft.Json", &["newtonsoft.json", "Newtonsoft.Json"]),
        ("Go", "go", "github.com/Masterminds/goutils", &["github.com/Masterminds/goutils"]),
        ("SwiftURL", "swift", "https://github.com/Acme/Kit.git", &["github.com/Acme/Kit"]),
        ("npm", "npm", "@Acme/Client", &["@acme/client"]),
        ("Maven", "maven", "org.Acme:Core", &["org.acme:core"]),
        ("kubernetes", "k8s", "k8s.io/kubelet", &["k8s.io/kubelet"]),
        ("Maven:https://repo.example/maven", "maven", "a:b", &["a:b"]),
    ] {
        let built = build(&[Osv::new("ACME-1").affects(ecosystem, name, "1.0.0")]);
        let found: Vec<&str> = built
            .keys
            .keys()
            .filter(|(top, ..)| top.starts_with(&format!("{bucket}::")))
            .map(|(_, package, _)| package.as_str())
            .collect();
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        assert_eq!(found, keys, "{ecosystem} {name}");
    }
}

#[test]
fn distributions_say_what_they_can_and_report_the_rest() {
    let case =
        |ecosystem: &str, bucket: &str, affected: Value, row: Option<Value>, told: &[&str]| {
            let built = build(&[advisory(ecosystem, "p", affected)]);
            assert_eq!(built.row(bucket, "p", "ACME-1"), row, "{ecosystem}");
            assert_eq!(built.told(), texts(told), "{ecosystem}");
        };
    let all = || ranges(json!([{"introduced": "0"}]));
    let fixed = |version: &str| ranges(json!([{"introduced": "0"}, {"fixed": version}]));
    case("Debian:12", "debian 12", fixed("1.2-1"), Some(json!({"FixedVersion": "1.2-1"})), &[]);
    let mut minor = all();
    minor["ecosystem_specific"] = json!({"urgency": "unimportant"});
    case("Debian:12", "debian 12", minor, Some(json!({"Severity": 1})), &[]);
    case("Ubuntu:22.04:LTS", "ubuntu 22.04", all(), Some(json!({})), &[]);
    for (ecosystem, bucket) in [
        ("AlmaLinux:9", "alma 9"),
        ("Rocky Linux:9", "rocky 9"),
        ("SUSE:Linux Enterprise Server 15 SP5", "SUSE Linux Enterprise 15.5"),
        ("openSUSE:Leap 15.5", "openSUSE Leap 15.5"),
    ] {
        case(ecosystem, bucket, all(), None, &["unfixed-not-expressible ACME-1 p"]);
    }
    let since = || ranges(json!([{"introduced": "1.0-r0"}, {"fixed": "1.2-r0"}]));
    let both = json!({"AffectedVersion": "1.0-r0", "FixedVersion": "1.2-r0"});
    case("Alpine:v3.18", "alpine 3.18", since(), Some(both), &[]);
    let only_fix = Some(json!({"FixedVersion": "1.2-r0"}));
    let told = ["introduced-not-expressible ACME-1 p 1.0-r0"];
    case("Debian:12", "debian 12", since(), only_fix.clone(), &told);
    // Their scanners look at nothing but the version with the fix.
    for (ecosystem, bucket) in
        [("Wolfi", "wolfi"), ("Chainguard", "chainguard"), ("MinimOS", "minimos")]
    {
        case(ecosystem, bucket, since(), only_fix.clone(), &told);
        case(ecosystem, bucket, all(), None, &["unfixed-not-expressible ACME-1 p"]);
    }
    let last = ranges(json!([{"introduced": "0"}, {"last_affected": "1.2"}]));
    case("Debian:12", "debian 12", last, None, &["last-affected-not-expressible ACME-1 p 1.2"]);
    let free_text = fixed("<unfixed>");
    case("Debian:12", "debian 12", free_text, None, &["version-not-understood ACME-1 p <unfixed>"]);
    case("Debian:sid", "debian 12", fixed("1"), None, &["release-unknown ACME-1 p"]);
    case("CRAN", "", fixed("1"), None, &["ecosystem-not-scanned ACME-1 p"]);
    for name in ["Azure Linux:3", "Photon OS:5.0"] {
        case(name, "", fixed("1-1"), None, &["distribution-not-mapped ACME-1 p"]);
    }
}

#[test]
fn what_has_no_fix_yet_hides_no_fix_where_rows_cannot_say_it() {
    // Records of Wolfi name a package once for each architecture.
    let record = Osv::new("CVE-2026-1").affects("Wolfi", "p", "9.0.0-r0");
    let unfixed = json!({"package": {"ecosystem": "Wolfi", "name": "p"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]});
    let mut document: Value = serde_json::from_slice(&record.bytes()).expect("JSON");
    document["affected"].as_array_mut().expect("a list").push(unfixed);
    let affected = document["affected"].clone();
    let built = build(&[Osv::new("CVE-2026-1").with("affected", affected)]);
    let row = built.row("wolfi", "p", "CVE-2026-1");
    assert_eq!(row, Some(json!({"FixedVersion": "9.0.0-r0"})));
    assert_eq!(built.told(), ["unfixed-not-expressible CVE-2026-1 p"]);
}

#[test]
fn rows_are_about_the_packages_that_scanners_look_up() {
    let fixed = || ranges(json!([{"introduced": "0"}, {"fixed": "8.0.1-1.1"}]));
    let keys = |built: &Built, bucket: &str| -> Vec<(String, Value)> {
        let rows = built.keys.iter().filter(|((top, ..), _)| top == bucket);
        let row = |((_, package, _), value): (&(_, String, _), &String)| {
            let value: Value = serde_json::from_str(value).expect("JSON");
            (package.clone(), value["FixedVersion"].clone())
        };
        rows.map(row).collect()
    };
    let suse = ("SUSE:Linux Enterprise Server 15 SP5", "SUSE Linux Enterprise 15.5");
    let mut listed = fixed();
    listed["ecosystem_specific"] = json!({"binaries": [
        {"curl": "8.0.1-1.1", "libcurl4": "8.0.1-1.1"},
        {"libcurl-devel": "8.0.1-1.2", "of-no-use": 8},
    ]});
    for (ecosystem, bucket) in [suse, ("openSUSE:Leap 15.5", "openSUSE Leap 15.5")] {
        let built = build(&[advisory(ecosystem, "curl-source", listed.clone())]);
        let rows =
            [("curl", "8.0.1-1.1"), ("libcurl-devel", "8.0.1-1.2"), ("libcurl4", "8.0.1-1.1")];
        assert_eq!(keys(&built, bucket), rows.map(|(name, fix)| (name.to_owned(), json!(fix))));
        assert_eq!(built.told(), [""; 0]);
    }
    // What names no binary package is said of the source, and told.
    for (ecosystem, bucket) in [suse, ("Rocky Linux:9", "rocky 9")] {
        let built = build(&[advisory(ecosystem, "curl", fixed())]);
        assert_eq!(keys(&built, bucket), [("curl".to_owned(), json!("8.0.1-1.1"))]);
        assert_eq!(built.told(), ["binaries-unknown ACME-1 curl"]);
    }
    // Of a package without a fix there is none in its binaries.
    let mut unfixed = listed;
    unfixed["ranges"] = ranges(json!([{"introduced": "0"}]))["ranges"].clone();
    let built = build(&[advisory(suse.0, "curl", unfixed)]);
    assert_eq!(keys(&built, suse.1), []);
    assert_eq!(built.told(), ["unfixed-not-expressible ACME-1 curl"]);
}

#[test]
fn all_versions_are_also_those_before_the_first_release() {
    let all = || ranges(json!([{"introduced": "0"}]));
    for (ecosystem, prefix, text) in
        [("Go", "go", ">=0.0.0-0"), ("crates.io", "cargo", ">=0.0.0-0"), ("PyPI", "pip", ">=0")]
    {
        let built = build(&[advisory(ecosystem, "p", all())]);
        assert_eq!(said(&built, prefix).0, [text]);
    }
    let mut listed = all();
    listed["versions"] = json!(["v0.0.0-20200101000000-abcdefabcdef"]);
    let built = build(&[advisory("Go", "p", listed)]);
    assert_eq!(said(&built, "go").0, [">=0.0.0-0"]);
}

#[test]
fn packages_of_a_module_stream_lie_under_its_name() {
    let erratum = |summary: &str, fixed: &str| {
        Osv::new("ALSA-2023:5849")
            .with("related", json!(["CVE-2023-44487"]))
            .summary(summary)
            .affects("AlmaLinux:9", "nodejs", fixed)
    };
    let modular = "1:18.18.2-2.module_el9.2.0+43+3ebc9e20";
    let built = build(&[erratum("Important: nodejs:18 security update", modular)]);
    let row = built.row("alma 9", "nodejs:18::nodejs", "CVE-2023-44487");
    assert_eq!(row, Some(json!({"FixedVersion": modular})));
    assert_eq!(built.row("alma 9", "nodejs", "CVE-2023-44487"), None);
    let built = build(&[erratum("Important: nodejs security update", modular)]);
    assert!(built.row("alma 9", "nodejs", "CVE-2023-44487").is_some());
    assert_eq!(built.told(), ["module-stream-unknown ALSA-2023:5849 nodejs"]);
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
fn severities_are_words_that_trivy_knows() {
    let v3 = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
    let v4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";
    let v4 = json!([{"type": "CVSS_V4", "score": v4}]);
    let broken = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}]);
    for (word, scores, severity, vendor) in [
        (json!("MODERATE"), json!([]), "MEDIUM", Some(2)),
        (json!("CRITICAL"), broken.clone(), "CRITICAL", Some(4)),
        (json!("rather bad"), v3, "CRITICAL", Some(4)),
        (Value::Null, v4, "CRITICAL", Some(4)),
        (json!(9), broken, "UNKNOWN", None),
        (Value::Null, json!([]), "UNKNOWN", None),
    ] {
        let record = Osv::new("ACME-1")
            .affects("npm", "p", "1.0.0")
            .with("severity", scores.clone())
            .with("database_specific", json!({"severity": word}));
        let detail = build(&[record]).detail("ACME-1").expect("a detail");
        assert_eq!(detail["Severity"], severity, "{word} {scores}");
        assert_eq!(detail["VendorSeverity"]["acme-own"].as_u64(), vendor, "{word} {scores}");
    }
    let record =
        Osv::new("ACME-1").affects("npm", "p", "1.0.0").with("published", json!("2026-01-01"));
    let detail = build(&[record]).detail("ACME-1").expect("a detail");
    // Trivy would drop a detail over a date without a time.
    assert_eq!(detail["PublishedDate"], "2026-01-01T00:00:00Z");
    assert_eq!(detail["LastModifiedDate"], "2026-01-01T00:00:00Z");
}

#[test]
fn releases_that_nobody_scans_are_no_loss_while_others_are_told() {
    let suse = |product: &str| Osv::new("SUSE-SU-1").affects(product, "p", "1.0-1");
    let unknown = "SUSE:Manager Server 4.3";
    assert!(build(&[suse(unknown)]).contents.is_lost("SUSE"));
    let known = suse(unknown).affects("SUSE:Linux Enterprise Server 15 SP5", "p", "1.0-1");
    assert!(!build(&[known]).contents.is_lost("SUSE"));
    let azure = build(&[Osv::new("AZL-1").affects("Azure Linux:3", "p", "1.0-1")]).contents;
    assert!(!azure.is_lost("Azure Linux"), "all of OSV has some");
    assert!(coverage(&azure).contains(&("Azure Linux".to_owned(), Coverage::Absent)));
}

#[test]
fn order_and_threads_do_not_matter() {
    let mut documents: Vec<(String, Vec<u8>)> = Vec::new();
    for number in 0..60 {
        let cve = format!("CVE-2020-{}", number % 7);
        let record = Osv::new(&format!("GHSA-{number}")).aliases(&[&cve]).summary(&cve);
        let record = record.affects("npm", &format!("p{}", number % 5), &format!("1.{number}.0"));
        let record = record.affects("Debian:12", "p", &format!("1.{}-1", number % 9));
        documents.push((format!("feed-{}", number % 3), record.bytes()));
        let other = Osv::new(&format!("PYSEC-{number}")).aliases(&[&format!("GHSA-{number}")]);
        documents.push(("pysec".to_owned(), other.affects("PyPI", "q", "trunk").bytes()));
    }
    let options = Options::default();
    let straight = build_with(&options, AS_OF, 1, documents.clone());
    assert!(straight.keys.len() > 40 && !straight.report.is_empty());
    for mappers in 1..4 {
        documents.rotate_left(17);
        documents.reverse();
        let other = build_with(&options, AS_OF, mappers, documents.clone());
        assert!(straight == other, "{mappers} mappers");
    }
}

#[test]
fn the_profile_decides_who_is_believed_first() {
    let documents = || {
        let record = |id: &str, title: &str| {
            Osv::new(id).aliases(&["CVE-2020-1"]).summary(title).affects("PyPI", "p", "1.0")
        };
        [("pypi", record("PYSEC-1", "of PyPA")), ("acme-own", record("ACME-1", "of ACME"))]
            .map(|(feed, record)| (feed.to_owned(), record.bytes()))
    };
    let title = |first: &[&str]| {
        let options = Options { precedence: Precedence { first: texts(first) } };
        let built = build_with(&options, AS_OF, 1, documents());
        built.detail("CVE-2020-1").expect("a detail")["Title"].clone()
    };
    assert_eq!(title(&[]), "of ACME");
    assert_eq!(title(&["pypa"]), "of PyPA");
}
