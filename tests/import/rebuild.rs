//! `nubo import --rebuild-indexes`: whatever becomes of an import, every index is there afterwards,
//! or it is known which is not and how it comes back.

use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Child, ChildStdin, Command},
    time::{Duration, Instant},
};

use crate::{
    Ran, Site, start,
    truth::{Truth, postgres::Database},
};

const FILMS: &str = "
name: films
order: title
fields:
  title: { type: text, min_length: 2 }
  rating: float
  tags: \"text[]\"
  imdb: { type: text, unique: true }
  sequel_of: ref(films)
indexes:
  - [rating, -title]
  - { fields: [title], where: { rating: { $gt: 5 } } }
  - { fields: [tags], using: gin }
";

/// Indexes that Nubo has not made: what is in their definitions, and what would not be.
const OTHERS: &str = "
CREATE INDEX \"By \"\"lower\"\" title\" ON main.films (lower(title) COLLATE \"POSIX\" text_pattern_ops DESC)
  INCLUDE (rating) WITH (fillfactor = 70) WHERE title LIKE 'S%';
CREATE INDEX films_rating_brin ON main.films USING brin (rating);
CREATE INDEX films_remarkable ON main.films (rating);
COMMENT ON INDEX main.films_remarkable IS 'for the report';
CREATE UNIQUE INDEX films_unlike ON main.films (lower(imdb));
ALTER TABLE main.films ADD CONSTRAINT films_apart EXCLUDE USING btree (imdb WITH =);
";

/// Those of the table that may be dropped.
const DROPPABLE: [&str; 6] = [
    "By \"lower\" title",
    "films_rating_brin",
    "films_rating_title_desc_idx",
    "films_sequel_of_ref",
    "films_tags_gin",
    "films_title_idx_c4ac5167",
];

/// A site on PostgreSQL whose films have many indexes, and a film.
struct Place {
    site: Site,
    database: Database,
}

impl Place {
    fn new() -> Self {
        let database = Database::new();
        let site = Site::with(Truth::at(&database.url));
        site.file("collections/films.yaml", FILMS);
        let place = Self { site, database };
        let first = place.import(&row(1), "");
        assert_eq!(first.code, 0, "{first:?}");
        place.database.sql(OTHERS);
        place
    }

    /// A command that leaves the schema as it is: nobody else builds what is missing.
    fn command(&self, line: &str) -> Command {
        let mut command = self.site.command(line);
        command.env("NUBO_TIERS__TRUTH__MIGRATE", "check");
        command
    }

    fn run(&self, line: &str) -> Ran {
        Ran::from(self.command(line).output().expect("the binary runs"))
    }

    fn import(&self, rows: &str, options: &str) -> Ran {
        self.site.file("films.ndjson", rows);
        self.run(&format!("import films.ndjson --collection films {options}"))
    }

    /// Every index of the films with its definition.
    fn definitions(&self) -> String {
        self.database.sql(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'main' AND tablename = 'films' \
             ORDER BY indexname",
        )
    }

    /// Those that have been built since a moment, by name.
    fn built_since(&self, before: &str) -> Vec<String> {
        let now = self.identities();
        let new = now.lines().filter(|line| !before.contains(line));
        new.map(|line| line.split_once('|').expect("a name").1.to_owned())
            .collect()
    }

    /// Every index by its identity, which a new one of the same name does not have.
    fn identities(&self) -> String {
        self.database.sql(
            "SELECT indexrelid::bigint, relname FROM pg_index JOIN pg_class x ON x.oid = indexrelid \
             WHERE indrelid = 'main.films'::regclass ORDER BY relname COLLATE \"C\"",
        )
    }

    fn noted(&self) -> u32 {
        let table = "nubo.dropped_indexes";
        let there = format!("SELECT to_regclass('{table}') IS NOT NULL");
        match self.database.sql(&there).as_str() {
            "t" => self.database.sql(&format!("SELECT count(*) FROM {table}")),
            _ => "0".into(),
        }
        .parse()
        .expect("a number")
    }

