//! `trivy:db` judged by the scanners it is for: every planted vulnerable package is found, no other
//! one is, from a cache folder and pulled from a registry.
//!
//! Three versions of Trivy are tried, and all that can be had in the long form of the tests
//! (`cargo xtask trivy-matrix`).

mod support;
mod trivy;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use stella_testkit::{Osv, overwrite};
use support::{Random, Stella, listing, same_files};
use trivy::{
    Finding, Peers, Planted, Pull, Scan, System, Trivy, advised, documented, export, feeds, ingest,
    planted, readme, run, sbom, systems, write,
};

/// The page about the adapter.
const PAGE: &str = "trivy-adapter.md";

/// A bundle, and a cache folder made from it by the commands of the page.
struct Site {
    stella: Stella,
    bundle: PathBuf,
    cache: PathBuf,
}

impl Site {
    fn new(stella: Stella) -> Site {
        Site::with(stella, &[])
    }

    fn with(stella: Stella, more: &[&str]) -> Site {
        let bundle = export(&stella, "bundle", more);
        let cache = stella.path("cache");
        run(&documented(PAGE, "cache"), &bundle, &[("CACHE", &cache)]);
        Site { stella, bundle, cache }
    }

    /// Writes an SBOM.
    fn sbom(&self, name: &str, sbom: &Value) -> PathBuf {
        write(&self.stella.path(name), sbom)
    }

    /// What is planted among the languages, and its SBOM.
    fn languages(&self) -> (Vec<Planted>, PathBuf) {
        let rows = languages();
        let path = self.sbom("languages.cdx.json", &sbom(None, &rows));
        (rows, path)
    }

    /// A copy of the cache folder.
    fn cache_for(&self, name: &str) -> PathBuf {
        let cache = self.stella.path(name);
        fs::create_dir_all(cache.join("db")).expect("a folder");
        for file in ["trivy.db", "metadata.json"] {
            fs::copy(self.cache.join("db").join(file), cache.join("db").join(file))
                .expect("copied");
        }
        cache
    }
}

/// A site without any advisory that a scanner can use.
fn without_advisories() -> Site {
    let stella = Stella::new();
    let path = stella.file("cran.json", Osv::new("RSEC-1").affects("CRAN", "p", "1").bytes());
    ingest(&stella, "cran", &path);
    Site::with(stella, &["--allow-empty", "advisory/cran"])
}

fn languages() -> Vec<Planted> {
    planted().into_iter().filter(|row| row.system.is_none()).collect()
}

/// Fails unless exactly what is planted was found.
fn judge(trivy: &Trivy, what: &str, rows: &[Planted], found: &[Finding]) {
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let vulnerable = format!("vulnerable-{number}");
        let is_found =
            found.iter().any(|finding| finding.component == vulnerable && finding.id == row.id);
        let wanted = row.since.as_deref().is_none_or(|since| trivy.is_since(since));
        if is_found != wanted {
            wrong.push(format!("{} {}: found {is_found}, wanted {wanted}", row.vulnerable, row.id));
        }
        let unaffected = format!("unaffected-{number}");
        for finding in found.iter().filter(|finding| finding.component == unaffected) {
            if rows.iter().any(|row| row.id == finding.id) {
                wrong.push(format!("{:?}: {} is not planted", row.unaffected, finding.id));
            }
        }
    }
    assert!(wrong.is_empty(), "Trivy {}, {what}:\n{}", trivy.version, wrong.join("\n"));
}

