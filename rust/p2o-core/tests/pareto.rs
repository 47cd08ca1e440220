//! The front against brute force, the one-pass pruning against the restarting one, the cover against the textbook.

use p2o_core::pareto::{FrontSettings, Frontier, ParetoError, ParetoFront, Scores};
use proptest::prelude::*;

/// Rows of scores with many ties, one per candidate.
fn rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
    (1..12_usize, 1..10_usize).prop_flat_map(|(candidates, instances)| {
        let score = prop_oneof![3 => Just(0.0), 2 => Just(1.0), 1 => Just(0.5), 1 => -1.0..1.0];
        prop::collection::vec(prop::collection::vec(score, instances), candidates)
    })
}

fn front_of(rows: &[Vec<f64>]) -> ParetoFront {
    let mut front = ParetoFront::new(rows[0].len());
    for row in rows {
        front.insert(row).unwrap();
    }
    front
}

fn brute_members(rows: &[Vec<f64>], instance: usize) -> Vec<usize> {
    let best = rows.iter().map(|row| row[instance]).fold(f64::NEG_INFINITY, f64::max);
    (0..rows.len()).filter(|&id| rows[id][instance] >= best).collect()
}

/// GEPA's rule as it states it: drop the first candidate, from the lowest mean up, all of whose fronts keep another
/// one, and start again.
fn brute_dominated(rows: &[Vec<f64>]) -> Vec<usize> {
    let fronts: Vec<Vec<usize>> = (0..rows[0].len()).map(|instance| brute_members(rows, instance)).collect();
    let mean = |id: usize| rows[id].iter().sum::<f64>() / rows[id].len() as f64;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)));
    let mut gone = vec![false; rows.len()];
    while let Some(&next) = order.iter().find(|&&id| {
        !gone[id]
            && fronts
                .iter()
                .all(|front| !front.contains(&id) || front.iter().any(|&other| other != id && !gone[other]))
    }) {
        gone[next] = true;
    }
    (0..rows.len()).filter(|&id| gone[id]).collect()
}

fn solved(rows: &[Vec<f64>], id: usize, threshold: f64) -> Vec<usize> {
    (0..rows[id].len()).filter(|&instance| rows[id][instance] >= threshold).collect()
}

