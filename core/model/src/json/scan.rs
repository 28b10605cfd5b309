//! The scan that turns bytes into a tape.

use std::cmp::Ordering;

use super::text::{code_unit, compare_names, is_high_surrogate, is_low_surrogate, plain_run};
use super::{Document, JsonError, JsonFault, Node, Tag, Tape};
use crate::Limits;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Offsets and indexes are kept in 32 bits whatever the limits say.
const MOST_BYTES: u64 = 1 << 31;

pub(super) fn parse<'a>(
    tape: Tape,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Document<'a>, JsonError> {
    let most = limits.document_bytes.min(MOST_BYTES);
    if bytes.len() as u64 > most {
        return Err(JsonError { fault: JsonFault::TooLarge(most), offset: most });
    }
    let body = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let dropped = (bytes.len() - body.len()) as u64;
    let text = std::str::from_utf8(body).map_err(|error| JsonError {
        fault: JsonFault::Encoding,
        offset: dropped + error.valid_up_to() as u64,
    })?;
    let Tape { mut nodes, mut order } = tape;
    nodes.clear();
    order.clear();
    // A value every 16 bytes is what dense evidence has; more room is taken when needed.
    nodes.reserve(body.len() / 16 + 8);
    order.reserve(body.len() / 64 + 8);
    let mut scan = Scan {
        bytes: body,
        at: 0,
        nodes,
        order,
        open_names: Vec::with_capacity(64),
        values: 0,
        limits,
    };
    let fault = |fault: Fault| JsonError { fault: fault.0, offset: dropped + fault.1 as u64 };
    scan.skip_white_space();
    scan.value(0).map_err(fault)?;
    scan.skip_white_space();
    if scan.at < body.len() {
        return Err(fault(Fault(JsonFault::Syntax("the end of the document"), scan.at)));
    }
    Ok(Document { text, nodes: scan.nodes, order: scan.order })
}

