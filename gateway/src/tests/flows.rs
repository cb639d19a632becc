//! From a sign-up to an administrator's session, through the pages; the mails are read from the flows themselves.

use poem::http::{Method, header};
use serde_json::{Value, json};
use shared::{
    email_mfa::SendLoginCode,
    email_verification::{self, SendVerification},
    jobs::{
        Job,
        operate::{self, Filter},
    },
    login,
    recovery::{self, SendResetLink},
};

use super::{Answer, TestApp};

const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "quiet otters paint bridges";

/// The payload of the newest job of this kind.
async fn newest<J: Job>(app: &TestApp) -> J {
    let filter = Filter { name: Some(J::NAME.to_owned()), ..Filter::default() };
    let rows = operate::list(app.state.kernel.db.reader(), &filter, 1).await.unwrap();
    serde_json::from_str(&rows.first().expect("there is such a job").payload).unwrap()
}

async fn verification_token(app: &TestApp) -> String {
    let job = newest::<SendVerification>(app).await;
    email_verification::verification_mail(&app.state.kernel, job.verification_id).await.unwrap().unwrap().token
}

async fn reset_token(app: &TestApp) -> String {
    let job = newest::<SendResetLink>(app).await;
    recovery::reset_mail(&app.state.kernel, job.reset_id).await.unwrap().unwrap().token
}

async fn login_mail(app: &TestApp) -> login::LoginCodeMail {
    let job = newest::<SendLoginCode>(app).await;
    login::login_code_mail(&app.state.kernel, job.login_id, job.send).await.unwrap().unwrap()
}

async fn verified() -> TestApp {
    let app = TestApp::new().await;
    let answer = app.json("/api/signup", &json!({ "email": EMAIL, "password": PASSWORD }).to_string()).await;
    assert_eq!(answer.status(), 202, "{}", answer.text);
    let token = verification_token(&app).await;
    assert!(app.get(&format!("/verify_email?token={token}")).await.text.contains(&token));
    for _ in 0..2 {
        let page = app.form("/verify_email", &format!("token={token}")).await;
        assert!(page.status() == 200 && page.text.contains("is confirmed"), "{}", page.text);
    }
    app
}

async fn start_login(app: &TestApp, transport: &str) -> Answer {
    let body = json!({ "email": EMAIL, "password": PASSWORD, "session_transport": transport });
    let answer = app.json("/api/login", &body.to_string()).await;
    assert_eq!(answer.json()["status"], "email_mfa_required", "{}", answer.text);
    answer
}

async fn session_token(app: &TestApp) -> String {
    let pending = start_login(app, "token").await.json()["email_mfa"].clone();
    let code = login_mail(app).await.code;
    let body = json!({ "login_id": pending["login_id"], "login_token": pending["login_token"], "code": code });
    let answer = app.json("/api/login/email_mfa", &body.to_string()).await;
    answer.json()["session"]["token"].as_str().expect(&answer.text).to_owned()
}

/// The cookies that a response sets, as a browser sends them back.
fn cookies(answer: &Answer) -> String {
    let lines = answer.response.headers().get_all(header::SET_COOKIE).into_iter();
    let pairs: Vec<&str> = lines.map(|line| line.to_str().unwrap().split(';').next().unwrap()).collect();
    pairs.join("; ")
}

async fn submit_with(app: &TestApp, cookie: &str, form: &str) -> Answer {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
        ("accept", "text/html"),
        ("cookie", cookie),
    ];
    app.send(Method::POST, "/login/email", &headers, form).await
}

#[tokio::test]
async fn a_mailed_link_signs_in_the_browser_that_began() {
    let app = verified().await;
    let cookie = cookies(&start_login(&app, "cookie").await);
    let token = login_mail(&app).await.token;
    assert_eq!(app.get(&format!("/login/email?token={token}")).await.status(), 200);
    let elsewhere = submit_with(&app, "", &format!("token={token}")).await;
    assert!(elsewhere.status() == 400 && cookies(&elsewhere).is_empty(), "{}", elsewhere.text);

    let page = submit_with(&app, &cookie, &format!("token={token}&remember_device=yes")).await;
    assert!(page.status() == 200 && page.text.contains("You are signed in"), "{}", page.text);
    let session = cookies(&page);
    assert!(session.contains("gatepost_session=gpst_") && session.contains("gatepost_device="), "{session}");
    let me = app.send(Method::GET, "/api/users/@me", &[("cookie", &session)], "").await;
    assert_eq!(me.json()["email"], EMAIL);
    assert_eq!(submit_with(&app, &cookie, &format!("token={token}")).await.status(), 400);
}

