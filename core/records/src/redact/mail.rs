//! Mail addresses of persons.

use std::collections::BTreeSet;
use std::ops::Range;

/// Finds mail addresses, except those of roles and lists.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    kept: BTreeSet<String>,
    kept_domains: BTreeSet<String>,
}

/// Local parts that belong to a role, whatever the domain.
pub(super) const ROLES: &[&str] = &[
    "abuse",
    "admin",
    "announce",
    "bugs",
    "central",
    "cert",
    "cisaservicedesk",
    "contact",
    "csirt",
    "cve",
    "cve-assign",
    "cve-coordination",
    "cve-request",
    "cvd",
    "dev",
    "devel",
    "disclosure",
    "donotreply",
    "feedback",
    "git",
    "hello",
    "help",
    "helpdesk",
    "hg",
    "hostmaster",
    "info",
    "issues",
    "legal",
    "licensing",
    "maintainer",
    "maintainers",
    "no-reply",
    "noreply",
    "nvd",
    "office",
    "opensource",
    "packages",
    "postmaster",
    "press",
    "privacy",
    "product-cert",
    "product-security",
    "productcert",
    "productsecurity",
    "psirt",
    "report",
    "sales",
    "secalert",
    "secteam",
    "secure",
    "security",
    "security-advisories",
    "security-alert",
    "service",
    "servicedesk",
    "sirt",
    "soc",
    "support",
    "svn",
    "team",
    "techsupport",
    "tech.support",
    "users",
    "vendor",
    "vulnerability",
    "vulnerabilities",
    "vuln",
    "vulns",
    "webmaster",
];

/// Words that make a local part a role wherever they stand in it, as in `TechSupport.Hasselroth`.
pub(super) const ROLE_MARKS: &[&str] = &[
    "csirt",
    "helpdesk",
    "noreply",
    "psirt",
    "secalert",
    "security",
    "service",
    "support",
    "vulnerability",
];

/// Hosts of public mail archives: what looks like an address in their URLs is a message id or the
/// name of a list.
pub(super) const MAIL_ARCHIVES: &[&str] = &[
    "://archives.postgresql.org/",
    "://bugs.debian.org/",
    "://groups.google.com/",
    "://inbox.sourceware.org/",
    "://lists.",
    "://lore.kernel.org/",
    "://mail-archives.",
    "://marc.info/",
    "://patchwork.",
    "://public-inbox.org/",
    "://www.mail-archive.com/",
    "://www.postgresql.org/message-id/",
];

/// Words that make a local part a role when it begins or ends with them, set off by a hyphen, as in
/// `security-announce` and `pkg-systemd-maintainers`.
pub(super) const ROLE_WORDS: &[&str] = &[
    "announce",
    "bugs",
    "csirt",
    "devel",
    "discuss",
    "maint",
    "maintainers",
    "noreply",
    "psirt",
    "security",
    "subscribe",
    "support",
    "team",
    "unsubscribe",
    "users",
];

/// Domains below which every address is a list or a robot, or no address at all: the first labels
/// of list servers, hosts of message ids, and names of algorithms.
pub(super) const IMPERSONAL_DOMAINS: &[&str] = &[
    "bugs.debian.org",
    "googlegroups.com",
    "groups.io",
    "libssh.org",
    "mail.gmail.com",
    "openssh.com",
    "packages.debian.org",
    "tracker.debian.org",
    "users.noreply.github.com",
    "vger.kernel.org",
];

/// First labels of hosts that serve mailing lists.
pub(super) const LIST_LABELS: &[&str] = &["list", "lists", "listserv", "ml"];

/// Last labels that are no top-level domains but what files and units end with.
const NO_DOMAINS: &[&str] = &[
    "catalog", "conf", "css", "gif", "gz", "header", "html", "jar", "jpeg", "jpg", "js", "json",
    "mount", "path", "php", "plist", "png", "scope", "scss", "service", "slice", "socket", "svg",
    "swap", "tar", "target", "tgz", "timer", "ts", "txt", "webp", "whl", "xml", "yaml", "yml",
    "zip",
];

/// Two-label domains of digits that are mail hosts and no versions.
const DIGIT_DOMAINS: &[&str] = &["com", "net", "org", "cn"];

/// A local part is looked for in this many bytes before the sign; RFC 5321 allows 64.
const LOCAL_BYTES: usize = 128;

/// How far back the beginning of the URL around an address is looked for.
const TOKEN_BYTES: usize = 1024;

impl Mail {
    /// Keeps the addresses of `kept` and everything at `kept_domains` besides the standard roles.
    pub(super) fn new(kept: BTreeSet<String>, kept_domains: BTreeSet<String>) -> Mail {
        Mail { kept, kept_domains }
    }

