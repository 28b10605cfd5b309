//! A VEX repository of Trivy ([specification 0.1](https://github.com/aquasecurity/vex-repo-spec)): its
//! archive, its index and the documents in it.
//!
//! Trivy looks a package up in the index and believes whatever document it comes to; where it comes to
//! none, it says nothing. So every entry must lead to a document about its package, and to every
//! document leads one.

mod document;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use stella_manifest::{OutputEntry, PartEntry};
use stella_model::Digest;
use stella_records::purl::unescaped;

use super::archive::{Fault, Member, TarGz};
use super::{Context, Problems, in_full};
use crate::report::{Check, Problem};

/// The adapter that makes it.
pub(super) const ADAPTER: &str = "trivy:vex";

const ARCHIVE: &str = "trivy/vex/vex-repository.tar.gz";
const MANIFEST: &str = "trivy/vex/vex-repository.json";
const SETTINGS: &str = "trivy/vex/repository.yaml";

/// The files of a bundle that belong to it, besides its report.
pub(super) const FILES: [&str; 3] = [ARCHIVE, MANIFEST, SETTINGS];

const MEDIA_TYPES: [(&str, &str); 3] =
    [(ARCHIVE, "application/gzip"), (MANIFEST, "application/json"), (SETTINGS, "application/yaml")];

/// The version of the specification; Trivy looks for exactly this text.
const SPEC_VERSION: &str = "0.1";

/// The manifest in the archive, and the index.
const MANIFEST_FILE: &str = "vex-repository.json";
const INDEX_FILE: &str = "index.json";

/// Most documents that are remembered until the index tells what they are for, 40 bytes each.
const DOCUMENTS: usize = 4 << 20;

/// Checks the repository; what to tell if all is well.
pub(super) fn check(
    context: &Context<'_>,
    output: &OutputEntry,
    problems: &mut Problems,
) -> String {
    let mut add = |file: &str, problem: Problem| problems.add(Check::ScannerVex, problem.of(file));
    for (file, media_type) in MEDIA_TYPES {
        match context.part(file) {
            None => add(file, Problem::new("the manifest does not list it")),
            Some(part) if part.media_type != media_type => {
                let problem = Problem::new("another media type");
                add(file, problem.expected(media_type, &part.media_type));
            }
            Some(_) => {}
        }
    }
    let Some(archive) = context.part(ARCHIVE) else { return String::new() };
    let mut look = Look { context, problems, documents: Vec::new(), entries: 0 };
    let Some(name) = look.settings() else { return String::new() };
    match look.archive(archive, &name) {
        Ok(()) => {}
        Err(fault) => {
            if let Some(problem) = fault.problem() {
                look.add(ARCHIVE, problem);
            }
            return String::new();
        }
    }
    look.counts(output);
    format!(
        "{} documents, {} entries of the index lead to them",
        look.documents.len(),
        look.entries
    )
}

/// `vex-repository.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    #[serde(rename = "description")]
    _description: String,
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    spec_version: String,
    locations: Vec<Location>,
    update_interval: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Location {
    url: String,
}

/// A document, as far as the index tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Document {
    /// Of its name.
    location: [u8; 16],
    /// Of the package that it is about; nothing if it does not tell by package URLs alone.
    package: Option<[u8; 16]>,
    is_csaf: bool,
    /// Whether the index leads to it.
    listed: bool,
}

/// Reads JSON; the cell has the bytes that may be read before it is set again.
type Reader<'r, T> = &'r mut dyn FnMut(&mut dyn Read, &Cell<u64>) -> Result<T, String>;

/// The look at one repository.
struct Look<'l, 'a> {
    context: &'l Context<'a>,
    problems: &'l mut Problems,
    /// In the order of the archive, later in that of their places.
    documents: Vec<Document>,
    entries: u64,
}

impl Look<'_, '_> {
    fn add(&mut self, file: &str, problem: Problem) {
        self.problems.add(Check::ScannerVex, problem.of(file));
    }

    fn fail(&mut self, file: &str, message: impl AsRef<str>) {
        self.add(file, Problem::new(message));
    }

    fn stops(&self) -> bool {
        self.problems.full() || (self.context.stop)()
    }

