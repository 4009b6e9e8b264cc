//! The section `static` of `nubo.yaml`.

use std::path::PathBuf;

use nubo_core::{module::SetupError, schema::parse_period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Files for browsers, such as the page that uses this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder whose files are served to everybody. None are where nothing is given. A relative
    /// path starts from the folder of `nubo.yaml`, or from the working directory where it comes from
    /// the environment.
    #[schemars(extend("format" = "path", "examples" = ["public", "dist"]))]
    pub folder: Option<PathBuf>,
    /// Where the folder begins in URLs. Routes of the API win over files of the same name.
    #[schemars(extend("examples" = ["/", "/app"]))]
    pub path: String,
    /// How long browsers may keep a file without asking whether it has changed. With `0s` they ask
    /// every time, and get the file only if it has.
    #[schemars(extend("format" = "time-span", "examples" = ["0s", "5m", "1d"]))]
    pub cache: String,
    /// Whether a browser that opens a path without a file gets `index.html`: for pages that keep
    /// their place in the path (single-page applications).
    pub spa: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: None,
            path: "/".into(),
            cache: "0s".into(),
            spa: false,
        }
    }
}

impl Settings {
    /// What `path` is put before: no slash at its end, empty for the root.
    pub(crate) fn prefix(&self) -> Result<&str, SetupError> {
        let is_segment = |part: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(plain)
        };
        match self.path.strip_prefix('/') {
            Some("") => Ok(""),
            Some(rest) if rest.trim_end_matches('/').split('/').all(is_segment) => {
                Ok(self.path.trim_end_matches('/'))
            }
            _ => Err(SetupError::new(format!(
                "static.path: `{}` is no path such as / or /app",
                self.path
            ))),
        }
    }

    /// The header `Cache-Control` of every file.
    pub(crate) fn cache_control(&self) -> Result<String, SetupError> {
        // A period elsewhere is longer than nothing.
        let millis = match self.cache.as_str() {
            "0" | "0s" => Some(0),
            period => parse_period(period),
        };
        match millis.map(|millis| millis / 1000) {
            Some(0) => Ok("no-cache".into()),
            Some(seconds) => Ok(format!("public, max-age={seconds}")),
            None => Err(SetupError::new(format!(
                "static.cache: `{}` is no length of time such as 5m",
                self.cache
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brought_into_one_form_or_refused() {
        let prefix = |path: &str| {
            let settings = Settings {
                path: path.into(),
                ..Settings::default()
            };
            settings.prefix().map(str::to_owned).ok()
        };
        assert_eq!(prefix("/").as_deref(), Some(""));
        assert_eq!(prefix("/app/").as_deref(), Some("/app"));
        assert_eq!(prefix("/a/b").as_deref(), Some("/a/b"));
        for wrong in ["", "app", "/a//b", "/:id", "/*rest", "/../x"] {
            assert_eq!(prefix(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn without_a_period_browsers_ask_each_time() {
        let header = |cache: &str| {
            let settings = Settings {
                cache: cache.into(),
                ..Settings::default()
            };
            settings.cache_control().ok()
        };
        assert_eq!(header("0s").as_deref(), Some("no-cache"));
        assert_eq!(header("5m").as_deref(), Some("public, max-age=300"));
        assert_eq!(header("soon"), None);
    }
}
