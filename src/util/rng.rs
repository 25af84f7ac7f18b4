//! A small seedable random number generator, for jitter and sampling; never for secrets.

/// SplitMix64: one add and three mixes a number, any seed is good.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose whole sequence follows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number from `low` to `high`, both included, each as likely; `low` when the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        if high <= low {
            return low;
        }
        let span = high - low;
        if span == u64::MAX {
            return self.next_u64();
        }
        let count = span + 1;
        // Multiply and keep the high half; low halves under `bias` would favour some numbers and are drawn again.
        let bias = count.wrapping_neg() % count;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(count);
            if wide as u64 >= bias {
                return low + (wide >> 64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sequence() {
        let mut rng = Rng::new(0);
        assert_eq!(rng.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(rng.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn ranges() {
        let mut rng = Rng::new(7);
        let mut seen = [0u32; 6];
        for _ in 0..6000 {
            let n = rng.between(10, 15);
            seen[(n - 10) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
        assert_eq!(rng.between(5, 5), 5);
        assert_eq!(rng.between(5, 4), 5);
        rng.between(0, u64::MAX);
        for _ in 0..100 {
            assert!(rng.between(u64::MAX - 1, u64::MAX) >= u64::MAX - 1);
        }
    }
}
