//! Rules about numbers, texts, enums and times.

use std::{fmt::Display, net::IpAddr};

use envoy_types::pb::google::protobuf::Duration;
use envoy_types::pb::validate::{
    BytesRules, DurationRules, EnumRules, KnownRegex, StringRules, field_rules::Type, string_rules::WellKnown,
};
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

/// What all numeric rules share. They are different types with the same fields.
macro_rules! bounds {
    ($value:expr, $rules:expr) => {{
        let (value, rules) = ($value, $rules);
        if rules.ignore_empty() && is_default(value) {
            None
        } else {
            let bounds = Bounds { lt: rules.lt, lte: rules.lte, gt: rules.gt, gte: rules.gte };
            rules
                .r#const
                .filter(|expected| expected != value)
                .map(|expected| format!("must be {expected}, and is {value}"))
                .or_else(|| bounds.broken(value))
                .or_else(|| among(value, &rules.r#in, &rules.not_in))
        }
    }};
}

/// The rule that a scalar breaks, if any.
pub(super) fn value(value: &Value, rule: &Type, enum_has: &dyn Fn(i32) -> bool) -> Option<String> {
    match (rule, value) {
        (Type::Float(rules), Value::F32(value)) => bounds!(value, rules),
        (Type::Double(rules), Value::F64(value)) => bounds!(value, rules),
        (Type::Int32(rules), Value::I32(value)) => bounds!(value, rules),
        (Type::Sint32(rules), Value::I32(value)) => bounds!(value, rules),
        (Type::Sfixed32(rules), Value::I32(value)) => bounds!(value, rules),
        (Type::Int64(rules), Value::I64(value)) => bounds!(value, rules),
        (Type::Sint64(rules), Value::I64(value)) => bounds!(value, rules),
        (Type::Sfixed64(rules), Value::I64(value)) => bounds!(value, rules),
        (Type::Uint32(rules), Value::U32(value)) => bounds!(value, rules),
        (Type::Fixed32(rules), Value::U32(value)) => bounds!(value, rules),
        (Type::Uint64(rules), Value::U64(value)) => bounds!(value, rules),
        (Type::Fixed64(rules), Value::U64(value)) => bounds!(value, rules),
        (Type::Bool(rules), Value::Bool(value)) => {
            rules.r#const.filter(|expected| expected != value).map(|expected| format!("must be {expected}"))
        }
        (Type::String(rules), Value::String(value)) => text(value, rules),
        (Type::Bytes(rules), Value::Bytes(value)) => bytes(value, rules),
        (Type::Enum(rules), Value::EnumNumber(number)) => enumeration(*number, rules, enum_has),
        _ => None,
    }
}

/// The rule that a wrapper or a time breaks, if any.
pub(super) fn message(message: &DynamicMessage, rule: &Type) -> Option<String> {
    match (message.descriptor().full_name(), rule) {
        ("google.protobuf.Duration", Type::Duration(rules)) => duration(message, rules),
        ("google.protobuf.Any", Type::Any(rules)) => {
            let type_url = message.get_field_by_name("type_url")?;
            let type_url = type_url.as_str()?.to_owned();
            among(&type_url, &rules.r#in, &rules.not_in)
        }
        (name, _) if name.starts_with("google.protobuf.") => {
            value(&*message.get_field_by_name("value")?, rule, &|_| true)
        }
        _ => None,
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

struct Bounds<T> {
    lt: Option<T>,
    lte: Option<T>,
    gt: Option<T>,
    gte: Option<T>,
}

impl<T: PartialOrd + Display> Bounds<T> {
    /// A lower bound above the upper one means: outside of both.
    fn broken(&self, value: &T) -> Option<String> {
        self.broken_as(value, T::to_string)
    }

    fn broken_as(&self, value: &T, show: impl Fn(&T) -> String) -> Option<String> {
        let below = self.lt.as_ref().map(|lt| (value < lt, format!("less than {}", show(lt))));
        let below =
            below.or_else(|| self.lte.as_ref().map(|lte| (value <= lte, format!("at most {}", show(lte)))));
        let above = self.gt.as_ref().map(|gt| (value > gt, format!("greater than {}", show(gt))));
        let above =
            above.or_else(|| self.gte.as_ref().map(|gte| (value >= gte, format!("at least {}", show(gte)))));
        let upper = self.lt.as_ref().or(self.lte.as_ref());
        let lower = self.gt.as_ref().or(self.gte.as_ref());
        let outside = matches!((lower, upper), (Some(lower), Some(upper)) if lower > upper);
        let (kept, expected) = match (above, below) {
            (None, None) => return None,
            (Some((kept, text)), None) | (None, Some((kept, text))) => (kept, text),
            (Some((a, above)), Some((b, below))) if outside => (a || b, format!("{below} or {above}")),
            (Some((a, above)), Some((b, below))) => (a && b, format!("{above} and {below}")),
        };
        (!kept).then(|| format!("must be {expected}, and is {}", show(value)))
    }
}

fn among<T: PartialEq + Display>(value: &T, allowed: &[T], excluded: &[T]) -> Option<String> {
    let list = |values: &[T]| values.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    if !allowed.is_empty() && !allowed.contains(value) {
        return Some(format!("must be one of {}, and is {value}", list(allowed)));
    }
    excluded.contains(value).then(|| format!("must not be {value}"))
}

fn text(value: &str, rules: &StringRules) -> Option<String> {
    if value.is_empty() && rules.ignore_empty() {
        return None;
    }
    let (chars, bytes) = (value.chars().count() as u64, value.len() as u64);
    let length = length(chars, rules.len, rules.min_len, rules.max_len, "characters");
    let size = || self::length(bytes, rules.len_bytes, rules.min_bytes, rules.max_bytes, "bytes");
    length.or_else(size).or_else(|| content(value, rules)).or_else(|| well_known(value, rules))
}

fn length(length: u64, exact: Option<u64>, min: Option<u64>, max: Option<u64>, unit: &str) -> Option<String> {
    if length == 0 && min == Some(1) {
        return Some("must not be empty".to_owned());
    }
    if let Some(exact) = exact.filter(|exact| length != *exact) {
        return Some(format!("must have {exact} {unit}, and has {length}"));
    }
    let bounds = Bounds { lt: None, lte: max, gt: None, gte: min };
    bounds
        .broken(&length)
        .map(|reason| reason.replace("must be", "must have").replace("and is", "and has") + " " + unit)
}

fn content(value: &str, rules: &StringRules) -> Option<String> {
    let part = |rule: &Option<String>, kept: fn(&str, &str) -> bool, verb: &str| {
        let part = rule.as_ref().filter(|part| !kept(value, part))?;
        Some(format!("must {verb} {part:?}"))
    };
    part(&rules.r#const, |value, expected| value == expected, "be")
        .or_else(|| part(&rules.prefix, |value, prefix| value.starts_with(prefix), "start with"))
        .or_else(|| part(&rules.suffix, |value, suffix| value.ends_with(suffix), "end with"))
        .or_else(|| part(&rules.contains, |value, part| value.contains(part), "contain"))
        .or_else(|| part(&rules.not_contains, |value, part| !value.contains(part), "not contain"))
        .or_else(|| part(&rules.pattern, matches_pattern, "match"))
        .or_else(|| among(&value.to_owned(), &rules.r#in, &rules.not_in))
}

/// A pattern that the regex crate does not know is not held against the value.
fn matches_pattern(value: &str, pattern: &str) -> bool {
    regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(value)) || regex::Regex::new(pattern).is_err()
}

fn well_known(value: &str, rules: &StringRules) -> Option<String> {
    let (kept, expected) = match rules.well_known? {
        WellKnown::Ip(true) => (value.parse::<IpAddr>().is_ok(), "an IP address"),
        WellKnown::Ipv4(true) => (value.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()), "an IPv4 address"),
        WellKnown::Ipv6(true) => (value.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()), "an IPv6 address"),
        WellKnown::Uri(true) => (value.contains(':') && value.parse::<http::Uri>().is_ok(), "a URI"),
        WellKnown::UriRef(true) => (value.parse::<http::Uri>().is_ok(), "a URI reference"),
        WellKnown::Uuid(true) => (uuid::Uuid::try_parse(value).is_ok(), "a UUID"),
        WellKnown::Hostname(true) => (is_host(value), "a host name"),
        WellKnown::Address(true) => {
            (value.parse::<IpAddr>().is_ok() || is_host(value), "an IP address or a host name")
        }
        WellKnown::WellKnownRegex(known) => {
            let strict = rules.strict.unwrap_or(true);
            match KnownRegex::try_from(known) {
                Ok(KnownRegex::HttpHeaderName) if strict => (is_header_name(value), "the name of a header"),
                Ok(KnownRegex::HttpHeaderValue) if strict => {
                    (!value.chars().any(|c| c != '\t' && c.is_control()), "the value of a header")
                }
                Ok(KnownRegex::HttpHeaderName | KnownRegex::HttpHeaderValue) => {
                    (!value.contains(['\0', '\r', '\n']), "free of line breaks and NUL")
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    // What a header may hold may be a secret.
    let shown = if expected.contains("header") || expected.contains("NUL") {
        String::new()
    } else {
        format!(", and is {value:?}")
    };
    (!kept).then(|| format!("must be {expected}{shown}"))
}

fn is_host(value: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    value.len() <= 253 && value.trim_end_matches('.').split('.').all(label)
}

/// A token, or the name of a pseudo-header.
fn is_header_name(value: &str) -> bool {
    let name = value.strip_prefix(':').unwrap_or(value);
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

fn bytes(value: &[u8], rules: &BytesRules) -> Option<String> {
    if value.is_empty() && rules.ignore_empty() {
        return None;
    }
    length(value.len() as u64, rules.len, rules.min_len, rules.max_len, "bytes")
}

fn enumeration(number: i32, rules: &EnumRules, enum_has: &dyn Fn(i32) -> bool) -> Option<String> {
    if rules.defined_only() && !enum_has(number) {
        return Some(format!("must be a known value, and is {number}"));
    }
    among(&number, &rules.r#in, &rules.not_in)
}

fn duration(message: &DynamicMessage, rules: &DurationRules) -> Option<String> {
    let value: Duration = message.transcode_to().ok()?;
    let nanos =
        |duration: &Duration| i128::from(duration.seconds) * 1_000_000_000 + i128::from(duration.nanos);
    let bound = |bound: &Option<Duration>| bound.as_ref().map(nanos);
    let bounds =
        Bounds { lt: bound(&rules.lt), lte: bound(&rules.lte), gt: bound(&rules.gt), gte: bound(&rules.gte) };
    bounds.broken_as(&nanos(&value), |nanos| format!("{}s", *nanos as f64 / 1e9))
}
