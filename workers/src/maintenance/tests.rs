//! Leadership, schedule and dead letters, on a real database.

use std::sync::atomic::{AtomicBool, Ordering};

use shared::broker::Dispatch;

use super::*;
use crate::testing::{Bench, Chore};

fn maintenance(bench: &Bench, owner: &str) -> Maintenance {
    let context = &bench.context;
    let mut of_owner =
        Context::new(Arc::clone(&context.kernel), Arc::clone(&context.mailer), context.readiness.clone());
    owner.clone_into(&mut of_owner.owner);
    Maintenance {
        context: Arc::new(of_owner),
        registry: Arc::new(Registry::new()),
        term: None,
        enqueued: vec![None; SCHEDULE.len()],
    }
}

async fn scheduled(bench: &Bench) -> usize {
    bench.text("SELECT CAST(COUNT(*) AS TEXT) FROM jobs").await.unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_process_leads_and_the_next_takes_over_at_once() {
    let bench = Bench::new().await;
    let (mut first, mut second) = (maintenance(&bench, "first"), maintenance(&bench, "second"));
    assert!(first.lead().await.unwrap() && !second.lead().await.unwrap());
    assert!(first.lead().await.unwrap(), "it renews");
    first.release().await;
    assert!(second.lead().await.unwrap() && !first.lead().await.unwrap());
    assert!(second.term > Some(1), "terms grow");
    bench.clock.advance(HOLD + Duration::from_secs(1));
    assert!(first.lead().await.unwrap(), "the holder was away too long");
}

#[tokio::test]
async fn scheduled_jobs_exist_once_per_window_whoever_leads() {
    let bench = Bench::new().await;
    let (mut first, mut second) = (maintenance(&bench, "first"), maintenance(&bench, "second"));
    // Far from the edge of a window.
    let into_the_hour = bench.context.kernel.clock.now().unix_seconds() % 3600;
    bench.clock.advance(Duration::from_secs(3660 - u64::try_from(into_the_hour).unwrap()));
    first.pass().await.unwrap();
    assert_eq!(scheduled(&bench).await, SCHEDULE.len());
    first.pass().await.unwrap();
    first.release().await;
    second.pass().await.unwrap();
    assert_eq!(scheduled(&bench).await, SCHEDULE.len());
    bench.clock.advance(Duration::from_secs(3600));
    second.pass().await.unwrap();
    assert_eq!(scheduled(&bench).await, 2 * SCHEDULE.len());
}

#[tokio::test]
async fn a_job_that_was_left_behind_is_put_back() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Chore { number: 1 }).await;
    let now = bench.context.kernel.clock.now();
    bench.execute(&format!("UPDATE jobs SET state = 'running', attempt = 1, lease_until = {}", now.0 - 1)).await;
    maintenance(&bench, "leader").pass().await.unwrap();
    assert_eq!(bench.job(id).await, ("retrying", 1, Some("the worker that held it vanished".into())));
}

struct Letter {
    dispatch: Option<Dispatch>,
    acked: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Delivery for Letter {
    fn dispatch(&self) -> Option<&Dispatch> {
        self.dispatch.as_ref()
    }

    async fn ack(self: Box<Self>) {
        self.acked.store(true, Ordering::SeqCst);
    }

    async fn requeue(self: Box<Self>) {}
}

#[tokio::test]
async fn a_job_whose_message_the_broker_gave_up_on_is_queued_again() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Chore { number: 1 }).await;
    bench.execute("UPDATE jobs SET state = 'dispatched'").await;
    let acked = Arc::new(AtomicBool::new(false));
    let dispatch =
        Dispatch { job_id: id, name: "testing.chore".into(), version: 1, attempt: 0, queue: None, traceparent: None };
    put_back(&bench.context, Box::new(Letter { dispatch: Some(dispatch), acked: Arc::clone(&acked) })).await;
    assert!(acked.load(Ordering::SeqCst));
    assert_eq!(bench.job(id).await.0, "queued");
    let acked = Arc::new(AtomicBool::new(false));
    put_back(&bench.context, Box::new(Letter { dispatch: None, acked: Arc::clone(&acked) })).await;
    assert!(acked.load(Ordering::SeqCst), "what is not ours does not come back");
}
