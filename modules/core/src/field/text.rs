//! Text and what is written as text: `text`, `email`, `url`, `uuid`, `ref`, `password`.

use std::borrow::Cow;

use serde_json::Value as Json;
use unicode_normalization::UnicodeNormalization;

use super::{Reading, Refusal};
use crate::{declare::Normalize, id::Id, value::Value};

/// Longest password accepted, in bytes; hashing time must not be the client's choice.
const MAX_PASSWORD_BYTES: usize = 1024;
/// Longest address that mail can carry (RFC 5321 §4.5.3.1.3, less the angle brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// Longest URL accepted, in bytes.
const MAX_URL_BYTES: usize = 8192;

pub(super) fn read_text(json: &Json) -> Reading {
    plain_text(json).map(|text| Value::Text(text.to_owned()))
}

/// Text that every tier can hold: PostgreSQL has no U+0000.
fn plain_text(json: &Json) -> Result<&str, Refusal> {
    let text = json.as_str().ok_or_else(|| Refusal::kind("text", json))?;
    if text.contains('\0') {
        return Err(Refusal::new(
            "invalid_character",
            "must not contain the character U+0000",
        ));
    }
    Ok(text)
}

/// The syntax that browsers accept in a form's e-mail field (HTML Living Standard §4.10.5.1.5).
pub(super) fn read_email(json: &Json) -> Reading {
    let text = plain_text(json)?;
    let refusal = || Refusal::new("invalid_email", "must be an e-mail address");
    let (local, domain) = text.split_once('@').ok_or_else(refusal)?;
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && local
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b));
    let domain_ok = domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    });
    if local_ok && domain_ok && text.len() <= MAX_EMAIL_BYTES {
        Ok(Value::Text(text.to_owned()))
    } else {
        Err(refusal())
    }
}

/// An absolute URL with a host, in ASCII.
pub(super) fn read_url(json: &Json) -> Reading {
    let text = plain_text(json)?;
    let absolute = text.len() <= MAX_URL_BYTES
        && text
            .parse::<poem::http::Uri>()
            .is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some_and(|h| !h.is_empty()));
    if absolute {
        Ok(Value::Text(text.to_owned()))
    } else {
        Err(Refusal::new(
            "invalid_url",
            "must be an absolute URL such as https://example.org/",
        ))
    }
}

pub(super) fn read_uuid(json: &Json) -> Reading {
    let text = json.as_str().ok_or_else(|| Refusal::kind("a UUID", json))?;
    text.parse::<Id>()
        .map(|id| Value::Uuid(id.uuid()))
        .map_err(|error| Refusal::new("invalid_uuid", error.to_string()))
}

pub(super) fn read_password(json: &Json) -> Reading {
    let text = plain_text(json)?;
    if text.len() > MAX_PASSWORD_BYTES {
        return Err(Refusal::new(
            "too_long",
            format!("must have at most {MAX_PASSWORD_BYTES} bytes"),
        ));
    }
    Ok(Value::Secret(text.to_owned()))
}

/// Text with the normalisations applied in their order.
pub(super) fn normalized<'a>(steps: &[Normalize], json: &'a Json) -> Cow<'a, Json> {
    let Json::String(text) = json else {
        return Cow::Borrowed(json);
    };
    if steps.is_empty() {
        return Cow::Borrowed(json);
    }
    let mut text = text.clone();
    for step in steps {
        text = match step {
            Normalize::Trim => text.trim().to_owned(),
            Normalize::Lower => text.to_lowercase(),
            Normalize::Nfkc => text.nfkc().collect(),
        };
    }
    Cow::Owned(Json::String(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn emails_are_those_of_forms() {
        for good in ["a@b", "first.last+tag@example.org", "x@sub.example.co"] {
            assert!(read_email(&json!(good)).is_ok(), "{good}");
        }
        for wrong in [
            "", "@b", "a@", "a b@c", "a@b..c", "a@-b.c", "a@b@c", "ä@b.c",
        ] {
            assert!(read_email(&json!(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn urls_are_absolute() {
        assert!(read_url(&json!("https://example.org/a?b=c")).is_ok());
        for wrong in ["example.org", "/a", "https://", "http://a b", ""] {
            assert!(read_url(&json!(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn normalising_folds_look_alikes() {
        let text = json!("  ﬁANCÉ ");
        let steps = [Normalize::Trim, Normalize::Nfkc, Normalize::Lower];
        assert_eq!(*normalized(&steps, &text), json!("fiancé"));
    }

    #[test]
    fn no_text_holds_a_nul() {
        assert!(read_text(&json!("a\0b")).is_err());
    }
}
