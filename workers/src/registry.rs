//! Which function runs which job.
//!
//! ```text
//! registry.on(sweep)     async fn(&Context, &Tx, J) -> Result<(), JobError>           the effect is in the database
//! registry.mail(send)    async fn(&Context, J) -> Result<Option<Mail>, JobError>      the effect is a mail
//! registry.look(check)   async fn(&Context, J) -> Result<Effect, JobError>            it looks elsewhere first
//! ```
//!
//! The job is found by the type of the function's last argument, so a handler cannot be bound to the wrong wire name. A
//! function of the first kind writes through the transaction that it is given: its effect and the job's `done` commit
//! together or not at all. It must not start another transaction: on SQLite there is one writer, and it would wait for
//! itself. One of the second kind says what to send; `None` means that the cause went away, and the job is cancelled. One of
//! the third kind asks others, such as name servers, for as long as they take and in no transaction, and returns what to do
//! in the one that follows.

use std::{collections::BTreeMap, future::Future};

use sea_orm::DbErr;
use shared::{
    db::Tx,
    jobs::{CatalogEntry, Job, Queue, Retry, entry},
};

use crate::{BoxFuture, context::Context, mail::Mail};

/// Why a handler did not do its job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Something that may be better later: it is tried again.
    #[error("{0}")]
    Retry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It can never succeed: the job is dead.
    #[error("{0}")]
    Reject(String),
    /// An operator has to repair something. The attempt does not count, and the queues that send mail pause.
    #[error("{0}")]
    Configuration(String),
}

impl JobError {
    /// A failure that may be better later.
    pub fn retry(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Retry(source.into())
    }
}

impl From<DbErr> for JobError {
    fn from(error: DbErr) -> Self {
        Self::Retry(error.into())
    }
}

/// Two functions were bound to one job.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("two handlers for {name} version {version}")]
pub struct DuplicateHandler {
    /// Wire name.
    pub name: &'static str,
    /// Payload version.
    pub version: u16,
}

/// A function whose effect is in the database. Every fitting `async fn` is one.
pub trait EffectHandler<'a, J>: Fn(&'a Context, &'a Tx, J) -> Self::Running + Send + Sync + 'static {
    /// The function's future.
    type Running: Future<Output = Result<(), JobError>> + Send + 'a;
}

impl<'a, J, F, R> EffectHandler<'a, J> for F
where
    F: Fn(&'a Context, &'a Tx, J) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), JobError>> + Send + 'a,
{
    type Running = R;
}

/// A function whose effect is a mail. Every fitting `async fn` is one.
pub trait MailHandler<'a, J>: Fn(&'a Context, J) -> Self::Running + Send + Sync + 'static {
    /// The function's future.
    type Running: Future<Output = Result<Option<Mail>, JobError>> + Send + 'a;
}

impl<'a, J, F, R> MailHandler<'a, J> for F
where
    F: Fn(&'a Context, J) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<Mail>, JobError>> + Send + 'a,
{
    type Running = R;
}

/// What a function that looked elsewhere does in the job's transaction.
pub type Effect = Box<dyn for<'a> FnOnce(&'a Context, &'a Tx) -> BoxFuture<'a, Result<(), JobError>> + Send>;

/// A function that looks elsewhere before its effect. Every fitting `async fn` is one.
pub trait LookHandler<'a, J>: Fn(&'a Context, J) -> Self::Running + Send + Sync + 'static {
    /// The function's future.
    type Running: Future<Output = Result<Effect, JobError>> + Send + 'a;
}

impl<'a, J, F, R> LookHandler<'a, J> for F
where
    F: Fn(&'a Context, J) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Effect, JobError>> + Send + 'a,
{
    type Running = R;
}

type EffectFn = dyn for<'a> Fn(&'a Context, &'a Tx, &str) -> BoxFuture<'a, Result<(), JobError>> + Send + Sync;
type LetterFn = dyn for<'a> Fn(&'a Context, &str) -> BoxFuture<'a, Result<Option<Mail>, JobError>> + Send + Sync;

type LookFn = dyn for<'a> Fn(&'a Context, &str) -> BoxFuture<'a, Result<Effect, JobError>> + Send + Sync;

/// A bound function that takes the payload as text.
pub(crate) enum Binding {
    /// Its effect is in the database.
    Effect(Box<EffectFn>),
    /// Its effect is a mail.
    Mail(Box<LetterFn>),
    /// It looks elsewhere before its effect.
    Look(Box<LookFn>),
}

/// A kind of job and its function.
pub(crate) struct Bound {
    pub(crate) catalog: CatalogEntry,
    pub(crate) binding: Binding,
}

