//! Sixteen bytes of text looked at in one go: the answer is a mask with bit n for byte n.
//!
//! Every x86-64 and every aarch64 has vector instructions for this; other processors do it with two 64-bit words.

/// So many bytes.
pub const LANE: usize = 16;

/// The bytes of `lane` that are `byte`.
#[inline(always)]
pub fn equal(lane: &[u8; LANE], byte: u8) -> u32 {
    arch::equal(lane, byte)
}

/// The bytes of `lane` that JSON text in ASCII cannot hold as they are: `"`, `\`, control characters, those from 0x80 on.
#[inline(always)]
pub fn unclean(lane: &[u8; LANE]) -> u32 {
    arch::unclean(lane)
}

/// The bytes of `lane` below `low` or above `high`.
#[inline(always)]
pub fn outside(lane: &[u8; LANE], low: u8, high: u8) -> u32 {
    arch::outside(lane, low, high)
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod arch {
    use super::LANE;
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_min_epu8, _mm_movemask_epi8,
        _mm_or_si128, _mm_set1_epi8,
    };

    #[inline(always)]
    pub(super) fn equal(lane: &[u8; LANE], byte: u8) -> u32 {
        // SAFETY: SSE2 is part of x86-64; the load reads the sixteen bytes of the lane, wherever they are.
        unsafe { _mm_movemask_epi8(same(load(lane), byte)) as u32 }
    }

    #[inline(always)]
    pub(super) fn unclean(lane: &[u8; LANE]) -> u32 {
        // SAFETY: as above.
        unsafe {
            let text = load(lane);
            // As signed numbers, bytes from 0x80 on are below the space, too.
            let low = _mm_cmplt_epi8(text, _mm_set1_epi8(0x20));
            let marks = _mm_or_si128(low, _mm_or_si128(same(text, b'"'), same(text, b'\\')));
            _mm_movemask_epi8(marks) as u32
        }
    }

    #[inline(always)]
    pub(super) fn outside(lane: &[u8; LANE], low: u8, high: u8) -> u32 {
        // SAFETY: as above.
        unsafe {
            let text = load(lane);
            let nearest = _mm_min_epu8(_mm_max_epu8(text, _mm_set1_epi8(low as i8)), _mm_set1_epi8(high as i8));
            _mm_movemask_epi8(_mm_cmpeq_epi8(text, nearest)) as u32 ^ 0xffff
        }
    }

    #[inline(always)]
    unsafe fn load(lane: &[u8; LANE]) -> __m128i {
        // SAFETY: see the callers.
        unsafe { _mm_loadu_si128(lane.as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn same(text: __m128i, byte: u8) -> __m128i {
        // SAFETY: see the callers.
        unsafe { _mm_cmpeq_epi8(text, _mm_set1_epi8(byte as i8)) }
    }
}

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)]
mod arch {
    use super::LANE;
    use std::arch::aarch64::{
        uint8x16_t, vaddv_u8, vandq_u8, vceqq_u8, vcgtq_u8, vcltq_s8, vcltq_u8, vdupq_n_s8, vdupq_n_u8, vget_high_u8,
        vget_low_u8, vld1q_u8, vorrq_u8, vreinterpretq_s8_u8,
    };

    #[inline(always)]
    pub(super) fn equal(lane: &[u8; LANE], byte: u8) -> u32 {
        // SAFETY: NEON is part of aarch64; the load reads the sixteen bytes of the lane, wherever they are.
        unsafe { mask(same(vld1q_u8(lane.as_ptr()), byte)) }
    }

    #[inline(always)]
    pub(super) fn unclean(lane: &[u8; LANE]) -> u32 {
        // SAFETY: as above.
        unsafe {
            let text = vld1q_u8(lane.as_ptr());
            // As signed numbers, bytes from 0x80 on are below the space, too.
            let low = vcltq_s8(vreinterpretq_s8_u8(text), vdupq_n_s8(0x20));
            mask(vorrq_u8(low, vorrq_u8(same(text, b'"'), same(text, b'\\'))))
        }
    }

    #[inline(always)]
    pub(super) fn outside(lane: &[u8; LANE], low: u8, high: u8) -> u32 {
        // SAFETY: as above.
        unsafe {
            let text = vld1q_u8(lane.as_ptr());
            mask(vorrq_u8(vcltq_u8(text, vdupq_n_u8(low)), vcgtq_u8(text, vdupq_n_u8(high))))
        }
    }

    #[inline(always)]
    unsafe fn same(text: uint8x16_t, byte: u8) -> uint8x16_t {
        // SAFETY: see the callers.
        unsafe { vceqq_u8(text, vdupq_n_u8(byte)) }
    }

    /// One bit for each byte of ones.
    #[inline(always)]
    unsafe fn mask(marks: uint8x16_t) -> u32 {
        const BITS: [u8; LANE] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: see the callers.
        unsafe {
            let bits = vandq_u8(marks, vld1q_u8(BITS.as_ptr()));
            u32::from(vaddv_u8(vget_low_u8(bits))) | u32::from(vaddv_u8(vget_high_u8(bits))) << 8
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use words as arch;

#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod words {
    use super::LANE;

    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES * 0x80;
    const LOWS: u64 = ONES * 0x7f;

    #[inline(always)]
    pub(super) fn equal(lane: &[u8; LANE], byte: u8) -> u32 {
        both(lane, |w| same(w, byte))
    }

    #[inline(always)]
    pub(super) fn unclean(lane: &[u8; LANE]) -> u32 {
        both(lane, |w| {
            let printable = (w & LOWS) + ONES * (0x80 - 0x20);
            !printable | w | same(w, b'"') | same(w, b'\\')
        })
    }

    #[inline(always)]
    pub(super) fn outside(lane: &[u8; LANE], low: u8, high: u8) -> u32 {
        both(lane, |w| below(w, low) | !below(w, high) & !same(w, high))
    }

    /// High bits at the bytes below `limit`.
    #[inline(always)]
    fn below(w: u64, limit: u8) -> u64 {
        let limit = ONES * u64::from(limit);
        // Where the high bits differ they decide, else the lower ones.
        let lower = !((w | HIGHS) - (limit & LOWS));
        (!w & limit) | (!(w ^ limit) & lower)
    }

    /// High bits at the bytes that are `byte`.
    #[inline(always)]
    fn same(w: u64, byte: u8) -> u64 {
        let other = w ^ (ONES * u64::from(byte));
        !(((other & LOWS) + LOWS) | other)
    }

    /// The high bits that `marks` sets in the two halves, gathered.
    #[inline(always)]
    fn both(lane: &[u8; LANE], marks: impl Fn(u64) -> u64) -> u32 {
        let gather = |w| {
            // Each bit is moved to its place in the highest byte; no two of them meet.
            ((marks(w) & HIGHS) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *lane;
        let low = gather(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        let high = gather(u64::from_le_bytes([i, j, k, l, m, n, o, p]));
        (low | high << 8) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_a_plain_loop() {
        let plain = |lane: &[u8; LANE], marked: &dyn Fn(u8) -> bool| {
            lane.iter().enumerate().fold(0, |mask, (n, &b)| mask | u32::from(marked(b)) << n)
        };
        let check = |lane: &[u8; LANE], byte: u8| {
            let is = plain(lane, &|b| b == byte);
            assert_eq!((equal(lane, byte), words::equal(lane, byte)), (is, is), "{byte:#x} in {lane:x?}");
            let is = plain(lane, &|b| !(0x20..0x80).contains(&b) || b == b'"' || b == b'\\');
            assert_eq!((unclean(lane), words::unclean(lane)), (is, is), "{lane:x?}");
            for (low, high) in [(byte, 0xff), (0, byte), (byte, byte.saturating_add(9)), (0x21, 0xff), (byte, byte)] {
                let is = plain(lane, &|b| !(low..=high).contains(&b));
                let found = (outside(lane, low, high), words::outside(lane, low, high));
                assert_eq!(found, (is, is), "{low:#x} to {high:#x} in {lane:x?}");
            }
        };
        for b in 0..=255 {
            for at in 0..LANE {
                let mut lane = *b"plain text of 16";
                lane[at] = b;
                lane[(at * 7 + 3) % LANE] = b.wrapping_add(1);
                check(&lane, b);
                check(&lane, b.wrapping_add(1));
            }
            check(&[b; LANE], b);
        }
    }
}
