//! Results on standard output, in the form that `-o` asks for.
//!
//! Standard output carries the result and nothing else. A [`Page`] holds the same result for
//! people (blocks of tables and text) and for machines (values with keys that stay).

pub(crate) mod human;
pub(crate) mod shell;
mod style;
mod table;
mod yaml;

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use serde_json::{Map, Value, json};
use stella_model::screen::Safe;

pub(crate) use style::{Paint, Tone, use_colour};
pub(crate) use table::{Cell, Column, Table};

use crate::args::Format;

/// Version of the JSON that this program prints.
pub(crate) const API_VERSION: &str = "stella.export/v1";

/// A value as a YAML document.
pub(crate) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    yaml::write(value, &mut text);
    text
}

/// A value as an item of a YAML list at the first level.
pub(crate) fn yaml_item(value: &Value) -> String {
    let list = Value::Array(vec![value.clone()]);
    yaml(&list).lines().map(|line| format!("  {line}\n")).collect()
}

/// A name from outside as one line, whatever it holds; a terminal gets nothing that drives it.
pub(crate) fn one_line(name: &str, escape: bool) -> String {
    match escape {
        true => Safe(name).to_string(),
        false => name.replace('\n', "\\n").replace('\r', "\\r"),
    }
}

/// One result.
#[derive(Debug)]
pub(crate) struct Page {
    /// What it is, such as `FeedList`.
    kind: &'static str,
    /// Whether it is a list or one thing.
    is_list: bool,
    items: Vec<Item>,
    blocks: Vec<Block>,
}

/// One thing of a result.
#[derive(Debug)]
pub(crate) struct Item {
    /// What `-o name` prints.
    pub(crate) name: String,
    /// What `-o id` prints: a digest or a record id.
    pub(crate) id: String,
    /// What `-o json` prints.
    pub(crate) value: Value,
}

/// What people read.
#[derive(Debug)]
enum Block {
    Table(Table),
    Text(String),
}

impl Page {
    /// A result that is a list.
    pub(crate) fn list(kind: &'static str, items: Vec<Item>) -> Page {
        Page { kind, is_list: true, items, blocks: Vec::new() }
    }

    /// A result that is one thing; its value must be an object.
    pub(crate) fn one(kind: &'static str, item: Item) -> Page {
        Page { kind, is_list: false, items: vec![item], blocks: Vec::new() }
    }

    /// Adds a table for people.
    pub(crate) fn table(mut self, table: Table) -> Page {
        self.blocks.push(Block::Table(table));
        self
    }

    /// Adds lines for people; the caller has escaped what comes from outside.
    pub(crate) fn text(mut self, text: impl Into<String>) -> Page {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    /// The whole result as one value.
    pub(crate) fn to_json(&self) -> Value {
        if self.is_list {
            let items: Vec<&Value> = self.items.iter().map(|item| &item.value).collect();
            return json!({"apiVersion": API_VERSION, "kind": self.kind, "items": items});
        }
        let mut object = Map::new();
        object.insert("apiVersion".into(), API_VERSION.into());
        object.insert("kind".into(), self.kind.into());
        for item in &self.items {
            if let Value::Object(members) = &item.value {
                for (name, value) in members {
                    // A member called `kind` is the evidence kind; the object keeps both.
                    let name = if name == "kind" { "recordKind" } else { name };
                    object.insert(name.to_owned(), value.clone());
                }
            }
        }
        Value::Object(object)
    }
}

/// Standard output and how to write on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// The form.
    pub(crate) format: Format,
    /// Whether tables have a header.
    pub(crate) headers: bool,
    /// Colours of standard output.
    pub(crate) paint: Paint,
    /// Columns of the terminal; `None` if standard output is none.
    pub(crate) width: Option<u16>,
}

impl Out {
    /// Prints a result. A reader that has gone away is no error: it has what it wanted.
    pub(crate) fn page(&self, page: &Page) -> io::Result<()> {
        let mut text = String::new();
        match self.format {
            Format::Table | Format::Wide => self.people(page, &mut text),
            Format::Json => {
                text = format!("{:#}\n", page.to_json());
            }
            Format::Yaml => text = yaml(&page.to_json()),
            Format::Jsonl if page.is_list => {
                page.items.iter().for_each(|item| text += &format!("{}\n", item.value));
            }
            Format::Jsonl => text = format!("{}\n", page.to_json()),
            Format::Name => lines(page, |item| &item.name, &mut text),
            Format::Id => lines(page, |item| &item.id, &mut text),
        }
        self.raw(text.as_bytes())
    }

    /// Appends a table as it is shown in this form.
    pub(crate) fn table(&self, table: &Table, text: &mut String) {
        table.write(self, self.is_wide(), text);
    }

    /// Writes bytes as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }

    /// Whether people read the result.
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Whether people asked for more columns.
    pub(crate) fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    fn people(&self, page: &Page, text: &mut String) {
        for block in &page.blocks {
            match block {
                Block::Text(block) => {
                    text.push_str(block);
                    text.push('\n');
                }
                Block::Table(table) => self.table(table, text),
            }
        }
    }
}

fn lines(page: &Page, part: impl Fn(&Item) -> &str, text: &mut String) {
    let escape = io::stdout().is_terminal();
    for item in &page.items {
        text.push_str(&one_line(part(item), escape));
        text.push('\n');
    }
}
