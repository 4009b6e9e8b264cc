//! What a name in a filter means: a field, or the way into one.

use super::{Pass, Scope};
use crate::{
    field::{Field, FieldType},
    filter::{Path, Root},
};

impl<'a> Pass<'a> {
    /// Finds a field, or the way into one. The field is there where its options matter.
    pub(super) fn path(
        &mut self,
        name: &str,
        scope: Scope<'a>,
    ) -> Option<(Path, Option<&'a Field>)> {
        let mut segments = name.split('.');
        let (root, field) = match scope {
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
        match path.descend(field, segments, name) {
            Ok(field) => self.json_keys(path).map(|path| (path, field)),
            Err(message) => self.refuse("unknown_field", message),
        }
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
}
