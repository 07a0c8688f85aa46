//! The only source of randomness of a run: a small generator (SplitMix64) started by the seed.

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `from..to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        let width = to.saturating_sub(from);
        from.saturating_add(self.bits().checked_rem(width).unwrap_or(0))
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.between(0, length as u64)).unwrap_or(0)
    }

    /// True once in `times` draws; never if it is 0.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        times > 0 && self.between(0, times) == 0
    }

    pub(crate) fn bytes(&mut self) -> [u8; 16] {
        let number = u128::from(self.bits()) << 64 | u128::from(self.bits());
        number.to_be_bytes()
    }
}
