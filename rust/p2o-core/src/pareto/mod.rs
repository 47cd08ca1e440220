//! Per-instance Pareto fronts over candidates.
//!
//! A candidate (a prompt template) is scored on every instance (a problem). On each instance the candidates with the
//! best score form that instance's *front*; the union of the fronts is what is worth keeping, because its members
//! are good at different things (GEPA, arXiv 2507.19457, algorithm 2).
//!
//! ```
//! use p2o_core::pareto::ParetoFront;
//!
//! let mut front = ParetoFront::new(3);
//! let plain = front.insert(&[0.0, 0.0, 1.0])?;
//! let units = front.insert(&[1.0, 0.0, 0.0])?;
//! let both = front.insert(&[1.0, 0.0, 1.0])?;
//! assert_eq!(front.members(0)?, [units, both]);
//! assert_eq!(front.dominated(), [plain, units]);
//! assert_eq!(front.cover(1.0, 1, None, &[]), [both]);
//! assert_eq!(front.select(7, 1), [both]);
//! # Ok::<(), p2o_core::pareto::ParetoError>(())
//! ```
//!
//! - **Scores** are finite numbers, or successes out of trials. Counts are compared by their Beta posterior mean
//!   under the front's prior; without a success a candidate is on no front of that instance, however few its trials.
//! - **Ties** share a front: scores within `tolerance` of the best.
//! - **No signal**: an instance on whose front everyone stands, or no one, has no say in the weights.
//! - **Objectives** are further columns (accuracy, brevity, ...); [`Frontier`] says which columns form the fronts.
//!
//! Everything is deterministic: draws use integers only, so a seed gives the same candidates on every platform.

mod bitset;
mod bytes;
mod cover;
mod error;
mod random;
mod select;

pub use error::ParetoError;

use bitset::BitSet;

/// Which columns have a front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Frontier {
    /// One front per instance.
    #[default]
    Instance,
    /// One front per objective.
    Objective,
    /// Both.
    Hybrid,
}

/// How fronts are formed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FrontSettings {
    /// Number of objectives each candidate is scored on, beside the instances.
    pub objectives: usize,
    /// Which columns have a front.
    pub frontier: Frontier,
    /// The Beta(a, b) prior of a success rate, for candidates given as counts.
    pub prior: (f64, f64),
    /// Scores at most this far below the best one share its front.
    pub tolerance: f64,
}

impl Default for FrontSettings {
    /// Instance fronts, Jeffreys' prior, exact ties.
    fn default() -> Self {
        Self { objectives: 0, frontier: Frontier::Instance, prior: (0.5, 0.5), tolerance: 0.0 }
    }
}

/// What one candidate scored on the instances.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scores {
    /// A finite score for each instance.
    Values(Vec<f64>),
    /// Successes (fractions allowed) out of trials for each instance; no trials: not evaluated there.
    Counts {
        /// Successes for each instance.
        successes: Vec<f64>,
        /// Trials for each instance.
        trials: Vec<u32>,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    scores: Scores,
    objectives: Vec<f64>,
    parents: Vec<usize>,
    mean: f64,
}

/// Candidates and the fronts they form. Candidate ids are consecutive from 0.
#[derive(Clone, Debug)]
pub struct ParetoFront {
    instances: usize,
    settings: FrontSettings,
    candidates: Vec<Candidate>,
    /// Best score of each column, instances first, then objectives.
    best: Vec<Option<f64>>,
    /// Candidates on the front of each column.
    fronts: Vec<BitSet>,
    /// Size of each column's front.
    sizes: Vec<u32>,
    /// Columns on whose front each candidate stands.
    rows: Vec<BitSet>,
}

impl ParetoFront {
    /// An empty front with the default settings.
    pub fn new(instances: usize) -> Self {
        Self::build(instances, FrontSettings::default())
    }

    /// An empty front.
    ///
    /// # Errors
    /// If the prior is not positive, the tolerance is negative, or a frontier of objectives has none.
    pub fn with_settings(instances: usize, settings: FrontSettings) -> Result<Self, ParetoError> {
        let (a, b) = settings.prior;
        if !(a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite()) {
            return Err(ParetoError::Setting("both parameters of the prior must be positive and finite"));
        }
        if !(settings.tolerance >= 0.0 && settings.tolerance.is_finite()) {
            return Err(ParetoError::Setting("the tolerance must be finite and at least 0"));
        }
        if settings.frontier != Frontier::Instance && settings.objectives == 0 {
            return Err(ParetoError::Setting("a frontier of objectives needs at least one objective"));
        }
        Ok(Self::build(instances, settings))
    }

