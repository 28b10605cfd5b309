//! Addresses that mean something only inside a network: private URLs and hosts, credentials in
//! URLs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use regex::Regex;

use super::mail::is_within;

/// Finds URLs by where they lead.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    /// Domains of the operator that are internal though nothing about their names says so.
    internal: BTreeSet<String>,
    /// Matches the internal domains.
    domains: Option<Regex>,
    /// Hosts that are kept whatever their names say.
    kept: BTreeSet<String>,
}

/// What of a URL must not leave.
enum Found {
    /// All of it.
    Url(Range<usize>),
    /// User name and password.
    Credentials(Range<usize>),
}

/// Suffixes of host names that no public name server answers for.
pub(super) const PRIVATE_SUFFIXES: &[&str] = &[
    "corp",
    "home",
    "home.arpa",
    "internal",
    "intra",
    "intranet",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
];

/// Schemes whose authority is a network host.
const NETWORK_SCHEMES: &[&str] = &[
    "amqp",
    "amqps",
    "cifs",
    "ftp",
    "ftps",
    "git",
    "hg",
    "http",
    "https",
    "imap",
    "imaps",
    "kafka",
    "ldap",
    "ldaps",
    "mariadb",
    "mongodb",
    "mqtt",
    "mysql",
    "nats",
    "nfs",
    "oci",
    "pop3",
    "postgres",
    "postgresql",
    "rdp",
    "redis",
    "rediss",
    "rsync",
    "sftp",
    "smb",
    "smtp",
    "smtps",
    "ssh",
    "svn",
    "tcp",
    "telnet",
    "udp",
    "vnc",
    "ws",
    "wss",
];

/// Longest host name by RFC 1035.
const HOST_BYTES: usize = 255;

/// A scheme is looked for in this many bytes before `://`.
const SCHEME_BYTES: usize = 32;

impl Addresses {
    /// # Errors
    /// If the internal domains together are too much for one search.
    pub(super) fn new(
        internal: BTreeSet<String>,
        kept: BTreeSet<String>,
    ) -> Result<Addresses, regex::Error> {
        let names: Vec<String> = internal.iter().map(|domain| regex::escape(domain)).collect();
        let domains = match names.is_empty() {
            true => None,
            false => Some(Regex::new(&format!("(?i:{})", names.join("|")))?),
        };
        Ok(Addresses { internal, domains, kept })
    }

    /// Whether there are internal domains, which are looked for outside of URLs too.
    pub(super) fn has_domains(&self) -> bool {
        self.domains.is_some()
    }

    /// The first host of an internal domain at or after `from`, with its port and path.
    pub(super) fn find_host(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let mut at = from;
        loop {
            let found = self.domains.as_ref()?.find_at(text, at)?;
            at = found.end();
            let mut least = from.max(found.start().saturating_sub(HOST_BYTES));
            while !text.is_char_boundary(least) {
                least += 1;
            }
            let head = text[least..found.start()].trim_end_matches(part);
            let start = least + head.len();
            let ends = !text[found.end()..].starts_with(|c: char| c.is_ascii_alphanumeric());
            let begins = start == found.start() || text[..found.start()].ends_with('.');
            // What follows the sign of a kept mailbox is kept with it.
            let kept = |host: &String| is_within(&text[start..found.end()], host);
            if !begins || !ends || head.ends_with('@') || self.kept.iter().any(kept) {
                continue;
            }
            let port = |c: char| c.is_ascii_digit() || c == ':';
            let rest = text[found.end()..].trim_start_matches(port);
            let path = if rest.starts_with('/') { url_length(rest) } else { 0 };
            return Some(start..text.len() - rest.len() + path);
        }
    }

    /// The first URL at or after `from` that leads into a network.
    pub(super) fn find_internal(&self, text: &str, from: usize) -> Option<Range<usize>> {
        self.find(text, from, |found| match found {
            Found::Url(span) => Some(span),
            Found::Credentials(_) => None,
        })
    }

    /// The first user name and password in a URL at or after `from`.
    pub(super) fn find_credentials(&self, text: &str, from: usize) -> Option<Range<usize>> {
        self.find(text, from, |found| match found {
            Found::Url(_) => None,
            Found::Credentials(span) => Some(span),
        })
    }

    fn find<T>(&self, text: &str, from: usize, wanted: fn(Found) -> Option<T>) -> Option<T> {
        let mut at = from;
        loop {
            let place = at + memchr::memmem::find(&text.as_bytes()[at..], b"://")?;
            if let Some(found) = self.url(text, from, place).and_then(wanted) {
                return Some(found);
            }
            at = place + 3;
        }
    }

    fn url(&self, text: &str, from: usize, place: usize) -> Option<Found> {
        let scheme = scheme(&text[from..place])?;
        let start = place - scheme.len();
        let rest = &text[place + 3..];
        // Asked for only where it decides something: many URLs in one run must not cost more than
        // one look at the run.
        let end = || place + 3 + url_length(rest);
        let scheme = scheme.to_ascii_lowercase();
        let transport = scheme.rsplit('+').next().unwrap_or(&scheme);
        if transport == "file" {
            // The bare `file://` of a sentence leads nowhere.
            let stop = |c: char| ends_url(c) || is_mark(c);
            let path = rest.trim_start_matches('/').chars().next().filter(|c| !stop(*c));
            return path.map(|_| Found::Url(start..end()));
        }
        let authority = &rest[..authority_length(rest)];
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let network = matches!(transport, "https" | "http") || NETWORK_SCHEMES.contains(&transport);
        if network && self.is_internal(host) {
            return Some(Found::Url(start..end()));
        }
        let user = user.filter(|user| is_secret_user(user))?;
        Some(Found::Credentials(place + 3..place + 3 + user.len()))
    }

