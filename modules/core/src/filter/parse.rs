//! From JSON to a checked expression: unknown fields, operators and types are found here, all of
//! them, before anything runs.

use serde_json::{Map, Value as Json};

use super::{Comparison, Expr, Operand, Path, Root, Select, Test, TextMatch, Variable};
use crate::{
    error::{Error, Result},
    field::{Field, FieldType, Source},
    mistake::{nearest, with_hint},
    schema::{Catalog, Collection},
    value::Value,
    violation::{Pointer, Violation, kind_of},
};

/// How deep a client's filter may nest.
const MAX_DEPTH: usize = 12;
/// How deep a filter may nest that the server's owner wrote.
const MAX_TRUSTED_DEPTH: usize = 24;
/// How many tests a filter may hold.
const MAX_TESTS: usize = 256;
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

    /// Finds a field, or the way into one. The field is there where its options matter.
    fn path(&mut self, name: &str, scope: Scope<'a>) -> Option<(Path, Option<&'a Field>)> {
        let mut segments = name.split('.');
        let (root, mut field) = match scope {
            Scope::JsonItem => {
                let path = Path {
                    root: Root::Item,
                    segments: segments.map(str::to_owned).collect(),
                    leaf: FieldType::Json,
                };
                return self.json_keys(path).map(|path| (path, None));
            }
            Scope::Collection(collection) => {
                let first = segments.next().unwrap_or_default();
                let found = collection.field_named(first).filter(|(_, field)| {
                    field.kind != FieldType::Password
                        && (field.is_queryable() || self.reader.is_trusted())
                });
                match found {
                    Some((index, field)) => (Root::Field(index), Some(field)),
                    None => {
                        let message = collection.unknown_field(first);
                        return self.refuse("unknown_field", message);
                    }
                }
            }
        };
        let mut path = Path {
            root,
            segments: Vec::new(),
            leaf: field.map_or(FieldType::Json, |field| field.kind.clone()),
        };
        for segment in segments {
            match path.leaf {
                FieldType::Json => field = None,
                FieldType::Object(_) => {
                    let inner = match field.map(|field| &field.kind) {
                        Some(FieldType::Object(fields)) => {
                            fields.iter().find(|field| field.name == segment)
                        }
                        _ => None,
                    };
                    let Some(inner) = inner else {
                        return self.refuse(
                            "unknown_field",
                            format!("unknown field `{segment}` in `{name}`"),
                        );
                    };
                    path.leaf = inner.kind.clone();
                    field = Some(inner);
                }
                _ => {
                    return self.refuse(
                        "unknown_field",
                        format!("`{name}` goes into a value that has no fields inside"),
                    );
                }
            }
            path.segments.push(segment.to_owned());
        }
        self.json_keys(path).map(|path| (path, field))
    }

    /// Keys that every tier can look up.
    fn json_keys(&mut self, path: Path) -> Option<Path> {
        let fit = |key: &String| {
            !key.is_empty() && !key.contains(['"', '\\', '\0']) && !key.starts_with('$')
        };
        if path.segments.iter().all(fit) {
            Some(path)
        } else {
            self.refuse(
                "invalid_path",
                "has an empty key, or one with a character that cannot be asked for",
            )
        }
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

    fn operator(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        name: &str,
        json: &Json,
    ) -> Option<Expr<Operand>> {
        self.tests += 1;
        if self.tests > MAX_TESTS {
            return self.refuse("too_large", format!("holds more than {MAX_TESTS} tests"));
        }
        let compare = |comparison| move |operand| Test::Compare(comparison, operand);
        let text = |at_start, ignore_case| TextMatch {
            at_start,
            ignore_case,
        };
        let (test, negated) = match name {
            "$eq" => (self.equal(path, field, json)?, false),
            "$ne" => (self.equal(path, field, json)?, true),
            "$gt" => (
                self.ordered(path, field, json)
                    .map(compare(Comparison::Greater))?,
                false,
            ),
            "$gte" => (
                self.ordered(path, field, json)
                    .map(compare(Comparison::GreaterOrEqual))?,
                false,
            ),
            "$lt" => (
                self.ordered(path, field, json)
                    .map(compare(Comparison::Less))?,
                false,
            ),
            "$lte" => (
                self.ordered(path, field, json)
                    .map(compare(Comparison::LessOrEqual))?,
                false,
            ),
            "$in" => (self.within(path, field, json)?, false),
            "$nin" => (self.within(path, field, json)?, true),
            "$exists" => (Test::Exists, !self.flag(json)?),
            "$all" => {
                self.needs_list(path, name)?;
                (Test::HasAll(self.list(path, field, json)?), false)
            }
            "$size" => {
                self.needs_list(path, name)?;
                (Test::Size(self.size(json)?), false)
            }
            "$elemMatch" => {
                self.needs_list(path, name)?;
                (
                    Test::ElemMatch(Box::new(self.elem_match(path, field, json)?)),
                    false,
                )
            }
            "$startsWith" => (self.text(path, json, text(true, false))?, false),
            "$contains" => (self.text(path, json, text(false, false))?, false),
            "$istartsWith" => (self.text(path, json, text(true, true))?, false),
            "$icontains" => (self.text(path, json, text(false, true))?, false),
            "$not" => {
                let inner = match json {
                    Json::Object(_) => self.condition(path, field, json)?,
                    _ => return self.refuse("wrong_type", "must be an object of operators"),
                };
                return Some(Expr::Not(Box::new(inner)));
            }
            unknown => {
                let message = format!("unknown operator `{unknown}`");
                let word = nearest(unknown, OPERATORS);
                return self.refuse("unknown_operator", with_hint(message, word));
            }
        };
        let test = Expr::Test {
            path: path.clone(),
            test,
        };
        Some(if negated {
            Expr::Not(Box::new(test))
        } else {
            test
        })
    }

    fn equal(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Test<Operand>> {
        if let (FieldType::List(item), Json::Array(_)) = (&path.leaf, json)
            && **item != FieldType::Json
        {
            let list = FieldType::List(item.clone());
            return self.typed(&list, field, json).map(Test::Equal);
        }
        self.operand(path, field, json).map(Test::Equal)
    }

    fn ordered(&mut self, path: &Path, field: Option<&'a Field>, json: &Json) -> Option<Operand> {
        let kind = item_type(&path.leaf);
        if !kind.is_ordered() && *kind != FieldType::Json {
            return self.refuse("not_ordered", format!("a {} has no order", kind.word()));
        }
        if json.is_null() {
            return self.refuse("wrong_type", "must not be null; ask with $exists");
        }
        self.operand(path, field, json)
    }

    fn within(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Test<Operand>> {
        match json {
            Json::Object(entries)
                if entries.contains_key("$select") && self.reader.is_trusted() =>
            {
                self.select(path, entries)
                    .map(|select| Test::InSelect(Box::new(select)))
            }
            Json::String(text) if text.starts_with('$') && self.reader.is_trusted() => self
                .variable(
                    &FieldType::List(Box::new(item_type(&path.leaf).clone())),
                    text,
                )
                .map(|operand| Test::In(vec![operand])),
            json => self.list(path, field, json).map(Test::In),
        }
    }

    fn list(&mut self, path: &Path, field: Option<&'a Field>, json: &Json) -> Option<Vec<Operand>> {
        let split;
        let items = match json {
            Json::Array(items) => items,
            Json::String(text) if self.reader.source == Source::Plain => {
                split = text.split(',').map(Json::from).collect::<Vec<_>>();
                &split
            }
            _ => {
                return self.refuse(
                    "wrong_type",
                    format!("must be a list, not {}", kind_of(json)),
                );
            }
        };
        if items.len() > MAX_LIST {
            return self.refuse("too_large", format!("must list at most {MAX_LIST} values"));
        }
        self.values += items.len();
        if self.values > MAX_VALUES {
            let message = format!("a filter lists at most {MAX_VALUES} values");
            return self.refuse("too_large", message);
        }
        let operands: Vec<Option<_>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.inside(index, |pass| pass.operand(path, field, item)))
            .collect();
        operands.into_iter().collect()
    }

    fn elem_match(
        &mut self,
        path: &Path,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Expr<Operand>> {
        let operators = matches!(json, Json::Object(entries)
            if entries.keys().next().is_some_and(|key| OPERATORS.contains(&key.as_str())
                && !(key == "$not" && *item_type(&path.leaf) == FieldType::Json)));
        let item = Path {
            root: Root::Item,
            segments: Vec::new(),
            leaf: item_type(&path.leaf).clone(),
        };
        match (item_type(&path.leaf), operators) {
            (_, true) => self.condition(&item, field, json),
            (FieldType::Json, false) => self.filter(json, Scope::JsonItem),
            _ => self.refuse(
                "wrong_type",
                "must be an object of operators such as {\"$gt\": 1}",
            ),
        }
    }

    fn text(&mut self, path: &Path, json: &Json, how: TextMatch) -> Option<Test<Operand>> {
        let kind = item_type(&path.leaf);
        if !kind.is_textual() && *kind != FieldType::Json {
            return self.refuse("wrong_type", format!("a {} is no text", kind.word()));
        }
        match json {
            Json::String(text) if text.starts_with('$') && self.reader.is_trusted() => {
                self.variable(&FieldType::Text, text)
            }
            Json::String(text) if !text.contains('\0') => {
                Some(Operand::Value(Value::Text(text.clone())))
            }
            _ => self.refuse("wrong_type", format!("must be text, not {}", kind_of(json))),
        }
        .map(|operand| Test::Text(how, operand))
    }

    fn needs_list(&mut self, path: &Path, operator: &str) -> Option<()> {
        match path.leaf {
            FieldType::List(_) | FieldType::Json => Some(()),
            _ => self.refuse("wrong_type", format!("`{operator}` is for lists and json")),
        }
    }

    fn flag(&mut self, json: &Json) -> Option<bool> {
        match json {
            Json::Bool(flag) => Some(*flag),
            Json::String(text) if self.reader.source == Source::Plain && text == "true" => {
                Some(true)
            }
            Json::String(text) if self.reader.source == Source::Plain && text == "false" => {
                Some(false)
            }
            _ => self.refuse("wrong_type", "must be true or false"),
        }
    }

    fn size(&mut self, json: &Json) -> Option<u64> {
        let size = match json {
            Json::String(text) if self.reader.source == Source::Plain => text.parse().ok(),
            json => json.as_u64(),
        };
        match size {
            Some(size) => Some(size),
            None => self.refuse("wrong_type", "must be a whole number from 0"),
        }
    }

    /// One operand of the type that stands at the path.
    fn operand(&mut self, path: &Path, field: Option<&'a Field>, json: &Json) -> Option<Operand> {
        let kind = item_type(&path.leaf);
        if json.is_null() {
            return Some(Operand::Value(Value::Null));
        }
        match kind {
            FieldType::Object(_) => {
                return self.refuse(
                    "wrong_type",
                    "an object is asked for by its fields, as in `privacy.posts`",
                );
            }
            FieldType::Json => return self.json_operand(json),
            _ => {}
        }
        self.typed(kind, field, json)
    }

    fn typed(
        &mut self,
        kind: &FieldType,
        field: Option<&'a Field>,
        json: &Json,
    ) -> Option<Operand> {
        if let Json::String(text) = json
            && text.starts_with('$')
            && self.reader.is_trusted()
        {
            return self.variable(kind, text);
        }
        let mut at = self.at.clone();
        let violations = &mut self.violations;
        match field {
            Some(field) => field.read_as(kind, json, self.reader.source, &mut at, violations),
            None => kind.read(json, self.reader.source, &mut at, violations),
        }
        .map(Operand::Value)
    }

    fn json_operand(&mut self, json: &Json) -> Option<Operand> {
        let parsed;
        let json = match json {
            Json::String(text) if text.starts_with('$') && self.reader.is_trusted() => {
                return self.variable(&FieldType::Json, text);
            }
            Json::String(text) if self.reader.source == Source::Plain => {
                parsed = serde_json::from_str(text).unwrap_or_else(|_| json.clone());
                &parsed
            }
            json => json,
        };
        match Value::from_json_scalar(json) {
            Some(Value::Text(text)) if text.contains('\0') => {
                self.refuse("invalid_character", "must not contain the character U+0000")
            }
            Some(value) => Some(Operand::Value(value)),
            None => self.refuse(
                "wrong_type",
                "must be text, a number, a boolean or null; ask for parts by their path",
            ),
        }
    }

    fn select(&mut self, path: &Path, entries: &Map<String, Json>) -> Option<Select<Operand>> {
        for key in entries
            .keys()
            .filter(|key| !["$select", "$where"].contains(&key.as_str()))
        {
            self.inside(key, |pass| {
                pass.refuse::<()>(
                    "unknown_operator",
                    format!("unknown key `{key}` beside $select"),
                )
            });
        }
        let catalog = self.reader.catalog;
        let target = entries["$select"]
            .as_str()
            .unwrap_or_default()
            .split_once('.');
        let found = target.and_then(|(collection, field)| {
            let collection = catalog.named(collection)?;
            let (index, field) = collection.field_named(field)?;
            Some((collection, index, field))
        });
        let Some((collection, field, selected)) = found else {
            return self.inside("$select", |pass| {
                pass.refuse("unknown_field", "must be `collection.field`, both declared")
            });
        };
        // A list stands for its items.
        if !item_type(&selected.kind).fits(item_type(&path.leaf)) {
            let message = format!(
                "selects {} where {} is compared",
                selected.kind.word(),
                path.leaf.word()
            );
            self.inside("$select", |pass| pass.refuse::<()>("wrong_type", message));
        }
        let condition = match entries.get("$where") {
            None => Expr::always(),
            Some(json) => self.inside("$where", |pass| {
                pass.filter(json, Scope::Collection(collection))
            })?,
        };
        Some(Select {
            collection: collection.id,
            field,
            condition,
        })
    }

    /// Something that stands for a value of this type.
    fn variable(&mut self, kind: &FieldType, text: &str) -> Option<Operand> {
        let field_of = |collection: Option<&Collection>, name: &str| {
            collection.and_then(|c| {
                c.field_named(name)
                    .map(|(index, f)| (index, f.kind.clone()))
            })
        };
        let found = match (text.split_once('.'), self.reader.variables) {
            (Some(("$auth", name)), Variables::Auth) if !name.is_empty() => {
                return Some(Operand::Variable(Variable::Auth(name.to_owned())));
            }
            (None, _) if text == "$now" => Some((Variable::Now, FieldType::Timestamp)),
            (Some(("$doc", name)), Variables::Effect { doc, .. }) => {
                field_of(Some(doc), name).map(|(index, kind)| (Variable::Doc(index), kind))
            }
            (Some(("$each", name)), Variables::Effect { each, .. }) => {
                field_of(each, name).map(|(index, kind)| (Variable::Each(index), kind))
            }
            _ => None,
        };
        match found {
            None => self.refuse("unknown_variable", format!("unknown variable `{text}`")),
            Some((_, found)) if !found.fits(kind) => self.refuse(
                "wrong_type",
                format!(
                    "`{text}` is a {} where a {} is compared",
                    found.word(),
                    kind.word()
                ),
            ),
            Some((variable, _)) => Some(Operand::Variable(variable)),
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
