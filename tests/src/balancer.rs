//! A load balancer in front of several gateways: each connection goes to the next one that is in.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// A running balancer; it ends when dropped.
pub struct Balancer {
    /// Where it listens.
    pub address: SocketAddr,
    backends: Arc<Mutex<Vec<Backend>>>,
    _task: AbortOnDropHandle<()>,
}

struct Backend {
    address: String,
    is_in: bool,
    served: Arc<AtomicUsize>,
}

impl Balancer {
    /// Starts one over backends that are all in.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(backends: &[String]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let backend = |address: &String| Backend { address: address.clone(), is_in: true, served: Arc::default() };
        let backends = Arc::new(Mutex::new(backends.iter().map(backend).collect()));
        let serving = serve(listener, Arc::clone(&backends));
        #[expect(clippy::disallowed_methods, reason = "the one task of this balancer; its handle aborts it on drop")]
        let task = AbortOnDropHandle::new(tokio::spawn(serving));
        Self { address, backends, _task: task }
    }

    /// Takes a backend out: it gets no further connections. Or puts it back in.
    pub fn set(&self, index: usize, is_in: bool) {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)[index].is_in = is_in;
    }

    /// How many connections each backend got.
    #[must_use]
    pub fn served(&self) -> Vec<usize> {
        let backends = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        backends.iter().map(|backend| backend.served.load(Ordering::Relaxed)).collect()
    }
}

async fn serve(listener: TcpListener, backends: Arc<Mutex<Vec<Backend>>>) {
    let mut connections = JoinSet::new();
    for turn in 0.. {
        let Ok((mut client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let Some(backend) = choose(&backends, turn) else { continue };
        connections.spawn(async move {
            if let Ok(mut server) = TcpStream::connect(&backend).await {
                drop((client.set_nodelay(true), server.set_nodelay(true)));
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            }
        });
    }
}

fn choose(backends: &Mutex<Vec<Backend>>, turn: usize) -> Option<String> {
    let backends = backends.lock().unwrap_or_else(PoisonError::into_inner);
    let those_in: Vec<_> = backends.iter().filter(|backend| backend.is_in).collect();
    let chosen = those_in.get(turn % those_in.len().max(1))?;
    chosen.served.fetch_add(1, Ordering::Relaxed);
    Some(chosen.address.clone())
}