    fn build(instances: usize, settings: FrontSettings) -> Self {
        let columns = instances + settings.objectives;
        Self {
            instances,
            settings,
            candidates: Vec::new(),
            best: vec![None; columns],
            fronts: vec![BitSet::default(); columns],
            sizes: vec![0; columns],
            rows: Vec::new(),
        }
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether there is no candidate yet.
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Number of instances.
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// The settings given at construction.
    pub fn settings(&self) -> FrontSettings {
        self.settings
    }

    /// Adds a candidate without parents or objectives, scored by values, and returns its id.
    ///
    /// # Errors
    /// See [`insert_with`](Self::insert_with).
    pub fn insert(&mut self, scores: &[f64]) -> Result<usize, ParetoError> {
        self.insert_with(Scores::Values(scores.to_vec()), &[], &[])
    }

    /// Adds a candidate and returns its id.
    ///
    /// # Errors
    /// If a length is wrong, a number is not finite, successes exceed trials, a parent does not exist, or the
    /// front holds the other kind of scores. The front is unchanged then.
    pub fn insert_with(
        &mut self,
        scores: Scores,
        objectives: &[f64],
        parents: &[usize],
    ) -> Result<usize, ParetoError> {
        self.check(&scores, objectives, parents)?;
        let id = self.candidates.len();
        let candidate = Candidate {
            mean: mean(&scores),
            scores,
            objectives: objectives.to_vec(),
            parents: parents.to_vec(),
        };
        self.candidates.push(candidate);
        self.rows.push(BitSet::with_capacity(self.best.len()));
        for column in 0..self.best.len() {
            self.join(id, column);
        }
        Ok(id)
    }

    /// Adds trials of a candidate on one instance, for fronts of counts.
    ///
    /// # Errors
    /// If there is no such candidate or instance, successes exceed trials, the trials add up to 2^32 or more, or the
    /// front holds values. The front is unchanged then.
    pub fn record(
        &mut self,
        candidate: usize,
        instance: usize,
        successes: f64,
        trials: u32,
    ) -> Result<(), ParetoError> {
        known("instance", instance, self.instances)?;
        known("candidate", candidate, self.len())?;
        check_counts(&[successes], &[trials]).map_err(|error| match error {
            ParetoError::Successes { .. } => ParetoError::Successes { position: instance },
            other => other,
        })?;
        let entry = &mut self.candidates[candidate];
        let Scores::Counts { successes: won, trials: tried } = &mut entry.scores else {
            return Err(ParetoError::Mixed { held: "values" });
        };
        tried[instance] =
            tried[instance].checked_add(trials).ok_or(ParetoError::TooManyTrials { position: instance })?;
        won[instance] += successes;
        entry.mean = mean(&entry.scores);
        self.rebuild(instance);
        Ok(())
    }

    /// The candidates on an instance's front, ascending.
    ///
    /// # Errors
    /// If there is no such instance.
    pub fn members(&self, instance: usize) -> Result<Vec<usize>, ParetoError> {
        known("instance", instance, self.instances)?;
        Ok(self.fronts[instance].iter().collect())
    }

    /// The score of a candidate on an instance: its value or posterior mean; `None` without a trial.
    ///
    /// # Errors
    /// If there is no such candidate or instance.
    pub fn score(&self, candidate: usize, instance: usize) -> Result<Option<f64>, ParetoError> {
        known("instance", instance, self.instances)?;
        known("candidate", candidate, self.len())?;
        Ok(match &self.candidates[candidate].scores {
            Scores::Counts { trials, .. } if trials[instance] == 0 => None,
            Scores::Counts { successes, trials } => {
                Some(self.posterior(successes[instance], trials[instance]))
            }
            Scores::Values(values) => Some(values[instance]),
        })
    }

    /// The mean score of a candidate over the instances; for counts, all successes by all trials.
    ///
    /// # Errors
    /// If there is no such candidate.
    pub fn mean(&self, candidate: usize) -> Result<f64, ParetoError> {
        known("candidate", candidate, self.len())?;
        Ok(self.candidates[candidate].mean)
    }

    /// The candidate with the highest mean, the earliest among equals; `None` when there is none.
    pub fn best(&self) -> Option<usize> {
        let means = self.candidates.iter().map(|candidate| candidate.mean).enumerate();
        means.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(id, _)| id)
    }

    /// The parents a candidate was inserted with.
    ///
    /// # Errors
    /// If there is no such candidate.
    pub fn parents(&self, candidate: usize) -> Result<&[usize], ParetoError> {
        known("candidate", candidate, self.len())?;
        Ok(&self.candidates[candidate].parents)
    }

    /// All ancestors of a candidate, ascending, without itself.
    ///
    /// # Errors
    /// If there is no such candidate.
    pub fn ancestors(&self, candidate: usize) -> Result<Vec<usize>, ParetoError> {
        known("candidate", candidate, self.len())?;
        let mut found = BitSet::with_capacity(candidate);
        let mut open = self.candidates[candidate].parents.clone();
        while let Some(id) = open.pop() {
            if !found.contains(id) {
                found.insert(id);
                open.extend(&self.candidates[id].parents);
            }
        }
        Ok(found.iter().collect())
    }

