//! A name server on a port of its own: what it says of a name is what the test wants, also nothing, or nothing yet.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, TXT},
    },
};
use tokio::{net::UdpSocket, sync::Semaphore};
use tokio_util::task::AbortOnDropHandle;

/// How long answers may be kept, in seconds.
const TTL: u32 = 3600;

/// What there is at a name.
#[derive(Clone, Debug)]
pub enum Zone {
    /// TXT records, each of so many strings.
    Txt(Vec<Vec<String>>),
    /// Another name; the answer says what there is, too.
    Alias(String),
    /// Another name, of which the answer says nothing.
    BareAlias(String),
    /// The name, and no TXT record.
    Other,
    /// The server fails.
    Failure,
    /// No answer.
    Silence,
}

#[derive(Default)]
struct State {
    zones: Mutex<HashMap<String, Zone>>,
    questions: Mutex<Vec<String>>,
}

/// A running name server; it ends when dropped.
pub struct NameServer {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
    /// One permit lets one answer out.
    gate: Arc<Semaphore>,
    _task: AbortOnDropHandle<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NameServer {
    /// Starts one that knows no name.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("an address");
        let (state, gate) = (Arc::new(State::default()), Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
        let serving = serve(socket, Arc::clone(&state), Arc::clone(&gate));
        #[expect(clippy::disallowed_methods, reason = "the one task of this server; its handle aborts it on drop")]
        let task = AbortOnDropHandle::new(tokio::spawn(serving));
        Self { address, state, gate, _task: task }
    }

    /// What there is at a name from now on.
    pub fn set(&self, name: &str, zone: Zone) {
        locked(&self.state.zones).insert(name.to_lowercase(), zone);
    }

    /// One TXT record of one string at a name.
    pub fn set_txt(&self, name: &str, text: &str) {
        self.set(name, Zone::Txt(vec![vec![text.to_owned()]]));
    }

    /// Takes a name away.
    pub fn remove(&self, name: &str) {
        locked(&self.state.zones).remove(&name.to_lowercase());
    }

    /// Keeps all answers back until [`Self::release`].
    pub fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets answers out again.
    pub fn release(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// How often a name was asked for.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        locked(&self.state.questions).iter().filter(|asked| *asked == name).count()
    }
}

async fn serve(socket: UdpSocket, state: Arc<State>, gate: Arc<Semaphore>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Some(answer) = buffer.get(..length).and_then(|question| answer(&state, question)) else { continue };
        let Ok(_permit) = gate.acquire().await else { return };
        // A client that went away misses nothing.
        drop(socket.send_to(&answer, from).await);
    }
}

fn answer(state: &State, question: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?;
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let mut name = query.name().clone();
    locked(&state.questions).push(text(&name));
    loop {
        let zone = locked(&state.zones).get(&text(&name)).cloned();
        let (target, goes_on) = match zone {
            Some(Zone::Silence) => return None,
            Some(Zone::Failure) => {
                answer.metadata.response_code = ResponseCode::ServFail;
                break;
            }
            Some(Zone::Txt(records)) if query.query_type() == RecordType::TXT => {
                for strings in records {
                    let record = Record::from_rdata(name.clone(), TTL, RData::TXT(TXT::new(strings)));
                    answer.add_answer(record);
                }
                break;
            }
            Some(Zone::Txt(_) | Zone::Other) => break,
            Some(Zone::Alias(target)) => (target, true),
            Some(Zone::BareAlias(target)) => (target, false),
            None => {
                answer.metadata.response_code = ResponseCode::NXDomain;
                break;
            }
        };
        let target = Name::from_utf8(format!("{target}.")).ok()?;
        answer.add_answer(Record::from_rdata(name, TTL, RData::CNAME(CNAME(target.clone()))));
        name = target;
        if !goes_on {
            break;
        }
    }
    answer.to_vec().ok()
}

/// A name in lower case, without the dot at its end.
fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_lowercase()
}