#[tokio::test]
async fn a_wrong_code_can_be_corrected_on_the_page() {
    let app = verified().await;
    let answer = start_login(&app, "cookie").await;
    let (cookie, login_id) = (cookies(&answer), answer.json()["email_mfa"]["login_id"].as_str().unwrap().to_owned());
    let code = login_mail(&app).await.code;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let page = submit_with(&app, &cookie, &format!("login_id={login_id}&code={wrong}")).await;
    assert!(page.status() == 401 && page.text.contains("The code is wrong"), "{}", page.text);
    assert!(page.text.contains(&login_id));
    let page = submit_with(&app, &cookie, &format!("login_id={login_id}&code={code}")).await;
    assert!(page.status() == 200 && page.text.contains("You are signed in"), "{}", page.text);
}

#[tokio::test]
async fn a_weak_password_leaves_the_reset_link_good() {
    let app = verified().await;
    app.form("/reset", &format!("email={EMAIL}")).await;
    let token = reset_token(&app).await;
    let page = app.get(&format!("/reset?token={token}")).await;
    assert!(page.status() == 200 && page.text.contains("new-password"), "{}", page.text);
    let page = app.form("/reset", &format!("token={token}&password=password1")).await;
    assert!(page.status() == 422 && page.text.contains("role=\"alert\""), "{}", page.text);
    assert!(page.text.contains(&token) && !page.text.contains("password1"), "{}", page.text);
    let good = format!("token={token}&password=seven+lamps+below+water");
    let page = app.form("/reset", &good).await;
    assert!(page.status() == 200 && page.text.contains("new password is set"), "{}", page.text);
    assert_eq!(app.form("/reset", &good).await.status(), 400);
}

#[tokio::test]
async fn an_administrator_sees_and_changes_jobs() {
    let app = verified().await;
    let bearer = format!("Bearer {}", session_token(&app).await);
    let headers = [("authorization", bearer.as_str())];
    let page = app.send(Method::GET, "/api/jobs?limit=1&queue=mail", &headers, "").await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let next = format!("/api/jobs?limit=1&queue=mail&cursor={}", page["next_cursor"].as_str().unwrap());
    let second = app.send(Method::GET, &next, &headers, "").await.json();
    assert_ne!(second["items"][0]["id"], page["items"][0]["id"]);

    let job = &page["items"][0];
    let address = format!("/api/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(&app.send(Method::GET, &address, &headers, "").await.json(), job);
    assert_eq!((job["state"].as_str(), job.get("finished_at")), (Some("queued"), None));
    let post = async |verb: &str| app.send(Method::POST, &format!("{address}/{verb}"), &headers, "").await;
    assert_eq!(post("retry").await.code(), "job_state_conflict");
    let cancelled = post("cancel").await.json();
    assert!(cancelled["state"] == "cancelled" && cancelled["finished_at"].is_string(), "{cancelled}");
    let dead = app.send(Method::GET, "/api/jobs?state=cancelled", &headers, "").await.json();
    assert_eq!(dead["items"].as_array().unwrap().len(), 1);
    assert_eq!(post("retry").await.json()["state"], "queued");
    for (action, outcomes) in [("jobs.cancel", &["success"][..]), ("jobs.retry", &["success", "failure"])] {
        let rows = shared::audit::list(app.state.kernel.db.reader(), action, 10).await.unwrap();
        assert!(rows.iter().map(|row| row.outcome.as_str()).eq(outcomes.iter().copied()), "{action}: {rows:?}");
        assert!(rows.iter().all(|row| row.user_id.is_some()));
        assert!(rows[0].detail.contains(job["id"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn questions_about_jobs_are_checked() {
    let app = verified().await;
    let bearer = format!("Bearer {}", session_token(&app).await);
    let headers = [("authorization", bearer.as_str())];
    for query in ["limit=0", "limit=201", "limit=x", "state=lost", "cursor=x"] {
        let answer = app.send(Method::GET, &format!("/api/jobs?{query}"), &headers, "").await;
        assert_eq!(answer.code(), "validation_failed", "{query}");
        let name = query.split('=').next().unwrap();
        assert_eq!(answer.json()["errors"][0]["pointer"], format!("/{name}"), "{query}");
    }
    for (path, code) in
        [("/api/jobs/017f5f3e-0000-7000-8000-000000000000", "job_not_found"), ("/api/jobs/x", "not_found")]
    {
        assert_eq!(app.send(Method::GET, path, &headers, "").await.code(), code);
    }
    let answer = app.send(Method::POST, "/api/jobs/x/retry", &headers, "").await;
    assert!(!answer.text.contains("job_id") && !answer.text.contains("Uuid"), "{}", answer.text);
    assert_eq!(Value::from(answer.status()), 404);
}