    /// An import that has dropped the indexes and waits for further rows.
    fn under_way(&self) -> (Child, ChildStdin) {
        let line = "import - --collection films --keep-going --batch 1 --rebuild-indexes";
        let (child, mut stdin) = start(&mut self.command(line));
        stdin.write_all(row(2).as_bytes()).expect("it reads");
        let end = Instant::now() + Duration::from_secs(60);
        while self.noted() == 0 {
            assert!(Instant::now() < end, "no index was dropped");
            std::thread::sleep(Duration::from_millis(10));
        }
        (child, stdin)
    }
}

fn row(number: usize) -> String {
    format!("{{\"title\": \"Part {number}\", \"rating\": {number}, \"imdb\": \"tt{number}\"}}\n")
}

#[test]
fn indexes_that_guard_nothing_are_built_anew_as_they_were() {
    let place = Place::new();
    let (definitions, identities) = (place.definitions(), place.identities());
    let rows = (2..50).fold(String::new(), |mut rows, number| {
        write!(rows, "{}", row(number)).expect("text");
        rows
    });
    for (options, rows) in [("", rows), ("--keep-going --batch 7", row(50) + &row(51))] {
        let identities = place.identities();
        let imported = place.import(&rows, &format!("--rebuild-indexes {options}"));
        assert_eq!(imported.code, 0, "{imported:?}");
        assert!(
            imported.err.starts_with("6 indexes built again in "),
            "{imported:?}"
        );
        assert_eq!(place.definitions(), definitions);
        assert_eq!(place.built_since(&identities), DROPPABLE);
        assert_eq!(place.noted(), 0);
    }
    // The others have never been away.
    for name in [
        "films_pkey",
        "films_remarkable",
        "films_unlike",
        "films_apart",
    ] {
        let kept = identities.lines().find(|line| line.ends_with(name));
        assert!(place.identities().contains(kept.expect(name)), "{name}");
    }
    let counted = place.database.sql("SELECT count(*) FROM main.films");
    assert_eq!(counted, "51");
}

#[test]
fn an_import_that_fails_leaves_the_indexes_as_they_were() {
    let place = Place::new();
    let (definitions, identities) = (place.definitions(), place.identities());
    // What shows before anything is written touches no index.
    for rows in [String::new(), row(2) + "{\"titel\": 1}\n"] {
        place.import(&rows, "--rebuild-indexes");
        assert_eq!(place.identities(), identities);
    }
    // What the database refuses shows when they are dropped.
    let taken = row(2) + &row(3) + &row(1).replace("Part", "Copy");
    let refused = place.import(&taken, "--rebuild-indexes");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused
            .err
            .contains("films.ndjson:3: /imdb is taken already"),
        "{refused:?}"
    );
    assert_eq!(place.built_since(&identities), DROPPABLE);
    assert_eq!((place.definitions(), place.noted()), (definitions, 0));
}

