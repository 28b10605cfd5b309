//! Red Hat's rows, from documents as Red Hat writes them: small ones by hand, with facts of its
//! errata, and those of the real data.

#![expect(clippy::disallowed_types, reason = "a test reads files; INV-PURE binds the crate")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;

use serde_json::{Value, json};
use stella_pack::trivy_db::{Contents, Coverage, Options, coverage};
use support::{AS_OF, build_with};

/// A database of documents, its keys by their whole path.
struct Built {
    keys: BTreeMap<String, String>,
    contents: Contents,
    report: String,
}

impl Built {
    fn of<D: AsRef<[u8]>>(documents: &[D]) -> Built {
        let documents =
            documents.iter().map(|document| ("redhat".to_owned(), document.as_ref().to_vec()));
        let built = build_with(&Options::default(), AS_OF, 1, documents);
        let path = |((top, package, key), value): ((String, String, String), String)| {
            let names = [top, package, key].into_iter().filter(|name| !name.is_empty());
            (names.collect::<Vec<_>>().join("/"), value)
        };
        let report = String::from_utf8(built.report).expect("UTF-8");
        Built { keys: built.keys.into_iter().map(path).collect(), contents: built.contents, report }
    }

    fn json(&self, path: &str) -> Value {
        let value = self.keys.get(path).unwrap_or_else(|| panic!("{path}: {:#?}", self.rows()));
        serde_json::from_str(value).expect("JSON")
    }

    /// The names of all rows.
    fn rows(&self) -> Vec<&str> {
        let names = self.keys.keys().filter_map(|path| path.strip_prefix("Red Hat/"));
        names.collect()
    }

    /// The products that an entry or a content set names.
    fn cpes(&self, indices: &Value) -> Vec<String> {
        let cpe = |index: &Value| {
            let cpe = self.json(&format!("Red Hat CPE/cpe/{index}"));
            cpe.as_str().expect("a text").to_owned()
        };
        indices.as_array().expect("a list").iter().map(cpe).collect()
    }

    fn reasons(&self) -> Vec<(String, String, String)> {
        let reason = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let part = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (part("package"), part("reason"), part("detail"))
        };
        self.report.lines().map(reason).collect()
    }

    fn coverage(&self) -> Coverage {
        let all = coverage(&self.contents);
        all.iter().find(|(name, _)| name == "Red Hat").expect("Red Hat is always told").1
    }
}

const BASEOS: &str = "cpe:/o:redhat:enterprise_linux:9::baseos";
const APPSTREAM: &str = "cpe:/a:redhat:enterprise_linux:9::appstream";
const RHEL9: &str = "cpe:/o:redhat:enterprise_linux:9";

/// A document in the making.
struct Csaf {
    id: &'static str,
    category: &'static str,
    namespace: &'static str,
    branches: Vec<Value>,
    relationships: Vec<Value>,
    vulnerabilities: Vec<Value>,
}

impl Csaf {
    fn new(id: &'static str) -> Csaf {
        let category = if id.starts_with("CVE") { "csaf_vex" } else { "csaf_security_advisory" };
        let namespace = "https://www.redhat.com";
        let (branches, relationships, vulnerabilities) = (Vec::new(), Vec::new(), Vec::new());
        Csaf { id, category, namespace, branches, relationships, vulnerabilities }
    }

    fn platform(mut self, id: &str, cpe: &str) -> Csaf {
        let helper = json!({"cpe": cpe});
        self.branches.push(json!({"category": "product_name", "product": {
            "name": id, "product_id": id, "product_identification_helper": helper}}));
        self
    }

    /// A component in platforms; its ids there are `PLATFORM:ID`.
    fn component(mut self, id: &str, purl: Option<&str>, platforms: &[&str]) -> Csaf {
        let mut product = json!({"name": id, "product_id": id});
        if let Some(purl) = purl {
            product["product_identification_helper"] = json!({"purl": purl});
        }
        self.branches.push(json!({"category": "product_version", "product": product}));
        for platform in platforms {
            self = self.part(&format!("{platform}:{id}"), id, platform);
        }
        self
    }

    fn part(mut self, id: &str, component: &str, whole: &str) -> Csaf {
        self.relationships.push(json!({"category": "default_component_of",
            "full_product_name": {"name": id, "product_id": id},
            "product_reference": component, "relates_to_product_reference": whole}));
        self
    }

