//! What an access rule costs: the newest 20 of a conversation without a rule, the same with a token
//! that nothing asks for, and the same under the rule that only members may read.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::accounts::{Account, LIMIT, OPEN, count, nubo, sign_up};
use crate::client::{Client, write_request};
use crate::compare::data_folder;
use crate::dataset::{CONVERSATIONS, Dataset, uuid};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::Generator;
use crate::peer::{Names, Peer, load_nubo};
use crate::report::{self, Summary, ratio_range};
use crate::round::{Plan, Round, check_list, measure};
use crate::server::Server;

/// Messages that only members of their conversation may read.
const GUARDED: &str = "member_messages";
/// Accounts that ask. Each conversation has one of them, so each of them is in 50.
const READERS: usize = 20;
/// Accounts that are in conversations; those who never ask exist as members only.
const ACCOUNTS: usize = 500;
/// Members of a conversation.
const MEMBERS: usize = 5;
/// What the rate under the rule is meant to be, as a share of the rate without.
const TARGET: f64 = 0.6;
const SEED: u64 = 0x7275_6c65;

/// Options of the measurement.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub plan: Plan,
    /// Messages in each collection.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(CONVERSATIONS as u64..))]
    pub documents: u64,
    /// Keep-alive connections, each with one request under way.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
}

/// What a round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Case {
    Open,
    OpenWithToken,
    Members,
    Everything,
}

impl Case {
    /// Those that are compared, in the order of their rounds.
    const COMPARED: [Self; 3] = [Self::Open, Self::OpenWithToken, Self::Members];

    fn title(self) -> &'static str {
        match self {
            Self::Open => "(A) no rule, no token",
            Self::OpenWithToken => "(B) no rule, with a token",
            Self::Members => "(C) members only, with a token",
            Self::Everything => "newest 20 of all one may read",
        }
    }

    fn collection(self) -> &'static str {
        match self {
            Self::Open | Self::OpenWithToken => OPEN,
            Self::Members | Self::Everything => GUARDED,
        }
    }

    fn path(self, conversation: &str) -> String {
        let collection = self.collection();
        match self {
            Self::Everything => format!("/{collection}?limit=20"),
            _ => format!(
                "/{collection}?filter=%7B%22conversation_id%22%3A%22{conversation}%22%7D&limit=20"
            ),
        }
    }

    fn authorization(self, account: &Account) -> Option<&str> {
        (self != Self::Open).then_some(&account.authorization)
    }
}

/// Everything a round needs.
struct Site<'a> {
    names: Names,
    dataset: &'a Dataset,
    readers: &'a [Account],
    /// A member of nothing.
    stranger: &'a Account,
}

