//! Stretches of sets, built further where somebody asks for more than there is.

use std::{borrow::Cow, sync::Arc};

use nubo_core::{
    Result,
    access::View,
    cache::{Member, Members, Reach, Scan},
    filter::{Expr, Path, Test},
    position::Position,
    query::{Query, Start},
    schema::Collection,
};

use super::{
    Reading,
    flights::Part,
    plan::{PlannedSet, Sets},
};

/// Members that are read at a time, at least: more than a page, so that the next one is there too.
const STEP: usize = 64;

/// A place from which on a list is read.
#[derive(Clone, Copy)]
pub(super) struct From<'a> {
    pub start: &'a Start,
    pub position: Option<&'a Position>,
}

impl From<'_> {
    /// The beginning of a list.
    pub const BEGINNING: From<'static> = From {
        start: &Start::First,
        position: None,
    };
}

impl Reading<'_> {
    /// At least so many documents of a list, or all there are behind its start. The sets are built as
    /// far as that takes. The reason where they cannot be.
    pub async fn stretch(
        &mut self,
        collection: &Collection,
        sets: &Sets,
        from: From<'_>,
        least: usize,
    ) -> Result<Result<Scan, Cow<'static, str>>> {
        let names: Vec<_> = sets.sets.iter().map(|set| set.name.clone()).collect();
        let cache = &self.cached.cache;
        let scan = cache.scan(&names, from.position, least).await?;
        if is_enough(&scan, least) {
            return Ok(Ok(scan));
        }
        // What nobody has come to step by step is not worth reading everything before it.
        if scan.reach == Reach::Nowhere && from.position.is_some() {
            return Ok(Err("nobody has read the list down to there".into()));
        }
        self.ask_truth("a set was not complete in the cache");
        for set in &sets.sets {
            if !self.build(collection, set, from, least.max(STEP)).await? {
                return Ok(Err("a set could not be kept in the cache".into()));
            }
        }
        let cache = Arc::clone(&self.cached.cache);
        let scan = cache.scan(&names, from.position, least).await?;
        match is_enough(&scan, least) {
            true => Ok(Ok(scan)),
            false => Ok(Err("the list goes on beyond what the cache keeps".into())),
        }
    }

    /// Reads members of a set from the truth. Whether it has more now.
    async fn build(
        &self,
        collection: &Collection,
        set: &PlannedSet,
        from: From<'_>,
        count: usize,
    ) -> Result<bool> {
        let lead = match self.cached.sets.join(&set.name) {
            Part::Lead(lead) => lead,
            // What the other one has read is there now, or it is not; the next look tells.
            Part::Follow(follow) => return Ok(follow.answer().await.unwrap_or(true)),
        };
        let cache = &self.cached.cache;
        let Some(token) = cache.begin(&set.name).await? else {
            return Ok(false);
        };
        let read = self.members(collection, set, from, count).await?;
        let built = cache.build(&set.name, token, read).await?;
        lead.answer(built);
        Ok(built)
    }

    /// Members of a set as the truth has them now.
    async fn members(
        &self,
        collection: &Collection,
        set: &PlannedSet,
        from: From<'_>,
        count: usize,
    ) -> Result<Members> {
        let conditions = set.values.iter().map(|(field, value)| {
            let path = Path::to_field(*field, &collection.fields()[*field]);
            Expr::field(path, Test::Equal(value.clone()))
        });
        let query = Query {
            collection: collection.id,
            filter: Expr::All(conditions.collect()),
            sort: collection.order.clone(),
            start: from.start.clone(),
            // One more tells whether the set goes on.
            limit: u32::try_from(count + 1).unwrap_or(u32::MAX),
            fields: None,
        };
        let mut documents = self.tiers.truth.find(query, &View::all()).await?;
        let to_the_end = documents.len() <= count;
        documents.truncate(count);
        let members = documents.iter().filter_map(|document| {
            Some(Member {
                position: Position::of(&collection.order, document)?,
                revision: document.revision(),
            })
        });
        Ok(Members {
            after: from.position.cloned(),
            members: members.collect(),
            to_the_end,
        })
    }
}

fn is_enough(scan: &Scan, least: usize) -> bool {
    match scan.reach {
        Reach::Nowhere => false,
        Reach::To(_) => scan.positions.len() >= least,
        Reach::End => true,
    }
}
