//! Same evidence, same bytes: whatever the order of input, the threads, the locale, the time zone
//! or the store (INV-DET).

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use stella_testkit::{
    SAMPLE_FEEDS, data_archive, full, rounds, sample_files, samples, workspace_root,
};
use support::archive::{Tar, Zip, zstandard};
use support::{Entry, Random, Stella, archives, feed_of, listing, same_files, unpack};

/// Set to write `tests/golden/` anew instead of comparing with it.
const BLESS: &str = "STELLA_BLESS";

/// The profiles whose bytes are held still.
const PROFILES: [&str; 2] = ["json:raw", "mirror:full"];

/// Exports every profile and lists the files.
fn bundles(stella: &Stella, threads: &str) -> Vec<Vec<Entry>> {
    let export = |profile: &str| {
        let name = format!("bundle-{}-{threads}", profile.replace(':', "-"));
        let bundle = stella.path(&name);
        if bundle.exists() {
            fs::remove_dir_all(&bundle).expect("the last bundle can be removed");
        }
        let run = ["--threads", threads, "export", "run", profile, "-d", &name];
        stella.run(&[&run[..], &["--unsigned-for-testing"]].concat()).expect(0);
        listing(&bundle)
    };
    PROFILES.iter().map(|profile| export(profile)).collect()
}

fn same(left: &[Vec<Entry>], right: &[Vec<Entry>], what: &str) {
    for ((one, other), profile) in left.iter().zip(right).zip(PROFILES) {
        same_files(one, other, &format!("{what}, {profile}"));
    }
}

/// A store that holds the samples, each feed from its folders.
fn sampled() -> Stella {
    let stella = Stella::new();
    for (feed, folders) in SAMPLE_FEEDS {
        let paths: Vec<String> = folders
            .iter()
            .map(|folder| samples().join(folder).to_string_lossy().into_owned())
            .collect();
        ingest(&stella, feed, &paths, "2");
    }
    stella
}

fn ingest(stella: &Stella, feed: &str, paths: &[String], threads: &str) {
    let mut words = vec!["--threads", threads, "ingest", "--feed", feed, "--licence", "Apache-2.0"];
    words.extend(["--publisher", "Export Center samples"]);
    words.extend(paths.iter().map(String::as_str));
    stella.run(&words).expect(0);
}

/// The files of one feed of the samples.
fn files_of(folders: &[&str]) -> Vec<PathBuf> {
    let all = sample_files();
    let within =
        |file: &&PathBuf| folders.iter().any(|folder| file.starts_with(samples().join(folder)));
    all.iter().filter(within).cloned().collect()
}

#[test]
fn twice_and_with_any_number_of_threads_gives_the_same_bytes() {
    let stella = sampled();
    let first = bundles(&stella, "2");
    same(&first, &bundles(&stella, "2"), "again, parts reused");
    same(&first, &bundles(&stella, "1"), "one thread");
    same(&first, &bundles(&sampled(), "1"), "another store, one thread");
    same(&first, &bundles(&sampled(), "7"), "another store, seven threads");
}

#[test]
fn the_order_of_files_and_calls_does_not_matter() {
    let expected = bundles(&sampled(), "2");
    let mut random = Random::new(7);
    let mut feeds = SAMPLE_FEEDS;
    for round in 0..rounds(2, 20) {
        let stella = Stella::new();
        random.shuffle(&mut feeds);
        for (feed, folders) in feeds {
            let mut files = files_of(folders);
            random.shuffle(&mut files);
            // Some at once, the others later.
            let later = files.split_off(files.len() / 2);
            for files in [files, later] {
                let paths: Vec<String> =
                    files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
                if !paths.is_empty() {
                    ingest(&stella, feed, &paths, "1");
                }
            }
        }
        same(&expected, &bundles(&stella, "2"), &format!("shuffled, round {round}"));
    }
}

