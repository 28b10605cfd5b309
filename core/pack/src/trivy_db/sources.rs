//! Data sources: who says what a row says, and who is believed first.

use std::borrow::Cow;

use stella_model::FeedName;

use super::ecosystems::Language;

/// The data source of a row, as the bucket `data-source` describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source<'t> {
    /// Trivy's id of it, or the name of the feed.
    pub(super) id: Cow<'t, str>,
    /// The name; the second half of the name of a bucket.
    pub(super) name: Cow<'t, str>,
    /// An address to read more at; may be empty.
    pub(super) url: Cow<'t, str>,
}

/// A database that is known by the ids of its records.
struct Database {
    prefix: &'static str,
    id: &'static str,
    name: &'static str,
    url: &'static str,
}

const GHSA: &str = "ghsa";

/// The databases in the order in which they are believed, unless the profile says otherwise.
const DATABASES: &[Database] = &[
    Database { prefix: "GHSA-", id: GHSA, name: "GitHub Security Advisory", url: "" },
    Database {
        prefix: "PYSEC-",
        id: "pypa",
        name: "Python Packaging Advisory Database",
        url: "https://github.com/pypa/advisory-database",
    },
    Database {
        prefix: "RUSTSEC-",
        id: "rustsec",
        name: "RustSec Advisory Database",
        url: "https://rustsec.org/",
    },
    Database {
        prefix: "CVE-",
        id: "k8s",
        name: "Official Kubernetes CVE Feed",
        url: "https://kubernetes.io/docs/reference/issues-security/official-cve-feed/index.json",
    },
    Database {
        prefix: "BIT-",
        id: "bitnami",
        name: "Bitnami Vulnerability Database",
        url: "https://github.com/bitnami/vulndb",
    },
    Database {
        prefix: "GO-",
        id: "govulndb",
        name: "The Go Vulnerability Database",
        url: "https://pkg.go.dev/vuln/",
    },
    Database {
        prefix: "JLSEC-",
        id: "julia",
        name: "Julia Ecosystem Security Advisories",
        url: "https://github.com/JuliaLang/SecurityAdvisories.jl",
    },
];

/// Who is believed first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precedence {
    /// Ids of sources, the most believed first. Those that are not named follow: the operator's own
    /// feeds, then distributions, then the public databases.
    pub first: Vec<String>,
}

impl Precedence {
    /// The place of a source: smaller is believed more.
    pub(crate) fn rank(&self, id: &str) -> u16 {
        /// More names than anybody writes.
        const NAMED: usize = 1 << 12;
        if let Some(place) = self.first.iter().take(NAMED).position(|named| named == id) {
            return place as u16;
        }
        let named = NAMED as u16;
        if let Some(place) = DATABASES.iter().position(|database| database.id == id) {
            return named + 2 + place as u16;
        }
        let distribution =
            super::ecosystems::DISTRIBUTIONS.iter().any(|known| known.source.0 == id);
        named + u16::from(distribution || id == "redhat")
    }
}

/// The source of a record about packages of a language: the database that gave it its id, else the
/// feed, which is the operator's own.
pub(super) fn of_record<'t>(
    language: &Language,
    record: &str,
    feed: &'t FeedName,
    publisher: Option<&'t str>,
) -> Source<'t> {
    let known = DATABASES.iter().find(|database| {
        // A CVE id alone does not tell who wrote the record: for Kubernetes it does.
        record.starts_with(database.prefix) && (database.id != "k8s" || language.prefix == "k8s")
    });
    match known {
        Some(database) if database.id == GHSA => github(language),
        Some(database) => {
            Source { id: database.id.into(), name: database.name.into(), url: database.url.into() }
        }
        None => Source {
            id: feed.as_str().into(),
            name: publisher.unwrap_or(feed.as_str()).into(),
            url: "".into(),
        },
    }
}

fn github(language: &Language) -> Source<'static> {
    let ecosystem = language.github.to_lowercase();
    Source {
        id: GHSA.into(),
        name: format!("GitHub Security Advisory {}", language.github).into(),
        url: format!("https://github.com/advisories?query=type%3Areviewed+ecosystem%3A{ecosystem}")
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trivy_db::ecosystems::LANGUAGES;

    fn source(osv: &str, record: &str) -> (String, String) {
        let language = LANGUAGES.iter().find(|language| language.osv == osv).expect("a language");
        let feed = FeedName::new("acme-own").expect("a feed name");
        let found = of_record(language, record, &feed, Some("ACME Inc."));
        (found.id.into_owned(), found.name.into_owned())
    }

    #[test]
    fn records_are_of_the_database_that_named_them_else_of_their_feed() {
        for (osv, record, id, name) in [
            ("npm", "GHSA-jf85-cpcp-j695", "ghsa", "GitHub Security Advisory npm"),
            ("crates.io", "GHSA-x", "ghsa", "GitHub Security Advisory Rust"),
            ("PyPI", "PYSEC-2020-1", "pypa", "Python Packaging Advisory Database"),
            ("Go", "GO-2021-0356", "govulndb", "The Go Vulnerability Database"),
            ("Kubernetes", "CVE-2020-1", "k8s", "Official Kubernetes CVE Feed"),
            ("npm", "CVE-2020-1", "acme-own", "ACME Inc."),
            ("npm", "ACME-1", "acme-own", "ACME Inc."),
        ] {
            assert_eq!(source(osv, record), (id.to_owned(), name.to_owned()), "{osv} {record}");
        }
    }

    #[test]
    fn the_operators_own_feeds_come_first_unless_the_profile_says_otherwise() {
        let usual = Precedence::default();
        let order = ["acme-own", "alma", "ghsa", "pypa", "rustsec", "bitnami", "govulndb"];
        assert!(order.windows(2).all(|pair| usual.rank(pair[0]) < usual.rank(pair[1])));
        let other = Precedence { first: vec!["govulndb".into(), "acme-own".into()] };
        assert!(other.rank("govulndb") < other.rank("acme-own"));
        assert!(other.rank("acme-own") < other.rank("ghsa"));
    }
}
