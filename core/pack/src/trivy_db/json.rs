//! Values of the database, as Go's `encoding/json` writes them: upstream's builder is in Go, and
//! equal bytes are the easiest to compare.

/// Appends a string with the escapes of Go: those of JSON, and `<`, `>`, `&`, U+2028 and U+2029.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let (escape, length) = match byte {
            b'"' => (Some("\\\""), 1),
            b'\\' => (Some("\\\\"), 1),
            b'\n' => (Some("\\n"), 1),
            b'\r' => (Some("\\r"), 1),
            b'\t' => (Some("\\t"), 1),
            0x08 => (Some("\\b"), 1),
            0x0c => (Some("\\f"), 1),
            b'<' => (Some("\\u003c"), 1),
            b'>' => (Some("\\u003e"), 1),
            b'&' => (Some("\\u0026"), 1),
            0xe2 if bytes[at..].starts_with("\u{2028}".as_bytes()) => (Some("\\u2028"), 3),
            0xe2 if bytes[at..].starts_with("\u{2029}".as_bytes()) => (Some("\\u2029"), 3),
            0..0x20 => (None, 1),
            _ => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[plain..at]);
        match escape {
            Some(escape) => out.extend_from_slice(escape.as_bytes()),
            None => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        at += length;
        plain = at;
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
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

    /// A number member, unless it is zero.
    pub(super) fn number(&mut self, name: &str, number: u8) {
        if number != 0 {
            self.member(name).extend_from_slice(number.to_string().as_bytes());
        }
    }

    /// A list of strings, unless it is empty.
    pub(super) fn texts<S: AsRef<str>>(&mut self, name: &str, texts: &[S]) {
        if texts.is_empty() {
            return;
        }
        let out = self.member(name);
        out.push(b'[');
        for (place, text) in texts.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            string(out, text.as_ref());
        }
        out.push(b']');
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