#[test]
fn the_container_does_not_matter() {
    let expected = bundles(&sampled(), "2");
    let mut random = Random::new(11);
    for form in ["tar", "zip", "tar.zst", "jsonl"] {
        let stella = Stella::new();
        for (feed, folders) in SAMPLE_FEEDS {
            let mut files = files_of(folders);
            random.shuffle(&mut files);
            let content = |file: &Path| fs::read(file).expect("a sample");
            let tar = || {
                let add = |tar: Tar, file: &PathBuf| {
                    let name = file.strip_prefix(samples()).expect("a sample");
                    tar.file(name.to_string_lossy().as_bytes(), content(file))
                };
                files.iter().fold(Tar::new(), add).end()
            };
            let bytes = match form {
                "tar" => tar(),
                "tar.zst" => zstandard(&tar()),
                "zip" => {
                    let add = |zip: Zip, file: &PathBuf| {
                        zip.file(
                            file.file_name().expect("a name").as_encoded_bytes(),
                            content(file),
                        )
                    };
                    files.iter().fold(Zip::new(), add).end()
                }
                // Only advisories are one JSON document each, whatever the line.
                _ if feed == "acme" => tar(),
                _ => files
                    .iter()
                    .map(|file| one_line(&content(file)))
                    .collect::<Vec<_>>()
                    .join(&b'\n'),
            };
            let extension = if form == "jsonl" && feed == "acme" { "tar" } else { form };
            let path = stella.file(&format!("{feed}.{extension}"), bytes);
            ingest(&stella, feed, &[path.to_string_lossy().into_owned()], "2");
        }
        same(&expected, &bundles(&stella, "2"), form);
    }
}

/// A document without line breaks between its tokens (in strings they are escaped).
fn one_line(document: &[u8]) -> Vec<u8> {
    document.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect()
}

#[test]
fn locale_and_time_zone_do_not_matter() {
    let expected = bundles(&sampled(), "2");
    for (locale, zone) in
        [("tr_TR.UTF-8", "Asia/Kathmandu"), ("C", "America/St_Johns"), ("", ":bogus")]
    {
        let stella = Stella::new().env("LC_ALL", locale).env("LANG", locale).env("TZ", zone);
        for (feed, folders) in SAMPLE_FEEDS {
            let paths: Vec<String> =
                files_of(folders).iter().map(|file| file.to_string_lossy().into_owned()).collect();
            ingest(&stella, feed, &paths, "2");
        }
        same(&expected, &bundles(&stella, "2"), &format!("{locale} {zone}"));
    }
}

#[test]
fn both_carriers_hold_the_same_files() {
    let stella = sampled();
    let expected = bundles(&stella, "2");
    for (profile, files) in PROFILES.iter().zip(&expected) {
        let name = format!("{}.tar", profile.replace(':', "-"));
        let run = ["export", "run", profile, "-d", &name, "--carrier", "tar"];
        stella.run(&[&run[..], &["--unsigned-for-testing"]].concat()).expect(0);
        let bytes = fs::read(stella.path(&name)).expect("a tar");
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut carried = Vec::new();
        for entry in archive.entries().expect("a tar") {
            let mut entry = entry.expect("a member");
            let path = String::from_utf8(entry.path_bytes().into_owned()).expect("ASCII");
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).expect("a member");
            let digest = stella_model::Digest::of(&content).to_string();
            carried.push(Entry { path, size: content.len() as u64, digest });
        }
        carried.sort();
        same_files(&carried, files, profile);
    }
}

/// Two versions of every identity in one input: which one wins does not depend on which comes first.
#[test]
fn the_order_of_duplicate_identities_does_not_matter() {
    #[derive(serde::Deserialize)]
    struct Found<'a> {
        #[serde(borrow)]
        doc: &'a serde_json::value::RawValue,
    }
    let Some(archive) = data_archive("advisories/edge-duplicate-ids.jsonl.zst") else { return };
    let text = String::from_utf8(unpack(&archive)).expect("JSON lines");
    let mut documents: Vec<&str> = text
        .lines()
        .map(|line| serde_json::from_str::<Found<'_>>(line).expect("a wrapped document").doc.get())
        .collect();
    let mut random = Random::new(17);
    let mut first: Option<Vec<Vec<Entry>>> = None;
    for round in 0..rounds(4, 40) {
        let stella = Stella::new();
        stella.file("pairs.jsonl", documents.join("\n"));
        let report = stella.json(&["ingest", "--feed", "pairs", "pairs.jsonl"]);
        let lost = report["quarantined"]["duplicate-identity"].as_u64();
        assert!(lost.is_some_and(|lost| lost > 0), "{report:#}");
        let found = bundles(&stella, "2");
        match &first {
            Some(first) => same(first, &found, &format!("round {round}")),
            None => first = Some(found),
        }
        random.shuffle(&mut documents);
    }
}

