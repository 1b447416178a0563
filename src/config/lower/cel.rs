//! CEL expressions of the API, for the samplers of traces.

use cel::common::{
    ast::{
        CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue,
        MapEntryExpr, MapExpr, SelectExpr, StructExpr,
    },
    types::{CelBool, CelBytes, CelDouble, CelInt, CelString, CelUInt},
};
use envoy_types::pb::{
    cel::expr::{
        Constant, Expr as ProtoExpr,
        constant::ConstantKind,
        expr::{ExprKind, create_struct::entry::KeyKind},
    },
    xds::r#type::v3::{CelExpression, cel_expression::ExprSpecifier},
};
use prost::Message;

use crate::snapshot::{cel::CelError, otel_sampler::Sampler};

/// A sampler by an expression: checked before parsed, the newer fields before the older ones. Its text, which
/// Envoy 1.40 ignores here, counts only if it is alone.
pub(super) fn sampler(expression: &CelExpression) -> Result<Sampler, CelError> {
    match parsed(expression) {
        Some(expr) => Sampler::cel_ast(&convert(&expr)),
        None if expression.cel_expr_string.is_empty() => Err(CelError::NotSet),
        None => Sampler::cel(&expression.cel_expr_string),
    }
}

/// What an expression has in parsed form; an empty one if its message is there but holds none.
fn parsed(expression: &CelExpression) -> Option<ProtoExpr> {
    if let Some(checked) = &expression.cel_expr_checked {
        return Some(checked.expr.clone().unwrap_or_default());
    }
    if let Some(parsed) = &expression.cel_expr_parsed {
        return Some(parsed.expr.clone().unwrap_or_default());
    }
    // The older messages have the same fields under another name.
    #[expect(deprecated, reason = "Envoy still takes them")]
    let old = match expression.expr_specifier.as_ref()? {
        ExprSpecifier::CheckedExpr(old) => old.expr.as_ref().map(Message::encode_to_vec),
        ExprSpecifier::ParsedExpr(old) => old.expr.as_ref().map(Message::encode_to_vec),
    };
    Some(ProtoExpr::decode(old.unwrap_or_default().as_slice()).unwrap_or_default())
}

fn convert(expr: &ProtoExpr) -> IdedExpr {
    let kind = match expr.expr_kind.as_ref() {
        None => Expr::Unspecified,
        Some(ExprKind::ConstExpr(constant)) => literal(constant),
        Some(ExprKind::IdentExpr(ident)) => Expr::Ident(ident.name.clone()),
        Some(ExprKind::SelectExpr(select)) => Expr::Select(SelectExpr {
            operand: Box::new(part(select.operand.as_deref())),
            field: select.field.clone(),
            test: select.test_only,
        }),
        Some(ExprKind::CallExpr(call)) => Expr::Call(CallExpr {
            func_name: call.function.clone(),
            target: call.target.as_deref().map(|target| Box::new(convert(target))),
            args: call.args.iter().map(convert).collect(),
        }),
        Some(ExprKind::ListExpr(list)) => Expr::List(ListExpr {
            elements: list.elements.iter().map(convert).collect(),
            optional_indices: list
                .optional_indices
                .iter()
                .filter_map(|at| usize::try_from(*at).ok())
                .collect(),
        }),
        // A message, or a map if it has no name. What a message holds does not matter: none is supported.
        Some(ExprKind::StructExpr(message)) if !message.message_name.is_empty() => {
            Expr::Struct(StructExpr { type_name: message.message_name.clone(), entries: Vec::new() })
        }
        Some(ExprKind::StructExpr(map)) => Expr::Map(MapExpr {
            entries: map
                .entries
                .iter()
                .map(|entry| {
                    let key = match &entry.key_kind {
                        Some(KeyKind::MapKey(key)) => convert(key),
                        _ => IdedExpr::default(),
                    };
                    let (value, optional) = (part(entry.value.as_ref()), entry.optional_entry);
                    let entry = EntryExpr::MapEntry(MapEntryExpr { key, value, optional });
                    IdedEntryExpr { id: 0, expr: entry }
                })
                .collect(),
        }),
        Some(ExprKind::ComprehensionExpr(_)) => Expr::Comprehension(Box::<ComprehensionExpr>::default()),
    };
    // Ids lead to places in a text, and there is none.
    IdedExpr { id: 0, expr: kind }
}

