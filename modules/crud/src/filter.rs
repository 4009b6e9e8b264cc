//! Filters in query strings: as JSON, or spelled out in brackets.
//!
//! `filter[price][$gt]=2` is `{"price":{"$gt":"2"}}`, where `2` is read as what the field expects.
//! `[]` at the end makes a list of the values that stand there: `filter[tag][$in][]=a`.

use std::borrow::Cow;

use nubo_core::{
    Error, Result, Violation,
    field::Source,
    filter::{Expr, Reader},
};
use serde_json::{Map, Value as Json};

use crate::{json, parameters::Parameters, resource::Resource};

/// How many brackets a parameter may have. More than any filter needs.
const MAX_BRACKETS: usize = 16;

/// The filter of a request; one that says nothing where there is none.
pub(crate) fn read(resource: &Resource, parameters: &Parameters<'_>) -> Result<Expr> {
    let reader = Reader::of_client(&resource.catalog, &resource.collection);
    match (parameters.get("filter"), parameters.brackets()) {
        (None, []) => Ok(Expr::always()),
        (Some(text), []) => {
            let json = json::read_text(text, "the filter")
                .map_err(|error| Error::bad_request("invalid_filter", error.to_string()))?;
            reader.read(&json)
        }
        (None, brackets) => {
            let reader = Reader {
                source: Source::Plain,
                ..reader
            };
            reader.read(&from_brackets(brackets)?)
        }
        (Some(_), _) => Err(Error::bad_request(
            "invalid_filter",
            "the filter is either JSON or in brackets, not both",
        )),
    }
}

/// Whether every document matches because nothing is asked, as in `{}` or `{"$and":[{}]}`.
pub(crate) fn says_nothing(filter: &Expr) -> bool {
    matches!(filter, Expr::All(parts) if parts.iter().all(says_nothing))
}

fn from_brackets(parameters: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<Json> {
    let mut filter = Json::Object(Map::new());
    for (name, value) in parameters {
        place(&mut filter, name, value).map_err(|message| Error::BadRequest {
            code: "invalid_filter",
            detail: "the filter cannot be read".into(),
            errors: vec![Violation::new(
                "",
                "invalid_brackets",
                format!("`{name}` {message}"),
            )],
        })?;
    }
    Ok(filter)
}

/// Puts a value where the brackets of its name say.
fn place(filter: &mut Json, name: &str, value: &str) -> Result<(), &'static str> {
    let keys = keys(name)?;
    let Some((last, way)) = keys.split_last() else {
        return Err("names no field");
    };
    if way.len() >= MAX_BRACKETS {
        return Err("has too many brackets");
    }
    let mut here = filter;
    for key in way {
        if key.is_empty() {
            return Err("has `[]` before its end");
        }
        let Json::Object(entries) = here else {
            return Err("contradicts another parameter");
        };
        here = entries
            .entry(*key)
            .or_insert_with(|| Json::Object(Map::new()));
    }
    match here {
        // A place that was made just now can still become a list.
        Json::Object(entries) if last.is_empty() && entries.is_empty() && !way.is_empty() => {
            *here = Json::Array(vec![value.into()]);
        }
        Json::Array(items) if last.is_empty() => items.push(value.into()),
        Json::Object(entries) if !last.is_empty() && !entries.contains_key(*last) => {
            entries.insert((*last).to_owned(), value.into());
        }
        Json::Object(_) if last.is_empty() && way.is_empty() => return Err("names no field"),
        _ => return Err("contradicts another parameter"),
    }
    Ok(())
}

/// `filter[a][b]` → `a`, `b`.
fn keys(name: &str) -> Result<Vec<&str>, &'static str> {
    let mut rest = name.strip_prefix("filter").unwrap_or(name);
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let inside = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let Some((key, behind)) = inside.filter(|(key, _)| !key.contains('[')) else {
            return Err("has brackets that do not close");
        };
        keys.push(key);
        rest = behind;
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn build(parameters: &[(&'static str, &'static str)]) -> Result<Json> {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)))
            .collect();
        from_brackets(&parameters)
    }

    #[test]
    fn brackets_become_a_filter() {
        let filter = build(&[
            ("filter[price][$gt]", "2"),
            ("filter[price][$lte]", "9"),
            ("filter[privacy.posts]", "friends"),
            ("filter[tag][$in][]", "a"),
            ("filter[tag][$in][]", "b,c"),
            ("filter[title][$not][$contains]", "x"),
        ]);
        assert_eq!(
            filter.unwrap(),
            json!({
                "price": {"$gt": "2", "$lte": "9"},
                "privacy.posts": "friends",
                "tag": {"$in": ["a", "b,c"]},
                "title": {"$not": {"$contains": "x"}},
            })
        );
    }

    #[test]
    fn contradictions_and_broken_brackets_are_refused() {
        for parameters in [
            &[("filter[a]", "1"), ("filter[a]", "2")][..],
            &[("filter[a]", "1"), ("filter[a][$gt]", "2")],
            &[("filter[a][$gt]", "1"), ("filter[a]", "2")],
            &[("filter[a][]", "1"), ("filter[a][$gt]", "2")],
            &[("filter[a][$gt]", "1"), ("filter[a][]", "2")],
            &[("filter[]", "1")],
            &[("filter[][a]", "1")],
            &[("filter[a", "1")],
            &[("filter[a]b", "1")],
            &[("filter[a[b]]", "1")],
        ] {
            assert!(build(parameters).is_err(), "{parameters:?}");
        }
        let deep: &'static str = format!("filter{}", "[a]".repeat(10_000)).leak();
        assert!(build(&[(deep, "1")]).is_err());
    }

    #[test]
    fn a_filter_may_say_nothing_in_many_words() {
        assert!(says_nothing(&Expr::always()));
        assert!(says_nothing(&Expr::All(vec![Expr::always()])));
        assert!(!says_nothing(&Expr::never()));
    }
}
