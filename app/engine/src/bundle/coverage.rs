//! `export coverage`: what a scanner with the database of a bundle would see of a site's SBOMs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use serde::Serialize;
use stella_manifest::ExportManifest;
use stella_model::{ErrorCode, Instant};
use stella_records::view::Evidence;
use stella_records::{Format, Recognised, recognise};
use stella_sources::{Event, Input, Options, walk};
use stella_verify::{bucket_of_release, language_of_purl};

use super::read::ReadBundle;
use crate::ingest::class;
use crate::{Cancel, EngineError, LIMITS};

/// A bundle and the SBOMs of a site.
#[derive(Debug, Clone)]
pub struct CoverageRequest {
    /// The bundle: a folder or a tar.
    pub bundle: PathBuf,
    /// SBOMs: files, folders, archives; `-` is standard input.
    pub sboms: Vec<PathBuf>,
}

/// What a scanner sees of an ecosystem or distribution. The worse it is, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CoverageState {
    /// All that the selected advisories say.
    Full,
    /// Some of it.
    Partial,
    /// Nothing: it finds no vulnerability whatever there is.
    Absent,
}

/// What a scanner would see of SBOMs. The bundle was not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageReport {
    /// The bundle's `asOf`.
    pub as_of: Instant,
    /// The SBOMs in the order in which they were found.
    pub sboms: Vec<CoveredSbom>,
    /// Documents that are no SBOM, with the reason.
    pub rejected: Vec<String>,
    /// The worst of all SBOMs; `None` if none has components that could be packages.
    pub worst: Option<CoverageState>,
}

/// One SBOM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoveredSbom {
    /// Where it was found; not escaped.
    pub path: String,
    /// Its ecosystems and distributions, by name.
    pub ecosystems: Vec<SbomEcosystem>,
    /// Components that no scanner looks for: those without a package URL, and images.
    pub unnamed: u64,
    /// Why a scanner sees less of it than the database has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
    /// The worst of its ecosystems, absent if all of its components are unnamed; `None` if it has none.
    pub worst: Option<CoverageState>,
}

/// The packages of one ecosystem or distribution in an SBOM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SbomEcosystem {
    /// The name in the manifest's coverage, else the type of the package URLs.
    pub ecosystem: String,
    /// Number of components.
    pub packages: u64,
    /// What a scanner sees of them.
    pub state: CoverageState,
}

