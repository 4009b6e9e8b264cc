//! Whether answers are such as may be given.
//!
//! The truth's history is known, so it needs no search: a document in an answer must be as it stood
//! at some moment between question and answer, absence being a value like any other; and one that is
//! not in a list must, at some such moment, not have belonged there. What an access rule looks up may
//! be of any moment after that of the document, and of different moments for different look-ups.
//!
//! Where somebody else has written, beside the store, the span of an answer that begins within a
//! second after that reaches back to before it.

use nubo_core::{
    access::View,
    caller::Caller,
    document::Document,
    filter::{Expr, Select, Test},
    position::Position,
    query::{Query, Start},
    schema::{Catalog, Collection, CollectionId},
    time::Timestamp,
    value::Value,
};
use serde_json::Value as Json;

use crate::{
    history::{History, Key},
    scheduler::Moment,
    workload::{Observed, What},
};

/// What is known when everything is over.
pub struct Checker<'a> {
    pub catalog: &'a Catalog,
    pub history: &'a History,
    /// How long it may take until what others write is seen.
    pub grace: Moment,
}

/// The moments of which an answer may be.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Moment,
    to: Moment,
    /// Whether others have written, so that what is looked up may be older than what it guards.
    excused: bool,
}

impl Span {
    /// Of which moments something may be that is looked up for a document of this one.
    const fn after(self, moment: Moment) -> Self {
        match self.excused {
            true => self,
            false => Self {
                from: moment,
                ..self
            },
        }
    }
}

/// Which outcomes something may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Possible {
    yes: bool,
    no: bool,
}

impl Possible {
    const fn is(known: bool) -> Self {
        Self {
            yes: known,
            no: !known,
        }
    }
}

/// Which document of an answer, and what of it.
type Shown<'a> = (&'a Json, &'a Document);

