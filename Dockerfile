# The operator in an otherwise empty image. `docker build .` compiles it; .ci/image packs a binary that is already there, and passes
# BINARY_FROM=prebuilt, so that no other image is needed. What neither needs is skipped.
ARG BINARY_FROM=build

# Debian 12: its glibc is the oldest that will do (see below), and it has the static libc.a and a CA bundle.
FROM rust:1.95-bookworm AS build
WORKDIR /src
# The other members of the workspace as well: cargo reads their manifests. Not rust-toolchain.toml: the tag above says which toolchain,
# and rustup would download the components for development.
COPY Cargo.toml Cargo.lock ./
COPY e2e/Cargo.toml e2e/
COPY e2e/src e2e/src
COPY src src
COPY crates crates
# Static, with glibc and not musl: the allocator and the resolver are the ones that the tests run with, and musl's allocator is slow
# when threads share it. glibc has looked names up in files and DNS without plugins since 2.34, so DNS works in an empty root.
# For the machine that the build runs on, so each architecture builds natively. --target keeps the flag from build scripts and
# procedural macros, which cannot be static. The release profile strips.
RUN set -eu; \
    target=$(rustc -vV | sed -n 's/^host: //p'); \
    RUSTFLAGS="-C target-feature=+crt-static" \
        cargo build --release --locked --package ack-offboarding-operator --bin ack-offboarding-operator --target "$target"; \
    install -D -m 0755 "target/$target/release/ack-offboarding-operator" /image/ack-offboarding-operator; \
    install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /image/ca-certificates.crt

FROM scratch AS prebuilt
COPY target/image/ack-offboarding-operator target/image/ca-certificates.crt /image/

FROM ${BINARY_FROM} AS binary

FROM scratch
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="ack-offboarding-operator" \
      org.opencontainers.image.description="Offboards RAM users and roles from Alibaba Cloud ACK clusters." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# For Alibaba Cloud's endpoints. The API server's CA comes with the ServiceAccount.
COPY --from=binary /image/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=binary /image/ack-offboarding-operator /ack-offboarding-operator
# A number: the kubelet cannot tell from a name that it is not root (runAsNonRoot).
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/ack-offboarding-operator"]
CMD ["run"]
