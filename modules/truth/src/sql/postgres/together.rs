//! Several questions that differ in their arguments alone, as one statement.

use super::{Argument, Postgres, types::Type};
use crate::sql::Statement;

/// One statement that asks all of them. Behind the columns of each question stands its number,
/// counted from 1.
///
/// Arguments that are the same in all stay arguments, so that PostgreSQL may plan for their values
/// as it would for one question: a partial index is used when it is known that its condition holds.
/// The others become columns of a list of questions, and the question is asked for each of them:
/// `OFFSET 0` keeps the planner from making one join of it, which may look at more rows than any of
/// the questions would alone.
///
/// Arguments must be single values, and of the same types in all questions.
pub(crate) fn together(questions: &[Statement<Postgres>]) -> Statement<Postgres> {
    let Some(first) = questions.first() else {
        return Statement::new("SELECT WHERE FALSE");
    };
    let mut arguments = Vec::with_capacity(first.arguments.len());
    let mut places = Vec::with_capacity(first.arguments.len());
    let mut lists = Vec::new();
    for (index, argument) in first.arguments.iter().enumerate() {
        let of_each = || questions.iter().map(|question| &question.arguments[index]);
        let number = arguments.len() + 1;
        match argument.kind {
            Type::One(scalar) if of_each().any(|other| other != argument) => {
                lists.push(number);
                places.push(format!("nubo_asked.a{}", lists.len()));
                arguments.push(Argument::list(scalar, of_each()));
            }
            _ => {
                places.push(format!("${number}"));
                arguments.push(argument.clone());
            }
        }
    }
    let joined = |name: &dyn Fn((usize, &usize)) -> String| {
        let names: Vec<String> = lists.iter().enumerate().map(name).collect();
        names.join(", ")
    };
    let places_of_lists = joined(&|(_, number)| format!("${number}"));
    let names = joined(&|(index, _)| format!("a{}", index + 1));
    let question = with_places(&first.text, &places);
    let mut statement = Statement::new(format!(
        "SELECT nubo_found.*, nubo_asked.n FROM unnest({places_of_lists}) WITH ORDINALITY \
         AS nubo_asked({names}, n), LATERAL (SELECT * FROM ({question}) AS nubo_question OFFSET 0) \
         AS nubo_found"
    ));
    statement.arguments = arguments;
    statement
}

/// The text with other things in the places of its arguments.
fn with_places(text: &str, places: &[String]) -> String {
    let mut out = String::with_capacity(text.len() + places.len() * 16);
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\'', '"']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let quote = from.chars().next().unwrap_or('$');
        let length = match quote {
            '$' => from[1..].find(|c: char| !c.is_ascii_digit()),
            quote => from[1..].find(quote).map(|end| end + 1),
        };
        let (taken, after) = from.split_at(length.map_or(from.len(), |length| length + 1));
        let number = taken[1..].parse::<usize>().ok().filter(|_| quote == '$');
        match number.and_then(|number| places.get(number.checked_sub(1)?)) {
            Some(place) => out.push_str(place),
            None => out.push_str(taken),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(text: &str, arguments: Vec<Argument>) -> Statement<Postgres> {
        let mut statement = Statement::new(text);
        statement.arguments = arguments;
        statement
    }

    #[test]
    fn what_differs_becomes_a_list_and_what_is_the_same_stays() {
        let text = "SELECT a FROM t WHERE b = $1 AND c = $2 AND (b, d) > ($1, $3) LIMIT 5";
        let question = |c: &str, d: i64| {
            asks(
                text,
                vec![
                    Argument::text("same"),
                    Argument::text(c),
                    Argument::integer(d),
                ],
            )
        };
        let statement = together(&[question("x", 1), question("y", 2)]);
        assert_eq!(
            statement.text,
            "SELECT nubo_found.*, nubo_asked.n FROM unnest($2, $3) WITH ORDINALITY \
             AS nubo_asked(a1, a2, n), LATERAL (SELECT * FROM (SELECT a FROM t WHERE b = $1 \
             AND c = nubo_asked.a1 AND (b, d) > ($1, nubo_asked.a2) LIMIT 5) AS nubo_question \
             OFFSET 0) AS nubo_found"
        );
        assert_eq!(statement.arguments.len(), 3);
        assert_eq!(statement.arguments[0], Argument::text("same"));
        assert_eq!(statement.arguments[1].kind.name(), "text[]");
        assert_eq!(statement.arguments[2].kind.name(), "bigint[]");
    }

    #[test]
    fn quoted_text_is_no_place() {
        let places = ["p.a".to_owned(), "p.b".to_owned()];
        for (text, expected) in [
            ("$1$2", "p.ap.b"),
            ("'$1' || $2", "'$1' || p.b"),
            (
                "'it''s $1' || \"$2\"\"$1\" || $1",
                "'it''s $1' || \"$2\"\"$1\" || p.a",
            ),
            ("$12 $3 $", "$12 $3 $"),
            ("x = $2", "x = p.b"),
            ("'open $1", "'open $1"),
        ] {
            assert_eq!(with_places(text, &places), expected);
        }
    }
}
