//! A document as a tree, before anything is known of its meaning. YAML and JSON come out alike.
//!
//! serde_yaml tells where something stands only in the errors that are raised while it reads it. So each node
//! and key has a number, and to locate some of them the text is read again: at each wanted key an error is raised,
//! and caught again one level up, where reading goes on.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    fmt,
};

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
    /// The nodes and keys along the way, the last being where it ended.
    pub(super) trail: Vec<u32>,
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

/// Where each of the nodes and keys numbered `wanted` stands.
///
/// JSON is read as the YAML that it is, because only serde_yaml tells where a key stands.
pub(super) fn positions(text: &str, wanted: HashSet<u32>) -> HashMap<u32, (usize, usize)> {
    let counter = Counter { wanted, ..Counter::default() };
    match read(text, Format::Yaml, &counter) {
        Ok(_) => counter.found.into_inner(),
        Err(_) => HashMap::new(),
    }
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
        let mut trail = vec![node.place];
        for (depth, step) in steps.iter().enumerate() {
            let entry = match (step, &node.kind) {
                // The last of several: of a key that is given twice the second is at fault.
                (Step::Field(name), NodeKind::Map(entries)) => {
                    entries.iter().rev().find(|entry| is_field(&entry.key, name))
                }
                (Step::Key(key), NodeKind::Map(entries)) => {
                    entries.iter().rev().find(|entry| entry.key == *key)
                }
                (Step::Index(index), NodeKind::List(items)) => {
                    let Some(item) = items.get(*index) else {
                        return Found { trail, depth, items: Some(items.len()) };
                    };
                    trail.push(item.place);
                    node = item;
                    continue;
                }
                // A single value where a list is expected is the list's first item.
                (Step::Index(0), _) => continue,
                (Step::Index(_), _) => return Found { trail, depth, items: Some(1) },
                _ => None,
            };
            let Some(entry) = entry else { return Found { trail, depth, items: None } };
            trail.push(entry.place);
            node = &entry.value;
        }
        Found { trail, depth: steps.len(), items: None }
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

/// Numbers the nodes and keys, and notes where the wanted ones stand.
#[derive(Default)]
struct Counter {
    next: Cell<u32>,
    wanted: HashSet<u32>,
    found: RefCell<HashMap<u32, (usize, usize)>>,
}

/// What the error says that is raised to learn a position.
const HERE: &str = "a position is wanted here";

impl Counter {
    fn number(&self) -> u32 {
        let place = self.next.get();
        self.next.set(place.saturating_add(1));
        place
    }

    /// The number of a scalar; an error if its position is wanted.
    fn number_or_stop<E: de::Error>(&self) -> Result<u32, E> {
        let place = self.number();
        if self.wanted.contains(&place) { Err(E::custom(HERE)) } else { Ok(place) }
    }

    /// Note that the scalar at which `error` was raised is the node `place`. Other errors are passed on.
    fn note<E: de::Error>(&self, place: u32, error: E) -> Result<(), E> {
        let text = error.to_string();
        let Some((_, position)) = text.rsplit_once(HERE) else { return Err(error) };
        let mut numbers = position.split(' ').filter_map(|word| word.parse().ok());
        // The very first place of a document is not told.
        let line_column = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
        self.found.borrow_mut().insert(place, line_column);
        Ok(())
    }

    /// Note that a map stands where its first key does.
    fn note_same(&self, place: u32, key: u32) {
        let mut found = self.found.borrow_mut();
        if let Some(line_column) = found.get(&key).copied() {
            found.insert(place, line_column);
        }
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
        Ok(Node { place: self.0.number_or_stop()?, kind })
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
        let place = self.0.number();
        let mut items = Vec::new();
        loop {
            let upcoming = self.0.next.get();
            match list.next_element_seed(NodeSeed(self.0)) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => self.0.note(upcoming, error)?,
            }
        }
        Ok(Node { place, kind: NodeKind::List(items) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let place = self.0.number();
        let mut stop = self.0.wanted.contains(&place);
        let mut entries = Vec::new();
        loop {
            let upcoming = self.0.next.get();
            let key = match map.next_key_seed(KeySeed { counter: self.0, stop }) {
                Ok(Some(key)) => key,
                Ok(None) => break,
                Err(error) => {
                    self.0.note(upcoming, error)?;
                    Key::Ignored
                }
            };
            if std::mem::take(&mut stop) {
                self.0.note_same(place, upcoming);
            }
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

struct KeySeed<'a> {
    counter: &'a Counter,
    /// Raise an error at this key, wanted or not.
    stop: bool,
}

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
        let place = self.counter.number_or_stop()?;
        if self.stop { Err(E::custom(HERE)) } else { Ok(Key::Named { place, key: key.to_string() }) }
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
        let key = value.newtype_variant_seed(self)?;
        Ok(if tag.trim_start_matches('!') == "ignore" { Key::Ignored } else { key })
    }
}
