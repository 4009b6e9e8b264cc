//! What is asked or done about many things that lie in several partitions: commands for each of these,
//! and the answers in the order of the things.

use nubo_core::Result;
use redis::Value;

use super::{
    answers::{array, flat},
    failure::{unavailable, unexpected},
    keys::Keys,
    link::Command,
    partitions::Partition,
    scripts::Call,
};

/// Things by their partitions, each with its place in the order in which they were named.
pub(super) struct Spread<T>(Vec<(Partition, usize, T)>);

impl<T> Spread<T> {
    pub fn new(things: impl IntoIterator<Item = (Partition, T)>) -> Self {
        let things = things.into_iter().enumerate();
        let things = things.map(|(place, (partition, thing))| (partition, place, thing));
        let mut things: Vec<_> = things.collect();
        // Those of one partition stay in their order.
        things.sort_by_key(|(partition, ..)| *partition);
        Self(things)
    }

    /// Calls of a script that answers something about each, for as many in one call as it may do
    /// without a pause.
    pub fn calls(
        self,
        mut begin: impl FnMut(Partition) -> Call,
        add: impl Fn(&mut Call, T),
    ) -> Calls {
        let mut calls: Vec<(Partition, Call)> = Vec::new();
        let mut places = Vec::with_capacity(self.0.len());
        for (partition, place, thing) in self.0 {
            let goes_on = |(same, call): &(Partition, Call)| *same == partition && !call.is_full();
            if !calls.last().is_some_and(goes_on) {
                calls.push((partition, begin(partition)));
            }
            if let Some((_, call)) = calls.last_mut() {
                add(call, thing);
                places.push(place);
            }
        }
        Calls {
            commands: calls.iter().map(|(_, call)| call.command()).collect(),
            places,
        }
    }
}

/// Calls about many things.
#[derive(Default)]
pub(super) struct Calls {
    pub commands: Vec<Command>,
    /// Which thing each answer is about.
    places: Vec<usize>,
}

impl Calls {
    /// What is answered about each thing.
    pub fn read(&self, answers: Vec<Value>) -> Result<Vec<Value>> {
        Ok(in_order(&self.places, flat(answers, self.places.len())?))
    }
}

/// Keys at which is looked, where the epoch is there.
pub(super) struct Questions(Spread<Vec<u8>>);

impl Questions {
    pub fn new(keys: impl IntoIterator<Item = (Partition, Vec<u8>)>) -> Self {
        Self(Spread::new(keys))
    }

    fn groups(&self) -> impl Iterator<Item = &[(Partition, usize, Vec<u8>)]> {
        self.0.0.chunk_by(|a, b| a.0 == b.0)
    }

    pub fn commands(&self, keys: &Keys) -> Vec<Command> {
        let command = |group: &[(Partition, usize, Vec<u8>)]| {
            let partition = group.first().map_or(Partition::FIRST, |(own, ..)| *own);
            let mut command = redis::cmd("MGET");
            command.arg(keys.epoch(partition));
            for (_, _, key) in group {
                command.arg(&key[..]);
            }
            Command::new(command, keys.slot(partition), 1 + group.len())
        };
        self.groups().map(command).collect()
    }

    /// What is there under each key.
    pub fn read(&self, answers: impl IntoIterator<Item = Value>) -> Result<Vec<Value>> {
        let (mut answers, mut found) = (answers.into_iter(), Vec::with_capacity(self.0.0.len()));
        for group in self.groups() {
            let short = || unexpected("as many as it was asked for");
            let mut values = array(answers.next().ok_or_else(short)?)?.into_iter();
            if let None | Some(Value::Nil) = values.next() {
                return Err(unavailable("what Redis held is gone"));
            }
            if values.len() != group.len() {
                return Err(short());
            }
            found.extend(values);
        }
        let places: Vec<usize> = self.0.0.iter().map(|(_, place, _)| *place).collect();
        Ok(in_order(&places, found))
    }
}

/// Values by their places.
fn in_order(places: &[usize], values: Vec<Value>) -> Vec<Value> {
    if places.is_sorted() {
        return values;
    }
    let mut ordered = vec![Value::Nil; values.len()];
    for (place, value) in places.iter().zip(values) {
        ordered[*place] = value;
    }
    ordered
}
