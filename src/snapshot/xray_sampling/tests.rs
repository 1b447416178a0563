use proptest::prelude::*;
use serde_json::json;

use super::*;

const GET: SamplingRequest<'_> = SamplingRequest { host: "h", method: "GET", path: "/a/b?q=1" };

fn strategy(manifest: &Value) -> SamplingStrategy {
    let (strategy, problem) = SamplingStrategy::from_manifest(&manifest.to_string());
    assert_eq!(problem, None, "{manifest}");
    strategy
}

/// Whether `GET` is traced by a manifest whose default traces nothing and which has this rule, all else matching.
fn matched(name: &str, pattern: &str) -> bool {
    let mut rule = json!({"host": "*", "http_method": "*", "url_path": "*", "fixed_target": 0, "rate": 1});
    rule[name] = pattern.into();
    strategy(&json!({"version": 2, "default": {"fixed_target": 0, "rate": 0}, "rules": [rule]}))
        .traces(0, 0.99)
}

impl SamplingStrategy {
    fn traces(&self, millis: u64, draw: f64) -> bool {
        self.sample(GET, Duration::from_millis(millis), || draw)
    }
}

#[test]
fn without_a_manifest_one_a_second_and_5_percent_are_traced() {
    let strategy = SamplingStrategy::default();
    assert!(strategy.traces(0, 0.99));
    assert!(!strategy.traces(1000, 0.05));
    assert!(strategy.traces(1000, 0.049));
    assert!(strategy.traces(1001, 0.99));
}

#[test]
fn the_fixed_target_is_of_a_second_that_begins_with_its_first_request() {
    let strategy = strategy(&json!({"version": 2, "default": {"fixed_target": 2, "rate": 0}}));
    let taken = [0, 900, 950, 1000, 1001, 1002, 1003, 2001, 2002].map(|millis| strategy.traces(millis, 0.0));
    assert_eq!(taken, [true, true, false, false, true, true, false, false, true]);
}

#[test]
fn the_first_rule_that_matches_counts_and_has_a_reservoir_of_its_own() {
    let rule = |host: &str, fixed, rate| json!({"host": host, "http_method": "*", "url_path": "*", "fixed_target": fixed, "rate": rate});
    let default = json!({"fixed_target": 1, "rate": 0.0});
    let first =
        strategy(&json!({"version": 2, "default": default, "rules": [rule("*", 0, 0.0), rule("h", 0, 1.0)]}));
    assert!(!first.traces(0, 0.0));
    let own = strategy(&json!({"version": 2, "default": default, "rules": [rule("x", 1, 0.0)]}));
    let other = SamplingRequest { host: "x", ..GET };
    let mut taken = [GET, other, GET, other].map(|request| own.sample(request, Duration::ZERO, || 0.0));
    assert_eq!(taken, [true, true, false, false]);
    taken = [GET; 4].map(|request| own.sample(request, Duration::from_secs(2), || 0.0));
    assert_eq!(taken, [true, false, false, false]);
}

#[test]
fn patterns_match_as_in_envoy() {
    for (name, pattern, expected) in [
        ("host", "h", true),
        ("host", "H", true),
        ("host", "h:80", false),
        ("host", "?", true),
        ("host", "??", false),
        ("host", "h*", true),
        ("host", "*h", true),
        ("host", "h?", false),
        ("host", "**", true),
        ("host", "", false),
        ("http_method", "get", true),
        ("http_method", "G?T", true),
        ("http_method", "POST", false),
        ("url_path", "/a/b", false),
        ("url_path", "/A/B?Q=1", true),
        ("url_path", "/a/*", true),
        ("url_path", "*b", false),
        ("url_path", "*1", true),
        ("url_path", "/*?q=*", true),
        ("url_path", "*a*b*1", true),
    ] {
        assert_eq!(matched(name, pattern), expected, "{name} {pattern}");
    }
}

