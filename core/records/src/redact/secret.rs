//! Secrets by their form: tokens, keys, headers, assignments.

use regex::Regex;

/// A rule that is a regular expression. Its first group is what is redacted, or else all of it.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) id: String,
    pub(super) regex: Regex,
    /// Looks at what was found and at the text after it; `false` lets it stay.
    check: fn(&str, &str) -> bool,
}

/// Texts of which at least one lies wherever a pattern of [`standard`] or a home folder can.
///
/// They must not look at what is around them (no `\b`): what is redacted next to a text makes a
/// boundary where there was none.
pub(super) const TRIGGERS: &str = concat!(
    r"(?-u)AKIA|ASIA|ABIA|ACCA|gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-",
    r"|xox[abeoprs]-|xapp-|hooks\.slack\.com|npm_|pypi-AgE|eyJ|AIza|_live_|sk-[A-Za-z0-9_-]{16}|dckr_pat_",
    r"|hvs\.|SG\.[A-Za-z0-9_-]{16}|_v1_|rubygems_|AGE-SECRET-KEY|PRIVATE KEY|(?i:authorization|bearer[ \t])",
    r#"|(?i:password|passwd|pwd|passphrase|secret|token|key)["'\\]{0,3}[ \t]{0,3}[=:]"#,
    r"|/home/|Users[/\\]|Documents and Settings|(?i:%2f%2f)",
    r"|(?i:\.(?:corp|internal|intranet|intra|lan|local|localdomain|home\.arpa)):[0-9]",
    r"|(?:10|192\.168|172\.(?:1[6-9]|2[0-9]|3[01]))\.[0-9.]{3,11}:[0-9]",
);

