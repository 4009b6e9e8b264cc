//! The data every round starts from: made once per server, copied fresh for each round.
//!
//! A round that writes must not leave a larger table to the next one, and no round is to meet
//! another round's cache; so each gets its own copy and its own process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;

use crate::client::Client;
use crate::dataset::Dataset;
use crate::interrupt::Interrupt;
use crate::peer::Peer;
use crate::server::Server;

/// A server's folders: the collection defined and empty, and the same with the documents.
pub struct Fixture {
    folder: PathBuf,
    /// Ids of the loaded documents, in the order of the dataset.
    pub ids: Vec<String>,
}

impl Fixture {
    /// Sets `peer` up below `root`; loads the documents only `with_documents`.
    pub fn prepare(
        peer: &dyn Peer,
        root: &Path,
        dataset: &Dataset,
        with_documents: bool,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let fixture = Self::empty(peer, root, interrupt)?;
        if !with_documents {
            return Ok(fixture);
        }
        let mut rng = Rng::with_seed(1);
        let ids: Vec<String> = (0..dataset.documents)
            .map(|index| peer.id(index, &mut rng))
            .collect();
        fixture.fill(peer, interrupt, |address| {
            peer.load(address, dataset, &ids, interrupt)
        })?;
        Ok(Self { ids, ..fixture })
    }

    /// Sets `peer` up below `root`, without any document.
    pub fn empty(peer: &dyn Peer, root: &Path, interrupt: &Interrupt) -> Result<Self> {
        let folder = root.join(peer.name());
        let empty = folder.join("empty");
        fs::create_dir_all(&empty)?;
        peer.initialize(&empty, interrupt)?;
        let server = Server::start(peer, &empty, interrupt)?;
        let mut client = Client::connect(server.address, Duration::from_secs(30))?;
        peer.define(&mut client)
            .with_context(|| format!("setting {} up", peer.name()))?;
        drop(client);
        server.stop()?;
        Ok(Self {
            folder,
            ids: Vec::new(),
        })
    }

    /// Makes the folder with documents: a copy of the empty one that `load` has filled.
    pub fn fill(
        &self,
        peer: &dyn Peer,
        interrupt: &Interrupt,
        load: impl FnOnce(SocketAddr) -> Result<()>,
    ) -> Result<()> {
        let started = Instant::now();
        let loaded = self.folder.join("loaded");
        copy(&self.folder.join("empty"), &loaded)?;
        let server = Server::start(peer, &loaded, interrupt)?;
        load(server.address).with_context(|| format!("loading {}", peer.name()))?;
        server.stop()?;
        eprintln!("{}: loaded in {:.1?}", peer.name(), started.elapsed());
        Ok(())
    }

    /// A fresh copy of the folder to run a server on; it replaces the copy made before.
    pub fn fresh(&self, with_documents: bool) -> Result<PathBuf> {
        let work = self.folder.join("work");
        if work.exists() {
            fs::remove_dir_all(&work)?;
        }
        copy(
            &self
                .folder
                .join(if with_documents { "loaded" } else { "empty" }),
            &work,
        )?;
        // What was just written, and what the last round left, must not be flushed to disk while
        // the next round is measured.
        rustix::fs::sync();
        Ok(work)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
