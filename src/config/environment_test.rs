use super::*;
use crate::config::schema;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn read(pairs: &[(&str, &str)]) -> (Vec<Json>, Vec<String>) {
    let mut problems = Vec::new();
    let assignments = assignments(&schema::nubo(&[]), &variables(pairs), &mut problems);
    (
        assignments
            .into_iter()
            .map(|assignment| assignment.value)
            .collect(),
        problems.iter().map(ToString::to_string).collect(),
    )
}

#[test]
fn the_schema_decides_what_a_text_means() {
    let (values, problems) = read(&[
        ("NUBO_DATA", "123"),
        ("NUBO_SERVER__COMPRESSION", "false"),
        ("NUBO_SERVER__CORS__ORIGINS", "https://a.org, https://b.org"),
        ("NUBO_TIERS__TRUTH__READERS", "8"),
        ("NUBO_PROFILE", "prod"),
        ("HOME", "/root"),
    ]);
    assert_eq!(
        values,
        [
            json!({"data": "123"}),
            json!({"server": {"compression": false}}),
            json!({"server": {"cors": {"origins": ["https://a.org", "https://b.org"]}}}),
            json!({"tiers": {"truth": {"readers": 8}}}),
        ]
    );
    assert_eq!(problems, [""; 0]);
}

#[test]
fn names_that_mean_nothing_are_told() {
    let (values, problems) = read(&[
        ("NUBO_SERVER__LISTN", "x"),
        ("NUBO_SERVICE_HOST", "10.0.0.1"),
        ("NUBO_DATE", "x"),
    ]);
    assert!(values.is_empty());
    assert_eq!(
        problems,
        [
            "NUBO_DATE: warning: no setting has this name, so it has no effect (did you mean `NUBO_DATA`?)",
            "NUBO_SERVER__LISTN: no setting has this name (did you mean `NUBO_SERVER__LISTEN`?)",
            "NUBO_SERVICE_HOST: warning: no setting has this name, so it has no effect",
        ]
    );
}

#[test]
fn names_that_others_use_are_understood() {
    let (values, problems) = read(&[
        ("MONGODB_URI", "mongodb://localhost"),
        ("MONGODB_MAX_POOL_SIZE", "20"),
        ("MONGODB_READ_TIMEOUT", "2s"),
        ("MONGODB_SOCKET_TIMEOUT", "1m"),
        ("REDIS_ADDR", "localhost:6379"),
    ]);
    let mongodb = |setting: Json| json!({"tiers": {"recent": {"mongodb": setting}}});
    assert_eq!(
        values,
        [
            json!({"tiers": {"cache": {"redis": {"url": "localhost:6379"}}}}),
            mongodb(json!({"uri": "mongodb://localhost"})),
            mongodb(json!({"max_pool_size": 20})),
            mongodb(json!({"socket_timeout": "1m"})),
            mongodb(json!({"read_timeout": "2s"})),
        ]
    );
    assert_eq!(problems, [""; 0]);
}

#[test]
fn an_empty_variable_sets_nothing_but_text() {
    let (values, _) = read(&[
        ("NUBO_SERVER__BASE_PATH", ""),
        ("NUBO_TIERS__TRUTH__READERS", ""),
    ]);
    assert_eq!(values, [json!({"server": {"base_path": ""}})]);
}

#[test]
fn port_replaces_the_port_alone() {
    let listen = || "0.0.0.0:1".parse().unwrap();
    let assignment = port(&variables(&[("PORT", "9000")]), listen())
        .unwrap()
        .unwrap();
    assert_eq!(
        assignment.value,
        json!({"server": {"listen": "0.0.0.0:9000"}})
    );
    let problem = port(&variables(&[("PORT", "http")]), listen())
        .unwrap()
        .unwrap_err();
    assert_eq!(
        problem.to_string(),
        "PORT: expected a number from 0 to 65535, found the text `http`"
    );
    assert!(port(&variables(&[("PORT", "")]), listen()).is_none());
}

#[test]
fn a_file_adds_what_is_not_set_and_keeps_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    std::fs::write(
        &path,
        "# mail\nA=file\nB=\"two words\"\nhunter2 hunter2\nC=1\n",
    )
    .unwrap();
    let mut variables = variables(&[("A", "process")]);
    let mut problems = Vec::new();
    add_file(&path, &mut variables, &mut problems);
    assert_eq!(variables["A"], "process");
    assert_eq!(variables["B"], "two words");
    assert_eq!(variables["C"], "1");
    assert_eq!(problems.len(), 1);
    let told = problems[0].to_string();
    assert!(
        told.contains(".env:4:1: this line is not NAME=value"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}
