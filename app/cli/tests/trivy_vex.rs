//! `trivy:vex`: the repository as Trivy reads it, from a cache folder and over the network.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use stella_testkit::data_archive;
use support::{Stella, listing, same_files};

/// A package of the scanned SBOM, its planted vulnerability, and what Trivy is to make of it: the
/// status that hides it, or nothing.
const PLANTED: [(&str, &str, &str, &str); 13] = [
    ("npm", "pkg:npm/lodash@4.17.20", "CVE-2090-0001", "not_affected"),
    ("npm", "pkg:npm/left-pad@1.0.0", "CVE-2090-0002", "fixed"),
    ("npm", "pkg:npm/%40angular/core@1.0.0", "CVE-2090-0003", "not_affected"),
    ("Go", "pkg:golang/github.com/acme/tool@v1.0.0", "CVE-2090-0004", "not_affected"),
    ("PyPI", "pkg:pypi/my-pkg@1.0.0", "CVE-2090-0005", "not_affected"),
    ("Maven", "pkg:maven/org.acme/lib@1.0.0", "CVE-2090-0006", "not_affected"),
    // Within the image alone: r.example:5000/app.
    ("npm", "pkg:npm/qs@1.0.0", IN_IMAGE, "not_affected"),
    // Within another package alone.
    ("npm", BYTES, "CVE-2090-0013", "not_affected"),
    // Said of another version.
    ("npm", "pkg:npm/minimist@1.0.0", "CVE-2090-0008", ""),
    ("npm", "pkg:npm/axios@1.0.0", "CVE-2090-0009", ""),
    // Once not affected, then affected.
    ("npm", "pkg:npm/chalk@1.0.0", "CVE-2090-0010", ""),
    // Within another image.
    ("npm", "pkg:npm/ms@1.0.0", "CVE-2090-0011", ""),
    // Nothing is said of it.
    ("npm", "pkg:npm/debug@1.0.0", "CVE-2090-0012", ""),
];

const IN_IMAGE: &str = "CVE-2090-0007";

/// The one version tried that asks for the image of an SBOM; later ones do for images alone.
const ASKS_FOR_IMAGES_OF_SBOMS: &str = "0.59.1";

/// A package and the one that it is a part of.
const BYTES: &str = "pkg:npm/bytes@1.0.0";
const SITE: &str = "pkg:npm/site@2.0.0";

const IMAGE: &str = "pkg:oci/app@sha256%3Aaa?repository_url=r.example%3A5000%2Fapp&arch=amd64";

fn package_name(ecosystem: &str, purl: &str) -> String {
    let (_, path) = purl.split_once('/').expect("a purl");
    let name = path.split('@').next().expect("a name").replace("%40", "@");
    if ecosystem == "Maven" { name.replace('/', ":") } else { name }
}

fn advisories() -> String {
    let line = |(ecosystem, purl, id, _): &(&str, &str, &str, &str)| {
        let name = package_name(ecosystem, purl);
        json!({
            "id": id, "modified": "2026-01-01T00:00:00Z", "summary": "planted",
            "affected": [{
                "package": {"ecosystem": ecosystem, "name": name},
                "ranges": [{"type": if *ecosystem == "Go" { "SEMVER" } else { "ECOSYSTEM" },
                    "events": [{"introduced": "0"}, {"fixed": "9.0.0"}]}],
            }],
        })
        .to_string()
    };
    PLANTED.iter().map(|planted| line(planted) + "\n").collect()
}

/// The scanned SBOM: an image with all packages in it.
fn sbom() -> String {
    let mut purls: Vec<&str> = PLANTED.iter().map(|(_, purl, ..)| *purl).collect();
    purls.retain(|purl| *purl != BYTES);
    purls.push(SITE);
    let mut components: Vec<Value> = PLANTED
        .iter()
        .map(|(ecosystem, purl, ..)| {
            let version = purl.rsplit('@').next().expect("a version");
            let name = package_name(ecosystem, purl);
            json!({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
        })
        .collect();
    let site = json!({"type": "library", "bom-ref": SITE, "name": "site", "version": "2.0.0",
        "purl": SITE});
    components.push(site);
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component":
            {"type": "container", "bom-ref": IMAGE, "name": "r.example:5000/app", "purl": IMAGE}},
        "components": components,
        "dependencies": [{"ref": IMAGE, "dependsOn": purls}, {"ref": SITE, "dependsOn": [BYTES]}],
    })
    .to_string()
}