fn part(expr: Option<&ProtoExpr>) -> IdedExpr {
    expr.map(convert).unwrap_or_default()
}

fn literal(constant: &Constant) -> Expr {
    Expr::Literal(match constant.constant_kind.as_ref() {
        Some(ConstantKind::NullValue(_)) => LiteralValue::Null,
        Some(ConstantKind::BoolValue(value)) => LiteralValue::Boolean(CelBool::from(*value)),
        Some(ConstantKind::Int64Value(value)) => LiteralValue::Int(CelInt::from(*value)),
        Some(ConstantKind::Uint64Value(value)) => LiteralValue::UInt(CelUInt::from(*value)),
        Some(ConstantKind::DoubleValue(value)) => LiteralValue::Double(CelDouble::from(*value)),
        Some(ConstantKind::StringValue(value)) => LiteralValue::String(CelString::from(value.clone())),
        Some(ConstantKind::BytesValue(value)) => LiteralValue::Bytes(CelBytes::from(value.clone())),
        // Times, which only checkers write.
        _ => return Expr::Unspecified,
    })
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::{
        cel::expr::{CheckedExpr, ParsedExpr},
        google::api::expr::v1alpha1,
    };

    use super::*;

    fn yes() -> ProtoExpr {
        let constant = Constant { constant_kind: Some(ConstantKind::BoolValue(true)) };
        ProtoExpr { id: 1, expr_kind: Some(ExprKind::ConstExpr(constant)) }
    }

    fn call(function: &str) -> ProtoExpr {
        let call = envoy_types::pb::cel::expr::expr::Call { function: function.into(), ..Default::default() };
        ProtoExpr { id: 1, expr_kind: Some(ExprKind::CallExpr(Box::new(call))) }
    }

    fn checked(expr: ProtoExpr) -> Option<CheckedExpr> {
        Some(CheckedExpr { expr: Some(expr), ..CheckedExpr::default() })
    }

    fn parsed_expr(expr: ProtoExpr) -> Option<ParsedExpr> {
        Some(ParsedExpr { expr: Some(expr), ..ParsedExpr::default() })
    }

    #[test]
    fn checked_counts_before_parsed_and_both_before_text() {
        let text = |text: &str| CelExpression { cel_expr_string: text.into(), ..CelExpression::default() };
        assert!(sampler(&text("true")).is_ok());
        assert!(sampler(&CelExpression { cel_expr_parsed: parsed_expr(yes()), ..text("not CEL") }).is_ok());
        let both = CelExpression {
            cel_expr_parsed: parsed_expr(call("nope")),
            cel_expr_checked: checked(yes()),
            ..text("not CEL")
        };
        assert!(sampler(&both).is_ok());
        assert_eq!(sampler(&text("")).err(), Some(CelError::NotSet));
    }

    #[test]
    #[expect(deprecated, reason = "Envoy still takes them")]
    fn the_older_messages_are_read_too() {
        let old = |expr: &ProtoExpr| {
            let expr = v1alpha1::Expr::decode(expr.encode_to_vec().as_slice()).expect("the same fields");
            let parsed = v1alpha1::ParsedExpr { expr: Some(expr), ..v1alpha1::ParsedExpr::default() };
            let specifier = Some(ExprSpecifier::ParsedExpr(parsed));
            CelExpression { expr_specifier: specifier, ..CelExpression::default() }
        };
        assert!(sampler(&old(&yes())).is_ok());
        assert_eq!(sampler(&old(&call("nope"))).err(), Some(CelError::Function("nope".into())));
    }

    #[test]
    fn a_parsed_expression_that_holds_nothing_is_refused() {
        let empty =
            CelExpression { cel_expr_parsed: Some(ParsedExpr::default()), ..CelExpression::default() };
        assert_eq!(sampler(&empty).err(), Some(CelError::Unsupported("empty expressions")));
    }
}
