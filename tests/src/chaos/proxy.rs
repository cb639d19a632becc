//! A TCP relay that can go silent, hang up, or cut a connection in the middle of a commit.
//!
//! ```text
//! client ◄──► relay ◄──► server     Pass     bytes flow
//!                                   Stall    nothing flows, nothing closes: a black hole
//!                                   Refuse   hang up, and hang up again on whoever connects
//!                                   cut      the next COMMIT reaches the server, its answer does not reach the client
//!                                   lose     the next COMMIT does not reach the server
//! ```

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// What a proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They flow.
    Pass,
    /// Nothing flows and nothing closes.
    Stall,
    /// Every connection ends.
    Refuse,
}

/// A running proxy; it ends when dropped.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    cuts: Arc<Cuts>,
    _task: AbortOnDropHandle<()>,
}

/// Commits that are still to be cut or lost, and those that were.
#[derive(Default)]
struct Cuts {
    left: AtomicU32,
    to_lose: AtomicU32,
    done: AtomicU32,
}

impl Cuts {
    fn take(&self, left: &AtomicU32) -> bool {
        let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if taken {
            self.done.fetch_add(1, Ordering::SeqCst);
        }
        taken
    }
}

impl Proxy {
    /// Starts one in front of `host:port`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mode = watch::Sender::new(Mode::Pass);
        let cuts = Arc::<Cuts>::default();
        let accepting = accept(listener, target, mode.clone(), Arc::clone(&cuts));
        #[expect(clippy::disallowed_methods, reason = "the one task of this proxy; its handle aborts it on drop")]
        let task = AbortOnDropHandle::new(tokio::spawn(accepting));
        Self { address, mode, cuts, _task: task }
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Cuts the connections of the next commits.
    pub fn cut_commits(&self, count: u32) {
        self.cuts.left.store(count, Ordering::SeqCst);
    }

    /// Cuts the connections of the next commits before the server has them.
    pub fn lose_commits(&self, count: u32) {
        self.cuts.to_lose.store(count, Ordering::SeqCst);
    }

    /// How many commits were cut or lost so far.
    #[must_use]
    pub fn commits_cut(&self) -> u32 {
        self.cuts.done.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, target: String, mode: watch::Sender<Mode>, cuts: Arc<Cuts>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        if *mode.borrow() == Mode::Refuse {
            continue;
        }
        // A server that is away: the client sees its connection end.
        if let Ok(server) = TcpStream::connect(&target).await {
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            connections.spawn(relay(client, server, mode.clone(), Arc::clone(&cuts)));
        }
    }
}

async fn relay(client: TcpStream, server: TcpStream, modes: watch::Sender<Mode>, cuts: Arc<Cuts>) {
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let mut mode = modes.subscribe();
    tokio::select! {
        () = copy(client_reads, server_writes, modes.subscribe(), Some(&cuts)) => {}
        () = copy(server_reads, client_writes, modes.subscribe(), None) => {}
        _ = mode.wait_for(|mode| *mode == Mode::Refuse) => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut mode: watch::Receiver<Mode>,
    cuts: Option<&Cuts>,
) {
    let mut buffer = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let flowing = mode.wait_for(|mode| *mode == Mode::Pass).await.is_ok();
        let bytes = &buffer[..length];
        let commits = cuts.filter(|_| bytes.windows(7).any(|window| window == b"COMMIT\0"));
        let is_lost = commits.is_some_and(|cuts| cuts.take(&cuts.to_lose));
        if is_lost || !flowing || to.write_all(bytes).await.is_err() {
            break;
        }
        if commits.is_some_and(|cuts| cuts.take(&cuts.left)) {
            drop(to.flush().await);
            break;
        }
    }
}
