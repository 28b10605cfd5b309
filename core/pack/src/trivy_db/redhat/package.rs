//! From a product of Red Hat's tree to the package that Trivy looks for.

use std::borrow::Cow;

use stella_records::purl::unescaped;
use stella_records::view::Products;
use stella_versions::Scheme;

use super::super::ranges::is_modular;
use super::super::report::Reason;
use super::super::row::usable_key;
use super::content_sets::is_enterprise_linux;

/// An RPM package in a product.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'d> {
    /// The key of its rows: `module:stream::name` if it is modular, else the name.
    pub(super) key: String,
    /// Its name.
    pub(super) name: String,
    /// Its version as told.
    pub(super) version: String,
    /// Its version with the epoch, if it is one.
    pub(super) fixed: Option<String>,
    /// Its architecture; empty for all.
    pub(super) arch: String,
    /// The product that it is in.
    pub(super) cpe: &'d str,
    /// Whether it is a source package, which no system has installed.
    pub(super) source: bool,
    /// Whether it is modular, and the module is not told.
    pub(super) module_missing: bool,
}

/// Longest name of a product that is taken.
const LONGEST_CPE: usize = 512;

/// The package of a product. Debug information and debug sources are left out without a reason, as
/// no vulnerability is about them.
pub(super) fn part<'d>(
    products: &'d Products<'_>,
    number: usize,
) -> Result<Part<'d>, Option<Reason>> {
    let component = products.component(number).ok_or(None)?;
    let wholes = || products.wholes(number).filter_map(|whole| products.get(whole));
    let cpe = wholes()
        .find_map(|whole| whole.cpe.as_deref())
        .filter(|cpe| cpe.len() <= LONGEST_CPE && !cpe.contains('\0'));
    let rpm = match component.purl.as_deref() {
        Some(purl) => Rpm::of_purl(purl).map_err(Some)?,
        None if cpe.is_some_and(is_enterprise_linux) => {
            Rpm::of_name(&component.id).ok_or(Some(Reason::NotAnRpm))?
        }
        // Java libraries and images are named like this.
        None => return Err(Some(Reason::NotAnRpm)),
    };
    if is_debug(&rpm.name) {
        return Err(None);
    }
    let cpe = cpe.ok_or(Some(Reason::ProductWithoutCpe))?;
    let module = rpm
        .module
        .clone()
        .or_else(|| products.wholes(number).find_map(|whole| module_of(products, whole)))
        .or_else(|| stream(products.get(number)?.id.rsplit_once("::")?.1));
    let evr = match rpm.epoch.as_str() {
        "" | "0" => rpm.version.clone(),
        epoch => format!("{epoch}:{}", rpm.version),
    };
    let key = match &module {
        Some(module) => format!("{module}::{}", rpm.name),
        None => rpm.name.clone(),
    };
    usable_key(Cow::Borrowed(&key)).ok_or(Some(Reason::NoPackage))?;
    Ok(Part {
        key,
        fixed: Scheme::Rpm.parse(&evr).is_ok().then_some(evr),
        arch: if rpm.arch == "noarch" { String::new() } else { rpm.arch.clone() },
        cpe,
        source: matches!(rpm.arch.as_str(), "src" | "nosrc"),
        module_missing: module.is_none() && is_modular(&rpm.version),
        name: rpm.name,
        version: rpm.version,
    })
}

/// The module that a whole is, if it is one.
fn module_of(products: &Products<'_>, whole: usize) -> Option<String> {
    let purl = products.component(whole)?.purl.as_deref()?;
    let (name, rest) = purl.strip_prefix("pkg:rpmmod/redhat/")?.split_once('@')?;
    let version = rest.split(['?', '#']).next()?;
    stream(&format!("{}:{}", unescaped(name)?, unescaped(version)?))
}

/// `module:stream` of `module:stream:version:context`.
fn stream(text: &str) -> Option<String> {
    let mut parts = text.split(':');
    let (module, stream) = (parts.next()?, parts.next()?);
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
    };
    (word(module) && word(stream)).then(|| format!("{module}:{stream}"))
}

fn is_debug(name: &str) -> bool {
    name.ends_with("-debuginfo")
        || name.ends_with("-debugsource")
        || name.contains("-debuginfo-common")
}

/// An RPM package as a document names it; what is not told is empty.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rpm {
    name: String,
    version: String,
    arch: String,
    epoch: String,
    module: Option<String>,
}

