//! Access rules at work: what a caller may see of a collection, and what a write must satisfy.
//!
//! A [`Rule`] speaks of anybody. Held against a [`Caller`] it becomes a condition on documents, in
//! the filter language: `owner` becomes `user_id = …`, `role:admin` becomes always or never. So
//! whoever executes filters can enforce rules, and nobody else needs to know what a rule is.
//!
//! The store asks [`Collection::view`] before it reads and [`Collection::permit_create`] and its
//! neighbours before it writes; nothing reaches a tier without them.

use crate::{
    caller::{Bound, Caller},
    document::Document,
    error::{Error, Result},
    field::DefaultValue,
    filter::{Expr, Operand, Path, Test},
    schema::{Collection, FieldRules, Rule},
    time::Timestamp,
    value::Value,
};

/// The role that may do whatever no rule speaks of.
pub const ADMIN: &str = "admin";

/// What can be done with the documents of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Read,
    Create,
    Update,
    Delete,
}

/// What somebody may see of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Documents that do not match are not there.
    pub condition: Expr,
    /// Fields that are not always to be seen.
    pub masks: Vec<Mask>,
}

/// A field that is null to a reader unless a condition on its document holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    /// Index of the field.
    pub field: usize,
    pub shown: Expr,
}

impl View {
    /// Everything.
    pub const fn all() -> Self {
        Self {
            condition: Expr::always(),
            masks: Vec::new(),
        }
    }

    /// Whether it is everything.
    pub fn is_all(&self) -> bool {
        self.condition.is_always() && self.masks.is_empty()
    }

    /// What hides a field, where anything does.
    pub fn mask(&self, field: usize) -> Option<&Mask> {
        self.masks.iter().find(|mask| mask.field == field)
    }

    /// 403 where a filter or a sort names a field that is not always to be seen: what matches or
    /// comes first would tell what is in it.
    pub fn check_named(
        &self,
        collection: &Collection,
        fields: impl IntoIterator<Item = usize>,
    ) -> Result<()> {
        match fields.into_iter().find_map(|field| self.mask(field)) {
            None => Ok(()),
            Some(mask) => Err(Error::Forbidden {
                code: "unreadable_field",
                detail: format!(
                    "`{}` of {} cannot be asked for",
                    collection.fields()[mask.field].name,
                    collection.name
                ),
            }),
        }
    }
}

impl Default for View {
    fn default() -> Self {
        Self::all()
    }
}

/// What must be true for one operation to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Permit {
    /// The document as it was must match, or it is not there (404).
    pub visible: Expr,
    /// The document as it was must match (403).
    pub before: Expr,
    /// The document as it will be must match (403).
    pub after: Expr,
    /// Fields that may be written under a condition only.
    pub fields: Vec<FieldPermit>,
}

/// The condition under which a field may get another value.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldPermit {
    /// Index of the field.
    pub field: usize,
    /// Must hold before and after.
    pub condition: Expr,
    /// Whether writing the value that is there already takes it too: so where the field is hidden,
    /// for whoever tries one value after another would learn which it is.
    pub even_unchanged: bool,
}

impl Permit {
    /// Whatever is asked.
    pub const fn everything() -> Self {
        Self {
            visible: Expr::always(),
            before: Expr::always(),
            after: Expr::always(),
            fields: Vec::new(),
        }
    }

    /// Whether it asks for nothing.
    pub fn is_everything(&self) -> bool {
        self.visible.is_always()
            && self.before.is_always()
            && self.after.is_always()
            && self.fields.is_empty()
    }
}

impl Default for Permit {
    fn default() -> Self {
        Self::everything()
    }
}

impl Collection {
    /// What the caller may see.
    pub fn view(&self, caller: &Caller, now: Timestamp) -> View {
        if *caller == Caller::Server {
            return View::all();
        }
        let bound = Bound { caller, now };
        let masks = self.access.fields.iter().filter_map(|rules| {
            let shown = self.condition(Some(rules.readable_by.as_ref()?), &bound);
            (!shown.is_always()).then_some(Mask {
                field: rules.field,
                shown,
            })
        });
        View {
            condition: self.condition(self.access.read.as_ref(), &bound),
            masks: masks.collect(),
        }
    }

    /// Whether a reader sees the same in a revision of a document whenever they look. Not so where
    /// a field is shown by a role or by other documents, which may change, or is not stored at all.
    pub fn looks_the_same(&self) -> bool {
        let mut shown = self
            .access
            .fields
            .iter()
            .filter_map(|f| f.readable_by.as_ref());
        shown.all(Rule::is_lasting) && self.virtual_fields().is_empty()
    }

    /// Whether an action may succeed for somebody who has no account, at least on some document.
    pub fn is_open(&self, action: Action) -> bool {
        // The time changes what is compared, never whether anything can be.
        let bound = Bound {
            caller: &Caller::Anonymous,
            now: Timestamp::from_millis(0),
        };
        let rule = |action| match action {
            Action::Read => self.access.read.as_ref(),
            Action::Create => self.access.create.as_ref(),
            Action::Update => self.access.update.as_ref(),
            Action::Delete => self.access.delete.as_ref(),
        };
        let holds = |action| !self.condition(rule(action), &bound).is_never();
        match action {
            Action::Read | Action::Create => holds(action),
            // What cannot be seen cannot be touched.
            Action::Update | Action::Delete => holds(action) && holds(Action::Read),
        }
    }

