//! The parameters of a request.

use super::answer::Refusal;
use crate::server::duration;

/// Nanoseconds in a microsecond, the unit of `start` and `end`.
pub(super) const MICROSECOND: u64 = 1_000;
/// Nanoseconds in a millisecond, the unit of `endTs`.
pub(super) const MILLISECOND: u64 = 1_000_000;

/// What stands behind the question mark, decoded.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The parameters of `query`.
    pub(super) fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// All values of `name`.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of `name`; an empty one is none, since forms send those.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// The moment `name`, given in `unit` nanoseconds since 1970, as nanoseconds. One before 1970 is 1970.
    pub(super) fn moment(&self, name: &str, unit: u64) -> Result<Option<u64>, Refusal> {
        let read = |text: &str| match text.parse::<i64>() {
            Ok(number) => Ok(u64::try_from(number).unwrap_or(0).saturating_mul(unit)),
            Err(why) => Err(Refusal::parameter(name, why)),
        };
        self.text(name).map(read).transpose()
    }

    /// The number `name`.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let read = |text: &str| text.parse().map_err(|why| Refusal::parameter(name, why));
        self.text(name).map(read).transpose()
    }

    /// The duration `name`, such as `1.5ms`, in nanoseconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let read = |text: &str| {
            let told = || format!("'{text}' is no duration: {}", duration::EXPECTED);
            duration::nanoseconds(text).ok_or_else(|| Refusal::parameter(name, told()))
        };
        self.text(name).map(read).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_empty_ones_are_none() {
        let parameters = Parameters::parse(Some("a=x%20y+z&a=2&b=&c=%C3%A9"));
        assert_eq!(parameters.text("a"), Some("x y z"));
        assert_eq!(parameters.all("a").collect::<Vec<_>>(), ["x y z", "2"]);
        assert_eq!(
            (parameters.text("b"), parameters.text("c"), parameters.text("d")),
            (None, Some("é"), None)
        );
    }

    #[test]
    fn moments_have_the_unit_of_their_parameter() {
        let parameters = Parameters::parse(Some("start=5&endTs=-1&wrong=soon&far=9223372036854775807"));
        assert_eq!(parameters.moment("start", MICROSECOND), Ok(Some(5_000)));
        assert_eq!(parameters.moment("endTs", MILLISECOND), Ok(Some(0)));
        assert_eq!(parameters.moment("far", MILLISECOND), Ok(Some(u64::MAX)));
        let refusal = parameters.moment("wrong", MICROSECOND).unwrap_err();
        assert_eq!(refusal.message(), "unable to parse param 'wrong': invalid digit found in string");
    }
}
