//! `make chaos`: hurts an installation in every way that its guarantees speak of and prints what was found. Arguments:
//! `short` for every crash point once, `faults` for everything else, `single` or `fleet` for one stack.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    harness::chaos::run(&arguments).await
}
