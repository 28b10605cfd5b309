//! Who may depend on whom: `formats <- core <- io <- app`, and the finer rules inside.
//!
//! The layer of a crate is the folder it lies in. `dev` is outside the product: its crates may use
//! anything, and nothing of the product may use them but in tests.

use std::collections::BTreeMap;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata};

/// The crates of core in the order of the run. A crate may use only those before it.
pub const CORE_ORDER: [&str; 11] = [
    "model",
    "records",
    "versions",
    "policy",
    "plan",
    "pack",
    "manifest",
    "seal",
    "distribute",
    "run",
    "verify",
];

/// The crates from outside that core may use: each computes values from values.
///
/// A new one is added here with a look at what it does at run time: no clock, files, network,
/// environment, randomness or threads of its own (INV-PURE), and no hash order in its output
/// (INV-DET).
pub const CORE_MAY_USE: &[&str] = &[
    "aws-lc-rs",
    "base64",
    "crypto_secretbox",
    "cvss",
    "ed25519-dalek",
    "flate2",
    "jiff",
    "memchr",
    "p256",
    "quick-xml",
    "regex",
    "ryu-js",
    "scrypt",
    "serde",
    "serde_json",
    "thiserror",
    "toml",
    "zeroize",
    "zstd",
];

/// Names under which everything ends up sooner or later.
const HUB_NAMES: [&str; 8] =
    ["common", "core", "helpers", "misc", "shared", "types", "util", "utils"];

/// A crate of the workspace and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crate {
    /// Folder relative to the root, such as `core/pack`.
    pub folder: String,
    /// Name of the package.
    pub name: String,
    /// Package name and kind of each dependency.
    pub dependencies: Vec<(String, Use)>,
}

/// How a dependency is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// In the product, or to build it.
    Product,
    /// In tests only.
    Tests,
}

/// The crates of the workspace as cargo sees them.
#[must_use]
pub fn crates(metadata: &Metadata) -> Vec<Crate> {
    let root = metadata.workspace_root.as_std_path();
    let folder = |manifest: &Path| {
        let folder = manifest.parent().and_then(|dir| dir.strip_prefix(root).ok());
        folder.map(|dir| dir.to_string_lossy().replace('\\', "/")).unwrap_or_default()
    };
    let mut crates: Vec<Crate> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| Crate {
            folder: folder(package.manifest_path.as_std_path()),
            name: package.name.to_string(),
            dependencies: package
                .dependencies
                .iter()
                .map(|dependency| {
                    let tests = dependency.kind == DependencyKind::Development;
                    (dependency.name.clone(), if tests { Use::Tests } else { Use::Product })
                })
                .collect(),
        })
        .collect();
    crates.sort_by(|a, b| a.folder.cmp(&b.folder));
    crates
}

/// Complains about every arrow and name that ARCHITECTURE does not allow.
#[must_use]
pub fn check(crates: &[Crate]) -> Vec<String> {
    let folders: BTreeMap<&str, &str> =
        crates.iter().map(|c| (c.name.as_str(), c.folder.as_str())).collect();
    let mut complaints = Vec::new();
    for c in crates {
        complaints.extend(check_name(c));
        for (dependency, used) in &c.dependencies {
            let complaint = match folders.get(dependency.as_str()) {
                Some(to) => check_arrow(&c.folder, to, *used),
                None => check_foreign(&c.folder, dependency, *used),
            };
            complaints.extend(complaint);
        }
    }
    complaints
}

fn check_name(c: &Crate) -> Option<String> {
    let (layer, name) = layer_and_name(&c.folder);
    if !["formats", "core", "io", "app", "dev"].contains(&layer) {
        return Some(format!("{}: crates lie in formats, core, io, app or dev", c.folder));
    }
    if HUB_NAMES.contains(&name) {
        return Some(format!("{}: {name} says nothing and attracts everything", c.folder));
    }
    if layer == "core" && !CORE_ORDER.contains(&name) {
        return Some(format!("{}: not in the order of core (xtask arrows::CORE_ORDER)", c.folder));
    }
    let expected = if c.folder == "dev/xtask" { "xtask".into() } else { format!("stella-{name}") };
    (c.name != expected).then(|| format!("{}: is called {}, not {expected}", c.folder, c.name))
}

fn check_arrow(from: &str, to: &str, used: Use) -> Option<String> {
    let ((from_layer, from_name), (to_layer, to_name)) = (layer_and_name(from), layer_and_name(to));
    let rank = |name| CORE_ORDER.iter().position(|core| *core == name);
    let allowed = match (from_layer, to_layer) {
        ("dev", _) => true,
        (_, "dev") => used == Use::Tests,
        ("core", "core") => rank(to_name) < rank(from_name),
        ("formats", "formats") => true,
        ("formats", _) | ("core" | "io", "app") | ("core" | "io", "io") => false,
        _ => true,
    };
    if !allowed {
        return Some(format!("{from} must not depend on {to}"));
    }
    (from_name == "verify" && to_name == "pack" && used == Use::Product).then(|| {
        format!("{from} must not depend on {to}: a verifier that shares the writer's code proves nothing")
    })
}

fn check_foreign(folder: &str, dependency: &str, used: Use) -> Option<String> {
    let core = layer_and_name(folder).0 == "core";
    (core && used == Use::Product && !CORE_MAY_USE.contains(&dependency)).then(|| {
        format!("{folder} uses {dependency}, which core may not (xtask arrows::CORE_MAY_USE)")
    })
}

fn layer_and_name(folder: &str) -> (&str, &str) {
    folder.split_once('/').unwrap_or(("", folder))
}
