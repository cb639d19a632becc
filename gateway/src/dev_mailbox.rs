//! The mails of a developer's installation, in the browser and as JSON; anywhere else these addresses do not exist.
//!
//! The workers write one file per mail, `<folder>/<job_id>.json`. Everything is shown as data: text is escaped, and the
//! HTML of a mail is in a sandboxed frame that can run nothing and reach nothing.

use std::path::{Path, PathBuf};

use poem::{
    Request, Response, Result, RouteMethod,
    endpoint::make,
    get,
    http::{HeaderValue, header},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    clock::Timestamp,
    config::Config,
    fault::{Fault, INTERNAL},
    mail::MailRoute,
};

use crate::{pages::render, problem::problem, problem_kinds::NOT_FOUND, state::AppState};

/// Mails that are shown at most.
const SHOWN: usize = 200;

/// Styles and pictures of mails are theirs; nothing is loaded from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// One mail, as the workers write it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Mail {
    to: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    html: String,
    #[serde(default)]
    headers: Value,
    job_id: String,
    received_at: Timestamp,
}

/// Where the mails are as JSON; the one address under `/api` that is no operation.
pub const LIST_PATH: &str = "/api/dev/mailbox";

/// `GET /api/dev/mailbox?to=`: the mails as JSON, newest first.
#[must_use]
pub fn list(state: &AppState) -> RouteMethod {
    let state = state.clone();
    get(make(move |request| {
        let state = state.clone();
        async move {
            let mails = mails(&state, &request).await?;
            let body = serde_json::to_string(&mails).map_err(unreadable)?;
            Ok::<_, poem::Error>(Response::builder().content_type("application/json").body(body))
        }
    }))
}

/// `GET /dev/mailbox?to=`: the mails for people.
#[must_use]
pub fn page(state: &AppState) -> RouteMethod {
    let state = state.clone();
    get(make(move |request| {
        let state = state.clone();
        async move {
            let to = recipient(&request);
            let mails: Vec<Value> = mails(&state, &request).await?.iter().map(shown).collect();
            let values = minijinja::context! { title => "Mailbox", to, mails => minijinja::value::Serde(mails) };
            let mut page = render::page("dev_mailbox.html", values)?;
            page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            Ok::<_, poem::Error>(page)
        }
    }))
}

async fn mails(state: &AppState, request: &Request) -> Result<Vec<Mail>> {
    let folder = folder(&state.kernel.config).ok_or_else(|| problem(Fault::of(&NOT_FOUND)))?;
    let to = recipient(request);
    let read = tokio::task::spawn_blocking(move || read_folder(&folder)).await;
    let mut mails = read.map_err(unreadable)?;
    if let Some(to) = to {
        mails.retain(|mail| mail.to.to_lowercase().contains(&to.to_lowercase()));
    }
    // Ids of jobs sort by time as well, for mails of one instant.
    mails.sort_by(|left, right| (right.received_at, &right.job_id).cmp(&(left.received_at, &left.job_id)));
    mails.truncate(SHOWN);
    Ok(mails)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> poem::Error {
    problem(Fault::of(&INTERNAL).source(error))
}

/// Where mails are kept, if they are and may be shown.
fn folder(config: &Config) -> Option<PathBuf> {
    match config.mail.route() {
        MailRoute::Mailbox(folder) if config.is_development() => Some(folder),
        MailRoute::Mailbox(_) | MailRoute::Nowhere | MailRoute::Smtp => None,
    }
}

fn recipient(request: &Request) -> Option<String> {
    let query: Vec<(String, String)> = request.params().unwrap_or_default();
    query.into_iter().find(|(name, _)| name == "to").map(|(_, value)| value).filter(|to| !to.is_empty())
}

/// All mails in a folder; a file that is being written, or is none of ours, is skipped.
fn read_folder(folder: &Path) -> Vec<Mail> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
        .collect()
}

/// A mail as the page shows it: links of the text apart, and links of the HTML opening beside the mailbox.
fn shown(mail: &Mail) -> Value {
    serde_json::json!({
        "to": mail.to,
        "subject": mail.subject,
        "received_at": mail.received_at,
        "job_id": mail.job_id,
        "parts": parts(&mail.text),
        "frame": (!mail.html.is_empty()).then(|| format!("<base target=\"_blank\">{}", mail.html)),
    })
}

/// Text cut into plain pieces and links.
fn parts(text: &str) -> Vec<Value> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("http://").into_iter().chain(rest.find("https://")).min() {
        let (plain, tail) = rest.split_at(start);
        let end = tail.find(|letter: char| letter.is_whitespace() || "<>\"'".contains(letter)).unwrap_or(tail.len());
        let (link, after) = tail.split_at(end);
        parts.push(serde_json::json!({ "text": plain }));
        parts.push(serde_json::json!({ "text": link, "href": link }));
        rest = after;
    }
    parts.push(serde_json::json!({ "text": rest }));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_cut_out_of_the_text() {
        let parts = parts("Hello,\nhttp://localhost:8080/reset?token=a&b\nor https://x <https://y>.");
        let links: Vec<&str> = parts.iter().filter_map(|part| part["href"].as_str()).collect();
        assert_eq!(links, ["http://localhost:8080/reset?token=a&b", "https://x", "https://y"]);
        let text: String = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        assert!(text.starts_with("Hello,\nhttp://") && text.ends_with(">."));
    }

    #[test]
    fn a_folder_is_read_without_what_is_no_mail() {
        let folder = std::env::temp_dir().join(format!("gatepost-mailbox-{}", shared::ids::next()));
        assert!(read_folder(&folder).is_empty());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(
            folder.join("a.json"),
            r#"{"to":"a@b.c","subject":"S","job_id":"a","received_at":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        std::fs::write(folder.join("b.json"), "{").unwrap();
        std::fs::write(folder.join("c.tmp"), "{}").unwrap();
        let mails = read_folder(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].to, "a@b.c");
    }

    #[test]
    fn only_a_developer_sees_mails() {
        let config = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            shared::config::load_from(None, variables).unwrap()
        };
        assert!(folder(&config(&[])).is_some());
        assert!(folder(&config(&[("GATEPOST__MODE", "production")])).is_none());
        assert!(folder(&config(&[("GATEPOST__MAIL__URL", "smtp://relay")])).is_none());
    }
}