    fn vulnerability(mut self, vulnerability: Value) -> Csaf {
        self.vulnerabilities.push(vulnerability);
        self
    }

    /// A vulnerability that is fixed by a notice.
    fn fixed(self, cve: &str, impact: &str, notice: &str, products: &[&str]) -> Csaf {
        self.vulnerability(json!({"cve": cve, "product_status": {"fixed": products},
            "remediations": [{"category": "vendor_fix", "product_ids": products,
                "url": format!("https://access.redhat.com/errata/{notice}")}],
            "threats": [{"category": "impact", "details": impact}]}))
    }

    /// A vulnerability without a fix.
    fn unfixed(self, cve: &str, category: &str, details: &str, products: &[&str]) -> Csaf {
        self.vulnerability(json!({"cve": cve, "product_status": {"known_affected": products},
            "remediations": [{"category": category, "details": details, "product_ids": products}],
            "threats": [{"category": "impact", "details": "Low", "product_ids": products}]}))
    }

    fn text(&self) -> String {
        json!({"document": {"category": self.category, "csaf_version": "2.0", "title": self.id,
                "publisher": {"category": "vendor", "name": "Red Hat Product Security",
                    "namespace": self.namespace},
                "tracking": {"id": self.id, "status": "final", "version": "1",
                    "initial_release_date": "2023-02-28T08:00:00+00:00",
                    "current_release_date": "2024-11-08T11:00:00+00:00"}},
            "product_tree": {"branches": [{"category": "vendor", "name": "Red Hat",
                "branches": self.branches}], "relationships": self.relationships},
            "vulnerabilities": self.vulnerabilities})
        .to_string()
    }
}

/// RHSA-2023:0946 for openssl of RHEL 9, in part.
fn openssl() -> Csaf {
    let mut csaf =
        Csaf::new("RHSA-2023:0946").platform("AppStream-9", APPSTREAM).platform("BaseOS-9", BASEOS);
    let mut products = Vec::new();
    for arch in ["aarch64", "x86_64", "src"] {
        let id = format!("openssl-1:3.0.1-47.el9_1.{arch}");
        let purl = format!("pkg:rpm/redhat/openssl@3.0.1-47.el9_1?arch={arch}&epoch=1");
        csaf = csaf.component(&id, Some(&purl), &["BaseOS-9", "AppStream-9"]);
        products.extend([format!("BaseOS-9:{id}"), format!("AppStream-9:{id}")]);
    }
    let id = "openssl-debuginfo-1:3.0.1-47.el9_1.x86_64";
    let purl = "pkg:rpm/redhat/openssl-debuginfo@3.0.1-47.el9_1?arch=x86_64&epoch=1";
    csaf = csaf.component(id, Some(purl), &["BaseOS-9"]);
    products.push(format!("BaseOS-9:{id}"));
    let products: Vec<&str> = products.iter().map(String::as_str).collect();
    csaf.fixed("CVE-2023-0286", "Important", "RHSA-2023:0946", &products).fixed(
        "CVE-2022-4304",
        "Moderate",
        "RHSA-2023:0946",
        &products,
    )
}

#[test]
fn one_notice_with_several_vulnerabilities_is_one_entry() {
    let built = Built::of(&[openssl().text()]);
    assert_eq!(built.rows(), ["openssl/RHSA-2023:0946"]);
    let row = built.json("Red Hat/openssl/RHSA-2023:0946");
    let entry = &row["Entries"][0];
    assert_eq!(
        row,
        json!({"Entries": [{"Affected": entry["Affected"], "Arches": ["aarch64", "x86_64"],
            "Cves": [{"ID": "CVE-2022-4304", "Severity": 2}, {"ID": "CVE-2023-0286", "Severity": 3}],
            "FixedVersion": "1:3.0.1-47.el9_1"}]})
    );
    assert_eq!(built.cpes(&entry["Affected"]), [APPSTREAM, BASEOS]);
    let source = built.json("data-source/Red Hat");
    assert_eq!(source["ID"], "redhat-csaf-vex");
    assert_eq!(built.report, "");
    assert_eq!(built.coverage(), Coverage::Full);
}

