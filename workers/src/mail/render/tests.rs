//! Rendering every mail, and what a hostile name can do in one: nothing.

use std::collections::BTreeSet;

use minijinja::context;

use super::*;

const HOSTILE: &str = "<img src=x onerror=alert(1)>{{7*7}}";

fn renderer() -> Renderer {
    Renderer::new(&Url::parse("https://auth.example.com/").unwrap()).unwrap()
}

/// Everything that any template uses.
fn everything(name: Option<&str>) -> Value {
    context! {
        name,
        link => "https://auth.example.com/reset?token=a-b_c&x=1",
        code => "123456",
        expires_minutes => 15,
        code_minutes => 30,
        expires_hours => 24,
        provider => "Google",
        providers => "Google or GitLab",
        time_utc => "2026-11-21 10:00 UTC",
        ip => "192.0.2.1",
        device => "Firefox on Linux",
        login_url => "https://auth.example.com/login",
        reset_url => "https://auth.example.com/reset",
        old_masked => "o***@e***.com",
        new_masked => "n***@e***.com",
        which => "old",
        method => "password",
        authenticator => "the password",
        codes_left => 2,
        label => "deployment",
        mask => "gpx_...x4Zq",
        found_at => "https://paste.example.com/1",
        days => 7,
        expires_utc => "2026-12-21 10:00 UTC",
        keys_url => "https://auth.example.com/settings",
        organization => "Example",
        project => "Website",
        domain => "example.com",
        record => "_gatepost-challenge.example.com",
        challenge => "a1b2",
        enforces_sso => true,
        sender => "Grace Hopper",
        actor => "Grace Hopper",
        member => "Alan Turing",
        role => "member",
        until_utc => "2026-11-24 10:00 UTC",
        is_email_enough => true,
        few_codes_left => true,
    }
}

fn mails() -> BTreeSet<String> {
    Templates::iter().filter_map(|name| name.rsplit_once('/').map(|(folder, _)| folder.to_owned())).collect()
}

#[test]
fn every_mail_renders_in_text_and_html() {
    let mails = mails();
    assert!(mails.len() >= 6, "{mails:?}");
    for mail in mails {
        for name in [None, Some("Ada")] {
            let rendered = renderer().render(&mail, &everything(name)).unwrap();
            assert!((1..=78).contains(&rendered.subject.len()), "{mail}: {}", rendered.subject);
            for (kind, body) in [("text", &rendered.text), ("html", &rendered.html)] {
                assert_eq!(body.contains("Ada"), name.is_some(), "{mail} {kind}");
                assert!(!body.contains("{{") && !body.contains("{%"), "{mail} {kind}: {body}");
            }
            assert!(
                rendered.text.lines().all(|line| line.len() <= 200 && line.trim_end() == line),
                "{}",
                rendered.text
            );
            assert!(rendered.html.starts_with("<!doctype html>") && rendered.html.contains("lang=\"en\""));
            assert!(!rendered.html.contains("<img") && !rendered.html.contains("<script"), "nothing is loaded");
        }
    }
}

#[test]
fn a_hostile_name_is_text_and_nothing_else() {
    for mail in mails() {
        let rendered = renderer().render(&mail, &everything(Some(HOSTILE))).unwrap();
        assert!(!rendered.html.contains("<img"), "{mail}");
        assert!(rendered.html.contains("&lt;img src=x onerror=alert(1)&gt;{{7*7}}"), "{mail}: {}", rendered.html);
        assert!(rendered.text.contains(HOSTILE), "{mail}: the name is data, not a template");
        assert!(!rendered.subject.contains("img"), "{mail}");
    }
}

#[test]
fn links_stay_whole_in_both_bodies() {
    let rendered = renderer().render("recovery/reset_link", &everything(None)).unwrap();
    assert!(rendered.text.contains("https://auth.example.com/reset?token=a-b_c&x=1\n"), "{}", rendered.text);
    assert!(rendered.html.contains("href=\"https://auth.example.com/reset?token=a-b_c&amp;x=1\""), "{}", rendered.html);
}

#[test]
fn a_missing_variable_is_an_error() {
    assert!(renderer().render("recovery/reset_link", &context! { link => "x" }).is_err());
    assert!(renderer().render("recovery/no_such_mail", &everything(None)).is_err());
}

#[test]
fn names_lose_what_programs_make_links_of() {
    let cases = [
        ("Ada Lovelace", "Ada Lovelace"),
        ("J. R. Smith", "J. R. Smith"),
        ("https://evil.example/now", "evil dot example now"),
        ("www.evil.example", "www dot evil dot example"),
        ("evil\u{3002}example", "evil dot example"),
        ("me@evil.example", "me at evil dot example"),
        ("Eve\r\nBcc: all@example.com\r\n\r\n", "Eve Bcc: all at example dot com"),
        ("a\u{202e}b\u{200b}c", "a b c"),
        ("http://https://x.y", "x dot y"),
        ("", ""),
    ];
    for (name, expected) in cases {
        assert_eq!(neutral(name), expected, "{name:?}");
    }
    assert_eq!(neutral(&"a ".repeat(100)).len(), 63);
}

#[test]
fn a_subject_is_one_line() {
    assert_eq!(one_line("a\r\nBcc: b\u{0}\n  c "), "a Bcc: b c");
}