    /// The first address of a person at or after `from`.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let bytes = text.as_bytes();
        let mut at = from;
        loop {
            let found = at + memchr::memchr2(b'@', b'%', &bytes[at..])?;
            let sign = match bytes[found] {
                b'@' => 1,
                _ if bytes[found..].starts_with(b"%40") => 3,
                _ => 0,
            };
            if sign > 0
                && let Some(span) = self.address(text, from, found, sign)
            {
                return Some(span);
            }
            at = found + sign.max(1);
        }
    }

    /// The address around the sign at `at`, if it is one and belongs to a person.
    fn address(&self, text: &str, from: usize, at: usize, sign: usize) -> Option<Range<usize>> {
        let end = at + sign + domain_length(&text[at + sign..])?;
        let start = local_start(text, from, at)?;
        let (local, domain) = (&text[start..at], &text[at + sign..end]);
        if is_version(domain) || is_kept_place(text, at) || self.is_kept(local, domain) {
            return None;
        }
        Some(start..end)
    }

    fn is_kept(&self, local: &str, domain: &str) -> bool {
        let (local, domain) = (local.to_lowercase(), domain.to_lowercase());
        let role = |word: &&str| {
            let rest = local.strip_prefix(*word).map(|rest| rest.starts_with('-'));
            let before = local.strip_suffix(*word).map(|rest| rest.ends_with('-'));
            rest == Some(true) || before == Some(true)
        };
        ROLES.contains(&local.as_str())
            || ROLE_MARKS.iter().any(|mark| local.contains(mark))
            || ROLE_WORDS.iter().any(role)
            || is_list_host(&domain)
            || IMPERSONAL_DOMAINS.iter().any(|kept| is_within(&domain, kept))
            || self.kept_domains.iter().any(|kept| is_within(&domain, kept))
            || self.kept.contains(&format!("{local}@{domain}"))
    }
}

/// Whether `host` is `domain` or a name below it.
pub(super) fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_list_host(domain: &str) -> bool {
    domain.split_once('.').is_some_and(|(first, _)| LIST_LABELS.contains(&first))
}

/// Length of the domain that `text` begins with.
fn domain_length(text: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    let run = text.find(|c| !part(c)).unwrap_or(text.len());
    let domain = text[..run].trim_end_matches(['.', '-']);
    let (name, last) = domain.rsplit_once('.')?;
    let top_level = last.chars().count() >= 2 && last.chars().next()?.is_alphabetic();
    let labels = name.split('.').all(|label| !label.is_empty() && !label.starts_with('-'));
    let file = NO_DOMAINS.contains(&last.to_ascii_lowercase().as_str());
    // Names of tests, such as `Fuzz@Properties.PropsValid`.
    let type_name = is_camel_case(last);
    (top_level && labels && !file && !type_name).then_some(domain.len())
}

fn is_camel_case(text: &str) -> bool {
    let humps = text
        .as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    text.starts_with(|c: char| c.is_ascii_uppercase()) && humps.count() > 0
}

/// Where the local part that ends at `at` begins.
fn local_start(text: &str, from: usize, at: usize) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
    let mut start = at;
    for (place, c) in text[from..at].char_indices().rev() {
        if !part(c) || at - (from + place) > LOCAL_BYTES {
            break;
        }
        start = from + place;
    }
    let bytes = text.as_bytes();
    let hex = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_hexdigit);
    if start > from && bytes[start - 1] == b'%' && hex(start) && hex(start + 1) {
        // The two digits belong to an escape, as in `%2F%40scope`.
        start = at.min(start + 2);
    }
    let local = text[start..at].trim_start_matches(['.', '-', '+']);
    (!local.is_empty() && !local.ends_with('.')).then(|| at - local.len())
}

/// Whether what follows the sign is a version, as in `openssl@3.0.7-18.el8`.
fn is_version(domain: &str) -> bool {
    let mut labels = domain.split('.');
    let first = labels.next().unwrap_or_default();
    let digits = first.strip_prefix(['v', 'V', 'r']).unwrap_or(first);
    let number = digits.split(['-', '_']).next().unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let rest: Vec<&str> = labels.collect();
    let mail_host = first.len() >= 3 && rest.len() == 1 && DIGIT_DOMAINS.contains(&rest[0]);
    !(mail_host && first == number)
}

/// Whether the place lies in a package URL, where the sign sets off the version, or in the URL of a
/// mail archive.
fn is_kept_place(text: &str, at: usize) -> bool {
    let mut start = at.saturating_sub(TOKEN_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let head = &text[start..at];
    let stop = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ',' | '(' | '[');
    let token = head.rfind(stop).map_or(head, |place| &head[place..]);
    // The qualifiers hold addresses of other places; their sign is no version.
    let purl = token.contains("pkg:") && !token.contains('?');
    purl || MAIL_ARCHIVES.iter().any(|archive| token.contains(archive))
}
