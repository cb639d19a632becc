//! One address, one spelling: `/api/users/@me/` and `/api/users/%40me` are `/api/users/@me`, without a redirect.

use poem::{
    Request,
    http::{Uri, uri::PathAndQuery},
};

/// Gives a request the usual spelling of its address.
pub(super) fn normalise(request: &mut Request) {
    if let Some(uri) = normalised(request.uri()) {
        *request.uri_mut() = uri;
    }
}

fn normalised(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let has_slash = path.len() > 1 && path.ends_with('/');
    if !has_slash && !path.contains("%40") {
        return None;
    }
    let mut usual = path.replace("%40", "@");
    if has_slash {
        usual.pop();
    }
    if let Some(query) = uri.query() {
        usual.push('?');
        usual.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(usual.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_spelling() {
        let usual = |text: &str| normalised(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(usual("/api/users/@me/").as_deref(), Some("/api/users/@me"));
        assert_eq!(usual("/api/users/%40me/?a=b/").as_deref(), Some("/api/users/@me?a=b/"));
        assert_eq!(usual("/api/users/@me?next=/"), None);
        assert_eq!(usual("/"), None);
        assert_eq!(usual("http://host/x/").as_deref(), Some("http://host/x"));
    }
}
