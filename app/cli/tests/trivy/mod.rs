//! What the tests with real Trivys share: a bundle of true facts, SBOMs with what is planted in
//! them, and scans.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of this")]

mod planted;
mod registry;
mod sbom;
mod scan;

pub(crate) use planted::{Planted, planted, systems};
pub(crate) use registry::{Peers, Pull, Registry};
pub(crate) use sbom::{System, sbom};
pub(crate) use scan::{Finding, Scan, Trivy, write};

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stella_testkit::{SAMPLE_FEEDS, samples, workspace_root};

use crate::support::Stella;

/// The advisories that only these tests need, one folder for each feed.
pub(crate) fn data() -> PathBuf {
    workspace_root().join("app/cli/tests/data/trivy")
}

/// A store with all advisories that the planted packages are judged by.
pub(crate) fn advised() -> Stella {
    let stella = Stella::new();
    for (feed, folder) in feeds() {
        ingest(&stella, &feed, &folder);
    }
    stella
}

/// Folders of those advisories, each with its feed.
pub(crate) fn feeds() -> Vec<(String, PathBuf)> {
    let of_advisories = |folder: &&&str| folder.starts_with("advisories/");
    let mut feeds = Vec::new();
    for (feed, folders) in SAMPLE_FEEDS {
        let folders = folders.iter().filter(of_advisories);
        feeds.extend(folders.map(|folder| (feed.to_string(), samples().join(folder))));
    }
    let own = fs::read_dir(data().join("advisories")).expect("the advisories");
    let mut own: Vec<PathBuf> =
        own.map(|folder| folder.expect("a folder of advisories").path()).collect();
    own.sort();
    feeds.extend(own.into_iter().map(|folder| {
        let feed = folder.file_name().expect("a folder").to_string_lossy().into_owned();
        (feed, folder)
    }));
    feeds
}

pub(crate) fn ingest(stella: &Stella, feed: &str, path: &Path) {
    let path = path.to_string_lossy();
    stella.run(&["ingest", "--feed", feed, "--licence", "Apache-2.0", path.as_ref()]).expect(0);
}

/// A bundle of `trivy:db`, in the folder of the store.
pub(crate) fn export(stella: &Stella, name: &str, more: &[&str]) -> PathBuf {
    let run = ["export", "run", "trivy:db", "-d", name, "--unsigned-for-testing"];
    stella.run(&[&run[..], more].concat()).expect(0);
    stella.path(name)
}

/// The commands that a page about an adapter shows under a mark, which is a comment.
pub(crate) fn documented(page: &str, mark: &str) -> String {
    let page = workspace_root().join("docs/modules/export-center").join(page);
    let page = fs::read_to_string(page).expect("the page about the adapter");
    let (_, rest) = page.split_once(&format!("<!-- tested: {mark} -->\n```sh\n")).expect("a mark");
    rest.split_once("```").expect("the end of the commands").0.to_owned()
}

/// The commands that the README of a bundle shows after a sentence, for an SBOM in place of an image.
pub(crate) fn readme(bundle: &Path, sentence: &str) -> String {
    let text = fs::read_to_string(bundle.join("README.md")).expect("the README of a bundle");
    let (_, rest) = text.split_once(&format!("{sentence}\n\n```\n")).expect("the sentence");
    let commands = rest.split_once("```").expect("the end of the commands").0;
    let scan = "trivy sbom --quiet --format json --cache-dir \"$CACHE\"";
    commands.replace("trivy image", scan).replace("IMAGE", "\"$SCANNED\"")
}

/// Runs commands in a folder, with variables of the shell; what they print.
pub(crate) fn run(commands: &str, folder: &Path, variables: &[(&str, &Path)]) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]).current_dir(folder);
    // As flags, which the oldest Trivy does not know.
    shell.env("TRIVY_SKIP_VERSION_CHECK", "true").env("TRIVY_DISABLE_TELEMETRY", "true");
    shell.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = shell.output().expect("sh starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}