fn openvex(id: &str, statements: &[Value]) -> String {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": id, "author": "acme",
        "timestamp": "2026-02-01T00:00:00Z", "version": 1, "statements": statements,
    })
    .to_string()
}

fn statement(vulnerability: &str, status: &str, product: &Value, time: &str) -> Value {
    json!({
        "vulnerability": {"name": vulnerability}, "status": status, "products": [product],
        "timestamp": time, "justification": "vulnerable_code_not_present",
    })
}

/// What is said of the packages, in three formats.
fn vex() -> [(&'static str, String); 4] {
    let (early, late) = ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
    let said =
        |id: &str, status: &str, purl: &str| statement(id, status, &json!({"@id": purl}), early);
    let within = |id: &str, image: &str, purl: &str| {
        let product = json!({"@id": image, "subcomponents": [{"@id": purl}]});
        statement(id, "not_affected", &product, early)
    };
    let one = openvex(
        "one",
        &[
            said("CVE-2090-0001", "not_affected", "pkg:npm/lodash"),
            said("CVE-2090-0004", "not_affected", "pkg:golang/github.com/Acme/Tool"),
            said("CVE-2090-0005", "not_affected", "pkg:pypi/My_Pkg@1.0.0"),
            said("CVE-2090-0006", "not_affected", "pkg:maven/org.acme/lib"),
            within("CVE-2090-0007", "pkg:oci/app?repository_url=r.example:5000/app", "pkg:npm/qs"),
            said("CVE-2090-0008", "not_affected", "pkg:npm/minimist@2.0.0"),
            said("CVE-2090-0009", "under_investigation", "pkg:npm/axios"),
            said("CVE-2090-0010", "not_affected", "pkg:npm/chalk@1.0.0"),
            within("CVE-2090-0013", "pkg:npm/site", "pkg:npm/bytes"),
            within(
                "CVE-2090-0011",
                "pkg:oci/app?repository_url=r.example:5000/other",
                "pkg:npm/ms",
            ),
        ],
    );
    let affected = json!({"@id": "pkg:npm/chalk@1.0.0"});
    let two = openvex("two", &[statement("CVE-2090-0010", "affected", &affected, late)]);
    let cyclonedx = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "vulnerabilities": [{"id": "CVE-2090-0002", "analysis": {"state": "resolved"},
            "affects": [{"ref": "pkg:npm/left-pad@1.0.0"}]}],
    });
    let csaf = json!({
        "document": {"category": "csaf_vex", "csaf_version": "2.0", "title": "x",
            "publisher": {"category": "vendor", "name": "acme", "namespace": "https://acme.example"},
            "tracking": {"id": "ACME-1", "status": "final", "version": "1",
                "initial_release_date": early, "current_release_date": early,
                "revision_history": [{"date": early, "number": "1", "summary": "x"}]}},
        "product_tree": {"full_product_names": [{"product_id": "core", "name": "core",
            "product_identification_helper": {"purl": "pkg:npm/%40angular/core@1.0.0"}}]},
        "vulnerabilities": [{"cve": "CVE-2090-0003",
            "product_status": {"known_not_affected": ["core"]},
            "flags": [{"label": "component_not_present", "product_ids": ["core"]}]}],
    });
    [
        ("one.json", one),
        ("two.json", two),
        ("three.json", cyclonedx.to_string()),
        ("four.json", csaf.to_string()),
    ]
}

/// A store with planted evidence, and the bundle that it gives: database and VEX.
fn bundle(stella: &Stella, name: &str, address: Option<&str>, threads: &str) -> PathBuf {
    stella.file("osv.jsonl", advisories());
    stella.run(&["ingest", "--feed", "acme-own", "osv.jsonl"]).expect(0);
    for (file, text) in vex() {
        stella.file(&format!("vex/{file}"), text);
    }
    let vex = ["ingest", "--feed", "acme-vex", "--publisher", "ACME Inc.", "--strict", "vex"];
    stella.run(&vex).expect(0);
    let address = address.map(|address| format!("vex-url = \"{address}\"\n")).unwrap_or_default();
    let profile = format!(
        "name = \"site\"\noutputs = [\"trivy:db\", \"trivy:vex\"]\n\
         [select]\nkinds = [\"advisory\", \"vex\"]\n[trivy]\n{address}"
    );
    stella.file("site.toml", profile);
    let run = ["--threads", threads, "export", "run", "site.toml", "-d", name];
    stella.run(&[&run[..], &["--unsigned-for-testing"]].concat()).expect(0);
    verify(stella, name);
    stella.path(name)
}

