# The image of spanway: one binary and the C library it needs, nothing else, not even a shell.
#
#   docker build -t spanway .
#   docker run --rm -p 10000:10000 -v "$PWD/envoy.yaml:/etc/envoy/envoy.yaml:ro" spanway

FROM rust:1-slim-bookworm AS build
WORKDIR /build

# The dependencies first, with an empty program: this layer is built again only when they change.
COPY Cargo.toml Cargo.lock ./
COPY crates crates
# Named in the workspace, so that it must be there; nothing of it is built.
COPY benches benches
RUN mkdir src \
 && printf '//! Nothing yet.\nfn main() {}\n' | tee src/main.rs build.rs | head -1 > src/lib.rs \
 && cargo build --release --locked

COPY . .
# COPY keeps the files' times, and those may be before the empty program was built.
RUN find src build.rs -exec touch {} + \
 && cargo build --release --locked

# All that the final image consists of. The binary is linked against glibc, like the one that the tests run
# with; a static one would resolve host names in a way that glibc does not vouch for. Asking the binary for
# its libraries instead of naming them works on every architecture.
RUN mkdir -p /image/usr/local/bin /image/etc/ssl/certs \
 && cp target/release/spanway /image/usr/local/bin/ \
 && ln -s spanway /image/usr/local/bin/envoy \
 && ldd target/release/spanway | grep -o '/[^ ]*' \
  | xargs cp --dereference --parents --target-directory=/image \
 && cp --dereference /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && echo 'nonroot:x:65532:65532::/:/sbin/nologin' > /image/etc/passwd \
 && echo 'nonroot:x:65532:' > /image/etc/group \
 && cp LICENSE /image/

FROM scratch
COPY --from=build /image /
USER 65532:65532
# 10000 is where Envoy's examples listen; for another address see --health-cmd, or healthcheck in compose.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s \
  CMD ["/usr/local/bin/spanway", "health", "127.0.0.1:10000"]
# What is given to the container may be flags alone, or begin with `envoy`, as for Envoy's own image.
ENTRYPOINT ["/usr/local/bin/spanway"]
CMD ["-c", "/etc/envoy/envoy.yaml"]
