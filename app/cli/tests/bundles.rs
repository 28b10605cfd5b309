//! Reading bundles through the program: verify, inspect, diff, cat, prove; and cosign, which runs
//! the very lines that verify prints.

mod common;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Outcome, Stella};
use serde_json::Value;

/// A store with two bundles of the samples: the whole in `raw`, the VEX documents in `vex`.
fn with_bundles() -> Stella {
    let stella = Stella::with_samples();
    stella.bundle("json:raw", "raw");
    stella.ok(&["export", "run", "json:raw", "-d", &stella.arg("vex"), "--kind", "vex"]);
    stella
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).open(path).expect("is there");
    file.write_all(bytes).expect("writable");
}

#[test]
fn screens_of_reading_bundles() {
    let stella = with_bundles();
    let key = stella.public_key();
    let few = stella.arg("few");
    stella.ok(&["export", "run", "json:raw", "-d", &few, "--kind", "vex,sbom"]);
    let (raw, vex) = (stella.arg("raw"), stella.arg("vex"));
    let steps: &[&[&str]] = &[
        &["export", "verify", &raw, "--key", &key],
        &["export", "verify", &raw],
        &["export", "verify", &raw, "--key", &key, "--max-age", "1s"],
        &["export", "inspect", &vex],
        &["export", "diff", &vex, &few, "--no-headers"],
        &["export", "diff", &raw, &raw],
        &["export", "cat", &vex, "-o", "id"],
        &["export", "cat", &vex, "--id", "no-such"],
    ];
    let mut screens = String::new();
    for args in steps {
        let shown = stella.normalise(&args.join(" "));
        let outcome = stella.run(&[*args, &["--progress", "none"]].concat());
        screens += &format!("$ stella {shown}\n{}\n", outcome.screen(&stella));
    }
    append(&stella.path("raw/NOTICE.md"), b"x");
    let tampered = stella.run(&["export", "verify", &raw, "--key", &key, "--progress", "none"]);
    screens += &format!("after a change of NOTICE.md\n{}\n", tampered.screen(&stella));
    insta::assert_snapshot!(screens);
}