fn textbook_cover(rows: &[Vec<f64>], threshold: f64, min_gain: usize) -> Vec<usize> {
    let mut covered = vec![false; rows[0].len()];
    let mut chosen = Vec::new();
    loop {
        let gain = |id: usize| solved(rows, id, threshold).iter().filter(|&&i| !covered[i]).count();
        let best = (0..rows.len()).fold(0, |best, id| if gain(id) > gain(best) { id } else { best });
        if gain(best) < min_gain {
            return chosen;
        }
        for instance in solved(rows, best, threshold) {
            covered[instance] = true;
        }
        chosen.push(best);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn members_are_the_best_whatever_the_order(rows in rows(), seed in any::<u64>()) {
        let front = front_of(&rows);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        // Any permutation will do: rotate and reverse by the seed.
        order.rotate_left(seed as usize % rows.len());
        if seed % 2 == 0 { order.reverse(); }
        let shuffled = front_of(&order.iter().map(|&id| rows[id].clone()).collect::<Vec<_>>());
        for instance in 0..rows[0].len() {
            prop_assert_eq!(front.members(instance).unwrap(), brute_members(&rows, instance));
            let mut back: Vec<usize> = shuffled.members(instance).unwrap().iter().map(|&at| order[at]).collect();
            back.sort_unstable();
            prop_assert_eq!(back, brute_members(&rows, instance));
        }
    }

    #[test]
    fn one_pass_prunes_what_the_restarting_rule_prunes(rows in rows()) {
        prop_assert_eq!(front_of(&rows).dominated(), brute_dominated(&rows));
    }

    #[test]
    fn survivors_hold_every_front(rows in rows()) {
        let front = front_of(&rows);
        let dominated = front.dominated();
        for instance in 0..rows[0].len() {
            prop_assert!(front.members(instance).unwrap().iter().any(|id| !dominated.contains(id)));
        }
    }

    #[test]
    fn weights_count_the_fronts_that_tell_candidates_apart(rows in rows()) {
        let front = front_of(&rows);
        let dominated = front.dominated();
        for (id, &weight) in front.weights().iter().enumerate() {
            let expected = (0..rows[0].len())
                .map(|instance| brute_members(&rows, instance))
                .filter(|members| members.len() < rows.len() && members.contains(&id))
                .count();
            prop_assert_eq!(weight as usize, if dominated.contains(&id) { 0 } else { expected });
        }
    }

    #[test]
    fn cover_is_the_textbook_greedy_one(rows in rows(), min_gain in 1..3_usize) {
        let front = front_of(&rows);
        let expected = textbook_cover(&rows, 0.5, min_gain);
        prop_assert_eq!(front.cover(0.5, min_gain, None, &[]), expected.clone());
        let first: Vec<usize> = expected.into_iter().take(1).collect();
        prop_assert_eq!(front.cover(0.5, min_gain, Some(1), &[]), first);
    }

    #[test]
    fn selection_is_distinct_and_repeatable(rows in rows(), seed in any::<u64>(), k in 1..6_usize) {
        let front = front_of(&rows);
        let chosen = front.select(seed, k);
        let mut distinct = chosen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), chosen.len());
        prop_assert!(!chosen.is_empty() && chosen.len() <= k);
        let dominated = front.dominated();
        prop_assert!(chosen.iter().all(|id| !dominated.contains(id)));
        prop_assert_eq!(front.select(seed, k), chosen);
    }

    #[test]
    fn bytes_bring_the_same_front_back(rows in rows()) {
        let front = front_of(&rows);
        let back = ParetoFront::from_bytes(&front.to_bytes()).unwrap();
        prop_assert_eq!(back.to_bytes(), front.to_bytes());
        prop_assert_eq!(back.dominated(), front.dominated());
        prop_assert_eq!(back.weights(), front.weights());
        prop_assert_eq!(back.best(), front.best());
    }

    #[test]
    fn altered_bytes_are_refused(rows in rows(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = front_of(&rows).to_bytes();
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(ParetoFront::from_bytes(&bytes).is_err());
        prop_assert!(ParetoFront::from_bytes(&bytes[..place]).is_err());
    }

    #[test]
    fn forged_bytes_never_panic(
        rows in rows(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        keep in any::<prop::sample::Index>(),
    ) {
        let bytes = front_of(&rows).to_bytes();
        let mut body = bytes[..bytes.len() - 8].to_vec();
        let place = at.index(body.len());
        body[place] = value;
        body.truncate(keep.index(body.len()) + 1);
        if let Ok(front) = ParetoFront::from_bytes(&sealed(body)) {
            let back = ParetoFront::from_bytes(&front.to_bytes()).unwrap();
            prop_assert_eq!(back.dominated(), front.dominated());
        }
    }

    #[test]
    fn counts_recorded_one_by_one_give_the_front_of_their_sums(
        outcomes in prop::collection::vec((0..4_usize, 0..3_usize, any::<bool>()), 0..40),
    ) {
        let mut front = ParetoFront::new(3);
        let mut successes = vec![vec![0.0; 3]; 4];
        let mut trials = vec![vec![0_u32; 3]; 4];
        for _ in 0..4 {
            front.insert_with(counts(&[0.0; 3], &[0; 3]), &[], &[]).unwrap();
        }
        for (candidate, instance, success) in outcomes {
            let won = if success { 1.0 } else { 0.0 };
            front.record(candidate, instance, won, 1).unwrap();
            successes[candidate][instance] += won;
            trials[candidate][instance] += 1;
        }
        let mut whole = ParetoFront::new(3);
        for id in 0..4 {
            whole.insert_with(counts(&successes[id], &trials[id]), &[], &[]).unwrap();
        }
        prop_assert_eq!(front.to_bytes(), whole.to_bytes());
        for instance in 0..3 {
            prop_assert_eq!(front.members(instance).unwrap(), whole.members(instance).unwrap());
        }
        prop_assert_eq!(front.dominated(), whole.dominated());
    }
}

fn counts(successes: &[f64], trials: &[u32]) -> Scores {
    Scores::Counts { successes: successes.to_vec(), trials: trials.to_vec() }
}

#[test]
fn counts_compare_by_posterior_mean_and_need_a_success() {
    let mut front = ParetoFront::new(3);
    // Jeffreys' posterior means: 1 of 1 is 1.5/2, 3 of 4 is 3.5/5, 1 of 10 is 1.5/11, 0 of 1 is 0.5/2.
    let once = front.insert_with(counts(&[1.0, 0.0, 0.0], &[1, 1, 1]), &[], &[]).unwrap();
    let often = front.insert_with(counts(&[3.0, 1.0, 0.0], &[4, 10, 4]), &[], &[]).unwrap();
    assert_eq!(front.members(0).unwrap(), [once]);
    assert_eq!(front.members(1).unwrap(), [often], "0 of 1 has the higher posterior mean, but no success");
    assert!(front.members(2).unwrap().is_empty(), "nobody solves it");
    assert_eq!(front.score(once, 0).unwrap(), Some(0.75));
    assert_eq!(front.score(often, 0).unwrap(), Some(0.7));
    assert!((front.mean(often).unwrap() - 4.0 / 18.0).abs() < 1e-15);
}

#[test]
fn untried_instances_have_no_score() {
    let mut front = ParetoFront::new(2);
    front.insert_with(counts(&[1.0, 0.0], &[2, 0]), &[], &[]).unwrap();
    assert_eq!(front.score(0, 1).unwrap(), None);
    assert!((front.mean(0).unwrap() - 0.5).abs() < 1e-15);
}

#[test]
fn instances_without_signal_have_no_say() {
    // Instance 0 is solved by none, instance 1 by all; only instance 2 tells them apart.
    let front = front_of(&[vec![0.0, 1.0, 0.0], vec![0.0, 1.0, 1.0], vec![0.0, 1.0, 0.0]]);
    assert_eq!(front.weights(), [0, 1, 0]);
    assert!((0..50).all(|seed| front.select(seed, 3) == [1]));
}

#[test]
fn without_any_signal_every_survivor_may_be_drawn() {
    let mut front = ParetoFront::new(2);
    for _ in 0..3 {
        front.insert_with(counts(&[0.0, 0.0], &[1, 1]), &[], &[]).unwrap();
    }
    let mut drawn: Vec<usize> = (0..60).flat_map(|seed| front.select(seed, 1)).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn, [0, 1, 2]);
    assert!(ParetoFront::new(2).select(1, 1).is_empty());
}

