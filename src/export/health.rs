//! What the log says of a tracer's delivery: when a fault begins, now and then while it lasts, and when it is over.

use std::time::Duration;

use tokio::time::Instant;

use super::stats::{Delivered, DropReason, DroppedSpans};

/// The least time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Whether spans get through, and what was last said of it.
#[derive(Debug)]
pub(super) struct Health {
    tracer: String,
    destination: String,
    fault: Option<Fault>,
    said: Option<Instant>,
    /// What the collector had to say of spans that it took.
    remark: String,
}

#[derive(Debug)]
struct Fault {
    since: Instant,
    cause: String,
    hint: Option<&'static str>,
    /// Something went wrong since the last line.
    news: bool,
    /// The last line was about this fault.
    told: bool,
    last: Instant,
    /// Calls go well, and spans are lost nevertheless.
    behind: bool,
    /// Since when all is well again.
    over: Option<Instant>,
    /// What was lost before it.
    lost_before: DroppedSpans,
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Something is wrong.
    Warning(String),
    /// Nothing is wrong any more.
    Info(String),
}

impl Health {
    /// Of a tracer of that name, whose spans go to `destination`.
    pub(super) fn new(tracer: &str, destination: &str) -> Self {
        Self {
            tracer: tracer.to_owned(),
            destination: destination.to_owned(),
            fault: None,
            said: None,
            remark: String::new(),
        }
    }

    /// A call went wrong.
    pub(super) fn failed(
        &mut self,
        cause: &str,
        hint: Option<&'static str>,
        lost_before: &DroppedSpans,
        now: Instant,
    ) {
        self.problem(cause, hint, false, lost_before, now);
    }

    /// Spans are lost since more come than are taken.
    pub(super) fn behind(&mut self, lost_before: &DroppedSpans, now: Instant) {
        if self.fault.as_ref().is_some_and(|fault| !fault.behind && fault.over.is_none()) {
            return;
        }
        let hint = Some(
            "sample less, give the collector more room, or let more wait (max_cache_size, OTEL_BSP_MAX_QUEUE_SIZE, \
             export.max_queue_bytes)",
        );
        self.problem("takes spans more slowly than they come", hint, true, lost_before, now);
    }

    fn problem(
        &mut self,
        cause: &str,
        hint: Option<&'static str>,
        behind: bool,
        lost_before: &DroppedSpans,
        now: Instant,
    ) {
        let fault = self.fault.get_or_insert_with(|| Fault {
            since: now,
            cause: String::new(),
            hint: None,
            news: true,
            told: false,
            last: now,
            behind,
            over: None,
            lost_before: *lost_before,
        });
        // What was over for a while and is wrong again is another fault, though nobody was told of the end.
        if fault.over.is_some_and(|over| now - over >= Duration::from_secs(1)) {
            (fault.since, fault.told) = (now, false);
        }
        cause.clone_into(&mut fault.cause);
        (fault.hint, fault.behind, fault.last, fault.over, fault.news) = (hint, behind, now, None, true);
    }

    /// A call went well.
    pub(super) fn succeeded(&mut self, now: Instant) {
        if let Some(fault) = &mut self.fault {
            fault.over.get_or_insert(now);
        }
    }

    /// The collector took all spans of a call and had something to say: a line, if that is new and it is time for one.
    pub(super) fn remarked(&mut self, message: &str, now: Instant) -> Option<Line> {
        if self.remark == message || self.said.is_some_and(|said| now - said < INTERVAL) {
            return None;
        }
        self.said = Some(now);
        message.clone_into(&mut self.remark);
        let (tracer, destination) = (&self.tracer, &self.destination);
        Some(Line::Warning(format!("tracer \"{tracer}\": {destination} took the spans, and says: {message}")))
    }

    /// When there may be something to say.
    pub(super) fn due(&self) -> Option<Instant> {
        let fault = self.fault.as_ref()?;
        let allowed = self.said.map(|said| said + INTERVAL);
        let wanted = match fault.over {
            Some(_) if fault.behind => Some(fault.last + INTERVAL),
            Some(over) => Some(over),
            None => fault.news.then_some(fault.last),
        };
        Some(wanted?.max(allowed.unwrap_or(wanted?)))
    }

    /// What there is to say now.
    pub(super) fn line(&mut self, delivered: &Delivered, now: Instant) -> Option<Line> {
        if self.due()? > now {
            return None;
        }
        let fault = self.fault.as_mut()?;
        let Self { tracer, destination, said, .. } = self;
        let (lost, reasons) = lost_since(delivered, &fault.lost_before);
        let lasted = match (fault.over.unwrap_or(now) - fault.since).as_secs() {
            0 => "less than a second".to_owned(),
            seconds => format!("{:?}", Duration::from_secs(seconds)),
        };
        let over = fault.over.is_some();
        if over && !fault.told && lost == 0 {
            // It was over before anybody was told.
            self.fault = None;
            return None;
        }
        *said = Some(now);
        if over {
            let text = format!(
                "tracer \"{tracer}\": spans get through to {destination} again, after {lasted}; {}",
                match lost {
                    0 => "none was lost".to_owned(),
                    lost => format!("{} ({reasons})", spans(lost, "lost")),
                }
            );
            self.fault = None;
            return Some(Line::Info(text));
        }
        let waiting = delivered.queued_spans + delivered.in_flight;
        let duration = if fault.told { format!(" (for {lasted} now)") } else { String::new() };
        let hint = fault.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        let lost = if lost == 0 { "no span is lost so far".to_owned() } else { spans(lost, "lost") };
        let text = format!(
            "tracer \"{tracer}\": {destination} {}{duration}{hint}. {lost}, {waiting} wait; requests are not affected",
            fault.cause
        );
        (fault.told, fault.news) = (true, false);
        Some(Line::Warning(text))
    }

