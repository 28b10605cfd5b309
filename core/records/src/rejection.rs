//! Why a document is not taken in.

use std::fmt;

use stella_model::json::JsonError;

/// A document that yields no records, and why. It goes to quarantine; nothing is dropped silently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// The reason as a code.
    pub reason: RejectReason,
    /// Offset of the byte at which the fault shows, counted from the start of the document.
    pub offset: Option<u64>,
    /// What was found, for a person. Texts from the document are shortened but not escaped: show
    /// them through [`stella_model::screen::Safe`].
    pub detail: String,
}

impl Rejection {
    /// A rejection without a position.
    #[must_use]
    pub fn new(reason: RejectReason, detail: impl Into<String>) -> Rejection {
        Rejection { reason, offset: None, detail: detail.into() }
    }

    /// The same rejection with the offset of the offending byte.
    #[must_use]
    pub fn at(self, offset: u64) -> Rejection {
        Rejection { offset: Some(offset), ..self }
    }

    pub(crate) fn unknown(detail: impl Into<String>) -> Rejection {
        Rejection::new(RejectReason::UnknownFormat, detail)
    }

    pub(crate) fn version(format: &str, version: &str, read: &str) -> Rejection {
        let detail = format!("{format} {}; versions read: {read}", excerpt(version));
        Rejection::new(RejectReason::UnsupportedVersion, detail)
    }

    pub(crate) fn no_identity(detail: impl Into<String>) -> Rejection {
        Rejection::new(RejectReason::NoIdentity, detail)
    }
}

impl From<JsonError> for Rejection {
    fn from(error: JsonError) -> Rejection {
        use stella_model::json::JsonFault;
        let reason = match error.fault {
            fault if fault.is_limit() => RejectReason::TooLarge,
            JsonFault::Encoding => RejectReason::InvalidEncoding,
            _ => RejectReason::InvalidJson,
        };
        Rejection::new(reason, error.fault.to_string()).at(error.offset)
    }
}

/// Defines the reasons with their codes.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $code:literal;)*) => {
        /// A stable code for a rejection.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RejectReason {
            $($(#[$doc])* $variant,)*
        }

        impl RejectReason {
            /// All reasons, in the order of the documentation's table.
            pub const ALL: &[RejectReason] = &[$(RejectReason::$variant,)*];

            /// The code, such as `unknown-format`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(RejectReason::$variant => $code,)* }
            }
        }
    };
}

reasons! {
    /// No format that is read here.
    UnknownFormat "unknown-format";
    /// A format that is read here, in a version that is not.
    UnsupportedVersion "unsupported-version";
    /// Broken JSON, or JSON without one meaning: duplicate members, lone surrogates.
    InvalidJson "invalid-json";
    /// XML that is not well-formed or declares a document type.
    InvalidXml "invalid-xml";
    /// Not UTF-8.
    InvalidEncoding "invalid-encoding";
    /// A part of the identity is missing, is no text, or makes an id over 1,024 bytes.
    NoIdentity "no-identity";
    /// A limit is passed: bytes, values, depth.
    TooLarge "too-large";
    /// Another version of the same identity won (decided by whoever sees both).
    DuplicateIdentity "duplicate-identity";
}

impl RejectReason {
    /// The reason with this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<RejectReason> {
        RejectReason::ALL.iter().copied().find(|reason| reason.as_str() == code)
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first 80 characters of a text from a document.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_kebab_case_and_comes_back() {
        for &reason in RejectReason::ALL {
            let code = reason.as_str();
            assert!(code.bytes().all(|b| b == b'-' || b.is_ascii_lowercase()), "{code}");
            assert_eq!(RejectReason::parse(code), Some(reason));
        }
        assert_eq!(RejectReason::parse("Unknown-Format"), None);
    }

    #[test]
    fn detail_of_a_long_text_is_short() {
        assert_eq!(excerpt("abc"), "abc");
        assert_eq!(excerpt(&"é".repeat(500)).chars().count(), 81);
    }
}