#[test]
fn peer_finds_what_is_planted_and_nothing_else() {
    let site = Site::new(advised());
    let sboms: Vec<(String, PathBuf, Vec<Planted>)> = systems()
        .into_iter()
        .map(|(system, rows)| {
            let name = system.as_ref().map_or("languages".to_owned(), |system| {
                format!("{} {}", system.name, system.version)
            });
            let file = format!("{}.cdx.json", name.replace(' ', "-"));
            let path = site.sbom(&file, &sbom(system.as_ref(), &rows));
            (name, path, rows)
        })
        .collect();
    let before = fs::read(site.cache.join("db/trivy.db")).expect("a database");
    for trivy in Trivy::all() {
        let cache = site.cache_for(&format!("cache-{}", trivy.version));
        let mut count = 0;
        for (name, path, rows) in &sboms {
            let found = trivy.findings(&cache, path);
            judge(&trivy, name, rows, &found);
            count += found.len();
        }
        println!("Trivy {}: {count} findings in {} SBOMs", trivy.version, sboms.len());
        let after = fs::read(cache.join("db/trivy.db")).expect("a database");
        assert!(before == after, "Trivy {} changed the database", trivy.version);
    }
}

#[test]
fn peer_pulls_the_database_from_a_registry() {
    let site = Site::new(advised());
    let stella = &site.stella;
    let Some(peers) = Peers::start(stella) else { return };
    let (rows, path) = site.languages();
    let address = peers.address();
    for trivy in Trivy::all() {
        let cache = format!("pulled-{}", trivy.version);
        let pull = Pull {
            stella,
            peers: &peers,
            trivy: &trivy,
            address: &address,
            cache: &cache,
            scanned: &path,
        };
        pull.run(&documented(PAGE, "push"), &site.bundle);
        let report = pull.run(&documented(PAGE, "pull"), &site.bundle);
        let report = Scan::of(&serde_json::from_str(&report).expect("a report"));
        judge(&trivy, "from a registry", &rows, &report);
        // By no tag, which stands for the tag of the schema, and by digest.
        for reference in [String::new(), format!("@{}", digest(&site.bundle, "db-2"))] {
            let repository = format!("{address}/security/trivy-db{reference}");
            let cache = stella.path(&format!("again-{}-{}", trivy.version, reference.len()));
            let mut command = trivy.command(Command::new(&trivy.program), &stella.path("."));
            command.args(trivy.arguments(&cache, &path)).args(["--db-repository", &repository]);
            let scan = Scan::run(&mut command);
            assert_eq!(scan.code, Some(0), "Trivy {} {repository}: {}", trivy.version, scan.stderr);
            judge(&trivy, &repository, &rows, &scan.findings);
        }
    }
}

/// The digest of what an image layout lists under a tag.
fn digest(bundle: &Path, tag: &str) -> String {
    let index = fs::read(bundle.join("trivy/oci/index.json")).expect("an index");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let entries = index["manifests"].as_array().expect("manifests");
    let entry = entries
        .iter()
        .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag);
    entry.expect("is listed")["digest"].as_str().expect("a digest").to_owned()
}

/// A folder with a jar that only its SHA-1 tells, and a bundle that knows it.
fn jar_site() -> (Stella, PathBuf, PathBuf) {
    let stella = Stella::new();
    let jar = stella.file("root/app/renamed.jar", []);
    let mut archive = zip::ZipWriter::new(File::create(&jar).expect("a file"));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("a.txt", options).expect("a member");
    archive.finish().expect("an archive");
    let output = Command::new("sha1sum").arg(&jar).output().expect("sha1sum runs").stdout;
    let sha1 = String::from_utf8(output).expect("UTF-8")[..40].to_owned();
    let line = json!({"sha1": sha1, "groupID": "org.acme", "artifactID": "tool", "version": "1.0"});
    let jars = stella.file("jars.jsonl", format!("{line}\n"));
    ingest(&stella, "jars", &jars);
    let advisory = Osv::new("CVE-2090-0001").affects("Maven", "org.acme:tool", "2.0");
    ingest(&stella, "acme", &stella.file("acme.json", advisory.bytes()));
    let profile = "name = \"java\"\noutputs = [\"trivy:db\", \"trivy:java-db\"]\n";
    stella.file("java.toml", profile);
    let run = ["export", "run", "java.toml", "-d", "bundle", "--unsigned-for-testing"];
    stella.run(&run).expect(0);
    let verify = ["export", "verify", "bundle", "--allow-unsigned-for-testing"];
    stella.run(&verify).expect(0);
    let (bundle, root) = (stella.path("bundle"), stella.path("root"));
    (stella, bundle, root)
}

