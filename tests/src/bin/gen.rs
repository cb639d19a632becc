//! Writes all generated files anew; `make gen` runs it. What it writes, and from what, is in `harness::generate`.

use std::io;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    harness::generate::write_all(&harness::generate::tree::root(), &mut io::stderr()).await
}
