//! A document as a tree, before anything is known of its meaning. YAML and JSON come out alike.
//!
//! serde_yaml tells where something stands only in the errors that are raised while it reads it. So each node
//! and key has a number, and to locate one the text is read again and given up at that number.

use std::{cell::Cell, fmt};

use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{document::Format, path::Step};

/// How many brackets may be open at once in YAML.
const MAX_BRACKETS: usize = 1000;

/// What a document says.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) root: Node,
}

/// A value.
#[derive(Debug, Default)]
pub(super) struct Node {
    place: u32,
    pub(super) kind: NodeKind,
}

/// The kinds of values that YAML and JSON share.
#[derive(Debug, Default)]
pub(super) enum NodeKind {
    #[default]
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl From<NodeKind> for Node {
    /// A value that stands nowhere.
    fn from(kind: NodeKind) -> Self {
        Self { place: 0, kind }
    }
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    place: u32,
    pub(super) key: String,
    pub(super) value: Node,
}

/// Why a text is neither YAML nor JSON.
pub(super) struct SyntaxError {
    pub(super) reason: String,
    pub(super) line_column: Option<(usize, usize)>,
}

/// How far a path could be followed.
pub(super) struct Found {
    /// The node or key where it ended.
    pub(super) place: u32,
    /// How many steps were taken.
    pub(super) depth: usize,
    /// The length of the list that ended too early, if that is why it ended.
    pub(super) items: Option<usize>,
}

/// Read `text`.
pub(super) fn parse(text: &str, format: Format) -> Result<Tree, SyntaxError> {
    if format == Format::Yaml && is_nested_too_deeply(text) {
        let reason = format!("is nested more than {MAX_BRACKETS} levels deep");
        return Err(SyntaxError { reason, line_column: None });
    }
    let counter = Counter::default();
    Ok(Tree { root: read(text, format, &counter)? })
}

/// Whether more brackets are open at once than any configuration has. The reader of YAML refuses far less, but
/// only after a time that grows with the square of the depth. Brackets in quotes count too, which does no harm.
fn is_nested_too_deeply(text: &str) -> bool {
    let mut open = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_BRACKETS
    })
}

/// Where the node or key numbered `place` stands, by reading `text` up to there.
pub(super) fn line_column(text: &str, format: Format, place: u32) -> Option<(usize, usize)> {
    let counter = Counter { next: Cell::new(0), stop_at: Some(place) };
    read(text, format, &counter).err()?.line_column
}

fn read(text: &str, format: Format, counter: &Counter) -> Result<Node, SyntaxError> {
    match format {
        Format::Yaml => {
            NodeSeed(counter).deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
                let line_column = error.location().map(|location| (location.line(), location.column()));
                SyntaxError::new(&error, line_column)
            })
        }
        Format::Json => {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            NodeSeed(counter)
                .deserialize(&mut deserializer)
                .and_then(|node| deserializer.end().map(|()| node))
                .map_err(|error| SyntaxError::new(&error, Some((error.line(), error.column()))))
        }
    }
}

impl SyntaxError {
    /// The reader's message, without the position it ends with: that is told in front.
    fn new(error: &dyn fmt::Display, line_column: Option<(usize, usize)>) -> Self {
        let mut reason = error.to_string();
        if let Some((line, column)) = line_column {
            let place = format!(" at line {line} column {column}");
            reason = reason.replace(&place, "");
        }
        Self { reason, line_column }
    }
}

