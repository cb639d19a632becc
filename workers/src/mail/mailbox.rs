//! The local mailbox of a developer's machine: a folder with one JSON file per mail.
//!
//! A file is written beside its place, made durable, and moved there, so a reader never sees half of it. It is named
//! after the job and is a function of the message: a second copy replaces the first with the same bytes. Names sort by
//! time, because ids of jobs do; at least the newest thousand are kept, and the oldest go once in a while.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shared::{clock::Timestamp, jobs::JobId};

use super::{MailTransport, Outgoing, Receipt, SendError};

/// Mails kept.
const KEPT: usize = 1000;
/// Old mails are looked for with the first mail of a process, and again after this many.
const TIDY_AFTER: usize = 64;

/// One mail of the local mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxMail {
    /// The recipient's address.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The job that it is of.
    pub job_id: JobId,
    /// The date of the message. A second copy has the same.
    pub received_at: Timestamp,
}

/// A local mailbox as a way out.
#[derive(Clone, Debug)]
pub struct Mailbox {
    folder: PathBuf,
    written: Arc<AtomicUsize>,
}

impl Mailbox {
    /// The mailbox in `folder`, which is created with the first mail.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, written: Arc::default() }
    }
}

#[async_trait]
impl MailTransport for Mailbox {
    async fn send(&self, message: &Outgoing) -> Result<Receipt, SendError> {
        let folder = self.folder.clone();
        let mail = MailboxMail {
            to: message.to.clone(),
            subject: message.content.subject.clone(),
            text: message.content.text.clone(),
            html: message.content.html.clone(),
            headers: message.headers(),
            job_id: message.job_id,
            received_at: message.date,
        };
        let is_tidying = self.written.fetch_add(1, Ordering::Relaxed).is_multiple_of(TIDY_AFTER);
        let writing = move || {
            write(&folder, &mail)?;
            if is_tidying { tidy(&folder) } else { Ok(()) }
        };
        let written = tokio::task::spawn_blocking(writing).await;
        match written {
            Ok(Ok(())) => Ok(Receipt { reply: "kept in the local mailbox".to_owned() }),
            Ok(Err(error)) => Err(SendError::Transient(format!("the local mailbox: {error}"))),
            Err(error) => Err(SendError::Transient(format!("the local mailbox: {error}"))),
        }
    }
}

/// The newest mails first, at most `limit`. A folder that does not exist is an empty mailbox. Blocks.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path, limit: usize) -> io::Result<Vec<MailboxMail>> {
    let names = names(folder)?;
    let mails = names.iter().rev().filter_map(|name| serde_json::from_slice(&fs::read(folder.join(name)).ok()?).ok());
    Ok(mails.take(limit).collect())
}

fn write(folder: &Path, mail: &MailboxMail) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let place = folder.join(format!("{}.json", mail.job_id));
    let beside = folder.join(format!("{}.part", mail.job_id));
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(mail)?)?;
    file.sync_all()?;
    fs::rename(&beside, &place)?;
    File::open(folder)?.sync_all()
}

/// Removes all but the newest.
fn tidy(folder: &Path) -> io::Result<()> {
    let names = names(folder)?;
    for old in names.iter().take(names.len().saturating_sub(KEPT)) {
        // Another process may have removed it first.
        drop(fs::remove_file(folder.join(old)));
    }
    Ok(())
}

/// Names of the mails' files, the oldest first.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "json")).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, outgoing};

    #[tokio::test]
    async fn the_newest_mail_is_first_and_a_second_copy_changes_nothing() {
        let folder = Folder::new();
        let mailbox = Mailbox::new(folder.path().join("mails"));
        assert_eq!(list(&mailbox.folder, 9).unwrap(), []);
        let (first, second) = (outgoing("a@example.com"), outgoing("b@example.com"));
        mailbox.send(&first).await.unwrap();
        mailbox.send(&second).await.unwrap();
        let place = mailbox.folder.join(format!("{}.json", first.job_id));
        let before = fs::read(&place).unwrap();
        mailbox.send(&first).await.unwrap();
        assert_eq!(fs::read(&place).unwrap(), before);
        let to: Vec<_> = list(&mailbox.folder, 9).unwrap().into_iter().map(|mail| mail.to).collect();
        assert_eq!(to, ["b@example.com", "a@example.com"]);
        assert_eq!(list(&mailbox.folder, 1).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn only_the_newest_are_kept() {
        let folder = Folder::new();
        for index in 0..KEPT + 5 {
            fs::write(folder.path().join(format!("{index:08}.json")), "{}").unwrap();
        }
        Mailbox::new(folder.path().to_owned()).send(&outgoing("a@example.com")).await.unwrap();
        let names = names(folder.path()).unwrap();
        assert_eq!(names.len(), KEPT);
        assert!(!folder.path().join("00000000.json").exists());
    }
}
