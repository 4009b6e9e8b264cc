//! Where in a text things stand.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::pointer::{escape, parent};

/// A place in a text; both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// Where a text begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Where every value and every key of a text stood, by JSON Pointer.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    values: HashMap<String, Position>,
    keys: HashMap<String, Position>,
}

impl Positions {
    /// Where the value at the pointer begins.
    pub fn value(&self, pointer: &str) -> Option<Position> {
        self.values.get(pointer).copied()
    }

    /// Where the key of the value at the pointer begins; list items have none.
    pub fn key(&self, pointer: &str) -> Option<Position> {
        self.keys.get(pointer).copied()
    }

    /// The best place to show for a pointer. What is not there itself (a missing key) is shown
    /// where the nearest thing around it begins.
    pub fn nearest(&self, pointer: &str, at_key: bool) -> Position {
        let here = if at_key {
            self.key(pointer).or_else(|| self.value(pointer))
        } else {
            self.value(pointer)
        };
        here.or_else(|| {
            std::iter::successors(parent(pointer), |pointer| parent(pointer))
                .find_map(|around| self.key(around).or_else(|| self.value(around)))
        })
        .unwrap_or(Position::START)
    }

    pub(super) fn set_value(&mut self, pointer: String, position: Position) {
        self.values.insert(pointer, position);
    }

    pub(super) fn set_key(&mut self, pointer: String, position: Position) {
        self.keys.insert(pointer, position);
    }

    /// Gives a text in which there is nothing a place nevertheless.
    pub(super) fn set_start(&mut self) {
        self.values.entry(String::new()).or_insert(Position::START);
    }

    /// Gives the inside of `value`, which stands at `from`, the same positions under `to`.
    pub(super) fn copy(&mut self, value: &Json, from: &str, to: &str) {
        let children: Vec<(String, &Json)> = match value {
            Json::Array(items) => (0..)
                .zip(items)
                .map(|(index, item)| (format!("/{index}"), item))
                .collect(),
            Json::Object(entries) => entries
                .iter()
                .map(|(key, value)| (format!("/{}", escape(key)), value))
                .collect(),
            _ => return,
        };
        for (segment, child) in children {
            let (from, to) = (format!("{from}{segment}"), format!("{to}{segment}"));
            if let Some(position) = self.value(&from) {
                self.values.insert(to.clone(), position);
            }
            if let Some(position) = self.key(&from) {
                self.keys.insert(to.clone(), position);
            }
            self.copy(child, &from, &to);
        }
    }
}
