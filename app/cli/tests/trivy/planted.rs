//! The table of planted packages.

use std::fs;

use super::data;
use super::sbom::System;

/// One row: a package that must be found, and one that must not.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    /// Nothing for packages of languages.
    pub(crate) system: Option<System>,
    /// Package URLs.
    pub(crate) vulnerable: String,
    pub(crate) unaffected: Option<String>,
    /// Under which the vulnerable one is found.
    pub(crate) id: String,
    /// The oldest Trivy that finds it, if not all do.
    pub(crate) since: Option<String>,
    /// The source package of a binary one.
    pub(crate) source: Option<String>,
}

/// All rows.
pub(crate) fn planted() -> Vec<Planted> {
    let table = fs::read_to_string(data().join("planted.tsv")).expect("the table");
    let rows = table.lines().skip(1).filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [system, vulnerable, unaffected, id, since, source] = fields[..] else {
            panic!("six columns: {line:?}");
        };
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Planted {
            system: System::read(system),
            vulnerable: vulnerable.to_owned(),
            unaffected: filled(unaffected),
            id: id.to_owned(),
            since: filled(since),
            source: filled(source),
        }
    })
    .collect()
}

/// The rows by system, each once, that of the languages first.
pub(crate) fn systems() -> Vec<(Option<System>, Vec<Planted>)> {
    let mut groups: Vec<(Option<System>, Vec<Planted>)> = Vec::new();
    for row in planted() {
        match groups.iter_mut().find(|(system, _)| *system == row.system) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((row.system.clone(), vec![row])),
        }
    }
    groups
}