#[test]
fn a_manifest_that_cannot_be_used_is_replaced_by_the_default_strategy() {
    let with = |default: Value| json!({"version": 2, "default": default}).to_string();
    let fixed = "fixed target is missing or not a valid positive integer";
    let rate = "rate is missing or not a valid positive floating number";
    for (text, problem) in [
        ("{nope".to_owned(), "invalid JSON format"),
        ("[]".to_owned(), "invalid JSON format"),
        (String::new(), "invalid JSON format"),
        (format!("{} x", with(json!({}))), "invalid JSON format"),
        (json!({"default": {"fixed_target": 0, "rate": 1}}).to_string(), "missing version number"),
        (json!({"version": 1}).to_string(), "wrong version number"),
        (json!({"version": "2"}).to_string(), "wrong version number"),
        (json!({"version": 2, "rules": []}).to_string(), "missing default rule"),
        (with(Value::Null), "missing default rule"),
        (with(json!({})), fixed),
        (with(json!({"rate": 1})), fixed),
        (with(json!({"fixed_target": -1, "rate": 1})), fixed),
        (with(json!({"fixed_target": 1.5, "rate": 1})), fixed),
        (with(json!({"fixed_target": "0", "rate": 1})), fixed),
        (with(json!({"fixed_target": 5_000_000_000_u64, "rate": 1})), fixed),
        (with(json!({"fixed_target": 0})), rate),
        (with(json!({"fixed_target": 0, "rate": 1.5})), rate),
        (with(json!({"fixed_target": 0, "rate": -1})), rate),
        (with(json!({"fixed_target": 0, "rate": "1"})), rate),
        (with(json!({"fixed_target": 0, "rate": true})), rate),
    ] {
        let (strategy, told) = SamplingStrategy::from_manifest(&text);
        assert_eq!(told, Some(problem), "{text}");
        assert!(strategy.traces(0, 0.99) && !strategy.traces(1, 0.05), "{text}");
    }
    // Numbers may be written as JSON likes.
    let text = r#"{"version": 2.0, "x": 1, "default": {"fixed_target": 2.0, "rate": 0, "y": 1}}"#;
    assert_eq!(SamplingStrategy::from_manifest(text).1, None);
}

#[test]
fn rules_count_up_to_the_first_that_cannot_be_used() {
    let all = json!({"host": "*", "http_method": "*", "url_path": "*", "fixed_target": 0, "rate": 1});
    let but = |name: &str, value: Value| {
        let mut rule = all.clone();
        rule[name] = value;
        rule
    };
    for (bad, problem) in [
        (json!("x"), "rules array must be objects"),
        (but("host", json!(5)), "host must be a string"),
        (but("host", Value::Null), "host must be a string"),
        (but("http_method", json!(1)), "HTTP method must be a string"),
        (but("url_path", Value::Null), "URL path must be a string"),
        (but("fixed_target", json!(-1)), "fixed target is missing or not a valid positive integer"),
        (but("rate", json!(2)), "rate is missing or not a valid positive floating number"),
    ] {
        for (rules, traced) in [(json!([all, bad]), true), (json!([bad, all]), false)] {
            let manifest = json!({"version": 2, "default": {"fixed_target": 0, "rate": 0}, "rules": rules});
            let (strategy, told) = SamplingStrategy::from_manifest(&manifest.to_string());
            assert_eq!((told, strategy.traces(0, 0.99)), (Some(problem), traced), "{rules}");
        }
    }
    let none = json!({"version": 2, "default": {"fixed_target": 0, "rate": 1}, "rules": {}});
    let (strategy, told) = SamplingStrategy::from_manifest(&none.to_string());
    assert_eq!((told, strategy.traces(0, 0.99)), (Some("rules must be JSON array"), true));
}

#[test]
fn workers_share_a_fixed_target() {
    let strategy = strategy(&json!({"version": 2, "default": {"fixed_target": 100, "rate": 0}}));
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    taken.fetch_add(u64::from(strategy.traces(5, 0.0)), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), 100);
}

proptest! {
    #[test]
    fn no_text_makes_a_manifest_panic(text: String) {
        let _ = SamplingStrategy::from_manifest(&text);
    }

    #[test]
    fn a_star_between_parts_matches_what_has_them(a in "[a-c?]{0,4}", b in "[a-c?]{0,4}", middle in "[a-c]{0,6}") {
        let text = format!("{}{middle}{}", a.replace('?', "x"), b.replace('?', "x"));
        let pattern = format!("{a}*{b}");
        prop_assert!(wildcard(&pattern, &text.to_uppercase()));
    }

    #[test]
    fn a_pattern_without_signs_matches_itself_only(pattern in "[a-c]{0,3}", text in "[a-c]{0,3}") {
        prop_assert_eq!(wildcard(&pattern, &text), pattern == text);
    }
}
