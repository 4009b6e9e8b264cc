# A small image with the server and the collections that ship.
#
#   docker build --tag nubo .
#   docker run --publish 8080:8080 --volume nubo:/data nubo
#
# Without further settings it is embedded: SQLite in /data. DATABASE_URL and the other variables of
# .env.example make it use other servers; see docs/deployment.md.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin nubo

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home nubo
COPY --from=build /build/target/release/nubo /usr/local/bin/nubo
# /app can be replaced by a folder with a nubo.yaml and collections of one's own.
WORKDIR /app
COPY nubo.yaml ./
COPY collections collections
COPY migrations migrations
COPY openapi/*.schema.json openapi/
ENV NUBO_SERVER__LISTEN=0.0.0.0:8080 NUBO_DATA=/data
USER nubo
VOLUME /data
EXPOSE 8080
# SIGTERM, which `docker stop` sends, lets requests under way finish; that takes 5 s at most.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 CMD ["nubo", "health"]
CMD ["nubo"]
