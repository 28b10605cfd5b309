//! Which ecosystems and distributions a scanner sees with a database, and which it is blind for.

use super::Contents;
use super::ecosystems::{DISTRIBUTIONS, LANGUAGES, NOT_MAPPED};
use super::redhat::BUCKET;

/// What a scanner sees of an ecosystem or distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All that the selected records say.
    Full,
    /// Some of it; the report says what not and why.
    Partial,
    /// Nothing.
    Absent,
}

impl Coverage {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Coverage::Full => "full",
            Coverage::Partial => "partial",
            Coverage::Absent => "absent",
        }
    }
}

/// The coverage of every language as OSV names it, of Red Hat, of every release of a distribution
/// that any record speaks of, as Trivy names it, of every distribution of which no release is
/// spoken of, and of those that are spoken of and not mapped.
#[must_use]
pub fn coverage(contents: &Contents) -> Vec<(String, Coverage)> {
    let mut names: Vec<String> = LANGUAGES.iter().map(|language| language.osv.to_owned()).collect();
    names.push(BUCKET.to_owned());
    let told = || contents.tally.rows.keys().chain(contents.tally.gaps.keys());
    for distribution in DISTRIBUTIONS {
        let releases: Vec<&String> =
            told().filter(|name| distribution.release.is_bucket(name, distribution.osv)).collect();
        match releases.is_empty() {
            true => names.push(distribution.osv.to_owned()),
            false => names.extend(releases.into_iter().cloned()),
        }
    }
    names.extend(told().filter(|name| NOT_MAPPED.contains(&name.as_str())).cloned());
    names.sort_unstable();
    names.dedup();
    let state = |name: String| {
        let coverage = contents.coverage(&name);
        (name, coverage)
    };
    names.into_iter().map(state).collect()
}

impl Contents {
    fn coverage(&self, name: &str) -> Coverage {
        let count =
            |map: &std::collections::BTreeMap<String, u64>| map.get(name).copied().unwrap_or(0);
        match (count(&self.tally.rows), count(&self.tally.gaps)) {
            (0, _) => Coverage::Absent,
            (_, 0) => Coverage::Full,
            _ => Coverage::Partial,
        }
    }

    /// Whether records speak of an ecosystem or release, and none of it could be said.
    ///
    /// Under the name of a distribution alone stand the releases that are not known: SUSE has many
    /// products that no scanner knows. They are lost if no release has a row. What is not mapped is told
    /// as absent: a run over everything that OSV has does not fail for it.
    #[must_use]
    pub fn is_lost(&self, name: &str) -> bool {
        let distribution = DISTRIBUTIONS.iter().find(|known| known.osv == name);
        let is_told = |row: &String| match distribution {
            Some(known) => known.release.is_bucket(row, known.osv),
            None => row == name,
        };
        self.tally.gaps.contains_key(name)
            && !NOT_MAPPED.contains(&name)
            && !self.tally.rows.keys().any(is_told)
    }
}
