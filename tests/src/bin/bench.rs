//! `make bench`: measures the executable of the same profile and prints ratios. Arguments name the suites to run.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let only: Vec<String> = std::env::args().skip(1).collect();
    harness::bench::run(&only).await
}
