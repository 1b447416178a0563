//! The filters that requests pass before the router.

use super::matcher::HeaderMatcher;

/// One filter of a chain. `HttpConnectionManager.http_filters`, but for the router, which always comes last.
#[derive(Debug)]
pub(crate) enum HttpFilter {
    /// `extensions.filters.http.health_check.v3.HealthCheck`
    HealthCheck(HealthCheck),
}

/// Which requests are health checks, and what becomes of them. `HealthCheck`.
#[derive(Debug)]
pub(crate) struct HealthCheck {
    /// They are passed on to the service instead of being answered here. `pass_through_mode`.
    pub(crate) pass_through: bool,
    /// All of these must match; without any, each request is one. `headers`.
    pub(crate) headers: Vec<HeaderMatcher>,
}
