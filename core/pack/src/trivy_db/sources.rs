//! Data sources: who says what a row says, and who is believed first.

use std::borrow::Cow;
use std::collections::BTreeSet;

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
    /// Ids of sources and names of feeds, the most believed first. Those that are not named follow:
    /// the operator's own feeds, then distributions, then the public databases.
    pub first: Vec<String>,
}

/// Most names of a profile that count: more than anybody writes.
const NAMED: u16 = 1 << 12;

impl Precedence {
    /// The place of what a feed carries of a source: smaller is believed more.
    pub(crate) fn rank(&self, source: &str, feed: &str) -> u16 {
        self.named(source, feed).unwrap_or_else(|| match Origin::of(source) {
            Origin::Own => NAMED,
            Origin::Distribution => NAMED + 1,
            Origin::Database(place) => NAMED + 2 + place,
        })
    }

    /// How far title and description are from being about one of so many vulnerabilities: smaller
    /// is nearer. An advisory of a distribution is about a package of its own, and often about many
    /// vulnerabilities at once; one of a database is about one.
    pub(super) fn distance(&self, source: &str, feed: &str, vulnerabilities: usize) -> u8 {
        match (self.named(source, feed), Origin::of(source)) {
            (Some(_), _) | (None, Origin::Own) => 0,
            (None, Origin::Database(_)) => 1,
            (None, Origin::Distribution) => 2 + u8::from(vulnerabilities > 1),
        }
    }

    fn named(&self, source: &str, feed: &str) -> Option<u16> {
        let is_meant = |named: &String| named == source || named == feed;
        let names = self.first.iter().take(usize::from(NAMED));
        names.zip(0..).find_map(|(named, place)| is_meant(named).then_some(place))
    }
}

/// Where a source is from.
enum Origin {
    /// The operator's own feed.
    Own,
    Distribution,
    /// A public database, by its place among [`DATABASES`].
    Database(u16),
}

impl Origin {
    fn of(source: &str) -> Origin {
        let database = DATABASES.iter().zip(0..).find(|(database, _)| database.id == source);
        match database {
            Some((_, place)) => Origin::Database(place),
            None if distributions().any(|id| id == source) => Origin::Distribution,
            None => Origin::Own,
        }
    }
}

fn distributions() -> impl Iterator<Item = &'static str> {
    let told = super::ecosystems::DISTRIBUTIONS.iter().map(|distribution| distribution.source.0);
    told.chain([super::redhat::DETAIL_SOURCE])
}

/// The ids of all sources that are no feed of the operator, sorted: what a profile may name beside
/// feeds.
#[must_use]
pub fn source_ids() -> BTreeSet<&'static str> {
    DATABASES.iter().map(|database| database.id).chain(distributions()).collect()
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

    /// Whether the sources are believed in this order, each from a feed of another name.
    fn is_order(sources: &[&str], rank: impl Fn(&str) -> u16) -> bool {
        sources.windows(2).all(|pair| rank(pair[0]) < rank(pair[1]))
    }

    #[test]
    fn the_operators_own_feeds_come_first_unless_the_profile_says_otherwise() {
        let usual = Precedence::default();
        let order = ["acme-own", "alma", "ghsa", "pypa", "rustsec", "bitnami", "govulndb"];
        assert!(is_order(&order, |source| usual.rank(source, "x")));
        let other = Precedence { first: vec!["govulndb".into(), "acme-own".into()] };
        assert!(is_order(&["govulndb", "acme-own", "ghsa"], |source| other.rank(source, "x")));
    }

    #[test]
    fn a_feed_may_be_named_in_place_of_its_sources() {
        let own = Precedence { first: vec!["daily".into()] };
        assert!(own.rank("govulndb", "daily") < own.rank("acme-own", "acme-own"));
        assert_eq!(own.rank("govulndb", "daily"), own.rank("ghsa", "daily"));
    }

    #[test]
    fn titles_of_databases_say_more_than_those_of_errata() {
        let usual = Precedence::default();
        let of = |source, vulnerabilities| usual.distance(source, "x", vulnerabilities);
        assert!(of("acme-own", 9) < of("ghsa", 9) && of("ghsa", 9) < of("alma", 1));
        assert!(of("alma", 1) < of("alma", 2));
        let other = Precedence { first: vec!["alma".into()] };
        assert!(other.distance("alma", "x", 9) < other.distance("ghsa", "x", 1));
    }

    #[test]
    fn a_profile_can_name_databases_distributions_and_red_hat() {
        let ids = source_ids();
        assert!(DATABASES.iter().all(|database| ids.contains(database.id)));
        assert!(distributions().all(|id| ids.contains(id)) && ids.contains("redhat"));
    }
}