#[test]
fn peer_pulls_the_index_of_jars_from_a_registry() {
    const PAGE: &str = "trivy-java-db.md";
    let (stella, bundle, root) = jar_site();
    let Some(peers) = Peers::start(&stella) else { return };
    let address = peers.address();
    for trivy in Trivy::all() {
        let tag = "security/trivy-java-db:1";
        let other = format!("security/trivy-java-db@{}", digest(&bundle, "java-db-1"));
        for (number, reference) in [tag, "security/trivy-java-db", &other].iter().enumerate() {
            let cache = format!("pulled-{}-{number}", trivy.version);
            let pull = Pull {
                stella: &stella,
                peers: &peers,
                trivy: &trivy,
                address: &address,
                cache: &cache,
                scanned: &root,
            };
            pull.run(&documented(PAGE, "push"), &bundle);
            let report = pull.run(&documented(PAGE, "pull").replace(tag, reference), &bundle);
            let found = Scan::of(&serde_json::from_str(&report).expect("a report"));
            let ids: Vec<&str> = found.iter().map(|finding| finding.id.as_str()).collect();
            assert_eq!(ids, ["CVE-2090-0001"], "Trivy {} {reference}", trivy.version);
        }
    }
}

#[test]
fn peer_does_as_the_readme_of_the_bundle_says() {
    let site = Site::new(advised());
    let Some(peers) = Peers::start(&site.stella) else { return };
    let (rows, path) = site.languages();
    // By this name oras takes it for one without TLS.
    let address = peers.address().replace("127.0.0.1", "localhost");
    for trivy in Trivy::all() {
        for (number, sentence) in [
            "Without a registry, into a cache folder of your choice:",
            "From a registry of your own, after copying it there:",
        ]
        .into_iter()
        .enumerate()
        {
            let pull = Pull {
                stella: &site.stella,
                peers: &peers,
                trivy: &trivy,
                address: &address,
                cache: &format!("readme-{}-{number}", trivy.version),
                scanned: &path,
            };
            let report = pull.run(&readme(&site.bundle, sentence), &site.bundle);
            // oras tells what it copies before Trivy reports.
            let report = report.get(report.find('{').unwrap_or_default()..).unwrap_or_default();
            let found = Scan::of(&serde_json::from_str(report).expect("a report"));
            judge(&trivy, sentence, &rows, &found);
        }
    }
}

#[test]
fn peer_loads_a_database_without_advisories() {
    let site = without_advisories();
    for (name, version) in
        [("redhat", "8.9"), ("redhat", "9.2"), ("centos", "7.9"), ("debian", "12.2")]
    {
        let system = System { name: name.to_owned(), version: version.to_owned() };
        let kind = if name == "debian" { "deb" } else { "rpm" };
        let row = Planted {
            system: Some(system.clone()),
            vulnerable: format!("pkg:{kind}/{name}/openssl@1.1.1-1?arch=x86_64"),
            unaffected: None,
            id: String::new(),
            since: None,
            source: Some("openssl".to_owned()),
        };
        let path = site.sbom(&format!("{name}-{version}.cdx.json"), &sbom(Some(&system), &[row]));
        for trivy in Trivy::all() {
            let cache = site.cache_for(&format!("cache-{}", trivy.version));
            assert_eq!(
                trivy.findings(&cache, &path),
                [],
                "Trivy {}, {name} {version}",
                trivy.version
            );
        }
    }
}

