//! Which path answers which method, and in which file.

use std::sync::Arc;

use nubo_core::module::Route;
use poem::http::Method;

use crate::{
    endpoint::{Answer, Path},
    login, logout, me, my_sessions, password_change, refresh,
    shared::Shared,
    signup, test_token,
};

/// All routes. The one for test tokens only where the settings want it.
pub(crate) fn routes(shared: &Arc<Shared>, dev_tokens: bool) -> Vec<Route> {
    let route = |path: &str, allow: &'static str, methods: Vec<(Method, Answer)>| {
        let endpoint = Path {
            shared: Arc::clone(shared),
            allow,
            methods,
        };
        endpoint.route(path)
    };
    let post =
        |path: &str, answer: Answer| route(path, "POST, OPTIONS", vec![(Method::POST, answer)]);
    let mut routes = vec![
        post("/signup", |shared, request| {
            Box::pin(signup::sign_up(shared, request))
        }),
        post("/login", |shared, request| {
            Box::pin(login::log_in(shared, request))
        }),
        post("/refresh", |shared, request| {
            Box::pin(refresh::refresh(shared, request))
        }),
        post("/logout", |shared, request| {
            Box::pin(logout::log_out(shared, request))
        }),
        post("/me/password", |shared, request| {
            Box::pin(password_change::change(shared, request))
        }),
        route(
            "/me",
            "GET, HEAD, PATCH, DELETE, OPTIONS",
            vec![
                (Method::GET, |shared, request| {
                    Box::pin(me::read(shared, request))
                }),
                (Method::PATCH, |shared, request| {
                    Box::pin(me::change(shared, request))
                }),
                (Method::DELETE, |shared, request| {
                    Box::pin(me::delete(shared, request))
                }),
            ],
        ),
        route(
            "/me/sessions",
            "GET, HEAD, OPTIONS",
            vec![(Method::GET, |shared, request| {
                Box::pin(my_sessions::list(shared, request))
            })],
        ),
        route(
            "/me/sessions/:id",
            "DELETE, OPTIONS",
            vec![(Method::DELETE, |shared, request| {
                Box::pin(my_sessions::end(shared, request))
            })],
        ),
    ];
    if dev_tokens {
        routes.push(route(
            "/token",
            "GET, HEAD, OPTIONS",
            vec![(Method::GET, |shared, request| {
                Box::pin(test_token::issue(shared, request))
            })],
        ));
    }
    routes
}
