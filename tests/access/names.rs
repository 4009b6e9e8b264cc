//! Cheating by names that look alike: another letter case, other widths, what cannot be seen.

use serde_json::{Value as Json, json};

use crate::people::{PASSWORD, Person, application, number};

/// A name that nobody else in this run has, of letters that have look-alikes.
fn fresh_name() -> String {
    let letters = ["a", "d", "i", "k", "s", "o", "e", "n", "r", "t"];
    let digits = number().to_string();
    let spelled: String = digits
        .bytes()
        .map(|digit| letters[usize::from(digit - b'0')])
        .collect();
    format!("kadis-{spelled}")
}

fn full_width(text: &str) -> String {
    let wide = |letter: char| match letter {
        '!'..='~' => char::from_u32(u32::from(letter) + 0xFEE0).expect("a letter"),
        other => other,
    };
    text.chars().map(wide).collect()
}

fn sign_up(username: &str, email: &str) -> crate::server::Answer {
    let application = application(&[("username", json!(username)), ("email", json!(email))]);
    Person::anonymous().post("/signup", &application)
}

#[test]
fn a_name_in_another_guise_is_taken() {
    let name = fresh_name();
    sign_up(&name, &format!("{name}@example.org")).expect(201);
    let upper = name.to_uppercase();
    for guise in [
        upper.clone(),
        full_width(&name),
        full_width(&upper),
        format!("{name} "),
        format!(" {name}"),
        format!("{name}\u{a0}"),
        format!("{name}\t"),
        // The Kelvin sign and the long s.
        name.replace('k', "\u{212a}"),
        name.replace('s', "\u{17f}"),
        // Bold letters of mathematics.
        name.replace('a', "\u{1d41a}"),
    ] {
        let answer = sign_up(&guise, &format!("{}@example.org", fresh_name()));
        answer.problem_at(409, "duplicate", &["/username"]);
    }
}

#[test]
fn what_cannot_be_seen_is_no_part_of_a_name() {
    let name = fresh_name();
    for hidden in [
        "\u{200b}",
        "\u{200d}",
        "\u{ad}",
        "\u{202e}",
        "\u{feff}",
        "\u{2060}",
        " ",
        "\u{1}",
        "/",
        "@",
        "\u{34f}",
        "\u{fe0f}",
        "\u{e0100}",
        "\u{115f}",
        "\u{1160}",
        "\u{3164}",
        "\u{180b}",
        "\u{17b4}",
    ] {
        let guise = format!("ka{hidden}{name}");
        let answer = sign_up(&guise, &format!("{}@example.org", fresh_name()));
        assert_eq!(answer.status, 422, "{guise:?}: {}", answer.text());
    }
    assert_eq!(
        sign_up("\u{200b}\u{200b}", "nobody@example.org").status,
        422
    );
}

#[test]
fn letters_that_only_look_alike_are_another_account() {
    let name = fresh_name();
    let original = Person::of(&sign_up(&name, &format!("{name}@example.org")).expect(201));
    // Dotless i, dotted capital I, and a Cyrillic a.
    for guise in [
        name.replace('i', "\u{131}"),
        name.replace('i', "\u{130}"),
        name.replacen('a', "\u{430}", 1),
    ] {
        let credentials = json!({ "username": guise, "password": PASSWORD });
        let before = Person::anonymous().post("/login", &credentials);
        assert_eq!(before.status, 401, "{guise:?} is nobody yet");
        let answer = sign_up(&guise, &format!("{}@example.org", fresh_name()));
        if answer.status == 201 {
            let other = Person::of(&answer.json());
            assert_ne!(other.id(), original.id());
            let signed_in = Person::anonymous().post("/login", &credentials).expect(200);
            assert_eq!(Person::of(&signed_in).id(), other.id());
        }
    }
}

#[test]
fn an_address_in_another_guise_is_taken_or_none() {
    let name = fresh_name();
    let email = format!("{name}@example.org");
    sign_up(&name, &email).expect(201);
    for guise in [
        email.to_uppercase(),
        format!("{}@EXAMPLE.org", name.to_uppercase()),
    ] {
        sign_up(&fresh_name(), &guise).problem_at(409, "duplicate", &["/email"]);
    }
    for guise in [
        full_width(&email),
        email.replace('i', "\u{131}"),
        email.replace('k', "\u{212a}"),
        email.replacen('a', "\u{430}", 1),
        email.replace('@', "\u{ff20}"),
        format!("{email}\u{200b}"),
        format!("{email}\n"),
    ] {
        let answer = sign_up(&fresh_name(), &guise);
        assert!(
            matches!(answer.status, 409 | 422),
            "{guise:?}: {}",
            answer.text()
        );
    }
}

#[test]
fn every_guise_of_a_name_signs_in_to_the_one_account() {
    let name = fresh_name();
    let email = format!("{name}@example.org");
    let account = Person::of(&sign_up(&name, &email).expect(201));
    let sign_in = |key: &str, guise: String| {
        let credentials = json!({ key: guise, "password": PASSWORD });
        Person::anonymous().post("/login", &credentials)
    };
    for (key, guise) in [
        ("username", name.to_uppercase()),
        ("username", full_width(&name)),
        ("identifier", name.to_uppercase()),
        ("identifier", full_width(&name)),
        ("identifier", email.to_uppercase()),
        ("email", email.to_uppercase()),
    ] {
        let answer = sign_in(key, guise.clone()).expect(200);
        assert_eq!(Person::of(&answer).id(), account.id(), "{key}: {guise}");
    }
    for (key, guise) in [
        ("identifier", name.replace('i', "\u{131}")),
        ("identifier", format!("{name}\u{200b}")),
        ("email", email.replace('i', "\u{131}")),
        ("username", email.clone()),
        ("email", name.clone()),
    ] {
        let status = sign_in(key, guise.clone()).status;
        assert!(
            matches!(status, 400 | 401 | 422),
            "{key}: {guise:?}: {status}"
        );
    }
}

#[test]
fn a_rename_is_no_way_around() {
    let (name, email) = (fresh_name(), format!("{}@example.org", fresh_name()));
    sign_up(&name, &email).expect(201);
    let cheat = Person::sign_up();
    let rename = |change: Json| {
        let status = cheat
            .patch(&format!("/users/{}", cheat.id()), &change)
            .status;
        (status, cheat.patch("/me", &change).status)
    };
    for guise in [name.to_uppercase(), full_width(&name), format!("{name} ")] {
        assert_eq!(rename(json!({ "username": guise })), (409, 409), "{guise}");
    }
    assert_eq!(rename(json!({ "email": email.to_uppercase() })), (409, 409));
    assert_eq!(cheat.read("users", &cheat.id())["username"], cheat.name);
}
