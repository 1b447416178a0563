//! Which commands there are, and how they are told.

use crate::harness::{Bootstrap, CannedUpstream, OK, TestProxy, refusing_address, within};

async fn idle() -> TestProxy {
    Bootstrap::empty().routes("[]").admin().start().await
}

#[tokio::test]
async fn help_lists_each_command_with_its_method_and_parameters() {
    let proxy = idle().await;
    let help = proxy.admin().get("/help").await;
    assert_eq!(help.header("content-type"), Some("text/plain; charset=UTF-8"));
    let text = help.text();
    assert!(text.starts_with("admin commands are:\n  /: all of this as a page\n"), "{text}");
    for line in [
        "  /reset_counters (POST): begin to count at zero again\n",
        "  /ready: the state: 200 while it is LIVE, else 503\n",
        "      usedonly: only what was ever written\n",
        "      type: only statistics of this kind; One of (All, Counters, Histograms, Gauges, TextReadouts)\n",
        "  /tracing: ",
    ] {
        assert!(text.contains(line), "{line}in\n{text}");
    }
    assert!(!text.contains("/traces"), "none are kept: {text}");
    let unknown = proxy.admin().get("/nothing").await;
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.text(), format!("invalid path. {text}"));
    for path in ["/traces", "/traces/", "/traces/api/traces"] {
        let traces = proxy.admin().get(path).await;
        assert_eq!(traces.status(), 404, "{path}");
        assert!(
            traces.text().starts_with("this proxy keeps no traces: start it with --keep-traces"),
            "{path}"
        );
    }
    assert!(proxy.admin().get("/tracesx").await.text().starts_with("invalid path. "));
    assert!(proxy.admin().get("/tracing?_=1").await.text().contains("no listener traces"));
}

#[tokio::test]
async fn each_command_that_help_lists_is_answered() {
    let proxy = idle().await;
    let help = proxy.admin().get("/help").await;
    for line in help.text().lines().filter(|line| line.starts_with("  /")) {
        let (command, _) = line.trim().split_once(": ").unwrap();
        // Those that end it are looked at elsewhere.
        if command.starts_with("/quit") || command.starts_with("/drain") {
            continue;
        }
        match command.strip_suffix(" (POST)") {
            // Without a request there is nothing to explain.
            None if command == "/explain" => {
                assert_eq!(proxy.admin().get(command).await.status(), 400, "{command}");
            }
            None => assert_eq!(proxy.admin().get(command).await.status(), 200, "{command}"),
            Some(path) => {
                let refused = proxy.admin().get(path).await;
                assert_eq!(refused.status(), 405, "{path}");
                assert_eq!(refused.text(), "Method GET not allowed, POST required.");
                let put = proxy.admin().ask("PUT", path, "", "").await;
                assert_eq!(put.text(), "Method PUT not allowed, POST required.");
                assert_eq!(proxy.admin().post(path).await.status(), 200, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_has_a_link_or_a_form_for_each_command_and_loads_nothing() {
    let proxy = idle().await;
    let page = proxy.admin().get("/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=UTF-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
    let nonce = policy.split_once("nonce-").unwrap().1.split_once('\'').unwrap().0;
    let text = page.text();
    assert!(text.contains(&format!("<style nonce=\"{nonce}\">")), "{text}");
    assert!(text.contains("<a href=\"ready\">/ready</a>"), "{text}");
    assert!(text.contains("<form action=\"reset_counters\" method=\"post\""), "{text}");
    assert!(text.contains("<form action=\"stats\" method=\"get\""), "{text}");
    for foreign in ["http://", "https://", "<script", " src="] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
    let other = proxy.admin().get("/").await;
    assert!(!other.header("content-security-policy").unwrap().contains(nonce), "each page has its own");
}

/// The cells of the row that begins with `name`.
fn cells(page: &str, name: &str) -> Vec<String> {
    let row = page.split("<tr>").find(|row| row.starts_with(&format!("<th scope=\"row\">{name}</th>")));
    let cells = row.unwrap_or_else(|| panic!("no {name} in {page}")).split("<td class=\"num\">").skip(1);
    cells.map(|cell| cell.split("</td>").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_page_sums_up_requests_errors_and_durations() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address())
        .cluster("<b>", &[refusing_address()])
        .routes("[{match: {prefix: /ill}, route: {cluster: <b>}}, {match: {prefix: /}, route: {cluster: upstream}}]")
        .admin()
        .start()
        .await;
    for path in ["/", "/", "/", "/ill"] {
        proxy.connect().await.get(path).await;
    }
    // A response is there before all of it is counted.
    let page = within(async {
        loop {
            let page = proxy.admin().get("/").await;
            if cells(page.text(), "listener main, test")[3] != "-" {
                return page;
            }
        }
    })
    .await;
    let listener = cells(page.text(), "listener main, test");
    assert_eq!(listener[2], "4", "{listener:?}");
    let cluster = cells(page.text(), "cluster upstream");
    assert_eq!(cluster[2], "3", "{cluster:?}");
    cells(page.text(), "cluster &lt;b&gt;");
    assert!(page.text().contains("<a href=\"tracing\">/tracing</a>"), "{}", page.text());
    // Nothing has happened since.
    let page = proxy.admin().get("/").await;
    let listener = cells(page.text(), "listener main, test");
    assert_eq!((&*listener[0], &*listener[1], &*listener[2]), ("0.0", "-", "4"));
    proxy.connect().await.get("/ill").await;
    let listener = within(async {
        loop {
            let page = proxy.admin().get("/").await;
            let listener = cells(page.text(), "listener main, test");
            if listener[1] != "-" {
                return listener;
            }
        }
    })
    .await;
    assert_eq!((&*listener[1], &*listener[2]), ("100.0 %", "5"));
}

#[tokio::test]
async fn what_envoy_has_and_spanway_has_not_is_refused_with_the_reason() {
    let proxy = idle().await;
    for (path, reason) in [
        ("/contention", "spanway has no /contention: workers share no locks that could be fought over\n"),
        (
            "/memory/tcmalloc",
            "spanway has no /memory/tcmalloc: its allocator is mimalloc; /memory has sums\n",
        ),
    ] {
        let refused = proxy.admin().get(path).await;
        assert_eq!((refused.status(), refused.text()), (501, reason));
    }
    for path in ["/cpuprofiler", "/heapprofiler", "/allocprofiler", "/runtime_modify"] {
        assert_eq!(proxy.admin().post(path).await.status(), 501, "{path}");
    }
    for path in ["/heap_dump", "/peak_heap_dump", "/init_dump", "/stats/recentlookups"] {
        assert_eq!(proxy.admin().get(path).await.status(), 501, "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let proxy = idle().await;
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        let header = format!("sec-fetch-site: {site}\r\n");
        let answer = proxy.admin().ask("POST", "/reset_counters", &header, "").await;
        assert_eq!(answer.status(), status, "{site}");
    }
}

#[tokio::test]
async fn reopen_logs_opens_the_log_again_after_it_was_moved() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let proxy = Bootstrap::empty()
        .routes("[]")
        .admin()
        .argument("--log-path")
        .argument(log.to_str().unwrap())
        .start()
        .await;
    std::fs::rename(&log, folder.path().join("old")).unwrap();
    let answer = proxy.admin().post("/reopen_logs").await;
    assert_eq!((answer.status(), answer.text()), (200, "OK\n"));
    // A refusal is logged, and goes to the new file as soon as that is open.
    let reopened = async {
        while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("mutates state")) {
            proxy.admin().get("/reopen_logs").await;
        }
    };
    crate::harness::within(reopened).await;
}
