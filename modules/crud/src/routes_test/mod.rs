//! What a client notices of the routes, over a store in memory.

mod lists;
mod many;
mod one;
mod requests;

use serde_json::json;

use crate::fake::Server;

/// A server with posts `a`, `b`, `c` … that have prices 1, 2, 3 …
async fn with_posts(count: usize) -> Server {
    let server = Server::new();
    for number in 0..count {
        let title = char::from(b'a' + u8::try_from(number).unwrap()).to_string();
        let body = json!({"title": title, "price": number + 1});
        assert_eq!(server.json("POST", "/posts", body).await.status, 201);
    }
    server
}
