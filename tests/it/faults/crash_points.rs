//! Every crash point once; `make chaos` does it many times, and hurts everything else as well.

use harness::chaos::{Size, Stack, Table, hurt};

use super::full;

async fn every_point_once(stack: Stack) {
    let mut table = Table::default();
    assert!(hurt(stack, Size::SHORT, &mut table).await, "a server is missing, or TEST_AMQP_NODE is not set");
    table.print();
    assert!(table.injected() >= 14, "{} crashes", table.injected());
    assert_eq!(table.violations(), Vec::<String>::new());
}

/// T-JOB-01: processes on PostgreSQL and RabbitMQ kill themselves at every crash point: nothing is lost, nothing happens
/// twice, copies are the same.
#[tokio::test(flavor = "multi_thread")]
async fn full_separate_processes_survive_every_crash_point() {
    if full() && std::env::var_os("TEST_AMQP_NODE").is_some() {
        every_point_once(Stack::Fleet).await;
    }
}

/// T-JOB-15: the same with one process on SQLite.
#[tokio::test(flavor = "multi_thread")]
async fn full_one_process_survives_every_crash_point() {
    if full() {
        every_point_once(Stack::Single).await;
    }
}
