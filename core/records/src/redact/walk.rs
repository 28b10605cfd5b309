//! The walk over a document: what is allowed, what is denied, and the redacted form.

use std::borrow::Cow;

use stella_model::json::{Shape, Value, write_string};

use super::allow::{Allow, ObjectType, Target};
use super::deny::{Deny, Marks, Numbered, Plain, Tally};
use super::glance::Glance;
use super::tables::PROPERTY_PREFIXES;

/// Rule id under which members outside the allow-list are counted.
pub(super) const ALLOW_LIST: &str = "allow-list";

/// Rule id under which encoded contents are counted, into which no deny rule can see.
pub(super) const ENCODED_CONTENT: &str = "encoded-content";

/// Looks for the first thing to redact, without writing.
pub(super) struct Check<'r> {
    pub(super) allow: &'r Allow,
    pub(super) deny: &'r Deny,
    /// `None` where every text has to be searched.
    pub(super) glance: Option<&'r Glance<'r>>,
}

impl<'r> Check<'r> {
    /// Whether anything in the document has to be redacted.
    pub(super) fn finds(&self, root: Value<'_>) -> bool {
        self.value(root, Target::Object(self.allow.root()))
    }

    fn value(&self, value: Value<'_>, target: Target) -> bool {
        match value.shape() {
            Shape::Null | Shape::Bool | Shape::Number => false,
            Shape::String => self.text(value),
            Shape::Array => {
                value.items().any(|item| !keeps(item, target) || self.value(item, target))
            }
            Shape::Object => match object_type(self.allow, target) {
                Some(object) => self.object(value, object),
                None => value.members().any(|(name, member)| {
                    drops(value, target, &name).is_some()
                        || self.denies(&name).is_some()
                        || self.value(member, target)
                }),
            },
        }
    }

    fn object(&self, value: Value<'_>, object: &ObjectType) -> bool {
        let mut from = 0;
        value.members().any(|(name, member)| match object.look_up(&name, &mut from) {
            None => true,
            Some(target) => {
                !admits(member, target)
                    || (object.is_map() && self.denies(&name).is_some())
                    || self.value(member, target)
            }
        })
    }

    fn text(&self, value: Value<'_>) -> bool {
        value.as_str().is_some_and(|text| self.denies(&text).is_some())
    }

    /// The rule that denies a text or a member name.
    pub(super) fn denies(&self, text: &str) -> Option<&'r str> {
        let sorts = self.deny.sorts(text, self.glance)?;
        self.deny.first_rule(text, sorts)
    }
}

/// Writes the redacted canonical form.
pub(super) struct Writer<'r> {
    pub(super) check: Check<'r>,
    pub(super) references: Numbered,
    pub(super) tally: Tally,
    pub(super) out: &'r mut Vec<u8>,
}

impl Writer<'_> {
    /// Writes the document without what is not allowed or denied.
    pub(super) fn document(&mut self, root: Value<'_>) {
        self.value(root, Target::Object(self.check.allow.root()));
    }

    fn value(&mut self, value: Value<'_>, target: Target) {
        match value.shape() {
            Shape::Null | Shape::Bool | Shape::Number => value.write_canonical(self.out),
            Shape::String => self.text(value, target),
            Shape::Array => self.array(value, target),
            Shape::Object => self.object(value, target),
        }
    }

    fn text(&mut self, value: Value<'_>, target: Target) {
        let text = value.as_str().unwrap_or(Cow::Borrowed(""));
        let marks: &mut dyn Marks = match target {
            Target::Reference | Target::Object(_) => &mut self.references,
            _ => &mut Plain,
        };
        let Check { deny, glance, .. } = self.check;
        let sorts = deny.sorts(&text, glance);
        match sorts.and_then(|sorts| deny.redact(&text, sorts, marks, &mut self.tally)) {
            Some(redacted) => write_string(self.out, &redacted),
            None => value.write_canonical(self.out),
        }
    }

    fn array(&mut self, value: Value<'_>, target: Target) {
        self.out.push(b'[');
        let mut first = true;
        for item in value.items() {
            if !keeps(item, target) {
                self.count(ALLOW_LIST);
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.value(item, target);
        }
        self.out.push(b']');
    }

    fn object(&mut self, value: Value<'_>, target: Target) {
        self.out.push(b'{');
        let mut first = true;
        let mut from = 0;
        for (name, member) in value.members() {
            let Some(inner) = self.member(value, target, &name, member, &mut from) else {
                continue;
            };
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            write_string(self.out, &name);
            self.out.push(b':');
            self.value(member, inner);
        }
        self.out.push(b'}');
    }

    /// What a member may hold, or `None`, counted, if it is removed.
    fn member(
        &mut self,
        object: Value<'_>,
        target: Target,
        name: &str,
        member: Value<'_>,
        from: &mut usize,
    ) -> Option<Target> {
        let allow = self.check.allow;
        let (inner, is_map) = match object_type(allow, target) {
            Some(object) => {
                let inner = object.look_up(name, from).filter(|inner| admits(member, *inner));
                let Some(inner) = inner else {
                    self.count(ALLOW_LIST);
                    return None;
                };
                (inner, object.is_map())
            }
            None => {
                if let Some(rule) = drops(object, target, name) {
                    self.count(rule);
                    return None;
                }
                (target, true)
            }
        };
        // A name cannot be replaced without the risk of making it equal to another.
        let denied = if is_map { self.check.denies(name) } else { None };
        match denied {
            Some(rule) => {
                self.count(rule);
                None
            }
            None => Some(inner),
        }
    }

    fn count(&mut self, rule: &str) {
        *self.tally.entry(rule.to_owned()).or_default() += 1;
    }
}

fn object_type(allow: &Allow, target: Target) -> Option<&ObjectType> {
    match target {
        Target::Object(id) => Some(allow.object(id)),
        _ => None,
    }
}

/// Whether a member's value may lie at a place: no object where scalars belong.
fn admits(value: Value<'_>, target: Target) -> bool {
    match target {
        Target::Plain | Target::Reference => is_plain(value),
        // Without the list there is nothing to choose from.
        Target::Properties => value.shape() == Shape::Array || value.is_null(),
        Target::Attachment => !matches!(value.shape(), Shape::String),
        Target::Any | Target::Object(_) => true,
    }
}

fn is_plain(value: Value<'_>) -> bool {
    match value.shape() {
        Shape::Object => false,
        Shape::Array => value.items().all(is_plain),
        _ => true,
    }
}

/// Whether an item of a list is carried.
fn keeps(item: Value<'_>, target: Target) -> bool {
    if target != Target::Properties {
        return true;
    }
    let name = item.str_at(&["name"]).unwrap_or(Cow::Borrowed(""));
    PROPERTY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The rule by which a member of an object that has no table is removed.
fn drops(object: Value<'_>, target: Target, name: &str) -> Option<&'static str> {
    match target {
        Target::Properties if !matches!(name, "name" | "value") => Some(ALLOW_LIST),
        Target::Attachment if !matches!(name, "content" | "contentType" | "encoding") => {
            Some(ALLOW_LIST)
        }
        Target::Attachment if name == "content" => {
            let encoded = object.get("encoding").is_some_and(|value| !value.is_null());
            encoded.then_some(ENCODED_CONTENT)
        }
        _ => None,
    }
}
