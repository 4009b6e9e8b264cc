//! From rules to gates.

use nubo_core::{
    access::ADMIN,
    field::FieldType,
    filter::{Expr, NoVariables, Operand, Path, Select, Test, Variable},
    schema::{Catalog, CollectionId, Rule},
};

use super::{Gate, Node, lookups::Lookup};

/// The gates of all collections, and what they look up.
pub(crate) struct Gates {
    /// By the collections' places.
    collections: Vec<Guarded>,
    lookups: Vec<Lookup>,
}

/// Compiles the rules of one collection.
struct Compiler<'a> {
    catalog: &'a Catalog,
    collection: CollectionId,
    lookups: &'a mut Vec<Lookup>,
}

/// The gates of one collection.
pub(crate) struct Guarded {
    /// Who may read its documents.
    pub read: Gate,
    /// Fields that only some may read.
    pub fields: Vec<(usize, Gate)>,
}

impl Gates {
    /// Compiles the rules for reading.
    pub fn new(catalog: &Catalog) -> Self {
        let mut gates = Self {
            collections: Vec::new(),
            lookups: Vec::new(),
        };
        for collection in catalog.collections().iter().chain(catalog.flux()) {
            let mut compiler = Compiler {
                catalog,
                collection: collection.id,
                lookups: &mut gates.lookups,
            };
            let read = compiler.gate(collection.access.read.as_ref());
            let fields = collection.access.fields.iter().filter_map(|rules| {
                let rule = rules.readable_by.as_ref()?;
                Some((rules.field, compiler.gate(Some(rule))))
            });
            let fields = fields.collect();
            gates.collections.push(Guarded { read, fields });
        }
        gates
    }

    /// The gates of a collection.
    pub fn of(&self, collection: CollectionId) -> &Guarded {
        &self.collections[collection.index()]
    }

    /// What the rules look up.
    pub fn lookups(&self) -> Vec<Lookup> {
        self.lookups.clone()
    }
}

impl Compiler<'_> {
    fn gate(&mut self, rule: Option<&Rule>) -> Gate {
        match rule {
            None => Gate::Role(ADMIN.to_owned()),
            Some(Rule::Public) => Gate::Everyone,
            Some(Rule::Authenticated) => Gate::Authenticated,
            Some(Rule::Nobody) => Gate::Nobody,
            Some(Rule::Role(role)) => Gate::Role(role.clone()),
            Some(Rule::Owner) => Gate::Owner,
            Some(Rule::Filter(expr)) => {
                let mut needs = Vec::new();
                expr.for_each_variable(&mut |variable| {
                    if let Variable::Auth(name) = variable
                        && !needs.contains(name)
                    {
                        needs.push(name.clone());
                    }
                });
                let node = Box::new(self.node(expr));
                Gate::Filter { needs, node }
            }
            Some(Rule::Any(rules)) => {
                Gate::Any(rules.iter().map(|rule| self.gate(Some(rule))).collect())
            }
        }
    }

    fn node(&mut self, expr: &Expr<Operand>) -> Node {
        if let (Some(bound), false) = (expr.bind(&NoVariables), expr.has_sub_query()) {
            return Node::Document(bound);
        }
        match expr {
            Expr::All(parts) => Node::All(parts.iter().map(|part| self.node(part)).collect()),
            Expr::Any(parts) => Node::Any(parts.iter().map(|part| self.node(part)).collect()),
            Expr::Not(part) => Node::Not(Box::new(self.node(part))),
            Expr::Test { path, test } => match test {
                // In untyped json an id is a text.
                Test::Equal(operand) if is_caller(operand) && holds_one_id(item(&path.leaf)) => {
                    Node::IsCaller(path.clone())
                }
                Test::InSelect(select) if self.can_be_kept(path, select) => Node::Found {
                    path: path.clone(),
                    lookup: self.lookup(select),
                    test: expr.clone(),
                },
                _ if expr.has_sub_query() => Node::Ask(expr.clone()),
                _ => Node::Attributes(expr.clone()),
            },
        }
    }

    /// Whether what a sub-query finds can be kept by value: the values must be of one kind on both
    /// sides, and of one that has equality and nothing else.
    fn can_be_kept(&self, path: &Path, select: &Select<Operand>) -> bool {
        let selected = &self.catalog.get(select.collection).fields()[select.field];
        matches!(
            (item(&path.leaf), item(&selected.kind)),
            (
                FieldType::Uuid | FieldType::Ref(_),
                FieldType::Uuid | FieldType::Ref(_)
            ) | (FieldType::Text, FieldType::Text)
                | (FieldType::Bool, FieldType::Bool)
                | (
                    FieldType::Int | FieldType::BigInt,
                    FieldType::Int | FieldType::BigInt
                )
        )
    }

    /// Notes a sub-query: its condition, in the part that no caller changes and the rest.
    fn lookup(&mut self, select: &Select<Operand>) -> usize {
        if let Some(known) = self.lookups.iter().position(|l| l.select == *select) {
            self.guard(known);
            return known;
        }
        let mut parts = Vec::new();
        flatten(&select.condition, &mut parts);
        let (mut fixed, mut open) = (Expr::always(), Vec::new());
        for part in parts {
            match (part.bind(&NoVariables), part.has_sub_query()) {
                (Some(bound), false) => fixed = fixed.and(bound),
                _ => open.push(part.clone()),
            }
        }
        let member = match &open[..] {
            [
                Expr::Test {
                    path,
                    test: Test::Equal(operand),
                },
            ] if is_caller(operand) && holds_one_id(&path.leaf) => path.whole_field(),
            _ => None,
        };
        let mut mentioned = vec![select.field];
        select
            .condition
            .for_each_field(&mut |field| mentioned.push(field));
        let inner = self.node(&Expr::All(open));
        self.lookups.push(Lookup {
            select: select.clone(),
            fixed,
            member,
            inner,
            mentioned,
            guarded: vec![self.collection],
        });
        self.lookups.len() - 1
    }

    /// Notes that the collection's rules make a look-up, and those inside it, as others do.
    fn guard(&mut self, lookup: usize) {
        let lookup = &mut self.lookups[lookup];
        if !lookup.guarded.contains(&self.collection) {
            lookup.guarded.push(self.collection);
        }
        let mut inside = Vec::new();
        lookup
            .inner
            .for_each_lookup(&mut |lookup| inside.push(lookup));
        for lookup in inside {
            self.guard(lookup);
        }
    }
}

impl Node {
    fn for_each_lookup(&self, each: &mut impl FnMut(usize)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.for_each_lookup(each);
                }
            }
            Self::Not(part) => part.for_each_lookup(each),
            Self::Found { lookup, .. } => each(*lookup),
            _ => {}
        }
    }
}

/// The type of the items of a list, or the type itself.
fn item(kind: &FieldType) -> &FieldType {
    match kind {
        FieldType::List(item) => item,
        kind => kind,
    }
}

/// Whether there is one account at most. Where there are several, each document is looked at.
const fn holds_one_id(kind: &FieldType) -> bool {
    matches!(kind, FieldType::Uuid | FieldType::Ref(_))
}

fn is_caller(operand: &Operand) -> bool {
    matches!(operand, Operand::Variable(Variable::Auth(name)) if name == "id")
}

/// The conditions that must all hold.
fn flatten<'a>(expr: &'a Expr<Operand>, parts: &mut Vec<&'a Expr<Operand>>) {
    match expr {
        Expr::All(inner) => inner.iter().for_each(|part| flatten(part, parts)),
        part => parts.push(part),
    }
}
