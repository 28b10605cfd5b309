use super::*;

fn canonical(text: &[u8]) -> Result<String, JsonError> {
    let document = Document::parse(text, &Limits::DEFAULT)?;
    let mut out = Vec::new();
    document.write_canonical(&mut out);
    Ok(String::from_utf8(out).expect("canonical form is UTF-8"))
}

fn check(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(canonical(source.as_bytes()).as_deref(), Ok(*expected), "{source}");
        assert_eq!(canonical(expected.as_bytes()).as_deref(), Ok(*expected), "again: {source}");
    }
}

#[test]
fn number_tokens_are_kept_exactly() {
    let tokens = [
        "0",
        "-0",
        "1E5",
        "1e+5",
        "100000",
        "7.0",
        "9007199254740993",
        "1.0e-0",
        "123456789012345678901234567890.5",
    ];
    for token in tokens {
        assert_eq!(canonical(token.as_bytes()).as_deref(), Ok(token));
        assert_eq!(canonical(format!(" [ {token} ]\n").as_bytes()), Ok(format!("[{token}]")));
    }
}

#[test]
fn numbers_outside_rfc_8259_are_refused() {
    for token in [
        "01", "-", "+1", ".5", "1.", "1e", "1e+", "-01", "0x1", "NaN", "Infinity", "1_0", "--1",
        "00", "1.e1",
    ] {
        assert!(canonical(token.as_bytes()).is_err(), "{token}");
    }
}

