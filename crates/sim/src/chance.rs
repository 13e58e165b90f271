//! The one source of chance. Every choice of a simulation comes from a [`Chance`] that grew out of the seed, so that
//! the seed is the whole story. It knows nothing of what is decided by it.

/// A stream of random numbers (xoshiro256++ by Blackman and Vigna, seeded by SplitMix64 as they advise).
///
/// Whole numbers only: no result depends on how a machine rounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chance {
    state: [u64; 4],
}

impl Chance {
    /// The stream that belongs to a seed.
    #[must_use]
    pub fn new(seed: u64) -> Chance {
        let mut counter = seed;
        let state = [(); 4].map(|()| {
            counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(counter)
        });
        Chance { state }
    }

    /// A stream of its own for one part of the world, so that what one part draws does not shift the others.
    #[must_use]
    pub fn branch(&mut self) -> Chance {
        Chance::new(self.next())
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "an endless stream has no use for the adapters of an iterator")]
    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`, which must not be 0. The bias of the multiplication is below 2^-32 for the bounds
    /// used here.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the upper half of a product of two u64 is a u64")
    }

    /// A position in something that is `length` long, which must not be empty.
    pub fn position(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("a position below a usize is a usize")
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        assert!(least <= most, "an empty range");
        least + self.below(most - least + 1)
    }

    /// A number from `least` to `most` whose order of magnitude is even: 1 to 10 is as likely as 10 to 100.
    pub fn magnitude(&mut self, least: u64, most: u64) -> u64 {
        assert!(0 < least && least <= most, "magnitudes begin above 0");
        let doublings = u64::from((most / least).ilog2()) + 1;
        let low = least << self.below(doublings);
        let high = low.saturating_mul(2).min(most);
        self.between(low.min(high), high)
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// True in `count` of 1000 cases.
    pub fn per_mille(&mut self, count: u64) -> bool {
        self.below(1000) < count
    }

    /// One of several. `None` only if there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.position(from.len())])
    }

    /// Brings things into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for end in (1..things.len()).rev() {
            let other = self.position(end + 1);
            things.swap(end, other);
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood): spreads every bit over all others.
#[must_use]
pub fn mix(value: u64) -> u64 {
    let mut mixed = value;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers_and_another_seed_others() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..8).map(|_| chance.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut chance = Chance::new(1);
        let drawn: Vec<u64> = (0..1000).map(|_| chance.between(3, 7)).collect();
        assert_eq!(drawn.iter().min(), Some(&3));
        assert_eq!(drawn.iter().max(), Some(&7));
        let magnitudes: Vec<u64> = (0..1000).map(|_| chance.magnitude(5, 5000)).collect();
        assert!(magnitudes.iter().all(|drawn| (5..=5000).contains(drawn)));
        assert!(magnitudes.iter().filter(|&&drawn| drawn < 50).count() > 150, "small ones are as likely as large ones");
        assert!(magnitudes.iter().filter(|&&drawn| drawn > 2500).count() > 20, "the largest are reached");
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut chance = Chance::new(1);
        let mut things: Vec<u32> = (0..50).collect();
        chance.shuffle(&mut things);
        assert_ne!(things, (0..50).collect::<Vec<_>>());
        things.sort_unstable();
        assert_eq!(things, (0..50).collect::<Vec<_>>());
    }
}
