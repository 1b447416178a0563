//! The runtime as it was given, for who asks.

use envoy_types::pb::{
    envoy::config::bootstrap::v3::{LayeredRuntime, runtime_layer::LayerSpecifier},
    google::protobuf::{Struct, Value, value::Kind},
};

use super::runtime::as_fraction;
use crate::snapshot::runtime::RuntimeLayers;

/// Of all layers, those without values included.
pub(super) fn of(runtime: Option<&LayeredRuntime>) -> RuntimeLayers {
    let layers = runtime.map(|runtime| &*runtime.layers).unwrap_or_default();
    let mut found = RuntimeLayers {
        names: layers.iter().map(|layer| layer.name.as_str().into()).collect(),
        ..RuntimeLayers::default()
    };
    for (index, layer) in layers.iter().enumerate() {
        if let Some(LayerSpecifier::StaticLayer(members)) = &layer.layer_specifier {
            add(&mut found, index, "", members);
        }
    }
    found
}

/// Members of members have their names joined by dots; an object that is a fraction is a value.
fn add(found: &mut RuntimeLayers, layer: usize, prefix: &str, members: &Struct) {
    for (name, value) in &members.fields {
        let key = format!("{prefix}{name}");
        match &value.kind {
            Some(Kind::StructValue(inner)) if as_fraction(inner).is_none() => {
                add(found, layer, &format!("{key}."), inner);
            }
            _ => {
                let none = || found.names.iter().map(|_| Box::default()).collect();
                let values = found.entries.entry(key.into()).or_insert_with(none);
                if let Some(place) = values.get_mut(layer) {
                    *place = text(value).into();
                }
            }
        }
    }
}

fn text(value: &Value) -> String {
    match &value.kind {
        Some(Kind::StringValue(text)) => text.clone(),
        Some(Kind::BoolValue(value)) => value.to_string(),
        Some(Kind::NumberValue(number)) => general(*number),
        Some(Kind::StructValue(fraction)) => {
            let mut members: Vec<_> =
                fraction.fields.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
            members.sort();
            members.join(", ")
        }
        Some(Kind::ListValue(_) | Kind::NullValue(_)) | None => String::new(),
    }
}

/// With six digits, as printf's `%g` has it and Envoy shows numbers.
fn general(number: f64) -> String {
    let scientific = format!("{number:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        -4..=5 => trimmed(&format!("{number:.*}", usize::try_from(5 - exponent).unwrap_or_default())),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (number, shown) in [
            (0.0, "0"),
            (5.0, "5"),
            (2.5, "2.5"),
            (-0.25, "-0.25"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (1e9, "1e+09"),
            (1_234_567.0, "1.23457e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (100.0, "100"),
        ] {
            assert_eq!(general(number), shown);
        }
    }
}