impl Site<'_> {
    fn reader(&self, conversation: usize) -> &Account {
        &self.readers[conversation % READERS]
    }

    /// One request per conversation, each in the name of a member.
    fn requests(&self, case: Case) -> Result<Vec<Vec<u8>>> {
        let conversations = self.dataset.conversations().iter().enumerate();
        let request = |(number, conversation): (usize, &String)| {
            let authorization = case.authorization(self.reader(number));
            let mut request = Vec::new();
            let path = case.path(conversation);
            write_request(&mut request, "GET", &path, authorization, b"")?;
            Ok(request)
        };
        conversations.map(request).collect()
    }

    /// Makes sure that the answers about to be counted are the right ones, and that nobody gets
    /// more than that.
    fn check(&self, address: SocketAddr, conversation: usize) -> Result<()> {
        let mut client = Client::connect(address, LIMIT)?;
        let id = &self.dataset.conversations()[conversation];
        let reader = self.reader(conversation);
        let mut ask = |case: Case, authorization: Option<&str>| {
            client.ask("GET", &case.path(id), authorization, None)
        };

        let there = self.dataset.documents_in(conversation).min(20);
        let mut lists = Vec::new();
        for case in Case::COMPARED {
            let (status, answer) = ask(case, case.authorization(reader))?;
            ensure!(
                status == 200,
                "{} answered {status}: {answer}",
                case.title()
            );
            let list = check_list(&answer, &self.names, id, there).context(case.title())?;
            let ids: Vec<Value> = list.iter().map(|message| message["id"].clone()).collect();
            lists.push(ids);
        }
        ensure!(
            lists.windows(2).all(|pair| pair[0] == pair[1]),
            "the lists of (A), (B) and (C) are not alike"
        );

        let (status, answer) = ask(Case::Everything, Some(&reader.authorization))?;
        let list = answer[self.names.list].as_array().map(Vec::as_slice);
        let list = list.filter(|_| status == 200).context("no list")?;
        let own = self.conversations_of(reader);
        let readable: usize = own.iter().map(|own| self.dataset.documents_in(*own)).sum();
        let is_own = |message: &Value| {
            own.iter()
                .any(|own| message["conversation_id"] == self.dataset.conversations()[*own])
        };
        ensure!(
            list.len() == readable.min(20) && list.iter().all(is_own),
            "the list of all messages has others than the reader's, or too few"
        );

        let others = [
            (self.stranger, Case::Members),
            (self.stranger, Case::Everything),
            (self.reader(conversation + 1), Case::Members),
        ];
        for (account, case) in others {
            let (status, answer) = ask(case, Some(&account.authorization))?;
            ensure!(
                status == 200 && answer[self.names.list] == json!([]),
                "somebody who is no member was not answered an empty list but {status}"
            );
        }
        let (status, answer) = ask(Case::Members, None)?;
        ensure!(
            status == 401,
            "somebody without a token was answered {status}: {answer}"
        );

        let counts = [
            (Case::Open, None, self.dataset.documents),
            (Case::Members, Some(reader), readable),
            (Case::Members, Some(self.stranger), 0),
        ];
        for (case, account, expected) in counts {
            let authorization = account.map(|account| account.authorization.as_str());
            let found = count(&mut client, case.collection(), authorization)?;
            ensure!(
                found == expected as u64,
                "{} counted {found} documents instead of {expected}",
                case.title()
            );
        }
        Ok(())
    }

    /// Numbers of the conversations that a reader is in.
    fn conversations_of(&self, reader: &Account) -> Vec<usize> {
        (0..CONVERSATIONS)
            .filter(|number| self.reader(*number).id == reader.id)
            .collect()
    }

    fn play(
        &self,
        server: &Server,
        case: Case,
        number: u64,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<Round> {
        let plan = &options.plan;
        let mut rng = Rng::with_seed(SEED + number);
        self.check(server.address, rng.usize(..CONVERSATIONS))
            .context("the answers are not as they must be")?;
        let requests = self.requests(case)?;
        let mut next = |out: &mut Vec<u8>| {
            out.extend_from_slice(&requests[rng.usize(..requests.len())]);
        };
        let connections = usize::from(options.concurrency);
        let mut generator = Generator::connect(server.address, connections)?;
        let warm = generator.drive(plan.warmup(), interrupt, &mut next)?;
        let mut round = measure(server, || {
            generator.drive(plan.span(), interrupt, &mut next)
        })?;
        round.outcome.adopt_failures(&warm);
        report::announce(&format!("{:<30}", case.title()), number, &round, plan);
        Ok(round)
    }
}

/// The members of a conversation by number: one who asks and four who do not, evenly.
fn members(conversation: usize) -> [usize; MEMBERS] {
    std::array::from_fn(|seat| match seat {
        0 => conversation % READERS,
        _ => READERS + (conversation * (MEMBERS - 1) + seat - 1) % (ACCOUNTS - READERS),
    })
}

/// A server with members and the messages that only they may read, for other comparisons.
pub struct Members {
    server: Server,
    accounts: Vec<Account>,
    names: Names,
}

impl Members {
    /// Starts it with the documents in it.
    pub fn prepare(
        root: &std::path::Path,
        dataset: &Dataset,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let nubo = nubo(interrupt)?;
        let fixture = Fixture::empty(&nubo, &root.join("members"), interrupt)?;
        let mut accounts = Vec::new();
        fixture.fill(&nubo, interrupt, |address| {
            accounts = sign_up(address, READERS + 1)?;
            fill(address, &nubo, dataset, &accounts[..READERS], interrupt)
        })?;
        Ok(Self {
            server: Server::start(&nubo, &fixture.fresh(true)?, interrupt)?,
            accounts,
            names: nubo.names(),
        })
    }

