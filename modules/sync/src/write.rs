//! The way of a write from the caller to the truth.
//!
//! New documents get their id, times and defaults; hooks take part; passwords become hashes. Only
//! then does a transaction go to the truth, which decides.

use nubo_core::{
    Error, Result,
    caller::Caller,
    change::Action,
    clock,
    id::Id,
    schema::{Collection, CollectionId},
    time::Timestamp,
    value::Value,
    write::{Operation, Outcome, Sequence, Transaction},
};

use crate::Tiers;

impl Tiers {
    /// Executes operations as one transaction, with the server's own behind them.
    pub(crate) async fn write_together(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        own: Vec<Operation>,
    ) -> Result<Vec<Outcome>> {
        let asked = operations.len();
        let collections = collections_of(&operations);
        let now = self.clock.now();
        let transaction = self.prepare(caller, operations, own, now).await?;
        let carried = transaction.operations.len();
        let results = self.hand_over(vec![transaction], Sequence::Independent);
        let mut outcomes = outcomes_of(results.await.into_iter().next(), asked, carried)?;
        self.mask(caller, &collections, &mut outcomes).await?;
        Ok(outcomes)
    }

    /// Executes each operation as a transaction of its own, all of them handed over at once.
    pub(crate) async fn write_apart(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        sequence: Sequence,
    ) -> Vec<Result<Outcome>> {
        let now = self.clock.now();
        let asked = operations.len();
        let collections = collections_of(&operations);
        let mut transactions = Vec::with_capacity(asked);
        // Why an operation does not reach the truth, or how many operations it has become.
        let mut prepared: Vec<Result<usize>> = Vec::with_capacity(asked);
        for operation in operations {
            let alone = self.prepare(caller, vec![operation], Vec::new(), now);
            match alone.await {
                Ok(transaction) => {
                    prepared.push(Ok(transaction.operations.len()));
                    transactions.push(transaction);
                }
                Err(error) => {
                    prepared.push(Err(error));
                    if sequence == Sequence::StopAtError {
                        break;
                    }
                }
            }
        }
        let mut answers = match transactions.is_empty() {
            true => Vec::new(),
            false => self.hand_over(transactions, sequence).await,
        }
        .into_iter();

        let mut stopped = false;
        let mut results = Vec::with_capacity(asked);
        for (prepared, collection) in prepared.into_iter().zip(collections) {
            let mut result = match prepared {
                // What the truth refused came first.
                Err(_) if stopped => Err(not_tried()),
                Err(error) => Err(error),
                Ok(carried) => outcomes_of(answers.next(), 1, carried).and_then(|mut outcomes| {
                    let missing = || Error::internal("the truth gave no outcome");
                    outcomes.pop().ok_or_else(missing)
                }),
            };
            if let Ok(outcome) = &mut result {
                let outcome = std::slice::from_mut(outcome);
                if let Err(error) = self.mask(caller, &[collection], outcome).await {
                    result = Err(error);
                }
            }
            stopped |= sequence == Sequence::StopAtError && result.is_err();
            results.push(result);
        }
        results.resize_with(asked, || Err(not_tried()));
        results
    }

    /// Hands transactions to the truth: to be carried out at once, or, where all of them can be
    /// answered before that, into its queue.
    async fn hand_over(
        &self,
        transactions: Vec<Transaction>,
        sequence: Sequence,
    ) -> Vec<Result<Vec<Outcome>>> {
        if let Some(behind) = &self.behind {
            if transactions.iter().all(|one| behind.lets_in(one)) {
                return self.accept(behind, transactions, sequence).await;
            }
            if transactions.iter().any(|one| behind.is_met_by(one))
                && let Err(error) = behind.caught_up().await
            {
                return transactions.iter().map(|_| Err(error.copied())).collect();
            }
        }
        self.truth.transact(transactions, sequence).await
    }

    /// Makes a transaction that is fit for the truth.
    async fn prepare(
        &self,
        caller: &Caller,
        mut operations: Vec<Operation>,
        own: Vec<Operation>,
        now: Timestamp,
    ) -> Result<Transaction> {
        let mut permits = Vec::with_capacity(operations.len());
        for operation in &mut operations {
            permits.push(self.permit(caller, now, operation)?);
        }
        let asked = operations.len();
        let kinds: Vec<_> = operations.iter().map(kind).collect();
        operations.extend(own);
        let mut transaction = Transaction {
            operations,
            permits,
            caller: caller.clone(),
            now,
            new_ids: false,
        };
        let mut made = self.complete(&mut transaction, 0)?;
        for hook in self.hooks.get().into_iter().flatten() {
            let before = transaction.operations.len();
            hook.before_write(&mut transaction, &self.catalog).await?;
            // Each must stay in its place, for the permits go by it.
            let now = transaction.operations.iter().take(asked).map(kind);
            if !now.eq(kinds.iter().copied()) {
                return Err(Error::internal("a hook moved operations or took some away"));
            }
            // The next hook finds new documents complete, whoever made them.
            made.extend(self.complete(&mut transaction, before)?);
        }
        // A hook may have given a document another id than was made up.
        let mut operations = transaction.operations.iter().zip(&made);
        transaction.new_ids = operations.all(|(operation, made)| match operation {
            Operation::Create { document, .. } => made.is_some() && document.id() == *made,
            Operation::Update { .. } | Operation::Delete { .. } => true,
        });
        let operations = transaction.operations.iter().take(asked);
        for (operation, permit) in operations.zip(&mut transaction.permits) {
            if let Operation::Create {
                collection,
                document,
            } = operation
                && *caller != Caller::Server
            {
                self.decide_create(*collection, document, permit)?;
            }
        }
        self.hash_passwords(&mut transaction, asked).await?;
        Ok(transaction)
    }

