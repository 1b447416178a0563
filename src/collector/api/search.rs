//! What `/api/traces` looks for.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    answer::Refusal,
    parameters::{MICROSECOND, Parameters},
    tags,
};
use crate::collector::{
    span::TraceId,
    store::{Search, Store, Trace, by_start},
};

/// How many traces are answered unless the request says how many.
const DEFAULT_LIMIT: usize = 20;

/// What a request looks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// These traces.
    Traces(Vec<TraceId>),
    /// The newest that are like this.
    Newest(Query),
}

/// What traces are to be like.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Query {
    search: Search,
    /// Tags that Jaeger makes of other fields of a span, so that no attribute has them.
    made: Vec<(String, String)>,
    limit: usize,
}

impl Wanted {
    /// Read `parameters`, at the moment `now_unix_nano`.
    pub(super) fn parse(parameters: &Parameters, now_unix_nano: u64) -> Result<Self, Refusal> {
        let mut ids = Vec::new();
        for id in parameters.all("traceID") {
            let id = trace_id(id)?;
            // Once is enough: a short request is not to make a very long answer.
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.is_empty() {
            Query::parse(parameters, now_unix_nano).map(Self::Newest)
        } else {
            Ok(Self::Traces(ids))
        }
    }
}

impl Query {
    fn parse(parameters: &Parameters, now_unix_nano: u64) -> Result<Self, Refusal> {
        let (made, attributes) = tags_of(parameters)?.into_iter().partition(|(key, _)| tags::is_made(key));
        let text = |name| parameters.text(name).map(str::to_owned);
        let to_unix_nano = parameters.moment("end", MICROSECOND)?;
        let since = |lookback: u64| to_unix_nano.unwrap_or(now_unix_nano).saturating_sub(lookback);
        let from_unix_nano = match parameters.moment("start", MICROSECOND)? {
            Some(start) => Some(start),
            // Jaeger's page sends this word when the range is in `start` and `end`.
            None if parameters.text("lookback") == Some("custom") => None,
            None => parameters.duration("lookback")?.map(since),
        };
        let search = Search {
            service: text("service"),
            operation: text("operation"),
            min_duration_nano: parameters.duration("minDuration")?,
            max_duration_nano: parameters.duration("maxDuration")?,
            from_unix_nano,
            to_unix_nano,
            attributes,
            ..Search::default()
        };
        if let (Some(least), Some(most)) = (search.min_duration_nano, search.max_duration_nano)
            && most < least
        {
            return Err(Refusal::bad_request("'maxDuration' should be greater than 'minDuration'"));
        }
        Ok(Self { search, made, limit: parameters.number("limit")?.unwrap_or(DEFAULT_LIMIT) })
    }

    /// What `store` has of it, newest first.
    pub(super) fn run(&self, store: &Store) -> Vec<Arc<Trace>> {
        if self.made.is_empty() {
            return store.search(&self.search, self.limit);
        }
        let found = store.search(&self.search, usize::MAX).into_iter();
        by_start(found.filter(|trace| self.finds_made(trace)).take(self.limit))
    }

    /// Whether one span of `trace` has all that is said of spans.
    fn finds_made(&self, trace: &Trace) -> bool {
        trace.spans.values().any(|span| {
            self.search.finds_span(span) && self.made.iter().all(|(key, value)| tags::has(span, key, value))
        })
    }
}

/// The trace id that `text` writes: up to 32 hexadecimal digits, as Jaeger leaves zeros at the start away.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Refusal> {
    TraceId::from_hex(&format!("{text:0>32}")).ok_or_else(|| {
        Refusal::parameter(
            "traceID",
            format!("'{text}' is no trace id: 1 to 32 hexadecimal digits, not all 0"),
        )
    })
}