#[test]
fn statuses_of_what_has_no_fix_are_those_of_red_hat() {
    let cases = [
        ("CVE-2022-3219", "no_fix_planned", "Will not fix", 5),
        ("CVE-2022-3220", "no_fix_planned", "Out of support scope", 7),
        ("CVE-2022-3221", "none_available", "Fix deferred", 6),
        ("CVE-2022-3222", "none_available", "Deferred", 6),
        ("CVE-2022-3223", "none_available", "Affected", 2),
        ("CVE-2022-3224", "workaround", "Do not", 2),
    ];
    for (cve, category, details, status) in cases {
        let csaf = Csaf::new("CVE-2022-3219")
            .platform("red_hat_enterprise_linux_9", RHEL9)
            .component("gnupg2", Some("pkg:rpm/redhat/gnupg2"), &["red_hat_enterprise_linux_9"])
            .unfixed(cve, category, details, &["red_hat_enterprise_linux_9:gnupg2"]);
        let built = Built::of(&[csaf.text()]);
        let row = built.json(&format!("Red Hat/gnupg2/{cve}"));
        let entry = &row["Entries"][0];
        let expected =
            json!({"Affected": entry["Affected"], "Cves": [{"Severity": 1}], "Status": status});
        assert_eq!(*entry, expected, "{details}");
        assert_eq!(built.cpes(&entry["Affected"]), [RHEL9]);
        // The whole release: a system finds it by its BaseOS.
        let set = built.json("Red Hat CPE/repository/rhel-9-for-x86_64-baseos-rpms");
        assert_eq!(built.cpes(&set), [RHEL9, BASEOS]);
    }
}

#[test]
fn modular_packages_lie_where_trivy_looks_however_the_module_is_told() {
    const EVR: &str = "18.19.1-1.module+el9.3.0+21388+22892fb9";
    let notice = "RHSA-2024:1503";
    let purl = format!("pkg:rpm/redhat/nodejs@{EVR}?arch=x86_64&epoch=1");
    let begin = || Csaf::new("RHSA-2024:1503").platform("AppStream-9", APPSTREAM);
    let module = "nodejs:18:9030020240301111035:rhel9";
    let nested = begin()
        .component(
            module,
            Some(&format!("pkg:rpmmod/redhat/nodejs@{}", &module[7..])),
            &["AppStream-9"],
        )
        .component("nodejs", Some(&purl), &[])
        .part("nested", "nodejs", &format!("AppStream-9:{module}"))
        .fixed("CVE-2024-22019", "Important", notice, &["nested"]);
    let qualified = begin()
        .component("nodejs", Some(&format!("{purl}&rpmmod={module}")), &["AppStream-9"])
        .fixed("CVE-2024-22019", "Important", notice, &["AppStream-9:nodejs"]);
    let suffixed = begin().component("nodejs::nodejs:18", Some(&purl), &["AppStream-9"]).fixed(
        "CVE-2024-22019",
        "Important",
        notice,
        &["AppStream-9:nodejs::nodejs:18"],
    );
    for csaf in [nested, qualified, suffixed] {
        let built = Built::of(&[csaf.text()]);
        let row = built.json("Red Hat/nodejs:18::nodejs/RHSA-2024:1503");
        assert_eq!(row["Entries"][0]["FixedVersion"], format!("1:{EVR}"));
        assert_eq!(built.report, "");
    }
    // Without a fix the name of a component may tell it.
    let unfixed = Csaf::new("CVE-2023-20862")
        .platform("red_hat_enterprise_linux_8", "cpe:/o:redhat:enterprise_linux:8")
        .component("log4j:2/log4j", None, &["red_hat_enterprise_linux_8"])
        .unfixed(
            "CVE-2023-20862",
            "none_available",
            "Affected",
            &["red_hat_enterprise_linux_8:log4j:2/log4j"],
        );
    assert_eq!(Built::of(&[unfixed.text()]).rows(), ["log4j:2::log4j/CVE-2023-20862"]);
    // Not told at all.
    let lost = begin().component("nodejs", Some(&purl), &["AppStream-9"]).fixed(
        "CVE-2024-22019",
        "Important",
        notice,
        &["AppStream-9:nodejs"],
    );
    let built = Built::of(&[lost.text()]);
    assert_eq!(built.reasons(), [("nodejs".into(), "module-stream-unknown".into(), String::new())]);
    assert_eq!(built.coverage(), Coverage::Partial);
}

