//! The UIDs of a binding that names very many of them.
//!
//! Anybody who may edit a binding may put ten thousand UIDs into it, and into hundreds of bindings. Kept one by one they would take a
//! hundred bytes each; so of such a binding eight bytes a UID are kept, which answer whether it bears one.

use super::subject::Match;
use alibaba_cloud::Uid;
use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;

/// More than so many make a crowd.
pub(crate) const CROWD: usize = 64;

/// Which UIDs a binding bears, and how. Says yes for one that it does not bear once in 2^60 questions, by hashes that nobody outside the
/// process can foresee; whoever asks reads the binding anyway.
#[derive(Debug)]
pub struct Crowd {
    hasher: DefaultHashBuilder,
    /// Sorted; the relation is in the two lowest bits.
    marks: Box<[u64]>,
}

impl Crowd {
    /// Of UIDs in any order; it keeps a hash of each.
    pub fn new(hasher: &DefaultHashBuilder, uids: &[(Uid, Match)]) -> Self {
        let mark = |(uid, relation): &(Uid, Match)| hasher.hash_one(uid) & !3 | bits(*relation);
        let mut marks: Box<[u64]> = uids.iter().map(mark).collect();
        marks.sort_unstable();
        Crowd {
            hasher: hasher.clone(),
            marks,
        }
    }

    /// Whether a subject bears this UID, and relates to it so.
    pub fn relates(&self, uid: Uid, relation: Match) -> bool {
        let mark = self.hasher.hash_one(uid) & !3 | bits(relation);
        self.marks.binary_search(&mark).is_ok()
    }

    pub fn bears(&self, uid: Uid) -> bool {
        Match::ALL.iter().any(|relation| self.relates(uid, *relation))
    }
}

fn bits(relation: Match) -> u64 {
    match relation {
        Match::User => 0,
        Match::OtherSuffix => 1,
        Match::NameOnly => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;

    #[test]
    fn it_knows_who_is_in_it_and_how() {
        let uids: Vec<_> = (1..=10_000)
            .map(|number| (uid(number), if number % 2 == 0 { Match::User } else { Match::NameOnly }))
            .collect();
        let crowd = Crowd::new(&DefaultHashBuilder::default(), &uids);
        assert!(uids.iter().all(|(uid, relation)| crowd.relates(*uid, *relation)));
        assert!(!crowd.relates(uid(1), Match::User) && !crowd.relates(uid(2), Match::OtherSuffix));
        assert!((10_001..20_000).all(|number| !crowd.bears(uid(number))));
        assert_eq!(size_of_val(&*crowd.marks), 80_000);
    }
}
