//! Deliberate mistakes. Each breaks one thing that the promises rest on, so each must be found; a
//! check that does not find them checks nothing.
//!
//! Most are made around the real code, by a storage or a truth that does a step wrongly. Two are in
//! the order in which the store reads, and are switches that exist in this package's build alone.

use nubo_cache::shared;
use nubo_sync::Flaw;

/// What is done wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Mutant {
    /// What was read is put into the cache whatever was announced meanwhile.
    FillWithoutToken,
    /// Batches are announced when they are committed already.
    AnnounceAfterCommit,
    /// Whoever settles last wins, however old.
    RevisionNotCompared,
    /// The end of a document leaves nothing that an older version would meet.
    TombstoneForgotten,
    /// The token of a set's builder is taken when the truth has been read.
    BuildTokenAfterSnapshot,
    /// Whoever leaves a set takes out the entry of a later version, too.
    RemovalIgnoresRevision,
    /// What a set yields is believed.
    NoRecheck,
    /// A document that is about to be changed is thrown out.
    EvictionWithToken,
    /// A document that moves within a set is not put at its new place.
    EntryLostWhenMoved,
    /// What a rule looks up is looked up before the document is read.
    RuleReadFirst,
    /// An answer is believed although the lease has run out.
    LeaseUnchecked,
    /// The gate is closed without waiting for the leases of others.
    LeasesNotAwaited,
    /// A batch is committed whatever has become of the gate since it was announced.
    TermsUnchecked,
    /// A batch is committed although the gate is somebody else's.
    OwnerUnchecked,
    /// An owner takes the gate for its own although others may still read by their leases.
    OwnedAtOnce,
    /// An owner goes by what it had at hand before the gate was its own.
    HandNotEmptied,
    /// What an owner commits before it is announced is read from the cache meanwhile.
    AheadUnchecked,
    /// What changes a document again is announced beside the batch that is ahead.
    AheadNotAwaited,
    /// An owner gives the gate up although something is not announced that it has committed.
    GivenUpEarly,
    /// What somebody has announced who is silent is taken back while they may still commit it.
    FencedLate,
    /// The server of the cache is believed to be the one that it was before it restarted.
    IncarnationUnchecked,
    /// What was read under a token of one epoch counts under the same number in the next.
    TokensOfAnyEpoch,
    /// A command that comes late is carried out in the next epoch.
    EpochUnchecked,
    /// Tokens of batches run out.
    TokensExpire,
    /// What others have written is read before the cache is told that it is out of date.
    HandsReadFirst,
    /// Who looks at the notes of what others write takes those for seen that came just after.
    NotesPassedOver,
    /// Nobody is told that a table was emptied.
    DistrustSkipped,
    /// An answer is believed although nobody has looked for long what others have written.
    WatchUnchecked,
    /// The pending lists are looked at when the recent tier has answered.
    PendingReadAfter,
    /// The recent tier is asked for lists without the moment since when it has everything.
    NoTimeBound,
    /// That moment is another one where a list goes on in the truth.
    TwoBoundaries,
    /// What is brought to the recent tier replaces what is there, however new.
    PromotionOverwrites,
    /// It is noted that the recent tier has what it is about to be brought.
    CoveredEarly,
    /// It is not noticed that the recent tier was set back.
    MarkUnchecked,
    /// The note of a batch goes before its documents are brought.
    NoteRemovedEarly,
    /// What waits is brought to the recent tier as it was, whichever epoch it was written in.
    BatchesOfAnyEpoch,
    /// A backfill beside the keeper moves its mark although the tier may have been set back under it.
    MarkOfAnyTurn,
    /// The pending lists are opened without waiting for what is under way.
    ListsOpenedEarly,
}

impl Mutant {
    /// Those that are made in what one process does.
    pub const ALONE: [Self; 10] = [
        Self::FillWithoutToken,
        Self::AnnounceAfterCommit,
        Self::RevisionNotCompared,
        Self::TombstoneForgotten,
        Self::BuildTokenAfterSnapshot,
        Self::RemovalIgnoresRevision,
        Self::NoRecheck,
        Self::EvictionWithToken,
        Self::EntryLostWhenMoved,
        Self::RuleReadFirst,
    ];