impl Tree {
    /// Follow `steps` as far as they go.
    pub(super) fn find(&self, steps: &[Step]) -> Found {
        let mut node = &self.root;
        let mut place = node.place;
        for (depth, step) in steps.iter().enumerate() {
            let next = match (step, &node.kind) {
                // The last of several: of a key that is given twice the second is at fault.
                (Step::Field(name), NodeKind::Map(entries)) => {
                    entries.iter().rev().find(|entry| is_field(&entry.key, name))
                }
                (Step::Key(key), NodeKind::Map(entries)) => {
                    entries.iter().rev().find(|entry| entry.key == *key)
                }
                (Step::Index(index), NodeKind::List(items)) => match items.get(*index) {
                    Some(item) => {
                        (node, place) = (item, item.place);
                        continue;
                    }
                    None => return Found { place, depth, items: Some(items.len()) },
                },
                // A single value where a list is expected is the list's first item.
                (Step::Index(0), _) => continue,
                (Step::Index(_), _) => return Found { place, depth, items: Some(1) },
                _ => None,
            };
            match next {
                Some(entry) => (node, place) = (&entry.value, entry.place),
                None => return Found { place, depth, items: None },
            }
        }
        Found { place, depth: steps.len(), items: None }
    }
}

/// Whether `key` is the field `name`, in snake_case or camelCase.
fn is_field(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    let mut expected = name.chars();
    key.chars().all(|found| match expected.next() {
        Some('_') => expected.next().is_some_and(|letter| letter.to_ascii_uppercase() == found),
        letter => letter == Some(found),
    }) && expected.next().is_none()
}

/// Numbers the nodes and keys, and gives up at one.
#[derive(Default)]
struct Counter {
    next: Cell<u32>,
    stop_at: Option<u32>,
}

impl Counter {
    fn number<E: de::Error>(&self) -> Result<u32, E> {
        let place = self.next.get();
        if self.stop_at == Some(place) {
            return Err(E::custom("here"));
        }
        self.next.set(place.saturating_add(1));
        Ok(place)
    }
}

struct NodeSeed<'a>(&'a Counter);

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl NodeSeed<'_> {
    fn scalar<E: de::Error>(&self, kind: NodeKind) -> Result<Node, E> {
        Ok(Node { place: self.0.number()?, kind })
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        self.scalar(NodeKind::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        self.scalar(NodeKind::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        self.scalar(NodeKind::Signed(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        self.scalar(NodeKind::Unsigned(value))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        self.scalar(NodeKind::Float(value as f64))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Node, E> {
        self.scalar(NodeKind::Float(value as f64))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        self.scalar(NodeKind::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        self.scalar(NodeKind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let place = self.0.number()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(NodeSeed(self.0))? {
            items.push(item);
        }
        Ok(Node { place, kind: NodeKind::List(items) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let place = self.0.number()?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(KeySeed(self.0))? {
            let value = map.next_value_seed(NodeSeed(self.0))?;
            if let Key::Named { place, key } = key {
                entries.push(Entry { place, key, value });
            }
        }
        Ok(Node { place, kind: NodeKind::Map(entries) })
    }

    /// A YAML tag such as `!foo`. It has no meaning in the API; the value counts.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        let (_tag, value) = tagged.variant::<String>()?;
        value.newtype_variant_seed(self)
    }
}

struct KeySeed<'a>(&'a Counter);

enum Key {
    Named {
        place: u32,
        key: String,
    },
    /// Tagged `!ignore`, which is how Envoy lets a file define anchors without setting a field.
    Ignored,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl KeySeed<'_> {
    fn named<E: de::Error>(&self, key: impl ToString) -> Result<Key, E> {
        Ok(Key::Named { place: self.0.number()?, key: key.to_string() })
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name or the key of a map")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key, E> {
        self.named(key)
    }

    fn visit_bool<E: de::Error>(self, key: bool) -> Result<Key, E> {
        self.named(key)
    }

    fn visit_i64<E: de::Error>(self, key: i64) -> Result<Key, E> {
        self.named(key)
    }

    fn visit_u64<E: de::Error>(self, key: u64) -> Result<Key, E> {
        self.named(key)
    }

    fn visit_f64<E: de::Error>(self, key: f64) -> Result<Key, E> {
        self.named(key)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Key, A::Error> {
        let (tag, value) = tagged.variant::<String>()?;
        let key = value.newtype_variant_seed(KeySeed(self.0))?;
        Ok(if tag.trim_start_matches('!') == "ignore" { Key::Ignored } else { key })
    }
}
