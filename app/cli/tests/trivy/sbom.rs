//! CycloneDX SBOMs as a site would have them.

use serde_json::{Value, json};

use super::Planted;

/// An operating system as Trivy names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl System {
    /// Reads `NAME VERSION`; nothing from `-`.
    pub(crate) fn read(text: &str) -> Option<System> {
        let (name, version) = text.split_once(' ')?;
        Some(System { name: name.to_owned(), version: version.to_owned() })
    }
}

/// The SBOM of a system, or of languages, with all packages of these rows. The vulnerable package of
/// row N is the component `vulnerable-N`, the other one `unaffected-N`.
pub(crate) fn sbom(system: Option<&System>, rows: &[Planted]) -> Value {
    let mut components = Vec::new();
    if let Some(System { name, version }) = system {
        let kind = "operating-system";
        components.push(json!({"bom-ref": "os", "type": kind, "name": name, "version": version}));
    }
    for (number, row) in rows.iter().enumerate() {
        let source = row.source.as_deref();
        components.push(component(&format!("vulnerable-{number}"), &row.vulnerable, source));
        if let Some(purl) = &row.unaffected {
            components.push(component(&format!("unaffected-{number}"), purl, source));
        }
    }
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"bom-ref": "site", "type": "container", "name": "site"}},
        "components": components,
    })
}

fn component(reference: &str, purl: &str, source: Option<&str>) -> Value {
    let (group, name, version) = parts(purl);
    let mut component = json!({
        "bom-ref": reference,
        "type": "library",
        "name": name,
        "version": version,
        "purl": purl,
    });
    if let Some(group) = group {
        component["group"] = json!(group);
    }
    if let Some(source) = source {
        component["properties"] = json!([{"name": "aquasecurity:trivy:SrcName", "value": source}]);
    }
    component
}

/// Group, name and version of a package URL as the tools of its ecosystem write them.
fn parts(purl: &str) -> (Option<String>, String, String) {
    let path = purl.split('?').next().unwrap_or(purl);
    let path = path.strip_prefix("pkg:").expect("a package URL");
    let (path, version) = path.rsplit_once('@').expect("a version");
    let (kind, path) = path.split_once('/').expect("a name");
    let decoded: Vec<String> = path.split('/').map(decode).collect();
    let (name, group) = decoded.split_last().expect("a name");
    let version = decode(version);
    match kind {
        // The name of a module is its path.
        "golang" | "swift" => (None, decoded.join("/"), version),
        "deb" | "apk" | "rpm" => (None, name.clone(), version),
        _ => ((!group.is_empty()).then(|| group.join("/")), name.clone(), version),
    }
}

fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = u8::from_str_radix(&part[..2], 16).expect("two digits");
        decoded.push(char::from(code));
        decoded.push_str(&part[2..]);
    }
    decoded
}