impl Rpm {
    fn of_purl(purl: &str) -> Result<Rpm, Reason> {
        let body = purl.trim().strip_prefix("pkg:rpm/").ok_or(Reason::NotAnRpm)?;
        let body = body.split('#').next().unwrap_or_default();
        let (path, qualifiers) = body.split_once('?').unwrap_or((body, ""));
        let text = |text: &str| match unescaped(text) {
            Some(text) => Ok(text.into_owned()),
            None => Err(Reason::PurlNotValid),
        };
        let last = path.rsplit('/').next().unwrap_or_default();
        let (name, version) = last.split_once('@').unwrap_or((last, ""));
        let mut rpm = Rpm { name: text(name)?, version: text(version)?, ..Rpm::default() };
        for (key, value) in qualifiers.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "arch" => rpm.arch = text(value)?,
                "epoch" => rpm.epoch = text(value)?,
                "rpmmod" => rpm.module = stream(&text(value)?),
                _ => {}
            }
        }
        if is_name(&rpm.name) { Ok(rpm) } else { Err(Reason::NotAnRpm) }
    }

    /// A component of RHEL that is told by its name alone: `name`, or `module:stream/name`.
    fn of_name(id: &str) -> Option<Rpm> {
        let (module, name) = match id.split_once('/') {
            Some((module, name)) => (Some(stream(module)?), name),
            None => (None, id),
        };
        is_name(name).then(|| Rpm { name: name.to_owned(), module, ..Rpm::default() })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpm(name: &str, version: &str, arch: &str, epoch: &str, module: &str) -> Option<Rpm> {
        let text = str::to_owned;
        Some(Rpm {
            name: text(name),
            version: text(version),
            arch: text(arch),
            epoch: text(epoch),
            module: (!module.is_empty()).then(|| text(module)),
        })
    }

    #[test]
    fn purls_of_red_hat_are_read() {
        for (purl, expected) in [
            (
                "pkg:rpm/redhat/a@1-2.el9?arch=x86_64&epoch=3",
                rpm("a", "1-2.el9", "x86_64", "3", ""),
            ),
            ("pkg:rpm/redhat/vim-X11", rpm("vim-X11", "", "", "", "")),
            ("pkg:rpm/redhat/vim?arch=src", rpm("vim", "", "src", "", "")),
            (
                "pkg:rpm/redhat/nodejs@18-1.module%2Bel8?arch=s390x&rpmmod=nodejs%3A18:8:a7",
                rpm("nodejs", "18-1.module+el8", "s390x", "", "nodejs:18"),
            ),
            ("pkg:rpm/redhat/libstdc%2B%2B@1", rpm("libstdc++", "1", "", "", "")),
        ] {
            assert_eq!(Rpm::of_purl(purl).ok(), expected, "{purl}");
        }
    }

    #[test]
    fn purls_that_name_no_package_have_their_reasons() {
        for (purl, expected) in [
            ("pkg:rpm/redhat/a%zz@1", Reason::PurlNotValid),
            ("pkg:rpm/redhat/a@1%", Reason::PurlNotValid),
            ("pkg:rpm/redhat/a@1%+f", Reason::PurlNotValid),
            ("pkg:rpm/redhat/a@%ff", Reason::PurlNotValid),
            ("pkg:rpm/redhat/a@1?arch=%4", Reason::PurlNotValid),
            ("pkg:rpm/redhat/a@1?rpmmod=a%3", Reason::PurlNotValid),
            ("pkg:rpm/redhat/", Reason::NotAnRpm),
            ("pkg:oci/x%zz@sha256:0?arch=amd64", Reason::NotAnRpm),
            ("", Reason::NotAnRpm),
        ] {
            assert_eq!(Rpm::of_purl(purl), Err(expected), "{purl}");
        }
    }

    #[test]
    fn names_of_rhel_are_packages_or_modules_with_packages() {
        assert_eq!(Rpm::of_name("log4j"), rpm("log4j", "", "", "", ""));
        assert_eq!(Rpm::of_name("log4j:2/log4j"), rpm("log4j", "", "", "", "log4j:2"));
        assert_eq!(Rpm::of_name("rhel8/nodejs-18"), None);
        assert_eq!(Rpm::of_name(""), None);
    }

    #[test]
    fn debug_packages_are_told_from_packages_for_debugging() {
        for (name, expected) in [
            ("kernel-debuginfo", true),
            ("kernel-debuginfo-common-x86_64", true),
            ("podman-debugsource", true),
            ("kernel-debug", false),
            ("kernel-debug-devel", false),
        ] {
            assert_eq!(is_debug(name), expected, "{name}");
        }
    }
}
