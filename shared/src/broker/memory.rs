//! The broker of one process: queues in memory, durable because the `jobs` table is.
//!
//! A message that was taken and not answered is forgotten when the process dies; the reaper finds its job by the
//! expired lease, or by its having been `dispatched` for too long, and at start the relay hands out what was left.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{Broker, BrokerError, Consumer, Delivery, Dispatch};
use crate::{chaos, jobs::Queue};

/// Messages one queue holds at most; the rest waits in the table.
const CAPACITY: usize = 10_000;

#[derive(Default)]
struct Shelf {
    messages: Mutex<VecDeque<Dispatch>>,
    arrived: Notify,
}

impl Shelf {
    fn push(&self, dispatch: Dispatch) -> Result<(), BrokerError> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() >= CAPACITY {
            return Err(BrokerError::Refused);
        }
        messages.push_back(dispatch);
        drop(messages);
        self.arrived.notify_one();
        Ok(())
    }

    fn pop(&self) -> Option<Dispatch> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = messages.pop_front();
        if !messages.is_empty() {
            self.arrived.notify_one();
        }
        taken
    }
}

/// The in-process broker.
pub struct MemoryBroker {
    shelves: BTreeMap<Queue, Arc<Shelf>>,
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self { shelves: Queue::ALL.into_iter().map(|queue| (queue, Arc::default())).collect() }
    }
}

impl MemoryBroker {
    /// Forgets all waiting messages of a queue, as a purge does.
    pub fn purge(&self, queue: Queue) {
        if let Some(shelf) = self.shelves.get(&queue) {
            shelf.messages.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), BrokerError>> {
        let to_shelf = |dispatch: &Dispatch| {
            let target = dispatch.queue.and_then(|queue| self.shelves.get(&queue)).ok_or(BrokerError::Unroutable)?;
            target.push(dispatch.clone())
        };
        let taken = batch.iter().map(to_shelf).collect();
        chaos::point("relay.after_publish_before_confirm");
        taken
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        let source = self.shelves.get(&queue).ok_or(BrokerError::Unroutable)?;
        Ok(Box::new(MemoryConsumer {
            shelf: Arc::clone(source),
            unanswered: Arc::new(Semaphore::new(usize::from(prefetch.max(1)))),
            closed: false,
        }))
    }

    async fn next_dead_letter(&self) -> Option<Box<dyn Delivery>> {
        // Nothing is given up here: redeliveries are not counted, attempts are, in the table.
        std::future::pending().await
    }

    async fn check(&self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn close(&self) {}
}

struct MemoryConsumer {
    shelf: Arc<Shelf>,
    unanswered: Arc<Semaphore>,
    closed: bool,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Box<dyn Delivery>> {
        if self.closed {
            return None;
        }
        let permit = Arc::clone(&self.unanswered).acquire_owned().await.ok()?;
        loop {
            if let Some(dispatch) = self.shelf.pop() {
                return Some(Box::new(MemoryDelivery {
                    dispatch: Some(dispatch),
                    shelf: Arc::clone(&self.shelf),
                    _permit: permit,
                }));
            }
            self.shelf.arrived.notified().await;
        }
    }

    fn is_registered(&self) -> Result<(), String> {
        if self.closed { Err("closed".to_owned()) } else { Ok(()) }
    }

    async fn close(&mut self) {
        self.closed = true;
    }
}

struct MemoryDelivery {
    dispatch: Option<Dispatch>,
    shelf: Arc<Shelf>,
    _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl Delivery for MemoryDelivery {
    fn dispatch(&self) -> Option<&Dispatch> {
        self.dispatch.as_ref()
    }

    async fn ack(mut self: Box<Self>) {
        self.dispatch = None;
    }

    async fn requeue(self: Box<Self>) {}
}

impl Drop for MemoryDelivery {
    fn drop(&mut self) {
        // A full shelf refuses it; the reaper hands the job out again.
        if let Some(dispatch) = self.dispatch.take() {
            drop(self.shelf.push(dispatch));
        }
    }
}
