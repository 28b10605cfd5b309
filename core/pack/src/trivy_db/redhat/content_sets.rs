//! Content sets: by which products of Red Hat a scanner takes the packages of a system to be.
//!
//! Red Hat publishes the mapping apart from its advisories. Here it follows from the names, which
//! are regular for the products below; the CPEs of others have no content set, and the report says
//! so.

use std::collections::{BTreeMap, BTreeSet};

/// A content set that Trivy takes for granted on a system without build information, and the
/// product that is in it in any case. Where none of a release is known, Trivy refuses to scan such
/// a system at all.
pub(in super::super) const DEFAULT_CONTENT_SETS: &[(&str, &str)] = &[
    ("rhel-6-server-extras-rpms", "cpe:/a:redhat:rhel_extras:6"),
    ("rhel-6-server-rpms", "cpe:/o:redhat:enterprise_linux:6::server"),
    ("rhel-7-server-extras-rpms", "cpe:/a:redhat:rhel_extras:7"),
    ("rhel-7-server-rpms", "cpe:/o:redhat:enterprise_linux:7::server"),
    ("rhel-8-for-x86_64-appstream-rpms", "cpe:/a:redhat:enterprise_linux:8::appstream"),
    ("rhel-8-for-x86_64-baseos-rpms", "cpe:/o:redhat:enterprise_linux:8::baseos"),
    ("rhel-9-for-x86_64-appstream-rpms", "cpe:/a:redhat:enterprise_linux:9::appstream"),
    ("rhel-9-for-x86_64-baseos-rpms", "cpe:/o:redhat:enterprise_linux:9::baseos"),
];

/// Architectures that content sets are named by, from RHEL 8 on.
const ARCHES: [&str; 4] = ["aarch64", "ppc64le", "s390x", "x86_64"];

/// Repositories that are named `rhel-9-for-x86_64-NAME-rpms`: as in a CPE, as in a content set.
const REPOSITORIES: &[(&str, &str)] = &[
    ("appstream", "appstream"),
    ("baseos", "baseos"),
    ("highavailability", "highavailability"),
    ("nfv", "nfv"),
    ("realtime", "rt"),
    ("resilientstorage", "resilientstorage"),
    ("supplementary", "supplementary"),
];

/// A CPE in the URI form that Red Hat writes.
struct Cpe<'a> {
    product: &'a str,
    version: &'a str,
    edition: &'a str,
}

fn parse(cpe: &str) -> Option<Cpe<'_>> {
    let mut parts = cpe.strip_prefix("cpe:/")?.split(':');
    let (_kind, vendor) = (parts.next()?, parts.next()?);
    let (product, version) = (parts.next()?, parts.next().unwrap_or_default());
    let edition = parts.nth(1).unwrap_or_default();
    (vendor == "redhat").then_some(Cpe { product, version, edition })
}

/// The part before the first dot, if it is a number.
fn major(version: &str) -> Option<u32> {
    let major = version.split('.').next()?;
    if major.len() > 2 || !major.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    major.parse().ok()
}

/// Whether it is RHEL itself, all of whose components are RPM packages.
pub(super) fn is_enterprise_linux(cpe: &str) -> bool {
    parse(cpe).is_some_and(|cpe| cpe.product == "enterprise_linux")
}