#[test]
fn members_are_ordered_by_utf16_code_units() {
    check(&[
        (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        (r#"{"aa":1,"a":2,"":3}"#, r#"{"":3,"a":2,"aa":1}"#),
        // The example of RFC 8785 §3.2.3, with the order that it demands.
        (
            "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\",\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
        ),
    ]);
}

#[test]
fn strings_have_the_escapes_of_rfc_8785() {
    check(&[
        (r#""\u0041\/\u00e9""#, "\"A/\u{e9}\""),
        (r#""\u000a\u000A\n""#, r#""\n\n\n""#),
        (r#""\u0000\u001F\u007f""#, "\"\\u0000\\u001f\u{7f}\""),
        (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
        (r#""\u0022\u005c\b\f\t\r""#, r#""\"\\\b\f\t\r""#),
        ("\"\u{2028}\"", "\"\u{2028}\""),
        (
            r#""long enough to take the wide path \\ and go on""#,
            r#""long enough to take the wide path \\ and go on""#,
        ),
    ]);
}

#[test]
fn white_space_and_byte_order_mark_are_dropped() {
    check(&[("\t[ 1 ,\r\n  { \"a\" : [ ] , \"b\" : { } } ] ", r#"[1,{"a":[],"b":{}}]"#)]);
    let document = Document::parse(b"\xef\xbb\xbf{}", &Limits::DEFAULT).expect("a BOM is dropped");
    assert!(document.root().shape() == Shape::Object);
}

#[test]
fn faults_are_named_with_their_offset() {
    use JsonFault::{DuplicateMember, Encoding, LoneSurrogate, Truncated};
    let cases: &[(&[u8], JsonFault, u64)] = &[
        (b"", Truncated, 0),
        (b"{\"a\":", Truncated, 5),
        (b"\"abc", Truncated, 4),
        (b"\"ab\\", Truncated, 4),
        (b"\"\\u12", Truncated, 5),
        (b"{\"a\":1,\"b\":2,\"a\":3}", DuplicateMember, 13),
        (b"{\"a\":1,\"\\u0061\":3}", DuplicateMember, 7),
        (b"[{\"\xc3\xa9\":1,\"\\u00e9\":3}]", DuplicateMember, 9),
        (b"\"\\ud800\"", LoneSurrogate, 1),
        (b"\"\\udc00\"", LoneSurrogate, 1),
        (b"\"\\ud800\\u0041\"", LoneSurrogate, 1),
        (b"[\"\xff\"]", Encoding, 2),
        (b"\xef\xbb\xbf\"\xff\"", Encoding, 4),
        (b"[1,]", JsonFault::Syntax("a value"), 3),
        (b"{,}", JsonFault::Syntax("a member name"), 1),
        (b"{\"a\" 1}", JsonFault::Syntax("':'"), 5),
        (b"[1 2]", JsonFault::Syntax("',' or ']'"), 3),
        (b"{} {}", JsonFault::Syntax("the end of the document"), 3),
        (b"tru", JsonFault::Syntax("true"), 0),
        (b"\"\\x\"", JsonFault::Syntax("an escape"), 1),
        (b"\"a\nb\"", JsonFault::Syntax("no control character in a string"), 2),
    ];
    for (source, fault, offset) in cases {
        let error = canonical(source).expect_err("the case is a fault");
        assert_eq!((error.fault, error.offset), (*fault, *offset), "{}", source.escape_ascii());
    }
}

#[test]
fn limits_stop_the_scan() {
    let limits = Limits { depth: 3, json_values: 5, document_bytes: 40, ..Limits::DEFAULT };
    let fault = |text: &str| Document::parse(text.as_bytes(), &limits).err().map(|e| e.fault);
    assert_eq!(fault("[[[]]]"), None);
    assert_eq!(fault("[[[[]]]]"), Some(JsonFault::TooDeep(3)));
    assert_eq!(fault("[1,2,3,4]"), None);
    assert_eq!(fault("[1,2,3,4,5]"), Some(JsonFault::TooManyValues(5)));
    assert_eq!(fault(&" ".repeat(41)), Some(JsonFault::TooLarge(40)));
    // Far deeper than any stack: the limit stops it before the stack does.
    let deep = "[".repeat(1 << 20);
    let error = Document::parse(deep.as_bytes(), &Limits::DEFAULT).expect_err("too deep");
    assert_eq!(error, JsonError { fault: JsonFault::TooDeep(64), offset: 64 });
}

#[test]
fn values_are_reached_by_name_and_position() {
    let source = br#"{"id":"X-1","n":1.50,"on":true,"off":false,"none":null,"deep":{"k\u0065y":["a","b\n",[1]]}}"#;
    let document = Document::parse(source, &Limits::DEFAULT).expect("valid");
    let root = document.root();
    assert_eq!(root.shape(), Shape::Object);
    assert_eq!(root.str_at(&["id"]).as_deref(), Some("X-1"));
    assert_eq!(root.get("n").and_then(Value::as_number), Some("1.50"));
    assert_eq!(root.get("on").and_then(Value::as_bool), Some(true));
    assert_eq!(root.get("off").and_then(Value::as_bool), Some(false));
    assert!(root.get("none").is_some_and(Value::is_null));
    assert!(root.get("absent").is_none());
    let items: Vec<_> = root.path(&["deep", "key"]).expect("unescaped").items().collect();
    assert_eq!(items[1].as_str().as_deref(), Some("b\n"));
    assert_eq!((items.len(), items[2].len(), items[2].shape()), (3, 1, Shape::Array));
    let names: Vec<_> = root.members().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["deep", "id", "n", "none", "off", "on"]);
}

#[test]
fn plain_run_agrees_with_a_byte_by_byte_reading() {
    let mut bytes = b"0123456789abcdef0123456789abcdef".to_vec();
    for at in 0..bytes.len() {
        for stop in [b'"', b'\\', 0, 0x1f, b'\n'] {
            let before = std::mem::replace(&mut bytes[at], stop);
            assert_eq!(text::plain_run(&bytes), at);
            bytes[at] = before;
        }
        for go in [0x7f, 0x80, 0xff, b' ', b'!', b'#', b'[', b']'] {
            let before = std::mem::replace(&mut bytes[at], go);
            assert_eq!(text::plain_run(&bytes), bytes.len());
            bytes[at] = before;
        }
    }
}