#[test]
fn selection_follows_the_weights() {
    let front = front_of(&[vec![1.0, 1.0, 1.0, 0.0], vec![0.0, 0.0, 0.0, 1.0], vec![0.0; 4]]);
    assert_eq!(front.weights(), [3, 1, 0]);
    let first = (0..4000).filter(|&seed| front.select(seed, 1) == [0]).count();
    // Binomial(4000, 3/4) has a standard deviation of 27.
    assert!(first.abs_diff(3000) < 140, "{first}");
}

#[test]
fn ties_within_the_tolerance_share_a_front() {
    let settings = FrontSettings { tolerance: 0.1, ..FrontSettings::default() };
    let mut front = ParetoFront::with_settings(1, settings).unwrap();
    for score in [0.5, 0.55, 0.62, 0.3] {
        front.insert(&[score]).unwrap();
    }
    assert_eq!(front.members(0).unwrap(), [1, 2]);
}

#[test]
fn frontiers_of_objectives_and_hybrid() {
    let build = |frontier| {
        let settings = FrontSettings { objectives: 2, frontier, ..FrontSettings::default() };
        let mut front = ParetoFront::with_settings(2, settings).unwrap();
        for (scores, objectives) in
            [([1.0, 0.0], [0.5, -9.0]), ([0.0, 0.0], [0.0, -1.0]), ([0.0, 1.0], [0.4, -5.0])]
        {
            front.insert_with(Scores::Values(scores.to_vec()), &objectives, &[]).unwrap();
        }
        front
    };
    assert_eq!(build(Frontier::Instance).dominated(), [1]);
    assert_eq!(build(Frontier::Objective).dominated(), [2], "neither the most accurate nor the briefest");
    assert!(build(Frontier::Hybrid).dominated().is_empty());
    for frontier in [Frontier::Instance, Frontier::Objective, Frontier::Hybrid] {
        let front = build(frontier);
        let back = ParetoFront::from_bytes(&front.to_bytes()).unwrap();
        assert_eq!((back.settings(), back.weights()), (front.settings(), front.weights()));
    }
}

#[test]
fn lineage_is_kept() {
    let mut front = ParetoFront::new(1);
    for parents in [&[][..], &[0], &[0], &[1, 2], &[3]] {
        front.insert_with(Scores::Values(vec![0.0]), &[], parents).unwrap();
    }
    assert_eq!(front.parents(3).unwrap(), [1, 2]);
    assert_eq!(front.ancestors(4).unwrap(), [0, 1, 2, 3]);
    assert_eq!(ParetoFront::from_bytes(&front.to_bytes()).unwrap().ancestors(4).unwrap(), [0, 1, 2, 3]);
}

#[test]
fn every_ancestor_is_visited_once() {
    // 140 generations of two, each with both of the one before as parents: 2^140 ways lead to the first.
    let mut front = ParetoFront::new(1);
    for id in 0..280_usize {
        let elders = id / 2 * 2;
        let parents: &[usize] = if elders == 0 { &[] } else { &[elders - 2, elders - 1] };
        front.insert_with(Scores::Values(vec![0.0]), &[], parents).unwrap();
    }
    assert_eq!(front.ancestors(279).unwrap(), (0..278).collect::<Vec<_>>());
}

