//! Makes texts from outside safe to show to a person.

use std::fmt::{self, Write as _};

/// Shows a text with every character escaped that could deceive or drive a terminal: control
/// characters, bidirectional controls, invisible formatting, line and paragraph separators.
///
/// # Examples
/// ```
/// use stella_model::screen::Safe;
/// assert_eq!(Safe("ok \u{1b}[31m").to_string(), "ok \\u{1b}[31m");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Safe<'a>(pub &'a str);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if deceives(c) {
                write!(f, "\\u{{{:x}}}", u32::from(c))?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Control, bidirectional, zero-width, tag and interlinear characters, and the separators that
/// break a line.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_escaped_and_the_rest_is_kept() {
        assert_eq!(Safe("Zürich 漢字 🦀").to_string(), "Zürich 漢字 🦀");
        assert_eq!(Safe("a\u{202e}b\nc\u{7}").to_string(), "a\\u{202e}b\\u{a}c\\u{7}");
    }
}
