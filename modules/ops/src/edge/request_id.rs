//! An id for every request, in its answer and in the log.

use std::sync::atomic::{AtomicU64, Ordering};

use nubo_core::clock::Random;
use poem::{
    Request,
    http::{HeaderName, HeaderValue},
};

/// The header that carries the id, in requests and answers.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over from a client.
const MAX_LENGTH: usize = 128;

/// Gives out ids: SplitMix64 (Steele, Lea and Flood 2014) from a random seed. No two of a process
/// are the same, for its steps are a permutation of 64 bits; they need not be secret.
pub(super) struct RequestIds(AtomicU64);

impl RequestIds {
    pub(super) fn new(random: &dyn Random) -> Self {
        let mut seed = [0; 8];
        random.fill(&mut seed);
        Self(AtomicU64::new(u64::from_le_bytes(seed)))
    }

    /// The id that the client, or a proxy before us, gave the request; else a new one.
    pub(super) fn of(&self, request: &Request) -> HeaderValue {
        match request.headers().get(HEADER) {
            Some(given) if is_sane(given.as_bytes()) => given.clone(),
            _ => self.next(),
        }
    }

    fn next(&self) -> HeaderValue {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let mut text = [0; 16];
        for (index, digit) in text.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(mixed >> (60 - 4 * index)) as usize & 15];
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// Visible ASCII of moderate length: fit for logs and headers of all kinds.
fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}
