use schemars::JsonSchema;
use serde_json::json;

use super::*;

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Garden {
    name: String,
    #[serde(default)]
    beds: Vec<Bed>,
    #[serde(default)]
    size: u16,
    #[serde(default)]
    water: Option<Water>,
    #[serde(default)]
    fence: Option<Fence>,
    #[serde(default)]
    tools: std::collections::BTreeMap<String, u32>,
    #[serde(default)]
    #[schemars(extend("format" = "password"))]
    key: Option<String>,
}

/// Short or long.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum Bed {
    Short(String),
    Long(LongBed),
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct LongBed {
    plant: Plant,
    #[serde(default)]
    rows: u8,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Plant {
    /// Green.
    Bean,
    /// Orange.
    Carrot,
}

#[derive(JsonSchema)]
#[serde(tag = "source", rename_all = "lowercase", deny_unknown_fields)]
#[allow(dead_code)]
enum Water {
    Rain { barrels: u32 },
    Well { depth: u32 },
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Fence {
    Wood,
    Wire,
}

fn faults(value: Json) -> Vec<String> {
    let schema = schemars::schema_for!(Garden).to_value();
    let report = check(&schema, &value, Extent::Whole);
    let line = |fault: &Fault| {
        let suggestion = fault.suggestion.as_ref().map(|word| format!(" -> {word}"));
        format!(
            "{}: {}{}",
            fault.pointer,
            fault.message,
            suggestion.unwrap_or_default()
        )
    };
    report.faults.iter().map(line).collect()
}

#[test]
fn accepts_what_is_right() {
    let good = json!({
        "name": "x", "beds": ["a", {"plant": "bean", "rows": 3}], "size": 7,
        "water": {"source": "well", "depth": 4}, "fence": null, "tools": {"rake": 1}
    });
    assert_eq!(faults(good), [""; 0]);
}

#[test]
fn reports_every_fault_of_the_alternative_that_was_meant() {
    let bad = json!({
        "nane": "x",
        "beds": ["a", {"plnt": "bean", "rows": "many"}, 5, {"plant": "caroot"}, null, {"rows": 1}],
        "size": 70_000,
        "water": {"source": "well", "deph": 4},
        "fence": "wier",
        "tools": {"rake": -1, "hoe": 1.5}
    });
    assert_eq!(
        faults(bad),
        [
            "/nane: unknown key `nane` -> name",
            "/beds/1/plnt: unknown key `plnt` -> plant",
            "/beds/1/rows: expected a whole number, found the text `many`",
            "/beds/2: expected text or a map, found the number 5",
            "/beds/3/plant: expected `bean` or `carrot`, found the text `caroot` -> carrot",
            "/beds/4: expected text or a map, found nothing",
            "/beds/5: the key `plant` is missing",
            "/size: must be at most 65535, found 70000",
            "/water/deph: unknown key `deph` -> depth",
            "/fence: expected `wood` or `wire`, found the text `wier` -> wire",
            "/tools/rake: must be at least 0, found -1",
            "/tools/hoe: expected a whole number, found the number 1.5",
        ]
    );
}

#[test]
fn alternatives_are_told_apart_by_their_tag() {
    let bad = json!({"name": "x", "water": {"source": "wel", "depth": 4}});
    assert_eq!(
        faults(bad),
        ["/water/source: expected `rain` or `well`, found the text `wel` -> well"]
    );
}

#[test]
fn a_secret_is_not_repeated() {
    assert_eq!(
        faults(json!({"name": "x", "key": 1234})),
        ["/key: expected text, found a whole number"]
    );
}

#[test]
fn a_key_with_nothing_behind_it_counts_as_not_written() {
    let schema = schemars::schema_for!(Garden).to_value();
    let mut value = json!({"name": "x", "beds": null, "tools": null, "water": null});
    let report = check(&schema, &value, Extent::Whole);
    assert!(report.faults.is_empty());
    crate::config::pointer::remove(&mut value, report.empty.iter().map(String::as_str));
    assert_eq!(value, json!({"name": "x", "water": null}));
}

#[test]
fn a_layer_may_leave_out_what_another_brings() {
    let schema = schemars::schema_for!(Garden).to_value();
    assert!(check(&schema, &json!({}), Extent::Layer).faults.is_empty());
}

/// Damages a value in one place, chosen by `random`.
fn damage(value: &mut Json, random: &mut impl FnMut(usize) -> usize) {
    let inner = match value {
        Json::Object(entries) if !entries.is_empty() => {
            let chosen = random(entries.len());
            let key = entries.keys().nth(chosen).cloned().unwrap_or_default();
            match random(6) {
                0 => {
                    entries.shift_remove(&key);
                    return;
                }
                1 => {
                    let inner = entries.shift_remove(&key).unwrap_or_default();
                    entries.insert(format!("{key}x"), inner);
                    return;
                }
                _ => entries.get_mut(&key),
            }
        }
        Json::Array(items) if !items.is_empty() => {
            let chosen = random(items.len());
            items.get_mut(chosen)
        }
        _ => None,
    };
    if let Some(inner) = inner
        && random(4) > 0
    {
        return damage(inner, random);
    }
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!("none"),
        json!("x"),
        json!([]),
        json!([5]),
        json!({}),
        json!({"type": "int", "fields": ["a"]}),
        json!(["x"]),
    ];
    *value = others[random(others.len())].clone();
}

/// The checker is our own; what it accepts must be what JSON Schema means.
#[test]
fn agrees_with_another_validator_about_damaged_collections() {
    let schema = schemars::schema_for!(nubo_core::declare::CollectionDeclaration).to_value();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/collections");
    let files: Vec<Json> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .map(|bytes| crate::config::yaml::read(&bytes).unwrap().value)
        .collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        // xorshift64, so that every run damages the same.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let (mut right, mut wrong) = (0, 0);
    for round in 0..1000 {
        let mut value = files[round % files.len()].clone();
        damage(&mut value, &mut random);
        let report = check(&schema, &value, Extent::Whole);
        crate::config::pointer::remove(&mut value, report.empty.iter().map(String::as_str));
        let good = report.faults.is_empty();
        assert_eq!(
            good,
            validator.is_valid(&value),
            "{:#?}\n{value:#}",
            report.faults
        );
        *(if good { &mut right } else { &mut wrong }) += 1;
    }
    assert!(right > 50 && wrong > 50, "{right} right, {wrong} wrong");
}
