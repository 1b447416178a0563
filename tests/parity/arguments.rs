//! The command line. What it does not know, such as libtest's flags, is ignored.

use std::path::PathBuf;

use crate::scenario::{Scenario, Topic};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Compare,
    /// Print what is seen of Envoy.
    Observe,
    /// Leave both proxies up.
    Keep,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) mode: Mode,
    pub(crate) against_itself: bool,
    pub(crate) bless: bool,
    pub(crate) self_test: bool,
    pub(crate) folder: PathBuf,
    is_own_folder: bool,
    words: Option<String>,
}

impl Arguments {
    pub(crate) fn read() -> Self {
        let mut arguments = Self {
            mode: Mode::Compare,
            against_itself: false,
            bless: false,
            self_test: false,
            folder: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity")),
            is_own_folder: true,
            words: None,
        };
        let mut words = Vec::new();
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--against-itself" => arguments.against_itself = true,
                "--bless" => arguments.bless = true,
                // To a list of tests, as tools ask for it, it has nothing to add.
                "--self-test" | "--list" => arguments.self_test = true,
                "--observe" => arguments.mode = Mode::Observe,
                "--keep" => arguments.mode = Mode::Keep,
                "--dir" => {
                    arguments.folder = given.next().unwrap_or_default().into();
                    arguments.is_own_folder = false;
                }
                "--test-threads" | "--color" | "--format" | "--skip" => drop(given.next()),
                flag if flag.starts_with('-') => {}
                _ => words.push(argument),
            }
        }
        arguments.words = (!words.is_empty()).then(|| words.join(" "));
        arguments
    }

    /// The scenarios whose name, or whose file, contains the words.
    pub(crate) fn choose(&self, topic: &Topic) -> Vec<Scenario> {
        let Some(words) = &self.words else { return topic.scenarios.clone() };
        if topic.file.contains(words) {
            return topic.scenarios.clone();
        }
        topic.scenarios.iter().filter(|scenario| scenario.spec.name.contains(words)).cloned().collect()
    }

    /// Whether docs/differences.md is to be looked at: it is made of all scenarios.
    pub(crate) fn owns_the_page(&self) -> bool {
        self.is_own_folder && (self.bless || (self.words.is_none() && !self.against_itself))
    }
}
