//! INV-PURE is enforced by clippy: a probe shows that `core/clippy.toml` really is read and bites.

use std::fs;
use std::process::Command;

use xtask::workspace;

/// One impure line each, and what clippy must call it.
const PROBES: &[(&str, &str)] = &[
    ("let _: Option<std::collections::HashMap<u8, u8>> = None;", "std::collections::HashMap"),
    ("let _: Option<std::collections::HashSet<u8>> = None;", "std::collections::HashSet"),
    ("let _ = std::env::var(\"A\");", "std::env::var"),
    ("let _ = std::fs::read(\"a\");", "std::fs::read"),
    ("let _ = std::fs::File::open(\"a\");", "std::fs::File"),
    ("let _ = std::path::Path::new(\"a\").exists();", "std::path::Path::exists"),
    ("let _ = std::time::Instant::now();", "std::time::Instant::now"),
    ("let _ = std::time::SystemTime::now();", "std::time::SystemTime::now"),
    ("let _ = std::thread::spawn(|| ());", "std::thread::spawn"),
    ("let _ = std::net::TcpStream::connect(\"a:1\");", "std::net::TcpStream"),
    ("let _ = std::process::Command::new(\"a\");", "std::process::Command"),
    ("let _ = std::io::stdin();", "std::io::stdin"),
    ("std::process::exit(1);", "std::process::exit"),
];

#[test]
fn clippy_refuses_impure_code_in_core() {
    let root = workspace::root();
    let probe = stella_testkit::temp_dir();
    let folder = probe.path().join("core/probe");
    fs::create_dir_all(folder.join("src")).unwrap();
    for file in ["clippy.toml", "core/clippy.toml"] {
        fs::copy(root.join(file), probe.path().join(file)).unwrap();
    }
    fs::write(
        probe.path().join("Cargo.toml"),
        "[workspace]\nresolver = \"3\"\nmembers = [\"core/probe\"]\n",
    )
    .unwrap();
    let manifest = "[package]\nname = \"probe\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let functions: String = PROBES
        .iter()
        .enumerate()
        .map(|(number, (line, _))| format!("pub fn probe_{number}() {{ {line} }}\n"))
        .collect();
    fs::write(folder.join("src/lib.rs"), functions).unwrap();

    let output = Command::new(env!("CARGO"))
        .args(["clippy", "--offline", "--quiet", "--message-format", "short"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", probe.path().join("target"))
        .env_remove("CLIPPY_CONF_DIR")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo clippy runs");
    let report = String::from_utf8_lossy(&output.stderr);
    for (number, (line, path)) in PROBES.iter().enumerate() {
        let at = format!("lib.rs:{}:", number + 1);
        let found = report.lines().any(|l| l.contains(&at) && l.contains(&format!("`{path}`")));
        assert!(found, "clippy lets `{line}` pass:\n{report}");
    }
}
