//! Which streams an access log is about.

use http::HeaderName;

use crate::{
    snapshot::{
        access_log::{Comparison, LogFilter},
        matcher::RequestView,
    },
    stream_info::{formatter::FormatContext, grpc_status},
};

/// Whether a stream passes.
pub(crate) fn passes(filter: &LogFilter, context: &FormatContext<'_>) -> bool {
    let info = context.info;
    match filter {
        LogFilter::Status(comparison, value) => compare(info.status.get().into(), *comparison, *value),
        LogFilter::Duration(comparison, value) => compare(info.duration().as_millis(), *comparison, *value),
        LogFilter::NotHealthCheck => !info.health_check.get(),
        LogFilter::Traceable => info.span.borrow().as_ref().is_some_and(|span| span.record.is_some()),
        LogFilter::Runtime { share, independent } => {
            let drawn = if *independent { None } else { number_of_id(context) };
            share.holds(drawn.unwrap_or_else(|| fastrand::u64(..)))
        }
        LogFilter::All(filters) => filters.iter().all(|filter| passes(filter, context)),
        LogFilter::Any(filters) => filters.iter().any(|filter| passes(filter, context)),
        LogFilter::Header(matcher) => matcher.matches(&RequestView {
            path_and_query: context.pseudo.path,
            method: context.pseudo.method,
            authority: context.pseudo.authority,
            scheme: context.pseudo.scheme,
            headers: &context.request.to_map(),
        }),
        LogFilter::Flags(codes) if codes.is_empty() => !info.flags.get().is_empty(),
        LogFilter::Flags(codes) => info.flags.get().contains_any(codes),
        LogFilter::GrpcStatus { statuses, exclude } => {
            let trailers = info.observed.as_ref().map(|observed| observed.trailers.borrow());
            let trailers = trailers.as_ref().and_then(|trailers| trailers.as_ref());
            let status = grpc_status::of_response(trailers, context.response, info.status.get());
            // Of a stream that has none the status is not known, which is a status, too.
            statuses.contains(&status.unwrap_or(2)) != *exclude
        }
        LogFilter::LogType { types, exclude } => {
            let now = info.observed.as_ref().map_or("", |observed| observed.log_type.get());
            types.contains(&now) != *exclude
        }
        LogFilter::Cel(expression) => expression.is_true(context),
        LogFilter::Always(passes) => *passes,
    }
}

fn compare(number: u128, comparison: Comparison, value: u32) -> bool {
    let value = u128::from(value);
    match comparison {
        Comparison::Equal => number == value,
        Comparison::AtLeast => number >= value,
        Comparison::AtMost => number <= value,
        Comparison::NotEqual => number != value,
    }
}

/// The random number in a request's id, so that all proxies on its way draw the same.
fn number_of_id(context: &FormatContext<'_>) -> Option<u64> {
    let id = context.request.get(&HeaderName::from_static("x-request-id"))?.to_str().ok()?;
    u64::from_str_radix(id.get(..8)?, 16).ok()
}