#[test]
fn peer_shows_one_finding_for_an_issue_with_the_source_that_told_it() {
    let site = Site::new(advised());
    let (rows, path) = site.languages();
    let number = |purl: &str| {
        let row = rows.iter().position(|row| row.vulnerable == purl).expect("is planted");
        format!("vulnerable-{row}")
    };
    let yaml = number("pkg:pypi/pyyaml@5.3.1");
    let own = number("pkg:npm/%40acme/harbour-client@2.3.0");
    for trivy in Trivy::all() {
        let found = trivy.findings(&site.cache_for(&format!("cache-{}", trivy.version)), &path);
        let ids: Vec<&str> = found
            .iter()
            .filter(|finding| finding.component == yaml)
            .map(|finding| finding.id.as_str())
            .collect();
        assert!(ids.contains(&"CVE-2020-14343"), "Trivy {}: {ids:?}", trivy.version);
        let twice = ["GHSA-8q59-q68h-6hv4", "PYSEC-2021-142"];
        assert!(!ids.iter().any(|id| twice.contains(id)), "Trivy {}: {ids:?}", trivy.version);
        let mut own = found.iter().filter(|finding| finding.component == own);
        let (one, more) = (own.next().expect("is found"), own.next());
        assert_eq!(more, None);
        assert_eq!(one.source, "acme-own", "Trivy {}", trivy.version);
        // By a vector of CVSS 4 alone.
        assert_eq!(one.severity, ("HIGH".to_owned(), "acme-own".to_owned()), "{}", trivy.version);
    }
}

/// Redis 7.3 by CVE-2025-21605: as the schema of OSV evaluates the record, and as upstream stores it.
#[test]
fn peer_never_finds_a_range_with_its_end_before_its_beginning() {
    let site = Site::new(advised());
    let (rows, path) = site.languages();
    let purl = "pkg:bitnami/redis@7.3.0?arch=amd64";
    let row = rows.iter().position(|row| row.vulnerable == purl).expect("is planted");
    let component = format!("vulnerable-{row}");
    let [ours, upstreams] = ["\\u003e=7.3.0, \\u003c7.4.3", "\\u003e=7.3.0, \\u003c6.2.0"];
    let database = fs::read(site.cache.join("db/trivy.db")).expect("a database");
    let is_ours = |window: &[u8]| window == ours.as_bytes();
    let place = database.windows(ours.len()).position(is_ours).expect("the range");
    let mut backwards = database.clone();
    backwards[place..place + ours.len()].copy_from_slice(upstreams.as_bytes());
    for trivy in Trivy::all() {
        for (database, is_found) in [(&database, true), (&backwards, false)] {
            let cache = site.cache_for(&format!("backwards-{}", trivy.version));
            overwrite(&cache.join("db/trivy.db"), database);
            let found = trivy.findings(&cache, &path);
            let mut found = found.iter().filter(|finding| finding.component == component);
            let found = found.any(|finding| finding.id == "CVE-2025-21605");
            assert_eq!(found, is_found, "Trivy {}", trivy.version);
        }
    }
}

#[test]
fn peer_takes_the_metadata_with_and_without_a_flag() {
    let site = Site::new(advised());
    let (rows, path) = site.languages();
    let as_of = support::manifest(&site.bundle)["asOf"].as_str().expect("a time").to_owned();
    for trivy in Trivy::all() {
        let cache = site.cache_for(&format!("cache-{}", trivy.version));
        for more in [&[][..], &["--skip-db-update"]] {
            let scan = trivy.scan(&cache, &path, more);
            assert_eq!(scan.code, Some(0), "Trivy {} {more:?}: {}", trivy.version, scan.stderr);
            judge(&trivy, &format!("{more:?}"), &rows, &scan.findings);
        }
        let program = stella_peers::offline(&trivy.program);
        let mut command = trivy.command(program, &site.stella.path("."));
        command.args(["version", "--format", "json", "--cache-dir"]).arg(&cache);
        let said = command.output().expect("Trivy starts").stdout;
        let said: Value = serde_json::from_slice(&said).expect("JSON");
        let database = &said["VulnerabilityDB"];
        assert_eq!(database["Version"], 2, "Trivy {}", trivy.version);
        assert_eq!(database["UpdatedAt"], json!(as_of), "Trivy {}", trivy.version);
        for version in [1, 3] {
            let metadata = cache.join("db/metadata.json");
            let text = fs::read_to_string(&metadata).expect("metadata");
            let other = text.replace("\"Version\":2", &format!("\"Version\":{version}"));
            overwrite(&metadata, other);
            let scan = trivy.scan(&cache, &path, &["--skip-db-update"]);
            assert_eq!(scan.code, Some(1), "Trivy {}, schema {version}", trivy.version);
            overwrite(&metadata, text);
        }
    }
}