/// Compares SBOMs with the coverage that a bundle tells.
///
/// # Errors
/// [`EngineError`] if the bundle does not read or tells no coverage, an input cannot be read, there
/// is no SBOM in any, or the operator interrupts.
pub fn coverage(request: &CoverageRequest, cancel: &Cancel) -> Result<CoverageReport, EngineError> {
    let bundle = ReadBundle::open(&request.bundle)?.sound()?;
    if bundle.manifest.coverage.is_empty() {
        let what = "the bundle has no database for a scanner, so it tells no coverage";
        return Err(EngineError::new(ErrorCode::Invalid, what)
            .hint("make one with: stella export run trivy:db -d DIR"));
    }
    let seen = Seen::of(&bundle.manifest);
    let mut report = CoverageReport {
        as_of: bundle.manifest.as_of,
        sboms: Vec::new(),
        rejected: Vec::new(),
        worst: None,
    };
    let inputs = request.sboms.iter().map(|path| Input::from_arg(path)).collect();
    let options = Options { limits: LIMITS, by_name: &class, spool_dir: None };
    let walked = walk(inputs, &options, &mut |event| {
        match event {
            Event::Document(document) => match sbom(&document.path, &document.bytes, &seen) {
                Ok(sboms) => report.sboms.extend(sboms),
                Err(reason) => report.rejected.push(format!("{}: {reason}", document.path)),
            },
            Event::Rejected(fault) => {
                report.rejected.push(format!("{}: {}", fault.path, fault.detail));
            }
            Event::Skipped { .. } => {}
        }
        if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    walked.map(drop).map_err(|error| {
        EngineError::from(error).hint("--sbom takes files, folders and archives of SBOMs")
    })?;
    cancel.check()?;
    if report.sboms.is_empty() {
        let what = match report.rejected.first() {
            Some(first) => format!("no SBOM was found: {}", stella_model::screen::Safe(first)),
            None => "no SBOM was found".to_owned(),
        };
        return Err(EngineError::new(ErrorCode::Invalid, what)
            .hint("SBOMs are CycloneDX or SPDX documents, or folders and archives of them"));
    }
    report.worst = report.sboms.iter().filter_map(|sbom| sbom.worst).max();
    Ok(report)
}

/// Reads a document; nothing if it is no evidence at all.
fn sbom(path: &str, bytes: &[u8], seen: &Seen<'_>) -> Result<Vec<CoveredSbom>, String> {
    let drafts = match recognise("", bytes, &LIMITS) {
        Ok(Recognised::Records(drafts)) => drafts,
        Ok(Recognised::Companion | Recognised::Ignored) => return Ok(Vec::new()),
        Err(rejection) => return Err(rejection.to_string()),
    };
    let mut found = Vec::new();
    for draft in &drafts {
        let evidence = Evidence::open(draft.format, &draft.content, &LIMITS);
        let evidence = evidence.map_err(|rejection| rejection.to_string())?;
        let view = evidence.sbom().ok_or("it is no SBOM")?;
        let mut packages = Packages::default();
        view.each_component(&mut |component| {
            let text =
                |text: Option<std::borrow::Cow<'_, str>>| text.unwrap_or_default().into_owned();
            // In SPDX a scanner goes by the id alone, whatever purpose a package tells.
            let is_spdx = matches!(draft.format, Format::SpdxJson | Format::SpdxTagValue);
            let id = component.reference.as_deref().unwrap_or_default();
            let may_be_system = !is_spdx || id.starts_with("SPDXRef-OperatingSystem");
            let name = if may_be_system { text(component.name) } else { String::new() };
            packages.take(component.purl.as_deref(), &name, &text(component.version));
        });
        found.push(packages.covered(path, seen, draft.format));
    }
    Ok(found)
}

/// The packages of an SBOM by where their advisories would lie.
#[derive(Debug, Default)]
struct Packages {
    counts: BTreeMap<Place, u64>,
    unnamed: u64,
    /// The system that the SBOM is of, where a component names it.
    system: Option<(String, String)>,
}

/// Types of package URLs that name images and no packages.
const IMAGES: [&str; 2] = ["docker", "oci"];

/// Where the advisories for a package would lie.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A language, or a type of package URLs that no scanner knows.
    Ecosystem(String),
    /// A distribution, and its release if the package URL tells it.
    System(String, Option<String>),
}

impl Packages {
    fn take(&mut self, purl: Option<&str>, name: &str, version: &str) {
        let Some(purl) = purl.filter(|purl| purl.starts_with("pkg:")) else {
            let system = bucket_of_release(name, version).filter(|_| !version.is_empty());
            match system {
                Some(_) => self.system = Some((name.to_owned(), version.to_owned())),
                None => self.unnamed += 1,
            }
            return;
        };
        match place(purl) {
            // What an SBOM is about, or lies on; its packages have package URLs of their own.
            Place::Ecosystem(kind) if IMAGES.contains(&kind.as_str()) => self.unnamed += 1,
            place => *self.counts.entry(place).or_default() += 1,
        }
    }

    fn covered(self, path: &str, seen: &Seen<'_>, format: Format) -> CoveredSbom {
        let is_read = !NOT_READ.contains(&format);
        let mut ecosystems: BTreeMap<String, (u64, CoverageState)> = BTreeMap::new();
        let mut has_distribution = false;
        for (place, count) in self.counts {
            let (name, is_seen) = match place {
                Place::Ecosystem(name) => (name, is_read),
                Place::System(distribution, release) => {
                    has_distribution = true;
                    // A scanner goes by the component that is the system, and by nothing else.
                    let told = (distribution, release.unwrap_or_default());
                    let (name, release) = self.system.as_ref().unwrap_or(&told);
                    (seen.system(name, release), is_read && self.system.is_some())
                }
            };
            let state = if is_seen { seen.state(&name) } else { CoverageState::Absent };
            ecosystems.entry(name).or_insert((0, state)).0 += count;
        }
        let mut notes = Vec::new();
        if !is_read {
            notes.push("no scanner reads this format");
        } else if has_distribution && self.system.is_none() {
            notes.push(
                "no component is an operating system: packages of distributions are not scanned",
            );
        }
        let ecosystem =
            |(ecosystem, (packages, state))| SbomEcosystem { ecosystem, packages, state };
        let ecosystems: Vec<SbomEcosystem> = ecosystems.into_iter().map(ecosystem).collect();
        let mut worst = ecosystems.iter().map(|ecosystem| ecosystem.state).max();
        let unnamed = self.unnamed;
        if ecosystems.is_empty() && unnamed > 0 {
            notes.push("no component is one that a scanner looks for");
            worst = Some(CoverageState::Absent);
        }
        CoveredSbom { path: path.to_owned(), ecosystems, unnamed, notes, worst }
    }
}

/// Formats of SBOMs that Trivy refuses.
const NOT_READ: [Format; 2] = [Format::CycloneDxXml, Format::Spdx3];

/// Reads off a package URL where the advisories for its package would lie.
fn place(purl: &str) -> Place {
    if let Some(language) = language_of_purl(purl) {
        return Place::Ecosystem(language.to_owned());
    }
    let (path, qualifiers) =
        purl["pkg:".len()..].split_once('?').unwrap_or((&purl["pkg:".len()..], ""));
    let mut parts = path.trim_start_matches('/').split('/');
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let namespace = parts.next().unwrap_or_default().split('@').next().unwrap_or_default();
    if !["apk", "deb", "rpm"].contains(&kind.as_str()) {
        return Place::Ecosystem(kind);
    }
    let qualifiers = qualifiers.split('#').next().unwrap_or_default();
    let distro = qualifiers.split('&').find_map(|pair| pair.strip_prefix("distro="));
    // `debian-12`, `opensuse-leap-15.5`, or the release alone.
    let (name, release) = match distro {
        None => (namespace, None),
        Some(distro) => match distro.rsplit_once('-') {
            Some((name, release)) if starts_as_number(release) => (name, Some(release)),
            _ if starts_as_number(distro) => (namespace, Some(distro)),
            _ => (distro, Some("")),
        },
    };
    Place::System(name.to_ascii_lowercase(), release.map(str::to_owned))
}

fn starts_as_number(text: &str) -> bool {
    text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit())
}

