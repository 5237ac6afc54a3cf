//! What a mail says, in each of its languages. The languages know only how things are said; what there is to say, and what
//! a script printed, comes from outside.

mod dates;
mod en;
mod fr;
mod ja;
mod ko;
mod phrases;

pub(super) use phrases::{Change, Digested, Headline, Item, Kind, Phrases, Planned, Wanted, Word, phrases};
