//! Paths in command lines that people copy into a shell.

use std::path::Path;

/// The path as one word of a POSIX shell. One that begins with `-` gets `./` before it, and one
/// with control characters is written so that no terminal obeys them.
pub(crate) fn quote(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if text.starts_with('-') { format!("./{text}") } else { text.into_owned() };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    if stella_model::screen::Safe(&text).to_string() == text {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = String::from("$'");
    for c in text.chars() {
        if matches!(c, ' '..='~') && c != '\'' && c != '\\' {
            word.push(c);
        } else {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).bytes();
            bytes.for_each(|byte| word.push_str(&format!("\\x{byte:02x}")));
        }
    }
    word + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_one_word_and_drives_no_terminal() {
        let cases = [
            ("out/raw-1.tar", "out/raw-1.tar"),
            ("-d", "./-d"),
            ("my bundle", "'my bundle'"),
            ("it's", r"'it'\''s'"),
            ("$(id)", "'$(id)'"),
            ("a\u{1b}[2J'b", r"$'a\x1b[2J\x27b'"),
            ("", "''"),
        ];
        for (path, word) in cases {
            assert_eq!(quote(Path::new(path)), word);
        }
    }
}
