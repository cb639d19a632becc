//! `make bench`: measures the executable of the same profile and prints ratios.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    harness::bench::run().await
}
