//! Stretches of sets, built further where somebody asks for more than there is.

use std::borrow::Cow;

use nubo_core::{
    Result,
    access::View,
    cache::{Member, Members, Reach, Scan},
    filter::{Expr, Path, Test},
    id::Revision,
    position::Position,
    query::{Query, Start},
    record::Record,
    schema::Collection,
    store::Tier,
};

use super::{
    Cached, Reading,
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
        let Some(Cached { cache, .. }) = self.cached else {
            return Ok(Err("there is no cache".into()));
        };
        let scan = cache.scan(&names, from.position, least).await?;
        if is_enough(&scan, least) {
            return Ok(Ok(scan));
        }
        // What nobody has come to step by step is not worth reading everything before it.
        if scan.reach == Reach::Nowhere && from.position.is_some() {
            return Ok(Err("nobody has read the list down to there".into()));
        }
        self.ask_recent("a set was not complete in the cache");
        for set in &sets.sets {
            if !self.build(collection, set, from, least.max(STEP)).await? {
                return Ok(Err("a set could not be kept in the cache".into()));
            }
        }
        let scan = cache.scan(&names, from.position, least).await?;
        match is_enough(&scan, least) {
            true => Ok(Ok(scan)),
            false => Ok(Err("the list goes on beyond what the cache keeps".into())),
        }
    }

    /// Reads members of a set from the truth. Whether it has more now.
    async fn build(
        &mut self,
        collection: &Collection,
        set: &PlannedSet,
        from: From<'_>,
        count: usize,
    ) -> Result<bool> {
        let Some(Cached { cache, sets, .. }) = self.cached else {
            return Ok(false);
        };
        let lead = match sets.join(&set.name) {
            Part::Lead(lead) => lead,
            // What the other one has read is there now, or it is not; the next look tells.
            Part::Follow(follow) => return Ok(follow.answer().await.unwrap_or(true)),
        };
        let Some(token) = cache.begin(&set.name).await? else {
            return Ok(false);
        };
        let read = self.members(collection, set, from, count).await?;
        let built = cache.build(&set.name, token, read).await?;
        lead.answer(built);
        Ok(built)
    }

    /// Members of a set as they are now.
    async fn members(
        &mut self,
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
        let recent = match self.tiers.recent.is_some() {
            true => self
                .tiers
                .list_from_recent(&query, &View::all())
                .await?
                .ok(),
            false => None,
        };
        let mut members: Vec<Member> = match recent {
            Some(answer) => {
                if answer.tier == Tier::Truth {
                    self.ask_truth("a set goes on before what the recent tier has");
                }
                let documents = answer.content.documents.iter();
                let members = documents
                    .filter_map(|seen| member(collection, &seen.held.excerpt, seen.held.revision));
                members.collect()
            }
            None => {
                self.ask_truth("a set was not complete in the cache");
                let documents = self.tiers.truth.find(query, &View::all()).await?;
                let documents = documents.iter();
                let members = documents
                    .filter_map(|document| member(collection, document, document.revision()));
                members.collect()
            }
        };
        let to_the_end = members.len() <= count;
        members.truncate(count);
        Ok(Members {
            after: from.position.cloned(),
            members,
            to_the_end,
        })
    }
}

fn member(collection: &Collection, record: &impl Record, revision: Revision) -> Option<Member> {
    Some(Member {
        position: Position::of(&collection.order, record)?,
        revision,
    })
}

fn is_enough(scan: &Scan, least: usize) -> bool {
    match scan.reach {
        Reach::Nowhere => false,
        Reach::To(_) => scan.positions.len() >= least,
        Reach::End => true,
    }
}
