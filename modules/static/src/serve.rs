//! The answer to a request for a file.

use std::{
    io,
    path::{Path, PathBuf},
};

use nubo_core::Error;
use poem::{
    Endpoint, FromRequest, IntoResponse, Request, RequestBody, Response,
    error::{NotFoundError, StaticFileError},
    http::{
        HeaderValue, Method, StatusCode,
        header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION},
    },
    web::StaticFileRequest,
};

use crate::find::{Found, find};

const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// The files of a folder. They are read anew for every request, so that whoever edits one only has
/// to reload the page.
pub(crate) struct Files {
    pub(crate) folder: PathBuf,
    pub(crate) cache: HeaderValue,
    pub(crate) spa: bool,
}

impl Endpoint for Files {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        // The path of the folder itself has no parameter. What is no UTF-8 names no file.
        let path = match request.raw_path_param("path") {
            Some(_) => request.path_params::<String>().map_err(|_| NotFoundError)?,
            // poem leaves out what it cannot decode.
            None if request.uri().path().contains('%') => return Err(NotFoundError.into()),
            None => String::new(),
        };
        let file = match self.find(path).await? {
            Found::File(file) => file,
            Found::FolderWithoutSlash => return with_slash(&request),
            Found::Nothing if self.spa && is_navigation(&request) => {
                match self.find(String::new()).await? {
                    Found::File(file) => file,
                    _ => return Err(NotFoundError.into()),
                }
            }
            Found::Nothing => return Err(NotFoundError.into()),
        };
        // Only where there is something: elsewhere it is the path that is wrong, not the method.
        match *request.method() {
            Method::GET | Method::HEAD => self.read(&request, file).await,
            Method::OPTIONS => Ok(Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(ALLOW, ALLOWED)
                .finish()),
            ref other => Ok(Error::MethodNotAllowed {
                method: other.to_string(),
                allow: ALLOWED.to_owned(),
            }
            .response()),
        }
    }
}

impl Files {
    async fn find(&self, path: String) -> poem::Result<Found> {
        let folder = self.folder.clone();
        let found = tokio::task::spawn_blocking(move || find(&folder, &path)).await;
        found.map_err(poem::error::InternalServerError)
    }

    /// Conditional requests, ranges and the type of the content are poem's.
    async fn read(&self, request: &Request, file: PathBuf) -> poem::Result<Response> {
        let asked = StaticFileRequest::from_request(request, &mut RequestBody::default()).await?;
        let opened = tokio::task::spawn_blocking(move || open(asked, &file)).await;
        let mut response = match opened.map_err(poem::error::InternalServerError)? {
            Ok(response) => response,
            Err(StaticFileError::NotFound) => return Err(NotFoundError.into()),
            // What the server may not read is not there for anybody.
            Err(StaticFileError::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(NotFoundError.into());
            }
            Err(error) => return Err(error.into()),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, self.cache.clone());
        Ok(response)
    }
}

/// Opens a file and answers with it, or with 304. Blocks.
fn open(asked: StaticFileRequest, file: &Path) -> Result<Response, StaticFileError> {
    let mut response = asked.create_response(file, true, false)?.into_response();
    if response.status() == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    // Browsers may not guess, so there has to be some type.
    let headers = response.headers_mut();
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

/// Sends a browser to the folder itself, relative to where it is: a proxy may have put something
/// before the path.
fn with_slash(request: &Request) -> poem::Result<Response> {
    let uri = request.original_uri();
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}"));
    let to = format!("./{name}/{}", query.unwrap_or_default());
    Ok(Response::builder()
        .status(StatusCode::PERMANENT_REDIRECT)
        .header(LOCATION, to)
        .finish())
}

/// Whether somebody opens a page, rather than a page loading a script or asking the API.
fn is_navigation(request: &Request) -> bool {
    let accepted = request.headers().get(ACCEPT);
    let takes_html = accepted
        .and_then(|accepted| accepted.to_str().ok())
        .is_some_and(|accepted| accepted.contains("text/html"));
    takes_html && matches!(*request.method(), Method::GET | Method::HEAD)
}
