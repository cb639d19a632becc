//! The peer that session checks are measured against: a poem server with one handler that does nothing. The argument is
//! the address to listen on.

use anyhow::Context;
use harness as _;
use poem::{Route, Server, get, handler, listener::TcpListener};

#[handler]
fn nothing() {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listen = std::env::args().nth(1).context("an address to listen on")?;
    Server::new(TcpListener::bind(listen)).run(Route::new().at("/", get(nothing))).await?;
    Ok(())
}