#[test]
fn peer_asks_for_a_newer_database_where_the_metadata_tells_of_one() {
    let site = Site::new(advised());
    let (rows, path) = site.languages();
    let folder = site.cache.join("db/metadata.json");
    let folder = fs::read_to_string(folder).expect("metadata");
    let layer: Value = {
        let unpacked = site.stella.path("layer");
        fs::create_dir(&unpacked).expect("a folder");
        let commands =
            documented(PAGE, "cache").replace("install -m 644 trivy/cache", ": trivy/cache");
        run(&commands, &site.bundle, &[("CACHE", &unpacked)]);
        let text = fs::read(unpacked.join("db/metadata.json")).expect("metadata");
        serde_json::from_slice(&text).expect("JSON")
    };
    let with = |member: &str, value: Value| {
        let mut metadata: Value = serde_json::from_str(&folder).expect("JSON");
        metadata[member] = value;
        metadata
    };
    let mut without: Value = serde_json::from_str(&folder).expect("JSON");
    without.as_object_mut().expect("an object").remove("Version");
    // Name, metadata, exit codes with `--skip-db-update` and without it. Nobody is there to ask.
    let cases = [
        ("a layer's", layer, 0, Some(1)),
        ("never downloaded", with("DownloadedAt", json!("0001-01-01T00:00:00Z")), 0, Some(1)),
        ("an update that is due", with("NextUpdate", json!("2020-01-01T00:00:00Z")), 0, Some(1)),
        ("no version", without, 1, None),
        ("no date", with("NextUpdate", json!("tomorrow")), 1, None),
    ];
    let try_all = |trivy: &Trivy| {
        let scan = |name: &str, metadata: &Value, flags: &[&str], code: i32| {
            let cache = site.cache_for(&format!("metadata-{}", trivy.version));
            write(&cache.join("db/metadata.json"), metadata);
            let nobody = ["--db-repository", "127.0.0.1:1/security/trivy-db"];
            let scan = trivy.scan(&cache, &path, &[&nobody[..], flags].concat());
            let what = format!("Trivy {}, {name} {flags:?}", trivy.version);
            assert_eq!(scan.code, Some(code), "{what}: {}", scan.stderr);
            if code == 0 {
                judge(trivy, name, &rows, &scan.findings);
            }
        };
        for (name, metadata, skipping, updating) in &cases {
            scan(name, metadata, &["--skip-db-update"], *skipping);
            // The oldest goes by the next update alone.
            let is_fresh = *name == "never downloaded" && !trivy.is_since("0.67.2");
            if let Some(code) = updating {
                scan(name, metadata, &[], if is_fresh { 0 } else { *code });
            }
        }
    };
    // They wait before they give up.
    std::thread::scope(|scope| {
        for trivy in Trivy::all() {
            let try_all = &try_all;
            scope.spawn(move || try_all(&trivy));
        }
    });
}