#[test]
fn architectures_are_those_of_the_fix_and_noarch_is_all() {
    let csaf = Csaf::new("RHSA-2024:2394")
        .platform("BaseOS-9", BASEOS)
        .component(
            "64k",
            Some("pkg:rpm/redhat/kernel-64k-core@5.14.0-427.13.1.el9_4?arch=aarch64"),
            &["BaseOS-9"],
        )
        .component(
            "doc",
            Some("pkg:rpm/redhat/kernel-doc@5.14.0-427.13.1.el9_4?arch=noarch"),
            &["BaseOS-9"],
        )
        .fixed("CVE-2020-26555", "Moderate", "RHSA-2024:2394", &["BaseOS-9:64k", "BaseOS-9:doc"]);
    let built = Built::of(&[csaf.text()]);
    let arches = |name: &str| {
        built.json(&format!("Red Hat/{name}/RHSA-2024:2394"))["Entries"][0]["Arches"].clone()
    };
    assert_eq!(arches("kernel-64k-core"), json!(["aarch64"]));
    assert_eq!(arches("kernel-doc"), Value::Null);
}

#[test]
fn fixes_for_extended_support_do_not_touch_plain_systems() {
    let csaf = Csaf::new("RHSA-2025:2270")
        .platform("BaseOS-9.4.0.Z.EUS", "cpe:/o:redhat:rhel_eus:9.4::baseos")
        .component(
            "core",
            Some("pkg:rpm/redhat/kernel-core@5.14.0-427.57.1.el9_4?arch=x86_64"),
            &["BaseOS-9.4.0.Z.EUS"],
        )
        .fixed("CVE-2019-25162", "Low", "RHSA-2025:2270", &["BaseOS-9.4.0.Z.EUS:core"]);
    let built = Built::of(&[csaf.text()]);
    let affected = &built.json("Red Hat/kernel-core/RHSA-2025:2270")["Entries"][0]["Affected"];
    assert_eq!(built.cpes(affected), ["cpe:/o:redhat:rhel_eus:9.4::baseos"]);
    let sets: Vec<&String> =
        built.keys.keys().filter(|path| path.starts_with("Red Hat CPE/repository/")).collect();
    assert!(sets.len() >= 8);
    for set in sets {
        let set = built.json(set);
        assert!(!set.as_array().expect("a list").contains(&affected[0]));
        assert_ne!(set, json!([]));
    }
    let reason =
        ("content-set-unknown".to_owned(), "cpe:/o:redhat:rhel_eus:9.4::baseos".to_owned());
    assert!(built.reasons().contains(&(String::new(), reason.0, reason.1)));
}

#[test]
fn documents_about_one_notice_join_in_any_order() {
    let vex = |cve: &'static str| {
        let purl = "pkg:rpm/redhat/openssl@3.0.1-47.el9_1?arch=x86_64&epoch=1";
        Csaf::new(cve)
            .platform("BaseOS-9", BASEOS)
            .component("x", Some(purl), &["BaseOS-9"])
            .fixed(cve, "Critical", "RHSA-2023:0946", &["BaseOS-9:x"])
            .text()
    };
    let documents = [openssl().text(), vex("CVE-2022-4203"), vex("CVE-2023-0286")];
    let built = Built::of(&documents);
    let row = built.json("Red Hat/openssl/RHSA-2023:0946");
    let cves: Vec<(String, String)> = row["Entries"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|entry| {
            let cpes = built.cpes(&entry["Affected"]).join(" ");
            let cves = entry["Cves"].as_array().expect("a list").clone();
            cves.into_iter().map(move |cve| {
                (
                    format!("{} {}", cve["ID"].as_str().expect("an id"), cve["Severity"]),
                    cpes.clone(),
                )
            })
        })
        .collect();
    let both = format!("{APPSTREAM} {BASEOS}");
    for (cve, cpes) in [
        ("CVE-2022-4304 2", both.as_str()),
        // The VEX document is about x86_64 in BaseOS alone and says it worse.
        ("CVE-2023-0286 3", APPSTREAM),
        ("CVE-2023-0286 4", BASEOS),
        ("CVE-2022-4203 4", BASEOS),
    ] {
        assert!(cves.contains(&(cve.to_owned(), cpes.to_owned())), "{cve}: {cves:?}");
    }
    let reversed = Built::of(&[&documents[2], &documents[1], &documents[0]]);
    assert_eq!(built.keys, reversed.keys);
}

