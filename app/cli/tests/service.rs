//! `stella` against a real server: runs, downloads that break off and go on, servers that restart.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use common::{Outcome, PASSWORD, Stella};
use serde_json::Value;
use stella_testkit::{Passing, Proxy};

/// The server beside `stella`, built by whoever needs it first.
fn server_program() -> PathBuf {
    static BUILT: Once = Once::new();
    let stella = Path::new(env!("CARGO_BIN_EXE_stella"));
    let folder = stella.parent().expect("has a folder");
    let program = folder.join("export-center");
    // Where everything is tested it was built before; built alone it would be another build of all it needs.
    let is_built = ["CI", "STELLA_BUILT"].iter().any(|name| std::env::var_os(name).is_some());
    if is_built && program.is_file() {
        return program;
    }
    BUILT.call_once(|| {
        let profile = folder.file_name().and_then(|name| name.to_str()).expect("a profile");
        let profile = if profile == "debug" { "dev" } else { profile };
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--profile", profile, "-p", "stella-server"]);
        assert!(build.status().expect("cargo runs").success());
    });
    program
}

/// A server on a store, and the one who works with it.
struct Service {
    stella: Stella,
    process: Child,
    address: String,
    token: String,
}

impl Service {
    fn start() -> Service {
        let stella = Stella::with_samples();
        let password = stella.file("password", PASSWORD.as_bytes());
        let (process, address, token) = start(&stella, &password, "127.0.0.1:0");
        let token = token.expect("the first start prints one");
        Service { stella, process, address, token }
    }

    /// Kills the server and starts it again at the same address.
    fn restart(&mut self) {
        self.process.kill().expect("runs");
        self.process.wait().expect("ends");
        let password = self.stella.arg("password");
        (self.process, _, _) = start(&self.stella, &password, &self.address);
    }

    /// A command of somebody elsewhere, with a store of their own.
    fn command(&self, client: &Stella, address: &str, args: &[&str]) -> Command {
        let mut command = client.command(args);
        command.env("STELLA_SERVER", format!("http://{address}"));
        command.env("STELLA_TOKEN", &self.token);
        command
    }

    fn run(&self, client: &Stella, args: &[&str]) -> Outcome {
        self.run_through(client, &self.address, args)
    }

    fn run_through(&self, client: &Stella, address: &str, args: &[&str]) -> Outcome {
        Outcome::of(self.command(client, address, args).output().expect("stella starts"))
    }