/// The coverage of a bundle by name.
struct Seen<'m>(BTreeMap<&'m str, CoverageState>);

impl<'m> Seen<'m> {
    fn of(manifest: &'m ExportManifest) -> Seen<'m> {
        let state = |word: &str| match word {
            "full" => CoverageState::Full,
            "partial" => CoverageState::Partial,
            // A word that is not known is no promise.
            _ => CoverageState::Absent,
        };
        let entries = manifest.coverage.iter();
        Seen(entries.map(|entry| (entry.ecosystem.as_str(), state(&entry.state))).collect())
    }

    /// What is not named is not seen.
    fn state(&self, name: &str) -> CoverageState {
        self.0.get(name).copied().unwrap_or(CoverageState::Absent)
    }

    /// The name under which a release of a distribution is found.
    fn system(&self, distribution: &str, release: &str) -> String {
        match bucket_of_release(distribution, release) {
            Some((bucket, _)) if self.0.contains_key(bucket.as_str()) => bucket,
            Some((bucket, _)) if !release.is_empty() => bucket,
            Some((_, ecosystem)) => ecosystem.to_owned(),
            None => format!("{distribution} {release}").trim_end().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_lead_to_the_names_of_the_coverage() {
        let seen = Seen(BTreeMap::from([("wolfi", CoverageState::Full)]));
        for (purl, expected) in [
            ("pkg:npm/%40a/b@1", "npm"),
            ("pkg:gem/rails@5", "RubyGems"),
            ("pkg:golang/github.com/a/b@v1", "Go"),
            ("pkg:generic/openssl@1", "generic"),
            ("pkg:deb/debian/curl@7?arch=amd64&distro=debian-12", "debian 12"),
            ("pkg:deb/debian/curl@7?distro=debian-12.5#x", "debian 12"),
            ("pkg:apk/alpine/curl@7?distro=3.18.4", "alpine 3.18"),
            ("pkg:apk/alpine/curl@7?distro=alpine-3.18.4", "alpine 3.18"),
            ("pkg:apk/wolfi/curl@7?distro=wolfi-20230201", "wolfi"),
            ("pkg:rpm/almalinux/curl@7?distro=almalinux-9.3", "alma 9"),
            ("pkg:rpm/alma/curl@7?distro=alma-9.3", "alma 9"),
            ("pkg:rpm/opensuse/curl@7?distro=opensuse-leap-15.5", "openSUSE Leap 15.5"),
            ("pkg:rpm/opensuse/curl@7?distro=opensuse-tumbleweed-20240101", "openSUSE Tumbleweed"),
            ("pkg:rpm/redhat/curl@7?distro=rhel-9.2", "Red Hat"),
            ("pkg:rpm/acme/curl@7?distro=acmeos-3", "acmeos 3"),
        ] {
            let mut packages = Packages::default();
            packages.take(Some(purl), "", "");
            let covered = packages.covered("x", &seen, Format::CycloneDxJson);
            assert_eq!(covered.ecosystems[0].ecosystem, expected, "{purl}");
        }
    }

    #[test]
    fn a_release_that_no_package_url_tells_is_that_of_the_system() {
        let seen = Seen(BTreeMap::from([("debian 12", CoverageState::Partial)]));
        let mut packages = Packages::default();
        packages.take(Some("pkg:deb/debian/curl@7"), "curl", "7");
        packages.take(None, "debian", "12.5");
        packages.take(None, "a file", "");
        packages.take(Some("pkg:oci/x@sha256%3Aabc"), "x", "");
        let covered = packages.covered("x", &seen, Format::CycloneDxJson);
        assert_eq!(covered.ecosystems[0].ecosystem, "debian 12");
        assert_eq!((covered.worst, covered.unnamed), (Some(CoverageState::Partial), 2));
        let mut alone = Packages::default();
        alone.take(Some("pkg:deb/debian/curl@7"), "curl", "7");
        let alone = alone.covered("x", &seen, Format::CycloneDxJson);
        assert_eq!(alone.ecosystems[0].ecosystem, "Debian");
    }

    #[test]
    fn what_no_scanner_comes_to_is_absent_whatever_the_database_has() {
        let seen = Seen(BTreeMap::from([
            ("debian 12", CoverageState::Full),
            ("npm", CoverageState::Full),
        ]));
        let covered = |has_system: bool, format: Format| {
            let mut packages = Packages::default();
            packages.take(Some("pkg:deb/debian/curl@7?distro=debian-12"), "curl", "7");
            packages.take(Some("pkg:npm/a@1"), "a", "1");
            if has_system {
                packages.take(None, "debian", "12.5");
            }
            let covered = packages.covered("x", &seen, format);
            let states = covered.ecosystems.iter().map(|ecosystem| ecosystem.state);
            (states.collect::<Vec<_>>(), covered.notes.len())
        };
        use CoverageState::{Absent, Full};
        for purl in [None, Some("pkg:oci/x@sha256%3Aabc")] {
            let mut unnamed = Packages::default();
            unnamed.take(purl, "lodash", "4.17.10");
            let unnamed = unnamed.covered("x", &seen, Format::CycloneDxJson);
            assert_eq!((unnamed.worst, unnamed.notes.len()), (Some(Absent), 1));
        }
        let empty = Packages::default().covered("x", &seen, Format::CycloneDxJson);
        assert_eq!((empty.worst, empty.notes.len()), (None, 0));
        assert_eq!(covered(true, Format::CycloneDxJson), (vec![Full, Full], 0));
        assert_eq!(covered(false, Format::SpdxJson), (vec![Absent, Full], 1));
        assert_eq!(covered(true, Format::CycloneDxXml), (vec![Absent, Absent], 1));
    }
}