/// Demands that a bundle verifies, its repository by the check that is for it.
fn verify(stella: &Stella, name: &str) {
    let report = stella.json(&["export", "verify", name, "--allow-unsigned-for-testing"]);
    let checks = report["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["check"] == "scanner-vex").expect("is there");
    assert_eq!(check["state"], "pass", "{check:#}");
}

fn unpack(archive: &Path, into: &Path) {
    fs::create_dir_all(into).expect("a folder");
    let mut tar = std::process::Command::new("tar");
    let status = tar.arg("-xzf").arg(archive).arg("-C").arg(into).status().expect("tar");
    assert!(status.success(), "{}", archive.display());
}

/// A home and a cache with the database, as the bundle's README has them made.
fn home(stella: &Stella, bundle: &Path, name: &str) -> PathBuf {
    let home = stella.path(name);
    let cache = home.join("cache");
    let blobs = bundle.join("trivy/oci/blobs/sha256");
    let layer = fs::read_dir(blobs)
        .expect("an image layout")
        .map(|entry| entry.expect("a blob").path())
        .find(|path| fs::read(path).expect("a blob").starts_with(&[0x1f, 0x8b]))
        .expect("a layer");
    unpack(&layer, &cache.join("db"));
    fs::copy(bundle.join("trivy/cache/db/metadata.json"), cache.join("db/metadata.json"))
        .expect("metadata");
    let settings = home.join(".trivy/vex");
    fs::create_dir_all(&settings).expect("a folder");
    fs::copy(bundle.join("trivy/vex/repository.yaml"), settings.join("repository.yaml"))
        .expect("settings");
    fs::write(home.join("sbom.cdx.json"), sbom()).expect("a file");
    home
}

fn trivy(program: &Path, home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).env("TRIVY_SKIP_VERSION_CHECK", "true");
    command.env("TRIVY_DISABLE_TELEMETRY", "true").current_dir(home);
    command.args(["--cache-dir", "cache"]).args(arguments).output().expect("Trivy starts")
}

/// What a scan finds and what it hides, with the status that hides it.
fn scan(program: &Path, home: &Path) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let output = trivy(
        program,
        home,
        &[
            "sbom",
            "--skip-db-update",
            "--skip-java-db-update",
            "--offline-scan",
            "--format",
            "json",
            "--vex",
            "repo",
            "--skip-vex-repo-update",
            "--show-suppressed",
            "sbom.cdx.json",
        ],
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    findings(&output.stdout)
}

/// What a report of Trivy finds and what it hides, with the status that hides it.
fn findings(report: &[u8]) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let report: Value = serde_json::from_slice(report).expect("a report");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |result: &Value, name: &str| result[name].as_array().cloned().unwrap_or_default();
    let (mut found, mut hidden) = (BTreeSet::new(), BTreeMap::new());
    for result in report["Results"].as_array().expect("results") {
        for finding in list(result, "Vulnerabilities") {
            found.insert(text(&finding["VulnerabilityID"]));
        }
        for finding in list(result, "ExperimentalModifiedFindings") {
            hidden.insert(text(&finding["Finding"]["VulnerabilityID"]), text(&finding["Status"]));
        }
    }
    (found, hidden)
}

fn expect_planted(program: &Path, home: &Path, version: &str) {
    let (found, hidden) = scan(program, home);
    for (_, purl, id, status) in PLANTED {
        let unasked = id == IN_IMAGE && version != ASKS_FOR_IMAGES_OF_SBOMS;
        let status = if unasked { "" } else { status };
        let got = hidden.get(id).map_or("", String::as_str);
        assert_eq!(got, status, "{version}: {purl}");
        assert_eq!(found.contains(id), status.is_empty(), "{version}: {purl}");
    }
}

