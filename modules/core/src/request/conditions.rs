//! Conditional requests: `If-Match` and `If-None-Match` (RFC 9110 §13.1).

use crate::{
    error::{Error, Result},
    id::Revision,
    write::Guard,
};
use poem::http::{
    HeaderMap, HeaderName,
    header::{IF_MATCH, IF_NONE_MATCH},
};

/// What a condition names.
enum Tags {
    /// `*`: any version, as long as there is one.
    Any,
    List(Vec<Tag>),
}

/// An entity tag.
struct Tag {
    weak: bool,
    /// None where it is no tag that this server gives.
    revision: Option<Revision>,
}

/// What `If-Match` demands of the document. A weak tag never matches there (strong comparison).
pub fn guard(headers: &HeaderMap) -> Result<Guard> {
    let revisions = match read(headers, &IF_MATCH)? {
        None | Some(Tags::Any) => None,
        Some(Tags::List(tags)) => Some(
            tags.into_iter()
                .filter(|tag| !tag.weak)
                .filter_map(|tag| tag.revision)
                .collect(),
        ),
    };
    Ok(Guard { revisions })
}

/// Refuses `If-Match` where many documents are meant, which have no common tag.
pub fn refuse_guard(headers: &HeaderMap) -> Result<()> {
    if headers.contains_key(IF_MATCH) {
        return Err(Error::bad_request(
            "unexpected_condition",
            "If-Match is about one document; this request is about many",
        ));
    }
    Ok(())
}

/// Whether the client has this revision, as `If-None-Match` says (weak comparison).
pub fn is_known(headers: &HeaderMap, revision: Revision) -> Result<bool> {
    Ok(match read(headers, &IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::List(tags)) => tags.iter().any(|tag| tag.revision == Some(revision)),
    })
}

fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let broken = || {
        Error::bad_request(
            "invalid_condition",
            format!("{name} must be `*` or a list of tags in quotation marks"),
        )
    };
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| broken())?.trim();
        if text == "*" {
            return Ok(Some(Tags::Any));
        }
        read_list(text, &mut tags).ok_or_else(broken)?;
    }
    Ok(Some(Tags::List(tags)))
}

/// `"1", W/"2"`; None where it is something else. A tag may hold a comma.
fn read_list(text: &str, tags: &mut Vec<Tag>) -> Option<()> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(());
        }
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (tag, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        rest = behind.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
        tags.push(Tag {
            weak,
            revision: tag.parse().ok().map(Revision::new),
        });
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    fn guarded(values: &[&'static str]) -> Option<Vec<i64>> {
        let guard = guard(&headers(IF_MATCH, values)).unwrap();
        let numbers = |revisions: Vec<Revision>| revisions.iter().map(|r| r.number()).collect();
        guard.revisions.map(numbers)
    }

    #[test]
    fn if_match_takes_strong_tags() {
        assert_eq!(guarded(&[]), None);
        assert_eq!(guarded(&["*"]), None);
        assert_eq!(guarded(&["\"5\""]), Some(vec![5]));
        assert_eq!(guarded(&["\"5\" , \"6\",\"a,b\""]), Some(vec![5, 6]));
        assert_eq!(guarded(&["\"5\"", "\"6\""]), Some(vec![5, 6]));
        assert_eq!(guarded(&["W/\"5\""]), Some(vec![]));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for text in ["5", "", "\"5", "\"5\" \"6\"", "w/\"5\"", ","] {
            let headers = headers(IF_MATCH, &[text]);
            assert!(guard(&headers).is_err(), "{text}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let known = |values| is_known(&headers(IF_NONE_MATCH, values), Revision::new(5)).unwrap();
        assert!(known(&["*"]));
        assert!(known(&["\"4\", W/\"5\""]));
        assert!(!known(&["\"4\""]));
        assert!(!known(&["\"05x\""]));
        assert!(!known(&[]));
    }
}
