//! The way of a write from the caller to the truth.
//!
//! New documents get their id, times and defaults; hooks take part; passwords become hashes. Only
//! then does a transaction go to the truth, which decides.

use nubo_core::{
    Error, Result,
    caller::Caller,
    change::Action,
    clock,
    schema::Collection,
    time::Timestamp,
    value::Value,
    write::{Operation, Outcome, Sequence, Transaction},
};

use crate::Tiers;

impl Tiers {
    /// Executes operations as one transaction.
    pub(crate) async fn write_together(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
    ) -> Result<Vec<Outcome>> {
        let asked = operations.len();
        let transaction = self.prepare(caller, operations, self.clock.now()).await?;
        let carried = transaction.operations.len();
        let results = self
            .truth
            .transact(vec![transaction], Sequence::Independent);
        outcomes_of(results.await.into_iter().next(), asked, carried)
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
        let mut transactions = Vec::with_capacity(asked);
        // Why an operation does not reach the truth, or how many operations it has become.
        let mut prepared: Vec<Result<usize>> = Vec::with_capacity(asked);
        for operation in operations {
            match self.prepare(caller, vec![operation], now).await {
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
            false => self.truth.transact(transactions, sequence).await,
        }
        .into_iter();

        let mut stopped = false;
        let mut results = Vec::with_capacity(asked);
        for prepared in prepared {
            let result = match prepared {
                // What the truth refused came first.
                Err(_) if stopped => Err(not_tried()),
                Err(error) => Err(error),
                Ok(carried) => outcomes_of(answers.next(), 1, carried).and_then(|mut outcomes| {
                    let missing = || Error::internal("the truth gave no outcome");
                    outcomes.pop().ok_or_else(missing)
                }),
            };
            stopped |= sequence == Sequence::StopAtError && result.is_err();
            results.push(result);
        }
        results.resize_with(asked, || Err(not_tried()));
        results
    }

    /// Makes a transaction that is fit for the truth.
    async fn prepare(
        &self,
        caller: &Caller,
        operations: Vec<Operation>,
        now: Timestamp,
    ) -> Result<Transaction> {
        let mut transaction = Transaction {
            operations,
            caller: caller.clone(),
            now,
        };
        let asked = transaction.operations.len();
        for operation in &transaction.operations {
            self.permit(caller, operation)?;
        }
        self.complete(&mut transaction, 0)?;
        for hook in self.hooks.get().into_iter().flatten() {
            let before = transaction.operations.len();
            hook.before_write(&mut transaction, &self.catalog).await?;
            if transaction.operations.len() < asked {
                return Err(Error::internal("a hook took operations away"));
            }
            // The next hook finds new documents complete, whoever made them.
            self.complete(&mut transaction, before)?;
        }
        self.hash_passwords(&mut transaction).await?;
        Ok(transaction)
    }

    /// Documents of an append-only collection stay as they are; only the server itself may clean
    /// up.
    fn permit(&self, caller: &Caller, operation: &Operation) -> Result<()> {
        let collection = self.catalog.get(operation.collection());
        let creates = matches!(operation, Operation::Create { .. });
        if !collection.append_only || creates || *caller == Caller::Server {
            return Ok(());
        }
        Err(Error::Forbidden {
            code: "append_only",
            detail: format!(
                "documents of {} cannot be changed or deleted",
                collection.name
            ),
        })
    }

    /// Gives new documents from the `first` operation on what they still lack.
    fn complete(&self, transaction: &mut Transaction, first: usize) -> Result<()> {
        let several = transaction.operations.len() > 1;
        let account = transaction.caller.account_id();
        let now = transaction.now;
        let new_id = || clock::new_id(&*self.clock, &*self.random);
        for (index, operation) in transaction.operations.iter_mut().enumerate().skip(first) {
            let Operation::Create {
                collection,
                document,
            } = operation
            else {
                continue;
            };
            let collection: &Collection = self.catalog.get(*collection);
            let completed = collection.complete(document, now, account, new_id);
            completed.map_err(|error| match several {
                true => error.nested(&format!("/{index}")),
                false => error,
            })?;
        }
        Ok(())
    }

    /// Puts hashes in the place of passwords, one after the other: a single request must not take
    /// every core.
    async fn hash_passwords(&self, transaction: &mut Transaction) -> Result<()> {
        for operation in &mut transaction.operations {
            match operation {
                Operation::Create {
                    collection,
                    document,
                } => {
                    for field in 0..self.catalog.get(*collection).fields().len() {
                        if let Some(value) = document.value_mut(field) {
                            self.hash(value).await?;
                        }
                    }
                }
                Operation::Update { change, .. } => {
                    for step in &mut change.steps {
                        if let Action::Set(value) = &mut step.action {
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
fn not_tried() -> Error {
    Error::Conflict {
        code: "not_tried",
        detail: "an operation before this one failed".into(),
        errors: Vec::new(),
    }
}
