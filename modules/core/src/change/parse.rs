//! From JSON to changes.

use serde_json::{Map, Value as Json};

use super::{Action, Change, Step};
use crate::{
    declare::EffectDeclaration,
    error::{Error, Result},
    field::{Field, FieldType, Source},
    filter::{NoVariables, Operand, Path, Reader, Template, Variable, Variables},
    mistake::{nearest, with_hint},
    schema::{Catalog, Collection},
    value::Value,
    violation::{Pointer, Violation, kind_of},
};

const OPERATORS: [&str; 10] = [
    "$set",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$push",
    "$pull",
    "$addToSet",
    "$currentDate",
];

/// Reads the body of a PATCH: operators when every key starts with `$`, else a JSON merge patch
/// (RFC 7396). A mixture is 400, what does not fit the schema 422.
pub fn read_patch(catalog: &Catalog, collection: &Collection, json: &Json) -> Result<Change> {
    let Json::Object(entries) = json else {
        let message = format!("must be an object, not {}", kind_of(json));
        return Err(Error::Invalid(vec![Violation::new(
            "",
            "wrong_type",
            message,
        )]));
    };
    let operators = entries.keys().filter(|key| key.starts_with('$')).count();
    if operators > 0 && operators < entries.len() {
        return Err(Error::bad_request(
            "mixed_patch",
            "a patch has either operators only, or fields only",
        ));
    }
    let mut pass = Pass::new(catalog, collection, Variables::None);
    if operators > 0 {
        pass.operators(entries);
    } else {
        pass.merge(entries);
    }
    pass.finish()
}

/// Reads the body of a PUT: every field that clients may write gets the value that is there, its
/// default, or none. A password that is left out stays, and so does what cannot be changed.
pub fn read_replacement(catalog: &Catalog, collection: &Collection, json: &Json) -> Result<Change> {
    let mut body = json.clone();
    if let Json::Object(entries) = &mut body {
        // What the server gives may be sent back, as clients do that edit what they read.
        for field in collection.fields().iter().filter(|field| field.system) {
            entries.remove(&field.name);
        }
    }
    // What not everybody may write is not cleared by those who leave it out.
    let guarded = |index: usize| {
        let rules = &collection.access.fields;
        rules
            .iter()
            .any(|rules| rules.field == index && rules.writable_by.is_some())
    };
    let stays = |index: usize, field: &Field| {
        field.kind == FieldType::Password || field.write_only || field.immutable || guarded(index)
    };
    let kept: Vec<usize> = collection
        .declared_fields()
        .filter(|(index, field)| {
            stays(*index, field) && body.get(&field.name).is_none_or(Json::is_null)
        })
        .map(|(index, _)| index)
        .collect();
    let document = match collection.read_document(&body, Source::Json) {
        Ok(document) => document,
        Err(Error::Invalid(mut violations)) => {
            // What stays need not be sent again, required or not.
            violations.retain(|v| {
                !(v.code == "required"
                    && kept
                        .iter()
                        .any(|i| v.path == format!("/{}", collection.fields()[*i].name)))
            });
            if !violations.is_empty() {
                return Err(Error::Invalid(violations));
            }
            return read_replacement_without(catalog, collection, &body, &kept);
        }
        Err(error) => return Err(error),
    };
    Ok(replacement(collection, &kept, |index| {
        document.value(index).clone()
    }))
}

/// The replacement where only kept fields are missing: read field by field.
fn read_replacement_without(
    catalog: &Catalog,
    collection: &Collection,
    body: &Json,
    kept: &[usize],
) -> Result<Change> {
    let Json::Object(entries) = body else {
        return read_patch(catalog, collection, body);
    };
    let mut violations = Vec::new();
    let mut values = vec![Value::Null; collection.fields().len()];
    for (index, field) in collection.declared_fields() {
        let mut at = Pointer::root();
        values[index] = match (entries.get(&field.name), &field.default) {
            (Some(json), _) if !json.is_null() && field.is_accepted() => at
                .at(&field.name, |at| {
                    field.read(json, Source::Json, at, &mut violations)
                })
                .unwrap_or(Value::Null),
            (_, Some(crate::field::DefaultValue::Literal(value))) => value.clone(),
            _ => Value::Null,
        };
    }
    Ok(replacement(collection, kept, |index| values[index].clone()))
}

