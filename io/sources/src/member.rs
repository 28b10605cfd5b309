//! Names of archive members.

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

/// Bytes kept of the SHA-256 of each name.
const TAG_BYTES: usize = 10;

type Tag = [u8; TAG_BYTES];

/// Most tags of a run; a full one is cut in two.
const RUN: usize = 1024;

/// How many tags a run grows by.
const GROWTH: usize = 32;

/// The names that an archive has had so far, by ten bytes of the SHA-256 of each.
///
/// Sorted runs of a bounded length, whose first tags are in order too. Each has little more room
/// than it needs, so that a name takes eleven bytes at most whatever order the names come in: ten
/// million, the limit of an archive (`Limits::members`), take 105 MiB, and never twice that as a
/// table does when it grows (INV-LIMIT).
///
/// Two of ten million honest names meet with a chance of one in 24 thousand million, and to make a
/// name that meets one of them takes 2⁵⁷ attempts; the later of the two is then rejected visibly,
/// never taken for the other.
#[derive(Default)]
pub(crate) struct Seen(Vec<Vec<Tag>>);

impl Seen {
    /// Whether the name is new.
    pub(crate) fn insert(&mut self, name: &[u8]) -> bool {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&Digest::of(name).as_bytes()[..TAG_BYTES]);
        self.insert_tag(tag)
    }

    fn insert_tag(&mut self, tag: Tag) -> bool {
        if self.0.is_empty() {
            self.0.push(Vec::new());
        }
        // The last run that begins at or before the tag; all of them are filled but the first of all.
        let behind = self.0.partition_point(|run| run.first().is_some_and(|first| *first <= tag));
        let mut at = behind.saturating_sub(1);
        let Err(mut place) = self.0[at].binary_search(&tag) else { return false };
        if self.0[at].len() == RUN {
            self.cut(at);
            if place > self.0[at].len() {
                place -= self.0[at].len();
                at += 1;
            }
        }
        let run = &mut self.0[at];
        if run.len() == run.capacity() {
            run.reserve_exact(GROWTH);
        }
        run.insert(place, tag);
        true
    }

    /// Cuts a run in two, each with the room that it needs.
    fn cut(&mut self, at: usize) {
        let upper = self.0[at][RUN / 2..].to_vec();
        self.0[at].truncate(RUN / 2);
        self.0[at].shrink_to_fit();
        self.0.insert(at + 1, upper);
    }

    #[cfg(test)]
    fn heap_bytes(&self) -> usize {
        // What an allocator keeps beside each block.
        const BLOCK: usize = 16;
        let runs = self.0.iter().map(|run| run.capacity() * TAG_BYTES + BLOCK).sum::<usize>();
        runs + self.0.capacity() * std::mem::size_of::<Vec<Tag>>()
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

    fn tag(number: u64) -> Tag {
        let mut tag = [0; TAG_BYTES];
        tag[..8].copy_from_slice(&number.to_be_bytes());
        tag
    }

    #[test]
    fn a_name_is_new_once() {
        let mut seen = Seen::default();
        let names = || (0..20_000_u32).map(u32::to_le_bytes);
        assert!(names().all(|name| seen.insert(&name)));
        assert!(names().all(|name| !seen.insert(&name)));
        assert!(seen.0.windows(2).all(|two| two[0].last() < two[1].first()));
    }

    #[test]
    fn a_name_takes_eleven_bytes_in_whatever_order_names_come() {
        const NAMES: u64 = 1_000_000;
        // Up, down, and far apart: an odd factor modulo a power of two visits every number once.
        for order in [1, u64::MAX, 0x9E37_79B9_7F4A_7C15] {
            let mut seen = Seen::default();
            let nth = |n: u64| tag(n.wrapping_mul(order));
            assert!((0..NAMES).all(|n| seen.insert_tag(nth(n))), "{order}");
            assert!(!seen.insert_tag(nth(NAMES / 2)), "{order}");
            let each = seen.heap_bytes() as f64 / NAMES as f64;
            assert!(each < 11.0, "{order}: {each} bytes");
        }
    }
}
