//! The admin interface through real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

#[path = "../parity/envoy.rs"]
mod envoy;
#[path = "../harness/mod.rs"]
mod harness;

mod certs;
mod clusters;
mod commands;
mod config_dump;
mod information;
mod pair;
mod state;

use harness::{Bootstrap, CannedUpstream, OK, refusing_address, run};

#[tokio::test]
async fn its_address_is_written_down_and_one_that_is_taken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let proxy = Bootstrap::empty()
        .routes("[]")
        .admin()
        .argument("--admin-address-path")
        .argument(path.to_str().unwrap())
        .start()
        .await;
    let address = proxy.admin().0;
    // It accepts before it has written its address, and answers after that.
    assert_eq!(proxy.admin().get("/ready").await.status(), 200);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), address.to_string());

    let yaml = format!(
        "admin: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}",
        address.ip(),
        address.port()
    );
    let second = run(["--config-yaml", &yaml]).await;
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains(&address.to_string()), "{}", second.stderr);
    assert!(second.stderr.contains("admin.address"), "{}", second.stderr);
}

#[tokio::test]
async fn a_proxy_shows_its_own_traces_where_it_is_told_to_keep_them() {
    let upstream = CannedUpstream::answering(OK).await;
    let nobody = refusing_address();
    let proxy = Bootstrap::to(upstream.address())
        .traced_to(nobody, "shop")
        .admin()
        .argument("--keep-traces")
        .argument("1000000")
        .start()
        .await;
    assert_eq!(proxy.connect().await.get("/orders/7").await.status(), 200);
    let admin = proxy.admin();
    admin.until("shop", |report| report.spans.created == 1).await;
    let services = admin.get("/traces/api/services").await;
    assert!(services.text().contains("\"shop\""), "{}", services.text());
    let slash = admin.get("/traces/?service=shop").await;
    assert_eq!((slash.status(), slash.header("location")), (308, Some("/traces?service=shop")));
    let page = admin.get("/traces").await;
    assert_eq!(page.status(), 200);
    assert!(page.text().contains("shop") && page.text().contains("\"/traces/trace/"), "{}", page.text());
}