fn replacement(collection: &Collection, kept: &[usize], value: impl Fn(usize) -> Value) -> Change {
    let steps = collection
        .declared_fields()
        .filter(|(index, field)| field.is_accepted() && !kept.contains(index))
        .map(|(index, field)| Step {
            path: Path::to_field(index, field),
            action: Action::Set(value(index)),
            pointer: format!("/{}", field.name),
        });
    Change {
        steps: steps.collect(),
    }
}

/// Reads `set` and `change` of an effect.
pub fn read_effect(
    declaration: &EffectDeclaration,
    target: &Collection,
    catalog: &Catalog,
    variables: Variables<'_>,
) -> Result<Change<Operand>, Vec<Violation>> {
    let mut pass = Pass::new(catalog, target, variables);
    if let Some(set) = &declaration.set {
        pass.inside("set", |pass| {
            pass.fields(set, |pass, path, field, json| pass.set(path, field, json))
        });
    }
    match &declaration.change {
        Some(Json::Object(entries)) => pass.inside("change", |pass| pass.operators(entries)),
        Some(_) => pass.inside("change", |pass| {
            pass.refuse("wrong_type", "must be an object of operators")
        }),
        None => {}
    }
    if pass.steps.is_empty() && pass.violations.is_empty() && declaration.delete.is_none() {
        pass.refuse("required", "needs `set` or `change`");
    }
    if pass.violations.is_empty() {
        Ok(Change { steps: pass.steps })
    } else {
        Err(pass.violations)
    }
}

struct Pass<'a> {
    catalog: &'a Catalog,
    collection: &'a Collection,
    variables: Variables<'a>,
    at: Pointer,
    steps: Vec<Step<Operand>>,
    violations: Vec<Violation>,
}

impl<'a> Pass<'a> {
    fn new(catalog: &'a Catalog, collection: &'a Collection, variables: Variables<'a>) -> Self {
        Self {
            catalog,
            collection,
            variables,
            at: Pointer::root(),
            steps: Vec::new(),
            violations: Vec::new(),
        }
    }

    fn finish(self) -> Result<Change> {
        if !self.violations.is_empty() {
            return Err(Error::Invalid(self.violations));
        }
        Ok(Change { steps: self.steps }.bind(&NoVariables))
    }

    fn is_client(&self) -> bool {
        matches!(self.variables, Variables::None)
    }

    fn refuse(&mut self, code: &'static str, message: impl Into<String>) {
        self.violations.push(self.at.violation(code, message));
    }

    fn inside<T>(&mut self, key: impl std::fmt::Display, part: impl FnOnce(&mut Self) -> T) -> T {
        let mut at = std::mem::take(&mut self.at);
        let result = at.at(key, |inner| {
            self.at = inner.clone();
            part(self)
        });
        self.at = at;
        result
    }

    fn step(&mut self, path: Path, action: Action<Operand>) {
        self.steps.push(Step {
            path,
            action,
            pointer: self.at.as_str().to_owned(),
        });
    }

    fn operators(&mut self, entries: &Map<String, Json>) {
        for (operator, json) in entries {
            self.inside(operator, |pass| pass.operator(operator, json));
        }
    }

