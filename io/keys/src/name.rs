//! Names of keys.

use std::fmt;
use std::str::FromStr;

use stella_model::{FeedName, NameError};

/// The name of a key, which is also the name of its files: the rule is that of feeds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(FeedName);

impl KeyName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NameError`] for anything but 1 to 40 characters of a-z, 0-9, `.`, `_` and `-` that are
    /// safe as a file name everywhere.
    pub fn new(text: &str) -> Result<KeyName, NameError> {
        let key = |error| NameError { what: "key name", ..error };
        FeedName::new(text).map(KeyName).map_err(key)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<KeyName, NameError> {
        KeyName::new(text)
    }
}