    /// Reads the small files; the name of the repository, if they agree on it.
    fn settings(&mut self) -> Option<String> {
        let bytes = self.small(MANIFEST)?;
        let manifest: Manifest = match serde_json::from_slice(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.fail(MANIFEST, format!("it is no manifest of a repository: {error}"));
                return None;
            }
        };
        let name = manifest.name;
        if !is_folder(&name) {
            self.fail(MANIFEST, format!("the name {name:?} is no name of a folder"));
            return None;
        }
        let [version] = &manifest.versions[..] else {
            let problem = Problem::new("it has another number of versions");
            self.add(MANIFEST, problem.expected(1, manifest.versions.len()));
            return None;
        };
        if version.spec_version != SPEC_VERSION {
            let problem = Problem::new("Trivy does not know the version of the specification");
            self.add(MANIFEST, problem.expected(SPEC_VERSION, &version.spec_version));
        }
        if !is_interval(&version.update_interval) {
            let problem = Problem::new("update_interval is no span of time that Trivy reads");
            self.add(MANIFEST, problem.expected("24h", &version.update_interval));
        }
        let [location] = &version.locations[..] else {
            let problem = Problem::new("it has another number of locations");
            self.add(MANIFEST, problem.expected(1, version.locations.len()));
            return None;
        };
        let tail = format!("/vex-repository.tar.gz//{name}/{SPEC_VERSION}");
        let Some(address) = location.url.strip_suffix(&tail).filter(|url| is_address(url)) else {
            let problem = Problem::new("its location does not lead into the archive");
            self.add(MANIFEST, problem.expected(format!("https://…{tail}"), &location.url));
            return None;
        };
        let settings = self.small(SETTINGS)?;
        let expected =
            format!("repositories:\n  - name: {name}\n    url: {address}\n    enabled: true\n");
        if settings != expected.as_bytes() {
            let problem = Problem::new("it tells of another repository");
            self.add(SETTINGS, problem.expected(expected, String::from_utf8_lossy(&settings)));
        }
        Some(name)
    }

    fn small(&mut self, file: &str) -> Option<Vec<u8>> {
        match self.context.small(file) {
            Ok(bytes) => Some(bytes),
            // That it is not listed was told.
            Err(_) if self.context.part(file).is_none() => None,
            Err(message) => {
                self.fail(file, message);
                None
            }
        }
    }

    fn archive(&mut self, part: &PartEntry, name: &str) -> Result<(), Fault> {
        let mut archive = TarGz::open(self.context, part)?;
        let first = format!("{name}/{MANIFEST_FILE}");
        match archive.next()? {
            Some(member) if member.name.as_str() == first => {
                self.manifest(&mut archive, &member)?;
            }
            other => {
                let found = other.map_or_else(|| "nothing".to_owned(), |m| m.name.to_string());
                // Without it Trivy deletes the folder.
                let problem = Problem::new("the archive does not begin with the manifest");
                return Err(Fault::Bad(problem.expected(first, found)));
            }
        }
        let folder = format!("{name}/{SPEC_VERSION}/");
        let mut has_index = false;
        while let Some(member) = archive.next()? {
            if self.stops() {
                return Err(Fault::Stopped);
            }
            let Some(location) = member.name.as_str().strip_prefix(&folder) else {
                let problem = Problem::new("a member of the archive lies elsewhere");
                return Err(Fault::Bad(problem.expected(&folder, &member.name)));
            };
            if has_index {
                let problem = Problem::new("a member follows the index");
                return Err(Fault::Bad(problem.expected("nothing", &member.name)));
            }
            if location == INDEX_FILE {
                has_index = true;
                self.index(&mut archive, &member)?;
            } else {
                self.document(&mut archive, &member, location)?;
            }
        }
        if !has_index {
            return Err(Fault::Bad(Problem::new("the archive has no index.json")));
        }
        archive.finish()
    }

    /// Demands that the manifest in the archive is the one beside it.
    fn manifest(&mut self, archive: &mut TarGz<'_>, member: &Member) -> Result<(), Fault> {
        let beside = self.small(MANIFEST).unwrap_or_default();
        if member.size != beside.len() as u64 {
            return Err(Fault::Bad(Problem::new("the archive has another vex-repository.json")));
        }
        let mut within = Vec::new();
        archive.copy(self.context, member.size, &mut within)?;
        if within != beside {
            self.fail(ARCHIVE, "the archive has another vex-repository.json");
        }
        Ok(())
    }

    fn document(
        &mut self,
        archive: &mut TarGz<'_>,
        member: &Member,
        location: &str,
    ) -> Result<(), Fault> {
        let file = member.name.as_str().to_owned();
        if self.documents.len() == DOCUMENTS {
            return Err(Fault::Bad(Problem::new(format!("more than {DOCUMENTS} documents"))));
        }
        let (as_of, most) = (self.context.manifest.as_of, self.context.limits.document_bytes);
        let read = self.json(archive, member, &mut |json, left| {
            document::read(json, as_of, &|| left.set(most))
        })?;
        let (package, is_csaf) = match read {
            Ok(document::Told { package, is_csaf }) => (package, is_csaf),
            Err(error) => {
                self.fail(&file, format!("it is no document of VEX that Trivy reads: {error}"));
                (None, false)
            }
        };
        let package = package.map(|package| short(&package));
        let location = short(location);
        self.documents.push(Document { location, package, is_csaf, listed: false });
        Ok(())
    }

    /// Reads a member as JSON, whatever of it is left unread.
    fn json<T>(
        &mut self,
        archive: &mut TarGz<'_>,
        member: &Member,
        read: Reader<'_, T>,
    ) -> Result<Result<T, String>, Fault> {
        let left = Cell::new(self.context.limits.document_bytes);
        let mut content = archive.content().take(member.size);
        let mut json =
            Meter { inner: BufReader::with_capacity(64 << 10, &mut content), left: &left };
        let outcome = read(&mut json, &left);
        // What breaks off here breaks the archive as well.
        io::copy(&mut content, &mut io::sink())?;
        if content.limit() > 0 {
            return Err(Fault::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        archive.pad(member.size)?;
        Ok(outcome)
    }

    fn index(&mut self, archive: &mut TarGz<'_>, member: &Member) -> Result<(), Fault> {
        let file = member.name.as_str().to_owned();
        self.documents.sort_unstable();
        if self.documents.windows(2).any(|pair| pair[0].location == pair[1].location) {
            self.fail(ARCHIVE, "a document is there twice");
        }
        let (as_of, most) =
            (self.context.manifest.as_of.to_string(), self.context.limits.document_bytes);
        let mut documents = std::mem::take(&mut self.documents);
        let mut wrong = Vec::new();
        let outcome = self.json(archive, member, &mut |json, left| {
            let mut last = String::new();
            let mut entry = |entry: Entry| {
                left.set(most);
                if let Some(problem) = entry.problem(&last, &mut documents)
                    && wrong.len() < crate::report::PROBLEMS_KEPT
                {
                    wrong.push(problem);
                }
                last = entry.id;
            };
            let seed = Index { updated_at: &as_of, entry: &mut entry };
            let mut json = serde_json::Deserializer::from_reader(json);
            let read = seed.deserialize(&mut json).and_then(|count| json.end().map(|()| count));
            read.map_err(|error| in_full(&error))
        })?;
        self.documents = documents;
        wrong.into_iter().for_each(|problem| self.add(&file, problem));
        match outcome {
            Ok(entries) => self.entries = entries,
            Err(error) => self.fail(&file, format!("it is no index of a repository: {error}")),
        }
        let unlisted = self.documents.iter().filter(|document| !document.listed).count();
        if unlisted > 0 {
            let problem = Problem::new("the index does not lead to all documents");
            self.add(&file, problem.expected("all", format!("{unlisted} without an entry")));
        }
        Ok(())
    }

    fn counts(&mut self, output: &OutputEntry) {
        let found = BTreeMap::from([("packages".to_owned(), self.documents.len() as u64)]);
        if output.keys != found {
            let tell = |keys: &BTreeMap<String, u64>| {
                let pairs: Vec<String> = keys.iter().map(|(k, v)| format!("{k} {v}")).collect();
                pairs.join(", ")
            };
            let problem = Problem::new("the manifest tells another number of packages");
            self.add(ARCHIVE, problem.expected(tell(&output.keys), tell(&found)));
        }
    }
}

/// One entry of the index.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    format: Option<String>,
    id: String,
    location: String,
}