    /// What became of all spans, when the process ends.
    pub(super) fn last_words(&self, delivered: &Delivered) -> Option<Line> {
        let exported = delivered.exported;
        let (lost, reasons) = lost_since(delivered, &DroppedSpans::default());
        let Self { tracer, destination, fault, .. } = self;
        if lost == 0 {
            let text = || format!("tracer \"{tracer}\": {} to {destination}", spans(exported, "exported"));
            return (exported > 0).then(text).map(Line::Info);
        }
        let cause = match fault {
            Some(fault) if fault.over.is_none() => format!("; it {} at the end", fault.cause),
            _ => String::new(),
        };
        Some(Line::Warning(format!(
            "tracer \"{tracer}\": {} to {destination}, {} ({reasons}){cause}",
            spans(exported, "exported"),
            spans(lost, "lost"),
        )))
    }
}

fn spans(count: u64, what: &str) -> String {
    format!("{count} span{} {what}", if count == 1 { "" } else { "s" })
}

/// How many spans were lost since then, and how many for each reason.
fn lost_since(delivered: &Delivered, before: &DroppedSpans) -> (u64, String) {
    let each = DropReason::ALL.into_iter().zip(before).filter_map(|(reason, before)| {
        let lost = delivered.dropped(reason) - before;
        (lost > 0).then(|| (lost, format!("{} {lost}", reason.name())))
    });
    let (counts, texts): (Vec<_>, Vec<_>) = each.unzip();
    (counts.iter().sum(), texts.join(", "))
}

impl Line {
    /// Write it to the log.
    pub(super) fn log(&self) {
        match self {
            Self::Warning(text) => tracing::warn!("{text}"),
            Self::Info(text) => tracing::info!("{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of those moments, in seconds: `f` a call that fails, `s` one that goes well, `b` a loss because more
    /// comes than is taken.
    fn lines(events: &[(f64, char)], until: f64) -> Vec<(f64, &'static str)> {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut health = Health::new("t", "c:4317");
        let mut delivered = Delivered::default();
        let mut said = Vec::new();
        let mut events = events.iter().copied().peekable();
        loop {
            let next = events.peek().map(|(seconds, _)| at(*seconds));
            let now = match (next, health.due()) {
                (Some(next), Some(due)) => next.min(due.max(start)),
                (Some(next), None) => next,
                (None, Some(due)) => due,
                (None, None) => break,
            };
            if now > at(until) {
                break;
            }
            if next.is_some_and(|next| next <= now)
                && let Some((_, event)) = events.next()
            {
                match event {
                    'f' => health.failed("does not listen", None, &delivered.dropped, now),
                    's' => health.succeeded(now),
                    _ => {
                        let before = delivered.dropped;
                        delivered.count_dropped(DropReason::QueueFull, 1);
                        health.behind(&before, now);
                    }
                }
            }
            if let Some(line) = health.line(&delivered, now) {
                let kind = if matches!(line, Line::Warning(_)) { "warning" } else { "again" };
                said.push(((now - start).as_secs_f64().round(), kind));
            }
        }
        said
    }

    #[test]
    fn a_fault_is_told_at_once_and_its_end_no_sooner_than_ten_seconds_later() {
        assert_eq!(lines(&[(1.0, 'f'), (2.0, 's')], 60.0), [(1.0, "warning"), (11.0, "again")]);
        assert_eq!(lines(&[(1.0, 'f'), (30.0, 's')], 60.0), [(1.0, "warning"), (30.0, "again")]);
    }

    #[test]
    fn while_a_fault_lasts_there_is_a_line_in_ten_seconds_if_there_is_news() {
        let failing = (0..300).map(|tenth| (f64::from(tenth) / 10.0, 'f')).collect::<Vec<_>>();
        let times = lines(&failing, 60.0).into_iter().map(|(time, _)| time).collect::<Vec<_>>();
        assert_eq!(times, [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(lines(&[(0.0, 'f')], 60.0).len(), 1, "nothing new, nothing to say");
    }

    #[test]
    fn what_comes_and_goes_fills_no_log() {
        let flapping =
            (0..600).map(|tenth| (f64::from(tenth) / 10.0, if tenth % 2 == 0 { 'f' } else { 's' }));
        let said = lines(&flapping.collect::<Vec<_>>(), 60.0);
        assert!(said.len() <= 7, "{said:?}");
    }

    #[test]
    fn being_slower_than_spans_come_is_over_when_nothing_was_lost_for_ten_seconds() {
        let mut events = Vec::new();
        for tenth in 0..250 {
            events.push((f64::from(tenth) / 10.0, if tenth % 2 == 0 { 'b' } else { 's' }));
        }
        let said = lines(&events, 60.0);
        assert_eq!(said, [(0.0, "warning"), (10.0, "warning"), (20.0, "warning"), (35.0, "again")]);
    }

    #[test]
    fn a_remark_is_told_once_and_another_ten_seconds_later() {
        let mut health = Health::new("t", "c:4317");
        let now = Instant::now();
        let first = health.remarked("spans without a name", now).unwrap();
        assert_eq!(
            first,
            Line::Warning("tracer \"t\": c:4317 took the spans, and says: spans without a name".into())
        );
        assert_eq!(health.remarked("another", now), None);
        let later = now + INTERVAL;
        assert_eq!(health.remarked("spans without a name", later), None);
        assert!(health.remarked("another", later).is_some());
    }
}