#[test]
fn what_a_killed_import_has_dropped_is_found_and_built_again() {
    let place = Place::new();
    let definitions = place.definitions();
    let (mut child, stdin) = place.under_way();

    // As long as it runs, it is nobody else's business.
    let doctor = place.run("doctor");
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(
        doctor
            .out
            .contains("ok       indexes: an import is under way"),
        "{doctor:?}"
    );
    for line in ["import --rebuild-indexes", "migrate plan", "migrate up"] {
        let refused = place.run(line);
        assert_eq!(refused.code, 1, "{line}: {refused:?}");
        assert!(refused.err.contains("is under way"), "{line}: {refused:?}");
    }

    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    drop(stdin);
    assert_eq!(place.noted(), 6);
    let names = "main.By \"lower\" title, main.films_rating_brin, main.films_rating_title_desc_idx";
    // The database may take a moment to notice.
    let end = Instant::now() + Duration::from_secs(60);
    let doctor = loop {
        let doctor = place.run("doctor");
        if !doctor.out.contains("is under way") {
            break doctor;
        }
        assert!(Instant::now() < end, "{doctor:?}");
    };
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(
        doctor
            .out
            .contains("warning  indexes: an import that was killed"),
        "{doctor:?}"
    );
    let plain = place.import(&row(3), "");
    assert_eq!(plain.code, 0, "{plain:?}");
    let refused = place.run("migrate plan");
    assert_eq!(refused.code, 1, "{refused:?}");
    for said in [&doctor.out, &plain.err, &refused.err] {
        for words in [names, "`nubo import --rebuild-indexes` builds them again"] {
            assert!(said.contains(words), "`{words}` is not in: {said}");
        }
    }

    // Somebody has built one of them meanwhile, and something else under the name of another.
    let by_hand = definitions
        .lines()
        .find(|line| line.contains(" films_rating_brin "));
    place.database.sql(by_hand.expect("its definition"));
    place
        .database
        .sql("CREATE INDEX films_tags_gin ON main.films (imdb)");
    let partly = place.run("import --rebuild-indexes");
    assert_eq!(partly.code, 1, "{partly:?}");
    assert!(
        partly.out.starts_with("5 indexes built again in "),
        "{partly:?}"
    );
    assert!(
        partly
            .err
            .contains("main.films_tags_gin could not be built again: there is another index"),
        "{partly:?}"
    );
    assert_eq!(place.noted(), 1);
    place.database.sql("DROP INDEX main.films_tags_gin");
    // The next import that does the same goes on with what is left.
    let next = place.import(&row(4), "--rebuild-indexes");
    assert_eq!(next.code, 0, "{next:?}");
    assert!(
        next.err
            .contains("dropped: main.films_tags_gin; they are built at the end"),
        "{next:?}"
    );
    assert!(next.err.contains("6 indexes built again in "), "{next:?}");
    assert_eq!((place.definitions(), place.noted()), (definitions, 0));
    assert!(!place.run("doctor").out.contains("indexes:"));
    let nothing = place.run("import --rebuild-indexes");
    assert_eq!(nothing.code, 0, "{nothing:?}");
    assert!(
        nothing.out.starts_with("0 indexes built again"),
        "{nothing:?}"
    );
}

#[test]
fn an_import_that_is_interrupted_builds_them_before_it_ends() {
    let place = Place::new();
    let definitions = place.definitions();
    let (child, mut stdin) = place.under_way();
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.expect("kill runs").success());
    let rows: String = (3..200).map(row).collect();
    // It may end before it has read them all.
    stdin.write_all(rows.as_bytes()).ok();
    drop(stdin);
    let ended = Ran::from(child.wait_with_output().expect("it ends"));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("6 indexes built again in "), "{ended:?}");
    assert!(ended.err.contains("error: interrupted"), "{ended:?}");
    assert_eq!((place.definitions(), place.noted()), (definitions, 0));
}

#[test]
fn an_import_that_loses_its_connection_builds_them_over_another() {
    let place = Place::new();
    let definitions = place.definitions();
    let (child, stdin) = place.under_way();
    let ended = place.database.sql(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    assert_eq!(ended, "t");
    drop(stdin);
    let imported = Ran::from(child.wait_with_output().expect("it ends"));
    assert_eq!(imported.code, 0, "{imported:?}");
    assert!(
        imported.err.contains("6 indexes built again in "),
        "{imported:?}"
    );
    assert_eq!((place.definitions(), place.noted()), (definitions, 0));
}

#[test]
fn it_is_for_postgresql_and_for_whole_command_lines() {
    let sqlite = Site::with(Truth::embedded());
    sqlite.file("films.ndjson", &row(1));
    let refused = sqlite.run("import films.ndjson --collection films --rebuild-indexes");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("on PostgreSQL only"), "{refused:?}");
    for line in [
        "import --rebuild-indexes --collection films",
        "import films.ndjson --rebuild-indexes",
        "import --collection films",
        "import",
    ] {
        assert_eq!(sqlite.run(line).code, 2, "{line}");
    }
}
