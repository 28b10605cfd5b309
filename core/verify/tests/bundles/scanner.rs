//! Databases that a publisher signed and no scanner should be given: each is refused, and the right
//! check says so. Scanners that meet them crash, or find nothing and are content.

use serde_json::{Value, json};
use stella_verify::{Check, State};

use crate::database::{Db, Node};
use crate::maker::{Maker, find, policy};

type Spoil = fn(&mut Db);

use Check::{ScannerDatabase, ScannerPackaging, ScannerReport};

const PAGE: usize = 4096;

/// What is wrong with the database itself.
const DATABASES: &[(&str, &str, Spoil)] = &[
    ("empty file", "no bbolt file", |db| db.file = Vec::clear),
    ("cut in half", "cut off", |db| db.file = |f| f.truncate(f.len() / 2 / PAGE * PAGE)),
    ("cut by a byte", "cut off", |db| db.file = |f| f.truncate(f.len() - 1)),
    ("other bytes", "no bbolt file", |db| db.file = |f| f.fill(0x5a)),
    ("both checksums wrong", "wrong checksum", |db| {
        db.file = |f| {
            f[72] ^= 1;
            f[PAGE + 72] ^= 1;
        }
    }),
    ("one meta page broken", "meta pages", |db| db.file = |f| f[72] ^= 1),
    ("a page that says it is another", "says page", |db| db.file = |f| f[4 * PAGE] ^= 1),
    ("a page of another kind", "flags", |db| db.file = |f| f[4 * PAGE + 8] ^= 0x20),
    ("a page with more elements than fit", "page", |db| db.file = |f| f[4 * PAGE + 11] ^= 0x7f),
    ("a page after the last", "belong to no bucket", |db| {
        db.file = |f| f.extend([0; PAGE]);
    }),
    ("keys out of order", "does not come after", |db| {
        db.file = |f| {
            let at = find(f, b"pkg-001");
            f[at + 6] = b'9';
        }
    }),
    ("a bucket that Trivy never looks into", "none that Trivy looks into", |db| {
        db.nest(&[], "nodejs::Acme");
    }),
    ("a release in another form", "none that Trivy looks into", |db| db.nest(&[], "alma 9.3")),
    ("a bucket in a package", "lies too deep", |db| db.nest(&["npm::Acme", "pkg-000"], "x")),
    ("a bucket among vulnerabilities", "does not belong", |db| db.nest(&["vulnerability"], "x")),
    ("a bucket of Red Hat's that is none", "does not belong", |db| {
        db.nest(&["Red Hat CPE"], "repositories");
    }),
    ("an advisory without a package", "only buckets are", |db| {
        db.put(&["npm::Acme"], "CVE-9", "{}");
    }),
    ("no bucket of vulnerabilities", "there is no bucket \"vulnerability\"", |db| {
        db.tree.remove(&b"vulnerability"[..]);
    }),
    ("no bucket of Red Hat's products", "there is no bucket \"Red Hat CPE\"", |db| {
        db.tree.remove(&b"Red Hat CPE"[..]);
    }),
    ("a bucket that nothing describes", "no row of data-source", |db| {
        db.at(&["data-source"]).remove(&b"npm::Acme"[..]);
    }),
    ("a wrong number of keys", "another number of keys", |db| {
        db.output = |o| *o.keys.get_mut("npm::Acme").expect("is there") -= 1;
    }),
    ("a bucket that is told and not there", "another number of keys", |db| {
        db.output = |o| o.keys.extend([("pip::Acme".to_owned(), 0)]);
    }),
    ("a bucket that is there and not told", "tells nothing of the bucket", |db| {
        db.output = |o| o.keys.retain(|name, _| name != "alma 9");
    }),
    ("another schema", "another schema", |db| {
        db.output = |o| o.scanner.as_mut().expect("is there").schema = 3;
    }),
    ("no scanner", "does not tell its scanner", |db| db.output = |o| o.scanner = None),
    ("broken JSON", "EOF", |db| db.put(&["vulnerability"], "CVE-1", "{\"Title\":\"t\"")),
    ("an empty value", "EOF", |db| db.put(&["vulnerability"], "CVE-1", "")),
    ("a severity in lower case", "one of UNKNOWN", |db| {
        db.put(&["vulnerability"], "CVE-1", r#"{"Severity":"high"}"#);
    }),
    ("a severity of a vendor beyond critical", "from 1 to 4", |db| {
        db.put(&["vulnerability"], "CVE-1", r#"{"VendorSeverity":{"nvd":5}}"#);
    }),
    ("a date without a time", "RFC 3339", |db| {
        db.put(&["vulnerability"], "CVE-1", r#"{"PublishedDate":"2020-01-02"}"#);
    }),
    ("a status in words", "from 0 to 7", |db| {
        db.put(&["alma 9", "openssl"], "CVE-2", r#"{"Status":"will_not_fix"}"#);
    }),
    ("ranges where a fix belongs", "unknown member", |db| {
        db.put(&["alma 9", "openssl"], "CVE-2", r#"{"VulnerableVersions":["<1"]}"#);
    }),
    ("a fix where ranges belong", "unknown member", |db| {
        db.put(&["npm::Acme", "pkg-000"], "CVE-1", r#"{"FixedVersion":"1"}"#);
    }),
    ("a source that is no object", "an object", |db| db.put(&["data-source"], "alma 9", "\"a\"")),
    ("products by name", "from 0", |db| {
        db.put(&["Red Hat CPE", "repository"], "rhel-9", r#"["cpe:/o"]"#);
    }),
    ("a key that is no UTF-8", "no UTF-8", |db| {
        db.at(&["npm::Acme"]).insert(vec![b'x', 0xff], Node::Bucket(Default::default()));
    }),
];

/// What is wrong with what is around it.
const PACKAGES: &[(&str, &str, Spoil)] = &[
    ("another media type of the layer", "mediaType", |db| {
        db.image =
            |i| i["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
    }),
    ("two layers", "number of layers", |db| {
        db.image = |i| {
            let layer = i["layers"][0].clone();
            i["layers"].as_array_mut().expect("a list").push(layer);
        }
    }),
    ("no layer", "number of layers", |db| db.image = |i| i["layers"] = json!([])),
    ("no title", "annotations", |db| {
        db.image = |i| drop(i["layers"][0].as_object_mut().expect("a layer").remove("annotations"));
    }),
    ("a title that leads out of the folder", "annotations", |db| {
        db.image = |i| {
            i["layers"][0]["annotations"]["org.opencontainers.image.title"] = json!("../db.tar.gz");
        }
    }),
    ("a layer of another size", "size", |db| db.image = |i| i["layers"][0]["size"] = json!(1)),
    ("a layer that is not there", "does not list", |db| {
        db.image = |i| i["layers"][0]["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    }),
    ("a layer by SHA-512", "no SHA-256", |db| {
        db.image = |i| i["layers"][0]["digest"] = json!("sha512:00");
    }),
    ("a digest that is a path", "no SHA-256", |db| {
        db.image = |i| i["layers"][0]["digest"] = json!("sha256:../../../cache/db/metadata.json");
    }),
    ("an image with more members", "does not read", |db| {
        db.image = |i| i["subject"] = json!({});
    }),
    ("another artifact type", "artifactType", |db| db.image = |i| i["artifactType"] = json!("x/y")),
    ("another time", "annotations", |db| {
        db.image = |i| {
            i["annotations"]["org.opencontainers.image.created"] = json!("2026-11-01T00:00:01Z")
        };
    }),
    ("a configuration", "configuration", |db| {
        db.image = |i| i["config"] = i["layers"][0].clone();
    }),
    ("two images", "number of manifests", |db| {
        db.index = |i| {
            let image = i["manifests"][0].clone();
            i["manifests"].as_array_mut().expect("a list").push(image);
        }
    }),
    ("another tag", "annotations", |db| {
        db.index = |i| {
            i["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = json!("latest");
        }
    }),
    ("a list of another type", "mediaType", |db| db.index = |i| i["mediaType"] = json!("x/y")),
    ("a list that is none", "does not read", |db| db.index = |i| *i = Value::Null),
    ("a list with white space", "RFC 8785", |db| {
        db.listed = |l| l[3].2.insert(1, b' ');
    }),
    ("another version of the layout", "version 1.0.0", |db| {
        db.listed = |l| l[2].2 = br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec();
    }),
    ("a blob too many", "leads to this file", |db| {
        db.listed = |l| l.push(("trivy/oci/blobs/sha256/00".into(), "x/y", b"x".to_vec(), None));
    }),
    ("a file too many", "leads to this file", |db| {
        db.listed = |l| l.push(("trivy/cache/db/trivy.db".into(), "x/y", b"x".to_vec(), None));
    }),
    ("a VEX repository that is no output", "leads to this file", |db| {
        db.listed = |l| l.push(("trivy/vex/repository.yaml".into(), "x/y", b"x".to_vec(), None));
    }),
    ("no list", "does not list", |db| db.listed = |l| drop(l.remove(3))),
    ("a layer that the manifest calls otherwise", "media type", |db| {
        db.listed = |l| l[6].1 = "application/gzip";
    }),
    ("a member too many", "more members", |db| {
        db.members = |m| m.push(("x", b"x".to_vec()));
    }),
    ("a member too few", "another name", |db| db.members = |m| drop(m.remove(0))),
    ("members in another order", "another name", |db| db.members = |m| m.reverse()),
    ("members in a folder", "another name", |db| db.members = |m| m[1].0 = "db/trivy.db"),
    ("a time in the archive", "another name or header", |db| db.tar = |t| t[146] = b'1'),
    ("a link in the archive", "another name or header", |db| db.tar = |t| t[156] = b'2'),
    ("a size that is no number", "another name or header", |db| db.tar = |t| t[124] = b'x'),
    ("something in the padding", "padding", |db| db.tar = |t| t[1023] = 1),
    ("something after the archive", "follows the archive", |db| db.tar = |t| t.push(0)),
    ("an archive without an end", "does not unpack", |db| db.tar = |t| t.truncate(t.len() - 1024)),
    ("a time in the gzip header", "gzip header", |db| db.gzip = |g| g[4] = 1),
    ("a system in the gzip header", "gzip header", |db| db.gzip = |g| g[9] = 3),
    ("flags in the gzip header", "gzip header", |db| db.gzip = |g| g[3] = 8),
    ("a gzip stream cut short", "does not unpack", |db| db.gzip = |g| g.truncate(g.len() / 2)),
    ("a gzip stream of nothing", "does not unpack", |db| db.gzip = Vec::clear),
    ("a wrong checksum", "does not unpack", |db| {
        db.gzip = |g| {
            let at = g.len() - 8;
            g[at] ^= 1;
        }
    }),
    ("something after the gzip stream", "follows the compressed", |db| db.gzip = |g| g.push(0)),
    ("an archive that is not compressed", "gzip header", |db| db.gzip = |g| g.fill(b'x')),
    ("a database that claims seven gigabytes", "expands to more", |db| {
        db.tar = |t| {
            let name = stella_model::PartName::new("trivy.db").expect("a name");
            let claim = stella_manifest::tar::header(&name, 7 << 30).expect("fits");
            t[1024..1536].copy_from_slice(&claim);
        }
    }),
    ("metadata without end", "expands to more", |db| {
        db.layer_metadata = " ".repeat(5000);
    }),
    ("Version 1", "Version", |db| {
        replace(&mut db.layer_metadata, "\"Version\":2", "\"Version\":1")
    }),
    ("Version 3", "Version", |db| {
        replace(&mut db.cache_metadata, "\"Version\":2", "\"Version\":3")
    }),
    ("no Version", "no metadata", |db| replace(&mut db.layer_metadata, "\"Version\":2,", "")),
    ("another UpdatedAt", "UpdatedAt", |db| {
        replace(&mut db.layer_metadata, "\"2026-11-01T", "\"2026-10-31T");
    }),
    ("another UpdatedAt in the cache", "UpdatedAt", |db| {
        replace(&mut db.cache_metadata, "\"2026-11-01T", "\"2026-10-31T");
    }),
    ("a layer that was downloaded", "DownloadedAt", |db| {
        replace(&mut db.layer_metadata, "0001-01-01", "2026-11-01");
    }),
    ("a layer that is fresh for long", "NextUpdate", |db| {
        replace(&mut db.layer_metadata, "2026-11-02", "2999-11-02");
    }),
    ("a cache that asks for another", "NextUpdate", |db| {
        replace(&mut db.cache_metadata, "2999-12-31", "2026-12-31");
    }),
    ("a NextUpdate that is no time", "NextUpdate", |db| {
        replace(&mut db.cache_metadata, "2999-12-31T23:59:59Z", "never");
    }),
    ("no metadata for the cache", "does not list", |db| db.listed = |l| drop(l.remove(1))),
];

/// What is wrong with the report.
const REPORTS: &[(&str, &str, Spoil)] = &[
    ("no report", "does not list", |db| db.listed = |l| drop(l.remove(0))),
    ("another media type", "media type", |db| db.listed = |l| l[0].1 = "text/plain"),
    ("another number of lines", "number of records", |db| db.listed = |l| l[0].3 = Some(4)),
    ("no number of lines", "number of records", |db| db.listed = |l| l[0].3 = None),
    ("lines out of order", "does not follow", |db| {
        let (first, rest) = db.lines.split_once('\n').expect("lines");
        db.lines = format!("{rest}{first}\n");
    }),
    ("a line twice", "does not follow", |db| {
        let first = db.lines.lines().next().expect("a line").to_owned();
        db.lines = format!("{first}\n{}", db.lines);
    }),
    ("a line too few", "another number of withdrawn", |db| {
        db.lines = db.lines.split_once('\n').expect("lines").1.to_owned();
    }),
    ("a reason that is not told", "notRepresented does not tell", |db| {
        replace(&mut db.lines, "git-only", "no-package");
    }),
    ("a line with white space", "canonical", |db| replace(&mut db.lines, ",\"id\"", ", \"id\"")),
    ("a line with an unknown member", "does not read", |db| {
        replace(&mut db.lines, "\"reason\"", "\"because\"");
    }),
    ("a line without an end", "does not end", |db| db.lines.truncate(db.lines.len() - 1)),
    ("sums that differ", "another number of git-only", |db| {
        db.output = |o| o.not_represented.extend([("git-only".to_owned(), 2)]);
    }),
    ("no coverage", "what a scanner sees", |db| db.coverage.clear()),
    ("coverage out of order", "not sorted", |db| db.coverage.reverse()),
    ("coverage in other words", "full, partial or absent", |db| db.coverage[0].1 = "some"),
];

fn replace(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "{from}");
    *text = text.replacen(from, to, 1);
}

#[test]
fn a_database_in_order_verifies() {
    let report = Maker::with_database(Db::new()).seal().verify();
    let failed: Vec<_> = report.failed().collect();
    assert!(report.verified, "{failed:#?}");
    for check in [ScannerPackaging, ScannerDatabase, ScannerReport] {
        assert_eq!(report.result(check).expect("is there").state, State::Pass);
    }
    let canary = report.result(Check::ScannerCanary).expect("is there");
    assert_eq!(canary.state, State::NotUsed);
    let detail = &report.result(ScannerDatabase).expect("is there").detail;
    assert!(detail.starts_with("306 keys in "), "{detail}");
}

#[test]
fn a_database_that_no_scanner_should_be_given_is_refused() {
    assert!(DATABASES.len() >= 30 && PACKAGES.len() >= 45 && REPORTS.len() >= 12);
    let tables =
        [(ScannerDatabase, DATABASES), (ScannerPackaging, PACKAGES), (ScannerReport, REPORTS)];
    for (check, table) in tables {
        for (what, says, spoil) in table {
            let mut db = Db::new();
            spoil(&mut db);
            let report = Maker::with_database(db).seal().verify();
            let failed: Vec<Check> = report.failed().map(|result| result.check).collect();
            assert!(failed.contains(&check), "{what}: {failed:?}");
            assert_eq!((report.exit_code(), report.verified), (8, false), "{what}");
            let problems = &report.result(check).expect("is there").problems;
            let told = problems.iter().any(|problem| problem.message.contains(says));
            assert!(told, "{what}: {problems:#?}");
            // What is wrong is told by the one check, and not by those of the bundle around it.
            let others = [ScannerPackaging, ScannerDatabase, ScannerReport];
            assert!(failed.iter().all(|check| others.contains(check)), "{what}: {failed:?}");
        }
    }
}

#[test]
fn every_flipped_bit_of_the_database_is_refused_or_means_the_same() {
    // Signed anew after each flip, so that no digest tells: what is left must be read as values.
    static AT: std::sync::Mutex<(usize, u32)> = std::sync::Mutex::new((0, 0));
    let mut state: u64 = 0x5DEE_CE66;
    let mut refused = 0;
    for _ in 0..200 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *AT.lock().expect("one thread") = ((state >> 33) as usize, (state >> 20) as u32 % 8);
        let flip = |file: &mut Vec<u8>| {
            let (at, bit) = *AT.lock().expect("one thread");
            let at = at % file.len();
            file[at] ^= 1 << bit;
        };
        let report = Maker::with_database(Db { file: flip, ..Db::new() }).seal().verify();
        refused += usize::from(!report.verified);
    }
    // The rest fell into texts, or into the empty ends of pages.
    assert!(refused >= 60, "{refused}");
}

#[test]
fn a_database_beyond_the_ratio_is_refused_before_it_is_unpacked() {
    let db = Db { file: |f| f.resize(40 << 20, 0), ..Db::new() };
    let mut policy = policy();
    policy.limits.ratio_free_bytes = 1 << 20;
    let report = Maker::with_database(db).seal().verify_as(&policy);
    let result = report.result(ScannerPackaging).expect("is there");
    assert!(result.detail.contains("expands to more"), "{}", result.detail);
    assert_eq!(report.exit_code(), 8);
}

#[test]
fn a_database_that_was_not_looked_at_is_not_verified() {
    let files = Maker::with_database(Db::new()).seal();
    let report = files.verify_without_scanner();
    assert_eq!((report.exit_code(), report.verified), (8, false));
    assert_eq!(report.result(ScannerDatabase).expect("is there").state, State::NotChecked);
}

#[test]
fn a_canary_that_is_missed_takes_the_verdict_with_it() {
    use stella_verify::{CanaryOutcome, Problem};
    let report = Maker::with_database(Db::new()).seal().verify();
    let with = |outcome| report.clone().with_canary(outcome);
    let found = with(CanaryOutcome::Found("fine".to_owned()));
    assert_eq!((found.verified, found.exit_code()), (true, 0));
    assert_eq!(found.summary.pass, report.summary.pass + 1);
    let wrong = with(CanaryOutcome::Wrong(vec![Problem::new("misses it")]));
    assert_eq!((wrong.verified, wrong.exit_code()), (false, 8));
    let nothing = with(CanaryOutcome::NothingPlanted("no advisories".to_owned()));
    assert_eq!((nothing.verified, nothing.exit_code()), (false, 8));
    assert!(with(CanaryOutcome::NotTried).verified);
}
