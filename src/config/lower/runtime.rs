//! The static layers of `layered_runtime`: keys that stand above the fields they name.

use std::{cell::Cell, collections::BTreeMap};

use envoy_types::pb::{
    envoy::{
        config::bootstrap::v3::{LayeredRuntime, runtime_layer::LayerSpecifier},
        r#type::v3::fractional_percent::DenominatorType,
    },
    google::protobuf::{Struct, Value, value::Kind},
};

use crate::snapshot::route::Fraction;

/// The runtime keys of a bootstrap, later layers over earlier ones. `LayeredRuntime`.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    values: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    /// Somebody has asked for it.
    read: Cell<bool>,
}

impl Runtime {
    /// Of a bootstrap's static layers.
    pub(super) fn of(runtime: Option<&LayeredRuntime>) -> Self {
        let mut found = Self::default();
        for layer in runtime.into_iter().flat_map(|runtime| &runtime.layers) {
            if let Some(LayerSpecifier::StaticLayer(layer)) = &layer.layer_specifier {
                found.add("", layer);
            }
        }
        found
    }

    /// Members of members have their names joined by dots; an object that is a fraction is a value.
    fn add(&mut self, prefix: &str, members: &Struct) {
        for (name, value) in &members.fields {
            let key = format!("{prefix}{name}");
            match &value.kind {
                Some(Kind::StructValue(inner)) if as_fraction(inner).is_none() => {
                    self.add(&format!("{key}."), inner);
                }
                _ => {
                    let entry = Entry { value: value.clone(), read: Cell::new(false) };
                    self.values.insert(key, entry);
                }
            }
        }
    }

    /// Keys that nobody asked for, and that therefore have no effect.
    pub(super) fn unread(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter(|(_, entry)| !entry.read.get()).map(|(key, _)| key.as_str())
    }

    fn kind(&self, key: &str) -> Option<&Kind> {
        let entry = self.values.get(key)?;
        entry.read.set(true);
        entry.value.kind.as_ref()
    }

    /// A whole number.
    pub(super) fn integer(&self, key: &str) -> Option<u64> {
        match self.kind(key)? {
            Kind::NumberValue(number) => whole(*number),
            Kind::StringValue(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A switch.
    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        match self.kind(key)? {
            Kind::BoolValue(value) => Some(*value),
            Kind::StringValue(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A share: a `FractionalPercent`, or a number, which is of 100.
    pub(super) fn fraction(&self, key: &str) -> Option<Fraction> {
        if let Some(Kind::StructValue(members)) = self.kind(key) {
            return as_fraction(members);
        }
        let percent = u32::try_from(self.integer(key)?).unwrap_or(u32::MAX);
        Some(Fraction { numerator: percent, denominator: 100 })
    }
}

/// The fraction that an object is, if it is one.
pub(super) fn as_fraction(members: &Struct) -> Option<Fraction> {
    let known = |name: &str| matches!(name, "numerator" | "denominator");
    if members.fields.is_empty() || !members.fields.keys().all(|name| known(name)) {
        return None;
    }
    let numerator = match members.fields.get("numerator").map(|value| &value.kind) {
        None => 0,
        Some(Some(Kind::NumberValue(number))) => u32::try_from(whole(*number)?).ok()?,
        Some(_) => return None,
    };
    let denominator = match members.fields.get("denominator").map(|value| &value.kind) {
        None => DenominatorType::Hundred,
        Some(Some(Kind::StringValue(name))) => DenominatorType::from_str_name(name)?,
        Some(_) => return None,
    };
    Some(Fraction { numerator, denominator: super::route::denominator(denominator) })
}

/// The number, without what is behind the point, if it is not negative.
fn whole(number: f64) -> Option<u64> {
    let in_range = (0.0..9e15).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut off, and in range")]
    in_range.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::bootstrap::v3::RuntimeLayer;

    use super::*;

    fn number(number: f64) -> Value {
        Value { kind: Some(Kind::NumberValue(number)) }
    }

    fn members(list: impl IntoIterator<Item = (&'static str, Value)>) -> Struct {
        Struct { fields: list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
    }

    fn runtime(layers: impl IntoIterator<Item = Struct>) -> Runtime {
        let layer = |layer| RuntimeLayer {
            name: "layer".into(),
            layer_specifier: Some(LayerSpecifier::StaticLayer(layer)),
        };
        Runtime::of(Some(&LayeredRuntime { layers: layers.into_iter().map(layer).collect() }))
    }

    #[test]
    fn a_key_may_be_written_with_dots_or_as_members() {
        let nested = Value { kind: Some(Kind::StructValue(members([("client_enabled", number(7.0))]))) };
        let both = [members([("tracing.global_enabled", number(5.0)), ("tracing", nested)])];
        let runtime = runtime(both);
        assert_eq!(runtime.integer("tracing.client_enabled"), Some(7));
        assert_eq!(runtime.integer("tracing.global_enabled"), Some(5));
        assert_eq!(runtime.integer("tracing.random_sampling"), None);
    }

    #[test]
    fn a_later_layer_wins() {
        let runtime = runtime([members([("a", number(1.0))]), members([("a", number(2.0))])]);
        assert_eq!(runtime.integer("a"), Some(2));
    }

    #[test]
    fn a_share_is_a_fraction_or_a_percentage() {
        let million = Value { kind: Some(Kind::StringValue("MILLION".into())) };
        let share = members([("numerator", number(3.0)), ("denominator", million)]);
        let share = Value { kind: Some(Kind::StructValue(share)) };
        let runtime = runtime([members([("a", share), ("b", number(50.0)), ("c", number(0.5))])]);
        assert_eq!(runtime.fraction("a"), Some(Fraction { numerator: 3, denominator: 1_000_000 }));
        assert_eq!(runtime.fraction("b"), Some(Fraction { numerator: 50, denominator: 100 }));
        assert_eq!(runtime.fraction("c"), Some(Fraction { numerator: 0, denominator: 100 }));
    }
}
