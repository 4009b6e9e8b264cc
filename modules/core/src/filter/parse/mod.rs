//! From JSON to a checked expression: unknown fields, operators and types are found here, all of
//! them, before anything runs.
//!
//! [`Reader`] is the way in. A [`Pass`] walks over the JSON: here the logic between tests, in
//! [`place`] what a name means, in [`operator`] what is asked of it, in [`operand`] with what.

mod operand;
mod operator;
mod place;

use serde_json::Value as Json;

use super::{Expr, Operand, Path, Root};
use crate::{
    error::{Error, Result},
    field::{Field, FieldType, Source},
    mistake::{nearest, with_hint},
    schema::{Catalog, Collection},
    violation::{Pointer, Violation, kind_of},
};

/// How deep a client's filter may nest.
const MAX_DEPTH: usize = 12;
/// How deep a filter may nest that the server's owner wrote.
const MAX_TRUSTED_DEPTH: usize = 24;
/// How many tests a filter may hold.
const MAX_TESTS: usize = 256;
/// How many characters a text may have that is looked for in others: the work is the product of the
/// two lengths at worst.
const MAX_WANTED: usize = 256;
/// How many values `$in`, `$nin` and `$all` may list.
const MAX_LIST: usize = 1000;
/// How many values all lists of a filter may hold together; databases take so many arguments and
/// no more.
const MAX_VALUES: usize = 5000;

const LOGIC: [&str; 4] = ["$and", "$or", "$nor", "$not"];
const OPERATORS: [&str; 18] = [
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$exists",
    "$all",
    "$size",
    "$elemMatch",
    "$startsWith",
    "$contains",
    "$istartsWith",
    "$icontains",
    "$not",
    "$select",
];

/// Which variables an expression may mention.
#[derive(Clone, Copy)]
pub enum Variables<'a> {
    /// None: a text that starts with `$` is that text. For filters of clients.
    None,
    /// `$auth.…`: access rules.
    Auth,
    /// `$doc.…` and `$each.…`: effects.
    Effect {
        doc: &'a Collection,
        each: Option<&'a Collection>,
    },
}

/// Reads filters for one collection.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub catalog: &'a Catalog,
    pub collection: &'a Collection,
    pub source: Source,
    pub variables: Variables<'a>,
}

/// One pass over a filter.
struct Pass<'a> {
    reader: Reader<'a>,
    at: Pointer,
    violations: Vec<Violation>,
    tests: usize,
    values: usize,
    depth: usize,
}

/// What the fields named at this level belong to.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Collection(&'a Collection),
    /// The items of untyped json.
    JsonItem,
}

impl<'a> Reader<'a> {
    /// A reader for filters that clients send as JSON.
    pub fn of_client(catalog: &'a Catalog, collection: &'a Collection) -> Self {
        Self {
            catalog,
            collection,
            source: Source::Json,
            variables: Variables::None,
        }
    }

    /// Reads a filter of a client: 400 with every violation.
    pub fn read(self, json: &Json) -> Result<Expr> {
        self.read_operands(json)
            .map_err(|errors| Error::BadRequest {
                code: "invalid_filter",
                detail: "the filter cannot be read".into(),
                errors,
            })
            .map(|expr| expr.bind(&super::NoVariables).unwrap_or(Expr::never()))
    }

    /// Reads a rule or the condition of an effect, variables and all.
    pub fn read_operands(self, json: &Json) -> Result<Expr<Operand>, Vec<Violation>> {
        let mut pass = Pass {
            reader: self,
            at: Pointer::root(),
            violations: Vec::new(),
            tests: 0,
            values: 0,
            depth: 0,
        };
        let expr = pass.filter(json, Scope::Collection(self.collection));
        match (expr, pass.violations.is_empty()) {
            (Some(expr), true) => Ok(expr),
            _ => Err(pass.violations),
        }
    }

    /// Reads a condition on the items of the list at a path, as `$pull` has it: a value, or what
    /// `$elemMatch` would accept.
    pub fn read_item(
        self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Result<Expr<Operand>, Vec<Violation>> {
        let mut pass = Pass {
            reader: self,
            at: Pointer::root(),
            violations: Vec::new(),
            tests: 0,
            values: 0,
            depth: 0,
        };
        let expr = match json {
            Json::Object(_) => pass.elem_match(path, field, json),
            value => {
                let item = Path {
                    root: Root::Item,
                    segments: Vec::new(),
                    leaf: item_type(&path.leaf).clone(),
                };
                pass.condition(&item, field, value)
            }
        };
        match (expr, pass.violations.is_empty()) {
            (Some(expr), true) => Ok(expr),
            _ => Err(pass.violations),
        }
    }

    /// Whether hidden fields may be named: in what the server's owner wrote, not in requests.
    fn is_trusted(&self) -> bool {
        !matches!(self.variables, Variables::None)
    }
}

impl<'a> Pass<'a> {
    fn refuse<T>(&mut self, code: &'static str, message: impl Into<String>) -> Option<T> {
        self.violations.push(self.at.violation(code, message));
        None
    }

