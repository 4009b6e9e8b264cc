//! JSON Pointers (RFC 6901): how one part of a configuration is named.

use serde_json::Value as Json;

/// The pointer of what is around a pointer; none around the whole document.
pub fn parent(pointer: &str) -> Option<&str> {
    pointer.rfind('/').map(|slash| &pointer[..slash])
}

/// A key as it stands in a JSON Pointer (RFC 6901, section 3).
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Takes what the pointers name out of a value. A pointer that leads nowhere does nothing.
pub fn remove<'p>(value: &mut Json, pointers: impl IntoIterator<Item = &'p str>) {
    let mut pointers: Vec<&str> = pointers.into_iter().collect();
    // Longest first and, in a list, last first: no removal moves what another pointer names.
    pointers.sort_by_key(|pointer| {
        let numbers = pointer
            .split('/')
            .map(|segment| segment.parse::<usize>().unwrap_or(0));
        numbers.collect::<Vec<_>>()
    });
    for pointer in pointers.into_iter().rev() {
        let Some((around, last)) = pointer.rsplit_once('/') else {
            *value = Json::Null;
            continue;
        };
        match value.pointer_mut(around) {
            Some(Json::Object(entries)) => {
                entries.shift_remove(&last.replace("~1", "/").replace("~0", "~"));
            }
            Some(Json::Array(items)) => {
                if let Some(index) = last.parse().ok().filter(|index| *index < items.len()) {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn removing_goes_from_the_inside_out_and_from_the_end() {
        let mut value = json!({"a": [0, 1, 2, {"b": 1}], "c/d": 1});
        remove(&mut value, ["/a/0", "/a/3/b", "/a/2", "/c~1d", "/x/y"]);
        assert_eq!(value, json!({"a": [1, {}]}));
    }
}
