//! Templates, compiled in and escaping by themselves.

use std::sync::LazyLock;

use minijinja::{Environment, Value, context};
use poem::{
    Response, Result,
    error::ResponseError,
    http::{StatusCode, header},
};
use shared::{
    fault::{Fault, INTERNAL, ProblemKind},
    login::{LOGIN_EXPIRED, LOGIN_NOT_FOUND, TOO_MANY_ATTEMPTS},
    sessions::{SESSION_EXPIRED, UNAUTHENTICATED},
};
use uuid::Uuid;

use crate::{
    middleware::security_headers,
    problem::{Rejection, problem},
};

const TEMPLATES: &[(&str, &str)] = &[
    ("account.html", include_str!("../../templates/account.html")),
    ("dev_mailbox.html", include_str!("../../templates/dev_mailbox.html")),
    ("error.html", include_str!("../../templates/error.html")),
    ("invite.html", include_str!("../../templates/invite.html")),
    ("layout.html", include_str!("../../templates/layout.html")),
    ("login.html", include_str!("../../templates/login.html")),
    ("login_email.html", include_str!("../../templates/login_email.html")),
    ("login_two_factor.html", include_str!("../../templates/login_two_factor.html")),
    ("message.html", include_str!("../../templates/message.html")),
    ("not_me.html", include_str!("../../templates/not_me.html")),
    ("not_me_done.html", include_str!("../../templates/not_me_done.html")),
    ("reset.html", include_str!("../../templates/reset.html")),
    ("reset_password.html", include_str!("../../templates/reset_password.html")),
    ("signed_in.html", include_str!("../../templates/signed_in.html")),
    ("two_factor_reset.html", include_str!("../../templates/two_factor_reset.html")),
    ("verify_email.html", include_str!("../../templates/verify_email.html")),
];

/// Problems that end with signing in anew; their page leads there.
const ENDED: &[&ProblemKind] =
    &[&LOGIN_EXPIRED, &LOGIN_NOT_FOUND, &TOO_MANY_ATTEMPTS, &SESSION_EXPIRED, &UNAUTHENTICATED];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
    for (name, source) in TEMPLATES {
        if let Err(error) = environment.add_template(name, source) {
            tracing::error!(template = *name, %error, "a template does not parse");
        }
    }
    environment
});

/// A page with status 200.
///
/// # Errors
/// When the template needs a value that `values` does not have.
pub fn page(template: &str, values: Value) -> Result<Response> {
    page_with(StatusCode::OK, template, values)
}

/// A page with any status.
///
/// # Errors
/// When the template needs a value that `values` does not have.
pub fn page_with(status: StatusCode, template: &str, values: Value) -> Result<Response> {
    let text = ENVIRONMENT.get_template(template).and_then(|template| template.render(values));
    let text = text.map_err(|error| problem(Fault::of(&INTERNAL).source(error)))?;
    Ok(html(status, text))
}

/// A page that tells one thing.
///
/// # Errors
/// Never: the template needs nothing else.
pub fn message(title: &str, text: &str) -> Result<Response> {
    page("message.html", context! { title, text })
}

/// The page of a problem; nothing in it can fail.
#[must_use]
pub fn error_page(rejection: &Rejection, request_id: Option<Uuid>) -> Response {
    let document = rejection.document(request_id);
    let values = context! {
        title => document.title,
        detail => document.detail,
        fields => document.errors.map(|fields| fields.into_iter().map(|field| field.detail).collect::<Vec<_>>()),
        request_id => request_id.map(|id| id.to_string()),
        is_over => ENDED.contains(&rejection.fault.kind),
    };
    match page_with(rejection.status(), "error.html", values) {
        Ok(mut page) => {
            rejection.decorate(&mut page);
            page
        }
        Err(_) => rejection.response(request_id),
    }
}

fn html(status: StatusCode, text: String) -> Response {
    Response::builder()
        .status(status)
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, security_headers::PAGE)
        .body(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem_kinds::NOT_FOUND;

    #[test]
    fn every_template_is_known_and_parses() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let known: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, known);
        for name in known {
            ENVIRONMENT.get_template(name).unwrap();
        }
    }

    #[tokio::test]
    async fn values_are_escaped() {
        let page = message("<script>", "\"quoted\" & <b>bold</b>").unwrap();
        let text = page.into_body().into_string().await.unwrap();
        assert!(!text.contains("<script>") && !text.contains("<b>"), "{text}");
        assert!(text.contains("&lt;b&gt;"), "{text}");
    }

    #[tokio::test]
    async fn a_problem_has_a_page_with_its_status() {
        let page = error_page(&Fault::of(&NOT_FOUND).into(), Some(Uuid::nil()));
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        let text = page.into_body().into_string().await.unwrap();
        assert!(text.contains("Not found") && text.contains("00000000-0000"), "{text}");
    }

    #[test]
    fn templates_have_no_scripts_and_no_inline_styles() {
        for (name, source) in TEMPLATES {
            for banned in ["<script", "<style", " style=", " onclick=", "javascript:", "|safe"] {
                assert!(!source.contains(banned), "{name} has {banned}");
            }
        }
    }
}
