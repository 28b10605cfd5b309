//! JSON evidence: read once into a flat tape, written in canonical form with its number tokens kept.
//!
//! The canonical form of a record is RFC 8785 in the order of members, the escapes of strings and
//! the absence of white space; **numbers stay exactly as in the source**, so that nothing is lost
//! and no float is ever parsed (FORMATS "Canonical form of a JSON record"; INV-RAW). What cannot
//! have one meaning for every reader is refused: duplicate member names, lone surrogates, invalid
//! UTF-8, numbers outside RFC 8259 §6.
//!
//! [`Document::parse`] is a single scan that stops at the first value over a limit, so that a
//! hostile document costs no more than the limits allow (16 bytes of tape a value and a name).
//!
//! # Examples
//! ```
//! use stella_model::{Limits, json::Document};
//! let document = Document::parse(br#" {"b": 1E5, "a": "\u0041\/"} "#, &Limits::DEFAULT)?;
//! let mut canonical = Vec::new();
//! document.write_canonical(&mut canonical);
//! assert_eq!(canonical, br#"{"a":"A/","b":1E5}"#);
//! assert_eq!(document.root().str_at(&["a"]).as_deref(), Some("A/"));
//! # Ok::<(), stella_model::json::JsonError>(())
//! ```

mod scan;
mod text;

use std::borrow::Cow;

pub use text::write_string;

use crate::Limits;
use text::{compare_with_name, unescape, write_canonical_token};

/// A JSON document as a flat tape over the bytes it was read from.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
    /// For every object: the count of its members, then the nodes of their names in canonical
    /// order.
    order: Vec<u32>,
}

/// Appends a number.
type WriteNumber = fn(&mut Vec<u8>, &str);

fn keep_number(out: &mut Vec<u8>, token: &str) {
    out.extend_from_slice(token.as_bytes());
}

/// The room of a document's tape, for the next document.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    order: Vec<u32>,
}

/// One value or member name. A container is followed by its descendants.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// First byte of the token.
    start: u32,
    /// Scalars: first byte after the token. Containers: index of the node after the last
    /// descendant.
    end: u32,
    /// Arrays: number of items. Objects: where its entry in `order` begins.
    aux: u32,
    tag: Tag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Null,
    True,
    False,
    Number,
    /// A string without escapes: its token is canonical as it stands.
    Plain,
    /// A string with at least one escape.
    Escaped,
    Array,
    Object,
}

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number token.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Why bytes are no acceptable JSON document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {offset}")]
pub struct JsonError {
    /// What is wrong.
    pub fault: JsonFault,
    /// Offset of the offending byte, counted from the start of the input.
    pub offset: u64,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not JSON by the grammar of RFC 8259.
    #[error("not valid JSON: expected {0}")]
    Syntax(&'static str),
    /// The document ends inside a value.
    #[error("the document ends before it is complete")]
    Truncated,
    /// Not UTF-8.
    #[error("not valid UTF-8")]
    Encoding,
    /// Two members of one object have the same name after unescaping.
    #[error("duplicate member name")]
    DuplicateMember,
    /// A `\u` escape of half a surrogate pair.
    #[error("lone surrogate")]
    LoneSurrogate,
    /// Nested deeper than [`Limits::depth`].
    #[error("nested deeper than {0} levels")]
    TooDeep(u32),
    /// More values than [`Limits::json_values`].
    #[error("more than {0} values")]
    TooManyValues(u64),
    /// Longer than [`Limits::document_bytes`].
    #[error("longer than {0} bytes")]
    TooLarge(u64),
}

impl JsonFault {
    /// Whether a limit was passed, as opposed to a document that no limit would accept.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(self, JsonFault::TooDeep(_) | JsonFault::TooManyValues(_) | JsonFault::TooLarge(_))
    }
}

impl<'a> Document<'a> {
    /// Reads a document in one scan. A leading UTF-8 byte order mark is dropped.
    ///
    /// # Errors
    /// [`JsonError`] names the fault and the offset of the byte at which it shows. Limits are
    /// checked while scanning: the rest of the document is never looked at.
    pub fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Document<'a>, JsonError> {
        scan::parse(Tape::default(), bytes, limits)
    }

    /// As [`Document::parse`], in the room of an earlier document: many small ones are read faster.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse_in(
        tape: Tape,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<Document<'a>, JsonError> {
        scan::parse(tape, bytes, limits)
    }

    /// The room that the document took, unless it is more than most documents need.
    #[must_use]
    pub fn into_tape(self) -> Tape {
        /// Values and names.
        const MOST: usize = 1 << 14;
        let Document { nodes, order, .. } = self;
        let usual = nodes.capacity().max(order.capacity()) <= MOST;
        if usual { Tape { nodes, order } } else { Tape::default() }
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value { document: self, node: 0 }
    }

    /// Appends the canonical form to `out`.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        self.root().write_canonical(out);
    }

    /// Appends the canonical form with numbers as `number` writes their tokens.
    pub(crate) fn write_with(&self, out: &mut Vec<u8>, number: WriteNumber) {
        self.write(0, out, number);
    }

    fn token(&self, node: Node) -> &str {
        &self.text[node.start as usize..node.end as usize]
    }

    /// The text between the quotes of a string token.
    fn inner(&self, node: Node) -> &str {
        &self.text[node.start as usize + 1..node.end as usize - 1]
    }

    fn string(&self, node: Node) -> Cow<'_, str> {
        match node.tag {
            Tag::Escaped => Cow::Owned(unescape(self.inner(node))),
            _ => Cow::Borrowed(self.inner(node)),
        }
    }

    /// Nodes of the member names of an object, in canonical order.
    fn names(&self, object: Node) -> &[u32] {
        let at = object.aux as usize;
        let count = self.order[at] as usize;
        &self.order[at + 1..at + 1 + count]
    }

    fn write(&self, index: u32, out: &mut Vec<u8>, number: WriteNumber) {
        let node = self.nodes[index as usize];
        match node.tag {
            Tag::Null => out.extend_from_slice(b"null"),
            Tag::True => out.extend_from_slice(b"true"),
            Tag::False => out.extend_from_slice(b"false"),
            Tag::Number => number(out, self.token(node)),
            Tag::Plain => out.extend_from_slice(self.token(node).as_bytes()),
            Tag::Escaped => write_canonical_token(out, self.inner(node)),
            Tag::Array => {
                out.push(b'[');
                let mut item = index + 1;
                for position in 0..node.aux {
                    if position > 0 {
                        out.push(b',');
                    }
                    self.write(item, out, number);
                    item = self.after(item);
                }
                out.push(b']');
            }
            Tag::Object => {
                out.push(b'{');
                for (position, &name) in self.names(node).iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    self.write(name, out, number);
                    out.push(b':');
                    self.write(name + 1, out, number);
                }
                out.push(b'}');
            }
        }
    }

    /// Index of the node that follows a value and its descendants.
    fn after(&self, index: u32) -> u32 {
        let node = self.nodes[index as usize];
        match node.tag {
            Tag::Array | Tag::Object => node.end,
            _ => index + 1,
        }
    }
}