impl Checker<'_> {
    /// What is wrong with an answer.
    pub fn check(&self, observed: &Observed) -> Result<(), String> {
        match &observed.what {
            What::Error(error) => Err(format!("an error: {error}")),
            What::One {
                collection,
                id,
                found,
            } => self.check_one(observed, (*collection, *id), found.as_ref()),
            What::List {
                query,
                documents,
                next,
            } => self.check_list(observed, query, documents, next.as_ref()),
        }
    }

    fn span(&self, observed: &Observed) -> Span {
        let excused = self.history.excused(observed.from, observed.to, self.grace);
        Span {
            from: excused.unwrap_or(observed.from),
            to: observed.to,
            excused: excused.is_some(),
        }
    }

    fn view(&self, collection: CollectionId, caller: &Caller) -> View {
        // No rule here speaks of the time.
        let now = Timestamp::from_millis(0);
        self.catalog.get(collection).view(caller, now)
    }

    fn check_one(
        &self,
        observed: &Observed,
        key: Key,
        found: Option<&(Json, i64)>,
    ) -> Result<(), String> {
        let view = self.view(key.0, &observed.caller);
        let span = self.span(observed);
        let (from, to) = (span.from, span.to);
        let may_be = self.history.moments(from, to).any(|moment| {
            let document = self.history.at(key, moment);
            let after = span.after(moment);
            match (document, found) {
                (None, None) => true,
                (Some(document), None) => self.passes(&view.condition, document, key.0, after).no,
                (None, Some(_)) => false,
                (Some(document), Some((json, revision))) => {
                    document.revision().number() == *revision
                        && self.passes(&view.condition, document, key.0, after).yes
                        && self.looks_like((json, document), key.0, &view, after)
                }
            }
        });
        match may_be {
            true => Ok(()),
            false => Err(match found {
                Some((_, revision)) => format!("revision {revision} was not to be seen then"),
                None => "it was there all the time".into(),
            }),
        }
    }

    fn check_list(
        &self,
        observed: &Observed,
        query: &Query,
        documents: &[Json],
        next: Option<&Vec<Value>>,
    ) -> Result<(), String> {
        let collection = self.catalog.get(query.collection);
        let view = self.view(query.collection, &observed.caller);
        let span = self.span(observed);
        let (from, to) = (span.from, span.to);
        let start = match &query.start {
            Start::After(keys) => Position::of_values(&query.sort, keys),
            Start::First | Start::Offset(_) => None,
        };
        let belongs = |document: &Document, end: Option<&Position>| {
            let position = Position::of(&query.sort, document);
            query.filter.matches(document, collection.fields(), &())
                && start
                    .as_ref()
                    .is_none_or(|start| position.as_ref() > Some(start))
                && end.is_none_or(|end| position.as_ref() <= Some(end))
        };
        // What is there may be there, and stands in order.
        let mut shown = Vec::new();
        let mut last: Option<Position> = None;
        for json in documents {
            let key = self.key_of(collection, json)?;
            if shown.contains(&key) {
                return Err(format!("{} comes twice", key.1));
            }
            shown.push(key);
            let version = self.history.moments(from, to).find_map(|moment| {
                let document = self.history.at(key, moment)?;
                let after = span.after(moment);
                let may_be = belongs(document, None)
                    && self.looks_like((json, document), key.0, &view, after)
                    && self.passes(&view.condition, document, key.0, after).yes
                    && self.expands(json, collection, document, &observed.caller, span);
                may_be.then_some(document)
            });
            let Some(version) = version else {
                return Err(format!("{json} did not belong there at any moment"));
            };
            let position = Position::of(&query.sort, version);
            if last.is_some() && position <= last {
                return Err(format!("{} does not stand in its order", key.1));
            }
            last = position;
        }
        if documents.len() > query.limit as usize {
            return Err("there are more than were asked for".into());
        }
        if next.is_some() && documents.len() < query.limit as usize {
            return Err("it goes on although there was room".into());
        }
        let end = match next {
            Some(keys) => {
                let end = Position::of_values(&query.sort, keys);
                if end != last {
                    return Err("it goes on elsewhere than behind the last one".into());
                }
                end
            }
            None => None,
        };
        // What is not there need not be there.
        for key in self.history.of(query.collection) {
            if shown.contains(&key) {
                continue;
            }
            let may_be_away = self.history.moments(from, to).any(|moment| {
                let Some(document) = self.history.at(key, moment) else {
                    return true;
                };
                let after = span.after(moment);
                !belongs(document, end.as_ref())
                    || self.passes(&view.condition, document, key.0, after).no
            });
            if !may_be_away {
                return Err(format!(
                    "{} is missing, and belonged there all the time",
                    key.1
                ));
            }
        }
        Ok(())
    }

    fn key_of(&self, collection: &Collection, json: &Json) -> Result<Key, String> {
        let id = json["id"].as_str().and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| format!("{json} has no id"))?;
        Ok((collection.id, id))
    }

    /// Whether a document, with nulls for what is hidden, looks as it was shown.
    fn looks_like(
        &self,
        (json, document): Shown<'_>,
        of: CollectionId,
        view: &View,
        span: Span,
    ) -> bool {
        let collection = self.catalog.get(of);
        let mut bytes = Vec::new();
        document.write_json(collection, &mut bytes);
        let Ok(Json::Object(whole)) = serde_json::from_slice::<Json>(&bytes) else {
            return false;
        };
        let Json::Object(shown) = json else {
            return false;
        };
        let others = shown.keys().filter(|key| *key != "_expand").count();
        others == whole.len()
            && whole.iter().all(|(name, value)| {
                let Some(shown) = shown.get(name) else {
                    return false;
                };
                let field = collection.field_named(name).map(|(index, _)| index);
                match field.and_then(|field| view.mask(field)) {
                    None => shown == value,
                    Some(mask) => {
                        let seen = self.passes(&mask.shown, document, of, span);
                        (seen.yes && shown == value) || (seen.no && shown.is_null())
                    }
                }
            })
    }

    /// Whether what a document brings along may be what it says.
    fn expands(
        &self,
        json: &Json,
        collection: &Collection,
        document: &Document,
        caller: &Caller,
        span: Span,
    ) -> bool {
        let Some(brought) = json.get("_expand").map(|expand| &expand["room"]) else {
            return true;
        };
        let Some((field, _)) = collection.field_named("room") else {
            return false;
        };
        let (Value::Uuid(room), Some(rooms)) = (document.value(field), self.catalog.named("rooms"))
        else {
            return brought.is_null();
        };
        let key = (rooms.id, nubo_core::id::Id::from_uuid(*room));
        let view = self.view(rooms.id, caller);
        self.history.moments(span.from, span.to).any(|moment| {
            let Some(room) = self.history.at(key, moment) else {
                return brought.is_null();
            };
            let after = span.after(moment);
            let seen = self.passes(&view.condition, room, rooms.id, after);
            match brought.is_null() {
                true => seen.no,
                false => seen.yes && self.looks_like((brought, room), rooms.id, &view, after),
            }
        })
    }

    /// Whether a document may have passed, where what is looked up is of any moment in a span.
    fn passes(
        &self,
        condition: &Expr,
        document: &Document,
        of: CollectionId,
        span: Span,
    ) -> Possible {
        match condition {
            Expr::All(parts) => {
                let mut all = Possible::is(true);
                for part in parts {
                    let part = self.passes(part, document, of, span);
                    all.yes &= part.yes;
                    all.no |= part.no;
                }
                all
            }
            Expr::Any(parts) => {
                let mut any = Possible::is(false);
                for part in parts {
                    let part = self.passes(part, document, of, span);
                    any.yes |= part.yes;
                    any.no &= part.no;
                }
                any
            }
            Expr::Not(part) => {
                let part = self.passes(part, document, of, span);
                Possible {
                    yes: part.no,
                    no: part.yes,
                }
            }
            Expr::Test {
                path,
                test: Test::InSelect(select),
            } => match path.whole_field().map(|field| document.value(field)) {
                Some(Value::Null) | None => Possible::is(false),
                Some(value) => self.finds(select, value, span),
            },
            test => {
                let fields = self.catalog.get(of).fields();
                Possible::is(test.matches(document, fields, &()))
            }
        }
    }

    /// Whether a sub-query may have found a value. Each document may have been looked at at another
    /// moment.
    fn finds(&self, select: &Select, value: &Value, span: Span) -> Possible {
        let mut found = Possible::is(false);
        for key in self.history.of(select.collection) {
            let mut one = Possible {
                yes: false,
                no: false,
            };
            for moment in self.history.moments(span.from, span.to) {
                let matches = match self.history.at(key, moment) {
                    Some(document) if document.value(select.field).same(value) => {
                        self.passes(&select.condition, document, key.0, span.after(moment))
                    }
                    _ => Possible::is(false),
                };
                one.yes |= matches.yes;
                one.no |= matches.no;
            }
            found.yes |= one.yes;
            found.no &= one.no;
        }
        found
    }
}
