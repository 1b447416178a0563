//! The services and operations that have been seen, for the fields of the search and for colours.

use std::collections::{BTreeMap, BTreeSet};

use crate::collector::store::{Store, Trace};

/// How many colours the style has for services.
const COLOURS: usize = 10;
/// Operations that are remembered; a service that puts ids in its names must not fill the memory.
const OPERATIONS: usize = 2_000;
/// Services that are remembered.
const SERVICES: usize = 1_000;

/// What was seen since the start.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// The version of the store up to which everything is in here.
    version: u64,
    /// In the order in which they came, which is what their colour goes by: it never changes.
    services: BTreeMap<Box<str>, Service>,
    operations: usize,
}

#[derive(Debug)]
struct Service {
    place: usize,
    operations: BTreeSet<Box<str>>,
}

impl Catalogue {
    /// Add what has come to `store` since the last time.
    pub(super) fn update(&mut self, store: &Store) {
        // Asked before the traces, so that what comes in between is looked at twice rather than never.
        let version = *store.changes().borrow();
        if version == self.version {
            return;
        }
        let known = self.version;
        for trace in store.newest(usize::MAX).iter().rev().filter(|trace| trace.version > known) {
            self.add(trace);
        }
        self.version = version;
    }

    fn add(&mut self, trace: &Trace) {
        for span in trace.by_start() {
            let name = &span.resource.service;
            if !self.services.contains_key(name) {
                if self.services.len() >= SERVICES {
                    continue;
                }
                let service = Service { place: self.services.len(), operations: BTreeSet::new() };
                self.services.insert(name.clone(), service);
            }
            let Some(service) = self.services.get_mut(name) else { continue };
            if self.operations < OPERATIONS && !service.operations.contains(&span.name) {
                service.operations.insert(span.name.clone());
                self.operations += 1;
            }
        }
    }

    /// All services, by name.
    pub(super) fn services(&self) -> Vec<String> {
        self.services.keys().map(|name| name.to_string()).collect()
    }

    /// The operations of `service`, or of all if it is empty, by name.
    pub(super) fn operations(&self, service: &str) -> BTreeSet<String> {
        let services = self.services.iter().filter(|(name, _)| service.is_empty() || ***name == *service);
        services.flat_map(|(_, service)| &service.operations).map(|name| name.to_string()).collect()
    }

    /// The colours of services.
    pub(super) fn palette(&self) -> Palette {
        Palette(self.services.iter().map(|(name, service)| (name.clone(), service.place % COLOURS)).collect())
    }
}

/// Which colour each service has, on all pages.
#[derive(Debug, Default)]
pub(super) struct Palette(BTreeMap<Box<str>, usize>);

impl Palette {
    /// The number of the colour of `service`.
    pub(super) fn colour(&self, service: &str) -> usize {
        self.0.get(service).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collector::span::{Resource, Span, tests::span};

    fn of(service: &str, name: &str, id: u64) -> Span {
        let resource = Arc::new(Resource { service: service.into(), attributes: Box::default() });
        Span { resource, name: name.into(), ..span(id.into(), id, 0) }
    }

    #[test]
    fn a_service_keeps_its_colour_when_others_come() {
        let (store, mut catalogue) = (Store::new(1 << 20), Catalogue::default());
        store.insert([of("shop", "buy", 1)]);
        catalogue.update(&store);
        store.insert([of("basket", "add", 2), of("shop", "look", 3)]);
        catalogue.update(&store);
        assert_eq!((catalogue.palette().colour("shop"), catalogue.palette().colour("basket")), (0, 1));
        assert_eq!(catalogue.services(), ["basket", "shop"]);
        assert_eq!(catalogue.operations("shop").into_iter().collect::<Vec<_>>(), ["buy", "look"]);
        assert_eq!(catalogue.operations("").len(), 3);
    }
}
