//! Random walks over the state machine of a login, through the API, beside a model that knows what was proven.
//!
//! ```text
//! step ──► request ──► answer            four users (mail | app | passkey | both), three browsers
//!   └────► model: is there a session now, and whose?  ── asked after every step ──► GET /api/users/@me says the same
//! ```
//!
//! The model is written from the specification: it knows browsers, pending logins, challenges and proofs, and nothing of
//! the database. A walk that disagrees with it is shortened and printed.

mod world;

use std::fmt::Write as _;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tokio::runtime::Handle;
use world::World;

/// One thing that a browser does. Numbers choose among what there is at that moment.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Address and password.
    Password { user: u8, is_right: bool },
    /// A second factor for a pending login, with an app's code of a neighbouring step.
    Totp { login: u8, user: u8, step: i8, remember: bool },
    /// The same code as the last one that passed.
    Replay { login: u8, user: u8 },
    /// A second factor for a pending login.
    BackupCode { login: u8, user: u8, remember: bool },
    /// A challenge for a pending login.
    StartPasskey { login: u8 },
    /// An answer to any challenge, for any pending login.
    Passkey { login: u8, challenge: u8, user: u8, is_honest: bool, remember: bool },
    /// A challenge for anybody.
    StartUsernameless,
    /// An answer to any challenge.
    Usernameless { challenge: u8, user: u8, is_honest: bool },
    /// The mailed code of one login, for another one perhaps.
    EmailCode { login: u8, code_of: u8, remember: bool },
    /// The mailed link of a login.
    EmailLink { login: u8 },
    /// A step of a login without its proof, or with the proof of another kind.
    Empty { login: u8, kind: u8 },
    /// What no session comes of.
    Garbage { kind: u8 },
    /// Another password, by who is signed in.
    ChangePassword,
    /// The end of a session.
    LogOut,
    /// Seconds.
    Wait { seconds: u16 },
}

/// A step, and the browser that makes it.
pub type Move = (u8, Step);

fn moves(length: usize) -> impl Strategy<Value = Vec<Move>> {
    let (any, yes) = (any::<u8>(), any::<bool>());
    let mostly = prop::bool::weighted(0.8);
    let step = prop_oneof![
        8 => (any, mostly).prop_map(|(user, is_right)| Step::Password { user, is_right }),
        6 => (any, any, -1..=1_i8, yes).prop_map(|(login, user, step, remember)| Step::Totp { login, user, step, remember }),
        1 => (any, any).prop_map(|(login, user)| Step::Replay { login, user }),
        1 => (any, any, yes).prop_map(|(login, user, remember)| Step::BackupCode { login, user, remember }),
        4 => any.prop_map(|login| Step::StartPasskey { login }),
        6 => (any, any, any, mostly, yes).prop_map(|(login, challenge, user, is_honest, remember)| {
            Step::Passkey { login, challenge, user, is_honest, remember }
        }),
        3 => Just(Step::StartUsernameless),
        3 => (any, any, mostly).prop_map(|(challenge, user, is_honest)| Step::Usernameless { challenge, user, is_honest }),
        4 => (any, any, yes).prop_map(|(login, code_of, remember)| Step::EmailCode { login, code_of, remember }),
        2 => any.prop_map(|login| Step::EmailLink { login }),
        2 => (any, any).prop_map(|(login, kind)| Step::Empty { login, kind }),
        1 => any.prop_map(|kind| Step::Garbage { kind }),
        1 => Just(Step::ChangePassword),
        3 => Just(Step::LogOut),
        3 => (1..400_u16).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec((any, step), length)
}

/// Makes the moves in a world of its own. What the model and the application disagree about, or how often they agreed
/// that there is a session where there was none.
async fn walk(moves: &[Move]) -> Result<usize, String> {
    let app = world::app().await;
    app.forget_jobs();
    World::new(&app).await.make(moves).await
}

/// The walk without as many of its moves as possible, as it is printed.
async fn shorten(mut moves: Vec<Move>, mut reason: String) -> String {
    let mut size = moves.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < moves.len() {
            let mut fewer = moves.clone();
            fewer.drain(from..(from + size).min(moves.len()));
            if let Err(said) = walk(&fewer).await {
                (moves, reason) = (fewer, said);
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    let mut text = format!("{reason}\nafter");
    for (browser, step) in &moves {
        let _ = write!(text, "\n  browser {}: {step:?}", usize::from(*browser) % world::BROWSERS);
    }
    text
}

/// T-MAIL-06, H03, H05, H07: whatever is skipped, repeated, mixed up between logins, browsers and users, or late: there is a
/// session if and only if everything that it takes was proven, by that browser.
#[tokio::test(flavor = "multi_thread")]
async fn no_order_of_steps_gives_a_session_without_its_proofs() {
    const AT_ONCE: usize = 4;
    let is_full = std::env::var_os("GATEPOST_TEST_FULL").is_some();
    let (walks, length) = if is_full { (40, 1000) } else { (20, 520) };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    let strategy = moves(length);
    let mut outcomes = Vec::new();
    for _ in 0..walks / AT_ONCE {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let moves = strategy.new_tree(&mut runner).unwrap().current();
            tasks.spawn_blocking(move || {
                Handle::current().block_on(async {
                    match walk(&moves).await {
                        Ok(sessions) => Ok(sessions),
                        Err(reason) => Err(shorten(moves, reason).await),
                    }
                })
            });
        }
        outcomes.extend(tasks.join_all().await);
    }
    let outcomes: Result<Vec<_>, String> = outcomes.into_iter().collect();
    let sessions: usize = outcomes.unwrap_or_else(|text| panic!("{text}")).iter().sum();
    // It is no proof of anything if nobody ever gets in.
    assert!(sessions > walks * length / 50, "only {sessions} sessions");
}
