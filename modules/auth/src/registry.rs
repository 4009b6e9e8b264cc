//! What is known in memory of live sessions and their accounts, so that a request is let in or
//! turned away without asking the store.
//!
//! Three rules keep it right:
//!
//! 1. It hears of every commit before the one who made it does ([`Observer`]); what it holds is
//!    replaced then. So a session that was ended is refused from the moment the ending was
//!    acknowledged.
//! 2. What it does not hold is loaded. A load leaves a *fill token* before it asks the store, and
//!    counts only if the token is still there: a commit in between takes it away, and what was
//!    loaded may be older than it.
//! 3. It holds no more than so many; whichever is in the way goes, and is loaded again when needed.
//!
//! No lock is held while the store is asked.
//!
//! All that holds where this process alone writes to the truth. Where others do too, nothing is held
//! here, and the store is asked each time: what it answers is never older than what anybody was
//! told. The other instances are told then when somebody's connections must be looked at.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};

use async_trait::async_trait;
use indexmap::IndexMap;
use nubo_core::{
    bus::{Bus, Channel, Event, What},
    document::Document,
    id::Id,
    observe::{BatchId, Foreign, Observer, Touched},
    schema::CollectionId,
    sessions::Watcher,
    time::Timestamp,
    value::Value,
};

use crate::model::{AccountModel, Model, SessionModel};

/// A session, as far as letting in needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownSession {
    pub account: Id,
    pub expires_at: Timestamp,
    pub revoked: bool,
}

/// An account, as far as letting in and rules need it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct KnownAccount {
    /// The code that says why it is not let in.
    pub refused: Option<&'static str>,
    pub roles: Vec<String>,
    /// What rules mention.
    pub fields: BTreeMap<String, Value>,
}

/// Both, for a limited number of each.
pub(crate) struct Registry {
    sessions: Shelf<KnownSession>,
    accounts: Shelf<KnownAccount>,
    model: Arc<Model>,
    watchers: RwLock<Vec<Arc<dyn Watcher>>>,
    /// Where other instances are told, if there may be any.
    others: Option<Arc<dyn Bus>>,
}

impl Registry {
    /// An empty one for so many sessions. With a bus, there may be other instances, which are told
    /// there.
    pub fn new(model: Arc<Model>, capacity: usize, others: Option<Arc<dyn Bus>>) -> Self {
        Self {
            sessions: Shelf::new(capacity),
            accounts: Shelf::new(capacity),
            model,
            watchers: RwLock::default(),
            others,
        }
    }

    /// Whether it hears of every change, so that what it holds is right.
    pub const fn hears_all(&self) -> bool {
        self.others.is_none()
    }

    /// Tells somebody of every change from now on.
    pub fn watch(&self, watcher: Arc<dyn Watcher>) {
        let watchers = self.watchers.write();
        watchers
            .unwrap_or_else(PoisonError::into_inner)
            .push(watcher);
    }

    /// Tells those who watch that an account looks different now.
    fn tell(&self, account: Id) {
        let watchers = self.watchers.read();
        for watcher in watchers.unwrap_or_else(PoisonError::into_inner).iter() {
            watcher.changed(account);
        }
    }

    /// Tells the other instances whose connections they must look at, if any.
    fn tell_others(&self, changes: &[Arc<Touched>]) {
        let Some(bus) = &self.others else { return };
        let concerned = changes.iter().filter_map(|change| self.concerned(change));
        let events: Vec<Event> = concerned
            .map(|account| Event {
                channels: vec![Channel::accounts()],
                what: What::AccountChanged { account },
            })
            .collect();
        if !events.is_empty() {
            bus.publish(events);
        }
    }

    /// The account whose connections a change concerns. Who is new has none, and a session that is
    /// used goes on.
    fn concerned(&self, change: &Touched) -> Option<Id> {
        let before = change.before.as_ref()?;
        let after = change.after.as_ref();
        if change.collection == self.model.sessions.collection.id {
            let model = &self.model.sessions;
            let was = KnownSession::of(model, before)?;
            let is = after.and_then(|document| KnownSession::of(model, document));
            let goes_on = is.is_some_and(|is| is.account == was.account && !is.revoked);
            (!goes_on).then_some(was.account)
        } else {
            let model = &self.model.accounts;
            let is = after.map(|document| KnownAccount::of(model, document));
            let same = is.is_some_and(|is| is == KnownAccount::of(model, before));
            before.id().filter(|_| !same)
        }
    }

    /// What is known of sessions.
    pub const fn sessions(&self) -> &Shelf<KnownSession> {
        &self.sessions
    }

    /// What is known of accounts.
    pub const fn accounts(&self) -> &Shelf<KnownAccount> {
        &self.accounts
    }
}

#[async_trait]
impl Observer for Registry {
    fn observes(&self, collection: CollectionId) -> bool {
        collection == self.model.sessions.collection.id
            || collection == self.model.accounts.collection.id
    }

    async fn overtaken(&self) {
        self.sessions.clear();
        self.accounts.clear();
    }