#[test]
fn peer_finds_nothing_in_a_damaged_database_whatever_its_exit_code() {
    let site = Site::new(advised());
    let (_, path) = site.languages();
    let whole = fs::read(site.cache.join("db/trivy.db")).expect("a database");
    let mut checksums = whole.clone();
    for meta in [0, 4096] {
        checksums[meta + 72] ^= 1;
    }
    let mut chance = Random::new(7);
    let random: Vec<u8> = whole.iter().map(|_| chance.next().to_le_bytes()[0]).collect();
    // Exit codes of Trivy before 0.67, of 0.67, and of later ones.
    let cases = [
        ("missing", None, [0, 1, 1]),
        ("empty", Some(&[][..]), [0, 0, 1]),
        ("random", Some(&random[..]), [1, 1, 1]),
        ("no valid meta page", Some(&checksums[..]), [1, 1, 1]),
        ("cut", Some(&whole[..whole.len() / 2]), [2, 2, 2]),
    ];
    for trivy in Trivy::all() {
        let age = usize::from(trivy.is_since("0.67.2")) + usize::from(trivy.is_since(READS_ONLY));
        for (name, bytes, codes) in &cases {
            let cache = site.cache_for(&format!("damaged-{}", trivy.version));
            let database = cache.join("db/trivy.db");
            match bytes {
                Some(bytes) => overwrite(&database, bytes),
                None => fs::remove_file(&database).expect("is there"),
            }
            let scan = trivy.scan(&cache, &path, &["--skip-db-update"]);
            let what = format!("Trivy {}, {name}", trivy.version);
            assert_eq!(scan.code, Some(codes[age]), "{what}: {}", scan.stderr);
            assert_eq!(scan.findings, [], "{what}");
        }
    }
}

/// Since 0.68 Trivy only reads its database; older ones open it for writing.
const READS_ONLY: &str = "0.68.2";

#[test]
fn peer_reads_a_cache_folder_that_others_use() {
    let site = Site::new(advised());
    let (_, path) = site.languages();
    let database = File::open(site.cache.join("db/trivy.db")).expect("a database");
    database.lock_shared().expect("a lock");
    for trivy in Trivy::all().into_iter().filter(|trivy| trivy.is_since("0.67.2")) {
        let scan = trivy.scan(&site.cache, &path, &["--skip-db-update"]);
        let code = if trivy.is_since(READS_ONLY) { 0 } else { 1 };
        assert_eq!(scan.code, Some(code), "Trivy {}: {}", trivy.version, scan.stderr);
    }
}

#[test]
fn peer_reads_a_cache_folder_that_it_cannot_write() {
    let owner = fs::metadata("/proc/self").map(|me| std::os::unix::fs::MetadataExt::uid(&me));
    if owner.ok() != Some(0) {
        return stella_testkit::skip("only root can become somebody who may not write");
    }
    let site = Site::new(advised());
    let rows = languages();
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("own file");
    };
    let open = site.stella.path("open");
    fs::create_dir(&open).expect("a folder");
    allow(&site.stella.path("."), 0o755);
    allow(&open, 0o777);
    let path = write(&open.join("languages.cdx.json"), &sbom(None, &rows));
    allow(&path, 0o644);
    for file in ["trivy.db", "metadata.json"] {
        allow(&site.cache.join("db").join(file), 0o444);
    }
    allow(&site.cache.join("db"), 0o555);
    allow(&site.cache, 0o555);
    for trivy in Trivy::all() {
        // Where peers are kept, nobody else may look.
        let program = open.join("trivy");
        fs::copy(&trivy.program, &program).expect("a copy");
        let mut command = trivy.command(stella_peers::offline(Path::new("setpriv")), &open);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command.args(trivy.arguments(&site.cache, &path)).arg("--skip-db-update");
        let scan = Scan::run(&mut command);
        let code = if trivy.is_since(READS_ONLY) { 0 } else { 1 };
        assert_eq!(scan.code, Some(code), "Trivy {}: {}", trivy.version, scan.stderr);
    }
}

#[test]
fn the_bytes_depend_on_the_records_alone() {
    let straight = advised();
    let first = listing(&export(&straight, "first", &[]));
    for threads in ["1", "2", "7"] {
        let name = format!("threads-{threads}");
        let again = export(&straight, &name, &["--threads", threads]);
        same_files(&first, &listing(&again), &name);
    }
    // Another store, another order of input, another place on earth.
    let elsewhere = Stella::new().env("TZ", "Pacific/Kiritimati").env("LC_ALL", "tr_TR.UTF-8");
    let mut files = advisories();
    Random::new(3).shuffle(&mut files);
    for (feed, path) in files {
        ingest(&elsewhere, &feed, &path);
    }
    same_files(&first, &listing(&export(&elsewhere, "first", &[])), "another store");
}

