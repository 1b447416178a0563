//! Lowers notes on routes, clusters and hosts.

use std::sync::Arc;

use envoy_types::pb::{
    envoy::config::core::v3::Metadata as ProtoMetadata,
    google::protobuf::{Struct, Value as ProtoValue, value::Kind},
};
use serde_json::{Map, Value};

use crate::snapshot::metadata::Metadata;

/// The notes, if there are any.
pub(super) fn lower_metadata(metadata: Option<&ProtoMetadata>) -> Metadata {
    let filters = &metadata?.filter_metadata;
    let notes = filters.iter().map(|(filter, notes)| (filter.clone(), Value::Object(object(notes))));
    (!filters.is_empty()).then(|| Arc::new(Value::Object(notes.collect())))
}

/// The members of an object.
pub(super) fn object(members: &Struct) -> Map<String, Value> {
    members.fields.iter().map(|(name, member)| (name.clone(), value(member))).collect()
}

fn value(proto: &ProtoValue) -> Value {
    match &proto.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::NumberValue(number)) => whole(*number).map_or_else(|| Value::from(*number), Value::from),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::StructValue(members)) => Value::Object(object(members)),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(value).collect()),
    }
}

/// A whole number is written without a point.
fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}
