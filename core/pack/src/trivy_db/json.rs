//! Values of the database, as Go's `encoding/json` writes them: upstream's builder is in Go, and
//! equal bytes are the easiest to compare.

/// What is to be done about a byte of a string: nothing, or look at it. Of U+2028 and U+2029 it is
/// the first byte.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    let others = [b'"', b'\\', b'<', b'>', b'&', 0xe2];
    let mut place = 0;
    while place < others.len() {
        plain[others[place] as usize] = false;
        place += 1;
    }
    plain
};

/// Appends a string with the escapes of Go: those of JSON, and `<`, `>`, `&`, U+2028 and U+2029.
pub(super) fn string<S: AsRef<[u8]> + ?Sized>(out: &mut Vec<u8>, text: &S) {
    out.push(b'"');
    let mut rest = text.as_ref();
    while let Some(plain) = rest.iter().position(|byte| !PLAIN[usize::from(*byte)]) {
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        rest = &rest[escape(out, rest)..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends what stands for the first character, which is not plain, and gives its length in bytes.
fn escape(out: &mut Vec<u8>, text: &[u8]) -> usize {
    let (escape, length) = match text[0] {
        b'"' => ("\\\"", 1),
        b'\\' => ("\\\\", 1),
        b'\n' => ("\\n", 1),
        b'\r' => ("\\r", 1),
        b'\t' => ("\\t", 1),
        0x08 => ("\\b", 1),
        0x0c => ("\\f", 1),
        b'<' => ("\\u003c", 1),
        b'>' => ("\\u003e", 1),
        b'&' => ("\\u0026", 1),
        _ if text.starts_with("\u{2028}".as_bytes()) => ("\\u2028", 3),
        _ if text.starts_with("\u{2029}".as_bytes()) => ("\\u2029", 3),
        byte @ 0..0x20 => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return 1;
        }
        byte => {
            out.push(byte);
            return 1;
        }
    };
    out.extend_from_slice(escape.as_bytes());
    length
}

/// Whether the string of a text is the text between quotes.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// Appends a list of strings.
pub(super) fn texts<S: AsRef<[u8]>>(out: &mut Vec<u8>, texts: &[S]) {
    list(out, texts, string);
}

/// Appends a list of what `write` appends for each item.
fn list<T>(out: &mut Vec<u8>, items: &[T], write: fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Writes an object member by member.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, first: true }
    }

    /// Begins a member; its value goes to the bytes returned.
    pub(super) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        string(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// A string member, unless it is empty.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            string(self.member(name), text);
        }
    }

    /// A member of JSON, unless there is none.
    pub(super) fn json(&mut self, name: &str, json: &[u8]) {
        if !json.is_empty() {
            self.member(name).extend_from_slice(json);
        }
    }

    /// A number member, unless it is zero.
    pub(super) fn number(&mut self, name: &str, number: u8) {
        if number != 0 {
            self.member(name).extend_from_slice(number.to_string().as_bytes());
        }
    }

    /// A list of strings, unless it is empty.
    pub(super) fn texts<S: AsRef<[u8]>>(&mut self, name: &str, texts: &[S]) {
        self.list(name, texts, string);
    }

    /// A list of what `write` appends for each item, unless it is empty.
    pub(super) fn list<T>(&mut self, name: &str, items: &[T], write: fn(&mut Vec<u8>, &T)) {
        if !items.is_empty() {
            self::list(self.member(name), items, write);
        }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            ("a<b>&c", r#""a\u003cb\u003e\u0026c""#),
            ("\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}", r#""\"\\\n\r\t\b\f\u0001\u001f""#),
            ("\u{2028}x\u{2029}é€", "\"\\u2028x\\u2029é€\""),
            ("", "\"\""),
        ] {
            let mut out = Vec::new();
            string(&mut out, text);
            assert!(!is_plain(text) || expected == format!("\"{text}\""));
            assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
        }
    }

    #[test]
    fn empty_members_are_left_out() {
        let mut out = Vec::new();
        let mut object = Object::new(&mut out);
        object.text("a", "");
        object.number("b", 0);
        object.texts::<&str>("c", &[]);
        object.text("d", "x");
        object.texts("e", &["1", "2"]);
        object.end();
        assert_eq!(out, br#"{"d":"x","e":["1","2"]}"#);
    }
}
