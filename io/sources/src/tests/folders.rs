//! Arguments and directories.

use std::fs;
use std::path::Path;

use super::*;

fn walk_path(root: &Path, path: &Path) -> Vec<String> {
    let shown = format!("{}/", root.display());
    let lines = listing(vec![Input::from_arg(path)], Limits::DEFAULT);
    lines.into_iter().map(|line| line.replace(&shown, "")).collect()
}

#[test]
fn a_directory_is_walked_in_order_and_nothing_is_silent() {
    let dir = stella_testkit::temp_dir();
    let root = dir.path();
    for (name, content) in [
        ("b/2.json", &b"2"[..]),
        ("b/1.json", b"1"),
        ("b.json", b"b"),
        ("a/x.json.asc", b"-"),
        ("a/README.md", b"-"),
        ("a/.git/config", b"-"),
        ("a/.git/objects/x.json", b"-"),
        ("a/z.tar.gz", &gzip(&tar(&[("m.json", b"m"), ("README.md", b"-")]))),
        ("a/README.md.gz", &gzip(b"-")),
        ("a/\u{202e}nosj.\u{301}.json", b"u"),
        ("c/empty/.keep", b""),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    assert_eq!(
        walk_path(root, root),
        [
            "a/.git ~ Ignored",
            "a/README.md ~ Ignored",
            "a/README.md.gz ~ Ignored",
            "a/x.json.asc ~ Companion",
            "a/z.tar.gz!m.json = m",
            "a/z.tar.gz!README.md ~ Ignored",
            "a/\u{202e}nosj.\u{301}.json = u",
            "b/1.json = 1",
            "b/2.json = 2",
            "b.json = b",
            "c/empty/.keep = ",
        ]
    );
    assert_eq!(walk_path(root, &root.join("a/README.md")), ["a/README.md ~ Ignored"]);
    let missing = walk_path(root, &root.join("none.json"));
    assert!(missing[0].starts_with("error none.json@ NotFound"), "{missing:?}");
}

#[test]
fn a_file_that_fails_does_not_take_its_siblings_along() {
    let dir = stella_testkit::temp_dir();
    let root = dir.path();
    let whole = gzip(&tar(&[("m.json", b"m"), ("n.json", b"n")]));
    fs::write(root.join("a.json"), "a").expect("a file");
    fs::write(root.join("b.tar.gz"), &whole[..whole.len() - 12]).expect("a file");
    fs::write(root.join("c.zip"), &zip(&[("z.json", b"z")])[..30]).expect("a file");
    fs::write(root.join("d.json"), "d").expect("a file");
    let lines = walk_path(root, root);
    assert_eq!(lines.first().map(String::as_str), Some("a.json = a"));
    assert_eq!(lines.last().map(String::as_str), Some("d.json = d"));
    assert!(lines.contains(&"b.tar.gz ! bad-container".to_owned()), "{lines:?}");
    assert!(lines.contains(&"c.zip ! bad-container".to_owned()), "{lines:?}");
    // Named as arguments, they are errors.
    for name in ["b.tar.gz", "c.zip"] {
        let lines = walk_path(root, &root.join(name));
        let last = lines.last().expect("an error");
        assert!(last.starts_with(&format!("error {name}@")) && last.contains("Refused"), "{last}");
    }
}

#[cfg(unix)]
#[test]
fn links_and_pipes_in_directories_are_not_followed() {
    let dir = stella_testkit::temp_dir();
    let root = dir.path().join("feed");
    fs::create_dir(&root).expect("a folder");
    fs::write(dir.path().join("secret.json"), "secret").expect("a file");
    let link = |target: &str, name: &str| {
        rustix::fs::symlink(target, root.join(name)).expect("a link");
    };
    link("../secret.json", "a.json");
    link("..", "loop");
    link("nowhere", "dangling.json");
    link("../secret.json", "z.asc");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    assert_eq!(
        walk_path(&root, &root),
        [
            "a.json ! link",
            "dangling.json ! link",
            "loop ! link",
            "pipe.json ! device",
            "z.asc ~ Companion",
        ]
    );
    // A link that was named is meant.
    assert_eq!(walk_path(&root, &root.join("a.json")), ["a.json = secret"]);
}
