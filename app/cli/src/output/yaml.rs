//! JSON values as YAML 1.2: block style, every doubtful text quoted.

use serde_json::Value;

/// Appends a value as a YAML document without markers.
pub(super) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => block(value, 0, out),
        Value::Array(items) if !items.is_empty() => block(value, 0, out),
        scalar => {
            flow(scalar, out);
            out.push('\n');
        }
    }
}

/// Appends a non-empty object or array, each line indented.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                out.extend(std::iter::repeat_n(' ', indent));
                text(name, out);
                out.push(':');
                nested(member, indent + 2, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.extend(std::iter::repeat_n(' ', indent));
                out.push('-');
                nested(item, indent + 2, out);
            }
        }
        scalar => flow(scalar, out),
    }
}

fn nested(value: &Value, indent: usize, out: &mut String) {
    let empty = match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if empty {
        out.push(' ');
        flow(value, out);
        out.push('\n');
    } else {
        out.push('\n');
        block(value, indent, out);
    }
}

fn flow(value: &Value, out: &mut String) {
    match value {
        Value::String(value) => text(value, out),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// A text: bare only if no YAML 1.1 or 1.2 reader could take it for anything else.
fn text(value: &str, out: &mut String) {
    let mut chars = value.chars();
    let bare = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' '))
        && !value.ends_with(' ')
        && !RESERVED.contains(&value.to_ascii_lowercase().as_str());
    if bare {
        out.push_str(value);
        return;
    }
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            ' '..='~'
            | '\u{a1}'..='\u{ac}'
            | '\u{ae}'..='\u{2ff}'
            | '\u{370}'..='\u{1fff}'
            | '\u{3001}'..='\u{d7ff}' => out.push(c),
            c if u32::from(c) <= 0xff => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) <= 0xffff => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
}

/// Words that are no texts in YAML 1.1 or 1.2.
const RESERVED: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_doubtful_text_is_quoted() {
        let value = json!({
            "a": [], "b": {}, "list": [1, {"x": null, "y": [true]}, "text here"],
            "no": "no", "number": "007", "time": "2026-11-23T15:00:00Z", "empty": "", "colon": "a: b",
            "escape": "\u{1b}[31m\u{2028}🦀 \"q\"", "trail": "a ", "dash": "-", "digest": "e3b0",
        });
        let mut out = String::new();
        write(&value, &mut out);
        let expected = r#"a: []
b: {}
colon: "a: b"
dash: "-"
digest: e3b0
empty: ""
escape: "\x1b[31m\u2028\U0001f980 \"q\""
list:
  - 1
  -
    x: null
    "y":
      - true
  - text here
"no": "no"
number: "007"
time: "2026-11-23T15:00:00Z"
trail: "a "
"#;
        assert_eq!(out, expected);
    }
}
