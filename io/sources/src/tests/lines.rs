//! JSON lines and what must not be taken for them.

use super::*;

#[test]
fn lines_are_documents_and_documents_are_whole() {
    let pretty = "{\n  \"a\": 1\n}\n";
    for (name, content, expected) in [
        (
            "x.jsonl",
            "{\"a\":1}\n{\"b\":2}\n",
            &["x.jsonl:1 = {\"a\":1}", "x.jsonl:2 = {\"b\":2}"][..],
        ),
        ("x.jsonl", "{\"a\":1}", &["x.jsonl:1 = {\"a\":1}"]),
        ("x.ndjson", "\r\n{}\r\n \t\n[]\r\n\n", &["x.ndjson:2 = {}", "x.ndjson:4 = []"]),
        ("x.jsonl.part", "a\nb", &["x.jsonl.part:1 = a", "x.jsonl.part:2 = b"]),
        ("-", "{\"a\":1}\n{\"b\":2}", &["-:1 = {\"a\":1}", "-:2 = {\"b\":2}"]),
        ("x.json", "{\"a\":1}\n\n{\"b\":2}\n", &["x.json:1 = {\"a\":1}", "x.json:3 = {\"b\":2}"]),
        ("x.json", pretty, &["x.json = {\n  \"a\": 1\n}\n"]),
        ("x.json", "{\"a\":1}\n", &["x.json = {\"a\":1}\n"]),
        ("x.json", "{\"a\":\n{\"b\":2}}", &["x.json = {\"a\":\n{\"b\":2}}"]),
        ("x.json", "{}\ntext", &["x.json = {}\ntext"]),
        ("x.xml", "<a>\n</a>", &["x.xml = <a>\n</a>"]),
        ("empty.jsonl", "", &[]),
        ("empty.json", "", &["empty.json = "]),
        ("README.md", "{}\n{}", &["README.md:1 = {}", "README.md:2 = {}"]),
    ] {
        assert_eq!(
            listing(vec![stream(name, content)], Limits::DEFAULT),
            expected,
            "{name} {content:?}"
        );
    }
}

#[test]
fn a_line_over_the_limit_is_rejected_and_the_rest_goes_on() {
    let limits = Limits { document_bytes: 10, ..Limits::DEFAULT };
    let long = "x".repeat(100_000);
    let content = format!("0123456789\n01234567890\n{long}\nlast\n{long}");
    assert_eq!(
        listing(vec![stream("a.jsonl", content)], limits),
        [
            "a.jsonl:1 = 0123456789",
            "a.jsonl:2 ! too-large",
            "a.jsonl:3 ! too-large",
            "a.jsonl:4 = last",
            "a.jsonl:5 ! too-large",
        ]
    );
}

#[test]
fn offsets_are_those_of_the_lines() {
    let options = Options { limits: Limits::DEFAULT, by_name: &class, spool_dir: None };
    let mut offsets = Vec::new();
    let inputs = vec![stream("a.jsonl", gzip(b"{}\n\n{\"a\":1}\r\nz"))];
    let flow = walk(inputs, &options, &mut |event| {
        if let Event::Document(document) = event {
            offsets.push(document.offset);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(flow, Ok(ControlFlow::Continue(())));
    assert_eq!(offsets, [Some(0), Some(4), Some(13)]);
}

#[test]
fn lines_without_a_name_are_streamed_beyond_the_limit_of_a_document() {
    // 100 MB of lines on standard input, while one document may have 1 MB.
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(9_989));
    let lines = std::iter::repeat_n(line.into_bytes(), 10_000);
    let limits = Limits { document_bytes: 1 << 20, ..Limits::DEFAULT };
    let options = Options { limits, by_name: &class, spool_dir: None };
    let mut bytes = 0;
    let flow = walk(vec![reader("-", Chunks::new(lines))], &options, &mut |event| {
        let Event::Document(document) = event else { panic!("{event:?}") };
        bytes += document.bytes.len();
        ControlFlow::Continue(())
    });
    assert_eq!(flow, Ok(ControlFlow::Continue(())));
    assert_eq!(bytes, 10_000 * 9_997);
    assert_bounded_memory(64 << 20);
}

/// Chunks of bytes as a reader: generated, never stored.
pub(super) struct Chunks<I> {
    chunks: I,
    rest: Cursor<Vec<u8>>,
}

impl<I: Iterator<Item = Vec<u8>>> Chunks<I> {
    pub(super) fn new(chunks: I) -> Chunks<I> {
        Chunks { chunks, rest: Cursor::default() }
    }
}

impl<I: Iterator<Item = Vec<u8>>> Read for Chunks<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.rest.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            match self.chunks.next() {
                Some(chunk) => self.rest = Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}