#[test]
fn what_has_no_row_is_reported() {
    let csaf = Csaf::new("RHSA-2023:7831")
        .platform("8Base-RHOSE-4.14", "cpe:/a:redhat:openshift:4.14::el8")
        .component(
            "openshift4/ose-console@sha256:00_amd64",
            Some("pkg:oci/ose-console@sha256:00?arch=amd64"),
            &["8Base-RHOSE-4.14"],
        )
        .component("spring-security", None, &["8Base-RHOSE-4.14"])
        .component("mediawiki", Some("pkg:rpm/redhat/mediawiki?arch=src"), &["8Base-RHOSE-4.14"])
        .component("cri-o", Some("pkg:rpm/redhat/cri-o@?arch=x86_64"), &["8Base-RHOSE-4.14"])
        .component("lost", Some("pkg:rpm/redhat/lost@1-1?arch=x86_64"), &[])
        .fixed(
            "CVE-2023-39325",
            "Important",
            "RHSA-2023:7831",
            &[
                "8Base-RHOSE-4.14:openshift4/ose-console@sha256:00_amd64",
                "8Base-RHOSE-4.14:spring-security",
                "8Base-RHOSE-4.14:cri-o",
                "lost",
                "nobody",
            ],
        )
        .unfixed(
            "CVE-2024-34500",
            "no_fix_planned",
            "Out of support scope",
            &["8Base-RHOSE-4.14:mediawiki"],
        )
        .vulnerability(json!({"product_status": {"fixed": ["8Base-RHOSE-4.14:cri-o"]}}))
        .vulnerability(
            json!({"cve": "CVE-2023-1", "product_status": {"fixed": ["8Base-RHOSE-4.14:cri-o"]},
            "notes": [{"category": "description", "text": "** REJECT ** not a vulnerability"}]}),
        );
    let built = Built::of(&[csaf.text()]);
    assert_eq!(built.rows(), ["mediawiki/CVE-2024-34500"]);
    let reasons: Vec<String> = built
        .reasons()
        .into_iter()
        .map(|(package, reason, _)| format!("{package} {reason}").trim().to_owned())
        .collect();
    assert_eq!(
        reasons,
        [
            "no-vulnerability-id",
            "rejected",
            "cri-o version-not-understood",
            "lost product-without-cpe",
            "mediawiki binaries-unknown",
            "nobody no-package",
            "openshift4/ose-console not-an-rpm",
            "spring-security not-an-rpm",
        ]
    );
    let other = Csaf { namespace: "https://psirt.example.org", ..openssl() };
    let built = Built::of(&[other.text()]);
    assert_eq!(built.rows(), [""; 0]);
    assert_eq!(built.reasons()[0].1, "format-not-mapped");
    assert_eq!(built.coverage(), Coverage::Absent);
    // Trivy refuses to scan RHEL without an index.
    assert_eq!(built.json("Red Hat CPE/repository/rhel-9-for-x86_64-baseos-rpms"), json!([0]));
}