    /// Gives new documents from the `first` operation on what they still lack. Gives the ids that it
    /// has made up, in the places of their operations.
    fn complete(&self, transaction: &mut Transaction, first: usize) -> Result<Vec<Option<Id>>> {
        let several = transaction.operations.len() > 1;
        let account = transaction.caller.account_id();
        let now = transaction.now;
        let new_id = || clock::new_id(&*self.clock, &*self.random);
        let mut made = Vec::with_capacity(transaction.operations.len().saturating_sub(first));
        for (index, operation) in transaction.operations.iter_mut().enumerate().skip(first) {
            let Operation::Create {
                collection,
                document,
            } = operation
            else {
                made.push(None);
                continue;
            };
            let is_named = document.id().is_some();
            let collection: &Collection = self.catalog.get(*collection);
            let completed = collection.complete(document, now, account, new_id);
            completed.map_err(|error| match several {
                true => error.nested(&format!("/{index}")),
                false => error,
            })?;
            made.push(document.id().filter(|_| !is_named));
        }
        Ok(made)
    }

    /// Puts hashes in the place of passwords, one after the other: a single request must not take
    /// every core. The first `asked` operations are the caller's.
    async fn hash_passwords(&self, transaction: &mut Transaction, asked: usize) -> Result<()> {
        let several = transaction.operations.len() > 1;
        let trusted = transaction.caller == Caller::Server;
        for (index, operation) in transaction.operations.iter_mut().enumerate() {
            let collection = self.catalog.get(operation.collection()).clone();
            let check = |field: usize, value: &Value| match trusted || index >= asked {
                true => Ok(()),
                false => self
                    .check_password(&collection.fields()[field].name, value)
                    .map_err(|error| match several {
                        true => error.nested(&format!("/{index}")),
                        false => error,
                    }),
            };
            match operation {
                Operation::Create { document, .. } => {
                    for field in 0..collection.fields().len() {
                        if let Some(value) = document.value_mut(field) {
                            check(field, value)?;
                            self.hash(value).await?;
                        }
                    }
                }
                Operation::Update { change, .. } => {
                    for step in &mut change.steps {
                        if let (Action::Set(value), Some(field)) =
                            (&mut step.action, step.path.whole_field())
                        {
                            check(field, value)?;
                            self.hash(value).await?;
                        }
                    }
                }
                Operation::Delete { .. } => {}
            }
        }
        Ok(())
    }

    async fn hash(&self, value: &mut Value) -> Result<()> {
        if let Value::Secret(password) = value {
            let hash = self.passwords.hash(std::mem::take(password)).await?;
            *value = Value::Text(hash);
        }
        Ok(())
    }
}

/// What an operation does, and where.
fn kind(operation: &Operation) -> (CollectionId, std::mem::Discriminant<Operation>) {
    (operation.collection(), std::mem::discriminant(operation))
}

fn collections_of(operations: &[Operation]) -> Vec<CollectionId> {
    operations.iter().map(Operation::collection).collect()
}

/// The outcomes of the operations that were asked for; what hooks appended is nobody's business.
fn outcomes_of(
    answer: Option<Result<Vec<Outcome>>>,
    asked: usize,
    carried: usize,
) -> Result<Vec<Outcome>> {
    let missing = || Err(Error::internal("the truth gave no answer"));
    let alone = asked == 1 && carried > 1;
    let mut outcomes = answer
        .unwrap_or_else(missing)
        .map_err(|error| match alone {
            true => as_if_alone(error),
            false => error,
        })?;
    outcomes.truncate(asked);
    Ok(outcomes)
}

/// Places in a transaction of several operations begin with the operation's number. Whoever asked
/// for one does not know that hooks have made it several.
fn as_if_alone(mut error: Error) -> Error {
    if let Error::BadRequest { errors, .. }
    | Error::Conflict { errors, .. }
    | Error::Invalid(errors) = &mut error
    {
        for violation in errors {
            if let Some(inside) = violation.path.strip_prefix("/0") {
                violation.path = inside.to_owned();
            }
        }
    }
    error
}

/// What an operation gets that comes after one that failed.
pub(crate) fn not_tried() -> Error {
    Error::Conflict {
        code: "not_tried",
        detail: "an operation before this one failed".into(),
        errors: Vec::new(),
    }
}
