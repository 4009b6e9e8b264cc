//! The OpenAPI document and Swagger UI.
//!
//! [`assemble`] makes one document of the fragments that all modules bring; `src/` calls it when
//! every module has been set up and leaves the text in the context. The module [`OpenApi`] serves
//! that text at `/openapi.json` and, at `/docs`, a page to read it and try it out, which needs
//! nothing from outside.
//!
//! Start with [`document`]; what fragments of older make need is in [`upgrade`].

#![forbid(unsafe_code)]

mod document;
mod settings;
mod shared;
mod swagger;
mod upgrade;

use std::sync::Arc;

use nubo_core::{
    module::{Context, Contribution, Module, Section, SetupError},
    served_text::late_document,
};
use serde_json::{Value as Json, json};

pub use document::assemble;
pub use settings::{License, Server, Settings};

/// The module `openapi`.
#[derive(Debug, Default)]
pub struct OpenApi;

impl Module for OpenApi {
    fn name(&self) -> &'static str {
        "openapi"
    }

    fn section(&self) -> Section {
        Section::of::<Settings>()
    }

    fn setup(&mut self, context: &Context) -> Result<Contribution, SetupError> {
        let settings: Settings = context.settings()?;
        let mut routes = vec![late_document(
            "/openapi.json",
            Arc::clone(&context.document),
        )];
        if settings.docs {
            routes.extend(swagger::routes(&settings.title)?);
        }
        Ok(Contribution {
            routes,
            openapi: vec![fragment(settings.docs)],
            ..Contribution::default()
        })
    }
}

/// The module's own routes.
fn fragment(docs: bool) -> Json {
    let get = |id: &str, summary: &str, description: &str, media: &str, schema: Json| {
        json!({ "get": {
            "operationId": id,
            "summary": summary,
            "tags": ["documentation"],
            "responses": { "200": {
                "description": description,
                "content": { media: { "schema": schema } },
            } },
        } })
    };
    let mut fragment = json!({
        "tags": [{ "name": "documentation", "description": "What this server answers." }],
        "paths": { "/openapi.json": get(
            "openapi",
            "This document",
            "An OpenAPI 3.1 document.",
            "application/json",
            json!({ "type": "object" }),
        ) },
    });
    if docs {
        fragment["paths"]["/docs"] = get(
            "docs",
            "This document as a page",
            "A page to read the document and to try it out.",
            "text/html",
            json!({ "type": "string" }),
        );
    }
    fragment
}
