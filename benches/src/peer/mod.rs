//! The two servers under test behind one trait: how each is started, filled and asked.
//!
//! What differs between them is here and nowhere else. Nothing in this module runs while a round
//! is measured: the generator only gets the [`Routes`].

mod node;
mod nubo;
mod pocketbase;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use fastrand::Rng;

pub use node::Node;
pub use nubo::{Nubo, load as load_nubo};
pub use pocketbase::PocketBase;

use crate::client::Client;
use crate::dataset::Dataset;
use crate::interrupt::Interrupt;

/// The paths of the three requests; `{}` stands for the id, or the conversation's id.
pub struct Routes {
    /// POST: create one message.
    pub create: &'static str,
    /// GET: one message by id.
    pub read: &'static str,
    /// GET: the newest 20 messages of a conversation.
    pub list: &'static str,
}

/// Names in the answers that the two servers choose differently.
pub struct Names {
    /// The key of a list's documents.
    pub list: &'static str,
    /// The field with a document's time of creation.
    pub created: &'static str,
}

/// A server that can be started.
pub trait Program {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// The command that serves the folder `data` on 127.0.0.1 and `port`, in the foreground.
    fn command(&self, data: &Path, port: u16) -> Command;

    /// A path that answers 200 as soon as the server serves.
    fn ready_path(&self) -> &'static str;
}

/// A server that stores messages.
pub trait Peer: Program {
    /// The measured requests.
    fn routes(&self) -> Routes;

    /// The names in its answers.
    fn names(&self) -> Names;

    /// What has to happen in an empty folder before the server's first start.
    fn initialize(&self, data: &Path, interrupt: &Interrupt) -> Result<()>;

    /// Defines the collection, with open access, on the running server.
    fn define(&self, client: &mut Client) -> Result<()>;

    /// An id for the loaded document number `index`, of the kind the server makes by itself.
    fn id(&self, index: usize, rng: &mut Rng) -> String;

    /// Stores the dataset's messages under `ids`.
    fn load(
        &self,
        address: SocketAddr,
        dataset: &Dataset,
        ids: &[String],
        interrupt: &Interrupt,
    ) -> Result<()>;
}