#[test]
fn exit_codes_of_verification() {
    let stella = with_bundles();
    let key = stella.public_key();
    stella.ok(&["keys", "generate", "other"]);
    let other = stella.arg("store/keys/other.pub");
    let raw = stella.arg("raw");
    let code = |args: &[&str]| stella.run(args).code;
    assert_eq!(code(&["export", "verify", &raw, "--key", &key]), 0);
    assert_eq!(code(&["export", "verify", &raw, "--key", &key, "--deep"]), 0);
    assert_eq!(code(&["export", "verify", &raw, "--key", &other, "--key", &key]), 0);
    assert_eq!(code(&["export", "verify", &raw, "--key", &other]), 8);
    assert_eq!(code(&["export", "verify", &raw]), 8);
    assert_eq!(code(&["export", "verify", &raw, "--key", &key, "--max-age", "1s"]), 11);
    assert_eq!(code(&["export", "verify", &stella.arg("no"), "--key", &key]), 3);
    assert_eq!(code(&["export", "verify", &raw, "--key", &stella.arg("no.pub")]), 3);
    let inside = format!("{raw}/release.pub");
    fs::copy(&key, &inside).expect("copied");
    assert_eq!(code(&["export", "verify", &raw, "--key", &inside]), 2);
    fs::remove_file(&inside).expect("removed");
    stella.ok(&["trust", "add", "release", &key]);
    assert_eq!(code(&["export", "verify", &raw]), 0);
    stella.ok(&["trust", "remove", "release", "--yes"]);
    append(&stella.path("raw/README.md"), b" ");
    let outcome = stella.run(&["export", "verify", &raw, "--key", &key]);
    assert_eq!(outcome.code, 8);
    assert!(outcome.stderr.contains("ERR_EXPORT_DIGEST_MISMATCH"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("cosign"), "a changed bundle gets no cosign line");
}

#[test]
fn an_unsigned_bundle_needs_the_flag_and_is_never_called_verified() {
    let stella = with_bundles();
    let dest = stella.arg("unsigned");
    stella.ok(&["export", "run", "json:raw", "-d", &dest, "--unsigned-for-testing"]);
    let key = stella.public_key();
    let refused = stella.run(&["export", "verify", &dest, "--key", &key]);
    assert_eq!(refused.code, 8, "{}", refused.stderr);
    let allowed = stella.run(&["export", "verify", &dest, "--allow-unsigned-for-testing"]);
    assert_eq!(allowed.code, 0, "{}{}", allowed.stdout, allowed.stderr);
    assert!(allowed.stdout.contains("NOT SIGNED") && !allowed.stdout.contains("\nVerified."));
}

#[test]
fn a_newer_format_is_15() {
    let stella = Stella::with_samples();
    let dest = stella.arg("unsigned");
    stella.ok(&["export", "run", "json:raw", "-d", &dest, "--unsigned-for-testing"]);
    let path = stella.path("unsigned/export.json");
    let text = fs::read_to_string(&path).expect("text");
    let newer = text.replace("\"formatVersion\":1", "\"formatVersion\":2");
    assert_ne!(text, newer);
    fs::write(&path, newer).expect("writable");
    let outcome = stella.run(&["export", "verify", &dest, "--allow-unsigned-for-testing"]);
    assert_eq!(outcome.code, 15, "{}{}", outcome.stdout, outcome.stderr);
}

#[test]
fn the_report_file_is_what_json_shows() {
    let stella = with_bundles();
    let (raw, key, file) = (stella.arg("raw"), stella.public_key(), stella.arg("report.json"));
    let args = ["export", "verify", &raw, "--key", &key, "--report", &file, "-o", "json"];
    let shown: Value = serde_json::from_str(&stella.ok(&args)).expect("JSON");
    let written: Value = serde_json::from_slice(&fs::read(&file).expect("written")).expect("JSON");
    assert_eq!(shown, written);
    assert_eq!(
        (&written["apiVersion"], &written["verified"]),
        (&"stella.export/v1".into(), &true.into())
    );
    // A report inside would break what it tells of.
    let inside = format!("{raw}/report.json");
    let outcome = stella.run(&["export", "verify", &raw, "--key", &key, "--report", &inside]);
    assert!(outcome.code == 2 && !Path::new(&inside).exists(), "{}", outcome.stderr);
    // A failed verification has its report as well.
    append(&stella.path("raw/README.md"), b" ");
    assert_eq!(stella.run(&args).code, 8);
    let written: Value = serde_json::from_slice(&fs::read(&file).expect("written")).expect("JSON");
    assert_eq!((&written["exitCode"], &written["verified"]), (&8.into(), &false.into()));
}

#[test]
fn diff_tells_every_change_in_every_form_and_exits_10() {
    let stella = with_bundles();
    let (raw, vex) = (stella.arg("raw"), stella.arg("vex"));
    let run = |format: &str| {
        let outcome = stella.run(&["export", "diff", &vex, &raw, "-o", format]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (10, ""), "{format}");
        outcome.stdout
    };
    let json: Value = serde_json::from_str(&run("json")).expect("JSON");
    let changes = json["changes"].as_array().expect("a list");
    assert_eq!(changes.len() as u64, json["total"]["added"].as_u64().expect("a number"));
    assert!(changes.len() > 60);
    assert_eq!(run("jsonl").lines().count(), changes.len());
    assert_eq!(run("id").lines().count(), changes.len());
    assert!(run("yaml").contains("change: added"));
    assert!(run("table").contains("added    advisory  acme"));
    let same = stella.ok(&["export", "diff", &raw, &raw, "-o", "json"]);
    let same: Value = serde_json::from_str(&same).expect("JSON");
    assert_eq!((&same["sameRecords"], &same["changes"]), (&true.into(), &Value::Array(vec![])));
}

#[test]
fn cat_gives_documents_lines_ids_or_one_document() {
    let stella = with_bundles();
    let raw = stella.arg("raw");
    let cat = |args: &[&str]| stella.ok(&[&["export", "cat", &raw], args].concat());
    let documents = cat(&["--kind", "vex"]);
    for line in documents.lines() {
        let document: Value = serde_json::from_str(line).expect("JSON");
        assert!(document["@context"].is_string(), "{line}");
    }
    let lines = cat(&["--kind", "vex", "-o", "jsonl"]);
    assert_eq!(lines.lines().count(), documents.lines().count());
    let first: Value = serde_json::from_str(lines.lines().next().expect("one")).expect("JSON");
    assert_eq!((&first["kind"], &first["feed"]), (&"vex".into(), &"acme".into()));
    let all: Value = serde_json::from_str(&cat(&["-o", "json"])).expect("JSON");
    let ids = cat(&["-o", "id"]);
    assert_eq!(all["items"].as_array().map(Vec::len), Some(ids.lines().count()));
    let id = ids.lines().next().expect("one");
    assert_eq!(cat(&["--id", id, "-o", "name"]).trim_end(), id);
}

#[test]
fn cat_into_a_closed_pipe_ends_quietly() {
    let stella = with_bundles();
    let mut command = stella.command(&["export", "cat", &stella.arg("raw")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    drop(child.stdout.take());
    let outcome = Outcome::of(child.wait_with_output().expect("ends"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
}

#[test]
fn proofs_of_presence_and_absence_stand_without_the_bundle() {
    let stella = with_bundles();
    let (raw, key) = (stella.arg("raw"), stella.public_key());
    let ids = stella.ok(&["export", "cat", &raw, "--kind", "advisory", "-o", "id"]);
    let present = ids.lines().nth(3).expect("some");
    let manifest = format!("{raw}/export.json");
    for (id, words) in [(present, "is in the bundle"), ("CVE-0000-0000", "is not in the bundle")] {
        let proof = stella.ok(&["export", "prove", &raw, "advisory", "acme", id]);
        let args = ["export", "verify-proof", "-", "--manifest", &manifest, "--key", &key];
        let outcome = stella.run_with_input(&args, proof.as_bytes());
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains(words), "{}", outcome.stdout);
        let forged = proof.replacen("advisory", "finding", 1);
        let outcome = stella.run_with_input(&args, forged.as_bytes());
        assert_eq!(outcome.code, 8, "{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains("Nothing is proven"), "{}", outcome.stdout);
    }
    let other = format!("{}/export.json", stella.arg("vex"));
    let proof = stella.arg("proof.json");
    stella.ok(&["export", "prove", &raw, "advisory", "acme", present, "-d", &proof]);
    let args = ["export", "verify-proof", &proof, "--manifest", &other, "--key", &key];
    assert_eq!(stella.run(&args).code, 8);
}

#[test]
fn a_proof_of_absence_is_not_made_of_a_misspelt_set_or_of_no_records() {
    let stella = with_bundles();
    let (raw, database) = (stella.arg("raw"), stella.arg("database"));
    stella.ok(&["export", "run", "trivy:db", "-d", &database]);
    let prove = |bundle: &str, more: &[&str]| {
        stella.run(&[&["export", "prove", bundle, "advisory"], more].concat())
    };
    let misspelt = prove(&raw, &["acne", "CVE-1"]);
    assert_eq!(misspelt.code, 3, "{}", misspelt.stderr);
    assert!(misspelt.stderr.contains("holds no set advisory/acne"), "{}", misspelt.stderr);
    let meant = prove(&raw, &["acne", "CVE-1", "--allow-missing-set"]);
    assert!(meant.stderr.contains("holds nothing of this kind and feed"), "{}", meant.stderr);
    let none = prove(&database, &["acme", "CVE-1", "--allow-missing-set"]);
    assert!(none.code == 3 && none.stderr.contains("carries no records"), "{}", none.stderr);
    assert_eq!(prove(&raw, &["acme", "CVE-1", "-o", "yaml"]).code, 2);
}

#[test]
fn a_proof_is_checked_against_a_folder_or_a_tar_as_against_their_manifest() {
    let stella = with_bundles();
    let (raw, tar, key) = (stella.arg("raw"), stella.arg("packed"), stella.public_key());
    stella.ok(&["export", "run", "json:raw", "--carrier", "tar", "-d", &tar]);
    let proof = stella.ok(&["export", "prove", &raw, "vex", "acme", "CVE-0000-0000"]);
    for manifest in [&raw, &tar, &format!("{raw}/export.json")] {
        let args = ["export", "verify-proof", "-", "--manifest", manifest, "--key", &key];
        let outcome = stella.run_with_input(&args, proof.as_bytes());
        assert_eq!(outcome.code, 0, "{manifest}: {}", outcome.stderr);
    }
    let inside = format!("{raw}/release.pub");
    fs::copy(&key, &inside).expect("copied");
    let args = ["export", "verify-proof", "-", "--manifest", &raw, "--key", &inside];
    assert_eq!(stella.run_with_input(&args, proof.as_bytes()).code, 2);
}

#[test]
fn what_is_no_bundle_is_told_in_one_error() {
    let stella = with_bundles();
    stella.file("folder/deep/file", b"x");
    fs::create_dir(stella.path("hollow")).expect("a folder");
    let (packed, raw) = (stella.arg("packed.tar"), stella.arg("raw"));
    let tar = Command::new("tar").args(["-cf", &packed, "-C", &raw, "."]).status();
    assert!(tar.expect("tar is there").success());
    for (name, content, words) in [
        ("folder", None, "there is no export.json in it"),
        ("hollow", None, "there is no export.json in it"),
        ("empty", Some(&b""[..]), "the file is empty"),
        ("text", Some(b"hello"), "neither a folder nor a tar file"),
        ("x.tar.gz", Some(b"\x1f\x8b\x08"), "the file is compressed"),
        ("x.tar.zst", Some(b"\x28\xb5\x2f\xfd"), "the file is compressed"),
        ("packed.tar", None, "the tar does not begin with export.json"),
    ] {
        if let Some(content) = content {
            stella.file(name, content);
        }
        for verb in ["verify", "inspect", "cat"] {
            let outcome = stella.run(&["export", verb, &stella.arg(name)]);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (8, ""), "{verb} {name}");
            assert!(outcome.stderr.contains(words), "{verb} {name}: {}", outcome.stderr);
            assert!(outcome.stderr.contains("hint:"), "{verb} {name}: {}", outcome.stderr);
        }
    }
}

#[test]
fn equal_records_are_equal_whatever_carries_them() {
    let stella = Stella::with_samples();
    let (raw, mirror) = (stella.arg("raw"), stella.arg("mirror"));
    stella.ok(&["export", "run", "json:raw", "-d", &raw, "--redaction", "none"]);
    stella.ok(&["export", "run", "mirror:full", "-d", &mirror]);
    assert_eq!(stella.run(&["export", "diff", &raw, &mirror]).code, 0);
}

#[test]
fn a_trusted_key_is_removed_damaged_or_not() {
    let stella = with_bundles();
    stella.ok(&["trust", "add", "bob", &stella.public_key()]);
    stella.file("store/trust/bob.pub", b"garbage");
    stella.ok(&["trust", "remove", "bob", "--yes"]);
    // Nobody is asked about a key that is not there.
    assert_eq!(stella.run(&["trust", "remove", "bob"]).code, 3);
}

#[test]
fn a_run_to_the_place_of_another_bundle_packs_nothing() {
    let stella = with_bundles();
    let depot = common::files(&stella.path("store/depot"));
    let run = ["export", "run", "mirror:full", "-d", &stella.arg("raw")];
    assert_eq!(stella.run(&run).code, 9);
    assert_eq!(common::files(&stella.path("store/depot")), depot);
}

#[test]
fn bundles_of_databases_are_compared_and_read_as_what_they_are() {
    let stella = Stella::with_samples();
    let (all, few, key) = (stella.arg("all"), stella.arg("few"), stella.public_key());
    stella.ok(&["export", "run", "trivy:db", "-d", &all]);
    stella.ok(&["export", "run", "trivy:db", "-d", &few, "--ecosystem", "npm"]);
    let diff = stella.run(&["export", "diff", &few, &all]);
    assert_eq!(diff.code, 10, "{}", diff.stderr);
    assert!(diff.stdout.contains("trivy:db  changed"), "{}", diff.stdout);
    assert!(diff.stdout.contains("changed  trivy/db.report.jsonl"), "{}", diff.stdout);
    let lines = stella.run(&["export", "diff", &few, &all, "-o", "jsonl"]).stdout;
    let first: Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["adapter"], &first["change"]), (&"trivy:db".into(), &"changed".into()));
    let same = stella.ok(&["export", "diff", &all, &all]);
    assert!(same.ends_with("No records in either.\n"), "{same}");
    let inspected = stella.ok(&["export", "inspect", &all]);
    for words in ["trivy:db", "trivy from 0.59.1 on, schema 2", "full", "npm"] {
        assert!(inspected.contains(words), "{words}: {inspected}");
    }
    let cat = stella.run(&["export", "cat", &all]);
    assert!(cat.code == 3 && cat.stderr.contains("only trivy:db"), "{}", cat.stderr);
    let verified = stella.ok(&["export", "verify", &all, "--key", &key]);
    let not_used = verified.lines().filter(|line| line.contains("not used  the bundle carries"));
    assert_eq!(not_used.count(), 9, "{verified}");
    let readme = fs::read_to_string(stella.path("all/README.md")).expect("a text");
    assert!(readme.contains("carries none of them"), "{readme}");
    let notice = fs::read_to_string(stella.path("all/NOTICE.md")).expect("a text");
    assert!(notice.contains("is made of records"), "{notice}");
}

/// The lines under `Same check of the signatures with cosign`.
fn cosign_lines(stderr: &str) -> Vec<String> {
    let lines = stderr.lines().skip_while(|line| !line.contains("Same check of the signatures"));
    lines
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn the_printed_cosign_lines_run_on_both_majors_without_a_network() {
    let stella = Stella::with_samples();
    // A folder and a key whose names need quoting.
    let dest = stella.arg("my bundle");
    stella.ok(&["export", "run", "json:raw", "-d", &dest]);
    let tar = stella.arg("mirror.tar");
    stella.ok(&["export", "run", "mirror:full", "--carrier", "tar", "-d", &tar]);
    let key = stella.arg("it's.pub");
    fs::copy(stella.public_key(), &key).expect("copied");
    for version in stella_peers::COSIGN_VERSIONS {
        let Some(cosign) = stella_peers::cosign(version) else { continue };
        for bundle in [&dest, &tar] {
            let outcome = stella.run(&["export", "verify", bundle, "--key", &key]);
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            let lines = cosign_lines(&outcome.stderr);
            let runs = lines.iter().filter(|line| line.starts_with("cosign ")).count();
            assert_eq!(runs, 2, "{lines:?}");
            for line in &lines {
                let said = shell(&stella, &cosign, line);
                assert_eq!(said.code, 0, "cosign {version}: {line}\n{}", said.stderr);
            }
            fs::remove_dir_all(stella.path("mirror.signed")).ok();
        }
        // The same line refuses a changed manifest.
        let outcome = stella.run(&["export", "verify", &dest, "--key", &key]);
        append(&stella.path("my bundle/export.json"), b" ");
        for line in cosign_lines(&outcome.stderr) {
            assert_ne!(shell(&stella, &cosign, &line).code, 0, "cosign {version}: {line}");
        }
        let path = stella.path("my bundle/export.json");
        let text = fs::read_to_string(&path).expect("text");
        fs::write(&path, text.trim_end()).expect("writable");
    }
}

/// Runs a line as a person who copied it would, without a network.
fn shell(stella: &Stella, cosign: &Path, line: &str) -> Outcome {
    let folder = cosign.parent().expect("a program lies in a folder").display();
    let mut command = stella_peers::offline(Path::new("/bin/sh"));
    command.args(["-c", line]).env("PATH", format!("{folder}:/usr/bin:/bin"));
    command.env("HOME", stella.path("home")).current_dir(stella.path("."));
    Outcome::of(command.output().expect("a shell"))
}
