//! What parses bytes of strangers, under bytes that no honest party sends: one file for each thing that is parsed.
//!
//! ```text
//! make test    each target on some thousand random inputs, and on every input that ever failed (`__fuzz__/…/crashes`)
//! make fuzz    the same targets, guided by coverage (libFuzzer), a minute each or TIME="10min"
//! ```
//!
//! Random bytes seldom get past the first check, so most inputs are good ones with [`Damage`].

mod client;
mod config;
mod deliveries;
mod envelope;
mod keys;

use bolero::{TypeGenerator, generator::produce};

/// What is done to a good input. All of it is drawn from the bytes of the fuzzing engine.
#[derive(Debug, TypeGenerator)]
struct Damage {
    /// Which of the good inputs; past the last one there is none to begin with.
    which: u8,
    /// Bytes that are put in place of others.
    #[generator(produce::<Vec<(u16, u8)>>().with().len(0_usize..4))]
    changes: Vec<(u16, u8)>,
    /// Where it is cut, if the place is within.
    cut: u16,
    /// What follows it.
    #[generator(produce::<Vec<u8>>().with().len(0_usize..40))]
    tail: Vec<u8>,
}

impl Damage {
    /// One of `good`, damaged.
    fn of<T: AsRef<[u8]>>(&self, good: &[T]) -> Vec<u8> {
        let good = good.get(usize::from(self.which) % (good.len() + 1));
        let mut bytes = good.map(|good| good.as_ref().to_vec()).unwrap_or_default();
        for (at, byte) in &self.changes {
            let at = usize::from(*at) % bytes.len().max(1);
            if let Some(place) = bytes.get_mut(at) {
                *place = *byte;
            }
        }
        bytes.truncate(usize::from(self.cut));
        bytes.extend(&self.tail);
        bytes
    }

    /// The same as text.
    fn text_of(&self, good: &[&str]) -> String {
        String::from_utf8_lossy(&self.of(good)).into_owned()
    }
}