    /// Every instance hears of this by itself. Of a session that was deleted nobody knows whose it was;
    /// its connections last as long as the token that they have shown.
    async fn resolve(&self, _: BatchId, foreign: &[Foreign]) {
        self.overtaken().await;
        for document in foreign {
            if document.collection == self.model.accounts.collection.id {
                self.tell(document.id);
            } else if let Some(session) = &document.now
                && let Value::Uuid(account) = session.value(self.model.sessions.account)
            {
                self.tell(Id::from_uuid(*account));
            }
        }
    }

    fn committed(&self, changes: &[Arc<Touched>]) {
        self.tell_others(changes);
        for change in changes {
            let document = change.after.as_ref().or(change.before.as_ref());
            let Some(id) = document.and_then(Document::id) else {
                continue;
            };
            let after = change.after.as_ref();
            if change.collection == self.model.sessions.collection.id {
                let model = &self.model.sessions;
                self.sessions
                    .changed(id, || KnownSession::of(model, after?));
                if let Some(Value::Uuid(account)) = document.map(|d| d.value(model.account)) {
                    self.tell(Id::from_uuid(*account));
                }
            } else if change.collection == self.model.accounts.collection.id {
                self.accounts
                    .changed(id, || Some(KnownAccount::of(&self.model.accounts, after?)));
                self.tell(id);
            }
        }
    }
}

impl KnownSession {
    /// None where the document is no session, which the schema rules out.
    pub fn of(model: &SessionModel, document: &Document) -> Option<Self> {
        let Value::Uuid(account) = document.value(model.account) else {
            return None;
        };
        let Value::Timestamp(expires_at) = document.value(model.expires_at) else {
            return None;
        };
        Some(Self {
            account: Id::from_uuid(*account),
            expires_at: *expires_at,
            revoked: *document.value(model.revoked) == Value::Bool(true),
        })
    }
}

impl KnownAccount {
    pub fn of(model: &AccountModel, document: &Document) -> Self {
        let fields = model.mentioned.iter();
        Self {
            refused: model.refusal(document),
            roles: model.roles_of(document),
            fields: fields
                .map(|(name, index)| (name.clone(), document.value(*index).clone()))
                .collect(),
        }
    }
}

impl AccountModel {
    /// The code that says why an account is not let in.
    pub fn refusal(&self, document: &Document) -> Option<&'static str> {
        let state = self.state.as_ref()?;
        let value = document.value(state.field);
        let refused = state.refused.iter();
        refused
            .filter(|(refused, _)| refused.same(value))
            .map(|(_, code)| *code)
            .next()
    }

    /// The fields that [`KnownAccount`] is made of.
    pub fn known_fields(&self) -> Vec<usize> {
        let mentioned = self.mentioned.iter().map(|(_, index)| *index);
        let state = self.state.as_ref().map(|state| state.field);
        mentioned.chain(state).chain(self.roles).collect()
    }

    /// Whether the account was deleted by its owner.
    pub fn is_deleted(&self, document: &Document) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| {
            let deleted = state.deleted.as_ref();
            deleted.is_some_and(|deleted| deleted.same(document.value(state.field)))
        })
    }

    /// The account's roles.
    pub fn roles_of(&self, document: &Document) -> Vec<String> {
        let Some(Value::List(items)) = self.roles.map(|index| document.value(index)) else {
            return Vec::new();
        };
        let role = |item: &Value| match item {
            Value::Text(role) => Some(role.clone()),
            _ => None,
        };
        items.iter().filter_map(role).collect()
    }
}

/// Things by their id, a limited number of them.
pub(crate) struct Shelf<T> {
    entries: RwLock<Entries<T>>,
    capacity: usize,
}

struct Entries<T> {
    map: IndexMap<Id, Entry<T>>,
    /// Number of the last fill token.
    next: u64,
    /// Where the next thing is thrown out.
    hand: usize,
}

enum Entry<T> {
    Known(T),
    /// Is being loaded; the number of the fill token.
    Loading(u64),
}

/// Leave to put down what is being loaded.
pub(crate) struct Fill<'a, T> {
    shelf: &'a Shelf<T>,
    id: Id,
    token: u64,
}

impl<T> Shelf<T> {
    fn new(capacity: usize) -> Self {
        let entries = Entries {
            map: IndexMap::new(),
            next: 0,
            hand: 0,
        };
        Self {
            entries: RwLock::new(entries),
            capacity: capacity.max(1),
        }
    }

