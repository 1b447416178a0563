//! Lowers retry policies.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::config::route::v3::{
    HeaderMatcher as ProtoHeaderMatcher, RetryPolicy as ProtoPolicy, retry_policy::RetryBackOff,
};
use http::StatusCode;

use super::{Lowering, number};
use crate::{
    config::FieldPath,
    snapshot::{
        matcher::HeaderMatcher,
        retry::{BackOff, RetryConditions, RetryPolicy},
    },
};

const RETRIES: u32 = 1;
const HOST_SELECTIONS: u32 = 1;

impl Lowering<'_> {
    /// A retry policy.
    pub(super) fn retry_policy(&mut self, path: &FieldPath<'_>, policy: &ProtoPolicy) -> Arc<RetryPolicy> {
        let per_try = path.field("per_try_timeout");
        let predicates = path.field("retry_host_predicate");
        for (index, predicate) in policy.retry_host_predicate.iter().enumerate() {
            if predicate.config_type.is_none() {
                let path = predicates.index(index);
                self.problems.push_with_hint(
                    &path,
                    "no configuration of the predicate",
                    "give its typed_config",
                );
            }
        }
        Arc::new(RetryPolicy {
            conditions: self.retry_on(&path.field("retry_on"), &policy.retry_on),
            most: number(policy.num_retries.as_ref(), RETRIES),
            per_try_timeout: self.timeout(&per_try, policy.per_try_timeout.as_ref(), None),
            status_codes: self
                .retriable_statuses(&path.field("retriable_status_codes"), &policy.retriable_status_codes),
            response_headers: self
                .header_matchers(&path.field("retriable_headers"), &policy.retriable_headers),
            request_headers: self
                .header_matchers(&path.field("retriable_request_headers"), &policy.retriable_request_headers),
            back_off: self.back_off(&path.field("retry_back_off"), policy.retry_back_off.as_ref()),
            // Of the predicates only that of previous hosts is let through.
            avoid_tried_hosts: (!policy.retry_host_predicate.is_empty()).then(|| {
                match policy.host_selection_retry_max_attempts {
                    0 => HOST_SELECTIONS,
                    most => u32::try_from(most).unwrap_or(HOST_SELECTIONS),
                }
            }),
        })
    }

    fn retry_on(&mut self, path: &FieldPath<'_>, list: &str) -> RetryConditions {
        let mut conditions = RetryConditions::default();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match RetryConditions::named(name) {
                Some(condition) => conditions = conditions.with(condition),
                // Envoy passes over it, and the policy does less than its author thinks.
                None => self.problems.push_with_hint(
                    path,
                    format!("unknown condition \"{name}\""),
                    format!("the conditions are {}", RetryConditions::NAMES.join(", ")),
                ),
            }
        }
        conditions
    }

    fn retriable_statuses(&mut self, path: &FieldPath<'_>, codes: &[u32]) -> Vec<StatusCode> {
        let mut statuses = Vec::new();
        for (index, code) in codes.iter().enumerate() {
            match u16::try_from(*code).ok().and_then(|code| StatusCode::from_u16(code).ok()) {
                Some(status) => statuses.push(status),
                None => self.problems.push(&path.index(index), format!("{code} is not an HTTP status")),
            }
        }
        statuses
    }

    /// Matchers of headers.
    pub(super) fn header_matchers(
        &mut self,
        path: &FieldPath<'_>,
        matchers: &[ProtoHeaderMatcher],
    ) -> Vec<HeaderMatcher> {
        let lower = |(index, matcher)| self.header_matcher(&path.index(index), matcher);
        matchers.iter().enumerate().filter_map(lower).collect()
    }

    fn back_off(&mut self, path: &FieldPath<'_>, options: Option<&RetryBackOff>) -> BackOff {
        let Some(options) = options else { return BackOff::default() };
        let milliseconds =
            |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
        let base = options.base_interval.as_ref();
        let base = base.map_or(BackOff::default().base_ms, |base| {
            milliseconds(self.duration(&path.field("base_interval"), base))
        });
        let Some(max) = options.max_interval.as_ref() else {
            return BackOff { base_ms: base, max_ms: base.saturating_mul(10) };
        };
        let max_path = path.field("max_interval");
        let max = milliseconds(self.duration(&max_path, max));
        if max < base {
            self.problems.push(&max_path, "it is shorter than base_interval");
        }
        BackOff { base_ms: base, max_ms: max }
    }
}