/// A fault and the offset within the text at which it shows.
struct Fault(JsonFault, usize);

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    order: Vec<u32>,
    /// Names of all objects that are still open, innermost last.
    open_names: Vec<u32>,
    values: u64,
    limits: &'a Limits,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expected<T>(&self, what: &'static str) -> Result<T, Fault> {
        let fault = match self.peek() {
            None => JsonFault::Truncated,
            Some(_) => JsonFault::Syntax(what),
        };
        Err(Fault(fault, self.at))
    }

    #[inline]
    fn skip_white_space(&mut self) {
        // Canonical documents have none.
        if self.peek().is_none_or(|byte| byte <= b' ') {
            self.skip_white_spaces();
        }
    }

    fn skip_white_spaces(&mut self) {
        loop {
            // Pretty-printed evidence is full of runs of blanks.
            while let Some(b"        ") = self.bytes[self.at..].first_chunk::<8>() {
                self.at += 8;
            }
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                _ => return,
            }
        }
    }

    fn push(&mut self, tag: Tag, start: usize) {
        let (start, end) = (start as u32, self.at as u32);
        self.nodes.push(Node { start, end, aux: 0, tag });
    }

    fn value(&mut self, depth: u32) -> Result<(), Fault> {
        self.values += 1;
        if self.values > self.limits.json_values {
            return Err(Fault(JsonFault::TooManyValues(self.limits.json_values), self.at));
        }
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Tag::True),
            Some(b'f') => self.word("false", Tag::False),
            Some(b'n') => self.word("null", Tag::Null),
            _ => self.expected("a value"),
        }
    }

    fn word(&mut self, word: &'static str, tag: Tag) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(Fault(JsonFault::Syntax(word), self.at));
        }
        let start = self.at;
        self.at += word.len();
        self.push(tag, start);
        Ok(())
    }

    /// Checks the depth and puts the node of a container on the tape; it is completed at the end.
    fn open(&mut self, tag: Tag, depth: u32) -> Result<usize, Fault> {
        if depth > self.limits.depth {
            return Err(Fault(JsonFault::TooDeep(self.limits.depth), self.at));
        }
        let node = self.nodes.len();
        self.push(tag, self.at);
        self.at += 1;
        self.skip_white_space();
        Ok(node)
    }

    fn array(&mut self, depth: u32) -> Result<(), Fault> {
        let node = self.open(Tag::Array, depth)?;
        let mut items = 0;
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.value(depth)?;
                items += 1;
                self.skip_white_space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break self.at += 1,
                    _ => return self.expected("',' or ']'"),
                }
                self.skip_white_space();
            }
        }
        self.nodes[node].end = self.nodes.len() as u32;
        self.nodes[node].aux = items;
        Ok(())
    }

    fn object(&mut self, depth: u32) -> Result<(), Fault> {
        let node = self.open(Tag::Object, depth)?;
        let first = self.open_names.len();
        let mut ascending = true;
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                ascending &= self.member(first, depth)?;
                self.skip_white_space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break self.at += 1,
                    _ => return self.expected("',' or '}'"),
                }
                self.skip_white_space();
            }
        }
        if !ascending {
            self.sort_names(first)?;
        }
        self.nodes[node].end = self.nodes.len() as u32;
        self.nodes[node].aux = self.order.len() as u32;
        self.order.push((self.open_names.len() - first) as u32);
        self.order.extend(self.open_names.drain(first..));
        Ok(())
    }

    /// Reads `"name": value` and tells whether the name comes after the one before it.
    fn member(&mut self, first: usize, depth: u32) -> Result<bool, Fault> {
        if self.peek() != Some(b'"') {
            return self.expected("a member name");
        }
        let name = self.nodes.len() as u32;
        self.string()?;
        let ascends = match self.open_names.get(first..).and_then(<[u32]>::last) {
            Some(&before) => self.compare(before, name) == Ordering::Less,
            None => true,
        };
        self.open_names.push(name);
        self.skip_white_space();
        if self.peek() != Some(b':') {
            return self.expected("':'");
        }
        self.at += 1;
        self.skip_white_space();
        self.value(depth)?;
        Ok(ascends)
    }

    fn compare(&self, left: u32, right: u32) -> Ordering {
        let name = |index: u32| {
            let node = self.nodes[index as usize];
            let inner = &self.bytes[node.start as usize + 1..node.end as usize - 1];
            (inner, node.tag == Tag::Escaped)
        };
        compare_names(name(left), name(right))
    }

    /// Sorts the names of the innermost object and refuses a name that occurs twice.
    fn sort_names(&mut self, first: usize) -> Result<(), Fault> {
        let mut names = self.open_names.split_off(first);
        names.sort_by(|&left, &right| self.compare(left, right));
        for pair in names.windows(2) {
            if self.compare(pair[0], pair[1]) == Ordering::Equal {
                // The sort is stable: the second of the two is the later one in the source.
                let start = self.nodes[pair[1] as usize].start as usize;
                return Err(Fault(JsonFault::DuplicateMember, start));
            }
        }
        self.open_names.extend(names);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += 1;
        let mut tag = Tag::Plain;
        loop {
            self.at += plain_run(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.push(tag, start);
                    return Ok(());
                }
                Some(b'\\') => {
                    tag = Tag::Escaped;
                    self.escape()?;
                }
                _ => return self.expected("no control character in a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let start = self.at;
        match self.bytes.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let unit = self.unit(start)?;
                self.at += 6;
                if is_low_surrogate(unit) {
                    return Err(Fault(JsonFault::LoneSurrogate, start));
                }
                if is_high_surrogate(unit) {
                    self.low_half(start)?;
                }
            }
            Some(_) => return Err(Fault(JsonFault::Syntax("an escape"), start)),
            None => return Err(Fault(JsonFault::Truncated, start + 1)),
        }
        Ok(())
    }

    fn low_half(&mut self, start: usize) -> Result<(), Fault> {
        let lone = Fault(JsonFault::LoneSurrogate, start);
        if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
            return Err(lone);
        }
        if !is_low_surrogate(self.unit(self.at)?) {
            return Err(lone);
        }
        self.at += 6;
        Ok(())
    }

    /// The code unit of the `\uXXXX` at `start`.
    fn unit(&self, start: usize) -> Result<u16, Fault> {
        let digits = self.bytes.get(start + 2..start + 6);
        let digits = digits.ok_or(Fault(JsonFault::Truncated, self.bytes.len()))?;
        code_unit(digits).ok_or(Fault(JsonFault::Syntax("four hex digits"), start))
    }

    /// RFC 8259 §6: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => {
                self.at += 1;
                if let Some(b'0'..=b'9') = self.peek() {
                    return self.expected("no leading zero");
                }
            }
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.push(Tag::Number, start);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.expected("a digit") } else { Ok(()) }
    }
}
