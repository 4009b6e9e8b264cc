//! `/docs`: Swagger UI, which comes with poem-openapi, around this server's document.
//!
//! poem-openapi gives its script and style as one page with a document of its own in it. Here they
//! are taken out of that page and served as files of their own, so that browsers keep them, and so
//! that the page loads the document whatever it says and wherever the server is.

use nubo_core::{
    module::{Route, SetupError},
    served_text::fixed,
};
use poem::{EndpointExt, Response, http::StatusCode};
use poem_openapi::OpenApiService;

/// The page; every path in it is relative, because the server may be below a prefix.
const PAGE: &str = r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  filter: true,
  validatorUrl: null,
});
</script>
</body>
</html>
"##;

/// The page and what it loads.
pub(crate) fn routes(title: &str) -> Result<Vec<Route>, SetupError> {
    let page = OpenApiService::new((), "", "").swagger_ui_html();
    let missing = || SetupError::new("poem-openapi has no Swagger UI where it was expected");
    let style = between(&page, "<style charset=\"UTF-8\">", "</style>").ok_or_else(missing)?;
    let script = between(&page, "<script charset=\"UTF-8\">", "</script>").ok_or_else(missing)?;
    let page = PAGE.replace("{title}", &escape(title));
    Ok(vec![
        fixed("/docs", "text/html; charset=utf-8", page),
        redirect("/docs/", "../docs"),
        fixed(
            "/docs/swagger-ui.css",
            "text/css; charset=utf-8",
            style.to_owned(),
        ),
        fixed(
            "/docs/swagger-ui-bundle.js",
            "text/javascript; charset=utf-8",
            script.to_owned(),
        ),
    ])
}

/// Sends whoever comes here to another path.
fn redirect(path: &str, to: &'static str) -> Route {
    let endpoint = poem::endpoint::make_sync(move |_| {
        Response::builder()
            .status(StatusCode::PERMANENT_REDIRECT)
            .header("location", to)
            .finish()
    });
    Route {
        path: path.to_owned(),
        endpoint: endpoint.boxed(),
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inside, _)| inside)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swagger_ui_is_found_in_its_page() {
        let routes = routes("A & B").unwrap();
        let paths: Vec<&str> = routes.iter().map(|route| route.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/docs",
                "/docs/",
                "/docs/swagger-ui.css",
                "/docs/swagger-ui-bundle.js"
            ]
        );
        let page = OpenApiService::new((), "", "").swagger_ui_html();
        let script = between(&page, "<script charset=\"UTF-8\">", "</script>").unwrap();
        assert!(script.len() > 1_000_000 && script.contains("SwaggerUIBundle"));
    }
}