    /// Newest 20 of a random conversation, in the name of a member.
    pub fn round(
        &self,
        dataset: &Dataset,
        number: u64,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<Round> {
        let site = Site {
            names: Names { ..self.names },
            dataset,
            readers: &self.accounts[..READERS],
            stranger: &self.accounts[READERS],
        };
        site.play(&self.server, Case::Members, number, options, interrupt)
    }

    /// Stops it.
    pub fn stop(self) -> Result<()> {
        self.server.stop()
    }
}

/// Measures, and prints the table.
///
/// # Errors
/// When the server does not start, answers wrongly, or fails any request.
pub fn run(options: Options, interrupt: &Interrupt) -> Result<()> {
    let plan = &options.plan;
    let dataset = Dataset::new(usize::try_from(options.documents)?);
    let nubo = nubo(interrupt)?;
    let root = data_folder(plan.data_dir.clone())?;
    let fixture = Fixture::empty(&nubo, root.path(), interrupt)?;
    let mut accounts = Vec::new();
    fixture.fill(&nubo, interrupt, |address| {
        accounts = sign_up(address, READERS + 1)?;
        fill(address, &nubo, &dataset, &accounts[..READERS], interrupt)
    })?;
    let site = Site {
        names: nubo.names(),
        dataset: &dataset,
        readers: &accounts[..READERS],
        stranger: &accounts[READERS],
    };

    // One process for all rounds: nothing is written, and each round warms up for itself.
    let server = Server::start(&nubo, &fixture.fresh(true)?, interrupt)?;
    let mut rounds: BTreeMap<Case, Vec<Round>> = BTreeMap::new();
    let mut play = |case, number| -> Result<()> {
        let attempt = || Ok((site.play(&server, case, number, &options, interrupt)?, ()));
        let (round, ()) = plan.quietest(attempt).context(case.title())?;
        rounds.entry(case).or_default().push(round);
        Ok(())
    };
    for number in 0..plan.rounds {
        for case in Case::COMPARED {
            play(case, number)?;
        }
    }
    play(Case::Everything, 0)?;
    server.stop()?;

    print(&rounds);
    report::write(plan, &json(&rounds))?;
    let failed: Vec<String> = rounds
        .iter()
        .flat_map(|(case, rounds)| rounds.iter().map(move |round| (case, &round.outcome)))
        .filter(|(_, outcome)| outcome.failures() > 0)
        .map(|(case, outcome)| format!("{}: {}", case.title(), outcome.failure_text()))
        .collect();
    if !failed.is_empty() {
        bail!("requests failed:\n{}", failed.join("\n"));
    }
    Ok(())
}

/// Stores the same messages in both collections, and who is in which conversation.
fn fill(
    address: SocketAddr,
    nubo: &dyn Peer,
    dataset: &Dataset,
    readers: &[Account],
    interrupt: &Interrupt,
) -> Result<()> {
    let mut rng = Rng::with_seed(1);
    let ids: Vec<String> = (0..dataset.documents)
        .map(|index| nubo.id(index, &mut rng))
        .collect();
    for collection in [OPEN, GUARDED] {
        load_nubo(address, collection, ids.len(), interrupt, |out, index| {
            dataset.write_loaded(out, index, &ids[index]);
        })?;
    }
    let signed_up = readers.iter().map(|account| account.id.clone());
    let accounts: Vec<String> = signed_up
        .chain((READERS..ACCOUNTS).map(|_| uuid(rng.u128(..), 7)))
        .collect();
    let seats = CONVERSATIONS * MEMBERS;
    load_nubo(address, "members", seats, interrupt, |out, index| {
        let conversation = index / MEMBERS;
        let member = json!({
            "conversation_id": dataset.conversations()[conversation],
            "user_id": accounts[members(conversation)[index % MEMBERS]],
        });
        out.extend_from_slice(member.to_string().as_bytes());
    })
}

fn print(rounds: &BTreeMap<Case, Vec<Round>>) {
    let rows: Vec<(Case, Summary)> = rounds
        .iter()
        .filter_map(|(case, rounds)| Some((*case, Summary::of(rounds)?)))
        .collect();
    let fastest = report::fastest(rows.iter().map(|(_, row)| row));
    println!("\n| newest 20 | requests/s | p50 ms | p99 ms | CPU s per 1,000 | body bytes |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (case, row) in &rows {
        println!(
            "| {}{} | {:.0} | {:.2} | {:.2} | {:.3} | {:.0} |",
            case.title(),
            row.mark(fastest),
            row.rate,
            row.latency_ms(0.5),
            row.latency_ms(0.99),
            row.cpu_per_1000,
            row.merged.mean_body(),
        );
    }
    if rows.iter().any(|(_, row)| !row.mark(fastest).is_empty()) {
        report::print_legend();
    }
    println!("\n| | ratio | rounds | target | verdict |");
    println!("|---|--:|--:|--:|---|");
    for (name, case, target) in [
        ("B/A", Case::OpenWithToken, None),
        ("C/A", Case::Members, Some(TARGET)),
    ] {
        let Some((ratio, (low, high))) = ratio(rounds, case) else {
            continue;
        };
        let (target, verdict) = match target {
            None => (String::new(), ""),
            Some(target) if ratio >= target => (format!("{target:.2}"), "met"),
            Some(target) => (format!("{target:.2}"), "missed"),
        };
        println!("| {name} | {ratio:.2} | {low:.2} to {high:.2} | {target} | {verdict} |");
    }
}

/// A case's rate as a share of (A)'s, and its range over the rounds.
fn ratio(rounds: &BTreeMap<Case, Vec<Round>>, case: Case) -> Option<(f64, (f64, f64))> {
    let (upper, lower) = (rounds.get(&case)?, rounds.get(&Case::Open)?);
    let ratio = Summary::of(upper)?.rate / Summary::of(lower)?.rate;
    Some((ratio, ratio_range(upper, lower)?))
}

fn json(rounds: &BTreeMap<Case, Vec<Round>>) -> Value {
    let cases = rounds.iter().filter_map(|(case, rounds)| {
        let mut value = Summary::of(rounds)?.json(rounds);
        value["title"] = json!(case.title());
        Some(value)
    });
    json!({
        "cases": cases.collect::<Vec<_>>(),
        "token_ratio": ratio(rounds, Case::OpenWithToken).map(|(ratio, _)| ratio),
        "members_ratio": ratio(rounds, Case::Members).map(|(ratio, _)| ratio),
        "members_target": TARGET,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conversation_has_five_members_and_one_of_them_asks() {
        let mut of_account = [0; ACCOUNTS];
        for conversation in 0..CONVERSATIONS {
            let mut seats = members(conversation);
            seats.sort_unstable();
            assert!(seats.windows(2).all(|pair| pair[0] != pair[1]));
            assert_eq!(seats.iter().filter(|seat| **seat < READERS).count(), 1);
            for seat in seats {
                of_account[seat] += 1;
            }
        }
        assert!(of_account[..READERS].iter().all(|count| *count == 50));
        assert!(
            of_account[READERS..]
                .iter()
                .all(|count| [8, 9].contains(count))
        );
    }

    #[test]
    fn tokens_are_sent_where_the_case_says_so() {
        let dataset = Dataset::new(0);
        let account = |id: &str| Account {
            id: id.to_owned(),
            authorization: format!("Bearer {id}"),
            username: String::new(),
            password: String::new(),
        };
        let readers: Vec<Account> = (0..READERS).map(|n| account(&n.to_string())).collect();
        let site = Site {
            names: Names {
                list: "data",
                created: "created_at",
            },
            dataset: &dataset,
            readers: &readers,
            stranger: &account("stranger"),
        };
        let text = |case| {
            let requests = site.requests(case).unwrap();
            assert_eq!(requests.len(), CONVERSATIONS);
            String::from_utf8(requests[READERS + 3].clone()).unwrap()
        };
        assert!(!text(Case::Open).contains("Authorization"));
        assert!(text(Case::OpenWithToken).contains("GET /open_messages?"));
        for case in [Case::OpenWithToken, Case::Members, Case::Everything] {
            assert!(text(case).contains("\r\nAuthorization: Bearer 3\r\n"));
        }
        assert!(!text(Case::Everything).contains("filter"));
    }
}
