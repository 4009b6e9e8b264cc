//! Writers that keep account of what they were told.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::server::{Client, Site};

/// Notes with a number that tells them apart though nothing makes it unique; and counters.
pub fn site(url: &str) -> Site {
    let open = "access: { read: public, create: public, update: public }";
    let site = Site::on_postgres(url);
    site.collection(
        "notes",
        &format!("name: notes\nfields: {{ number: int!, text: text }}\n{open}\n"),
    );
    site.collection(
        "counters",
        &format!("name: counters\nfields: {{ value: int! }}\n{open}\n"),
    );
    site
}

/// How long somebody waits who was refused: less than they were asked to.
const PAUSE: Duration = Duration::from_millis(5);

/// What writers were told.
#[derive(Default)]
pub struct Account {
    /// Numbers of notes whose creation was acknowledged.
    pub written: BTreeSet<u64>,
    /// Those that were refused.
    pub refused: BTreeSet<u64>,
    /// Those of which the server did not know.
    pub unknown: BTreeSet<u64>,
    /// How often a counter was raised, and how often nobody knows.
    pub raised: u64,
    pub perhaps_raised: u64,
    /// When the first write was acknowledged after the last refusal.
    pub back_at: Option<Instant>,
    /// Refusals without Retry-After, or with another status than 503.
    pub wrong: Vec<String>,
}

/// Threads that write until they are told to stop.
pub struct Load {
    account: Arc<Mutex<Account>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many threads, half of which raise one counter.
    pub fn start(client: &Client, counter: &str, threads: usize) -> Self {
        let account = Arc::new(Mutex::new(Account::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let numbers = Arc::new(AtomicU64::new(0));
        let threads = (0..threads).map(|thread| {
            let (client, account, stop) = (client.clone(), account.clone(), stop.clone());
            let (numbers, counter) = (numbers.clone(), counter.to_owned());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if thread % 2 == 0 {
                        let number = numbers.fetch_add(1, Ordering::Relaxed);
                        note(&client, number, &account);
                    } else {
                        raise(&client, &counter, &account);
                    }
                }
            })
        });
        let threads = threads.collect();
        Self {
            account,
            stop,
            threads,
        }
    }

    /// Looks at the account.
    pub fn see<T>(&self, look: impl FnOnce(&mut Account) -> T) -> T {
        look(&mut self.account.lock().unwrap())
    }

    /// Waits until something is true of the account.
    #[track_caller]
    pub fn wait(&self, what: &str, mut until: impl FnMut(&Account) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.see(|account| until(account)) {
            assert!(Instant::now() < end, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the threads and gives their account.
    pub fn stop(self) -> Account {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut *self.account.lock().unwrap())
    }
}

fn note(client: &Client, number: u64, account: &Mutex<Account>) {
    let answer = client.post("/notes", &json!({ "number": number, "text": "kept" }));
    let mut account = account.lock().unwrap();
    match answer.status {
        201 => {
            account.written.insert(number);
            account.back_at.get_or_insert_with(Instant::now);
        }
        503 if answer.json()["code"] == "outcome_unknown" => {
            account.unknown.insert(number);
        }
        _ => {
            account.refused.insert(number);
            account.back_at = None;
            account.judge(answer.status, answer.header("retry-after"), &answer.text());
            drop(account);
            std::thread::sleep(PAUSE);
        }
    }
}

fn raise(client: &Client, counter: &str, account: &Mutex<Account>) {
    let answer = client.patch(
        &format!("/counters/{counter}"),
        &json!({ "$inc": { "value": 1 } }),
    );
    let mut account = account.lock().unwrap();
    match answer.status {
        200 => account.raised += 1,
        503 if answer.json()["code"] == "outcome_unknown" => account.perhaps_raised += 1,
        _ => account.judge(answer.status, answer.header("retry-after"), &answer.text()),
    }
}

impl Account {
    fn judge(&mut self, status: u16, retry_after: Option<&str>, text: &str) {
        if status != 503 || retry_after.is_none() {
            self.wrong.push(format!("{status} {retry_after:?}: {text}"));
        }
    }

    /// Compares what was told with what is there: everything acknowledged and nothing refused, each
    /// note once, the counter raised as often as was said.
    #[track_caller]
    pub fn holds(&self, notes: &[u64], counter: u64) {
        assert_eq!(self.wrong, [""; 0]);
        let there: BTreeSet<u64> = notes.iter().copied().collect();
        assert_eq!(there.len(), notes.len(), "a note was written twice");
        let lost: Vec<_> = self.written.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let undead: Vec<_> = self.refused.intersection(&there).collect();
        assert!(undead.is_empty(), "refused and there: {undead:?}");
        let told = self.raised..=self.raised + self.perhaps_raised;
        assert!(told.contains(&counter), "{counter} is not in {told:?}");
    }
}
