//! Rules about `Cargo.toml`, `clippy.toml` and what cargo makes of them.

use std::collections::BTreeSet;

use cargo_metadata::Metadata;
use toml::{Table, Value};

use crate::Workspace;

/// `core/clippy.toml` must repeat all of `clippy.toml`: clippy reads only the nearest file.
#[must_use]
pub fn ban_lists(workspace: &Workspace) -> Vec<String> {
    let (Some(root), Some(core)) =
        (read(workspace, "clippy.toml"), read(workspace, "core/clippy.toml"))
    else {
        return vec!["clippy.toml, core/clippy.toml: missing or not TOML".into()];
    };
    let mut complaints = Vec::new();
    for (key, value) in &root {
        if let Value::Array(_) = value {
            let missing = &paths(&root, key) - &paths(&core, key);
            complaints.extend(
                missing
                    .iter()
                    .map(|path| format!("core/clippy.toml: {key} lacks {path} of the root")),
            );
        } else if core.get(key) != Some(value) {
            complaints.push(format!("core/clippy.toml: {key} differs from the root"));
        }
    }
    complaints
}

/// Every crate takes version, edition, licence and lints from the workspace.
#[must_use]
pub fn crate_manifests(workspace: &Workspace) -> Vec<String> {
    let inherits = |table: Option<&Value>| {
        table.and_then(|value| value.get("workspace")) == Some(&Value::Boolean(true))
    };
    let mut complaints = Vec::new();
    let manifests = workspace.files().iter().filter(|file| {
        // dev/fuzz is a workspace of its own, built with the sanitiser of another toolchain.
        file.path.ends_with("/Cargo.toml") && file.path != "dev/fuzz/Cargo.toml"
    });
    for file in manifests {
        let Ok(table) = file.text.parse::<Table>() else {
            complaints.push(format!("{}: not TOML", file.path));
            continue;
        };
        if !inherits(table.get("lints")) {
            complaints.push(format!("{}: [lints] workspace = true is missing", file.path));
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !inherits(table.get("package").and_then(|package| package.get(key))) {
                complaints.push(format!("{}: {key}.workspace = true is missing", file.path));
            }
        }
    }
    let root = read(workspace, "Cargo.toml").map(Value::Table);
    let lint = root.as_ref().and_then(|root| root.get("workspace")?.get("lints")?.get("rust"));
    if lint.and_then(|rust| rust.get("unsafe_code")).and_then(Value::as_str) != Some("forbid") {
        complaints.push("Cargo.toml: unsafe_code must be forbidden for the workspace".into());
    }
    complaints
}

/// `zstd-sys` is pinned exactly, because part bytes depend on libzstd, and the lock file agrees.
#[must_use]
pub fn pins(workspace: &Workspace) -> Vec<String> {
    let pin = read(workspace, "Cargo.toml").and_then(|root| {
        let dependency = root.get("workspace")?.get("dependencies")?.get("zstd-sys")?;
        let version = dependency.get("version").unwrap_or(dependency);
        version.as_str()?.strip_prefix('=').map(str::to_owned)
    });
    let Some(pin) = pin else {
        return vec!["Cargo.toml: zstd-sys must be pinned with =".into()];
    };
    let locked = read(workspace, "Cargo.lock").and_then(|lock| {
        let packages = lock.get("package")?.as_array()?.clone();
        let zstd =
            packages.iter().find(|p| p.get("name").and_then(Value::as_str) == Some("zstd-sys"))?;
        // "2.1.3+zstd.1.5.7"
        Some(zstd.get("version")?.as_str()?.split('+').next()?.to_owned())
    });
    match locked {
        Some(locked) if locked == pin.split('+').next().unwrap_or(&pin) => Vec::new(),
        other => vec![format!("Cargo.lock: zstd-sys is {other:?}, pinned is {pin}")],
    }
}

/// Features that would change bytes must stay off, whoever asks for them: `arbitrary_precision` and
/// `preserve_order` of serde_json, `zstdmt` of zstd.
#[must_use]
pub fn resolved_features(metadata: &Metadata) -> Vec<String> {
    const OFF: [(&str, &[&str]); 3] = [
        ("serde_json", &["arbitrary_precision", "preserve_order"]),
        ("zstd", &["zstdmt"]),
        ("zstd-sys", &["zstdmt"]),
    ];
    const ON: [(&str, &[&str]); 1] = [("serde_json", &["float_roundtrip", "raw_value"])];
    let Some(resolve) = &metadata.resolve else {
        return vec!["cargo metadata resolved nothing".into()];
    };
    let features_of = |name: &str| -> Option<BTreeSet<String>> {
        let package = metadata.packages.iter().find(|package| package.name == name)?;
        let node = resolve.nodes.iter().find(|node| node.id == package.id)?;
        Some(node.features.iter().map(ToString::to_string).collect())
    };
    let mut complaints = Vec::new();
    for (name, list, wanted) in OFF
        .iter()
        .map(|(name, list)| (name, list, false))
        .chain(ON.iter().map(|(name, list)| (name, list, true)))
    {
        let Some(features) = features_of(name) else {
            complaints.push(format!("{name}: not in the dependency graph"));
            continue;
        };
        let wrong = list.iter().filter(|feature| features.contains(**feature) != wanted);
        let state = if wanted { "off" } else { "on" };
        complaints.extend(wrong.map(|feature| format!("{name}: feature {feature} is {state}")));
    }
    complaints
}

fn read(workspace: &Workspace, path: &str) -> Option<Table> {
    workspace.file(path)?.text.parse().ok()
}

/// The paths of a list of bans, whose entries are texts or tables.
fn paths(config: &Table, key: &str) -> BTreeSet<String> {
    let entries = config.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let path = |entry: &Value| entry.get("path").unwrap_or(entry).as_str().map(str::to_owned);
    entries.iter().filter_map(path).collect()
}
