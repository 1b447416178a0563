//! `/`: the search, and what it found.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

use super::{base::Base, html::Text, query::Form, results::Results};
use crate::collector::Addresses;

/// The content of the page.
pub(super) struct SearchPage<'a> {
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// What was filled in.
    pub(super) form: &'a Form,
    /// The query as it came, with which the script asks again.
    pub(super) query: &'a str,
    /// What the field of services proposes.
    pub(super) services: &'a [String],
    /// What the field of operations proposes.
    pub(super) operations: &'a BTreeSet<String>,
    /// What was found, or why nothing can be looked for.
    pub(super) found: Result<Results<'a>, &'a [String]>,
    /// Whether there is nothing at all yet.
    pub(super) is_empty: bool,
    /// Where spans are sent to.
    pub(super) addresses: Option<&'a Addresses>,
}

impl Display for SearchPage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<h1 class=\"unseen\">Search traces</h1>\n")?;
        self.fields(f)?;
        let (base, query) = (self.base, Text(self.query));
        let results = match &self.found {
            Ok(results) => results,
            Err(problems) => {
                f.write_str("<div class=\"problem\" role=\"alert\">\n")?;
                for problem in *problems {
                    writeln!(f, "<p><bdi>{}</bdi></p>", Text(problem))?;
                }
                return f.write_str("</div>\n");
            }
        };
        writeln!(
            f,
            "<section class=\"found\" aria-label=\"Traces\" data-live=\"{base}/live\" data-results=\"{base}/results?{query}\">",
        )?;
        f.write_str(concat!(
            "<p class=\"live scripted\" hidden><span id=\"live-state\" role=\"status\">live</span> ",
            "<button type=\"button\" id=\"pause\" aria-pressed=\"false\">Pause</button></p>\n<div id=\"results\">\n",
        ))?;
        if self.is_empty {
            self.how_to_begin(f)?;
        } else {
            write!(f, "{results}")?;
        }
        f.write_str("</div>\n</section>\n")
    }
}

impl SearchPage<'_> {
    fn fields(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let form = self.form;
        writeln!(f, "<form class=\"search\" role=\"search\" action=\"{}\">", self.base.home())?;
        f.write_str(
            "<label class=\"service-field\">Service<select name=\"service\"><option value=\"\">any</option>",
        )?;
        let is_known = form.service.is_empty() || self.services.contains(&form.service);
        for service in self.services.iter().chain((!is_known).then_some(&form.service)) {
            option(f, service, service, *service == form.service)?;
        }
        f.write_str("</select></label>\n")?;
        field(f, "operation", "Operation", &form.operation, "placeholder=\"any\" list=\"operations\"")?;
        f.write_str("<label class=\"status-field\">Status<select name=\"status\">")?;
        for (value, name) in [("", "any"), ("ok", "no error"), ("error", "with errors")] {
            option(f, value, name, value == form.status)?;
        }
        if !["", "ok", "error"].contains(&&*form.status) {
            option(f, &form.status, &form.status, true)?;
        }
        f.write_str("</select></label>\n")?;
        field(f, "min", "At least", &form.min, "placeholder=\"10ms\"")?;
        field(
            f,
            "attributes",
            "Attributes of a span",
            &form.attributes,
            "placeholder=\"http.status_code=503 zone=a\"",
        )?;
        field(f, "trace_id", "Trace id", &form.trace_id, "placeholder=\"32 digits\"")?;
        if !form.limit.is_empty() {
            // Only addresses say it, but a search that was changed is to keep it.
            writeln!(f, "<input type=\"hidden\" name=\"limit\" value=\"{}\">", Text(&form.limit))?;
        }
        f.write_str("<p class=\"do\"><button class=\"main\">Search</button>")?;
        if !form.is_empty() {
            write!(f, " <a href=\"{}\">Clear</a>", self.base.home())?;
        }
        f.write_str("</p>\n<datalist id=\"operations\">")?;
        for operation in self.operations {
            write!(f, "<option value=\"{}\"></option>", Text(operation))?;
        }
        f.write_str("</datalist>\n</form>\n")
    }

    fn how_to_begin(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(Addresses { grpc, http, .. }) = self.addresses else {
            return f.write_str(concat!(
                "<div class=\"empty\">\n<h2>No trace yet</h2>\n",
                "<p>Requests through this proxy that are traced appear here by themselves.</p>\n</div>\n",
            ));
        };
        write!(
            f,
            concat!(
                "<div class=\"empty\">\n<h2>No trace yet</h2>\n",
                "<p>A running sandbox makes one with</p>\n",
                "<pre>curl localhost:10000/trace/2</pre>\n",
                "<p>Any program with an OpenTelemetry SDK sends its own with</p>\n",
                "<pre>OTEL_EXPORTER_OTLP_ENDPOINT=http://{http} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n",
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://{grpc} OTEL_EXPORTER_OTLP_PROTOCOL=grpc</pre>\n",
                "<p>and a shell with</p>\n",
                "<pre>curl http://{http}/v1/traces -H 'content-type: application/json' -d '{example}'</pre>\n",
                "<p>It appears here by itself; without JavaScript, <a href=\"{home}\">load this page again</a>.</p>\n</div>\n",
            ),
            http = http,
            grpc = grpc,
            example = Text(EXAMPLE_SPAN),
            home = self.base.home(),
        )
    }
}

/// What an empty page proposes to send. The smallest that shows as a trace.
const EXAMPLE_SPAN: &str = concat!(
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0123456789abcdef0123456789abcdef","#,
    r#""spanId":"0123456789abcdef","name":"hello","startTimeUnixNano":"1700000000000000000","#,
    r#""endTimeUnixNano":"1700000000005000000"}]}]}]}"#
);

/// A field for text, with `more` attributes of HTML.
fn field(f: &mut Formatter<'_>, name: &str, label: &str, value: &str, more: &str) -> fmt::Result {
    writeln!(
        f,
        concat!(
            "<label class=\"{name}-field\">{label}<input name=\"{name}\" value=\"{value}\" {more} ",
            "dir=\"auto\" autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\"></label>",
        ),
        name = name,
        label = label,
        value = Text(value),
        more = more,
    )
}

fn option(f: &mut Formatter<'_>, value: &str, name: &str, selected: bool) -> fmt::Result {
    let selected = if selected { " selected" } else { "" };
    write!(f, "<option value=\"{}\"{selected}>{}</option>", Text(value), Text(name))
}