/// Which function runs which job, by wire name and payload version.
#[derive(Default)]
pub struct Registry {
    bound: BTreeMap<&'static str, BTreeMap<u16, Bound>>,
}

impl Registry {
    /// No handlers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a function whose effect is in the database.
    ///
    /// # Errors
    /// When the job has a handler already.
    pub fn on<J, H>(&mut self, handler: H) -> Result<&mut Self, DuplicateHandler>
    where
        J: Job,
        H: for<'a> EffectHandler<'a, J>,
    {
        self.bind::<J>(Binding::Effect(Box::new(move |context, tx, payload| match decode::<J>(payload) {
            Ok(job) => Box::pin(handler(context, tx, job)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        })))
    }

    /// Binds a function whose effect is a mail.
    ///
    /// # Errors
    /// When the job has a handler already.
    pub fn mail<J, H>(&mut self, handler: H) -> Result<&mut Self, DuplicateHandler>
    where
        J: Job,
        H: for<'a> MailHandler<'a, J>,
    {
        self.bind::<J>(Binding::Mail(Box::new(move |context, payload| match decode::<J>(payload) {
            Ok(job) => Box::pin(handler(context, job)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        })))
    }

    /// Binds a function that looks elsewhere before its effect.
    ///
    /// # Errors
    /// When the job has a handler already.
    pub fn look<J, H>(&mut self, handler: H) -> Result<&mut Self, DuplicateHandler>
    where
        J: Job,
        H: for<'a> LookHandler<'a, J>,
    {
        self.bind::<J>(Binding::Look(Box::new(move |context, payload| match decode::<J>(payload) {
            Ok(job) => Box::pin(handler(context, job)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        })))
    }

    fn bind<J: Job>(&mut self, binding: Binding) -> Result<&mut Self, DuplicateHandler> {
        let catalog = entry::<J>();
        let versions = self.bound.entry(catalog.name).or_default();
        if versions.contains_key(&catalog.version) {
            return Err(DuplicateHandler { name: catalog.name, version: catalog.version });
        }
        versions.insert(catalog.version, Bound { catalog, binding });
        Ok(self)
    }

    /// All jobs that have a handler, ordered by name and version.
    #[must_use]
    pub fn catalog(&self) -> Vec<CatalogEntry> {
        self.all().map(|bound| bound.catalog).collect()
    }

    /// The retry policy of a job by name; a patient one for a name that this version does not know.
    #[must_use]
    pub fn retry_of(&self, name: &str) -> Retry {
        let newest = self.bound.get(name).and_then(|versions| versions.values().next_back());
        newest.map_or(Retry::NOTICE, |bound| bound.catalog.retry)
    }

    /// Whether jobs of this queue send mail.
    #[must_use]
    pub fn sends_mail(&self, queue: Queue) -> bool {
        self.all().any(|bound| bound.catalog.queue == queue && matches!(bound.binding, Binding::Mail(_)))
    }

    pub(crate) fn find(&self, name: &str, version: u16) -> Option<&Bound> {
        self.bound.get(name)?.get(&version)
    }

    fn all(&self) -> impl Iterator<Item = &Bound> {
        self.bound.values().flat_map(BTreeMap::values)
    }
}

fn decode<J: Job>(payload: &str) -> Result<J, JobError> {
    serde_json::from_str(payload).map_err(|error| JobError::Reject(format!("the payload does not decode: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Chore, Letter, Poison};

    async fn chore(_: &Context, _: &Tx, _: Chore) -> Result<(), JobError> {
        Ok(())
    }

    async fn letter(_: &Context, _: Letter) -> Result<Option<Mail>, JobError> {
        Ok(None)
    }

    #[test]
    fn a_job_is_found_by_the_argument_of_its_function() {
        let mut registry = Registry::new();
        registry.on(chore).unwrap().mail(letter).unwrap();
        let names: Vec<_> = registry.catalog().iter().map(|entry| entry.name).collect();
        assert_eq!(names, [Chore::NAME, Letter::NAME]);
        assert!(registry.find(Chore::NAME, 1).is_some() && registry.find(Chore::NAME, 2).is_none());
        assert_eq!(registry.retry_of(Chore::NAME), Chore::RETRY);
        assert!(registry.sends_mail(Queue::Mail) && !registry.sends_mail(Queue::Sweep));
    }

    #[test]
    fn a_second_handler_for_a_job_is_refused() {
        let mut registry = Registry::new();
        registry.on(chore).unwrap();
        let refused = registry.on(chore).err().unwrap();
        assert_eq!(refused, DuplicateHandler { name: Chore::NAME, version: 1 });
    }

    #[test]
    fn a_payload_that_does_not_decode_is_rejected() {
        assert!(matches!(decode::<Poison>("{\"other\":1}"), Err(JobError::Reject(_))));
    }
}