/// 70 candidates on 130 instances: the sets of both take several machine words.
#[test]
fn fronts_wider_than_a_machine_word() {
    let rows: Vec<Vec<f64>> = (0..70)
        .map(|id| (0..130).map(|instance| f64::from((id * instance + id / 7) % 5)).collect())
        .collect();
    let front = front_of(&rows);
    for instance in 0..130 {
        assert_eq!(front.members(instance).unwrap(), brute_members(&rows, instance));
    }
    let dominated = front.dominated();
    assert_eq!(dominated, brute_dominated(&rows));
    for (id, &weight) in front.weights().iter().enumerate() {
        let members = (0..130).map(|instance| brute_members(&rows, instance));
        let informative =
            members.filter(|members| members.len() < rows.len() && members.contains(&id)).count();
        assert_eq!(weight as usize, if dominated.contains(&id) { 0 } else { informative }, "{id}");
    }
    assert_eq!(front.cover(4.0, 1, None, &[]), textbook_cover(&rows, 4.0, 1));
    // Every column alone tells its candidate from the others.
    let identity: Vec<Vec<f64>> =
        (0..70).map(|id| (0..70).map(|instance| f64::from(u8::from(instance == id))).collect()).collect();
    let front = front_of(&identity);
    assert!(front.dominated().is_empty());
    assert_eq!(front.cover(1.0, 1, None, &[]), (0..70).collect::<Vec<_>>());
}

#[test]
fn counts_are_covered_where_they_have_a_success() {
    let mut front = ParetoFront::new(2);
    front.insert_with(counts(&[1.0, 0.0], &[1, 1]), &[], &[]).unwrap();
    front.insert_with(counts(&[0.0, 1.0], &[1, 1]), &[], &[]).unwrap();
    assert_eq!(front.cover(0.0, 1, None, &[]), [0, 1]);
    assert!(front.cover(0.76, 1, None, &[]).is_empty(), "the posterior mean of 1 of 1 is 0.75");
}

#[test]
fn bytes_bring_counts_back() {
    let mut front = ParetoFront::new(3);
    // 127 and 128 take one and two bytes of seven bits, 20 000 takes three.
    front.insert_with(counts(&[127.0, 128.0, 0.0], &[128, 20_000, 0]), &[], &[]).unwrap();
    // Head, sizes, no parents, the kind of scores, the counts, the checksum.
    assert_eq!(front.to_bytes().len(), 30 + 3 + 1 + 1 + (1 + 2 + 2 + 3 + 1 + 1) + 8);
    front.insert_with(counts(&[0.5, 1.0, 299.25], &[1, 1, 300]), &[], &[0]).unwrap();
    front.insert_with(counts(&[0.5, 0.25, 1.5], &[1, 1, 2]), &[], &[0]).unwrap();
    let bytes = front.to_bytes();
    let back = ParetoFront::from_bytes(&bytes).unwrap();
    assert_eq!(back.to_bytes(), bytes);
    for id in 0..3 {
        assert_eq!(back.mean(id).unwrap().to_bits(), front.mean(id).unwrap().to_bits());
        for instance in 0..3 {
            assert_eq!(back.score(id, instance).unwrap(), front.score(id, instance).unwrap());
        }
    }
    assert_eq!(back.score(0, 1).unwrap(), Some(128.5 / 20_001.0));
    assert_eq!(back.score(1, 2).unwrap(), Some(299.75 / 301.0));
}

/// The body with its checksum, 64-bit FNV-1a.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let checksum = body.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    body.extend(checksum.to_le_bytes());
    body
}

#[test]
fn forged_sizes_and_rests_are_refused() {
    let message = |body: Vec<u8>| ParetoFront::from_bytes(&sealed(body)).unwrap_err().to_string();
    let whole = front_of(&[vec![0.5]]).to_bytes();
    let body = whole[..whole.len() - 8].to_vec();
    assert!(message([&body[..], &[0]].concat()).ends_with("bytes are left over"));
    // Mark, version, kind of frontier, three numbers; then instances, objectives, candidates.
    let head = body[..4 + 1 + 1 + 3 * 8].to_vec();
    let sizes = |instances: &[u8], candidates: u8| [&head[..], instances, &[0, candidates]].concat();
    let too_short = "it is shorter than its sizes say";
    assert!(message(sizes(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], 1)).ends_with(too_short));
    // 2^26 columns without a candidate, and one more.
    assert!(message(sizes(&[0x81, 0x80, 0x80, 0x20], 0)).ends_with(too_short));
    assert_eq!(ParetoFront::from_bytes(&ParetoFront::new(1000).to_bytes()).unwrap().instances(), 1000);
    // 1000 columns of a candidate that has no bytes.
    assert!(message(sizes(&[0xE8, 0x07], 1)).ends_with(too_short));
    for kind in [3, 255] {
        let mut body = body.clone();
        body[5] = kind;
        assert!(message(body).ends_with("its kind of frontier is unknown"));
    }
    // The kind of scores follows the number of parents.
    let mut other = body;
    let kind = head.len() + 4;
    other[kind] = 3;
    assert!(message(other).ends_with("a kind of scores is unknown"));
}

