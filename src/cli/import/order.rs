//! Documents may refer to others of their own collection (a comment to the one it answers). Those
//! that are referred to must be written first, wherever they stand in the file.

use std::collections::HashMap;

use nubo_core::{
    change::Action, field::FieldType, id::Id, schema::Collection, value::Value, write::Operation,
};

use super::load::Prepared;

/// Puts rows behind the new documents that they refer to, and otherwise leaves them in their order.
/// In a circle there is no such order; the store will say so.
pub fn parents_first(collection: &Collection, rows: &mut Vec<Prepared>) {
    let fields: Vec<usize> = collection
        .declared_fields()
        .filter(|(_, field)| refers_to_itself(collection, &field.kind))
        .map(|(index, _)| index)
        .collect();
    if fields.is_empty() {
        return;
    }
    let new: HashMap<Id, usize> = rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| match &row.operation {
            Operation::Create { document, .. } => Some((document.id()?, index)),
            _ => None,
        })
        .collect();
    let parents: Vec<Vec<usize>> = rows
        .iter()
        .map(|row| {
            let ids = references(&row.operation, &fields).into_iter();
            ids.filter_map(|id| new.get(&id).copied()).collect()
        })
        .collect();
    let mut placed = vec![false; rows.len()];
    let mut order = Vec::with_capacity(rows.len());
    for start in 0..rows.len() {
        if std::mem::replace(&mut placed[start], true) {
            continue;
        }
        // Depth first, without recursion: a thread of comments may be as long as the file.
        let mut path = vec![(start, 0)];
        while let Some((row, next)) = path.last_mut() {
            match parents[*row].get(*next) {
                Some(&parent) => {
                    *next += 1;
                    if !placed[parent] {
                        placed[parent] = true;
                        path.push((parent, 0));
                    }
                }
                None => {
                    order.push(*row);
                    path.pop();
                }
            }
        }
    }
    let mut taken: Vec<Option<Prepared>> = rows.drain(..).map(Some).collect();
    rows.extend(order.into_iter().filter_map(|index| taken[index].take()));
}

fn refers_to_itself(collection: &Collection, kind: &FieldType) -> bool {
    match kind {
        FieldType::Ref(reference) => reference.collection == collection.id,
        FieldType::List(item) => refers_to_itself(collection, item),
        _ => false,
    }
}

/// The ids that a row refers to in these fields.
fn references(operation: &Operation, fields: &[usize]) -> Vec<Id> {
    let mut ids = Vec::new();
    let mut add = |value: &Value| match value {
        Value::Uuid(uuid) => ids.push(Id::from_uuid(*uuid)),
        Value::List(items) => ids.extend(items.iter().filter_map(|item| match item {
            Value::Uuid(uuid) => Some(Id::from_uuid(*uuid)),
            _ => None,
        })),
        _ => {}
    };
    match operation {
        Operation::Create { document, .. } => {
            for field in fields {
                add(document.value(*field));
            }
        }
        Operation::Update { change, .. } => {
            for step in &change.steps {
                let field = step.path.whole_field();
                if let (Some(true), Action::Set(value)) =
                    (field.map(|field| fields.contains(&field)), &step.action)
                {
                    add(value);
                }
            }
        }
        Operation::Delete { .. } => {}
    }
    ids
}