impl Entry {
    /// What is wrong with it.
    fn problem(&self, last: &str, documents: &mut [Document]) -> Option<Problem> {
        let Entry { format, id, location } = self;
        if id.as_str() <= last {
            return Some(Problem::new(format!("{id} does not come after the entry before it")));
        }
        let Some(package) = package_of(id).filter(|_| is_package(id)) else {
            return Some(Problem::new(format!(
                "{id} is no package URL without version, qualifiers and subpath"
            )));
        };
        let place = short(location);
        let found = documents.binary_search_by(|document| document.location.cmp(&place));
        let Some(document) = found.ok().and_then(|at| documents.get_mut(at)) else {
            return Some(Problem::new(format!("{id} leads to {location}, which is not there")));
        };
        document.listed = true;
        let told = if document.is_csaf { "csaf" } else { "openvex" };
        let format = format.as_deref().unwrap_or("openvex");
        if format != told {
            let problem = Problem::new(format!("{id} has a document of another format"));
            return Some(problem.expected(format, told));
        }
        match document.package.is_none_or(|about| about == short(&package)) {
            true => None,
            false => Some(Problem::new(format!("{id} leads to a document about another package"))),
        }
    }
}

/// Reads `index.json` an entry at a time; their number.
struct Index<'i> {
    updated_at: &'i str,
    entry: &'i mut dyn FnMut(Entry),
}