#[test]
fn peer_a_filled_cache_hides_what_is_not_affected_or_fixed_and_nothing_else() {
    let stella = Stella::new();
    let bundle = bundle(&stella, "bundle", None, "2");
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let Some(program) = stella_peers::trivy(version) else { continue };
        let home = home(&stella, &bundle, &format!("home-{version}"));
        let repositories = home.join("cache/vex/repositories");
        unpack(&bundle.join("trivy/vex/vex-repository.tar.gz"), &repositories);
        expect_planted(&program, &home, version);
        // Trivy left the repository alone.
        assert!(repositories.join("export-center/0.1/index.json").is_file());
    }
}

#[test]
fn peer_the_commands_of_the_readme_hide_findings_in_every_shell_wherever_settings_lie() {
    let newest = *stella_peers::TRIVY_VERSIONS.last().expect("a version");
    let Some(program) = stella_peers::trivy(newest) else { return };
    let stella = Stella::new();
    let bundle = bundle(&stella, "bundle", None, "2");
    let readme = fs::read_to_string(bundle.join("README.md")).expect("a README");
    let (_, commands) = readme.split_once("Without a web server, ").expect("how it is used");
    let commands = commands.split("```\n").nth(1).expect("commands");
    let scan = "\"$TRIVY\" sbom --quiet --format json";
    let commands = commands.replace("trivy image", scan).replace("IMAGE", "sbom.cdx.json");
    for (shell, elsewhere) in [("sh", false), ("bash", false), ("sh", true)] {
        let home = home(&stella, &bundle, &format!("home-{shell}-{elsewhere}"));
        // What was put there for the other tests.
        fs::remove_dir_all(home.join(".trivy")).expect("settings");
        fs::copy(home.join("sbom.cdx.json"), bundle.join("sbom.cdx.json")).expect("a file");
        let mut run = Command::new(shell);
        run.args(["-euc", &commands]).current_dir(&bundle).env("TRIVY", &program);
        run.env("HOME", &home).env("CACHE", home.join("cache"));
        let settings = if elsewhere { home.join("share") } else { home.clone() };
        match elsewhere {
            true => run.env("XDG_DATA_HOME", &settings),
            false => run.env_remove("XDG_DATA_HOME"),
        };
        let output = run.output().expect("a shell");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{shell}: {errors}");
        assert!(settings.join(".trivy/vex/repository.yaml").is_file(), "{shell}");
        let (found, hidden) = findings(&output.stdout);
        assert!(hidden.contains_key("CVE-2090-0001"), "{shell}, {elsewhere}: {hidden:?}");
        assert!(found.contains("CVE-2090-0008"), "{shell}, {elsewhere}: {found:?}");
    }
}

#[test]
fn peer_without_its_manifest_trivy_deletes_the_folder_when_it_may_update() {
    let stella = Stella::new();
    // Nothing listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let bundle = bundle(&stella, "bundle", Some(&address), "2");
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let Some(program) = stella_peers::trivy(version) else { continue };
        let home = home(&stella, &bundle, &format!("home-{version}"));
        let folder = home.join("cache/vex/repositories/export-center");
        unpack(&bundle.join("trivy/vex/vex-repository.tar.gz"), folder.parent().expect("a folder"));
        fs::remove_file(folder.join("vex-repository.json")).expect("a manifest");
        let output = trivy(
            &program,
            &home,
            &[
                "sbom",
                "--skip-db-update",
                "--skip-java-db-update",
                "--offline-scan",
                "--vex",
                "repo",
                "sbom.cdx.json",
            ],
        );
        assert!(!output.status.success(), "{version}");
        assert!(!folder.exists(), "{version}");
    }
}

/// Serves files by path to anyone who asks, for as long as the process lives.
fn serve(listener: TcpListener, files: BTreeMap<&'static str, Vec<u8>>) {
    let answer = move |mut stream: TcpStream, files: &BTreeMap<&str, Vec<u8>>| {
        let mut line = String::new();
        let mut reader = BufReader::new(stream.try_clone()?);
        reader.read_line(&mut line)?;
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (status, body) = match files.get(path) {
            Some(body) => ("200 OK", body.as_slice()),
            None => ("404 Not Found", &b""[..]),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        if method != "HEAD" {
            stream.write_all(body)?;
        }
        std::io::Result::Ok(())
    };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            stream.and_then(|stream| answer(stream, &files)).ok();
        }
    });
}