    /// The key that the bundles are signed with.
    fn key(&self) -> String {
        self.stella.public_key()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn start(stella: &Stella, password: &str, listen: &str) -> (Child, String, Option<String>) {
    let mut command = Command::new(server_program());
    command.env_clear().arg("serve").arg("--data").arg(stella.path("store"));
    command.args(["--listen", listen, "--lease", "2", "--log", "error"]);
    command.args(["--key-password-file", password]).stdout(Stdio::piped());
    let mut process = command.spawn().expect("starts");
    let mut lines = BufReader::new(process.stdout.take().expect("is piped")).lines();
    let mut token = None;
    let address = loop {
        let line = lines.next().expect("says where it listens").expect("is text");
        match line.split_once("http://") {
            Some((_, rest)) => break rest.split('/').next().expect("a word").to_owned(),
            None => token = line.rsplit(' ').next().map(str::to_owned),
        }
    };
    (process, address, token)
}

#[test]
fn a_run_of_a_server_ends_as_a_verified_bundle_here() {
    let service = Service::start();
    let client = Stella::new();
    let key = service.key();
    let dest = client.arg("bundle");
    let made = service.run(
        &client,
        &["export", "run", "mirror:full", "-d", &dest, "--trusted-key", &key, "-o", "json"],
    );
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stderr.contains("succeeded"), "{}", made.stderr);
    let report: Value = serde_json::from_str(&made.stdout).expect("is JSON");
    assert_eq!(report["fetchedBytes"], report["bytes"], "{report}");
    assert_eq!(report["signedBy"], "release");
    client.ok(&["export", "verify", &dest, "--key", &key, "--local"]);
    // The same again, and as a tar: nothing comes over the network a second time.
    let tar = client.arg("bundle.tar");
    for more in [&["-d", &dest][..], &["-d", &tar, "--carrier", "tar"]] {
        let args = [&["export", "download", "r-1", "--trusted-key", &key, "-o", "json"], more];
        let again = service.run(&client, &args.concat());
        assert_eq!(again.code, 0, "{again:?}");
        let report: Value = serde_json::from_str(&again.stdout).expect("is JSON");
        assert_eq!(report["fetchedBytes"], 0, "{report}");
    }
    // The bytes are those that one command makes on the server's store.
    let alone = service.stella.bundle("mirror:full", "alone");
    let diff = client.run(&["export", "diff", &dest, alone.to_str().expect("UTF-8"), "--local"]);
    assert_eq!(diff.code, 0, "{diff:?}");
}

#[test]
fn evidence_goes_to_a_server_as_files_as_folders_and_as_a_stream() {
    let service = Service::start();
    let client = Stella::new();
    let samples = stella_testkit::samples().join("advisories");
    let sample = |name: &str| samples.join(name).to_str().expect("UTF-8").to_owned();
    let (npm, pypi) = (sample("npm"), sample("pypi"));
    let args = ["ingest", "--feed", "two", "--licence", "CC-BY-4.0", &npm, &pypi, "-o", "json"];
    let taken = service.run(&client, &args);
    assert_eq!(taken.code, 0, "{taken:?}");
    let taken: Value = serde_json::from_str(&taken.stdout).expect("is JSON");
    // What one command makes of the same.
    client.ok(&["ingest", "--feed", "two", &npm, &pypi, "--local"]);
    let held = client.ok(&["feeds", "show", "two", "-o", "json", "--local"]);
    let held: Value = serde_json::from_str(&held).expect("is JSON");
    assert_eq!(taken["added"], held["records"]["advisory"], "{taken} {held}");
    let listed = service.run(&client, &["feeds", "list"]);
    assert!(listed.stdout.contains("two") && listed.stdout.contains("acme"), "{listed:?}");
    let again = service.run(&client, &["ingest", "--feed", "two", &npm]);
    assert!(again.stdout.contains("0 added"), "{again:?}");
    // A folder of which a file cannot be read is no evidence at all.
    let folder = client.path("folder");
    std::fs::create_dir(&folder).expect("writes");
    std::fs::copy(samples.join("npm").join(first_name(&npm)), folder.join("a.json"))
        .expect("copies");
    std::os::unix::fs::symlink("/nowhere", folder.join("b.json")).expect("links");
    let folder = folder.to_str().expect("UTF-8");
    let broken = service.run(&client, &["ingest", "--feed", "three", "--replace", folder]);
    assert_eq!(broken.code, 5, "{broken:?}");
    let listed = service.run(&client, &["feeds", "list"]);
    assert!(!listed.stdout.contains("three"), "{listed:?}");
    let nothing = service.run(&client, &["ingest", "--feed", "two", "/nowhere"]);
    assert_eq!(nothing.code, 3, "{nothing:?}");
}

#[test]
fn a_feed_of_the_library_is_in_bundles_of_who_is_subscribed() {
    let service = Service::start();
    let client = Stella::new();
    let mut token = Command::new(server_program());
    token.env_clear().args(["token", "library", "--data"]).arg(service.stella.path("store"));
    let told = String::from_utf8(token.output().expect("runs").stdout).expect("is text");
    let keeper = told.trim().rsplit(' ').next().expect("a word").to_owned();
    let npm = stella_testkit::samples().join("advisories/npm");
    let args = ["ingest", "--feed", "shared", npm.to_str().expect("UTF-8")];
    let mut command = service.command(&client, &service.address, &args);
    let filled = Outcome::of(command.env("STELLA_TOKEN", &keeper).output().expect("starts"));
    assert_eq!(filled.code, 0, "{filled:?}");

    let listed = |args: &[&str]| {
        let listed = service.run(&client, &[&["feeds", "list", "-o", "json"], args].concat());
        serde_json::from_str::<Value>(&listed.stdout).expect("is JSON")["items"].clone()
    };
    assert_eq!(listed(&["--library"])[0]["subscribed"], false);
    let subscribed = service.run(&client, &["feeds", "subscribe", "shared"]);
    assert!(subscribed.stdout.starts_with("Subscribed to feed shared"), "{subscribed:?}");
    assert_eq!(listed(&["--library"])[0]["subscribed"], true);
    let table = service.run(&client, &["feeds", "list", "-o", "wide"]).stdout;
    let row = table.lines().find(|line| line.starts_with("shared")).expect("a row");
    assert!(row.ends_with("library"), "{table}");
    let taken = service.run(&client, &["ingest", "--feed", "shared", args[3]]);
    assert_eq!(taken.code, 9, "{taken:?}");
    assert!(taken.stderr.contains("unsubscribe from the feed"), "{taken:?}");

    let (dest, key) = (client.arg("bundle"), service.key());
    let run = ["export", "run", "mirror:full", "--feed", "shared", "-d", &dest];
    let made = service.run(&client, &[&run[..], &["--trusted-key", &key]].concat());
    assert_eq!(made.code, 0, "{made:?}");
    client.ok(&["export", "verify", &dest, "--key", &key, "--local"]);
    let records = client.ok(&["export", "cat", &dest, "--feed", "shared", "--local"]);
    assert_eq!(records.lines().count(), std::fs::read_dir(npm).expect("lists").count());

    let ended = service.run(&client, &["feeds", "unsubscribe", "shared"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(service.run(&client, &["feeds", "subscribe", "nowhere"]).code, 3);
    // A store of this machine has one tenant.
    for args in [["list", "--library"], ["subscribe", "shared"], ["unsubscribe", "shared"]] {
        let refused = client.run(&[&["feeds"], &args[..], &["--local"]].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("one tenant"), "{refused:?}");
    }
}

#[test]
fn a_bundle_by_a_key_that_nobody_trusts_gets_no_name_here() {
    let service = Service::start();
    let client = Stella::new();
    assert_eq!(service.run(&client, &["export", "run", "json:raw", "--watch"]).code, 0);
    let dest = client.arg("bundle");
    // Who trusts nobody is told so before anything is fetched, or made.
    for args in [&["export", "download", "r-1"][..], &["export", "run", "json:raw"]] {
        let refused = service.run(&client, &[args, &["-d", &dest]].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("ERR_EXPORT_NO_KEY"), "{refused:?}");
        assert!(refused.stderr.contains("--trusted-key"), "{refused:?}");
    }
    let runs = service.run(&client, &["export", "status", "-o", "id"]);
    assert_eq!(runs.stdout.lines().count(), 1, "{runs:?}");
    client.ok(&["keys", "generate", "other", "--local"]);
    let other = client.arg("other.pub");
    client.ok(&["keys", "export-public", "other", "-d", &other, "--local"]);
    let args = ["export", "download", "r-1", "-d", &dest, "--trusted-key", &other];
    let refused = service.run(&client, &args);
    assert_eq!(refused.code, 8, "{refused:?}");
    assert!(refused.stderr.contains("--trusted-key"), "{refused:?}");
    assert!(!Path::new(&dest).exists());
    // The envelope came and is kept, the parts come once somebody is trusted.
    client.ok(&["trust", "add", "release", &service.key(), "--local"]);
    let fetched = service.run(&client, &["export", "download", "r-1", "-d", &dest, "-o", "json"]);
    assert_eq!(fetched.code, 0, "{fetched:?}");
    let report: Value = serde_json::from_str(&fetched.stdout).expect("is JSON");
    let bytes = |name: &str| report[name].as_u64().expect("a number");
    assert!((1..bytes("bytes")).contains(&bytes("fetchedBytes")), "{report}");
}

/// A download through a proxy that changes what comes does not verify.
fn assert_changed_files_are_refused(
    service: &Service,
    client: &Stella,
    proxy: &Proxy,
    args: &[&str],
) {
    let refused = service.run_through(client, &proxy.address(), args);
    assert_eq!(refused.code, 8, "{refused:?}");
    assert!(refused.stderr.contains("ERR_EXPORT_DIGEST_MISMATCH"), "{refused:?}");
}

#[test]
fn of_files_that_are_not_as_they_were_signed_none_is_fetched() {
    let service = Service::start();
    let client = Stella::new();
    assert_eq!(service.run(&client, &["export", "run", "mirror:full", "--watch"]).code, 0);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    // A part is said to be larger; the answer stays as long as it says.
    let swell = move |passing: &Passing<'_>| {
        let answer = passing.answer();
        if let Some((_, name)) = passing.asked.path.split_once("/parts/") {
            seen.lock().expect("nobody panics").push(name.to_owned());
        }
        if !passing.asked.path.ends_with("/files") {
            return Some(answer);
        }
        let mut text = String::from_utf8(answer).expect("is text");
        let part = text.find(r#""path":"data/raw/"#).expect("a part");
        let size = part + text[part..].find(r#""size":"#).expect("a size") + 7;
        let digit = if text[size..].starts_with('9') { "8" } else { "9" };
        text.replace_range(size..=size, digit);
        Some(text.into_bytes())
    };
    let proxy = Proxy::start(&service.address, swell);
    let (dest, key) = (client.arg("bundle"), service.key());
    let args = ["export", "download", "r-1", "-d", &dest, "--trusted-key", &key];
    assert_changed_files_are_refused(&service, &client, &proxy, &args);
    assert!(!Path::new(&dest).exists());
    let asked = asked.lock().expect("nobody panics");
    let is_envelope =
        |name: &String| ["export.json", "provenance.json"].iter().any(|of| name.starts_with(of));
    assert!(!asked.is_empty() && asked.iter().all(is_envelope), "{asked:?}");
}

#[test]
fn what_is_meant_for_a_server_is_not_done_here() {
    let service = Service::start();
    let client = Stella::new();
    let junk = client.arg("junk.json");
    std::fs::write(&junk, "{\"a\": 1}").expect("writes");
    let npm = stella_testkit::samples().join("advisories/npm");
    let npm = npm.to_str().expect("UTF-8");
    client.ok(&["ingest", "--feed", "npm", npm, "--local"]);
    service.run(&client, &["ingest", "--feed", "npm", npm]);
    service.run(&client, &["ingest", "--feed", "npm", &junk]);
    // What the server has is told, and what it rejected.
    let shown = service.run(&client, &["feeds", "show", "npm"]);
    assert!(shown.stdout.contains("rejected     1"), "{shown:?}");
    let rejected = service.run(&client, &["quarantine", "list", "--feed", "npm"]);
    assert!(rejected.stdout.contains("unknown-format"), "{rejected:?}");
    let all = service.run(&client, &["quarantine", "list"]);
    assert_eq!(all.code, 2, "{all:?}");
    let before = held(&client);
    let id = ["advisory", "GHSA-jf85-cpcp-j695"];
    for args in [
        &["feeds", "block", "npm", id[0], id[1], "--reason", "a test"][..],
        &["feeds", "unblock", "npm", id[0], id[1]],
        &["feeds", "remove", "npm", "--yes"],
        &["quarantine", "show", "1"],
    ] {
        let refused = service.run(&client, args);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("--local"), "{refused:?}");
    }
    assert_eq!(held(&client), before);
}

/// The first file of a folder.
fn first_name(folder: &str) -> std::ffi::OsString {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("is there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    names.remove(0)
}

#[test]
fn a_download_goes_on_at_its_byte_however_often_it_is_cut() {
    let service = Service::start();
    let client = Stella::new();
    assert_eq!(service.run(&client, &["export", "run", "mirror:full", "--watch"]).code, 0);
    // Less than the largest file: no connection carries it whole.
    let cut = |passing: &Passing<'_>| {
        let mut answer = passing.answer();
        answer.truncate(9_000);
        Some(answer)
    };
    let proxy = Proxy::start(&service.address, cut);
    let dest = client.arg("bundle");
    let key = service.key();
    let fetched = service.run_through(
        &client,
        &proxy.address(),
        &["export", "download", "r-1", "-d", &dest, "--trusted-key", &key, "-o", "json"],
    );
    assert_eq!(fetched.code, 0, "{fetched:?}");
    let report: Value = serde_json::from_str(&fetched.stdout).expect("is JSON");
    assert_eq!(report["fetchedBytes"], report["bytes"], "no byte came twice: {report}");
    assert!(proxy.requests() > 3);
    client.ok(&["export", "verify", &dest, "--key", &key, "--local"]);
}

#[test]
fn a_byte_that_was_changed_on_its_way_is_found() {
    let service = Service::start();
    let client = Stella::new();
    assert_eq!(service.run(&client, &["export", "run", "mirror:full", "--watch"]).code, 0);
    // The last byte of every file.
    let flip = |passing: &Passing<'_>| {
        let mut answer = passing.answer();
        if passing.asked.path.contains("/parts/")
            && let Some(last) = answer.last_mut()
        {
            *last ^= 1;
        }
        Some(answer)
    };
    let proxy = Proxy::start(&service.address, flip);
    let (dest, key) = (client.arg("bundle"), service.key());
    let args = ["export", "download", "r-1", "-d", &dest, "--trusted-key", &key];
    assert_changed_files_are_refused(&service, &client, &proxy, &args);
    assert!(!Path::new(&dest).exists());
    assert_eq!(service.run(&client, &args).code, 0);
}

/// Records of each feed of a store.
fn held(client: &Stella) -> BTreeMap<String, u64> {
    let listed = client.run(&["feeds", "list", "-o", "json", "--local"]);
    if listed.code == 3 {
        return BTreeMap::new();
    }
    let listed: Value = serde_json::from_str(&listed.stdout).expect("is JSON");
    let feeds = listed["items"].as_array().expect("a list").iter();
    feeds
        .map(|feed| {
            let kinds = feed["records"].as_object().expect("kinds").values();
            let records = kinds.filter_map(Value::as_u64).sum();
            (feed["name"].as_str().expect("a name").to_owned(), records)
        })
        .collect()
}

#[test]
fn a_pull_that_is_killed_leaves_whole_feeds_and_goes_on() {
    let service = Service::start();
    let samples = stella_testkit::samples().join("advisories");
    for number in 0..9 {
        let feed = format!("feed-{number}");
        let args = ["ingest", "--feed", &feed, samples.to_str().expect("UTF-8"), "--local"];
        service.stella.ok(&args);
    }
    let expected = held(&service.stella);
    let client = Stella::new();
    let mut seen = BTreeSet::new();
    for number in 0..stella_testkit::rounds(24, 200) {
        let mut command = service.command(&client, &service.address, &["feeds", "pull"]);
        let mut pulling =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(number as u64 * 37 % 240));
        pulling.kill().ok();
        pulling.wait().expect("ends");
        let found = held(&client);
        for (feed, records) in &found {
            assert!(*records == 0 || records == &expected[feed], "{feed}: {found:?}");
        }
        seen.insert(found.values().filter(|records| **records > 0).count());
    }
    println!("feeds after the kills: {seen:?}");
    let pulled = service.run(&client, &["feeds", "pull", "-o", "json"]);
    assert_eq!(pulled.code, 0, "{pulled:?}");
    assert_eq!(held(&client), expected);
    let report: Value = serde_json::from_str(&pulled.stdout).expect("is JSON");
    assert_eq!(report["feeds"].as_array().expect("feeds").len(), expected.len());
    let (one, other) = (service.stella.arg("one"), client.arg("other"));
    let bundle = |stella: &Stella, dest: &str| {
        stella.ok(&["export", "run", "json:raw", "-d", dest, "--unsigned-for-testing", "--local"]);
    };
    bundle(&service.stella, &one);
    bundle(&client, &other);
    assert_eq!(client.run(&["export", "diff", &one, &other, "--local"]).code, 0);
    // What is told for people, and what is there already.
    let again = service.run(&client, &["feeds", "pull", "feed-1"]);
    assert!(again.stdout.contains("feed-1") && again.stdout.contains("changes"), "{again:?}");
    let shown = client.ok(&["feeds", "show", "feed-1", "--local"]);
    assert!(shown.contains("tenant local, sequence"), "{shown}");
    client.ok(&["ingest", "--feed", "feed-1", samples.to_str().expect("UTF-8"), "--local"]);
    let findings = stella_testkit::samples().join("findings");
    client.ok(&["ingest", "--feed", "feed-1", findings.to_str().expect("UTF-8"), "--local"]);
    let refused = service.run(&client, &["feeds", "pull"]);
    assert_eq!(refused.code, 9, "{refused:?}");
    assert!(refused.stderr.contains("--take-over"), "{refused:?}");
    assert_eq!(client.run(&["feeds", "pull", "--local"]).code, 2, "no server is named");
}

#[test]
fn watching_survives_a_server_that_is_killed_and_comes_back() {
    let mut service = Service::start();
    let client = Stella::new();
    let key = service.key();
    let dest = client.arg("bundle");
    let args = ["export", "run", "mirror:full", "-d", &dest, "--trusted-key", &key];
    let mut command = service.command(&client, &service.address, &args);
    let watching = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(120));
        service.restart();
    }
    let outcome = Outcome::of(watching.wait_with_output().expect("ends"));
    assert_eq!(outcome.code, 0, "{outcome:?}");
    client.ok(&["export", "verify", &dest, "--key", &key, "--local"]);
}

