//! One address, one spelling: `/api/users/@me/` and `/api/users/%40me` are `/api/users/@me`, without a redirect.

use poem::{
    Endpoint, Middleware, Request, Response, Result,
    http::{Uri, uri::PathAndQuery},
};

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct NormalisePath;

impl<E: Endpoint> Middleware<E> for NormalisePath {
    type Output = NormalisePathEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        NormalisePathEndpoint { inner }
    }
}

/// The endpoint of [`NormalisePath`].
pub struct NormalisePathEndpoint<E> {
    inner: E,
}

impl<E: Endpoint> Endpoint for NormalisePathEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        if let Some(uri) = normalised(request.uri()) {
            *request.uri_mut() = uri;
        }
        Ok(self.inner.get_response(request).await)
    }
}

/// The address with its usual spelling; `None` if it has it already.
fn normalised(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let mut usual = path.replace("%40", "@");
    if usual.len() > 1 && usual.ends_with('/') {
        usual.pop();
    }
    if usual == path {
        return None;
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
