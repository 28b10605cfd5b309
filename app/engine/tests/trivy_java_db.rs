//! `trivy:java-db`: what is in the file, whether it is always the same, and what Trivy finds with it.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{check_bundle, ingest_into, now};
use stella_engine::{Carrier, EngineError, ProfileSource, RunReport, RunRequest, Store};
use stella_ledger::IngestMode;
use stella_model::ErrorCode;

fn take_in(store: &Store, feed: &str, paths: Vec<PathBuf>) -> u64 {
    ingest_into(store, feed, paths, IngestMode::Merge).summary.documents
}

fn run(
    store: &Store,
    profile: ProfileSource,
    threads: usize,
    allow_empty: &[&str],
    dest: &Path,
) -> Result<RunReport, EngineError> {
    let allow_empty = allow_empty.iter().map(|set| set.parse().expect("a set")).collect();
    let request =
        RunRequest { profile, as_of: Some(now()), allow_empty, threads, ..common::request("") };
    common::run(store, request, dest, Carrier::Dir)
}

fn java_db() -> ProfileSource {
    ProfileSource::BuiltIn("trivy:java-db".to_owned())
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).expect("reads")).expect("JSON")
}

/// The blob of the layer that a tag of the image layout names, with its media type and title.
fn layer(bundle: &Path, tag: &str) -> (PathBuf, String, String) {
    let layout = bundle.join("trivy/oci");
    let blob = |digest: &serde_json::Value| {
        let digest = digest.as_str().and_then(|text| text.strip_prefix("sha256:"));
        layout.join("blobs/sha256").join(digest.expect("a digest"))
    };
    let index = json(&layout.join("index.json"));
    let manifests = index["manifests"].as_array().expect("manifests");
    let named = |entry: &&serde_json::Value| {
        entry["annotations"]["org.opencontainers.image.ref.name"] == tag
    };
    let entry = manifests.iter().find(named).expect("the tag is in the layout");
    let manifest = json(&blob(&entry["digest"]));
    assert_eq!(manifest["artifactType"], "application/vnd.aquasec.trivy.config.v1+json");
    let layer = &manifest["layers"][0];
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let title = text(&layer["annotations"]["org.opencontainers.image.title"]);
    (blob(&layer["digest"]), text(&layer["mediaType"]), title)
}

/// Members of a `.tar.gz` by name.
fn members(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let dir = stella_testkit::temp_dir();
    unpack(archive, dir.path());
    let entries = fs::read_dir(dir.path()).expect("a folder");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("reads"))
        })
        .collect()
}

fn unpack(archive: &Path, dir: &Path) {
    fs::create_dir_all(dir).expect("makes a folder");
    let status = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir).status();
    assert!(status.expect("tar runs").success());
}

/// Rows of a database as `group:artifact version sha1`.
fn rows(bundle: &Path) -> Vec<String> {
    let (archive, ..) = layer(bundle, "java-db-1");
    let dir = stella_testkit::temp_dir();
    unpack(&archive, dir.path());
    let database = rusqlite::Connection::open(dir.path().join("trivy-java.db")).expect("opens");
    let mut rows = database
        .prepare(
            "SELECT group_id || ':' || a.artifact_id || ' ' || version || ' ' || lower(hex(sha1)) \
             FROM indices i JOIN artifacts a ON a.id = i.artifact_id ORDER BY i.rowid",
        )
        .expect("a query");
    let rows = rows.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts")
}

/// A CycloneDX document of components (purl, SHA-1).
fn bom(name: &str, components: &[(&str, &str)]) -> String {
    let component = |(purl, sha1): &(&str, &str)| {
        format!(
            r#"{{"type":"library","name":"x","purl":"{purl}","hashes":[{{"alg":"SHA-1","content":"{sha1}"}}]}}"#
        )
    };
    let components: Vec<String> = components.iter().map(component).collect();
    format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"urn:{name}","version":1,
            "metadata":{{"timestamp":"2026-01-02T03:04:05Z"}},"components":[{}]}}"#,
        components.join(",")
    )
}

fn write(path: &Path, text: &str) -> PathBuf {
    fs::create_dir_all(path.parent().expect("a folder")).expect("makes a folder");
    fs::write(path, text).expect("writes");
    path.to_owned()
}