/// The standard patterns with the rule ids that they count under, in the order they are applied.
pub(super) const STANDARD: &[(&str, &str)] = &[
    (
        "private-key",
        concat!(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
            r"(?:(?:[A-Za-z0-9+/=\s\\:,.]|-[A-Za-z0-9])*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
            r"|[\s\\]*[A-Za-z0-9+/=\s\\]{40,})",
        ),
    ),
    ("token", r"(?-u:\b)(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?-u:\b)"),
    ("token", r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{36,255})"),
    ("token", r"(?-u:\b)gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[A-Za-z0-9_.=-]{20,255}"),
    ("token", r"(?-u:\b)(?:xox[abeoprs]-[A-Za-z0-9-]{10,255}|xapp-[0-9]-[A-Za-z0-9-]{10,255})"),
    ("token", r"(?-u:\b)hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]{20,255})"),
    ("token", r"(?-u:\b)(?:npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50,}|rubygems_[a-f0-9]{48})"),
    ("token", r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    (
        "token",
        concat!(
            r"(?-u:\b)(?:AIza[A-Za-z0-9_-]{35}|(?:sk|rk)_live_[A-Za-z0-9]{20,255}",
            r"|dckr_pat_[A-Za-z0-9_-]{20,255}|hvs\.[A-Za-z0-9_-]{24,255}",
            r"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}|do[opr]_v1_[a-f0-9]{64}",
            r"|AGE-SECRET-KEY-1[A-Z0-9]{58})",
        ),
    ),
    ("token", r"(?-u:\b)sk-((?:[a-z0-9]{2,8}-)?[A-Za-z0-9_-]{32,255})"),
    (
        "authorization",
        concat!(
            r#"(?i-u:authorization)["']?[ \t]{0,4}[:=][ \t]{0,4}["']?"#,
            r"(?i-u:(?:bearer|basic|token|digest|negotiate)[ \t]{1,4})([A-Za-z0-9._~+/=-]{8,})",
        ),
    ),
    ("authorization", r"(?i-u:\bbearer)[ \t]{1,4}([A-Za-z0-9._~+/=-]{20,})"),
    (
        "secret",
        concat!(
            r#"(?i-u:(?:password|passwd|passphrase|pwd|secret|token|(?:api|access|secret|private"#,
            r#"|account|auth)[_-]?key))["']?[ \t]{0,3}[=:][ \t]{0,3}["']([^"']{4,200})["']"#,
        ),
    ),
    (
        "secret",
        concat!(
            r"(?i-u:(?:password|passwd|passphrase|pwd|secret|token|(?:api|access|secret|private",
            r"|account|auth)[_-]?key))(?:[ \t]{0,3}=[ \t]{0,3}|:[ \t]{1,3})",
            r#"([^\s"'<>&;,(){}\[\]$%*\\`|]{6,200})"#,
        ),
    ),
    (
        "internal-url",
        concat!(
            r#"(?:^|[\s(\[=,;'">])((?:[A-Za-z0-9_-]+\.)+"#,
            r"(?i-u:corp|internal|intranet|intra|lan|local|localdomain|home\.arpa):[0-9]{2,5}",
            r#"(?:/[^\s"<>`\\]*)?)"#,
        ),
    ),
    (
        "internal-url",
        concat!(
            r#"(?:^|[\s(\[=,;'">])((?:10\.[0-9]{1,3}|192\.168|172\.(?:1[6-9]|2[0-9]|3[01]))"#,
            r#"\.[0-9]{1,3}\.[0-9]{1,3}:[0-9]{2,5}(?:/[^\s"<>`\\]*)?)"#,
        ),
    ),
];

/// [`TRIGGERS`], compiled.
pub(super) fn triggers() -> regex::bytes::Regex {
    regex::bytes::Regex::new(TRIGGERS).expect("a constant that compiles, as a test shows")
}

/// The patterns of [`STANDARD`], compiled.
pub(super) fn standard() -> Vec<Pattern> {
    STANDARD
        .iter()
        .map(|(id, text)| {
            let check = match *id {
                "secret" if text.ends_with(r#"["']"#) => is_literal,
                "secret" => is_secret_word,
                "authorization" => has_digit,
                _ => always,
            };
            let regex = Regex::new(text).expect("a constant that compiles, as a test shows");
            Pattern { id: (*id).to_owned(), regex, check }
        })
        .collect()
}

impl Pattern {
    /// A pattern of an operator.
    pub(super) fn own(id: String, regex: Regex) -> Pattern {
        Pattern { id, regex, check: always }
    }

    /// The first match at or after `from`.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<std::ops::Range<usize>> {
        let mut at = from;
        while at <= text.len() {
            let found = self.regex.captures_at(text, at)?;
            let span = found.get(1).or_else(|| found.get(0))?;
            if !span.is_empty() && (self.check)(span.as_str(), &text[span.end()..]) {
                return Some(span.range());
            }
            // What was let stay may hold the beginning of another match, but not at its own start.
            at = span.end().max(at + 1);
            while !text.is_char_boundary(at) {
                at += 1;
            }
        }
        None
    }
}

fn always(_: &str, _: &str) -> bool {
    true
}

fn has_digit(text: &str, _: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit()) || text.ends_with('=')
}

/// Whether a quoted text is a secret and not a placeholder.
fn is_literal(text: &str, _: &str) -> bool {
    let placeholder = text.contains(['{', '<', '$', '*', '%', ' ', '(']);
    let word = text.to_ascii_lowercase();
    let said = ["password", "passwd", "secret", "token", "string", "null", "none", "true", "false"];
    !placeholder && !word.bytes().all(|b| b == b'x' || b == b'.') && !said.contains(&word.as_str())
}

/// Whether an unquoted word is a secret: prose and code have words, calls and versions there.
fn is_secret_word(text: &str, after: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let call = after.starts_with(['(', '[']);
    let version = {
        let mut parts = text.trim_start_matches(['v', 'V']).splitn(2, ['.', ':']);
        let first = parts.next().unwrap_or_default();
        parts.next().is_some() && !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit())
    };
    digits > 0 && letters > 0 && !call && !version && is_literal(text, after)
}
