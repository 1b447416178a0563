//! What is to be checked of each message type, worked out when the type is first met.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use envoy_types::pb::validate::FieldRules;
use prost_reflect::{ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Value};

use super::{
    api,
    supported::{self, MessageRow, Support},
};

/// The schemas of the message types met so far.
pub(super) struct Schemas {
    /// The table's rows by message; more than one where the place matters.
    rows: HashMap<&'static str, Vec<&'static MessageRow>>,
    /// By message and, for those whose place matters, the place.
    known: RefCell<HashMap<(String, &'static str), Rc<Schema>>>,
    options: Options,
}

/// What is to be checked of a message type.
pub(super) struct Schema {
    pub(super) name: String,
    /// Short name, which places are made of.
    short_name: String,
    /// Whether the table lists it. Protobuf's own messages need no listing.
    pub(super) listed: bool,
    /// The oneofs of which one field must be set.
    pub(super) required: Vec<OneofDescriptor>,
    /// The fields that have rules.
    pub(super) rules: Vec<(FieldDescriptor, FieldRules)>,
    pub(super) fields: HashMap<u32, FieldSchema>,
}

/// What is known of a field.
pub(super) struct FieldSchema {
    name: String,
    pub(super) support: Option<Support>,
    /// How often it was met and honoured.
    pub(super) honoured: Cell<usize>,
    child: OnceCell<Rc<Schema>>,
}

/// The options by which the API states its rules.
struct Options {
    rules: Option<ExtensionDescriptor>,
    required: Option<ExtensionDescriptor>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let mut rows: HashMap<_, Vec<_>> = HashMap::new();
        for row in supported::table() {
            rows.entry(row.message).or_default().push(row);
        }
        let options = Options {
            rules: api::extension("validate.rules"),
            required: api::extension("validate.required"),
        };
        Self { rows, known: RefCell::default(), options }
    }

    /// The schema of a message that stands alone or in an Any.
    pub(super) fn of(&self, message: &MessageDescriptor) -> Rc<Schema> {
        self.find(message, None)
    }

    /// The schema of the message in `field` of a message with the schema `parent`.
    pub(super) fn of_child(
        &self,
        parent: &Schema,
        field: &FieldDescriptor,
        message: &MessageDescriptor,
    ) -> Rc<Schema> {
        match parent.fields.get(&field.number()) {
            Some(known) => Rc::clone(known.child.get_or_init(|| {
                self.find(message, Some(&format!("{}.{}", parent.short_name, field.name())))
            })),
            None => self.of(message),
        }
    }

    /// All schemas, in no order.
    pub(super) fn into_known(self) -> impl Iterator<Item = Rc<Schema>> {
        self.known.into_inner().into_values()
    }

    fn find(&self, message: &MessageDescriptor, place: Option<&str>) -> Rc<Schema> {
        let rows = self.rows.get(message.full_name()).map(Vec::as_slice).unwrap_or_default();
        let placed = rows.iter().find(|row| row.place.is_some() && row.place == place);
        let row = placed.or_else(|| rows.iter().find(|row| row.place.is_none())).copied();

        let key = (message.full_name().to_owned(), row.and_then(|row| row.place).unwrap_or_default());
        if let Some(known) = self.known.borrow().get(&key) {
            return Rc::clone(known);
        }
        let schema = Rc::new(Schema::new(message, row, &self.options));
        self.known.borrow_mut().insert(key, Rc::clone(&schema));
        schema
    }
}

impl Schema {
    fn new(message: &MessageDescriptor, row: Option<&MessageRow>, options: &Options) -> Self {
        let rows = row.map(|row| row.rows).unwrap_or_default();
        let support_of = |field: &FieldDescriptor| {
            rows.iter().find(|row| row.fields.contains(&field.name())).map(|row| row.support)
        };
        let fields = message.fields().map(|field| {
            let support = support_of(&field);
            let name = field.name().to_owned();
            let schema = FieldSchema { name, support, honoured: Cell::new(0), child: OnceCell::new() };
            (field.number(), schema)
        });
        Self {
            name: message.full_name().to_owned(),
            short_name: message.name().to_owned(),
            listed: row.is_some() || supported::is_whole(message.full_name()),
            required: message.oneofs().filter(|oneof| options.is_required(oneof)).collect(),
            rules: message.fields().filter_map(|field| options.rules_of(&field)).collect(),
            fields: fields.collect(),
        }
    }

    /// How often each field was met and honoured.
    pub(super) fn honoured(&self) -> impl Iterator<Item = (&str, usize)> {
        let counts = self.fields.values().map(|field| (field.name.as_str(), field.honoured.get()));
        counts.filter(|(_, count)| *count > 0)
    }
}

impl Options {
    fn rules_of(&self, field: &FieldDescriptor) -> Option<(FieldDescriptor, FieldRules)> {
        // Most fields have no options at all, and asking for them is not cheap.
        field.field_descriptor_proto().options.as_ref()?;
        let options = field.options();
        let extension = self.rules.as_ref().filter(|extension| options.has_extension(extension))?;
        let rules = options.get_extension(extension).as_message()?.transcode_to().ok()?;
        Some((field.clone(), rules))
    }

    fn is_required(&self, oneof: &OneofDescriptor) -> bool {
        self.required
            .as_ref()
            .is_some_and(|extension| matches!(*oneof.options().get_extension(extension), Value::Bool(true)))
    }
}

/// The type of the messages in a field: its own, its items', or its entries'.
pub(super) fn message_in(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind().as_message().cloned(),
        Kind::Message(message) => Some(message),
        _ => None,
    }
}
