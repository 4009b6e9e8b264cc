//! Too much of anything ends well for everybody else.

use serde_json::json;
use tungstenite::Message;

use crate::{
    people::Person,
    shared, site,
    socket::{Socket, request},
};

#[test]
fn two_terminals_talk() {
    let site = site("hub: { broadcast: true }\n");
    let server = site.start();
    let (ada, bob) = (Person::new(&server), Person::new(&server));
    let (mut hers, mut his) = (ada.connect(), bob.connect());
    hers.send_text("hello from the other terminal");
    assert_eq!(his.event(), "hello from the other terminal");
    his.send_text("[\"any\", \"text\"]");
    assert_eq!(hers.event(), json!(["any", "text"]));
    // Messages are messages.
    hers.done(json!({ "op": "ping" }));
}

#[test]
fn those_who_listen_without_a_token_see_what_is_for_everybody() {
    let site = site("hub: { anonymous: true }\n");
    site.file(
        "collections/news.yaml",
        "name: news\nfields: { text: text, inside: bool }\n\
         access: { read: [authenticated, { inside: false }], create: authenticated }\n",
    );
    let server = site.start();
    let ada = Person::new(&server);
    let mut socket =
        Socket::try_open(&server, request(&server, None)).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(socket.welcome["account"], json!(null));
    socket.subscribe("news");
    ada.makes("news", json!({ "text": "for us", "inside": true }));
    ada.makes("news", json!({ "text": "for all", "inside": false }));
    assert_eq!(socket.expect("created")["text"], "for all");
    let subscribe = |channel: &str| json!({ "op": "subscribe", "channel": channel });
    for channel in ["lines", "user:me"] {
        assert_eq!(
            socket.refused(subscribe(channel)),
            (401, "missing_token".into()),
            "{channel}"
        );
    }
    let create = json!({ "op": "create", "collection": "news", "document": {} });
    assert_eq!(socket.refused(create), (401, "missing_token".into()));
}

#[test]
fn a_first_message_may_bring_the_token() {
    let site = site("hub: { auth_message: true }\n");
    let server = site.start();
    let ada = Person::new(&server);
    let mut socket =
        Socket::try_open(&server, request(&server, None)).unwrap_or_else(|e| panic!("{e:?}"));
    let subscribe = json!({ "op": "subscribe", "channel": "notes" });
    assert_eq!(
        socket.refused(subscribe.clone()),
        (401, "missing_token".into())
    );
    let ok = socket.done(json!({ "op": "auth", "token": ada.token }));
    assert_eq!(ok["account"], *ada.id);
    socket.done(subscribe);
    // Who says nothing is sent away.
    let mut nobody =
        Socket::try_open(&server, request(&server, None)).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(nobody.closed(), Some(4002));
}

#[test]
fn connections_and_subscriptions_are_counted() {
    let site =
        site("hub: { max_connections: 4, max_connections_per_account: 2, max_subscriptions: 2 }\n");
    let server = site.start();
    let people: Vec<Person> = (0..3).map(|_| Person::new(&server)).collect();
    let open = |person: &Person| Socket::try_open(&server, request(&server, Some(&person.token)));
    let mut first = open(&people[0]).ok().unwrap();
    let _second = open(&people[0]).ok().unwrap();
    assert_eq!(open(&people[0]).err().unwrap().0, 429);
    let _others = (
        open(&people[1]).ok().unwrap(),
        open(&people[1]).ok().unwrap(),
    );
    let (status, problem) = open(&people[2]).err().unwrap();
    assert_eq!(
        (status, &problem["code"]),
        (503, &json!("too_many_connections"))
    );
    first.subscribe("notes");
    first.subscribe("rooms");
    first.subscribe("notes");
    let refused = first.refused(json!({ "op": "subscribe", "channel": "lines" }));
    assert_eq!(refused.0, 429);
    first.done(json!({ "op": "unsubscribe", "channel": "rooms" }));
    first.subscribe("lines");
}

#[test]
fn who_sends_too_much_is_told_and_then_sent_away() {
    let site = site("hub: { max_messages_per_second: 5 }\n");
    let server = site.start();
    let ada = Person::new(&server);
    let mut socket = ada.connect();
    // Ten at once, and ten more that are refused; then it is over.
    for number in 0..100 {
        let message = json!({ "id": number, "op": "ping" }).to_string();
        if socket.send_raw(Message::text(message)).is_err() {
            break;
        }
    }
    let mut answers = Vec::new();
    let code = loop {
        match socket.receive() {
            Ok(answer) => answers.push(answer["error"]["status"].as_u64().unwrap_or(200)),
            Err(code) => break code,
        }
    };
    assert!(answers.iter().filter(|status| **status == 200).count() >= 10);
    assert!(answers.contains(&429));
    assert!(code.is_none_or(|code| code == 4029), "{code:?}");
}

#[test]
fn frames_that_are_wrong_end_the_connection_with_a_code() {
    let ada = Person::new(shared());
    let large = "x".repeat((64 << 10) + 1);
    for (message, code) in [
        (Message::binary(vec![1, 2, 3]), 1003),
        (Message::text(large), 1009),
    ] {
        let mut socket = ada.connect();
        socket.send_raw(message).unwrap();
        assert_eq!(socket.closed(), Some(code));
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let site = site("hub: { max_queue: 65536 }\ncrud: { max_bulk: 1000 }\n");
    let server = site.start();
    let ada = Person::new(&server);
    let mut slow = ada.listens("notes");
    let mut quick = ada.listens("notes");
    let text = "x".repeat(2000);
    let many: Vec<_> = (0..1000)
        .map(|n| json!({ "create": { "text": text, "number": n } }))
        .collect();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut seen = 0;
            loop {
                match quick.receive() {
                    Ok(event) if event["document"]["text"] == "last" => return (seen, None),
                    Ok(_) => seen += 1,
                    Err(code) => return (seen, code),
                }
            }
        });
        // More than the sockets' buffers hold.
        for _ in 0..8 {
            ada.sends("POST", "/notes/bulk", &json!(many)).expect(200);
        }
        ada.makes("notes", json!({ "text": "last" }));
        let (seen, code) = reading.join().unwrap();
        // Whether it kept up with bulks of a thousand is not what this is about.
        assert!(code == Some(4008) || seen == 8000, "{seen} {code:?}");
    });
    let begun = ada.connect();
    drop(begun);
    // The slow one was cut off, with its code if that could still be said.
    let code = slow.closed();
    assert!(code.is_none_or(|code| code == 4008), "{code:?}");
}
