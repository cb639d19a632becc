//! A TCP relay in front of RabbitMQ that can go silent or hang up.
//!
//! ```text
//! client ◄──► relay ◄──► RabbitMQ        Pass: bytes flow · Stall: nothing flows, nothing closes · Refuse: hang up
//! ```

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Pass,
    Stall,
    Refuse,
}

pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    mode: watch::Sender<Mode>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn start(target: String, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(mode);
        let modes = mode.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *modes.borrow() == Mode::Refuse {
                    continue;
                }
                let server = TcpStream::connect(&target).await.unwrap();
                connections.spawn(relay(client, server, modes.clone()));
            }
        });
        Self { address, mode, _tasks: tasks }
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn relay(client: TcpStream, server: TcpStream, modes: watch::Sender<Mode>) {
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let mut mode = modes.subscribe();
    tokio::select! {
        () = copy(client_reads, server_writes, modes.subscribe()) => {}
        () = copy(server_reads, client_writes, modes.subscribe()) => {}
        _ = mode.wait_for(|mode| *mode == Mode::Refuse) => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let flowing = mode.wait_for(|mode| *mode == Mode::Pass).await.is_ok();
        if !flowing || to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}