/// The content sets that a product is in; none if it is not known.
pub(super) fn of_cpe(cpe: &str) -> Vec<String> {
    let Some(cpe) = parse(cpe) else { return Vec::new() };
    let for_arches = |name: &dyn Fn(&str) -> String| ARCHES.iter().map(|arch| name(arch)).collect();
    match (cpe.product, major(cpe.version)) {
        ("enterprise_linux", Some(major @ 6..=7)) => {
            // Red Hat leaves the edition out where all are meant.
            let edition = if cpe.edition.is_empty() { "server" } else { cpe.edition };
            match edition {
                "server" | "client" | "workstation" => vec![format!("rhel-{major}-{edition}-rpms")],
                _ => Vec::new(),
            }
        }
        ("rhel_extras" | "rhel_extras_other", Some(major @ 6..=7)) => {
            vec![format!("rhel-{major}-server-extras-rpms")]
        }
        ("enterprise_linux", Some(major @ 8..)) => match cpe.edition {
            "crb" => for_arches(&|arch| format!("codeready-builder-for-rhel-{major}-{arch}-rpms")),
            // Without the repository the whole release is meant.
            edition => REPOSITORIES
                .iter()
                .filter(|(name, _)| match edition {
                    "" => matches!(*name, "appstream" | "baseos"),
                    _ => *name == edition,
                })
                .flat_map(|(_, set)| {
                    ARCHES.map(|arch| format!("rhel-{major}-for-{arch}-{set}-rpms"))
                })
                .collect(),
        },
        ("openshift", Some(_)) => {
            let version = cpe.version;
            match cpe.edition.strip_prefix("el").and_then(major) {
                Some(rhel) => {
                    for_arches(&|arch| format!("rhocp-{version}-for-rhel-{rhel}-{arch}-rpms"))
                }
                None => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// The sorted list of all products, those that the default content sets need included, and the
/// products by content set as indices into it.
pub(in super::super) fn table(
    told: BTreeSet<String>,
) -> (Vec<String>, BTreeMap<String, Vec<usize>>) {
    let mut cpes = told;
    // Nothing in the database need be about these products: then their indices match no row, which
    // is right, and Trivy still finds an index.
    cpes.extend(DEFAULT_CONTENT_SETS.iter().map(|(_, cpe)| (*cpe).to_owned()));
    let cpes: Vec<String> = cpes.into_iter().collect();
    let mut sets: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, cpe) in cpes.iter().enumerate() {
        for set in of_cpe(cpe) {
            sets.entry(set).or_default().push(index);
        }
    }
    (cpes, sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_in_the_content_sets_of_their_release() {
        for (cpe, expected) in [
            ("cpe:/o:redhat:enterprise_linux:9::baseos", "rhel-9-for-x86_64-baseos-rpms"),
            ("cpe:/a:redhat:enterprise_linux:8::appstream", "rhel-8-for-x86_64-appstream-rpms"),
            ("cpe:/a:redhat:enterprise_linux:9::crb", "codeready-builder-for-rhel-9-x86_64-rpms"),
            ("cpe:/a:redhat:enterprise_linux:9::realtime", "rhel-9-for-x86_64-rt-rpms"),
            ("cpe:/o:redhat:enterprise_linux:9", "rhel-9-for-x86_64-baseos-rpms"),
            ("cpe:/o:redhat:enterprise_linux:10.0", "rhel-10-for-x86_64-baseos-rpms"),
            ("cpe:/o:redhat:enterprise_linux:7::server", "rhel-7-server-rpms"),
            ("cpe:/o:redhat:enterprise_linux:6", "rhel-6-server-rpms"),
            ("cpe:/a:redhat:rhel_extras_other:7", "rhel-7-server-extras-rpms"),
            ("cpe:/a:redhat:openshift:4.15::el9", "rhocp-4.15-for-rhel-9-x86_64-rpms"),
        ] {
            assert!(of_cpe(cpe).iter().any(|set| set == expected), "{cpe}: {:?}", of_cpe(cpe));
        }
    }

    #[test]
    fn extended_support_and_other_products_are_not_plain_rhel() {
        for cpe in [
            "cpe:/o:redhat:rhel_eus:9.4::baseos",
            "cpe:/a:redhat:enterprise_linux:9::unheard_of",
            "cpe:/a:redhat:quarkus:3.2::el8",
            "cpe:/a:redhat:openshift:3.11",
            "cpe:/o:redhat:enterprise_linux",
            "cpe:/o:redhat:enterprise_linux:999999999999",
            "cpe:/o:other:enterprise_linux:9::baseos",
            "cpe:2.3:o:redhat:enterprise_linux:9",
            "cpe:/",
            "",
        ] {
            assert_eq!(of_cpe(cpe), Vec::<String>::new(), "{cpe}");
        }
    }

    #[test]
    fn default_content_sets_always_have_an_index_and_share_none_with_another_release() {
        let told = ["cpe:/o:redhat:enterprise_linux:9", "cpe:/o:redhat:rhel_eus:9.4::baseos"];
        let (cpes, sets) = table(told.iter().map(|cpe| (*cpe).to_owned()).collect());
        assert!(cpes.is_sorted());
        for (set, cpe) in DEFAULT_CONTENT_SETS {
            let names: Vec<&str> = sets[*set].iter().map(|index| cpes[*index].as_str()).collect();
            assert!(names.contains(cpe), "{set}: {names:?}");
            assert_eq!(names.contains(&told[0]), set.starts_with("rhel-9"), "{set}");
            assert!(!names.contains(&told[1]), "{set}");
            assert!(sets[*set].is_sorted());
        }
    }
}