impl<'de> DeserializeSeed<'de> for Index<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Index<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with packages and updated_at")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
        let (mut count, mut updated_at) = (None, None::<String>);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "packages" if count.is_none() => {
                    count = Some(members.next_value_seed(Entries(self.entry))?);
                }
                "updated_at" if updated_at.is_none() => updated_at = Some(members.next_value()?),
                _ => {
                    return Err(A::Error::custom(format_args!(
                        "unknown or second member {name:?}"
                    )));
                }
            }
        }
        match updated_at {
            Some(time) if time == self.updated_at => {}
            Some(time) => {
                let told = format_args!("updated_at is {time}, not {}", self.updated_at);
                return Err(A::Error::custom(told));
            }
            None => return Err(A::Error::missing_field("updated_at")),
        }
        count.ok_or_else(|| A::Error::missing_field("packages"))
    }
}

struct Entries<'i>(&'i mut dyn FnMut(Entry));

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while let Some(entry) = entries.next_element()? {
            (self.0)(entry);
            count += 1;
        }
        Ok(count)
    }
}

/// Lets no more bytes through than are left, which whoever reads sets again: memory is bounded by
/// what is read in one piece.
struct Meter<'m, R> {
    inner: R,
    left: &'m Cell<u64>,
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("a part of it is larger than any document"));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let read = self.inner.read(&mut out[..most])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

/// The first bytes of a digest, which tell texts apart.
fn short(text: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..16]);
    short
}

/// Types whose namespaces Trivy compares without their case, be it in some versions only. All others keep
/// it: `pkg:maven/Org.X/Y` and `pkg:maven/org.x/y` are two packages.
const NAMESPACES_WITHOUT_CASE: [&str; 10] =
    ["alpm", "apk", "bitbucket", "composer", "deb", "github", "golang", "npm", "qpkg", "rpm"];

/// The same of names.
const NAMES_WITHOUT_CASE: [&str; 10] =
    ["alpm", "apk", "bitbucket", "bitnami", "composer", "deb", "github", "golang", "npm", "pypi"];

/// The package that a package URL is about, in one spelling for all that Trivy may look it up by; `None` if
/// it is no package URL. Images are told apart by their repository.
fn package_of(purl: &str) -> Option<String> {
    let body = purl.strip_prefix("pkg:")?;
    let body = body.split('#').next()?;
    let (path, query) = body.split_once('?').unwrap_or((body, ""));
    let path = match path.rfind('@') {
        Some(at) if !path[at..].contains('/') => &path[..at],
        _ => path,
    };
    let (kind, name) = path.split_once('/')?;
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    if kind.is_empty() || name.ends_with('/') || name.is_empty() || !kind.bytes().all(is_word) {
        return None;
    }
    let kind = kind.to_ascii_lowercase();
    let (namespace, name) = name.rsplit_once('/').unwrap_or(("", name));
    let spelt = |without_case: &[&str], text: &str| -> Option<String> {
        let text = unescaped(text)?;
        Some(match without_case.contains(&kind.as_str()) {
            true => text.to_lowercase(),
            false => text.into_owned(),
        })
    };
    let (namespace, mut name) =
        (spelt(&NAMESPACES_WITHOUT_CASE, namespace)?, spelt(&NAMES_WITHOUT_CASE, name)?);
    if kind == "pypi" {
        name = name.replace('_', "-");
    }
    let parts = [kind.as_str(), &namespace, &name];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut package = parts.join("/");
    let repository = query.split('&').find_map(|pair| pair.strip_prefix("repository_url="));
    if let Some(repository) = repository.filter(|_| kind == "oci") {
        package.push('?');
        package.push_str(&unescaped(repository)?);
    }
    Some(package)
}