/// A value of a [`Document`].
#[derive(Debug, Clone, Copy)]
pub struct Value<'t> {
    document: &'t Document<'t>,
    node: u32,
}

impl<'t> Value<'t> {
    fn node(self) -> Node {
        self.document.nodes[self.node as usize]
    }

    fn at(self, node: u32) -> Value<'t> {
        Value { document: self.document, node }
    }

    /// The shape of the value.
    #[must_use]
    pub fn shape(self) -> Shape {
        match self.node().tag {
            Tag::Null => Shape::Null,
            Tag::True | Tag::False => Shape::Bool,
            Tag::Number => Shape::Number,
            Tag::Plain | Tag::Escaped => Shape::String,
            Tag::Array => Shape::Array,
            Tag::Object => Shape::Object,
        }
    }

    /// The member of an object with this name; `None` for every other shape.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'t>> {
        /// So few names are found faster by their lengths than by their order.
        const FEW: usize = 16;
        let object = self.node();
        if object.tag != Tag::Object {
            return None;
        }
        let names = self.document.names(object);
        let found = if names.len() <= FEW {
            let is_named = |index: &&u32| {
                let node = self.document.nodes[**index as usize];
                match node.tag {
                    Tag::Escaped => self.document.string(node) == name,
                    // Most are of another length, which the tape tells without the text.
                    _ => {
                        (node.end - node.start) as usize == name.len() + 2
                            && self.document.inner(node) == name
                    }
                }
            };
            *names.iter().find(is_named)?
        } else {
            let compare = |&index: &u32| {
                let node = self.document.nodes[index as usize];
                compare_with_name(self.document.inner(node), node.tag == Tag::Escaped, name)
            };
            names[names.binary_search_by(compare).ok()?]
        };
        Some(self.at(found + 1))
    }

    /// The value at a path of member names.
    #[must_use]
    pub fn path(self, path: &[&str]) -> Option<Value<'t>> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    /// The string at a path of member names; `None` if there is none or it has another shape.
    #[must_use]
    pub fn str_at(self, path: &[&str]) -> Option<Cow<'t, str>> {
        self.path(path)?.as_str()
    }

    /// Members of an object in canonical order; nothing for every other shape.
    pub fn members(self) -> impl Iterator<Item = (Cow<'t, str>, Value<'t>)> {
        let object = self.node();
        let names = match object.tag {
            Tag::Object => self.document.names(object),
            _ => &[],
        };
        names.iter().map(move |&name| {
            (self.document.string(self.document.nodes[name as usize]), self.at(name + 1))
        })
    }

    /// Items of an array; nothing for every other shape.
    pub fn items(self) -> impl Iterator<Item = Value<'t>> {
        let array = self.node();
        let count = if array.tag == Tag::Array { array.aux } else { 0 };
        let mut next = self.node + 1;
        (0..count).map(move |_| {
            let item = self.at(next);
            next = self.document.after(next);
            item
        })
    }

    /// Number of members or items; 0 for scalars.
    #[must_use]
    pub fn len(self) -> usize {
        let node = self.node();
        match node.tag {
            Tag::Array => node.aux as usize,
            Tag::Object => self.document.names(node).len(),
            _ => 0,
        }
    }

    /// Whether there are no members or items.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The text of a string, unescaped.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'t, str>> {
        let node = self.node();
        matches!(node.tag, Tag::Plain | Tag::Escaped).then(|| self.document.string(node))
    }

    /// The token of a number, exactly as in the source.
    #[must_use]
    pub fn as_number(self) -> Option<&'t str> {
        let node = self.node();
        (node.tag == Tag::Number).then(|| self.document.token(node))
    }

    /// The value of `true` and `false`.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.node().tag {
            Tag::True => Some(true),
            Tag::False => Some(false),
            _ => None,
        }
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.node().tag == Tag::Null
    }

    /// Appends the canonical form of the value to `out`.
    pub fn write_canonical(self, out: &mut Vec<u8>) {
        self.document.write(self.node, out, keep_number);
    }
}

#[cfg(test)]
mod tests;