#[test]
fn excluded_candidates_are_not_in_the_cover() {
    let front = front_of(&[vec![1.0, 1.0], vec![1.0, 0.0]]);
    assert_eq!(front.cover(1.0, 1, None, &[0]), [1]);
    assert!(front.cover(1.0, 1, Some(0), &[]).is_empty());
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let mut front = ParetoFront::new(2);
    front.insert(&[1.0, 0.0]).unwrap();
    let before = front.to_bytes();
    assert!(matches!(front.insert(&[1.0]), Err(ParetoError::Length { expected: 2, actual: 1, .. })));
    assert!(matches!(front.insert(&[0.0, f64::NAN]), Err(ParetoError::NotFinite { position: 1, .. })));
    assert!(front.insert(&[f64::INFINITY, 0.0]).is_err());
    assert!(matches!(
        front.insert_with(counts(&[0.0, 0.0], &[1, 1]), &[], &[]),
        Err(ParetoError::Mixed { held: "values" })
    ));
    assert!(matches!(
        front.insert_with(Scores::Values(vec![0.0, 0.0]), &[], &[1]),
        Err(ParetoError::Unknown { what: "parent", index: 1, len: 1 })
    ));
    assert!(front.members(2).is_err() && front.mean(1).is_err() && front.record(0, 0, 1.0, 1).is_err());
    assert_eq!(front.to_bytes(), before);

    let mut counted = ParetoFront::new(1);
    assert!(matches!(
        counted.insert_with(counts(&[2.0], &[1]), &[], &[]),
        Err(ParetoError::Successes { position: 0 })
    ));
    assert!(counted.insert_with(counts(&[-1.0], &[1]), &[], &[]).is_err());
    assert!(matches!(front.score(0, 2), Err(ParetoError::Unknown { what: "instance", index: 2, len: 2 })));
    assert!(front.parents(1).is_err() && front.ancestors(1).is_err());

    counted.insert_with(counts(&[1.0], &[1]), &[], &[]).unwrap();
    assert!(matches!(
        counted.insert_with(Scores::Values(vec![0.0]), &[], &[]),
        Err(ParetoError::Mixed { held: "counts" })
    ));
    assert!(matches!(
        counted.record(0, 1, 1.0, 1),
        Err(ParetoError::Unknown { what: "instance", index: 1, len: 1 })
    ));
    assert!(matches!(counted.record(1, 0, 1.0, 1), Err(ParetoError::Unknown { what: "candidate", .. })));
    let mut two = ParetoFront::new(2);
    two.insert_with(counts(&[1.0, 0.0], &[1, 0]), &[], &[]).unwrap();
    assert!(matches!(two.record(0, 1, 2.0, 1), Err(ParetoError::Successes { position: 1 })));
    two.record(0, 1, 0.0, u32::MAX).unwrap();
    assert_eq!(two.record(0, 1, 1.0, 1), Err(ParetoError::TooManyTrials { position: 1 }));
    assert_eq!(two.mean(0), Ok(1.0 / (1.0 + f64::from(u32::MAX)))); // unchanged by what was refused
    assert_eq!(counted.score(0, 0).unwrap(), Some(0.75));
    for settings in [
        FrontSettings { prior: (0.0, 1.0), ..FrontSettings::default() },
        FrontSettings { prior: (1.0, 0.0), ..FrontSettings::default() },
        FrontSettings { prior: (f64::INFINITY, 1.0), ..FrontSettings::default() },
        FrontSettings { prior: (1.0, f64::INFINITY), ..FrontSettings::default() },
        FrontSettings { tolerance: -0.1, ..FrontSettings::default() },
        FrontSettings { tolerance: f64::NAN, ..FrontSettings::default() },
        FrontSettings { frontier: Frontier::Hybrid, ..FrontSettings::default() },
    ] {
        assert!(ParetoFront::with_settings(1, settings).is_err());
    }
}
