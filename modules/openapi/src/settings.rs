//! The section `openapi` of `nubo.yaml`. The comments here are the users' documentation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the API's documentation says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Name of the API.
    pub title: String,
    /// What the API is for, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Version of the API.
    pub version: String,
    /// Licence of the API's description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
    /// Where the API is, for clients that read the document elsewhere. Each URL ends with
    /// `server.base_path`. Empty: where the document comes from.
    pub servers: Vec<Server>,
    /// Whether `/docs` has a page to read the document and to try it out.
    pub docs: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: "Nubo".into(),
            description: None,
            version: "1.0.0".into(),
            license: None,
            servers: Vec::new(),
            docs: true,
        }
    }
}

/// A licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct License {
    /// Its name.
    pub name: String,
    /// Its SPDX identifier or expression, for example `Apache-2.0 OR MIT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Where its text is; instead of `identifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// For example `https://api.example.org`.
    pub url: String,
    /// What the server is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
