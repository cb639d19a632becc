//! The API document and its interactive page.
//!
//! The page loads one script from this origin and fetches `/openapi.json`. It alone may run scripts; nothing that a user
//! entered is on it.

use poem::{Body, Response, RouteMethod, endpoint::make_sync, get, http::header};

/// Policy of `/docs`: its script builds its styles at run time.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; \
                           frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const DOCS: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>Gatepost API</title>
</head>
<body>
<noscript>This page needs JavaScript. The document itself is at <a href=\"/openapi.json\">/openapi.json</a>.</noscript>
<script id=\"api-reference\" data-url=\"/openapi.json\"></script>
<script src=\"/docs/reference.js\"></script>
</body>
</html>
";

/// `GET /openapi.json`.
#[must_use]
pub fn openapi(document: String) -> RouteMethod {
    get(make_sync(move |_| Response::builder().content_type("application/json").body(document.clone())))
}

/// `GET /docs`.
#[must_use]
pub fn docs() -> RouteMethod {
    get(make_sync(|_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, DOCS_POLICY)
            .body(DOCS)
    }))
}

/// `GET /docs/reference.js`: the script that poem-openapi puts into its own page.
#[must_use]
pub fn reference_script(page: &str) -> RouteMethod {
    let script = script_of(page).to_owned();
    get(make_sync(move |_| {
        Response::builder()
            .content_type("text/javascript; charset=utf-8")
            .header(header::CACHE_CONTROL, "public, max-age=3600")
            .body(Body::from(script.clone()))
    }))
}

fn script_of(page: &str) -> &str {
    let tail = page.split_once("<script charset=\"UTF-8\">").map_or("", |(_, tail)| tail);
    tail.rsplit_once("</script>").map_or("", |(script, _)| script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_cut_out_of_the_page() {
        let page = "<script type=\"application/json\">{}</script><script charset=\"UTF-8\">let a = 1;</script></body>";
        assert_eq!(script_of(page), "let a = 1;");
        assert_eq!(script_of("<p>"), "");
    }
}
