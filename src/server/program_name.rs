//! A command line that begins with the program's name twice, as containers have it.

use std::{ffi::OsString, path::Path};

/// `arguments` without a second program name at their head.
///
/// Envoy's image accepts flags alone (`-c envoy.yaml`) as well as a whole command (`envoy -c envoy.yaml`,
/// `/usr/local/bin/envoy -c envoy.yaml`), since its entry point is a shell script. An image without a
/// shell has only this program to make them the same. Serving takes no positional argument, so nothing
/// else can be meant.
pub fn without_second(arguments: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments
        .into_iter()
        .enumerate()
        .filter(|(index, argument)| *index != 1 || !is_program(argument))
        .map(|(_, argument)| argument)
}

fn is_program(argument: &OsString) -> bool {
    Path::new(argument).file_name().is_some_and(|name| name == "envoy" || name == "spanway")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(line: &str) -> String {
        let kept: Vec<OsString> = without_second(line.split(' ').map(OsString::from)).collect();
        kept.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn a_whole_envoy_command_is_the_same_as_its_flags() {
        assert_eq!(kept("spanway -c envoy.yaml"), "spanway -c envoy.yaml");
        assert_eq!(kept("spanway envoy -c envoy.yaml"), "spanway -c envoy.yaml");
        assert_eq!(kept("spanway /usr/local/bin/envoy -c envoy"), "spanway -c envoy");
        assert_eq!(kept("spanway spanway check envoy"), "spanway check envoy");
        assert_eq!(kept("spanway check envoy"), "spanway check envoy");
    }
}
