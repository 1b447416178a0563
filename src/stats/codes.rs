//! Responses by their status.

use std::sync::{
    OnceLock,
    atomic::{AtomicU16, Ordering},
};

use super::{Counter, Metric, Reader};

/// `upstream_rq_2xx`, `upstream_rq_200` and so on, and `upstream_rq_completed`: what Envoy counts of responses by code.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    completed: Counter,
    classes: [Counter; 5],
    each: Each,
}

impl Codes {
    /// A response with `status`.
    pub(crate) fn count(&self, status: u16) {
        self.completed.inc();
        if let Some(class) =
            usize::from(status / 100).checked_sub(1).and_then(|class| self.classes.get(class))
        {
            class.inc();
        }
        if let Some(counter) = self.each.counter(status) {
            counter.inc();
        }
    }
}

impl Codes {
    /// How many responses there were.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.get()
    }
}

impl Metric for Codes {
    fn absorb(&self, other: &Self) {
        self.completed.absorb(&other.completed);
        self.classes.iter().zip(&other.classes).for_each(|(mine, theirs)| mine.absorb(theirs));
        other.each.each(&mut |status, count| {
            if let Some(counter) = self.each.counter(status) {
                counter.add(count);
            }
        });
    }

    fn read(&self, name: &str, reader: &mut dyn Reader) {
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        // As in Envoy there is none of the others before the first response.
        if self.completed.get() == 0 {
            return if name.is_empty() {
                reader.counter("upstream_rq_completed", 0)
            };
        }
        reader.counter(&format!("{prefix}upstream_rq_completed"), self.completed.get());
        for (class, counter) in (1..).zip(&self.classes) {
            if counter.get() > 0 {
                reader.counter(&format!("{prefix}upstream_rq_{class}xx"), counter.get());
            }
        }
        self.each.each(&mut |status, count| {
            reader.counter(&format!("{prefix}upstream_rq_{status}"), count);
        });
    }

    fn rebase(&self, base: &Self) {
        self.completed.rebase(&base.completed);
        self.classes.iter().zip(&base.classes).for_each(|(mine, base)| mine.rebase(base));
        base.each.each(&mut |status, count| {
            if let Some(counter) = self.each.counter(status) {
                counter.rebase(&Counter(count.into()));
            }
        });
    }
}

/// How many there are of each status: places that are taken as statuses come. There are few of them, whatever hosts send,
/// since a status has three digits.
#[derive(Debug, Default)]
struct Each {
    places: [Place; 6],
    more: OnceLock<Box<Each>>,
}

#[derive(Debug, Default)]
struct Place {
    /// 0 while it is free.
    status: AtomicU16,
    counter: Counter,
}

impl Each {
    fn counter(&self, status: u16) -> Option<&Counter> {
        if !(100..1000).contains(&status) {
            return None;
        }
        for place in &self.places {
            match place.status.load(Ordering::Relaxed) {
                0 => place.status.store(status, Ordering::Relaxed),
                taken if taken != status => continue,
                _ => {}
            }
            return Some(&place.counter);
        }
        self.more.get_or_init(Box::default).counter(status)
    }

    fn each(&self, see: &mut dyn FnMut(u16, u64)) {
        for place in &self.places {
            match place.status.load(Ordering::Relaxed) {
                0 => return,
                status => see(status, place.counter.get()),
            }
        }
        if let Some(more) = self.more.get() {
            more.each(see);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Read(Vec<(String, u64)>);

    impl Reader for Read {
        fn counter(&mut self, name: &str, value: u64) {
            self.0.push((name.to_owned(), value));
        }

        fn gauge(&mut self, _: &str, _: u64, _: bool) {}

        fn histogram(&mut self, _: &str, _: &super::super::Histogram) {}
    }

    fn read(codes: &Codes) -> Vec<(String, u64)> {
        let mut read = Read::default();
        codes.read("external", &mut read);
        read.0
    }

    #[test]
    fn every_status_and_its_class_are_counted() {
        let codes = Codes::default();
        assert_eq!(read(&codes), []);
        for status in (200..220).chain([200, 503, 999]) {
            codes.count(status);
        }
        let read = read(&codes);
        let of = |name: &str| read.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        assert_eq!(of("external.upstream_rq_completed"), Some(23));
        assert_eq!(of("external.upstream_rq_2xx"), Some(21));
        assert_eq!(of("external.upstream_rq_200"), Some(2));
        assert_eq!(of("external.upstream_rq_219"), Some(1));
        assert_eq!(of("external.upstream_rq_5xx"), Some(1));
        assert_eq!(of("external.upstream_rq_999"), Some(1));
        assert_eq!(of("external.upstream_rq_4xx"), None);
    }

    #[test]
    fn threads_that_saw_different_statuses_add_up() {
        let (one, two) = (Codes::default(), Codes::default());
        (0..3).for_each(|_| one.count(404));
        (200..210).for_each(|status| two.count(status));
        two.count(404);
        one.absorb(&two);
        assert!(read(&one).contains(&("external.upstream_rq_404".to_owned(), 4)));
        assert!(read(&one).contains(&("external.upstream_rq_completed".to_owned(), 14)));
        one.rebase(&two);
        assert!(read(&one).contains(&("external.upstream_rq_404".to_owned(), 3)));
    }
}
