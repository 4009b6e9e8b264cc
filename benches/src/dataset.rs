//! The messages both servers store, and the requests both get; the same for the same seed.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use fastrand::Rng;

use crate::client::write_request;
use crate::peer::Routes;

/// How many conversations the loaded messages are spread over, evenly.
pub const CONVERSATIONS: usize = 1_000;
const SENDERS: usize = 200;
const CONTENTS: usize = 1_000;
const SEED: u64 = 0x6e75_626f;

/// What a round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Workload {
    /// Create one small document per request.
    #[value(name = "a")]
    Create,
    /// Read one document by id.
    #[value(name = "b")]
    Read,
    /// List the newest 20 messages of a random conversation.
    #[value(name = "c")]
    List,
    /// Nine reads by id to one create.
    #[value(name = "d")]
    Mix,
}

impl Workload {
    /// The letter the command line knows it by.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Create => "a",
            Self::Read => "b",
            Self::List => "c",
            Self::Mix => "d",
        }
    }

    /// A short title for tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read by id",
            Self::List => "list newest 20",
            Self::Mix => "90% read, 10% create",
        }
    }

    /// How many times PocketBase's rate Nubo is meant to reach.
    pub fn target(self) -> f64 {
        match self {
            Self::Create => 4.5,
            Self::Read | Self::Mix => 3.5,
            Self::List => 5.5,
        }
    }

    /// Whether it starts from the loaded documents rather than from an empty collection.
    ///
    /// Creates start from nothing: PocketBase's random ids cost it more the larger the table is,
    /// and it is to have its best day.
    pub fn needs_documents(self) -> bool {
        self != Self::Create
    }
}

/// The material messages are made of.
pub struct Dataset {
    /// Number of messages loaded beforehand.
    pub documents: usize,
    conversations: Vec<String>,
    senders: Vec<String>,
    contents: Vec<String>,
}

impl Dataset {
    /// Makes the material for `documents` loaded messages.
    pub fn new(documents: usize) -> Self {
        let mut rng = Rng::with_seed(SEED);
        Self {
            documents,
            conversations: (0..CONVERSATIONS).map(|_| uuid(rng.u128(..), 4)).collect(),
            senders: (0..SENDERS).map(|_| uuid(rng.u128(..), 4)).collect(),
            contents: (0..CONTENTS).map(|_| sentence(&mut rng)).collect(),
        }
    }

    /// The conversation that the loaded message number `index` is in.
    pub fn conversation_of(&self, index: usize) -> &str {
        &self.conversations[index % CONVERSATIONS]
    }

    /// All conversations.
    pub fn conversations(&self) -> &[String] {
        &self.conversations
    }

    /// How many loaded messages are in the conversation number `number`.
    pub fn documents_in(&self, number: usize) -> usize {
        (number..self.documents).step_by(CONVERSATIONS).len()
    }

    /// Appends the loaded message number `index`, with `id`, as JSON.
    pub fn write_loaded(&self, out: &mut Vec<u8>, index: usize, id: &str) {
        let sender = &self.senders[(index / CONVERSATIONS) % SENDERS];
        let content = &self.contents[index.wrapping_mul(31) % CONTENTS];
        write_message(out, Some(id), self.conversation_of(index), sender, content);
    }

    /// Appends a random new message, without an id, as JSON.
    pub fn write_new(&self, out: &mut Vec<u8>, rng: &mut Rng) {
        let conversation = &self.conversations[rng.usize(..CONVERSATIONS)];
        let sender = &self.senders[rng.usize(..SENDERS)];
        write_message(
            out,
            None,
            conversation,
            sender,
            &self.contents[rng.usize(..CONTENTS)],
        );
    }
}

/// Writes the requests of one round; allocates nothing per request.
pub struct Requests<'a> {
    dataset: &'a Dataset,
    ids: &'a [String],
    rng: Rng,
    create_head: Vec<u8>,
    read: Template,
    list: Template,
    body: Vec<u8>,
}

impl<'a> Requests<'a> {
    /// `round` seeds the choices, so that both servers are asked the same in the same round.
    pub fn new(
        dataset: &'a Dataset,
        ids: &'a [String],
        routes: &Routes,
        round: u64,
    ) -> Result<Self> {
        let mut create_head = Vec::new();
        write!(
            create_head,
            "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ",
            routes.create
        )?;
        Ok(Self {
            dataset,
            ids,
            rng: Rng::with_seed(SEED + 1 + round),
            create_head,
            read: Template::get(routes.read)?,
            list: Template::get(routes.list)?,
            body: Vec::with_capacity(1024),
        })
    }

