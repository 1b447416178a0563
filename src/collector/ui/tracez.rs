//! `/debug/tracez`: the newest traces with their spans.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use super::{
    TRACEZ_PATH, Wanted,
    html::{Count, Size, Text},
    waterfall::{Palette, Waterfall},
};
use crate::collector::{
    Addresses,
    store::{Totals, Trace},
};

/// Lines that a page draws in all; what is beyond is counted and left to the JSON.
const LINES_DRAWN: usize = 5_000;

/// The whole page.
pub(super) struct Page<'a> {
    /// Newest first.
    pub(super) traces: &'a [Arc<Trace>],
    /// The trace that was asked for, if one was.
    pub(super) filter: Option<&'a Wanted>,
    pub(super) totals: Totals,
    pub(super) addresses: &'a Addresses,
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(concat!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta name=\"color-scheme\" content=\"light dark\">\n",
            "<title>Traces · spanway</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n",
        ))?;
        self.header(f)?;
        f.write_str("<main>\n")?;
        match (self.traces, self.filter) {
            ([], None) => self.how_to_begin(f)?,
            ([], Some(_)) => self.not_found(f)?,
            _ => self.waterfalls(f)?,
        }
        f.write_str("</main>\n")?;
        self.footer(f)?;
        f.write_str("</body>\n</html>\n")
    }
}

impl Page<'_> {
    fn header(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            concat!(
                "<header>\n<h1><a href=\"{path}\">spanway <b>traces</b></a></h1>\n",
                "<form action=\"{path}\" role=\"search\">",
                "<input name=\"trace_id\" aria-label=\"Trace id\" placeholder=\"Trace id\" value=\"{filter}\" ",
                "maxlength=\"32\" autocomplete=\"off\" spellcheck=\"false\"><button>Find</button></form>\n",
                "<nav><a href=\"{path}\">Newest</a> <a href=\"/api/traces\">JSON</a></nav>\n</header>\n",
            ),
            path = TRACEZ_PATH,
            filter = self.filter_text(),
        )
    }

    fn filter_text(&self) -> String {
        match self.filter {
            None => String::new(),
            Some(Wanted::Trace(id)) => id.to_string(),
            Some(Wanted::NoTraceId(text)) => Text(text).to_string(),
        }
    }

    fn waterfalls(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let palette = Palette::of(self.traces);
        let mut lines_left = LINES_DRAWN;
        for trace in self.traces {
            let waterfall = Waterfall { trace, palette: &palette, lines: lines_left };
            write!(f, "{waterfall}")?;
            lines_left = lines_left.saturating_sub(trace.spans.len());
        }
        Ok(())
    }

    fn how_to_begin(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Addresses { grpc, http, .. } = self.addresses;
        write!(
            f,
            concat!(
                "<section class=\"empty\">\n<h2>No trace yet</h2>\n",
                "<p>A running sandbox makes one with</p>\n",
                "<pre>curl localhost:10000/trace/2</pre>\n",
                "<p>Any program with an OpenTelemetry SDK sends its own with</p>\n",
                "<pre>OTEL_EXPORTER_OTLP_ENDPOINT=http://{http} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n",
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://{grpc} OTEL_EXPORTER_OTLP_PROTOCOL=grpc</pre>\n",
                "<p>and a shell with</p>\n",
                "<pre>curl http://{http}/v1/traces -H 'content-type: application/json' -d '{example}'</pre>\n",
                "<p>Then <a href=\"{path}\">load this page again</a>.</p>\n</section>\n",
            ),
            http = http,
            grpc = grpc,
            example = Text(EXAMPLE_SPAN),
            path = TRACEZ_PATH,
        )
    }

    fn not_found(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let reason = match self.filter {
            Some(Wanted::NoTraceId(_)) => "A trace id has 32 hexadecimal digits, not all zero.",
            _ => "It has not come yet, or it was let go to make room for newer ones.",
        };
        write!(
            f,
            "<section class=\"empty\">\n<h2>No trace <code>{}</code></h2>\n<p>{reason}</p>\n</section>\n",
            self.filter_text(),
        )
    }

    fn footer(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Totals { traces, spans, bytes, limit_bytes, evicted_traces, refused_spans, .. } = self.totals;
        let (traces, spans) = (Count(traces, "trace"), Count(spans, "span"));
        write!(f, "<footer>{traces}, {spans} kept in {} of {}", Size(bytes), Size(limit_bytes))?;
        if evicted_traces > 0 {
            write!(f, " · {evicted_traces} older let go")?;
        }
        if refused_spans > 0 {
            write!(f, " · {refused_spans} spans of too large traces refused")?;
        }
        f.write_str("</footer>\n")
    }
}