/// Real documents of every kind and size, in any order.
#[test]
fn the_order_of_real_documents_does_not_matter() {
    let some = [
        "advisories/cpython.osv.jsonl.zst",
        "vex/openvex-aqua-vexhub.tar.zst",
        "vex/cyclonedx-vex.tar.zst",
        "sbom/spdx-examples.tar.zst",
        "findings/defectdojo-trivy.tar.zst",
    ];
    let Some(first) = data_archive(some[0]) else { return };
    let data = first.ancestors().nth(2).expect("two folders above").to_owned();
    let chosen: Vec<PathBuf> = if full() {
        let all = archives(&data).into_iter().map(|(_, path)| path);
        all.filter(|path| fs::metadata(path).expect("an archive").len() < 1 << 20).collect()
    } else {
        some.iter().map(|name| data.join(name)).collect()
    };
    let straight = Stella::new();
    let shuffled = Stella::new();
    let mut random = Random::new(13);
    for path in chosen {
        let feed = feed_of(&path);
        let words = |threads: &'static str, path: &Path| {
            let path = path.to_string_lossy().into_owned();
            ["--threads", threads, "ingest", "--feed", &feed, &path].map(str::to_owned)
        };
        let outcome = straight.run(&words("2", &path));
        let bytes = unpack(&path);
        let other = if path.to_string_lossy().ends_with(".tar.zst") {
            shuffled.file(&format!("{feed}.tar"), shuffle_tar(&bytes, &mut random))
        } else {
            let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            random.shuffle(&mut lines);
            shuffled.file(&format!("{feed}.jsonl"), lines.join(&b'\n'))
        };
        let again = shuffled.run(&words("1", &other));
        assert_eq!(outcome.code, again.code, "{feed}: {outcome:#?} {again:#?}");
    }
    same(&bundles(&straight, "2"), &bundles(&shuffled, "1"), "shuffled");
}

/// The same members in another order. Names are of one header here.
fn shuffle_tar(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut archive = tar::Archive::new(bytes);
    let mut members = Vec::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a member");
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).expect("a member");
        if entry.header().entry_type().is_file() {
            members.push((entry.path_bytes().into_owned(), content));
        }
    }
    random.shuffle(&mut members);
    let add = |tar: Tar, (name, content): &(Vec<u8>, Vec<u8>)| match name.len() {
        0..=100 => tar.file(name, content),
        _ => tar.long(name, content),
    };
    members.iter().fold(Tar::new(), add).end()
}

/// The files of the bundles of the samples, as they are in the repository.
///
/// When bundle bytes change on purpose, run the test once with `STELLA_BLESS=1` and say so in
/// CHANGELOG.md.
#[test]
fn the_bundles_of_the_samples_are_as_they_were() {
    let stella = sampled();
    for (profile, files) in PROFILES.iter().zip(bundles(&stella, "2")) {
        let name = format!("samples-{}.txt", profile.replace(':', "-"));
        let path = workspace_root().join("app/cli/tests/golden").join(name);
        let mut text = format!(
            "# Files of the {profile} bundle of samples/, unsigned: SHA-256, bytes, path.\n\
             # Made by tests/determinism.rs with {BLESS}=1; a change here is a change of bundle bytes.\n"
        );
        for file in &files {
            text.push_str(&format!("{} {:>7} {}\n", file.digest, file.size, file.path));
        }
        if std::env::var_os(BLESS).is_some() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, &text).expect("the listing can be written");
            continue;
        }
        let golden = fs::read_to_string(&path).expect("a golden listing");
        let lines = golden.lines().zip(text.lines());
        for (line, (expected, found)) in lines.enumerate() {
            assert_eq!(found, expected, "{}:{}", path.display(), line + 1);
        }
        assert_eq!(text, golden, "{}", path.display());
    }
}
