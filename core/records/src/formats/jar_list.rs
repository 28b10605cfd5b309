//! Jar lists: JSON lines, each a jar with its SHA-1 and its Maven coordinates.
//!
//! The form of lists that operators make of the jars of a repository. A line is a record, so that a
//! list of millions is never read at once and one more jar changes one record.

use std::borrow::Cow;
use std::fmt::Write as _;

use stella_model::json::Value;
use stella_model::{Kind, Limits};

use super::{identity_text, record_id, required_text};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::Rejection;
use crate::revision::{Revision, RevisionOrder};
use crate::view::Sha1;

pub(crate) fn is(root: Value<'_>) -> bool {
    root.get("sha1").is_some() && root.get("artifactID").is_some()
}

/// The id is the purl of the coordinates with the SHA-1 as its checksum: jars of one version lie
/// side by side.
pub(crate) fn identify(root: Value<'_>, limits: &Limits) -> Result<Identity, Rejection> {
    let sha1 = required_text(root, &["sha1"])?;
    let sha1 = Sha1::parse(&sha1)
        .ok_or_else(|| Rejection::no_identity("sha1 is not 40 hexadecimal digits"))?;
    let mut id = coordinates(
        identity_text(root, &["groupID"])?.as_deref(),
        &required_text(root, &["artifactID"])?,
        identity_text(root, &["version"])?.as_deref(),
    );
    let _ = write!(id, "?checksum=sha1:{sha1}");
    Ok(Identity {
        kind: Kind::sbom(),
        id: record_id(&id, limits)?,
        revision: Revision::new(RevisionOrder::TimeFirst, None, None),
        format: Format::JarList,
    })
}

/// The jar as a package URL, with its classifier and its type where they are not the usual ones.
pub(crate) fn purl(root: Value<'_>) -> Option<String> {
    let text = |name| root.str_at(&[name]).filter(|text| !text.is_empty());
    let (artifact, version) = (text("artifactID")?, text("version"));
    let mut purl = coordinates(text("groupID").as_deref(), &artifact, version.as_deref());
    let by_name = || classifier_of_file(&text("file")?, &artifact, version.as_deref()?);
    let classifier = text("classifier").map(Cow::into_owned).or_else(by_name);
    let packaging = text("archiveType").filter(|packaging| packaging != "jar");
    let qualifiers = [("classifier", classifier.as_deref()), ("type", packaging.as_deref())];
    let told = qualifiers.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for ((name, value), before) in told.zip(["?", "&"]) {
        let _ = write!(purl, "{before}{name}=");
        encode(&mut purl, value);
    }
    Some(purl)
}

/// What stands between version and extension in `ARTIFACT-VERSION-CLASSIFIER.jar`.
fn classifier_of_file(file: &str, artifact: &str, version: &str) -> Option<String> {
    let stem = file.rsplit('/').next()?.strip_suffix(".jar")?;
    let rest = stem.strip_prefix(artifact)?.strip_prefix('-')?.strip_prefix(version)?;
    rest.strip_prefix('-').filter(|rest| !rest.is_empty()).map(str::to_owned)
}

fn coordinates(group: Option<&str>, artifact: &str, version: Option<&str>) -> String {
    let mut purl = "pkg:maven/".to_owned();
    if let Some(group) = group {
        encode(&mut purl, group);
        purl.push('/');
    }
    encode(&mut purl, artifact);
    if let Some(version) = version {
        purl.push('@');
        encode(&mut purl, version);
    }
    purl
}

/// Appends a text, percent-encoded but for the unreserved characters of RFC 3986.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}