    /// What is known under this id, as `read` takes it.
    pub fn get<R>(&self, id: Id, read: impl FnOnce(&T) -> R) -> Option<R> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        match entries.map.get(&id) {
            Some(Entry::Known(known)) => Some(read(known)),
            Some(Entry::Loading(_)) | None => None,
        }
    }

    /// Leaves a fill token. To be called before the store is asked.
    pub fn fill(&self, id: Id) -> Fill<'_, T> {
        let mut entries = self.write();
        let token = match entries.map.get(&id) {
            // Nothing has changed since that one was left, so it does for this load too.
            Some(Entry::Loading(token)) => *token,
            // Somebody was faster. A token that is not there never counts.
            Some(Entry::Known(_)) => entries.next_token(),
            None => {
                let token = entries.next_token();
                entries.make_room(self.capacity);
                entries.map.insert(id, Entry::Loading(token));
                token
            }
        };
        Fill {
            shelf: self,
            id,
            token,
        }
    }

    /// Something was committed about this id: what is held is replaced, and what is being loaded
    /// does not count any more.
    fn changed(&self, id: Id, new: impl FnOnce() -> Option<T>) {
        let mut entries = self.write();
        let is_known = match entries.map.get(&id) {
            None => return,
            Some(Entry::Known(_)) => true,
            Some(Entry::Loading(_)) => false,
        };
        match is_known.then(new).flatten() {
            Some(new) => {
                entries.map.insert(id, Entry::Known(new));
            }
            None => {
                entries.map.swap_remove(&id);
            }
        }
    }

    /// Nothing is known any longer, and nothing that is being loaded counts.
    fn clear(&self) {
        let mut entries = self.write();
        entries.map.clear();
        entries.hand = 0;
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries<T>> {
        // Nothing panics while it holds the lock and leaves an entry half changed.
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.write().map.len()
    }
}

impl<T> Entries<T> {
    fn next_token(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Throws something out where there is no room for one more.
    fn make_room(&mut self, capacity: usize) {
        while self.map.len() >= capacity {
            // The last entry moves to the place of the one that goes, so the hand comes by all.
            self.hand = (self.hand + 1) % self.map.len();
            self.map.swap_remove_index(self.hand);
        }
    }

    fn holds(&self, id: Id, token: u64) -> bool {
        matches!(self.map.get(&id), Some(Entry::Loading(own)) if *own == token)
    }
}

impl<T> Fill<'_, T> {
    /// Puts down what was loaded, unless something was committed about it meanwhile.
    pub fn put(self, loaded: T) {
        let mut entries = self.shelf.write();
        if entries.holds(self.id, self.token) {
            entries.map.insert(self.id, Entry::Known(loaded));
        }
    }
}

impl<T> Drop for Fill<'_, T> {
    /// A load that found nothing, failed or was given up leaves nothing behind.
    fn drop(&mut self) {
        let mut entries = self.shelf.write();
        if entries.holds(self.id, self.token) {
            entries.map.swap_remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Id {
        Id::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn held(shelf: &Shelf<u8>, number: u128) -> Option<u8> {
        shelf.get(id(number), |value| *value)
    }

    #[test]
    fn what_is_loaded_is_held() {
        let shelf = Shelf::new(10);
        let fill = shelf.fill(id(1));
        assert_eq!(held(&shelf, 1), None);
        fill.put(7);
        assert_eq!(held(&shelf, 1), Some(7));
    }

    #[test]
    fn a_commit_during_a_load_makes_it_worthless() {
        let shelf = Shelf::new(10);
        let fill = shelf.fill(id(1));
        shelf.changed(id(1), || Some(8));
        fill.put(7);
        assert_eq!(held(&shelf, 1), None, "7 may be older than 8");

        // Also where another load has begun since.
        let old = shelf.fill(id(1));
        shelf.changed(id(1), || Some(8));
        let new = shelf.fill(id(1));
        old.put(7);
        assert_eq!(held(&shelf, 1), None);
        new.put(8);
        assert_eq!(held(&shelf, 1), Some(8));
    }

    #[test]
    fn a_commit_replaces_what_is_held_and_nothing_else() {
        let shelf = Shelf::new(10);
        shelf.fill(id(1)).put(7);
        shelf.changed(id(1), || Some(8));
        assert_eq!(held(&shelf, 1), Some(8));
        shelf.changed(id(2), || Some(9));
        assert_eq!(held(&shelf, 2), None);
        shelf.changed(id(1), || None);
        assert_eq!(held(&shelf, 1), None);
    }

    #[test]
    fn loads_at_the_same_time_share_their_token() {
        let shelf = Shelf::new(10);
        let (first, second) = (shelf.fill(id(1)), shelf.fill(id(1)));
        first.put(7);
        second.put(7);
        assert_eq!(held(&shelf, 1), Some(7));
    }

    #[test]
    fn a_load_that_is_given_up_leaves_nothing() {
        let shelf = Shelf::<u8>::new(10);
        drop(shelf.fill(id(1)));
        assert_eq!(shelf.len(), 0);
    }

    #[test]
    fn it_holds_no_more_than_so_many() {
        let shelf = Shelf::new(10);
        for number in 0..100 {
            shelf.fill(id(number)).put(number as u8);
            assert!(shelf.len() <= 10);
            assert_eq!(held(&shelf, number), Some(number as u8));
        }
        // All were thrown out in turn, not always the same place.
        let left = (0..90).filter(|number| held(&shelf, *number).is_some());
        assert!(left.count() < 9);
    }
}
