//! Lowers filters of access logs, which local replies have, too.

use envoy_types::pb::envoy::{
    config::accesslog::v3::{
        AccessLogFilter, ComparisonFilter, access_log_filter::FilterSpecifier, comparison_filter::Op,
        extension_filter::ConfigType,
    },
    data::accesslog::v3::AccessLogType,
    extensions::access_loggers::filters::cel::v3::ExpressionFilter,
};

use super::{Lowering, route::fractional_percent, unpack};
use crate::{
    config::FieldPath,
    snapshot::{
        access_log::{Comparison, LogFilter, LogType},
        cel::{CelError, Dialect, Expression},
        route::Fraction,
    },
    stream_info::flags::ResponseFlags,
};

impl Lowering<'_> {
    /// One filter, or a problem.
    pub(super) fn log_filter(&mut self, path: &FieldPath<'_>, filter: &AccessLogFilter) -> Option<LogFilter> {
        Some(match filter.filter_specifier.as_ref()? {
            FilterSpecifier::StatusCodeFilter(filter) => {
                let (operator, value) = self.comparison(filter.comparison.as_ref()?)?;
                LogFilter::Status(operator, value)
            }
            FilterSpecifier::DurationFilter(filter) => {
                let (operator, value) = self.comparison(filter.comparison.as_ref()?)?;
                LogFilter::Duration(operator, value)
            }
            FilterSpecifier::NotHealthCheckFilter(_) => LogFilter::NotHealthCheck,
            FilterSpecifier::TraceableFilter(_) => LogFilter::Traceable,
            FilterSpecifier::RuntimeFilter(filter) => {
                let never = Fraction { numerator: 0, denominator: 100 };
                let default = filter.percent_sampled.as_ref().map_or(never, fractional_percent);
                LogFilter::Runtime {
                    share: self.runtime.fraction(&filter.runtime_key).unwrap_or(default),
                    independent: filter.use_independent_randomness,
                }
            }
            FilterSpecifier::HeaderFilter(filter) => {
                let path = path.field("header_filter.header");
                LogFilter::Header(self.header_matcher(&path, filter.header.as_ref()?)?)
            }
            FilterSpecifier::ResponseFlagFilter(filter) => {
                let flags = path.field("response_flag_filter.flags");
                for (index, flag) in filter.flags.iter().enumerate() {
                    if !ResponseFlags::is_code(flag) {
                        self.problems
                            .push(&flags.index(index), format!("spanway never sets the flag \"{flag}\""));
                    }
                }
                LogFilter::Flags(filter.flags.clone())
            }
            FilterSpecifier::GrpcStatusFilter(filter) => LogFilter::GrpcStatus {
                statuses: filter.statuses.iter().filter_map(|status| u32::try_from(*status).ok()).collect(),
                exclude: filter.exclude,
            },
            FilterSpecifier::MetadataFilter(filter) => {
                LogFilter::Always(filter.match_if_key_not_found.as_ref().is_none_or(|matches| matches.value))
            }
            FilterSpecifier::LogTypeFilter(filter) => LogFilter::LogType {
                types: filter.types().filter_map(log_type).collect(),
                exclude: filter.exclude,
            },
            FilterSpecifier::AndFilter(filter) => {
                LogFilter::All(self.log_filters(&path.field("and_filter.filters"), &filter.filters))
            }
            FilterSpecifier::OrFilter(filter) => {
                LogFilter::Any(self.log_filters(&path.field("or_filter.filters"), &filter.filters))
            }
            FilterSpecifier::ExtensionFilter(filter) => {
                let Some(ConfigType::TypedConfig(any)) = &filter.config_type else { return None };
                let filter = unpack::<ExpressionFilter>(any)?;
                let expression = Expression::parse(&filter.expression, Dialect::AccessLog(&self.constants));
                let path = path.field("extension_filter.typed_config.expression");
                let refused = |error: CelError| {
                    self.problems.push_with_hint(
                        &path,
                        error.to_string(),
                        "docs/access-logs.md lists what expressions have",
                    );
                };
                let expression = expression.map_err(refused).ok()?;
                self.observes = true;
                self.observes_route |= expression.reads_route();
                LogFilter::Cel(expression)
            }
        })
    }

    fn log_filters(&mut self, path: &FieldPath<'_>, filters: &[AccessLogFilter]) -> Vec<LogFilter> {
        let lower = |(index, filter)| self.log_filter(&path.index(index), filter);
        filters.iter().enumerate().filter_map(lower).collect()
    }

    fn comparison(&self, comparison: &ComparisonFilter) -> Option<(Comparison, u32)> {
        let operator = match comparison.op() {
            Op::Eq => Comparison::Equal,
            Op::Ge => Comparison::AtLeast,
            Op::Le => Comparison::AtMost,
            Op::Ne => Comparison::NotEqual,
        };
        let value = comparison.value.as_ref()?;
        let by_runtime = self.runtime.integer(&value.runtime_key).and_then(|value| u32::try_from(value).ok());
        Some((operator, by_runtime.unwrap_or(value.default_value)))
    }
}

/// The name of a type that entries here may have.
fn log_type(log_type: AccessLogType) -> Option<&'static str> {
    Some(match log_type {
        AccessLogType::DownstreamStart => LogType::Start.name(),
        AccessLogType::DownstreamPeriodic => LogType::Periodic.name(),
        AccessLogType::DownstreamTunnelSuccessfullyEstablished => LogType::TunnelEstablished.name(),
        AccessLogType::DownstreamEnd => LogType::End.name(),
        _ => return None,
    })
}
