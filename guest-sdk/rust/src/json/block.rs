//! Looking at sixteen bytes of text at once: do they end a plain string?

/// How many bytes are looked at.
const SIZE: usize = 16;

/// The first quote, backslash or control character in a block, found by
/// arithmetic on its words.
#[inline(always)]
pub(super) fn special(block: &[u8; SIZE]) -> Option<usize> {
    let whole = u128::from_le_bytes(*block);
    // The lower half and what is above it.
    let (low, high) = (special_in(whole as u64), special_in((whole >> 64) as u64));
    match (low, high) {
        (0, 0) => None,
        (0, high) => Some(8 + high.trailing_zeros() as usize / 8),
        (low, _) => Some(low.trailing_zeros() as usize / 8),
    }
}

/// The high bit of every byte of a word that is special (and, harmlessly, of
/// some above the lowest such byte).
#[inline(always)]
fn special_in(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = zeros(word ^ (ONES * u64::from(b'"')));
    let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGH
}