/// Whether a package URL is one of the index: nothing but the package.
fn is_package(purl: &str) -> bool {
    let (path, query) = purl.split_once('?').unwrap_or((purl, ""));
    let bare = !path.contains(['@', '#']) && !purl.contains('#');
    let image = path.starts_with("pkg:oci/") && query.starts_with("repository_url=");
    bare && (!purl.contains('?') || (image && !query.contains('&')))
}

fn is_folder(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(plain)
}

fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty()) && url.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether Go reads a text as a span of hours or minutes.
fn is_interval(text: &str) -> bool {
    let number = text.strip_suffix('h').or_else(|| text.strip_suffix('m'));
    number.is_some_and(|n| (1..=6).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_meet_in_one_spelling() {
        for (purl, package) in [
            ("pkg:npm/JSONStream@1", Some("npm/jsonstream")),
            ("pkg:npm/%40angular/core@1?x=y", Some("npm/@angular/core")),
            ("pkg:npm/@angular/core", Some("npm/@angular/core")),
            ("pkg:oci/x@sha256%3Aab?arch=a&repository_url=h%3A5%2Fx", Some("oci/x?h:5/x")),
            ("pkg:oci/x?repository_url=h:5%2Fx", Some("oci/x?h:5/x")),
            ("pkg:golang/a/b@v1#c", Some("golang/a/b")),
            ("pkg:golang/github.com/Azure/X@v1", Some("golang/github.com/azure/x")),
            ("pkg:PyPI/My_Pkg@1", Some("pypi/my-pkg")),
            ("pkg:composer/Vendor/Name", Some("composer/vendor/name")),
            ("pkg:rpm/SUSE/MozillaFirefox", Some("rpm/suse/MozillaFirefox")),
            ("pkg:deb/debian/libstdc%2B%2B6@1", Some("deb/debian/libstdc++6")),
            // Their case tells packages apart.
            ("pkg:maven/Org.X/Y@1", Some("maven/Org.X/Y")),
            ("pkg:maven/org.x/y@1", Some("maven/org.x/y")),
            ("pkg:nuget/Newtonsoft.Json@1", Some("nuget/Newtonsoft.Json")),
            ("pkg:gem/RedCloth", Some("gem/RedCloth")),
            ("pkg:oci/x?repository_url=h/X", Some("oci/x?h/X")),
            ("npm/a", None),
            ("pkg:npm", None),
            ("pkg:npm/", None),
            ("pkg:/a", None),
            ("pkg:npm/%zz", None),
        ] {
            assert_eq!(package_of(purl).as_deref(), package, "{purl}");
        }
    }

    #[test]
    fn the_index_is_about_packages_alone() {
        for purl in ["pkg:npm/%40a/b", "pkg:oci/x?repository_url=h%2Fx"] {
            assert!(is_package(purl), "{purl}");
        }
        for purl in ["pkg:npm/a@1", "pkg:npm/a?x=y", "pkg:npm/a#b", "pkg:oci/x?arch=a"] {
            assert!(!is_package(purl), "{purl}");
        }
    }

    #[test]
    fn what_is_read_in_one_piece_is_bounded() {
        let left = Cell::new(3);
        let mut meter = Meter { inner: &b"abcdef"[..], left: &left };
        let mut bytes = [0; 2];
        assert_eq!((meter.read(&mut bytes).ok(), meter.read(&mut bytes).ok()), (Some(2), Some(1)));
        assert!(meter.read(&mut bytes).is_err());
        left.set(9);
        assert_eq!(meter.read(&mut bytes).ok(), Some(2));
    }
}
