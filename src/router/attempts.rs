//! Attempt after attempt, where a request may be retried.

use std::{rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, Response, request::Parts};
use http_body::Body;

use super::{
    RouterContext, RouterFailure, Target, attempt, choose_host, note_host,
    retry::{Broken, Decision, RetryState},
};
use crate::{
    body::{ClientBody, Replay, RequestBody},
    cluster::circuit_breaker::{Permit, Resource},
    http_headers::{X_ENVOY_ATTEMPT_COUNT, X_ENVOY_EXPECTED_RQ_TIMEOUT_MS},
    snapshot::route::RouteAction,
    stream_info::{ResponseFlag, cause::AttemptOutcome},
    trace,
    upstream::{Failure, UpstreamBody, conn_pool::HostPool},
};

/// Attempt after attempt, until one goes well or is the last.
pub(super) async fn retried(
    action: &RouteAction,
    target: &Target<'_>,
    parts: &mut Parts,
    body: ClientBody,
    mut retries: RetryState<'_>,
    hash: Option<u64>,
    context: &RouterContext<'_, '_>,
) -> Result<Response<UpstreamBody>, RouterFailure> {
    let info = context.info;
    let replay = Replay::new(body, context.buffer_limit_bytes);
    let avoid = action.retry.as_ref().and_then(|retry| retry.avoid_tried_hosts);
    let mut tried: Vec<Rc<HostPool>> = Vec::new();
    let mut permit = None;
    loop {
        let pool = match avoid.filter(|_| !tried.is_empty()) {
            None => choose_host(action, target, parts, context, hash)?,
            Some(draws) => {
                let fresh = |pool: &Rc<HostPool>| !tried.iter().any(|tried| Rc::ptr_eq(tried, pool));
                let pool = target.cluster.choose_other_host(hash, draws, fresh);
                note_host(action, pool, parts, context)?
            }
        };
        let body = |trailers| RequestBody::attempt(&replay, trailers);
        let outcome = attempt(&pool, &mut parts.clone(), body, context).await;
        // A retry counts until it is known how it went.
        drop(permit.take());
        let decision = match &outcome {
            _ if !replay.is_whole() => Decision::Stands,
            Ok(response) => retries.after_response(response.status(), response.headers()),
            Err(failure) => match broken(*failure) {
                None => Decision::Stands,
                Some((broken, sent)) => retries.after_failure(broken, sent),
            },
        };
        permit = match decision {
            Decision::Again => Permit::acquire(&target.cluster.state, Resource::Retries),
            Decision::Stands | Decision::LimitExceeded => None,
        };
        let stats = target.cluster.config.stats.mine();
        if permit.is_none() {
            match decision {
                Decision::Stands if info.attempts.get() > 1 && outcome.is_ok() => {
                    stats.upstream_rq_retry_success.inc();
                    info.count(|stats| stats.upstream_rq_retry_success.inc());
                }
                Decision::Stands => {}
                Decision::Again => {
                    info.count(|stats| stats.upstream_rq_retry_overflow.inc());
                    info.flag(ResponseFlag::UpstreamOverflow);
                }
                Decision::LimitExceeded => {
                    stats.upstream_rq_retry_limit_exceeded.inc();
                    info.count(|stats| stats.upstream_rq_retry_limit_exceeded.inc());
                    info.flag(ResponseFlag::UpstreamRetryLimitExceeded);
                }
            }
            if outcome.is_ok() {
                replay.settle();
            } else {
                replay.stop();
            }
            return outcome;
        }
        info.count(|stats| stats.upstream_rq_retry.inc());
        if let Ok(response) = &outcome {
            stats.retry.count(response.status().as_u16());
            info.attempt_failed(&pool.address_text, AttemptOutcome::Status(response.status().as_u16()));
        }
        // A response that nobody will see ends with its connection.
        if outcome.is_ok_and(|response| !response.body().is_end_stream()) {
            trace::attempt::canceled(info, None);
        } else {
            trace::attempt::end(info);
        }
        replay.stop();
        tried.push(pool);
        tokio::time::sleep(retries.pause(|below| fastrand::u64(..below))).await;
        info.attempts.set(info.attempts.get() + 1);
        note_attempt(&mut parts.headers, context);
    }
}

/// What a failed attempt is to retries, and whether something of it may have reached the host; `None` for one that no
/// other attempt would mend.
fn broken(failure: RouterFailure) -> Option<(Broken, bool)> {
    match failure {
        RouterFailure::PerTryTimeout => Some((Broken::Reset, true)),
        RouterFailure::Upstream(failure) => match failure {
            Failure::Connect(_) | Failure::Tls(_) | Failure::ConnectTimeout => Some((Broken::Connect, false)),
            Failure::Refused => Some((Broken::Refused, true)),
            Failure::Terminated | Failure::Reset | Failure::Protocol => Some((Broken::Reset, true)),
            Failure::RequestBroken | Failure::Overflow => None,
        },
        RouterFailure::NoCluster(_) | RouterFailure::NoHost => None,
    }
}

/// Tell the host which attempt this is and how long it may take, where it was told of the first.
fn note_attempt(headers: &mut HeaderMap, context: &RouterContext<'_, '_>) {
    if context.virtual_host.include_request_attempt_count {
        headers.insert(X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(context.info.attempts.get()));
    }
    let elapsed = context.info.request_end.get().map_or(Duration::ZERO, |end| end.elapsed());
    if let Some(expected) = headers.get_mut(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS)
        && !context.suppress_envoy_headers
        && let Some(left) = context.timeouts.expected(elapsed)
    {
        *expected = left;
    }
}