/// Every advisory with its feed.
fn advisories() -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    for (feed, folder) in feeds() {
        for file in fs::read_dir(folder).expect("a folder of advisories") {
            files.push((feed.clone(), file.expect("an advisory").path()));
        }
    }
    files.sort();
    files
}

#[test]
fn what_is_not_represented_is_told_and_counted() {
    let stella = Stella::new();
    let unfixed = json!({
        "package": {"ecosystem": "AlmaLinux:9", "name": "p"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
    });
    let record = Osv::new("ALSA-1").with("related", json!(["CVE-2020-1"]));
    let both =
        record.affects("AlmaLinux:9", "q", "1-1").value()["affected"].as_array().map(|list| {
            let mut list = list.clone();
            list.push(unfixed);
            list
        });
    let record =
        Osv::new("ALSA-1").with("related", json!(["CVE-2020-1"])).with("affected", json!(both));
    ingest(&stella, "alma", &stella.file("alma.json", record.bytes()));
    let bundle = export(&stella, "bundle", &[]);
    let report = fs::read_to_string(bundle.join("trivy/db.report.jsonl")).expect("a report");
    let line: Value = serde_json::from_str(report.trim_end()).expect("one line");
    let expected = json!({
        "feed": "alma", "id": "ALSA-1", "package": "p", "reason": "unfixed-not-expressible",
    });
    assert_eq!(line, expected);
    let manifest = support::manifest(&bundle).to_string();
    assert!(manifest.contains(r#""unfixed-not-expressible":1"#), "{manifest}");
    assert!(manifest.contains(r#"{"ecosystem":"alma 9","state":"partial"}"#), "{manifest}");
}

#[test]
fn a_database_that_would_know_nothing_is_an_error_unless_that_is_meant() {
    let stella = Stella::new();
    // Trivy scans nothing of it.
    let record = Osv::new("OSEC-1").affects("opam", "p", "2.0");
    ingest(&stella, "ocaml", &stella.file("ocaml.json", record.bytes()));
    let run = ["export", "run", "trivy:db", "-d", "bundle", "--unsigned-for-testing"];
    let refused = stella.run(&run);
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    for told in ["know no vulnerability", "ecosystem-not-scanned 1", "--allow-empty advisory/ocaml"]
    {
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
    assert!(!stella.path("bundle").exists());
    stella.run(&[&run[..], &["--allow-empty", "advisory/ocaml"]].concat()).expect(0);
    // With another feed, of which something can be said, it is no such database.
    let record = Osv::new("CVE-2090-0001").affects("npm", "p", "2.0");
    ingest(&stella, "npm", &stella.file("npm.json", record.bytes()));
    export(&stella, "both", &[]);
}

#[test]
fn the_readme_of_a_bundle_names_reports_that_are_there() {
    let (stella, bundle, _) = jar_site();
    let text = fs::read_to_string(bundle.join("README.md")).expect("a README");
    let (database, jars) = (
        "`trivy:db` is listed with a reason in `trivy/db.report.jsonl`",
        "`trivy:java-db` is counted",
    );
    assert!(text.contains(database) && text.contains(jars), "{text}");
    assert!(bundle.join("trivy/db.report.jsonl").is_file());
    let run = ["export", "run", "trivy:java-db", "-d", "jars", "--unsigned-for-testing"];
    stella.run(&[&run[..], &["--as-of", "2026-11-28T00:00:00Z"]].concat()).expect(0);
    let text = fs::read_to_string(stella.path("jars/README.md")).expect("a README");
    assert!(!text.contains("report.jsonl") && text.contains(jars), "{text}");
}