    /// Whether a host, with or without a port, means something only inside a network.
    pub(super) fn is_internal(&self, host: &str) -> bool {
        if let Some(inside) = host.strip_prefix('[') {
            let address = inside.split(']').next().unwrap_or_default();
            return address.parse::<Ipv6Addr>().is_ok_and(is_private_v6);
        }
        let host = host.split(':').next().unwrap_or_default().trim_end_matches('.');
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return !self.kept.contains(host) && is_private_v4(address);
        }
        let within = |names: &BTreeSet<String>| {
            !names.is_empty() && {
                let host = host.to_ascii_lowercase();
                names.iter().any(|name| is_within(&host, name))
            }
        };
        !within(&self.kept) && (within(&self.internal) || is_private_name(host))
    }

    /// The first percent-encoded URL at or after `from` that must not leave, such as those in the
    /// qualifiers of package URLs.
    pub(super) fn find_encoded(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let mut at = from;
        loop {
            let place = at + memchr::memmem::find(&text.as_bytes()[at..], b"%2")?;
            at = place + 2;
            let after = &text.as_bytes()[place..text.len().min(place + 6)];
            if !after.eq_ignore_ascii_case(b"%2f%2f") {
                continue;
            }
            let Some(start) = encoded_start(&text[from..place]) else { continue };
            let start = from + start;
            let stop =
                |c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '<' | '>' | ',');
            let end = place + text[place..].find(stop).unwrap_or(text.len() - place);
            if self.find(&decode(&text[start..end]), 0, Some).is_some() {
                return Some(start..end);
            }
            // All URLs up to here were looked at together.
            at = end;
        }
    }
}

/// Whether no public name server answers for a name.
fn is_private_name(host: &str) -> bool {
    let name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    if !host.bytes().all(name) || !host.bytes().any(|b| b.is_ascii_alphabetic()) {
        return false;
    }
    match host.rsplit_once('.') {
        Some((before, "arpa")) => is_within(before, "home"),
        Some((_, last)) => PRIVATE_SUFFIXES.iter().any(|suffix| suffix.eq_ignore_ascii_case(last)),
        // `https://https://` is a slip of the pen and no host.
        None => !NETWORK_SCHEMES.contains(&host.to_ascii_lowercase().as_str()),
    }
}

/// A password, or a user name that is long enough to be a token.
fn is_secret_user(user: &str) -> bool {
    let placeholder = |text: &str| text.contains(['{', '$', '<', '*']);
    match user.split_once(':') {
        Some((_, password)) => !password.is_empty() && !placeholder(password),
        None => user.len() >= 20 && !user.contains('.') && !placeholder(user),
    }
}

fn is_scheme_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')
}

fn scheme(before: &str) -> Option<&str> {
    let run = before.bytes().rev().take(SCHEME_BYTES).take_while(|b| is_scheme_byte(*b)).count();
    let scheme =
        before[before.len() - run..].trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    (!scheme.is_empty()).then_some(scheme)
}

fn url_length(rest: &str) -> usize {
    let run = &rest[..rest.find(ends_url).unwrap_or(rest.len())];
    run.trim_end_matches(is_mark).len()
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '`' | '\\')
}

/// Marks that belong to the sentence around a URL when it ends with them.
fn is_mark(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '\'' | '*' | '_')
}

fn authority_length(rest: &str) -> usize {
    let stop = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '/' | '?' | '#' | '\\' | '"' | '\'' | '<' | '>' | '(' | ')' | '`')
            || matches!(c, ',' | ';' | '|' | '^')
    };
    let run = &rest[..rest.find(stop).unwrap_or(rest.len())];
    run.trim_end_matches(['.', ':', '*', '}', '!']).len()
}

/// Where the scheme of an encoded URL begins: `https:` or `https%3A` before the slashes.
fn encoded_start(before: &str) -> Option<usize> {
    let colon = before.strip_suffix(':').or_else(|| {
        let (head, tail) = before.split_at_checked(before.len().checked_sub(3)?)?;
        tail.eq_ignore_ascii_case("%3a").then_some(head)
    })?;
    let run = colon.bytes().rev().take(SCHEME_BYTES).take_while(|b| is_scheme_byte(*b)).count();
    let mut start = colon.len() - run;
    // The escaped plus of `git%2Bhttps` does not belong to the scheme that is looked at.
    let digits = colon[start..].bytes().take(2).filter(u8::is_ascii_hexdigit).count();
    if colon[..start].ends_with('%') && digits == 2 {
        start += 2;
    }
    (start < colon.len()).then_some(start)
}

/// Decodes the percent escapes of ASCII characters.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.filter(u8::is_ascii_graphic) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[2..];
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    // 100.64.0.0/10 is shared address space (RFC 6598).
    let shared = a == 100 && (64..128).contains(&b);
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || shared
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    let unique_local = first & 0xfe00 == 0xfc00;
    let link_local = first & 0xffc0 == 0xfe80;
    let mapped = address.to_ipv4_mapped().is_some_and(is_private_v4);
    address.is_loopback() || address.is_unspecified() || unique_local || link_local || mapped
}
