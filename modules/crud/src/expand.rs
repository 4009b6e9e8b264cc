//! `expand=sender_id,comments(post_id).user_id`: which related documents come along.
//!
//! A step is the name of a reference, or `collection(field)` for the documents that reference this
//! one. A dot goes on from what a step brings; steps that begin alike share their beginning.

use nubo_core::{
    Error, Result, Violation,
    field::FieldType,
    nearest,
    schema::{Catalog, Collection, CollectionId},
    store::{Expansion, ExpansionKind},
};

/// How many steps may follow each other.
const MAX_LEVELS: usize = 3;

/// Reads an expansion: 400 with everything that is wrong with it.
pub(crate) fn read(
    catalog: &Catalog,
    collection: &Collection,
    text: &str,
) -> Result<Vec<Expansion>> {
    let mut expansions = Vec::new();
    let mut violations = Vec::new();
    for way in text.split(',').map(str::trim) {
        if let Err(message) = walk(catalog, collection, way, &mut expansions) {
            violations.push(Violation::new("/expand", "invalid_expand", message));
        }
    }
    if !violations.is_empty() {
        return Err(Error::BadRequest {
            code: "invalid_expand",
            detail: "the expansion cannot be read".into(),
            errors: violations,
        });
    }
    Ok(expansions)
}

/// Goes along the steps of one way, adding those that are not there yet.
fn walk(
    catalog: &Catalog,
    start: &Collection,
    way: &str,
    expansions: &mut Vec<Expansion>,
) -> Result<(), String> {
    if way.split('.').count() > MAX_LEVELS {
        return Err(format!("`{way}` goes further than {MAX_LEVELS} levels"));
    }
    let mut here = start;
    let mut level = expansions;
    for step in way.split('.') {
        let (name, kind) = read_step(catalog, here, step)?;
        here = catalog.get(match &kind {
            ExpansionKind::Forward { target, .. } => *target,
            ExpansionKind::Reverse { collection, .. } => *collection,
        });
        let at = match level.iter().position(|there| there.name == name) {
            Some(at) if level[at].kind == kind => at,
            Some(_) => {
                return Err(format!(
                    "`{step}` is ambiguous: two expansions would be called `{name}`"
                ));
            }
            None => {
                level.push(Expansion {
                    name: name.to_owned(),
                    kind,
                    inner: Vec::new(),
                });
                level.len() - 1
            }
        };
        level = &mut level[at].inner;
    }
    Ok(())
}

/// One step: its name in the answer and what it brings.
fn read_step<'a>(
    catalog: &Catalog,
    here: &Collection,
    step: &'a str,
) -> Result<(&'a str, ExpansionKind), String> {
    let Some((name, field)) = step.split_once('(') else {
        let (field, target) = reference(here, step)?;
        return Ok((step, ExpansionKind::Forward { field, target }));
    };
    let Some(field) = field.strip_suffix(')') else {
        return Err(format!("`{step}` must be `collection(field)`"));
    };
    let Some(other) = catalog.named(name) else {
        let hint = nearest(name, catalog.names())
            .map(|word| format!("; did you mean `{word}`?"))
            .unwrap_or_default();
        return Err(format!("unknown collection `{name}`{hint}"));
    };
    let (field, target) = reference(other, field)?;
    if target != here.id {
        return Err(format!(
            "`{step}` references {}, not {}",
            catalog.get(target).name,
            here.name
        ));
    }
    let collection = other.id;
    Ok((name, ExpansionKind::Reverse { collection, field }))
}

/// A field that references documents, and of which collection.
fn reference(collection: &Collection, name: &str) -> Result<(usize, CollectionId), String> {
    let found = collection.field_named(name);
    let Some((index, field)) = found.filter(|(_, field)| field.is_queryable()) else {
        return Err(format!(
            "{} of {}",
            collection.unknown_field(name),
            collection.name
        ));
    };
    let kind = match &field.kind {
        FieldType::List(item) => item,
        kind => kind,
    };
    match kind {
        FieldType::Ref(reference) => Ok((index, reference.collection)),
        other => Err(format!(
            "`{name}` is a {} and references nothing",
            other.word()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::catalog;

    fn shape(expansions: &[Expansion]) -> String {
        let parts: Vec<String> = expansions
            .iter()
            .map(|expansion| {
                let arrow = match expansion.kind {
                    ExpansionKind::Forward { .. } => ">",
                    ExpansionKind::Reverse { .. } => "<",
                };
                match shape(&expansion.inner) {
                    inner if inner.is_empty() => format!("{arrow}{}", expansion.name),
                    inner => format!("{arrow}{}({inner})", expansion.name),
                }
            })
            .collect();
        parts.join(" ")
    }

    fn expand(collection: &str, text: &str) -> Result<String> {
        let catalog = catalog();
        let collection = catalog.named(collection).unwrap();
        read(&catalog, collection, text).map(|expansions| shape(&expansions))
    }

    fn refusal(collection: &str, text: &str) -> String {
        expand(collection, text).unwrap_err().errors()[0]
            .message
            .clone()
    }

    #[test]
    fn follows_references_both_ways() {
        assert_eq!(expand("posts", "author").unwrap(), ">author");
        assert_eq!(expand("posts", "comments(post)").unwrap(), "<comments");
        assert_eq!(expand("users", "posts(likers)").unwrap(), "<posts");
        assert_eq!(
            expand("posts", "likers, comments(post).author.comments(author)").unwrap(),
            ">likers <comments(>author(<comments))"
        );
    }

    #[test]
    fn ways_share_their_beginning() {
        assert_eq!(
            expand(
                "posts",
                "comments(post),comments(post).author,comments(post).post"
            )
            .unwrap(),
            "<comments(>author >post)"
        );
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(refusal("posts", "autor").contains("did you mean `author`"));
        assert!(refusal("posts", "coments(post)").contains("did you mean `comments`"));
        assert!(refusal("posts", "title").contains("references nothing"));
        assert!(refusal("posts", "comments(author)").contains("references users, not posts"));
        assert!(refusal("users", "posts(author),posts(likers)").contains("ambiguous"));
        assert!(refusal("posts", "comments(post").contains("collection(field)"));
        assert!(refusal("posts", "").contains("unknown field"));
        assert!(refusal("posts", "author.").contains("unknown field"));
        assert!(refusal("posts", "author.posts(author).author.posts(author)").contains("3 levels"));
        let error = expand("posts", "a,b").unwrap_err();
        assert_eq!(error.errors().len(), 2);
    }
}
