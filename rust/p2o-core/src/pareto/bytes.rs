//! A compact serialised form: numbers little-endian, counts as LEB128, a checksum at the end.
//!
//! Only what was inserted is stored; reading inserts it again, so a front read back obeys every check and equals the
//! one written.

use super::{FrontSettings, Frontier, ParetoError, ParetoFront, Scores};

const MAGIC: &[u8; 4] = b"p2oF";
const VERSION: u8 = 1;
const VALUES: u8 = 0;
const WHOLE_COUNTS: u8 = 1;
const COUNTS: u8 = 2;

impl ParetoFront {
    /// The front as bytes, the same on every platform.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        let settings = self.settings;
        out.push(match settings.frontier {
            Frontier::Instance => 0,
            Frontier::Objective => 1,
            Frontier::Hybrid => 2,
        });
        for number in [settings.prior.0, settings.prior.1, settings.tolerance] {
            out.extend(number.to_le_bytes());
        }
        for count in [self.instances, settings.objectives, self.len()] {
            put_count(&mut out, count as u64);
        }
        for candidate in &self.candidates {
            put_count(&mut out, candidate.parents.len() as u64);
            for &parent in &candidate.parents {
                put_count(&mut out, parent as u64);
            }
            put_scores(&mut out, &candidate.scores);
            out.extend(candidate.objectives.iter().flat_map(|value| value.to_le_bytes()));
        }
        let checksum = fnv1a(&out);
        out.extend(checksum.to_le_bytes());
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// If the bytes are cut off, altered, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParetoError> {
        let (body, checksum) =
            bytes.split_last_chunk::<8>().ok_or(ParetoError::Bytes("there are too few bytes"))?;
        let mut input = Reader(body);
        if input.take::<4>()? != *MAGIC {
            return Err(ParetoError::Bytes("the first bytes are not its mark"));
        }
        if input.take::<1>()? != [VERSION] {
            return Err(ParetoError::Bytes("it was written by another version"));
        }
        if fnv1a(body) != u64::from_le_bytes(*checksum) {
            return Err(ParetoError::Bytes("the checksum does not match, the bytes were altered or cut off"));
        }
        let frontier = match input.take::<1>()? {
            [0] => Frontier::Instance,
            [1] => Frontier::Objective,
            [2] => Frontier::Hybrid,
            _ => return Err(ParetoError::Bytes("its kind of frontier is unknown")),
        };
        let prior = (input.number()?, input.number()?);
        let tolerance = input.number()?;
        let instances = input.count()?;
        let objectives = input.count()?;
        let candidates = input.count()?;
        // Each column of a candidate takes at least a byte, so absurd sizes fail before memory is asked for.
        let columns = instances.saturating_add(objectives);
        if columns > if candidates == 0 { 1 << 26 } else { body.len() } {
            return Err(ParetoError::Bytes("it is shorter than its sizes say"));
        }
        let mut front =
            Self::with_settings(instances, FrontSettings { objectives, frontier, prior, tolerance })?;
        for _ in 0..candidates {
            let count = input.count()?;
            let parents = (0..count).map(|_| input.count()).collect::<Result<Vec<_>, _>>()?;
            let scores = input.scores(instances)?;
            let values = input.numbers(objectives)?;
            front.insert_with(scores, &values, &parents)?;
        }
        if input.0.is_empty() { Ok(front) } else { Err(ParetoError::Bytes("bytes are left over")) }
    }
}

fn put_count(out: &mut Vec<u8>, mut count: u64) {
    while count >= 0x80 {
        out.push(count as u8 | 0x80);
        count >>= 7;
    }
    out.push(count as u8);
}

fn put_scores(out: &mut Vec<u8>, scores: &Scores) {
    match scores {
        Scores::Values(values) => {
            out.push(VALUES);
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        Scores::Counts { successes, trials } => {
            let whole = successes.iter().all(|won| won.fract() == 0.0);
            out.push(if whole { WHOLE_COUNTS } else { COUNTS });
            for (&won, &tried) in successes.iter().zip(trials) {
                if whole {
                    put_count(out, won as u64);
                } else {
                    out.extend(won.to_le_bytes());
                }
                put_count(out, u64::from(tried));
            }
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ParetoError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(ParetoError::Bytes("it is cut off"))?;
        self.0 = tail;
        Ok(*head)
    }

    fn number(&mut self) -> Result<f64, ParetoError> {
        Ok(f64::from_le_bytes(self.take()?))
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<f64>, ParetoError> {
        (0..count).map(|_| self.number()).collect()
    }

    fn count(&mut self) -> Result<usize, ParetoError> {
        let mut count = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            count |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(count).map_err(|_| ParetoError::Bytes("a count is too large"));
            }
        }
        Err(ParetoError::Bytes("a count does not end"))
    }

    fn scores(&mut self, instances: usize) -> Result<Scores, ParetoError> {
        let [kind] = self.take()?;
        if kind == VALUES {
            return Ok(Scores::Values(self.numbers(instances)?));
        }
        if kind != WHOLE_COUNTS && kind != COUNTS {
            return Err(ParetoError::Bytes("a kind of scores is unknown"));
        }
        let mut successes = Vec::with_capacity(instances);
        let mut trials = Vec::with_capacity(instances);
        for _ in 0..instances {
            successes.push(if kind == COUNTS { self.number()? } else { self.count()? as f64 });
            let tried = u32::try_from(self.count()?);
            trials.push(tried.map_err(|_| ParetoError::Bytes("a number of trials is too large"))?);
        }
        Ok(Scores::Counts { successes, trials })
    }
}

/// 64-bit FNV-1a.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}