    /// Appends the next request of `workload`.
    pub fn next(&mut self, workload: Workload, out: &mut Vec<u8>) {
        match workload {
            Workload::Create => self.create(out),
            Workload::Read => self.read(out),
            Workload::List => self.list(out),
            Workload::Mix if self.rng.u8(..10) == 0 => self.create(out),
            Workload::Mix => self.read(out),
        }
    }

    fn create(&mut self, out: &mut Vec<u8>) {
        self.body.clear();
        self.dataset.write_new(&mut self.body, &mut self.rng);
        out.extend_from_slice(&self.create_head);
        write_number(out, self.body.len());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&self.body);
    }

    fn read(&mut self, out: &mut Vec<u8>) {
        let id = &self.ids[self.rng.usize(..self.ids.len())];
        self.read.write(out, id);
    }

    fn list(&mut self, out: &mut Vec<u8>) {
        let index = self.rng.usize(..CONVERSATIONS);
        self.list.write(out, self.dataset.conversation_of(index));
    }
}

/// A GET request with one hole in its path.
struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Template {
    fn get(path: &str) -> Result<Self> {
        let mut whole = Vec::new();
        write_request(&mut whole, "GET", path, None, b"")?;
        let hole = memchr::memmem::find(&whole, b"{}")
            .ok_or_else(|| anyhow::anyhow!("no {{}} in the path {path}"))?;
        let after = whole.split_off(hole)[2..].to_vec();
        Ok(Self {
            before: whole,
            after,
        })
    }

    fn write(&self, out: &mut Vec<u8>, value: &str) {
        out.extend_from_slice(&self.before);
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(&self.after);
    }
}

fn write_message(
    out: &mut Vec<u8>,
    id: Option<&str>,
    conversation: &str,
    sender: &str,
    content: &str,
) {
    // Nothing here needs escaping: ids are plain and sentences are letters, blanks and dots.
    out.push(b'{');
    let fields = [
        ("id", id),
        ("conversation_id", Some(conversation)),
        ("sender_id", Some(sender)),
        ("content", Some(content)),
    ];
    let mut first = true;
    for (name, value) in fields {
        let Some(value) = value else { continue };
        if !first {
            out.push(b',');
        }
        first = false;
        for part in ["\"", name, "\":\"", value, "\""] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    out.push(b'}');
}

fn write_number(out: &mut Vec<u8>, mut number: usize) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

/// A UUID of the given version made of `bits`.
pub fn uuid(bits: u128, version: u8) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | u128::from(version) << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// A chat message of about 30 to 120 characters.
fn sentence(rng: &mut Rng) -> String {
    const WORDS: [&str; 16] = [
        "see",
        "you",
        "at",
        "the",
        "station",
        "around",
        "seven",
        "bring",
        "warm",
        "clothes",
        "and",
        "something",
        "to",
        "drink",
        "perhaps",
        "tomorrow",
    ];
    let wanted = rng.usize(30..110);
    let mut text = String::new();
    while text.len() < wanted {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(WORDS[rng.usize(..WORDS.len())]);
    }
    text.push('.');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_well_formed_and_repeatable() {
        let dataset = Dataset::new(10);
        let routes = Routes {
            create: "/m",
            read: "/m/{}",
            list: "/m?c={}",
        };
        let ids = vec!["one".to_owned()];
        let write = |workload| {
            let mut out = Vec::new();
            Requests::new(&dataset, &ids, &routes, 1)
                .unwrap()
                .next(workload, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            write(Workload::Read),
            "GET /m/one HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        );
        assert_eq!(write(Workload::List), write(Workload::List));
        let create = write(Workload::Create);
        let (head, body) = create.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(
            dataset
                .conversations
                .iter()
                .any(|id| body["conversation_id"] == **id)
        );
    }

    #[test]
    fn knows_how_many_documents_a_conversation_has() {
        let dataset = Dataset::new(2 * CONVERSATIONS + 3);
        for number in [0, 2, 3, CONVERSATIONS - 1] {
            let conversation = &dataset.conversations()[number];
            let there = (0..dataset.documents)
                .filter(|index| dataset.conversation_of(*index) == conversation)
                .count();
            assert_eq!(dataset.documents_in(number), there);
        }
    }

    #[test]
    fn uuids_carry_their_version() {
        assert_eq!(uuid(u128::MAX, 7), "ffffffff-ffff-7fff-bfff-ffffffffffff");
        assert_eq!(uuid(0, 4), "00000000-0000-4000-8000-000000000000");
    }
}
