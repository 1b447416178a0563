//! nginx's configuration.

use std::{fmt::Write, path::Path};

use crate::{setup::Setup, upstream::Surroundings};

/// The same members as Envoy's, as far as nginx has them, buffered as the others do.
fn log(setup: &Setup, folder: &str, port: u16) -> String {
    if !setup.json_log {
        return "  access_log off;".to_owned();
    }
    let members = [
        ("start_time", "$time_iso8601"),
        ("method", "$request_method"),
        ("path", "$request_uri"),
        ("protocol", "$server_protocol"),
        ("response_code", "$status"),
        ("bytes_received", "$content_length"),
        ("bytes_sent", "$body_bytes_sent"),
        ("duration", "$request_time"),
        ("upstream_service_time", "$upstream_response_time"),
        ("x_forwarded_for", "$proxy_add_x_forwarded_for"),
        ("user_agent", "$http_user_agent"),
        ("request_id", "$request_id"),
        ("authority", "$host"),
        ("upstream_host", "$upstream_addr"),
    ];
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    format!(
        "  log_format entries escape=json '{{{}}}';\n  access_log {folder}/access-{port}.json entries buffer=64k flush=10s;",
        members.join(",")
    )
}

/// Request ids, X-Forwarded-For, kept-alive upstream connections and timeouts; bodies are streamed, as the others do.
pub(crate) fn configuration(setup: &Setup, around: &Surroundings, port: u16, folder: &Path) -> String {
    let folder = &folder.display().to_string();
    let mut text = String::new();
    if nix::unistd::geteuid().is_root() {
        // The worker of a master that is root would be somebody who may not write here.
        text.push_str("user root;\n");
    }
    let _ = write!(
        text,
        "worker_processes {workers};
daemon off;
pid {folder}/nginx-{port}.pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
{log}
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_header_timeout 10s;
  client_body_timeout 60s;
  send_timeout 60s;
  client_max_body_size 16m;
  upstream host {{
    server 127.0.0.1:{upstream};
    keepalive 512;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port}{http2}{reuse};
    proxy_http_version 1.1;
    proxy_set_header Connection \"\";
    proxy_set_header Host $host;
    proxy_set_header X-Request-ID $request_id;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_connect_timeout 1s;
    proxy_read_timeout 15s;
    proxy_send_timeout 15s;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
",
        log = log(setup, folder, port),
        workers = setup.workers,
        upstream = around.http1,
        http2 = if setup.http2 { " http2" } else { "" },
        // Without it one of two workers may accept everything.
        reuse = if setup.workers > 1 { " reuseport" } else { "" },
    );
    let equal = if setup.exact { "= " } else { "" };
    for route in setup.matches() {
        let _ = writeln!(text, "    location {equal}{route} {{ proxy_pass http://host; }}");
    }
    text.push_str("  }\n}\n");
    text
}
