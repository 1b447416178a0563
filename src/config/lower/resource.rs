//! Who exports: the attributes of the OpenTelemetry resource, and the instrumentation scope, put together as
//! Envoy does from `envoy.config.trace.v3.OpenTelemetryConfig`.

/// What `service.name` is if nobody names the service.
pub(super) const UNKNOWN_SERVICE: &str = "unknown_service:envoy";

/// The software that exports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sdk<'a> {
    /// `telemetry.sdk.language`
    pub(super) language: &'a str,
    /// `telemetry.sdk.name`, and the name of the instrumentation scope.
    pub(super) name: &'a str,
    /// `telemetry.sdk.version`, and the version of the instrumentation scope.
    pub(super) version: &'a str,
}

/// Which parts are wanted. Each is, by default.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResourceParts {
    /// `service.name` from the configuration. Default: true. API: `set_service_name_resource_attribute`. A
    /// detector's `service.name` is kept either way.
    pub(super) service_name: bool,
    /// The three attributes `telemetry.sdk.*`. Default: true. API: `set_telemetry_sdk_resource_attributes`. A
    /// detector's are kept either way.
    pub(super) telemetry_sdk: bool,
}

impl Default for ResourceParts {
    fn default() -> Self {
        Self { service_name: true, telemetry_sdk: true }
    }
}

/// Where further attributes come from. API: `resource_detectors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResourceDetector {
    /// `EnvironmentResourceDetectorConfig`: the value of [`OTEL_RESOURCE_ATTRIBUTES`], if it is set.
    Environment(Option<String>),
    /// `StaticConfigResourceDetectorConfig.attributes`. Those with an empty value are left out.
    Static(Vec<(String, String)>),
}

/// The variable that [`ResourceDetector::Environment`] reads.
pub(super) const OTEL_RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The attributes: `service.name` (API: `service_name`; if empty `unknown_service:envoy`), `telemetry.sdk.*`,
/// then those of the detectors in their order. Of two with one key the later value counts, in the place of
/// the earlier; so a detector can rename the service.
pub(super) fn resource_attributes(
    service_name: &str,
    sdk: Sdk<'_>,
    parts: ResourceParts,
    detectors: &[ResourceDetector],
) -> Vec<(String, String)> {
    let mut attributes = Attributes::default();
    if parts.service_name {
        attributes.set("service.name", if service_name.is_empty() { UNKNOWN_SERVICE } else { service_name });
    }
    if parts.telemetry_sdk {
        attributes.set("telemetry.sdk.language", sdk.language);
        attributes.set("telemetry.sdk.name", sdk.name);
        attributes.set("telemetry.sdk.version", sdk.version);
    }
    for detector in detectors {
        match detector {
            ResourceDetector::Environment(text) => {
                for (key, value) in environment_attributes(text.as_deref().unwrap_or_default()).flatten() {
                    attributes.set(key, value);
                }
            }
            ResourceDetector::Static(map) => {
                for (key, value) in map.iter().filter(|(_, value)| !value.is_empty()) {
                    attributes.set(key, value);
                }
            }
        }
    }
    attributes.0
}

/// What [`OTEL_RESOURCE_ATTRIBUTES`] holds, as Envoy reads it: pairs between `,`, each of exactly two tokens
/// between `=`, where empty tokens are none; nothing is trimmed or decoded. `Err` is the text of what is not
/// a pair, which is left out: worth a warning.
pub(super) fn environment_attributes(text: &str) -> impl Iterator<Item = Result<(&str, &str), &str>> {
    text.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut tokens = pair.split('=').filter(|token| !token.is_empty());
        match (tokens.next(), tokens.next(), tokens.next()) {
            (Some(key), Some(value), None) => Ok((key, value)),
            _ => Err(pair),
        }
    })
}

#[derive(Default)]
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn set(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDK: Sdk<'_> = Sdk { language: "l", name: "n", version: "v" };

    fn environment(text: &str) -> ResourceDetector {
        ResourceDetector::Environment(Some(text.to_owned()))
    }

    fn fixed(pairs: &[(&str, &str)]) -> ResourceDetector {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        ResourceDetector::Static(pairs.iter().map(owned).collect())
    }

    /// `key=value` of each, joined by `|`.
    fn text(service_name: &str, parts: ResourceParts, detectors: &[ResourceDetector]) -> String {
        let attributes = resource_attributes(service_name, SDK, parts, detectors);
        attributes.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("|")
    }

    fn detected(detectors: &[ResourceDetector]) -> String {
        let parts = ResourceParts { service_name: false, telemetry_sdk: false };
        text("svc", parts, detectors)
    }

    #[test]
    fn the_service_and_the_sdk_come_first() {
        let all = ResourceParts::default();
        let sdk = "telemetry.sdk.language=l|telemetry.sdk.name=n|telemetry.sdk.version=v";
        assert_eq!(text("svc", all, &[environment("a=1")]), format!("service.name=svc|{sdk}|a=1"));
        assert_eq!(text("", all, &[]), format!("service.name=unknown_service:envoy|{sdk}"));
    }

    #[test]
    fn each_part_can_be_left_out() {
        let all = ResourceParts::default();
        assert_eq!(text("svc", ResourceParts { telemetry_sdk: false, ..all }, &[]), "service.name=svc");
        let sdk = text("svc", ResourceParts { service_name: false, ..all }, &[]);
        assert_eq!(sdk, "telemetry.sdk.language=l|telemetry.sdk.name=n|telemetry.sdk.version=v");
        assert_eq!(detected(&[]), "");
    }

    #[test]
    fn detectors_win_over_what_is_configured_and_the_later_over_the_earlier() {
        let parts = ResourceParts { telemetry_sdk: false, ..ResourceParts::default() };
        let (early, late) = (environment("service.name=e,a=1"), fixed(&[("a", "2"), ("b", "3")]));
        assert_eq!(text("svc", parts, &[early.clone(), late.clone()]), "service.name=e|a=2|b=3");
        assert_eq!(text("svc", parts, &[late, early]), "service.name=e|a=1|b=3");
    }

    #[test]
    fn a_detector_s_service_name_needs_no_part() {
        assert_eq!(
            detected(&[environment("service.name=e,telemetry.sdk.name=x")]),
            "service.name=e|telemetry.sdk.name=x"
        );
    }

    #[test]
    fn an_empty_static_value_is_none_but_an_empty_key_is_one() {
        assert_eq!(
            detected(&[fixed(&[("a", "1")]), fixed(&[("a", ""), ("", "v"), ("b", " ")])]),
            "a=1|=v|b= "
        );
    }

    #[test]
    fn an_environment_that_is_not_set_has_nothing() {
        assert_eq!(detected(&[ResourceDetector::Environment(None), environment("")]), "");
    }

    #[test]
    fn the_environment_is_read_as_envoy_reads_it() {
        for (given, read) in [
            ("a=1,b,c=2=3, d = 4 ", "a=1| d = 4 "),
            ("e=,=f,g=%20x,a=2,h=\"q\",,i=\t5", "g=%20x|a=2|h=\"q\"|i=\t5"),
            ("x==y,=m=n=,==,o= , =p", "x=y|m=n|o= | =p"),
            ("a=1,b=2,a=3", "a=3|b=2"),
            ("q=1;r=2", ""),
        ] {
            assert_eq!(detected(&[environment(given)]), read, "{given}");
        }
    }

    #[test]
    fn what_is_no_pair_can_be_told() {
        let bad = environment_attributes("a=1,b,,c=2=3,==").filter_map(Result::err).collect::<Vec<_>>();
        assert_eq!(bad, ["b", "c=2=3", "=="]);
    }
}
