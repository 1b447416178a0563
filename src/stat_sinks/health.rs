//! What the log says of a sink: when it takes nothing any more, and when it does again.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two lines, so that what comes and goes fills no log.
const INTERVAL: Duration = Duration::from_secs(10);

/// Whether statistics get through, and what was last said of it.
#[derive(Debug)]
pub(super) struct Health {
    sink: String,
    destination: String,
    /// The log says that they do not.
    told: bool,
    said: Option<Instant>,
    /// Flushes that were lost since it last said that all is well.
    lost: u64,
}

impl Health {
    /// Of the sink of that name.
    pub(super) fn new(sink: &str, destination: String) -> Self {
        Self { sink: sink.to_owned(), destination, told: false, said: None, lost: 0 }
    }

    /// A flush went well, or not; the log is told if that is another state than it knows.
    pub(super) fn after(&mut self, outcome: &Result<(), String>, now: Instant) {
        match self.line(outcome, now) {
            Some(Ok(line)) => tracing::info!("{line}"),
            Some(Err(line)) => tracing::warn!("{line}"),
            None => {}
        }
    }

    fn line(&mut self, outcome: &Result<(), String>, now: Instant) -> Option<Result<String, String>> {
        self.lost += u64::from(outcome.is_err());
        if outcome.is_err() == self.told || self.said.is_some_and(|said| now - said < INTERVAL) {
            return None;
        }
        (self.told, self.said) = (outcome.is_err(), Some(now));
        let Self { sink, destination, lost, .. } = self;
        Some(match outcome {
            Ok(()) => {
                let flushes = if *lost == 1 { "flush" } else { "flushes" };
                let line = format!(
                    "stats sink \"{sink}\": statistics get through to {destination} again; {lost} {flushes} did not"
                );
                *lost = 0;
                Ok(line)
            }
            Err(cause) => Err(format!(
                "stats sink \"{sink}\": {destination} {cause}; statistics are not sent, requests are not affected"
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_of_changes_and_not_too_often() {
        let start = Instant::now();
        let mut health = Health::new("s", "c".into());
        let mut after = |seconds, well: bool| {
            let outcome = if well { Ok(()) } else { Err("is gone".to_owned()) };
            health.line(&outcome, start + Duration::from_secs(seconds))
        };
        assert_eq!(after(0, true), None);
        assert_eq!(
            after(1, false),
            Some(Err(
                "stats sink \"s\": c is gone; statistics are not sent, requests are not affected".into()
            ))
        );
        assert_eq!(after(2, false), None);
        assert_eq!(after(3, true), None, "too soon");
        assert_eq!(after(4, false), None);
        assert_eq!(after(30, false), None);
        assert_eq!(
            after(31, true),
            Some(Ok("stats sink \"s\": statistics get through to c again; 4 flushes did not".into()))
        );
        assert_eq!(after(60, true), None);
    }
}
