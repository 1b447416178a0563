//! Which listener a request comes to.

use super::{
    Subject,
    question::{Question, QuestionError},
    report::{ListenerReport, Place},
    spans::direction,
};
use crate::snapshot::{Address, listener::Listener};

/// The place of the listener, and why it is the one.
pub(super) fn choose(subject: &Subject<'_>, question: &Question) -> Result<(usize, String), QuestionError> {
    let listeners = &subject.snapshot.listeners;
    let list = || {
        let each = (0..listeners.len()).map(|place| describe(subject, place));
        each.collect::<Vec<_>>().join(", ")
    };
    if listeners.is_empty() {
        return Err(QuestionError::Listener("the configuration has no listener".to_owned()));
    }
    if let Some(wanted) = &question.listener {
        let found = listeners.iter().enumerate().position(|(place, listener)| {
            *listener.name == **wanted || address(subject, place, listener).to_string() == *wanted
        });
        return match found {
            Some(place) => Ok((place, "it was asked for".to_owned())),
            None => Err(QuestionError::Listener(format!(
                "listener {wanted:?}: there is none of that name or address; there are {}",
                list()
            ))),
        };
    }
    let port = |place: usize, listener: &Listener| {
        address(subject, place, listener).socket().map(|address| address.port())
    };
    if let Some(wanted) = question.port {
        let mut fitting = listeners
            .iter()
            .enumerate()
            .filter(|(place, listener)| port(*place, listener) == Some(wanted))
            .map(|(place, _)| place);
        match (fitting.next(), fitting.next()) {
            (Some(place), None) => return Ok((place, format!("it has the URL's port, {wanted}"))),
            (Some(_), Some(_)) => {
                return Err(QuestionError::Listener(format!(
                    "several listeners have the URL's port, {wanted}; say which with --listener NAME: {}",
                    list()
                )));
            }
            (None, _) => {}
        }
    }
    if listeners.len() == 1 {
        return Ok((0, "it is the only one".to_owned()));
    }
    let why = match question.port {
        Some(port) => format!("no listener has the URL's port, {port}"),
        None => "the request does not say to which listener it comes".to_owned(),
    };
    Err(QuestionError::Listener(format!("{why}; say which with --listener NAME: {}", list())))
}

fn address<'a>(subject: &'a Subject<'_>, place: usize, listener: &'a Listener) -> &'a Address {
    subject.addresses.get(place).unwrap_or(&listener.address)
}

fn describe(subject: &Subject<'_>, place: usize) -> String {
    let Some(listener) = subject.snapshot.listeners.get(place) else { return String::new() };
    format!("{:?} at {}", listener.name, address(subject, place, listener))
}

/// What is told of it.
pub(super) fn report(
    subject: &Subject<'_>,
    place: usize,
    listener: &Listener,
    why: String,
    question: &Question,
) -> ListenerReport {
    let tls = listener.tls.is_some();
    let mut notes = Vec::new();
    if question.https && !tls {
        notes.push(
            "the URL says https, and this listener speaks plain text: as behind something that has ended TLS"
                .to_owned(),
        );
    }
    if question.port.is_some() && !question.https && tls {
        notes.push(
            "the URL says http, and this listener takes TLS only: told is what comes after the handshake"
                .to_owned(),
        );
    }
    if !listener.bind_to_port {
        notes.push("bind_to_port is false: it accepts nothing".to_owned());
    }
    match listener.direction {
        crate::snapshot::listener::TrafficDirection::Unspecified => {}
        other => notes.push(format!("traffic_direction {}", direction(other))),
    }
    if subject.live.is_some_and(|live| live.unhealthy) {
        notes.push("the process is DRAINING: the connection ends with the response".to_owned());
    }
    ListenerReport {
        name: listener.name.to_string(),
        address: address(subject, place, listener).to_string(),
        place: Place::of(listener.path.to_string()),
        why,
        tls,
        filter_chain: "the only one, which takes every connection".to_owned(),
        source: match address(subject, place, listener) {
            Address::Pipe(_) => "a unix socket".to_owned(),
            Address::Socket(_) if question.source_known => question.source.ip().to_string(),
            Address::Socket(_) => format!("{}, since none was given", question.source.ip()),
        },
        notes,
    }
}
