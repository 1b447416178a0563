//! `/explain`: why a request would go where it goes.

use std::sync::atomic::Ordering;

use axum::response::Response;
use http::{HeaderValue, StatusCode};

use super::{
    answer,
    command::{self, Asked, Kind},
};
use crate::{
    explain::{self, Explanation, IS_ERROR, Live, Question, QuestionError, Subject, Words},
    snapshot::Address,
};

/// What is answered to who asks nothing.
const USAGE: &str = "\
say which request, as a method and a URL, percent-encoded:
  /explain?request=GET%20http%3A%2F%2Fshop.example.com%2Fcart&header=x-canary%3A%201
or have `spanway explain --live ADMIN --request 'GET http://shop.example.com/cart'` do so
";

/// `/explain`
pub(super) fn page(asked: &Asked) -> Response {
    // A parameter that is not understood would leave an answer to another question.
    if let Some(wrong) = wrong_parameter(asked) {
        return answer::refusal(StatusCode::BAD_REQUEST, wrong);
    }
    let Some(request) = asked.value("request") else {
        return answer::refusal(StatusCode::BAD_REQUEST, USAGE);
    };
    // A form sends what nobody has filled in, too.
    let headers = asked.parameters().filter(|(name, value)| name == "header" && !value.is_empty());
    let words = Words {
        request,
        headers: headers.map(|(_, value)| value.into_owned()).collect(),
        source: asked.value("source"),
        listener: asked.value("listener"),
        random: asked.value("random"),
        http: asked.value("http"),
    };
    let explanation = match explanation(asked, &words) {
        Ok(explanation) => explanation,
        Err(error) => return answer::refusal(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let mut response = match asked.value("format").as_deref() {
        Some("json") => answer::json(&explanation),
        _ => answer::text(explain::as_text(&explanation)),
    };
    let is_error = if explanation.outcome.is_error() { "true" } else { "false" };
    response.headers_mut().insert(IS_ERROR, HeaderValue::from_static(is_error));
    response
}

/// Says of the first parameter that there is not, or whose value there is not, what there is instead.
fn wrong_parameter(asked: &Asked) -> Option<String> {
    let known = command::find("/explain").map_or(&[][..], |command| command.parameters);
    for (name, value) in asked.parameters() {
        let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
            let names: Vec<_> = known.iter().map(|parameter| parameter.name).collect();
            return Some(format!("there is no parameter {name:?}, but {}\n", names.join(", ")));
        };
        // A form sends what nobody has filled in, too.
        if let Kind::OneOf(values) = parameter.kind
            && !value.is_empty()
            && !values.contains(&&*value)
        {
            return Some(format!("{name} {value:?}: it is none of {}\n", values.join(", ")));
        }
    }
    None
}

fn explanation(asked: &Asked, words: &Words) -> Result<Explanation, QuestionError> {
    let process = &asked.subject;
    let addresses: Vec<Address> = process.listeners.iter().map(|listener| listener.address.clone()).collect();
    let subject = Subject {
        snapshot: &process.snapshot,
        clusters: &process.clusters,
        addresses: &addresses,
        own_ip: process.own_ip.clone(),
        live: Some(Live { unhealthy: process.unhealthy.load(Ordering::Relaxed) }),
    };
    explain::explain(&subject, &Question::read(words)?)
}
