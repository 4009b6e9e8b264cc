//! What the subscriptions of an instance are called in Redis.

/// Where all instances hear what is for everybody. No collection and no template has such a name.
pub(super) const EVERYONE: &str = "/everyone";

/// The names of one epoch's subscriptions. Nothing of another epoch is ever heard on them.
pub(super) struct Names {
    on: String,
    pulse: String,
}

/// What a message is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Topic<'a> {
    /// The channel with this name.
    Channel(&'a str),
    /// That this instance still hears.
    Pulse,
}

impl Names {
    pub fn new(prefix: &str, epoch: u64, instance: &str) -> Self {
        Self {
            on: format!("{prefix}{epoch:x}:on:"),
            pulse: format!("{prefix}{epoch:x}:pulse:{instance}"),
        }
    }

    /// The subscription to a channel.
    pub fn of(&self, channel: &str) -> String {
        format!("{}{channel}", self.on)
    }

    /// The subscription to one's own pulse.
    pub fn pulse(&self) -> String {
        self.pulse.clone()
    }

    /// What a subscription is about.
    pub fn topic<'a>(&self, name: &'a str) -> Option<Topic<'a>> {
        match name.strip_prefix(&self.on) {
            Some(channel) => Some(Topic::Channel(channel)),
            None => (name == self.pulse).then_some(Topic::Pulse),
        }
    }
}
