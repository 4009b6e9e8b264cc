//! `GET /greeting?name=Ada`: a route of one's own, and what the API's documentation says of it.

use nubo::core::{Error, Result, Violation, module::Route};
use poem::{
    Endpoint, EndpointExt, Request, Response,
    http::{Method, header},
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

const ALLOWED: &str = "GET, HEAD";

/// The route. Any endpoint of poem will do; it answers every method of its path.
pub fn route(greeting: String) -> Route {
    Route {
        path: "/greeting".to_owned(),
        endpoint: Greet { greeting }.boxed(),
    }
}

struct Greet {
    greeting: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    name: String,
}

impl Endpoint for Greet {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        // An `Error` of Nubo becomes the problem document that clients know from everywhere else.
        let answer = self.greet(&request);
        Ok(answer.unwrap_or_else(|error| error.response()))
    }
}

impl Greet {
    fn greet(&self, request: &Request) -> Result<Response> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Error::MethodNotAllowed {
                method: request.method().to_string(),
                allow: ALLOWED.to_owned(),
            });
        }
        let parameters: Parameters = request.params().map_err(|_| Error::BadRequest {
            code: "invalid_parameter",
            detail: "`name` says whom to greet, and stands alone".to_owned(),
            errors: vec![Violation::new("/name", "invalid_parameter", "is required")],
        })?;
        let message = format!("{}, {}!", self.greeting, parameters.name);
        Ok(Response::builder()
            .header(header::CACHE_CONTROL, "no-store")
            .content_type("application/json")
            .body(json!({ "message": message }).to_string()))
    }
}

/// The route's part of the OpenAPI document: what stands under `paths`, and a tag. Shared components
/// such as the problem document are there already.
pub fn fragment() -> Json {
    json!({
        "tags": [{ "name": "greeting", "description": "Kind words." }],
        "paths": { "/greeting": { "get": {
            "operationId": "greet",
            "summary": "Greet somebody",
            "tags": ["greeting"],
            "parameters": [{
                "name": "name",
                "in": "query",
                "required": true,
                "description": "Whom to greet.",
                "schema": { "type": "string" },
            }],
            "responses": {
                "200": {
                    "description": "The greeting.",
                    "content": { "application/json": { "schema": {
                        "type": "object",
                        "properties": { "message": { "type": "string" } },
                        "required": ["message"],
                    } } },
                },
                "400": { "$ref": "#/components/responses/BadRequest" },
            },
        } } },
    })
}