    fn check(&self, scores: &Scores, objectives: &[f64], parents: &[usize]) -> Result<(), ParetoError> {
        let length = |what, actual, expected| {
            if actual == expected { Ok(()) } else { Err(ParetoError::Length { what, expected, actual }) }
        };
        match scores {
            Scores::Values(values) => {
                length("the row of scores", values.len(), self.instances)?;
                check_finite("score", values)?;
            }
            Scores::Counts { successes, trials } => {
                length("the row of successes", successes.len(), self.instances)?;
                length("the row of trials", trials.len(), self.instances)?;
                check_counts(successes, trials)?;
            }
        }
        length("the row of objectives", objectives.len(), self.settings.objectives)?;
        check_finite("objective", objectives)?;
        if let Some(&parent) = parents.iter().find(|&&parent| parent >= self.len()) {
            return Err(ParetoError::Unknown { what: "parent", index: parent, len: self.len() });
        }
        match (self.candidates.first().map(|candidate| &candidate.scores), scores) {
            (Some(Scores::Values(_)), Scores::Counts { .. }) => Err(ParetoError::Mixed { held: "values" }),
            (Some(Scores::Counts { .. }), Scores::Values(_)) => Err(ParetoError::Mixed { held: "counts" }),
            _ => Ok(()),
        }
    }

    fn posterior(&self, successes: f64, trials: u32) -> f64 {
        let (a, b) = self.settings.prior;
        (successes + a) / (f64::from(trials) + a + b)
    }

    /// What a candidate competes with on a column; `None` keeps it off the front.
    fn value(&self, candidate: usize, column: usize) -> Option<f64> {
        let entry = &self.candidates[candidate];
        if column >= self.instances {
            return Some(entry.objectives[column - self.instances]);
        }
        match &entry.scores {
            Scores::Values(values) => Some(values[column]),
            Scores::Counts { successes, trials } => {
                (successes[column] > 0.0).then(|| self.posterior(successes[column], trials[column]))
            }
        }
    }

    /// Lets a candidate compete on a column: those it leaves more than the tolerance behind lose their place.
    fn join(&mut self, id: usize, column: usize) {
        let Some(value) = self.value(id, column) else { return };
        let tolerance = self.settings.tolerance;
        match self.best[column] {
            Some(best) if value < best - tolerance => return,
            Some(best) if value > best => {
                self.best[column] = Some(value);
                let beaten: Vec<usize> = self.fronts[column]
                    .iter()
                    .filter(|&other| self.value(other, column).is_none_or(|score| score < value - tolerance))
                    .collect();
                for other in beaten {
                    self.fronts[column].remove(other);
                    self.rows[other].remove(column);
                    self.sizes[column] -= 1;
                }
            }
            Some(_) => {}
            None => self.best[column] = Some(value),
        }
        self.fronts[column].insert(id);
        self.rows[id].insert(column);
        self.sizes[column] += 1;
    }

    fn rebuild(&mut self, column: usize) {
        self.fronts[column].clear();
        self.best[column] = None;
        self.sizes[column] = 0;
        for row in &mut self.rows {
            row.remove(column);
        }
        for id in 0..self.candidates.len() {
            self.join(id, column);
        }
    }

    /// The columns that have a front under the settings.
    fn active(&self) -> std::ops::Range<usize> {
        match self.settings.frontier {
            Frontier::Instance => 0..self.instances,
            Frontier::Objective => self.instances..self.best.len(),
            Frontier::Hybrid => 0..self.best.len(),
        }
    }
}

fn known(what: &'static str, index: usize, len: usize) -> Result<(), ParetoError> {
    if index < len { Ok(()) } else { Err(ParetoError::Unknown { what, index, len }) }
}

fn mean(scores: &Scores) -> f64 {
    match scores {
        Scores::Values(values) if values.is_empty() => 0.0,
        Scores::Values(values) => values.iter().sum::<f64>() / values.len() as f64,
        Scores::Counts { successes, trials } => {
            let tried: f64 = trials.iter().map(|&count| f64::from(count)).sum();
            if tried > 0.0 { successes.iter().sum::<f64>() / tried } else { 0.0 }
        }
    }
}

fn check_finite(what: &'static str, values: &[f64]) -> Result<(), ParetoError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(ParetoError::NotFinite { what, position }),
        None => Ok(()),
    }
}

fn check_counts(successes: &[f64], trials: &[u32]) -> Result<(), ParetoError> {
    check_finite("successes", successes)?;
    let wrong = successes.iter().zip(trials).position(|(&won, &tried)| won < 0.0 || won > f64::from(tried));
    wrong.map_or(Ok(()), |position| Err(ParetoError::Successes { position }))
}
