//! `expand`: related documents in one answer.

use serde_json::{Value as Json, json};

use crate::{library, server::text};

/// A book with its authors and reviews.
struct World {
    mentor: String,
    author: String,
    editor: String,
    book: String,
    review: String,
}

fn world() -> World {
    let create = |collection, document| library().create_id(collection, &document);
    let mentor = create("authors", json!({ "name": "mentor" }));
    let author = create("authors", json!({ "name": "author", "mentor_id": mentor }));
    let editor = create("authors", json!({ "name": "editor" }));
    let book = create(
        "books",
        json!({
            "title": "x", "author_id": author, "editor_ids": [editor, author], "shelf": author,
        }),
    );
    let review = create(
        "reviews",
        json!({ "book_id": book, "author_id": editor, "stars": 4 }),
    );
    World {
        mentor,
        author,
        editor,
        book,
        review,
    }
}

impl World {
    #[track_caller]
    fn expanded(&self, expand: &str) -> Json {
        let path = format!("/books/{}?expand={expand}", self.book);
        let alone = library().get(&path);
        assert_eq!(alone.header("etag"), None, "it is not the bare document");
        let alone = alone.expect(200);
        let query = [("filter[shelf]", &*self.author), ("expand", expand)];
        let list = library().list("books", &query);
        assert_eq!(list["data"], json!([alone]), "a list says the same");
        let question = json!({ "filter": { "shelf": self.author }, "expand": expand });
        let asked = library().post("/books/query", &question).expect(200);
        assert_eq!(asked, list);
        let mut bare = alone.clone();
        bare.as_object_mut()
            .expect("an object")
            .shift_remove("_expand");
        assert_eq!(
            bare,
            library().read("books", &self.book),
            "the document is left as it is"
        );
        alone["_expand"].clone()
    }
}

#[test]
fn a_reference_brings_its_document() {
    let world = world();
    let brought = world.expanded("author_id");
    assert_eq!(
        brought,
        json!({ "author_id": library().read("authors", &world.author) })
    );
}

#[test]
fn a_list_of_references_brings_a_list() {
    let world = world();
    let brought = world.expanded("editor_ids");
    let [editor, author] = [&world.editor, &world.author].map(|id| library().read("authors", id));
    assert_eq!(brought["editor_ids"], json!([editor, author]));
}

#[test]
fn documents_that_refer_here_are_brought_too() {
    let world = world();
    let brought = world.expanded("reviews(book_id)");
    let review = library().read("reviews", &world.review);
    assert_eq!(
        brought,
        json!({ "reviews": { "data": [review], "next_cursor": null } })
    );
    let authors = format!(
        "/authors/{}?expand=books(author_id),books(editor_ids)",
        world.author
    );
    library()
        .get(&authors)
        .problem_at(400, "invalid_expand", &["/expand"]);
    let author = library().get(&format!(
        "/authors/{}?expand=books(editor_ids)",
        world.author
    ));
    assert_eq!(
        author.expect(200)["_expand"]["books"]["data"][0]["id"],
        world.book
    );
}

#[test]
fn three_levels_deep_and_no_further() {
    let world = world();
    let brought = world.expanded("reviews(book_id).book_id.author_id,author_id.mentor_id");
    let inner = &brought["reviews"]["data"][0]["_expand"]["book_id"];
    assert_eq!(inner["id"], world.book);
    assert_eq!(inner["_expand"]["author_id"]["id"], world.author);
    assert_eq!(
        brought["author_id"]["_expand"]["mentor_id"]["id"],
        world.mentor
    );
    let deeper = format!(
        "/books/{}?expand=reviews(book_id).book_id.author_id.mentor_id",
        world.book
    );
    library()
        .get(&deeper)
        .problem_at(400, "invalid_expand", &["/expand"]);
}

#[test]
fn a_long_list_goes_on_where_it_came_from() {
    let world = world();
    let reviews: Vec<Json> = (0..30)
        .map(|n| json!({ "create": { "book_id": world.book, "words": format!("{n}") } }))
        .collect();
    library().post("/reviews/bulk", &json!(reviews)).expect(200);
    let brought = world.expanded("reviews(book_id)")["reviews"].clone();
    let first = brought["data"].as_array().expect("reviews").clone();
    assert_eq!(first.len(), 20);
    let filter = json!({ "book_id": world.book }).to_string();
    let rest = [
        ("filter", &*filter),
        ("cursor", &*text(&brought["next_cursor"])),
    ];
    let rest = library().list("reviews", &rest)["data"].clone();
    let whole = library().list("reviews", &[("filter", &filter), ("limit", "200")]);
    let found: Vec<&Json> = first
        .iter()
        .chain(rest.as_array().expect("reviews"))
        .collect();
    assert_eq!(json!(found), whole["data"]);
    assert_eq!(found.len(), 31);
}

#[test]
fn nothing_there_is_null_or_an_empty_list() {
    let alone = library().create_id("books", &json!({ "title": "alone" }));
    let path = format!("/books/{alone}?expand=author_id.mentor_id,editor_ids,reviews(book_id)");
    assert_eq!(
        library().get(&path).expect(200)["_expand"],
        json!({ "author_id": null, "editor_ids": null, "reviews": { "data": [], "next_cursor": null } })
    );
}

#[test]
fn a_document_that_is_gone_is_gone_from_expansions() {
    let world = world();
    library()
        .delete(&format!("/authors/{}", world.editor))
        .problem(409, "referenced");
    library()
        .delete(&format!("/reviews/{}", world.review))
        .expect(204);
    library()
        .delete(&format!("/authors/{}", world.editor))
        .expect(204);
    let brought = world.expanded("editor_ids,reviews(book_id)");
    assert_eq!(brought["reviews"]["data"], json!([]));
    assert_eq!(brought["editor_ids"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_leads_nowhere_is_refused() {
    let path = |expand: &str| format!("/books?limit=1&expand={expand}");
    for (expand, mistakes) in [
        ("autor_id", 1),
        ("title", 1),
        ("review(book_id)", 1),
        ("reviews(author_id)", 1),
        ("reviews(book_id", 1),
        ("author_id.", 1),
        ("", 1),
        ("author_id,x,y", 2),
        ("secret", 1),
    ] {
        let places = vec!["/expand"; mistakes];
        library()
            .get(&path(expand))
            .problem_at(400, "invalid_expand", &places);
    }
    let question = json!({ "expand": "nope" });
    let asked = library().post("/books/query", &question);
    assert_eq!(
        text(&asked.problem(400, "invalid_expand")["errors"][0]["path"]),
        "/expand"
    );
}