    /// 401 where an action needs an account and the caller has none, 403 where the caller cannot
    /// create anything. What else may stand against it depends on the document.
    pub fn admit(&self, action: Action, caller: &Caller) -> Result<()> {
        match (caller, action) {
            (Caller::Anonymous, _) if !self.is_open(action) => Err(Error::missing_token()),
            (Caller::Account(_), Action::Create) => {
                let now = Timestamp::from_millis(0);
                let bound = Bound { caller, now };
                let rule = self.condition(self.access.create.as_ref(), &bound);
                refuse_never(&rule, caller, || format!("{} cannot be created", self.name))
            }
            _ => Ok(()),
        }
    }

    /// The same where reading needs somebody: 401 where nobody without an account sees anything.
    pub fn view_for(&self, caller: &Caller, now: Timestamp) -> Result<View> {
        let view = self.view(caller, now);
        match view.condition.is_never() && *caller == Caller::Anonymous {
            true => Err(Error::missing_token()),
            false => Ok(view),
        }
    }

    /// What creating a document takes. `given` are the fields that the document brings itself.
    pub fn permit_create(
        &self,
        caller: &Caller,
        now: Timestamp,
        document: &Document,
    ) -> Result<Permit> {
        if *caller == Caller::Server {
            return Ok(Permit::everything());
        }
        let bound = Bound { caller, now };
        let after = self.condition(self.access.create.as_ref(), &bound);
        refuse_never(&after, caller, || {
            format!("{} cannot be created", self.name)
        })?;
        let given =
            |rules: &FieldRules| self.is_given(document.value(rules.field), rules.field, caller);
        Ok(Permit {
            after,
            fields: self.field_permits(&bound, given),
            ..Permit::everything()
        })
    }

    /// What changing documents takes.
    pub fn permit_update(
        &self,
        caller: &Caller,
        now: Timestamp,
        changed: impl Fn(usize) -> bool,
    ) -> Result<Permit> {
        let mut permit = self.permit_existing(caller, now, self.access.update.as_ref())?;
        if *caller != Caller::Server {
            permit.after = permit.before.clone();
            let bound = Bound { caller, now };
            permit.fields = self.field_permits(&bound, |rules| changed(rules.field));
        }
        Ok(permit)
    }

    /// What deleting documents takes.
    pub fn permit_delete(&self, caller: &Caller, now: Timestamp) -> Result<Permit> {
        self.permit_existing(caller, now, self.access.delete.as_ref())
    }

    fn permit_existing(
        &self,
        caller: &Caller,
        now: Timestamp,
        rule: Option<&Rule>,
    ) -> Result<Permit> {
        if *caller == Caller::Server {
            return Ok(Permit::everything());
        }
        let bound = Bound { caller, now };
        let visible = self.condition(self.access.read.as_ref(), &bound);
        let before = self.condition(rule, &bound);
        if *caller == Caller::Anonymous && (visible.is_never() || before.is_never()) {
            return Err(Error::missing_token());
        }
        Ok(Permit {
            visible,
            before,
            ..Permit::everything()
        })
    }

    fn field_permits(
        &self,
        bound: &Bound<'_>,
        concerned: impl Fn(&FieldRules) -> bool,
    ) -> Vec<FieldPermit> {
        let permits = self.access.fields.iter().filter_map(|rules| {
            let rule = rules.writable_by.as_ref().filter(|_| concerned(rules))?;
            let condition = self.condition(Some(rule), bound);
            let shown = self.condition(rules.readable_by.as_ref().or(Some(&Rule::Public)), bound);
            (!condition.is_always()).then_some(FieldPermit {
                field: rules.field,
                condition,
                even_unchanged: !shown.is_always(),
            })
        });
        permits.collect()
    }

    /// Whether a new document brings a value of its own, rather than the one it would get anyway.
    fn is_given(&self, value: &Value, field: usize, caller: &Caller) -> bool {
        match &self.fields()[field].default {
            _ if value.is_null() => false,
            Some(DefaultValue::Literal(literal)) => value != literal,
            Some(DefaultValue::AuthId) => caller
                .account_id()
                .is_none_or(|id| *value != Value::Uuid(id.uuid())),
            _ => true,
        }
    }

    /// The documents for which a rule lets the caller through.
    fn condition(&self, rule: Option<&Rule>, bound: &Bound<'_>) -> Expr {
        let role = |role: &str| match bound.caller.has_role(role) {
            true => Expr::always(),
            false => Expr::never(),
        };
        match rule {
            None => role(ADMIN),
            Some(Rule::Public) => Expr::always(),
            Some(Rule::Nobody) => Expr::never(),
            Some(Rule::Role(name)) => role(name),
            Some(Rule::Authenticated) => match bound.caller.account_id() {
                Some(_) => Expr::always(),
                None => Expr::never(),
            },
            Some(Rule::Owner) => match (self.owner, bound.caller.account_id()) {
                (Some(owner), Some(id)) => Expr::field(
                    Path::to_field(owner, &self.fields()[owner]),
                    Test::Equal(Value::Uuid(id.uuid())),
                ),
                _ => Expr::never(),
            },
            Some(Rule::Filter(expr)) => self.bound(expr, bound),
            Some(Rule::Any(rules)) => rules
                .iter()
                .map(|rule| self.condition(Some(rule), bound))
                .fold(Expr::never(), Expr::or),
        }
    }

    fn bound(&self, expr: &Expr<Operand>, bound: &Bound<'_>) -> Expr {
        expr.bind(bound).unwrap_or(Expr::never())
    }
}

/// 401 or 403 where whatever is written cannot be allowed.
fn refuse_never(condition: &Expr, caller: &Caller, what: impl Fn() -> String) -> Result<()> {
    match (condition.is_never(), caller) {
        (false, _) => Ok(()),
        (true, Caller::Anonymous) => Err(Error::missing_token()),
        (true, _) => Err(Error::forbidden(format!("{} by this account", what()))),
    }
}