#[test]
fn whoever_logs_in_is_remembered_until_they_log_out() {
    let service = Service::start();
    let client = Stella::new();
    let server = format!("http://{}", service.address);
    let login = ["auth", "login", "site", "--server", &server];
    let wrong = client.run_with_input(&login, b"ec1.local/AAAAAAAAAAA/x\n");
    assert_eq!(wrong.code, 4, "{wrong:?}");
    let told = client.run_with_input(&login, format!("{}\n", service.token).as_bytes());
    assert_eq!(told.code, 0, "{told:?}");
    assert!(!told.stdout.contains(&service.token) && !told.stderr.contains(&service.token));
    let file = client.path("home/.config/stella/contexts.toml");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for nobody else");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("is ours");
    let refused = client.run(&["auth", "whoami"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("chmod 600"), "{refused:?}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("is ours");
    assert!(client.ok(&["auth", "whoami"]).contains("tenant    local"));
    assert_eq!(client.run(&["auth", "can-i", "export:run"]).code, 0);
    assert_eq!(client.run(&["auth", "can-i", "export:rnu"]).code, 4, "there is no such scope");
    let refused = client.run(&["export", "run", "json:raw", "--feed", "nobody"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    let plan = client.ok(&["export", "plan", "json:raw"]);
    assert!(plan.contains("FEED") && plan.contains("Nothing was written."), "{plan}");
    assert_eq!(client.ok(&["export", "status"]).lines().count(), 1, "no run yet");
    let started = client.ok(&["export", "run", "json:raw", "-o", "id"]);
    assert_eq!(started.trim(), "r-1");
    assert_eq!(client.run(&["export", "watch", "r-1"]).code, 0);
    let again = client.run(&["export", "cancel", "r-1"]);
    assert_eq!(again.code, 9, "{again:?}");
    assert_eq!(client.run(&["export", "retry", "r-1", "--watch"]).code, 0);
    assert!(client.ok(&["export", "profile", "list"]).contains("mirror:full"));
    client.ok(&["auth", "use", "--none"]);
    assert_eq!(client.run(&["export", "status"]).code, 2, "no server is named");
    client.ok(&["auth", "use", "site"]);
    client.ok(&["auth", "logout"]);
    assert_eq!(client.run(&["auth", "whoami"]).code, 2);
    // Without a server that answers.
    let nowhere = ["export", "status", "--server", "http://127.0.0.1:9"];
    let mut command = client.command(&nowhere);
    let unreachable = Outcome::of(command.env("STELLA_TOKEN", "x").output().expect("starts"));
    assert_eq!(unreachable.code, 5, "{unreachable:?}");
}

#[test]
fn a_file_becomes_a_profile_of_the_tenant_with_its_revisions() {
    let service = Service::start();
    let client = Stella::new();
    let file = client.path("nightly.toml");
    let name = file.to_str().expect("UTF-8");
    let write = |kinds: &str| {
        let text =
            format!("name = 'nightly'\noutputs = ['json:raw']\n[select]\nkinds = [{kinds}]\n");
        std::fs::write(&file, text).expect("writes");
    };
    let run = |args: &[&str]| service.run(&client, &[&["export", "profile"], args].concat());
    write("'vex'");
    let dry = run(&["apply", "-f", name, "--dry-run"]);
    assert!(dry.stdout.contains("would be revision 1. Nothing was written"), "{dry:?}");
    assert_eq!(run(&["history", "nightly"]).code, 3);
    assert!(run(&["apply", "-f", name]).stdout.contains("is revision 1 now"));
    assert!(run(&["apply", "-f", name]).stdout.contains("is that already, revision 1"));
    write("'advisory'");
    assert!(run(&["apply", "-f", name]).stdout.contains("is revision 2 now"));
    assert!(run(&["show", "nightly"]).stdout.contains("advisory"));
    let of_file = service.run(&client, &["export", "run", name]);
    assert!(of_file.code == 2 && of_file.stderr.contains("profile apply -f"), "{of_file:?}");
    assert_eq!(service.run(&client, &["export", "run", "nightly", "--watch"]).code, 0);
    write("'advisry'");
    let wrong = run(&["apply", "-f", name]);
    assert!(wrong.code == 2 && wrong.stderr.contains("advisry"), "{wrong:?}");
    assert_eq!(run(&["delete", "nightly"]).code, 2, "nobody could be asked");
    assert_eq!(run(&["delete", "nightly", "--yes"]).code, 0);
    assert_eq!(run(&["show", "nightly"]).code, 3);
    let history = run(&["history", "nightly"]);
    let told: Vec<&str> = history.stdout.lines().skip(1).collect();
    assert!(told.len() == 3 && told[0].ends_with("deleted"), "{history:?}");
    assert_eq!(
        client.run(&["export", "profile", "apply", "-f", name]).code,
        2,
        "no server is named"
    );
}

#[test]
fn the_demo_says_what_to_type_and_it_works() {
    let client = Stella::new();
    let mut command = Command::new(server_program());
    command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--log", "error"]);
    command.env("TMPDIR", client.path("")).stdout(Stdio::piped());
    let mut process = command.spawn().expect("starts");
    let lines = BufReader::new(process.stdout.take().expect("is piped")).lines();
    let told: Vec<String> = lines.take(7).map(|line| line.expect("is text")).collect();
    let variables = told[3].trim().strip_prefix("export ").expect("variables");
    for line in &told[4..6] {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let mut command = client.command(&words);
        command.envs(variables.split(' ').filter_map(|one| one.split_once('=')));
        let outcome = Outcome::of(command.output().expect("stella starts"));
        assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
    }
    // SIGTERM: nothing is left.
    let ended = Command::new("kill").arg(process.id().to_string()).status().expect("runs");
    assert!(ended.success() && process.wait().expect("ends").success());
    let left = std::fs::read_dir(client.path("")).expect("is there").flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().contains("demo")).count();
    assert_eq!(left, 0);
}