/// A made-up SHA-1.
fn sha1(number: usize) -> String {
    stella_model::Digest::of(&number.to_be_bytes()).to_string()[..40].to_owned()
}

/// A store with SBOMs of every format and a jar list, taken in in an order that `turn` decides.
fn mixed_store(dir: &Path, turn: usize) -> Store {
    let store = Store::at(dir.join("store"));
    let in_files = dir.join("in");
    let mut files: Vec<PathBuf> = (0..40)
        .map(|number| {
            let purls: Vec<(String, String)> = (0..50)
                .map(|part| {
                    let jar = (number * 37 + part * 11) % 700;
                    (format!("pkg:maven/org.g{}/a{jar}@1.{}", jar % 7, jar % 5), sha1(jar))
                })
                .collect();
            let parts: Vec<(&str, &str)> =
                purls.iter().map(|(purl, sha1)| (purl.as_str(), sha1.as_str())).collect();
            write(&in_files.join(format!("{number}.cdx.json")), &bom(&number.to_string(), &parts))
        })
        .collect();
    let (a, b, c) = (sha1(2001), sha1(2002), sha1(2003));
    files.push(write(
        &in_files.join("a.spdx.json"),
        &format!(
            r#"{{"spdxVersion":"SPDX-2.3","documentNamespace":"https://a.example/1","creationInfo":{{"created":"2026-01-01T00:00:00Z"}},
               "packages":[{{"SPDXID":"SPDXRef-A","name":"a","checksums":[{{"algorithm":"SHA1","checksumValue":"{a}"}}],
               "externalRefs":[{{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:maven/spdx/json@1"}}]}}]}}"#
        ),
    ));
    files.push(write(
        &in_files.join("b.spdx"),
        &format!(
            "SPDXVersion: SPDX-2.3\nDocumentNamespace: https://b.example/1\nPackageName: b\n\
             SPDXID: SPDXRef-B\nPackageChecksum: SHA1: {b}\n\
             ExternalRef: PACKAGE-MANAGER purl pkg:maven/spdx/text@1\n"
        ),
    ));
    files.push(write(
        &in_files.join("c.cdx.xml"),
        &format!(
            r#"<bom xmlns="http://cyclonedx.org/schema/bom/1.5" serialNumber="urn:c" version="1"><components><component>
               <name>c</name><hashes><hash alg="SHA-1">{c}</hash></hashes><purl>pkg:maven/cyclonedx/xml@1</purl></component></components></bom>"#
        ),
    ));
    files.push(write(
        &in_files.join("list.jsonl"),
        &(3000..3200)
            .map(|number| {
                format!(
                    "{{\"sha1\":\"{}\",\"groupID\":\"org.list\",\"artifactID\":\"l{}\",\"version\":\"{number}\",\
                     \"file\":\"x.jar\",\"size\":1}}\n",
                    sha1(number),
                    number % 9
                )
            })
            .collect::<String>(),
    ));
    let count = files.len();
    files.rotate_left(turn % count);
    if turn % 2 == 1 {
        files.reverse();
    }
    for (number, chunk) in files.chunks(9).enumerate() {
        take_in(&store, if number % 2 == turn % 2 { "even" } else { "odd" }, chunk.to_vec());
    }
    store
}

#[test]
fn equal_evidence_gives_equal_bytes_whatever_the_order_and_the_threads() {
    let dir = stella_testkit::temp_dir();
    let mut made = Vec::new();
    for (turn, threads) in [(0, 1), (0, 2), (17, 2), (30, 5)] {
        let dir = dir.path().join(format!("{turn}-{threads}"));
        let store = mixed_store(&dir, turn);
        run(&store, java_db(), threads, &[], &dir.join("a")).expect("runs");
        run(&store, java_db(), threads, &[], &dir.join("b")).expect("runs");
        let (archive, media_type, title) = layer(&dir.join("a"), "java-db-1");
        assert_eq!(media_type, "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip");
        assert_eq!(title, "javadb.tar.gz");
        let archive = fs::read(archive).expect("reads");
        assert_eq!(archive, fs::read(layer(&dir.join("b"), "java-db-1").0).expect("reads"));
        made.push(archive);
    }
    assert!(made.iter().all(|archive| *archive == made[0]));

    let bundle = dir.path().join("0-1/a");
    check_bundle(&bundle);
    let members = members(&layer(&bundle, "java-db-1").0);
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(names, ["metadata.json", "trivy-java.db"]);
    assert_eq!(
        String::from_utf8_lossy(&members["metadata.json"]),
        "{\"Version\":1,\"NextUpdate\":\"2026-11-26T12:00:00Z\",\
         \"UpdatedAt\":\"2026-11-23T12:00:00Z\",\"DownloadedAt\":\"0001-01-01T00:00:00Z\"}\n"
    );
    assert_eq!(
        fs::read_to_string(bundle.join("trivy/cache/java-db/metadata.json")).expect("reads"),
        "{\"Version\":1,\"NextUpdate\":\"2999-12-31T23:59:59Z\",\
         \"UpdatedAt\":\"2026-11-23T12:00:00Z\",\"DownloadedAt\":\"2026-11-23T12:00:00Z\"}\n"
    );
    let rows = rows(&bundle);
    assert!(rows.len() > 500, "{}", rows.len());
    for expected in ["cyclonedx:xml 1", "spdx:json 1", "spdx:text 1", "org.list:l3 3000"] {
        assert!(rows.iter().any(|row| row.starts_with(expected)), "{expected}");
    }
}

#[test]
fn the_plan_covers_every_jar_of_a_list() {
    let dir = stella_testkit::temp_dir();
    let line = |sha1: &str| {
        format!(
            r#"{{"sha1":"{sha1}","groupID":"g","artifactID":"a","version":"1","file":"a.jar"}}"#
        )
    };
    let mut hashes = BTreeSet::new();
    for (name, lines) in [
        ("one", vec![line(&sha1(1))]),
        ("other", vec![line(&sha1(2))]),
        ("size", vec![line(&sha1(1)).replace("a.jar", "b.jar")]),
        ("both", vec![line(&sha1(2)), line(&sha1(1))]),
    ] {
        let store = Store::at(dir.path().join(name));
        let list = write(&dir.path().join(format!("{name}.jsonl")), &(lines.join("\n") + "\n"));
        assert_eq!(take_in(&store, "jars", vec![list]), lines.len() as u64);
        let bundle = dir.path().join(format!("{name}-bundle"));
        let report = run(&store, java_db(), 1, &[], &bundle).expect("runs");
        assert!(hashes.insert(report.plan_hash.to_string()), "{name}");
        assert_eq!(rows(&bundle).len(), lines.len());
    }
}

#[test]
fn an_empty_database_is_an_error_unless_it_is_meant() {
    let dir = stella_testkit::temp_dir();
    let store = Store::at(dir.path().join("store"));
    let document = bom("x", &[("pkg:maven/g/a@1", "short"), ("pkg:npm/a@1", &sha1(1))]);
    take_in(&store, "acme", vec![write(&dir.path().join("x.cdx.json"), &document)]);
    let error = run(&store, java_db(), 1, &[], &dir.path().join("a")).expect_err("is empty");
    assert_eq!(error.code(), ErrorCode::Empty);
    assert!(error.to_string().contains("no-sha1 1"), "{error}");
    assert!(!dir.path().join("a").exists());
    let other = run(&store, java_db(), 1, &["sbom/other"], &dir.path().join("a"));
    assert_eq!(other.expect_err("another set is meant").code(), ErrorCode::Empty);
    run(&store, java_db(), 1, &["sbom/acme"], &dir.path().join("a")).expect("is meant");
    check_bundle(&dir.path().join("a"));
    assert!(rows(&dir.path().join("a")).is_empty());
}

#[test]
fn the_manifest_counts_rows_and_what_has_none() {
    let dir = stella_testkit::temp_dir();
    let store = Store::at(dir.path().join("store"));
    let document = bom(
        "x",
        &[
            ("pkg:maven/g/b@1", &sha1(1)),
            ("pkg:maven/g/a@1?classifier=all", &sha1(1)),
            ("pkg:maven/g/a@2", &sha1(2)),
            ("pkg:maven/g/a@3", ""),
        ],
    );
    take_in(&store, "acme", vec![write(&dir.path().join("x.cdx.json"), &document)]);
    let bundle = dir.path().join("a");
    run(&store, java_db(), 1, &[], &bundle).expect("runs");
    check_bundle(&bundle);
    let manifest = json(&bundle.join("export.json"));
    assert_eq!(
        manifest["outputs"].to_string(),
        r#"[{"adapter":"trivy:java-db","adapterVersion":1,"importable":false,"keys":{"artifacts":2,"indices":2},"notRepresented":{"duplicate-sha1":1,"no-sha1":1},"scanner":{"name":"trivy","oldest":"0.59.1","schema":1}}]"#
    );
    assert_eq!(manifest["coverage"].to_string(), "[]");
    assert_eq!(rows(&bundle), [format!("g:a 2 {}", sha1(2)), format!("g:b 1 {}", sha1(1))]);
    let readme = fs::read_to_string(bundle.join("README.md")).expect("reads");
    for told in ["--skip-java-db-update", "--java-db-repository", "trivy/oci:java-db-1"] {
        assert!(readme.contains(told), "{told}");
    }
}

#[test]
fn real_data_becomes_rows() {
    let mut archives = vec![
        "java/maven-jars-pyspark-3.5.3.jsonl.zst",
        "sbom/cyclonedx-bom-examples.tar.zst",
        "sbom/spdx-examples.tar.zst",
    ];
    if stella_testkit::full() {
        archives.extend([
            "sbom/bom-shelter-lab.tar.zst",
            "sbom/bom-shelter-scale.tar.zst",
            "sbom/bom-shelter-wild-spdx.tar.zst",
            "sbom/cyclonedx-spec-cases.tar.zst",
            "sbom/guac-data.tar.zst",
            "sbom/trustify-redhat-sboms.tar.zst",
        ]);
    }
    let dir = stella_testkit::temp_dir();
    let store = Store::at(dir.path().join("store"));
    for (number, name) in archives.iter().enumerate() {
        let Some(path) = stella_testkit::data_archive(name) else { return };
        take_in(&store, &format!("f{number}"), vec![path]);
    }
    let bundle = dir.path().join("a");
    let report = run(&store, java_db(), 2, &[], &bundle).expect("runs");
    check_bundle(&bundle);
    // The list has 56 without one.
    assert!(report.databases[0].not_represented["no-group"] >= 56, "{:?}", report.databases);
    let rows = rows(&bundle);
    // The list has 196 jars with a group, no two of them the same.
    assert!(rows.len() >= 196, "{}", rows.len());
    let hikari = "com.zaxxer:HikariCP 2.5.1 b896b711e2d98fedf403de590559a123b5fbf1a6";
    assert!(rows.iter().any(|row| row == hikari));
}

/// A jar with these members. Its first member makes it differ from others.
fn jar(path: &Path, salt: &str, members: &[(&str, &str)]) -> String {
    fs::create_dir_all(path.parent().expect("a folder")).expect("makes a folder");
    let mut jar = zip::ZipWriter::new(fs::File::create(path).expect("makes a file"));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in [("salt.txt", salt)].iter().chain(members) {
        jar.start_file(*name, options).expect("a member");
        jar.write_all(text.as_bytes()).expect("writes");
    }
    jar.finish().expect("finishes");
    let output = Command::new("sha1sum").arg(path).output().expect("sha1sum runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.split(' ').next().expect("a digest").trim_start_matches('\\').to_owned()
}

/// A line: an advisory for all versions of a package before this one.
fn osv(number: usize, package: &str, fixed: &str) -> String {
    let events = format!(r#"[{{"introduced":"0"}},{{"fixed":"{fixed}"}}]"#);
    let ranges = format!(r#"[{{"type":"ECOSYSTEM","events":{events}}}]"#);
    let package = format!(r#"{{"ecosystem":"Maven","name":"{package}"}}"#);
    format!(
        r#"{{"schema_version":"1.6.0","id":"CVE-2090-{number:04}","modified":"2026-01-02T03:04:05Z","summary":"planted","affected":[{{"package":{package},"ranges":{ranges}}}]}}"#
    )
}

/// What Trivy is given: a folder of jars, and its cache with both databases.
struct Planted {
    dir: tempfile::TempDir,
    root: PathBuf,
    cache: PathBuf,
}

/// What is found of it: CVE, package, version.
const FOUND: &[(&str, &str, &str)] = &[
    ("CVE-2090-0001", "org.planted:by-sha1", "1.0"),
    ("CVE-2090-0002", "org.planted:by-name", "2.14.0"),
    ("CVE-2090-0003", "org.planted:by-pom", "3.0"),
    ("CVE-2090-0004", "org.planted:native", "1.0"),
    ("CVE-2090-0005", "org.dup:zz", "1.0"),
    ("CVE-2090-0008", "org.many:two-groups", "1.0"),
    ("CVE-2090-0010", "org.planted:listed", "1.0"),
    ("CVE-2090-0011", "org.planted:by-manifest", "4.0"),
];

impl Planted {
    /// Jars in all the ways in which Trivy learns what they are, and advisories for them and for
    /// what they are not.
    fn new() -> Planted {
        let dir = stella_testkit::temp_dir();
        let root = dir.path().join("root");
        let app = root.join("app");
        let by_sha1 = jar(&app.join("renamed.jar"), "1", &[]);
        // Other bytes than those that the database knows under the name.
        jar(&app.join("by-name-2.14.0.jar"), "2", &[]);
        let pom = "groupId=org.planted\nartifactId=by-pom\nversion=3.0\n";
        let place = "META-INF/maven/org.planted/by-pom/pom.properties";
        jar(&app.join("whatever.jar"), "3", &[(place, pom)]);
        let native = jar(&app.join("native-code.jar"), "4", &[]);
        let twice = jar(&app.join("twice.jar"), "5", &[]);
        let fixed = jar(&app.join("fixed.jar"), "6", &[]);
        jar(&app.join("two-groups-1.0.jar"), "7", &[]);
        let listed = jar(&app.join("deep/er/listed-by-list.jar"), "8", &[]);
        let manifest = "Manifest-Version: 1.0\r\nImplementation-Title: by-manifest\r\n\
                        Implementation-Version: 4.0\r\nImplementation-Vendor-Id: org.planted\r\n\r\n";
        jar(&app.join("with-manifest.jar"), "9", &[("META-INF/MANIFEST.MF", manifest)]);
        jar(&app.join("unknown-1.0.jar"), "10", &[]);
        let document = bom(
            "app",
            &[
                ("pkg:maven/org.planted/by-sha1@1.0", &by_sha1),
                ("pkg:maven/org.planted/by-name@2.14.0", &sha1(1)),
                ("pkg:maven/org.planted/native@1.0?classifier=linux-x86_64", &native),
                ("pkg:maven/org.dup/aa@1.0?classifier=all", &twice),
                ("pkg:maven/org.dup/zz@1.0", &twice),
                ("pkg:maven/org.planted/fixed@2.0", &fixed),
                ("pkg:maven/org.one/two-groups@1.0", &sha1(2)),
                ("pkg:maven/org.many/two-groups@1.0", &sha1(3)),
                ("pkg:maven/org.many/two-groups@1.0?classifier=c", &sha1(4)),
                ("pkg:maven/org.planted/by-manifest@1.0", &sha1(5)),
            ],
        );
        let list = format!(
            r#"{{"sha1":"{listed}","groupID":"org.planted","artifactID":"listed","version":"1.0","file":"listed-1.0.jar","size":1}}"#
        );
        let store = Store::at(dir.path().join("store"));
        take_in(&store, "acme", vec![write(&dir.path().join("app.cdx.json"), &document)]);
        take_in(&store, "jars", vec![write(&dir.path().join("list.jsonl"), &(list + "\n"))]);
        let advisories = [
            osv(1, "org.planted:by-sha1", "99"),
            osv(2, "org.planted:by-name", "99"),
            osv(3, "org.planted:by-pom", "99"),
            osv(4, "org.planted:native", "99"),
            osv(5, "org.dup:zz", "99"),
            osv(6, "org.dup:aa", "99"),
            osv(7, "org.planted:fixed", "2.0"),
            osv(8, "org.many:two-groups", "99"),
            osv(9, "org.one:two-groups", "99"),
            osv(10, "org.planted:listed", "99"),
            osv(11, "org.planted:by-manifest", "99"),
            osv(12, "org.planted:unknown", "99"),
        ];
        let advisories = write(&dir.path().join("osv.jsonl"), &(advisories.join("\n") + "\n"));
        assert_eq!(take_in(&store, "maven", vec![advisories]), 12);
        let profile = "name = \"java\"\noutputs = [\"trivy:db\", \"trivy:java-db\"]\n";
        let profile = write(&dir.path().join("java.toml"), profile);
        let bundle = dir.path().join("bundle");
        run(&store, ProfileSource::File(profile), 2, &[], &bundle).expect("runs");
        check_bundle(&bundle);
        let cache = dir.path().join("cache");
        for (folder, tag) in [("db", "db-2"), ("java-db", "java-db-1")] {
            unpack(&layer(&bundle, tag).0, &cache.join(folder));
            let metadata = bundle.join("trivy/cache").join(folder).join("metadata.json");
            fs::copy(metadata, cache.join(folder).join("metadata.json")).expect("copies");
        }
        Planted { dir, root, cache }
    }

    /// The arguments of a scan.
    fn scan<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .args(["rootfs", "--scanners", "vuln", "--offline-scan", "--quiet"])
            .args(["--skip-db-update", "--skip-java-db-update", "--format", "json"])
            .arg("--cache-dir")
            .arg(&self.cache)
            .arg(&self.root)
            // Newer versions ask for news of themselves; older ones do not know the flags.
            .env("TRIVY_SKIP_VERSION_CHECK", "true")
            .env("TRIVY_DISABLE_TELEMETRY", "true")
            .env("HOME", self.dir.path())
    }

    #[track_caller]
    fn check(&self, version: &str, output: &Output) {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{version}: {told}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let results = report["Results"].as_array().map_or(&[][..], Vec::as_slice);
        let found: BTreeSet<[&str; 3]> = results
            .iter()
            .flat_map(|result| result["Vulnerabilities"].as_array().into_iter().flatten())
            .map(|found| {
                ["VulnerabilityID", "PkgName", "InstalledVersion"]
                    .map(|name| found[name].as_str().unwrap_or_default())
            })
            .collect();
        let expected: BTreeSet<[&str; 3]> =
            FOUND.iter().map(|(cve, package, found)| [*cve, *package, *found]).collect();
        assert_eq!(found, expected, "{version}: {told}");
    }
}

#[test]
fn peer_trivy_finds_jars_by_sha1_name_and_pom() {
    let planted = Planted::new();
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let Some(trivy) = stella_peers::trivy(version) else { return };
        let before = fs::read(planted.cache.join("java-db/trivy-java.db")).expect("reads");
        let mut command = stella_peers::offline(&trivy);
        planted.check(version, &planted.scan(&mut command).output().expect("trivy runs"));
        let after = fs::read(planted.cache.join("java-db/trivy-java.db")).expect("reads");
        assert!(before == after, "{version} writes to the database");
    }
}

/// A database in write-ahead mode would give no finding at all here, and no error either.
#[test]
fn peer_trivy_reads_the_database_from_a_medium_that_is_only_read() {
    let planted = Planted::new();
    let folder = planted.cache.join("java-db");
    if !only_read(&folder).arg("true").status().is_ok_and(|status| status.success()) {
        return stella_testkit::skip("this user cannot mount in a namespace");
    }
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let Some(trivy) = stella_peers::trivy(version) else { return };
        let mut command = only_read(&folder);
        command.arg(&trivy);
        planted.check(version, &planted.scan(&mut command).output().expect("trivy runs"));
    }
}

/// A command that runs what follows where a folder is a medium that nobody can write: root writes
/// to files whatever their mode.
fn only_read(folder: &Path) -> Command {
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" \"$0\" || exit 99\n\
                  touch \"$0/x\" 2>/dev/null && exit 98\nexec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-r", "-n", "-m", "sh", "-c", script]).arg(folder);
    command
}
