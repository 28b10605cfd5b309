//! What planning has to know of an adapter; `pack` holds the adapters themselves.

/// The facts of one adapter that enter a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterSpec {
    /// The name, such as `json:raw`: also the name of the built-in profile with this one output.
    pub id: &'static str,
    /// Changes whenever the adapter writes other bytes for the same plan.
    pub version: u32,
    /// One line for people.
    pub about: &'static str,
    /// Redaction when the profile names none.
    pub default_redaction: DefaultRedaction,
    /// Whether a site may import the output: it must have carried everything unaltered.
    pub importable: bool,
    /// Kinds that it is made from; the built-in profile selects them. Empty: all.
    pub kinds: &'static [&'static str],
}

/// The redaction that an adapter asks for by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultRedaction {
    /// Records are carried as they are.
    None,
    /// The built-in rules.
    Standard,
}