#[test]
fn peer_a_web_server_gives_the_repository_to_trivy() {
    let stella = Stella::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let bundle = bundle(&stella, "bundle", Some(&address), "2");
    let part = |name: &str| fs::read(bundle.join("trivy/vex").join(name)).expect("a part");
    serve(
        listener,
        BTreeMap::from([
            ("/.well-known/vex-repository.json", part("vex-repository.json")),
            ("/vex-repository.tar.gz", part("vex-repository.tar.gz")),
        ]),
    );
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let Some(program) = stella_peers::trivy(version) else { continue };
        let home = home(&stella, &bundle, &format!("home-{version}"));
        let output = trivy(&program, &home, &["vex", "repo", "download"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{version}: {errors}");
        expect_planted(&program, &home, version);
    }
}

#[test]
fn the_same_statements_give_the_same_bytes_whatever_the_threads_and_the_store() {
    let (one, two) = (Stella::new(), Stella::new());
    let bundles = [bundle(&one, "a", None, "1"), bundle(&two, "b", None, "2")];
    same_files(&listing(&bundles[0]), &listing(&bundles[1]), "1 and 2 threads");
    let manifest = support::manifest(&bundles[0]);
    let outputs = manifest["outputs"].as_array().expect("outputs");
    let vex = outputs.iter().find(|output| output["adapter"] == "trivy:vex").expect("an output");
    assert_eq!(vex["notRepresented"], json!({"superseded": 1}));
    assert_eq!(vex["keys"], json!({"packages": 12}));
    let readme = fs::read_to_string(bundles[0].join("README.md")).expect("a README");
    assert!(readme.contains("trivy/vex/vex-repository.tar.gz"), "{readme}");
}

#[test]
fn real_statements_become_documents_or_lines_of_the_report() {
    let stella = Stella::new();
    for (feed, name) in [
        ("aqua", "vex/openvex-aqua-vexhub.tar.zst"),
        ("rancher", "vex/openvex-rancher-vexhub.tar.zst"),
        ("vexctl", "vex/openvex-vexctl.tar.zst"),
        ("cyclonedx", "vex/cyclonedx-vex.tar.zst"),
        ("csaf", "vex/csaf-vex.tar.zst"),
    ] {
        let Some(archive) = data_archive(name) else { return };
        stella.run(&["ingest", "--feed", feed, &archive.to_string_lossy()]).expect(0);
    }
    let run = ["export", "run", "trivy:vex", "-d", "real", "--unsigned-for-testing"];
    let outcome = stella.run(&run).expect(0);
    eprintln!("{} MiB in {:?}", outcome.peak_bytes >> 20, outcome.took);
    assert!(outcome.peak_bytes < 200 << 20, "{} bytes", outcome.peak_bytes);
    verify(&stella, "real");
    let bundle = stella.path("real");
    let folder = stella.path("unpacked");
    unpack(&bundle.join("trivy/vex/vex-repository.tar.gz"), &folder);
    let root = folder.join("export-center/0.1");
    let read = |path: &Path| -> Value {
        serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
    };
    let index = read(&root.join("index.json"));
    let packages = index["packages"].as_array().expect("packages");
    let ids: Vec<&str> = packages.iter().filter_map(|package| package["id"].as_str()).collect();
    assert!(ids.len() > 500 && ids.is_sorted() && ids.windows(2).all(|two| two[0] != two[1]));
    let mut locations = BTreeSet::new();
    for package in packages {
        let location = package["location"].as_str().expect("a location");
        if locations.insert(location) {
            let document = read(&root.join(location));
            assert!(!document["statements"].as_array().expect("statements").is_empty());
        }
    }
    // Whatever is in the archive is in the index.
    assert_eq!(listing(&root).len(), locations.len() + 1);
    let manifest = support::manifest(&bundle);
    eprintln!("{}", manifest["outputs"]);
    let reasons = manifest["outputs"][0]["notRepresented"].as_object().expect("reasons");
    let lines = fs::read_to_string(bundle.join("trivy/vex.report.jsonl")).expect("a report");
    let total: u64 = reasons.values().filter_map(Value::as_u64).sum();
    assert_eq!(lines.lines().count() as u64, total);
}