/// The tags that `tag=key:value` and `tags={"key":"value"}` ask for.
fn tags_of(parameters: &Parameters) -> Result<Vec<(String, String)>, Refusal> {
    let mut tags = Vec::new();
    for tag in parameters.all("tag").filter(|tag| !tag.is_empty()) {
        let (key, value) = tag.split_once(':').ok_or_else(|| {
            Refusal::bad_request(format!("malformed 'tag' parameter, expecting key:value, received: {tag}"))
        })?;
        tags.push((key.to_owned(), value.to_owned()));
    }
    for object in parameters.all("tags").filter(|object| !object.is_empty()) {
        let object: Map<String, Value> = serde_json::from_str(object).map_err(|why| {
            Refusal::bad_request(format!("malformed 'tags' parameter, cannot unmarshal JSON: {why}"))
        })?;
        tags.extend(object.into_iter().map(|(key, value)| match value {
            Value::String(text) => (key, text),
            other => (key, other.to_string()),
        }));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{
        attribute::{Attribute, Value as Held},
        span::{Span, SpanKind, StatusCode, tests::span},
    };

    fn parse(query: &str) -> Result<Wanted, Refusal> {
        Wanted::parse(&Parameters::parse(Some(query)), 10_000_000_000)
    }

    /// The ids of the traces that `query` finds.
    fn found(store: &Store, query: &str) -> Vec<u8> {
        match parse(query) {
            Ok(Wanted::Newest(query)) => {
                query.run(store).iter().map(|trace| trace.trace_id.to_bytes()[15]).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_parameter_is_read() {
        let query = "service=shop&operation=GET+%2F&tag=a:b:c&tags=%7B%22d%22%3A%22e%22%2C%22f%22%3A1%7D\
                     &minDuration=1.5ms&maxDuration=2s&start=1000000&end=2000000&lookback=1h&limit=3";
        let search = Search {
            service: Some("shop".into()),
            operation: Some("GET /".into()),
            min_duration_nano: Some(1_500_000),
            max_duration_nano: Some(2_000_000_000),
            from_unix_nano: Some(1_000_000_000),
            to_unix_nano: Some(2_000_000_000),
            attributes: [("a", "b:c"), ("d", "e"), ("f", "1")].map(|(k, v)| (k.into(), v.into())).into(),
            ..Search::default()
        };
        assert_eq!(parse(query), Ok(Wanted::Newest(Query { search, made: Vec::new(), limit: 3 })));
        let nothing = Query { limit: 20, ..Query::default() };
        assert_eq!(parse("service=&operation=&tags=&limit=&lookback=custom"), Ok(Wanted::Newest(nothing)));
    }

    #[test]
    fn the_lookback_counts_from_the_end_or_from_now() {
        for (query, from) in [("lookback=4s", 6), ("lookback=4s&end=5000000", 1), ("lookback=1h", 0)] {
            let Ok(Wanted::Newest(query)) = parse(query) else { panic!("{query}") };
            assert_eq!(query.search.from_unix_nano, Some(from * 1_000_000_000));
        }
    }

    #[test]
    fn several_traces_may_be_asked_for_with_short_ids() {
        let ids = [1_u128, 0xabc].map(|id| TraceId::from_bytes(&id.to_be_bytes()).unwrap());
        assert_eq!(parse("traceID=1&traceID=0abc&traceID=01&service=x"), Ok(Wanted::Traces(ids.into())));
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (query, told) in [
            ("traceID=x", "unable to parse param 'traceID': 'x'"),
            ("traceID=", "unable to parse param 'traceID': ''"),
            ("traceID=0", "unable to parse param 'traceID'"),
            ("limit=-1", "unable to parse param 'limit'"),
            ("start=now", "unable to parse param 'start'"),
            ("minDuration=5", "unable to parse param 'minDuration': '5' is no duration"),
            ("minDuration=2s&maxDuration=1s", "'maxDuration' should be greater than 'minDuration'"),
            ("tag=a", "malformed 'tag' parameter, expecting key:value, received: a"),
            ("tags=a", "malformed 'tags' parameter, cannot unmarshal JSON"),
            ("lookback=long", "unable to parse param 'lookback'"),
        ] {
            let refusal = parse(query).unwrap_err();
            assert!(refusal.message().starts_with(told), "{query}: {}", refusal.message());
        }
    }

    #[test]
    fn tags_that_jaeger_makes_of_a_span_find_it() {
        let store = Store::new(1 << 20);
        store.insert([
            Span { status_code: StatusCode::Error, ..span(1, 1, 0) },
            Span {
                attributes: [Attribute { key: "error".into(), value: Held::Text("true".into()) }].into(),
                kind: SpanKind::Client,
                ..span(2, 1, 0)
            },
            span(3, 1, 0),
        ]);
        assert_eq!(found(&store, "tags=%7B%22error%22%3A%22true%22%7D"), [2, 1]);
        assert_eq!(found(&store, "tag=error:true&tag=span.kind:server"), [1]);
        assert_eq!(found(&store, "tag=span.kind:server&limit=1"), [3]);
        assert_eq!(found(&store, "tag=otel.status_code:ERROR&service=shop"), [1]);
        assert_eq!(found(&store, "tag=otel.status_code:ERROR&service=other"), [0; 0]);
    }
}
