//! Allow-lists: which members of a format's documents are carried.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, json};

use super::tables;
use crate::Format;

/// Index of an object type within an [`Allow`].
pub(super) type TypeId = usize;

/// What may lie at a place of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Scalars and lists of scalars. An object here is not allowed.
    Plain,
    /// As [`Target::Plain`], but the text names another place of the document, so that two texts
    /// must not become one.
    Reference,
    /// Whatever is there; deny rules apply to texts and member names alike.
    Any,
    /// Objects of a type, or lists of them.
    Object(TypeId),
    /// A list of CycloneDX properties, of which those of known name spaces are carried.
    Properties,
    /// A CycloneDX attachment, whose content is carried if it can be read, that is, if it is not
    /// encoded.
    Attachment,
}

/// The members of one object type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ObjectType {
    name: String,
    /// Sorted in canonical order, which is byte order for these ASCII names.
    members: Vec<(String, Target)>,
    /// What members with other names hold, for objects that are maps.
    rest: Option<Target>,
}

/// The allow-list of one format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allow {
    types: Vec<ObjectType>,
}

/// Why a path cannot be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathFault {
    /// Not `/name/name…`.
    Syntax,
    /// A step before the last is no object that the format knows.
    NoObject(String),
    /// The last step is already carried.
    AlreadyAllowed,
}

impl ObjectType {
    /// Where the member belongs, or `None` if it is not allowed. `from` is where to look on:
    /// members are asked for in canonical order.
    pub(super) fn look_up(&self, name: &str, from: &mut usize) -> Option<Target> {
        while let Some((known, target)) = self.members.get(*from) {
            match known.as_bytes().cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => *from += 1,
                std::cmp::Ordering::Equal => return Some(*target),
                std::cmp::Ordering::Greater => break,
            }
        }
        self.rest
    }

    /// Whether the type is a map, whose member names are data.
    pub(super) fn is_map(&self) -> bool {
        self.rest.is_some()
    }
}

impl Allow {
    /// The standard allow-list of a format; `None` if the format has none.
    pub(super) fn standard(format: Format) -> Option<Allow> {
        Some(Allow::read(&tables::of(format)?))
    }

    /// The list that allows everything.
    pub(super) fn everything() -> Allow {
        let root = ObjectType { rest: Some(Target::Any), ..ObjectType::default() };
        Allow { types: vec![root] }
    }

    pub(super) fn object(&self, id: TypeId) -> &ObjectType {
        &self.types[id]
    }

    /// The type of the document.
    pub(super) fn root(&self) -> TypeId {
        0
    }

    /// Reads a table of lines `Type: member member=Target …`, the document first.
    fn read(lines: &[Cow<'static, str>]) -> Allow {
        let lines: Vec<(&str, &str)> =
            lines.iter().filter_map(|line| line.split_once(": ")).collect();
        let ids: BTreeMap<&str, TypeId> =
            lines.iter().enumerate().map(|(id, (name, _))| (*name, id)).collect();
        let target = |text: &str| match text {
            "reference" => Target::Reference,
            "any" => Target::Any,
            "properties" => Target::Properties,
            "attachment" => Target::Attachment,
            // A test holds every table to name only types that it has.
            name => ids.get(name).map_or(Target::Plain, |id| Target::Object(*id)),
        };
        let object = |(name, members): &(&str, &str)| {
            let mut object = ObjectType { name: (*name).to_owned(), ..ObjectType::default() };
            for member in members.split_ascii_whitespace() {
                let (name, target) = match member.split_once('=') {
                    Some((name, text)) => (name, target(text)),
                    None => (member, Target::Plain),
                };
                match name {
                    "<any>" => object.rest = Some(target),
                    _ => object.members.push((name.to_owned(), target)),
                }
            }
            object.members.sort_by(|(left, _), (right, _)| left.cmp(right));
            object
        };
        Allow { types: lines.iter().map(object).collect() }
    }

    /// Allows one more member, given as `/name/name…` without the positions in lists; whatever it
    /// holds is carried. A type that occurs in several places has the member in all of them.
    pub(super) fn add(&mut self, path: &str) -> Result<(), PathFault> {
        let steps = path.strip_prefix('/').ok_or(PathFault::Syntax)?;
        let steps: Vec<String> =
            steps.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let Some((last, before)) = steps.split_last() else { return Err(PathFault::Syntax) };
        if steps.iter().any(String::is_empty) {
            return Err(PathFault::Syntax);
        }
        let mut at = self.root();
        for step in before {
            at = match self.types[at].look_up(step, &mut 0) {
                Some(Target::Object(next)) => next,
                _ => return Err(PathFault::NoObject(step.clone())),
            };
        }
        let object = &mut self.types[at];
        let place = object.members.binary_search_by(|(name, _)| name.cmp(last));
        match place {
            Ok(found) if object.members[found].1 == Target::Any => Err(PathFault::AlreadyAllowed),
            Ok(found) => {
                object.members[found].1 = Target::Any;
                Ok(())
            }
            Err(place) => {
                object.members.insert(place, (last.clone(), Target::Any));
                Ok(())
            }
        }
    }

    /// The list as it enters the digest of the rules.
    pub(super) fn describe(&self) -> serde_json::Value {
        let types: Map<String, serde_json::Value> = self
            .types
            .iter()
            .map(|object| (object.name.clone(), json!(self.members(object))))
            .collect();
        types.into()
    }

    /// The members of a type as the table writes them.
    fn members(&self, object: &ObjectType) -> Vec<String> {
        let rest = object.rest.iter().map(|target| ("<any>", *target));
        let known = object.members.iter().map(|(name, target)| (name.as_str(), *target));
        rest.chain(known)
            .map(|(name, target)| match target {
                Target::Plain => name.to_owned(),
                Target::Reference => format!("{name}=reference"),
                Target::Any => format!("{name}=any"),
                Target::Properties => format!("{name}=properties"),
                Target::Attachment => format!("{name}=attachment"),
                Target::Object(id) => format!("{name}={}", self.types[id].name),
            })
            .collect()
    }
}
