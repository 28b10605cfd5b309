//! Names of archive members.

use std::collections::HashSet;

use stella_model::Digest;

/// The name of a member with its folders, `.` and doubled separators removed.
///
/// Names never become paths, but a name that tries to leave its archive is a sign of an attack on
/// whoever extracts it, and two spellings of one path are one name.
///
/// # Errors
/// What is wrong with the name, for a person.
pub(crate) fn safe_name(name: &str) -> Result<String, &'static str> {
    if name.contains('\0') {
        return Err("the name has a NUL");
    }
    let drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if name.starts_with(['/', '\\']) || drive {
        return Err("the name is absolute");
    }
    if name.split(['/', '\\']).any(|segment| segment == "..") {
        return Err("the name has '..'");
    }
    let segments: Vec<&str> =
        name.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
    if segments.is_empty() { Err("the name is empty") } else { Ok(segments.join("/")) }
}

/// A name from bytes: UTF-8, with what is none replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The names that an archive has had so far, in eight bytes each.
///
/// Two of ten million honest names meet with a chance of one in 300,000; the later of the two is
/// then rejected visibly, never taken for the other.
#[derive(Default)]
pub(crate) struct Seen(HashSet<u64>);

impl Seen {
    /// Whether the name is new.
    pub(crate) fn insert(&mut self, name: &[u8]) -> bool {
        let digest = Digest::of(name);
        let (prefix, _) = digest.as_bytes().split_at(8);
        self.0.insert(u64::from_le_bytes(prefix.try_into().expect("eight bytes were split off")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_archive_are_refused() {
        for (name, expected) in [
            ("a.json", Ok("a.json")),
            ("./a//b/./c.json", Ok("a/b/c.json")),
            ("..a/b..c/...", Ok("..a/b..c/...")),
            ("a\\b.json", Ok("a\\b.json")),
            ("nfd-e\u{301}\u{202e}.json", Ok("nfd-e\u{301}\u{202e}.json")),
            ("../a", Err("the name has '..'")),
            ("a/../../b", Err("the name has '..'")),
            ("a\\..\\b", Err("the name has '..'")),
            ("/etc/passwd", Err("the name is absolute")),
            ("\\\\host\\share", Err("the name is absolute")),
            ("C:\\a", Err("the name is absolute")),
            ("c:a", Err("the name is absolute")),
            ("a\0b", Err("the name has a NUL")),
            ("", Err("the name is empty")),
            ("./", Err("the name is empty")),
        ] {
            assert_eq!(safe_name(name).as_deref().map_err(|e| *e), expected, "{name:?}");
        }
    }
}
