//! Scans by real Trivys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use stella_peers::offline;

/// A version of Trivy.
#[derive(Debug, Clone)]
pub(crate) struct Trivy {
    pub(crate) version: &'static str,
    pub(crate) program: PathBuf,
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The component of the SBOM.
    pub(crate) component: String,
    pub(crate) id: String,
    /// Severity, and the source that tells it.
    pub(crate) severity: (String, String),
    /// The data source of the row.
    pub(crate) source: String,
}

/// How a scan ended.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) findings: Vec<Finding>,
}

impl Trivy {
    /// Those of the versions that are there.
    pub(crate) fn all() -> Vec<Trivy> {
        let found = |version| Some(Trivy { version, program: stella_peers::trivy(version)? });
        stella_peers::trivy_versions(stella_testkit::full()).into_iter().filter_map(found).collect()
    }

    /// Whether this is a version or a later one.
    pub(crate) fn is_since(&self, version: &str) -> bool {
        let numbers = |text: &str| -> Vec<u32> {
            text.split('.').map(|number| number.parse().expect("a number")).collect()
        };
        numbers(self.version) >= numbers(version)
    }

    /// A command without surroundings; `home` is where it may write.
    pub(crate) fn command(&self, mut command: Command, home: &Path) -> Command {
        command.env_clear().env("HOME", home).env("TMPDIR", home);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// The arguments of a scan of a file.
    pub(crate) fn arguments(&self, cache: &Path, sbom: &Path) -> Vec<String> {
        let mut words = vec!["sbom", "--offline-scan", "--skip-java-db-update", "--no-progress"];
        if self.is_since("0.67.2") {
            words.extend(["--skip-version-check", "--disable-telemetry"]);
        }
        words.extend(["--format", "json", "--cache-dir"]);
        let paths = [cache, sbom].map(|path| path.to_string_lossy().into_owned());
        words.into_iter().map(str::to_owned).chain(paths).collect()
    }

    /// Scans with the database in a cache folder, without a network.
    pub(crate) fn scan(&self, cache: &Path, sbom: &Path, more: &[&str]) -> Scan {
        let home = sbom.parent().expect("a folder");
        let mut command = self.command(offline(&self.program), home);
        Scan::run(command.args(self.arguments(cache, sbom)).args(more))
    }

    /// Scans an SBOM that must be readable.
    pub(crate) fn findings(&self, cache: &Path, sbom: &Path) -> Vec<Finding> {
        let scan = self.scan(cache, sbom, &["--skip-db-update"]);
        assert_eq!(scan.code, Some(0), "Trivy {}: {}", self.version, scan.stderr);
        scan.findings
    }
}

impl Scan {
    /// Runs a scan to its end.
    pub(crate) fn run(command: &mut Command) -> Scan {
        let output = command.output().expect("Trivy starts");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Scan {
            code: output.status.code(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            findings: Scan::of(&report),
        }
    }

    /// What a report holds.
    pub(crate) fn of(report: &Value) -> Vec<Finding> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let results = list(&report["Results"]).into_iter();
        let found = results.flat_map(|result| list(&result["Vulnerabilities"]));
        found.map(|found| Finding::of(&found)).collect()
    }
}

impl Finding {
    fn of(found: &Value) -> Finding {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Finding {
            component: text(&found["PkgIdentifier"]["BOMRef"]),
            id: text(&found["VulnerabilityID"]),
            severity: (text(&found["Severity"]), text(&found["SeveritySource"])),
            source: text(&found["DataSource"]["ID"]),
        }
    }
}

/// Writes a JSON file; its path.
pub(crate) fn write(path: &Path, value: &Value) -> PathBuf {
    fs::write(path, value.to_string()).expect("writable");
    path.to_owned()
}
