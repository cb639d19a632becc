# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY . .
# The caches stay out of the image, so the executable is copied out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --profile dist --locked -p gatepost \
    && install -D -m 0755 target/dist/gatepost /out/bin/gatepost \
    && install -d -m 0750 /out/data

# glibc, CA certificates and nothing else: no shell, no package manager. User 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=builder /out/bin/gatepost /usr/local/bin/gatepost
# Only `gatepost serve` with SQLite writes here; mount a volume to keep it.
COPY --from=builder --chown=65532:65532 /out/data /var/lib/gatepost
WORKDIR /var/lib/gatepost
ENV GATEPOST__HTTP__LISTEN=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
# Health checks belong to whoever runs the container: `gatepost health` exits 0 when the gateway is ready.
ENTRYPOINT ["/usr/local/bin/gatepost"]
CMD ["serve"]