    /// Runs a part one key further in. A part that fails leaves its violations and does not stop
    /// its neighbours.
    fn inside<T>(&mut self, key: impl std::fmt::Display, part: impl FnOnce(&mut Self) -> T) -> T {
        let mut at = std::mem::take(&mut self.at);
        let result = at.at(key, |inner| {
            self.at = inner.clone();
            part(self)
        });
        self.at = at;
        result
    }

    fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let most = match self.reader.is_trusted() {
            true => MAX_TRUSTED_DEPTH,
            false => MAX_DEPTH,
        };
        if self.depth >= most {
            return self.refuse("too_deep", format!("nests deeper than {most} levels"));
        }
        self.depth += 1;
        let result = part(self);
        self.depth -= 1;
        result
    }

    fn filter(&mut self, json: &Json, scope: Scope<'a>) -> Option<Expr<Operand>> {
        let Json::Object(entries) = json else {
            return self.refuse(
                "wrong_type",
                format!("must be an object, not {}", kind_of(json)),
            );
        };
        self.deeper(|pass| {
            let parts: Vec<Option<Expr<Operand>>> = entries
                .iter()
                .map(|(key, value)| pass.inside(key, |pass| pass.entry(key, value, scope)))
                .collect();
            let mut parts: Vec<_> = parts.into_iter().collect::<Option<_>>()?;
            Some(match parts.len() {
                1 => parts.remove(0),
                _ => Expr::All(parts),
            })
        })
    }

    fn entry(&mut self, key: &str, value: &Json, scope: Scope<'a>) -> Option<Expr<Operand>> {
        match key {
            "$and" => self.filters(value, scope).map(Expr::All),
            "$or" => self.filters(value, scope).map(Expr::Any),
            "$nor" => self
                .filters(value, scope)
                .map(|parts| Expr::Not(Box::new(Expr::Any(parts)))),
            "$not" => self
                .filter(value, scope)
                .map(|part| Expr::Not(Box::new(part))),
            key if key.starts_with('$') => {
                let message = format!("unknown operator `{key}`");
                self.refuse("unknown_operator", with_hint(message, nearest(key, LOGIC)))
            }
            name => {
                let (path, field) = self.path(name, scope)?;
                self.condition(&path, field, value)
            }
        }
    }

    fn filters(&mut self, json: &Json, scope: Scope<'a>) -> Option<Vec<Expr<Operand>>> {
        let Json::Array(items) = json else {
            return self.refuse(
                "wrong_type",
                format!("must be a list, not {}", kind_of(json)),
            );
        };
        if items.is_empty() {
            return self.refuse("empty", "must list at least one filter");
        }
        self.deeper(|pass| {
            let parts: Vec<Option<_>> = items
                .iter()
                .enumerate()
                .map(|(index, item)| pass.inside(index, |pass| pass.filter(item, scope)))
                .collect();
            parts.into_iter().collect()
        })
    }

    /// What a field is asked: a bare value, or an object of operators.
    fn condition(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Expr<Operand>> {
        match json {
            Json::Object(entries) if entries.is_empty() => self.refuse(
                "wrong_type",
                "must be a value or operators such as {\"$gt\": 1}",
            ),
            Json::Object(entries) => self.deeper(|pass| {
                let parts: Vec<Option<_>> = entries
                    .iter()
                    .map(|(key, value)| {
                        pass.inside(key, |pass| pass.operator(path, field, key, value))
                    })
                    .collect();
                let mut parts: Vec<_> = parts.into_iter().collect::<Option<_>>()?;
                Some(match parts.len() {
                    1 => parts.remove(0),
                    _ => Expr::All(parts),
                })
            }),
            value => self.operator(path, field, "$eq", value),
        }
    }
}

/// What one value at the path is compared as: the item of a list, else the type itself.
fn item_type(leaf: &FieldType) -> &FieldType {
    match leaf {
        FieldType::List(item) => item,
        kind => kind,
    }
}