    fn operator(&mut self, name: &str, json: &Json) {
        if !OPERATORS.contains(&name) {
            let message = format!("unknown operator `{name}`");
            return self.refuse(
                "unknown_operator",
                with_hint(message, nearest(name, OPERATORS)),
            );
        }
        let Json::Object(entries) = json else {
            let message = format!("must be an object of fields, not {}", kind_of(json));
            return self.refuse("wrong_type", message);
        };
        self.fields(entries, |pass, path, field, json| match name {
            "$set" => pass.set(path, field, json),
            "$unset" => pass.step(path, Action::Unset),
            "$inc" => pass.number(path, json, Action::Increment),
            "$mul" => pass.number(path, json, Action::Multiply),
            "$min" => pass.ordered(path, field, json, Action::Minimum),
            "$max" => pass.ordered(path, field, json, Action::Maximum),
            "$push" => pass.items(path, field, json, Action::Push),
            "$addToSet" => pass.items(path, field, json, Action::AddToSet),
            "$pull" => pass.pull(path, field, json),
            _ => pass.current_date(path, json),
        });
    }

    /// Finds each field that is named and hands it on with what is said of it.
    fn fields(
        &mut self,
        entries: &Map<String, Json>,
        mut each: impl FnMut(&mut Self, Path, Option<&'a Field>, &Json),
    ) {
        for (name, json) in entries {
            self.inside(name, |pass| {
                if let Some((path, field)) = pass.path(name) {
                    each(pass, path, field, json);
                }
            });
        }
    }

    fn path(&mut self, name: &str) -> Option<(Path, Option<&'a Field>)> {
        let mut segments = name.split('.');
        let first = segments.next().unwrap_or_default();
        let (index, found) = match self.collection.field_named(first) {
            Some((_, field)) if field.system => {
                self.refuse("read_only", "is given by the server");
                return None;
            }
            Some((index, field)) if field.is_accepted() || !self.is_client() => (index, field),
            _ => {
                let message = self.collection.unknown_field(first);
                self.refuse("unknown_field", message);
                return None;
            }
        };
        let mut path = Path::to_field(index, found);
        let field = match path.descend(Some(found), segments, name) {
            Ok(field) => field,
            Err(message) => {
                self.refuse("unknown_field", message);
                return None;
            }
        };
        let fit = |key: &String| !key.is_empty() && !key.contains('\0');
        if !path.segments.iter().all(fit) {
            let message = format!("`{name}` goes into a value that has no fields inside");
            self.refuse("unknown_field", message);
            return None;
        }
        Some((path, field))
    }

    fn set(&mut self, path: Path, field: Option<&'a Field>, json: &Json) {
        if let Some(operand) = self.operand(&path, field, json) {
            self.step(path, Action::Set(operand));
        }
    }

    /// The value that goes to a path, checked against the field's options where there is one.
    fn operand(&mut self, path: &Path, field: Option<&'a Field>, json: &Json) -> Option<Operand> {
        if !self.is_client() {
            if path.leaf == FieldType::Json {
                return self.template(json).map(Operand::Template);
            }
            if let Json::String(text) = json
                && text.starts_with('$')
            {
                return self
                    .variable(text, &path.leaf)
                    .map(|(variable, _)| Operand::Variable(variable));
            }
        }
        let mut at = self.at.clone();
        let value = match field {
            Some(field) => field.read(json, Source::Json, &mut at, &mut self.violations),
            None if json.is_null() => Some(Value::Null),
            None => FieldType::Json.read(json, Source::Json, &mut at, &mut self.violations),
        };
        value.map(Operand::Value)
    }

    fn template(&mut self, json: &Json) -> Option<Template> {
        Some(match json {
            Json::String(text) if text.starts_with('$') => {
                let (variable, kind) = self.variable(text, &FieldType::Json)?;
                Template::Variable(variable, kind)
            }
            Json::Array(items) => Template::List(
                items
                    .iter()
                    .map(|item| self.template(item))
                    .collect::<Option<_>>()?,
            ),
            Json::Object(entries) => Template::Object(
                entries
                    .iter()
                    .map(|(key, item)| {
                        Some((key.clone(), self.inside(key, |pass| pass.template(item))?))
                    })
                    .collect::<Option<_>>()?,
            ),
            literal => Template::Literal(literal.clone()),
        })
    }

    fn variable(&mut self, text: &str, expected: &FieldType) -> Option<(Variable, FieldType)> {
        let field = |collection: Option<&Collection>, name: &str| {
            collection.and_then(|c| {
                c.field_named(name)
                    .map(|(index, f)| (index, f.kind.clone()))
            })
        };
        let found = match (text, text.split_once('.'), self.variables) {
            ("$now", ..) => Some((Variable::Now, FieldType::Timestamp)),
            ("$uuid", ..) => Some((Variable::Uuid, FieldType::Uuid)),
            (_, Some(("$doc", name)), Variables::Effect { doc, .. }) => {
                field(Some(doc), name).map(|(index, kind)| (Variable::Doc(index), kind))
            }
            (_, Some(("$each", name)), Variables::Effect { each, .. }) => {
                field(each, name).map(|(index, kind)| (Variable::Each(index), kind))
            }
            _ => None,
        };
        match found {
            None => self.refuse("unknown_variable", format!("unknown variable `{text}`")),
            Some((_, ref kind)) if !kind.fits(expected) => self.refuse(
                "wrong_type",
                format!(
                    "`{text}` is a {} where a {} is wanted",
                    kind.word(),
                    expected.word()
                ),
            ),
            found => return found,
        }
        None
    }

    fn number(&mut self, path: Path, json: &Json, action: impl Fn(Operand) -> Action<Operand>) {
        let kind = match &path.leaf {
            kind if kind.is_numeric() => kind.clone(),
            FieldType::Json => FieldType::Float,
            FieldType::Duration => FieldType::Duration,
            kind => {
                let message = format!("a {} is no number", kind.word());
                return self.refuse("wrong_type", message);
            }
        };
        // The amount may lie outside the range of a small integer; the result is checked.
        let kind = if kind == FieldType::Int {
            FieldType::BigInt
        } else {
            kind
        };
        let mut at = self.at.clone();
        let value = match (&path.leaf, json) {
            (FieldType::Json, Json::Number(number)) => Some(crate::value::number_value(number)),
            _ => kind.read(json, Source::Json, &mut at, &mut self.violations),
        };
        if let Some(value) = value {
            self.step(path, action(Operand::Value(value)));
        }
    }

    fn ordered(
        &mut self,
        path: Path,
        field: Option<&'a Field>,
        json: &Json,
        action: impl Fn(Operand) -> Action<Operand>,
    ) {
        if !path.leaf.is_ordered() && path.leaf != FieldType::Json {
            let message = format!("a {} has no order", path.leaf.word());
            return self.refuse("not_ordered", message);
        }
        if json.is_null() {
            return self.refuse("wrong_type", "must not be null");
        }
        if let Some(operand) = self.operand(&path, field, json) {
            self.step(path, action(operand));
        }
    }

    /// One item, or `{"$each": […]}` for several.
    fn items(
        &mut self,
        path: Path,
        field: Option<&'a Field>,
        json: &Json,
        action: impl Fn(Vec<Operand>) -> Action<Operand>,
    ) {
        let item_kind = match &path.leaf {
            FieldType::List(item) => (**item).clone(),
            FieldType::Json => FieldType::Json,
            kind => {
                let message = format!("a {} is no list", kind.word());
                return self.refuse("wrong_type", message);
            }
        };
        let single = std::slice::from_ref(json);
        let items = match json.get("$each") {
            Some(Json::Array(items)) if json.as_object().is_some_and(|o| o.len() == 1) => items,
            Some(_) => {
                return self.refuse("wrong_type", "must be an item, or {\"$each\": [items]}");
            }
            None => single,
        };
        let item_path = Path {
            leaf: item_kind.clone(),
            ..path.clone()
        };
        let mut operands = Vec::with_capacity(items.len());
        for item in items {
            if item.is_null() {
                return self.refuse("wrong_type", "must not be null");
            }
            let is_variable = item.as_str().is_some_and(|text| text.starts_with('$'));
            let trusted = !self.is_client() && (is_variable || item_kind == FieldType::Json);
            let operand = match field.filter(|_| !trusted) {
                Some(field) => {
                    let mut at = self.at.clone();
                    let violations = &mut self.violations;
                    field
                        .read_as(&item_kind, item, Source::Json, &mut at, violations)
                        .map(Operand::Value)
                }
                None => self.operand(&item_path, None, item),
            };
            operands.extend(operand);
        }
        self.step(path, action(operands));
    }

    /// A value, or a condition on the item as in `$elemMatch`.
    fn pull(&mut self, path: Path, field: Option<&'a Field>, json: &Json) {
        if !matches!(path.leaf, FieldType::List(_) | FieldType::Json) {
            let message = format!("a {} is no list", path.leaf.word());
            return self.refuse("wrong_type", message);
        }
        let reader = Reader {
            catalog: self.catalog,
            collection: self.collection,
            source: Source::Json,
            variables: self.variables,
        };
        match reader.read_item(&path, field, json) {
            Ok(expr) => self.step(path, Action::Pull(expr)),
            Err(violations) => {
                let prefix = self.at.as_str().to_owned();
                self.violations
                    .extend(violations.into_iter().map(|violation| Violation {
                        path: format!("{prefix}{}", violation.path),
                        ..violation
                    }));
            }
        }
    }

    fn current_date(&mut self, path: Path, json: &Json) {
        if !matches!(path.leaf, FieldType::Timestamp | FieldType::Date) {
            let message = format!("a {} is no timestamp or date", path.leaf.word());
            return self.refuse("wrong_type", message);
        }
        if *json != Json::Bool(true) {
            return self.refuse("wrong_type", "must be true");
        }
        self.step(path, Action::CurrentDate);
    }

    /// JSON merge patch. Where a whole object is a field of its own, its keys are fields too.
    fn merge(&mut self, entries: &Map<String, Json>) {
        for (name, json) in entries {
            self.inside(name, |pass| {
                // A key is a name here, never a path.
                let found = match name.contains('.') {
                    true => {
                        let message = pass.collection.unknown_field(name);
                        pass.refuse("unknown_field", message);
                        None
                    }
                    false => pass.path(name),
                };
                if let Some((path, field)) = found {
                    pass.merge_at(path, field, json);
                }
            });
        }
    }

    fn merge_at(&mut self, path: Path, field: Option<&'a Field>, json: &Json) {
        match (&path.leaf, json, field) {
            (_, Json::Null, _) => self.step(path, Action::Unset),
            (FieldType::Json, Json::Object(_), _) => {
                let mut at = self.at.clone();
                if FieldType::Json
                    .read(json, Source::Json, &mut at, &mut self.violations)
                    .is_some()
                {
                    self.step(path, Action::Merge(json.clone()));
                }
            }
            (FieldType::Object(fields), Json::Object(entries), Some(object)) => {
                let fields_of = match &object.kind {
                    FieldType::Object(fields) => fields,
                    _ => return,
                };
                let names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
                for (key, json) in entries {
                    self.inside(key, |pass| {
                        match names.iter().position(|name| name == key) {
                            Some(index) => {
                                let inner = &fields_of[index];
                                let mut deeper = path.clone();
                                deeper.segments.push(key.clone());
                                deeper.leaf = inner.kind.clone();
                                pass.merge_at(deeper, Some(inner), json);
                            }
                            None => pass.refuse(
                                "unknown_field",
                                crate::field::unknown_field(key, fields_of),
                            ),
                        }
                    });
                }
            }
            _ => self.set(path, field, json),
        }
    }
}
