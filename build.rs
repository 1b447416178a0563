//! Compiles the descriptors of the Envoy API, from which `config` reads, checks and reports.
//!
//! The `.proto` files are those that the `envoy-types` package ships beside the types it generates, so
//! descriptors and types cannot drift apart.

use std::{
    env,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Where the `.proto` files stand below the package's `proto/`.
const INCLUDES: &[&str] = &[
    "data-plane-api",
    "xds",
    "googleapis",
    "protoc-gen-validate",
    "cel-spec/proto",
    "client_model",
    "opentelemetry-proto",
];

/// These say `common.…` for `envoy.extensions.common`, which resolves wrongly once anything of
/// `envoy.extensions.filters.common` has been read; so they come before everything else.
const FIRST: &[&str] = &[
    "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto",
    "envoy/extensions/filters/http/file_server/v3/file_server.proto",
    "envoy/extensions/filters/http/file_system_buffer/v3/file_system_buffer.proto",
    "envoy/extensions/filters/http/tap/v3/tap.proto",
    "envoy/extensions/filters/network/ratelimit/v3/rate_limit.proto",
    "envoy/extensions/filters/network/redis_proxy/v3/redis_proxy.proto",
    "envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy.proto",
];

/// What a bootstrap may contain, and what it is shown in: these files, what they import, and the [`EXTENSIONS`].
const ROOTS: &[&str] = &[
    "envoy/admin/v3/config_dump.proto",
    "envoy/config/bootstrap/v3/bootstrap.proto",
    "envoy/config/metrics/v3/metrics_service.proto",
    "envoy/config/trace/v3/trace.proto",
    "envoy/config/trace/v3/dynamic_ot.proto",
    "envoy/config/trace/v3/skywalking.proto",
    "envoy/config/trace/v3/xray.proto",
    "validate/validate.proto",
];

/// Folders of extensions whose configuration is read in full even where spanway does not implement it, so that
/// it is refused by its name and its own mistakes are found.
const EXTENSIONS: &[&str] = &[
    "envoy/extensions/access_loggers",
    "envoy/extensions/filters/http",
    "envoy/extensions/filters/listener",
    "envoy/extensions/filters/network",
    "envoy/extensions/http",
    "envoy/extensions/internal_redirect",
    "envoy/extensions/load_balancing_policies",
    "envoy/extensions/network/dns_resolver",
    "envoy/extensions/request_id",
    "envoy/extensions/retry",
    "envoy/extensions/stat_sinks",
    "envoy/extensions/tracers",
    "envoy/extensions/transport_sockets",
    "envoy/extensions/upstreams",
];

/// What most configurations are made of. These files and what they import are decoded when a configuration is read, and
/// all others only where it names a message that is not among them: decoding all takes longer than the rest of a start.
const USUAL: &[&str] = &[
    "envoy/config/bootstrap/v3/bootstrap.proto",
    "envoy/config/trace/v3/opentelemetry.proto",
    "envoy/config/trace/v3/zipkin.proto",
    "envoy/extensions/access_loggers/file/v3/file.proto",
    "envoy/extensions/access_loggers/filters/cel/v3/cel.proto",
    "envoy/extensions/access_loggers/grpc/v3/als.proto",
    "envoy/extensions/access_loggers/open_telemetry/v3/logs_service.proto",
    "envoy/extensions/access_loggers/stream/v3/stream.proto",
    "envoy/extensions/filters/http/health_check/v3/health_check.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/request_id/uuid/v3/uuid.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
    "validate/validate.proto",
    "spanway/config/trace/v1/tracing.proto",
];

/// Where spanway's own messages stand, and their files.
const OWN_PROTOS: &str = "src/config/proto";
const OWN: &[&str] = &["spanway/config/trace/v1/tracing.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={OWN_PROTOS}");
    println!("cargo::rerun-if-changed=Cargo.lock");

    let protos = envoy_types()?.join("proto");
    let api = protos.join("data-plane-api");
    let mut files: Vec<String> = FIRST.iter().chain(ROOTS).map(|file| (*file).to_owned()).collect();
    for folder in EXTENSIONS {
        proto_files(&api, &api.join(folder), &mut files)?;
    }

    files.extend(OWN.iter().map(|file| (*file).to_owned()));

    let own = PathBuf::from(OWN_PROTOS);
    let includes = INCLUDES.iter().map(|include| protos.join(include)).chain([own]).collect::<Vec<_>>();
    compile(&includes, &files, "envoy_api.bin")?;
    compile(&includes, USUAL, "envoy_api_usual.bin")
}

/// Write the descriptors of `files`, and of what they import.
fn compile<S: AsRef<Path>>(includes: &[PathBuf], files: &[S], out: &str) -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(includes)?;
    compiler.include_imports(true);
    compiler.open_files(files)?;
    // The encoded form keeps `validate.rules`, which the typed one would drop.
    let descriptors = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?).join(out);
    fs::File::create(out)?.write_all(&descriptors)?;
    Ok(())
}

/// The folder of the `envoy-types` package that this build uses.
fn envoy_types() -> Result<PathBuf, Box<dyn Error>> {
    let output = match metadata(&["--locked", "--offline"])? {
        output if output.status.success() => output,
        _ => metadata(&[])?,
    };
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata
        .get("packages")
        .and_then(|packages| packages.as_array())
        .ok_or("cargo metadata lists no packages")?;
    let manifest = packages
        .iter()
        .find(|package| package.get("name").is_some_and(|name| name == "envoy-types"))
        .and_then(|package| package.get("manifest_path")?.as_str())
        .ok_or("cargo metadata lists no package envoy-types")?;
    Ok(Path::new(manifest).parent().ok_or("a manifest without a folder")?.to_owned())
}

/// `cargo metadata`, limited to this target so that packages of other platforms need not be there.
fn metadata(flags: &[&str]) -> Result<Output, Box<dyn Error>> {
    let mut command = Command::new(env::var_os("CARGO").ok_or("CARGO is not set")?);
    command.args(["metadata", "--format-version", "1", "--filter-platform"]).arg(env::var("TARGET")?);
    Ok(command.args(flags).current_dir(env::var("CARGO_MANIFEST_DIR")?).output()?)
}

/// Append every `.proto` file below `folder`, named as an import would name it, in a stable order.
fn proto_files(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut entries =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            proto_files(root, &entry, files)?;
        } else if entry.extension().is_some_and(|extension| extension == "proto") {
            files.push(entry.strip_prefix(root)?.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}