/// What an empty page proposes to send. The smallest that shows as a trace.
const EXAMPLE_SPAN: &str = concat!(
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0123456789abcdef0123456789abcdef","#,
    r#""spanId":"0123456789abcdef","name":"hello","startTimeUnixNano":"1700000000000000000","#,
    r#""endTimeUnixNano":"1700000000005000000"}]}]}]}"#
);

/// The services whose spans `trace` has, by name.
pub(super) fn services(trace: &Trace) -> BTreeSet<&str> {
    trace.spans.values().map(|span| &*span.resource.service).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collector::{
        attribute::{Attribute, Value},
        span::{Event, Resource, Scope, Span, tests::span},
        store::Store,
    };

    fn page(store: &Store, filter: Option<&Wanted>) -> String {
        let addresses = Addresses {
            grpc: ([127, 0, 0, 1], 4317).into(),
            http: ([127, 0, 0, 1], 4318).into(),
            pages: ([127, 0, 0, 1], 55679).into(),
            health: None,
        };
        Page { traces: &store.newest(10), filter, totals: store.totals(), addresses: &addresses }.to_string()
    }

    #[test]
    fn nothing_that_a_span_says_becomes_markup() {
        let evil = || Box::<str>::from("<script>\"'&</script>");
        let attributes = || [Attribute { key: evil(), value: Value::List([Value::Text(evil())].into()) }];
        let hostile = Span {
            name: evil(),
            resource: Arc::new(Resource { service: evil(), attributes: attributes().into() }),
            scope: Arc::new(Scope { name: evil(), version: evil() }),
            attributes: [
                Attribute { key: evil(), value: Value::Text(evil()) },
                Attribute { key: "response_flags".into(), value: Value::Text(evil()) },
            ]
            .into(),
            events: [Event { time_unix_nano: 0, name: evil(), attributes: attributes().into() }].into(),
            status_message: evil(),
            trace_state: evil(),
            ..span(1, 1, 0)
        };
        let store = Store::new(1 << 20);
        store.insert([hostile]);
        let page = page(&store, None);
        assert!(page.contains("&lt;script&gt;&quot;&#39;&amp;&lt;/script&gt;"));
        assert!(!page.contains("<script") && !page.contains("</script"), "{page}");
    }

    #[test]
    fn an_empty_page_says_how_to_send_a_first_trace() {
        let page = page(&Store::new(1 << 20), None);
        assert!(page.contains("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"));
    }

    #[test]
    fn what_was_looked_for_and_is_not_there_is_repeated_harmlessly() {
        let page = page(&Store::new(1 << 20), Some(&Wanted::NoTraceId("\"><script>".into())));
        assert!(page.contains("No trace <code>&quot;&gt;&lt;script&gt;</code>"));
        assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;\""));
    }

    #[test]
    fn a_page_draws_so_many_lines_and_counts_the_others() {
        let store = Store::new(64 << 20);
        store.insert((1..=LINES_DRAWN as u64 + 7).map(|id| span(1, id, 0)));
        let page = page(&store, None);
        assert_eq!(page.matches("<summary>").count(), LINES_DRAWN);
        assert!(page.contains("7 more lines"));
    }
}