    /// Those that are made in how several agree.
    pub const TOGETHER: [Self; 7] = [
        Self::LeaseUnchecked,
        Self::LeasesNotAwaited,
        Self::TermsUnchecked,
        Self::FencedLate,
        Self::IncarnationUnchecked,
        Self::EpochUnchecked,
        Self::TokensExpire,
    ];

    /// Those that are made in what the gate's owner does.
    pub const OWNED: [Self; 4] = [
        Self::HandNotEmptied,
        Self::AheadUnchecked,
        Self::AheadNotAwaited,
        Self::GivenUpEarly,
    ];

    /// Those that are made in what is done about others, who write beside all instances.
    pub const BY_HAND: [Self; 1] = [Self::DistrustSkipped];

    /// Those that are made about the recent tier.
    pub const RECENT: [Self; 8] = [
        Self::PendingReadAfter,
        Self::NoTimeBound,
        Self::TwoBoundaries,
        Self::PromotionOverwrites,
        Self::CoveredEarly,
        Self::MarkUnchecked,
        Self::NoteRemovedEarly,
        Self::ListsOpenedEarly,
    ];

    /// Those of them that are found soon where several share a cache.
    pub const RECENT_TOGETHER: [Self; 5] = [
        Self::PendingReadAfter,
        Self::NoTimeBound,
        Self::PromotionOverwrites,
        Self::MarkUnchecked,
        Self::BatchesOfAnyEpoch,
    ];

    /// Those that two thousand seeds do not find: what they break takes more coincidence than is drawn,
    /// or another instance makes up for it. That they are mistakes follows by argument alone, so far.
    pub const RARE: [Self; 7] = [
        Self::OwnerUnchecked,
        Self::OwnedAtOnce,
        Self::MarkOfAnyTurn,
        Self::TokensOfAnyEpoch,
        Self::HandsReadFirst,
        Self::NotesPassedOver,
        Self::WatchUnchecked,
    ];

    /// The switch of the shared cache, where it is one.
    pub const fn shared_flaw(self) -> Option<shared::Flaw> {
        match self {
            Self::LeaseUnchecked => Some(shared::Flaw::LeaseUnchecked),
            Self::LeasesNotAwaited => Some(shared::Flaw::LeasesNotAwaited),
            Self::FencedLate => Some(shared::Flaw::FencedLate),
            Self::TokensOfAnyEpoch => Some(shared::Flaw::TokensOfAnyEpoch),
            Self::IncarnationUnchecked => Some(shared::Flaw::IncarnationUnchecked),
            Self::WatchUnchecked => Some(shared::Flaw::WatchUnchecked),
            Self::OwnedAtOnce => Some(shared::Flaw::OwnedAtOnce),
            Self::HandNotEmptied => Some(shared::Flaw::HandNotEmptied),
            Self::AheadUnchecked => Some(shared::Flaw::AheadUnchecked),
            Self::AheadNotAwaited => Some(shared::Flaw::AheadNotAwaited),
            Self::GivenUpEarly => Some(shared::Flaw::GivenUpEarly),
            _ => None,
        }
    }

    /// The switch of the store, where it is one.
    pub const fn flaw(self) -> Option<Flaw> {
        match self {
            Self::NoRecheck => Some(Flaw::NoRecheck),
            Self::RuleReadFirst => Some(Flaw::RuleReadFirst),
            Self::PendingReadAfter => Some(Flaw::PendingReadAfter),
            Self::NoTimeBound => Some(Flaw::NoTimeBound),
            Self::TwoBoundaries => Some(Flaw::TwoBoundaries),
            Self::MarkUnchecked => Some(Flaw::MarkUnchecked),
            Self::NoteRemovedEarly => Some(Flaw::NoteRemovedEarly),
            Self::BatchesOfAnyEpoch => Some(Flaw::BatchesOfAnyEpoch),
            Self::MarkOfAnyTurn => Some(Flaw::MarkOfAnyTurn),
            Self::ListsOpenedEarly => Some(Flaw::ListsOpenedEarly),
            _ => None,
        }
    }
}