#[test]
fn what_is_known_of_a_vulnerability_is_told_once() {
    let mut csaf = openssl();
    let first = &mut csaf.vulnerabilities[0];
    first["title"] = json!("openssl: X.400 address type confusion in X.509 GeneralName");
    first["cwe"] = json!({"id": "CWE-704", "name": "Incorrect Type Conversion or Cast"});
    first["notes"] = json!([{"category": "summary", "text": "short"},
        {"category": "description", "text": "A type confusion vulnerability was found in OpenSSL."}]);
    first["release_date"] = json!("2023-02-07T00:00:00+00:00");
    first["references"] = json!([{"url": "https://access.redhat.com/security/cve/CVE-2023-0286"}]);
    first["scores"] = json!([{"cvss_v3": {"baseScore": 7.4, "baseSeverity": "HIGH",
        "vectorString": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:H"}, "products": []}]);
    let built = Built::of(&[csaf.text()]);
    assert_eq!(
        built.json("vulnerability/CVE-2023-0286"),
        json!({"Title": "openssl: X.400 address type confusion in X.509 GeneralName",
            "Description": "A type confusion vulnerability was found in OpenSSL.",
            "Severity": "HIGH", "CweIDs": ["CWE-704"], "VendorSeverity": {"redhat": 3},
            "CVSS": {"redhat": {"V3Score": 7.4,
                "V3Vector": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:H"}},
            "References": ["https://access.redhat.com/security/cve/CVE-2023-0286"],
            "PublishedDate": "2023-02-07T00:00:00Z"})
    );
}

/// The documents of an archive of the real data.
fn real(archive: &str) -> Option<Vec<Vec<u8>>> {
    let data = stella_testkit::data_dir()?;
    let file = File::open(data.join(archive)).expect("the archive");
    let mut bytes = Vec::new();
    zstd::Decoder::new(file).expect("zstd").read_to_end(&mut bytes).expect("reads");
    let mut documents = Vec::new();
    let mut rest = bytes.as_slice();
    while rest.len() > 512 && rest[0] != 0 {
        let size = std::str::from_utf8(&rest[124..135]).expect("digits");
        let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).expect("octal");
        if rest[156] == b'0' {
            documents.push(rest[512..512 + size].to_vec());
        }
        rest = &rest[512 + size.div_ceil(512) * 512..];
    }
    Some(documents)
}

#[test]
fn real_advisories_give_rows_and_every_gap_has_a_reason() {
    let Some(documents) = real("csaf/redhat-csaf.tar.zst") else { return };
    assert_eq!(documents.len(), 10);
    let built = Built::of(&documents);
    let mut notices: BTreeMap<&str, usize> = BTreeMap::new();
    for row in built.rows() {
        let (_, notice) = row.rsplit_once('/').expect("package and id");
        *notices.entry(notice).or_default() += 1;
    }
    let notices: Vec<(&str, usize)> = notices.into_iter().collect();
    assert_eq!(notices, EXPECTED_ROWS, "{:#?}", built.contents.tally);
    let reasons: Vec<(&str, u64)> =
        built.contents.reasons.iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(reasons, EXPECTED_REASONS);
    // What the document says, counted by hand in it: 74 vulnerabilities, 5 products.
    let row = built.json("Red Hat/kernel-core/RHSA-2024:2394");
    let entries = row["Entries"].as_array().expect("a list");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["Cves"].as_array().expect("a list").len(), 74);
    assert_eq!(entries[0]["Affected"].as_array().expect("a list").len(), 5);
    assert_eq!(entries[0]["FixedVersion"], "5.14.0-427.13.1.el9_4");
}

/// Packages with a row, by notice.
const EXPECTED_ROWS: &[(&str, usize)] = &[
    ("RHSA-2023:7201", 22),
    ("RHSA-2024:10771", 64),
    ("RHSA-2024:2394", 64),
    ("RHSA-2024:5101", 25),
    ("RHSA-2024:5363", 64),
    ("RHSA-2025:2270", 63),
    ("RHSA-2025:3215", 63),
];

/// Lines of the report, by reason: images of OpenShift, and products of extended support.
const EXPECTED_REASONS: &[(&str, u64)] = &[("content-set-unknown", 15), ("not-an-rpm", 197)];

/// Row, product, vulnerability with severity, architecture, fix.
type Fact = (String, String, String, String, String);

/// The facts of a document as a person reads them: by the names of products, such as
/// `BaseOS-9.4:kernel-0:5.14.0-1.el9.x86_64`, which the mapping does not look at.
fn facts_of(document: &[u8], facts: &mut BTreeSet<Fact>) {
    let document: Value = serde_json::from_slice(document).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut cpes = BTreeMap::new();
    let mut branches = items(&document["product_tree"]["branches"]);
    while let Some(branch) = branches.pop() {
        branches.extend(items(&branch["branches"]));
        if let Some(cpe) = branch["product"]["product_identification_helper"]["cpe"].as_str() {
            cpes.insert(text(&branch["product"]["product_id"]), cpe.to_owned());
        }
    }
    let notice = text(&document["document"]["tracking"]["id"]);
    for vulnerability in items(&document["vulnerabilities"]) {
        let threats = items(&vulnerability["threats"]);
        // Known exploits are threats too.
        let impact = threats.iter().find(|threat| threat["category"] == "impact");
        let impact = match impact.expect("an impact")["details"].as_str().expect("a label") {
            "Low" => 1,
            "Moderate" => 2,
            "Important" => 3,
            _ => 4,
        };
        let cve = format!("{} {impact}", text(&vulnerability["cve"]));
        for id in items(&vulnerability["product_status"]["fixed"]) {
            let id = text(&id);
            let (platform, package) = id.split_once(':').expect("a component of a product");
            if package.contains("@sha256") {
                continue;
            }
            let (package, arch) = package.rsplit_once('.').expect("an architecture");
            let (package, release) = package.rsplit_once('-').expect("a release");
            let (name, version) = package.rsplit_once('-').expect("a version");
            if arch == "src" || name.contains("debuginfo") || name.contains("debugsource") {
                continue;
            }
            let arch = if arch == "noarch" { "" } else { arch }.to_owned();
            let fix = format!("{}-{release}", version.trim_start_matches("0:"));
            let cpe = cpes[platform].clone();
            facts.insert((format!("{name}/{notice}"), cpe, cve.clone(), arch, fix));
        }
    }
}

#[test]
fn real_vex_gives_rows_and_every_gap_has_a_reason() {
    let Some(documents) = real("vex/csaf-vex.tar.zst") else { return };
    let built = Built::of(&documents);
    let of_cves: Vec<&str> = built.rows().into_iter().filter(|row| row.contains("/CVE-")).collect();
    assert_eq!(of_cves, EXPECTED_UNFIXED);
    let reasons: Vec<(&str, u64)> =
        built.contents.reasons.iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(reasons, EXPECTED_VEX_REASONS, "{}", built.report);
    // One notice that VEX and nothing else tells of.
    let row = built.json("Red Hat/cri-o/RHSA-2024:3676");
    let cves = &row["Entries"][0]["Cves"];
    assert_eq!(*cves, json!([{"ID": "CVE-2024-5154", "Severity": 3}]));
    // Out of support.
    let row = built.json("Red Hat/cri-o/CVE-2024-5154");
    let entry = &row["Entries"][0];
    assert_eq!((&entry["Status"], &entry["Cves"]), (&json!(7), &json!([{"Severity": 3}])));
    assert_eq!(built.cpes(&entry["Affected"]), ["cpe:/a:redhat:openshift:3.11"]);
}

/// Packages without a fix, in VEX of the real data.
const EXPECTED_UNFIXED: &[&str] = &[
    "cri-o/CVE-2024-5154",
    "mediawiki/CVE-2024-34500",
    "mediawiki/CVE-2024-34502",
    "mediawiki/CVE-2024-34507",
];

/// Lines of the report on VEX of the real data, by reason: source packages of OpenShift 3.11, that
/// product and JBoss, another publisher's documents, and images and libraries.
const EXPECTED_VEX_REASONS: &[(&str, u64)] = &[
    ("binaries-unknown", 4),
    ("content-set-unknown", 7),
    ("format-not-mapped", 4),
    ("not-an-rpm", 16),
];

#[test]
fn real_rows_say_what_the_documents_say_fact_by_fact() {
    let Some(documents) = real("csaf/redhat-csaf.tar.zst") else { return };
    let mut expected = BTreeSet::new();
    documents.iter().for_each(|document| facts_of(document, &mut expected));
    let built = Built::of(&documents);
    let mut found = BTreeSet::new();
    for row in built.rows() {
        let value = built.json(&format!("Red Hat/{row}"));
        for entry in value["Entries"].as_array().expect("a list") {
            let fix = entry["FixedVersion"].as_str().expect("a version");
            let arches = entry["Arches"].as_array().cloned().unwrap_or(vec![json!("")]);
            for cve in entry["Cves"].as_array().expect("a list") {
                let cve = format!("{} {}", cve["ID"].as_str().expect("an id"), cve["Severity"]);
                for cpe in built.cpes(&entry["Affected"]) {
                    found.extend(arches.iter().map(|arch| {
                        let arch = arch.as_str().expect("a text").to_owned();
                        (row.to_owned(), cpe.clone(), cve.clone(), arch, fix.to_owned())
                    }));
                }
            }
        }
    }
    assert!(expected.len() > 100_000, "{}", expected.len());
    let missing: Vec<&Fact> = expected.difference(&found).take(5).collect();
    let invented: Vec<&Fact> = found.difference(&expected).take(5).collect();
    assert!(missing.is_empty() && invented.is_empty(), "{missing:#?}\n{invented:#?}");
}
